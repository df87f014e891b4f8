//! Tests of every command and every error, by the text at the terminal.

mod host;

use baregrad::calibrate::{
    Calibration, Curve, CurveSolver, Differences, FORMULAS, Input, Multivariate, Origin, Scale,
    Tracker, Tracking, TwoFloat, prepare, range,
};
use baregrad::least_squares::Solution;
use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::{Arena, calibrate};
use calibrator::store::{Store, StoreError};
use calibrator::{Board, Damaged, Kept, MAX_BYTES, MAX_LINE, MAX_PARAMS, Memory};
use embedded_storage::nor_flash::NorFlash;
use host::{
    HostBoard, HostMemory, NO_COMMANDS, NO_LINES, PAGES, SAMPLES, SmallFlash, Terminal, fitted,
};

/// Runs a test with a calibrator that has just started, on an empty flash.
fn with_terminal(test: impl FnOnce(&mut Terminal<'_>)) {
    with_flash(HostBoard::new().flash, |t| {
        t.greeting();
        test(t);
    });
}

/// Runs a test with a calibrator that starts with this flash, and returns the flash.
fn with_flash(flash: SmallFlash, test: impl FnOnce(&mut Terminal<'_>)) -> SmallFlash {
    let mut board = HostBoard::new();
    board.flash = flash;
    let mut memory = HostMemory::new();
    let mut terminal = Terminal::new(board, &mut memory);
    test(&mut terminal);
    terminal.board().flash.clone()
}

/// Returns everything that commands can change, by the answers to `status` and `list`.
fn state(t: &mut Terminal<'_>) -> String {
    t.line("status") + &t.line("list")
}

fn last_line(answer: &str) -> &str {
    answer.lines().last().unwrap_or_default()
}

/// Returns the last number behind `name=`, and its bits.
fn number(answer: &str, name: &str) -> (f32, u32) {
    let words = answer.split_whitespace();
    let mut values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let (decimal, bits) = values.next_back().unwrap().split_once(':').unwrap();
    let (decimal, bits) = (
        decimal.parse().unwrap(),
        u32::from_str_radix(bits, 16).unwrap(),
    );
    assert_eq!(f32::to_bits(decimal), bits, "{name}");
    (decimal, bits)
}

/// Returns the library's result for a reading, in the text of the board.
fn predicted(kept: &Kept, reading: &str) -> String {
    let mut params = [0.0; MAX_PARAMS];
    let calibration = kept.read(&mut params).unwrap();
    let mut arena = Arena::<256, 16>::new();
    let found = calibration.predict(&arena.tape(), reading.parse().unwrap());
    let value = found.unwrap().value.high();
    format!("ok {value:?}:{:08x}\n", value.to_bits())
}

// ---- commands --------------------------------------------------------------

#[test]
fn it_greets() {
    with_flash(SmallFlash::erased(PAGES), |t| {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            t.greeting(),
            format!(
                "baregrad calibrator {version} on host, try help\nstored none\n\
                 a reset keeps what was saved; samples, model, optimizer and schedule are lost\nok\n"
            )
        );
    });
}

#[test]
fn help_lists_every_command() {
    with_terminal(|t| {
        let help = t.line("help");
        assert_eq!(last_line(&help), "ok");
        for name in [
            "help",
            "add",
            "sample",
            "list",
            "remove",
            "clear",
            "model",
            "method",
            "optimizer",
            "schedule",
            "fit",
            "read",
            "track",
            "save",
            "load",
            "erase",
            "get",
            "put",
            "status",
            "bench",
        ] {
            assert!(
                help.lines()
                    .any(|line| line.split(' ').next() == Some(name)),
                "{name}"
            );
            assert_ne!(
                t.line(name),
                "error: expected a command, help lists them\n",
                "{name}"
            );
        }
        assert_eq!(help.lines().count(), 22);
    });
}

#[test]
fn samples_are_added_listed_and_cleared() {
    with_terminal(|t| {
        assert_eq!(t.line("list"), "ok 0\n");
        assert_eq!(t.line("add 35.7 0.5"), "ok 1\n");
        assert_eq!(t.line("  add\t-1e-3   +28 "), "ok 2\n");
        assert_eq!(t.line("list"), "1 35.7 0.5\n2 -0.001 28.0\nok 2\n");
        assert_eq!(t.line("clear"), "ok 0\n");
        assert_eq!(t.line("list"), "ok 0\n");
    });
}

#[test]
fn lines_end_as_terminals_end_them() {
    with_terminal(|t| {
        assert_eq!(
            t.bytes(b"add 1 2\r\nadd 3 4\radd 5 6\n"),
            "ok 1\nok 2\nok 3\n"
        );
        assert_eq!(t.bytes(b"\r\n\n  \n"), "");
        // Backspace and delete.
        assert_eq!(t.bytes(b"ax\x08dd 7 9\x7f8\n"), "ok 4\n");
        assert_eq!(t.bytes(b"\x08\x7fclear\n"), "ok 0\n");
    });
}

#[test]
fn it_fits_the_thermometer() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("method descent");
        let answer = t.line("fit 200");
        assert_eq!(
            answer
                .lines()
                .filter(|line| line.starts_with("epoch "))
                .count(),
            10
        );
        assert!(answer.contains("\nepoch 200 loss="));
        assert_eq!(last_line(&answer), "ok");
        // The least-squares solution, which the book's 5000 epochs approach.
        let near = |name, expected: f32, error: f32| {
            let (found, _) = number(&answer, name);
            assert!((found - expected).abs() < error, "{name} {found}");
        };
        near("loss", 2.927_644_6, 2e-6);
        near("w", 0.536_771_6, 1e-6);
        near("b", -17.304_78, 1e-5);
        // The calibration is in use, and gives w · 55.9 + b.
        let read = t.line("read 55.9");
        let (value, bits) = read
            .strip_prefix("ok ")
            .unwrap()
            .trim()
            .split_once(':')
            .unwrap();
        assert!(
            (value.parse::<f32>().unwrap() - 12.700_753).abs() < 1e-4,
            "{read}"
        );
        assert_eq!(
            format!("{:08x}", value.parse::<f32>().unwrap().to_bits()),
            bits
        );
    });
}

/// The same calls on the desktop give the same bits.
#[test]
fn a_fit_is_that_of_the_library() {
    for (model, method) in [
        ("linear", "sgd 0.1"),
        ("poly:2", "sgd 0.05"),
        ("poly:3", "adam 0.02"),
        ("poly:9", "adam 0.02"),
        ("mlp:1", "adam 0.01"),
        ("mlp:8", "adam 0.01"),
    ] {
        with_terminal(|t| {
            t.add_thermometer();
            assert_eq!(t.line(&format!("model {model}")), format!("ok {model}\n"));
            assert!(
                t.line(&format!("optimizer {method}"))
                    .starts_with(&format!("ok {method}:"))
            );
            let answer = t.line("fit 50");
            let (kind, lr) = method.split_once(' ').unwrap();
            let lr = lr.parse().unwrap();
            let optimizer: &mut dyn Optimizer = match kind {
                "sgd" => &mut Sgd::new(lr),
                _ => &mut Adam::<30>::new(lr),
            };
            let expected = fitted(Curve::parse(model).unwrap(), 50, |fit| fit.poll(optimizer));
            let mut params = [0.0; MAX_PARAMS];
            let loss = expected.read(&mut params).unwrap().origin.loss;
            assert_eq!(number(&answer, "loss").1, loss.to_bits());
            let crc = format!(" crc={:08x}\n", expected.checksum());
            assert!(answer.contains(&crc), "{answer}");
            for reading in ["40", "21.8", "81.9"] {
                let expected = predicted(&expected, reading);
                assert_eq!(t.line(&format!("read {reading}")), expected);
            }
        });
    }
}

#[test]
fn every_model_is_better_than_the_one_before() {
    with_terminal(|t| {
        t.add_thermometer();
        assert_eq!(t.line("optimizer adam 0.05"), "ok adam 0.05:3d4ccccd\n");
        let mut last = f32::INFINITY;
        for (model, names) in [
            ("linear", ["w", "b"].as_slice()),
            ("poly2", &["w1", "w2", "b"]),
            ("poly 3", &["w1", "w2", "w3", "b"]),
            ("mlp 8", &[]),
        ] {
            t.line(&format!("model {model}"));
            let answer = t.line("fit 2000");
            let (loss, _) = number(&answer, "loss");
            assert!(loss < last, "{model}: {loss}");
            last = loss;
            // The coefficients of a polynomial are in the units of readings and references.
            if names.is_empty() {
                continue;
            }
            let read: f32 = t.line("read 50")[3..]
                .split(':')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let (weights, bias) = (&names[..names.len() - 1], number(&answer, "b").0);
            let terms = weights
                .iter()
                .zip(1..)
                .map(|(name, power)| number(&answer, name).0 * 50_f32.powi(power));
            let value = bias + terms.sum::<f32>();
            assert!((value - read).abs() < 1e-3, "{model}: {value} {read}");
        }
    });
}

#[test]
fn epochs_have_a_default_and_progress_is_told_ten_times() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("method descent");
        assert!(t.line("fit").contains(" epochs=500 "));
        let told = |answer: &str| {
            let lines = answer
                .lines()
                .filter_map(|line| line.strip_prefix("epoch "));
            lines
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&t.line("fit 1")), ["1"]);
        assert_eq!(
            told(&t.line("fit 25")),
            ["3", "6", "9", "12", "15", "18", "21", "24", "25"]
        );
    });
}

/// Returns the library's fit of samples by least squares, with the calls that the board makes, but
/// a solver for just `P` parameters.
fn solved<const P: usize>(name: &str, samples: &[[&str; 2]]) -> (Kept, Solution<P>) {
    let curve = Curve::parse_with(name, &FORMULAS).unwrap();
    let n = samples.len();
    let mut memory = vec![vec![0.0; n]; 4];
    let [readings, references, x, y] = &mut memory[..] else {
        unreachable!()
    };
    let (mut readings, mut references) = (Differences::new(readings), Differences::new(references));
    for [reading, reference] in samples {
        readings.push(reading.parse().unwrap()).unwrap();
        references.push(reference.parse().unwrap()).unwrap();
    }
    let [input, output] = prepare(&curve, readings.iter(), references.iter(), x, y).unwrap();
    assert_eq!(curve.param_count(), P);
    let data = calibrate::Samples { x, y };
    let mut solver = CurveSolver::<P>::new(&curve, data).unwrap();
    let solution = solver.solution();
    let kept = Kept::write(&Calibration {
        curve,
        input,
        output,
        range: range(readings.iter()).unwrap(),
        params: &solution.params(),
        origin: Origin {
            samples: n as u32,
            epochs: solver.passes(),
            loss: output.invert_square(solver.loss(&solution)),
        },
    });
    (kept.unwrap(), solution)
}

/// A thermistor of 10 kΩ at 25 °C, from its data sheet: ohms, and °C.
const THERMISTOR: [[&str; 2]; 8] = [
    ["32650", "0"],
    ["19900", "10"],
    ["12490", "20"],
    ["10000", "25"],
    ["8057", "30"],
    ["5327", "40"],
    ["3603", "50"],
    ["2488", "60"],
];

/// The bits do not depend on the solver's room for parameters, which differs here.
#[test]
fn a_fit_by_least_squares_is_that_of_the_library() {
    fn check<const P: usize>(model: &str, samples: &[[&str; 2]]) {
        with_terminal(|t| {
            for [reading, reference] in samples {
                t.line(&format!("add {reading} {reference}"));
            }
            assert_eq!(t.line(&format!("model {model}")), format!("ok {model}\n"));
            assert!(t.line("status").contains("\nmethod lm\n"));
            let answer = t.line("fit");
            assert_eq!(last_line(&answer), "ok", "{answer}");
            assert!(answer.ends_with("\nconverged\nok\n"), "{model}: {answer}");
            let (expected, solution) = solved::<P>(model, samples);
            let crc = format!(" crc={:08x}\n", expected.checksum());
            assert!(answer.contains(&crc), "{answer}");
            let freedom = format!(" with {} degrees of freedom\n", samples.len() - P);
            assert!(answer.contains(&freedom), "{answer}");
            let mut params = [0.0; 30];
            let calibration = Calibration::read_with(expected.bytes(), &mut params, &FORMULAS);
            let calibration = calibration.unwrap();
            let sigma = solution.residual_standard_deviation() / calibration.output.factor;
            assert_eq!(number(&answer, "sigma").1, sigma.to_bits());
            let scaled = calibration.coefficients().is_none();
            let errors = calibration.standard_errors(&solution, scaled).unwrap();
            for error in &errors[..P] {
                let bits = format!(":{:08x}", error.to_bits());
                assert!(answer.contains(&bits), "{error}: {answer}");
            }
        });
    }
    let thermometer: Vec<String> = host::add_thermometer().collect();
    let thermometer: Vec<[&str; 2]> = thermometer
        .iter()
        .map(|line| {
            let mut words = line.split(' ').skip(1);
            [words.next().unwrap(), words.next().unwrap()]
        })
        .collect();
    check::<2>("linear", &thermometer);
    check::<3>("poly:2", &thermometer);
    check::<4>("poly:3", &thermometer);
    check::<5>("poly:4", &thermometer);
    check::<8>("poly:7", &thermometer);
    check::<3>("steinhart-hart", &THERMISTOR);
    let bent = [
        ["0", "3.1"],
        ["1", "2.2"],
        ["2", "1.7"],
        ["3", "1.45"],
        ["4", "1.2"],
        ["6", "1.1"],
    ];
    check::<3>("exp", &bent);
    let power = [["1", "3"], ["2", "4.3"], ["4", "6.1"], ["8", "8.4"]];
    check::<2>("power", &power);
    let grown = [
        ["0", "0.1"],
        ["1", "0.6"],
        ["2", "2.6"],
        ["3", "7.3"],
        ["4", "9.5"],
        ["6", "10.05"],
    ];
    check::<3>("logistic", &grown);
}

/// The formulas of a textbook in `f64`: `s² = SSR / 9`, errors `s / √Sxx` and
/// `s √(1/11 + x̄² / Sxx)`.
#[test]
fn least_squares_is_the_default_and_says_how_sure_it_is() {
    with_terminal(|t| {
        t.add_thermometer();
        let answer = t.line("fit");
        let samples: Vec<[f64; 2]> = host::add_thermometer()
            .map(|line| {
                let mut words = line.split(' ').skip(1).map(|word| word.parse().unwrap());
                [words.next().unwrap(), words.next().unwrap()]
            })
            .collect();
        let n = samples.len() as f64;
        let sum = |f: &dyn Fn(f64, f64) -> f64| samples.iter().map(|[x, y]| f(*x, *y)).sum::<f64>();
        let (mx, my) = (sum(&|x, _| x) / n, sum(&|_, y| y) / n);
        let xx = sum(&|x, _| (x - mx).powi(2));
        let w = sum(&|x, y| (x - mx) * (y - my)) / xx;
        let b = my - w * mx;
        let squares = sum(&|x, y| (y - w * x - b).powi(2));
        let s = (squares / (n - 2.0)).sqrt();
        let near = |found: f32, expected: f64| {
            let off = (f64::from(found) / expected - 1.0).abs();
            assert!(off < 2e-6, "{found} {expected} {answer}");
        };
        near(number(&answer, "w").0, w);
        near(number(&answer, "b").0, b);
        near(number(&answer, "loss").0, squares / n);
        near(number(&answer, "sigma").0, s);
        let error = |name: &str| -> f32 {
            let mut words = answer.split_whitespace();
            let text = words.find_map(|word| word.strip_prefix(name)?.strip_prefix("+-"));
            text.unwrap().split(':').next().unwrap().parse().unwrap()
        };
        near(error("w"), s / xx.sqrt());
        near(error("b"), s * (1.0 / n + mx * mx / xx).sqrt());
        assert!(answer.ends_with("\nconverged\nok\n"), "{answer}");
        // Two samples leave no degree of freedom.
        t.line("clear");
        t.line("add 1 2");
        t.line("add 3 8");
        let answer = t.line("fit");
        let none = "\nno standard errors: as many samples as the model has coefficients\n";
        assert!(answer.contains(none), "{answer}");
        assert!(
            answer.ends_with("\nexact, but for rounding\nok\n"),
            "{answer}"
        );
    });
}

#[test]
fn methods_are_for_models_that_they_fit() {
    with_terminal(|t| {
        t.add_thermometer();
        assert_eq!(t.line("method lm"), "ok lm\n");
        t.line("model mlp 3");
        let unsolved = "expected a line, a polynomial or a function of at most 13 parameters for \
                        lm, mlp:3 takes method descent";
        assert_eq!(t.line("fit"), format!("error: {unsolved}\n"));
        let status = t.line("status");
        assert!(
            status.contains(&format!("\nmethod of no use: {unsolved}\n")),
            "{status}"
        );
        assert_eq!(t.line("method descent"), "ok descent\n");
        assert_eq!(last_line(&t.line("fit 5")), "ok");
        t.line("model exp");
        let undescended = "error: expected method lm, which exp is fitted by\n";
        assert_eq!(t.line("fit"), undescended);
        // Choosing an optimizer chooses descent.
        t.line("method lm");
        t.line("model linear");
        t.line("optimizer sgd 0.1");
        assert!(t.line("status").contains("\nmethod descent\n"));
    });
    // By default a network is fitted by gradient descent.
    with_terminal(|t| {
        t.line("model mlp 3");
        assert!(t.line("status").contains("\nmethod descent\n"));
        t.line("model poly 12");
        assert!(t.line("status").contains("\nmethod lm\n"));
    });
}

#[test]
fn least_squares_says_what_it_cannot_fit_and_changes_nothing() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        for (model, samples, expected) in [
            (
                "power",
                [["1", "1"], ["2", "3"], ["-3", "4"], ["4", "5"]],
                "expected readings that power has finite results for, sample 3 has none",
            ),
            (
                "steinhart-hart",
                [["0", "1"], ["2000", "30"], ["3000", "20"], ["4000", "15"]],
                "expected readings that steinhart-hart has finite results for, sample 1 has none",
            ),
        ] {
            t.line("clear");
            t.line(&format!("model {model}"));
            for [reading, reference] in samples {
                t.line(&format!("add {reading} {reference}"));
            }
            let before = t.line("status") + &t.line("read 40");
            assert_eq!(t.line("fit"), format!("error: {expected}\n"));
            assert_eq!(t.line("status") + &t.line("read 40"), before);
        }
        // Ctrl-C comes in after the first pass.
        t.line("model linear");
        let before = state(t);
        comes(t, 0, b"\x03");
        let stopped = "error: stopped after 1 epochs as asked: all is as it was before the fit\n";
        assert_eq!(t.line("fit"), stopped);
        assert_eq!(state(t), before);
        // The fit reports that the limit of passes ended it.
        let answer = t.line("fit 1");
        let told = "\nnot converged: as many passes as were allowed\nok\n";
        assert!(answer.ends_with(told), "{answer}");
    });
}

/// A Steinhart–Hart curve is close to the data sheet, saved, loaded, and taken to another board.
#[test]
fn a_thermistor_is_fitted_saved_and_carried() {
    let mut read = String::new();
    let mut lines = Vec::new();
    let flash = with_flash(SmallFlash::erased(PAGES), |t| {
        for [ohms, celsius] in THERMISTOR {
            t.line(&format!("add {ohms} {celsius}"));
        }
        t.line("model steinhart-hart");
        let answer = t.line("fit");
        for name in ["a", "b", "c"] {
            assert!(number(&answer, name).0 > 0.0, "{answer}");
            assert!(answer.contains(&format!(" {name}+-")), "{answer}");
        }
        for [ohms, celsius] in THERMISTOR {
            let found = value(&t.line(&format!("read {ohms}")));
            let celsius: f64 = celsius.parse().unwrap();
            assert!((found - celsius).abs() < 0.05, "{ohms}: {found}");
        }
        read = t.line("read 7000");
        assert!(t.line("save").starts_with("ok crc="));
        lines = get(t).0;
    });
    with_flash(flash, |t| {
        assert!(t.greeting().contains("\nstored steinhart-hart crc="));
        assert_eq!(t.line("read 7000"), read);
    });
    with_terminal(|t| {
        for line in &lines {
            assert!(t.line(line).starts_with("ok "));
        }
        assert_eq!(t.line("read 7000"), read);
        assert!(
            t.line("status")
                .contains("\ncalibration put steinhart-hart crc=")
        );
    });
}

/// Returns the record of the calibration in use.
fn record(t: &mut Terminal<'_>) -> Kept {
    let mut bytes = Vec::new();
    for line in t.line("get").lines() {
        if let Some(rest) = line.strip_prefix("put ") {
            let hex = rest.split(' ').nth(1).unwrap();
            let digits = hex.as_bytes().chunks(2);
            bytes.extend(
                digits.map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()),
            );
        }
    }
    Kept::of(&bytes).unwrap()
}

/// Returns sample `i` of a thermometer whose references drift by 0.05 a sample, with every 16th an
/// outlier.
fn drifting(i: usize) -> (f32, f32) {
    let x = 22.0 + (i * 7 % 60) as f32;
    let y = 0.5367 * x - 17.3 + 0.05 * i as f32 + (i * i % 5) as f32 * 0.5 - 1.0;
    (x, if i % 16 == 15 { y - 60.0 } else { y })
}

/// Lines, polynomials and functions follow samples with the bits of the library's tracker.
#[test]
fn a_drifting_sensor_is_followed() {
    for (model, on) in [
        ("linear", "track on 0.9 2"),
        ("linear", "track on"),
        ("poly:3", "track on 0.9"),
        ("exp", "track on 0.9 3"),
    ] {
        with_terminal(|t| {
            t.add_thermometer();
            t.line(&format!("model {model}"));
            t.line("fit");
            let samples = t.line("list").lines().count();
            let mut kept = record(t);
            let mut options = Tracking::default();
            let words: Vec<&str> = on.split(' ').collect();
            if let Some(forgetting) = words.get(2) {
                options.forgetting = forgetting.parse().unwrap();
            }
            options.sigma = words.get(3).map(|sigma| sigma.parse().unwrap());
            let mut memory = [0.0; Tracker::floats(4)];
            let mut params = [0.0; MAX_PARAMS];
            let calibration = kept.read(&mut params).unwrap();
            let mut differences = [0.0; 11];
            let mut readings = Differences::new(&mut differences);
            for (x, _) in host::THERMOMETER {
                readings.push(number_of(x)).unwrap();
            }
            let at = |i: usize| readings.get(i);
            Tracker::begin::<4>(&mut memory, &calibration, options, at).unwrap();

            assert_eq!(t.line("track"), "ok not tracking\n");
            let begun = t.line(on);
            assert!(
                begun.starts_with("ok tracking, samples 0 left out 0 "),
                "{begun}"
            );
            let mut left_out = 0;
            for i in 0..100 {
                let (x, y) = drifting(i);
                let answer = t.line(&format!("add {x} {y}"));
                let mut params = [0.0; MAX_PARAMS];
                let mut calibration = kept.read(&mut params).unwrap();
                let count = calibration.params.len();
                let mut tracker = Tracker::resume(&mut memory, count).unwrap();
                match tracker.observe::<4>(&calibration, number_of(x), number_of(y)) {
                    Ok(tracked) => {
                        let off = format!("off={:?}:{:08x}", tracked.off, tracked.off.to_bits());
                        let n = i + 1 - left_out;
                        assert_eq!(answer, format!("ok {n} tracked, {off}\n"));
                        calibration.params = &tracked.params[..count];
                        let [low, high] = calibration.range;
                        let range = range([low, high, number_of(x)].into_iter());
                        calibration.range = range.unwrap();
                        kept = Kept::write(&calibration).unwrap();
                    }
                    Err(error) => {
                        left_out += 1;
                        assert_eq!(answer, format!("error: {error}\n"));
                    }
                }
                assert_eq!(record(t), kept, "{model} {i}");
            }
            assert_eq!(left_out, 6, "{model}");
            // The references have drifted by 5.
            let found = value(&t.line("read 50"));
            assert!(
                (found - (0.5367 * 50.0 - 17.3 + 5.0)).abs() < 1.5,
                "{model} {found}"
            );
            let state = t.line("track");
            let expected = "ok tracking, samples 94 left out 6 forgetting=0.9";
            assert!(state.starts_with(expected), "{state}");
            assert!(t.line("status").contains("\ncalibration tracking "));
            let saved = t.line("save");
            assert_eq!(t.line("track off"), "ok not tracking\n");
            assert_eq!(t.line("add 50 1"), format!("ok {samples}\n"));
            assert!(t.line("status").contains("\ncalibration tracked "));
            assert_eq!(t.line("load"), saved);
            assert_eq!(record(t), kept);
            // Tracking can also start from a calibration that was loaded.
            assert!(t.line("track on").starts_with("ok tracking, samples 0 "));
        });
    }
}

#[test]
fn a_jump_is_believed_at_the_fifth_sample() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        t.line("track on");
        for i in 0..5 {
            let (x, y) = drifting(3 * i);
            let answer = t.line(&format!("add {x} {}", y + 500.0));
            match i {
                4 => assert!(
                    answer.ends_with(", taken as a jump of the sensor\n"),
                    "{answer}"
                ),
                _ => assert!(
                    answer.starts_with("error: expected a sample in the gate, found it off by ")
                        && answer.ends_with(&format!(": left out, {} in a row\n", i + 1)),
                    "{answer}"
                ),
            }
        }
        for i in 10..16 {
            let (x, y) = drifting(i);
            t.line(&format!("add {x} {}", y + 500.0));
        }
        assert!((value(&t.line("read 50")) - 509.7).abs() < 2.0);
    });
}

/// Commands that would overwrite the tracker's state or the calibration are refused until
/// `track off`, and wrong lines change nothing.
#[test]
fn tracking_excludes_what_would_disturb_it() {
    with_terminal(|t| {
        assert_eq!(
            t.line("track on"),
            "error: expected a calibration: fit, load or put one first\n"
        );
        assert_eq!(t.line("track off"), "error: expected track on first\n");
        t.add_thermometer();
        t.line("fit");
        t.line("save");
        let before = state(t) + &t.line("track");
        for (line, expected) in [
            (
                "track maybe",
                "expected track [on [forgetting] [sigma]|off]",
            ),
            ("track off", "expected track on first"),
            ("track on x", "expected a finite number as <forgetting>"),
            ("track on 0.9 x", "expected a finite number as <sigma>"),
            (
                "track on 0.5",
                "forgetting factor: expected more than 0.5, at most 1, found 0.5",
            ),
            (
                "track on 0.9 0",
                "standard deviation of a reading: expected more than 0, and a square that is \
                 neither 0 nor infinite, found 0.0",
            ),
        ] {
            assert_eq!(t.line(line), format!("error: {expected}\n"));
        }
        assert_eq!(state(t) + &t.line("track"), before);
        let lines = t.line("get");
        t.line("track on");
        t.line("add 50 9");
        let before = state(t) + &t.line("track");
        let put = lines.lines().next().unwrap();
        for line in ["fit", "bench", "load", "clear", "track on", put] {
            let expected = "error: expected track off first, samples are tracked\n";
            assert_eq!(t.line(line), expected, "{line}");
        }
        assert_eq!(
            t.line("add 1e30 nan"),
            "error: expected a finite number as <reference>\n"
        );
        assert_eq!(state(t) + &t.line("track"), before);
        t.line("track off");
        t.line("model mlp:2");
        t.line("fit");
        assert_eq!(
            t.line("track on"),
            "error: expected a line, a polynomial or a function of at most 7 parameters to track, \
             mlp:2 has 7\n"
        );
        t.line("method lm");
        t.line("model poly:7");
        t.line("fit");
        assert_eq!(
            t.line("track on"),
            "error: expected a line, a polynomial or a function of at most 7 parameters to track, \
             poly:7 has 8\n"
        );
        t.line("model poly:6");
        t.line("fit");
        assert!(t.line("track on").starts_with("ok tracking"));
    });
}

/// Parses the shortest decimal text of a number, like one from the serial line.
fn number_of(x: f32) -> TwoFloat {
    x.to_string().parse().unwrap()
}

#[test]
fn the_board_reads_its_own_sensor() {
    with_terminal(|t| {
        assert_eq!(
            t.line("sample 21.5"),
            "error: expected a sensor that answers, there is none here\n"
        );
        t.board().sensor = Some(903.0);
        assert_eq!(t.line("sample 21.5"), "ok 1\n");
        assert_eq!(t.line("list"), "1 903.0 21.5\nok 1\n");
    });
}

#[test]
fn status_tells_all_there_is() {
    with_terminal(|t| {
        assert_eq!(
            t.line("status"),
            "board host\nboots 1\nsamples 0 of 48\nmodel linear\nmethod lm\noptimizer sgd 0.1:3dcccccd\nschedule off\n\
             calibration none\nstored none\narena of 196 floats\nok\n"
        );
        t.add_thermometer();
        t.line("model mlp 8");
        t.line("fit 10");
        t.line("save");
        let status = t.line("status");
        for line in ["samples 11 of 48", "model mlp:8"] {
            assert!(status.contains(line), "{status}");
        }
        let crc = status
            .split("calibration fitted mlp:8 crc=")
            .nth(1)
            .unwrap();
        let crc = crc.lines().next().unwrap();
        assert!(
            status.contains(&format!("\nstored mlp:8 crc={crc}\n")),
            "{status}"
        );
        assert!(status.contains(" of 196 floats, "), "{status}");
    });
}

#[test]
fn bench_counts_an_epoch() {
    with_terminal(|t| {
        t.add_thermometer();
        let before = state(t);
        // Each reading of this board's clock adds 1000, so ten epochs and the last pass take 1000.
        assert_eq!(t.line("bench"), "ok 90 looks per epoch\n");
        assert_eq!(state(t), before);
    });
}

/// Returns the number between `ok ` and its bits.
fn value(answer: &str) -> f64 {
    let text = answer.strip_prefix("ok ").unwrap();
    text.split(':').next().unwrap().parse().unwrap()
}

/// Readings that need more digits than `f32` has (averages of 24-bit converters, pressures in Pa,
/// seconds since 1970) are fitted by a line to the accuracy of `f32` differences.
#[test]
fn readings_beyond_f32_are_fitted_and_printed_so_that_they_can_be_used() {
    for (first, step, slope, start) in [
        ("8388607.25", 1.75, 0.125, 2500.0),
        ("101325.07", 0.11, 3.0, 20.0),
        ("1764410400.5", 0.25, 2.0, -7.0),
        ("16777217", 1.0, -4.0, 0.5),
    ] {
        with_terminal(|t| {
            let origin: f64 = first.parse().unwrap();
            let sample = |i: i32| {
                let off = step * f64::from(i * i % 23);
                (format!("{:.6}", origin + off), start + slope * off)
            };
            for i in 0..12 {
                let (reading, reference) = sample(i);
                t.line(&format!("add {reading} {reference}"));
            }
            // Readings are listed with the digits that were typed.
            assert!(t.line("list").starts_with(&format!("1 {first}")));
            let answer = t.line("fit 300");
            assert!(answer.ends_with("\nconverged\nok\n"), "{answer}");
            // Coefficients of the unscaled reading would have no accurate digit.
            assert!(!answer.contains(" w="), "{answer}");
            let scaled = answer
                .lines()
                .find(|line| line.starts_with("scaled "))
                .unwrap();
            let word = |name: &str| {
                let mut words = scaled.split(' ').filter_map(|word| word.split_once('='));
                let (_, text) = words.find(|(found, _)| *found == name).unwrap();
                text.split(':').next().unwrap().parse::<f64>().unwrap()
            };
            for i in 0..12 {
                let (reading, reference) = sample(i);
                let read = value(&t.line(&format!("read {reading}")));
                let spread = word("c1").abs();
                assert!(
                    (read - reference).abs() < 1e-5 * spread,
                    "{reading}: {read}"
                );
                let x: f64 = reading.parse().unwrap();
                let z = (x - word("mean")) / word("deviation");
                let by_hand = word("c0") + word("c1") * z;
                assert!(
                    (by_hand - reference).abs() < 1e-5 * spread,
                    "{reading}: {by_hand} {answer}"
                );
            }
        });
    }
}

/// A fit reports readings whose differences two `f32` do not hold.
#[test]
fn digits_that_are_lost_are_told() {
    with_terminal(|t| {
        for i in 0..5 {
            t.line(&format!("add 17644104300{i}.00 {i}"));
        }
        let answer = t.line("fit");
        assert!(!answer.contains("lose digits"), "{answer}");
        t.line("clear");
        for i in 0..5 {
            t.line(&format!("add 17644104300000000000{i} {i}"));
        }
        let answer = t.line("fit");
        let lost = "take an origin off before you send them\n";
        assert!(
            answer.contains(lost) || answer.starts_with("error: "),
            "{answer}"
        );
    });
}

/// A cubic over readings from 0.1 to 1000, most of them small.
#[test]
fn a_cubic_of_skewed_readings_converges_or_says_that_the_loss_was_still_falling() {
    with_terminal(|t| {
        let readings = [
            0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 600.0, 1000.0_f64,
        ];
        let curve = |x: f64| 2.0 + 0.5 * x - 1e-3 * x * x + 1e-6 * x * x * x;
        for x in readings {
            t.line(&format!("add {x} {}", curve(x)));
        }
        t.line("model poly3");
        t.line("method descent");
        let falling = "the loss was still falling: try more epochs, or a larger learning rate";
        let answer = t.line("fit 100");
        assert!(answer.contains(&format!("\n{falling}\nok\n")), "{answer}");
        t.line("optimizer adam 0.05");
        let answer = t.line("fit 5000");
        assert!(answer.ends_with("\nconverged\nok\n"), "{answer}");
        for x in readings {
            let read = value(&t.line(&format!("read {x}")));
            assert!(
                (read - curve(x)).abs() < 0.2, // a thousandth of the spread
                "{x}: {read} {}",
                curve(x)
            );
        }
        // Coefficients in powers of the reading are printed if they give six digits.
        if answer.contains(" w3=") {
            let [b, w1, w2, w3] =
                ["b", "w1", "w2", "w3"].map(|name| f64::from(number(&answer, name).0));
            for x in readings {
                let by_hand = b + x * (w1 + x * (w2 + x * w3));
                let read = value(&t.line(&format!("read {x}")));
                assert!((by_hand - read).abs() < 1e-3, "{x}: {by_hand} {read}");
            }
        }
    });
}

#[test]
fn readings_outside_of_the_range_are_told_and_results_are_finite() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        let outside = ", outside of what was fitted, 21.8 to 81.9\n";
        for (reading, is_inside) in [
            ("21.8", true),
            ("81.9", true),
            ("50", true),
            ("21.7999", false),
            ("81.9001", false),
            ("-5", false),
            ("1e20", false),
        ] {
            let answer = t.line(&format!("read {reading}"));
            assert!(answer.starts_with("ok "), "{answer}");
            assert_eq!(answer.ends_with(outside), !is_inside, "{answer}");
        }
        let not_finite = "error: expected a reading with a finite result, found ";
        t.line("model poly3");
        t.line("fit 50");
        for reading in ["3e38", "-3e38", "1e30"] {
            let answer = t.line(&format!("read {reading}"));
            assert!(answer.starts_with(not_finite), "{answer}");
        }
    });
}

#[test]
fn samples_are_removed_and_listed_with_how_far_results_are_off() {
    with_terminal(|t| {
        for i in 1..=4 {
            t.line(&format!("add {i} {}", 2 * i + 1));
        }
        // An outlier.
        t.line("add 2.5 60");
        assert_eq!(t.line("remove 0"), "error: expected a sample from 1 to 5\n");
        assert_eq!(t.line("remove 6"), "error: expected a sample from 1 to 5\n");
        assert_eq!(
            t.line("remove one"),
            "error: expected a sample from 1 to 5\n"
        );
        t.line("fit 300");
        let listed = t.line("list");
        // The residuals of a line with a constant have the sum 0.
        let offs: Vec<f64> = listed
            .lines()
            .filter_map(|line| line.split_once("off="))
            .map(|(_, off)| off.split(':').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(offs.len(), 5, "{listed}");
        assert!(offs.iter().sum::<f64>().abs() < 1e-4, "{listed}");
        let worst = offs.iter().position(|off| off.abs() > 40.0).unwrap();
        assert_eq!(t.line(&format!("remove {}", worst + 1)), "ok 4\n");
        assert_eq!(t.line("remove 1"), "ok 3\n");
        t.line("fit 300");
        let listed = t.line("list");
        for (line, expected) in
            listed
                .lines()
                .zip(["1 2.0 5.0 off=", "2 3.0 7.0 off=", "3 4.0 9.0 off="])
        {
            let off = line.strip_prefix(expected).unwrap();
            assert!(
                off.split(':').next().unwrap().parse::<f64>().unwrap().abs() < 1e-5,
                "{listed}"
            );
        }
        for _ in 0..3 {
            t.line("remove 1");
        }
        assert_eq!(
            t.line("remove 1"),
            "error: expected the number of a sample, there are none\n"
        );
        assert_eq!(t.line("list"), "ok 0\n");
    });
}

// ---- in the middle of a fit ------------------------------------------------

/// Makes bytes come in after `epochs` epochs.
fn comes(t: &mut Terminal<'_>, epochs: usize, bytes: &[u8]) {
    let coming = &mut t.board().coming;
    coming.extend(std::iter::repeat_n(None, epochs));
    coming.extend(bytes.iter().map(|byte| Some(Ok(*byte))));
}

#[test]
fn a_fit_stops_when_asked_to_and_changes_nothing() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("method descent");
        t.line("fit");
        let stopped = |n: u32| {
            format!("error: stopped after {n} epochs as asked: all is as it was before the fit")
        };
        for (bytes, epochs) in [
            (&b"\x03"[..], 1),
            (b"\x03", 42),
            (b"stop\n", 77),
            (b"a\x03", 9),
        ] {
            let before = state(t);
            let read = t.line("read 40");
            // Nothing comes in before the last of these epochs.
            comes(t, epochs - 1, bytes);
            let answer = t.line("fit 1000");
            assert_eq!(last_line(&answer), stopped(epochs as u32), "{answer}");
            assert_eq!(state(t), before);
            assert_eq!(t.line("read 40"), read);
        }
        // Outside of a fit, Ctrl-C discards the line.
        assert_eq!(t.bytes(b"add 1 \x03clear\n"), "ok 0\n");
    });
}

#[test]
fn a_board_answers_its_line_and_feeds_its_watchdog_during_a_fit() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("method descent");
        let undisturbed = t.line("fit 200");
        comes(t, 10, b"status\n");
        comes(t, 5, b"read 4\n\n");
        t.board().coming.push_back(Some(Err(Damaged)));
        comes(t, 5, b"\n\x08sta");
        comes(t, 50, b"tus\n");
        let fed = t.board().fed;
        let answer = t.line("fit 200");
        // The watchdog is fed before and after every epoch.
        assert!(t.board().fed - fed >= 400);
        let told: Vec<_> = answer
            .lines()
            .filter(|line| !undisturbed.contains(*line))
            .collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].starts_with("fitting epoch 10 loss="), "{told:?}");
        assert_eq!(
            told[1],
            "error: expected status, or stop or Ctrl-C, during a fit"
        );
        assert_eq!(
            told[2],
            "error: expected 115200 baud 8N1 and a line at a time, bytes were lost"
        );
        assert!(told[3].starts_with("fitting epoch "), "{told:?}");
        // The fit itself is the same.
        assert!(
            undisturbed.lines().all(|line| answer.contains(line)),
            "{answer}"
        );
    });
}

// ---- from board to board ---------------------------------------------------

/// Returns the lines of the answer to `get`, and apart from them the last one.
fn get(t: &mut Terminal<'_>) -> (Vec<String>, String) {
    let answer = t.line("get");
    let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
    let end = lines.pop().unwrap();
    assert!(lines.iter().all(|line| line.len() <= MAX_LINE), "{answer}");
    (lines, end)
}

/// Records go from the desktop to a board, and from there to another, with the same bits.
#[test]
fn calibrations_go_from_board_to_board() {
    for name in ["linear", "poly:3", "poly:9", "mlp:2", "mlp:8"] {
        let curve = Curve::parse(name).unwrap();
        let mut adam = Adam::<30>::new(0.02);
        let record = fitted(curve, 60, |fit| fit.poll(&mut adam));
        let hex: String = record
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let crc = format!("crc={:08x}", record.checksum());
        let mut first = Vec::new();
        with_terminal(|t| {
            // `put` takes lines of any length.
            for (i, chunk) in hex.as_bytes().chunks(34).enumerate() {
                let chunk = str::from_utf8(chunk).unwrap();
                let answer = t.line(&format!("put {} {}", 17 * i, chunk.to_uppercase()));
                let so_far = (17 * i + chunk.len() / 2).min(hex.len() / 2);
                if so_far == hex.len() / 2 {
                    assert_eq!(answer, format!("ok {crc}\n"));
                } else {
                    assert_eq!(answer, format!("ok {so_far} of {} bytes\n", hex.len() / 2));
                }
            }
            assert!(
                t.line("status")
                    .contains(&format!("\ncalibration put {name} {crc}\n"))
            );
            for reading in ["40", "21.8", "81.9", "55.123456"] {
                assert_eq!(
                    t.line(&format!("read {reading}")),
                    predicted(&record, reading)
                );
            }
            let (lines, end) = get(t);
            assert_eq!(end, format!("ok {crc}"));
            first = lines;
        });
        with_terminal(|t| {
            let (last, others) = first.split_last().unwrap();
            for line in others {
                let answer = t.line(line);
                assert!(
                    answer.starts_with("ok ") && answer.ends_with(" bytes\n"),
                    "{answer}"
                );
            }
            assert_eq!(t.line(last), format!("ok {crc}\n"));
            assert_eq!(t.line("read 40"), predicted(&record, "40"));
            assert_eq!(t.line("save"), format!("ok {crc}\n"));
            assert_eq!(get(t).0, first);
        });
    }
}

/// Records with any flipped bit, cut short anywhere, or with a lost line are refused.
#[test]
fn damaged_records_are_refused_and_change_nothing() {
    let mut sgd = Sgd::new(0.1);
    let record = fitted(Curve::Linear, 100, |fit| fit.poll(&mut sgd));
    let good = record.bytes();
    let send = |t: &mut Terminal<'_>, bytes: &[u8]| {
        let mut answer = String::new();
        for (i, chunk) in bytes.chunks(24).enumerate() {
            let hex: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            answer = t.line(&format!("put {} {hex}", 24 * i));
            if answer.starts_with("error: ") {
                break;
            }
        }
        answer
    };
    let mut tried = 0;
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        let before = state(t);
        let mut bytes = good.to_vec();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let answer = send(t, &bytes);
            // A flipped bit in the length can make the board wait for more bytes.
            let waits = answer.starts_with("ok ") && answer.ends_with(" bytes\n");
            assert!(
                answer.starts_with("error: expected ") || waits,
                "{bit}: {answer}"
            );
            assert_eq!(
                waits,
                (64..96).contains(&bit) && answer.starts_with("ok "),
                "{bit}: {answer}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
            tried += 1;
        }
        for len in 1..good.len() {
            let answer = send(t, &good[..len]);
            assert!(answer.ends_with(" bytes\n"), "{len}: {answer}");
            tried += 1;
        }
        assert_eq!(state(t), before);
        // A byte too many.
        let more = [good, &[0]].concat();
        let len = good.len();
        let answer = send(t, &more);
        let lost = format!(
            "error: expected a record of {len} bytes, found {}\n",
            len + 1
        );
        assert!(answer == lost || good.len().is_multiple_of(24), "{answer}");
        // A line is lost, or comes twice.
        let (lines, _) = get(t);
        t.line(&lines[0]);
        assert_eq!(
            t.line(&lines[2]),
            "error: expected <offset> 24, or 0 to begin again\n"
        );
        assert!(t.line(&lines[1]).starts_with("ok 48 of "));
        assert_eq!(
            t.line(&lines[1]),
            "error: expected <offset> 48, or 0 to begin again\n"
        );
        assert_eq!(state(t), before);
        for line in &lines[2..] {
            t.line(line);
        }
        assert!(t.line("status").contains("\ncalibration put linear "));
    });
    assert!(tried > 1500, "{tried}");
}

/// Records of curves that there is no room for, or that the board does not know, are refused.
#[test]
fn records_of_other_curves_are_refused() {
    let large = Curve::mlp(&[16, 16], 0).unwrap();
    let params = vec![0.5; large.param_count()];
    let mut bytes = vec![0; Calibration::max_bytes(params.len())];
    let write = |curve, params: &[f32], bytes: &mut [u8]| {
        let calibration = Calibration {
            curve,
            input: Scale::ONE,
            output: Scale::ONE,
            range: [0.0.into(), 1.0.into()],
            params,
            origin: Origin::default(),
        };
        calibration.write(bytes).unwrap().to_vec()
    };
    let put = |t: &mut Terminal<'_>, record: &[u8]| {
        let mut last = String::new();
        for (i, chunk) in record.chunks(24).enumerate() {
            let hex: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            last = t.line(&format!("put {} {hex}", 24 * i));
            if last.starts_with("error") {
                break;
            }
        }
        last
    };
    let large = write(large, &params, &mut bytes);
    let deep = write(Curve::mlp(&[2, 2], 0).unwrap(), &params[..13], &mut bytes);
    let mut writer = calibrate::Writer::new(&mut bytes);
    writer.text("curve", "spline");
    let spline = writer.finish().unwrap().to_vec();
    // A record with two inputs, like one of `baregrad fit --x t --x p --save`.
    let input = Input {
        scale: Scale::ONE,
        range: [0.0.into(), 1.0.into()],
    };
    let several = Multivariate {
        curve: Curve::Linear,
        inputs: &[input; 2],
        output: Scale::ONE,
        params: &[1.0, 2.0, 3.0],
        origin: Origin::default(),
    };
    let several = several.write(&mut bytes).unwrap().to_vec();
    with_terminal(|t| {
        let found = large.len();
        assert_eq!(
            put(t, &large),
            format!(
                "error: expected a record of at most {MAX_BYTES} bytes, as curves of 25 \
                 parameters have, found one of {found}\n"
            )
        );
        for unknown in [&spline, &several] {
            assert_eq!(
                put(t, unknown),
                "error: expected a record with a curve that is known here\n"
            );
        }
        let nodes = "error: the arena is full: at least 10 nodes are needed, it has 9\n";
        assert_eq!(put(t, &deep), nodes);
    });
}

// ---- errors ----------------------------------------------------------------

#[test]
fn what_is_no_command_changes_nothing() {
    for prepared in [false, true] {
        with_terminal(|t| {
            if prepared {
                t.add_thermometer();
                t.line("model poly2");
                t.line("optimizer adam 0.01");
                t.line("fit 20");
                t.line("save");
            }
            let before = state(t);
            for (line, expected) in NO_COMMANDS {
                assert_eq!(t.line(line), format!("error: {expected}\n"), "{line}");
                assert_eq!(state(t), before, "{line}");
            }
            for (bytes, expected) in NO_LINES {
                assert_eq!(t.bytes(bytes), "", "answered before the line ended");
                assert_eq!(t.bytes(b"\n"), format!("error: {expected}\n"));
                assert_eq!(state(t), before);
            }
        });
    }
}

#[test]
fn the_longest_line_is_taken_and_one_byte_more_is_not() {
    with_terminal(|t| {
        let line = format!("add {} 2", "1".repeat(MAX_LINE - 6));
        assert!(t.line(&line).starts_with("error: expected a finite number"));
        let line = format!("add 0.{} 2", "1".repeat(MAX_LINE - 8));
        assert_eq!(line.len(), MAX_LINE);
        assert_eq!(t.line(&line), "ok 1\n");
        assert_eq!(
            t.line(&format!("{line} ")),
            "error: expected a line of at most 64 bytes\n"
        );
    });
}

#[test]
fn a_damaged_byte_spoils_its_line_only() {
    with_terminal(|t| {
        t.bytes(b"add 1");
        assert_eq!(t.damaged(), "");
        assert_eq!(
            t.bytes(b" 2\n"),
            "error: expected 115200 baud 8N1 and a line at a time, bytes were lost\n"
        );
        assert_eq!(t.line("add 1 2"), "ok 1\n");
    });
}

#[test]
fn a_full_store_takes_no_more() {
    with_terminal(|t| {
        for i in 1..=SAMPLES {
            assert_eq!(t.line(&format!("add {i} {i}")), format!("ok {i}\n"));
        }
        let before = state(t);
        let full = "error: expected at most 48 samples: remove one, clear them or fit\n";
        assert_eq!(t.line("add 1 2"), full);
        t.board().sensor = Some(1.0);
        assert_eq!(t.line("sample 1"), full);
        assert_eq!(state(t), before);
        assert_eq!(last_line(&t.line("fit")), "ok");
    });
}

#[test]
fn curves_are_as_large_as_there_is_memory() {
    with_terminal(|t| {
        for (curve, name, params) in [
            ("mlp 9", "mlp:9", 28),
            ("mlp:16,16", "mlp:16,16", 321),
            ("mlp:4,4", "mlp:4,4", 33),
        ] {
            let error =
                format!("error: expected a curve of at most 25 parameters, {name} has {params}\n");
            assert_eq!(t.line(&format!("model {curve}")), error);
        }
        let nodes = "error: the arena is full: at least 10 nodes are needed, it has 9\n";
        assert_eq!(t.line("model mlp:2,2"), nodes);
        for (curve, name) in [
            ("poly12", "poly:12"),
            ("mlp 8", "mlp:8"),
            ("poly 4", "poly:4"),
        ] {
            assert_eq!(t.line(&format!("model {curve}")), format!("ok {name}\n"));
        }
    });
    let mut memory = Memory::<16, { calibrator::floats(3) }>::new();
    let mut t = Terminal::new(HostBoard::new(), &mut memory);
    let answer = t.line("model mlp 4");
    assert!(
        answer.starts_with("error: the arena is full: 1")
            && answer.ends_with(" floats are needed, it has 86\n"),
        "{answer}"
    );
    assert_eq!(t.line("model mlp 3"), "ok mlp:3\n");
    t.add_thermometer();
    assert!(t.line("fit 10").ends_with("\nok\n"));
    assert!(t.line("status").contains(" of 86 floats"));
}

#[test]
fn too_few_samples_are_not_fitted() {
    with_terminal(|t| {
        for (model, needed) in [("linear", 2), ("poly2", 3), ("poly3", 4), ("mlp 5", 6)] {
            t.line("clear");
            t.line(&format!("model {model}"));
            for n in 0..needed {
                let error = format!("error: expected at least {needed} samples, found {n}\n");
                let before = state(t);
                assert_eq!(t.line("fit"), error);
                assert_eq!(t.line("bench"), error);
                assert_eq!(state(t), before);
                t.line(&format!("add {n} {n}"));
            }
            assert_eq!(last_line(&t.line("fit 10")), "ok", "{model}");
        }
    });
}

/// Sends samples with these readings and the references 0, 1, 2, …
fn add(t: &mut Terminal<'_>, readings: &[&str]) {
    t.line("clear");
    for (i, reading) in readings.iter().enumerate() {
        let added = t.line(&format!("add {reading} {i}"));
        assert_eq!(added, format!("ok {}\n", i + 1));
    }
}

/// A polynomial needs one distinct reading more than its degree, a network one more than it has
/// units, however many samples there are.
#[test]
fn readings_must_differ_as_often_as_the_model_needs() {
    let models = [("linear", 2), ("poly2", 3), ("poly3", 4), ("mlp 5", 6)];
    // Sums of 0.1 and of 16777.217 round, so the mean of equal readings is not that reading.
    let values = ["0.1", "16777.217", "-3", "0.101", "7", "10000"];
    with_terminal(|t| {
        add(t, &["1", "2", "3", "4", "5", "6"]);
        t.line("fit");
        for (model, needed) in models {
            t.line(&format!("model {model}"));
            for found in 1..=needed {
                for samples in [needed, 7, 13, 48] {
                    // Equal readings apart from each other, and next to each other.
                    let in_turn = |i: usize| values[i % found];
                    let in_a_row = |i: usize| values[(i * found / samples).min(found - 1)];
                    let mixed: Vec<_> = (0..samples).map(in_turn).collect();
                    let sorted: Vec<_> = (0..samples).map(in_a_row).collect();
                    for readings in [mixed, sorted] {
                        add(t, &readings);
                        let before = state(t);
                        let answer = t.line("fit 1");
                        if found >= needed {
                            let told = last_line(&answer);
                            assert!(told == "ok" || told.contains("diverged"), "{answer}");
                            continue;
                        }
                        assert_eq!(
                            answer,
                            format!(
                                "error: expected at least {needed} readings that differ once \
                                 scaled, found {found} in {samples} samples\n"
                            )
                        );
                        assert_eq!(t.line("bench"), answer);
                        assert_eq!(state(t), before, "{model} {readings:?}");
                    }
                }
            }
        }
    });
}

/// A line is fitted accurately to readings that are one step of `f32` apart.
#[test]
fn readings_that_hardly_differ_are_fitted() {
    with_terminal(|t| {
        // Near a million `f32` has steps of 1/16, and a sum of 48 readings steps of 4.
        let readings: Vec<f32> = (0..48).map(|i| 1e6 + (i % 5) as f32 / 16.0).collect();
        t.line("clear");
        for x in &readings {
            t.line(&format!("add {} {:?}", f64::from(*x), (x - 1e6) * 16.0));
        }
        let answer = t.line("fit 200");
        assert_eq!(last_line(&answer), "ok", "{answer}");
        // Unscaled, the terms would be 16 million times the result, so they are not printed.
        assert!(!answer.contains(" w="), "{answer}");
        let slope = number(&answer, "c1").0 / number(&answer, "deviation").0;
        assert!((slope - 16.0).abs() < 1e-3, "{answer}");
        let (loss, _) = number(&answer, "loss");
        assert!(loss < 1e-6, "{answer}");
    });
}

#[test]
fn spreads_are_finite_and_references_need_not_differ() {
    with_terminal(|t| {
        for (samples, error) in [
            (
                ["0 1", "1e-45 2"],
                "readings: expected values whose spread f32 holds, found one of ",
            ),
            (
                ["1 0", "2 1e-45"],
                "references: expected values whose spread f32 holds, found one of ",
            ),
        ] {
            t.line("clear");
            for sample in samples {
                t.line(&format!("add {sample}"));
            }
            let before = state(t);
            let answer = t.line("fit");
            assert!(answer.starts_with(&format!("error: {error}")), "{answer}");
            assert_eq!(state(t), before);
        }
        // Spreads are accepted even if `f32` does not hold their squares.
        for (samples, reading, expected) in [
            (["1.6e38 1", "-1.6e38 2"], "0", 1.5),
            (["1e-30 1", "2e-30 2"], "1.5e-30", 1.5),
            (["1 1.6e38", "2 -1.6e38"], "1", 1.6e38),
        ] {
            t.line("clear");
            for sample in samples {
                t.line(&format!("add {sample}"));
            }
            let answer = t.line("fit");
            assert_eq!(last_line(&answer), "ok", "{answer}");
            let read = t.line(&format!("read {reading}"));
            let value: f32 = read[3..].split(':').next().unwrap().parse().unwrap();
            assert!((value / expected - 1.0).abs() < 1e-6, "{read}");
        }
        t.line("clear");
        t.line("add 3e38 -3e38");
        let apart =
            |what| format!("error: expected a <{what}> at most 3.4e38 from the first one\n");
        assert_eq!(t.line("add -3e38 0"), apart("reading"));
        assert_eq!(t.line("add 3e38 3e38"), apart("reference"));
        assert_eq!(t.line("list"), "1 3e38 -3e38\nok 1\n");
        // Equal references are fitted exactly, however their sum rounds.
        for reference in ["5", "0.1", "16777.217", "3e38"] {
            t.line("clear");
            for i in 0..7 {
                t.line(&format!("add {i} {reference}"));
            }
            assert_eq!(last_line(&t.line("fit")), "ok");
            // All digits are right, even those beyond `f32`.
            let read = t.line("read 4");
            let value = read[3..].split(':').next().unwrap();
            let value: TwoFloat = value.parse().unwrap();
            assert_eq!(value, reference.parse().unwrap(), "{read}");
        }
    });
}

#[test]
fn divergence_is_told_and_changes_nothing() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        for (lr, epochs, expected) in [
            // The loss overflows.
            (
                "2",
                "500",
                "error: diverged, loss inf after 40 epochs: expected a smaller learning rate",
            ),
            // The loss has grown at the end.
            ("1.01", "10", "error: diverged, loss "),
            // The loss overflows in the first epoch.
            (
                "1e38",
                "10",
                "error: diverged, loss inf after 1 epochs: expected a smaller learning rate",
            ),
        ] {
            t.line(&format!("optimizer sgd {lr}"));
            let before = state(t);
            let answer = t.line(&format!("fit {epochs}"));
            let error = last_line(&answer);
            assert!(error.starts_with(expected), "{lr}: {answer}");
            assert!(
                error.ends_with("epochs: expected a smaller learning rate"),
                "{error}"
            );
            assert_eq!(state(t), before);
        }
    });
}

#[test]
fn without_a_calibration_there_is_nothing_to_read_or_save() {
    with_terminal(|t| {
        let none = "error: expected a calibration: fit, load or put one first\n";
        assert_eq!(t.line("read 1"), none);
        assert_eq!(t.line("save"), none);
        assert_eq!(t.line("get"), none);
        assert_eq!(
            t.line("load"),
            "error: expected a stored calibration, found none\n"
        );
    });
}

// ---- flash -----------------------------------------------------------------

#[test]
fn a_saved_calibration_is_used_after_a_power_cycle() {
    let mut read = String::new();
    let flash = with_flash(SmallFlash::erased(PAGES), |t| {
        t.add_thermometer();
        t.line("model poly2");
        let fitted = t.line("fit 300");
        let crc = fitted.split("crc=").nth(1).unwrap();
        let crc = crc.lines().next().unwrap();
        assert_eq!(t.line("save"), format!("ok crc={crc}\n"));
        read = t.line("read 42");
        // A later fit is not saved.
        t.line("model linear");
        t.line("fit");
        assert_ne!(t.line("read 42"), read);
        assert_eq!(t.line("load"), format!("ok crc={crc}\n"));
        assert_eq!(t.line("read 42"), read);
    });
    let flash = with_flash(flash, |t| {
        assert!(t.greeting().contains("\nstored poly:2 crc="));
        let status = t.line("status");
        assert!(status.contains("\nboots 2\n"), "{status}");
        assert!(
            status.contains("\ncalibration loaded poly:2 crc="),
            "{status}"
        );
        assert_eq!(t.line("read 42"), read);
        assert_eq!(t.line("erase"), "ok\n");
        // The calibration is still in use, but no longer in flash.
        assert_eq!(t.line("read 42"), read);
        assert_eq!(
            t.line("load"),
            "error: expected a stored calibration, found none\n"
        );
    });
    with_flash(flash, |t| {
        assert!(t.greeting().contains("\nstored none\n"));
        assert!(t.line("status").contains("\nboots 3\n"));
        assert!(t.line("read 42").starts_with("error: "));
    });
}

/// Writes a record to the three pages of a flash in the format of the store: kind, inverted kind,
/// length, sequence number, starts, the record, a checksum.
fn put(flash: &mut SmallFlash, record: &[u8]) {
    let [low, high] = (record.len() as u16).to_le_bytes();
    put_behind(flash, [0xc9, 0x36, low, high], record);
}

/// Writes a record in the same way, with any first four bytes.
fn put_behind(flash: &mut SmallFlash, first: [u8; 4], record: &[u8]) {
    let mut bytes = first.to_vec();
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(record);
    bytes.extend(crc32(&bytes).to_le_bytes());
    for page in flash.bytes.chunks_mut(1024) {
        page[..bytes.len()].copy_from_slice(&bytes);
    }
}

/// Computes the CRC-32 of zip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

#[test]
fn a_record_of_another_version_or_checksum_is_refused() {
    let params = [1.0, 0.0];
    let calibration = Calibration {
        curve: Curve::Linear,
        input: Scale::ONE,
        output: Scale::ONE,
        range: [0.0.into(), 5.0.into()],
        params: &params,
        origin: Origin::default(),
    };
    let good = Kept::write(&calibration).unwrap().bytes().to_vec();
    let changed = |at: usize, to: u8| {
        let mut record = good.clone();
        record[at] = to;
        record
    };
    let other = changed(20, 0x7f);
    let (body, checksum) = other.split_last_chunk::<4>().unwrap();
    let checksum = u32::from_le_bytes(*checksum);
    let of_other = crc32(body);
    let len = good.len();
    for (record, why) in [
        (
            changed(4, 2),
            "expected a record of version 1, found 2".to_owned(),
        ),
        (
            changed(0, 0),
            "expected a record, which begins with `bgrd`".to_owned(),
        ),
        (
            other.clone(),
            format!("expected a record with checksum {of_other:08x}, found {checksum:08x}"),
        ),
        (
            good[..50].to_vec(),
            format!("expected a record of {len} bytes, found 50"),
        ),
    ] {
        let mut flash = SmallFlash::erased(PAGES);
        put(&mut flash, &record);
        with_flash(flash, |t| {
            assert!(
                t.greeting()
                    .contains(&format!("\nstored nothing of use: {why}\n")),
                "{why}"
            );
            assert!(t.line("status").contains("\ncalibration none\n"));
            assert_eq!(t.line("load"), format!("error: {why}\n"));
            assert!(t.line("read 1").starts_with("error: "));
            // The record can be replaced.
            t.add_thermometer();
            t.line("fit");
            assert!(t.line("save").starts_with("ok "));
            assert!(t.line("load").starts_with("ok "));
        });
    }
    let mut flash = SmallFlash::erased(PAGES);
    put(&mut flash, &good);
    with_flash(flash, |t| assert_eq!(t.line("read 3"), "ok 3.0:40400000\n"));
}

/// A store of the firmware in which records had one byte of length is kept until it is erased.
#[test]
fn a_store_of_an_earlier_firmware_is_told_and_kept_until_it_is_erased() {
    let mut flash = SmallFlash::erased(PAGES);
    // A line in the format of that firmware.
    let mut record = vec![1, 1, 0, 2];
    record.extend(
        [0.0_f32, 1.0, 0.0, 1.0, 2.0, 3.0]
            .map(f32::to_le_bytes)
            .as_flattened(),
    );
    record.extend(crc32(&record).to_le_bytes());
    let len = record.len() as u8;
    put_behind(&mut flash, [0xca, len, 0x35, !len], &record);
    let before = flash.bytes.clone();
    let why =
        "expected a store of this version, found that of an earlier one: erase it, and fit again";
    with_flash(flash, |t| {
        assert!(
            t.greeting()
                .contains(&format!("\nstored nothing of use: {why}\n"))
        );
        assert_eq!(t.line("load"), format!("error: {why}\n"));
        t.add_thermometer();
        t.line("fit");
        assert_eq!(t.line("save"), format!("error: {why}\n"));
        assert_eq!(t.board().flash.bytes, before);
        assert_eq!(t.line("erase"), "ok\n");
        assert!(t.line("save").starts_with("ok "));
        assert!(t.line("load").starts_with("ok "));
    });
}

#[test]
fn a_flash_that_is_no_store_is_told_and_erased_on_demand() {
    for fill in [0x00, 0x55, 0xa5] {
        let mut flash = SmallFlash::erased(PAGES);
        flash.bytes.fill(fill);
        let flash = with_flash(flash, |t| {
            let unreadable = "expected a store in flash, found something else: erase it";
            assert!(
                t.greeting()
                    .contains(&format!("\nstored nothing of use: {unreadable}\n"))
            );
            assert!(
                t.line("status")
                    .contains(&format!("\nboots not counted: {unreadable}\n"))
            );
            t.add_thermometer();
            t.line("fit");
            assert_eq!(t.line("save"), format!("error: {unreadable}\n"));
            assert_eq!(t.line("load"), format!("error: {unreadable}\n"));
            assert_eq!(t.line("erase"), "ok\n");
            assert!(t.line("save").starts_with("ok "));
        });
        with_flash(flash, |t| {
            assert!(t.greeting().contains("\nstored linear crc="))
        });
    }
}

#[test]
fn a_flash_that_does_not_work_is_told() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        let read = t.line("read 1");
        t.board().flash.power = Some(0);
        let driver = "error: expected flash that works, its driver reports Other\n";
        for line in ["save", "load", "erase"] {
            assert_eq!(t.line(line), driver);
        }
        assert_eq!(t.line("read 1"), read);
        t.board().flash.power = None;
        assert!(t.line("save").starts_with("ok "));
    });
}

/// A flash like an emulator's, which ignores writes without an error.
struct Stubborn(SmallFlash);

impl embedded_storage::nor_flash::ErrorType for Stubborn {
    type Error = host::FlashError;
}

impl embedded_storage::nor_flash::ReadNorFlash for Stubborn {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), host::FlashError> {
        self.0.read(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Stubborn {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;
    fn erase(&mut self, _: u32, _: u32) -> Result<(), host::FlashError> {
        Ok(())
    }
    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), host::FlashError> {
        Ok(())
    }
}

#[test]
fn a_flash_that_keeps_nothing_is_told() {
    let mut flash = Stubborn(SmallFlash::erased(PAGES));
    let mut store = Store::new(&mut flash, HostBoard::PAGES).unwrap();
    assert!(store.boot().is_err());
    assert!(store.erase().is_err());
    assert_eq!(store.load(), Err(StoreError::Empty));
    assert!(Store::new(&mut flash, 0..2048).is_err_and(|error| error == StoreError::Pages));
}
