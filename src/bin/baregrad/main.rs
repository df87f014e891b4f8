//! The command-line tool: fits calibrations, and talks to boards that do.
//!
//! ```text
//! cargo install --path . --features cli
//! baregrad --help
//! ```
//!
//! Errors are one line on standard error. The status is 0 if all went well; 2 if the
//! command line is wrong or a fit fails; 1 if a board cannot be calibrated, or has other
//! bits than the desktop. Output into a pipe that was closed, by `head` say, is dropped, and the
//! work goes on: the files are written.

/// Prints a line to standard output, where `println!` would panic if that is closed or full.
macro_rules! say {
    ($($text:tt)*) => { crate::print_line(format_args!($($text)*)) };
}

mod board;
mod fit;

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::process::{self, ExitCode};

use clap::Parser;

/// Calibrates sensors: on this computer, from a file, or on a board.
#[derive(Parser)]
// A missing command is an error like any other, and no reason for a page of help.
#[command(version, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Fit(fit::Args),
    Board(board::Args),
}

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        // Help is no mistake, and has more than one line.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            eprintln!("error: {}", first_paragraph(&error.to_string()));
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Fit(args) => match fit::run(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        },
        Command::Board(args) => match board::run(&args) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Prints a line, and ends the program with an error if it cannot. A closed pipe is no error:
/// its reader has seen enough.
fn print_line(text: fmt::Arguments<'_>) {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("error: standard output: {error}");
            process::exit(2);
        }
    }
}

/// The part of clap's message that says what is wrong, on one line.
fn first_paragraph(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
