//! An operation from outside the crate goes through the same door as a built-in
//! one: recorded, replayed, differentiated, refused, at every length and level.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use baregrad::kernel::{self, Acc, Lanes, Map};
use baregrad::op::{Attrs, Backward, Forward, Op, PassGrad};
use baregrad::optim::Sgd;
use baregrad::random::{fill_normal, seeded};
use baregrad::{Arena, Error, ErrorKind, Shape, ShapeError, Var};

/// A sensor that saturates: `y = gain · x / (scale + |x|)`, `x` of any shape,
/// `gain` a single number, `scale` an attribute. Exercises what an operation
/// can have: two operands, a gradient that is summed, attributes from the
/// caller and one its own shape rule leaves.
struct Saturate;

struct Curve {
    scale: f32,
}
impl Map<1> for Curve {
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x / (L::splat(self.scale) + x.abs())
    }
}

struct Response {
    curve: Curve,
    gain: f32,
}
impl Map<1> for Response {
    fn apply<L: Lanes>(&self, x: &[L; 1]) -> L {
        self.curve.apply(x) * L::splat(self.gain)
    }
}

/// `g · gain · scale / (scale + |x|)²`
struct ToInput {
    scale: f32,
    gain: f32,
}
impl Map<2> for ToInput {
    fn apply<L: Lanes>(&self, &[x, g]: &[L; 2]) -> L {
        let width = L::splat(self.scale) + x.abs();
        g * (L::splat(self.gain * self.scale) / (width * width))
    }
}

/// `g · x / (scale + |x|)`, to be summed.
struct ToGain(Curve);
impl Map<2> for ToGain {
    fn apply<L: Lanes>(&self, &[x, g]: &[L; 2]) -> L {
        g * self.0.apply(&[x])
    }
}

fn only(x: &[f32]) -> f32 {
    x.first().copied().unwrap_or(f32::NAN)
}

impl Op for Saturate {
    fn name(&self) -> &'static str {
        "saturate"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        match operands {
            [x, gain] if gain.numel() == 1 => {
                // For `backward`, which reads it back.
                attrs.words[3] = x.numel() as u32;
                Ok(*x)
            }
            [_, _] => Err(ShapeError::Other("the gain is a single number")),
            _ => Err(ShapeError::Operands { expected: 2 }),
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let scale = cx.attrs().x();
        let ([x, gain], y) = cx.split();
        let f = Response {
            curve: Curve { scale },
            gain: only(gain),
        };
        kernel::map(f, [x], y, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (x, gain, scale) = (cx.operand(0), only(cx.operand(1)), cx.attrs().x());
        assert_eq!(cx.attrs().words[3] as usize, x.len());
        assert_eq!(cx.operand_shape(0), cx.shape());
        if let Some(grad) = cx.grad(0) {
            let f = ToInput { scale, gain };
            kernel::map(f, [x, grad.output], grad.operand, grad.acc);
        }
        if let Some(grad) = cx.grad(1) {
            let sum = kernel::sum_of(ToGain(Curve { scale }), [x, grad.output]);
            match grad.acc {
                Acc::Set => grad.operand[0] = sum,
                Acc::Add => grad.operand[0] += sum,
            }
        }
    }
}

trait Saturating<'t> {
    fn saturate(self, gain: Var<'t>, scale: f32) -> Var<'t>;
}
impl<'t> Saturating<'t> for Var<'t> {
    #[track_caller]
    fn saturate(self, gain: Var<'t>, scale: f32) -> Var<'t> {
        self.tape()
            .apply(&Saturate, &[self, gain], Attrs::float(scale))
    }
}

fn one_node<'t>(x: Var<'t>, gain: Var<'t>, scale: f32) -> Var<'t> {
    x.saturate(gain, scale)
}

/// The same from built-in operations, in the same order.
fn spelled_out<'t>(x: Var<'t>, gain: Var<'t>, scale: f32) -> Var<'t> {
    x / (scale + x.abs()) * gain
}

fn sample(n: usize) -> Vec<f32> {
    let mut x = vec![0.0; n];
    fill_normal(&mut seeded(n as u64), 0.0, 2.0, &mut x).unwrap();
    x
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(expected) {
        assert!(
            (f - e).abs() <= 1e-5 * (1.0 + e.abs()),
            "{what}: {f} and {e}"
        );
    }
}

/// Values, and the gradients of the sum of squares with respect to `x` and `gain`.
fn run(
    op: for<'t> fn(Var<'t>, Var<'t>, f32) -> Var<'t>,
    x: &[f32],
) -> Result<[Vec<f32>; 3], Error> {
    let mut arena = Arena::<1200, 16>::new();
    let tape = arena.tape();
    let x = tape.param(x, [x.len()]);
    let gain = tape.param(&[1.5], []);
    let y = op(x, gain, 0.75);
    tape.backward(y.square().sum())?;
    let found = [
        y.value()?.to_vec(),
        x.grad()?.to_vec(),
        gain.grad()?.to_vec(),
    ];
    Ok(found)
}

#[test]
fn every_length_agrees_with_built_in_operations() {
    for n in 0..=67 {
        let x = sample(n);
        let [y, to_x, to_gain] = run(one_node, &x).unwrap();
        let [y2, to_x2, to_gain2] = run(spelled_out, &x).unwrap();
        assert_eq!(bits(&y), bits(&y2), "length {n}");
        assert_close(&to_x, &to_x2, "gradient of x");
        assert_close(&to_gain, &to_gain2, "gradient of gain");
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    let x = sample(19);
    let [_, to_x, to_gain] = run(one_node, &x).unwrap();

    // In f64, and independent of the operation's own code.
    let loss = |x: &[f64], gain: f64| -> f64 {
        x.iter()
            .map(|x| gain * x / (0.75 + x.abs()))
            .map(|y| y * y)
            .sum()
    };
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let delta = 1e-5;
    let expected: Vec<f32> = (0..x.len())
        .map(|i| {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += delta;
            down[i] -= delta;
            ((loss(&up, 1.5) - loss(&down, 1.5)) / (2.0 * delta)) as f32
        })
        .collect();
    assert_close(&to_x, &expected, "gradient of x");
    let expected = (loss(&x, 1.5 + delta) - loss(&x, 1.5 - delta)) / (2.0 * delta);
    assert_close(&to_gain, &[expected as f32], "gradient of gain");
}

#[test]
fn a_replay_follows_parameters_and_inputs() -> Result<(), Error> {
    let (first, second) = ([1.0, -2.0, 4.0], [-0.5, 3.0]);
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let gain = tape.param(&[2.0], []);
    let x = tape.input(&first, [3]);
    let y = x.saturate(gain, 1.0);
    let loss = y.sum();
    assert_close(&y.value()?, &[1.0, -4.0 / 3.0, 1.6], "recorded");

    tape.write(gain, &[10.0])?;
    tape.replay()?;
    assert_close(&y.value()?, &[5.0, -20.0 / 3.0, 8.0], "another gain");

    // A smaller batch: the shape rule runs again, and so do its attributes,
    // which `backward` asserts.
    tape.rebind(x, &second)?;
    tape.replay()?;
    assert_eq!(y.shape(), Shape::from([2]));
    assert_close(&y.value()?, &[-10.0 / 3.0, 7.5], "another batch");
    tape.backward(loss)?;
    assert_close(&gain.grad()?, &[-1.0 / 3.0 + 0.75], "gradient of gain");
    Ok(())
}

#[test]
fn gradients_add_up_when_an_operand_is_used_twice() -> Result<(), Error> {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 3.0], [2]);
    let gain = tape.param(&[2.0], []);
    // Both operands receive from both nodes.
    let loss = (x.saturate(gain, 1.0) + x.saturate(gain, 1.0)).sum();
    tape.backward(loss)?;
    assert_close(&x.grad()?, &[1.0, 0.25], "gradient of x");
    assert_close(&gain.grad()?, &[2.5], "gradient of gain");

    // And a single number may stand on both sides.
    let mark = tape.mark();
    let loss = gain.saturate(gain, 1.0); // gain² / (1 + gain)
    tape.zero_grad();
    tape.backward(loss)?;
    assert_close(&gain.grad()?, &[8.0 / 9.0], "gradient of gain²");
    tape.rewind(mark)?;
    Ok(())
}

#[test]
fn no_gradient_is_asked_for_where_none_flows() -> Result<(), Error> {
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let x = tape.constant(&[1.0, 3.0], [2]);
    let gain = tape.param(&[2.0], []);
    let y = x.saturate(gain, 1.0);
    assert!(y.requires_grad());
    tape.backward(y.sum())?;
    assert!(!x.has_grad());
    assert_close(&gain.grad()?, &[1.25], "gradient of gain");
    assert!(!tape.no_grad(|| x.saturate(gain, 1.0)).requires_grad());
    Ok(())
}

#[test]
fn a_sensor_is_trained_through_it() -> Result<(), Error> {
    let x = sample(32);
    let y: Vec<f32> = x.iter().map(|x| 3.25 * x / (1.0 + x.abs())).collect();
    let mut arena = Arena::<300, 8>::new();
    let tape = arena.tape();
    let gain = tape.param(&[1.0], []);
    let loss = tape
        .input(&x, [32])
        .saturate(gain, 1.0)
        .mse(tape.input(&y, [32]));
    let mut sgd = Sgd::new(0.5);
    for _ in 0..200 {
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut sgd)?;
        tape.replay()?;
    }
    assert!((gain.item()? - 3.25).abs() < 1e-5);
    Ok(())
}

#[test]
fn refusals_name_the_operation_the_shapes_and_the_line() {
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 2.0, 3.0], [3]);
    let gains = tape.param(&[1.0, 2.0], [2]);

    let (y, line) = (x.saturate(gains, 1.0), line!());
    // The error sticks: what follows does nothing, what leaves the tape tells.
    let error = tape.backward((y + x).sum()).unwrap_err();
    assert_eq!(error.op, "saturate");
    assert_eq!((error.at.file(), error.at.line()), (file!(), line));
    assert!(matches!(
        error.kind,
        ErrorKind::Shape {
            why: ShapeError::Other(_),
            ..
        }
    ));
    let message = error.to_string();
    for part in ["saturate: the gain is a single number", "[3] and [2]"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn try_apply_leaves_the_tape_usable() -> Result<(), Error> {
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0], []);
    let refused = tape.try_apply(&Saturate, &[x], Attrs::float(1.0));
    assert!(matches!(
        refused.unwrap_err().kind,
        ErrorKind::Shape {
            why: ShapeError::Operands { expected: 2 },
            ..
        }
    ));
    assert_eq!(x.saturate(x, 1.0).item()?, 0.5);
    Ok(())
}

#[cfg(feature = "std")]
#[test]
fn every_level_gives_the_same_bits() {
    use baregrad::kernel::{Level, level, set_level};

    let best = level();
    for n in 0..=67 {
        let mut x = sample(n);
        // Numbers that are hard to agree on, wherever a lane may begin or end.
        let hard = [
            0.0,
            -0.0,
            1e-45,
            -1e-39,
            3e38,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ];
        for (x, hard) in x.iter_mut().skip(n % 5).step_by(9).zip(hard) {
            *x = hard;
        }
        let runs: Vec<_> = Level::available()
            .map(|level| {
                set_level(level);
                // One NaN: its sign and payload are not promised.
                run(one_node, &x).unwrap().map(|xs| {
                    xs.iter()
                        .map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "length {n}");
    }
    set_level(best);
}

/// Passes its operand on, and no gradient back.
struct Wall;

impl Op for Wall {
    fn name(&self) -> &'static str {
        "wall"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Ok(operands[0])
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x], y) = cx.split();
        y.copy_from_slice(x);
    }
    fn backward(&self, _: &mut Backward<'_>) {}
}

/// The buffer of a gradient nobody wrote is shared with others: what they left
/// there must not be taken for a gradient.
#[test]
fn a_gradient_that_is_not_sent_is_zero() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 2.0, 3.0], [3]);
    let doubled = x * 2.0;
    let wall = tape.apply(&Wall, &[doubled], Attrs::default());
    let loss = (wall * x).sum();
    for _ in 0..2 {
        tape.zero_grad();
        tape.backward(loss).unwrap();
        // Only the way beside the wall.
        assert_eq!(*x.grad().unwrap(), [2.0, 4.0, 6.0]);
    }
}

/// The same values, and the gradient as it is: in a buffer of its own, or not.
struct Same {
    passes_grad: bool,
}
impl Op for Same {
    fn name(&self) -> &'static str {
        "same"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Ok(operands[0])
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x], y) = cx.split();
        y.copy_from_slice(x);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        if let Some(grad) = cx.grad(0) {
            for (to, g) in grad.operand.iter_mut().zip(grad.output) {
                grad.acc.put(to, *g);
            }
        }
    }
    fn passes_grad(&self, _: usize) -> Option<PassGrad> {
        self.passes_grad.then(PassGrad::new)
    }
}

#[test]
fn a_gradient_that_is_passed_on_takes_no_floats() {
    let peak = |same: &'static Same| {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let x = tape.param(&[1.0, 2.0, 3.0], [3]);
        let y = tape.apply(same, &[x * 2.0], Attrs::default());
        let y = tape.apply(same, &[y], Attrs::default());
        let loss = y.sum();
        for _ in 0..2 {
            tape.zero_grad();
            tape.backward(loss).unwrap();
            assert_eq!(*x.grad().unwrap(), [2.0; 3]);
        }
        tape.usage().floats_peak
    };
    static COPIES: Same = Same { passes_grad: false };
    static PASSES: Same = Same { passes_grad: true };
    assert_eq!(peak(&COPIES) - peak(&PASSES), 3);
}

/// `tanh(2x)`, in two steps both ways.
struct Steep;

struct Double;
impl Map<1> for Double {
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x + x
    }
}

struct Tanh;
impl Map<1> for Tanh {
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        kernel::math::tanh(x)
    }
}

/// `g (1 - y²)`
struct BeforeTanh;
impl Map<2> for BeforeTanh {
    fn apply<L: Lanes>(&self, &[g, y]: &[L; 2]) -> L {
        g * (L::splat(1.0) - y * y)
    }
}

impl Op for Steep {
    fn name(&self) -> &'static str {
        "steep"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Ok(operands[0])
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x], y) = cx.split();
        kernel::map(Double, [x], y, Acc::Set);
        kernel::map_in_place(Tanh, y);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        let y = cx.output();
        kernel::zip_in_place(BeforeTanh, cx.output_grad(), y);
        if let Some(grad) = cx.grad(0) {
            kernel::map(Double, [grad.output], grad.operand, grad.acc);
        }
    }
}

#[test]
fn the_gradient_of_the_result_can_be_changed_where_it_stands() {
    for n in 0..=67 {
        let values = sample(n);
        let mut arena = Arena::<1024, 16>::new();
        let tape = arena.tape();
        let (x, z) = (tape.param(&values, [n]), tape.param(&values, [n]));
        let steep = tape.apply(&Steep, &[x], Attrs::default());
        let loss = (steep * steep).sum() + (z + z).tanh().square().sum();
        for _ in 0..2 {
            tape.backward(loss).unwrap();
            assert_eq!(*x.grad().unwrap(), *z.grad().unwrap(), "of {n}");
        }
    }
}
