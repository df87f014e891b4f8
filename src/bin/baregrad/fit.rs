//! `baregrad fit` calibrates a sensor from a CSV file, with the readings in one column or
//! several, and the references in another.
//!
//! ```text
//! baregrad fit examples/data/thermometer.csv --x t_u --y t_c
//! baregrad fit --help
//! ```
//!
//! From `ph.csv`, it makes `calibration/ph.rs`, `ph.json` and `ph-fit.svg`; by least squares
//! also `ph-residuals.csv`, by gradient descent also `ph-history.csv` and `ph-loss.svg`; and
//! with `--c` also `ph.c` and `ph.h`. The same command replaces the files of its last run. Files
//! of other runs are not replaced without `--force`, and the data never are.

mod data;
mod descent;
mod least_squares;
mod output;

use std::error::Error;
use std::path::{Path, PathBuf};

use baregrad::least_squares::RobustLoss;
use baregrad::train::{self, Calibration, Curve, Dataset, LeastSquares};
use clap::ValueEnum;

/// Fits a curve to columns of a CSV file, reports how well it fits, and writes
/// pictures, a report and the curve as Rust for firmware.
///
/// The first line of the file names the columns; it may be a comment, as
/// numpy.savetxt writes it. Other lines that begin with # are comments. Commas,
/// semicolons, tabs or blanks separate columns.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The CSV file
    data: PathBuf,
    /// The column of readings; linear and poly:N take several: `--x t --x p`, or `--x t,p`
    #[arg(long, value_name = "COLUMN", required = true)]
    x: Vec<String>,
    /// The column of references: the values that the readings should give
    #[arg(long, value_name = "COLUMN")]
    y: String,
    /// The model to fit: linear, poly:N (degree N; for several columns with all products),
    /// steinhart-hart, exp (a e^(b x) + c), power (a x^b), logistic (a / (1 + e^(-b (x - c)))),
    /// mlp:N,N,... (hidden layers of N units)
    #[arg(long, default_value = "linear", verbatim_doc_comment)]
    model: Curve,
    /// How to fit: by least squares (lm, Levenberg-Marquardt) or with an optimizer
    /// [default: lm for up to 16 parameters, if a network has fewer of them than there are rows,
    /// otherwise adam; with --epochs, --lr, --patience or --l2 sgd, for a network adam]
    #[arg(long)]
    method: Option<Method>,
    /// A column of weights, 1 / variance of y: only their ratios matter (lm)
    #[arg(long, value_name = "COLUMN", conflicts_with = "sigma")]
    weights: Option<String>,
    /// A column of standard deviations of y, in its unit. Standard errors are computed from
    /// them, as with absolute_sigma=True in scipy's curve_fit (lm)
    #[arg(long, value_name = "COLUMN")]
    sigma: Option<String>,
    /// Give readings far from the curve less weight, or none, and name them. Standard errors
    /// are computed from the residuals, and --sigma only weighs (lm)
    #[arg(long, value_name = "LOSS")]
    robust: Option<Robust>,
    /// Also predict y at this reading, with its uncertainty; for several columns `20,1013` (lm)
    #[arg(long, value_name = "READING", allow_hyphen_values = true)]
    at: Vec<String>,
    /// Epochs: passes over all samples [default: 2000] (not lm)
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Learning rate [default: 0.01; for curves with sgd 1 / number of coefficients] (not lm)
    #[arg(long, value_name = "X")]
    lr: Option<f32>,
    /// Share of the samples that is held back for validation; 0 trains with all samples
    /// [default: 0 with lm, otherwise 0.2]
    #[arg(long, value_name = "SHARE")]
    validation: Option<f64>,
    /// Seed of the random split, and of the initial values of a network
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Stop when the loss has not improved for N epochs, and restore the best parameters (not lm)
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Weight of an L2 penalty on all parameters but biases [default: 0] (not lm)
    #[arg(long, value_name = "X")]
    l2: Option<f32>,
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = "calibration")]
    out: PathBuf,
    /// Also write the calibration as a record, for another program or, with one column, a board
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Also write the curve as C99 for firmware, as a .c and a .h beside the .rs: `float
    /// calibrated(float)`, with one float for each column
    #[arg(long)]
    c: bool,
    /// Overwrite files that another run, or another program, has written
    #[arg(long)]
    force: bool,
}

/// The losses of scipy's `least_squares`, and Tukey's.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Robust {
    Huber,
    #[value(name = "soft_l1")]
    SoftL1,
    Cauchy,
    Tukey,
}

impl From<Robust> for RobustLoss {
    fn from(robust: Robust) -> RobustLoss {
        match robust {
            Robust::Huber => RobustLoss::Huber,
            Robust::SoftL1 => RobustLoss::SoftL1,
            Robust::Cauchy => RobustLoss::Cauchy,
            Robust::Tukey => RobustLoss::Tukey,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Lm,
    Sgd,
    Adam,
    Adamw,
    Rmsprop,
}

/// The most parameters of a model that is fitted by least squares by default.
const FEW: usize = 16;

impl Args {
    /// The first given option that applies only to gradient descent.
    fn of_descent(&self) -> Option<&'static str> {
        let given = [
            ("--epochs", self.epochs.is_some()),
            ("--lr", self.lr.is_some()),
            ("--patience", self.patience.is_some()),
            ("--l2", self.l2.is_some()),
        ];
        given
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }

    /// The first request that only least squares fulfils.
    fn of_least_squares(&self) -> Option<&'static str> {
        let given = [
            ("several columns --x", self.x.len() > 1),
            ("--weights", self.weights.is_some()),
            ("--sigma", self.sigma.is_some()),
            ("--robust", self.robust.is_some()),
            ("--at", !self.at.is_empty()),
            (
                "a function, whose parameters have units,",
                matches!(self.model, Curve::Function(_)),
            ),
        ];
        given
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }

    fn parameters(&self) -> usize {
        LeastSquares::parameters(&self.model, self.x.len())
    }

    /// The method for a number of rows, given or by default. It is an error if the method
    /// does not support another option.
    fn method(&self, rows: usize) -> Result<Method, Box<dyn Error>> {
        let (descends, solves) = (self.of_descent(), self.of_least_squares());
        let is_network = matches!(self.model, Curve::Mlp { .. });
        // Gradient descent also trains networks on fewer rows than they have parameters.
        let is_small = self.parameters() <= FEW && !(is_network && rows <= self.parameters());
        let default = match (descends, solves) {
            (None, Some(_)) => Method::Lm,
            (None, None) if is_small => Method::Lm,
            _ if is_network || descends.is_none() => Method::Adam,
            _ => Method::Sgd,
        };
        let method = self.method.unwrap_or(default);
        match (method, descends, solves) {
            (Method::Lm, Some(option), _) => Err(format!(
                "{option} is for gradient descent, which --method lm is not: leave one of them out"
            )
            .into()),
            (Method::Sgd | Method::Adam | Method::Adamw | Method::Rmsprop, _, Some(what)) => {
                Err(format!(
                    "{what} takes least squares, --method lm, without --epochs, --lr, --patience and --l2"
                )
                .into())
            }
            (method, ..) => Ok(method),
        }
    }
}

/// Runs the command. All results are computed before the first file is written.
pub(crate) fn run(mut args: Args) -> Result<(), Box<dyn Error>> {
    args.x = args.x.iter().flat_map(|x| columns(&args.data, x)).collect();
    for (i, x) in args.x.iter().enumerate() {
        if *x == args.y {
            return Err(format!("expected two columns, found `{x}` as --x and as --y").into());
        }
        if args.x.iter().skip(i + 1).any(|other| other == x) {
            return Err(format!("expected columns that differ, found `{x}` as --x twice").into());
        }
    }
    args.model = seeded(&args.model, args.seed);
    let known = args.weights.iter().chain(&args.sigma).map(String::as_str);
    let wanted = args.x.iter().map(String::as_str).chain([&*args.y]);
    let mut wanted: Vec<&str> = wanted.chain(known).collect();
    wanted.dedup();
    let data = train::read_csv(&args.data, &wanted)?;
    match args.method(data.rows())? {
        Method::Lm => least_squares::run(&args, &data),
        method => descent::run(&args, method, &data),
    }
}

/// The columns that one `--x` names: one, or several separated by commas, unless a column
/// has this very name.
fn columns(data: &Path, x: &str) -> Vec<String> {
    if !x.contains(',') || train::read_csv(data, &[x]).is_ok() {
        return vec![x.to_owned()];
    }
    x.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The curve; if it is a network, with its initial weights drawn from `seed`.
fn seeded(curve: &Curve, seed: u64) -> Curve {
    match curve {
        Curve::Mlp { widths, .. } => Curve::Mlp {
            widths: *widths,
            seed,
        },
        curve => *curve,
    }
}

/// An error of the data, preceded by the path of their file.
fn in_file(args: &Args, why: &dyn std::fmt::Display) -> Box<dyn Error> {
    format!("{}: {why}", args.data.display()).into()
}

/// Splits the data into training samples, and a share of validation samples if there are any.
fn split(
    args: &Args,
    data: &Dataset,
    share: f64,
) -> Result<(Dataset, Option<Dataset>), Box<dyn Error>> {
    if share == 0.0 {
        return Ok((data.clone(), None));
    }
    let (training, validation) = data
        .split(share, args.seed)
        .map_err(|why| in_file(args, &why))?;
    Ok((training, Some(validation)))
}

/// Requires at least `needed` rows. A curve goes exactly through as many rows as it has
/// parameters, so that the fit would tell nothing about its errors.
fn require_rows(args: &Args, found: usize, needed: usize) -> Result<(), Box<dyn Error>> {
    let curve = &args.model;
    if found >= needed {
        return Ok(());
    }
    let reason = match args.parameters() + 1 == needed {
        true => ", one more than its parameters",
        false => "",
    };
    let why = format!("expected at least {needed} rows for {curve}{reason}, found {found}");
    Err(in_file(args, &why))
}

fn range(values: &[f64]) -> [f64; 2] {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [low, high]
}

/// The errors of the calibrated readings, in the units of the file.
struct Errors {
    root_mean_square: f64,
    largest: f64,
}

impl Errors {
    fn of(
        calibration: &Calibration,
        data: &Dataset,
        [x, y]: [&str; 2],
    ) -> Result<Errors, Box<dyn Error>> {
        let predicted = calibration.predict_f64(&data.column_f64(x)?)?;
        Ok(Errors::between(&data.column_f64(y)?, &predicted))
    }

    fn between(targets: &[f64], predicted: &[f64]) -> Errors {
        let errors: Vec<f64> = targets.iter().zip(predicted).map(|(y, p)| y - p).collect();
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        Errors {
            root_mean_square: (squares / errors.len() as f64).sqrt(),
            largest: errors.iter().fold(0.0, |most, error| most.max(error.abs())),
        }
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Errors {
            root_mean_square,
            largest,
        } = self;
        write!(
            f,
            "{} (root mean square), {} (at most)",
            train::significant(*root_mean_square, 5),
            train::significant(*largest, 5)
        )
    }
}
