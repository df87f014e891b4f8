//! The last pages of the nRF51's flash, through its NVMC, for which the HAL has a driver on newer
//! chips only.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use firmware::mapped;
use nrf::pac::NVMC;

pub(crate) struct Flash(NVMC);

impl Flash {
    const START: usize = 0x0004_0000 - Self::SIZE;
    pub(crate) const SIZE: usize = 3 * Self::ERASE_SIZE;

    pub(crate) fn new(nvmc: NVMC) -> Self {
        Flash(nvmc)
    }

    fn at(&self, offset: u32) -> *mut u8 {
        mapped::at(Self::START + offset as usize)
    }

    fn wait(&self) {
        while self.0.ready.read().ready().is_busy() {}
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
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

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.0.config.write(|w| w.wen().een());
        for page in (from..to).step_by(Self::ERASE_SIZE) {
            let address = self.at(page).addr() as u32;
            // SAFETY: `check_erase` keeps this within the pages, which the linker leaves free.
            self.0.erasepage().write(|w| unsafe { w.bits(address) });
            self.wait();
        }
        self.0.config.write(|w| w.wen().ren());
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.0.config.write(|w| w.wen().wen());
        let (words, _) = bytes.as_chunks();
        for (at, word) in (offset..).step_by(Self::WRITE_SIZE).zip(words) {
            // SAFETY: `check_write` keeps this an aligned word of the pages.
            unsafe {
                self.at(at)
                    .cast::<u32>()
                    .write_volatile(u32::from_le_bytes(*word))
            };
            self.wait();
        }
        self.0.config.write(|w| w.wen().ren());
        Ok(())
    }
}
