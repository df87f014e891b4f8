//! A store for a calibration in flash that survives power cuts and damage.
//!
//! Three pages each hold a copy. A page is a log: records one after another from its start, then
//! erased flash to its end. A record has a sequence number and a checksum. The last record of a
//! page is the page's content.
//!
//! A record is written to the first page, read back, and only then written to the
//! next. It is acknowledged when it is in all pages. A page that is full, that
//! lags behind, or that is not a log is erased and written anew, while the other pages
//! still hold its content. Reading can therefore rely on the following:
//!
//! - A power cut leaves at most one page that is not a log, and the other pages differ by at
//!   most one record. The newest record of a whole page is the last one that was
//!   acknowledged, or the one that was being written.
//! - Damage to one or two pages leaves a whole one, with the last record that was
//!   acknowledged.
//! - If no page is whole, the flash is damaged, as power cuts cannot do that. Some
//!   records may still be readable, but whether one of them is the last is unknown.
//!   Nothing is loaded then and nothing is written, until [`Store::erase`] starts an empty store.
//!
//! The data sheets do not say what a page holds after an erasure that was cut short. The store
//! does not depend on it: such a page is not a log or lags behind, and in both cases is erased
//! again. A page is always erased immediately before its first record is written.

use core::fmt;
use core::ops::Range;

use baregrad::calibrate::{RecordError, crc32};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use crate::kept::{Kept, MAX_BYTES, Name};

/// The reason why an operation of the store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store holds no calibration.
    Empty,
    /// The record is whole, but is not a calibration that this firmware can use.
    Refused(RecordError),
    /// The flash holds a store of an earlier firmware.
    Earlier,
    /// The flash holds something other than a store.
    Unreadable,
    /// The flash holds a store without a whole copy.
    Damaged,
    /// The flash does not hold what was written: it may be emulated or write-protected.
    Unchanged,
    /// The driver of the flash reported a failure.
    Driver(NorFlashErrorKind),
    /// There are too few pages, the pages are too small, or the words of the flash are too long.
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
            StoreError::Earlier => f.write_str(
                "expected a store of this version, found that of an earlier one: erase it, and fit again",
            ),
            StoreError::Damaged => f.write_str(
                "expected a whole copy of what was saved last, found all damaged: erase it",
            ),
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

/// The number of pages, each of which holds a copy.
pub const COPIES: usize = 3;
/// The number of pages that must keep a record before it is acknowledged. One page may be worn
/// out: with the two others, the store still survives damage to one of them.
const ENOUGH: usize = 2;

/// The largest word of a flash, in bytes.
const MAX_WORD: usize = 32;
/// The bytes of a record's header, all little endian: the kind, the kind with all bits inverted,
/// the length of the payload in two bytes, the sequence number, the starts of the firmware.
const HEADER: usize = 12;
/// The bytes of the checksum of header and payload, which follows them.
const CHECKSUM: usize = 4;
/// The bytes of a record without payload.
const SHORTEST: usize = HEADER + CHECKSUM;
/// The bytes of the longest record, in whole words of any flash.
const LONGEST: usize = (SHORTEST + MAX_BYTES).next_multiple_of(MAX_WORD);

/// The kind of a record whose payload is the calibration; without a calibration it is empty.
const WHOLE: u8 = 0xc9;
/// The kind of a record of earlier firmware, whose length was a single byte and whose calibration
/// had other models and scales. It is recognised, but not read.
const EARLIER: u8 = 0xca;
/// The kind of a record that counts a start. It has no payload: the calibration stays that of the
/// record before it.
const STARTS: u8 = 0xb5;

/// The bytes of a record, aligned as some drivers need it. The bytes behind the record are 0xff,
/// like erased flash.
#[repr(align(4))]
struct Record([u8; LONGEST]);

/// A few words of a record, aligned in the same way.
#[repr(align(4))]
struct Words([u8; MAX_WORD]);

impl Record {
    const ERASED: Self = Record([0xff; LONGEST]);

    /// Makes a record. It is inlined, so that the record is made in place, as RAM has no room for
    /// a second one. The payload must not be longer than `MAX_BYTES`.
    #[inline(always)]
    fn new(kind: u8, state: &State, payload: &[u8]) -> Self {
        let mut record = Record::ERASED;
        let [low, high] = (payload.len() as u16).to_le_bytes();
        let header = [kind, !kind, low, high].into_iter();
        let header = header
            .chain(state.sequence.to_le_bytes())
            .chain(state.starts.to_le_bytes());
        let bytes = header.chain(payload.iter().copied());
        for (to, byte) in record.0.iter_mut().zip(bytes) {
            *to = byte;
        }
        let body = HEADER + payload.len();
        let checksum = crc32(record.0.get(..body).unwrap_or_default()).to_le_bytes();
        for (to, byte) in record.0.iter_mut().skip(body).zip(checksum) {
            *to = byte;
        }
        record
    }

    /// Returns the kind and the length of the payload, if the header is that of a record.
    fn head(&self) -> Option<(u8, usize)> {
        let [kind, not_kind, low, high, ..] = self.0;
        let len = usize::from(u16::from_le_bytes([low, high]));
        let known = matches!(kind, WHOLE | STARTS) && kind == !not_kind;
        (known && len <= MAX_BYTES).then_some((kind, len))
    }

    /// Returns the sequence number and the starts, if the checksum is right.
    fn numbers(&self, len: usize) -> Option<(u32, u32)> {
        let (body, rest) = self.0.split_at_checked(HEADER + len)?;
        let (checksum, _) = rest.split_first_chunk()?;
        let numbers = body.get(4..HEADER)?.as_chunks().0;
        let [sequence, starts] = numbers else {
            return None;
        };
        let right = crc32(body) == u32::from_le_bytes(*checksum);
        right.then_some((u32::from_le_bytes(*sequence), u32::from_le_bytes(*starts)))
    }

    fn payload(&self, len: usize) -> &[u8] {
        self.0.get(HEADER..HEADER + len).unwrap_or_default()
    }
}

/// The content of a page, or of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The sequence number of the last record, 0 if there is none.
    sequence: u32,
    /// The number of starts of the firmware.
    starts: u32,
    /// The address of the last record with a calibration, `None` if there is none.
    record: Option<u32>,
}

impl State {
    const NEW: Self = State {
        sequence: 0,
        starts: 0,
        record: None,
    };
}

/// The result of reading a page.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// The content by the last record before the first bytes that are not a record.
    state: State,
    /// The offset of the next record in the page; `None` if the page is not a log, but holds
    /// other bytes than records and then erased flash.
    free: Option<usize>,
    /// Whether the page is not a log, and begins like a store.
    ours: bool,
    /// Whether the page may hold nothing but a first record whose writing was cut short.
    begun: bool,
    /// Whether the page begins like a store of an earlier firmware.
    earlier: bool,
}

impl Page {
    /// A page that was not read yet.
    const UNREAD: Self = Page {
        state: State::NEW,
        free: None,
        ours: false,
        begun: false,
        earlier: false,
    };

    /// Returns whether the page is a log with at least one record.
    fn is_whole(&self) -> bool {
        self.free.is_some() && self.state.sequence > 0
    }

    fn is_erased(&self) -> bool {
        self.free == Some(0)
    }
}

/// Returns the content of the store, of all pages together.
fn newest(pages: &[Page; COPIES]) -> Result<State, StoreError> {
    let readable = pages.iter().map(|page| page.state.sequence).max();
    let readable = readable.unwrap_or(0);
    let whole = pages.iter().filter(|page| page.is_whole());
    match whole.map(|page| page.state).max_by_key(|s| s.sequence) {
        // A page that is no longer a log may have a later record, and with it a later calibration.
        Some(state) if state.sequence == readable => return Ok(state),
        None if readable == 0 => {}
        _ => return Err(StoreError::Damaged),
    }
    // There is no record: the flash is new, or writing its first record was cut short.
    let [first, others @ ..] = pages;
    if others.iter().all(Page::is_erased) && (first.is_erased() || first.begun) {
        return Ok(State::NEW);
    }
    if pages.iter().any(|page| page.ours) {
        return Err(StoreError::Damaged);
    }
    if pages.iter().any(|page| page.earlier) {
        return Err(StoreError::Earlier);
    }
    Err(StoreError::Unreadable)
}

/// The difference between the content to write and that of the whole pages.
#[derive(Clone, Copy)]
enum Change {
    /// Another calibration, or none.
    Calibration,
    /// One more start of the firmware.
    Starts,
    /// No difference: a page gets the content of the others.
    Repair,
}

/// A store in pages of a flash. It keeps no content in RAM, but reads the flash in every call.
#[derive(Debug)]
pub struct Store<'f, F> {
    flash: &'f mut F,
    /// The address of the first page.
    start: u32,
}

impl<'f, F: NorFlash> Store<'f, F> {
    /// Records begin at multiples of this: whole words, at least the length of a record without
    /// payload.
    const UNIT: usize = {
        let word = if F::WRITE_SIZE > F::READ_SIZE {
            F::WRITE_SIZE
        } else {
            F::READ_SIZE
        };
        if word > SHORTEST { word } else { SHORTEST }
    };

    /// Opens the store in the first three of these pages.
    ///
    /// # Errors
    /// There are fewer than three pages, the range cuts a page, or the pages are too small; the
    /// flash has words of more than 32 bytes, or whose length is not a power of two.
    pub fn new(flash: &'f mut F, pages: Range<u32>) -> Result<Self, StoreError> {
        let size = F::ERASE_SIZE as u32;
        let words = [F::WRITE_SIZE, F::READ_SIZE];
        let fits = words
            .iter()
            .all(|word| word.is_power_of_two() && *word <= MAX_WORD)
            && F::ERASE_SIZE >= LONGEST
            && F::ERASE_SIZE.is_multiple_of(Self::UNIT)
            && pages.start.is_multiple_of(size)
            && pages.end.is_multiple_of(size)
            && pages.end.saturating_sub(pages.start) / size >= COPIES as u32;
        let start = pages.start;
        fits.then_some(Store { flash, start })
            .ok_or(StoreError::Pages)
    }

    /// Returns the calibration that was saved last.
    ///
    /// # Errors
    /// None was saved, or it was erased; all copies are damaged, so that the last one is unknown;
    /// the record has another version; the flash holds something other than a store.
    pub fn load(&mut self) -> Result<Kept, StoreError> {
        self.look(&mut |payload| {
            Name::of(payload)?;
            Kept::of(payload)
        })
    }

    /// Calls `look` with the calibration that was saved last, in the buffer that it was read to, as
    /// RAM has no room for a copy.
    pub(crate) fn look<R>(
        &mut self,
        look: &mut dyn FnMut(&[u8]) -> Result<R, RecordError>,
    ) -> Result<R, StoreError> {
        let state = newest(&self.pages()?)?;
        let mut record = Record::ERASED;
        let len = self.record(&state, &mut record)?;
        match record.payload(len) {
            [] => Err(StoreError::Empty),
            payload => look(payload).map_err(StoreError::Refused),
        }
    }

    /// Saves a calibration. If power fails meanwhile, either this one or the
    /// one before is found afterwards.
    ///
    /// # Errors
    /// The flash holds something other than a store, or a damaged one, either of which must be
    /// erased first; the driver reports a failure; fewer than two pages keep what is written.
    pub fn save(&mut self, calibration: &Kept) -> Result<(), StoreError> {
        self.put(Some(calibration.bytes())).map(|_| ())
    }

    /// Erases the calibration, by writing a record without one. A flash that holds something other
    /// than a store, or a damaged one, becomes an empty store.
    ///
    /// # Errors
    /// The driver reports a failure, or fewer than two pages keep what is written.
    pub fn erase(&mut self) -> Result<(), StoreError> {
        match self.put(Some(&[])) {
            Err(StoreError::Unreadable | StoreError::Earlier | StoreError::Damaged) => {
                self.begin_anew()
            }
            done => done.map(|_| ()),
        }
    }

    /// Counts a start of the firmware, and returns the number of starts with this one. Before
    /// that, it repairs pages that are damaged or that a power cut has left behind.
    ///
    /// # Errors
    /// The same as for [`save`](Self::save).
    pub fn boot(&mut self) -> Result<u32, StoreError> {
        self.put(None)
    }

    /// Returns the number of pages, at most [`COPIES`], that hold the last record.
    ///
    /// # Errors
    /// The flash holds something other than a store, or a damaged one; the driver reports a
    /// failure.
    pub fn whole_copies(&mut self) -> Result<usize, StoreError> {
        let pages = self.pages()?;
        let state = newest(&pages)?;
        let whole = pages.iter().filter(|page| page.free.is_some());
        Ok(whole
            .filter(|page| page.state.sequence == state.sequence)
            .count())
    }

    /// Repairs the pages, then writes a record with the calibration, or without an argument one
    /// that counts a start. Returns the number of starts.
    fn put(&mut self, calibration: Option<&[u8]>) -> Result<u32, StoreError> {
        let mut pages = self.pages()?;
        let mut state = newest(&pages)?;
        let mut record = Record::ERASED;
        let len = self.record(&state, &mut record)?;
        let kept = record.payload(len);
        if state.sequence > 0 {
            self.write(&mut pages, &state, kept, Change::Repair)?;
        }
        state.sequence = state.sequence.saturating_add(1);
        match calibration {
            Some(bytes) => self.write(&mut pages, &state, bytes, Change::Calibration)?,
            None => {
                state.starts = state.starts.saturating_add(1);
                self.write(&mut pages, &state, kept, Change::Starts)?;
            }
        }
        Ok(state.starts)
    }

    /// Writes an empty store over the content of the flash. Its sequence number is higher than all
    /// that can still be read, so that no old record is taken for newer.
    fn begin_anew(&mut self) -> Result<(), StoreError> {
        let pages = self.pages()?;
        let last = pages.iter().map(|page| page.state.sequence).max();
        let state = State {
            sequence: last.unwrap_or(0).saturating_add(1),
            ..State::NEW
        };
        let mut pages = [Page::UNREAD; COPIES];
        self.write(&mut pages, &state, &[], Change::Repair)
    }

    /// Writes a state to all pages that do not have it, one page after another.
    fn write(
        &mut self,
        pages: &mut [Page; COPIES],
        state: &State,
        payload: &[u8],
        change: Change,
    ) -> Result<(), StoreError> {
        let mut kept = 0;
        let mut failure = StoreError::Unchanged;
        for (page, start) in pages.iter_mut().zip((self.start..).step_by(F::ERASE_SIZE)) {
            let has_it = page.is_whole() && page.state.sequence == state.sequence;
            let done = if has_it {
                Ok(())
            } else {
                self.write_page(page, start, state, payload, change)
            };
            match done {
                Ok(()) => kept += 1,
                Err(error) => failure = error,
            }
        }
        if kept < ENOUGH { Err(failure) } else { Ok(()) }
    }

    /// Writes a state to a page, behind the record before it. If the page does not end with that
    /// record, has no room, or does not keep what is written there, erases the page and writes to
    /// its start.
    fn write_page(
        &mut self,
        page: &mut Page,
        start: u32,
        state: &State,
        payload: &[u8],
        change: Change,
    ) -> Result<(), StoreError> {
        let behind = match change {
            Change::Calibration => Some((WHOLE, payload)),
            Change::Starts => Some((STARTS, [].as_slice())),
            // A page that lacks the content of the others is erased.
            Change::Repair => None,
        };
        let before = page.is_whole() && page.state.sequence == state.sequence.saturating_sub(1);
        if let (true, Some(free), Some((kind, payload))) = (before, page.free, behind) {
            let record = Record::new(kind, state, payload);
            let end = free + (SHORTEST + payload.len()).next_multiple_of(Self::UNIT);
            let at = start.saturating_add(free as u32);
            if end <= F::ERASE_SIZE && self.write_record(at, &record, end - free).is_ok() {
                page.free = Some(end);
                page.state.sequence = state.sequence;
                return Ok(());
            }
        }
        *page = Page::UNREAD;
        let record = Record::new(WHOLE, state, payload);
        let len = (SHORTEST + payload.len()).next_multiple_of(Self::UNIT);
        let end = start.saturating_add(F::ERASE_SIZE as u32);
        self.flash.erase(start, end).map_err(driver)?;
        self.write_record(start, &record, len)?;
        page.free = Some(len);
        page.state.sequence = state.sequence;
        Ok(())
    }

    /// Writes a record, and reads it back.
    fn write_record(&mut self, at: u32, record: &Record, len: usize) -> Result<(), StoreError> {
        let bytes = record.0.get(..len).unwrap_or_default();
        self.flash.write(at, bytes).map_err(driver)?;
        // It reads a few words at a time, as RAM has no room for a second record.
        let mut found = Words([0; MAX_WORD]);
        for (from, expected) in (at..).step_by(MAX_WORD).zip(bytes.chunks(MAX_WORD)) {
            let found = found.0.get_mut(..expected.len()).unwrap_or_default();
            self.flash.read(from, found).map_err(driver)?;
            if found != expected {
                return Err(StoreError::Unchanged);
            }
        }
        Ok(())
    }

    /// Reads the record with the calibration of a state to `record`, and returns the length of its
    /// payload.
    fn record(&mut self, state: &State, record: &mut Record) -> Result<usize, StoreError> {
        let Some(at) = state.record else {
            return Ok(0);
        };
        self.read(at, record, 0..Self::UNIT)?;
        // `pages` has read this record before, so it fails only if flash changes between reads.
        let (_, len) = record.head().ok_or(StoreError::Damaged)?;
        let end = (SHORTEST + len).next_multiple_of(Self::UNIT);
        self.read(at, record, Self::UNIT..end)?;
        record.numbers(len).ok_or(StoreError::Damaged)?;
        Ok(len)
    }

    /// Reads all pages.
    fn pages(&mut self) -> Result<[Page; COPIES], StoreError> {
        let mut pages = [Page::UNREAD; COPIES];
        let mut record = Record::ERASED;
        for (page, start) in pages.iter_mut().zip((self.start..).step_by(F::ERASE_SIZE)) {
            *page = self.page(start, &mut record)?;
        }
        Ok(pages)
    }

    /// Reads the page that begins at `start`.
    fn page(&mut self, start: u32, record: &mut Record) -> Result<Page, StoreError> {
        let mut page = Page::UNREAD;
        let mut at = 0;
        while at < F::ERASE_SIZE {
            let address = start.saturating_add(at as u32);
            self.read(address, record, 0..Self::UNIT)?;
            if record.0.iter().take(Self::UNIT).all(|byte| *byte == 0xff) {
                break;
            }
            let Some((kind, len)) = record.head() else {
                return self.unreadable(page, start, at, record);
            };
            let end = (SHORTEST + len).next_multiple_of(Self::UNIT);
            if at + end > F::ERASE_SIZE {
                return self.unreadable(page, start, at, record);
            }
            self.read(address, record, Self::UNIT..end)?;
            let before = page.state;
            let next = before.sequence.saturating_add(1);
            page.state = match (kind, record.numbers(len)) {
                (WHOLE, Some((sequence, starts)))
                    if sequence == next || (before.sequence == 0 && sequence > 0) =>
                {
                    let record = Some(address);
                    State {
                        sequence,
                        starts,
                        record,
                    }
                }
                (STARTS, Some((sequence, starts))) if at > 0 && sequence == next => State {
                    sequence,
                    starts,
                    ..before
                },
                _ => return self.unreadable(page, start, at, record),
            };
            at += end;
        }
        if self.is_erased(start, at, record)? {
            page.free = Some(at);
            return Ok(page);
        }
        self.unreadable(page, start, at, record)
    }

    /// Completes a page that is not a log, whose first bytes that are not a record are at `at`.
    fn unreadable(
        &mut self,
        mut page: Page,
        start: u32,
        at: usize,
        record: &mut Record,
    ) -> Result<Page, StoreError> {
        // Writing only clears bits, so a kind that was partly written has all bits of `WHOLE`, and
        // what is behind the longest record is still erased.
        self.read(start, record, 0..Self::UNIT)?;
        let [kind, _, not_kind, ..] = record.0;
        page.ours = kind == WHOLE;
        page.earlier = kind == EARLIER && not_kind == !EARLIER;
        page.begun = at == 0 && kind & WHOLE == WHOLE && self.is_erased(start, LONGEST, record)?;
        Ok(page)
    }

    /// Returns whether a page is erased from the offset `from` on.
    fn is_erased(
        &mut self,
        start: u32,
        from: usize,
        some: &mut Record,
    ) -> Result<bool, StoreError> {
        for at in (from..F::ERASE_SIZE).step_by(LONGEST) {
            let len = LONGEST.min(F::ERASE_SIZE - at);
            self.read(start.saturating_add(at as u32), some, 0..len)?;
            if some.0.iter().take(len).any(|byte| *byte != 0xff) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a part of the record at the address `at`.
    fn read(&mut self, at: u32, to: &mut Record, part: Range<usize>) -> Result<(), StoreError> {
        let from = at.saturating_add(part.start as u32);
        match to.0.get_mut(part).unwrap_or_default() {
            [] => Ok(()),
            to => self.flash.read(from, to).map_err(driver),
        }
    }
}

fn driver<E: NorFlashError>(error: E) -> StoreError {
    StoreError::Driver(error.kind())
}
