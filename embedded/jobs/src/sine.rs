//! A network of 321 parameters, 1-16-16-1 with tanh, learns a sine from 64
//! points: Adam, all points in each step.

#[rustfmt::skip] // tables
#[allow(dead_code)] // nor are PyTorch's losses of interest here
#[path = "../../../examples/sine/mod.rs"]
mod data;

use core::slice;

use baregrad::optim::Adam;
use baregrad::{Arena, Error, Tape, Var};

use data::{B1, B2, B3, W1, W2, W3, X, Y};

/// Points.
pub const POINTS: usize = X.len();

/// Room for all points at once, to the float.
pub type Memory = Arena<4868, 12>;

/// Room for one point at a time, to the float.
pub type SmallMemory = Arena<712, 12>;

/// What trains it.
pub type Optimizer = Adam<321>;

/// As it starts. Not a constant: that would be a table of zeros.
#[inline(always)]
pub fn optimizer() -> Optimizer {
    Adam::new(1e-2)
}

/// A recorded network.
#[derive(Clone, Copy, Debug)]
pub struct Network<'t> {
    tape: &'t Tape<'t>,
    x: Var<'t>,
    y: Var<'t>,
    loss: Var<'t>,
}

impl<'t> Network<'t> {
    /// Records the network for all points at once.
    pub fn record(tape: &'t Tape<'t>) -> Self {
        let x = tape.input(&X, [POINTS, 1]);
        let y = tape.input(&Y, [POINTS, 1]);
        Network::over(tape, x, y)
    }

    /// Records the network for one point, as a sensor gives them.
    pub fn record_one(tape: &'t Tape<'t>) -> Self {
        let x = tape.constant(&[0.0], [1, 1]);
        let y = tape.constant(&[0.0], [1, 1]);
        Network::over(tape, x, y)
    }

    #[inline(never)] // what only recording needs is off the stack afterwards
    fn over(tape: &'t Tape<'t>, x: Var<'t>, y: Var<'t>) -> Self {
        let (w, b) = params(tape, &W1, &B1);
        let hidden = x.linear_tanh(w, b);
        let (w, b) = params(tape, &W2, &B2);
        let hidden = hidden.linear_tanh(w, b);
        let (w, b) = params(tape, &W3, &B3);
        let loss = hidden.linear(w, b).mse(y);
        Network { tape, x, y, loss }
    }

    /// One step, through a network recorded for all points. The loss before it.
    pub fn epoch(&self, optimizer: &mut Optimizer) -> Result<f32, Error> {
        let loss = self.loss.item()?;
        self.tape.zero_grad();
        self.tape.backward(self.loss)?;
        self.tape.step(optimizer)?;
        self.tape.replay()?;
        Ok(loss)
    }

    /// One step, through a network recorded for one point: gradients of all of them
    /// add up to that of their mean. The loss before it.
    pub fn epoch_one_by_one(&self, optimizer: &mut Optimizer) -> Result<f32, Error> {
        const WEIGHT: f32 = 1.0 / POINTS as f32;
        let mut loss = 0.0;
        self.tape.zero_grad();
        for (x, y) in X.iter().zip(&Y) {
            self.tape.write(self.x, slice::from_ref(x))?;
            self.tape.write(self.y, slice::from_ref(y))?;
            self.tape.replay()?;
            self.tape.backward_with(self.loss, &[WEIGHT])?;
            loss += WEIGHT * self.loss.item()?;
        }
        self.tape.step(optimizer)?;
        Ok(loss)
    }
}

/// The weights of a layer, a column for each of its results, and their biases.
#[inline(never)]
fn params<'t>(tape: &'t Tape<'t>, weights: &[f32], biases: &[f32]) -> (Var<'t>, Var<'t>) {
    let outputs = biases.len();
    let inputs = weights.len().checked_div(outputs).unwrap_or(0);
    (
        tape.param(weights, [inputs, outputs]),
        tape.param(biases, [outputs]),
    )
}

#[cfg(test)]
mod tests {
    use super::data::REFERENCE;
    use super::{Memory, Network, SmallMemory, optimizer};

    #[test]
    fn losses_are_pytorchs_and_memory_is_just_enough() {
        let (mut memory, mut small) = (Memory::new(), SmallMemory::new());
        let (tape, small_tape) = (memory.tape(), small.tape());
        let (network, one) = (Network::record(&tape), Network::record_one(&small_tape));
        let (mut adam, mut small_adam) = (optimizer(), optimizer());
        // PyTorch's in `f64`. Later ones are rounding errors that Adam has amplified.
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
