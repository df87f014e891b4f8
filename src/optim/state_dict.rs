//! The state of training in a record: parameters by name and shape, and the states of
//! optimizers, searches and schedules.
//!
//! ```text
//! parameters   "model.w"               array of the parameter's shape
//! state        "optimizer.0.rule"      text: which rule it is of
//!              "optimizer.1.betas"     array: a hyper-parameter that steps do not change
//!              "optimizer.2.lr"        array: a part of the state
//! ```
//!
//! The number in such a name is the position of the part. It distinguishes equal names of two
//! parameter groups, or of two nested schedules.

use core::fmt;

use super::{OptimizerError, Stateful};
use crate::error::{Error, ErrorKind};
use crate::op::Node;
use crate::record::{Array, Name, Record, Value, Writer};
use crate::shape::Shape;
use crate::var::Var;

/// The name under which a record contains the rule of an optimizer.
const RULE: &str = "rule";

/// The error for a record that does not fit the object it is loaded into. The object is then
/// unchanged.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LoadError {
    /// The record has no array with this name.
    Missing {
        /// The missing name.
        name: Text,
    },
    /// The record has an entry that the object has not.
    Unexpected {
        /// The name of the first such entry.
        name: Text,
    },
    /// The record has another part of the state than expected, because it was saved from
    /// another optimizer or schedule, or from one with other options.
    Part {
        /// The expected part.
        expected: Text,
        /// The part in the record.
        found: Text,
    },
    /// An array has another shape.
    Shape {
        /// The name of the array.
        name: Text,
        /// The expected shape.
        expected: Shape,
        /// The shape in the record.
        found: Shape,
    },
    /// The state was saved from another rule.
    Rule {
        /// The rule that the state is loaded into.
        expected: Text,
        /// The rule in the record.
        found: Text,
    },
    /// A hyper-parameter that is not part of the state has another value: training would not
    /// continue as before.
    HyperParameter {
        /// The name of the hyper-parameter.
        name: Text,
        /// Its value in the object.
        expected: f32,
        /// Its value in the record.
        found: f32,
    },
    /// A tape operation failed, or the tape keeps an error.
    Tape(Error),
    /// The optimizer has no room for this number of parameters.
    Optimizer(OptimizerError),
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        LoadError::Tape(error)
    }
}

impl From<OptimizerError> for LoadError {
    fn from(error: OptimizerError) -> Self {
        LoadError::Optimizer(error)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Missing { name } => write!(
                f,
                "expected `{name}` in the record, which has no array of that name: load it into what it was saved from"
            ),
            LoadError::Unexpected { name } => write!(
                f,
                "expected no `{name}`, found it in the record: load it into what it was saved from"
            ),
            LoadError::Part { expected, found } => write!(
                f,
                "expected `{expected}` in the record, found `{found}`: build it with the options that it was saved with"
            ),
            LoadError::Shape {
                name,
                expected,
                found,
            } => write!(
                f,
                "expected `{name}` of shape {expected} in the record, found shape {found}"
            ),
            LoadError::Rule { expected, found } => {
                write!(f, "expected the state of {expected}, found that of {found}")
            }
            LoadError::HyperParameter {
                name,
                expected,
                found,
            } => write!(
                f,
                "expected a state that was saved with `{name}` {expected}, found one with {found}: build it with {found}"
            ),
            LoadError::Tape(error) => error.fmt(f),
            LoadError::Optimizer(error) => error.fmt(f),
        }
    }
}

/// Same as `Display`, because `unwrap` and a `main` that returns the error print `Debug`.
impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for LoadError {}

/// A name in a [`LoadError`]: its first 35 bytes, stored inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; 35],
    len: u8,
}

impl Text {
    fn new(name: Name<'_>) -> Self {
        let mut text = Text {
            bytes: [0; 35],
            len: 0,
        };
        name.each(&mut |part| {
            for c in part.chars() {
                let mut utf8 = [0; 4];
                let utf8 = c.encode_utf8(&mut utf8).as_bytes();
                let start = usize::from(text.len);
                let Some(to) = text.bytes.get_mut(start..start.saturating_add(utf8.len())) else {
                    return; // cut off from here on
                };
                to.copy_from_slice(utf8);
                text.len = text.len.saturating_add(utf8.len() as u8);
            }
        });
        text
    }

    fn of(text: &str) -> Self {
        Self::new(Name::plain(text))
    }

    /// The name, at most 35 bytes of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len));
        str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Writer<'_> {
    /// Adds the values of these variables, with their names and shapes, like `state_dict()` of
    /// a model in PyTorch. They are usually parameters, but may be constants, such as
    /// statistics of the data. `prefix` distinguishes them from other entries of the record.
    ///
    /// ```
    /// use baregrad::record::{Record, Writer};
    /// use baregrad::Arena;
    ///
    /// let mut arena = Arena::<32, 8>::new();
    /// let tape = arena.tape();
    /// let (w, b) = (tape.param(&[5.5], []), tape.param(&[-18.5], []));
    /// let mut bytes = [0; 128];
    /// let mut writer = Writer::new(&mut bytes);
    /// writer.params("model", &[("w", w), ("b", b)])?;
    /// let bytes = writer.finish()?;
    ///
    /// // Elsewhere, with other values to start from.
    /// let mut arena = Arena::<32, 8>::new();
    /// let tape = arena.tape();
    /// let (w, b) = (tape.param(&[1.0], []), tape.param(&[0.0], []));
    /// Record::read(bytes)?.load_params("model", &[("w", w), ("b", b)])?;
    /// assert_eq!(*tape.params()?, [5.5, -18.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The tape's, for example for a variable that a rewind dropped. [`finish`](Self::finish)
    /// returns the errors of the record: too few bytes, and names that are too long or exist
    /// already.
    #[track_caller]
    pub fn params(&mut self, prefix: &str, params: &[(&str, Var<'_>)]) -> Result<(), Error> {
        for (name, var) in params {
            let values = var.value()?;
            let name = Name::of(prefix, name);
            self.named_array(name, var.shape(), values.iter().copied());
        }
        Ok(())
    }

    /// Adds the state of an optimizer, a [search](super::Search), a
    /// [`Scheduler`](super::schedule::Scheduler) or a [`Fit`](crate::calibrate::Fit), like
    /// `state_dict()` in PyTorch, together with its rule and the hyper-parameters that its
    /// steps do not change. `params` is the number of elements of all parameters; a scheduler
    /// ignores it.
    ///
    /// ```
    /// use baregrad::optim::schedule::{Scheduler, StepLr};
    /// use baregrad::optim::{Adam, Optimizer};
    /// use baregrad::record::{Record, Writer};
    ///
    /// let mut adam = Adam::<2>::new(0.1);
    /// let mut scheduler = Scheduler::new(StepLr::new(1), &mut adam);
    /// let mut params = [1.0, 2.0];
    /// adam.step(&mut params, &[0.5, 0.25])?;
    /// scheduler.step(&mut adam);
    ///
    /// let mut bytes = [0; 1024];
    /// let mut writer = Writer::new(&mut bytes);
    /// writer.integer("epoch", 1);
    /// writer.state_dict("optimizer", &mut adam, 2)?;
    /// writer.state_dict("scheduler", &mut scheduler, 0)?;
    /// let bytes = writer.finish()?;
    ///
    /// // Another day, on another machine: built alike, then loaded.
    /// let record = Record::read(bytes)?;
    /// let mut resumed = Adam::<2>::new(0.1);
    /// let mut rates = Scheduler::new(StepLr::new(1), &mut resumed);
    /// record.load_state_dict("optimizer", &mut resumed, 2)?;
    /// record.load_state_dict("scheduler", &mut rates, 0)?;
    /// let mut again = params;
    /// adam.step(&mut params, &[0.5, 0.25])?;
    /// resumed.step(&mut again, &[0.5, 0.25])?;
    /// assert_eq!(params, again);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An optimizer without room for this number of parameters. [`finish`](Self::finish)
    /// returns an error if there are too few bytes.
    pub fn state_dict(
        &mut self,
        prefix: &str,
        state: &mut dyn Stateful,
        params: usize,
    ) -> Result<(), OptimizerError> {
        let mut at = 0_u16;
        let mut next = |name| {
            let place = at;
            at = at.saturating_add(1);
            Name::at(prefix, place, name)
        };
        state.visit_hyper(&mut |name, numbers| {
            if numbers.is_empty() {
                self.named_text(next(RULE), name);
            } else {
                self.named_array(next(name), [numbers.len()], numbers.iter().copied());
            }
        });
        state.visit_state(params, &mut |name, numbers| {
            self.named_array(next(name), [numbers.len()], numbers.iter().copied());
        })
    }
}

impl Record<'_> {
    /// Sets these variables to the values that [`Writer::params`] saved, like a strict
    /// `load_state_dict()` of a model in PyTorch. Results change with the next
    /// [`replay`](crate::Tape::replay).
    ///
    /// # Errors
    /// A variable without an array of its name and shape; an array with this prefix and no
    /// variable; a variable that is computed or borrowed; an error of the tape. No variable has
    /// changed then.
    #[track_caller]
    pub fn load_params(&self, prefix: &str, params: &[(&str, Var<'_>)]) -> Result<(), LoadError> {
        for (name, var) in params {
            var.expect_leaf()?;
            let path = Name::of(prefix, name);
            let found = self.find(path)?.shape();
            if found != var.shape() {
                return Err(LoadError::Shape {
                    name: Text::new(path),
                    expected: var.shape(),
                    found,
                });
            }
        }
        for (name, _) in self.under(prefix) {
            if !params.iter().any(|(known, _)| *known == name) {
                return Err(LoadError::Unexpected {
                    name: Text::new(Name::of(prefix, name)),
                });
            }
        }
        for (name, var) in params {
            let array = self.find(Name::of(prefix, name))?;
            var.overwrite(&mut array.values())?;
        }
        Ok(())
    }

    /// Restores a state that [`Writer::state_dict`] saved, like `load_state_dict()` in PyTorch,
    /// into an object that was built with the same options. Training then continues with the
    /// same bits. The storage may differ: a state saved from inline memory can be loaded into
    /// an optimizer on the heap.
    ///
    /// # Errors
    /// A state of another rule, with other hyper-parameters or options, or for another number
    /// of parameters: the error contains the difference. Nothing has changed then.
    pub fn load_state_dict(
        &self,
        prefix: &str,
        state: &mut dyn Stateful,
        params: usize,
    ) -> Result<(), LoadError> {
        let mut parts = self.under(prefix);
        let mut found = Ok(());
        let mut check = |found: &mut Result<(), LoadError>, wanted: Wanted<'_>| {
            if found.is_ok() {
                *found = wanted.check(prefix, parts.next());
            }
        };
        state.visit_hyper(&mut |name, numbers| {
            let wanted = if numbers.is_empty() {
                Wanted::Rule(name)
            } else {
                Wanted::Hyper(name, numbers)
            };
            check(&mut found, wanted);
        });
        state.visit_state(params, &mut |name, numbers| {
            check(&mut found, Wanted::State(name, numbers.len()));
        })?;
        found?;
        if let Some((name, _)) = parts.next() {
            return Err(LoadError::Unexpected {
                name: Text::new(Name::of(prefix, name)),
            });
        }
        // Everything fits: a second pass loads it.
        let mut parts = self.under(prefix);
        state.visit_hyper(&mut |_, _| _ = parts.next());
        state.visit_state(params, &mut |_, numbers| {
            if let Some((_, Value::Array(array))) = parts.next() {
                for (to, value) in numbers.iter_mut().zip(array.values()) {
                    *to = value;
                }
            }
        })?;
        Ok(())
    }

    fn find(&self, name: Name<'_>) -> Result<Array<'_>, LoadError> {
        let mut entries = self.entries();
        match entries.find(|(other, _)| name.is(other)) {
            Some((_, Value::Array(array))) => Ok(array),
            _ => Err(LoadError::Missing {
                name: Text::new(name),
            }),
        }
    }

    /// The entries whose names begin with this prefix, with the rest of their names.
    fn under<'n>(&'n self, prefix: &'n str) -> impl Iterator<Item = (&'n str, Value<'n>)> {
        self.entries().filter_map(move |(name, value)| {
            let name = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((name, value))
        })
    }
}

/// The next part that the record must have.
enum Wanted<'w> {
    Rule(&'static str),
    Hyper(&'static str, &'w [f32]),
    State(&'static str, usize),
}

impl Wanted<'_> {
    /// Compares the part with an entry of the record.
    fn check(&self, prefix: &str, entry: Option<(&str, Value<'_>)>) -> Result<(), LoadError> {
        let (name, count) = match *self {
            Wanted::Rule(_) => (RULE, 0),
            Wanted::Hyper(name, numbers) => (name, numbers.len()),
            Wanted::State(name, count) => (name, count),
        };
        let missing = LoadError::Missing {
            name: Text::new(Name::of(prefix, name)),
        };
        let (path, value) = entry.ok_or(missing)?;
        let found = path.split_once('.').map_or(path, |(_, name)| name);
        let other_part = Err(LoadError::Part {
            expected: Text::of(name),
            found: Text::of(found),
        });
        match (self, value) {
            _ if found != name => other_part,
            (Wanted::Rule(rule), Value::Text(found)) if *rule == found => Ok(()),
            (Wanted::Rule(rule), Value::Text(found)) => Err(LoadError::Rule {
                expected: Text::of(rule),
                found: Text::of(found),
            }),
            (_, Value::Array(array)) if array.shape() != Shape::from([count]) => {
                Err(LoadError::Shape {
                    name: Text::new(Name::of(prefix, path)),
                    expected: Shape::from([count]),
                    found: array.shape(),
                })
            }
            (Wanted::Hyper(name, numbers), Value::Array(array)) => {
                let mut pairs = numbers.iter().zip(array.values());
                match pairs.find(|(a, b)| a.to_bits() != b.to_bits()) {
                    None => Ok(()),
                    Some((expected, found)) => Err(LoadError::HyperParameter {
                        name: Text::of(name),
                        expected: *expected,
                        found,
                    }),
                }
            }
            (Wanted::State(..), Value::Array(_)) => Ok(()),
            _ => other_part,
        }
    }
}

impl Var<'_> {
    /// Returns an error unless the variable is a leaf in the arena.
    #[track_caller]
    pub(crate) fn expect_leaf(self) -> Result<(), Error> {
        self.tape.read("load_params", |state| {
            let node = state.look(self.tape.stamp(self))?;
            if node.op.is_some() || node.has(Node::BORROWED) {
                return Err(state.fail(ErrorKind::NotLeaf));
            }
            Ok(())
        })
    }

    /// Overwrites the values of a leaf.
    #[track_caller]
    pub(crate) fn overwrite(self, values: &mut dyn Iterator<Item = f32>) -> Result<(), Error> {
        self.tape.leave("load_params", |state| {
            let leaf = state.find(self.tape.stamp(self))?;
            state.overwrite(leaf, values)
        })
    }
}
