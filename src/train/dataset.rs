//! Named columns.

use std::string::{String, ToString};
use std::vec::Vec;

use super::coarse::Coarse;
use super::error::{DataError, is_finite_in_f32};
use super::samples::Samples;
use super::split::{Indices, k_fold_indices, split_indices};

/// Named columns of equal length that hold finite numbers.
///
/// Columns are made of `f32`, `f64`, or integers of up to 32 bits, and keep all their digits. A
/// model sees `f32`; a [`Scaler`](super::Scaler) subtracts the origin before it rounds to `f32`.
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
    columns: Vec<Column>,
    rows: usize,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    /// The values rounded to `f32`, as models see them.
    rounded: Vec<f32>,
    /// The original values, if rounding changes any of them.
    exact: Option<Vec<f64>>,
}

impl Column {
    fn new(exact: Vec<f64>) -> Self {
        let rounded: Vec<f32> = exact.iter().map(|&x| x as f32).collect();
        let changes = exact.iter().zip(&rounded).any(|(&x, &r)| f64::from(r) != x);
        Column {
            rounded,
            exact: changes.then_some(exact),
        }
    }

    fn exact(&self) -> Vec<f64> {
        let exact = self.exact.clone();
        exact.unwrap_or_else(|| self.rounded.iter().map(|&x| f64::from(x)).collect())
    }
}

impl Dataset {
    /// Makes a data set of the given columns, whose values are `f32`, `f64`, or integers
    /// of up to 32 bits.
    ///
    /// ```
    /// use baregrad::train::Dataset;
    ///
    /// // Seconds since 1970: here, neighbouring `f32` values are 128 apart.
    /// let data = Dataset::new([("s", [1764410400.0, 1764410430.5, 1764410460.0])])?;
    /// assert_eq!(data.column_f64("s")?, [1764410400.0, 1764410430.5, 1764410460.0]);
    /// assert_eq!(data.column("s")?, [1764410368.0, 1764410368.0, 1764410496.0]);
    /// # Ok::<(), baregrad::train::DataError>(())
    /// ```
    ///
    /// # Errors
    /// There are no columns or no rows; columns differ in length or share a name; a value
    /// is not finite, or outside the range of `f32`.
    pub fn new<N, T, V>(columns: impl IntoIterator<Item = (N, V)>) -> Result<Self, DataError>
    where
        N: Into<String>,
        T: Copy + Into<f64>,
        V: AsRef<[T]>,
    {
        let mut data = Dataset {
            names: Vec::new(),
            columns: Vec::new(),
            rows: 0,
        };
        for (name, values) in columns {
            let values = values.as_ref().iter().map(|&x| x.into());
            data.push(name.into(), values.collect())?;
        }
        if data.rows == 0 {
            return Err(DataError::Empty);
        }
        Ok(data)
    }

    fn push(&mut self, column: String, values: Vec<f64>) -> Result<(), DataError> {
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
        let bad = values
            .iter()
            .enumerate()
            .find(|(_, x)| !is_finite_in_f32(**x));
        if let Some((row, &value)) = bad {
            return Err(DataError::NotFinite { column, row, value });
        }
        self.names.push(column);
        self.columns.push(Column::new(values));
        Ok(())
    }

    /// The names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column of the name `name`, rounded to `f32`.
    ///
    /// # Errors
    /// No column has this name.
    pub fn column(&self, name: &str) -> Result<&[f32], DataError> {
        Ok(&self.find(name)?.rounded)
    }

    /// The column of the name `name`, with all its original digits.
    ///
    /// # Errors
    /// No column has this name.
    pub fn column_f64(&self, name: &str) -> Result<Vec<f64>, DataError> {
        Ok(self.find(name)?.exact())
    }

    fn find(&self, name: &str) -> Result<&Column, DataError> {
        let place = self.names.iter().position(|column| column == name);
        let column = place.and_then(|place| self.columns.get(place));
        column.ok_or_else(|| DataError::Missing {
            column: name.to_string(),
            found: self.names.clone(),
        })
    }

    /// All columns with their names, rounded to `f32`.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let values = self.columns.iter().map(|column| &*column.rounded);
        self.names.iter().map(String::as_str).zip(values)
    }

    /// The columns whose values are so far from 0, compared with their differences, that
    /// rounding to `f32` matters.
    ///
    /// ```
    /// use baregrad::train::Dataset;
    ///
    /// let data = Dataset::new([("pa", [101325.05, 101325.13, 101325.21, 101324.97])])?;
    /// assert_eq!(
    ///     data.coarse()[0].to_string(),
    ///     "column `pa`: f32 has steps of 0.00781 at 101325.21, 0.0873 of the standard deviation of 0.0894"
    /// );
    /// # Ok::<(), baregrad::train::DataError>(())
    /// ```
    pub fn coarse(&self) -> Vec<Coarse> {
        let columns = self.names.iter().zip(&self.columns);
        let coarse = columns.filter_map(|(name, column)| Coarse::of(name, &column.exact()));
        coarse.collect()
    }

    /// Returns the given rows, in the given order.
    ///
    /// # Errors
    /// A row does not exist, or `rows` is empty.
    pub fn select(&self, rows: &[usize]) -> Result<Dataset, DataError> {
        if rows.is_empty() {
            return Err(DataError::Empty);
        }
        let select = |column: &Column| {
            let exact = column.exact();
            let values = rows.iter().map(|&row| {
                let rows = exact.len();
                exact.get(row).copied().ok_or(DataError::Row { row, rows })
            });
            Ok(Column::new(values.collect::<Result<_, DataError>>()?))
        };
        let columns: Result<Vec<_>, DataError> = self.columns.iter().map(select).collect();
        Ok(Dataset {
            names: self.names.clone(),
            columns: columns?,
            rows: rows.len(),
        })
    }

    /// Splits the data into a training part, and a validation part of `fraction` of the
    /// rows, drawn by [`split_indices`]. Unlike there, a part without rows is an error.
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
    /// `fraction` is 0 or outside `0.0..1.0`, or there are too few rows to give each part one.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
        let (training, validation) = split_indices(self.rows, fraction, seed)?;
        if training.is_empty() || validation.is_empty() {
            // A fraction of 0.2 needs five rows to take one.
            let needed = (1.0 / fraction).ceil();
            return Err(if needed > self.rows as f64 && needed.is_finite() {
                DataError::TooFewRows {
                    needed: (needed as usize).max(2),
                    found: self.rows,
                    purpose: "a validation part of that size",
                }
            } else {
                DataError::EmptyPart {
                    fraction,
                    rows: self.rows,
                }
            });
        }
        Ok((self.select(&training)?, self.select(&validation)?))
    }

    /// Splits the data into `k` pairs of a training and a validation part, such that each
    /// row is in one validation part.
    ///
    /// # Errors
    /// `k` is less than 2, or there are fewer rows than parts.
    pub fn k_fold(&self, k: usize, seed: u64) -> Result<Vec<(Dataset, Dataset)>, DataError> {
        let folds = k_fold_indices(self.rows, k, seed)?;
        let select = |(training, validation): Indices| {
            Ok((self.select(&training)?, self.select(&validation)?))
        };
        folds.into_iter().map(select).collect()
    }

    /// Makes samples for a model that predicts the columns `targets` from the columns `inputs`.
    ///
    /// # Errors
    /// A column does not exist, or `inputs` or `targets` is empty.
    pub fn samples(&self, inputs: &[&str], targets: &[&str]) -> Result<Samples, DataError> {
        if inputs.is_empty() || targets.is_empty() {
            return Err(DataError::Empty);
        }
        let mut names = inputs.to_vec();
        names.extend(targets.iter().filter(|name| !inputs.contains(name)));
        let mut coarse = Vec::new();
        for name in names {
            coarse.extend(Coarse::of(name, &self.find(name)?.exact()));
        }
        Ok(Samples {
            x: self.interleave(inputs)?,
            y: self.interleave(targets)?,
            rows: self.rows,
            inputs: inputs.len(),
            targets: targets.len(),
            coarse,
        })
    }

    /// The values of the named columns, row by row.
    fn interleave(&self, names: &[&str]) -> Result<Vec<f32>, DataError> {
        let columns: Result<Vec<&[f32]>, DataError> =
            names.iter().map(|name| self.column(name)).collect();
        let columns = columns?;
        let row = |row: usize| columns.iter().filter_map(move |column| column.get(row));
        Ok((0..self.rows).flat_map(row).copied().collect())
    }
}
