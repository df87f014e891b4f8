//! Runs `seeds.json`: the thermometer of *Deep Learning with PyTorch*, chapter 5,
//! and two more linear fits, epoch by epoch.

use std::collections::BTreeMap;

use baregrad::optim::Sgd;
use baregrad::{Arena, Error};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Num, Nums, Report, optim, ratio, ulp};

/// The allowed error as a multiple of the largest error so far of PyTorch's own `f32` run, because
/// errors grow from step to step.
const TORCH: f64 = 4.0;
/// The allowed error relative to the value, a few roundings.
const RELATIVE: f64 = 2e-6;
/// The allowed relative difference from the book, which prints few digits of a run with other
/// roundings.
const BOOK: f64 = 2e-5;

#[derive(Deserialize)]
#[serde(transparent)]
pub struct File(BTreeMap<String, Value>);

#[derive(Deserialize)]
struct Data {
    t_u: Nums,
    t_c: Nums,
    t_un_f32: Option<Nums>,
}

/// One run of the thermometer.
#[derive(Deserialize)]
struct Run {
    lr: Option<f64>,
    f32: Log,
    f64: Log,
    epochs_run: usize,
    normalized: bool,
    /// The indices of training samples, and of validation samples.
    idx: Option<Vec<usize>>,
    vidx: Option<Vec<usize>>,
    #[serde(default)]
    book: Map<String, Value>,
}

/// Numbers before the steps of some epochs.
#[derive(Deserialize)]
struct Log {
    epochs: Vec<usize>,
    train_loss: Vec<Num>,
    params_before_step: Vec<Vec<Num>>,
    grad: Vec<Vec<Num>>,
    val_loss: Option<Vec<Num>>,
    params_final: Vec<Num>,
    first_nonfinite_epoch: Option<usize>,
    first_nonfinite_value: Option<Num>,
    first_nan_epoch: Option<usize>,
}

#[derive(Deserialize)]
struct ClosedForm {
    w_b: [f64; 2],
    mse: f64,
    hessian_eigs: Vec<f64>,
}

/// A table of numbers after some steps, with the loss before each.
#[derive(Deserialize)]
struct Table {
    cols: Vec<String>,
    rows: Vec<Vec<Num>>,
}

#[derive(Deserialize)]
struct Tutorial {
    #[serde(rename = "X")]
    x: Nums,
    y: Nums,
    #[serde(rename = "W0")]
    w0: Nums,
    b0: Nums,
    lr: f64,
    epochs: usize,
    f32: Table,
    f64: Table,
}

#[derive(Deserialize)]
struct SingleSample {
    #[serde(rename = "X_shape")]
    x_shape: [usize; 2],
    #[serde(rename = "X")]
    x: Nums,
    y: Nums,
    w0: Nums,
    w_shape: [usize; 2],
    b0: Nums,
    lr: f64,
    indices: Vec<usize>,
    f32: Table,
    f64: Table,
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let mut ran = vec![];
    let mut runs = vec![];
    let mut closed = vec![];
    let data = file.0.get("data").map(parse::<Data>);
    for (name, value) in &file.0 {
        let has = |key| value.get(key).is_some();
        let done = if name == "meta" || name == "data" {
            continue;
        } else if has("epochs_run") {
            match &data {
                Some(Ok(data)) => parse(value).and_then(|run| {
                    let history = thermometer(name, &run, data, &mut report)?;
                    runs.push((run, history));
                    Ok(())
                }),
                _ => Err("no data".into()),
            }
        } else if has("hessian_eigs") {
            closed.push((name, value));
            continue;
        } else if has("indices") {
            parse(value).and_then(|run| single_sample(name, &run, &mut report))
        } else if has("W0") {
            parse(value).and_then(|run| tutorial(name, &run, &mut report))
        } else {
            report.not_covered(name, 1);
            continue;
        };
        match done {
            Ok(()) => ran.push(name.as_str()),
            Err(why) => report.fail(format!("{name}: {why}")),
        }
    }
    for (name, value) in closed {
        match (parse(value), &data) {
            (Ok(form), Some(Ok(data))) => {
                closed_form(name, &form, data, &runs, &mut report);
                ran.push(name);
            }
            (Err(why), _) => report.fail(format!("{name}: {why}")),
            _ => report.fail(format!("{name}: no data")),
        }
    }
    report.summary = format!("{} runs: {}", ran.len(), ran.join(", "));
    report
}

/// Numbers before the step of each epoch, and after the last.
struct History {
    loss: Vec<f32>,
    val_loss: Vec<f32>,
    params: Vec<[f32; 2]>,
    grad: Vec<[f32; 2]>,
}

fn two(slice: &[f32]) -> [f32; 2] {
    slice.try_into().expect("w and b")
}

fn train(name: &str, run: &Run, data: &Data) -> Result<History, Error> {
    // The learning rate is in the name or, as in the book, depends on the optimizer.
    let adam = name.contains("adam");
    let named = name.rsplit_once("lr").and_then(|(_, lr)| lr.parse().ok());
    let lr = run.lr.or(named).unwrap_or(if adam { 1e-1 } else { 1e-2 });
    let optimizer = if adam { "Adam" } else { "SGD" };
    let mut optimizer = optim::make_optimizer(optimizer, lr, &Map::new(), 2).expect("exists");

    let (t_u, t_c) = (data.t_u.f32s(), data.t_c.f32s());
    let all: Vec<usize> = (0..t_u.len()).collect();
    let pick = |from: &[f32], which: &[usize]| which.iter().map(|&i| from[i]).collect();
    let which = run.idx.as_deref().unwrap_or(&all);
    let (x, y): (Vec<f32>, Vec<f32>) = (pick(&t_u, which), pick(&t_c, which));
    let which = run.vidx.as_deref().unwrap_or_default();
    let (x_val, y_val): (Vec<f32>, Vec<f32>) = (pick(&t_u, which), pick(&t_c, which));
    let start = run.f32.params_before_step[0].iter();
    let start: Vec<f32> = start.map(|p| p.0 as f32).collect();

    let mut arena = Arena::<512, 32>::new();
    let tape = arena.tape();
    let w = tape.param(&start[..1], []);
    let b = tape.param(&start[1..], []);
    let model = |t_u, t_c| {
        let t_u = tape.input(t_u, [t_u.len()]);
        let t_c = tape.input(t_c, [t_c.len()]);
        let t_u = if run.normalized { 0.1 * t_u } else { t_u };
        (w * t_u + b - t_c).square().mean()
    };
    let loss = model(&x, &y);
    let val_loss = (!x_val.is_empty()).then(|| tape.no_grad(|| model(&x_val, &y_val)));
    assert!(val_loss.is_none_or(|val_loss| !val_loss.requires_grad()));

    let mut history = History {
        loss: vec![],
        val_loss: vec![],
        params: vec![two(&start)],
        grad: vec![],
    };
    for _ in 0..run.epochs_run {
        tape.zero_grad();
        tape.backward(loss)?;
        history.loss.push(loss.item()?);
        if let Some(val_loss) = val_loss {
            history.val_loss.push(val_loss.item()?);
        }
        history.grad.push(two(&tape.grads()?));
        tape.step(&mut *optimizer)?;
        tape.replay()?;
        history.params.push(two(&tape.params()?));
    }
    Ok(history)
}

/// Compares a series with the truth. The bound grows with PyTorch's largest error so far, because
/// its error at a single epoch may be small by chance.
fn series(
    report: &mut Report,
    name: &str,
    what: &str,
    epochs: &[usize],
    got: impl Fn(usize) -> f32,
    torch: impl Fn(usize) -> f64,
    truth: impl Fn(usize) -> f64,
) {
    let mut off = 0.0_f64;
    for (i, &epoch) in epochs.iter().enumerate() {
        let (got, torch, mut truth) = (got(epoch), torch(i), truth(i));
        if !torch.is_finite() {
            truth = torch; // `f32` overflows earlier than `f64`.
        } else if truth.is_finite() {
            off = off.max((torch - truth).abs());
        }
        let allowed = (TORCH * off).max(RELATIVE * truth.abs()).max(ulp(truth));
        report.check(name, ratio(got, truth, allowed), || {
            format!("{what} of epoch {epoch}: {got} instead of {truth}")
        });
    }
}

fn thermometer(name: &str, run: &Run, data: &Data, report: &mut Report) -> Result<History, String> {
    let history = train(name, run, data).map_err(|error| error.to_string())?;
    let Run {
        f32: torch,
        f64: truth,
        ..
    } = run;
    let epochs = &truth.epochs;
    if torch.epochs != *epochs {
        return Err("f32 and f64 list other epochs".into());
    }
    series(
        report,
        name,
        "loss",
        epochs,
        |epoch| history.loss[epoch - 1],
        |i| torch.train_loss[i].0,
        |i| truth.train_loss[i].0,
    );
    for k in 0..2 {
        series(
            report,
            name,
            ["w", "b"][k],
            epochs,
            |epoch| history.params[epoch - 1][k],
            |i| torch.params_before_step[i][k].0,
            |i| truth.params_before_step[i][k].0,
        );
        series(
            report,
            name,
            ["gradient of w", "gradient of b"][k],
            epochs,
            |epoch| history.grad[epoch - 1][k],
            |i| torch.grad[i][k].0,
            |i| truth.grad[i][k].0,
        );
        let off = (torch.params_final[k].0 - truth.params_final[k].0).abs();
        let (got, mut expected) = (history.params[run.epochs_run][k], truth.params_final[k].0);
        if !torch.params_final[k].0.is_finite() {
            expected = torch.params_final[k].0;
        }
        let allowed = (TORCH * off).max(RELATIVE * expected.abs());
        report.check(name, ratio(got, expected, allowed), || {
            format!("{} at the end: {got} instead of {expected}", ["w", "b"][k])
        });
    }
    if let (Some(torch), Some(truth)) = (&torch.val_loss, &truth.val_loss) {
        series(
            report,
            name,
            "validation loss",
            epochs,
            |epoch| history.val_loss[epoch - 1],
            |i| torch[i].0,
            |i| truth[i].0,
        );
    }

    let first = |is: fn(f32) -> bool| history.loss.iter().position(|&loss| is(loss));
    let nonfinite = first(|loss| !loss.is_finite());
    let found = (nonfinite.map(|i| i + 1), first(f32::is_nan).map(|i| i + 1));
    let expected = (torch.first_nonfinite_epoch, torch.first_nan_epoch);
    if found != expected {
        report.fail(format!(
            "{name}: first non-finite and first NaN epoch {found:?}, expected {expected:?}"
        ));
    }
    if let (Some(i), Some(value)) = (nonfinite, torch.first_nonfinite_value)
        && ratio(history.loss[i], value.0, 1.0) > 0.0
    {
        report.fail(format!("{name}: {} instead of {value:?}", history.loss[i]));
    }
    book(name, run, &history, report);
    Ok(history)
}

/// Compares a number that the book prints, by its name there.
fn book(name: &str, run: &Run, history: &History, report: &mut Report) {
    let last = &history.params[run.epochs_run];
    for (key, claimed) in &run.book {
        if key == "diverges" {
            let diverges = history.loss.last().is_some_and(|loss| !loss.is_finite());
            if claimed.as_bool() != Some(diverges) {
                report.fail(format!("{name}: diverges: {diverges}"));
            }
            continue;
        }
        let claimed = parse::<Nums>(claimed).map(|nums| nums.f64s());
        let found: Vec<f32> = match key.as_str() {
            "loss" => vec![history.loss[0]],
            "grad" => history.grad[0].to_vec(),
            "after" | "params" => last.to_vec(),
            "losses_500" => history
                .loss
                .iter()
                .skip(499)
                .step_by(500)
                .copied()
                .collect(),
            epoch => match epoch.parse::<usize>() {
                Ok(epoch) => vec![history.loss[epoch - 1], history.val_loss[epoch - 1]],
                Err(_) => {
                    report.not_covered(&format!("{name} book {key}"), 1);
                    continue;
                }
            },
        };
        match claimed {
            Ok(claimed) if claimed.len() == found.len() => {
                for (got, claimed) in found.into_iter().zip(claimed) {
                    let error = ratio(got, claimed, BOOK * claimed.abs());
                    // The bound is at least the last printed digit, the fourth behind the point.
                    let error = error.min(ratio(got, claimed, 1e-4));
                    report.check("book", error, || {
                        format!("{name} {key}: {got} instead of {claimed}")
                    });
                }
            }
            _ => report.fail(format!("{name} {key}: {found:?} cannot be {claimed:?}")),
        }
    }
}

/// Checks that the gradient vanishes at the least-squares solution, and that runs on all samples
/// come as close to it as in `f64`.
fn closed_form(
    name: &str,
    form: &ClosedForm,
    data: &Data,
    runs: &[(Run, History)],
    report: &mut Report,
) {
    let normalized = name.contains("norm");
    let (t_u, t_c) = (data.t_u.f32s(), data.t_c.f32s());
    let mut arena = Arena::<128, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[form.w_b[0] as f32], []);
    let b = tape.param(&[form.w_b[1] as f32], []);
    let t_u = tape.input(&t_u, [t_u.len()]);
    let t_un = if normalized { 0.1 * t_u } else { t_u };
    if normalized && let Some(expected) = &data.t_un_f32 {
        let same = t_un.value().is_ok_and(|got| *got == expected.f32s());
        if !same {
            report.fail(format!("{name}: 0.1 * t_u has other bits than PyTorch's"));
        }
    }
    let loss = (w * t_un + b - tape.input(&t_c, [t_c.len()]))
        .square()
        .mean();
    let solved = || -> Result<(f32, [f32; 2]), Error> {
        tape.backward(loss)?;
        Ok((loss.item()?, two(&tape.grads()?)))
    };
    match solved() {
        Ok((loss, grad)) => {
            report.check(name, ratio(loss, form.mse, RELATIVE * form.mse), || {
                format!("mse {loss} instead of {}", form.mse)
            });
            // The bound is the curvature times the rounding of the parameters, and of the model.
            let curvature = form.hessian_eigs.iter().copied().fold(0.0, f64::max);
            let rounding = form.w_b.iter().map(|p| ulp(*p)).fold(0.0, f64::max);
            for g in grad {
                report.check(name, ratio(g, 0.0, curvature * rounding), || {
                    format!("gradient at the minimum is {g}")
                });
            }
        }
        Err(error) => report.fail(format!("{name}: {error}")),
    }
    for (run, history) in runs {
        let f64_end = &run.f64.params_final;
        let finite = f64_end.iter().all(|p| p.0.is_finite());
        if run.normalized != normalized || run.idx.is_some() || !finite || run.epochs_run < 1000 {
            continue;
        }
        for (k, got) in history.params[run.epochs_run].into_iter().enumerate() {
            let truth = form.w_b[k];
            let allowed = 1.01 * (f64_end[k].0 - truth).abs() + RELATIVE * truth.abs();
            report.check(name, ratio(got, truth, allowed), || {
                format!("parameter {k} converged to {got}, not {truth}")
            });
        }
    }
}

/// Compares rows of `[step, …]` with the run, by column.
fn table(
    report: &mut Report,
    name: &str,
    [torch, truth]: [&Table; 2],
    got: impl Fn(&str, usize) -> Option<f32>,
) -> Result<(), String> {
    if torch.cols != truth.cols || torch.rows.len() != truth.rows.len() {
        return Err("f32 and f64 have other tables".into());
    }
    let steps: Vec<usize> = truth.rows.iter().map(|row| row[0].0 as usize).collect();
    for (k, col) in truth.cols.iter().enumerate().skip(1) {
        if got(col, 1).is_none() {
            return Err(format!("no column {col}"));
        }
        series(
            report,
            name,
            col,
            &steps,
            |step| got(col, step).unwrap_or(f32::NAN),
            |i| torch.rows[i][k].0,
            |i| truth.rows[i][k].0,
        );
    }
    Ok(())
}

fn tutorial(name: &str, run: &Tutorial, report: &mut Report) -> Result<(), String> {
    let (x, y) = (run.x.f32s(), run.y.f32s());
    let mut arena = Arena::<512, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&run.w0.f32s(), [1, 1]);
    let b = tape.param(&run.b0.f32s(), [1]);
    let predicted = tape.input(&x, [x.len(), 1]).matmul(w) + b;
    let loss = (predicted - tape.input(&y, [y.len(), 1])).square().mean();
    let mut sgd = Sgd::new(run.lr as f32);
    let mut rows = vec![];
    let mut train = || -> Result<(), Error> {
        for _ in 0..run.epochs {
            let before = loss.item()?;
            tape.zero_grad();
            tape.backward(loss)?;
            tape.step(&mut sgd)?;
            tape.replay()?;
            rows.push((w.item()?, b.item()?, before));
        }
        Ok(())
    };
    train().map_err(|error| error.to_string())?;
    table(report, name, [&run.f32, &run.f64], |col, step| {
        let &(w, b, loss) = rows.get(step - 1)?;
        match col {
            "W" => Some(w),
            "b" => Some(b),
            "loss" => Some(loss),
            _ => None,
        }
    })
}

/// Trains with one sample at a time, by `rebind`.
fn single_sample(name: &str, run: &SingleSample, report: &mut Report) -> Result<(), String> {
    let (xs, ys) = (run.x.f32s(), run.y.f32s());
    let [_, features] = run.x_shape;
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&run.w0.f32s(), run.w_shape);
    let b = tape.param(&run.b0.f32s(), [run.b0.f32s().len()]);
    let x = tape.input(&xs[..features], [1, features]);
    let y = tape.input(&ys[..1], [1, 1]);
    let loss = (x.matmul(w.transpose(0, 1)) + b - y).square().mean();
    let mut sgd = Sgd::new(run.lr as f32);
    let mut rows = vec![];
    let mut train = || -> Result<(), Error> {
        for &i in &run.indices {
            tape.rebind(x, &xs[i * features..(i + 1) * features])?;
            tape.rebind(y, &ys[i..=i])?;
            tape.replay()?;
            tape.zero_grad();
            tape.backward(loss)?;
            let before = loss.item()?;
            tape.step(&mut sgd)?;
            rows.push((i, w.value()?.to_vec(), b.item()?, before));
        }
        Ok(())
    };
    train().map_err(|error| error.to_string())?;
    table(report, name, [&run.f32, &run.f64], |col, step| {
        let (index, w, b, loss) = rows.get(step - 1)?;
        match col {
            "index" => Some(*index as f32),
            "b" => Some(*b),
            "loss" => Some(*loss),
            _ => w
                .get(col.strip_prefix('w')?.parse::<usize>().ok()?)
                .copied(),
        }
    })
}
