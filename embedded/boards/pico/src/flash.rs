//! The last sectors of the Pico's flash chip, from which the program runs, too:
//! while it is written, nothing may be read.

use cortex_m::interrupt;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::mapped;
use rp2040_flash::flash::{flash_range_erase, flash_range_program};

pub(crate) struct Flash;

/// Bytes that the chip writes at a time. A part of a page is written with ones for the
/// rest, which change nothing.
const PAGE: usize = 256;

impl Flash {
    /// Where the chip is seen in memory.
    const MAPPED: usize = 0x1000_0000;
    /// From the start of the chip.
    const START: u32 = 2 * 1024 * 1024 - Self::SIZE as u32;
    pub(crate) const SIZE: usize = 3 * Self::ERASE_SIZE;
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let address = Self::MAPPED + (Self::START + offset) as usize;
        // SAFETY: within the sectors, as checked, which the linker leaves free.
        unsafe { mapped::read(address, bytes) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        // SAFETY: our sectors; no interrupts, and the other core was never
        // started.
        interrupt::free(|_| unsafe { flash_range_erase(Self::START + from, to - from, true) });
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let start = offset as usize + done;
            let mut page = [0xff; PAGE];
            let free = page.iter_mut().skip(start % PAGE);
            for (to, byte) in free.zip(rest) {
                *to = *byte;
                done += 1;
            }
            let at = Self::START + (start - start % PAGE) as u32;
            // SAFETY: as above; the page is in RAM.
            interrupt::free(|_| unsafe { flash_range_program(at, &page, true) });
        }
        Ok(())
    }
}
