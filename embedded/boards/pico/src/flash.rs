//! The last sectors of the Pico's flash chip. The program runs from the same chip, which cannot
//! be read while it is written, so writing and erasing disable interrupts.

use cortex_m::interrupt;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::mapped;
use rp2040_flash::flash::{flash_range_erase, flash_range_program};

pub(crate) struct Flash;

/// Bytes that the chip writes at a time. To write a part of a page, the rest is filled with ones,
/// which do not change flash.
const PAGE: usize = 256;

impl Flash {
    /// The address at which the chip is mapped into memory.
    const MAPPED: usize = 0x1000_0000;
    /// The offset of the sectors in the chip.
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
        // SAFETY: `check_read` keeps this within the sectors, which the linker leaves free.
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
        // SAFETY: `check_erase` keeps this within the sectors. Interrupts are off, and the other
        // core was never started, so nothing reads the chip.
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
            // SAFETY: as above, and `page` is in RAM.
            interrupt::free(|_| unsafe { flash_range_program(at, &page, true) });
        }
        Ok(())
    }
}
