//! Named columns, and the rows a model sees.

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::digits::{Shortest, significant};
use super::split::{Indices, k_fold_indices, split_indices};
use crate::calibrate::Rows;
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
        value: f64,
    },
    /// Every value is the same: there is nothing to learn from, and no spread to
    /// scale by.
    Constant {
        /// The column.
        column: String,
        /// The value.
        value: f64,
    },
    /// Values differ by so little that `f32` does not hold the factor that scales
    /// them.
    Spread {
        /// The column.
        column: String,
        /// The standard deviation, or half of the range, that was found.
        found: f64,
    },
    /// A fraction that leaves nothing to train with, or nothing to validate with.
    EmptyPart {
        /// The fraction of the rows to validate with.
        fraction: f64,
        /// The rows there are.
        rows: usize,
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
                "column `{column}`, row {row}: expected a finite f32, found {}{}",
                Shortest(*value),
                too_large(*value)
            ),
            Self::Constant { column, value } => write!(
                f,
                "column `{column}`: expected values that differ, found only {}",
                Shortest(*value)
            ),
            Self::Spread { column, found } => write!(
                f,
                "column `{column}`: expected values that differ by {:.1e} or more, found a spread of {}; use a smaller unit",
                1.0 / f64::from(f32::MAX),
                significant(*found, 3)
            ),
            Self::EmptyPart { fraction, rows } => write!(
                f,
                "expected a fraction that leaves a row to train with and one to validate with, found {} of {rows} rows",
                Shortest(*fraction)
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

/// Why a number is refused that looks like one.
pub(super) fn too_large(x: f64) -> &'static str {
    if x.abs() > f64::from(f32::MAX) && x.is_finite() {
        ", more than the 3.4e38 that f32 holds"
    } else {
        ""
    }
}

/// Whether `f32` can hold it, rounded.
pub(super) fn is_finite_in_f32(x: f64) -> bool {
    (x as f32).is_finite()
}

/// Named columns of equal length, of finite numbers.
///
/// They come as `f32`, as `f64`, or as integers of up to 32 bits, and keep all
/// their digits: what a model sees is `f32`, and a [`Scaler`](super::Scaler) takes
/// off the origin before numbers are rounded to that.
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
    /// Rounded to what models see.
    rounded: Vec<f32>,
    /// As they came, if rounding changes any of them.
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
    /// A data set of the given columns: of `f32`, `f64`, or integers of up to 32
    /// bits.
    ///
    /// ```
    /// use baregrad::train::Dataset;
    ///
    /// // Seconds since 1970, which `f32` has only every 128th of.
    /// let data = Dataset::new([("s", [1764410400.0, 1764410430.5, 1764410460.0])])?;
    /// assert_eq!(data.column_f64("s")?, [1764410400.0, 1764410430.5, 1764410460.0]);
    /// assert_eq!(data.column("s")?, [1764410368.0, 1764410368.0, 1764410496.0]);
    /// # Ok::<(), baregrad::train::DataError>(())
    /// ```
    ///
    /// # Errors
    /// No columns or no rows, columns of different lengths or of the same name,
    /// values that are not finite, or not in the range of `f32`.
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

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column of this name, rounded to `f32`.
    ///
    /// # Errors
    /// There is none.
    pub fn column(&self, name: &str) -> Result<&[f32], DataError> {
        Ok(&self.find(name)?.rounded)
    }

    /// The column of this name with all the digits that it came with.
    ///
    /// # Errors
    /// There is none.
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

    /// The columns whose values stand so far from 0, for what they differ by, that
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

    /// The given rows, in the given order.
    ///
    /// # Errors
    /// A row that is not there, or none at all.
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
    /// A fraction outside `0.0..1.0`, or 0; fewer rows than a row for each part takes.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
        let (training, validation) = split_indices(self.rows, fraction, seed)?;
        if training.is_empty() || validation.is_empty() {
            // Of a fraction like 0.2 every fifth row is kept.
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

    /// Some columns, row by row.
    fn interleave(&self, names: &[&str]) -> Result<Vec<f32>, DataError> {
        let columns: Result<Vec<&[f32]>, DataError> =
            names.iter().map(|name| self.column(name)).collect();
        let columns = columns?;
        let row = |row: usize| columns.iter().filter_map(move |column| column.get(row));
        Ok((0..self.rows).flat_map(row).copied().collect())
    }
}

/// A column that `f32` does not hold well: its values stand so far from 0 that the
/// spacing of `f32` there is more than a thousandth of their standard deviation.
///
/// Integers of up to 24 bits are never such: `f32` has them all.
///
/// A [`Scaler`](super::Scaler) takes off the origin before numbers are rounded, so
/// that scaled columns are not such either.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Coarse {
    /// The column.
    pub column: String,
    /// Its value that is farthest from 0.
    pub farthest: f64,
    /// By how much neighbours among the `f32` differ there.
    pub spacing: f64,
    /// The standard deviation of the column.
    pub deviation: f64,
}

/// The share of a column's spread that the spacing of `f32` may be.
pub(super) const FINE: f64 = crate::calibrate::FINE as f64;

impl Coarse {
    /// `None` for a column that `f32` holds well, and for one that is constant.
    fn of(column: &str, values: &[f64]) -> Option<Self> {
        let farthest = values.iter().copied();
        let farthest = farthest.reduce(|a, b| if b.abs() > a.abs() { b } else { a })?;
        let deviation = deviation(values);
        let spacing = spacing(farthest);
        let is_count =
            |x: &f64| x.fract() == 0.0 && x.abs() <= f64::from(1 << f32::MANTISSA_DIGITS);
        let coarse = deviation > 0.0 && spacing > FINE * deviation && !values.iter().all(is_count);
        coarse.then(|| Coarse {
            column: column.to_string(),
            farthest,
            spacing,
            deviation,
        })
    }
}

impl fmt::Display for Coarse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Coarse {
            column,
            farthest,
            spacing,
            deviation,
        } = self;
        write!(
            f,
            "column `{column}`: f32 has steps of {} at {}, {} of the standard deviation of {}",
            significant(*spacing, 3),
            Shortest(*farthest),
            significant(spacing / deviation, 3),
            significant(*deviation, 3)
        )
    }
}

/// How far the next `f32` away from 0 is.
pub(super) fn spacing(x: f64) -> f64 {
    let x = (x.abs() as f32).min(f32::MAX.next_down());
    f64::from(x.next_up()) - f64::from(x)
}

/// The mean.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    // Differences from a value of theirs: sums of what stands far from 0 would
    // lose digits.
    let origin = values.clone().next().unwrap_or(0.0);
    let n = values.clone().count() as f64;
    origin + values.map(|x| x - origin).sum::<f64>() / n
}

/// The squares of the differences from the mean, in a unit.
pub(super) fn squares(values: impl Iterator<Item = f64>, mean: f64, unit: f64) -> f64 {
    let squares = values.map(|x| (x - mean) / unit).map(|x| x * x);
    squares.sum()
}

/// The standard deviation of the population.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let all = values.iter().copied();
    let mean = mean(all.clone());
    let deviation = |unit: f64| {
        let squares = squares(all.clone(), mean, unit);
        libm::sqrt(squares / values.len() as f64) * unit
    };
    match deviation(1.0) {
        // Squares that vanish: those of differences in the unit of the largest do not.
        plain if plain < SQUARED => {
            let largest = all
                .clone()
                .fold(0.0, |most: f64, x| most.max((x - mean).abs()));
            if largest > 0.0 {
                deviation(largest)
            } else {
                0.0
            }
        }
        plain => plain,
    }
}

/// Numbers of this size have squares that `f64` holds with all their digits.
const SQUARED: f64 = 1e-150;

/// Rows of inputs and of targets, each one after the other: what tapes borrow.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    x: Vec<f32>,
    y: Vec<f32>,
    rows: usize,
    inputs: usize,
    targets: usize,
    coarse: Vec<Coarse>,
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

    /// The columns among them that `f32` does not hold well: scale them, or take
    /// off an origin, before a model sees them.
    pub fn coarse(&self) -> &[Coarse] {
        &self.coarse
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

    /// The same, as a fit goes through them.
    pub(super) fn rows_in(&self, range: core::ops::Range<usize>) -> Rows<'_> {
        let count = range.len();
        let [x, y] = self.range(range);
        Rows { count, x, y }
    }

    /// The largest absolute value of an input.
    pub(super) fn largest_input(&self) -> f32 {
        self.x.iter().fold(0.0, |most, x| most.max(x.abs()))
    }
}
