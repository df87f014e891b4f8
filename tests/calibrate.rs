//! Tests of calibrations from decimal text to predictions, and of the training loop.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use baregrad::calibrate::{
    Calibration, Curve, EarlyStopping, Fit, Origin, Poll, Reason, Samples, Scale, Scaling,
    TwoFloat, distinct, move_behind,
};
use baregrad::function::{Function, models::Line};
use baregrad::optim::schedule::{Scheduler, StepLr};
use baregrad::optim::{Adam, Lbfgs, Optimizer, Sgd};
use baregrad::record::{Record, Writer};
use baregrad::train;
use baregrad::{Arena, HeapArena, Tape};

const T_U: [&str; 11] = [
    "35.7", "55.9", "58.2", "81.9", "56.3", "48.9", "33.9", "21.8", "48.4", "60.4", "68.4",
];
const T_C: [&str; 11] = [
    "0.5", "14.0", "15.0", "28.0", "11.0", "8.0", "3.0", "-4.0", "6.0", "13.0", "21.0",
];

/// Samples from decimal text, and scaled.
struct Data {
    pairs: [Vec<TwoFloat>; 2],
    scales: [Scale; 2],
    scaled: [Vec<f32>; 2],
}

impl Data {
    fn new(curve: &Curve, x: &[&str], y: &[&str]) -> Self {
        let pairs: [Vec<TwoFloat>; 2] =
            [x, y].map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect());
        let scalings = [curve.scaling(), Scaling::Standard];
        let mut scalings = scalings.into_iter();
        let scales = pairs
            .each_ref()
            .map(|pairs| Scale::fit(pairs.iter().copied(), scalings.next().unwrap()).unwrap());
        let scaled = [0, 1].map(|k| pairs[k].iter().map(|x| scales[k].apply(*x)).collect());
        Data {
            pairs,
            scales,
            scaled,
        }
    }

    fn samples(&self) -> Samples<'_> {
        let [x, y] = &self.scaled;
        Samples { x, y }
    }
}

/// Polls a fit until it stops, and returns the reason.
fn run(fit: &mut Fit<'_, '_>, optimizer: &mut dyn Optimizer) -> Reason {
    loop {
        if let Poll::Stopped(reason) = fit.poll(optimizer).unwrap() {
            return reason;
        }
    }
}

/// Fits with all samples at a time. Returns the reason for stopping, parameters and loss.
fn fitted(curve: &Curve, data: &Data, lr: f32, epochs: u32) -> (Reason, Vec<f32>, f32) {
    let mut start = vec![0.0; curve.param_count()];
    curve.start(&mut start);
    let mut params = start.clone();
    let mut arena = Arena::<4096, 32>::new();
    let tape = arena.tape();
    let mut fit = Fit::new(&tape, data.samples(), 8, &mut params, |x| {
        curve.record(x, &start)
    })
    .unwrap()
    .epochs(epochs);
    let reason = run(&mut fit, &mut Sgd::new(lr));
    let loss = fit.best().unwrap().1;
    (reason, params, loss)
}

/// The book's thermometer reaches the least-squares loss of 2.9276446, at 0.53677 t_u - 17.3048.
#[test]
fn the_thermometer_has_the_least_squares() {
    let curve = Curve::Linear;
    let data = Data::new(&curve, &T_U, &T_C);
    let (reason, params, loss) = fitted(&curve, &data, 0.1, 200);
    assert_eq!(reason, Reason::Converged);
    let [input, output] = data.scales;
    let unit = 1.0 / (output.factor * output.factor);
    assert!((unit * loss - 2.927_644_6).abs() < 2e-6, "{}", unit * loss);

    let calibration = Calibration {
        curve,
        input,
        output,
        range: ["21.8".parse().unwrap(), "81.9".parse().unwrap()],
        params: &params,
        origin: Origin {
            samples: 11,
            epochs: 200,
            loss: unit * loss,
        },
    };
    let mut arena = Arena::<64, 8>::new();
    let found = calibration.predict(&arena.tape(), "55.9".parse().unwrap());
    let found = found.unwrap();
    let exact = 0.536_771_6 * 55.9 - 17.304_78;
    assert!((found.value.high() - exact).abs() < 1e-4, "{found:?}");

    // The record gives the same bits.
    let mut bytes = [0; 256];
    let bytes = calibration.write(&mut bytes).unwrap();
    let mut room = [0.0; 8];
    let read = Calibration::read(bytes, &mut room).unwrap();
    for text in T_U.iter().chain(&["0", "-1e5", "1e-30", "33.33333"]) {
        let reading = text.parse().unwrap();
        let mut arena = Arena::<64, 8>::new();
        let here = calibration.predict(&arena.tape(), reading).unwrap();
        let mut arena = Arena::<64, 8>::new();
        let there = read.predict(&arena.tape(), reading).unwrap();
        assert_eq!(here.value.high().to_bits(), there.value.high().to_bits());
        assert_eq!(here.value.low().to_bits(), there.value.low().to_bits());
    }
}

/// Lines through readings of 24-bit converters, pressures, and seconds since 1970 have the known
/// slope.
#[test]
fn readings_that_f32_does_not_hold_are_calibrated() {
    for (readings, slope) in [
        // The slope is 0.0003 per count.
        (
            [
                "8388000.5",
                "8388100.25",
                "8388200.75",
                "8388300.125",
                "8388400.5",
                "8388500.0",
            ],
            3e-4,
        ),
        (
            [
                "101325.05",
                "101325.13",
                "101325.21",
                "101324.97",
                "101325.29",
                "101325.37",
            ],
            12.5,
        ),
        (
            [
                "1764410400",
                "1764410430.5",
                "1764410460",
                "1764410490.25",
                "1764410520",
                "1764410550",
            ],
            0.02,
        ),
    ] {
        let first: f64 = readings[0].parse().unwrap();
        let references = readings.map(|text| {
            let difference = text.parse::<f64>().unwrap() - first;
            format!("{:.9}", 2500.0 + slope * difference)
        });
        let references = references.each_ref().map(String::as_str);
        for curve in ["linear", "poly:2", "poly:3"] {
            let curve = Curve::parse(curve).unwrap();
            let data = Data::new(&curve, &readings, &references);
            let (reason, params, _) = fitted(&curve, &data, 0.3, 4000);
            assert_eq!(reason, Reason::Converged, "{curve} of {readings:?}");
            let [input, output] = data.scales;
            let calibration = Calibration {
                curve,
                input,
                output,
                range: [TwoFloat::ZERO; 2],
                params: &params,
                origin: Origin::default(),
            };
            for (reading, reference) in data.pairs[0].iter().zip(&data.pairs[1]) {
                let mut arena = Arena::<128, 16>::new();
                let found = calibration.predict(&arena.tape(), *reading).unwrap();
                let off = found.value.difference(*reference) * output.factor;
                assert!(
                    off.abs() < 1e-5,
                    "{curve} of {reading}: off by {off} of the spread"
                );
            }
        }
    }
}

/// A cubic over readings from 0.1 to 1000, most of them small, converges by gradient descent or
/// reports that the loss was still falling.
#[test]
fn a_skewed_cubic_converges_or_says_that_the_loss_was_falling() {
    let readings = [
        "0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50", "100", "200", "500", "1000",
    ];
    let exact = |x: f64| 1.0 + 0.02 * x - 3e-5 * x * x + 2e-8 * x * x * x;
    let references = readings.map(|text| format!("{:.9}", exact(text.parse().unwrap())));
    let references = references.each_ref().map(String::as_str);
    let curve = Curve::Poly(3);
    let data = Data::new(&curve, &readings, &references);
    for (epochs, expected) in [(50, Reason::StillFalling), (500, Reason::Converged)] {
        let (reason, _, loss) = fitted(&curve, &data, 0.25, epochs);
        assert_eq!(reason, expected, "after {epochs} epochs, loss {loss}");
        if reason == Reason::Converged {
            assert!(loss < 1e-9, "{loss}");
        }
    }
    let advice = Reason::StillFalling.to_string();
    assert!(advice.contains("more epochs"), "{advice}");
}

#[test]
fn polling_is_the_loop_by_hand() {
    let curve = Curve::Poly(2);
    let data = Data::new(&curve, &T_U, &T_C);
    let Samples { x, y } = data.samples();
    let mut by_hand = Vec::new();
    let mut arena = Arena::<512, 16>::new();
    let tape = arena.tape();
    let (x_rows, y_rows) = (tape.input(&x[..4], [4, 1]), tape.input(&y[..4], [4, 1]));
    let loss = curve.record(x_rows, &[0.0; 3]).mse(y_rows);
    let mut adam = Adam::<3>::new(0.05);
    for _ in 0..30 {
        tape.zero_grad();
        let data = [(x_rows, x), (y_rows, y)];
        by_hand.push(tape.backward_over(loss, &data).unwrap().to_bits());
        tape.step(&mut adam).unwrap();
    }
    let expected = tape.params().unwrap().to_vec();

    let mut params = [0.0; 3];
    let mut arena = Arena::<512, 16>::new();
    let tape = arena.tape();
    let record = |x| curve.record(x, &[0.0; 3]);
    let mut fit = Fit::new(&tape, data.samples(), 4, &mut params, record).unwrap();
    // The optimizer has room for more parameters than the curve has.
    let mut adam = Adam::<8>::new(0.05);
    for loss in by_hand {
        assert_eq!(fit.poll(&mut adam).unwrap(), Poll::Running);
        assert_eq!(fit.losses().training.to_bits(), loss);
    }
    assert_eq!(*tape.params().unwrap(), expected);
}

#[test]
fn a_function_is_fitted_like_a_curve() {
    let data = Data::new(&Curve::Linear, &T_U, &T_C);
    let mut params = [0.0; 2];
    let mut arena = Arena::<256, 8>::new();
    let tape: Tape<'_> = arena.tape();
    let line = |x| Line::predict(x, tape.param(&[0.0, 0.0], [2]));
    let mut fit = Fit::new(&tape, data.samples(), 11, &mut params, line)
        .unwrap()
        .epochs(200);
    assert_eq!(run(&mut fit, &mut Sgd::new(0.1)), Reason::Converged);
    let (_, expected, _) = fitted(&Curve::Linear, &data, 0.1, 200);
    for (found, expected) in params.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn it_says_why_it_ended_and_keeps_the_best() {
    let curve = Curve::Linear;
    let data = Data::new(&curve, &T_U, &T_C);
    assert_eq!(fitted(&curve, &data, 3.0, 500).0, Reason::Diverged);
    assert_eq!(fitted(&curve, &data, 1e-3, 50).0, Reason::StillFalling);
    assert_eq!(fitted(&curve, &data, 0.1, 0).0, Reason::StillFalling);
    // Each step overshoots by a tenth more than the one before.
    let (reason, params, _) = fitted(&curve, &data, 1.05, 4000);
    assert_eq!(reason, Reason::Diverged);
    assert!(params.iter().all(|p| p.is_finite()));

    // `stop` keeps the best parameters so far, and ends updates.
    let mut params = [9.0; 2];
    let mut arena = Arena::<256, 8>::new();
    let tape = arena.tape();
    let record = |x| curve.record(x, &[0.0; 2]);
    let mut fit = Fit::new(&tape, data.samples(), 4, &mut params, record).unwrap();
    let mut sgd = Sgd::new(0.1);
    for _ in 0..20 {
        assert_eq!(fit.poll(&mut sgd).unwrap(), Poll::Running);
    }
    fit.stop();
    for _ in 0..3 {
        assert_eq!(fit.poll(&mut sgd).unwrap(), Poll::Stopped(Reason::Asked));
    }
    assert_eq!((fit.epoch(), fit.best().unwrap().0), (20, 19));
    // Nineteen steps of 0.1 on a parabola of curvature 2 go 1 - 0.8^19 of the way.
    let (_, all, _) = fitted(&curve, &data, 0.1, 500);
    let way = params[0] / all[0];
    assert!((way - (1.0 - 0.8_f32.powi(19))).abs() < 1e-3, "{way}");
}

#[test]
fn validation_by_index_stops_early_at_the_best() {
    // A network of many units overfits few samples.
    let curve = Curve::mlp(&[16], 1).unwrap();
    let mut data = Data::new(&curve, &T_U, &T_C);
    let [x, y] = &mut data.scaled;
    let (x_before, y_before) = (x.clone(), y.clone());
    let kept = [2, 5, 9];
    let training = move_behind(x, y, &kept);
    assert_eq!(training, 8);
    for (k, index) in kept.iter().enumerate() {
        assert_eq!((x[8 + k], y[8 + k]), (x_before[*index], y_before[*index]));
    }
    assert_eq!(x[..3], [x_before[0], x_before[1], x_before[3]]);

    let [training, validation] = data.samples().split_at(training);
    let mut start = vec![0.0; curve.param_count()];
    curve.start(&mut start);
    let mut params = start.clone();
    let mut arena = Arena::<2048, 16>::new();
    let tape = arena.tape();
    let mut fit = Fit::new(&tape, training, 8, &mut params, |x| curve.record(x, &start))
        .unwrap()
        .validation(validation)
        .early_stopping(EarlyStopping::new(50))
        .epochs(20_000);
    let mut losses = Vec::new();
    let mut adam = Adam::on_heap(0.02, curve.param_count());
    let reason = loop {
        let poll = fit.poll(&mut adam).unwrap();
        losses.push(fit.losses().validation.unwrap());
        if let Poll::Stopped(reason) = poll {
            break reason;
        }
    };
    assert_eq!(reason, Reason::Early);
    let (epoch, best) = fit.best().unwrap();
    assert_eq!(losses.len() as u32, epoch + 51);
    assert!(losses.iter().all(|loss| *loss >= best));
    assert_eq!(losses[epoch as usize], best);
    // The parameters that were kept have that loss.
    let mut arena = Arena::<2048, 16>::new();
    let tape = arena.tape();
    let (x, y) = (
        tape.input(validation.x, [3, 1]),
        tape.input(validation.y, [3, 1]),
    );
    let loss = curve.record(x, &params).mse(y);
    assert!((loss.item().unwrap() - best).abs() < 1e-6 * best);
}

#[test]
fn readings_that_are_equal_are_counted_once() {
    let numbers = [3.0, 1.0, 3.0, -0.0, 0.0, 2.0];
    assert_eq!(distinct(numbers.into_iter(), 9), 4);
    assert_eq!(distinct(numbers.into_iter(), 3), 3);
    assert_eq!(distinct([].into_iter(), 3), 0);
}

#[test]
fn arenas_that_are_too_small_are_errors() {
    let data = Data::new(&Curve::Linear, &T_U, &T_C);
    let mut params = [0.0; 2];
    let mut arena = Arena::<8, 8>::new();
    let tape = arena.tape();
    let record = |x| Curve::Linear.record(x, &[0.0; 2]);
    assert!(Fit::new(&tape, data.samples(), 11, &mut params, record).is_err());
}

/// A fit that is stopped after any epoch, saved and restored into another one ends with the same
/// bits of parameters, losses and best parameters, and for the same reason.
#[test]
fn a_fit_resumes_after_any_epoch() {
    const EPOCHS: u32 = 24;
    let curve = Curve::Poly(3);
    let data = Data::new(&curve, &T_U, &T_C);
    let [training, validation] = data.samples().split_at(8);
    let early = EarlyStopping::new(6);
    /// Runs at most `epochs` epochs, and returns the results.
    fn go(
        fit: &mut Fit<'_, '_>,
        adam: &mut Adam<4>,
        rates: &mut Scheduler<StepLr>,
        epochs: u32,
    ) -> Poll {
        let mut poll = Poll::Running;
        for _ in 0..epochs {
            poll = fit.poll_scheduled(adam, rates).unwrap();
        }
        poll
    }
    let new = || {
        let mut adam = Adam::<4>::new(0.3);
        let rates = Scheduler::new(StepLr::new(7), &mut adam);
        (adam, rates)
    };
    let run = |stopped: Option<u32>| {
        let mut bytes = vec![0; 3000];
        let mut len = 0;
        let mut ended = (Vec::new(), Poll::Running, 0, None, [0; 2]);
        let parts = match stopped {
            Some(at) => vec![at, EPOCHS + 2],
            None => vec![EPOCHS + 2],
        };
        for epochs in parts {
            let mut best = [9.0; 4];
            let mut arena = Arena::<256, 24>::new();
            let tape = arena.tape();
            // Each run starts with other parameters.
            let start = [0.1 * len as f32; 4];
            let mut fit = Fit::new(&tape, training, 4, &mut best, |x| curve.record(x, &start))
                .unwrap()
                .validation(validation)
                .early_stopping(early)
                .epochs(EPOCHS);
            let (mut adam, mut rates) = new();
            if len > 0 {
                let record = Record::read(&bytes[..len]).unwrap();
                record.load_state_dict("fit", &mut fit, 4).unwrap();
                record.load_state_dict("adam", &mut adam, 4).unwrap();
                record.load_state_dict("rates", &mut rates, 0).unwrap();
            }
            let poll = go(&mut fit, &mut adam, &mut rates, epochs);
            let mut writer = Writer::new(&mut bytes);
            writer.state_dict("fit", &mut fit, 4).unwrap();
            writer.state_dict("adam", &mut adam, 4).unwrap();
            writer.state_dict("rates", &mut rates, 0).unwrap();
            len = writer.finish().unwrap().len();
            let losses = fit.losses();
            let losses = [losses.first, losses.training].map(f32::to_bits);
            let (epoch, least) = (fit.epoch(), fit.best().map(|(at, x)| (at, x.to_bits())));
            ended = (bytes[..len].to_vec(), poll, epoch, least, losses);
        }
        ended
    };
    let through = run(None);
    assert!(matches!(through.1, Poll::Stopped(_)), "{:?}", through.1);
    for stopped in 1..through.2 {
        assert_eq!(run(Some(stopped)), through, "stopped after {stopped}");
    }
}

/// The state of a fit of other samples is refused.
#[test]
fn a_fit_of_other_samples_is_not_resumed() {
    let curve = Curve::Linear;
    let data = Data::new(&curve, &T_U, &T_C);
    let mut bytes = vec![0; 1000];
    let state = |samples: Samples<'_>, use_it: &mut dyn FnMut(&mut Fit<'_, '_>)| {
        let mut best = [0.0; 2];
        let mut arena = Arena::<64, 8>::new();
        let tape = arena.tape();
        let record = |x| curve.record(x, &[0.0; 2]);
        use_it(&mut Fit::new(&tape, samples, 4, &mut best, record).unwrap());
    };
    let mut len = 0;
    state(data.samples(), &mut |fit| {
        let mut writer = Writer::new(&mut bytes);
        writer.state_dict("fit", fit, 2).unwrap();
        len = writer.finish().unwrap().len();
    });
    let record = Record::read(&bytes[..len]).unwrap();
    let [fewer, _] = data.samples().split_at(9);
    state(fewer, &mut |fit| {
        let error = record.load_state_dict("fit", fit, 2).unwrap_err();
        assert!(error.to_string().contains("`training`"), "{error}");
    });
    state(data.samples(), &mut |fit| {
        assert!(record.load_state_dict("fit", fit, 2).is_ok());
    });
}

/// `train` has the same losses and parameters in every epoch.
#[test]
fn train_runs_the_same_loop() {
    let curve = Curve::Poly(3);
    let data = Data::new(&curve, &T_U, &T_C);
    let [training, validation] = data.samples().split_at(8);
    let samples = |part: Samples<'_>| {
        let columns = [("x", part.x.to_vec()), ("y", part.y.to_vec())];
        let data = train::Dataset::new(columns).unwrap();
        data.samples(&["x"], &["y"]).unwrap()
    };
    let early = EarlyStopping::new(5);
    let (there, kept_back) = (samples(training), samples(validation));
    let fitted = train::Fit::new(&curve, &there)
        .validation(&kept_back)
        .early_stopping(early)
        .micro_batch(4)
        .epochs(60)
        .run(&mut Adam::on_heap(0.2, 4))
        .unwrap();

    let mut start = [0.0; 4];
    curve.start(&mut start);
    let mut best = start;
    let mut arena = Arena::<256, 24>::new();
    let tape = arena.tape();
    let mut fit = Fit::new(&tape, training, 4, &mut best, |x| curve.record(x, &start))
        .unwrap()
        .validation(validation)
        .early_stopping(early)
        .epochs(60);
    let mut adam = Adam::<4>::new(0.2);
    for (at, epoch) in (0..).zip(fitted.history().epochs()) {
        let poll = fit.poll(&mut adam).unwrap();
        let losses = fit.losses();
        assert_eq!(losses.training.to_bits(), epoch.training_loss.to_bits());
        assert_eq!(losses.validation, epoch.validation_loss);
        let last = at + 1 == fitted.history().epochs().len();
        assert_eq!(poll == Poll::Stopped(Reason::Early), last);
    }
    assert_eq!(fitted.history().stopped(), train::Stopped::Early);
    let (epoch, _) = fit.best().unwrap();
    assert_eq!(fitted.history().restored_epoch(), Some(epoch + 1));
    assert_eq!(fitted.params(), best);
}

/// Validation losses in several micro-batches have the bits of `train`, with one batch those of one
/// evaluation, and always agree with an `f64` loop up to rounding.
#[test]
fn validation_in_micro_batches_is_the_mean_of_all_rows() {
    let epochs = 25;
    let all: Vec<f32> = (0..40).map(|i| (0.7 * i as f32).sin()).collect();
    let targets: Vec<f32> = all
        .iter()
        .map(|x| x * x - 0.3 * x + 0.01 / (x + 1.5))
        .collect();
    let mut compared = 0;
    for name in ["linear", "poly:5", "mlp:4"] {
        let curve: Curve = name.parse().unwrap();
        let count = curve.param_count();
        let mut start = vec![0.0; count];
        curve.start(&mut start);
        for (training, validation, rows) in [
            (7, 5, 3),
            (24, 16, 8),
            (24, 6, 5),
            (20, 12, 11),
            (20, 20, 7),
            (31, 9, 16),
            (23, 17, 1),
            (30, 10, 10),
            (10, 30, 4),
        ] {
            let (x, y) = (
                &all[..training + validation],
                &targets[..training + validation],
            );
            let [learned, kept_back] = Samples { x, y }.split_at(training);
            let there = [learned, kept_back].map(|part| {
                let columns = [("x", part.x.to_vec()), ("y", part.y.to_vec())];
                let data = train::Dataset::new(columns).unwrap();
                data.samples(&["x"], &["y"]).unwrap()
            });
            let fitted = train::Fit::new(&curve, &there[0])
                .validation(&there[1])
                .micro_batch(rows)
                .epochs(epochs)
                .run(&mut Sgd::new(0.1))
                .unwrap();

            let mut arena = HeapArena::new(4096, 64);
            let tape = arena.tape();
            let mut fit = Fit::new(&tape, learned, rows, &mut [], |x| curve.record(x, &start))
                .unwrap()
                .validation(kept_back)
                .epochs(epochs);
            let mut sgd = Sgd::new(0.1);
            for epoch in fitted.history().epochs() {
                let before = tape.params().unwrap().to_vec();
                assert_eq!(fit.poll(&mut sgd).unwrap(), Poll::Running);
                let losses = fit.losses();
                let found = losses.validation.unwrap();
                assert_eq!(
                    losses.training.to_bits(),
                    epoch.training_loss.to_bits(),
                    "{name}"
                );
                assert_eq!(Some(found), epoch.validation_loss, "{name}");

                // One batch on a tape of its own.
                let mut arena = HeapArena::new(4096, 64);
                let whole = arena.tape();
                let input = whole.input(kept_back.x, [validation, 1]);
                let output = whole.input(kept_back.y, [validation, 1]);
                let at_once = curve.record(input, &before).mse(output).item().unwrap();
                if validation <= rows {
                    assert_eq!(found.to_bits(), at_once.to_bits(), "{name}");
                }
                let exact = mean_square(&curve, &before, kept_back);
                for loss in [found, at_once] {
                    // Predictions of the size of 1 have errors of 24 bits.
                    let off = (f64::from(loss) - exact).abs();
                    assert!(
                        off < 1e-6 * (exact + exact.sqrt()),
                        "{name}: {loss} {exact}"
                    );
                }
                compared += 1;
            }
            assert_eq!(*tape.params().unwrap(), *fitted.params(), "{name}");
        }
    }
    assert_eq!(compared, 27 * epochs);
}

/// Computes the mean squared error of a curve by its definition, in `f64`.
fn mean_square(curve: &Curve, params: &[f32], samples: Samples<'_>) -> f64 {
    let params: Vec<f64> = params.iter().map(|p| f64::from(*p)).collect();
    let value = |x: f64| -> f64 {
        match curve {
            Curve::Mlp { .. } => {
                let units = params.len() / 3;
                let unit = |k: usize| {
                    let z = params[k] * x + params[units + k];
                    params[2 * units + k] * (z / (1.0 + z.abs()))
                };
                (0..units).map(unit).sum::<f64>() + params[3 * units]
            }
            // The Chebyshev polynomial of degree k is cos(k arccos x).
            _ => {
                let (constant, weights) = params.split_last().unwrap();
                let degree = (1..).zip(weights);
                let terms = degree.map(|(k, w)| w * (f64::from(k) * x.acos()).cos());
                terms.sum::<f64>() + constant
            }
        }
    };
    let squares = samples.x.iter().zip(samples.y);
    let squares = squares.map(|(x, y)| (value(f64::from(*x)) - f64::from(*y)).powi(2));
    squares.sum::<f64>() / samples.len() as f64
}

/// A search in `train` gives the same bits and ends in the same way.
#[test]
fn train_searches_by_the_same_calls() {
    let x: Vec<f32> = (0..20).map(|i| i as f32 / 9.5 - 1.0).collect();
    let y: Vec<f32> = x.iter().map(|x| (3.0 * x).sin()).collect();
    let data = train::Dataset::new([("x", x.clone()), ("y", y.clone())]).unwrap();
    let samples = data.samples(&["x"], &["y"]).unwrap();
    for name in ["linear", "poly:5", "mlp:3"] {
        let curve: Curve = name.parse().unwrap();
        let count = curve.param_count();
        let search = || Lbfgs::<10, 6>::new(1.0).strong_wolfe();
        let fitted = train::Fit::new(&curve, &samples)
            .micro_batch(8)
            .epochs(400)
            .run_search(&mut search())
            .unwrap();
        let mut start = vec![0.0; count];
        curve.start(&mut start);
        let mut best = start.clone();
        let mut arena = HeapArena::new(4096, 64);
        let tape = arena.tape();
        let data = Samples { x: &x, y: &y };
        let mut fit = Fit::new(&tape, data, 8, &mut best, |x| curve.record(x, &start))
            .unwrap()
            .epochs(400);
        let mut there = search();
        for epoch in fitted.history().epochs() {
            assert_eq!(fit.poll_search(&mut there).unwrap(), Poll::Running);
            assert_eq!(
                fit.losses().training.to_bits(),
                epoch.training_loss.to_bits(),
                "{name}"
            );
        }
        // The last evaluation computes the final loss.
        let last = fit.poll_search(&mut there).unwrap();
        assert!(matches!(last, Poll::Stopped(_)), "{name}");
        if name != "mlp:3" {
            assert_eq!(fitted.history().stopped(), train::Stopped::Found, "{name}");
            assert_eq!(last, Poll::Stopped(Reason::Converged), "{name}");
        }
        assert_eq!(fitted.params(), best, "{name}");
    }
}
