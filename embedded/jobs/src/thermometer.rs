//! Calibrates a thermometer without units: `w * t_u + b` is fitted to the readings of a
//! thermometer in degrees Celsius.

use baregrad::function::Function;
use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
use baregrad::optim::Sgd;
use baregrad::{Arena, Error, Tape, Var, function};

/// The readings of the thermometer without units.
static T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];

/// The readings, scaled to about the size of the references.
#[allow(clippy::indexing_slicing)] // A wrong index would be an error of compilation.
static T_UN: [f32; 11] = {
    let mut scaled = [0.0; 11];
    let mut i = 0;
    while i < scaled.len() {
        scaled[i] = 0.1 * T_U[i];
        i += 1;
    }
    scaled
};

/// The references in °C.
static T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

/// Epochs after which the parameters no longer change.
pub const EPOCHS: u32 = 5000;

/// The way in which the model is recorded.
#[derive(Clone, Copy, Debug)]
pub enum Spelling {
    /// With operators.
    Operators,
    /// With `linear` and `mse`.
    Fused,
    /// With a function of one sample, which scales the readings itself.
    Function,
}

function! {
    /// °C of a thermometer without units.
    fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
}

/// Room for the spelling with operators, to the float. The other spellings need less.
pub type Memory = Arena<72, 9>;

/// Room for `linear` and `mse`, to the float.
pub type FusedMemory = Arena<28, 6>;

/// Room for the function, to the float.
pub type FunctionMemory = Arena<8, 4>;

/// Records the loss. The parameters come first on the tape: `w`, then `b`.
pub fn record<'t>(tape: &'t Tape<'t>, spelling: Spelling) -> Var<'t> {
    match spelling {
        Spelling::Operators => {
            let w = tape.param(&[1.0], []);
            let b = tape.param(&[0.0], []);
            let t_u = tape.input(&T_UN, [11]);
            let t_c = tape.input(&T_C, [11]);
            (w * t_u + b - t_c).square().mean()
        }
        Spelling::Fused => {
            let w = tape.param(&[1.0], [1, 1]);
            let b = tape.param(&[0.0], [1]);
            let t_u = tape.input(&T_UN, [11, 1]);
            let t_c = tape.input(&T_C, [11, 1]);
            t_u.linear(w, b).mse(t_c)
        }
        Spelling::Function => {
            let w_b = tape.param(&[1.0, 0.0], [2]);
            let t_u = tape.input(&T_U, [11]);
            let t_c = tape.input(&T_C, [11]);
            Thermometer::mse(t_u, w_b, t_c)
        }
    }
}

/// Trains for one epoch and computes the loss with the new parameters.
#[inline]
pub fn epoch<'t>(tape: &'t Tape<'t>, loss: Var<'t>, sgd: &mut Sgd) -> Result<(), Error> {
    tape.zero_grad();
    tape.backward(loss)?;
    tape.step(sgd)?;
    tape.replay()
}

/// Fits the line by least squares, from the parameters that training starts with. Returns the
/// parameters and their standard errors, or `None` if the solver did not converge.
pub fn solve() -> Option<[[f32; 2]; 2]> {
    let readings = CurveFit::new(Thermometer, &T_U, &T_C);
    let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&readings);
    if !solution.is_converged() {
        return None;
    }
    Some([solution.params(), solution.standard_errors()?])
}

/// The result of training.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The slope, in °C per scaled unit.
    pub w: f32,
    /// The intercept, in °C.
    pub b: f32,
    /// The mean squared error, in °C².
    pub loss: f32,
}

/// Trains by gradient descent for `epochs` epochs.
pub fn fit(spelling: Spelling, epochs: u32) -> Result<Fit, Error> {
    let mut memory = Memory::new();
    let tape = memory.tape();
    let loss = record(&tape, spelling);
    let mut sgd = Sgd::new(1e-2);
    for _ in 0..epochs {
        epoch(&tape, loss, &mut sgd)?;
    }
    let params = tape.params()?;
    let (w, b) = match &*params {
        [w, b] => (*w, *b),
        _ => (f32::NAN, f32::NAN),
    };
    Ok(Fit {
        w,
        b,
        loss: loss.item()?,
    })
}
