//! Every optimizer on three problems: how many epochs each takes, as a table, and how the
//! loss falls, as pictures.
//!
//! ```text
//! cargo run --release --example optimizers
//! cargo run --release --features plot --example optimizers # draws examples/pictures, too
//! ```
//!
//! - **thermometer**: a line through eleven readings, scaled by 0.1, from w = 1 and b = 0.
//!   The goal is 1.01 × the least loss there is, which is known in closed form: 2.9276.
//! - **Rosenbrock**: (1 − x)² + 100 (y − x²)² from (−1.5, 2). The least loss is 0, of which
//!   1.01 times is 0 as well: the goal is a loss of 1e-4, where x is within 0.01 of 1.
//! - **sine**: a network 1-16-16-1 with tanh learns 64 points of sin(πx). It can come
//!   as close to 0 as one likes: the goal is a mean square of 1e-3, which is 0.2 % of what
//!   there is to explain.
//!
//! An epoch is one loss with its gradients, of which L-BFGS takes several to step. Rates
//! and options were chosen for each problem, by trying powers of about 2, and are printed; all
//! else is PyTorch's default. An optimizer that takes more epochs than the most that stands beside
//! it fails the program.

use std::process::ExitCode;

use baregrad::optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Answer, Asgd, Lbfgs, Muon, NAdam, Optimizer,
    ParamGroups, RAdam, RmsProp, Rprop, Search, Sgd, SparseAdam,
};
use baregrad::{Arena, Error, Shape, Tape, Var};

#[rustfmt::skip] // tables
#[allow(dead_code)] // its reference losses are those of one optimizer
mod sine;

/// Readings of the thermometer without units, and °C.
const T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

/// What there is to minimise.
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

    /// A loss at most this is good enough.
    fn goal(self) -> f32 {
        match self {
            Self::Thermometer => 1.01 * least_loss_of_a_line() as f32,
            Self::Rosenbrock => 1e-4,
            Self::Sine => 1e-3,
        }
    }

    /// Records the loss. Matrices come first, as Muon takes nothing else.
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

    /// Elements of parameters, and how many of them are of matrices.
    fn elements(self) -> [usize; 2] {
        match self {
            Self::Thermometer | Self::Rosenbrock => [2, 2],
            Self::Sine => [321, 288],
        }
    }
}

/// The mean square that the best line leaves, in f64.
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

/// What moves parameters.
enum Method<'s> {
    Steps(Box<dyn Optimizer + 's>),
    Search(Box<dyn Search>),
}

/// How an optimizer is set for a problem: its rate, what that is multiplied by after each
/// step, and the most epochs it may take.
type Setting = (f32, f32, u32);

/// The name of each, the options that are not PyTorch's defaults, and its settings for the
/// three problems.
const METHODS: [(&str, &str, [Setting; 3]); 17] = [
    (
        "SGD",
        "",
        [(0.02, 1.0, 2000), (0.001, 1.0, 40_000), (0.2, 1.0, 20_000)],
    ),
    (
        "SGD, momentum",
        "momentum 0.9",
        [(0.02, 1.0, 400), (0.001, 1.0, 6000), (0.1, 1.0, 3000)],
    ),
    (
        "Adam",
        "",
        [(0.5, 1.0, 400), (0.1, 1.0, 2000), (0.01, 1.0, 1000)],
    ),
    (
        "AdamW",
        "",
        [(0.5, 1.0, 400), (0.1, 1.0, 2000), (0.01, 1.0, 1000)],
    ),
    (
        "NAdam",
        "",
        [(0.5, 1.0, 400), (0.1, 1.0, 2000), (0.01, 1.0, 1000)],
    ),
    (
        "RAdam",
        "",
        [(0.5, 1.0, 400), (0.1, 1.0, 2000), (0.01, 1.0, 1000)],
    ),
    (
        "Adamax",
        "",
        [(0.5, 1.0, 400), (0.1, 1.0, 2000), (0.02, 1.0, 1000)],
    ),
    (
        "RMSprop",
        "",
        [(0.05, 1.0, 1000), (0.005, 1.0, 4000), (0.002, 1.0, 4000)],
    ),
    (
        "Adagrad",
        "",
        [(4.0, 1.0, 1000), (0.5, 1.0, 4000), (0.05, 1.0, 4000)],
    ),
    (
        "Adadelta",
        "eps 1e-3",
        [(1.0, 1.0, 4000), (1.0, 1.0, 8000), (1.0, 1.0, 8000)],
    ),
    (
        "ASGD",
        "lambd 0",
        [(0.02, 1.0, 2000), (0.001, 1.0, 40_000), (0.2, 1.0, 20_000)],
    ),
    (
        "Rprop",
        "",
        [(0.1, 1.0, 200), (0.01, 1.0, 1000), (0.01, 1.0, 1000)],
    ),
    (
        "SparseAdam",
        "",
        [(0.5, 1.0, 400), (0.1, 1.0, 2000), (0.01, 1.0, 1000)],
    ),
    (
        "Adafactor",
        "",
        [(0.5, 1.0, 1000), (0.05, 1.0, 8000), (0.05, 1.0, 4000)],
    ),
    (
        "Muon",
        "weight_decay 0; biases by AdamW at 0.01",
        [(0.0625, 1.0, 1000), (0.005, 1.0, 8000), (0.01, 1.0, 4000)],
    ),
    (
        "LBFGS",
        "history 8",
        [(0.5, 1.0, 100), (0.2, 1.0, 1000), (0.2, 1.0, 2000)],
    ),
    (
        "LBFGS, strong Wolfe",
        "history 8",
        [(1.0, 1.0, 20), (1.0, 1.0, 200), (1.0, 1.0, 400)],
    ),
];

/// Pairs that L-BFGS remembers.
const HISTORY: usize = 8;

/// The optimizer of that name, with the options that stand beside it. `shapes` are those of the
/// parameters, of which as many as are counted first are matrices.
fn make<'s>(name: &str, lr: f32, [n, of_matrices]: [usize; 2], shapes: &'s [Shape]) -> Method<'s> {
    let matrices = shapes.iter().filter(|shape| shape.rank() == 2).count();
    let (first, _) = shapes.split_at(matrices);
    let muon = || {
        Muon::on_heap(lr, of_matrices)
            .weight_decay(0.0)
            .shapes(first)
    };
    Method::Steps(match name {
        "SGD" => Box::new(Sgd::new(lr)),
        "SGD, momentum" => Box::new(Sgd::new(lr).momentum_on_heap(0.9, n)),
        "Adam" => Box::new(Adam::on_heap(lr, n)),
        "AdamW" => Box::new(AdamW::on_heap(lr, n)),
        "NAdam" => Box::new(NAdam::on_heap(lr, n)),
        "RAdam" => Box::new(RAdam::on_heap(lr, n)),
        "Adamax" => Box::new(Adamax::on_heap(lr, n)),
        "RMSprop" => Box::new(RmsProp::on_heap(lr, n)),
        "Adagrad" => Box::new(Adagrad::on_heap(lr, n)),
        "Adadelta" => Box::new(Adadelta::on_heap(lr, n).eps(1e-3)),
        "ASGD" => Box::new(Asgd::on_heap(lr, n).lambd(0.0)),
        "Rprop" => Box::new(Rprop::on_heap(lr, n)),
        "SparseAdam" => Box::new(SparseAdam::on_heap(lr, n)),
        "Adafactor" => Box::new(Adafactor::on_heap(lr, n).shapes(shapes)),
        "Muon" if of_matrices == n => Box::new(muon()),
        "Muon" => Box::new(ParamGroups::new(
            of_matrices,
            muon(),
            AdamW::on_heap(0.01, n - of_matrices),
        )),
        "LBFGS" => return Method::Search(Box::new(Lbfgs::on_heap(lr, n, HISTORY))),
        "LBFGS, strong Wolfe" => {
            let search = Lbfgs::on_heap(lr, n, HISTORY).strong_wolfe();
            return Method::Search(Box::new(search));
        }
        other => unreachable!("{other} is not in the list"),
    })
}

/// The losses of each epoch, up to the first that is good enough, or as many as there may be.
fn losses(problem: Problem, name: &str, (lr, decay, most): Setting) -> Result<Vec<f32>, Error> {
    let mut arena = Arena::<8192, 24>::new();
    let tape = arena.tape();
    let loss = problem.record(&tape);
    let mut shapes = [Shape::SCALAR; 6];
    let shapes = tape.param_shapes(&mut shapes)?;
    let mut method = make(name, lr, problem.elements(), shapes);
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
            Method::Steps(optimizer) => {
                tape.step(&mut **optimizer)?;
                optimizer.set_learning_rate(optimizer.learning_rate() * decay);
            }
            Method::Search(search) => {
                let _: Answer = tape.tell(now, &mut **search)?;
            }
        }
    }
    Ok(losses)
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut all_arrive = true;
    for (problem, column) in Problem::ALL.into_iter().zip(0..) {
        let goal = problem.goal();
        println!("{}: a loss of at most {goal:.4e}", problem.name());
        println!("    epochs  at most  optimizer            rate, options");
        let mut curves: Vec<(&str, Vec<f32>)> = vec![];
        for (name, options, settings) in METHODS {
            let setting @ (lr, decay, most) = settings[column];
            let losses = losses(problem, name, setting)?;
            let arrives = losses.last().is_some_and(|loss| *loss <= goal);
            let epochs = if arrives {
                losses.len().to_string()
            } else {
                format!("no: {:.1e}", losses.last().copied().unwrap_or(f32::NAN))
            };
            let mut words = lr.to_string();
            if decay != 1.0 {
                words += &format!(" times {decay} per epoch");
            }
            if !options.is_empty() {
                words += &format!(", {options}");
            }
            println!("{epochs:>10}  {most:>7}  {name:19}  {words}");
            all_arrive &= arrives;
            curves.push((name, losses));
        }
        draw(problem, &curves)?;
    }
    if all_arrive {
        Ok(ExitCode::SUCCESS)
    } else {
        println!("FAILED: not all arrive within their most epochs");
        Ok(ExitCode::FAILURE)
    }
}

/// A picture of the losses, four panels of as many optimizers as have a colour.
#[cfg(feature = "plot")]
fn draw(problem: Problem, curves: &[(&str, Vec<f32>)]) -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("optimizers-{}.svg", problem.name());
    let curves: Vec<(&str, &[f32])> = curves.iter().map(|(name, y)| (*name, &y[..])).collect();
    let panels: Vec<&[(&str, &[f32])]> = curves.chunks(5).collect();
    let pictures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pictures");
    let title = format!("{}: loss by epoch", problem.name());
    baregrad::train::plot::curves(pictures.join(&name), &title, &panels)?;
    println!("examples/pictures/{name}");
    Ok(())
}

/// Without plots there is the table.
#[cfg(not(feature = "plot"))]
fn draw(_: Problem, _: &[(&str, Vec<f32>)]) -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}
