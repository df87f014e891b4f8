//! The files that a fit writes: where they go, that they may go there, and all of them
//! or none.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use baregrad::train::{Calibration, Fitted, plot};
use clap::ValueEnum;

use super::{Args, Parts, range};

/// The endings of the files, behind the name of the data. The report is the first to
/// be put in place: it says whose the others are.
const ENDINGS: [&str; 5] = [".json", ".rs", "-history.csv", "-fit.svg", "-loss.svg"];

/// Where files go, and that they may go there.
pub(super) struct Output {
    directory: PathBuf,
    /// The name of the data.
    stem: OsString,
    /// Where the record goes, if anywhere.
    save: Option<PathBuf>,
    /// The data and all that decides what comes of them: the same for a command that
    /// is repeated, and part of the report.
    pub(super) run: serde_json::Value,
}

impl Output {
    /// # Errors
    /// A file to be written is the data themselves, whatever it is called: a link, or
    /// another way to say the name. Or it is there already, and not of this run.
    pub(super) fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let in_file = |why: &dyn Error| format!("{}: {why}", args.data.display());
        let data = fs::canonicalize(&args.data).map_err(|why| in_file(&why))?;
        let text = |value: Option<f32>| value.map(|value| value.to_string());
        let output = Output {
            directory: args.out.clone(),
            stem: args.data.file_stem().unwrap_or_default().to_owned(),
            save: args.save.clone(),
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
        for path in ENDINGS
            .map(|ending| output.path(ending))
            .into_iter()
            .chain(args.save.clone())
        {
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
        let probe = nearest.join(format!(".baregrad.{}", std::process::id()));
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

/// A file in the making, in the directory of the one it will be.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
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
pub(super) struct Files {
    output: Output,
    beside: PathBuf,
    /// Directories that were not there before.
    made: Vec<PathBuf>,
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.beside);
        if let Some(path) = &self.output.save {
            let _ = fs::remove_file(beside(path));
        }
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

    pub(super) fn write(&self, ending: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let path = self.output.path(ending);
        fs::write(self.path(ending), text).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(())
    }

    /// The record, if it is asked for.
    pub(super) fn save(&self, record: &[u8]) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.output.save {
            fs::write(beside(path), record).map_err(|why| format!("{}: {why}", path.display()))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Box<dyn Error>> {
        let outputs = ENDINGS.map(|ending| (self.path(ending), self.output.path(ending)));
        let record = self
            .output
            .save
            .iter()
            .map(|path| (beside(path), path.clone()));
        for (made, path) in outputs.into_iter().chain(record) {
            let written = match fs::symlink_metadata(&path) {
                Ok(_) => "replaced",
                Err(_) => "written",
            };
            fs::rename(made, &path).map_err(|why| format!("{}: {why}", path.display()))?;
            println!("{written}: {}", path.display());
        }
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
