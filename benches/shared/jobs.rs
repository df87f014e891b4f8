//! The jobs, recorded on a tape.

use std::hint::black_box;

use baregrad::function::{Function as _, models};
use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::{Error, Shape, Tape, Var, function};

use super::line_mse::line_mse;
use super::{Line, Moons, Sine, thermometer as data};

/// A recorded loss and its optimizer.
pub struct Job<'t, O> {
    pub tape: &'t Tape<'t>,
    pub loss: Var<'t>,
    pub optimizer: O,
}

impl<O: Optimizer> Job<'_, O> {
    /// Trains for an epoch. Returns the loss before the update.
    #[inline(always)]
    pub fn epoch(&mut self) -> Result<f32, Error> {
        let loss = self.loss.item()?;
        self.tape.zero_grad();
        self.tape.backward(self.loss)?;
        self.tape.step(&mut self.optimizer)?;
        self.tape.replay()?;
        Ok(loss)
    }
}

function! {
    /// °C of a thermometer without units, as a user would write it.
    pub fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
}

/// J1 as a function of raw readings.
pub fn thermometer_function<'t>(tape: &'t Tape<'t>) -> Job<'t, Sgd> {
    let p = tape.param(&[1.0, 0.0], [2]);
    let (x, y) = (tape.input(&data::T_U, [11]), tape.input(&data::Y, [11]));
    Job {
        tape,
        loss: Thermometer::mse(x, p, y),
        optimizer: Sgd::new(data::LEARNING_RATE),
    }
}

/// J5: the line of J1 by least squares. Returns its parameters and their standard errors.
pub fn least_squares() -> [[f32; 2]; 2] {
    let (x, y) = (black_box(&data::T_U), black_box(&data::Y));
    let mut solver = LevenbergMarquardt::new(black_box([1.0, 0.0]));
    let solution = solver.run(&CurveFit::new(Thermometer, x, y));
    [solution.params(), solution.standard_errors().unwrap()]
}

/// A cubic through the samples of J1, as a function.
pub fn cubic_function<'t>(tape: &'t Tape<'t>) -> Job<'t, Sgd> {
    let a = tape.param(&[0.0; 4], [4]);
    let (x, y) = (tape.input(&data::U, [11]), tape.input(&data::Y, [11]));
    Job {
        tape,
        loss: models::Cubic::mse(x, a, y),
        optimizer: Sgd::new(data::CUBIC_LEARNING_RATE),
    }
}

/// The cubic recorded with operators.
pub fn cubic_operators<'t>(tape: &'t Tape<'t>) -> Job<'t, Sgd> {
    let [a0, a1, a2, a3] = [(); 4].map(|()| tape.param(&[0.0], []));
    let (x, y) = (tape.input(&data::U, [11]), tape.input(&data::Y, [11]));
    let cubic = ((a3 * x + a2) * x + a1) * x + a0;
    Job {
        tape,
        loss: (cubic - y).square().mean(),
        optimizer: Sgd::new(data::CUBIC_LEARNING_RATE),
    }
}

/// J1 with [`line_mse`], the operation for lines only.
pub fn thermometer_line<'t>(tape: &'t Tape<'t>) -> Job<'t, Sgd> {
    let line = tape.param(&[1.0, 0.0], [2]);
    let (x, y) = (tape.input(&data::X, [11]), tape.input(&data::Y, [11]));
    Job {
        tape,
        loss: line_mse(x, line, y),
        optimizer: Sgd::new(data::LEARNING_RATE),
    }
}

/// J1 with `linear` and `mse`.
pub fn thermometer<'t>(tape: &'t Tape<'t>) -> Job<'t, Sgd> {
    let (w, b) = (tape.param(&[1.0], [1, 1]), tape.param(&[0.0], [1]));
    let (x, y) = (tape.input(&data::X, [11, 1]), tape.input(&data::Y, [11, 1]));
    Job {
        tape,
        loss: x.linear(w, b).mse(y),
        optimizer: Sgd::new(data::LEARNING_RATE),
    }
}

/// J1 recorded with operators.
pub fn thermometer_operators<'t>(tape: &'t Tape<'t>) -> Job<'t, Sgd> {
    let (w, b) = (tape.param(&[1.0], []), tape.param(&[0.0], []));
    let (x, y) = (tape.input(&data::X, [11]), tape.input(&data::Y, [11]));
    Job {
        tape,
        loss: (w * x + b - y).square().mean(),
        optimizer: Sgd::new(data::LEARNING_RATE),
    }
}

/// J2: a network of 321 parameters learns a sine.
pub fn sine<'t>(tape: &'t Tape<'t>, sine: &'t Sine) -> Job<'t, Adam<321>> {
    let param = |i: usize| {
        let start = &sine.params[i];
        match *start.shape.as_slice() {
            [n] => tape.param(&start.data, [n]),
            [m, n] => tape.param(&start.data, [m, n]),
            _ => unreachable!("weights and biases"),
        }
    };
    let (x, y) = (tape.input(&sine.x, [64, 1]), tape.input(&sine.y, [64, 1]));
    let params: [Var<'t>; 6] = std::array::from_fn(param);
    let [w1, b1, w2, b2, w3, b3] = params;
    let hidden = x.linear_tanh(w1, b1).linear_tanh(w2, b2);
    Job {
        tape,
        loss: hidden.linear(w3, b3).mse(y),
        optimizer: Adam::new(Sine::LEARNING_RATE),
    }
}

/// The activation of the hidden layers of J6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Relu,
    Tanh,
}

/// J6: a network of 354 parameters, two classes.
pub struct Classifier<'t> {
    pub job: Job<'t, Adam<354>>,
    params: [Var<'t>; 6],
    moons: &'t Moons,
}

impl Classifier<'_> {
    /// Restores the start parameters, with a new optimizer.
    pub fn restart(&mut self) -> Result<(), Error> {
        for (param, start) in self.params.iter().zip(&self.moons.params) {
            self.job.tape.write(*param, start)?;
        }
        self.job.optimizer = Adam::new(Sine::LEARNING_RATE);
        self.job.tape.replay()
    }
}

pub fn classifier<'t>(
    tape: &'t Tape<'t>,
    moons: &'t Moons,
    activation: Activation,
) -> Classifier<'t> {
    let params = std::array::from_fn(|i| {
        let shape = Shape::new(Moons::SHAPES[i]).unwrap();
        tape.param(&moons.params[i], shape)
    });
    let [w1, b1, w2, b2, w3, b3] = params;
    let x = tape.input(&moons.x, [Moons::SAMPLES, 2]);
    let class = tape.input(&moons.class, [Moons::SAMPLES]);
    let hidden = match activation {
        Activation::Relu => x.linear_relu(w1, b1).linear_relu(w2, b2),
        Activation::Tanh => x.linear_tanh(w1, b1).linear_tanh(w2, b2),
    };
    let job = Job {
        tape,
        loss: hidden.linear(w3, b3).cross_entropy(class),
        optimizer: Adam::new(Sine::LEARNING_RATE),
    };
    Classifier { job, params, moons }
}

/// J3: recorded for one micro-batch, trained with a million samples.
pub struct Stream<'t> {
    job: Job<'t, Sgd>,
    data: [(Var<'t>, &'t [f32]); 2],
}

/// Rows of a micro-batch: two inputs, the prediction and its gradient stay in the first-level
/// cache.
pub const ROWS: usize = 2048;

/// The model of J3, and the way it is recorded.
#[derive(Clone, Copy, Debug)]
pub enum Written {
    /// A line, as a function.
    Line,
    /// A cubic, as a function.
    Cubic,
    /// A line, with `linear` and `mse`.
    TwoNodes,
}

pub fn stream<'t>(tape: &'t Tape<'t>, line: &'t Line, rows: usize, written: Written) -> Stream<'t> {
    let shape: Shape = match written {
        Written::Line | Written::Cubic => [rows].into(),
        Written::TwoNodes => [rows, 1].into(),
    };
    let x = tape.input(&line.x[..rows], shape);
    let y = tape.input(&line.y[..rows], shape);
    let loss = match written {
        Written::Line => models::Line::mse(x, tape.param(&[1.0, 1.0], [2]), y),
        Written::Cubic => models::Cubic::mse(x, tape.param(&[0.5, 2.9, 0.1, 0.1], [4]), y),
        Written::TwoNodes => {
            let (w, b) = (tape.param(&[1.0], [1, 1]), tape.param(&[1.0], [1]));
            x.linear(w, b).mse(y)
        }
    };
    let job = Job {
        tape,
        loss,
        optimizer: Sgd::new(Line::LEARNING_RATE),
    };
    Stream {
        job,
        data: [(x, &line.x), (y, &line.y)],
    }
}

impl Stream<'_> {
    /// Computes the gradient of the last micro-batch.
    pub fn batch(&mut self) -> Result<(), Error> {
        let tape = self.job.tape;
        tape.zero_grad();
        tape.replay()?;
        tape.backward(self.job.loss)
    }

    /// Trains for an epoch. Returns the loss before the update.
    pub fn epoch(&mut self) -> Result<f32, Error> {
        let tape = self.job.tape;
        tape.zero_grad();
        let loss = tape.backward_over(self.job.loss, &self.data)?;
        tape.step(&mut self.job.optimizer)?;
        Ok(loss)
    }
}

/// The sizes of the broadcast model `z = ((x - centre) * scale + shift) * gain`,
/// in which `centre` and `scale` are rows, `shift` is a column, and `gain` a scalar.
pub const STRETCH: [usize; 2] = [64, 48];

/// Returns samples and targets, `[64, 48]` each.
pub fn stretch_data() -> [Vec<f32>; 2] {
    let len = STRETCH[0] * STRETCH[1];
    [super::noise(5, len), super::noise(6, len)]
}

pub fn stretch<'t>(tape: &'t Tape<'t>, [x, y]: &'t [Vec<f32>; 2]) -> Job<'t, Sgd> {
    let [m, n] = STRETCH;
    let (x, y) = (tape.input(x, [m, n]), tape.input(y, [m, n]));
    let centre = tape.param(&[0.1; STRETCH[1]], [n]);
    let scale = tape.param(&[0.5; STRETCH[1]], [n]);
    let shift = tape.param(&[-0.1; STRETCH[0]], [m, 1]);
    let gain = tape.param(&[1.5], []);
    let z = ((x - centre) * scale + shift) * gain;
    Job {
        tape,
        loss: (z - y).square().mean(),
        optimizer: Sgd::new(0.1),
    }
}
