//! Tests of the tool's help, and of wrong command lines.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Runs the tool. Returns its status, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baregrad"));
    let output = command.args(arguments).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, error)
}

#[test]
fn help_names_the_commands_and_what_they_take() {
    let cases: [(&[&str], &[&str]); 4] = [
        (&["--help"], &["fit", "board", "Usage: baregrad <COMMAND>"]),
        (&["help", "fit"], &["Usage: baregrad fit [OPTIONS] --x"]),
        (
            &["board", "--help"],
            &[
                "<PORT> [SAMPLES.CSV] [MODEL] [OPTIMIZER] [EPOCHS]",
                "unix:<PATH>",
            ],
        ),
        // `--help` at a place where any other word, even with a hyphen, would be a model.
        (
            &["board", "COM3", "samples.csv", "--help"],
            &["unix:<PATH>"],
        ),
    ];
    for (arguments, expected) in cases {
        let (status, out, error) = run(arguments);
        assert_eq!((status, &*error), (Some(0), ""), "{arguments:?}");
        for text in expected {
            assert!(out.contains(text), "{arguments:?}: {text} in {out}");
        }
    }
    let version = format!("baregrad {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), version, String::new()));
}

#[test]
fn a_wrong_command_line_is_one_line_and_code_2() {
    let cases: [(&[&str], &str); 5] = [
        (
            &[],
            "error: 'baregrad' requires a subcommand but one was not provided",
        ),
        (&["frob"], "error: unrecognized subcommand 'frob'"),
        (
            &["fit"],
            "error: the following required arguments were not provided: --x <COLUMN> --y <COLUMN> <DATA>\n",
        ),
        (
            &["board", "COM3"],
            "error: the following required arguments were not provided: <SAMPLES.CSV>\n",
        ),
        (
            &[
                "board",
                "COM3",
                "samples.csv",
                "linear",
                "sgd 0.1",
                "500",
                "more",
            ],
            "error: unexpected argument 'more' found\n",
        ),
    ];
    for (arguments, expected) in cases {
        let (status, out, error) = run(arguments);
        assert_eq!((status, &*out), (Some(2), ""), "{arguments:?}");
        assert!(error.starts_with(expected), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
