//! A flash that finishes its erasures.
//!
//! Nobody promises what a page holds whose erasure was cut short: old bits, new
//! bits, anything between. The map above tells pages by a few bits of theirs, so
//! it must never see such a page. Before a page is erased, that is noted in a page
//! of its own, the journal, and crossed out afterwards. A note that was not crossed
//! out is a page to be erased again.
//!
//! Crossing out is writing zeros over the note, which every flash here allows.
//! When the journal is full it is erased, too; all its notes are crossed out then,
//! and whatever is left of zeros is no note.

use core::ops::Range;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// A flash with a journal in one of its pages.
pub(crate) struct Journaled<'f, F> {
    flash: &'f mut F,
    /// What the map has.
    pages: Range<u32>,
    /// Where the journal's page begins.
    journal: u32,
}

/// A note: which page, and the same in disguise. Neither erased nor crossed out
/// flash looks like that.
const NOTE: usize = 8;
const DISGUISE: u32 = 0x5a3c_c3a5;
/// The largest word of a flash that the map knows.
pub(crate) const MAX_WORD: usize = 32;

impl<'f, F: NorFlash> Journaled<'f, F> {
    /// Bytes from one note to the next: whole words.
    const SLOT: usize = {
        let word = if F::WRITE_SIZE > F::READ_SIZE {
            F::WRITE_SIZE
        } else {
            F::READ_SIZE
        };
        NOTE.next_multiple_of(word)
    };
    const PAGE: u32 = F::ERASE_SIZE as u32;

    /// Takes the last of these pages for the journal, and finishes the erasure
    /// that was cut short, if one was. None if words are too long.
    pub(crate) fn new(flash: &'f mut F, pages: Range<u32>) -> Option<Result<Self, F::Error>> {
        let journal = pages.end.checked_sub(Self::PAGE)?;
        if Self::SLOT > MAX_WORD {
            return None;
        }
        let mut journaled = Journaled {
            flash,
            pages: pages.start..journal,
            journal,
        };
        Some(journaled.recover().map(|()| journaled))
    }

    /// The pages that are left for the map.
    pub(crate) fn pages(&self) -> Range<u32> {
        self.pages.clone()
    }

    fn recover(&mut self) -> Result<(), F::Error> {
        for slot in self.slots() {
            let mut note = [0; MAX_WORD];
            self.read_slot(slot, &mut note)?;
            let page = self
                .pages()
                .step_by(F::ERASE_SIZE)
                .find(|page| note.starts_with(&noted(*page)));
            if let Some(page) = page {
                self.flash.erase(page, page.saturating_add(Self::PAGE))?;
                self.cross_out(slot)?;
            }
        }
        Ok(())
    }

    fn erase_page(&mut self, page: u32) -> Result<(), F::Error> {
        let slot = self.free_slot()?;
        let mut note = [0xff; MAX_WORD];
        for (to, byte) in note.iter_mut().zip(noted(page)) {
            *to = byte;
        }
        self.flash
            .write(slot, note.get(..Self::SLOT).unwrap_or_default())?;
        self.flash.erase(page, page.saturating_add(Self::PAGE))?;
        self.cross_out(slot)
    }

    /// The first slot from which on all are free. If there is none the journal is
    /// full, or its own erasure was cut short.
    fn free_slot(&mut self) -> Result<u32, F::Error> {
        let mut free = None;
        for slot in self.slots() {
            let mut note = [0xff; MAX_WORD];
            self.read_slot(slot, &mut note)?;
            if note.iter().all(|byte| *byte == 0xff) {
                free.get_or_insert(slot);
            } else {
                free = None;
            }
        }
        match free {
            Some(slot) => Ok(slot),
            None => {
                let end = self.journal.saturating_add(Self::PAGE);
                self.flash.erase(self.journal, end)?;
                Ok(self.journal)
            }
        }
    }

    fn cross_out(&mut self, slot: u32) -> Result<(), F::Error> {
        let zeros = [0; MAX_WORD];
        self.flash
            .write(slot, zeros.get(..Self::SLOT).unwrap_or_default())
    }

    fn read_slot(&mut self, slot: u32, to: &mut [u8; MAX_WORD]) -> Result<(), F::Error> {
        self.flash
            .read(slot, to.get_mut(..Self::SLOT).unwrap_or_default())
    }

    fn slots(&self) -> impl Iterator<Item = u32> + use<F> {
        let count = F::ERASE_SIZE.checked_div(Self::SLOT).unwrap_or(0);
        let start = self.journal;
        (0..count).map(move |i| start.saturating_add((i * Self::SLOT) as u32))
    }
}

/// The note that a page is being erased.
fn noted(page: u32) -> [u8; NOTE] {
    let mut note = [0; NOTE];
    let [plain, disguised] = [page, page ^ DISGUISE].map(u32::to_le_bytes);
    for (to, byte) in note.iter_mut().zip(plain.into_iter().chain(disguised)) {
        *to = byte;
    }
    note
}

impl<F: ErrorType> ErrorType for Journaled<'_, F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Journaled<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash> NorFlash for Journaled<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        let mut pages = (from..to).step_by(F::ERASE_SIZE);
        pages.try_for_each(|page| self.erase_page(page))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.flash.write(offset, bytes)
    }
}
