//! The calibrator on the BBC micro:bit v2: nRF52833, Cortex-M4F, 128 KiB RAM. The
//! serial line is in its USB socket.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use firmware::Ticks;
use nrf::nvmc::Nvmc;
use nrf::pac::{NVMC, Peripherals};
use nrf::{Serial, Thermometer};

const RAM: Range<usize> = 0x2000_0000..0x2002_0000;
/// The last three pages of the flash, which the linker leaves free.
const PAGES: usize = 3 * 4096;
const FLASH_END: usize = 512 * 1024;
/// Pins that lead to USB: P0.06 and P1.08.
const TXD: u32 = 6;
const RXD: u32 = 32 + 8;
const SAMPLES: usize = 512;

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    // `take` fails only if it was called before.
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), Peripherals::take()) else {
        cortex_m::peripheral::SCB::sys_reset()
    };
    let pages = core::ptr::with_exposed_provenance_mut(FLASH_END - PAGES);
    // SAFETY: nothing else refers to these pages.
    let pages = unsafe { core::slice::from_raw_parts_mut(pages, PAGES) };
    let board = Microbit {
        serial: Serial::new(chip.UART0, TXD, RXD),
        flash: Nvmc::new(chip.NVMC, pages),
        thermometer: Thermometer::new(chip.TEMP),
        ticks: Ticks::new(core.SYST),
    };
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(board, &mut memory).run()
}

struct Microbit {
    serial: Serial,
    flash: Nvmc<NVMC>,
    thermometer: Thermometer,
    ticks: Ticks,
}

impl Board for Microbit {
    const NAME: &'static str = "micro:bit v2";
    const PAGES: Range<u32> = 0..PAGES as u32;
    type Flash = Nvmc<NVMC>;

    fn flash(&mut self) -> &mut Nvmc<NVMC> {
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
