//! Runs every optimizer on three problems, and prints a table of the epochs that each takes. With
//! `plot`, it draws the losses.
//!
//! ```text
//! cargo run --release --example optimizers
//! cargo run --release --features plot --example optimizers # draws target/optimizers, too
//! ```
//!
//! - **thermometer**: a line through eleven readings, scaled by 0.1, from w = 1 and b = 0.
//!   The goal is 1.01 × the least loss, which has a closed form: 2.9276.
//! - **rosenbrock**: (1 − x)² + 100 (y − x²)² from (−1.5, 2). The least loss is 0, so the goal is
//!   absolute, a loss of 1e-4, where x is within 0.01 of 1.
//! - **sine**: a network 1-16-16-1 with tanh learns 64 points of sin(πx). Its least loss is
//!   unknown and close to 0, so the goal is absolute, a mean squared error of 1e-3, which is 0.2 %
//!   of the points' variance.
//!
//! An epoch is one evaluation of the loss and its gradients, including the one that reaches the
//! goal. L-BFGS with strong Wolfe may take several epochs for a step. Learning rates were chosen
//! among powers of 2 and 1.5 times those for each problem, and are mostly constant; options were
//! chosen once for all three problems. Everything else is PyTorch's default. The program fails if
//! an optimizer takes more epochs than its limit. The numbers are the same on every machine, as
//! all bits are.

use std::process::ExitCode;

use baregrad::optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Answer, Asgd, Lbfgs, Muon, NAdam, Optimizer,
    ParamGroups, RAdam, RmsProp, Rprop, Search, Sgd, SparseAdam,
};
use baregrad::{Arena, Error, Shape, Tape, Var};

#[rustfmt::skip] // The tables have their own layout.
#[allow(dead_code)] // The reference losses, which are those of Adam, are not used here.
mod sine;

/// The readings of the thermometer without units.
const T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
/// The temperatures in °C.
const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

/// A loss to minimise.
#[derive(Clone, Copy)]
enum Problem {
    Thermometer,
    Rosenbrock,
    Sine,
}

impl Problem {
    const ALL: [Self; 3] = [Self::Thermometer, Self::Rosenbrock, Self::Sine];

    fn name(self) -> &'static str {
        match self {
            Self::Thermometer => "thermometer",
            Self::Rosenbrock => "rosenbrock",
            Self::Sine => "sine",
        }
    }

    /// Returns the loss at or below which a run ends.
    fn goal(self) -> f32 {
        match self {
            Self::Thermometer => 1.01 * least_loss_of_a_line() as f32,
            Self::Rosenbrock => 1e-4,
            Self::Sine => 1e-3,
        }
    }

    /// Records the loss. Matrices come first among the parameters, so that Muon can have a group
    /// of its own.
    fn record<'t>(self, tape: &'t Tape<'t>) -> Var<'t> {
        match self {
            Self::Thermometer => {
                let rows = T_U.map(|t_u| [0.1 * t_u, 1.0]);
                let line = tape.param(&[1.0, 0.0], [2, 1]);
                let readings = tape.constant(rows.as_flattened(), [11, 2]);
                readings.matmul(line).mse(tape.input(&T_C, [11, 1]))
            }
            Self::Rosenbrock => {
                let p = tape.param(&[-1.5, 2.0], [2, 1]);
                let (x, y) = (p.narrow(0, 0, 1), p.narrow(0, 1, 1));
                ((1.0 - x).square() + 100.0 * (y - x.square()).square()).sum()
            }
            Self::Sine => {
                let w1 = tape.param(&sine::W1, [1, 16]);
                let w2 = tape.param(&sine::W2, [16, 16]);
                let w3 = tape.param(&sine::W3, [16, 1]);
                let [b1, b2] = [&sine::B1, &sine::B2].map(|b| tape.param(b, [16]));
                let b3 = tape.param(&sine::B3, [1]);
                let x = tape.input(&sine::X, [64, 1]);
                let hidden = x.linear(w1, b1).tanh().linear(w2, b2).tanh();
                hidden.linear(w3, b3).mse(tape.input(&sine::Y, [64, 1]))
            }
        }
    }

    /// Returns the number of elements of all parameters, and of matrices among them.
    fn elements(self) -> [usize; 2] {
        match self {
            Self::Thermometer | Self::Rosenbrock => [2, 2],
            Self::Sine => [321, 288],
        }
    }
}

/// Returns the mean squared error of the least-squares line, in `f64`.
fn least_loss_of_a_line() -> f64 {
    let n = T_U.len() as f64;
    let pairs = || {
        T_U.iter()
            .zip(&T_C)
            .map(|(x, y)| (f64::from(*x), f64::from(*y)))
    };
    let sum = |of: fn((f64, f64)) -> f64| pairs().map(of).sum::<f64>() / n;
    let (x, y) = (sum(|(x, _)| x), sum(|(_, y)| y));
    let xx = sum(|(x, _)| x * x) - x * x;
    let xy = sum(|(x, y)| x * y) - x * y;
    sum(|(_, y)| y * y) - y * y - xy * xy / xx
}

/// The parameters that an optimizer is made for.
struct Parameters<'s> {
    elements: usize,
    /// The number of elements of matrices, which come first.
    of_matrices: usize,
    shapes: &'s [Shape],
}

/// An optimizer that needs gradients, or one that needs losses, too.
enum Method<'s> {
    ByGradients(Box<dyn Optimizer + 's>),
    ByLosses(Box<dyn Search>),
}

use Method::{ByGradients, ByLosses};

/// A learning rate, its factor from epoch to epoch, and the limit of epochs.
type Setting = (f32, f32, u32);

/// An optimizer with its settings.
struct Entry {
    name: &'static str,
    /// The options that `make` sets to other values than PyTorch's defaults.
    options: &'static str,
    make: for<'s> fn(f32, &Parameters<'s>) -> Method<'s>,
    /// The settings for the thermometer, Rosenbrock's function and the sine.
    settings: [Setting; 3],
}

impl Entry {
    fn setting(&self, problem: Problem) -> Setting {
        let [thermometer, rosenbrock, sine] = self.settings;
        match problem {
            Problem::Thermometer => thermometer,
            Problem::Rosenbrock => rosenbrock,
            Problem::Sine => sine,
        }
    }
}

/// The number of pairs that L-BFGS remembers.
const HISTORY: usize = 8;

const OPTIMIZERS: [Entry; 17] = [
    Entry {
        name: "SGD",
        options: "",
        make: |lr, _| ByGradients(Box::new(Sgd::new(lr))),
        settings: [
            (1.0 / 32.0, 1.0, 700),
            (1.0 / 512.0, 1.0, 1100),
            (3.0 / 16.0, 1.0, 1700),
        ],
    },
    Entry {
        name: "SGD, momentum",
        options: "momentum 0.9",
        make: |lr, of| ByGradients(Box::new(Sgd::new(lr).momentum_on_heap(0.9, of.elements))),
        settings: [
            (3.0 / 128.0, 1.0, 80),
            (1.0 / 512.0, 1.0, 400),
            (1.0 / 8.0, 1.0, 150),
        ],
    },
    Entry {
        name: "Adam",
        options: "",
        make: |lr, of| ByGradients(Box::new(Adam::on_heap(lr, of.elements))),
        settings: [(2.0, 1.0, 60), (2.0, 1.0, 500), (1.0 / 16.0, 1.0, 80)],
    },
    // With PyTorch's 0.01 the parameters stay so far from the optimum that the thermometer
    // takes 1,500 epochs.
    Entry {
        name: "AdamW",
        options: "weight_decay 1e-3",
        make: |lr, of| ByGradients(Box::new(AdamW::on_heap(lr, of.elements).weight_decay(1e-3))),
        settings: [
            (2.0, 1.0, 60),
            (1.0 / 8.0, 1.0, 1000),
            (1.0 / 16.0, 1.0, 80),
        ],
    },
    Entry {
        name: "NAdam",
        options: "",
        make: |lr, of| ByGradients(Box::new(NAdam::on_heap(lr, of.elements))),
        settings: [
            (1.0 / 2.0, 1.0, 150),
            (1.0 / 64.0, 1.0, 2600),
            (3.0 / 128.0, 1.0, 200),
        ],
    },
    // The first five steps are SGD's, which need a small rate. The later steps are slow with that
    // rate, with PyTorch's β₂ of 0.999 more so than with 0.99.
    Entry {
        name: "RAdam",
        options: "betas 0.9, 0.99",
        make: |lr, of| ByGradients(Box::new(RAdam::on_heap(lr, of.elements).betas(0.9, 0.99))),
        settings: [
            (3.0 / 32.0, 1.0, 800),
            (1.0 / 128.0, 1.0, 1800),
            (3.0 / 16.0, 1.0, 100),
        ],
    },
    Entry {
        name: "Adamax",
        options: "",
        make: |lr, of| ByGradients(Box::new(Adamax::on_heap(lr, of.elements))),
        settings: [
            (2.0, 1.0, 150),
            (3.0 / 2.0, 1.0, 2000),
            (3.0 / 32.0, 1.0, 100),
        ],
    },
    // Momentum takes a second float for each parameter.
    Entry {
        name: "RMSprop",
        options: "momentum 0.9",
        make: |lr, of| {
            ByGradients(Box::new(
                RmsProp::on_heap(lr, 2 * of.elements).momentum(0.9),
            ))
        },
        settings: [
            (1.0 / 8.0, 1.0, 60),
            (1.0 / 16.0, 1.0, 450),
            (3.0 / 512.0, 1.0, 80),
        ],
    },
    Entry {
        name: "Adagrad",
        options: "",
        make: |lr, of| ByGradients(Box::new(Adagrad::on_heap(lr, of.elements))),
        settings: [
            (3.0, 1.0, 300),
            (3.0 / 2.0, 1.0, 5500),
            (1.0 / 8.0, 1.0, 250),
        ],
    },
    Entry {
        name: "Adadelta",
        options: "",
        make: |lr, of| ByGradients(Box::new(Adadelta::on_heap(lr, of.elements))),
        settings: [(16.0, 0.999, 900), (2.0, 0.999, 4200), (2.0, 0.999, 1200)],
    },
    Entry {
        name: "ASGD",
        options: "",
        make: |lr, of| ByGradients(Box::new(Asgd::on_heap(lr, of.elements))),
        settings: [
            (1.0 / 32.0, 1.0, 700),
            (1.0 / 512.0, 1.0, 1100),
            (3.0 / 16.0, 1.0, 1700),
        ],
    },
    Entry {
        name: "Rprop",
        options: "",
        make: |lr, of| ByGradients(Box::new(Rprop::on_heap(lr, of.elements))),
        settings: [
            (1.0, 1.0, 80),
            (3.0 / 64.0, 1.0, 2000),
            (1.0 / 8.0, 1.0, 60),
        ],
    },
    Entry {
        name: "SparseAdam",
        options: "",
        make: |lr, of| ByGradients(Box::new(SparseAdam::on_heap(lr, of.elements))),
        settings: [(2.0, 1.0, 60), (2.0, 1.0, 500), (1.0 / 16.0, 1.0, 80)],
    },
    // Adafactor's rate is relative to the size of the parameters and at most 1 / √t, so a large
    // rate means 1 / √t. It must decay for steps to become small.
    Entry {
        name: "Adafactor",
        options: "",
        make: |lr, of| {
            ByGradients(Box::new(
                Adafactor::on_heap(lr, of.elements).shapes(of.shapes),
            ))
        },
        settings: [
            (1.0 / 4.0, 0.99, 200),
            (16.0, 0.99, 700),
            (1.0 / 4.0, 0.99, 250),
        ],
    },
    Entry {
        name: "Muon",
        options: "weight_decay 0; vectors by AdamW at 0.01",
        make: |lr, of| ByGradients(muon(lr, of)),
        settings: [
            (1.0 / 2.0, 1.0, 60),
            (1.0 / 16.0, 0.99, 450),
            (3.0 / 512.0, 1.0, 400),
        ],
    },
    Entry {
        name: "LBFGS",
        options: "history_size 8",
        make: |lr, of| ByLosses(Box::new(Lbfgs::on_heap(lr, of.elements, HISTORY))),
        settings: [(1.0, 1.0, 15), (3.0 / 4.0, 1.0, 70), (3.0 / 4.0, 1.0, 50)],
    },
    Entry {
        name: "LBFGS, strong Wolfe",
        options: "history_size 8",
        make: |lr, of| {
            ByLosses(Box::new(
                Lbfgs::on_heap(lr, of.elements, HISTORY).strong_wolfe(),
            ))
        },
        settings: [(1.0, 1.0, 15), (1.0, 1.0, 60), (1.0, 1.0, 50)],
    },
];

/// Makes Muon for matrices, which are the only parameters that it takes, and AdamW for the others.
fn muon<'s>(lr: f32, of: &Parameters<'s>) -> Box<dyn Optimizer + 's> {
    let count = of.shapes.iter().filter(|shape| shape.rank() == 2).count();
    let (matrices, _) = of.shapes.split_at(count);
    let muon = Muon::on_heap(lr, of.of_matrices)
        .weight_decay(0.0)
        .shapes(matrices);
    let rest = of.elements - of.of_matrices;
    if rest == 0 {
        return Box::new(muon);
    }
    let others = AdamW::on_heap(0.01, rest);
    Box::new(ParamGroups::new(of.of_matrices, muon, others))
}

/// Returns the loss of each epoch, up to the first that reaches the goal, or to the limit.
fn losses(problem: Problem, entry: &Entry, (lr, decay, most): Setting) -> Result<Vec<f32>, Error> {
    let mut arena = Arena::<8192, 24>::new();
    let tape = arena.tape();
    let loss = problem.record(&tape);
    let mut shapes = [Shape::SCALAR; 6];
    let [elements, of_matrices] = problem.elements();
    let mut method = (entry.make)(
        lr,
        &Parameters {
            elements,
            of_matrices,
            shapes: tape.param_shapes(&mut shapes)?,
        },
    );
    let mut losses = vec![];
    for _ in 0..most {
        tape.zero_grad();
        tape.replay()?;
        tape.backward(loss)?;
        let now = loss.item()?;
        losses.push(now);
        if now <= problem.goal() {
            break;
        }
        match &mut method {
            ByGradients(optimizer) => {
                tape.step(&mut **optimizer)?;
                optimizer.set_learning_rate(optimizer.learning_rate() * decay);
            }
            ByLosses(search) => {
                let _: Answer = tape.tell(now, &mut **search)?;
            }
        }
    }
    Ok(losses)
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut all_arrive = true;
    for problem in Problem::ALL {
        let goal = problem.goal();
        println!("{}: a loss of at most {goal:.4e}", problem.name());
        println!("    epochs  at most  optimizer            rate, options");
        let mut curves: Vec<(&str, Vec<f32>)> = vec![];
        for entry in &OPTIMIZERS {
            let setting @ (lr, decay, most) = entry.setting(problem);
            let losses = losses(problem, entry, setting)?;
            let last = losses.last().copied().unwrap_or(f32::NAN);
            let arrives = last <= goal;
            let epochs = if arrives {
                losses.len().to_string()
            } else {
                format!("no: {last:.1e}")
            };
            let mut words = lr.to_string();
            if decay != 1.0 {
                words += &format!(", times {decay} per epoch");
            }
            if !entry.options.is_empty() {
                words += &format!(", {}", entry.options);
            }
            println!("{epochs:>10}  {most:>7}  {:19}  {words}", entry.name);
            all_arrive &= arrives;
            curves.push((entry.name, losses));
        }
        draw(problem, &curves)?;
        println!();
    }
    if all_arrive {
        Ok(ExitCode::SUCCESS)
    } else {
        println!("FAILED: not all arrive within their most epochs");
        Ok(ExitCode::FAILURE)
    }
}

/// Draws the losses, with at most five optimizers in a panel.
#[cfg(feature = "plot")]
fn draw(problem: Problem, curves: &[(&str, Vec<f32>)]) -> Result<(), Box<dyn std::error::Error>> {
    let pictures = std::path::Path::new("target/optimizers");
    std::fs::create_dir_all(pictures)?;
    let curves: Vec<(&str, &[f32])> = curves.iter().map(|(name, y)| (*name, &y[..])).collect();
    let panels: Vec<&[(&str, &[f32])]> = curves.chunks(5).collect();
    let title = format!("{}: loss by epoch", problem.name());
    for extension in ["svg", "png"] {
        let file = pictures.join(problem.name()).with_extension(extension);
        baregrad::train::plot::curves(&file, &title, &panels)?;
        println!("{}", file.display());
    }
    Ok(())
}

/// Draws nothing without the feature `plot`.
#[cfg(not(feature = "plot"))]
fn draw(_: Problem, _: &[(&str, Vec<f32>)]) -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}
