//! Whole sessions with boards that QEMU emulates: calibrates the thermometer, saves, cuts the
//! power, looks for everything again, and sends wrong lines. Every answer must equal the answer
//! of the same code on this computer, and with it all bits.
//!
//! `bash embedded/calibrator.sh` builds the firmware and runs this test. It is skipped without
//! that script.

mod emulated;
mod host;

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use baregrad::Arena;
use baregrad::calibrate::{Calibration, FORMULAS};
use calibrator::{FLOATS, Memory};
use emulated::{Board, Flash, Machine};
use host::{FEW, HostBoard, NO_COMMANDS, NO_LINES, RULES, SCHEDULES, Terminal, add_thermometer};

fn main() -> ExitCode {
    if std::env::var_os("CALIBRATOR_FIRMWARE").is_none() {
        println!("session: skipped, run `bash embedded/calibrator.sh` for it");
        return ExitCode::SUCCESS;
    }
    let microbit = Machine {
        name: "microbit",
        qemu: "qemu-system-arm",
        machine: &["-M", "microbit"],
        flash: Flash::Memory(0x3_f400..0x4_0000),
    };
    let mps2 = Machine {
        name: "mps2",
        qemu: "qemu-system-arm",
        machine: &["-M", "mps2-an386"],
        flash: Flash::Memory(0x3f_d000..0x40_0000),
    };
    let netduino = Machine {
        name: "netduinoplus2",
        qemu: "qemu-system-arm",
        machine: &["-M", "netduinoplus2"],
        flash: Flash::None,
    };
    let discovery = Machine {
        name: "stm32vldiscovery",
        qemu: "qemu-system-arm",
        machine: &["-M", "stm32vldiscovery"],
        flash: Flash::None,
    };
    let virt = Machine {
        name: "virt",
        qemu: "qemu-system-riscv32",
        machine: &["-M", "virt", "-bios", "none"],
        flash: Flash::File(32 << 20),
    };
    // Tests some boards only, such as `CALIBRATOR_BOARDS=microbit,virt`.
    if let Ok(names) = std::env::var("CALIBRATOR_BOARDS") {
        for machine in [&microbit, &mps2, &netduino, &discovery, &virt] {
            if names.split(',').any(|name| name == machine.name) {
                match machine.name {
                    "netduinoplus2" | "virt" => session::<256>(machine),
                    _ => session::<48>(machine),
                }
            }
        }
        return ExitCode::SUCCESS;
    }
    carried(&microbit, &mps2);
    session::<48>(&microbit);
    session::<48>(&mps2);
    session::<256>(&netduino);
    session::<48>(&discovery);
    session::<256>(&virt);
    plug_pulled_while_saving(&microbit);
    ExitCode::SUCCESS
}

/// Functions with samples of their kind: a thermistor's ohms and °C, a decay, growth, and light on
/// a photoresistor.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    (
        "steinhart-hart",
        &[
            "32650 0", "19900 10", "12490 20", "10000 25", "8057 30", "5327 40", "3603 50",
            "2488 60",
        ],
    ),
    (
        "exp",
        &["0 3.1", "1 2.2", "2 1.7", "3 1.45", "4 1.2", "6 1.1"],
    ),
    (
        "logistic",
        &["0 0.1", "1 0.6", "2 2.6", "3 7.3", "4 9.5", "6 10.05"],
    ),
    ("power", &["1 3", "2 4.3", "4 6.1", "8 8.4"]),
];

/// Runs the whole session on a board with room for `SAMPLES` samples.
fn session<const SAMPLES: usize>(machine: &Machine) {
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    let mut session = Session {
        board: None,
        twin: Terminal::new(HostBoard::new(), &mut memory),
        lines: 0,
    };
    let kept = !matches!(machine.flash, Flash::None);

    if kept {
        // A flash that is not a store is reported, and erased by the command.
        machine.fill(0x00);
        let mut board = machine.power_up();
        let greeting = board.answer();
        assert!(greeting.contains("erase it\n"), "{greeting}");
        assert_eq!(board.line("erase"), "ok\n");
        assert!(board.line("status").contains("\nstored none\n"));
        // New flash.
        machine.fill(0xff);
    }
    let mut board = machine.power_up();
    let greeting = board.answer();
    assert!(greeting.starts_with("baregrad calibrator "), "{greeting}");
    session.board = Some(board);

    // Wrong lines, before and after a fit.
    session.mistakes();
    for line in ["help", "fit", "list"] {
        session.same(line);
    }
    for line in add_thermometer() {
        session.same(&line);
    }
    let fitted = session.same("fit 200");
    assert!(fitted.contains(" w=0.5367"), "{fitted}");
    assert!(fitted.contains(" b=-17.304"), "{fitted}");
    session.same("read 55.9");
    session.mistakes();

    // All models, both optimizers, divergence.
    for line in [
        "model poly2",
        "fit 100",
        "read 40",
        "model poly3",
        "optimizer adam 0.05",
        "fit 100",
        "read 40",
        "model mlp 4",
        "fit 60",
        "read 40",
        "optimizer sgd 2",
        "fit 100",
        "read 40",
        "model mlp 9",
        "optimizer sgd 0.1",
        "model linear",
        "fit 200",
    ] {
        session.same(line);
    }

    rules(&mut session, machine);

    // Least squares: lines, polynomials, and functions with samples of their kind.
    for line in [
        "method lm",
        "fit",
        "read 40",
        "model poly2",
        "fit 1",
        "fit",
        "model poly3",
        "fit",
        "read 40",
        "status",
    ] {
        match line {
            // The rest of the answer differs, such as the RAM.
            "status" => assert!(session.board().line(line).contains("\nmethod lm\n")),
            _ => _ = session.same(line),
        }
    }
    for (model, samples) in FUNCTIONS {
        session.same("clear");
        session.same(&format!("model {model}"));
        for sample in samples {
            session.same(&format!("add {sample}"));
        }
        let fitted = session.same("fit");
        assert!(fitted.ends_with("\nconverged\nok\n"), "{model}: {fitted}");
        session.same("list");
        session.same("read 3.5");
        session.same("get");
    }
    session.same("add -3 1");
    session.same("fit");
    for line in [
        "optimizer sgd 0.1",
        "fit",
        "model mlp 2",
        "method lm",
        "model poly2",
        "fit",
    ] {
        session.same(line);
    }
    session.same("optimizer sgd 0.1");

    // Readings that need more digits than `f32` has, a cubic over readings of all sizes, readings
    // that are equal or nearly so.
    let samples: [(&str, &[&str]); 5] = [
        (
            "linear",
            &[
                "8388607.25 2500",
                "8388617.5 2501.25",
                "8388600 2499.125",
                "8388590.75 2498",
            ],
        ),
        (
            "poly:2",
            &[
                "101325.07 0.1",
                "101325.13 0.2",
                "101324.97 0",
                "101325.29 0.5",
            ],
        ),
        (
            "poly3",
            &[
                "0.1 2", "1 3", "10 7", "30 12", "100 31", "300 90", "1000 270",
            ],
        ),
        ("linear", &["5 1", "5 2", "5 3"]),
        ("mlp 4", &["1 1", "2 2", "1 3", "2 4", "1 5"]),
    ];
    for (model, samples) in samples {
        session.same("clear");
        session.same(&format!("model {model}"));
        for sample in samples {
            session.same(&format!("add {sample}"));
        }
        session.same("fit 300");
        session.same("list");
        let first = samples[0].split(' ').next().unwrap_or_default();
        session.same(&format!("read {first}"));
        session.same("read 8388650");
        session.same("read 3e38");
        session.same("get");
    }
    session.same("remove 2");
    session.same("list");

    // Commands during a fit: its status, and stop.
    for line in ["clear", "optimizer adam 0.01", "model mlp 8"] {
        session.same(line);
    }
    for line in add_thermometer() {
        session.same(&line);
    }
    session.same("fit 30");
    let read = session.same("read 40");
    let board = session.board();
    board.send(b"fit 100000\nstatus\n");
    let status = board.answer();
    assert!(status.starts_with("fitting epoch "), "{status}");
    let busy = board.line("read 40");
    assert_eq!(
        busy,
        "error: expected status, or stop or Ctrl-C, during a fit\n"
    );
    board.send(b"\x03");
    let stopped = board.answer();
    assert!(stopped.starts_with("error: stopped after "), "{stopped}");
    assert_eq!(session.same("read 40"), read);
    for line in ["optimizer sgd 0.1", "model linear", "fit 200"] {
        session.same(line);
    }

    // Tracking of a sensor that drifts by 5 and has outliers, by a line and by a function. The
    // result lags by about ten samples, the memory of forgetting 0.9, which is 1.25. A fit is
    // refused meanwhile.
    for model in ["linear", "exp"] {
        for line in [
            "method lm",
            &format!("model {model}"),
            "fit",
            "track on 0.9 2",
        ] {
            session.same(line);
        }
        for i in 0..40_u16 {
            let x = 22.0 + f64::from(i * 7 % 60);
            let lie = if i % 16 == 15 { -60.0 } else { 0.0 };
            let y = 0.5367 * x - 17.3 + 0.125 * f64::from(i) + lie;
            session.same(&format!("add {x} {y:.2}"));
        }
        let read = session.same("read 50");
        let value: f64 = read[3..]
            .split(':')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0.0);
        assert!((value - 9.535 - 3.75).abs() < 1.0, "{model}: {read}");
        for line in ["track", "fit", "get", "track off", "track"] {
            session.same(line);
        }
    }
    for line in ["optimizer sgd 0.1", "model linear", "fit 200"] {
        session.same(line);
    }

    // Answers that depend on the board.
    let board = session.board();
    let sensor = board.line("sample 20");
    assert_eq!(
        sensor,
        "error: expected a sensor that answers, there is none here\n"
    );
    let bench = board.line("bench");
    assert!(
        bench.starts_with("ok ") && bench.ends_with(" per epoch\n"),
        "{bench}"
    );
    let status = board.line("status");
    let ram = status
        .lines()
        .find(|line| line.starts_with("ram "))
        .unwrap_or_default();
    let ram = ram.to_owned();

    if kept {
        let saved = session.same("save");
        let crc = saved.trim_start_matches("ok ").trim();
        let read = session.same("read 55.9");
        // Another fit, not saved.
        session.same("model poly2");
        session.same("fit 50");
        let mut board = session.power_cycle(machine);
        let greeting = board.answer();
        assert!(
            greeting.contains(&format!("\nstored linear {crc}\n")),
            "{greeting}"
        );
        assert_eq!(board.line("read 55.9"), read, "after the power cycle");
        let status = board.line("status");
        assert!(status.contains("\nboots 2\n"), "{status}");
        assert!(
            status.contains(&format!("\ncalibration loaded linear {crc}\n")),
            "{status}"
        );
        assert_eq!(board.line("erase"), "ok\n");
        board.power_down();
        let mut board = machine.power_up();
        let greeting = board.answer();
        assert!(greeting.contains("\nstored none\n"), "{greeting}");
        assert!(board.line("read 55.9").starts_with("error: "));
    } else {
        // QEMU has no flash for this board: errors say so, and the calibration stays in use.
        for line in ["save", "load", "erase"] {
            let answer = session.board().line(line);
            assert!(answer.starts_with("error: expected "), "{line}: {answer}");
        }
        session.same("read 55.9");
    }

    // More samples than there is room for.
    if !kept {
        session.same("clear");
        for i in 0..=SAMPLES {
            session.same(&format!("add {i} {}", 2 * i));
        }
    }
    println!(
        "session {:17} {} answers as on this computer, {}, {ram}",
        machine.name,
        session.lines,
        if kept {
            "power cycled"
        } else {
            "no flash in QEMU"
        },
    );
}

/// Fits with every optimizer and every schedule. For the STM32VLDISCOVERY, tests the errors that
/// list the ones that it holds.
fn rules(session: &mut Session<'_>, machine: &Machine) {
    if machine.name == "stm32vldiscovery" {
        for (line, expected) in FEW {
            assert_eq!(session.board().line(line), format!("error: {expected}\n"));
        }
        return;
    }
    for line in RULES {
        let answer = session.same(&format!("optimizer {line}"));
        assert!(answer.starts_with("ok "), "{line}: {answer}");
        let fitted = session.same("fit 12");
        assert!(fitted.ends_with("\nok\n"), "{line}: {fitted}");
    }
    session.same("optimizer adamw 0.1 eps=1e-6");
    for line in SCHEDULES {
        let answer = session.same(&format!("schedule {line}"));
        assert!(answer.starts_with("ok "), "{line}: {answer}");
        let fitted = session.same("fit 12");
        assert!(fitted.ends_with("\nok\n"), "{line}: {fitted}");
    }
    for line in ["optimizer lbfgs 1", "optimizer newton 1", "schedule cubic"] {
        let answer = session.same(line);
        assert!(answer.starts_with("error: expected "), "{line}: {answer}");
    }
    session.same("schedule off");
    session.same("optimizer sgd 0.1");
}

/// A board, and the same code on this computer.
struct Session<'m> {
    board: Option<Board>,
    twin: Terminal<'m>,
    /// The number of answers that were compared.
    lines: usize,
}

impl Session<'_> {
    fn board(&mut self) -> &mut Board {
        self.board.as_mut().expect("a board with power")
    }

    /// Sends a line to both, and returns the answer, which must be the same.
    fn same(&mut self, line: &str) -> String {
        let found = self.board().line(line);
        let expected = self.twin.line(line);
        assert_eq!(found, expected, "{line}");
        self.lines += 1;
        found
    }

    fn mistakes(&mut self) {
        let before = self.same("list");
        for (line, expected) in NO_COMMANDS {
            assert_eq!(self.same(line), format!("error: {expected}\n"));
        }
        for (bytes, expected) in NO_LINES {
            self.board().send(bytes);
            self.board().send(b"\n");
            assert_eq!(self.board().answer(), format!("error: {expected}\n"));
            self.lines += 1;
        }
        assert_eq!(self.same("list"), before);
    }

    fn power_cycle(&mut self, machine: &Machine) -> Board {
        self.board.take().expect("a board with power").power_down();
        machine.power_up()
    }
}

/// Takes records that the tool has saved to one board, and from there to another. The results of
/// both must have the bits of this computer's predictions.
fn carried(from: &Machine, to: &Machine) {
    let records = std::env::var("CALIBRATOR_RECORDS").expect("started by the script");
    let records = records.split(' ').filter(|path| !path.is_empty());
    let mut count = 0;
    for path in records {
        let record = std::fs::read(path).expect("a record");
        let mut params = vec![0.0; record.len()];
        let calibration = Calibration::read_with(&record, &mut params, &FORMULAS);
        let calibration = calibration.expect("a calibration");
        let readings = ["21.8", "35.7", "48.9", "60.123456", "81.9", "100", "-5"];
        let expected = readings.map(|reading| {
            let mut arena = Arena::<512, 16>::new();
            let found = calibration.predict(&arena.tape(), reading.parse().expect("a number"));
            let value = found.expect("a prediction").value.high();
            format!("ok {value:?}:{:08x}", value.to_bits())
        });
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        let chunks = hex.as_bytes().chunks(48).enumerate();
        let mut lines: Vec<String> = chunks
            .map(|(i, hex)| format!("put {} {}", 24 * i, str::from_utf8(hex).expect("digits")))
            .collect();
        let crc = record.last_chunk().expect("a checksum");
        let crc = format!("crc={:08x}", u32::from_le_bytes(*crc));
        for machine in [from, to] {
            machine.fill(0xff);
            let mut board = machine.power_up();
            board.answer();
            let (last, others) = lines.split_last().expect("lines");
            for line in others {
                let answer = board.line(line);
                assert!(answer.ends_with(" bytes\n"), "{answer}");
            }
            assert_eq!(board.line(last), format!("ok {crc}\n"), "{path}");
            assert_eq!(board.line("save"), format!("ok {crc}\n"), "{path}");
            board.power_down();
            let mut board = machine.power_up();
            let greeting = board.answer();
            assert!(greeting.contains(&format!(" {crc}\n")), "{greeting}");
            for (reading, expected) in readings.iter().zip(&expected) {
                let found = board.line(&format!("read {reading}"));
                let found = found.trim_end();
                let found = found.split(',').next().unwrap_or_default();
                assert_eq!(found, expected, "{path} {reading}");
            }
            let answer = board.line("get");
            let fetched: Vec<String> = answer.lines().map(str::to_owned).collect();
            assert_eq!(fetched.last(), Some(&format!("ok {crc}")));
            assert_eq!(fetched[..fetched.len() - 1], lines, "{path}");
            lines.truncate(0);
            lines.extend_from_slice(&fetched[..fetched.len() - 1]);
            board.power_down();
        }
        count += 1;
    }
    assert!(count > 0, "no records");
    println!(
        "{count} records of the tool to {}, and from there to {}: same bits",
        from.name, to.name
    );
}

const PULLS: u64 = 32;

/// Cuts the power at different times while the board saves. The board must find the old
/// calibration or the new one. There are enough saves to erase pages.
fn plug_pulled_while_saving(machine: &Machine) {
    machine.fill(0xff);
    let mut board = machine.power_up();
    board.answer();
    for line in add_thermometer() {
        board.line(&line);
    }
    // With gradient descent every number of epochs gives another calibration.
    board.line("method descent");
    board.line("fit 5");
    let mut old = board.line("save");
    board.power_down();
    let (mut olds, mut news) = (0, 0);
    for pull in 0..PULLS {
        let mut board = machine.power_up();
        let greeting = board.answer();
        let crc = old.trim_start_matches("ok ").trim();
        assert!(
            greeting.contains(&format!("\nstored linear {crc}\n")),
            "{greeting}"
        );
        for line in add_thermometer() {
            board.line(&line);
        }
        board.line("method descent");
        let fitted = board.line(&format!("fit {}", 6 + pull));
        let new = fitted
            .split_whitespace()
            .find(|word| word.starts_with("crc="));
        let new = format!("ok {}\n", new.expect("a checksum"));
        assert_ne!(new, old);
        board.send(b"save\n");
        // The cuts range from before the line has arrived to after the record is written.
        sleep(Duration::from_micros(50 * pull));
        board.power_down();

        let mut board = machine.power_up();
        let greeting = board.answer();
        let stored = greeting
            .split_whitespace()
            .find(|word| word.starts_with("crc="));
        let stored = format!("ok {}\n", stored.expect("a stored calibration"));
        if stored == old {
            olds += 1;
        } else {
            assert_eq!(stored, new, "neither the old calibration nor the new one");
            news += 1;
        }
        assert_eq!(board.line("load"), stored);
        old = stored;
        board.power_down();
    }
    println!(
        "session {:17} plug pulled in {PULLS} saves: {olds} old, {news} new, 0 lost",
        machine.name
    );
}
