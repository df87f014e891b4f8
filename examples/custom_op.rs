//! An operation of your own: the curve of a thermistor.
//!
//! The resistance of a thermistor falls steeply and nonlinearly with its temperature. Data sheets
//! describe it by the extended Steinhart–Hart equation,
//!
//! ```text
//! x = ln(r / r0)        T = 1 / (a + b x + c x² + d x³)        kelvin
//! ```
//!
//! The crate could record it from logarithms, products and sums: a dozen nodes, and
//! a buffer for each. As an operation of its own it is one node, and its loops are the
//! crate's: SIMD on the desktop, the same bits on the microcontroller. We fit
//! the coefficients to one sensor, to make it more precise than its data sheet.
//!
//! ```text
//! cargo run --release --example custom_op
//! ```

use std::error::Error;

use baregrad::kernel::{self, Acc, Lanes, Map, math};
use baregrad::op::{Attrs, Backward, Forward, Op};
use baregrad::optim::Adam;
use baregrad::{Arena, Shape, ShapeError, Tape, Var};

/// The operation. It computes temperatures in kelvin from resistances of any shape in ohms and the
/// coefficients `[a, b, c, d]`. Coefficients are in thousandths, which brings
/// them near 1. `r0`, in ohms, is an attribute, and not trained.
struct SteinhartHart;

/// The equation with its coefficients.
#[derive(Clone, Copy)]
struct Curve {
    coefficients: [f32; 4],
    r0: f32,
}

impl Curve {
    fn new(coefficients: &[f32], attrs: &Attrs) -> Self {
        Curve {
            // `shape` has checked that there are four.
            coefficients: coefficients.try_into().unwrap_or_default(),
            r0: attrs.x(),
        }
    }

    fn x<L: Lanes>(&self, r: L) -> L {
        math::ln(r / L::splat(self.r0))
    }
}

/// Computes `T = 1000 / (a + x (b + x (c + x d)))`.
struct Temperature(Curve);

impl Map<1> for Temperature {
    fn apply<L: Lanes>(&self, &[r]: &[L; 1]) -> L {
        let x = self.0.x(r);
        let [a, b, c, d] = self.0.coefficients.map(L::splat);
        L::splat(1000.0) / (a + x * (b + x * (c + x * d)))
    }
}

/// Computes the contribution of one element to the gradient of coefficient `k`:
/// `dT / d a = -T² / 1000`, and for `b`, `c` and `d` this times `x`, `x²` and `x³`.
struct ToCoefficient(Curve, usize);

impl Map<3> for ToCoefficient {
    fn apply<L: Lanes>(&self, &[r, t, g]: &[L; 3]) -> L {
        let ToCoefficient(curve, k) = self;
        let x = curve.x(r);
        let mut grad = g * (-(t * t) / L::splat(1000.0));
        for _ in 0..*k {
            grad = grad * x;
        }
        grad
    }
}

/// Computes the gradient of a resistance: `-T² / 1000 · (b + 2 c x + 3 d x²) / r`.
struct ToResistance(Curve);

impl Map<3> for ToResistance {
    fn apply<L: Lanes>(&self, &[r, t, g]: &[L; 3]) -> L {
        let x = self.0.x(r);
        let [_, b, c, d] = self.0.coefficients.map(L::splat);
        let slope = b + x * (c + c + x * (L::splat(3.0) * d));
        g * (-(t * t) / L::splat(1000.0)) * (slope / r)
    }
}

impl Op for SteinhartHart {
    fn name(&self) -> &'static str {
        "steinhart_hart"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        match operands {
            [r, coefficients] if *coefficients == Shape::from([4]) => Ok(*r),
            [_, _] => Err(ShapeError::Other("expected four coefficients")),
            _ => Err(ShapeError::Operands { expected: 2 }),
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let attrs = cx.attrs();
        let ([r, coefficients], t) = cx.split();
        let curve = Curve::new(coefficients, attrs);
        kernel::map(Temperature(curve), [r], t, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let curve = Curve::new(cx.operand(1), cx.attrs());
        let (r, t) = (cx.operand(0), cx.output());
        // The gradient is `None` for an operand that needs none, such as measured data.
        if let Some(grad) = cx.grad(0) {
            let xs = [r, t, grad.output];
            kernel::map(ToResistance(curve), xs, grad.operand, grad.acc);
        }
        if let Some(grad) = cx.grad(1) {
            for (k, to) in grad.operand.iter_mut().enumerate() {
                let sum = kernel::sum_of(ToCoefficient(curve, k), [r, t, grad.output]);
                match grad.acc {
                    Acc::Set => *to = sum,
                    Acc::Add => *to += sum,
                }
            }
        }
    }
}

/// An extension trait, so that the operation is called like a built-in one. With `track_caller`,
/// an error names the line of the call.
trait Thermistor<'t> {
    fn steinhart_hart(self, coefficients: Var<'t>, r0: f32) -> Var<'t>;
}

impl<'t> Thermistor<'t> for Var<'t> {
    #[track_caller]
    fn steinhart_hart(self, coefficients: Var<'t>, r0: f32) -> Var<'t> {
        let operands = [self, coefficients];
        self.tape()
            .apply(&SteinhartHart, &operands, Attrs::float(r0))
    }
}

/// Resistances in ohms of a sensor with 10 kΩ at 25 °C.
#[rustfmt::skip]
static RESISTANCE: [f32; 12] = [
    32650.0, 19900.0, 12490.0, 10000.0, 8057.0, 5327.0,
    3603.0, 2488.0, 1752.0, 1258.0, 917.7, 680.0,
];
/// Temperatures in °C of the reference.
#[rustfmt::skip]
static REFERENCE: [f32; 12] = [
    0.0, 10.0, 20.0, 25.0, 30.0, 40.0,
    50.0, 60.0, 70.0, 80.0, 90.0, 100.0,
];

/// The beta equation of the data sheet: 25 °C at `R0`, beta 3892, no further terms.
const START: [f32; 4] = [1000.0 / 298.15, 1000.0 / 3892.0, 0.0, 0.0];
const R0: f32 = 10_000.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arena = Arena::<58, 6>::new();
    let tape = arena.tape();
    let coefficients = tape.param(&START, [4]);
    let r = tape.input(&RESISTANCE, [12]);
    let reference = tape.input(&REFERENCE, [12]);
    let celsius = r.steinhart_hart(coefficients, R0) - 273.15;
    let loss = celsius.mse(reference);
    let before = celsius.value()?.to_vec();

    println!("# Is the backward rule right?\n");
    check_gradient(&tape, coefficients, loss)?;

    println!("\n# Fitting the coefficients, Adam with learning rate 1e-4\n");
    let mut adam = Adam::<4>::new(1e-4);
    for epoch in 1..=1000 {
        tape.zero_grad();
        tape.backward(loss)?;
        if epoch == 1 || epoch % 200 == 0 {
            println!("Epoch {epoch}, Loss {:.6}", loss.item()?);
        }
        tape.step(&mut adam)?;
        tape.replay()?;
    }
    println!("coefficients: {:.6?}", &*coefficients.value()?);
    println!("arena: {} bytes", tape.usage().peak_bytes());

    println!("\n   ohm     °C   error before   and after");
    let after = celsius.value()?;
    let rows = RESISTANCE.iter().zip(&REFERENCE).zip(&before).zip(&*after);
    for (((r, reference), before), after) in rows {
        let (before, after) = (before - reference, after - reference);
        println!("{r:6}  {reference:5}   {before:+12.2}   {after:+9.2}");
    }
    Ok(())
}

/// Compares each element of the gradient with a central finite difference of the loss.
fn check_gradient<'t>(
    tape: &'t Tape<'t>,
    coefficients: Var<'t>,
    loss: Var<'t>,
) -> Result<(), Box<dyn Error>> {
    let loss_at = |k: usize, delta: f32| -> Result<f32, baregrad::Error> {
        let mut moved = START;
        if let Some(coefficient) = moved.get_mut(k) {
            *coefficient += delta;
        }
        tape.write(coefficients, &moved)?;
        tape.replay()?;
        loss.item()
    };

    tape.backward(loss)?;
    let grad = coefficients.grad()?.to_vec(); // a guard would lock the tape
    println!("by the tape   by finite differences");
    let delta = 2e-4;
    for (k, grad) in grad.iter().enumerate() {
        let difference = (loss_at(k, delta)? - loss_at(k, -delta)?) / (2.0 * delta);
        println!("{grad:11.2}   {difference:21.2}");
        if (grad - difference).abs() > 0.01 * grad.abs() {
            return Err(format!("the gradient of coefficient {k} is wrong").into());
        }
    }

    tape.write(coefficients, &START)?;
    tape.replay()?;
    Ok(())
}
