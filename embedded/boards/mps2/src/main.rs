//! The calibrator on QEMU's mps2-an386, a Cortex-M4F with RAM only. A part of the RAM stands in
//! for flash, and is lost when the emulator ends, unless it was told to save that memory.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::{Ticks, mapped};

const RAM: Range<usize> = 0x2000_0000..0x2040_0000;
/// The same number as on the micro:bit, so that both boards give the same answers.
const SAMPLES: usize = 48;

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    let ticks = cortex_m::Peripherals::take().map(|core| Ticks::new(core.SYST));
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(Mps2::new(ticks), &mut memory).run()
}

struct Mps2 {
    flash: Pages,
    ticks: Option<Ticks>,
}

/// UART 0, a CMSDK APB UART.
mod uart {
    pub(super) const DATA: *mut u32 = 0x4000_4000 as *mut u32;
    /// Bit 0: transmitter full, 1: receiver full, 3: receiver overrun.
    pub(super) const STATE: *mut u32 = 0x4000_4004 as *mut u32;
    /// Bit 0: transmit, 1: receive.
    pub(super) const CONTROL: *mut u32 = 0x4000_4008 as *mut u32;
    pub(super) const DIVIDER: *mut u32 = 0x4000_4010 as *mut u32;
}

impl Mps2 {
    fn new(ticks: Option<Ticks>) -> Self {
        // SAFETY: these are registers of the UART, which nothing else uses. Its clock has 25 MHz.
        unsafe {
            uart::DIVIDER.write_volatile(25_000_000 / 115_200);
            uart::CONTROL.write_volatile(0b11);
        }
        Mps2 {
            flash: Pages,
            ticks,
        }
    }

    fn uart_state(&self, bit: u32) -> bool {
        // SAFETY: reading this register changes nothing.
        unsafe { uart::STATE.read_volatile() & (1 << bit) != 0 }
    }
}

impl Board for Mps2 {
    const NAME: &'static str = "mps2-an386";
    const PAGES: Range<u32> = 0..Pages::SIZE as u32;
    type Flash = Pages;

    fn flash(&mut self) -> &mut Pages {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        if !self.uart_state(1) {
            return None;
        }
        // SAFETY: reading the byte that is there makes room for the next. Writing the bit of an
        // overrun clears it.
        unsafe {
            let byte = uart::DATA.read_volatile() as u8;
            if self.uart_state(3) {
                uart::STATE.write_volatile(1 << 3);
                return Some(Err(Damaged));
            }
            Some(Ok(byte))
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while self.uart_state(0) {}
            // SAFETY: there is room for a byte.
            unsafe { uart::DATA.write_volatile(u32::from(*byte)) };
        }
    }

    fn sense(&mut self) -> Option<f32> {
        None
    }

    fn ticks(&mut self) -> (u64, &'static str) {
        self.ticks.as_ref().map_or((0, "ticks"), Ticks::now)
    }

    fn ram(&self) -> Option<Ram> {
        Some(Ram {
            used: firmware::stack::used(),
            total: RAM.len(),
        })
    }
}

/// RAM that behaves like flash: erasing sets the bits of pages, writing only clears bits.
struct Pages;

impl Pages {
    const START: usize = 0x0040_0000 - Self::SIZE;
    const SIZE: usize = 3 * Self::ERASE_SIZE;

    /// Returns a pointer to a byte of the pages.
    fn at(&self, offset: u32) -> *mut u8 {
        mapped::at(Self::START + offset as usize)
    }
}

impl ErrorType for Pages {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Pages {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        // SAFETY: `check_read` keeps this within the pages, which the linker leaves free.
        unsafe { mapped::read(Self::START + offset as usize, bytes) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::SIZE
    }
}

impl NorFlash for Pages {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for at in from..to {
            // SAFETY: `check_erase` keeps this within the pages.
            unsafe { self.at(at).write_volatile(0xff) };
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        for (at, byte) in (offset..).zip(bytes) {
            let at = self.at(at);
            // SAFETY: `check_write` keeps this within the pages.
            unsafe { at.write_volatile(at.read_volatile() & byte) };
        }
        Ok(())
    }
}
