//! Records curves on a tape, layer by layer, for gradient descent.

use super::Curve;
use crate::calibrate::terms::chebyshev;
use crate::kernel::Lanes;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::Unary;
use crate::ops::layer::{Activation, Layer};
use crate::shape::{Shape, ShapeError};
use crate::tape::Tape;
use crate::var::Var;

impl Curve {
    /// Records the curve for scaled readings `x` of shape `[n, 1]`, with trainable leaves
    /// for its parameters, whose values are `params`. The result has shape `[n, 1]`.
    ///
    /// ```
    /// use baregrad::{Arena, calibrate::Curve};
    ///
    /// let mut arena = Arena::<64, 8>::new();
    /// let tape = arena.tape();
    /// let x = tape.input(&[-1.0, 0.0, 0.5], [3, 1]);
    /// let y = Curve::Poly(2).record(x, &[1.0, 2.0, 10.0]); // 1 T₁ + 2 T₂ + 10
    /// assert_eq!(*y.value()?, [11.0, 8.0, 9.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn record<'t>(&self, x: Var<'t>, params: &[f32]) -> Var<'t> {
        let tape: &'t Tape<'t> = x.tape();
        let mut rest = params;
        self.record_layers(x, |shape| {
            let (values, others) = rest.split_at_checked(shape.numel()).unwrap_or((rest, &[]));
            rest = others;
            Some(tape.param(values, shape))
        })
    }

    /// Records the curve as [`record`](Self::record) does, with parameters that are
    /// already on the tape: the weights and biases of each layer, or the parameters of a
    /// formula, of shape `[P]`.
    #[track_caller]
    #[must_use]
    pub fn record_on<'t>(&self, x: Var<'t>, params: &[Var<'t>]) -> Var<'t> {
        let mut params = params.iter();
        self.record_layers(x, |_| params.next().copied())
    }

    /// Records the layers in order. `next` returns the weights of each layer, of shape
    /// `[inputs, units]`, then its biases, of shape `[units]`.
    #[track_caller]
    fn record_layers<'t>(
        &self,
        x: Var<'t>,
        mut next: impl FnMut(Shape) -> Option<Var<'t>>,
    ) -> Var<'t> {
        let tape = x.tape();
        let mut units = x;
        if let Curve::Function(formula) = self {
            if let Some(p) = next(Shape::from([formula.parameters().len()])) {
                units = formula.record(x, p);
            }
            return units;
        }
        let count = self.inputs();
        if count > 1 {
            let attrs = Attrs {
                words: [count as u32, 0, 0, 0],
                tag: 0,
            };
            units = tape.apply(&Chebyshev, &[x], attrs);
        }
        let mut layers = self.layers().peekable();
        while let Some([inputs, width]) = layers.next() {
            let weights = next(Shape::from([inputs, width]));
            let (Some(w), Some(b)) = (weights, next(Shape::from([width]))) else {
                break;
            };
            units = if layers.peek().is_some() {
                tape.apply_plain(&Layer(Softsign), &[units, w, b])
            } else {
                units.linear(w, b)
            };
        }
        units
    }
}

/// `z / (1 + |z|)`.
#[derive(Clone, Copy, Debug)]
pub(in crate::calibrate) struct Softsign;

impl Unary for Softsign {
    const NAME: &'static str = "softsign";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, z: L) -> L {
        z / (z.abs() + L::splat(1.0))
    }
    /// `1 / (1 + |z|)²`, which equals `(1 - |y|)²`.
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        let slope = L::splat(1.0) - y.abs();
        g * (slope * slope)
    }
}

impl Activation for Softsign {
    const LAYER: &'static str = "linear_softsign";
}

/// `T₁(x)` to `T_d(x)`, of shape `[n, d]`, for `x` of shape `[n, 1]`: `T₁ = x`,
/// `T₂ = 2x x - 1`, `Tₖ₊₁ = 2x Tₖ - Tₖ₋₁`.
struct Chebyshev;

impl Op for Chebyshev {
    fn name(&self) -> &'static str {
        "chebyshev"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [degree, ..] = attrs.words;
        match operands {
            [x] if x.rank() == 2 && x.dims().last() == Some(&1) => {
                Ok(Shape::from([x.dim(0), degree as usize]))
            }
            _ => Err(ShapeError::Other("expected readings of shape [n, 1]")),
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let degree = inputs_of(cx.attrs());
        let ([x], y) = cx.split();
        for (x, row) in x.iter().zip(y.chunks_exact_mut(degree)) {
            for (to, t) in row.iter_mut().zip(chebyshev(1.0, *x)) {
                *to = t;
            }
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let degree = inputs_of(cx.attrs());
        let x = cx.operand(0);
        let Some(grad) = cx.grad(0) else { return };
        let rows = grad.output.chunks_exact(degree).zip(grad.operand);
        for ((g, to), x) in rows.zip(x) {
            // The recurrence of the derivatives: Tₖ₊₁' = 2 Tₖ + 2x Tₖ' - Tₖ₋₁'.
            let twice = x + x;
            let (mut before, mut t) = (1.0, *x);
            let (mut slope_before, mut slope) = (0.0, 1.0);
            let mut sum = -0.0;
            for g in g {
                sum += g * slope;
                let next = (t + t) + twice * slope - slope_before;
                (slope_before, slope) = (slope, next);
                (before, t) = (t, twice * t - before);
            }
            grad.acc.put(to, sum);
        }
    }
}

fn inputs_of(attrs: &Attrs) -> usize {
    let [degree, ..] = attrs.words;
    (degree as usize).max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;

    use super::{Curve, Softsign};
    use crate::Arena;
    use crate::gradcheck::gradcheck;
    use crate::op::Attrs;
    use crate::ops::Unary;

    /// The numbers are multiples of powers of two, whose products are exact.
    #[test]
    fn polynomials_are_sums_of_chebyshev_polynomials() {
        let x = [-1.0_f32, -0.5, 0.0, 0.25, 1.0];
        let mut arena = Arena::<256, 16>::new();
        let tape = arena.tape();
        let params = [0.5, -0.25, 2.0, 0.125, 1.0];
        let y = Curve::Poly(4).record(tape.constant(&x, [5, 1]), &params);
        // T2 = 2x² - 1, T3 = 4x³ - 3x, T4 = 8x⁴ - 8x² + 1.
        let expected = x.map(|x| {
            let (t2, t3) = (2.0 * x * x - 1.0, 4.0 * x * x * x - 3.0 * x);
            let t4 = 8.0 * x * x * x * x - 8.0 * x * x + 1.0;
            0.5 * x - 0.25 * t2 + 2.0 * t3 + 0.125 * t4 + 1.0
        });
        assert_eq!(*y.value().unwrap(), expected);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for curve in ["linear", "poly:1", "poly:3", "poly:7", "mlp:3", "mlp:4,3"] {
            let curve = Curve::parse(curve).unwrap();
            let mut params = std::vec![0.0; curve.param_count()];
            curve.start(&mut params);
            for (i, p) in params.iter_mut().enumerate() {
                *p += 0.3 - 0.1 * (i % 5) as f32;
            }
            let mut arena = Arena::<2048, 64>::new();
            let tape = arena.tape();
            // Checks the gradients by the readings as well.
            let x = tape.param(&[-0.9, -0.3, 0.2, 0.7], [4, 1]);
            let y = curve.record(x, &params);
            let loss = y.square().mean();
            let report = gradcheck(loss).unwrap();
            assert!(report.passed(), "{curve}: {report}");
        }
    }

    #[test]
    fn softsign_is_that_of_the_operations() {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let z = [
            -1e30,
            -3.0,
            -0.5,
            -0.0,
            0.0,
            1e-40,
            0.25,
            7.0,
            1e30,
            f32::INFINITY,
        ];
        let x = tape.constant(&z, [10]);
        let spelled = x / (x.abs() + 1.0);
        for (z, y) in z.into_iter().zip(spelled.value().unwrap().iter()) {
            let found = Softsign::forward(&Attrs::NONE, z);
            assert!(
                found.to_bits() == y.to_bits() || (found.is_nan() && y.is_nan()),
                "{z}"
            );
        }
    }
}
