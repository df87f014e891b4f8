//! `baregrad fit`: calibrates a sensor from a CSV file of its own, with readings in one
//! column and in another what they should have been.
//!
//! ```text
//! baregrad fit examples/data/thermometer.csv --x t_u --y t_c
//! baregrad fit --help
//! ```
//!
//! From `ph.csv` it makes `calibration/ph.rs`, `ph.json`, `ph-history.csv`,
//! `ph-fit.svg` and `ph-loss.svg`. The same command replaces what it made before;
//! files of other runs are left alone, and the data always are.

mod output;

use std::error::Error;
use std::path::PathBuf;

use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::train::{
    self, Calibration, Curve, Dataset, EarlyStopping, Fit, Fitted, Scale, Scaler, Scaling,
};
use clap::ValueEnum;
use output::Output;

/// Fits a curve to the columns of a CSV file, says how well that went, and writes
/// pictures, a report and the curve as Rust for firmware.
///
/// The file has a line of column names, which may be a comment as of numpy.savetxt;
/// other lines that begin with # are comments. Commas, semicolons, tabs or blanks
/// separate columns.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The CSV file
    data: PathBuf,
    /// The column of readings
    #[arg(long, value_name = "COLUMN")]
    x: String,
    /// The column of what they should have been
    #[arg(long, value_name = "COLUMN")]
    y: String,
    /// The model to fit: linear, poly:N (degree N), mlp:N,N,... (hidden layers of N units)
    #[arg(long, default_value = "linear")]
    model: Curve,
    /// Optimizer [default: sgd, for a network adam]
    #[arg(long)]
    method: Option<Method>,
    /// How many times all samples are seen
    #[arg(long, value_name = "N", default_value_t = 2000)]
    epochs: u32,
    /// Learning rate [default: 0.01; for curves with sgd 1 / number of coefficients]
    #[arg(long, value_name = "X")]
    lr: Option<f32>,
    /// Share of the samples that is kept back to validate with; 0 to train with all
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    validation: f64,
    /// Where the split and the start of a network come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Stop when the loss has not improved for N epochs, and go back to the best
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Weight of an L2 penalty on large parameters, biases excepted
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    l2: f32,
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = "calibration")]
    out: PathBuf,
    /// Also write the calibration's record, for a board or another program
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Replace files of other runs, or other files, of the names to write
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    Sgd,
    Adam,
}

/// Everything is worked out before the first file is written.
pub(crate) fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let in_file = |why: &dyn Error| format!("{}: {why}", args.data.display());
    let (x, y) = (args.x.as_str(), args.y.as_str());
    if x == y {
        return Err(format!("expected two columns, found `{x}` as --x and as --y").into());
    }
    let data = train::read_csv(&args.data, &[x, y])?;
    let curve = seeded(&args.model, args.seed);
    let parts = Parts::new(&data, &args, &curve).map_err(|why| in_file(&*why))?;
    let output = Output::new(&args)?;
    println!(
        "{}: {} rows to train with, {} to validate",
        args.data.display(),
        parts.training.rows(),
        parts.validation.as_ref().map_or(0, Dataset::rows)
    );
    println!("scaled: {}\n", parts.scaler.to_string().replace('\n', "; "));

    let fitted = fit(&args, &curve, &parts)?;
    let calibration = Calibration::new(
        &curve,
        &fitted,
        [x, y],
        [parts.scale(x)?, parts.scale(y)?],
        range(&parts.training.column_f64(x)?),
    );
    println!("\n{}", fitted.table());
    println!("{}\n", fitted.verdict());
    println!("{calibration}");
    print_coefficients(&calibration, x);
    let training = Errors::of(&calibration, &parts.training, [x, y])?;
    println!("{y} off by, training: {training}");
    if let Some(validation) = &parts.validation {
        let validation = Errors::of(&calibration, validation, [x, y])?;
        println!("{y} off by, validation: {validation}");
    }
    let rust = calibration.to_rust();
    if calibration.coefficients().is_some() {
        println!("\nFor firmware:\n\n{rust}");
    }

    let warnings = calibration.warnings();
    for warning in &warnings {
        println!("warning: {warning}");
    }

    let origin = calibration.origin();
    let report = serde_json::to_string_pretty(&serde_json::json!({
        "run": output.run,
        "model": curve.to_string(),
        "params": fitted.named_params(),
        "scales": parts.scaler,
        "coefficients": calibration.coefficients(),
        "origin": origin,
        "coefficients_about_origin": calibration.coefficients_about(origin),
        "warnings": warnings,
        "verdict": fitted.verdict().to_string(),
        "history": fitted.history(),
    }))?;
    let files = output.begin()?;
    files.write(".json", &report)?;
    files.write(".rs", &rust)?;
    files.write("-history.csv", &fitted.history().to_csv())?;
    files.draw(&calibration, &fitted, &parts, [x, y])?;
    files.save(&calibration.to_record())?;
    files.finish()
}

fn print_coefficients(calibration: &Calibration, x: &str) {
    let print = |base: &str, coefficients: Option<Vec<f64>>, digits| {
        for (power, c) in coefficients.into_iter().flatten().enumerate() {
            let c = train::significant(c, digits);
            println!("  coefficient of {base}^{power}: {c}");
        }
    };
    let origin = calibration.origin();
    if origin == 0.0 {
        print(x, calibration.coefficients(), 9);
    } else {
        let difference = format!("({x} - {origin})");
        print(&difference, calibration.coefficients_about(origin), 9);
        // Terms that cancel need all the digits there are.
        print(x, calibration.coefficients(), 17);
    }
}

/// The curve, with the start of a network drawn from the seed.
fn seeded(curve: &Curve, seed: u64) -> Curve {
    match curve {
        Curve::Mlp { widths, .. } => Curve::Mlp {
            widths: *widths,
            seed,
        },
        curve => *curve,
    }
}

/// The samples to train with and those kept back, in the units of the file.
struct Parts {
    training: Dataset,
    validation: Option<Dataset>,
    scaler: Scaler,
}

impl Parts {
    fn new(data: &Dataset, args: &Args, curve: &Curve) -> Result<Self, Box<dyn Error>> {
        let (training, validation) = if args.validation == 0.0 {
            (data.clone(), None)
        } else {
            let (training, validation) = data.split(args.validation, args.seed)?;
            (training, Some(validation))
        };
        // One more than a curve needs to go through all of them.
        let needed = match curve {
            Curve::Mlp { .. } => 3,
            curve => curve.param_count() + 1,
        };
        if training.rows() < needed {
            return Err(format!(
                "expected at least {needed} rows to train {curve} with, found {}",
                training.rows()
            )
            .into());
        }
        let columns = [(&*args.x, curve.scaling()), (&*args.y, Scaling::Standard)];
        let scaler = Scaler::fit(&training, &columns)?;
        Ok(Parts {
            training,
            validation,
            scaler,
        })
    }

    fn scale(&self, column: &str) -> Result<Scale, Box<dyn Error>> {
        let scale = self.scaler.scale(column);
        scale.ok_or_else(|| format!("column `{column}` has no scale").into())
    }
}

fn fit(args: &Args, curve: &Curve, parts: &Parts) -> Result<Fitted, Box<dyn Error>> {
    let (x, y) = (args.x.as_str(), args.y.as_str());
    let samples = |part: &Dataset| parts.scaler.apply(part)?.samples(&[x], &[y]);
    let training = samples(&parts.training)?;
    let validation = parts.validation.as_ref().map(samples).transpose()?;

    let is_network = matches!(curve, Curve::Mlp { .. });
    let default = if is_network {
        Method::Adam
    } else {
        Method::Sgd
    };
    let method = args.method.unwrap_or(default);
    let lr = args.lr.unwrap_or(match method {
        // Terms of a curve are about 1 in size: steps of this length do not
        // overshoot.
        Method::Sgd if !is_network => 1.0 / curve.param_count() as f32,
        _ => 1e-2,
    });
    let mut optimizer: Box<dyn Optimizer> = match method {
        Method::Sgd => Box::new(Sgd::new(lr)),
        Method::Adam => Box::new(Adam::on_heap(lr, curve.param_count())),
    };

    let mut fit = Fit::new(curve, &training)
        .epochs(args.epochs)
        .l2(args.l2)
        .observe(train::progress(args.epochs));
    if let Some(validation) = &validation {
        fit = fit.validation(validation);
    }
    if let Some(patience) = args.patience {
        fit = fit.early_stopping(EarlyStopping::new(patience));
    }
    Ok(fit.run(&mut *optimizer)?)
}

fn range(values: &[f64]) -> [f64; 2] {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [low, high]
}

/// How far the calibrated readings are off, in the units of the file.
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
        let targets = data.column_f64(y)?;
        let errors: Vec<f64> = targets.iter().zip(&predicted).map(|(y, p)| y - p).collect();
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        Ok(Errors {
            root_mean_square: (squares / errors.len() as f64).sqrt(),
            largest: errors.iter().fold(0.0, |most, error| most.max(error.abs())),
        })
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
