//! Code that the golden tests share: numbers in JSON, tolerances, and
//! the report.

pub mod entries;
pub mod groups;
pub mod j2;
pub mod losses;
pub mod ops;
pub mod optim;
pub mod sched;
pub mod seeds;
pub mod special;

use std::collections::BTreeMap;
use std::path::PathBuf;

use baregrad::Shape;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A number. NaN and infinities, which JSON lacks, are strings.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Num(pub f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

impl TryFrom<Written> for Num {
    type Error = std::num::ParseFloatError;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Number(x) => Ok(Num(x)),
            Written::Text(text) => text.parse().map(Num),
        }
    }
}

/// A list of numbers. A single one is written with or without brackets.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Nums {
    One(Num),
    Many(Vec<Num>),
}

impl Nums {
    pub fn f64s(&self) -> Vec<f64> {
        match self {
            Nums::One(x) => vec![x.0],
            Nums::Many(xs) => xs.iter().map(|x| x.0).collect(),
        }
    }
    pub fn f32s(&self) -> Vec<f32> {
        self.f64s().into_iter().map(|x| x as f32).collect()
    }
}

pub fn shape_of(sizes: &[usize]) -> Shape {
    Shape::new(sizes).expect("at most four dimensions")
}

/// Returns the distance from `|x|` to the next `f32`.
pub fn ulp(x: f64) -> f64 {
    let x = (x.abs() as f32).min(f32::MAX.next_down());
    f64::from(x.next_up()) - f64::from(x)
}

/// Returns the error as a multiple of the allowed one. Numbers that are not finite must be equal.
pub fn ratio(got: f32, truth: f64, allowed: f64) -> f64 {
    let got = f64::from(got);
    if got == truth || (got.is_nan() && truth.is_nan()) {
        0.0
    } else if got.is_finite() && truth.is_finite() {
        (got - truth).abs() / allowed
    } else {
        f64::INFINITY
    }
}

/// Returns whether the bits are equal, except for sign and payload of NaN, which are not
/// guaranteed.
pub fn same_bits(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// The outcome of one file.
#[derive(Default)]
pub struct Report {
    /// The line with the number of cases that ran.
    pub summary: String,
    pub failures: Vec<String>,
    /// By group: the worst error as a multiple of the allowed one, and its case.
    worst: BTreeMap<String, (f64, String)>,
    /// The kinds that were left out, and the number of cases of each.
    absent: BTreeMap<String, usize>,
}

impl Report {
    /// Checks an error against its bound.
    pub fn check(&mut self, group: &str, ratio: f64, at: impl FnOnce() -> String) {
        // NaN fails, too.
        let holds = ratio <= 1.0;
        let worst = self.worst.entry(group.to_owned()).or_default();
        let leads = worst.1.is_empty() || ratio > worst.0;
        if leads || !holds {
            let at = at();
            if !holds {
                self.failures
                    .push(format!("{at}: {ratio:.3} of what is allowed"));
            }
            if leads {
                *worst = (ratio, at);
            }
        }
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    pub fn not_covered(&mut self, what: &str, cases: usize) {
        *self.absent.entry(what.to_owned()).or_default() += cases;
    }

    /// Prints the report, and returns whether there are no failures.
    pub fn print(&self, file: &str, verbose: bool) -> bool {
        println!("{file}: {}", self.summary);
        if !self.absent.is_empty() {
            let list: Vec<_> = self
                .absent
                .iter()
                .map(|(name, cases)| format!("{name} ({cases})"))
                .collect();
            println!("    not covered: {}", list.join(", "));
        }
        if verbose {
            for (group, (ratio, at)) in &self.worst {
                println!("    {group}: worst {ratio:.2} of what is allowed, {at}");
            }
        } else if !self.worst.is_empty() {
            let list: Vec<_> = self
                .worst
                .iter()
                .map(|(group, (ratio, _))| format!("{group} {ratio:.2}"))
                .collect();
            println!("    worst error, of what is allowed: {}", list.join(", "));
        }
        for failure in &self.failures {
            println!("    FAILED {failure}");
        }
        self.failures.is_empty()
    }
}

/// Returns the folder of the files.
pub fn directory() -> PathBuf {
    std::env::var_os("BAREGRAD_GOLDEN_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../golden"),
        PathBuf::from,
    )
}

/// Reads a file. Returns `None` if it is missing in another folder than the default one.
pub fn read<T: DeserializeOwned>(file: &str) -> Result<Option<T>, String> {
    let path = directory().join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| format!("{}: {error}", path.display())),
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound
                && std::env::var_os("BAREGRAD_GOLDEN_DIR").is_some() =>
        {
            Ok(None)
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Returns the message of a panic.
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "panic".to_owned())
}
