//! Sums over rows of products of derivatives and residuals, in pairs.
//!
//! Each sum adds its products in the order of the rows, whichever code computes them, so that
//! the bits are the same on every target. With up to three parameters there are few sums. On
//! targets with vectors, rows are then computed eight at a time and products four rows at a
//! time, and four sums at a time are added row by row: a third of the instructions of one row
//! after the other.

use super::{Normal, WRITTEN_OUT, each, set};
use crate::function::{Split, TwoFloat, straight, two_sum};
use crate::kernel::{Level, f32x4};
use crate::least_squares::problem::{Eight, Problem, Row};

/// The sums that depend on residuals.
#[derive(Clone, Copy, Debug)]
pub(in crate::least_squares) struct Residuals<const P: usize> {
    /// `Jᵀr`.
    pub(in crate::least_squares) jr: [TwoFloat; P],
    /// `rᵀr`.
    pub(in crate::least_squares) rr: TwoFloat,
    /// The sum of squares that rounding of predictions to `f32` alone would cause.
    pub(in crate::least_squares) rounding: f32,
}

impl<const P: usize> Residuals<P> {
    pub(super) const ZERO: Self = Residuals {
        jr: [TwoFloat::ZERO; P],
        rr: TwoFloat::ZERO,
        rounding: 0.0,
    };

    /// Adds a row.
    #[inline(always)]
    fn add(&mut self, columns: &[Split; P], residual: f32, rounding: f32) {
        let r = Split::of(residual);
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                if let (Some(jr), Some(column)) = (self.jr.get_mut(j), columns.get(j)) {
                    jr.add_product(*column, r);
                }
            },
        );
        self.rr.add_product(r, r);
        self.rounding += rounding * rounding;
    }

    /// Renormalises the sums.
    #[inline(always)]
    fn finish(&mut self) {
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                if let Some(sum) = self.jr.get_mut(j) {
                    *sum = sum.renormalised();
                }
            },
        );
        self.rr = self.rr.renormalised();
    }
}

/// The parameters at which rows are computed, and the factors by which they are scaled.
pub(in crate::least_squares) struct At<'a, S, const P: usize> {
    /// The parameters.
    pub(in crate::least_squares) params: &'a [S; P],
    /// The power of two for each column.
    pub(in crate::least_squares) columns: &'a [f32; P],
    /// The factor of residuals.
    pub(in crate::least_squares) residuals: f32,
}

impl<const P: usize> Normal<P> {
    /// Computes the sums of a problem's rows at other parameters. Returns those that depend on
    /// residuals; the new `JᵀJ` replaces the factors until [`take`](Self::take) adopts it. The
    /// old `JᵀJ` stays and can be factored again. No second matrix is needed.
    #[inline(always)]
    pub(in crate::least_squares) fn sum_beside<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
        at: &At<'_, R::Scalar, P>,
    ) -> Residuals<P> {
        self.undamped = false;
        if const { InVectors::are_for(P) } {
            let sums = InVectors::of_problem::<R, P, true>(problem, at);
            sums.jj_beside(self);
            return sums.residuals();
        }
        let mut residuals = Residuals::ZERO;
        if const { P <= WRITTEN_OUT } {
            // Local copies stay in registers.
            let (mut jj, mut diagonal) = (self.jj, self.inverse);
            sum(&mut jj, &mut diagonal, &mut residuals, problem, at);
            (self.jj, self.inverse) = (jj, diagonal);
        } else {
            let (jj, diagonal) = (&mut self.jj, &mut self.inverse);
            sum(jj, diagonal, &mut residuals, problem, at);
        }
        residuals
    }

    /// Computes only the sums that depend on residuals, for problems with constant derivatives.
    #[inline(always)]
    pub(in crate::least_squares) fn sum_residuals<R: Problem<P> + ?Sized>(
        problem: &R,
        at: &At<'_, R::Scalar, P>,
    ) -> Residuals<P> {
        if const { InVectors::are_for(P) } {
            return InVectors::of_problem::<R, P, false>(problem, at).residuals();
        }
        let mut residuals = Residuals::ZERO;
        for i in 0..problem.rows() {
            let row = problem.row(i, at.params).scaled(at.columns, at.residuals);
            residuals.add(&split(&row), row.residual, row.rounding);
        }
        residuals.finish();
        residuals
    }

    /// Adopts the sums of [`sum_beside`](Self::sum_beside).
    #[inline(always)]
    pub(in crate::least_squares) fn take(&mut self, residuals: Residuals<P>) {
        self.residual = residuals;
        self.undamped = false;
        each::<P>(
            P,
            #[inline(always)]
            |j| {
                each::<P>(
                    j,
                    #[inline(always)]
                    |k| {
                        let sum = self.at(k, j);
                        self.put(j, k, sum);
                    },
                );
                let sum = self.inverse.get(j).copied().unwrap_or_default();
                self.put(j, j, sum);
            },
        );
    }
}

/// Splits the derivatives of a row into halves for exact products.
#[inline(always)]
fn split<const P: usize>(row: &Row<P>) -> [Split; P] {
    let mut columns = [Split::default(); P];
    each::<P>(
        P,
        #[inline(always)]
        |j| {
            if let Some(d) = row.derivatives.get(j) {
                set(&mut columns, j, Split::of(*d));
            }
        },
    );
    columns
}

/// Calls `visit` with each distinct element of the new `JᵀJ`.
#[inline(always)]
fn each_beside<const P: usize>(
    jj: &mut [[TwoFloat; P]; P],
    diagonal: &mut [TwoFloat; P],
    mut visit: impl FnMut(usize, usize, &mut TwoFloat),
) {
    each::<P>(
        P,
        #[inline(always)]
        |j| {
            each::<P>(
                j,
                #[inline(always)]
                |k| {
                    if let Some(sum) = jj.get_mut(k).and_then(|row| row.get_mut(j)) {
                        visit(j, k, sum);
                    }
                },
            );
            if let Some(sum) = diagonal.get_mut(j) {
                visit(j, j, sum);
            }
        },
    );
}

/// Sums row by row. `JᵀJ` is summed above the diagonal of `jj`, its diagonal in `diagonal`.
#[inline(always)]
fn sum<R: Problem<P> + ?Sized, const P: usize>(
    jj: &mut [[TwoFloat; P]; P],
    diagonal: &mut [TwoFloat; P],
    residuals: &mut Residuals<P>,
    problem: &R,
    at: &At<'_, R::Scalar, P>,
) {
    each_beside(
        jj,
        diagonal,
        #[inline(always)]
        |_, _, sum| *sum = TwoFloat::ZERO,
    );
    for i in 0..problem.rows() {
        let row = problem.row(i, at.params).scaled(at.columns, at.residuals);
        let columns = split(&row);
        each_beside(
            jj,
            diagonal,
            #[inline(always)]
            |j, k, sum| {
                if let (Some(column), Some(other)) = (columns.get(j), columns.get(k)) {
                    sum.add_product(*column, *other);
                }
            },
        );
        residuals.add(&columns, row.residual, row.rounding);
    }
    each_beside(
        jj,
        diagonal,
        #[inline(always)]
        |_, _, sum| *sum = sum.renormalised(),
    );
    residuals.finish();
}

/// The maximum number of vectors of four sums: three parameters have eleven sums.
const VECTORS: usize = 3;

/// The sums of a problem with up to three parameters, four to a vector, in this order:
/// residuals times each derivative, squared residuals, squared roundings; then `JᵀJ` on and
/// below the diagonal, row by row.
struct InVectors {
    high: [f32x4; VECTORS],
    low: [f32x4; VECTORS],
    /// The sum of squared roundings as a plain `f32`, without the error terms.
    rounding: f32,
}

/// Four rows.
struct Four<const P: usize> {
    residual: f32x4,
    derivatives: [f32x4; P],
    rounding: f32x4,
}

/// Products of four rows and their rounding errors, in the order of the sums.
struct Products {
    products: [([f32x4; 4], [f32x4; 4]); VECTORS],
    len: usize,
}

impl Products {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [f32x4::splat(0.0); 4];
        Products {
            products: [(zeros, zeros); VECTORS],
            len: 0,
        }
    }

    #[inline(always)]
    fn put(&mut self, (product, error): (f32x4, f32x4)) {
        if let Some((products, errors)) = self.products.get_mut(self.len / 4)
            && let (Some(to), Some(lost)) =
                (products.get_mut(self.len % 4), errors.get_mut(self.len % 4))
        {
            (*to, *lost) = (product, error);
        }
        self.len = self.len.saturating_add(1);
    }
}

impl InVectors {
    /// Whether a problem with this number of parameters is summed in vectors.
    const fn are_for(parameters: usize) -> bool {
        Level::VECTORS && parameters < 4
    }

    /// The number of vectors that hold all sums, or only those that depend on residuals.
    const fn vectors(parameters: usize, all: bool) -> usize {
        let of_residuals = parameters + 2;
        match all {
            true => (of_residuals + parameters * (parameters + 1) / 2).div_ceil(4),
            false => of_residuals.div_ceil(4),
        }
    }

    /// Sums all rows: all sums, or only those that depend on residuals.
    #[inline(always)]
    fn of_problem<R: Problem<P> + ?Sized, const P: usize, const ALL: bool>(
        problem: &R,
        at: &At<'_, R::Scalar, P>,
    ) -> Self {
        let mut sums = InVectors {
            high: [f32x4::splat(0.0); VECTORS],
            low: [f32x4::splat(0.0); VECTORS],
            rounding: 0.0,
        };
        let (mut i, rows) = (0, problem.rows());
        while i < rows {
            let eight = problem.eight(i, at.params);
            let (first, second) = halves(&eight, at);
            let left = rows - i;
            sums.add::<P, ALL>(&first, left);
            if left > 4 {
                sums.add::<P, ALL>(&second, left - 4);
            }
            i = i.saturating_add(8);
        }
        sums.rounding = one(&sums.high, P + 1);
        straight::<VECTORS>(
            #[inline(always)]
            |v| {
                if v < const { InVectors::vectors(P, ALL) }
                    && let (Some(high), Some(low)) = (sums.high.get_mut(v), sums.low.get_mut(v))
                {
                    (*high, *low) = two_sum(*high, *low);
                }
            },
        );
        sums
    }

    /// Adds the first `rows` of four rows.
    #[inline(always)]
    fn add<const P: usize, const ALL: bool>(&mut self, four: &Four<P>, rows: usize) {
        let mut next = Products::new();
        let residual = Split::of(four.residual);
        let columns = four.derivatives.map(Split::of);
        straight::<P>(
            #[inline(always)]
            |j| {
                if let Some(column) = columns.get(j) {
                    next.put(column.times(residual));
                }
            },
        );
        next.put(residual.times(residual));
        next.put((four.rounding * four.rounding, f32x4::splat(0.0)));
        if ALL {
            straight::<P>(
                #[inline(always)]
                |j| {
                    straight::<P>(
                        #[inline(always)]
                        |k| {
                            if k <= j
                                && let (Some(column), Some(other)) =
                                    (columns.get(j), columns.get(k))
                            {
                                next.put(column.times(*other));
                            }
                        },
                    );
                },
            );
        }
        straight::<VECTORS>(
            #[inline(always)]
            |v| {
                if v < const { InVectors::vectors(P, ALL) }
                    && let Some((products, errors)) = next.products.get(v)
                    && let (Some(high), Some(low)) = (self.high.get_mut(v), self.low.get_mut(v))
                {
                    let (products, errors) =
                        (f32x4::transpose(*products), f32x4::transpose(*errors));
                    straight::<4>(
                        #[inline(always)]
                        |row| {
                            if row < rows
                                && let (Some(product), Some(error)) =
                                    (products.get(row), errors.get(row))
                            {
                                let (sum, lost) = two_sum(*high, *product);
                                *high = sum;
                                *low += lost + *error;
                            }
                        },
                    );
                }
            },
        );
    }

    /// Sum number `k`.
    #[inline(always)]
    fn sum(&self, k: usize) -> TwoFloat {
        TwoFloat::of_two_sum(one(&self.high, k), one(&self.low, k))
    }

    /// The sums that depend on residuals.
    #[inline(always)]
    fn residuals<const P: usize>(&self) -> Residuals<P> {
        let mut residuals = Residuals::ZERO;
        straight::<P>(
            #[inline(always)]
            |j| set(&mut residuals.jr, j, self.sum(j)),
        );
        residuals.rr = self.sum(P);
        residuals.rounding = self.rounding;
        residuals
    }

    /// Writes the sums of `JᵀJ` to where [`Normal::sum_beside`] keeps them.
    #[inline(always)]
    fn jj_beside<const P: usize>(&self, normal: &mut Normal<P>) {
        each_beside(
            &mut normal.jj,
            &mut normal.inverse,
            #[inline(always)]
            |j, k, sum| *sum = self.sum(P + 2 + j * (j + 1) / 2 + k),
        );
    }
}

/// Element `k` of the vectors.
#[inline(always)]
fn one(of: &[f32x4; VECTORS], k: usize) -> f32 {
    let four = of.get(k / 4).map(|four| four.to_array());
    four.and_then(|four| four.get(k % 4).copied())
        .unwrap_or_default()
}

/// Splits eight rows into two halves, and scales them.
#[inline(always)]
fn halves<S, const P: usize>(eight: &Eight<P>, at: &At<'_, S, P>) -> (Four<P>, Four<P>) {
    let zero = f32x4::splat(0.0);
    let mut derivatives = [[zero; P]; 2];
    straight::<P>(
        #[inline(always)]
        |j| {
            if let (Some(d), Some(scale)) = (eight.derivatives.get(j), at.columns.get(j)) {
                let (first, second) = cut(d.to_array());
                let [to, other] = &mut derivatives;
                set(to, j, first * *scale);
                set(other, j, second * *scale);
            }
        },
    );
    let [first, second] = derivatives;
    let (residual, other_residual) = cut(eight.residual.to_array());
    let (rounding, other_rounding) = cut(eight.rounding.to_array());
    let four = |residual: f32x4, derivatives, rounding: f32x4| Four {
        residual: residual * at.residuals,
        derivatives,
        rounding: rounding * at.residuals,
    };
    (
        four(residual, first, rounding),
        four(other_residual, second, other_rounding),
    )
}

#[inline(always)]
fn cut([a, b, c, d, e, f, g, h]: [f32; 8]) -> (f32x4, f32x4) {
    (f32x4::from([a, b, c, d]), f32x4::from([e, f, g, h]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::random::{Rng, seeded};

    const MOST: usize = 25;

    /// The first `.1` of these rows.
    struct Given<const P: usize>([Row<P>; MOST], usize);

    impl<const P: usize> Problem<P> for Given<P> {
        type Scalar = TwoFloat;
        fn rows(&self) -> usize {
            self.1
        }
        fn row(&self, i: usize, _: &[TwoFloat; P]) -> Row<P> {
            *self.0.get(i).unwrap()
        }
    }

    fn same_bits<const P: usize>() {
        let mut rng = seeded(5);
        let mut random = || f32::from_bits(rng.next_u32() & 0x807f_ffff | 124 << 23);
        for rows in 0..=MOST {
            let given = core::array::from_fn(|_| Row {
                residual: random(),
                derivatives: core::array::from_fn(|_| random()),
                rounding: random(),
            });
            let problem = Given(given, rows);
            let at = At {
                params: &[TwoFloat::ZERO; P],
                columns: &[0.5; P],
                residuals: 4.0,
            };
            let (mut jj, mut diagonal) = ([[TwoFloat::ZERO; P]; P], [TwoFloat::ZERO; P]);
            let mut expected = Residuals::ZERO;
            sum(&mut jj, &mut diagonal, &mut expected, &problem, &at);

            let sums = InVectors::of_problem::<_, P, true>(&problem, &at);
            let mut found = Normal::<P>::EMPTY;
            sums.jj_beside(&mut found);
            for (found, expected) in found.jj.iter().zip(jj) {
                assert_eq!(found, &expected);
            }
            assert_eq!(found.inverse, diagonal);
            for found in [
                sums.residuals::<P>(),
                InVectors::of_problem::<_, P, false>(&problem, &at).residuals(),
            ] {
                assert_eq!((found.jr, found.rr), (expected.jr, expected.rr), "{rows}");
                assert_eq!(found.rounding.to_bits(), expected.rounding.to_bits());
            }
        }
    }

    #[test]
    fn sums_in_vectors_are_those_of_one_row_after_the_other() {
        same_bits::<1>();
        same_bits::<2>();
        same_bits::<3>();
    }
}
