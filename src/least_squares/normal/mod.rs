//! The normal equations: `JᵀJ` and `Jᵀr`, summed row by row in pairs, and their solution.

mod sums;

pub(super) use sums::{At, Residuals};

use crate::function::{TwoFloat, straight};
use crate::kernel::{Lanes, Level};

/// A pivot below this part of its diagonal element marks its column as a combination of those
/// before it, within the precision of derivatives in `f32`: columns of rounding errors, 2⁻²⁴ of
/// a number each, leave about 4e-15.
const SINGULAR: f32 = 1e-13;

/// The largest number of parameters for which loops are unrolled. The sums of two parameters
/// and their columns then stay in the registers of a Cortex-M4F; loops take half as many
/// instructions again.
const WRITTEN_OUT: usize = 2;

/// Calls `step` for each number below `to`, which is at most `P`.
#[inline(always)]
fn each<const P: usize>(to: usize, mut step: impl FnMut(usize)) {
    if const { P <= WRITTEN_OUT } {
        straight::<P>(
            #[inline(always)]
            |k| {
                if k < to {
                    step(k);
                }
            },
        );
    } else {
        for k in 0..to {
            step(k);
        }
    }
}

/// `JᵀJ`, `Jᵀr` and `rᵀr` for one set of parameters, and the factors of `JᵀJ` once they are
/// computed. `JᵀJ` is symmetric, so that the factors fit into its other half.
///
/// `JᵀJ = S L D Lᵀ S`. `S` are powers of two that make the diagonal about 1, so that pivots can
/// be compared with it; `L` has ones on its diagonal. The factorisation takes no square root,
/// and one division per column, which is the slowest operation of pairs.
#[derive(Clone, Debug)]
pub struct Normal<const P: usize> {
    /// The lower triangle of `JᵀJ` with its diagonal. The upper triangle holds `Lᵀ`, or the new
    /// `JᵀJ` of [`sum_beside`](Self::sum_beside).
    jj: [[TwoFloat; P]; P],
    pub(super) residual: Residuals<P>,
    /// The inverse of `D`, or the diagonal of the new `JᵀJ`.
    inverse: [TwoFloat; P],
    /// The inverse of `S`.
    scale: [f32; P],
    /// The column nearest to a combination of those before it, and the part of its square that
    /// remains after projection on them.
    pub(super) weakest: (usize, f32),
    /// Whether the factors are those of `JᵀJ` without damping.
    undamped: bool,
}

impl<const P: usize> Normal<P> {
    pub(super) const EMPTY: Self = Normal {
        jj: [[TwoFloat::ZERO; P]; P],
        residual: Residuals::ZERO,
        inverse: [TwoFloat::ZERO; P],
        scale: [1.0; P],
        weakest: (0, 1.0),
        undamped: false,
    };

    /// Whether the equations are small enough to be solved in registers, inlined where they are
    /// summed.
    const HERE: bool = Level::VECTORS && P <= WRITTEN_OUT;

    /// Whether all sums are finite. A row with an infinite or NaN element makes the square of
    /// that element not finite, so that diagonal and `rᵀr` suffice.
    pub(super) fn is_finite(&self) -> bool {
        let mut sum = self.residual.rr.to_f32();
        for j in 0..P {
            sum += self.at(j, j).to_f32();
        }
        sum.is_finite()
    }

    /// The same for the new sums of [`sum_beside`](Self::sum_beside).
    pub(super) fn is_finite_beside(&self, residuals: &Residuals<P>) -> bool {
        let mut sum = residuals.rr.to_f32();
        for square in &self.inverse {
            sum += square.to_f32();
        }
        sum.is_finite()
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
    fn put(&mut self, j: usize, k: usize, to: TwoFloat) {
        if let Some(element) = self.jj.get_mut(j).and_then(|row| row.get_mut(k)) {
            *element = to;
        }
    }

    #[inline(always)]
    fn scale(&self, j: usize) -> f32 {
        self.scale.get(j).copied().unwrap_or(1.0)
    }

    /// Holds a parameter: its element of a step becomes 0.
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
        if let Some(jr) = self.residual.jr.get_mut(j) {
            *jr = TwoFloat::ZERO;
        }
        self.undamped = false;
    }

    /// Factors `JᵀJ`, unless it is factored already.
    ///
    /// # Errors
    /// The first column that is a combination of those before it.
    pub(super) fn factor(&mut self) -> Result<(), usize> {
        if self.undamped {
            return Ok(());
        }
        let result = self.factor_damped(&[0.0; P]);
        self.undamped = result.is_ok();
        result
    }

    /// Factors `JᵀJ` with `damping` added to the diagonal.
    ///
    /// # Errors
    /// The first column that is a combination of those before it.
    #[inline(never)]
    pub(super) fn factor_damped(&mut self, damping: &[f32; P]) -> Result<(), usize> {
        self.undamped = false;
        self.weakest = (0, 1.0);
        for (j, damping) in damping.iter().enumerate() {
            if !self.factor_column(j, *damping) {
                return Err(j);
            }
        }
        Ok(())
    }

    /// Factors `JᵀJ` like [`factor`](Self::factor), but inlined for one or two parameters: on a
    /// desktop, the sums then stay in registers, and the processor does not wait for its own
    /// stores.
    ///
    /// # Errors
    /// The first column that is a combination of those before it.
    #[inline(always)]
    pub(super) fn factor_here(&mut self) -> Result<(), usize> {
        if const { !Self::HERE } {
            return self.factor();
        }
        self.undamped = false;
        self.weakest = (0, 1.0);
        let mut result = Ok(());
        straight::<P>(
            #[inline(always)]
            |j| {
                if result.is_ok() && !self.factor_column(j, 0.0) {
                    result = Err(j);
                }
            },
        );
        self.undamped = result.is_ok();
        result
    }

    /// Factors column `j`. Returns false if it is a combination of those before it.
    #[inline(always)]
    fn factor_column(&mut self, j: usize, damping: f32) -> bool {
        let scale = inverse_root_of_power_of_two(self.diagonal(j));
        set(&mut self.scale, j, scale);
        let mut pivot = self.at(j, j).scaled(scale).scaled(scale);
        let undamped = pivot.high();
        if damping != 0.0 {
            pivot = pivot + damping * scale * scale;
        }
        // L[j][k] D[k], and from that L[j][k].
        let mut row = [TwoFloat::ZERO; P];
        for k in 0..j {
            let mut sum = self.at(j, k).scaled(scale).scaled(self.scale(k));
            for (m, other) in row.iter().enumerate().take(k) {
                sum = sum - *other * self.at(m, k);
            }
            let element = sum * element(&self.inverse, k);
            pivot = pivot - sum * element;
            set(&mut row, k, sum);
            self.put(k, j, element);
        }
        if pivot.high() < self.weakest.1 * undamped {
            self.weakest = (j, pivot.high() / undamped);
        }
        let is_large = pivot.high() > SINGULAR * undamped && pivot.is_finite();
        if is_large {
            set(&mut self.inverse, j, pivot.reciprocal());
        }
        is_large
    }

    /// The step to the minimum of the linearised problem, from the factors: `-(JᵀJ)⁻¹ Jᵀr`.
    pub(super) fn step(&self) -> [TwoFloat; P] {
        self.solve(self.residual.jr.map(|jr| -jr))
    }

    /// The same, inlined like [`factor_here`](Self::factor_here).
    #[inline(always)]
    pub(super) fn step_here(&self) -> [TwoFloat; P] {
        if const { !Self::HERE } {
            return self.step();
        }
        self.solved(self.residual.jr.map(|jr| -jr))
    }

    /// The expected decrease of the sum of squares by an undamped step.
    pub(super) fn decrease(&self, step: &[TwoFloat; P]) -> f32 {
        let mut sum = TwoFloat::ZERO;
        for (a, b) in self.residual.jr.iter().zip(step) {
            sum = sum - *a * *b;
        }
        sum.into()
    }

    /// `(JᵀJ)⁻¹ b`, from the factors.
    #[inline(never)]
    pub(super) fn solve(&self, b: [TwoFloat; P]) -> [TwoFloat; P] {
        self.solved(b)
    }

    #[inline(always)]
    fn solved(&self, mut b: [TwoFloat; P]) -> [TwoFloat; P] {
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

    /// The step from factors rounded to `f32`, which suffices to correct another step; and the
    /// square of its length for residuals with standard deviation 1.
    #[inline(never)]
    pub(super) fn correction(&self) -> ([f32; P], f32) {
        let (mut b, mut square) = ([0.0; P], 0.0);
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                let mut sum = -element(&self.residual.jr, j).high() * self.scale(j);
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

    /// `W` of `(JᵀJ)⁻¹ = WᵀW`, 0 above its diagonal: `D^-½ L⁻¹ S`. Factors `JᵀJ` first if
    /// necessary. `None` if it is singular.
    ///
    /// Variances are sums of squares of the columns of `W`, without cancellation: `W` in `f32`
    /// gives them the precision of `f32`, however strongly two parameters are correlated. `L⁻¹`
    /// itself involves cancellation and is computed in pairs.
    #[cold]
    pub(super) fn root(&mut self) -> Option<[[f32; P]; P]> {
        self.factor().ok()?;
        let roots = self.inverse.map(|pivot| Lanes::sqrt(pivot.to_f32()));
        let mut root = [[0.0; P]; P];
        for k in 0..P {
            // A column of L⁻¹, from its diagonal element down.
            let mut column = [TwoFloat::ZERO; P];
            for (j, of_pivot) in roots.iter().enumerate().skip(k) {
                let mut sum = TwoFloat::ONE;
                if j > k {
                    sum = -self.at(k, j);
                    for (m, above) in column.iter().enumerate().take(j).skip(k + 1) {
                        sum = sum - self.at(m, j) * *above;
                    }
                }
                set(&mut column, j, sum);
                if let Some(to) = root.get_mut(j).and_then(|row| row.get_mut(k)) {
                    *to = sum.to_f32() * of_pivot * self.scale(k);
                }
            }
        }
        Some(root)
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

/// The largest power of two that is not above a positive number, or 1 if the number is not
/// normal.
pub(super) fn power_of_two(x: f32) -> f32 {
    // Zero, subnormal numbers, infinity and NaN have no usable exponent.
    if x.is_normal() {
        f32::from_bits(x.to_bits() & 0x7f80_0000)
    } else {
        1.0
    }
}

/// The inverse of a power of two near the square root of a positive number, or 1.
fn inverse_root_of_power_of_two(x: f32) -> f32 {
    if x.is_normal() {
        // The halved exponent, with its bias of 127, subtracted from the exponent of 1: no
        // division.
        let bits = (x.to_bits() >> 1).wrapping_add(0x1fc0_0000);
        f32::from_bits(0x7f00_0000_u32.wrapping_sub(bits & 0x7f80_0000))
    } else {
        1.0
    }
}
