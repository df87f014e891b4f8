//! Writes the files of a fit: checks that they may be written, and writes all of them or none.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use baregrad::train::{Calibration, Fitted, Regression, plot};
use clap::ValueEnum;

use super::data::{Parts, Table};
use super::{Args, range};

/// The endings of the files of gradient descent, after the name of the data. The report
/// is moved to its place first, because it tells to which run the other files belong.
pub(super) const DESCENT: [&str; 5] = [".json", ".rs", "-history.csv", "-fit.svg", "-loss.svg"];
/// The endings of the files of least squares.
pub(super) const LEAST_SQUARES: [&str; 4] = [".json", ".rs", "-residuals.csv", "-fit.svg"];

/// The endings of the files of C99 source.
const C: [&str; 2] = [".c", ".h"];

/// The paths of the files to write, which were checked.
pub(super) struct Output {
    directory: PathBuf,
    /// The name of the data file without its extension.
    stem: OsString,
    /// The path of the record, if it is to be saved.
    save: Option<PathBuf>,
    endings: Vec<&'static str>,
    /// The data and all options that affect the results, as part of the report. A
    /// repeated command has the same value.
    pub(super) run: serde_json::Value,
}

impl Output {
    /// Checks the paths of the files to write.
    ///
    /// # Errors
    /// A file to write is the data file itself, be it through a link or another path; or it exists
    /// and does not belong to this run.
    pub(super) fn new(args: &Args, endings: &[&'static str]) -> Result<Self, Box<dyn Error>> {
        let in_file = |why: &dyn Error| format!("{}: {why}", args.data.display());
        let data = fs::canonicalize(&args.data).map_err(|why| in_file(&why))?;
        let text = |value: Option<f32>| value.map(|value| value.to_string());
        let output = Output {
            directory: args.out.clone(),
            stem: args.data.file_stem().unwrap_or_default().to_owned(),
            save: args.save.clone(),
            endings: endings
                .iter()
                .chain(args.c.then_some(&C).into_iter().flatten())
                .copied()
                .collect(),
            run: serde_json::json!({
                "data": data.to_string_lossy(),
                "x": args.x,
                "weights": args.weights,
                "sigma": args.sigma,
                "y": args.y,
                "model": args.model.to_string(),
                "method": args.method.and_then(name),
                "robust": args.robust.and_then(name),
                "epochs": args.epochs,
                "lr": text(args.lr),
                "validation": args.validation.map(|share| share.to_string()),
                "seed": args.seed.to_string(),
                "patience": args.patience,
                "l2": text(args.l2),
                "c": args.c,
                "save": args.save.as_ref().map(|path| path.to_string_lossy()),
            }),
        };
        output.check_directory()?;
        if let Some(path) = &output.save {
            let probe = beside(path);
            let written = fs::write(&probe, []).and_then(|()| fs::remove_file(&probe));
            written.map_err(|why| format!("{}: {why}", path.display()))?;
        }
        let is_own = output.was_this_run();
        let files = output.endings.iter().map(|ending| output.path(ending));
        for path in files.chain(args.save.clone()) {
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

    /// Checks that files can be created in the directory, without creating it yet.
    fn check_directory(&self) -> Result<(), Box<dyn Error>> {
        let in_directory = |why: std::io::Error| format!("{}: {why}", self.directory.display());
        let here = Path::new(".");
        let parents = self.directory.ancestors();
        let nearest = parents.filter(|path| *path != Path::new(""));
        let nearest = nearest.chain([here]).find(|path| path.exists());
        let nearest = nearest.unwrap_or(here);
        if !nearest.is_dir() {
            // Fails without creating anything, and returns the reason.
            fs::create_dir_all(&self.directory).map_err(in_directory)?;
        }
        let probe = nearest.join(format!(".baregrad.{}", std::process::id()));
        fs::create_dir(&probe).map_err(in_directory)?;
        fs::remove_dir(&probe).map_err(in_directory)?;
        Ok(())
    }

    /// Returns whether there is a report of the same command.
    fn was_this_run(&self) -> bool {
        let report = fs::read(self.path(".json")).ok();
        let report: Option<serde_json::Value> =
            report.and_then(|report| serde_json::from_slice(&report).ok());
        report.is_some_and(|report| report.get("run") == Some(&self.run))
    }

    /// Creates a temporary directory, in which all files are written before the first is
    /// moved to its path.
    pub(super) fn begin(self) -> Result<Files, Box<dyn Error>> {
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

/// The name of a value on the command line.
pub(super) fn name(value: impl ValueEnum) -> Option<String> {
    let value = value.to_possible_value()?;
    Some(value.get_name().to_owned())
}

/// The temporary path of a file, in the same directory.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

/// Returns whether both paths lead to the same file.
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

/// Files that are being written. Dropping them before `finish` removes them.
pub(super) struct Files {
    output: Output,
    beside: PathBuf,
    /// The directories that were created.
    made: Vec<PathBuf>,
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.beside);
        if let Some(path) = &self.output.save {
            let _ = fs::remove_file(beside(path));
        }
        for directory in &self.made {
            // `remove_dir` removes only empty directories.
            let _ = fs::remove_dir(directory);
        }
    }
}

impl Files {
    fn path(&self, ending: &str) -> PathBuf {
        self.beside.join(format!("output{ending}"))
    }

    pub(super) fn write(&self, ending: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let path = self.output.path(ending);
        fs::write(self.path(ending), text).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(())
    }

    /// Writes the curve as C99 if `--c` is given. `print` takes the name of the header,
    /// and returns the text of the source file and of the header.
    pub(super) fn write_c(
        &self,
        print: impl Fn(&str) -> [String; 2],
    ) -> Result<(), Box<dyn Error>> {
        if !self.output.endings.contains(&C[0]) {
            return Ok(());
        }
        let header = self.output.path(C[1]);
        let header = header.file_name().unwrap_or_default().to_string_lossy();
        let [definitions, declarations] = print(&header);
        self.write(C[0], &format!("#include \"{header}\"\n\n{definitions}"))?;
        self.write(C[1], &declarations)
    }

    /// Writes the record if `--save` is given.
    pub(super) fn save(&self, record: &[u8]) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.output.save {
            fs::write(beside(path), record).map_err(|why| format!("{}: {why}", path.display()))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Box<dyn Error>> {
        let endings = self.output.endings.iter();
        let outputs = endings.map(|ending| (self.path(ending), self.output.path(ending)));
        let record = self
            .output
            .save
            .iter()
            .map(|path| (beside(path), path.clone()));
        let mut lines = Vec::new();
        for (made, path) in outputs.chain(record) {
            let written = match fs::symlink_metadata(&path) {
                Ok(_) => "replaced",
                Err(_) => "written",
            };
            fs::rename(made, &path).map_err(|why| format!("{}: {why}", path.display()))?;
            lines.push(format!("{written}: {}", path.display()));
        }
        // Behind the last of them, so that output that fails leaves no set half replaced.
        say!("{}", lines.join("\n"));
        Ok(())
    }

    pub(super) fn draw(
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
        // Plots differences from an origin if f32 does not resolve the numbers well.
        let coarse: Vec<String> = data
            .iter()
            .flatten()
            .flat_map(|(_, data)| data.coarse())
            .map(|coarse| coarse.column)
            .collect();
        let origin = |name: &str| -> Result<f64, Box<dyn Error>> {
            let is_coarse = coarse.iter().any(|column| column == name);
            Ok(if is_coarse {
                parts.scale(name)?.offset.to_f64()
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

    /// Plots a regression of one input with its band, or for several inputs the measured
    /// against the predicted values.
    pub(super) fn draw_regression(
        &self,
        args: &Args,
        fitted: &Regression,
        calibration: Option<&Calibration>,
        training: &Table,
        validation: Option<&Table>,
    ) -> Result<(), Box<dyn Error>> {
        let tables = [("training", Some(training)), ("validation", validation)];
        let tables = tables.map(|(name, table)| table.map(|table| (name, table)));
        let tables: Vec<(&str, &Table)> = tables.into_iter().flatten().collect();
        let is_over_readings = args.x.len() == 1;
        let predict = |row: &[f64]| fitted.predict(row);
        // The name of each series, its values on the x axis, the measured and the
        // predicted values.
        let mut series = Vec::new();
        for (name, table) in &tables {
            let rows = (0..table.y.len()).map(|i| table.row(i));
            let rows: Vec<Vec<f64>> = rows.collect();
            let predicted: Vec<f64> = rows.iter().map(|row| predict(row).value).collect();
            let across = match is_over_readings {
                true => rows.iter().filter_map(|row| row.first().copied()).collect(),
                false => predicted.clone(),
            };
            series.push((*name, across, table.y.clone(), predicted));
        }
        let all: Vec<f64> = series.iter().flat_map(|(_, x, ..)| x.clone()).collect();
        let [low, high] = range(&all);
        let grid = (0..=64).map(|i| low + (high - low) * f64::from(i) / 64.0);
        let t = fitted.deviations_of_interval(0.95);
        let curve = grid.map(|x| match is_over_readings {
            true => {
                let found = predict(&[x]);
                let reach = t.zip(found.of_a_reading).map(|(t, error)| t * error);
                (x, found.value, reach)
            }
            false => (x, x, None),
        });
        let curve: Vec<(f64, f64, Option<f64>)> = curve.collect();

        // Plots differences from an origin if f32 does not resolve the numbers well.
        let origin = |values: &[f64]| {
            let [low, high] = range(values);
            let most = low.abs().max(high.abs());
            if most > 1e4 * (high - low) && high > low {
                ((low / 2.0 + high / 2.0) / (high - low)).round() * (high - low)
            } else {
                0.0
            }
        };
        let y_values: Vec<f64> = series.iter().flat_map(|(_, _, y, _)| y.clone()).collect();
        let origins = [origin(&all), origin(&y_values)];
        let [from_x, from_y] = origins.map(|origin| move |x: f64| (x - origin) as f32);
        let label = |name: String, origin: f64| match origin {
            0.0 => name,
            _ => format!("{name} - {origin}"),
        };
        let across = match args.x.as_slice() {
            [x] => x.clone(),
            _ => format!("{} predicted", args.y),
        };
        let labels = [label(across, origins[0]), label(args.y.clone(), origins[1])];
        let shown: Vec<_> = series
            .iter()
            .map(|(name, x, y, predicted)| {
                let x: Vec<f32> = x.iter().map(|x| from_x(*x)).collect();
                let [y, predicted] =
                    [y, predicted].map(|of| of.iter().map(|y| from_y(*y)).collect::<Vec<f32>>());
                (*name, x, y, predicted)
            })
            .collect();
        let points = shown.iter().map(|(name, x, y, predicted)| plot::Points {
            name,
            x,
            y,
            predicted,
        });
        let points: Vec<_> = points.collect();
        let band = curve.iter().filter_map(|(x, y, reach)| {
            let reach = (*reach)?;
            Some((from_x(*x), from_y(y - reach), from_y(y + reach)))
        });
        let band: Vec<_> = band.collect();
        let curve = curve.iter().map(|(x, y, _)| (from_x(*x), from_y(*y)));
        let curve: Vec<(f32, f32)> = curve.collect();
        let title = match calibration {
            Some(calibration) => calibration.to_string(),
            None => format!("{} of {}, {}", args.y, args.x.join(", "), args.model),
        };
        let [x_label, y_label] = labels.each_ref().map(String::as_str);
        let drawn = plot::fit_with_band(
            self.path("-fit.svg"),
            &title,
            [x_label, y_label],
            &points,
            &curve,
            &band,
        );
        self.at_its_place(drawn, "-fit.svg")
    }

    /// Replaces the temporary path in an error by the final path.
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
