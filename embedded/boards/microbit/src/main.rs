//! The calibrator on the BBC micro:bit (v1): nRF51822, Cortex-M0, 16 KiB RAM.
//! The serial line is that of its USB socket.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::fit::FLOATS;
use calibrator::{Board, Calibrator, Damaged, Memory, Ram};
use firmware::Ticks;
use nrf51_hal::pac::{Peripherals, UART0};
use nrf51_hal::temp::Temp;

mod flash;

use flash::Flash;

const RAM: Range<usize> = 0x2000_0000..0x2000_4000;
const SAMPLES: usize = 48;

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    // Both are taken once, here.
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), Peripherals::take()) else {
        cortex_m::peripheral::SCB::sys_reset()
    };
    let board = Microbit {
        uart: start_uart(chip.UART0),
        flash: Flash::new(chip.NVMC),
        temperature: Temp::new(chip.TEMP),
        ticks: Ticks::new(core.SYST),
    };
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(board, &mut memory).run()
}

struct Microbit {
    uart: UART0,
    flash: Flash,
    temperature: Temp,
    ticks: Ticks,
}

/// 115200 8N1 on the pins that lead to USB. Registers by hand: the HAL's driver
/// does not tell when bytes were lost.
fn start_uart(uart: UART0) -> UART0 {
    const TXD: u32 = 24;
    const RXD: u32 = 25;
    // SAFETY: pins of this board that nothing else uses, and values that the
    // reference manual has.
    unsafe {
        uart.pseltxd.write(|w| w.bits(TXD));
        uart.pselrxd.write(|w| w.bits(RXD));
        uart.baudrate.write(|w| w.baudrate().baud115200());
        uart.enable.write(|w| w.enable().enabled());
        uart.tasks_starttx.write(|w| w.bits(1));
        uart.tasks_startrx.write(|w| w.bits(1));
    }
    uart
}

impl Board for Microbit {
    const NAME: &'static str = "micro:bit v1";
    const PAGES: Range<u32> = 0..Flash::SIZE as u32;
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
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

    /// The chip's temperature in °C. QEMU has no such sensor: it would never
    /// answer.
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
