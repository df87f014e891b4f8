//! Tests of reading weights that PyTorch's package wrote, and of writing them for it.
//! `tests/golden/weights.py` writes the files that are read here, and reads one that is written
//! here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use baregrad::train::safetensors::{load, load_params, save, save_params};
use baregrad::train::{Fit, Param, Scaling};
use baregrad::{Arena, Tape, Var};

const WEIGHTS: &[u8] = include_bytes!("golden/weights.safetensors");
const HALF: &[u8] = include_bytes!("golden/weights_bf16.safetensors");

const NAMES: [&str; 4] = ["0.weight", "0.bias", "2.weight", "2.bias"];

/// Records PyTorch's `Sequential(Linear(2, 3), Tanh(), Linear(3, 1))`.
fn network<'t>(x: Var<'t>, [w0, b0, w2, b2]: [Var<'t>; 4]) -> Var<'t> {
    let hidden = (x.matmul(w0.transpose(0, 1)) + b0).tanh();
    hidden.matmul(w2.transpose(0, 1)) + b2
}

fn zeros<'t>(tape: &'t Tape<'t>) -> [Var<'t>; 4] {
    [
        tape.param(&[0.0; 6], [3, 2]),
        tape.param(&[0.0; 3], [3]),
        tape.param(&[0.0; 3], [1, 3]),
        tape.param(&[0.0], [1]),
    ]
}

fn named<'t>(vars: [Var<'t>; 4]) -> [(&'static str, Var<'t>); 4] {
    core::array::from_fn(|i| (NAMES[i], vars[i]))
}

/// Returns the weights, without the other tensors of the file.
fn weights() -> Vec<Param> {
    let mut all = load(WEIGHTS).unwrap();
    all.retain(|param| NAMES.contains(&param.name()));
    all
}

#[test]
fn weights_of_pytorch_predict_what_they_predict_there() {
    let all = load(WEIGHTS).unwrap();
    let find = |name: &str| all.iter().find(|param| param.name() == name).unwrap();
    let names: Vec<&str> = all.iter().map(Param::name).collect();
    assert_eq!(
        names,
        ["0.bias", "0.weight", "2.bias", "2.weight", "x", "y"]
    );
    assert_eq!(find("0.weight").shape().dims(), [3, 2]);

    let mut arena = Arena::<256, 24>::new();
    let tape = arena.tape();
    let params = zeros(&tape);
    let (x, y) = (find("x"), find("y"));
    let x = tape.constant(x.values(), x.shape());
    let predicted = network(x, params);
    // The error names a tensor of the file that was not asked for.
    let error = load_params(WEIGHTS, &named(params)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected no tensor `x`, found it in the file"
    );
    assert_eq!(*tape.params().unwrap(), [0.0; 13]);

    load_params(&save(&weights()).unwrap(), &named(params)).unwrap();
    tape.replay().unwrap();
    // The order of sums and tanh differ, by a few half ULPs of 1.
    for (found, there) in predicted.value().unwrap().iter().zip(y.values()) {
        assert!((found - there).abs() < 4e-7, "{found} {there}");
    }
}

/// Weights that are written and read have the same bits; `BAREGRAD_WRITE_SAFETENSORS` is a path for
/// the file, for PyTorch's package.
#[test]
fn weights_come_back_to_the_bit() {
    let mut arena = Arena::<256, 24>::new();
    let tape = arena.tape();
    let params = zeros(&tape);
    let bytes = save(&weights()).unwrap();
    load_params(&bytes, &named(params)).unwrap();
    assert_eq!(save_params(&named(params)).unwrap(), bytes);
    let scale = tape.constant(&[2.5], []);
    let [a, b, c, d] = named(params);
    let bytes = save_params(&[d, a, ("scale", scale), c, b]).unwrap();
    if let Some(path) = std::env::var_os("BAREGRAD_WRITE_SAFETENSORS") {
        std::fs::write(path, &bytes).unwrap();
    }
    let names: Vec<String> = load(&bytes)
        .unwrap()
        .iter()
        .map(|param| param.name().to_owned())
        .collect();
    assert_eq!(names, ["0.bias", "0.weight", "2.bias", "2.weight", "scale"]);
    for number in [f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE, 1e-45] {
        let there = load(&save(&[Param::scalar("x", number)]).unwrap()).unwrap();
        assert_eq!(there[0].values()[0].to_bits(), number.to_bits());
    }
    let none = Param::new("none", Vec::new(), [0, 3]);
    assert_eq!(
        load(&save(core::slice::from_ref(&none)).unwrap()).unwrap(),
        [none]
    );
}

#[test]
fn what_does_not_fit_says_what_differs() {
    let mut arena = Arena::<256, 24>::new();
    let tape = arena.tape();
    let params = zeros(&tape);
    let [a, b, c, d] = named(params);
    let bytes = save(&weights()).unwrap();
    let refused = |bytes: &[u8], params: &[(&str, Var<'_>)], message: &str| {
        let error = load_params(bytes, params).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(*tape.params().unwrap(), [0.0; 13]);
    };
    refused(
        &bytes,
        &[a, b, c, ("2.biases", d.1)],
        "expected a tensor `2.biases` in the file, found `0.bias`, `0.weight`, `2.bias`, `2.weight`",
    );
    refused(
        &bytes,
        &[a, b, d],
        "expected no tensor `2.weight`, found it in the file",
    );
    refused(
        &bytes,
        &[a, b, d, ("2.weight", b.1)],
        "expected the tensor `2.weight` of shape [3], found shape [1, 3]",
    );
    refused(
        HALF,
        &[a, b, c, d],
        "expected the tensor `0.bias` of dtype F32, found BF16: save its `.float()`",
    );
    refused(
        &bytes,
        &[a, b, c, ("2.bias", d.1 * 1.0)],
        "load_params: only parameters and constants can be set",
    );
    assert!(load(HALF).unwrap_err().to_string().contains("BF16"));
    // A file that is cut short anywhere is refused.
    for len in 0..bytes.len() {
        refused(
            &bytes[..len],
            &[a, b, c, d],
            "expected a safetensors file: ",
        );
    }
    let twice = [Param::scalar("x", 1.0), Param::scalar("x", 2.0)];
    let error = save(&twice).unwrap_err().to_string();
    assert_eq!(error, "expected one tensor `x`, found two");
    let error = save(&[Param::new("x", [1.0], [2])]).unwrap_err();
    assert_eq!(error.to_string(), "expected 2 values for `x`, found 1");
}

/// Fitted parameters are written under their names.
#[test]
fn fitted_parameters_are_written_by_name() {
    let data = baregrad::train::Dataset::new([("x", [1.0, 2.0, 4.0]), ("y", [1.0, 2.0, 3.5])]);
    let data = data.unwrap();
    let columns = [("x", Scaling::Standard)];
    let scaler = baregrad::train::Scaler::fit(&data, &columns).unwrap();
    let samples = scaler
        .apply(&data)
        .unwrap()
        .samples(&["x"], &["y"])
        .unwrap();
    let fitted = Fit::new(&baregrad::train::Curve::Linear, &samples)
        .epochs(50)
        .run(&mut baregrad::optim::Sgd::new(0.5))
        .unwrap();
    let there = load(&save(fitted.named_params()).unwrap()).unwrap();
    assert_eq!(there.len(), 2);
    for param in fitted.named_params() {
        let found = there.iter().find(|found| found.name() == param.name());
        let found = found.unwrap();
        assert_eq!(
            (found.shape(), found.values()),
            (param.shape(), param.values())
        );
    }
}
