//! The calibrator on the BBC micro:bit v2: nRF52833, Cortex-M4F, 128 KiB RAM. The
//! serial line is that of its USB socket.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::fit::FLOATS;
use calibrator::{Board, Calibrator, Damaged, Memory, Ram};
use firmware::Ticks;
use nrf_hal_common::nvmc::Nvmc;
use nrf_hal_common::pac::{NVMC, Peripherals, UART0};
use nrf_hal_common::temp::Temp;

const RAM: Range<usize> = 0x2000_0000..0x2002_0000;
/// The last three pages of the flash, which the linker leaves free.
const PAGES: usize = 3 * 4096;
const FLASH_END: usize = 512 * 1024;
const SAMPLES: usize = 512;

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    // Both are taken once, here.
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), Peripherals::take()) else {
        cortex_m::peripheral::SCB::sys_reset()
    };
    let pages = core::ptr::with_exposed_provenance_mut(FLASH_END - PAGES);
    // SAFETY: nothing else refers to these pages.
    let pages = unsafe { core::slice::from_raw_parts_mut(pages, PAGES) };
    let board = Microbit {
        uart: start_uart(chip.UART0),
        flash: Nvmc::new(chip.NVMC, pages),
        temperature: Temp::new(chip.TEMP),
        ticks: Ticks::new(core.SYST),
    };
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(board, &mut memory).run()
}

struct Microbit {
    uart: UART0,
    flash: Nvmc<NVMC>,
    temperature: Temp,
    ticks: Ticks,
}

/// 115200 8N1 on the pins that lead to USB. The plain UART and not the HAL's
/// UARTE, which receives blocks of a length known beforehand.
fn start_uart(uart: UART0) -> UART0 {
    const TXD: u32 = 6; // P0.06
    const RXD: u32 = 32 + 8; // P1.08
    // SAFETY: pins of this board that nothing else uses, and values that the
    // reference manual has.
    unsafe {
        uart.psel.txd.write(|w| w.bits(TXD));
        uart.psel.rxd.write(|w| w.bits(RXD));
        uart.baudrate.write(|w| w.baudrate().baud115200());
        uart.enable.write(|w| w.enable().enabled());
        uart.tasks_starttx.write(|w| w.bits(1));
        uart.tasks_startrx.write(|w| w.bits(1));
    }
    uart
}

impl Board for Microbit {
    const NAME: &'static str = "micro:bit v2";
    const PAGES: Range<u32> = 0..PAGES as u32;
    type Flash = Nvmc<NVMC>;

    fn flash(&mut self) -> &mut Nvmc<NVMC> {
        &mut self.flash
    }

    fn receive(&mut self) -> Result<u8, Damaged> {
        while self.uart.events_rxdrdy.read().bits() == 0 {}
        self.uart.events_rxdrdy.reset();
        let byte = self.uart.rxd.read().rxd().bits();
        let errors = self.uart.errorsrc.read().bits();
        if errors != 0 {
            // SAFETY: ones clear what they stand for.
            self.uart.errorsrc.write(|w| unsafe { w.bits(errors) });
            return Err(Damaged);
        }
        Ok(byte)
    }

    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.uart.txd.write(|w| w.txd().variant(*byte));
            while self.uart.events_txdrdy.read().bits() == 0 {}
            self.uart.events_txdrdy.reset();
        }
    }

    /// The chip's temperature in °C.
    fn sense(&mut self) -> Option<f32> {
        const PATIENCE: u32 = 10_000; // 36 µs are usual
        self.temperature.stop_measurement();
        self.temperature.start_measurement();
        let mut tries = 0..PATIENCE;
        tries.find_map(|_| Some(self.temperature.read().ok()?.to_num()))
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
