//! Calibrations in flash, through power cuts.
//!
//! A log-structured map (`sequential-storage`) is spread over all pages given:
//! a new record is written behind the old one, which stays in force until the
//! new one is whole. Pages are erased only after what is still needed was moved,
//! and an erasure that was cut short is finished first thing (`journal`).

use core::fmt;
use core::ops::Range;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::block_on;
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::calibration::{Calibration, MAX_BYTES, Refused};
use crate::journal::{Journaled, MAX_WORD};

/// What is kept, by key.
const CALIBRATION: u8 = 1;
const BOOTS: u8 = 2;

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no calibration in it.
    Empty,
    /// What is in it is no calibration for this firmware.
    Refused(Refused),
    /// What is in the flash is no store, or a broken one.
    Unreadable,
    /// The flash still has what it had before: an emulated one, perhaps, or
    /// one that is write-protected.
    Unchanged,
    /// The driver of the flash reports a failure.
    Driver(NorFlashErrorKind),
    /// The pages are too few or too small.
    Pages,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Empty => f.write_str("expected a stored calibration, found none"),
            StoreError::Refused(why) => why.fmt(f),
            StoreError::Unreadable => {
                f.write_str("expected a store in flash, found something else: erase it")
            }
            StoreError::Unchanged => {
                f.write_str("expected flash that keeps what is written, it did not")
            }
            StoreError::Driver(kind) => {
                write!(f, "expected flash that works, its driver reports {kind:?}")
            }
            StoreError::Pages => f.write_str("expected more or larger pages of flash"),
        }
    }
}

/// What the map reads into and writes from: a key and a record, in whole words
/// of any flash, aligned as some want it.
#[repr(align(4))]
struct Buffer([u8; (1 + MAX_BYTES).next_multiple_of(MAX_WORD)]);

impl Buffer {
    const EMPTY: Self = Buffer([0; (1 + MAX_BYTES).next_multiple_of(MAX_WORD)]);
}

type Map<'f, F> =
    MapStorage<u8, BlockingAsync<Journaled<'f, F>>, Cache<Uncached, Uncached, Uncached, u8>>;

/// A map in pages of a flash. It keeps nothing in RAM: everything is looked up
/// where it is.
pub struct Store<'f, F: NorFlash> {
    map: Map<'f, F>,
}

impl<'f, F: NorFlash> Store<'f, F> {
    /// The store in these pages, of which the last is the journal. Finishes an
    /// erasure that was cut short.
    ///
    /// # Errors
    /// Fewer than three pages, a range that cuts one, or pages too small; a flash
    /// that does not work.
    pub fn new(flash: &'f mut F, pages: Range<u32>) -> Result<Self, StoreError> {
        let journaled = Journaled::new(flash, pages).ok_or(StoreError::Pages)?;
        let journaled = journaled.map_err(|error| StoreError::Driver(error.kind()))?;
        let config = MapConfig::try_new(journaled.pages()).map_err(|_| StoreError::Pages)?;
        let map = MapStorage::new(BlockingAsync::new(journaled), config, Cache::new_uncached());
        Ok(Store { map })
    }

    /// The calibration that was saved last.
    ///
    /// # Errors
    /// None was saved, or it was erased; a record of another version, or with a
    /// wrong checksum; a flash that is no store.
    pub fn load(&mut self) -> Result<Calibration, StoreError> {
        let mut buffer = Buffer::EMPTY;
        match self.get(CALIBRATION, &mut buffer)? {
            None | Some([]) => Err(StoreError::Empty),
            Some(record) => Calibration::decode(record).map_err(StoreError::Refused),
        }
    }

    /// Saves a calibration. If power fails meanwhile, either this one or the
    /// one before is found afterwards.
    ///
    /// # Errors
    /// A flash that is no store, does not work, or does not keep what is
    /// written.
    pub fn save(&mut self, calibration: &Calibration) -> Result<(), StoreError> {
        let mut record = [0; MAX_BYTES];
        self.put(CALIBRATION, calibration.encode(&mut record))
    }

    /// Forgets the calibration, by a record that says so: erasing page after
    /// page could uncover an older one if power fails in between. Only a flash
    /// that is no store is really erased.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn erase(&mut self) -> Result<(), StoreError> {
        match self.put(CALIBRATION, &[]) {
            Err(StoreError::Unreadable) => {
                block_on(self.map.erase_all()).map_err(StoreError::from)?;
                self.put(CALIBRATION, &[])
            }
            done => done,
        }
    }

    /// Counts a start of the firmware: how often it has started, this time
    /// included.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn boot(&mut self) -> Result<u32, StoreError> {
        let mut buffer = Buffer::EMPTY;
        let before = match self.get(BOOTS, &mut buffer)? {
            Some(bytes) => bytes.try_into().map_or(0, u32::from_le_bytes),
            None => 0,
        };
        let boots = before.saturating_add(1);
        self.put(BOOTS, &boots.to_le_bytes())?;
        Ok(boots)
    }

    fn get<'b>(&mut self, key: u8, buffer: &'b mut Buffer) -> Result<Option<&'b [u8]>, StoreError> {
        Ok(block_on(self.map.fetch_item(&mut buffer.0, &key))?)
    }

    /// Writes, and looks whether it is there.
    fn put(&mut self, key: u8, value: &[u8]) -> Result<(), StoreError> {
        let mut buffer = Buffer::EMPTY;
        block_on(self.map.store_item(&mut buffer.0, &key, &value))?;
        match self.get(key, &mut buffer)? {
            Some(found) if found == value => Ok(()),
            _ => Err(StoreError::Unchanged),
        }
    }
}

impl<E: NorFlashError> From<sequential_storage::Error<E>> for StoreError {
    fn from(error: sequential_storage::Error<E>) -> Self {
        use sequential_storage::Error;
        match error {
            Error::Storage { value, .. } => StoreError::Driver(value.kind()),
            Error::FullStorage | Error::ItemTooBig => StoreError::Pages,
            // Also a flash that has other records than ours under our keys.
            _ => StoreError::Unreadable,
        }
    }
}
