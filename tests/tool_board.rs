//! Tests of `baregrad board` with a simulated board that records its lines: the tool sends nothing
//! before it has checked the file, and clears the board's samples only if its own fit into the
//! board.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use baregrad::calibrate::{Calibration, Curve, Origin, Scale};

/// Runs the tool with a file of this text, and a board with room for `capacity` samples, which
/// answers `ok` to lines that it knows. Returns the tool's output, and the lines that it sent.
fn run(
    name: &str,
    text: &[u8],
    choices: &[&str],
    room: usize,
) -> (Result<bool, String>, Vec<String>) {
    let file = path(name);
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let arguments: Vec<_> = [file].into_iter().chain(choices.iter().copied()).collect();
    let (said, asked) = talk(&arguments, room, Vec::new());
    (said.map_err(|error| error.replace(file, name)), asked)
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs the tool with these arguments behind the port, and a board that has this record, given in
/// lines of `put`.
fn talk(
    arguments: &[&str],
    room: usize,
    mut stored: Vec<String>,
) -> (Result<bool, String>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    // At the end this test connects itself, because the tool may not have done so.
    let own = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut answers = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let answer = match line.as_str() {
                "" => continue,
                "help me" => "error: expected help",
                "list all" => "error: expected list",
                "status" => &format!("board fake\r\nsamples 7 of {room}\r\nok"),
                "model mlp:8" => "error: expected a curve of at most 16 parameters, mlp:8 has 25",
                "get" => &format!("{}ok 1", stored.join("")),
                line if line.starts_with("put ") => {
                    stored.push(format!("{line}\r\n"));
                    "ok 1"
                }
                line if line.starts_with("fit") => "fit loss=0 crc=00000000\r\nok",
                _ => "ok 1",
            };
            asked.push(line.clone());
            if writeln!(answers, "{answer}\r").is_err() {
                break;
            }
        }
        asked
    });
    let output = Command::new(env!("CARGO_BIN_EXE_baregrad"))
        .arg("board")
        .arg(port.as_str())
        .args(arguments)
        .output()
        .unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let done = match output.status.code() {
        Some(0) => Ok(true),
        Some(1) if error.is_empty() => {
            assert!(out.ends_with("\nthe bits differ\n"), "{out}");
            Ok(false)
        }
        Some(1) => Err(error.trim_end().to_owned()),
        code => panic!("{code:?}: {error}"),
    };
    let _ = std::net::TcpStream::connect(own);
    let asked = asked.join().unwrap();
    (done, asked)
}

/// Returns the record of a calibration.
fn record() -> Vec<u8> {
    let calibration = Calibration {
        curve: Curve::Poly(3),
        input: Scale {
            offset: "101325.07".parse().unwrap(),
            factor: 0.25,
        },
        output: Scale::ONE,
        range: [101_320.0.into(), 101_330.0.into()],
        params: &[1.0, 0.5, -0.25, 2.0],
        origin: Origin::default(),
    };
    let mut bytes = [0; 256];
    calibration.write(&mut bytes).unwrap().to_vec()
}

/// Returns lines of `put`, each with this many bytes.
fn lines(record: &[u8], bytes: usize) -> Vec<String> {
    let chunks = record.chunks(bytes).enumerate();
    let line = |(i, chunk): (usize, &[u8])| {
        let hex: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("put {} {hex}\r\n", bytes * i)
    };
    chunks.map(line).collect()
}

#[test]
fn records_are_sent_in_lines_and_checked_before() {
    let file = path("sent.bin");
    fs::write(&file, record()).unwrap();
    let (said, asked) = talk(&["--put", file.to_str().unwrap()], 4, Vec::new());
    // The board answers every reading with 1, which the tool detects.
    assert_eq!(said, Ok(false));
    let sent: Vec<_> = asked
        .iter()
        .filter(|line| line.starts_with("put "))
        .collect();
    let expected = lines(&record(), 24);
    assert!(
        sent.iter().map(|line| format!("{line}\r\n")).eq(expected),
        "{sent:?}"
    );
    assert!(asked.iter().all(|line| line.len() <= 64), "{asked:?}");
    assert!(asked.contains(&"read 101320.0".to_owned()), "{asked:?}");
    assert_eq!(asked.last().unwrap(), "save");

    let mut damaged = record();
    damaged[40] ^= 4;
    for (bytes, expected) in [
        (&damaged[..], "expected a record with checksum "),
        (&damaged[..50], "expected a record of "),
        (b"w,b\n1,2\n", "expected a record, which begins with `bgrd`"),
    ] {
        fs::write(&file, bytes).unwrap();
        let (said, asked) = talk(&["--put", file.to_str().unwrap()], 4, Vec::new());
        let said = said.unwrap_err();
        assert!(said.contains(&format!("sent.bin: {expected}")), "{said}");
        assert!(asked.is_empty(), "{asked:?}");
    }
}

#[test]
fn records_are_fetched_whole_or_not_at_all() {
    let file = path("fetched.bin");
    let fetch = |stored: Vec<String>, more: &[&str]| {
        let arguments = [&["--get", file.to_str().unwrap()], more].concat();
        talk(&arguments, 4, stored).0
    };
    for bytes in [24, 7] {
        let _ = fs::remove_file(&file);
        assert_eq!(fetch(lines(&record(), bytes), &[]), Ok(true));
        assert_eq!(fs::read(&file).unwrap(), record());
    }
    // An existing file is kept without `--force`.
    fs::write(&file, "mine").unwrap();
    let said = fetch(lines(&record(), 24), &[]).unwrap_err();
    assert!(
        said.ends_with("exists: write elsewhere, or replace it with --force"),
        "{said}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    // It is not replaced by an invalid record either.
    for lost in 0..lines(&record(), 24).len() {
        let mut some = lines(&record(), 24);
        some.remove(lost);
        assert!(fetch(some, &["--force"]).is_err(), "{lost}");
    }
    let flipped = lines(&record(), 24).join("").replacen('7', "6", 1);
    assert!(fetch(vec![flipped], &["--force"]).is_err());
    let said = fetch(vec!["put 0 bgrd\r\n".into()], &["--force"]).unwrap_err();
    assert_eq!(
        said,
        "expected the next bytes of a record, found put 0 bgrd"
    );
    assert!(fetch(Vec::new(), &["--force"]).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(fetch(lines(&record(), 24), &["--force"]), Ok(true));
    assert_eq!(fs::read(&file).unwrap(), record());
}

const LINE: &str = "1,10\n2,20\n3,30\n4,41\n";

#[test]
fn what_is_no_file_of_samples_is_told_before_the_board_is_talked_to() {
    let columns = ":2: expected a reading and its reference, found";
    let none = ": expected lines of a reading and its reference, found";
    let cases: &[(&[u8], &[&str], &str)] = &[
        (
            b"t,u,c\n1,2,3\n",
            &[],
            &format!("{columns} 3 columns in '1,2,3'"),
        ),
        (
            b"1 2\n1 2 3\n",
            &[],
            &format!("{columns} 3 columns in '1 2 3'"),
        ),
        (
            b"1;2\n1;2;3;4\n",
            &[],
            &format!("{columns} 4 columns in '1;2;3;4'"),
        ),
        (b"1,2\n17\n", &[], &format!("{columns} one column in '17'")),
        (
            b"1,2\n3,\n",
            &[],
            ":2: expected a finite number as reference, found ''",
        ),
        (
            b"1,2\n\n3,nan\n",
            &[],
            ":3: expected a finite number as reference, found 'nan'",
        ),
        (
            b"nan,2\n3,4\n",
            &[],
            ":1: expected a finite number as reading, found 'nan'",
        ),
        (
            b"nan,inf\n3,4\n",
            &[],
            ":1: expected a finite number as reading, found 'nan'",
        ),
        (
            b"1,2\ninf,4\n",
            &[],
            ":2: expected a finite number as reading, found 'inf'",
        ),
        (
            b"1,2\n-Infinity,4\n",
            &[],
            ":2: expected a finite number as reading, found '-Infinity'",
        ),
        (
            b"1,2\n1e39,4\n",
            &[],
            ":2: expected reading that f32 can hold, found '1e39'",
        ),
        (
            b"1,2\n3,four\n",
            &[],
            ":2: expected a finite number as reference, found 'four'",
        ),
        (
            b"x,y\nu,v\n1,2\n",
            &[],
            ":2: expected a finite number as reading, found 'u'",
        ),
        (
            b"1,2\nx,y\n",
            &[],
            ":2: expected a finite number as reading, found 'x'",
        ),
        (
            b"12,x\n3,4\n",
            &[],
            ":1: expected a finite number as reference, found 'x'",
        ),
        (
            b"0x10,0x20\n3,4\n",
            &[],
            ":1: expected a finite number as reading, found '0x10'",
        ),
        (
            b"1;2\n3,5;4\n",
            &[],
            ":2: expected a finite number as reading, found '3,5': write a point, not a comma",
        ),
        (b"", &[], &format!("{none} none")),
        (b"\n# nothing\n", &[], &format!("{none} none")),
        (
            b"reading,reference\n",
            &[],
            &format!("{none} only a heading in line 1"),
        ),
        (b"1,2\n\xff\xfe\n", &[], ": expected UTF-8 text"),
        (b"1,2\n", &[], ": expected at least 2 samples, found 1"),
        (
            b"1,2\n1,3\n1,4\n",
            &[],
            ": expected at least 2 readings that differ once scaled, found 1 in 3 samples",
        ),
        (
            b"0,2\n1e-45,3\n",
            &[],
            ": readings: expected values whose spread f32 holds, found one of ",
        ),
        (LINE.as_bytes(), &["linear", "sgd 3"], ": diverged, loss "),
        (
            LINE.as_bytes(),
            &["poly13"],
            "expected linear, poly:1 to poly:12, or mlp:<units> as model, found 'poly13'",
        ),
        (
            LINE.as_bytes(),
            &["mlp 65"],
            "expected linear, poly:1 to poly:12, or mlp:<units> as model, found 'mlp 65'",
        ),
        (
            LINE.as_bytes(),
            &["linear", "sgd nan"],
            "expected 'sgd <lr>' or 'adam <lr>' as optimizer, with a finite <lr> above 0, found 'sgd nan'",
        ),
        (
            LINE.as_bytes(),
            &["linear", "sgd"],
            "expected 'sgd <lr>' or 'adam <lr>' as optimizer, with a finite <lr> above 0, found 'sgd'",
        ),
        (
            LINE.as_bytes(),
            &["linear", "sgd 0.1", "0"],
            "expected 1 to 100000 epochs, found '0'",
        ),
        (
            LINE.as_bytes(),
            &["linear", "sgd 0.1", "many"],
            "expected 1 to 100000 epochs, found 'many'",
        ),
    ];
    for (text, choices, expected) in cases {
        let (said, asked) = run("wrong.csv", text, choices, 48);
        let said = said.unwrap_err();
        let text = String::from_utf8_lossy(text);
        let said = said.trim_start_matches("wrong.csv");
        assert!(said.starts_with(expected), "{text:?}: {said}");
        assert!(asked.is_empty(), "{text:?}: {asked:?}");
    }
}

#[test]
fn whatever_stands_between_the_columns_is_understood() {
    for (i, text) in [
        LINE,
        "reading,reference\n1,10\n2,20\n3,30\n4,41\n",
        "\u{feff}t_u;t_c\r\n1;10\r\n2;20\r\n3;30\r\n4;41\r\n",
        "# of numpy.savetxt\n1.0 10\n2 20.0\n\n  3   30 \n4e0 4.1e1",
        "t\tu\n1\t10\n2\t20\n3\t30\n4\t41",
        "1, 10\n2 ,20\n3,30\n+4,41.0\n",
        "\"mV\" \"pH\"\n1 10\n2 20\n3 30\n4 41\n",
    ]
    .into_iter()
    .enumerate()
    {
        let (said, asked) = run(&format!("right-{i}.csv"), text.as_bytes(), &[], 4);
        // The board gives other bits, which the tool detects, too.
        assert_eq!(said, Ok(false), "{text}");
        let sent: Vec<_> = asked
            .iter()
            .filter(|line| line.starts_with("add"))
            .collect();
        assert_eq!(
            sent,
            [
                "add 1.0 10.0",
                "add 2.0 20.0",
                "add 3.0 30.0",
                "add 4.0 41.0"
            ]
        );
        assert_eq!(asked.iter().filter(|line| *line == "clear").count(), 1);
    }
}

/// Numbers of many digits are sent in lines of at most 64 bytes, the board's limit.
#[test]
fn numbers_are_sent_in_short_lines() {
    let text = "1e-30,1e18\n1.17549435e-18,-2.5e17\n3e-9,1\n";
    let (said, asked) = run("digits.csv", text.as_bytes(), &[], 4);
    assert_eq!(said, Ok(false));
    assert!(asked.iter().all(|line| line.len() <= 64), "{asked:?}");
    assert!(asked.contains(&"add 1e-30 1e18".to_owned()), "{asked:?}");
}

#[test]
fn what_the_board_has_no_room_for_is_told_before_it_forgets_its_own() {
    let (said, asked) = run("many.csv", LINE.as_bytes(), &[], 3);
    assert_eq!(
        said.unwrap_err(),
        "many.csv: expected at most 3 samples, which this board has room for, found 4"
    );
    assert_eq!(asked, ["help me", "list all", "status"]);

    let ten: String = (0..10).map(|i| format!("{i} {}\n", i * i)).collect();
    let wide = ["mlp 8", "adam 0.01", "5"];
    let (said, asked) = run("wide.csv", ten.as_bytes(), &wide, 48);
    assert_eq!(
        said.unwrap_err(),
        "model mlp:8: expected a curve of at most 16 parameters, mlp:8 has 25"
    );
    assert!(!asked.contains(&"clear".to_owned()), "{asked:?}");
}

/// The method defaults to least squares, for a network to gradient descent, and is sent before the
/// samples.
#[test]
fn the_method_is_that_of_the_model_unless_it_is_said() {
    for (choices, expected) in [
        (&[][..], "method lm"),
        (&["poly:2"], "method lm"),
        (&["poly:2", "lm"], "method lm"),
        (&["power"], "method lm"),
        (&["linear", "sgd 0.1"], "optimizer sgd 0.1"),
        (&["mlp 2"], "optimizer sgd 0.1"),
        (&["mlp:2", "adam 0.01"], "optimizer adam 0.01"),
    ] {
        let (said, asked) = run("method.csv", LINE.as_bytes(), choices, 4);
        assert_eq!(said, Ok(false), "{choices:?}");
        let model = choices.first().unwrap_or(&"linear").replace(' ', ":");
        let model = asked
            .iter()
            .position(|line| *line == format!("model {model}"))
            .unwrap();
        assert_eq!(asked[model + 1], expected, "{choices:?}");
    }
    for (choices, expected) in [
        (
            ["mlp 2", "lm"],
            "expected 'sgd <lr>' or 'adam <lr>' for mlp:2, found 'lm'",
        ),
        (["exp", "sgd 0.1"], "expected lm for exp, found 'sgd 0.1'"),
        (
            ["linear", "lm 0.1"],
            "expected 'sgd <lr>' or 'adam <lr>' as optimizer, with a finite <lr> above 0, found 'lm 0.1'; lm takes none",
        ),
    ] {
        let (said, asked) = run("method.csv", LINE.as_bytes(), &choices, 4);
        assert_eq!(said.unwrap_err(), expected);
        assert!(asked.is_empty(), "{asked:?}");
    }
}
