//! Calibrations in flash, through power cuts and damage.
//!
//! Three pages hold the same, each for itself. A page is a log: records one after
//! another from its start, then erased flash to its end. A record has a sequence
//! number and a checksum, and the last one of a page is what the page says.
//!
//! A record is written to the first page, read back, and only then written to the
//! next; it is acknowledged when it stands in all of them. A page that is full, that
//! lags behind, or that is no such log is erased and begun anew, while the others
//! hold what it held. So flash can be read like this:
//!
//! - Power that fails leaves at most one page that is no log, and the others at
//!   most one record apart. The newest record of a whole page is the last one
//!   acknowledged, or the one that was being written.
//! - Damage to one page, or to two, leaves a whole one, with the last record
//!   acknowledged.
//! - Pages of which none is whole are damaged: power cuts cannot do that. Some of
//!   their records may still be readable, but it cannot be told whether one of them
//!   is the last. Nothing is loaded then and nothing is written, until
//!   [`Store::erase`] begins anew.
//!
//! No maker promises how a page is left whose erasure was cut short. It need not be
//! known here: such a page is no log or lags behind, and in both cases is erased
//! again. No page is ever begun that was not erased just before.

use core::fmt;
use core::ops::Range;

use baregrad::calibrate::{RecordError, crc32};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use crate::kept::{Kept, MAX_BYTES, Name};

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no calibration in it.
    Empty,
    /// The record is whole, and no calibration for this firmware.
    Refused(RecordError),
    /// The flash holds a store of an earlier firmware.
    Earlier,
    /// The flash holds something else than a store.
    Unreadable,
    /// The flash held a store, and no copy of it is whole any more.
    Damaged,
    /// The flash still has what it had before: an emulated one, perhaps, or
    /// one that is write-protected.
    Unchanged,
    /// The driver of the flash reports a failure.
    Driver(NorFlashErrorKind),
    /// The pages are too few or too small, or the flash has words too long.
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

/// How many pages hold the same.
pub const COPIES: usize = 3;
/// How many of them must keep what is written, or it is not acknowledged. A page that
/// is worn out is no reason to refuse: of the two others one may still be damaged.
const ENOUGH: usize = 2;

/// The largest word of a flash. Larger ones are refused.
const MAX_WORD: usize = 32;
/// Kind, the same with all bits inverted, length of the payload in two bytes; sequence
/// number; starts of the firmware. Little endian.
const HEADER: usize = 12;
/// The checksum of header and payload, behind them.
const CHECKSUM: usize = 4;
/// The bytes of a record without payload.
const SHORTEST: usize = HEADER + CHECKSUM;
/// The bytes of the longest one, in whole words of any flash.
const LONGEST: usize = (SHORTEST + MAX_BYTES).next_multiple_of(MAX_WORD);

/// The kind of a record that has the calibration as payload, none if there is none.
const WHOLE: u8 = 0xc9;
/// The kind that it had when its length was a single byte. Its payload was a calibration of
/// other models and scales: such a store is told from others, and not read.
const EARLIER: u8 = 0xca;
/// The kind of a record after which the calibration is that of the one before it.
const STARTS: u8 = 0xb5;

/// The bytes of a record, aligned as some drivers want it. Those behind it are erased
/// flash.
#[repr(align(4))]
struct Record([u8; LONGEST]);

/// A few words of a record, aligned in the same way.
#[repr(align(4))]
struct Words([u8; MAX_WORD]);

impl Record {
    const ERASED: Self = Record([0xff; LONGEST]);

    /// A record, made where it stays: RAM has no room for two. Nothing of it is missing: no payload is longer than `MAX_BYTES`.
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

    /// Its kind and the length of its payload, if it begins as records do.
    fn head(&self) -> Option<(u8, usize)> {
        let [kind, not_kind, low, high, ..] = self.0;
        let len = usize::from(u16::from_le_bytes([low, high]));
        let known = matches!(kind, WHOLE | STARTS) && kind == !not_kind;
        (known && len <= MAX_BYTES).then_some((kind, len))
    }

    /// Its sequence number and starts, if it is as it was written.
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

/// The content of a page, or of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// 0 before anything was written.
    sequence: u32,
    /// How often the firmware has started.
    starts: u32,
    /// Where in flash the record with the calibration is. None before anything was
    /// written.
    record: Option<u32>,
}

impl State {
    const NEW: Self = State {
        sequence: 0,
        starts: 0,
        record: None,
    };
}

/// A page that was gone through.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// The sequence number of its last record that can be read, before anything that cannot.
    state: State,
    /// Where the next record goes, from the start of the page; none if there is
    /// anything else than records and then erased flash.
    free: Option<usize>,
    /// Whether it begins as a store does.
    ours: bool,
    /// Whether that may be a first record whose writing was cut short.
    begun: bool,
    /// Whether it begins as an earlier firmware's does.
    earlier: bool,
}

impl Page {
    /// Nothing is known of it.
    const UNREAD: Self = Page {
        state: State::NEW,
        free: None,
        ours: false,
        begun: false,
        earlier: false,
    };

    /// Whether it is a log with a record at least.
    fn is_whole(&self) -> bool {
        self.free.is_some() && self.state.sequence > 0
    }

    fn is_erased(&self) -> bool {
        self.free == Some(0)
    }
}

/// The content that all pages together give.
fn newest(pages: &[Page; COPIES]) -> Result<State, StoreError> {
    let readable = pages.iter().map(|page| page.state.sequence).max();
    let readable = readable.unwrap_or(0);
    let whole = pages.iter().filter(|page| page.is_whole());
    match whole.map(|page| page.state).max_by_key(|s| s.sequence) {
        // Not if a page that is no log any more had a later one.
        Some(state) if state.sequence == readable => return Ok(state),
        None if readable == 0 => {}
        _ => return Err(StoreError::Damaged),
    }
    // No record at all: new flash, or the first record of all was cut short.
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

/// The bytes that are written to the pages.
#[derive(Clone, Copy)]
enum Change {
    /// The calibration, none, or another one.
    Calibration,
    /// How often the firmware has started.
    Starts,
    /// Nothing: a page gets what the others have.
    Repair,
}

/// A store in pages of a flash. It keeps nothing in RAM: everything is looked up
/// where it is.
#[derive(Debug)]
pub struct Store<'f, F> {
    flash: &'f mut F,
    /// Where the first page begins.
    start: u32,
}

impl<'f, F: NorFlash> Store<'f, F> {
    /// Records begin at its multiples: whole words, and a record without payload.
    const UNIT: usize = {
        let word = if F::WRITE_SIZE > F::READ_SIZE {
            F::WRITE_SIZE
        } else {
            F::READ_SIZE
        };
        if word > SHORTEST { word } else { SHORTEST }
    };

    /// The store in the first three of these pages.
    ///
    /// # Errors
    /// Fewer than three pages, a range that cuts one, or pages too small; words
    /// of more than 32 bytes, or not of a power of two.
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

    /// The calibration that was saved last.
    ///
    /// # Errors
    /// None was saved, or it was erased; all copies are damaged, so that it is not known
    /// which was the last; a record of another version; a flash that is no store.
    pub fn load(&mut self) -> Result<Kept, StoreError> {
        self.look(&mut |payload| {
            Name::of(payload)?;
            Kept::of(payload)
        })
    }

    /// Looks at the record that was saved last, where it was read to: RAM has no room for
    /// many of them.
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
    /// A flash that is no store, or a damaged one, which are to be erased first. A
    /// flash that does not work, or does not keep what is written in two of its pages
    /// at least.
    pub fn save(&mut self, calibration: &Kept) -> Result<(), StoreError> {
        self.put(Some(calibration.bytes())).map(|_| ())
    }

    /// Forgets the calibration, by a record that says so. A flash that is no store, or
    /// a damaged one, becomes an empty store.
    ///
    /// # Errors
    /// A flash that does not work, or does not keep what is written.
    pub fn erase(&mut self) -> Result<(), StoreError> {
        match self.put(Some(&[])) {
            Err(StoreError::Unreadable | StoreError::Earlier | StoreError::Damaged) => {
                self.begin_anew()
            }
            done => done.map(|_| ()),
        }
    }

    /// Counts a start of the firmware: how often it has started, this time
    /// included. Before that, a page that was damaged, or left by a power cut, gets
    /// what the others have.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn boot(&mut self) -> Result<u32, StoreError> {
        self.put(None)
    }

    /// How many of the [`COPIES`] have what was written last.
    ///
    /// # Errors
    /// A flash that is no store, or a damaged one; one that does not work.
    pub fn whole_copies(&mut self) -> Result<usize, StoreError> {
        let pages = self.pages()?;
        let state = newest(&pages)?;
        let whole = pages.iter().filter(|page| page.free.is_some());
        Ok(whole
            .filter(|page| page.state.sequence == state.sequence)
            .count())
    }

    /// Writes a record with another calibration, or counts a start, once all pages
    /// say the same. How many starts there were.
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

    /// An empty store over whatever there is. Its sequence goes on after all that can
    /// still be read, so that nothing of that is taken for newer.
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

    /// Writes a state to all pages that do not have it, one after another.
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

    /// Writes a state to a page, behind the one before it, if that is there. If it is
    /// not, or there is no room, or the flash does not keep it there: at the start of
    /// the page, once that is erased.
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
            // Where it should be already, something went wrong.
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

    /// Writes a record, and looks whether it is there.
    fn write_record(&mut self, at: u32, record: &Record, len: usize) -> Result<(), StoreError> {
        let bytes = record.0.get(..len).unwrap_or_default();
        self.flash.write(at, bytes).map_err(driver)?;
        // A few words at a time, for want of RAM.
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

    /// The record with the calibration of a state, and the length of its payload.
    fn record(&mut self, state: &State, record: &mut Record) -> Result<usize, StoreError> {
        let Some(at) = state.record else {
            return Ok(0);
        };
        self.read(at, record, 0..Self::UNIT)?;
        // It was there a moment ago.
        let (_, len) = record.head().ok_or(StoreError::Damaged)?;
        let end = (SHORTEST + len).next_multiple_of(Self::UNIT);
        self.read(at, record, Self::UNIT..end)?;
        record.numbers(len).ok_or(StoreError::Damaged)?;
        Ok(len)
    }

    fn pages(&mut self) -> Result<[Page; COPIES], StoreError> {
        let mut pages = [Page::UNREAD; COPIES];
        let mut record = Record::ERASED;
        for (page, start) in pages.iter_mut().zip((self.start..).step_by(F::ERASE_SIZE)) {
            *page = self.page(start, &mut record)?;
        }
        Ok(pages)
    }

    /// Goes through the page that starts there.
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

    /// The page with something else than a record, and then erased flash.
    fn unreadable(
        &mut self,
        mut page: Page,
        start: u32,
        at: usize,
        record: &mut Record,
    ) -> Result<Page, StoreError> {
        // Writing clears bits, and is cut short within the longest record.
        self.read(start, record, 0..Self::UNIT)?;
        let [kind, _, not_kind, ..] = record.0;
        page.ours = kind == WHOLE;
        page.earlier = kind == EARLIER && not_kind == !EARLIER;
        page.begun = at == 0 && kind & WHOLE == WHOLE && self.is_erased(start, LONGEST, record)?;
        Ok(page)
    }

    /// Whether a page is erased from there on.
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

    /// Reads a part of a record that begins there.
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
