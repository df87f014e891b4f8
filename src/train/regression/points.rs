//! Models of scaled inputs, evaluated row by row: the value, and its derivatives by the
//! parameters.

use std::vec::Vec;

use crate::arena::HeapArena;
use crate::calibrate::{Curve, Degrees, Formula, chebyshev};
use crate::function::TwoFloat;
use crate::tape::Tape;
use crate::var::Var;

/// A model that can be evaluated at one point.
pub(super) trait Point {
    /// Returns the value for scaled inputs `x` and parameters `p`, and writes its
    /// derivatives by the parameters to `derivatives`.
    fn at(&self, x: &[f64], p: &[f64], derivatives: &mut [f64]) -> f64;

    /// The relative rounding error of a value.
    fn rounding(&self) -> f32;
}

/// A sum of terms, each of which is a product of Chebyshev polynomials, one for each input:
/// `T₂(u) T₁(v)`. With one input these are the terms of [`Curve::Linear`] and [`Curve::Poly`],
/// in the order of their parameters.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The degrees in each input, term by term; the constant comes last.
    pub(super) degrees: Vec<Vec<usize>>,
}

impl Terms {
    /// All terms up to the total degree `degree`, cross terms included.
    pub(super) fn new(inputs: usize, degree: usize) -> Self {
        let all = Degrees::new(inputs, degree);
        let all = all.map(|of| of.into_iter().take(inputs).map(usize::from).collect());
        let mut degrees: Vec<Vec<usize>> = all.collect();
        degrees.push(std::vec![0; inputs]);
        Terms { degrees }
    }

    /// The total degree of a term.
    pub(super) fn degree(&self, term: usize) -> usize {
        self.degrees.get(term).map_or(0, |term| term.iter().sum())
    }

    /// The largest total degree.
    pub(super) fn most(&self) -> usize {
        (0..self.degrees.len())
            .map(|term| self.degree(term))
            .max()
            .unwrap_or(0)
    }
}

impl Point for Terms {
    fn at(&self, x: &[f64], p: &[f64], derivatives: &mut [f64]) -> f64 {
        let most = self.most();
        let of = |x: &f64| -> Vec<f64> {
            let rest = chebyshev(1.0, *x).take(most);
            core::iter::once(1.0).chain(rest).collect()
        };
        let values: Vec<Vec<f64>> = x.iter().map(of).collect();
        let mut sum = 0.0;
        for ((degrees, p), to) in self.degrees.iter().zip(p).zip(derivatives) {
            let factors = degrees.iter().zip(&values);
            let factors = factors.filter_map(|(degree, values)| values.get(*degree));
            *to = factors.product();
            sum += p * *to;
        }
        sum
    }

    fn rounding(&self) -> f32 {
        TwoFloat::ROUNDING
    }
}

impl Point for Formula {
    fn at(&self, x: &[f64], p: &[f64], derivatives: &mut [f64]) -> f64 {
        let x = x.first().copied().unwrap_or(f64::NAN);
        Formula::at(self, x, p, derivatives)
    }

    fn rounding(&self) -> f32 {
        TwoFloat::ROUNDING
    }
}

/// Any curve, recorded on a tape for one row, and so computed in `f32`.
pub(super) struct Recorded<'t> {
    tape: &'t Tape<'t>,
    x: Var<'t>,
    y: Var<'t>,
    /// The parameters of each layer, with their number of elements.
    params: Vec<(Var<'t>, usize)>,
}

/// An arena with room for a recording of `curve`, networks included.
pub(super) fn arena_for(curve: &Curve) -> HeapArena {
    HeapArena::new(16 * curve.param_count() + 4096, 128)
}

impl<'t> Recorded<'t> {
    pub(super) fn new(tape: &'t Tape<'t>, curve: &Curve) -> Self {
        let x = tape.param(&[0.0], [1, 1]);
        let mut params = Vec::new();
        for [inputs, units] in curve.layers() {
            let zeros = std::vec![0.0; inputs * units];
            params.push((tape.param(&zeros, [inputs, units]), inputs * units));
            params.push((
                tape.param(zeros.get(..units).unwrap_or(&[0.0]), [units]),
                units,
            ));
        }
        let vars: Vec<Var<'t>> = params.iter().map(|(var, _)| *var).collect();
        let y = curve.record_on(x, &vars).sum();
        Recorded { tape, x, y, params }
    }

    fn run(&self, x: f32, p: &[f64], derivatives: &mut [f64]) -> Result<f64, crate::Error> {
        self.tape.write(self.x, &[x])?;
        let mut rest = p;
        for (var, count) in &self.params {
            let (values, others) = rest.split_at_checked(*count).unwrap_or((rest, &[]));
            let values: Vec<f32> = values.iter().map(|p| *p as f32).collect();
            self.tape.write(*var, &values)?;
            rest = others;
        }
        self.tape.replay()?;
        self.tape.zero_grad();
        self.tape.backward(self.y)?;
        let mut rest = derivatives;
        for (var, count) in &self.params {
            let (to, others) = rest.split_at_mut(rest.len().min(*count));
            for (to, d) in to.iter_mut().zip(var.grad()?.iter()) {
                *to = f64::from(*d);
            }
            rest = others;
        }
        Ok(self.y.item()?.into())
    }
}

impl Point for Recorded<'_> {
    /// Returns NaN if the tape has failed, because the arena is too small.
    fn at(&self, x: &[f64], p: &[f64], derivatives: &mut [f64]) -> f64 {
        let x = x.first().copied().unwrap_or(f64::NAN) as f32;
        self.run(x, p, derivatives).unwrap_or(f64::NAN)
    }

    fn rounding(&self) -> f32 {
        f32::EPSILON
    }
}

#[cfg(test)]
mod tests {
    use super::{Point as _, Recorded, Terms, arena_for};
    use crate::calibrate::{Curve, Degrees};

    #[test]
    fn terms_of_several_inputs_have_all_cross_terms() {
        let terms = Terms::new(2, 2);
        let expected = [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2], [0, 0]];
        assert_eq!(terms.degrees, expected);
        for (inputs, degree) in [(1, 7), (2, 3), (3, 2), (5, 1)] {
            let found = Terms::new(inputs, degree).degrees.len();
            assert_eq!(found, Degrees::count(inputs, degree));
        }
        assert_eq!(Terms::new(1, 3).degrees, [[1], [2], [3], [0]]);
        let mut d = [0.0; 6];
        // u = 3, v = 0.5: T₂(u) = 17, T₂(v) = -0.5.
        let value = terms.at(&[3.0, 0.5], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut d);
        assert_eq!(d, [3.0, 0.5, 17.0, 1.5, -0.5, 1.0]);
        assert_eq!(value, 3.0 + 1.0 + 51.0 + 6.0 - 2.5 + 6.0);
    }

    /// A polynomial has the same values and derivatives on the tape and by its terms.
    #[test]
    fn a_recorded_curve_is_that_of_its_terms() {
        let curve = Curve::Poly(3);
        let mut arena = arena_for(&curve);
        let tape = arena.tape();
        let recorded = Recorded::new(&tape, &curve);
        let p = [0.5, -0.25, 2.0, 0.125];
        for x in [-1.0, -0.5, 0.0, 0.25, 1.0] {
            let (mut a, mut b) = ([0.0; 4], [0.0; 4]);
            let value = recorded.at(&[x], &p, &mut a);
            assert_eq!(value, Terms::new(1, 3).at(&[x], &p, &mut b));
            assert_eq!(a, b);
        }
    }
}
