//! The calibrator on the BBC micro:bit (v1): nRF51822, Cortex-M0, 16 KiB RAM.
//! The serial line is in its USB socket.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use firmware::Ticks;
use nrf::pac::Peripherals;
use nrf::{Serial, Thermometer};

mod flash;

use flash::Flash;

const RAM: Range<usize> = 0x2000_0000..0x2000_4000;
/// Pins that lead to USB.
const TXD: u32 = 24;
const RXD: u32 = 25;
const SAMPLES: usize = 48;

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    // `take` fails only if it was called before.
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), Peripherals::take()) else {
        cortex_m::peripheral::SCB::sys_reset()
    };
    let board = Microbit {
        serial: Serial::new(chip.UART0, TXD, RXD),
        flash: Flash::new(chip.NVMC),
        thermometer: Thermometer::new(chip.TEMP),
        ticks: Ticks::new(core.SYST),
    };
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(board, &mut memory).run()
}

struct Microbit {
    serial: Serial,
    flash: Flash,
    thermometer: Thermometer,
    ticks: Ticks,
}

impl Board for Microbit {
    const NAME: &'static str = "micro:bit v1";
    const PAGES: Range<u32> = 0..Flash::SIZE as u32;
    type Flash = Flash;
    const SOLVED: usize = 4;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        self.serial.receive()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.serial.send(bytes);
    }

    /// The chip's temperature in °C.
    fn sense(&mut self) -> Option<f32> {
        self.thermometer.read()
    }

    fn ticks(&mut self) -> (u64, &'static str) {
        self.ticks.now()
    }

    fn ram(&self) -> Option<Ram> {
        Some(Ram {
            used: firmware::stack::used(),
            total: RAM.len(),
        })
    }
}
