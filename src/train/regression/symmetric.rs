//! Small symmetric systems in `f64`, such as normal equations.

use std::vec::Vec;

/// A symmetric matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Symmetric {
    size: usize,
    values: Vec<f64>,
}

/// A pivot this small, of a matrix with a diagonal of ones, counts as 0: up to rounding,
/// a column is a linear combination of others.
const SINGULAR: f64 = 1e-14;

impl Symmetric {
    /// A matrix of zeros.
    pub(super) fn new(size: usize) -> Self {
        Symmetric {
            size,
            values: std::vec![0.0; size * size],
        }
    }

    pub(super) fn at(&self, j: usize, k: usize) -> f64 {
        self.values
            .get(j * self.size + k)
            .copied()
            .unwrap_or(f64::NAN)
    }

    fn set(&mut self, j: usize, k: usize, value: f64) {
        if let Some(to) = self.values.get_mut(j * self.size + k) {
            *to = value;
        }
    }

    /// Adds `weight · v vᵀ`.
    pub(super) fn add_product(&mut self, weight: f64, v: &[f64]) {
        for (row, a) in self.values.chunks_exact_mut(self.size.max(1)).zip(v) {
            for (to, b) in row.iter_mut().zip(v) {
                *to += weight * a * b;
            }
        }
    }

    /// `vᵀ A v`.
    pub(super) fn form(&self, v: &[f64]) -> f64 {
        let rows = self.values.chunks_exact(self.size.max(1));
        rows.zip(v).map(|(row, a)| a * dot(row, v)).sum()
    }

    /// `A v`.
    pub(super) fn times(&self, v: &[f64]) -> Vec<f64> {
        let rows = self.values.chunks_exact(self.size.max(1));
        rows.map(|row| dot(row, v)).collect()
    }

    /// The submatrix of the rows and columns with the indices `of`.
    pub(super) fn part(&self, of: &[usize]) -> Self {
        let values = of.iter().flat_map(|j| of.iter().map(|k| self.at(*j, *k)));
        Symmetric {
            size: of.len(),
            values: values.collect(),
        }
    }

    /// `M A Mᵀ`, where `rows` are the rows of `M`.
    pub(super) fn transformed(&self, rows: &[Vec<f64>]) -> Self {
        let products: Vec<Vec<f64>> = rows.iter().map(|row| self.times(row)).collect();
        let values = rows.iter().flat_map(|a| products.iter().map(|b| dot(a, b)));
        Symmetric {
            size: rows.len(),
            values: values.collect(),
        }
    }

    /// The matrix times a number.
    pub(super) fn scaled(mut self, factor: f64) -> Self {
        self.values.iter_mut().for_each(|x| *x *= factor);
        self
    }

    /// The rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.size.max(1))
    }

    /// The inverse of a positive definite matrix; `None` if the matrix is not numerically
    /// positive definite. Rows and columns are first scaled to a diagonal of ones,
    /// because parameters differ in their units.
    pub(super) fn inverse(&self) -> Option<Self> {
        let n = self.size;
        let scale: Vec<f64> = (0..n).map(|j| 1.0 / self.at(j, j).sqrt()).collect();
        if !scale.iter().all(|s| s.is_finite()) {
            return None;
        }
        let of = |j: usize| scale.get(j).copied().unwrap_or(f64::NAN);
        // The Cholesky factor, in the lower triangle.
        let mut lower = Symmetric::new(n);
        for j in 0..n {
            for k in 0..=j {
                let mut sum = self.at(j, k) * of(j) * of(k);
                for m in 0..k {
                    sum -= lower.at(j, m) * lower.at(k, m);
                }
                if j == k {
                    if sum.is_nan() || sum <= SINGULAR {
                        return None;
                    }
                    lower.set(j, j, sum.sqrt());
                } else {
                    lower.set(j, k, sum / lower.at(k, k));
                }
            }
        }
        let mut inverse = Symmetric::new(n);
        for column in 0..n {
            let mut b: Vec<f64> = (0..n).map(|j| f64::from(u8::from(j == column))).collect();
            for j in 0..n {
                let sum: f64 = b
                    .iter()
                    .take(j)
                    .enumerate()
                    .map(|(m, x)| lower.at(j, m) * x)
                    .sum();
                if let Some(to) = b.get_mut(j) {
                    *to = (*to - sum) / lower.at(j, j);
                }
            }
            for j in (0..n).rev() {
                let later = b.iter().enumerate().skip(j + 1);
                let sum: f64 = later.map(|(m, x)| lower.at(m, j) * x).sum();
                if let Some(to) = b.get_mut(j) {
                    *to = (*to - sum) / lower.at(j, j);
                }
            }
            for (j, x) in b.into_iter().enumerate() {
                inverse.set(j, column, x * of(j) * of(column));
            }
        }
        Some(inverse)
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Weighted linear regression: the coefficients of the terms whose sum is nearest to `y`.
/// Each row holds its terms, its `y` and its weight. `None` if the rows do not determine
/// the coefficients.
pub(super) fn regression(rows: &[(Vec<f64>, f64, f64)]) -> Option<Vec<f64>> {
    let count = rows.first()?.0.len();
    let (mut matrix, mut right) = (Symmetric::new(count), std::vec![0.0; count]);
    for (terms, y, weight) in rows {
        matrix.add_product(*weight, terms);
        for (to, term) in right.iter_mut().zip(terms) {
            *to += weight * term * y;
        }
    }
    Some(matrix.inverse()?.times(&right))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Symmetric, regression};
    use std::vec::Vec;

    #[test]
    fn the_inverse_times_the_matrix_is_one() {
        // The Hilbert matrix of size 4, whose inverse has integer elements, in other units.
        let unit = [1.0, 1e6, 1e-6, 3.0];
        let mut matrix = Symmetric::new(4);
        for (j, a) in unit.into_iter().enumerate() {
            for (k, b) in unit.into_iter().enumerate() {
                matrix.set(j, k, a * b / (j + k + 1) as f64);
            }
        }
        let inverse = matrix.inverse().unwrap();
        let expected = [
            [16.0, -120.0, 240.0, -140.0],
            [-120.0, 1200.0, -2700.0, 1680.0],
            [240.0, -2700.0, 6480.0, -4200.0],
            [-140.0, 1680.0, -4200.0, 2800.0],
        ];
        for ((j, row), a) in expected.into_iter().enumerate().zip(unit) {
            for ((k, x), b) in row.into_iter().enumerate().zip(unit) {
                let found = inverse.at(j, k) * a * b;
                assert!((found / x - 1.0).abs() < 1e-9, "{j} {k}: {found} {x}");
            }
        }
        let mut singular = Symmetric::new(2);
        singular.add_product(1.0, &[1.0, 2.0]);
        assert_eq!(singular.inverse(), None);
    }

    #[test]
    fn a_regression_finds_what_is_there() {
        let rows: Vec<_> = (0..5)
            .map(|x| {
                (
                    Vec::from([f64::from(x), 1.0]),
                    2.0 * f64::from(x) - 1.0,
                    1.0,
                )
            })
            .collect();
        let found = regression(&rows).unwrap();
        assert!(
            found
                .iter()
                .zip([2.0, -1.0])
                .all(|(a, b)| (a - b).abs() < 1e-12)
        );
        assert_eq!(regression(rows.get(..1).unwrap()), None);
    }
}
