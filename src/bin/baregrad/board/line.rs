//! The connection to a board, which takes commands line by line and answers them.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The bytes of a record sent in one line: a board takes lines of up to 64 characters.
const BYTES_A_LINE: usize = 24;

/// A serial line, or the socket of an emulator.
trait Line: Read + Write {}
impl<T: Read + Write> Line for T {}

/// A board that runs the calibrator.
pub(super) struct Board(BufReader<Box<dyn Line>>);

impl Board {
    pub(super) fn open(port: &str) -> Result<Self, Box<dyn Error>> {
        // The timeout is long, because a fit of many epochs takes a small board minutes.
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
        // The board may be in the middle of an answer or of a line, so this sends commands until
        // the board answers with their errors. They change nothing on the board.
        let expected = |what: &str| Err(format!("expected {what}"));
        writeln!(board.0.get_mut(), "\nhelp me")?;
        while board.answer()? != expected("help") {
            writeln!(board.0.get_mut(), "help me")?;
        }
        // The board may answer several `help me`: skips these answers.
        writeln!(board.0.get_mut(), "list all")?;
        while board.answer()? != expected("list") {}
        Ok(board)
    }

    /// The number of samples for which the board has room.
    pub(super) fn capacity(&mut self) -> Result<usize, Box<dyn Error>> {
        let status = self.ask("status")?;
        let mut lines = status.lines().filter_map(|line| {
            let (_, capacity) = line.strip_prefix("samples ")?.split_once(" of ")?;
            capacity.parse().ok()
        });
        let found = lines.next();
        found.ok_or_else(|| format!("expected 'samples <n> of <room>', found {status:?}").into())
    }

    /// Sends a line, and returns the answer, or the board's error.
    pub(super) fn ask(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.0.get_mut(), "{line}")?;
        let answer = self.answer()?;
        answer.map_err(|error| format!("{line}: {error}").into())
    }

    /// Sends the record of a calibration, which the board uses from then on.
    pub(super) fn put(&mut self, record: &[u8]) -> Result<(), Box<dyn Error>> {
        for (i, chunk) in record.chunks(BYTES_A_LINE).enumerate() {
            let hex: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            self.ask(&format!("put {} {hex}", i * BYTES_A_LINE))?;
        }
        Ok(())
    }

    /// The record of the calibration that the board uses.
    pub(super) fn get(&mut self) -> Result<Vec<u8>, Box<dyn Error>> {
        let answer = self.ask("get")?;
        let mut record = Vec::new();
        for line in answer.lines() {
            let Some((offset, hex)) = line.strip_prefix("put ").and_then(|l| l.split_once(' '))
            else {
                continue;
            };
            let in_order = offset.parse() == Ok(record.len());
            let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
            match digits {
                Some(digits) if in_order && digits.len() % 2 == 0 => {
                    let pairs = digits.as_chunks::<2>().0;
                    record.extend(pairs.iter().map(|[high, low]| (16 * high + low) as u8));
                }
                _ => {
                    return Err(format!("expected the next bytes of a record, found {line}").into());
                }
            }
        }
        Ok(record)
    }

    /// Reads lines up to the last one of an answer; the inner error is the board's error
    /// message.
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
