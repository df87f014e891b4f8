//! Fits by least squares: prints coefficients with their standard errors and warnings
//! from the residuals, and writes the files.

use std::error::Error;
use std::fmt::Write as _;

use baregrad::train::{
    Calibration, Coefficient, Curve, Dataset, LeastSquares, Regression, significant,
};

use super::data::Table;
use super::output::{LEAST_SQUARES, Output, name};
use super::{Args, Errors, in_file, require_rows, split};

/// The probability of confidence intervals and bands.
const LEVEL: f64 = 0.95;
/// The most rows of which all residuals are listed.
const LISTED: usize = 25;
/// The number of residuals, the largest ones, that are listed if there are more rows.
const LARGEST: usize = 5;

pub(super) fn run(args: &Args, data: &Dataset) -> Result<(), Box<dyn Error>> {
    let (training, validation) = split(args, data, args.validation.unwrap_or(0.0))?;
    let parameters = LeastSquares::parameters(&args.model, args.x.len());
    require_rows(args, training.rows(), parameters + 1)?;
    let points = args.at.iter().map(|at| reading(args, at));
    let points: Vec<Vec<f64>> = points.collect::<Result<_, _>>()?;
    let output = Output::new(args, &LEAST_SQUARES)?;

    let training = Table::of(args, &training)?;
    let fitted = fit(args, &training)?;
    let names: Vec<&str> = args.x.iter().map(String::as_str).collect();
    let calibration = match &names[..] {
        [x] => Calibration::of_regression(&fitted, [x, &args.y]),
        _ => None,
    };
    let rows = validation.as_ref().map_or(0, Dataset::rows);
    let path = args.data.display();
    say!("{path}: {} rows to fit, {rows} to validate", fitted.rows());
    say!("{}", said(args, &fitted, calibration.as_ref()).trim_end());

    let off = |table: &Table| -> Result<Errors, Box<dyn Error>> {
        let predicted = match &calibration {
            // Predicts as a device does.
            Some(calibration) => {
                calibration.predict_f64(table.x.first().map_or(&[][..], Vec::as_slice))?
            }
            None => (0..table.y.len())
                .map(|i| fitted.predict_on_device(&table.row(i)).unwrap_or(f64::NAN))
                .collect(),
        };
        Ok(Errors::between(&table.y, &predicted))
    };
    say!("{} off by, training: {}", args.y, off(&training)?);
    let validation = validation.map(|part| Table::of(args, &part)).transpose()?;
    if let Some(validation) = &validation {
        say!("{} off by, validation: {}", args.y, off(validation)?);
    }
    say!("\n{}", residuals(args, &training, &fitted).trim_end());
    for at in &points {
        say!("{}", predicted(args, &fitted, at));
    }

    let rust = match &calibration {
        Some(calibration) => calibration.to_rust(),
        None => fitted.to_rust(&names, &args.y),
    };
    if !matches!(args.model, Curve::Mlp { .. }) {
        say!("\nFor firmware:\n\n{rust}");
    }
    let mut warnings = warnings(args, &training, &fitted, validation.as_ref(), &points);
    warnings.extend(calibration.iter().flat_map(Calibration::warnings));
    for warning in &warnings {
        say!("warning: {warning}");
    }

    let report = report(
        args,
        &output,
        &training,
        &fitted,
        calibration.as_ref(),
        &warnings,
    );
    let files = output.begin()?;
    files.write(".json", &serde_json::to_string_pretty(&report)?)?;
    files.write(".rs", &rust)?;
    files.write_c(|header| match &calibration {
        Some(calibration) => [calibration.to_c(), calibration.to_c_header(header)],
        None => {
            let header = fitted.to_c_header(&names, &args.y, header);
            [fitted.to_c(&names, &args.y), header]
        }
    })?;
    files.write("-residuals.csv", &residuals_csv(args, &training, &fitted))?;
    files.draw_regression(
        args,
        &fitted,
        calibration.as_ref(),
        &training,
        validation.as_ref(),
    )?;
    let record = match &calibration {
        Some(calibration) => Some(calibration.to_record()),
        None => fitted.to_record(),
    };
    if let Some(record) = record {
        files.save(&record)?;
    }
    files.finish()
}

/// Parses the reading of an `--at`, a number for each column.
fn reading(args: &Args, at: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let numbers = at.split(',').map(|number| number.trim().parse::<f64>());
    let numbers = numbers.collect::<Result<Vec<f64>, _>>().ok();
    let numbers = numbers.filter(|numbers| numbers.iter().all(|x| x.is_finite()));
    let wanted = args.x.len();
    numbers
        .filter(|numbers| numbers.len() == wanted)
        .ok_or_else(|| {
            let columns = args.x.join(",");
            format!("--at: expected finite numbers for {columns}, found `{at}`").into()
        })
}

fn fit(args: &Args, table: &Table) -> Result<Regression, Box<dyn Error>> {
    let columns: Vec<&[f64]> = table.x.iter().map(Vec::as_slice).collect();
    let mut problem = LeastSquares::new(&args.model, &columns, &table.y);
    if let Some(known) = &table.known {
        problem = match args.sigma {
            Some(_) => problem.sigma(known),
            None => problem.weights(known),
        };
    }
    if let Some(robust) = args.robust {
        problem = problem.robust(robust.into());
    }
    let names: Vec<&str> = args.x.iter().map(String::as_str).collect();
    let fitted = problem
        .run()
        .map_err(|why| in_file(args, &why.with_names(&names, &args.y)))?;
    // A network may predict well even if the data do not determine its parameters.
    let is_network = matches!(args.model, Curve::Mlp { .. });
    let is_usable = fitted.params().iter().all(|p| p.is_finite())
        && fitted.residuals().all(|(_, residual)| residual.is_finite());
    if !is_usable || !(is_network || fitted.status().is_usable()) {
        let model = args.model;
        let mut why = format!("{model}: {}", fitted.status());
        if let Curve::Function(formula) = model {
            let _ = write!(
                why,
                "; started from {}, estimated from the data; best so far {}: is it the right model?",
                listed(formula.parameters(), fitted.start()),
                listed(formula.parameters(), fitted.params())
            );
        }
        return Err(in_file(args, &why));
    }
    Ok(fitted)
}

/// Formats names and values as `a = 1, b = 2`.
fn listed(names: &[&str], values: &[f64]) -> String {
    let pairs = names.iter().zip(values);
    let pairs = pairs.map(|(name, p)| format!("{name} = {}", significant(*p, 4)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Formats a number to a millionth of its standard error, which is precise enough for
/// computing with the number. Without a standard error, the number has nine digits.
fn worth(value: f64, standard_error: Option<f64>) -> String {
    let digits = match standard_error {
        Some(error) if error > 0.0 && value != 0.0 => {
            let digits = (value.abs() / error).log10().floor() + 7.0;
            digits.clamp(3.0, 12.0) as usize
        }
        _ => 9,
    };
    significant(value, digits).to_string()
}

fn with_error(value: f64, standard_error: Option<f64>) -> String {
    let number = worth(value, standard_error);
    match standard_error {
        Some(error) => format!("{number} ± {}", significant(error, 6)),
        None => number,
    }
}

/// The term that a coefficient multiplies: `t^2`, or for several columns `t^2 * p`.
fn product(coefficient: &Coefficient, names: &[String], origin: f64) -> String {
    let base = |name: &String| match origin {
        0.0 => name.clone(),
        _ => format!("({name} - {origin})"),
    };
    if let ([power], [name]) = (&coefficient.powers[..], names) {
        return format!("{}^{power}", base(name));
    }
    let factors = coefficient.powers.iter().zip(names);
    let factors = factors
        .filter(|(power, _)| **power > 0)
        .map(|(power, name)| match power {
            1 => name.clone(),
            _ => format!("{name}^{power}"),
        });
    let factors: Vec<String> = factors.collect();
    match factors.is_empty() {
        true => "1".to_owned(),
        false => factors.join(" * "),
    }
}

/// The printed summary of a fit.
fn said(args: &Args, fitted: &Regression, calibration: Option<&Calibration>) -> String {
    let mut text = String::new();
    let (model, passes) = (args.model, fitted.passes());
    // Writing to a `String` does not fail.
    let mut line = |what: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{what}");
    };
    line(format_args!(
        "{model}, least squares (Levenberg-Marquardt): {}, {passes} passes over the rows",
        fitted.status()
    ));
    if let Curve::Function(formula) = model {
        let start = listed(formula.parameters(), fitted.start());
        line(format_args!(
            "started from {start}: estimated from the data"
        ));
    }
    line(format_args!(""));
    match calibration {
        Some(calibration) => line(format_args!("{calibration}")),
        None => line(format_args!("{}", fitted.formula(&args.x, &args.y))),
    }
    let origin = calibration.map_or(0.0, Calibration::origin);
    let origins = if origin == 0.0 {
        vec![0.0]
    } else {
        vec![origin, 0.0]
    };
    for origin in origins {
        for coefficient in fitted.coefficients_about(&[origin]).unwrap_or_default() {
            let number = match origin {
                // Terms that cancel need all digits of an f64.
                0.0 if calibration.is_some_and(|c| c.origin() != 0.0) => {
                    let error = coefficient.standard_error.unwrap_or(f64::NAN);
                    format!(
                        "{} ± {}",
                        significant(coefficient.value, 17),
                        significant(error, 6)
                    )
                }
                _ => with_error(coefficient.value, coefficient.standard_error),
            };
            match model {
                Curve::Function(formula) => {
                    let names = formula.parameters().iter().zip(formula.meanings());
                    let named = names.clone().find(|(name, _)| **name == coefficient.name);
                    let meaning = named.map_or("", |(_, meaning)| *meaning);
                    line(format_args!("  {}: {number} ({meaning})", coefficient.name));
                }
                _ => {
                    let of = product(&coefficient, &args.x, origin);
                    line(format_args!("  coefficient of {of}: {number}"));
                }
            }
        }
    }
    let multiplier = fitted.deviations_of_interval(LEVEL);
    if let (Some(t), true) = (multiplier, fitted.coefficients().is_some()) {
        line(format_args!(
            "  ± is the standard error; an interval of 95 % is {} of them to either side",
            significant(t, 3)
        ));
    }
    let freedom = fitted.degrees_of_freedom();
    if let (Some(scale), Some(loss)) = (fitted.robust_scale(), args.robust.and_then(name)) {
        line(format_args!(
            "{loss}: residuals of several standard deviations count for less; robust standard deviation: {}",
            significant(scale, 6)
        ));
        return text;
    }
    match fitted.residual_standard_deviation() {
        Some(deviation) if fitted.has_sigma() => line(format_args!(
            "chi^2: {} with {freedom} degrees of freedom, {} times the standard deviations given",
            significant(fitted.sum_of_squares(), 6),
            significant(deviation, 3)
        )),
        Some(deviation) => line(format_args!(
            "residual standard deviation: {} with {freedom} degrees of freedom{}",
            significant(deviation, 9),
            if args.weights.is_some() {
                ", for a weight of 1"
            } else {
                ""
            }
        )),
        None => line(format_args!(
            "no standard errors: there are as many parameters as rows with a weight"
        )),
    }
    line(format_args!("R^2: {}", significant(fitted.r_squared(), 7)));
    text
}

/// The residuals of all rows, or the largest if there are many rows.
fn residuals(args: &Args, table: &Table, fitted: &Regression) -> String {
    let mut rows: Vec<(usize, f64)> = fitted.residuals().collect();
    let all = rows.len();
    if all > LISTED {
        rows.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
        rows.truncate(LARGEST);
    }
    let heading = match all > LISTED {
        true => format!(
            "residuals, {} - fit, the {LARGEST} largest of {all}:",
            args.y
        ),
        false => format!("residuals, {} - fit:", args.y),
    };
    let mut text = format!("{heading}\n");
    let places = rows.iter().map(|(row, _)| place(args, table, *row));
    let places: Vec<String> = places.collect();
    let width = places.iter().map(|place| place.chars().count()).max();
    for ((_, residual), place) in rows.iter().zip(places) {
        let residual = significant(*residual, 4).to_string();
        let _ = writeln!(
            text,
            "  {place:width$} {residual:>12}",
            width = width.unwrap_or(0)
        );
    }
    text
}

/// Formats a row as `row 3 (t_u = 58.2, t_c = 15)`.
fn place(args: &Args, table: &Table, row: usize) -> String {
    let columns = args.x.iter().zip(&table.x).chain([(&args.y, &table.y)]);
    let values = columns.map(|(name, column)| {
        let value = column.get(row).copied().unwrap_or(f64::NAN);
        format!("{name} = {value}")
    });
    format!(
        "row {} ({})",
        row + 1,
        values.collect::<Vec<_>>().join(", ")
    )
}

/// The answer to `--at`.
fn predicted(args: &Args, fitted: &Regression, at: &[f64]) -> String {
    let found = fitted.predict(at);
    let readings = args.x.iter().zip(at);
    let readings = readings.map(|(name, x)| format!("{name} = {x}"));
    let readings = readings.collect::<Vec<_>>().join(", ");
    let number = with_error(found.value, found.standard_error);
    let mut text = format!("{} at {readings}: {number}", args.y);
    if let (Some(t), Some(error), Some(of_a_reading)) = (
        fitted.deviations_of_interval(LEVEL),
        found.standard_error,
        found.of_a_reading,
    ) {
        let interval = |error: f64| {
            let [low, high] = [found.value - t * error, found.value + t * error];
            let digits = |x: f64| {
                let digits = (x.abs() / error).log10().floor() + 3.0;
                significant(x, digits.clamp(2.0, 12.0) as usize).to_string()
            };
            format!("{} to {}", digits(low), digits(high))
        };
        let _ = write!(text, "; the curve lies within {} (95 %)", interval(error));
        if !fitted.has_sigma() {
            let _ = write!(text, ", another reading within {}", interval(of_a_reading));
        }
    }
    text
}

/// The warnings about the fit.
fn warnings(
    args: &Args,
    table: &Table,
    fitted: &Regression,
    validation: Option<&Table>,
    points: &[Vec<f64>],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if !fitted.status().is_converged() {
        warnings.push(format!("{}: {}", args.model, fitted.status()));
    }
    let y = &args.y;
    for outlier in fitted.outliers() {
        warnings.push(format!(
            "{} is an outlier: {} from the fit, {} standard deviations {}",
            place(args, table, outlier.row),
            significant(outlier.residual, 4),
            significant(outlier.deviations, 3),
            match args.robust {
                Some(_) => "of good rows",
                None => "by the other rows: leave it out, or let it count for less with --robust",
            }
        ));
    }
    if let Some(sufficient) = fitted.sufficient_degree() {
        let p = significant(sufficient.probability, 2);
        let x = args.x.join(", ");
        warnings.push(match (sufficient.degree, args.model) {
            (0, _) => format!("the data do not show that {y} depends on {x}: noise alone would look like it (p = {p})"),
            (1, model) => format!("the data do not support {model}: beyond linear its terms explain no more than noise would (p = {p}); --model linear suffices"),
            (degree, model) => format!("the data do not support {model}: beyond degree {degree} its terms explain no more than noise would (p = {p}); --model poly:{degree} suffices"),
        });
    }
    if let Some(bend) = fitted.curvature() {
        let next = match args.model {
            Curve::Linear => "poly:2".to_owned(),
            Curve::Poly(degree) => format!("poly:{}", degree + 1),
            _ => "another model".to_owned(),
        };
        warnings.push(format!(
            "the residuals follow a curve: it explains {} % of their squares (p = {}); try {next}",
            significant(100.0 * bend.share, 2),
            significant(bend.probability, 2)
        ));
    }
    let deviation = fitted.residual_standard_deviation();
    if let Some(deviation) = deviation.filter(|s| fitted.has_sigma() && !(0.5..=2.0).contains(s)) {
        warnings.push(format!(
            "the residuals are {} times what --sigma says: either it is wrong, or the model",
            significant(deviation, 3)
        ));
    }
    let mut outside = |what: String, row: &[f64]| {
        let columns = args.x.iter().zip(row).zip(fitted.ranges());
        let columns = columns.filter(|((_, x), [low, high])| !(low <= *x && *x <= high));
        for ((name, x), [low, high]) in columns {
            warnings.push(format!(
                "extrapolation: {what}{name} = {x} is outside of the range fitted, {low} to {high}, where nobody knows how far off {y} is"
            ));
        }
    };
    for at in points {
        outside(String::new(), at);
    }
    if let Some(validation) = validation {
        for i in 0..validation.y.len() {
            outside("a row to validate with, ".to_owned(), &validation.row(i));
        }
    }
    warnings
}

/// The residuals as CSV: inputs, measured value, predicted value, and their difference.
fn residuals_csv(args: &Args, table: &Table, fitted: &Regression) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let names = args.x.iter().chain([&args.y]).map(|name| quoted(name));
    let names: Vec<String> = names.collect();
    let mut text = format!("\"row\",{},\"fit\",\"residual\"\n", names.join(","));
    for (row, residual) in fitted.residuals() {
        let y = table.y.get(row).copied().unwrap_or(f64::NAN);
        let inputs = table.row(row).into_iter().map(|x| x.to_string());
        let inputs: Vec<String> = inputs.collect();
        let _ = writeln!(
            text,
            "{},{},{y},{},{residual}",
            row + 1,
            inputs.join(","),
            y - residual
        );
    }
    text
}

fn report(
    args: &Args,
    output: &Output,
    table: &Table,
    fitted: &Regression,
    calibration: Option<&Calibration>,
    warnings: &[String],
) -> serde_json::Value {
    let coefficients = fitted.coefficients();
    let named = coefficients.iter().flatten().map(|c| {
        let name = match c.name.is_empty() {
            true => product(c, &args.x, 0.0),
            false => c.name.clone(),
        };
        serde_json::json!({"name": name, "value": c.value, "standard_error": c.standard_error})
    });
    let named: Vec<_> = named.collect();
    let values = |of: Option<Vec<Coefficient>>| -> Option<Vec<f64>> {
        of.map(|all| all.iter().map(|c| c.value).collect())
    };
    let is_polynomial = matches!(args.model, Curve::Linear | Curve::Poly(_));
    let origin = calibration.map_or(0.0, Calibration::origin);
    let residuals = fitted.residuals().map(|(row, residual)| {
        serde_json::json!({"row": row + 1, "y": table.y.get(row), "residual": residual})
    });
    let outliers = fitted.outliers().into_iter().map(|outlier| {
        serde_json::json!({
            "row": outlier.row + 1,
            "residual": outlier.residual,
            "deviations": outlier.deviations,
        })
    });
    serde_json::json!({
        "run": output.run,
        "model": args.model.to_string(),
        "method": "lm",
        "status": fitted.status().to_string(),
        "passes": fitted.passes(),
        "rows": fitted.rows(),
        "parameters": named,
        "covariance": fitted.covariance(),
        "coefficients": is_polynomial.then(|| values(coefficients)).flatten(),
        "origin": origin,
        "coefficients_about_origin": is_polynomial
            .then(|| values(fitted.coefficients_about(&[origin])))
            .flatten(),
        "scaled_params": fitted.params(),
        "scales": {"x": fitted.scales(), "y": fitted.output_scale()},
        "ranges": fitted.ranges(),
        "degrees_of_freedom": fitted.degrees_of_freedom(),
        "robust_scale": fitted.robust_scale(),
        "residual_standard_deviation": fitted.residual_standard_deviation(),
        "sum_of_squares": fitted.sum_of_squares(),
        "r_squared": fitted.r_squared(),
        "residuals": residuals.collect::<Vec<_>>(),
        "outliers": outliers.collect::<Vec<_>>(),
        "warnings": warnings,
    })
}
