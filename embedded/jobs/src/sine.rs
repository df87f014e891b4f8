//! A network of 321 parameters, 1-16-16-1 with tanh, learns a sine from 64
//! points: Adam, all points in each step.

#[rustfmt::skip] // tables
#[allow(dead_code)] // nor are PyTorch's losses of interest here
#[path = "../../../examples/sine/mod.rs"]
mod data;

use baregrad::optim::Adam;
use baregrad::{Arena, Error, Tape, Var};

use data::{B1, B2, B3, W1, W2, W3, X, Y};

/// Points.
pub const POINTS: usize = X.len();

/// How many points a small memory has room for at a time.
pub const MICRO_BATCH: usize = 1;

/// Room for all points at once, to the float.
pub type Memory = Arena<4868, 12>;

/// Room for a micro-batch, to the float.
pub type SmallMemory = Arena<710, 12>;

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
    /// Records the network for so many points at a time.
    #[inline(never)] // what only recording needs is off the stack afterwards
    pub fn record(tape: &'t Tape<'t>, points: usize) -> Self {
        let input = |all: &'static [f32]| {
            let some = all.get(..points).unwrap_or(all);
            tape.input(some, [some.len(), 1])
        };
        let (w1, b1) = layer(tape, &W1, &B1);
        let (w2, b2) = layer(tape, &W2, &B2);
        let (w3, b3) = layer(tape, &W3, &B3);
        let (x, y) = (input(&X), input(&Y));
        let hidden = x.linear_tanh(w1, b1).linear_tanh(w2, b2);
        let loss = hidden.linear(w3, b3).mse(y);
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

    /// One step, through a network recorded for a micro-batch. The loss before it.
    pub fn epoch_in_parts(&self, optimizer: &mut Optimizer) -> Result<f32, Error> {
        self.tape.zero_grad();
        let data = [(self.x, X.as_slice()), (self.y, Y.as_slice())];
        let loss = self.tape.backward_over(self.loss, &data)?;
        self.tape.step(optimizer)?;
        Ok(loss)
    }
}

/// The weights of a layer, a column for each of its results, and their biases.
#[inline(never)]
fn layer<'t>(tape: &'t Tape<'t>, weights: &[f32], biases: &[f32]) -> (Var<'t>, Var<'t>) {
    let outputs = biases.len();
    let inputs = weights.len().checked_div(outputs).unwrap_or(0);
    (
        tape.param(weights, [inputs, outputs]),
        tape.param(biases, [outputs]),
    )
}

#[cfg(test)]
mod tests {
    use super::{MICRO_BATCH, Memory, Network, POINTS, SmallMemory, optimizer};

    #[test]
    fn memory_is_just_enough() {
        let (mut memory, mut small) = (Memory::new(), SmallMemory::new());
        let tape = memory.tape();
        let network = Network::record(&tape, POINTS);
        network.epoch(&mut optimizer()).unwrap();
        let usage = tape.usage();
        assert_eq!(usage.peak_bytes(), usage.capacity_bytes(), "{usage}");

        let tape = small.tape();
        let network = Network::record(&tape, MICRO_BATCH);
        network.epoch_in_parts(&mut optimizer()).unwrap();
        let usage = tape.usage();
        assert_eq!(usage.peak_bytes(), usage.capacity_bytes(), "{usage}");
    }
}
