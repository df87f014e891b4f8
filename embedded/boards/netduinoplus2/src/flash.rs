//! Sectors 1 to 3 of the STM32F405's flash, 16 KiB each. Later sectors have up to 128 KiB, which
//! take seconds to erase.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::mapped;
use stm32f4xx_hal::flash::FlashExt;
use stm32f4xx_hal::pac::FLASH;

pub(crate) struct Flash(FLASH);

impl Flash {
    /// The offset of the sectors in the flash.
    const START: usize = 0x4000;
    const FIRST_SECTOR: u8 = 1;
    pub(crate) const SIZE: usize = 3 * Self::ERASE_SIZE;

    pub(crate) fn new(flash: FLASH) -> Self {
        Flash(flash)
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let start = self.0.address() + Self::START;
        // SAFETY: `check_read` keeps this within the sectors, which the linker leaves free.
        unsafe { mapped::read(start + offset as usize, bytes) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 0x4000;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        let size = Self::ERASE_SIZE as u32;
        for sector in from / size..to / size {
            let erased = self.0.unlocked().erase(Self::FIRST_SECTOR + sector as u8);
            erased.map_err(|_| NorFlashErrorKind::Other)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let start = Self::START + offset as usize;
        let written = self.0.unlocked().program(start, bytes.iter());
        written.map_err(|_| NorFlashErrorKind::Other)
    }
}
