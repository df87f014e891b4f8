//! Fits by gradient descent: runs an optimizer, prints the verdict, and writes the files.

use std::error::Error;

use baregrad::optim::{Adam, AdamW, Optimizer, RmsProp, Sgd};
use baregrad::train::{self, Calibration, Curve, Dataset, EarlyStopping, Fit, Fitted};

use super::data::Parts;
use super::output::{DESCENT, Output};
use super::{Args, Errors, Method, range};

pub(super) fn run(args: &Args, method: Method, data: &Dataset) -> Result<(), Box<dyn Error>> {
    let [x] = &args.x[..] else {
        return Err("expected one column --x".into());
    };
    let (x, y) = (x.as_str(), args.y.as_str());
    let curve = args.model;
    let parts = Parts::new(data, args, [x, y])?;
    let output = Output::new(args, &DESCENT)?;
    say!(
        "{}: {} rows to train with, {} to validate",
        args.data.display(),
        parts.training.rows(),
        parts.validation.as_ref().map_or(0, Dataset::rows)
    );
    say!("scaled: {}\n", parts.scaler.to_string().replace('\n', "; "));

    let fitted = fit(args, method, &parts, [x, y])?;
    let calibration = Calibration::new(
        &curve,
        &fitted,
        [x, y],
        [parts.scale(x)?, parts.scale(y)?],
        range(&parts.training.column_f64(x)?),
    );
    say!("\n{}", fitted.table());
    say!("{}\n", fitted.verdict());
    say!("{calibration}");
    print_coefficients(&calibration, x);
    let training = Errors::of(&calibration, &parts.training, [x, y])?;
    say!("{y} off by, training: {training}");
    if let Some(validation) = &parts.validation {
        let validation = Errors::of(&calibration, validation, [x, y])?;
        say!("{y} off by, validation: {validation}");
    }
    let rust = calibration.to_rust();
    if calibration.coefficients().is_some() {
        say!("\nFor firmware:\n\n{rust}");
    }

    let warnings = calibration.warnings();
    for warning in &warnings {
        say!("warning: {warning}");
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
    files.write_c(|header| [calibration.to_c(), calibration.to_c_header(header)])?;
    files.write("-history.csv", &fitted.history().to_csv())?;
    files.draw(&calibration, &fitted, &parts, [x, y])?;
    files.save(&calibration.to_record())?;
    files.finish()
}

fn print_coefficients(calibration: &Calibration, x: &str) {
    let print = |base: &str, coefficients: Option<Vec<f64>>, digits| {
        for (power, c) in coefficients.into_iter().flatten().enumerate() {
            let c = train::significant(c, digits);
            say!("  coefficient of {base}^{power}: {c}");
        }
    };
    let origin = calibration.origin();
    if origin == 0.0 {
        print(x, calibration.coefficients(), 9);
    } else {
        let difference = format!("({x} - {origin})");
        print(&difference, calibration.coefficients_about(origin), 9);
        // Terms that cancel need all digits of an f64.
        print(x, calibration.coefficients(), 17);
    }
}

fn fit(
    args: &Args,
    method: Method,
    parts: &Parts,
    [x, y]: [&str; 2],
) -> Result<Fitted, Box<dyn Error>> {
    let curve = &args.model;
    let samples = |part: &Dataset| parts.scaler.apply(part)?.samples(&[x], &[y]);
    let training = samples(&parts.training)?;
    let validation = parts.validation.as_ref().map(samples).transpose()?;

    let is_network = matches!(curve, Curve::Mlp { .. });
    let count = curve.param_count();
    let lr = args.lr.unwrap_or(match method {
        // The terms of a curve are about 1 in size, so steps of this length do not
        // overshoot.
        Method::Sgd if !is_network => 1.0 / count as f32,
        _ => 1e-2,
    });
    let mut optimizer: Box<dyn Optimizer> = match method {
        Method::Adam => Box::new(Adam::on_heap(lr, count)),
        Method::Adamw => Box::new(AdamW::on_heap(lr, count)),
        Method::Rmsprop => Box::new(RmsProp::on_heap(lr, count)),
        Method::Sgd | Method::Lm => Box::new(Sgd::new(lr)),
    };

    let epochs = args.epochs.unwrap_or(2000);
    let mut fit = Fit::new(curve, &training)
        .epochs(epochs)
        .l2(args.l2.unwrap_or(0.0))
        .observe(train::progress(epochs));
    if let Some(validation) = &validation {
        fit = fit.validation(validation);
    }
    if let Some(patience) = args.patience {
        fit = fit.early_stopping(EarlyStopping::new(patience));
    }
    Ok(fit.run(&mut *optimizer)?)
}
