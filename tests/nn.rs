//! Tests layers and their initialization against `torch.nn.init` and scikit-learn.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use baregrad::nn::init::{self, Nonlinearity};
use baregrad::nn::{Conv1d, Dropout, LayerNorm, Linear, Mlp, Relu, Sigmoid, Tanh, polynomial};
use baregrad::optim::Adam;
use baregrad::random::{RandomError, Xoshiro128PlusPlus, seeded};
use baregrad::record::{Record, Writer};
use baregrad::{Arena, ErrorKind};

type Filled = Result<(), RandomError>;

/// An initialiser, the bound or standard deviation that `torch.nn.init` computes (in `f64`,
/// PyTorch 2), and whether it is a bound.
struct Case {
    name: &'static str,
    fill: fn(&mut Xoshiro128PlusPlus, &mut [f32]) -> Filled,
    size: f64,
    uniform: bool,
}

const fn case(
    name: &'static str,
    fill: fn(&mut Xoshiro128PlusPlus, &mut [f32]) -> Filled,
    size: f64,
    uniform: bool,
) -> Case {
    Case {
        name,
        fill,
        size,
        uniform,
    }
}

/// Initialisers of a weight with 300 inputs and 100 outputs.
const CASES: [Case; 12] = [
    case(
        "uniform",
        |r, to| init::uniform(r, -0.5, 0.5, to),
        0.5,
        true,
    ),
    case(
        "normal",
        |r, to| init::normal(r, 0.0, 0.25, to),
        0.25,
        false,
    ),
    case(
        "xavier_uniform",
        |r, to| init::xavier_uniform(r, 300, 100, 1.0, to),
        0.122_474_487_139_158_9, // sqrt(6 / 400)
        true,
    ),
    case(
        "xavier_uniform, tanh",
        |r, to| init::xavier_uniform(r, 300, 100, Nonlinearity::Tanh.gain(), to),
        0.204_124_145_231_931_5, // 5 / 3 of it
        true,
    ),
    case(
        "xavier_normal",
        |r, to| init::xavier_normal(r, 300, 100, 1.0, to),
        0.070_710_678_118_654_76, // sqrt(2 / 400)
        false,
    ),
    case(
        "kaiming_uniform, relu",
        |r, to| init::kaiming_uniform(r, 300, Nonlinearity::Relu, to),
        0.141_421_356_237_309_5, // sqrt(2) sqrt(3 / 300)
        true,
    ),
    case(
        "kaiming_uniform, leaky relu of sqrt 5",
        |r, to| init::kaiming_uniform(r, 300, Nonlinearity::LeakyRelu(5.0_f32.sqrt()), to),
        0.057_735_026_918_962_58, // 1 / sqrt(300)
        true,
    ),
    case(
        "kaiming_uniform, fan_out",
        |r, to| init::kaiming_uniform(r, 100, Nonlinearity::Linear, to),
        0.173_205_080_756_887_7, // sqrt(3 / 100)
        true,
    ),
    case(
        "kaiming_normal, relu",
        |r, to| init::kaiming_normal(r, 300, Nonlinearity::Relu, to),
        0.081_649_658_092_772_6, // sqrt(2 / 300)
        false,
    ),
    case(
        "kaiming_normal, selu",
        |r, to| init::kaiming_normal(r, 300, Nonlinearity::Selu, to),
        0.043_301_270_189_221_93, // 3 / 4 / sqrt(300)
        false,
    ),
    case(
        "kaiming_normal, leaky relu of 0.2",
        |r, to| init::kaiming_normal(r, 300, Nonlinearity::LeakyRelu(0.2), to),
        0.080_064_076_902_543_57, // sqrt(2 / 1.04) / sqrt(300)
        false,
    ),
    case(
        "linear",
        |r, to| {
            init::linear(r, 300, to);
            Ok(())
        },
        0.057_735_026_918_962_58,
        true,
    ),
];

const COUNT: usize = 300 * 100;

fn fnv(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Bounds are reached to a thousandth, and exceeded by rounding only. Mean and variance of 30,000
/// numbers may be off by five times their standard deviations (0.6 % and 0.8 % for normal ones).
#[test]
fn initialisers_have_pytorchs_distributions() {
    let mut values = vec![0.0; COUNT];
    for case in &CASES {
        let name = case.name;
        (case.fill)(&mut seeded(11), &mut values).unwrap();
        let n = COUNT as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
        let std = (squares.sum::<f64>() / n).sqrt();
        let largest = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let expected = if case.uniform {
            let largest = f64::from(largest);
            assert!(largest <= case.size * (1.0 + 3e-7), "{name}: {largest}");
            assert!(largest > case.size * 0.999, "{name}: {largest}");
            case.size / 3.0_f64.sqrt()
        } else {
            case.size
        };
        assert!(mean.abs() < 0.03 * expected, "{name}: mean {mean}");
        assert!(
            (std / expected - 1.0).abs() < 0.02,
            "{name}: {std}, expected {expected}"
        );
    }
}

/// The same seed gives the committed digests on every target.
#[test]
fn same_seed_same_bits() {
    let mut values = vec![0.0; COUNT];
    let mut all = Vec::new();
    for case in &CASES {
        (case.fill)(&mut seeded(5), &mut values).unwrap();
        all.extend_from_slice(&values);
    }
    assert_eq!(format!("{:016x}", fnv(&all)), "3d0bff5dfc083090");
}

/// Gains are those of `torch.nn.init.calculate_gain`.
#[test]
fn gains_are_pytorchs() {
    for (nonlinearity, expected) in [
        (Nonlinearity::Linear, 1.0),
        (Nonlinearity::Sigmoid, 1.0),
        (Nonlinearity::Tanh, 1.666_666_6),
        (Nonlinearity::Relu, std::f32::consts::SQRT_2),
        (Nonlinearity::LeakyRelu(0.01), 1.414_142_8),
        (Nonlinearity::LeakyRelu(0.2), 1.386_750_5),
        (Nonlinearity::Selu, 0.75),
    ] {
        let found: f32 = nonlinearity.gain();
        assert!((found - expected).abs() < 3e-7, "{nonlinearity:?}: {found}");
    }
}

#[test]
fn what_is_no_distribution_is_refused_and_nothing_drawn() {
    let refused: [fn(&mut Xoshiro128PlusPlus, &mut [f32]) -> Filled; 6] = [
        |r, to| init::uniform(r, 1.0, 0.0, to),
        |r, to| init::normal(r, 0.0, -1.0, to),
        |r, to| init::xavier_uniform(r, 0, 0, 1.0, to),
        |r, to| init::xavier_normal(r, 2, 2, f32::NAN, to),
        |r, to| init::kaiming_uniform(r, 0, Nonlinearity::Relu, to),
        |r, to| init::kaiming_normal(r, 2, Nonlinearity::LeakyRelu(f32::NAN), to),
    ];
    for (k, fill) in refused.iter().enumerate() {
        let (mut rng, mut to) = (seeded(1), [7.0; 3]);
        assert!(fill(&mut rng, &mut to).is_err(), "{k}");
        assert_eq!((to, rng), ([7.0; 3], seeded(1)), "{k}");
    }
}

/// Linear layers start like `nn.Linear`; without inputs they have zeros, as in PyTorch.
#[test]
fn linear_layers_start_within_their_bounds() {
    for (inputs, outputs) in [(1, 40), (2, 16), (16, 16), (100, 3), (0, 4)] {
        let mut arena = Arena::<1200, 4>::new();
        let tape = arena.tape();
        let layer = Linear::new(&tape, inputs, outputs, &mut seeded(2));
        assert_eq!(layer.weight.shape().dims(), [inputs, outputs]);
        let all = tape.params().unwrap();
        assert_eq!(all.len(), Linear::param_count(inputs, outputs));
        let bound = init::linear_bound(inputs);
        let largest = all.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(
            largest <= bound && largest >= 0.8 * bound,
            "{inputs}: {largest}"
        );
        // The bits are those of `init::linear`, weights first.
        let mut same = vec![0.0; all.len()];
        init::linear(&mut seeded(2), inputs, &mut same);
        assert_eq!(*all, *same);
    }
}

/// A network has the bits of its separate layers.
#[test]
fn a_network_is_its_layers() {
    let x: Vec<f32> = (0..10).map(|i| 0.3 * i as f32 - 1.2).collect();
    let mut arena = Arena::<2000, 64>::new();
    let tape = arena.tape();
    let input = tape.input(&x, [5, 2]);
    let relu = Mlp::<Relu, 3>::new(&tape, 2, [7, 6, 3], &mut seeded(1));
    let tanh = Mlp::<Tanh, 2>::new(&tape, 2, [7, 3], &mut seeded(2));
    let sigmoid = Mlp::<Sigmoid, 2>::new(&tape, 2, [4, 1], &mut seeded(3));
    let one = Mlp::<Tanh, 1>::new(&tape, 2, [4], &mut seeded(4));
    let [a, b, c] = *relu.layers();
    let expected = c.forward(b.forward(a.forward(input).relu()).relu());
    assert_eq!(
        *relu.forward(input).value().unwrap(),
        *expected.value().unwrap()
    );
    let [a, b] = *tanh.layers();
    let expected = b.forward(a.forward(input).tanh());
    assert_eq!(
        *tanh.forward(input).value().unwrap(),
        *expected.value().unwrap()
    );
    let [a, b] = *sigmoid.layers();
    let expected = b.forward(a.forward(input).sigmoid());
    assert_eq!(
        *sigmoid.forward(input).value().unwrap(),
        *expected.value().unwrap()
    );
    let [a] = *one.layers();
    let expected = a.forward(input);
    assert_eq!(
        *one.forward(input).value().unwrap(),
        *expected.value().unwrap()
    );
    assert_eq!(Mlp::<Relu, 3>::param_count(2, [7, 6, 3]), 21 + 48 + 21);
}

/// A loaded run continues with the bits of the saved one.
#[test]
fn training_resumes_from_a_record() {
    const LAYERS: [usize; 2] = [8, 2];
    let x: Vec<f32> = (0..24)
        .map(|i| ((i * 7 % 24) as f32 - 11.5) / 12.0)
        .collect();
    let class: Vec<f32> = x.chunks(2).map(|p| f32::from(p[0] * p[1] > 0.0)).collect();
    let mut bytes = [0; 1024];
    let mut saved: &[u8] = &[];
    let mut ends = Vec::new();
    let mut bytes = Some(&mut bytes);
    for seed in [1, 2] {
        let mut arena = Arena::<600, 12>::new();
        let tape = arena.tape();
        let mlp = Mlp::<Tanh, 2>::new(&tape, 2, LAYERS, &mut seeded(seed));
        let logits = mlp.forward(tape.input(&x, [12, 2]));
        let loss = logits.cross_entropy(tape.input(&class, [12]));
        if let Some(bytes) = bytes.take() {
            let mut writer = Writer::new(bytes);
            writer.params("model", mlp.params().as_flattened()).unwrap();
            saved = writer.finish().unwrap();
        } else {
            let record = Record::read(saved).unwrap();
            record
                .load_params("model", mlp.params().as_flattened())
                .unwrap();
            tape.replay().unwrap();
        }
        let mut adam = Adam::<{ Mlp::<Tanh, 2>::param_count(2, LAYERS) }>::new(0.05);
        for _ in 0..50 {
            tape.zero_grad();
            tape.backward(loss).unwrap();
            tape.step(&mut adam).unwrap();
            tape.replay().unwrap();
        }
        ends.push(tape.params().unwrap().to_vec());
    }
    assert_eq!(ends[0], ends[1]);
    let record = Record::read(saved).unwrap();
    for name in [
        "model.0.weight",
        "model.0.bias",
        "model.2.weight",
        "model.2.bias",
    ] {
        assert!(record.array(name).is_ok(), "{name}");
    }
}

#[test]
fn a_full_arena_names_the_line_of_the_network() {
    let mut arena = Arena::<40, 8>::new();
    let tape = arena.tape();
    let line = line!() + 1;
    let mlp = Mlp::<Relu, 2>::new(&tape, 2, [8, 2], &mut seeded(1));
    let error = mlp
        .forward(tape.input(&[0.0; 2], [1, 2]))
        .value()
        .unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Floats { .. }), "{error}");
    assert!(
        error.to_string().contains(&format!("tests/nn.rs:{line}:")),
        "{error}"
    );
}

/// The features are those of scikit-learn's `PolynomialFeatures(3)`, in the order of
/// `combinations_with_replacement`; products of primes distinguish them.
#[test]
fn polynomial_features_are_scikit_learns() {
    let [a, b, c] = [2.0_f32, 3.0, 5.0];
    let expected = [
        1.0,
        a,
        b,
        c,
        a * a,
        a * b,
        a * c,
        b * b,
        b * c,
        c * c,
        a * a * a,
        a * a * b,
        a * a * c,
        a * b * b,
        a * b * c,
        a * c * c,
        b * b * b,
        b * b * c,
        b * c * c,
        c * c * c,
    ];
    let mut found = [0.0; polynomial::count(3, 3)];
    polynomial::features(&[a, b, c], 3, &mut found).unwrap();
    assert_eq!(found, expected);
    let mut line = [0.0; 6];
    polynomial::features(&[2.0], 5, &mut line).unwrap();
    assert_eq!(line, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
    let mut none = [0.0; 1];
    polynomial::features(&[], 4, &mut none).unwrap();
    polynomial::features(&[9.0, 9.0], 0, &mut none).unwrap();
    assert_eq!(none, [1.0]);
    let error = polynomial::features(&[a, b, c], 2, &mut found).unwrap_err();
    assert_eq!((error.expected, error.found), (10, 20));
    assert_eq!(polynomial::count(1000, 1000), usize::MAX);
}

/// A convolution starts like `nn.Conv1d`: `kaiming_uniform_(a=sqrt(5))`, and a bias within
/// `1 / sqrt(fan_in)`, here 1 / √15.
#[test]
fn a_convolution_starts_as_pytorchs() {
    let mut arena = Arena::<8192, 8>::new();
    let tape = arena.tape();
    let layer = Conv1d::new(&tape, 3, 200, 5, &mut seeded(4));
    assert_eq!(layer.weight.shape().dims(), [200, 3, 5]);
    assert_eq!(layer.bias.shape().dims(), [200]);
    assert_eq!(Conv1d::param_count(3, 200, 5), 3200);
    let mut drawn = [0.0; 3200];
    init::linear(&mut seeded(4), 15, &mut drawn);
    let (weight, bias) = drawn.split_at(3000);
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&layer.weight.value().unwrap()), bits(weight));
    assert_eq!(bits(&layer.bias.value().unwrap()), bits(bias));
    let most = drawn.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let bound = 1.0 / 15.0_f32.sqrt();
    assert!(most <= bound && most > 0.999 * bound, "{most}");
    assert_eq!(layer.params().map(|(name, _)| name), ["weight", "bias"]);
}

/// A convolution of whole numbers equals the definition of `torch.nn.functional.conv1d` by hand.
#[test]
fn a_convolution_takes_stride_padding_and_dilation() {
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let layer = Conv1d::new(&tape, 2, 1, 2, &mut seeded(1));
    tape.write(layer.weight, &[1.0, 2.0, -1.0, 3.0]).unwrap();
    tape.write(layer.bias, &[0.5]).unwrap();
    let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1, 2, 4]);
    let plain = layer.forward(x);
    let wide = layer.stride(2).padding(1).dilation(2).forward(x);
    // The first sum is 1 + 2·2 - 5 + 3·6, plus the bias.
    assert_eq!(*plain.value().unwrap(), [18.5, 23.5, 28.5]);
    // The windows at -1 and 1 give 2·2 + 3·6 and 2 + 2·4 - 6 + 3·8, each plus the bias.
    assert_eq!(*wide.value().unwrap(), [22.5, 28.5]);
    let bad = layer.stride(0).forward(x);
    assert_eq!(bad.value().unwrap_err().op, "conv1d");
}

/// Layer norm gives (x - mean) / sqrt(var + eps), with PyTorch's eps of 1e-5 by default.
#[test]
fn a_layer_norm_starts_as_pytorchs_and_takes_an_eps() {
    let mut arena = Arena::<128, 16>::new();
    let tape = arena.tape();
    let layer = LayerNorm::new(&tape, [2]);
    assert_eq!(*layer.weight.value().unwrap(), [1.0, 1.0]);
    assert_eq!(*layer.bias.value().unwrap(), [0.0, 0.0]);
    let x = tape.input(&[1.0, 3.0, 10.0, 30.0], [2, 2]);
    let near = |found: &[f32], expected: [f64; 4]| {
        for (found, expected) in found.iter().zip(expected) {
            // Mean, variance, root and quotient are each rounded.
            assert!(
                (f64::from(*found) - expected).abs() <= 4e-7 * expected.abs(),
                "{found} {expected}"
            );
        }
    };
    let (a, b) = (1.0 / 1.000_01_f64.sqrt(), 10.0 / 100.000_01_f64.sqrt());
    near(&layer.forward(x).value().unwrap(), [-a, a, -b, b]);
    let (a, b) = (1.0 / 4.0_f64.sqrt(), 10.0 / 103.0_f64.sqrt());
    near(&layer.eps(3.0).forward(x).value().unwrap(), [-a, a, -b, b]);
    tape.write(layer.weight, &[2.0, 4.0]).unwrap();
    tape.write(layer.bias, &[1.0, -1.0]).unwrap();
    let scaled = layer.eps(3.0).forward(x);
    near(
        &scaled.value().unwrap(),
        [1.0 - 2.0 * a, -1.0 + 4.0 * a, 1.0 - 2.0 * b, -1.0 + 4.0 * b],
    );
}

/// Dropout with p = 1/2 doubles the elements that it keeps, half of 4096 within five standard
/// deviations of 32. The step determines the elements that it drops.
#[test]
fn a_dropout_trains_and_evaluates_with_one_recording() {
    let mut arena = Arena::<16384, 16>::new();
    let tape = arena.tape();
    let ones = [1.0; 4096];
    let layer = Dropout::new(&tape, 0.5, 9);
    let y = layer.forward(tape.input(&ones, [4096]));
    assert_eq!(*y.value().unwrap(), ones);
    let at = |step: u32| {
        layer.train(step).unwrap();
        tape.replay().unwrap();
        y.value().unwrap().to_vec()
    };
    let (first, other, again) = (at(1), at(2), at(1));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.iter().all(|y| *y == 0.0 || *y == 2.0));
    let kept = first.iter().filter(|y| **y != 0.0).count();
    assert!(kept.abs_diff(2048) < 160, "{kept}");
    layer.eval().unwrap();
    tape.replay().unwrap();
    assert_eq!(*y.value().unwrap(), ones);
}
