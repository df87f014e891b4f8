//! Tests of the training loop, of data sets, verdicts and reports: against the book's run, the
//! same loop written by hand, and exact least squares.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use baregrad::ops::loss::CrossEntropyLoss;
use baregrad::optim::schedule::{OneCycleLr, ReduceLrOnPlateau, StepLr, ThresholdMode};
use baregrad::optim::{Adam, Lbfgs, Optimizer as _, Sgd};
use baregrad::random::{fill_normal, fill_uniform, seeded};
use baregrad::train::{
    self, Calibration, Clip, Curve, Dataset, EarlyStopping, Epoch, Fit, FitError, Fitted, Function,
    Judgement, Param, Samples, Scaler, Scaling, Stopped, Verdict,
};
use baregrad::{Arena, Var};

const T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

type Line = Function<2, for<'t> fn(Var<'t>, [Var<'t>; 2]) -> Var<'t>>;

fn line(w: f32, b: f32) -> Line {
    fn forward<'t>(x: Var<'t>, [w, b]: [Var<'t>; 2]) -> Var<'t> {
        w * x + b
    }
    train::model([Param::scalar("w", w), Param::scalar("b", b)], forward)
}

fn thermometer() -> Dataset {
    Dataset::new([("t_u", T_U), ("t_c", T_C)]).unwrap()
}

/// Returns the book's training and validation parts, with readings multiplied by 0.1.
fn book_parts() -> (Samples, Samples) {
    let (training, validation) = (
        thermometer().select(&[9, 0, 10, 3, 4, 2, 7, 8, 5]).unwrap(),
        thermometer().select(&[1, 6]).unwrap(),
    );
    let scaler = Scaler::fit(&training, &[("t_u", Scaling::Fixed(0.1))]).unwrap();
    let samples = |part| {
        scaler
            .apply(part)
            .unwrap()
            .samples(&["t_u"], &["t_c"])
            .unwrap()
    };
    (samples(&training), samples(&validation))
}

fn book_run(micro_batch: usize) -> Fitted {
    let (training, validation) = book_parts();
    Fit::new(&line(1.0, 0.0), &training)
        .validation(&validation)
        .epochs(3000)
        .micro_batch(micro_batch)
        .run(&mut Sgd::new(1e-2))
        .unwrap()
}

/// Returns a noisy parabola, for runs that need more rows.
fn parabola(rows: usize) -> Samples {
    let x: Vec<f32> = (0..rows)
        .map(|i| i as f32 / rows as f32 * 2.0 - 1.0)
        .collect();
    let y: Vec<f32> = x
        .iter()
        .enumerate()
        .map(|(i, x)| x * x + 0.5 * x + 0.05 * ((i * 7 % 5) as f32 - 2.0))
        .collect();
    let data = Dataset::new([("x", x), ("y", y)]).unwrap();
    data.samples(&["x"], &["y"]).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

// ---- the book -------------------------------------------------------------------

#[test]
fn the_books_split_run_prints_what_the_book_prints() {
    let fitted = book_run(100);
    let shown: Vec<String> = fitted
        .history()
        .epochs()
        .iter()
        .filter(|epoch| epoch.epoch <= 3 || epoch.epoch % 500 == 0)
        .map(Epoch::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "Epoch 1, Training loss 90.3475, Validation loss 35.4401",
            "Epoch 2, Training loss 40.7431, Validation loss 12.0374",
            "Epoch 3, Training loss 34.2999, Validation loss 11.4979",
            "Epoch 500, Training loss 8.2724, Validation loss 1.0062",
            "Epoch 1000, Training loss 3.6953, Validation loss 2.0580",
            "Epoch 1500, Training loss 2.8710, Validation loss 3.6277",
            "Epoch 2000, Training loss 2.7225, Validation loss 4.4961",
            "Epoch 2500, Training loss 2.6958, Validation loss 4.9011",
            "Epoch 3000, Training loss 2.6910, Validation loss 5.0796",
        ]
    );
    assert_eq!(
        format!("params: {:.4?}", fitted.params()),
        "params: [5.5010, -18.3851]"
    );
    // With only two validation samples the verdict is lenient: see `train::verdict`.
    assert_eq!(fitted.verdict().verdict, Verdict::GoodFit);
    assert!(
        fitted
            .verdict()
            .to_string()
            .contains("it has risen since, but not beyond chance")
    );
}

#[test]
fn fit_has_the_bits_of_the_loop_by_hand() {
    let (training, validation) = book_parts();
    let mut arena = Arena::<256, 32>::new();
    let tape = arena.tape();
    let (w, b) = (tape.param(&[1.0], []), tape.param(&[0.0], []));
    let loss = |samples: &'static Samples| {
        let x = tape.input(samples.x(), [samples.rows(), 1]);
        let y = tape.input(samples.y(), [samples.rows(), 1]);
        (w * x + b).mse(y)
    };
    // The tape borrows the samples for its whole life.
    let (training, validation) = (
        Box::leak(Box::new(training)),
        Box::leak(Box::new(validation)),
    );
    let training_loss = loss(training);
    let validation_loss = tape.no_grad(|| loss(validation));
    let mut sgd = Sgd::new(1e-2);
    let mut by_hand = vec![];
    for _ in 0..3000 {
        tape.zero_grad();
        tape.backward(training_loss).unwrap();
        by_hand.push(training_loss.item().unwrap());
        by_hand.push(validation_loss.item().unwrap());
        tape.step(&mut sgd).unwrap();
        tape.replay().unwrap();
    }
    let fitted = book_run(100);
    let epochs = fitted.history().epochs().iter();
    let losses = epochs.flat_map(|epoch| [epoch.training_loss, epoch.validation_loss.unwrap()]);
    assert_eq!(bits(&losses.collect::<Vec<_>>()), bits(&by_hand));
    assert_eq!(bits(fitted.params()), bits(&tape.params().unwrap()));
    assert_eq!(
        fitted.history().training_loss(),
        training_loss.item().unwrap()
    );
}

// ---- data ----------------------------------------------------------------------

#[test]
fn data_that_cannot_be_used_are_refused_with_a_reason() {
    let error = |columns: Vec<(&str, Vec<f32>)>| Dataset::new(columns).unwrap_err().to_string();
    assert_eq!(
        error(vec![("x", vec![1.0, 2.0]), ("y", vec![1.0])]),
        "column `y`: expected 2 rows, as in the first column, found 1"
    );
    assert_eq!(
        error(vec![("x", vec![1.0]), ("x", vec![1.0])]),
        "column `x`: expected one of this name, found two"
    );
    assert_eq!(
        error(vec![("x", vec![1.0, f32::NAN])]),
        "column `x`, row 1: expected a finite f32, found NaN"
    );
    assert_eq!(
        error(vec![]),
        "expected at least one column with at least one row"
    );
    let flat = Dataset::new([("x", [2.0, 2.0])]).unwrap();
    for scaling in [Scaling::Standard, Scaling::MinMax] {
        assert_eq!(
            Scaler::fit(&flat, &[("x", scaling)])
                .unwrap_err()
                .to_string(),
            "column `x`: expected values that differ, found only 2"
        );
    }
    assert!(Scaler::fit(&flat, &[("x", Scaling::Fixed(0.0))]).is_err());
    assert!(flat.select(&[2]).is_err());
    assert!(flat.samples(&["x"], &["y"]).is_err());
}

#[test]
fn splits_are_permutations_that_a_seed_repeats() {
    for (rows, fraction) in [(11, 0.2), (100, 0.25), (3, 0.0), (1000, 0.999)] {
        let (training, validation) = train::split_indices(rows, fraction, 5).unwrap();
        assert_eq!(validation.len(), (fraction * rows as f64) as usize);
        let mut all = [training.clone(), validation].concat();
        all.sort();
        assert_eq!(all, (0..rows).collect::<Vec<_>>());
        assert_eq!(train::split_indices(rows, fraction, 5).unwrap().0, training);
    }
    let order = |seed| train::split_indices(100, 0.2, seed).unwrap();
    assert_ne!(order(1), order(2));
    assert!(train::split_indices(10, 1.0, 0).is_err());
    assert!(train::split_indices(10, f64::NAN, 0).is_err());
    assert!(
        thermometer().split(0.05, 0).is_err(),
        "no row to validate with"
    );

    let folds = thermometer().k_fold(4, 1).unwrap();
    let mut seen: Vec<f32> = vec![];
    for (training, validation) in &folds {
        assert_eq!(training.rows() + validation.rows(), 11);
        seen.extend(validation.column("t_u").unwrap());
    }
    let mut expected = T_U.to_vec();
    seen.sort_by(f32::total_cmp);
    expected.sort_by(f32::total_cmp);
    assert_eq!(seen, expected);
    assert!(thermometer().k_fold(1, 1).is_err() && thermometer().k_fold(12, 1).is_err());
}

#[test]
fn scales_are_those_of_the_training_part_and_have_a_way_back() {
    let data = thermometer();
    for scaling in [Scaling::Standard, Scaling::MinMax, Scaling::Fixed(0.1)] {
        let scaler = Scaler::fit(&data, &[("t_u", scaling)]).unwrap();
        let scaled = scaler.apply(&data).unwrap();
        let values = scaled.column("t_u").unwrap();
        let mean = values.iter().sum::<f32>() / 11.0;
        let square = values.iter().map(|x| x * x).sum::<f32>() / 11.0;
        let most = values.iter().copied().fold(0.0, |a: f32, x| a.max(x.abs()));
        match scaling {
            Scaling::Standard => assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6),
            Scaling::MinMax => assert!((most - 1.0).abs() < 1e-6),
            _ => assert_eq!(values[0], 0.1 * 35.7),
        }
        assert_eq!(scaled.column("t_c").unwrap(), T_C);
        // Firmware computes the same bits in `f32`.
        let scale = scaler.scale("t_u").unwrap();
        assert_eq!(scale.offset.low(), 0.0);
        let firmware = T_U.map(|x| (x - scale.offset.high()) * scale.factor);
        assert_eq!(bits(values), bits(&firmware));
        let back = scaler.invert(&scaled).unwrap();
        for (x, back) in T_U.iter().zip(back.column("t_u").unwrap()) {
            assert!((x - back).abs() <= 1e-5, "{x} {back}");
        }
    }
}

// ---- fit -----------------------------------------------------------------------

#[test]
fn micro_batches_give_the_gradients_of_the_batch() {
    let (whole, streamed) = (book_run(100), book_run(4));
    let losses = |run: &Fitted| {
        let epochs = run.history().epochs().iter();
        epochs.map(|epoch| epoch.training_loss).collect::<Vec<_>>()
    };
    let (whole, streamed) = (losses(&whole), losses(&streamed));
    for (a, b) in whole.iter().zip(&streamed) {
        assert!((a - b).abs() < 1e-5 * a, "{a} {b}");
    }
    assert_ne!(bits(&whole), bits(&streamed), "nothing was streamed");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let samples = parabola(50);
    let curve: Curve = "mlp:8".parse().unwrap();
    let run = |seed| {
        let fitted = Fit::new(&curve, &samples)
            .validation(&samples)
            .epochs(30)
            .batch_size(8)
            .noise(0.01)
            .seed(seed)
            .run(&mut Adam::on_heap(1e-2, 25))
            .unwrap();
        (format!("{:?}", fitted.history()), bits(fitted.params()))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn mini_batches_update_once_each() {
    let samples = parabola(10);
    // The gradient is 1 at every row, so each update is one learning rate.
    fn ramp<'t>(x: Var<'t>, [w]: [Var<'t>; 1]) -> Var<'t> {
        x * 0.0 + w
    }
    fn mean<'t>(prediction: Var<'t>, _: Var<'t>) -> Var<'t> {
        prediction.mean()
    }
    let model = train::model([Param::scalar("w", 0.0)], ramp);
    let updates = |fit: Fit<'_, _>| {
        let fitted = fit.loss(mean).epochs(1).run(&mut Sgd::new(1.0)).unwrap();
        (-1e6 * fitted.params()[0]).round() / 1e6
    };
    let fit = || Fit::new(&model, &samples);
    assert_eq!(updates(fit()), 1.0);
    assert_eq!(updates(fit().batch_size(4)), 3.0);
    assert_eq!(updates(fit().batch_size(4).drop_last()), 2.0);
    assert_eq!(updates(fit().batch_size(4).in_order()), 3.0);
    assert_eq!(updates(fit().batch_size(20).drop_last()), 1.0);
    let losses = |fit: Fit<'_, _>| {
        let fitted = fit.epochs(3).run(&mut Sgd::new(0.01)).unwrap();
        format!("{:?}", fitted.history())
    };
    let in_order = losses(fit().batch_size(4).in_order());
    assert_eq!(losses(fit().in_order().batch_size(4)), in_order);
    assert_ne!(losses(fit().batch_size(4)), in_order);
    assert_eq!(updates(fit().clip(Clip::Value(0.25))), 0.25);
}

#[test]
fn mini_batches_go_through_all_rows() {
    // The rows have no noise, so that every batch leads to the same line.
    let x: Vec<f32> = (0..50).map(|i| i as f32 / 25.0 - 1.0).collect();
    let y: Vec<f32> = x.iter().map(|x| 3.0 * x - 2.0).collect();
    let samples = Dataset::new([("x", x), ("y", y)]).unwrap();
    let samples = samples.samples(&["x"], &["y"]).unwrap();
    let model = line(0.0, 0.0);
    let run = |fit: Fit<'_, Line>| fit.run(&mut Sgd::new(0.1)).unwrap();
    let learned = run(Fit::new(&model, &samples).epochs(200).batch_size(8));
    let [w, b] = learned.params() else { panic!() };
    assert!((w - 3.0).abs() < 1e-4 && (b + 2.0).abs() < 1e-4, "{w} {b}");

    // With a learning rate of 0, the weighted mean of the batches' losses is the loss of all rows.
    let whole = run(Fit::new(&model, &samples).epochs(1).learning_rate(0.0));
    let parts = run(Fit::new(&model, &samples)
        .epochs(1)
        .learning_rate(0.0)
        .batch_size(8));
    let [whole, parts] = [whole, parts].map(|run| run.history().first().training_loss);
    assert!((whole - parts).abs() < 1e-5 * whole, "{whole} {parts}");
}

#[test]
fn the_learning_rate_may_be_any_function_of_the_epoch() {
    let (training, _) = book_parts();
    let rates = |fit: Fit<'_, Line>| {
        let fitted = fit.epochs(4).run(&mut Sgd::new(1e-3)).unwrap();
        let rates = fitted
            .history()
            .epochs()
            .iter()
            .map(|epoch| epoch.learning_rate);
        rates.collect::<Vec<f32>>()
    };
    let line = line(1.0, 0.0);
    let fit = || Fit::new(&line, &training);
    assert_eq!(rates(fit()), [1e-3; 4]);
    assert_eq!(rates(fit().learning_rate(1e-2)), [1e-2; 4]);
    let halved = |epoch| 1e-2 * 0.5_f32.powi(epoch as i32);
    assert_eq!(
        rates(fit().learning_rate(halved)),
        [5e-3, 2.5e-3, 1.25e-3, 6.25e-4]
    );
    assert_eq!(
        rates(fit().learning_rate(StepLr::new(2).gamma(0.5))),
        [1e-3, 1e-3, 5e-4, 5e-4]
    );
}

/// A schedule gets the validation loss, if there is one, and sets the momentum.
#[test]
fn a_schedule_sees_the_loss() {
    let (training, validation) = book_parts();
    let line = line(1.0, 0.0);
    let rates = |fit: Fit<'_, Line>| {
        // The loss falls from 1.0 by less than a tenth per epoch, and is never 50 times better.
        let plateau = ReduceLrOnPlateau::new()
            .patience(0)
            .threshold(0.98, ThresholdMode::Rel)
            .factor(0.5);
        let mut sgd = Sgd::new(1e-4);
        let fit = fit.epochs(4).learning_rate(plateau);
        let fitted = fit.run(&mut sgd).unwrap();
        let rates: Vec<_> = fitted
            .history()
            .epochs()
            .iter()
            .map(|epoch| epoch.learning_rate)
            .collect();
        assert_eq!(sgd.learning_rate(), rates[3]);
        rates
    };
    // The first metric always counts as better.
    let halved = [1e-4, 1e-4, 5e-5, 2.5e-5];
    assert_eq!(rates(Fit::new(&line, &training)), halved);
    assert_eq!(
        rates(Fit::new(&line, &training).validation(&validation)),
        halved
    );

    let cycle = OneCycleLr::new(1e-3, 5).pct_start(0.6).momentum(0.5, 0.9);
    let mut sgd = Sgd::new(1.0).momentum::<2>(0.7);
    Fit::new(&line, &training)
        .epochs(3)
        .learning_rate(cycle)
        .run(&mut sgd)
        .unwrap();
    // The rate is at its maximum, and momentum at its minimum.
    assert_eq!(sgd.learning_rate(), 1e-3);
    assert_eq!(sgd.momentum_factor(), Some(0.5));
}

#[test]
fn early_stopping_restores_the_best_parameters() {
    let (training, validation) = book_parts();
    let model = line(1.0, 0.0);
    let run = |early| {
        Fit::new(&model, &training)
            .validation(&validation)
            .epochs(3000)
            .early_stopping(early)
            .run(&mut Sgd::new(1e-2))
            .unwrap()
    };
    let best = run(EarlyStopping::new(50));
    let history = best.history();
    assert_eq!(history.stopped(), Stopped::Early);
    // The book's run has its lowest validation loss in epoch 578.
    assert_eq!(history.restored_epoch(), Some(578));
    assert_eq!(history.last().epoch, 628);
    assert_eq!(history.validation_loss(), history.best().validation_loss);
    assert_eq!(history.training_loss(), history.best().training_loss);

    let last = run(EarlyStopping::new(50).keep_last());
    assert_eq!(last.history().restored_epoch(), None);
    assert!(last.history().validation_loss() > history.validation_loss());

    // Improvements of less than 1 do not count, and the last that does is early.
    let picky = run(EarlyStopping::new(50).min_delta(1.0));
    assert!(picky.history().last().epoch < 300);
    // Patience that does not run out restores as well.
    let patient = run(EarlyStopping::new(5000));
    assert_eq!(patient.history().stopped(), Stopped::Finished);
    assert_eq!(patient.history().restored_epoch(), Some(578));
}

/// Returns the model `x * w`. With `x = 1` and one row at a time, a step of SGD with 0.5 sets `w`
/// to that row's target.
fn constant_model(w: f32) -> Function<1, for<'t> fn(Var<'t>, [Var<'t>; 1]) -> Var<'t>> {
    fn forward<'t>(x: Var<'t>, [w]: [Var<'t>; 1]) -> Var<'t> {
        x * w
    }
    train::model([Param::scalar("w", w)], forward)
}

#[test]
fn early_stopping_judges_parameters_by_their_own_loss() {
    let y: Vec<f32> = (0..1000).map(|i| i as f32 / 100.0).collect();
    let data = Dataset::new([("x", &[1.0; 1000][..]), ("y", &y)]).unwrap();
    let samples = data.samples(&["x"], &["y"]).unwrap();
    let model = constant_model(-10.0);
    let fit = |epochs| {
        Fit::new(&model, &samples)
            .batch_size(1)
            .in_order()
            .epochs(epochs)
            .early_stopping(EarlyStopping::new(5))
            .run(&mut Sgd::new(0.5))
            .unwrap()
    };
    let fitted = fit(1);
    assert!((fitted.params()[0] - 9.99).abs() < 1e-5);
    // The loss at 9.99 is (9.99 - 4.995)² + (1000² - 1) / 12 / 100²; at -10 it is 233.18.
    let loss = fitted.history().training_loss();
    assert!((loss - 33.28335).abs() < 1e-4, "{loss}");
    assert_eq!(fitted.history().restored_epoch(), None);
    // Every epoch ends at the same parameters, and the first that starts there is kept.
    let fitted = fit(20);
    assert!((fitted.params()[0] - 9.99).abs() < 1e-5);
    assert_eq!(fitted.history().restored_epoch(), Some(2));
    assert_eq!(fitted.history().best().epoch, 2);
    assert_eq!(fitted.history().last().epoch, 7);
    assert_eq!(fitted.history().stopped(), Stopped::Early);
}

#[test]
fn early_stopping_never_restores_what_is_worse() {
    let epochs = 8;
    let mut restored = 0;
    for seed in 0..200 {
        let mut rng = seeded(seed);
        let (mut x, mut noise) = ([0.0; 24], [0.0; 24]);
        fill_uniform(&mut rng, -1.0, 1.0, &mut x).unwrap();
        fill_normal(&mut rng, 0.0, 1.0, &mut noise).unwrap();
        let kind = seed % 4;
        let y: Vec<f32> = x.iter().zip(&noise).map(|(x, e)| 2.0 * x + e).collect();
        let data = Dataset::new([("x", &x[..]), ("y", &y)]).unwrap();
        let samples = data.samples(&["x"], &["y"]).unwrap();
        // Steps are too large for such small batches, so parameters jump.
        let model = line(if kind == 3 { 2.0 } else { -1.0 }, 0.0);
        let fit = |epochs, early: Option<EarlyStopping>| {
            let mut fit = Fit::new(&model, &samples).epochs(epochs).seed(seed);
            fit = match kind {
                0 => fit.batch_size(2),
                1 => fit.batch_size(1).in_order(),
                2 => fit.noise(0.5),
                _ => fit.batch_size(5).drop_last(),
            };
            if let Some(early) = early {
                fit = fit.early_stopping(early);
            }
            let fitted = fit.run(&mut Sgd::new(0.3)).unwrap();
            let [w, b] = *fitted.params() else { panic!() };
            let squares = x.iter().zip(&y).map(|(x, y)| {
                let error = f64::from(w) * f64::from(*x) + f64::from(b) - f64::from(*y);
                error * error
            });
            (squares.sum::<f64>() / 24.0, fitted)
        };
        let (kept, fitted) = fit(epochs, Some(EarlyStopping::new(100)));
        restored += usize::from(fitted.history().restored_epoch().is_some());
        for ended in 1..=epochs {
            let (loss, _) = fit(ended, None);
            assert!(
                kept <= loss * (1.0 + 1e-5),
                "seed {seed}: restored a loss of {kept}, after epoch {ended} it was {loss}"
            );
        }
        assert!((f64::from(fitted.history().training_loss()) - kept).abs() < 1e-5 * kept);
    }
    assert!((50..200).contains(&restored), "{restored} of 200");
}

#[test]
fn huge_gradients_are_clipped() {
    // The gradient at 2 is 2 · mean(x²) = 5e20, whose square overflows `f32`. Each step
    // is as long as the learning rate.
    let data = Dataset::new([("x", [1e10, 2e10]), ("y", [1e10, 2e10])]).unwrap();
    let samples = data.samples(&["x"], &["y"]).unwrap();
    let fitted = Fit::new(&constant_model(2.0), &samples)
        .clip(Clip::Norm(1.0))
        .epochs(4)
        .run(&mut Sgd::new(0.25))
        .unwrap();
    assert_eq!(fitted.params(), [1.0]);
    assert_eq!(fitted.verdict().verdict, Verdict::GoodFit);
}

#[test]
fn gradients_that_are_no_numbers_end_the_run() {
    // The loss at 0 is 0, its gradient 0 · inf.
    fn root<'t>(x: Var<'t>, [w, b]: [Var<'t>; 2]) -> Var<'t> {
        (x * w).square().sqrt() + b
    }
    let model = train::model([Param::scalar("w", 0.0), Param::scalar("b", 1.0)], root);
    let samples = parabola(10);
    let error = Fit::new(&model, &samples)
        .clip(Clip::Norm(1.0))
        .epochs(5)
        .run(&mut Sgd::new(0.1))
        .unwrap_err();
    assert!(
        matches!(error, FitError::Diverged { epoch: 2, loss, .. } if loss.is_nan()),
        "{error}"
    );
}

#[test]
fn observers_see_every_epoch_and_may_stop() {
    let (training, _) = book_parts();
    let (seen, flag) = (RefCell::new(vec![]), AtomicBool::new(false));
    let fitted = Fit::new(&line(1.0, 0.0), &training)
        .observe(|epoch| seen.borrow_mut().push(epoch.epoch))
        .observe(|epoch| flag.store(epoch.epoch == 7, Ordering::Relaxed))
        .stop_flag(&flag)
        .run(&mut Sgd::new(1e-2))
        .unwrap();
    assert_eq!(*seen.borrow(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(fitted.history().stopped(), Stopped::Asked);
    assert_eq!(fitted.history().epochs().len(), 7);
}

#[test]
fn divergence_says_when_and_what_to_do() {
    let samples = thermometer().samples(&["t_u"], &["t_c"]).unwrap();
    let error = Fit::new(&line(1.0, 0.0), &samples)
        .run(&mut Sgd::new(1e-2))
        .unwrap_err();
    // PyTorch's loss becomes infinite in the same epoch.
    assert_eq!(
        error.to_string(),
        "the loss is inf at epoch 11: try a smaller learning rate than 0.01, or normalise the inputs, which reach 81.9"
    );
    // The last update diverges, after which there is no epoch.
    let error = Fit::new(&line(1.0, 0.0), &samples)
        .epochs(10)
        .run(&mut Sgd::new(1e-2))
        .unwrap_err();
    assert!(
        matches!(error, FitError::Diverged { epoch: 10, .. }),
        "{error}"
    );
}

#[test]
fn a_validation_sample_far_away_is_not_called_divergence() {
    // A reading of 1e20 has a cube of 1e60, which `f32` does not hold, and coefficients
    // start at 0.
    let near = parabola(10);
    let far = Dataset::new([("x", [0.5, 1e20]), ("y", [0.25, 0.0])]).unwrap();
    let far = far.samples(&["x"], &["y"]).unwrap();
    let curve: Curve = "poly:3".parse().unwrap();
    let fit = Fit::new(&curve, &near).validation(&far).epochs(5);
    let error = fit.run(&mut Sgd::new(0.1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the validation loss is NaN at epoch 1, that of training is finite: inputs to validate with reach 100000000000000000000, those to train with 1; remove outliers, or split the rows otherwise"
    );
}

#[test]
fn settings_out_of_range_are_refused() {
    let samples = parabola(10);
    let two = Dataset::new([("a", T_U), ("b", T_U), ("c", T_C)]).unwrap();
    let two = two.samples(&["a", "b"], &["c"]).unwrap();
    let model = line(1.0, 0.0);
    let refused = |fit: Fit<'_, Line>, expected: &str| {
        let error = fit.run(&mut Sgd::new(1e-2)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let fit = || Fit::new(&model, &samples);
    refused(fit().epochs(0), "epochs >= 1, found 0");
    refused(fit().batch_size(0), "batch_size >= 1");
    refused(fit().micro_batch(0), "micro_batch >= 1");
    refused(fit().l1(-1.0), "l1 >= 0, found -1");
    refused(fit().l2(f32::NAN), "l2 >= 0, found NaN");
    refused(fit().noise(f32::INFINITY), "noise >= 0");
    refused(fit().clip(Clip::Norm(0.0)), "clipping bound > 0");
    refused(
        fit().early_stopping(EarlyStopping::new(1).min_delta(-1.0)),
        "min_delta >= 0",
    );
    refused(fit().validation(&two), "expected 1 inputs and 1 targets");
    refused(fit().learning_rate(-1.0), "lr >= 0");
}

#[test]
fn penalties_make_parameters_smaller() {
    let samples = parabola(40);
    let curve: Curve = "poly:6".parse().unwrap();
    let size = |fit: Fit<'_, Curve>| {
        let fitted = fit.epochs(500).run(&mut Sgd::new(0.1)).unwrap();
        let zeros = fitted.params().iter().filter(|c| c.abs() < 1e-2).count();
        // The constant is last, and has no penalty.
        let size: f32 = fitted.params()[..6].iter().map(|c| c.abs()).sum();
        (size, zeros, fitted.history().training_loss())
    };
    let free = size(Fit::new(&curve, &samples));
    let l1 = size(Fit::new(&curve, &samples).l1(0.05));
    let l2 = size(Fit::new(&curve, &samples).l2(0.05));
    assert!(l1.0 < free.0 && l2.0 < free.0);
    assert!(
        l1.2 > free.2 && l2.2 > free.2,
        "reported losses are of the data alone"
    );
    assert!(l1.1 > l2.1, "L1 sets to zero what L2 makes small");
}

// ---- verdicts --------------------------------------------------------------------

#[test]
fn verdicts_tell_runs_apart() {
    let samples = parabola(40);
    let (even, odd): (Vec<usize>, Vec<usize>) = (0..40).partition(|i| i % 2 == 0);
    let data = Dataset::new([("x", samples.x()), ("y", samples.y())]).unwrap();
    let part = |rows: &[usize]| data.select(rows).unwrap().samples(&["x"], &["y"]).unwrap();
    let (training, validation) = (part(&even), part(&odd));
    let verdict = |curve: &str, lr: f32, epochs| {
        let curve: Curve = curve.parse().unwrap();
        let fit = Fit::new(&curve, &training).validation(&validation);
        let fitted = fit.epochs(epochs).run(&mut Sgd::new(lr)).unwrap();
        fitted.verdict().verdict
    };
    assert_eq!(verdict("poly:2", 0.3, 500), Verdict::GoodFit);
    assert_eq!(verdict("poly:2", 1e-6, 500), Verdict::NotLearning);
    assert_eq!(verdict("linear", 0.3, 500), Verdict::Underfitting);

    // A curve with as many coefficients as samples, five.
    let few = part(&[1, 9, 17, 26, 38]);
    let curve: Curve = "poly:4".parse().unwrap();
    let fitted = Fit::new(&curve, &few)
        .validation(&validation)
        .epochs(20_000)
        .run(&mut Sgd::new(0.2))
        .unwrap();
    let judgement = fitted.verdict();
    assert!(
        matches!(judgement.verdict, Verdict::Overfitting { .. }),
        "{judgement}"
    );
    assert!(
        judgement
            .to_string()
            .starts_with("verdict: overfitting since epoch ")
    );
    assert!(judgement.to_string().contains("rule two"));
}

/// Fits a curve to some rows of `x` and `y`, scaled as by `baregrad fit`, validates with the
/// others, and returns the verdict.
fn judge(curve: &str, [x, y]: [&[f32]; 2], split: Option<u64>) -> Judgement {
    let data = Dataset::new([("x", x), ("y", y)]).unwrap();
    let (training, validation) = match split {
        Some(seed) => {
            let (training, validation) = data.split(0.2, seed).unwrap();
            (training, Some(validation))
        }
        None => (data, None),
    };
    let curve: Curve = curve.parse().unwrap();
    let columns = [("x", curve.scaling()), ("y", Scaling::Standard)];
    let scaler = Scaler::fit(&training, &columns).unwrap();
    let samples = |part: &Dataset| {
        let scaled = scaler.apply(part).unwrap();
        scaled.samples(&["x"], &["y"]).unwrap()
    };
    let (training, validation) = (samples(&training), validation.as_ref().map(samples));
    let mut fit = Fit::new(&curve, &training).epochs(250);
    if let Some(validation) = &validation {
        fit = fit.validation(validation);
    }
    let lr = 1.0 / curve.param_count() as f32;
    fit.run(&mut Sgd::new(lr)).unwrap().verdict()
}

#[test]
fn exact_models_are_good_fits() {
    type Exact = (&'static str, fn(f32) -> f32);
    let exact: [Exact; 6] = [
        ("linear", |x| 2.0 * x + 1.0),
        ("linear", |x| 1e-6 * x),
        ("linear", |x| 1e5 - 0.37 * x),
        ("poly:2", |x| x * x - 3.0 * x),
        ("poly:3", |x| (0.01 * x - 0.2) * x * x + 7.0),
        ("poly:4", |x| x),
    ];
    for (curve, f) in exact {
        let x: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let y: Vec<f32> = x.iter().map(|x| f(*x)).collect();
        for seed in 0..100 {
            let judgement = judge(curve, [&x, &y], Some(seed));
            let text = judgement.to_string();
            assert_eq!(
                judgement.verdict,
                Verdict::GoodFit,
                "{curve} {seed}: {text}"
            );
            let wrong = ["inf", "NaN", "diverge"]
                .iter()
                .any(|word| text.contains(word));
            assert!(!wrong, "{curve} {seed}: {text}");
        }
    }
}

#[test]
fn targets_that_are_all_the_same_are_judged_by_their_size() {
    let x = [-1.0, -0.5, 0.0, 0.5, 1.0];
    let run = |y: f32, [w, b]: [f32; 2], lr: f32, epochs| {
        let data = Dataset::new([("x", x), ("y", [y; 5])]).unwrap();
        let samples = data.samples(&["x"], &["y"]).unwrap();
        let fitted = Fit::new(&line(w, b), &samples)
            .validation(&samples)
            .epochs(epochs)
            .run(&mut Sgd::new(lr))
            .unwrap();
        assert_eq!(fitted.r_squared(), None);
        let text = fitted.verdict().to_string();
        assert!(!text.contains("inf") && !text.contains("NaN"), "{text}");
        assert!(text.contains("nothing to explain"), "{text}");
        fitted.verdict().verdict
    };
    assert_eq!(run(5.0, [0.0, 0.0], 0.1, 100), Verdict::GoodFit);
    assert_eq!(run(0.0, [1.0, 1.0], 0.1, 200), Verdict::GoodFit);
    assert_eq!(run(0.0, [0.0, 0.0], 0.1, 10), Verdict::GoodFit);
    assert_eq!(run(1e-25, [0.0, 0.0], 0.1, 100), Verdict::GoodFit);
    // A fit that is half way, and one that has hardly begun.
    assert_eq!(run(5.0, [0.0, 0.0], 0.01, 30), Verdict::Underfitting);
    assert_eq!(run(0.0, [1.0, 1.0], 0.01, 30), Verdict::Underfitting);
    assert_eq!(run(5.0, [0.0, 0.0], 1e-6, 30), Verdict::NotLearning);
}

#[test]
fn targets_whose_squares_f32_does_not_hold_are_judged_in_f64() {
    let x = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5];
    let run = |size: f32, lr: f32| {
        let data = Dataset::new([("x", x), ("y", x.map(|x| size * x))]).unwrap();
        let samples = data.samples(&["x"], &["y"]).unwrap();
        let model = line(0.0, 0.0);
        let fit = Fit::new(&model, &samples).epochs(50);
        fit.run(&mut Sgd::new(lr)).unwrap()
    };
    let small = run(1e-30, 0.3);
    assert_eq!(small.verdict().verdict, Verdict::GoodFit);
    assert!(small.r_squared().unwrap() > 0.999);
    assert!(small.verdict().to_string().contains("scale the targets"));
    let small = run(1e-30, 1e-4);
    assert_ne!(small.verdict().verdict, Verdict::GoodFit);
    assert!(small.r_squared().unwrap() < 0.1);
}

#[test]
fn r_squared_is_the_share_of_the_variance_explained() {
    // The value is 1 - Σr²/Σ(y - mean)² of the thermometer's least squares in exact arithmetic.
    let data = thermometer();
    let columns = [("t_u", Scaling::Standard), ("t_c", Scaling::Standard)];
    let scaler = Scaler::fit(&data, &columns).unwrap();
    let samples = scaler.apply(&data).unwrap();
    let samples = samples.samples(&["t_u"], &["t_c"]).unwrap();
    let fitted = Fit::new(&Curve::Linear, &samples)
        .run(&mut Sgd::new(0.5))
        .unwrap();
    let line = least_squares(&T_U, &T_C, 1);
    let mean = T_C.iter().map(|y| f64::from(*y)).sum::<f64>() / 11.0;
    let (mut left, mut all) = (0.0, 0.0);
    for (x, y) in T_U.iter().zip(&T_C) {
        left += (f64::from(*y) - line[0] - line[1] * f64::from(*x)).powi(2);
        all += (f64::from(*y) - mean).powi(2);
    }
    let r_squared = fitted.r_squared().unwrap();
    assert!((r_squared - (1.0 - left / all)).abs() < 1e-6, "{r_squared}");
    assert_eq!(fitted.history().r_squared(), Some(r_squared));
    let text = fitted.verdict().to_string();
    assert!(text.starts_with("verdict: good fit\n"), "{text}");
    assert!(text.contains("\n  R² 0.9"), "{text}");
}

/// Returns the °C of a thermistor of 10 kΩ at 25 °C by its B value.
fn thermistor(ohm: f32, b: f64) -> f32 {
    (1.0 / (1.0 / 298.15 + (f64::from(ohm) / 1e4).ln() / b) - 273.15) as f32
}

#[test]
fn curved_residuals_are_no_good_fit() {
    // Resistances in equal steps, in equal ratios, and in equal steps of temperature.
    for (rows, b) in [
        (9, 3950.0),
        (11, 3435.0),
        (16, 4300.0),
        (40, 3950.0),
        (300, 3950.0),
    ] {
        let last = rows as f32 - 1.0;
        let steps = |i: usize| 1500.0 + 58_500.0 * i as f32 / last;
        let ratios = |i: usize| 1500.0 * 40.0_f32.powf(i as f32 / last);
        let [hot, cold] = [1500.0, 60_000.0].map(|ohm| f64::from(thermistor(ohm, b)));
        let degrees = |i: usize| {
            let t = hot + (cold - hot) * i as f64 / f64::from(last) + 273.15;
            (1e4 * (b * (1.0 / t - 1.0 / 298.15)).exp()) as f32
        };
        let choices: [&dyn Fn(usize) -> f32; 3] = [&steps, &ratios, &degrees];
        for (i, ohm) in choices.iter().enumerate() {
            let x: Vec<f32> = (0..rows).map(ohm).collect();
            let y: Vec<f32> = x.iter().map(|x| thermistor(*x, b)).collect();
            let line = judge("linear", [&x, &y], None);
            let curved = matches!(line.verdict, Verdict::Curved | Verdict::Underfitting);
            assert!(curved, "{rows} rows, B {b}, {i}: {line}");
            let text = line.to_string();
            assert!(
                text.contains("smooth curve explains"),
                "{rows} {b} {i}: {text}"
            );
            if line.verdict == Verdict::Curved {
                assert!(text.contains("try a higher degree"), "{text}");
                assert!(text.contains("logarithm"), "{text}");
            }
            // The advice helps, as the B equation is nearly a line in the logarithm.
            let x: Vec<f32> = x.iter().map(|x| x.ln()).collect();
            let better = judge("poly:5", [&x, &y], None);
            assert_eq!(better.verdict, Verdict::GoodFit, "{rows} {b} {i}: {better}");
        }
    }
}

#[test]
fn no_curve_explains_more_than_all_of_the_residuals() {
    // A sensor that saturates has many rows with the same target.
    let mut shares = vec![];
    for (rows, limit) in [(15, 7), (40, 20), (40, 10), (500, 250)] {
        let x: Vec<f32> = (0..rows).map(|i| i as f32 / rows as f32).collect();
        let saturated = (0..rows).map(|i| i.min(limit) as f32 / rows as f32);
        let saturated: Vec<f32> = saturated.collect();
        let dead = (0..rows).map(|i| (i - limit).max(0) as f32 / rows as f32);
        let dead: Vec<f32> = dead.collect();
        for y in [saturated, dead] {
            let judgement = judge("linear", [&x, &y], None);
            let line = judgement
                .evidence
                .iter()
                .find(|line| line.contains("smooth curve"));
            let Some(line) = line else { continue };
            // A negative R² is not printed as `1 - -3.2e-2`.
            assert!(!line.contains("- -"), "{rows} {limit}: {line}");
            shares.push(line.clone());
        }
    }
    assert!(shares.len() >= 6, "{shares:?}");
}

#[test]
fn noise_is_not_called_curved() {
    let mut curved = 0;
    let runs = 300;
    for seed in 0..runs {
        let rows = [6, 8, 11, 20, 40, 90][seed as usize % 6];
        let mut rng = seeded(seed);
        let (mut x, mut noise) = (vec![0.0; rows], vec![0.0; rows]);
        fill_uniform(&mut rng, 0.0, 10.0, &mut x).unwrap();
        fill_normal(&mut rng, 0.0, 1.0, &mut noise).unwrap();
        let (curve, bend) = [("linear", 0.0), ("poly:2", 0.3)][seed as usize / 6 % 2];
        let y = x
            .iter()
            .zip(&noise)
            .map(|(x, e)| 3.0 * x + bend * x * x + e);
        let y: Vec<f32> = y.collect();
        let judgement = judge(curve, [&x, &y], None);
        curved += usize::from(judgement.verdict == Verdict::Curved);
    }
    // At most one in 250 is expected.
    assert!(curved <= 4, "{curved} of {runs}");
}

#[test]
fn residuals_that_go_up_and_down_are_no_good_fit() {
    for (rows, periods) in [(14, 1.0), (30, 1.0), (30, 2.0), (60, 3.0), (200, 5.0)] {
        let x: Vec<f32> = (0..rows).map(|i| i as f32 / (rows - 1) as f32).collect();
        let wave = |x: f32| (std::f32::consts::TAU * periods * x).sin();
        let y: Vec<f32> = x.iter().map(|x| x + 0.1 * wave(*x)).collect();
        let judgement = judge("linear", [&x, &y], None);
        let text = format!("{rows} rows, {periods} periods: {judgement}");
        assert_eq!(judgement.verdict, Verdict::Curved, "{text}");
    }
}

#[test]
fn few_rows_and_repeated_ones_are_not_called_curved() {
    // A line through seven points of a parabola leaves a curve, but noise could do so, too.
    let x: Vec<f32> = (0..7).map(|i| i as f32).collect();
    let y: Vec<f32> = x.iter().map(|x| x + 0.02 * x * x).collect();
    assert_eq!(
        judge("linear", [&x[..6], &y[..6]], None).verdict,
        Verdict::GoodFit
    );
    // Five points that are measured twenty times each count as five.
    let x: Vec<f32> = (0..100).map(|i| (i / 20) as f32).collect();
    let y: Vec<f32> = x.iter().map(|x| x + 0.02 * x * x).collect();
    assert_eq!(judge("linear", [&x, &y], None).verdict, Verdict::GoodFit);
    // A line in whole numbers has steps, which are not a curve.
    for slope in [0.11, 0.237, 0.31, 0.62, 0.8] {
        let x: Vec<f32> = (0..200).map(|i| i as f32).collect();
        let y: Vec<f32> = x.iter().map(|x| (slope * x).round()).collect();
        let judgement = judge("linear", [&x, &y], None);
        assert_eq!(judgement.verdict, Verdict::GoodFit, "{slope}: {judgement}");
    }
}

#[test]
fn curves_along_any_of_several_inputs_are_found() {
    fn plane<'t>(x: Var<'t>, [w, b]: [Var<'t>; 2]) -> Var<'t> {
        x.matmul(w) + b
    }
    let model = train::model(
        [
            Param::new("w", [0.0; 3], [3, 1]),
            Param::new("b", [0.0], [1]),
        ],
        plane,
    );
    let run = |seed: u64, bend: [f32; 2]| {
        let mut rng = seeded(seed);
        let mut columns = [[0.0; 60]; 4];
        for column in &mut columns {
            fill_uniform(&mut rng, -1.0, 1.0, column).unwrap();
        }
        let [a, b, c, noise] = columns;
        let y = |i: usize| {
            let sum = 2.0 * a[i] - b[i] + c[i];
            sum + bend[0] * b[i] * b[i] + bend[1] * sum * sum + 0.1 * noise[i]
        };
        let y: [f32; 60] = std::array::from_fn(y);
        let data = Dataset::new([("a", a), ("b", b), ("c", c), ("y", y)]).unwrap();
        let samples = data.samples(&["a", "b", "c"], &["y"]).unwrap();
        let fit = Fit::new(&model, &samples).epochs(300);
        fit.run(&mut Sgd::new(0.3)).unwrap().verdict()
    };
    for seed in 0..10 {
        let judgement = run(seed, [0.8, 0.0]);
        assert_eq!(judgement.verdict, Verdict::Curved, "{judgement}");
        let text = judgement.to_string();
        assert!(text.contains("along input 1"), "{text}");
        let judgement = run(seed, [0.0, 0.2]);
        assert_eq!(judgement.verdict, Verdict::Curved, "{judgement}");
        let text = judgement.to_string();
        assert!(text.contains("along the prediction"), "{text}");
    }
    let curved = (0..100).filter(|seed| run(*seed, [0.0, 0.0]).verdict != Verdict::GoodFit);
    assert!(curved.count() <= 2);
}

#[test]
fn predictions_that_are_not_targets_have_no_r_squared() {
    // The difference of logits and classes has no meaning.
    fn logistic<'t>(logit: Var<'t>, class: Var<'t>) -> Var<'t> {
        ((logit.exp() + 1.0).ln() - class * logit).mean()
    }
    let data = Dataset::new([("x", [-2.0, -1.0, 0.0, 1.0]), ("y", [0.0, 0.0, 1.0, 1.0])]);
    let samples = data.unwrap().samples(&["x"], &["y"]).unwrap();
    let fitted = Fit::new(&line(0.0, 0.0), &samples)
        .loss(logistic)
        .run(&mut Sgd::new(1.0))
        .unwrap();
    assert_eq!(fitted.r_squared(), None);
    assert_eq!(fitted.verdict().verdict, Verdict::GoodFit);
    // A squared error, written in another way, has residuals.
    fn spelled<'t>(prediction: Var<'t>, target: Var<'t>) -> Var<'t> {
        (prediction - target).square().mean()
    }
    let fit = Fit::new(&Curve::Linear, &samples).loss(spelled).epochs(50);
    assert!(fit.run(&mut Sgd::new(0.1)).unwrap().r_squared().is_some());
}

/// A closure that captures a setting or class weights is a loss with the bits of the same loss as a
/// function.
#[test]
fn losses_that_capture() {
    let samples = parabola(30);
    let run = |fit: Fit<'_, Curve>| {
        let fitted = fit.epochs(20).run(&mut Sgd::new(0.1)).unwrap();
        let losses = fitted.history().epochs();
        let losses: Vec<u32> = losses.iter().map(|e| e.training_loss.to_bits()).collect();
        (fitted.params().to_vec(), losses)
    };
    fn quarter<'t>(prediction: Var<'t>, target: Var<'t>) -> Var<'t> {
        prediction.huber_loss(target, 0.25)
    }
    let fit = || Fit::new(&Curve::Linear, &samples);
    let [one, two] = [0.25, 1.0].map(|delta| run(fit().loss(move |p, y| p.huber_loss(y, delta))));
    assert_eq!(one, run(fit().loss(quarter)));
    assert_ne!(one, two);
    let settings = [0.25];
    assert_eq!(one, run(fit().loss(|p, y| p.huber_loss(y, settings[0]))));
}

/// Three classes on a line are classified correctly, also with class weights, in mini-batches and
/// with validation.
#[test]
fn classes_are_fitted() {
    let xs: Vec<f32> = (0..30).map(|i| i as f32 / 10.0 - 1.5).collect();
    let classes: Vec<f32> = (0..30).map(|i| (i / 10) as f32).collect();
    let data = Dataset::new([("x", xs.clone()), ("class", classes.clone())]).unwrap();
    let samples = data.samples(&["x"], &["class"]).unwrap();
    let classifier = train::model(
        [
            Param::new("w", [0.0; 3], [1, 3]),
            Param::new("b", [0.0; 3], [3]),
        ],
        |x, [w, b]| x.matmul(w) + b,
    );
    let weights = [1.0, 2.0, 1.0];
    for weighted in [false, true] {
        let fit = Fit::new(&classifier, &samples).validation(&samples);
        let fit = fit.epochs(300).batch_size(8).loss(|logits, y| {
            let mut loss = CrossEntropyLoss::new();
            if weighted {
                loss = loss.weight(logits.tape().constant(&weights, [3]));
            }
            loss.of(logits, y.reshape([-1]))
        });
        let fitted = fit.run(&mut Adam::on_heap(0.5, 6)).unwrap();
        let logits = fitted.predict(&classifier, &xs).unwrap();
        let found: Vec<f32> = logits
            .chunks(3)
            .map(|row| {
                let best = (0..3).max_by(|a, b| row[*a].total_cmp(&row[*b]));
                best.unwrap() as f32
            })
            .collect();
        let right = found.iter().zip(&classes).filter(|(a, b)| a == b).count();
        assert!(right >= 29, "{right} of 30, {weighted}");
        assert_eq!(fitted.r_squared(), None);
        // The mean of classes is not a prediction. The verdict compares with ln 3, the first loss.
        assert!(fitted.history().mean_loss().is_nan());
        assert_ne!(fitted.verdict().verdict, Verdict::Underfitting);
    }
}

// ---- calibration -------------------------------------------------------------------

/// Fits a curve to all rows, with the scaling of the curve.
fn calibrate(data: &Dataset, [x, y]: [&str; 2], curve: &str, epochs: u32) -> Calibration {
    let curve: Curve = curve.parse().unwrap();
    let columns = [(x, curve.scaling()), (y, Scaling::Standard)];
    let scaler = Scaler::fit(data, &columns).unwrap();
    let samples = scaler.apply(data).unwrap().samples(&[x], &[y]).unwrap();
    let lr = 1.0 / curve.param_count() as f32;
    let fitted = Fit::new(&curve, &samples)
        .epochs(epochs)
        .run(&mut Sgd::new(lr))
        .unwrap();
    let scales = [x, y].map(|name| scaler.scale(name).unwrap());
    Calibration::new(&curve, &fitted, [x, y], scales, [0.0, 1.0])
}

/// Returns the least-squares coefficients, by Gaussian elimination in `f64`.
fn least_squares(x: &[f32], y: &[f32], degree: usize) -> Vec<f64> {
    // Readings are centred, so that elimination keeps its digits.
    let n = degree + 1;
    let mut rows = vec![vec![0.0; n + 1]; n];
    for (x, y) in x.iter().zip(y) {
        let powers: Vec<f64> = (0..n).map(|k| f64::from(*x).powi(k as i32)).collect();
        for i in 0..n {
            for j in 0..n {
                rows[i][j] += powers[i] * powers[j];
            }
            rows[i][n] += powers[i] * f64::from(*y);
        }
    }
    for i in 0..n {
        let pivot = (i..n)
            .max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs()))
            .unwrap();
        rows.swap(i, pivot);
        for k in 0..n {
            if k != i {
                let factor = rows[k][i] / rows[i][i];
                let from = rows[i].clone();
                rows[k]
                    .iter_mut()
                    .zip(&from)
                    .for_each(|(a, b)| *a -= factor * b);
            }
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

#[test]
fn norris_has_the_certified_coefficients() {
    let file = include_str!("../examples/data/norris.csv");
    let rows = file.lines().filter_map(|line| {
        let (x, y) = line.split_once(',')?;
        Some((x.parse::<f64>().ok()?, y.parse::<f64>().ok()?))
    });
    let (x, y): (Vec<_>, Vec<_>) = rows.unzip();
    let data = Dataset::new([("x", x), ("y", y)]).unwrap();
    assert_eq!(data.rows(), 36);
    #[cfg(feature = "csv")]
    {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/norris.csv");
        assert_eq!(train::read_csv(path, &["x", "y"]).unwrap(), data);
    }
    // The elimination gives NIST's certified coefficients.
    let exact = least_squares(data.column("x").unwrap(), data.column("y").unwrap(), 1);
    let certified = [-0.262323073774029, 1.00211681802045];
    assert!((exact[0] - certified[0]).abs() < 1e-4 && (exact[1] - certified[1]).abs() < 1e-6);

    let calibration = calibrate(&data, ["x", "y"], "linear", 2000);
    let found = calibration.coefficients().unwrap();
    assert!((found[0] - certified[0]).abs() < 5e-4, "{}", found[0]);
    assert!((found[1] - certified[1]).abs() < 5e-7, "{}", found[1]);
    // The difference from the offset and its factor are rounded to `f32`, an error of 6e-6 in terms
    // of up to 1000.
    assert_eq!(calibration.to_string(), "y = -0.2623174 + 1.002117 * x");

    // The residuals grow with the reading and come in groups, but are noise.
    let columns = ["x", "y"].map(|name| data.column(name).unwrap());
    for split in [None, Some(1), Some(2), Some(3)] {
        let judgement = judge("linear", columns, split);
        assert_eq!(judgement.verdict, Verdict::GoodFit, "{judgement}");
    }
}

#[test]
fn coefficients_in_the_units_of_the_data_are_those_of_least_squares() {
    let data = thermometer();
    for (curve, degree) in [("linear", 1), ("poly:1", 1), ("poly:2", 2), ("poly:3", 3)] {
        let calibration = calibrate(&data, ["t_u", "t_c"], curve, 20_000);
        let found = calibration.coefficients().unwrap();
        let exact = least_squares(&T_U, &T_C, degree);
        assert_eq!(found.len(), degree + 1);
        // Coefficients of a cubic nearly cancel, so their curves are compared.
        let at = |c: &[f64], x: f64| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
        let predicted = calibration.predict(&T_U).unwrap();
        for (x, predicted) in T_U.iter().zip(predicted) {
            let (found, exact) = (at(&found, f64::from(*x)), at(&exact, f64::from(*x)));
            assert!(
                (found - exact).abs() < 1e-4,
                "{curve} at {x}: {found} {exact}"
            );
            assert!(
                (found - f64::from(predicted)).abs() < 1e-4,
                "{curve} at {x}: {predicted}"
            );
        }
    }
}

// ---- reports ---------------------------------------------------------------------

#[test]
fn histories_and_parameters_can_be_shown() {
    let (training, _) = book_parts();
    let fitted = Fit::new(&line(1.0, 0.0), &training)
        .epochs(2)
        .run(&mut Sgd::new(1e-2))
        .unwrap();
    assert_eq!(
        fitted.history().to_csv(),
        "epoch,training_loss,validation_loss,learning_rate\n1,90.3475,,0.01\n2,40.743103,,0.01\n"
    );
    #[cfg(feature = "json")]
    {
        let json = fitted.history().to_json();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["epochs"][1]["training_loss"], 40.743103);
        assert_eq!(json["stopped"], "finished");
    }
    assert_eq!(
        fitted.table(),
        "parameter  shape    values\n\
         w          []           2.1537\n\
         b          []           0.1318\n"
    );
}

#[cfg(feature = "plot")]
#[test]
fn pictures_are_drawn() {
    let fitted = book_run(100);
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let history = fitted.history();
    for name in ["losses.svg", "losses.png"] {
        let path = directory.join(name);
        train::plot::losses(&path, "Losses", &[("run", history)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        match name {
            "losses.svg" => {
                let text = String::from_utf8(bytes).unwrap();
                assert!(
                    text.contains("<svg") && text.contains("validation"),
                    "{text}"
                );
            }
            _ => assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5000),
        }
    }
    let error = train::plot::losses(directory.join("losses.bmp"), "", &[("", history)]);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("expected a file that ends in .svg or .png")
    );
}

// ---- searches ---------------------------------------------------------------------

/// A line of five points with a penalty on its slope, solved by hand: x has mean 0 and mean
/// square 2, mean x y is 4.2, mean y is 3; so w = 4.2 / (2 + l2), b = 3.
#[test]
fn a_search_finds_the_minimum_of_loss_and_penalty() {
    let data = Dataset::new([
        ("x", [-2.0, -1.0, 0.0, 1.0, 2.0]),
        ("y", [-1.0, 0.0, 3.0, 7.0, 6.0]),
    ]);
    let samples = data.unwrap().samples(&["x"], &["y"]).unwrap();
    for l2 in [0.0, 0.1, 1.0, 5.0] {
        for l1 in [0.0, 0.5] {
            let mut search = Lbfgs::<2, 4>::new(1.0).strong_wolfe();
            let fitted = Fit::new(&Curve::Linear, &samples)
                .l2(l2)
                .l1(l1)
                .run_search(&mut search)
                .unwrap();
            assert_eq!(fitted.history().stopped(), Stopped::Found);
            // The bias has no penalty; the L1 penalty shifts the slope by half of `l1`.
            let slope = (4.2 - l1 / 2.0) / (2.0 + l2);
            let [w, b] = fitted.params() else { panic!() };
            // The search ends where the loss, an `f32`, no longer changes.
            assert!((w - slope).abs() < 2e-5 * slope, "{w} {slope}");
            assert!((b - 3.0).abs() < 1e-5, "{b}");
        }
    }
}

/// A search that is cut short keeps the best parameters that it has evaluated, not the last ones.
#[test]
fn a_search_that_is_cut_short_keeps_its_best() {
    let x: Vec<f32> = (0..30).map(|i| i as f32 / 14.5 - 1.0).collect();
    let y: Vec<f32> = x.iter().map(|x| 5.0 * (4.0 * x).sin()).collect();
    let data = Dataset::new([("x", x), ("y", y)]).unwrap();
    let samples = data.samples(&["x"], &["y"]).unwrap();
    let curve: Curve = "mlp:5".parse().unwrap();
    let mut tried_worse = 0;
    for epochs in 1..60 {
        for strong_wolfe in [false, true] {
            let search = Lbfgs::<16, 8>::new(1.0);
            let mut search = if strong_wolfe {
                search.strong_wolfe()
            } else {
                search
            };
            let fitted = Fit::new(&curve, &samples)
                .epochs(epochs)
                .run_search(&mut search)
                .unwrap();
            let history = fitted.history();
            let seen = history.epochs().iter().map(|epoch| epoch.training_loss);
            let least = seen.fold(f32::INFINITY, f32::min);
            assert!(history.training_loss() <= least, "{epochs}: {least}");
            tried_worse += u32::from(history.training_loss() == least);
        }
    }
    assert!(tried_worse > 5, "{tried_worse}");
}

/// Early stopping by the validation loss works for a search, too.
#[test]
fn a_search_stops_early_by_its_validation_loss() {
    let x: Vec<f32> = (0..24).map(|i| i as f32 / 11.5 - 1.0).collect();
    let noise = |i: usize| ((i * 7) % 5) as f32 / 5.0 - 0.4;
    let y: Vec<f32> = x
        .iter()
        .enumerate()
        .map(|(i, x)| 2.0 * x + noise(i))
        .collect();
    let data = Dataset::new([("x", x), ("y", y)]).unwrap();
    let (training, validation) = data.split(0.4, 3).unwrap();
    let samples = |part: &Dataset| part.samples(&["x"], &["y"]).unwrap();
    let (training, validation) = (samples(&training), samples(&validation));
    let curve: Curve = "mlp:8".parse().unwrap();
    let fitted = Fit::new(&curve, &training)
        .validation(&validation)
        .early_stopping(EarlyStopping::new(10))
        .run_search(&mut Lbfgs::<25, 10>::new(1.0).strong_wolfe())
        .unwrap();
    let history = fitted.history();
    assert_eq!(history.stopped(), Stopped::Early);
    assert_eq!(history.restored_epoch(), Some(history.best().epoch));
    assert_eq!(history.validation_loss(), history.best().validation_loss);
}

/// A search needs one fixed loss function, so mini-batches, noise and changed gradients are
/// refused.
#[test]
fn searches_refuse_losses_that_change_and_gradients_that_are_not_theirs() {
    let (training, _) = book_parts();
    let model = line(1.0, 0.0);
    let with = |change: &dyn Fn(Fit<'_, Line>) -> String| change(Fit::new(&model, &training));
    let run = |fit: Fit<'_, Line>| {
        let error = fit.run_search(&mut Lbfgs::<2, 4>::new(1.0)).unwrap_err();
        error.to_string()
    };
    for (found, expected) in [
        (
            with(&|fit| run(fit.batch_size(4))),
            "expected all samples in one batch for a search, found 4",
        ),
        (
            with(&|fit| run(fit.noise(0.5))),
            "expected no noise of inputs for a search, found 0.5",
        ),
        (
            with(&|fit| run(fit.clip(Clip::Norm(0.5)))),
            "expected no clipping bound for a search, found 0.5",
        ),
        (
            with(&|fit| run(fit.learning_rate(0.1))),
            "expected 0 schedules of the learning rate for a search, found 1",
        ),
        (
            with(&|fit| run(fit.epochs(0))),
            "expected epochs >= 1, found 0",
        ),
    ] {
        assert_eq!(found, expected);
    }
}
