//! Calibrates a sensor from a CSV file of its own: readings in one column, what
//! they should have been in another.
//!
//! ```text
//! cargo run --release --example calibrate -- examples/data/thermometer.csv --x t_u --y t_c
//! cargo run --release --example calibrate -- --help
//! ```

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::train::{
    self, Calibration, Curve, Dataset, EarlyStopping, Fit, Fitted, Model, Scale, Scaler, Scaling,
    plot,
};
use clap::{Parser, ValueEnum};

/// Fits a curve to the columns of a CSV file, says how well that went, and writes
/// pictures, a report and the curve as Rust for firmware.
///
/// The file has a line of column names; lines that begin with # are comments.
#[derive(Parser)]
#[command(name = "calibrate")]
struct Args {
    /// The CSV file
    data: PathBuf,
    /// The column of readings
    #[arg(long, value_name = "COLUMN")]
    x: String,
    /// The column of what they should have been
    #[arg(long, value_name = "COLUMN")]
    y: String,
    /// What to fit: linear, poly:N (degree N), mlp:N,N,... (hidden layers of N units)
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
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    Sgd,
    Adam,
}

fn main() -> ExitCode {
    let done = match Args::try_parse() {
        Ok(args) => calibrate(args),
        // Help is no mistake, and has more than one line.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => Err(first_paragraph(&error.to_string()).into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The part of clap's message that says what is wrong, on one line.
fn first_paragraph(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

/// Everything is worked out before the first file is written.
fn calibrate(args: Args) -> Result<(), Box<dyn Error>> {
    let in_file = |why: &dyn Error| format!("{}: {why}", args.data.display());
    let (x, y) = (args.x.as_str(), args.y.as_str());
    if x == y {
        return Err(format!("expected two columns, found `{x}` as --x and as --y").into());
    }
    let data = train::read_csv(&args.data, &[x, y]).map_err(|why| in_file(&why))?;
    let curve = seeded(&args.model, args.seed);
    let parts = Parts::new(&data, &args, &curve).map_err(|why| in_file(&*why))?;
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
        range(parts.training.column(x)?),
    );
    println!("\n{}", fitted.table());
    println!("{}\n", fitted.verdict());
    println!("{calibration}");
    if let Some(coefficients) = calibration.coefficients() {
        for (power, c) in coefficients.iter().enumerate() {
            println!("  coefficient of {x}^{power}: {c:.9}");
        }
    }
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

    let report = serde_json::to_string_pretty(&serde_json::json!({
        "model": curve.to_string(),
        "params": fitted.named_params(),
        "scales": parts.scaler,
        "coefficients": calibration.coefficients(),
        "verdict": fitted.verdict().to_string(),
        "history": fitted.history(),
    }))?;
    let out = Output::new(&args.out, &args.data)?;
    out.write("rs", &rust)?;
    out.write("json", &report)?;
    out.write("csv", &fitted.history().to_csv())?;
    draw(&out, &calibration, &fitted, &parts, [x, y])?;
    Ok(())
}

/// The curve, with the start of a network drawn from the seed.
fn seeded(curve: &Curve, seed: u64) -> Curve {
    match curve {
        Curve::Mlp { widths, .. } => Curve::Mlp {
            widths: widths.clone(),
            seed,
        },
        curve => curve.clone(),
    }
}

/// What is trained with and what is kept back, in the units of the file.
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
            curve => curve.params().len() + 1,
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
    let params = curve.params();
    let lr = args.lr.unwrap_or(match method {
        // Terms of a curve are about 1 in size: steps of this length do not
        // overshoot.
        Method::Sgd if !is_network => 1.0 / params.len() as f32,
        _ => 1e-2,
    });
    let elements = params.iter().map(|param| param.values().len()).sum();
    let mut optimizer: Box<dyn Optimizer> = match method {
        Method::Sgd => Box::new(Sgd::new(lr)),
        Method::Adam => Box::new(Adam::on_heap(lr, elements)),
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

fn range(values: &[f32]) -> [f32; 2] {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
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
        let predicted = calibration.predict(data.column(x)?)?;
        let pairs = data.column(y)?.iter().zip(&predicted);
        let errors: Vec<f64> = pairs.map(|(y, p)| f64::from(*y) - f64::from(*p)).collect();
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
            "{root_mean_square:.4} (root mean square), {largest:.4} (at most)"
        )
    }
}

/// Where files go, and what they are called.
struct Output {
    stem: PathBuf,
}

impl Output {
    fn new(directory: &Path, data: &Path) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(directory).map_err(|why| format!("{}: {why}", directory.display()))?;
        let stem = data.file_stem().unwrap_or("calibration".as_ref());
        Ok(Output {
            stem: directory.join(stem),
        })
    }

    /// Also says so.
    fn path(&self, ending: &str) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(ending);
        println!("written: {}", Path::new(&path).display());
        path.into()
    }

    fn write(&self, extension: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let path = self.path(&format!(".{extension}"));
        fs::write(&path, text).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(())
    }
}

fn draw(
    out: &Output,
    calibration: &Calibration,
    fitted: &Fitted,
    parts: &Parts,
    [x, y]: [&str; 2],
) -> Result<(), Box<dyn Error>> {
    let named = [
        ("training", Some(&parts.training)),
        ("validation", parts.validation.as_ref()),
    ];
    let mut shown = Vec::new();
    for (name, data) in named {
        if let Some(data) = data {
            let (x, y) = (data.column(x)?, data.column(y)?);
            shown.push((name, x, y, calibration.predict(x)?));
        }
    }
    let points = shown.iter().map(|(name, x, y, predicted)| plot::Points {
        name,
        x,
        y,
        predicted,
    });
    let points: Vec<_> = points.collect();

    let readings: Vec<f32> = shown.iter().flat_map(|(_, x, ..)| *x).copied().collect();
    let [low, high] = range(&readings);
    let between = |i: u8| low + (high - low) * f32::from(i) / 64.0;
    let grid: Vec<f32> = (0..=64).map(between).collect();
    let curve = calibration.predict(&grid)?;
    let curve: Vec<(f32, f32)> = grid.into_iter().zip(curve).collect();

    plot::fit(
        out.path("-fit.svg"),
        &calibration.to_string(),
        [x, y],
        &points,
        &curve,
    )?;
    let runs = [("", fitted.history())];
    plot::losses(out.path("-loss.svg"), "Loss of scaled values", &runs)?;
    Ok(())
}
