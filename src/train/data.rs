//! Named columns, and the rows a model sees.

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::split::{Indices, k_fold_indices, split_indices};
use crate::random::{RandomError, Rng, fill_normal};

/// Data that cannot be used, and where.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum DataError {
    /// No columns, or no rows in them.
    Empty,
    /// Columns differ in length.
    Length {
        /// The column that differs from the first.
        column: String,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this one.
        found: usize,
    },
    /// Two columns have the same name.
    Duplicate {
        /// The name.
        column: String,
    },
    /// No column has this name.
    Missing {
        /// The name.
        column: String,
        /// The names there are.
        found: Vec<String>,
    },
    /// NaN, an infinity, or too large for `f32`.
    NotFinite {
        /// The column.
        column: String,
        /// The row, counted from 0.
        row: usize,
        /// The value.
        value: f32,
    },
    /// Every value is the same: there is nothing to learn from, and no spread to
    /// scale by.
    Constant {
        /// The column.
        column: String,
        /// The value.
        value: f32,
    },
    /// A part of the data would be without a row.
    TooFewRows {
        /// The rows that are needed.
        needed: usize,
        /// The rows there are.
        found: usize,
        /// What they are needed for.
        purpose: &'static str,
    },
    /// Fewer than two parts to divide the rows into.
    Parts {
        /// The number of parts.
        found: usize,
    },
    /// Not a share of the rows.
    Fraction {
        /// The value, which is not in `0.0..1.0`.
        found: f64,
    },
    /// There is no such row.
    Row {
        /// The row, counted from 0.
        row: usize,
        /// The rows there are.
        rows: usize,
    },
    /// A column scaled by nothing, or by what is no number.
    Factor {
        /// The column.
        column: String,
        /// The factor.
        found: f32,
    },
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected at least one column with at least one row"),
            Self::Length {
                column,
                expected,
                found,
            } => write!(
                f,
                "column `{column}`: expected {expected} rows, as in the first column, found {found}"
            ),
            Self::Duplicate { column } => {
                write!(f, "column `{column}`: expected one of this name, found two")
            }
            Self::Missing { column, found } => {
                let found = found.join("`, `");
                write!(f, "no column `{column}`: there are `{found}`")
            }
            Self::NotFinite { column, row, value } => write!(
                f,
                "column `{column}`, row {row}: expected a finite f32, found {value}"
            ),
            Self::Constant { column, value } => write!(
                f,
                "column `{column}`: expected values that differ, found only {value}"
            ),
            Self::TooFewRows {
                needed,
                found,
                purpose,
            } => write!(
                f,
                "expected at least {needed} rows for {purpose}, found {found}"
            ),
            Self::Parts { found } => write!(f, "expected at least 2 parts, found {found}"),
            Self::Fraction { found } => {
                write!(
                    f,
                    "expected a fraction of at least 0 and less than 1, found {found}"
                )
            }
            Self::Row { row, rows } => {
                write!(f, "expected a row less than {rows}, found {row}")
            }
            Self::Factor { column, found } => write!(
                f,
                "column `{column}`: expected a finite factor other than 0, found {found}"
            ),
        }
    }
}

impl core::error::Error for DataError {}

/// Named columns of equal length, of finite numbers.
///
/// ```
/// use baregrad::train::Dataset;
///
/// let data = Dataset::new([("t_u", [35.7, 55.9, 58.2]), ("t_c", [0.5, 14.0, 15.0])])?;
/// assert_eq!(data.rows(), 3);
/// assert_eq!(data.column("t_c")?, [0.5, 14.0, 15.0]);
/// assert_eq!(
///     data.column("t_f").unwrap_err().to_string(),
///     "no column `t_f`: there are `t_u`, `t_c`"
/// );
/// # Ok::<(), baregrad::train::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    names: Vec<String>,
    columns: Vec<Vec<f32>>,
    rows: usize,
}

impl Dataset {
    /// A data set of the given columns.
    ///
    /// # Errors
    /// No columns or no rows, columns of different lengths or of the same name,
    /// values that are not finite.
    pub fn new<N: Into<String>, V: AsRef<[f32]>>(
        columns: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, DataError> {
        let mut data = Dataset {
            names: Vec::new(),
            columns: Vec::new(),
            rows: 0,
        };
        for (name, values) in columns {
            data.push(name.into(), values.as_ref())?;
        }
        if data.rows == 0 {
            return Err(DataError::Empty);
        }
        Ok(data)
    }

    fn push(&mut self, column: String, values: &[f32]) -> Result<(), DataError> {
        if self.names.contains(&column) {
            return Err(DataError::Duplicate { column });
        }
        if self.columns.is_empty() {
            self.rows = values.len();
        } else if values.len() != self.rows {
            return Err(DataError::Length {
                column,
                expected: self.rows,
                found: values.len(),
            });
        }
        let bad = values.iter().enumerate().find(|(_, x)| !x.is_finite());
        if let Some((row, &value)) = bad {
            return Err(DataError::NotFinite { column, row, value });
        }
        self.names.push(column);
        self.columns.push(values.to_vec());
        Ok(())
    }

    /// The names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn column(&self, name: &str) -> Result<&[f32], DataError> {
        let mut columns = self.columns();
        let column = columns.find(|(column, _)| *column == name);
        column
            .map(|(_, values)| values)
            .ok_or_else(|| DataError::Missing {
                column: name.to_string(),
                found: self.names.clone(),
            })
    }

    /// All columns with their names.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.columns.iter().map(Vec::as_slice))
    }

    /// The given rows, in the given order.
    ///
    /// # Errors
    /// A row that is not there, or none at all.
    pub fn select(&self, rows: &[usize]) -> Result<Dataset, DataError> {
        if rows.is_empty() {
            return Err(DataError::Empty);
        }
        let select = |column: &Vec<f32>| {
            let values = rows.iter().map(|&row| {
                let rows = column.len();
                column.get(row).copied().ok_or(DataError::Row { row, rows })
            });
            values.collect::<Result<Vec<f32>, DataError>>()
        };
        let columns: Result<Vec<_>, DataError> = self.columns.iter().map(select).collect();
        Ok(Dataset {
            names: self.names.clone(),
            columns: columns?,
            rows: rows.len(),
        })
    }

    /// A training part and a validation part of `fraction` of the rows, drawn by
    /// [`split_indices`]. Unlike there, both have a row at least.
    ///
    /// ```
    /// # use baregrad::train::Dataset;
    /// let data = Dataset::new([("x", [0.0, 1.0, 2.0, 3.0, 4.0])])?;
    /// let (training, validation) = data.split(0.2, 1)?;
    /// assert_eq!((training.rows(), validation.rows()), (4, 1));
    /// # Ok::<(), baregrad::train::DataError>(())
    /// ```
    ///
    /// # Errors
    /// A fraction outside `0.0..1.0`; fewer rows than a row for each part takes.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
        let (training, validation) = split_indices(self.rows, fraction, seed)?;
        if training.is_empty() || validation.is_empty() {
            // Of a fraction like 0.2 every fifth row is kept.
            let needed = if fraction > 0.0 {
                (1.0 / fraction).ceil()
            } else {
                2.0
            };
            return Err(DataError::TooFewRows {
                needed: (needed as usize).max(2),
                found: self.rows,
                purpose: "a validation part of that size",
            });
        }
        Ok((self.select(&training)?, self.select(&validation)?))
    }

    /// `k` pairs of a training and a validation part: each row validates once.
    ///
    /// # Errors
    /// Fewer than 2 parts, or fewer rows than parts.
    pub fn k_fold(&self, k: usize, seed: u64) -> Result<Vec<(Dataset, Dataset)>, DataError> {
        let folds = k_fold_indices(self.rows, k, seed)?;
        let select = |(training, validation): Indices| {
            Ok((self.select(&training)?, self.select(&validation)?))
        };
        folds.into_iter().map(select).collect()
    }

    /// The rows of some columns as a model sees them: `inputs` to predict
    /// `targets` from.
    ///
    /// # Errors
    /// A column that is not there, or no columns.
    pub fn samples(&self, inputs: &[&str], targets: &[&str]) -> Result<Samples, DataError> {
        if inputs.is_empty() || targets.is_empty() {
            return Err(DataError::Empty);
        }
        Ok(Samples {
            x: self.interleave(inputs)?,
            y: self.interleave(targets)?,
            rows: self.rows,
            inputs: inputs.len(),
            targets: targets.len(),
        })
    }

    /// Some columns, row by row.
    fn interleave(&self, names: &[&str]) -> Result<Vec<f32>, DataError> {
        let columns: Result<Vec<&[f32]>, DataError> =
            names.iter().map(|name| self.column(name)).collect();
        let columns = columns?;
        let row = |row: usize| columns.iter().filter_map(move |column| column.get(row));
        Ok((0..self.rows).flat_map(row).copied().collect())
    }
}

/// Rows of inputs and of targets, each one after the other: what tapes borrow.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    x: Vec<f32>,
    y: Vec<f32>,
    rows: usize,
    inputs: usize,
    targets: usize,
}

impl Samples {
    /// The inputs, of shape `[rows, inputs]`.
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// The targets, of shape `[rows, targets]`.
    pub fn y(&self) -> &[f32] {
        &self.y
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many inputs are in a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many targets are in a row.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Adds noise of a normal distribution to the inputs, not to the targets:
    /// samples between the samples, which make a model that follows each of them
    /// exactly a bad one. `std` is in units of the scaled inputs.
    ///
    /// [`Fit::noise`](super::Fit::noise) does so anew for every epoch.
    ///
    /// # Errors
    /// A `std` that is negative or not finite.
    pub fn add_noise<R: Rng + ?Sized>(&mut self, std: f32, rng: &mut R) -> Result<(), RandomError> {
        let mut noise = std::vec![0.0; self.x.len()];
        fill_normal(rng, 0.0, std, &mut noise)?;
        for (x, noise) in self.x.iter_mut().zip(noise) {
            *x += noise;
        }
        Ok(())
    }

    /// Becomes the rows of `from` in the given order.
    pub(super) fn gather(&mut self, from: &Samples, order: &[u32]) {
        let row = |values: &mut Vec<f32>, from: &[f32], width: usize| {
            values.clear();
            for &row in order {
                let start = row as usize * width;
                values.extend_from_slice(from.get(start..start + width).unwrap_or_default());
            }
        };
        row(&mut self.x, &from.x, from.inputs);
        row(&mut self.y, &from.y, from.targets);
        self.rows = order.len();
    }

    /// Inputs and targets of the rows in `range`.
    pub(super) fn range(&self, range: core::ops::Range<usize>) -> [&[f32]; 2] {
        let of = |width| range.start * width..range.end * width;
        [
            self.x.get(of(self.inputs)).unwrap_or_default(),
            self.y.get(of(self.targets)).unwrap_or_default(),
        ]
    }

    /// The largest absolute value of an input.
    pub(super) fn largest_input(&self) -> f32 {
        self.x.iter().fold(0.0, |most, x| most.max(x.abs()))
    }
}
