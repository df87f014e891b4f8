//! Tests that an operation from outside the crate is treated like a built-in
//! one: recorded, replayed, differentiated, refused, at every length and level.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use baregrad::kernel::{self, Acc, Lanes, Map};
use baregrad::op::{Attrs, Backward, Forward, Op, PassGrad};
use baregrad::optim::{Optimizer, OptimizerError, Sgd};
use baregrad::random::{fill_normal, seeded};
use baregrad::{Arena, Error, ErrorKind, Shape, ShapeError, Var};

/// A sensor that saturates: `y = gain · x / (scale + |x|)`, with `x` of any shape,
/// a scalar `gain`, and the attribute `scale`. It uses all that an operation
/// can have: two operands, a gradient that is summed, attributes from the
/// caller, and one that `shape` sets.
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

/// Computes `g · gain · scale / (scale + |x|)²`.
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

/// Computes the terms `g · x / (scale + |x|)` of a sum.
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
                // `backward` reads this.
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

/// Records the same with built-in operations, in the same order.
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

/// Returns the values, and the gradients of the sum of squares with respect to `x` and `gain`.
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

    // The loss in `f64`, independent of the operation's code.
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

    // For a smaller batch `shape` runs again, and sets its attribute again,
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
    // Both operands receive gradients from both nodes.
    let loss = (x.saturate(gain, 1.0) + x.saturate(gain, 1.0)).sum();
    tape.backward(loss)?;
    assert_close(&x.grad()?, &[1.0, 0.25], "gradient of x");
    assert_close(&gain.grad()?, &[2.5], "gradient of gain");

    // A scalar may be both operands.
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
    // The error is kept: later operations do nothing, and `backward` returns it.
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
        // Special numbers at every position in a vector.
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
                // All NaN count as one, as sign and payload are not guaranteed.
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

/// An operation that copies its operand, and writes no gradient.
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

/// A gradient that was not written is zero, although its buffer is shared with other gradients.
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
        // Only the path that avoids the operation.
        assert_eq!(*x.grad().unwrap(), [2.0, 4.0, 6.0]);
    }
}

/// An operation that copies its operand, and passes its gradient on, in the same buffer or not.
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

/// `tanh(2x)`, with two kernel calls in each direction.
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

/// Computes `g (1 - y²)`.
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

// ---- views -----------------------------------------------------------------

/// A view with a given size, or one whose size is right for `rows` rows only.
struct Seen;

impl Op for Seen {
    fn name(&self) -> &'static str {
        "seen"
    }
    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [len, rows, ..] = attrs.sizes();
        let found = operands[0].dim(0);
        Ok(Shape::from([if found == rows { found } else { len }]))
    }
    fn forward(&self, _: &mut Forward<'_>) {}
    fn backward(&self, cx: &mut Backward<'_>) {
        if let Some(grad) = cx.grad(0) {
            for (to, g) in grad.operand.iter_mut().zip(grad.output) {
                grad.acc.put(to, *g);
            }
        }
    }
    fn is_view(&self) -> bool {
        true
    }
}

fn seen(len: u32, rows: u32) -> Attrs {
    Attrs {
        words: [len, rows, 0, 0],
        tag: 0,
    }
}

fn is_reshape(error: &Error, of: usize) -> bool {
    match error.kind {
        ErrorKind::Shape {
            why: ShapeError::Reshape,
            operands,
        } => operands.iter().eq([Shape::from([of])]),
        _ => false,
    }
}

/// A view with another number of elements than its source is refused.
#[test]
fn a_view_has_as_many_elements_as_its_source() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 2.0, 3.0, 4.0], [4]);
    let y = x * 2.0;
    let unrelated = tape.constant(&[7.0; 8], [8]);
    let before = tape.usage();
    let mark = tape.mark();
    for source in [x, y, unrelated] {
        let len = source.shape().numel();
        for wrong in [0, 1, len - 1, len + 1, 10, 1 << 20] {
            let error = tape.try_apply(&Seen, &[source], seen(wrong as u32, 0));
            let error = error.unwrap_err();
            assert!(is_reshape(&error, len), "{error}");
            assert_eq!(error.op, "seen");
            assert_eq!(tape.usage(), before);
            let lost = tape.apply(&Seen, &[source], seen(wrong as u32, 0));
            assert!(tape.backward_with(lost, &[9.0; 10]).is_err());
            tape.rewind(mark).unwrap();
        }
    }
    // A view of the right size works.
    let v = tape.apply(&Seen, &[y], seen(4, 0));
    tape.backward_with(v, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(*x.grad().unwrap(), [2.0, 4.0, 6.0, 8.0]);
    assert!(tape.backward_with(v, &[9.0; 10]).is_err());
    assert_eq!(*unrelated.value().unwrap(), [7.0; 8]);
}

#[test]
fn nor_another_number_after_a_rebind() {
    let data = [1.0, 2.0, 3.0, 4.0];
    for wrong in [1, 3, 4] {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[2.0], []);
        let x = tape.input(&data, [4]);
        // Views of an input, of a result, and of a view.
        for source in [x, x * w, (x * w).reshape([-1])] {
            let mark = tape.mark();
            let v = tape.apply(&Seen, &[source], seen(wrong, 4));
            let loss = (v * w).sum();
            tape.rebind(x, &data[..2]).unwrap();
            let error = tape.replay().unwrap_err();
            assert!(is_reshape(&error, 2), "{error}");
            assert_eq!(error.op, "seen");
            tape.replay().unwrap();
            assert_eq!(v.value().unwrap().len(), 4);
            tape.zero_grad();
            tape.backward(loss).unwrap();
            assert_eq!(*x.value().unwrap(), data);
            tape.rewind(mark).unwrap();
        }
    }
    // A view whose size follows its input.
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.input(&data, [4]);
    let v = tape.apply(&Seen, &[x], seen(2, 4));
    tape.rebind(x, &data[1..3]).unwrap();
    tape.replay().unwrap();
    assert_eq!(*v.value().unwrap(), data[1..3]);
}

// ---- what unwinds ----------------------------------------------------------

/// An operation `3x` that panics once, at a call that tests choose.
mod tripping {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum At {
        Nowhere,
        Shape,
        Forward,
        Backward,
        Step,
        Value,
    }

    thread_local! {
        static TRIP: Cell<(At, u32)> = const { Cell::new((At::Nowhere, 0)) };
    }

    /// The call of this kind that panics, counted from 0.
    fn trip(at: At, call: u32) {
        TRIP.set((at, call));
    }

    fn pass(at: At) {
        match TRIP.get() {
            (trip, 0) if trip == at => {
                TRIP.set((At::Nowhere, 0));
                // This panics without a message in the test's output.
                resume_unwind(Box::new("planned"));
            }
            (trip, left) if trip == at => TRIP.set((trip, left - 1)),
            _ => {}
        }
    }

    #[track_caller]
    fn unwinds<R>(run: impl FnOnce() -> R) {
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert_eq!(TRIP.get(), (At::Nowhere, 0));
    }

    struct Triple;
    impl Op for Triple {
        fn name(&self) -> &'static str {
            "triple"
        }
        fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
            pass(At::Shape);
            Ok(operands[0])
        }
        fn forward(&self, cx: &mut Forward<'_>) {
            let ([x], y) = cx.split();
            for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                *y = 3.0 * x;
                if i == 0 {
                    pass(At::Forward);
                }
            }
        }
        fn backward(&self, cx: &mut Backward<'_>) {
            if let Some(grad) = cx.grad(0) {
                for (i, (to, g)) in grad.operand.iter_mut().zip(grad.output).enumerate() {
                    grad.acc.put(to, 3.0 * g);
                    if i == 0 {
                        pass(At::Backward);
                    }
                }
            }
        }
    }

    fn triple<'t>(x: Var<'t>) -> Var<'t> {
        x.tape().apply(&Triple, &[x], Attrs::default())
    }

    /// An optimizer that moves parameters, and then panics or fails.
    struct Half {
        refuses: bool,
    }
    impl Optimizer for Half {
        fn step(&mut self, params: &mut [f32], _: &[f32]) -> Result<(), OptimizerError> {
            params[0] -= 1.0;
            pass(At::Step);
            if self.refuses {
                let (state, params) = (7, params.len());
                return Err(OptimizerError::StateSize { state, params });
            }
            Ok(())
        }
        fn learning_rate(&self) -> f32 {
            1.0
        }
        fn set_learning_rate(&mut self, _: f32) {}
    }

    const DATA: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

    fn not_replayed(result: Result<(), Error>) {
        assert_eq!(result.unwrap_err().kind, ErrorKind::NotReplayed);
    }

    #[test]
    fn recording_is_as_if_it_had_not_been_tried() {
        for at in [At::Shape, At::Forward] {
            let mut arena = Arena::<64, 16>::new();
            let tape = arena.tape();
            let w = tape.param(&[2.0, 5.0], [2]);
            let y = triple(w);
            tape.backward(y.sum()).unwrap();
            let before = tape.usage();
            for call in 0..2 {
                trip(at, 0);
                unwinds(|| triple(y));
                assert_eq!(tape.usage().nodes, before.nodes, "{at:?} {call}");
                assert_eq!(tape.usage().floats_peak, before.floats_peak);
            }
            assert!(tape.error().is_none());
            assert_eq!(*w.grad().unwrap(), [3.0; 2]);
            // Another leaf takes its place, and survives a replay.
            let z = triple(y);
            assert_eq!(*z.value().unwrap(), [18.0, 45.0]);
            tape.write(w, &[1.0, 1.0]).unwrap();
            tape.replay().unwrap();
            assert_eq!(*z.value().unwrap(), [9.0; 2]);
            tape.zero_grad();
            tape.backward(z.sum()).unwrap();
            assert_eq!(*w.grad().unwrap(), [9.0; 2]);
        }
    }

    #[test]
    fn a_forward_pass_is_to_be_replayed() {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[2.0, 5.0], [2]);
        let first = triple(w);
        let second = triple(first);
        let loss = second.sum();
        for call in 0..2 {
            for change in [[1.0, 1.0], [2.0, 5.0]] {
                tape.write(w, &change).unwrap();
                trip(At::Forward, call);
                unwinds(|| tape.replay());
                not_replayed(tape.backward(loss));
                not_replayed(tape.backward_with(first, &[1.0; 2]));
                assert!(!w.has_grad());
            }
        }
        // The same if nothing has changed.
        tape.replay().unwrap();
        trip(At::Forward, 1);
        unwinds(|| tape.replay());
        not_replayed(tape.backward(loss));
        tape.replay().unwrap();
        tape.backward(loss).unwrap();
        assert_eq!((loss.item().unwrap(), w.grad().unwrap()[0]), (63.0, 9.0));
    }

    /// After a backward pass that unwinds, gradients are incomplete, so a step fails.
    #[test]
    fn a_backward_pass_leaves_no_gradients() {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let (w, v) = (tape.param(&[2.0, 5.0], [2]), tape.param(&[1.0], []));
        let loss = (triple(w) * v).sum();
        for collected in [false, true] {
            tape.zero_grad();
            if collected {
                tape.backward(loss).unwrap();
            }
            trip(At::Backward, 0);
            unwinds(|| tape.backward(loss));
            assert!(!w.has_grad() && !v.has_grad());
            let kind = tape.step(&mut Sgd::new(1.0)).unwrap_err().kind;
            assert!(matches!(kind, ErrorKind::Unused { param: 0, .. }));
            assert_eq!(*tape.params().unwrap(), [2.0, 5.0, 1.0]);
            // The next backward pass starts anew.
            tape.backward(loss).unwrap();
            assert_eq!(*tape.grads().unwrap(), [3.0, 3.0, 21.0]);
            tape.backward(loss).unwrap();
            assert_eq!(*tape.grads().unwrap(), [6.0, 6.0, 42.0]);
        }
    }

    /// If `shape` unwinds, rebinds are undone as after an error.
    #[test]
    fn a_shape_rule_undoes_the_rebinds() {
        for call in 0..3 {
            let mut arena = Arena::<128, 16>::new();
            let tape = arena.tape();
            let w = tape.param(&[2.0], []);
            let x = tape.input(&DATA, [4]);
            let view = x.reshape([-1]);
            let a = triple(view * w);
            let b = triple(a);
            let loss = triple(b).mean();
            let expected = loss.item().unwrap();
            tape.rebind(x, &DATA[..2]).unwrap();
            trip(At::Shape, call);
            unwinds(|| tape.replay());
            assert_eq!(x.shape().dims(), [4]);
            assert_eq!(*x.value().unwrap(), DATA);
            assert_eq!(*view.value().unwrap(), DATA);
            not_replayed(tape.backward(loss));

            // The next replay may unwind as well.
            trip(At::Shape, call);
            unwinds(|| tape.replay());
            not_replayed(tape.backward(loss));
            let mark = tape.mark();
            let _ = a + b;
            tape.rewind(mark).unwrap();

            tape.replay().unwrap();
            for var in [x, view, a, b] {
                assert_eq!(var.shape().dims(), [4], "{call}");
                assert_eq!(var.value().unwrap().len(), 4, "{call}");
            }
            assert_eq!(loss.item().unwrap(), expected);
            tape.backward(loss).unwrap();
            // 27 · the mean of the data.
            assert_eq!(*w.grad().unwrap(), [67.5]);

            // Rebinding still works.
            tape.rebind(x, &DATA[2..]).unwrap();
            tape.replay().unwrap();
            assert_eq!(loss.item().unwrap(), 2.0 * 27.0 * 3.5);
            assert_eq!(b.shape().dims(), [2]);
        }
    }

    /// After a `shape` that unwound, a later rebind replaces the earlier one.
    #[test]
    fn a_rebind_after_a_shape_rule_has_unwound() {
        for rows in [1, 3, 4] {
            let mut arena = Arena::<128, 16>::new();
            let tape = arena.tape();
            let x = tape.input(&DATA, [4]);
            let y = triple(triple(x));
            tape.rebind(x, &DATA[..2]).unwrap();
            trip(At::Shape, 1);
            unwinds(|| tape.replay());
            tape.rebind(x, &DATA[..rows]).unwrap();
            tape.replay().unwrap();
            let expected: Vec<f32> = DATA[..rows].iter().map(|x| 9.0 * x).collect();
            assert_eq!(*y.value().unwrap(), expected);
            assert_eq!(y.shape().dims(), [rows]);
        }
    }

    #[test]
    fn micro_batches_leave_no_half_sums() {
        for at in [At::Shape, At::Forward, At::Backward] {
            for call in 0..4 {
                let mut arena = Arena::<128, 16>::new();
                let tape = arena.tape();
                let w = tape.param(&[2.0], []);
                let x = tape.input(&DATA[..2], [2]);
                let loss = triple(x * w).mean();
                tape.backward(loss).unwrap();
                let grad = w.grad().unwrap()[0];
                let over = |data: &'static [f32]| tape.backward_over(loss, &[(x, data)]);

                // Two micro-batches: of 1 row, and of 2.
                trip(at, call);
                if catch_unwind(AssertUnwindSafe(|| over(&DATA[..3]))).is_ok() {
                    // There are fewer calls.
                    trip(At::Nowhere, 0);
                    continue;
                }
                if w.has_grad() {
                    // Shapes are checked before anything is computed.
                    assert_eq!(at, At::Shape);
                    assert_eq!(*w.grad().unwrap(), [grad]);
                    assert_eq!(*x.value().unwrap(), DATA[..2]);
                } else {
                    assert!(tape.step(&mut Sgd::new(1.0)).is_err());
                }
                tape.zero_grad();
                assert_eq!(over(&DATA[..3]).unwrap(), 12.0, "{at:?} {call}");
                assert_eq!(*w.grad().unwrap(), [6.0]);
                tape.replay().unwrap();
                tape.zero_grad();
                tape.backward(loss).unwrap();
                assert_eq!(*w.grad().unwrap(), [7.5]);
            }
        }
    }

    #[test]
    fn a_step_that_may_have_changed_parameters_is_followed_by_a_replay() {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[2.0, 5.0], [2]);
        let loss = triple(w).sum();
        let mut left = 2.0;
        for refuses in [true, false] {
            tape.zero_grad();
            tape.backward(loss).unwrap();
            let mut half = Half { refuses };
            if refuses {
                let kind = tape.step(&mut half).unwrap_err().kind;
                assert!(matches!(kind, ErrorKind::Optimizer(_)));
            } else {
                trip(At::Step, 0);
                unwinds(|| tape.step(&mut half));
            }
            left -= 1.0;
            assert_eq!(*w.value().unwrap(), [left, 5.0]);
            not_replayed(tape.backward(loss));
            tape.replay().unwrap();
            tape.backward(loss).unwrap();
            assert_eq!(loss.item().unwrap(), 3.0 * (left + 5.0));
        }
        assert!(tape.error().is_none());
    }

    /// A leaf whose closure unwinds leaves no trace, not even in gradients that were moved for it.
    #[test]
    fn values_of_a_leaf() {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[2.0, 5.0], [2]);
        let c = tape.constant(&[7.0], []);
        let loss = (triple(w) * c).sum();
        tape.backward(loss).unwrap();
        let before = tape.usage();
        let value = |i: usize| {
            pass(At::Value);
            i as f32
        };
        for call in 0..3 {
            trip(At::Value, call);
            unwinds(|| tape.param_from_fn([3], value));
            trip(At::Value, call);
            unwinds(|| tape.constant_from_fn([3], value));
            let now = tape.usage();
            assert_eq!(now.nodes, before.nodes);
            assert_eq!(now.nodes_peak, before.nodes_peak);
            assert_eq!(now.floats_peak, before.floats_peak);
            assert_eq!(*tape.params().unwrap(), [2.0, 5.0]);
            assert_eq!(*tape.grads().unwrap(), [21.0, 21.0]);
            assert!(w.has_grad());
        }
        tape.step(&mut Sgd::new(1.0)).unwrap();
        let late = tape.param_from_fn([3], value);
        assert_eq!(*late.value().unwrap(), [0.0, 1.0, 2.0]);
        assert_eq!(*w.grad().unwrap(), [21.0, 21.0]);
        assert!(!late.has_grad());
    }

    #[test]
    fn a_check_of_gradients_leaves_parameters_as_they_are() {
        for call in 0..9 {
            let mut arena = Arena::<64, 16>::new();
            let tape = arena.tape();
            let w = tape.param(&[2.0, 5.0], [2]);
            let loss = triple(w).square().sum();
            trip(At::Forward, call);
            unwinds(|| baregrad::gradcheck::gradcheck(loss));
            assert_eq!(*w.value().unwrap(), [2.0, 5.0], "{call}");
            not_replayed(tape.backward(loss));
            assert!(baregrad::gradcheck::gradcheck(loss).unwrap().passed());
        }
    }
}
