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
pub const MICRO_BATCH: usize = 4;

/// Room for all points at once, to the float.
pub type Memory = Arena<6916, 14>;

/// Room for a micro-batch, to the float.
pub type SmallMemory = Arena<1036, 14>;

/// A recorded network and what trains it.
#[derive(Debug)]
pub struct Network<'t> {
    tape: &'t Tape<'t>,
    x: Var<'t>,
    y: Var<'t>,
    loss: Var<'t>,
    adam: Adam<321>,
}

impl<'t> Network<'t> {
    /// Records the network for so many points at a time.
    pub fn record(tape: &'t Tape<'t>, points: usize) -> Self {
        let (w1, b1) = (tape.param(&W1, [1, 16]), tape.param(&B1, [16]));
        let (w2, b2) = (tape.param(&W2, [16, 16]), tape.param(&B2, [16]));
        let (w3, b3) = (tape.param(&W3, [16, 1]), tape.param(&B3, [1]));
        let input = |all: &'static [f32]| {
            let some = all.get(..points).unwrap_or(all);
            tape.input(some, [some.len(), 1])
        };
        let (x, y) = (input(&X), input(&Y));
        let hidden = x.linear(w1, b1).tanh().linear(w2, b2).tanh();
        let loss = hidden.linear(w3, b3).mse(y);
        Network {
            tape,
            x,
            y,
            loss,
            // Not moved here: most of the memory that a network takes is its state.
            adam: Adam::new(1e-2),
        }
    }

    /// One step, through a network recorded for all points. The loss before it.
    pub fn epoch(&mut self) -> Result<f32, Error> {
        let loss = self.loss.item()?;
        self.tape.zero_grad();
        self.tape.backward(self.loss)?;
        self.tape.step(&mut self.adam)?;
        self.tape.replay()?;
        Ok(loss)
    }

    /// One step, through a network recorded for a micro-batch. The loss before it.
    pub fn epoch_in_parts(&mut self) -> Result<f32, Error> {
        self.tape.zero_grad();
        let data = [(self.x, X.as_slice()), (self.y, Y.as_slice())];
        let loss = self.tape.backward_over(self.loss, &data)?;
        self.tape.step(&mut self.adam)?;
        Ok(loss)
    }
}
