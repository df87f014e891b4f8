//! Normal equations: `JᵀJ` and `Jᵀr`, summed row by row in pairs, and solved.

use crate::function::{Split, TwoFloat};

/// A symmetric matrix of which the lower triangle is kept, or a lower triangle.
pub(super) type Matrix<const P: usize> = [[TwoFloat; P]; P];

/// A pivot that is so small a part of its diagonal element says that a column is a
/// combination of those before it, as far as derivatives in `f32` can tell: columns of
/// rounding errors, 2⁻²⁴ of a number each, leave about 4e-15.
const SINGULAR: f32 = 1e-13;

/// `JᵀJ`, `Jᵀr` and `rᵀr` for one set of parameters.
#[derive(Clone, Debug)]
pub(super) struct Normal<const P: usize> {
    pub(super) jj: Matrix<P>,
    pub(super) jr: [TwoFloat; P],
    pub(super) rr: TwoFloat,
    /// The sum of squares that rounding predictions to `f32` leaves by itself.
    pub(super) rounding: f32,
    /// The first row whose residual or derivatives were not finite.
    pub(super) not_finite: Option<usize>,
}

impl<const P: usize> Normal<P> {
    pub(super) const EMPTY: Self = Normal {
        jj: [[TwoFloat::ZERO; P]; P],
        jr: [TwoFloat::ZERO; P],
        rr: TwoFloat::ZERO,
        rounding: 0.0,
        not_finite: None,
    };

    /// Adds a row: its residual, its derivatives, and how far off rounding leaves the
    /// residual.
    #[inline(always)]
    pub(super) fn add(&mut self, at: usize, residual: f32, derivatives: &[f32; P], rounding: f32) {
        let r = Split::of(residual);
        let mut columns = [Split::default(); P];
        for (to, d) in columns.iter_mut().zip(derivatives) {
            *to = Split::of(*d);
        }
        for (j, ((row, jr), column)) in
            (self.jj.iter_mut().zip(&mut self.jr).zip(&columns)).enumerate()
        {
            for (sum, other) in row.iter_mut().zip(&columns).take(j + 1) {
                sum.add_product(*column, *other);
            }
            jr.add_product(*column, r);
        }
        self.rr.add_product(r, r);
        self.rounding += rounding * rounding;
        if self.not_finite.is_none() && !self.is_finite() {
            self.not_finite = Some(at);
        }
    }

    /// Whether diagonal and sum of squares are: an infinite or missing number in a row makes
    /// its own square not finite, whatever is next to it.
    #[inline(always)]
    fn is_finite(&self) -> bool {
        let diagonal = self.jj.iter().enumerate().filter_map(|(j, row)| row.get(j));
        let mut sum = self.rr.high() + self.rr.low();
        for square in diagonal {
            sum += square.high() + square.low();
        }
        sum.is_finite()
    }

    /// Ends the sums.
    pub(super) fn finish(&mut self) {
        for sum in self.jj.as_flattened_mut() {
            *sum = sum.renormalised();
        }
        for sum in &mut self.jr {
            *sum = sum.renormalised();
        }
        self.rr = self.rr.renormalised();
    }

    /// `JᵀJ[j][j]`.
    pub(super) fn diagonal(&self, j: usize) -> f32 {
        at(&self.jj, j, j).high()
    }
}

fn at<const P: usize>(matrix: &Matrix<P>, j: usize, k: usize) -> TwoFloat {
    let row = matrix.get(j);
    row.and_then(|row| row.get(k)).copied().unwrap_or_default()
}

/// The power of two next to a positive number, or 1.
pub(super) fn power_of_two(x: f32) -> f32 {
    // Zero, subnormal, infinite and missing numbers have no such exponent.
    if x.is_normal() {
        f32::from_bits(x.to_bits() & 0x7f80_0000)
    } else {
        1.0
    }
}

/// The factors of a matrix: `A = S L D Lᵀ S`, with powers of two `S` that make the diagonal
/// about 1, so that pivots can be compared with it, and ones on the diagonal of `L`. There is
/// no square root, and one division for each column, which is what pairs are slowest at.
#[derive(Clone, Debug)]
pub(super) struct Factors<const P: usize> {
    lower: Matrix<P>,
    /// The inverse of `D`.
    inverse: [TwoFloat; P],
    /// The inverse of `S`.
    scale: [f32; P],
    /// The column that differs least from a combination of those before it, and the part of
    /// its square that is its own.
    pub(super) weakest: (usize, f32),
}

impl<const P: usize> Factors<P> {
    /// Decomposes a matrix, with `damping` added to its diagonal.
    ///
    /// # Errors
    /// The column that is a combination of those before it.
    pub(super) fn of(matrix: &Matrix<P>, damping: &[f32; P]) -> Result<Self, usize> {
        let mut scale = [1.0; P];
        for (j, scale) in scale.iter_mut().enumerate() {
            *scale = 1.0 / power_of_two(libm::sqrtf(at(matrix, j, j).high()));
        }
        let (mut lower, mut inverse) = ([[TwoFloat::ZERO; P]; P], [TwoFloat::ZERO; P]);
        let mut weakest = (0, 1.0);
        for (j, (damping, scale_j)) in damping.iter().zip(&scale).enumerate() {
            // L[j][k] D[k], and from that L[j][k].
            let mut row = [TwoFloat::ZERO; P];
            let mut pivot = at(matrix, j, j).scaled(*scale_j).scaled(*scale_j);
            let undamped = pivot.high();
            pivot = pivot + damping * scale_j * scale_j;
            for (k, (scale_k, inverse)) in scale.iter().zip(&inverse).enumerate().take(j) {
                let mut sum = at(matrix, j, k).scaled(*scale_j).scaled(*scale_k);
                for (m, other) in row.iter().enumerate().take(k) {
                    sum = sum - *other * at(&lower, k, m);
                }
                let element = sum * *inverse;
                pivot = pivot - sum * element;
                if let (Some(to), Some(below)) = (
                    row.get_mut(k),
                    lower.get_mut(j).and_then(|row| row.get_mut(k)),
                ) {
                    (*to, *below) = (sum, element);
                }
            }
            if pivot.high() < weakest.1 * undamped {
                weakest = (j, pivot.high() / undamped);
            }
            let is_large = pivot.high() > SINGULAR * undamped && pivot.is_finite();
            match inverse.get_mut(j) {
                Some(to) if is_large => *to = pivot.reciprocal(),
                _ => return Err(j),
            }
        }
        Ok(Factors {
            lower,
            inverse,
            scale,
            weakest,
        })
    }

    /// `A⁻¹ b`.
    pub(super) fn solve(&self, mut b: [TwoFloat; P]) -> [TwoFloat; P] {
        for (b, scale) in b.iter_mut().zip(&self.scale) {
            *b = b.scaled(*scale);
        }
        for (j, row) in self.lower.iter().enumerate() {
            let mut sum = b.get(j).copied().unwrap_or_default();
            for (element, solved) in row.iter().zip(&b).take(j) {
                sum = sum - *element * *solved;
            }
            if let Some(to) = b.get_mut(j) {
                *to = sum;
            }
        }
        for (b, inverse) in b.iter_mut().zip(&self.inverse) {
            *b = *b * *inverse;
        }
        for j in (0..P).rev() {
            let mut sum = b.get(j).copied().unwrap_or_default();
            for (k, solved) in b.iter().enumerate().skip(j + 1) {
                sum = sum - at(&self.lower, k, j) * *solved;
            }
            if let Some(to) = b.get_mut(j) {
                *to = sum;
            }
        }
        for (b, scale) in b.iter_mut().zip(&self.scale) {
            *b = b.scaled(*scale);
        }
        b
    }
}
