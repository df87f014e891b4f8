//! Reads a data set in NIST's format, and solves it.

use baregrad::function::{Function, TwoFloat};
use baregrad::least_squares::{CurveFit, LevenbergMarquardt, Status};

use crate::models;

/// A data set.
pub(crate) struct Set {
    pub(crate) name: String,
    /// The two starts.
    pub(crate) starts: [Vec<f64>; 2],
    /// The certified parameters.
    pub(crate) certified: Vec<f64>,
    /// The certified standard errors.
    pub(crate) deviations: Vec<f64>,
    /// Inputs, row by row, as pairs: the `f32` values, and the remainders.
    pub(crate) x: [Vec<f32>; 2],
    /// Observations, as pairs.
    pub(crate) y: [Vec<f32>; 2],
}

impl Set {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// A message that names the line that is missing, or that is not a row of numbers.
    pub(crate) fn parse(text: &str) -> Result<Set, String> {
        let find = |label: &str| {
            let line = text.lines().find(|line| line.contains(label));
            line.ok_or(format!("expected a line with `{label}`"))
        };
        let name = find("Dataset Name:")?;
        let name = name.split_whitespace().nth(2).unwrap_or_default();

        let mut set = Set {
            name: name.to_owned(),
            starts: [Vec::new(), Vec::new()],
            certified: Vec::new(),
            deviations: Vec::new(),
            x: [Vec::new(), Vec::new()],
            y: [Vec::new(), Vec::new()],
        };
        // A parameter's line has two starts: `b1 = start start certified deviation`.
        for line in text.lines() {
            let Some((label, numbers)) = line.split_once('=') else {
                continue;
            };
            let label = label.trim();
            let is_parameter = label.len() > 1
                && label.starts_with('b')
                && label.chars().skip(1).all(|c| c.is_ascii_digit());
            let numbers: Vec<f64> = numbers.split_whitespace().map_while(number).collect();
            if let (true, [first, second, certified, deviation]) =
                (is_parameter, numbers.as_slice())
            {
                let [starts, others] = &mut set.starts;
                starts.push(*first);
                others.push(*second);
                set.certified.push(*certified);
                set.deviations.push(*deviation);
            }
        }
        // The last line with `Data:` is above the columns, the first of which is y.
        let lines: Vec<&str> = text.lines().collect();
        let heading = lines.iter().rposition(|line| line.starts_with("Data:"));
        let heading = heading.ok_or("expected a line that begins with `Data:`")?;
        for (i, line) in lines.iter().skip(heading + 1).enumerate() {
            let row: Vec<f64> = line.split_whitespace().map_while(number).collect();
            match row.split_first() {
                Some((y, x)) if !x.is_empty() => {
                    // Nelson's model predicts the logarithm.
                    let y = if set.name == "Nelson" { y.ln() } else { *y };
                    push(&mut set.y, y);
                    x.iter().for_each(|x| push(&mut set.x, *x));
                }
                _ if line.trim().is_empty() => {}
                _ => return Err(format!("row {} of the data: expected numbers", i + 1)),
            }
        }
        Ok(set)
    }

    /// Solves the set from start 0 or 1.
    ///
    /// # Errors
    /// The set has no model here, or another number of parameters.
    pub(crate) fn run(&self, start: usize, precision: Precision) -> Result<Run, String> {
        let with = Solve {
            set: self,
            start,
            precision,
        };
        let unknown = || Err(format!("no model is known for the set `{}`", self.name));
        models::by_name(&self.name, with).unwrap_or_else(unknown)
    }
}

/// The precision in which residuals are computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Precision {
    /// Pairs of `f32`, like the data.
    Pairs,
    /// Single `f32`.
    #[allow(dead_code)] // Only the tests use it.
    Single,
}

/// Appends a number as a pair of `f32`.
fn push(to: &mut [Vec<f32>; 2], x: f64) {
    let x = TwoFloat::from(x);
    let [high, low] = to;
    high.push(x.high());
    low.push(x.low());
}

/// Parses a number in NIST's format, `10.07E0`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Returns the least log relative error of these numbers, at most 11, the number of certified
/// digits.
fn digits(found: &[f32], certified: &[f64]) -> f64 {
    let worst = found.iter().zip(certified).map(|(found, certified)| {
        let error = (f64::from(*found) - certified).abs();
        let relative = if *certified == 0.0 {
            error
        } else {
            error / certified.abs()
        };
        if relative.is_nan() {
            f64::NEG_INFINITY
        } else {
            -relative.max(1e-11).log10()
        }
    });
    worst.fold(11.0, f64::min).max(-9.9)
}

/// The result of a run.
pub(crate) struct Run {
    /// The digits of the worst parameter, and of the worst standard error.
    pub(crate) digits: [f64; 2],
    pub(crate) passes: u32,
    pub(crate) status: Status,
}

/// Solves a set from one of its starts.
struct Solve<'a> {
    set: &'a Set,
    start: usize,
    precision: Precision,
}

impl models::Use for Solve<'_> {
    type Output = Result<Run, String>;

    fn call<F: Function<X, P>, const X: usize, const P: usize>(self, model: F) -> Self::Output {
        let Solve {
            set,
            start,
            precision,
        } = self;
        let start = set.starts.get(start).ok_or("expected start 0 or 1")?;
        let start: Vec<f32> = start.iter().map(|p| *p as f32).collect();
        let start: [f32; P] = start
            .try_into()
            .map_err(|start: Vec<f32>| format!("expected {P} parameters, found {}", start.len()))?;
        let ([x, x_low], [y, y_low]) = (&set.x, &set.y);
        let problem = CurveFit::<F, X>::new(model, x, y);
        let mut solver = LevenbergMarquardt::new(start);
        let solution = match precision {
            Precision::Pairs => solver.run(&problem.in_pairs().low(x_low, y_low)),
            Precision::Single => solver.run(&problem),
        };
        let errors = solution.standard_errors().unwrap_or([f32::NAN; P]);
        Ok(Run {
            digits: [
                digits(&solution.params(), &set.certified),
                digits(&errors, &set.deviations),
            ],
            passes: solution.passes(),
            status: solution.status(),
        })
    }
}
