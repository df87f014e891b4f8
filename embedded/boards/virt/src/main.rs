//! The calibrator on QEMU's RISC-V board `virt`, rv32imac. It saves to the board's second flash,
//! whose content QEMU keeps in the file that it was given for it.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use firmware::Ticks;
// This is linked for its critical section.
use riscv as _;

mod flash;

use flash::Flash;

const RAM: Range<usize> = 0x8000_0000..0x8040_0000;
const SAMPLES: usize = 256;

#[riscv_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    let board = Virt {
        flash: Flash,
        ticks: Ticks::new(),
    };
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(board, &mut memory).run()
}

struct Virt {
    flash: Flash,
    ticks: Ticks,
}

/// A 16550 UART, which QEMU has set up already.
mod uart {
    pub(super) const DATA: *mut u8 = 0x1000_0000 as *mut u8;
    /// Bit 0: a byte has come, 1: overrun, 2: parity, 3: framing, 5: room to send.
    pub(super) const STATUS: *mut u8 = 0x1000_0005 as *mut u8;
}

impl Board for Virt {
    const NAME: &'static str = "virt";
    const PAGES: Range<u32> = 0..Flash::SIZE as u32;
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        // SAFETY: these are registers of the UART, which nothing else uses.
        let status = unsafe { uart::STATUS.read_volatile() };
        if status & 1 == 0 {
            return None;
        }
        // SAFETY: as above.
        let byte = unsafe { uart::DATA.read_volatile() };
        Some(if status & 0b1110 == 0 {
            Ok(byte)
        } else {
            Err(Damaged)
        })
    }

    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // SAFETY: as above.
            unsafe {
                while uart::STATUS.read_volatile() & (1 << 5) == 0 {}
                uart::DATA.write_volatile(*byte);
            }
        }
    }

    fn sense(&mut self) -> Option<f32> {
        None
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
