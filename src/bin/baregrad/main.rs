//! The command-line tool, which fits calibrations, and talks to boards that fit them.
//!
//! ```text
//! cargo install --path . --features cli
//! baregrad --help
//! ```
//!
//! An error is printed as one line on standard error. The exit status is 0 on success; 2
//! if the command line is wrong, a fit fails, or standard output cannot be written; 1 if a
//! board cannot be calibrated, or its bits differ from those of the desktop. If standard output is a pipe that was closed, by
//! `head` for example, the rest of the output is dropped, and the files are still written.

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
// Reports a missing command as an error, like any other, instead of printing a page of help.
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
        // Help is not an error, and has more than one line.
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

/// Prints a line. Ends the program with an error if that fails, except for a closed pipe, whose
/// reader needs no more output.
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

/// The part of clap's message that tells the error, on one line.
fn first_paragraph(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
