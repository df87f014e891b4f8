//! Every command and every error, as a person at the terminal sees them.

mod host;

use calibrator::MAX_LINE;
use calibrator::calibration::{Calibration, MAX_BYTES, MAX_PARAMS, Model, Refused, Scale};
use calibrator::fit::{self, FLOATS, Plan, Sample, Scratch};
use calibrator::store::{Store, StoreError};
use calibrator::{Board, Memory};
use embedded_storage::nor_flash::NorFlash;
use host::{
    HostBoard, HostMemory, NO_COMMANDS, NO_LINES, PAGES, SAMPLES, SmallFlash, THERMOMETER, Terminal,
};

/// Runs a test with a calibrator that was just switched on, on an empty flash.
fn with_terminal(test: impl FnOnce(&mut Terminal<'_>)) {
    with_flash(HostBoard::new().flash, |t| {
        t.greeting();
        test(t);
    });
}

/// Runs a test with a calibrator that is switched on with this flash, and
/// returns the flash.
fn with_flash(flash: SmallFlash, test: impl FnOnce(&mut Terminal<'_>)) -> SmallFlash {
    let mut board = HostBoard::new();
    board.flash = flash;
    let mut memory = HostMemory::new();
    let mut terminal = Terminal::new(board, &mut memory);
    test(&mut terminal);
    terminal.board().flash.clone()
}

/// Everything that commands can change, as the calibrator tells it.
fn state(t: &mut Terminal<'_>) -> String {
    t.line("status") + &t.line("list")
}

fn last_line(answer: &str) -> &str {
    answer.lines().last().unwrap_or_default()
}

/// The number behind `name=`, with its bits.
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

fn samples() -> Vec<Sample> {
    let pairs = THERMOMETER.iter();
    pairs
        .map(|&(reading, reference)| Sample { reading, reference })
        .collect()
}

// ---- commands --------------------------------------------------------------

#[test]
fn it_greets() {
    with_flash(SmallFlash::erased(PAGES), |t| {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            t.greeting(),
            format!("baregrad calibrator {version} on host, try help\nstored none\nok\n")
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
            "clear",
            "model",
            "optimizer",
            "fit",
            "read",
            "save",
            "load",
            "erase",
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
        assert_eq!(help.lines().count(), 15);
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
        // Typed, and corrected.
        assert_eq!(t.bytes(b"ax\x08dd 7 9\x7f8\n"), "ok 4\n");
        assert_eq!(t.bytes(b"\x08\x7fclear\n"), "ok 0\n");
    });
}

#[test]
fn it_fits_the_thermometer() {
    with_terminal(|t| {
        t.add_thermometer();
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
        // The least squares: what the book's 5000 epochs approach.
        let near = |name, expected: f32, error: f32| {
            let (found, _) = number(&answer, name);
            assert!((found - expected).abs() < error, "{name} {found}");
        };
        near("loss", 2.927_644_6, 2e-6);
        near("w", 0.536_771_6, 1e-6);
        near("b", -17.304_78, 1e-5);
        // What was learned is in use: w · 55.9 + b.
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

/// Whoever runs the same code on the desktop gets the same bits.
#[test]
fn a_fit_is_that_of_the_library() {
    let samples = samples();
    for (model, method) in [
        ("linear", "sgd 0.1"),
        ("poly2", "sgd 0.05"),
        ("poly3", "adam 0.02"),
        ("mlp 1", "adam 0.01"),
        ("mlp 8", "adam 0.01"),
    ] {
        with_terminal(|t| {
            t.add_thermometer();
            let chosen = t.line(&format!("model {model}"));
            assert_eq!(chosen, format!("ok {model}\n"));
            assert!(
                t.line(&format!("optimizer {method}"))
                    .starts_with(&format!("ok {method}:"))
            );
            let answer = t.line("fit 50");
            let (kind, lr) = method.split_once(' ').unwrap();
            let lr = lr.parse().unwrap();
            let plan = Plan {
                model: match model {
                    "linear" => Model::Linear,
                    "poly2" => Model::Poly2,
                    "poly3" => Model::Poly3,
                    mlp => Model::mlp(mlp.strip_prefix("mlp ").unwrap().parse().unwrap()).unwrap(),
                },
                method: match kind {
                    "sgd" => fit::Method::Sgd { lr },
                    _ => fit::Method::Adam { lr },
                },
                epochs: 50,
            };
            let (mut inputs, mut targets) = ([0.0; 33], [0.0; 11]);
            let mut floats = [0.0; FLOATS];
            let mut nodes = [const { baregrad::op::Node::EMPTY }; fit::NODES];
            let mut scratch = Scratch {
                inputs: &mut inputs,
                targets: &mut targets,
                floats: &mut floats,
                nodes: &mut nodes,
            };
            let fitted = fit::fit(&plan, &samples, &mut scratch, &mut |_, _| {}).unwrap();
            assert_eq!(number(&answer, "loss").1, fitted.loss.to_bits());
            let crc = fitted.calibration.checksum();
            assert!(
                answer.ends_with(&format!(" crc={crc:08x}\nok\n")),
                "{answer}"
            );
            let read = fit::evaluate(&fitted.calibration, 40.0, &mut scratch).unwrap();
            assert_eq!(
                t.line("read 40"),
                format!("ok {read:?}:{:08x}\n", read.to_bits())
            );
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
            ("poly3", &["w1", "w2", "w3", "b"]),
            ("mlp 8", &[]),
        ] {
            t.line(&format!("model {model}"));
            let answer = t.line("fit 1000");
            let (loss, _) = number(&answer, "loss");
            assert!(loss < last, "{model}: {loss}");
            last = loss;
            // A polynomial is told in the units of readings and references.
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
            "board host\nboots 1\nsamples 0 of 48\nmodel linear\noptimizer sgd 0.1:3dcccccd\n\
             calibration none\nstored none\narena of 196 floats\nok\n"
        );
        t.add_thermometer();
        t.line("model mlp 8");
        t.line("fit 10");
        t.line("save");
        let status = t.line("status");
        for line in ["samples 11 of 48", "model mlp 8"] {
            assert!(status.contains(line), "{status}");
        }
        let crc = status
            .split("calibration fitted mlp 8 crc=")
            .nth(1)
            .unwrap();
        let crc = crc.lines().next().unwrap();
        assert!(
            status.contains(&format!("\nstored mlp 8 crc={crc}\n")),
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
        // This board's clock goes on only when looked at: fits of 1 and of 11
        // epochs take the same.
        assert_eq!(t.line("bench"), "ok 0 looks per epoch\n");
        assert_eq!(state(t), before);
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
        let full = "error: expected at most 48 samples: clear them or fit\n";
        assert_eq!(t.line("add 1 2"), full);
        t.board().sensor = Some(1.0);
        assert_eq!(t.line("sample 1"), full);
        assert_eq!(state(t), before);
        assert_eq!(last_line(&t.line("fit")), "ok");
    });
}

#[test]
fn networks_are_as_wide_as_there_is_memory() {
    with_terminal(|t| {
        for hidden in ["0", "9", "-1", "300", "x"] {
            assert_eq!(
                t.line(&format!("model mlp {hidden}")),
                "error: expected 1 to 8 hidden units\n"
            );
        }
    });
    let mut memory = Memory::<16, { fit::floats(3) }>::new();
    let mut t = Terminal::new(HostBoard::new(), &mut memory);
    assert_eq!(
        t.line("model mlp 4"),
        "error: expected 1 to 3 hidden units\n"
    );
    assert_eq!(t.line("model mlp 3"), "ok mlp 3\n");
    t.add_thermometer();
    assert_eq!(last_line(&t.line("fit 10")), "ok");
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

/// Sends samples, whose references count up.
fn add(t: &mut Terminal<'_>, readings: &[&str]) {
    t.line("clear");
    for (i, reading) in readings.iter().enumerate() {
        let added = t.line(&format!("add {reading} {i}"));
        assert_eq!(added, format!("ok {}\n", i + 1));
    }
}

/// A polynomial has one coefficient more than its degree, and each takes a reading of
/// its own; a network is given one more than it has units. However many samples there
/// are, equal ones say nothing new.
#[test]
fn readings_must_differ_as_often_as_the_model_needs() {
    let models = [("linear", 2), ("poly2", 3), ("poly3", 4), ("mlp 5", 6)];
    // Sums of 0.1 and of 16777.217 round: their means are not the readings.
    let values = ["0.1", "16777.217", "-3", "0.101", "7", "1000000"];
    with_terminal(|t| {
        add(t, &["1", "2", "3", "4", "5", "6"]);
        t.line("fit");
        for (model, needed) in models {
            t.line(&format!("model {model}"));
            for found in 1..=needed {
                for samples in [needed, 7, 13, 48] {
                    // In turn, and one after another.
                    let in_turn = |i: usize| values[i % found];
                    let in_a_row = |i: usize| values[(i * found / samples).min(found - 1)];
                    let mixed: Vec<_> = (0..samples).map(in_turn).collect();
                    let sorted: Vec<_> = (0..samples).map(in_a_row).collect();
                    for readings in [mixed, sorted] {
                        // Less the mean of a million and these, 0.1 and 0.101 are
                        // the same in f32.
                        let scaled = if found == 6 { 5 } else { found };
                        add(t, &readings);
                        let before = state(t);
                        let answer = t.line("fit 1");
                        if scaled >= needed {
                            let told = last_line(&answer);
                            assert!(told == "ok" || told.contains("diverged"), "{answer}");
                            continue;
                        }
                        let parsed = readings.iter().map(|x| x.parse::<f32>().unwrap());
                        let (least, most) = (
                            parsed.clone().fold(f32::INFINITY, f32::min),
                            parsed.fold(f32::NEG_INFINITY, f32::max),
                        );
                        assert_eq!(
                            answer,
                            format!(
                                "error: expected at least {needed} readings that differ once \
                                 scaled, found {scaled} in {samples} samples, from {least:?} to {most:?}\n"
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

/// A line of slope 16, where one reading is a step of f32 from the next: what is
/// fitted is as exact as the readings.
#[test]
fn readings_that_hardly_differ_are_fitted() {
    with_terminal(|t| {
        // Near a million f32 has steps of 1/16. A sum of 48 rounds to steps of 4.
        let readings: Vec<f32> = (0..48).map(|i| 1e6 + (i % 5) as f32 / 16.0).collect();
        t.line("clear");
        for x in &readings {
            t.line(&format!("add {x:?} {:?}", (x - 1e6) * 16.0));
        }
        let answer = t.line("fit 200");
        assert_eq!(last_line(&answer), "ok", "{answer}");
        let (w, _) = number(&answer, "w");
        assert!((w - 16.0).abs() < 1e-3, "{answer}");
        let (loss, _) = number(&answer, "loss");
        assert!(loss < 1e-6, "{answer}");
    });
}

#[test]
fn spreads_are_finite_and_references_need_not_differ() {
    with_terminal(|t| {
        for (line, what, range) in [
            (["3e38 1", "-3e38 2"], "readings", "-3e38 to 3e38"),
            (["1e-30 1", "2e-30 2"], "readings", "1e-30 to 2e-30"),
            (["1 3e38", "2 -3e38"], "references", "-3e38 to 3e38"),
        ] {
            t.line("clear");
            for sample in line {
                t.line(&format!("add {sample}"));
            }
            let before = state(t);
            assert_eq!(
                t.line("fit"),
                format!(
                    "error: expected {what} whose spread can be squared in f32, found {range}\n"
                )
            );
            assert_eq!(state(t), before);
        }
        // Equal references, however their sum rounds.
        for reference in ["5", "0.1", "16777.217", "3e38"] {
            t.line("clear");
            for i in 0..7 {
                t.line(&format!("add {i} {reference}"));
            }
            assert_eq!(last_line(&t.line("fit")), "ok");
            let reference: f32 = reference.parse().unwrap();
            let expected = format!("ok {reference:?}:{:08x}\n", reference.to_bits());
            assert_eq!(t.line("read 4"), expected);
        }
    });
}

#[test]
fn divergence_is_told_and_changes_nothing() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("fit");
        for (lr, epochs, expected) in [
            // Grows beyond all numbers.
            (
                "2",
                "500",
                "error: diverged, loss inf after 40 epochs: expected a smaller learning rate",
            ),
            // Has grown when it ends.
            ("1.01", "10", "error: diverged, loss "),
            // At once.
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
        let none = "error: expected a calibration: fit or load first\n";
        assert_eq!(t.line("read 1"), none);
        assert_eq!(t.line("save"), none);
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
        let crc = fitted
            .lines()
            .nth_back(1)
            .unwrap()
            .split("crc=")
            .nth(1)
            .unwrap();
        assert_eq!(t.line("save"), format!("ok crc={crc}\n"));
        read = t.line("read 42");
        // What comes later is not saved.
        t.line("model linear");
        t.line("fit");
        assert_ne!(t.line("read 42"), read);
        assert_eq!(t.line("load"), format!("ok crc={crc}\n"));
        assert_eq!(t.line("read 42"), read);
    });
    let flash = with_flash(flash, |t| {
        assert!(t.greeting().contains("\nstored poly2 crc="));
        let status = t.line("status");
        assert!(status.contains("\nboots 2\n"), "{status}");
        assert!(
            status.contains("\ncalibration loaded poly2 crc="),
            "{status}"
        );
        assert_eq!(t.line("read 42"), read);
        assert_eq!(t.line("erase"), "ok\n");
        // Still in use, no longer in flash.
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

/// Puts a record in flash as the calibrator would: kind and length, twice; sequence
/// number and starts; the record; a checksum. In three pages.
fn put(flash: &mut SmallFlash, record: &[u8]) {
    let mut bytes = vec![0xca, record.len() as u8, 0x35, !record.len() as u8];
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(record);
    bytes.extend(crc32(&bytes).to_le_bytes());
    for page in flash.bytes.chunks_mut(1024) {
        page[..bytes.len()].copy_from_slice(&bytes);
    }
}

/// The checksum of zip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

#[test]
fn a_record_of_another_version_or_checksum_is_refused() {
    let mut params = [0.0; MAX_PARAMS];
    params[0] = 1.0;
    let calibration = Calibration {
        model: Model::Linear,
        input: Scale::ONE,
        output: Scale::ONE,
        params,
    };
    let mut bytes = [0; MAX_BYTES];
    let good = calibration.encode(&mut bytes).to_vec();
    let changed = |at: usize, to: u8| {
        let mut record = good.clone();
        record[at] = to;
        record
    };
    let (body, checksum) = good.split_last_chunk::<4>().unwrap();
    let checksum = u32::from_le_bytes(*checksum);
    let other = changed(20, 0x7f);
    let Err(Refused::Checksum {
        expected: of_other, ..
    }) = Calibration::decode(&other)
    else {
        panic!("a changed record is taken");
    };
    assert_eq!(body.len(), 28);
    for (record, why) in [
        (
            changed(0, 2),
            "expected a record of version 1, found 2".to_owned(),
        ),
        (
            changed(0, 0),
            "expected a record of version 1, found 0".to_owned(),
        ),
        (
            other,
            format!("expected a record with checksum {of_other:08x}, found {checksum:08x}"),
        ),
        (
            good[..3].to_vec(),
            "expected a record that makes sense".to_owned(),
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
            // And it can be replaced.
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

/// As an emulator's: writing does nothing, and says it did.
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
