//! The second flash of `virt`: two 16-bit chips side by side that understand Intel's commands
//! (Common Flash Interface, command set 0001).

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::mapped;

pub(crate) struct Flash;

// Commands, each for both chips at once.
const READ: u32 = 0x00ff_00ff;
const PROGRAM: u32 = 0x0040_0040;
const ERASE: u32 = 0x0020_0020;
const CONFIRM: u32 = 0x00d0_00d0;
const CLEAR_STATUS: u32 = 0x0050_0050;
// Bits of the status of both chips: done, and any error.
const DONE: u32 = 0x0080_0080;
const FAILED: u32 = 0x007e_007e;

impl Flash {
    const START: usize = 0x2200_0000;
    pub(crate) const SIZE: usize = 3 * Self::ERASE_SIZE;

    fn command(&self, offset: u32, words: [u32; 2]) -> Result<(), NorFlashErrorKind> {
        let at = mapped::at(Self::START + offset as usize).cast::<u32>();
        // SAFETY: `at` is an aligned word of the chips, which nothing else uses.
        let status = unsafe {
            for word in words {
                at.write_volatile(word);
            }
            loop {
                let status = at.read_volatile();
                if status & DONE == DONE {
                    break status;
                }
            }
        };
        // SAFETY: as above.
        unsafe {
            at.write_volatile(CLEAR_STATUS);
            at.write_volatile(READ);
        }
        if status & FAILED == 0 {
            Ok(())
        } else {
            Err(NorFlashErrorKind::Other)
        }
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        // SAFETY: `check_read` keeps this within the chips.
        unsafe { mapped::read(Self::START + offset as usize, bytes) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 256 * 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        let mut blocks = (from..to).step_by(Self::ERASE_SIZE);
        blocks.try_for_each(|block| self.command(block, [ERASE, CONFIRM]))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let (words, _) = bytes.as_chunks();
        let mut words = (offset..).step_by(Self::WRITE_SIZE).zip(words);
        words.try_for_each(|(at, word)| self.command(at, [PROGRAM, u32::from_le_bytes(*word)]))
    }
}
