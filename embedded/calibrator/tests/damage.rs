//! Damages the flash: flips bits, overwrites words, pages and random ranges. Afterwards the store
//! must return the last calibration that was acknowledged, or report damage; never an older
//! calibration, an erased one, or an empty store. A store that reports damage must not write
//! until it is erased.

mod host;

use calibrator::Kept;
use calibrator::store::{COPIES, Store, StoreError};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use host::{Flash, FlashError, HostBoard, HostMemory, SmallFlash, Terminal, calibration};

type Found = Result<Kept, StoreError>;

fn open<F: NorFlash>(flash: &mut F, pages: u32) -> Store<'_, F> {
    let size = F::ERASE_SIZE as u32;
    Store::new(flash, 0..pages * size).expect("pages enough")
}

fn load<F: NorFlash>(flash: &mut F) -> Found {
    open(flash, 3).load()
}

/// A flash, and the content that was acknowledged last.
struct Case<const WORD: usize, const PAGE: usize> {
    name: &'static str,
    flash: Flash<WORD, PAGE>,
    acknowledged: Found,
}

/// Returns flashes with different histories, all of whose records were acknowledged.
fn cases<const WORD: usize, const PAGE: usize>() -> Vec<Case<WORD, PAGE>> {
    let [a, b] = [calibration(1, "linear"), calibration(2, "mlp:3")];
    let mut cases = Vec::new();
    let mut case = |name, acts: &dyn Fn(&mut Flash<WORD, PAGE>) -> Found| {
        let mut flash = Flash::erased(3);
        let acknowledged = acts(&mut flash);
        cases.push(Case {
            name,
            flash,
            acknowledged,
        });
    };
    case("save", &|flash| {
        open(flash, 3).boot().unwrap();
        open(flash, 3).save(&a).unwrap();
        Ok(a.clone())
    });
    case("save, save", &|flash| {
        open(flash, 3).boot().unwrap();
        open(flash, 3).save(&a).unwrap();
        open(flash, 3).boot().unwrap();
        open(flash, 3).save(&b).unwrap();
        Ok(b.clone())
    });
    case("save, erase", &|flash| {
        open(flash, 3).boot().unwrap();
        open(flash, 3).save(&a).unwrap();
        open(flash, 3).erase().unwrap();
        Err(StoreError::Empty)
    });
    case("pages gone round, start", &|flash| {
        for number in 0..40 {
            let model = ["poly:2", "mlp:8"][number as usize % 2];
            open(flash, 3).save(&calibration(number, model)).unwrap();
        }
        open(flash, 3).boot().unwrap();
        Ok(calibration(39, "mlp:8"))
    });
    cases
}

impl<const WORD: usize, const PAGE: usize> Case<WORD, PAGE> {
    /// Asserts that the store returns the acknowledged content, repairs all pages at a start, and
    /// saves the next calibration.
    fn holds(&self, mut flash: Flash<WORD, PAGE>, what: &str) {
        let name = self.name;
        assert_eq!(load(&mut flash), self.acknowledged, "{name}: {what}");
        open(&mut flash, 3).boot().unwrap();
        assert_eq!(open(&mut flash, 3).whole_copies(), Ok(COPIES));
        assert_eq!(load(&mut flash), self.acknowledged, "{name}: {what}");
        let next = calibration(99, "poly:3");
        open(&mut flash, 3).save(&next).unwrap();
        assert_eq!(load(&mut flash), Ok(next), "{name}: {what}");
    }

    /// Asserts the same, or that the store reports damage and writes nothing until it is erased.
    /// Returns whether it reported damage.
    fn holds_or_says_so(&self, mut flash: Flash<WORD, PAGE>, what: &str) -> bool {
        let name = self.name;
        match load(&mut flash) {
            Err(error @ (StoreError::Damaged | StoreError::Unreadable)) => {
                let before = flash.bytes.clone();
                assert_eq!(open(&mut flash, 3).boot(), Err(error), "{name}: {what}");
                let next = calibration(99, "poly:3");
                assert_eq!(open(&mut flash, 3).save(&next), Err(error));
                assert_eq!(flash.bytes, before, "{name}: {what}: written over");
                assert_eq!(open(&mut flash, 3).erase(), Ok(()));
                assert_eq!(load(&mut flash), Err(StoreError::Empty));
                open(&mut flash, 3).save(&next).unwrap();
                assert_eq!(load(&mut flash), Ok(next));
                true
            }
            _ => {
                self.holds(flash, what);
                false
            }
        }
    }
}

/// A generator that needs no crate: Lehmer's, with the modulus 2³¹ - 1.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0 * 48271 % 0x7fff_ffff;
        (self.0 as usize) % n
    }
}

fn every_bit<const WORD: usize, const PAGE: usize>() {
    for case in cases::<WORD, PAGE>() {
        for bit in 0..8 * 3 * PAGE {
            let mut flash = case.flash.clone();
            flash.bytes[bit / 8] ^= 1 << (bit % 8);
            case.holds(flash, &format!("bit {bit}"));
        }
    }
}

#[test]
fn every_bit_may_flip() {
    every_bit::<1, 512>();
    every_bit::<2, 512>();
    every_bit::<4, 1024>();
}

fn words_and_pages<const WORD: usize, const PAGE: usize>() {
    for case in cases::<WORD, PAGE>() {
        for fill in [0xff, 0x00, 0x5a] {
            for word in 0..3 * PAGE / WORD {
                let mut flash = case.flash.clone();
                flash.bytes[word * WORD..][..WORD].fill(fill);
                case.holds(flash, &format!("word {word} is {fill:#x}"));
            }
            // One page, or two.
            for pages in [[0, 0], [1, 1], [2, 2], [0, 1], [0, 2], [1, 2]] {
                let mut flash = case.flash.clone();
                for page in pages {
                    flash.bytes[page * PAGE..][..PAGE].fill(fill);
                }
                case.holds(flash, &format!("pages {pages:?} are {fill:#x}"));
            }
        }
    }
}

#[test]
fn a_word_or_two_pages_may_be_lost() {
    words_and_pages::<1, 512>();
    words_and_pages::<2, 512>();
    words_and_pages::<4, 1024>();
    words_and_pages::<32, 512>();
}

fn two_bits<const WORD: usize, const PAGE: usize>() {
    let mut random = Random(7);
    for case in cases::<WORD, PAGE>() {
        let flip = |bits: [usize; 2]| {
            let mut flash = case.flash.clone();
            for bit in bits {
                flash.bytes[bit / 8] ^= 1 << (bit % 8);
            }
            case.holds(flash, &format!("bits {bits:?}"));
        };
        for _ in 0..3000 {
            flip([random.below(24 * PAGE), random.below(24 * PAGE)]);
        }
        // The same bit of two copies.
        for bit in 0..8 * PAGE {
            let [a, b] = [[0, 1], [0, 2], [1, 2]][bit % 3];
            flip([8 * PAGE * a + bit, 8 * PAGE * b + bit]);
        }
    }
}

#[test]
fn any_two_bits_may_flip() {
    two_bits::<1, 512>();
    two_bits::<2, 512>();
    two_bits::<4, 1024>();
}

fn anything<const WORD: usize, const PAGE: usize>() {
    let mut random = Random(11);
    for case in cases::<WORD, PAGE>() {
        let mut told = 0;
        for round in 0..3000 {
            let mut flash = case.flash.clone();
            // A run of random bytes, or bytes and bits here and there.
            if round % 2 == 0 {
                let start = random.below(3 * PAGE);
                let len = 1 + random.below(3 * PAGE - start);
                let run = flash.bytes[start..][..len].iter_mut();
                run.for_each(|byte| *byte = random.below(256) as u8);
            } else {
                for _ in 0..1 + random.below(40) {
                    let at = random.below(3 * PAGE);
                    flash.bytes[at] ^= 1 << random.below(8);
                }
            }
            told += usize::from(case.holds_or_says_so(flash, &format!("round {round}")));
        }
        // Damage to all three pages was frequent enough.
        assert!(told > 300, "{told}");
        // The same bit of all copies: a record's checksum fails, or the flash behind the records
        // is not erased.
        for bit in 0..8 * PAGE {
            let mut flash = case.flash.clone();
            for page in 0..3 {
                flash.bytes[page * PAGE + bit / 8] ^= 1 << (bit % 8);
            }
            let before = flash.bytes.clone();
            if !case.holds_or_says_so(flash, &format!("bit {bit} of all")) {
                // The store does not read this bit, which pads a record.
                assert_ne!(before, case.flash.bytes);
            }
        }
    }
}

#[test]
fn damage_to_all_copies_is_told_and_kept_until_it_is_erased() {
    anything::<1, 512>();
    anything::<2, 512>();
    anything::<4, 1024>();
}

/// The greeting and the answers report damage, tried with every third bit of a page.
#[test]
fn the_terminal_says_what_it_found() {
    let mut flash = SmallFlash::erased(3);
    open(&mut flash, 3).save(&calibration(1, "linear")).unwrap();
    let saved = calibration(2, "poly:2");
    open(&mut flash, 3).save(&saved).unwrap();
    let crc = saved.checksum();
    let mut told = 0;
    for bit in (0..8 * 1024).step_by(3) {
        for copies in [1, 3] {
            let mut board = HostBoard::new();
            board.flash = flash.clone();
            for page in 0..copies {
                board.flash.bytes[page * 1024 + bit / 8] ^= 1 << (bit % 8);
            }
            let damaged = board.flash.bytes.clone();
            let mut memory = HostMemory::new();
            let mut t = Terminal::new(board, &mut memory);
            let greeting = t.greeting();
            if greeting.contains(&format!("\nstored poly:2 crc={crc:08x}\n")) {
                assert_eq!(t.line("load"), format!("ok crc={crc:08x}\n"));
                assert!(t.line("read 1").starts_with("ok "));
                continue;
            }
            let error = "expected a whole copy of what was saved last, found all damaged: erase it";
            assert_eq!(copies, 3, "{greeting}");
            assert!(
                greeting.contains(&format!("\nstored nothing of use: {error}\n"))
                    || greeting.contains(" found something else: erase it\n"),
                "{greeting}"
            );
            for line in ["load", "read 1", "save"] {
                let answer = t.line(line);
                assert!(answer.starts_with("error: expected "), "{line}: {answer}");
            }
            assert_eq!(t.board().flash.bytes, damaged, "written over");
            assert_eq!(t.line("erase"), "ok\n");
            assert!(t.line("status").contains("\nstored none\n"));
            told += 1;
        }
    }
    assert!(told > 500, "{told}");
}

/// After a power cut in a save the next save works, in 12,000 tries on flash with words of one
/// byte, where a cut can leave any part of a record.
#[test]
fn a_save_after_a_torn_one_is_not_refused() {
    let mut refused = 0;
    let mut random = Random(3);
    for content in 0..300 {
        let mut flash = Flash::<1, 1024>::erased(3);
        let old = calibration(content, "linear");
        open(&mut flash, 3).save(&old).unwrap();
        for cut in 0..40 {
            let mut torn = flash.clone();
            let new = calibration(1000 + content, "linear");
            // Cuts at each of the first 24 bytes, then anywhere. Two whole records are enough.
            let takes = (16 + new.bytes().len()).next_multiple_of(16);
            let power = if cut < 24 {
                cut
            } else {
                random.below(3 * takes)
            };
            torn.power = Some(power);
            let saved = open(&mut torn, 3).save(&new);
            // The second record must also be read back.
            assert_eq!(saved.is_ok(), power > 2 * takes, "after {power} bytes");
            torn.power = None;
            let next = calibration(2000 + 40 * content + cut as u32, "poly:2");
            let saved = open(&mut torn, 3).save(&next);
            if saved.is_err() || load(&mut torn) != Ok(next) {
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 0, "of 12,000");
}

/// A flash with words that are worn out: they read as erased after every write.
struct Worn {
    flash: SmallFlash,
    words: Vec<u32>,
}

impl ErrorType for Worn {
    type Error = FlashError;
}

impl ReadNorFlash for Worn {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl NorFlash for Worn {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.flash.erase(from, to)
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.write(offset, bytes)?;
        for word in self.words.iter().map(|word| *word as usize) {
            if (offset as usize..offset as usize + bytes.len()).contains(&word) {
                self.flash.bytes[word..][..4].fill(0xff);
            }
        }
        Ok(())
    }
}

/// A worn word in one page does not make a save fail, whichever word it is.
#[test]
fn a_word_that_keeps_nothing_is_no_reason_to_refuse() {
    for word in (0..3 * 1024).step_by(4) {
        let mut worn = Worn {
            flash: SmallFlash::erased(3),
            words: vec![word],
        };
        for number in 0..20 {
            let model = ["linear", "mlp:8"][number as usize % 2];
            let new = calibration(number, model);
            assert_eq!(open(&mut worn, 3).save(&new), Ok(()), "{word}");
            assert_eq!(load(&mut worn), Ok(new));
            let copies = open(&mut worn, 3).whole_copies().unwrap();
            assert!(copies >= 2, "{word}");
            assert!(open(&mut worn, 3).boot().is_ok(), "{word}");
        }
    }
    // Worn words in two pages do.
    let mut worn = Worn {
        flash: SmallFlash::erased(3),
        words: vec![0, 1024],
    };
    let refused = open(&mut worn, 3).save(&calibration(1, "linear"));
    assert_eq!(refused, Err(StoreError::Unchanged));
}
