//! Reads and writes PyTorch's weights as `safetensors` files, with the crate of this
//! name. Needs the feature `safetensors`.
//!
//! In PyTorch, `safetensors.torch.save_file(model.state_dict(), "weights.safetensors")`
//! writes such a file, and `load_file` reads one.
//!
//! ```
//! use baregrad::Arena;
//! use baregrad::train::safetensors;
//!
//! // Two parameters as the bytes of a file; PyTorch would have written other values.
//! let mut arena = Arena::<64, 8>::new();
//! let tape = arena.tape();
//! let (w, b) = (tape.param(&[5.5, 0.5], [1, 2]), tape.param(&[-18.5], [1]));
//! let bytes = safetensors::save_params(&[("layer.weight", w), ("layer.bias", b)])?;
//! // std::fs::write("weights.safetensors", &bytes)?;
//!
//! // And back, into a model with other values.
//! let mut arena = Arena::<64, 8>::new();
//! let tape = arena.tape();
//! let (w, b) = (tape.param(&[0.0; 2], [1, 2]), tape.param(&[0.0], [1]));
//! let x = tape.input(&[1.0, 2.0], [1, 2]);
//! // PyTorch's `nn.Linear` keeps its weight as [outputs, inputs].
//! let y = x.matmul(w.transpose(0, 1)) + b;
//! safetensors::load_params(&bytes, &[("layer.weight", w), ("layer.bias", b)])?;
//! tape.replay()?;
//! assert_eq!(y.item()?, -12.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tensors must have the dtype `F32`. A file with another dtype is an error, because a
//! conversion would round the numbers, or enlarge the file, silently. To convert the
//! tensors in PyTorch before saving, use `{name: tensor.float() …}`.

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::model::Param;
use crate::error::Error;
use crate::shape::{MAX_RANK, Shape};
use crate::var::Var;

/// An error of reading or writing a `safetensors` file. Variables are unchanged.
#[non_exhaustive]
pub enum SafetensorsError {
    /// The bytes are not a `safetensors` file, or the file is damaged.
    Format {
        /// The reason, in the words of the crate `safetensors`.
        why: String,
    },
    /// The file has no tensor of this name.
    Missing {
        /// The missing name.
        name: String,
        /// The names in the file.
        found: Vec<String>,
    },
    /// The file has a tensor for which there is no variable.
    Unexpected {
        /// The name of the tensor.
        name: String,
    },
    /// A tensor has another shape than its variable.
    Shape {
        /// The name of the tensor.
        name: String,
        /// The shape of the variable.
        expected: Shape,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor has more dimensions than a [`Shape`] can have.
    Rank {
        /// The name of the tensor.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The dtype of a tensor is not `F32`.
    Dtype {
        /// The name of the tensor.
        name: String,
        /// The dtype in the file.
        found: String,
    },
    /// The number of values of a tensor to be written differs from the number of elements
    /// of its shape.
    Length {
        /// The name of the tensor.
        name: String,
        /// The number of elements of the shape.
        expected: usize,
        /// The number of values.
        found: usize,
    },
    /// Two tensors to be written have the same name.
    Twice {
        /// The name.
        name: String,
    },
    /// The tape returned an error.
    Tape(Error),
}

impl From<Error> for SafetensorsError {
    fn from(error: Error) -> Self {
        SafetensorsError::Tape(error)
    }
}

impl From<SafeTensorError> for SafetensorsError {
    fn from(error: SafeTensorError) -> Self {
        SafetensorsError::Format {
            why: error.to_string(),
        }
    }
}

impl fmt::Display for SafetensorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { why } => write!(f, "expected a safetensors file: {why}"),
            Self::Missing { name, found } => write!(
                f,
                "expected a tensor `{name}` in the file, found `{}`",
                found.join("`, `")
            ),
            Self::Unexpected { name } => {
                write!(f, "expected no tensor `{name}`, found it in the file")
            }
            Self::Shape {
                name,
                expected,
                found,
            } => write!(
                f,
                "expected the tensor `{name}` of shape {expected}, found shape {found:?}"
            ),
            Self::Rank { name, found } => write!(
                f,
                "expected the tensor `{name}` of at most {MAX_RANK} dimensions, found shape {found:?}"
            ),
            Self::Dtype { name, found } => write!(
                f,
                "expected the tensor `{name}` of dtype F32, found {found}: save its `.float()`"
            ),
            Self::Length {
                name,
                expected,
                found,
            } => write!(f, "expected {expected} values for `{name}`, found {found}"),
            Self::Twice { name } => write!(f, "expected one tensor `{name}`, found two"),
            Self::Tape(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SafetensorsError {}

/// Reads all tensors of a file, sorted by name, as PyTorch's
/// `safetensors.torch.load(bytes)` does.
///
/// ```
/// use baregrad::train::{Param, safetensors};
///
/// let params = [Param::new("w", [0.5, 1.5], [2, 1]), Param::scalar("b", 3.0)];
/// let bytes = safetensors::save(&params)?;
/// let [b, w] = &safetensors::load(&bytes)?[..] else { panic!() };
/// assert_eq!((b.name(), b.values()), ("b", &[3.0][..]));
/// assert_eq!((w.name(), w.values()), ("w", &[0.5, 1.5][..]));
/// # Ok::<(), baregrad::train::safetensors::SafetensorsError>(())
/// ```
///
/// # Errors
/// The bytes are not a `safetensors` file; a tensor is not of dtype `F32`, or has more
/// than four dimensions.
pub fn load(bytes: &[u8]) -> Result<Vec<Param>, SafetensorsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut names = file.names();
    names.sort_unstable();
    let param = |name: &str| {
        let tensor = file.tensor(name)?;
        let values: Vec<f32> = values(name, &tensor)?.collect();
        let shape = Shape::new(tensor.shape()).map_err(|_| SafetensorsError::Rank {
            name: name.to_string(),
            found: tensor.shape().to_vec(),
        })?;
        Ok(Param::new(name, values, shape))
    };
    names.into_iter().map(param).collect()
}

/// Returns the bytes of a file with these parameters, such as those of
/// [`Fitted::named_params`](super::Fitted::named_params), as PyTorch's
/// `safetensors.torch.save(tensors)` does. The same parameters give the same bytes.
///
/// # Errors
/// Two parameters have the same name, or the number of values of a parameter differs from
/// the number of elements of its shape.
pub fn save(params: &[Param]) -> Result<Vec<u8>, SafetensorsError> {
    let tensors = params.iter().map(|param| {
        let bytes = to_bytes(&param.values);
        (param.name.as_str(), param.shape, bytes)
    });
    write(tensors.collect())
}

/// Returns the bytes of a file with the values of these variables, as
/// `safetensors.torch.save(model.state_dict())` does.
///
/// # Errors
/// Two variables have the same name; or the tape returns an error, for example if a
/// rewind dropped a variable.
#[track_caller]
pub fn save_params(params: &[(&str, Var<'_>)]) -> Result<Vec<u8>, SafetensorsError> {
    let mut tensors = Vec::new();
    for (name, var) in params {
        tensors.push((*name, var.shape(), to_bytes(&var.value()?)));
    }
    write(tensors)
}

/// Sets each variable to the tensor of its name, as
/// `model.load_state_dict(safetensors.torch.load(bytes))` does, which is `strict`.
/// Results change with the next [`replay`](crate::Tape::replay).
///
/// # Errors
/// The bytes are not a `safetensors` file; a variable has no tensor of its name and shape
/// and of dtype `F32`; a tensor has no variable; a variable is computed or borrowed; or
/// the tape returns an error. No variable has changed then.
#[track_caller]
pub fn load_params(bytes: &[u8], params: &[(&str, Var<'_>)]) -> Result<(), SafetensorsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut names = file.names();
    names.sort_unstable();
    for (name, var) in params {
        var.expect_leaf()?;
        if !names.contains(name) {
            return Err(SafetensorsError::Missing {
                name: (*name).to_string(),
                found: names.iter().map(ToString::to_string).collect(),
            });
        }
        let tensor = file.tensor(name)?;
        if tensor.shape() != var.shape().dims() {
            return Err(SafetensorsError::Shape {
                name: (*name).to_string(),
                expected: var.shape(),
                found: tensor.shape().to_vec(),
            });
        }
        let _ = values(name, &tensor)?;
    }
    if let Some(name) = names
        .iter()
        .find(|name| !params.iter().any(|(known, _)| known == *name))
    {
        return Err(SafetensorsError::Unexpected {
            name: (*name).to_string(),
        });
    }
    for (name, var) in params {
        let tensor = file.tensor(name)?;
        var.overwrite(&mut values(name, &tensor)?)?;
    }
    Ok(())
}

/// The values of a tensor.
fn values<'a>(
    name: &str,
    tensor: &TensorView<'a>,
) -> Result<impl Iterator<Item = f32> + use<'a>, SafetensorsError> {
    if tensor.dtype() != Dtype::F32 {
        return Err(SafetensorsError::Dtype {
            name: name.to_string(),
            found: std::format!("{:?}", tensor.dtype()),
        });
    }
    let (numbers, _) = tensor.data().as_chunks();
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)))
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Writes a file of named tensors, each with its shape and its values as bytes.
fn write(tensors: Vec<(&str, Shape, Vec<u8>)>) -> Result<Vec<u8>, SafetensorsError> {
    let mut views = Vec::new();
    for (i, (name, shape, bytes)) in tensors.iter().enumerate() {
        if tensors.iter().take(i).any(|(other, ..)| other == name) {
            return Err(SafetensorsError::Twice {
                name: (*name).to_string(),
            });
        }
        let (expected, found) = (shape.numel(), bytes.len() / size_of::<f32>());
        if expected != found {
            return Err(SafetensorsError::Length {
                name: (*name).to_string(),
                expected,
                found,
            });
        }
        views.push((
            *name,
            TensorView::new(Dtype::F32, shape.dims().to_vec(), bytes)?,
        ));
    }
    Ok(safetensors::serialize(views, None)?)
}
