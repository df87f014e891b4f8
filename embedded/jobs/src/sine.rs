//! A network of 321 parameters, 1-16-16-1 with tanh, learns a sine from 64
//! points: Adam, all points in each step.
//!
//! It starts with the parameters of `examples/sine`, for which PyTorch's losses are known. The
//! example has them as a table. They are drawn here with NumPy's generator, which they came from,
//! so that firmware needs no table.

use core::slice;

use baregrad::optim::Adam;
use baregrad::{Arena, Error, Shape, Tape, Var};

use crate::numpy::NumPy;

#[rustfmt::skip] // The tables have their own layout.
#[allow(dead_code)] // Most tables are for tests.
#[path = "../../../examples/sine/mod.rs"]
mod data;

/// The number of points.
pub const POINTS: usize = data::Y.len();

/// Room for all points at once, to the float.
pub type Memory = Arena<4996, 12>;

/// Room for one point at a time, to the float.
pub type SmallMemory = Arena<712, 12>;

/// The optimizer that trains it.
pub type Optimizer = Adam<321>;

/// Returns the optimizer before its first step. A constant would be a table of zeros in flash.
#[inline(always)]
pub fn optimizer() -> Optimizer {
    Adam::new(1e-2)
}

/// Returns the optimizer for gradients that are sums over all points instead of means, so
/// [`POINTS`] times as large. Adam's steps depend on the scale of the gradients through `eps`
/// only. As `POINTS` is a power of two, an `eps` that is as many times as large gives the same
/// steps, bit for bit.
#[inline(always)]
pub fn optimizer_of_sums() -> Optimizer {
    Adam::new(1e-2).eps(1e-8 * POINTS as f32)
}

/// A recorded network.
#[derive(Clone, Copy, Debug)]
pub struct Network<'t> {
    x: Var<'t>,
    y: Var<'t>,
    loss: Var<'t>,
}

impl<'t> Network<'t> {
    /// Records the network for all points at once.
    pub fn record(tape: &'t Tape<'t>) -> Self {
        let x = tape.constant_from_fn([POINTS, 1], x);
        let y = tape.constant_from_fn([POINTS, 1], y);
        Network::new(x, y)
    }

    /// Records the network for one point at a time.
    pub fn record_one(tape: &'t Tape<'t>) -> Self {
        let zero = || tape.constant_from_fn([1, 1], |_| 0.0);
        Network::new(zero(), zero())
    }

    fn new(x: Var<'t>, y: Var<'t>) -> Self {
        let loss = loss(x, y);
        Network { x, y, loss }
    }

    /// Takes one step with a network that was recorded for all points. Returns the loss before
    /// the step.
    pub fn epoch(&self, optimizer: &mut Optimizer) -> Result<f32, Error> {
        let tape = self.loss.tape();
        let loss = self.loss.item()?;
        tape.zero_grad();
        tape.backward(self.loss)?;
        tape.step(optimizer)?;
        tape.replay()?;
        Ok(loss)
    }

    /// Takes one step with a network that was recorded for one point, by the sum of the gradients
    /// of all points. Returns the mean of the losses before the step.
    pub fn epoch_one_by_one(&self, optimizer: &mut Optimizer) -> Result<f32, Error> {
        let tape = self.loss.tape();
        let mut sum = 0.0;
        tape.zero_grad();
        for i in 0..POINTS {
            for (var, value) in [(self.x, x(i)), (self.y, y(i))] {
                tape.write(var, slice::from_ref(&value))?;
            }
            tape.replay()?;
            tape.backward(self.loss)?;
            sum += self.loss.item()?;
        }
        tape.step(optimizer)?;
        Ok(sum / POINTS as f32)
    }
}

/// Records the network and its loss.
#[inline(never)] // so that training does not keep the stack of recording
fn loss<'t>(x: Var<'t>, y: Var<'t>) -> Var<'t> {
    let tape = x.tape();
    let mut rng = NumPy::new();
    let mut result = x;
    for (inputs, outputs) in [(1, 16), (16, 16), (16, 1)] {
        let [w, b] = layer(tape, &mut rng, inputs, outputs);
        result = if outputs == 1 {
            result.linear_identity(w, b)
        } else {
            result.linear_tanh(w, b)
        };
    }
    result.mse(y)
}

/// Records the weights and biases of a layer. They start like PyTorch's `nn.Linear`: uniform
/// within `1 / sqrt(inputs)` of zero.
fn layer<'t>(tape: &'t Tape<'t>, rng: &mut NumPy, inputs: usize, outputs: usize) -> [Var<'t>; 2] {
    let bound = if inputs == 1 { 1.0 } else { 0.25 };
    let mut param = |shape: Shape| tape.param_from_fn(shape, |_| rng.uniform(bound));
    [param([inputs, outputs].into()), param([outputs].into())]
}

/// The number of points above 0, which are at 1 / 63, 3 / 63, 5 / 63, …
const ABOVE: usize = POINTS / 2;

/// PyTorch's `sin(pi x)` at the points above 0.
static SINES: [f32; ABOVE] = {
    let mut sines = [0.0; ABOVE];
    let mut i = 0;
    while i < ABOVE {
        sines[i] = data::Y[ABOVE + i];
        i += 1;
    }
    sines
};

/// Returns point `i` of `torch.linspace(-1, 1, 64)`.
fn x(i: usize) -> f32 {
    odd(i) as f32 / (POINTS - 1) as f32
}

/// Returns the sine at point `i`, which has the point's sign.
fn y(i: usize) -> f32 {
    let sine = SINES.get(odd(i).unsigned_abs() as usize / 2);
    let sine = sine.copied().unwrap_or_default();
    if odd(i) < 0 { -sine } else { sine }
}

/// Returns element `i` of -63, -61, …, 63.
fn odd(i: usize) -> i32 {
    2 * i as i32 - (POINTS as i32 - 1)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::data::{B1, B2, B3, REFERENCE, W1, W2, W3, X, Y};
    use super::{Memory, Network, SmallMemory, optimizer, optimizer_of_sums};

    fn bits(xs: &[f32]) -> Vec<u32> {
        xs.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn what_is_drawn_and_computed_is_the_table() {
        let mut memory = Memory::new();
        let tape = memory.tape();
        let network = Network::record(&tape);
        let table = [&W1[..], &B1, &W2, &B2, &W3, &B3].concat();
        assert_eq!(bits(&tape.params().unwrap()), bits(&table));
        assert_eq!(bits(&network.x.value().unwrap()), bits(&X));
        assert_eq!(bits(&network.y.value().unwrap()), bits(&Y));
    }

    /// Sums of gradients with the larger `eps` give the same steps as means.
    #[test]
    fn steps_by_sums_are_those_by_means() {
        let (mut memory, mut other) = (SmallMemory::new(), SmallMemory::new());
        let (tape, other) = (memory.tape(), other.tape());
        let (sums, means) = (Network::record_one(&tape), Network::record_one(&other));
        let (mut adam_of_sums, mut adam) = (optimizer_of_sums(), optimizer());
        for _ in 0..100 {
            sums.epoch_one_by_one(&mut adam_of_sums).unwrap();
            other.zero_grad();
            for (x, y) in X.iter().zip(&Y) {
                other.write(means.x, &[*x]).unwrap();
                other.write(means.y, &[*y]).unwrap();
                other.replay().unwrap();
                let weight = 1.0 / X.len() as f32;
                other.backward_with(means.loss, &[weight]).unwrap();
            }
            other.step(&mut adam).unwrap();
            assert_eq!(
                bits(&tape.params().unwrap()),
                bits(&other.params().unwrap())
            );
        }
    }

    #[test]
    fn losses_are_pytorchs_and_memory_is_just_enough() {
        let (mut memory, mut small) = (Memory::new(), SmallMemory::new());
        let (tape, small_tape) = (memory.tape(), small.tape());
        let (network, one) = (Network::record(&tape), Network::record_one(&small_tape));
        let (mut adam, mut small_adam) = (optimizer(), optimizer_of_sums());
        // Compares with PyTorch's losses in `f64`. Later ones are rounding errors that Adam has
        // amplified.
        let mut reference = REFERENCE.iter().peekable();
        for epoch in 1..=100 {
            let loss = network.epoch(&mut adam).unwrap();
            let small_loss = one.epoch_one_by_one(&mut small_adam).unwrap();
            if let Some((_, theirs)) = reference.next_if(|(listed, _)| *listed == epoch) {
                for loss in [loss, small_loss] {
                    let off = f64::from(loss) / theirs - 1.0;
                    assert!(off.abs() < 1e-3, "epoch {epoch}: {loss}");
                }
            }
        }
        assert!(reference.next().is_some_and(|(listed, _)| *listed > 100));
        for usage in [tape.usage(), small_tape.usage()] {
            assert_eq!(usage.peak_bytes(), usage.capacity_bytes(), "{usage}");
        }
    }
}
