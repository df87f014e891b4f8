//! Splits rows into training rows and validation rows.

use std::vec::Vec;

use super::error::DataError;
use crate::random::{randperm, seeded};

/// The indices of the training rows, and those of the validation rows.
pub type Indices = (Vec<usize>, Vec<usize>);

/// Splits `0..rows` at random: validation gets the last `⌊fraction · rows⌋` rows of a
/// permutation, as `shuffled[-n_val:]`, and training the others, as `shuffled[:-n_val]`.
///
/// ```
/// use baregrad::train::split_indices;
///
/// let (training, validation) = split_indices(11, 0.2, 1)?;
/// assert_eq!((training.len(), validation.len()), (9, 2));
/// assert!(validation.iter().all(|row| !training.contains(row)));
/// # Ok::<(), baregrad::train::DataError>(())
/// ```
///
/// # Errors
/// `fraction` is outside `0.0..1.0`.
pub fn split_indices(rows: usize, fraction: f64, seed: u64) -> Result<Indices, DataError> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(DataError::Fraction { found: fraction });
    }
    let mut training = shuffled(rows, seed);
    let validation_rows = (fraction * rows as f64) as usize;
    let validation = training.split_off(rows.saturating_sub(validation_rows));
    Ok((training, validation))
}

/// Splits `0..rows` into training and validation rows `k` times. Each row is a validation
/// row in exactly one of the splits; if `rows` is not a multiple of `k`, the first splits
/// have one validation row more.
///
/// # Errors
/// `k` is less than 2, or there are fewer rows than splits.
///
/// ```
/// use baregrad::train::k_fold_indices;
///
/// let folds = k_fold_indices(7, 3, 1)?;
/// let sizes: Vec<_> = folds.iter().map(|(_, validation)| validation.len()).collect();
/// assert_eq!(sizes, [3, 2, 2]);
/// # Ok::<(), baregrad::train::DataError>(())
/// ```
pub fn k_fold_indices(rows: usize, k: usize, seed: u64) -> Result<Vec<Indices>, DataError> {
    if k < 2 {
        return Err(DataError::Parts { found: k });
    }
    if rows < k {
        return Err(DataError::TooFewRows {
            needed: k,
            found: rows,
            purpose: "as many parts",
        });
    }
    let order = shuffled(rows, seed);
    let fold = |i: usize| {
        let start = i * (rows / k) + i.min(rows % k);
        let end = (i + 1) * (rows / k) + (i + 1).min(rows % k);
        let (head, rest) = order.split_at(start);
        let (validation, tail) = rest.split_at(end - start);
        ([head, tail].concat(), validation.to_vec())
    };
    Ok((0..k).map(fold).collect())
}

/// A random permutation of `0..rows`.
fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    let mut order = std::vec![0; rows];
    randperm(&mut seeded(seed), &mut order);
    order.into_iter().map(|row| row as usize).collect()
}
