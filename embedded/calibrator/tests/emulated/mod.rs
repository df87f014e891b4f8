//! A board in QEMU, with its serial line and power cuts.

#![allow(unreachable_pub)]

use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The longest time for an answer: QEMU polls the serial line rarely, and a Cortex-M0 without
/// floating point is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// The way in which a board's flash outlives QEMU.
#[derive(Clone, Debug)]
pub enum Flash {
    /// QEMU loses it. [`Board::power_down`] saves this range of memory, and
    /// [`Machine::power_up`] loads it again.
    Memory(Range<usize>),
    /// QEMU keeps it in a file of this many bytes.
    File(usize),
    /// QEMU has no flash, and ignores the firmware's writes.
    None,
}

/// A board that QEMU emulates.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The name of the board, as in `calibrator-<name>`.
    pub name: &'static str,
    /// QEMU's program.
    pub qemu: &'static str,
    /// QEMU's arguments that select the machine.
    pub machine: &'static [&'static str],
    pub flash: Flash,
}

impl Machine {
    /// Returns the firmware that `calibrator.sh` has built, or `None` if that script did not
    /// start this test.
    pub fn firmware(&self) -> Option<PathBuf> {
        let firmware = std::env::var_os("CALIBRATOR_FIRMWARE")?;
        Some(Path::new(&firmware).join(format!("calibrator-{}", self.name)))
    }

    /// Returns the path of the file that holds the board's flash while it has no power.
    fn image(&self) -> PathBuf {
        scratch(&format!("{}.flash", self.name))
    }

    /// Fills the flash with a byte.
    pub fn fill(&self, byte: u8) {
        let size = match &self.flash {
            Flash::Memory(range) => range.len(),
            Flash::File(size) => *size,
            Flash::None => return,
        };
        std::fs::write(self.image(), vec![byte; size]).expect("a flash image");
    }

    /// Starts the board, with the flash of the last [`Board::power_down`].
    pub fn power_up(&self) -> Board {
        let firmware = self.firmware().expect("started by the script");
        // QEMU connects to this test's sockets, so that no output is lost.
        let (serial, monitor) = (
            scratch(&format!("{}.serial", self.name)),
            scratch(&format!("{}.monitor", self.name)),
        );
        let [listener, monitors] = [&serial, &monitor].map(|path| {
            let _ = std::fs::remove_file(path);
            UnixListener::bind(path).expect("a socket")
        });
        let mut qemu = Command::new(self.qemu);
        qemu.args(["-display", "none", "-monitor", "none"]);
        qemu.args(self.machine);
        qemu.arg("-serial")
            .arg(format!("unix:{}", serial.display()));
        qemu.arg("-qmp").arg(format!("unix:{}", monitor.display()));
        // `virt` with a flash takes no `-kernel`, so the firmware is loaded by a device.
        match &self.flash {
            Flash::File(_) => {
                qemu.arg("-device")
                    .arg(format!("loader,file={}", firmware.display()));
                qemu.arg("-drive").arg(format!(
                    "if=pflash,unit=1,format=raw,file={}",
                    self.image().display()
                ));
            }
            Flash::Memory(range) => {
                qemu.arg("-kernel").arg(&firmware);
                qemu.arg("-device").arg(format!(
                    "loader,file={},addr={:#x},force-raw=on",
                    self.image().display(),
                    range.start
                ));
            }
            Flash::None => {
                qemu.arg("-kernel").arg(&firmware);
            }
        }
        let mut qemu = qemu.stdin(Stdio::null()).spawn().expect("QEMU starts");
        let [line, monitor] = [listener, monitors].map(|socket| accept(&socket, &mut qemu));
        Board {
            machine: self.clone(),
            qemu,
            monitor: Monitor::greet(monitor),
            line,
        }
    }
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Waits for QEMU's connection.
fn accept(socket: &UnixListener, qemu: &mut Child) -> BufReader<UnixStream> {
    socket.set_nonblocking(true).expect("a socket");
    loop {
        if let Ok((stream, _)) = socket.accept() {
            stream.set_nonblocking(false).expect("a socket");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            return BufReader::new(stream);
        }
        if let Ok(Some(status)) = qemu.try_wait() {
            panic!("QEMU: {status}");
        }
        sleep(Duration::from_millis(5));
    }
}

/// A board with power.
pub struct Board {
    machine: Machine,
    qemu: Child,
    monitor: Monitor,
    line: BufReader<UnixStream>,
}

impl Board {
    /// Returns the board's output up to and including the line that ends an answer.
    pub fn answer(&mut self) -> String {
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            match self.line.read_line(&mut line) {
                Ok(0) => panic!("QEMU ended after {answer:?}"),
                Ok(_) => {}
                Err(error) => panic!("{error} after {answer:?}{line:?}"),
            }
            let line = line.trim_end();
            answer.push_str(line);
            answer.push('\n');
            if line == "ok" || line.starts_with("ok ") || line.starts_with("error: ") {
                return answer;
            }
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.line
            .get_mut()
            .write_all(bytes)
            .expect("QEMU takes bytes");
    }

    /// Sends a line, and returns the answer.
    pub fn line(&mut self, line: &str) -> String {
        self.send(format!("{line}\n").as_bytes());
        self.answer()
    }

    /// Cuts the power. The flash stays as it is.
    pub fn power_down(mut self) {
        if let Flash::Memory(range) = &self.machine.flash {
            // The processor stops here.
            self.monitor.command(r#"{"execute":"stop"}"#);
            self.monitor.command(&format!(
                r#"{{"execute":"memsave","arguments":{{"val":{},"size":{},"filename":"{}","cpu-index":0}}}}"#,
                range.start,
                range.len(),
                self.machine.image().display()
            ));
        }
        self.end();
    }

    fn end(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.end();
    }
}

/// QEMU's machine protocol: a line of JSON each way.
struct Monitor(BufReader<UnixStream>);

impl Monitor {
    fn greet(connection: BufReader<UnixStream>) -> Self {
        let mut monitor = Monitor(connection);
        let mut greeting = String::new();
        monitor.0.read_line(&mut greeting).expect("QEMU greets");
        monitor.command(r#"{"execute":"qmp_capabilities"}"#);
        monitor
    }

    fn command(&mut self, command: &str) {
        writeln!(self.0.get_mut(), "{command}").expect("QEMU takes commands");
        loop {
            let mut answer = String::new();
            let len = self.0.read_line(&mut answer).expect("QEMU answers");
            // QEMU also sends events, which are skipped.
            if answer.starts_with(r#"{"return""#) {
                return;
            }
            assert!(
                len > 0 && !answer.starts_with(r#"{"error""#),
                "{command}: {answer}"
            );
        }
    }
}
