//! The line to a board: lines go there, and answers come back.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A serial line, or what an emulator has in its place.
trait Line: Read + Write {}
impl<T: Read + Write> Line for T {}

/// A board that runs the calibrator.
pub(super) struct Board(BufReader<Box<dyn Line>>);

impl Board {
    pub(super) fn open(port: &str) -> Result<Self, Box<dyn Error>> {
        // A long fit on a small board takes its time.
        let patience = Duration::from_secs(300);
        let line: Box<dyn Line> = match port.split_once(':') {
            #[cfg(unix)]
            Some(("unix", path)) => {
                let socket = std::os::unix::net::UnixStream::connect(path)?;
                socket.set_read_timeout(Some(patience))?;
                Box::new(socket)
            }
            Some(("tcp", address)) => {
                let socket = TcpStream::connect(address)?;
                socket.set_read_timeout(Some(patience))?;
                Box::new(socket)
            }
            _ => Box::new(serialport::new(port, 115_200).timeout(patience).open()?),
        };
        let mut board = Board(BufReader::new(line));
        // The board may be saying something, or have half heard a line: wait until it answers.
        // These change nothing there.
        let expected = |what: &str| Err(format!("expected {what}"));
        writeln!(board.0.get_mut(), "\nhelp me")?;
        while board.answer()? != expected("help") {
            writeln!(board.0.get_mut(), "help me")?;
        }
        // It may have been asked more than once.
        writeln!(board.0.get_mut(), "list all")?;
        while board.answer()? != expected("list") {}
        Ok(board)
    }

    /// How many samples it has room for.
    pub(super) fn capacity(&mut self) -> Result<usize, Box<dyn Error>> {
        let status = self.ask("status")?;
        let mut lines = status.lines().filter_map(|line| {
            let (_, capacity) = line.strip_prefix("samples ")?.split_once(" of ")?;
            capacity.parse().ok()
        });
        let found = lines.next();
        found.ok_or_else(|| format!("expected 'samples <n> of <room>', found {status:?}").into())
    }

    /// Its answer to a line, unless that is an error.
    pub(super) fn ask(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.0.get_mut(), "{line}")?;
        let answer = self.answer()?;
        answer.map_err(|error| format!("{line}: {error}").into())
    }

    /// Lines up to the one that ends an answer, or what that one calls an error.
    fn answer(&mut self) -> io::Result<Result<String, String>> {
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if let Some(error) = line.strip_prefix("error: ") {
                return Ok(Err(error.into()));
            }
            answer += &format!("{line}\n");
            if line == "ok" || line.starts_with("ok ") {
                return Ok(Ok(answer));
            }
        }
    }
}
