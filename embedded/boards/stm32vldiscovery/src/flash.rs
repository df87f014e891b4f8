//! The last pages of the STM32F100's flash.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::mapped;
use stm32f1xx_hal::flash::{FLASH_START, FlashSize, FlashWriter, Parts, SectorSize};

pub(crate) struct Flash(Parts);

impl Flash {
    /// The offset of the pages in the flash.
    const START: u32 = 128 * 1024 - Self::SIZE as u32;
    pub(crate) const SIZE: usize = 3 * Self::ERASE_SIZE;

    pub(crate) fn new(flash: Parts) -> Self {
        Flash(flash)
    }

    fn writer(&mut self) -> FlashWriter<'_> {
        self.0.writer(SectorSize::Sz1K, FlashSize::Sz128K)
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let address = FLASH_START + Self::START + offset;
        // SAFETY: `check_read` keeps this within the pages, which the linker leaves free.
        unsafe { mapped::read(address as usize, bytes) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 2;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        let erased = self
            .writer()
            .erase(Self::START + from, (to - from) as usize);
        erased.map_err(|_| NorFlashErrorKind::Other)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let written = self.writer().write(Self::START + offset, bytes);
        written.map_err(|_| NorFlashErrorKind::Other)
    }
}
