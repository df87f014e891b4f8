//! Calibrates a sensor from a CSV file of its own: readings in one column, what
//! they should have been in another.
//!
//! ```text
//! cargo run --release --example calibrate -- examples/data/thermometer.csv --x t_u --y t_c
//! cargo run --release --example calibrate -- --help
//! ```
//!
//! From `ph.csv` it makes `calibration/ph.rs`, `ph.json`, `ph-history.csv`,
//! `ph-fit.svg` and `ph-loss.svg`. The same command replaces what it made before;
//! files of other runs are left alone, and the data always are.

use std::error::Error;
use std::ffi::OsString;
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
/// The file has a line of column names, which may be a comment as of numpy.savetxt;
/// other lines that begin with # are comments. Commas, semicolons, tabs or blanks
/// separate columns.
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
    /// Replace files of other runs, or other files, of the names to write
    #[arg(long)]
    force: bool,
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

/// The endings of the files, behind the name of the data. The report is the first to
/// be put in place: it says whose the others are.
const ENDINGS: [&str; 5] = [".json", ".rs", "-history.csv", "-fit.svg", "-loss.svg"];

/// Where files go, and that they may go there.
struct Output {
    directory: PathBuf,
    /// The name of the data.
    stem: OsString,
    /// The data and all that decides what comes of them: the same for a command that
    /// is repeated, and part of the report.
    run: serde_json::Value,
}

impl Output {
    /// # Errors
    /// A file to be written is the data themselves, whatever it is called: a link, or
    /// another way to say the name. Or it is there already, and not of this run.
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let in_file = |why: &dyn Error| format!("{}: {why}", args.data.display());
        let data = fs::canonicalize(&args.data).map_err(|why| in_file(&why))?;
        let text = |value: Option<f32>| value.map(|value| value.to_string());
        let output = Output {
            directory: args.out.clone(),
            stem: args.data.file_stem().unwrap_or_default().to_owned(),
            run: serde_json::json!({
                "data": data.to_string_lossy(),
                "x": args.x,
                "y": args.y,
                "model": args.model.to_string(),
                "method": args.method.and_then(|method| {
                    method.to_possible_value().map(|value| value.get_name().to_owned())
                }),
                "epochs": args.epochs,
                "lr": text(args.lr),
                "validation": args.validation.to_string(),
                "seed": args.seed.to_string(),
                "patience": args.patience,
                "l2": text(Some(args.l2)),
            }),
        };
        output.check_directory()?;
        let is_own = output.was_this_run();
        for path in ENDINGS.map(|ending| output.path(ending)) {
            if is_same(&path, &args.data) {
                let path = path.display();
                let why = format!("{path}: the data themselves, which are not written over");
                return Err(format!("{why}: write to another directory with --out").into());
            }
            let Ok(there) = fs::symlink_metadata(&path) else {
                continue;
            };
            if there.is_dir() {
                return Err(
                    format!("{}: expected a file, found a directory", path.display()).into(),
                );
            }
            if !is_own && !args.force {
                return Err(format!(
                    "{}: exists, and is not of this run: write to another directory with --out, or replace it with --force",
                    path.display()
                )
                .into());
            }
        }
        Ok(output)
    }

    fn path(&self, ending: &str) -> PathBuf {
        let mut name = self.stem.clone();
        name.push(ending);
        self.directory.join(name)
    }

    /// Whether files can be made there, before there is anything to lose.
    fn check_directory(&self) -> Result<(), Box<dyn Error>> {
        let in_directory = |why: std::io::Error| format!("{}: {why}", self.directory.display());
        let here = Path::new(".");
        let parents = self.directory.ancestors();
        let nearest = parents.filter(|path| *path != Path::new(""));
        let nearest = nearest.chain([here]).find(|path| path.exists());
        let nearest = nearest.unwrap_or(here);
        if !nearest.is_dir() {
            // Makes nothing, and says why.
            fs::create_dir_all(&self.directory).map_err(in_directory)?;
        }
        let probe = nearest.join(format!(".calibrate.{}", std::process::id()));
        fs::create_dir(&probe).map_err(in_directory)?;
        fs::remove_dir(&probe).map_err(in_directory)?;
        Ok(())
    }

    /// Whether the report that is there, if one is, is of the same command.
    fn was_this_run(&self) -> bool {
        let report = fs::read(self.path(".json")).ok();
        let report: Option<serde_json::Value> =
            report.and_then(|report| serde_json::from_slice(&report).ok());
        report.is_some_and(|report| report.get("run") == Some(&self.run))
    }

    /// Files are made beside their place, all of them, before the first is moved
    /// there.
    fn begin(self) -> Result<Files, Box<dyn Error>> {
        let parents = self.directory.ancestors();
        let made: Vec<PathBuf> = parents
            .take_while(|path| *path != Path::new("") && !path.exists())
            .map(Path::to_path_buf)
            .collect();
        let mut name = OsString::from(".");
        name.push(&self.stem);
        name.push(format!(".{}", std::process::id()));
        let files = Files {
            beside: self.directory.join(name),
            made,
            output: self,
        };
        fs::create_dir_all(&files.beside)
            .map_err(|why| format!("{}: {why}", files.output.directory.display()))?;
        Ok(files)
    }
}

/// Whether both are one file, by whatever names.
fn is_same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
            return true;
        }
    }
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// Files in the making. Dropped before they are finished, they leave nothing.
struct Files {
    output: Output,
    beside: PathBuf,
    /// Directories that were not there before.
    made: Vec<PathBuf>,
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.beside);
        for directory in &self.made {
            // Only those that are empty can be removed.
            let _ = fs::remove_dir(directory);
        }
    }
}

impl Files {
    fn path(&self, ending: &str) -> PathBuf {
        self.beside.join(format!("output{ending}"))
    }

    fn write(&self, ending: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let path = self.output.path(ending);
        fs::write(self.path(ending), text).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(())
    }

    fn finish(self) -> Result<(), Box<dyn Error>> {
        for ending in ENDINGS {
            let path = self.output.path(ending);
            let written = match fs::symlink_metadata(&path) {
                Ok(_) => "replaced",
                Err(_) => "written",
            };
            fs::rename(self.path(ending), &path)
                .map_err(|why| format!("{}: {why}", path.display()))?;
            println!("{written}: {}", path.display());
        }
        Ok(())
    }

    fn draw(
        &self,
        calibration: &Calibration,
        fitted: &Fitted,
        parts: &Parts,
        [x, y]: [&str; 2],
    ) -> Result<(), Box<dyn Error>> {
        let data = [
            ("training", Some(&parts.training)),
            ("validation", parts.validation.as_ref()),
        ];
        let data = data.map(|(name, data)| data.map(|data| (name, data)));
        // The picture shows differences of numbers that f32 does not hold well.
        let coarse: Vec<String> = data
            .iter()
            .flatten()
            .flat_map(|(_, data)| data.coarse())
            .map(|coarse| coarse.column)
            .collect();
        let origin = |name: &str| -> Result<f64, Box<dyn Error>> {
            let is_coarse = coarse.iter().any(|column| column == name);
            Ok(if is_coarse {
                parts.scale(name)?.offset
            } else {
                0.0
            })
        };
        let origins = [origin(x)?, origin(y)?];
        let [from_x, from_y] = origins.map(|origin| {
            move |values: &[f64]| -> Vec<f32> {
                values.iter().map(|value| (value - origin) as f32).collect()
            }
        });
        let label = |name: &str, origin: f64| match origin {
            0.0 => name.to_owned(),
            _ => format!("{name} - {origin}"),
        };
        let labels = [label(x, origins[0]), label(y, origins[1])];

        let (mut shown, mut readings) = (Vec::new(), Vec::new());
        for (name, data) in data.into_iter().flatten() {
            let (x, y) = (data.column_f64(x)?, data.column_f64(y)?);
            let predicted = calibration.predict_f64(&x)?;
            shown.push((name, from_x(&x), from_y(&y), from_y(&predicted)));
            readings.extend(x);
        }
        let points = shown.iter().map(|(name, x, y, predicted)| plot::Points {
            name,
            x,
            y,
            predicted,
        });
        let points: Vec<_> = points.collect();

        let [low, high] = range(&readings);
        let between = |i: u8| low + (high - low) * f64::from(i) / 64.0;
        let grid: Vec<f64> = (0..=64).map(between).collect();
        let curve = from_y(&calibration.predict_f64(&grid)?);
        let curve: Vec<(f32, f32)> = from_x(&grid).into_iter().zip(curve).collect();

        let [x_label, y_label] = labels.each_ref().map(String::as_str);
        let drawn = plot::fit(
            self.path("-fit.svg"),
            &calibration.to_string(),
            [x_label, y_label],
            &points,
            &curve,
        );
        self.at_its_place(drawn, "-fit.svg")?;
        let runs = [("", fitted.history())];
        let drawn = plot::losses(self.path("-loss.svg"), "Loss of scaled values", &runs);
        self.at_its_place(drawn, "-loss.svg")
    }

    /// An error with the name of the file as it would have been.
    fn at_its_place(
        &self,
        drawn: Result<(), plot::PlotError>,
        ending: &str,
    ) -> Result<(), Box<dyn Error>> {
        let [beside, path] = [self.path(ending), self.output.path(ending)];
        let [beside, path] = [beside, path].map(|path| path.display().to_string());
        Ok(drawn.map_err(|error| error.to_string().replace(&beside, &path))?)
    }
}
