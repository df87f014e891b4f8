//! Normal equations: `JᵀJ` and `Jᵀr`, summed row by row in pairs, and solved.

use super::problem::Row;
use crate::function::{Split, TwoFloat, add_product, straight};
use crate::kernel::{Level, f32x4};

/// A pivot that is so small a part of its diagonal element says that a column is a
/// combination of those before it, as far as derivatives in `f32` can tell: columns of
/// rounding errors, 2⁻²⁴ of a number each, leave about 4e-15.
const SINGULAR: f32 = 1e-13;

/// As many parameters as sums are written out for: those of two, and their columns, are in
/// the registers of a Cortex-M4F then. In loops, they take half as many instructions again.
const WRITTEN_OUT: usize = 2;

/// Calls `line` for each number below `to`, which is at most `P`.
#[inline(always)]
fn each<const P: usize>(to: usize, mut line: impl FnMut(usize)) {
    if const { P <= WRITTEN_OUT } {
        straight::<P>(
            #[inline(always)]
            |k| {
                if k < to {
                    line(k);
                }
            },
        );
    } else {
        for k in 0..to {
            line(k);
        }
    }
}

/// The sums of a problem of up to three parameters, where there are vectors of four: of each
/// product of derivatives and residual, in the order of the rows, as without vectors.
pub(super) struct InVectors {
    high: [f32x4; 4],
    low: [f32x4; 4],
    rounding: f32,
}

impl InVectors {
    /// Whether a problem of so many parameters is summed in vectors.
    pub(super) const fn are_for(parameters: usize) -> bool {
        Level::VECTORS && parameters < 4
    }

    #[inline(always)]
    pub(super) fn none() -> Self {
        InVectors {
            high: [f32x4::splat(0.0); 4],
            low: [f32x4::splat(0.0); 4],
            rounding: 0.0,
        }
    }

    /// Adds a row to all sums, or to those in which its residual is.
    #[inline(always)]
    pub(super) fn add<const P: usize, const ALL: bool>(&mut self, row: &Row<P>) {
        let mut numbers = [0.0; 4];
        for (to, d) in numbers.iter_mut().zip(&row.derivatives) {
            *to = *d;
        }
        if let Some(to) = numbers.get_mut(P) {
            *to = row.residual;
        }
        let split = Split::of(f32x4::from(numbers));
        straight::<4>(
            #[inline(always)]
            |j| {
                let (Some(high), Some(low)) = (self.high.get_mut(j), self.low.get_mut(j)) else {
                    return;
                };
                if j == P || j < P && ALL {
                    let one = split.map(
                        #[inline(always)]
                        |of| f32x4::splat(element(&of.to_array(), j)),
                    );
                    // The order in which the parts of a product are added is that of its
                    // factors: the derivative comes first.
                    let (a, b) = if j == P { (split, one) } else { (one, split) };
                    add_product(high, low, a, b);
                }
            },
        );
        self.rounding += row.rounding * row.rounding;
    }

    /// Ends the sums.
    #[inline(always)]
    pub(super) fn finish<const P: usize>(&self) -> Normal<P> {
        let mut normal = Normal::EMPTY;
        let (high, low) = (
            self.high.map(f32x4::to_array),
            self.low.map(f32x4::to_array),
        );
        let at = |j: usize, k: usize| {
            let of = |sums: &[[f32; 4]; 4]| sums.get(j).and_then(|row| row.get(k)).copied();
            TwoFloat::sum(of(&high).unwrap_or_default(), of(&low).unwrap_or_default())
        };
        straight::<P>(
            #[inline(always)]
            |j| {
                straight::<P>(
                    #[inline(always)]
                    |k| {
                        if let Some(sum) = normal.jj.get_mut(j).and_then(|row| row.get_mut(k)) {
                            *sum = at(j, k);
                        }
                    },
                );
                set(&mut normal.jr, j, at(P, j));
            },
        );
        normal.rr = at(P, P);
        normal.rounding = self.rounding;
        normal
    }
}

/// `JᵀJ`, `Jᵀr` and `rᵀr` for one set of parameters; and, once they are found, the factors of
/// `JᵀJ`, which is symmetrical: half of it has room for them.
///
/// `JᵀJ = S L D Lᵀ S`, with powers of two `S` that make the diagonal about 1, so that pivots
/// can be compared with it, and ones on the diagonal of `L`. There is no square root, and one
/// division for each column, which is what pairs are slowest at.
#[derive(Clone, Debug)]
pub struct Normal<const P: usize> {
    /// `JᵀJ` on the diagonal and below it; above it `Lᵀ`.
    jj: [[TwoFloat; P]; P],
    pub(super) jr: [TwoFloat; P],
    pub(super) rr: TwoFloat,
    /// The sum of squares that rounding predictions to `f32` leaves by itself.
    pub(super) rounding: f32,
    /// The inverse of `D`.
    inverse: [TwoFloat; P],
    /// The inverse of `S`.
    scale: [f32; P],
    /// The column that differs least from a combination of those before it, and the part of
    /// its square that is its own.
    pub(super) weakest: (usize, f32),
    /// Whether factors are those of `JᵀJ` without damping.
    undamped: bool,
}

impl<const P: usize> Normal<P> {
    pub(super) const EMPTY: Self = Normal {
        jj: [[TwoFloat::ZERO; P]; P],
        jr: [TwoFloat::ZERO; P],
        rr: TwoFloat::ZERO,
        rounding: 0.0,
        inverse: [TwoFloat::ZERO; P],
        scale: [1.0; P],
        weakest: (0, 1.0),
        undamped: false,
    };

    /// The sums of rows: all, or those in which residuals are, of a problem whose derivatives
    /// are always the same.
    #[inline(always)]
    pub(super) fn of_rows<const ALL: bool>(rows: impl Iterator<Item = Row<P>>) -> Self {
        if const { InVectors::are_for(P) } {
            let mut sums = InVectors::none();
            for row in rows {
                sums.add::<P, ALL>(&row);
            }
            return sums.finish();
        }
        let mut normal = Normal::EMPTY;
        for row in rows {
            match ALL {
                true => normal.add(row.residual, &row.derivatives, row.rounding),
                false => normal.add_residual(row.residual, &row.derivatives, row.rounding),
            }
        }
        normal.finish();
        normal
    }

    /// Adds a row: its residual, its derivatives, and how far off rounding leaves the
    /// residual.
    #[inline(always)]
    fn add(&mut self, residual: f32, derivatives: &[f32; P], rounding: f32) {
        let r = Split::of(residual);
        let mut columns = [Split::default(); P];
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                if let (Some(to), Some(d)) = (columns.get_mut(j), derivatives.get(j)) {
                    *to = Split::of(*d);
                }
            },
        );
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let (Some(row), Some(jr), Some(column)) =
                    (self.jj.get_mut(j), self.jr.get_mut(j), columns.get(j))
                else {
                    return;
                };
                each::<P>(
                    j + 1,
                    #[inline(always)]
                    |k| {
                        if let (Some(sum), Some(other)) = (row.get_mut(k), columns.get(k)) {
                            sum.add_product(*column, *other);
                        }
                    },
                );
                jr.add_product(*column, r);
            },
        );
        self.rr.add_product(r, r);
        self.rounding += rounding * rounding;
    }

    /// Adds a row to the sums in which residuals are.
    #[inline(always)]
    fn add_residual(&mut self, residual: f32, derivatives: &[f32; P], rounding: f32) {
        let r = Split::of(residual);
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                if let (Some(jr), Some(d)) = (self.jr.get_mut(j), derivatives.get(j)) {
                    jr.add_product(Split::of(*d), r);
                }
            },
        );
        self.rr.add_product(r, r);
        self.rounding += rounding * rounding;
    }

    /// Takes the sums in which residuals are from another.
    pub(super) fn take_residuals(&mut self, other: &Self) {
        self.jr = other.jr;
        self.rr = other.rr;
        self.rounding = other.rounding;
    }

    /// Whether all that was summed is. An infinite or missing number in a row makes its own
    /// square not finite, whatever is next to it.
    pub(super) fn is_finite(&self) -> bool {
        let mut sum = self.rr.to_f32();
        for (j, row) in self.jj.iter().enumerate() {
            sum += row.get(j).copied().unwrap_or_default().to_f32();
        }
        sum.is_finite()
    }

    /// Ends the sums.
    #[inline(always)]
    fn finish(&mut self) {
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let Some(row) = self.jj.get_mut(j) else {
                    return;
                };
                each::<P>(
                    j + 1,
                    #[inline(always)]
                    |k| {
                        if let Some(sum) = row.get_mut(k) {
                            *sum = sum.renormalised();
                        }
                    },
                );
                if let Some(sum) = self.jr.get_mut(j) {
                    *sum = sum.renormalised();
                }
            },
        );
        self.rr = self.rr.renormalised();
    }

    /// `JᵀJ[j][j]`.
    pub(super) fn diagonal(&self, j: usize) -> f32 {
        self.at(j, j).high()
    }

    #[inline(always)]
    fn at(&self, j: usize, k: usize) -> TwoFloat {
        let row = self.jj.get(j);
        row.and_then(|row| row.get(k)).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn scale(&self, j: usize) -> f32 {
        self.scale.get(j).copied().unwrap_or(1.0)
    }

    /// Keeps a parameter where it is: no step has a part of it.
    pub(super) fn hold(&mut self, j: usize) {
        for (m, row) in self.jj.iter_mut().enumerate() {
            for (k, element) in row.iter_mut().enumerate() {
                if m == j || k == j {
                    *element = if m == k {
                        TwoFloat::ONE
                    } else {
                        TwoFloat::ZERO
                    };
                }
            }
        }
        if let Some(jr) = self.jr.get_mut(j) {
            *jr = TwoFloat::ZERO;
        }
        self.undamped = false;
    }

    /// Factors `JᵀJ`, unless it has just been done.
    ///
    /// # Errors
    /// The column that is a combination of those before it.
    pub(super) fn factor(&mut self) -> Result<(), usize> {
        if self.undamped {
            return Ok(());
        }
        let result = self.factor_damped(&[0.0; P]);
        self.undamped = result.is_ok();
        result
    }

    /// Factors it with `damping` added to the diagonal.
    ///
    /// # Errors
    /// The column that is a combination of those before it.
    #[inline(never)]
    pub(super) fn factor_damped(&mut self, damping: &[f32; P]) -> Result<(), usize> {
        self.undamped = false;
        self.weakest = (0, 1.0);
        for (j, damping) in damping.iter().enumerate() {
            let scale = 1.0 / root_of_power_of_two(self.diagonal(j));
            if let Some(to) = self.scale.get_mut(j) {
                *to = scale;
            }
            let mut pivot = self.at(j, j).scaled(scale).scaled(scale);
            let undamped = pivot.high();
            if *damping != 0.0 {
                pivot = pivot + damping * scale * scale;
            }
            // L[j][k] D[k], and from that L[j][k].
            let mut row = [TwoFloat::ZERO; P];
            for k in 0..j {
                let mut sum = self.at(j, k).scaled(scale).scaled(self.scale(k));
                for (m, other) in row.iter().enumerate().take(k) {
                    sum = sum - *other * self.at(m, k);
                }
                let element = sum * self.inverse.get(k).copied().unwrap_or_default();
                pivot = pivot - sum * element;
                if let (Some(to), Some(above)) = (
                    row.get_mut(k),
                    self.jj.get_mut(k).and_then(|row| row.get_mut(j)),
                ) {
                    (*to, *above) = (sum, element);
                }
            }
            if pivot.high() < self.weakest.1 * undamped {
                self.weakest = (j, pivot.high() / undamped);
            }
            let is_large = pivot.high() > SINGULAR * undamped && pivot.is_finite();
            match self.inverse.get_mut(j) {
                Some(to) if is_large => *to = pivot.reciprocal(),
                _ => return Err(j),
            }
        }
        Ok(())
    }

    /// The step to where the gradient is 0, by the factors: `-(JᵀJ)⁻¹ Jᵀr`.
    pub(super) fn step(&self) -> [TwoFloat; P] {
        let mut b = self.jr;
        for b in &mut b {
            *b = -*b;
        }
        self.solve(b)
    }

    /// By how much a step is expected to take off the sum of squares, if it is undamped.
    pub(super) fn decrease(&self, step: &[TwoFloat; P]) -> f32 {
        let mut sum = TwoFloat::ZERO;
        for (a, b) in self.jr.iter().zip(step) {
            sum = sum - *a * *b;
        }
        sum.into()
    }

    /// `(JᵀJ)⁻¹ b`, by the factors.
    #[inline(never)]
    pub(super) fn solve(&self, mut b: [TwoFloat; P]) -> [TwoFloat; P] {
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let mut sum = element(&b, j).scaled(self.scale(j));
                each::<P>(
                    j,
                    #[inline(always)]
                    |k| sum = sum - self.at(k, j) * element(&b, k),
                );
                set(&mut b, j, sum);
            },
        );
        each::<P>(
            P,
            #[inline(always)]
            |back| {
                let j = P - 1 - back;
                let mut sum = element(&b, j) * element(&self.inverse, j);
                each::<P>(
                    P,
                    #[inline(always)]
                    |k| {
                        if k > j {
                            sum = sum - self.at(j, k) * element(&b, k);
                        }
                    },
                );
                set(&mut b, j, sum);
            },
        );
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let scaled = element(&b, j).scaled(self.scale(j));
                set(&mut b, j, scaled);
            },
        );
        b
    }

    /// The step by factors rounded to `f32`, and the square of its length where the
    /// residuals' deviation is 1. For a step that corrects another one, which will do.
    #[inline(never)]
    pub(super) fn correction(&self) -> ([f32; P], f32) {
        let (mut b, mut square) = ([0.0; P], 0.0);
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let mut sum = -element(&self.jr, j).high() * self.scale(j);
                each::<P>(
                    j,
                    #[inline(always)]
                    |k| sum -= self.at(k, j).high() * element(&b, k),
                );
                set(&mut b, j, sum);
                square += sum * sum * element(&self.inverse, j).high();
            },
        );
        each::<P>(
            P,
            #[inline(always)]
            |back| {
                let j = P - 1 - back;
                let mut sum = element(&b, j) * element(&self.inverse, j).high();
                each::<P>(
                    P,
                    #[inline(always)]
                    |k| {
                        if k > j {
                            sum -= self.at(j, k).high() * element(&b, k);
                        }
                    },
                );
                set(&mut b, j, sum);
            },
        );
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let scaled = element(&b, j) * self.scale(j);
                set(&mut b, j, scaled);
            },
        );
        (b, square)
    }

    /// `(JᵀJ)⁻¹`, by the factors, which are found if they are not there. `None` if it has
    /// none.
    pub(super) fn inverse(&mut self) -> Option<[[f32; P]; P]> {
        self.factor().ok()?;
        // L⁻¹ below the diagonal of ones.
        let mut lower = [[0.0; P]; P];
        for j in 0..P {
            for k in 0..j {
                let mut sum = -self.at(k, j).high();
                for m in k + 1..j {
                    sum -= self.at(m, j).high() * of(&lower, m, k);
                }
                put(&mut lower, j, k, sum);
            }
            put(&mut lower, j, j, 1.0);
        }
        // S L⁻ᵀ D⁻¹ L⁻¹ S: what is on its diagonal are sums of squares.
        let mut inverse = [[0.0; P]; P];
        for j in 0..P {
            for k in 0..=j {
                let mut sum = 0.0;
                for (m, pivot) in self.inverse.iter().enumerate().skip(j) {
                    sum += of(&lower, m, j) * pivot.high() * of(&lower, m, k);
                }
                let sum = self.scale(j) * sum * self.scale(k);
                put(&mut inverse, j, k, sum);
                put(&mut inverse, k, j, sum);
            }
        }
        Some(inverse)
    }
}

#[inline(always)]
fn of<const P: usize>(matrix: &[[f32; P]; P], j: usize, k: usize) -> f32 {
    let row = matrix.get(j);
    row.and_then(|row| row.get(k)).copied().unwrap_or_default()
}

#[inline(always)]
fn put<const P: usize>(matrix: &mut [[f32; P]; P], j: usize, k: usize, to: f32) {
    if let Some(element) = matrix.get_mut(j).and_then(|row| row.get_mut(k)) {
        *element = to;
    }
}

#[inline(always)]
fn element<T: Copy + Default, const P: usize>(of: &[T; P], j: usize) -> T {
    of.get(j).copied().unwrap_or_default()
}

#[inline(always)]
fn set<T, const P: usize>(of: &mut [T; P], j: usize, to: T) {
    if let Some(element) = of.get_mut(j) {
        *element = to;
    }
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

/// The power of two next to the square root of a positive number, or 1.
fn root_of_power_of_two(x: f32) -> f32 {
    if x.is_normal() {
        // Half of the exponent, which counts from 127.
        let bits = (x.to_bits() >> 1).wrapping_add(0x1fc0_0000);
        f32::from_bits(bits & 0x7f80_0000)
    } else {
        1.0
    }
}
