//! Cuts power after every single byte that the flash works on, in saves, page
//! erases and repairs of pages. Afterwards the store must hold the old calibration or
//! the new one.

mod host;

use std::process::ExitCode;
use std::thread;

use calibrator::Kept;
use calibrator::store::{COPIES, Store, StoreError};
use embedded_storage::nor_flash::NorFlash;
use host::{Flash, Tear, calibration};

/// An operation of the firmware on its flash.
#[derive(Clone, Copy, Debug)]
enum Act {
    Boot,
    Save(u32, &'static str),
    Erase,
}

/// The calibration that the flash holds, or the reason why it holds none.
type Found = Result<Kept, StoreError>;

impl Act {
    fn perform<F: NorFlash>(self, flash: &mut F, pages: u32) -> Result<(), StoreError> {
        let mut store = Store::new(flash, 0..pages)?;
        match self {
            Act::Boot => store.boot().map(|_| ()),
            Act::Save(number, model) => store.save(&calibration(number, model)),
            Act::Erase => store.erase(),
        }
    }

    /// Returns the content of the store after the act.
    fn leaves(self, before: &Found) -> Found {
        match self {
            Act::Boot => before.clone(),
            Act::Save(number, model) => Ok(calibration(number, model)),
            Act::Erase => Err(StoreError::Empty),
        }
    }
}

/// Returns saves of all sizes, starts and erasures, enough to fill and erase every page
/// several times.
fn acts() -> Vec<Act> {
    let models = ["linear", "poly:3", "mlp:8", "poly:2"];
    let mut acts = Vec::new();
    for number in 0..30 {
        let model = models[number as usize % models.len()];
        acts.push(Act::Boot);
        acts.push(Act::Save(number, model));
        if number % 7 == 3 {
            acts.push(Act::Erase);
        }
    }
    acts
}

#[derive(Debug, Default)]
struct Count {
    cuts: usize,
    /// Cuts in the start after another cut.
    again: usize,
    lost: usize,
    erases: usize,
}

/// Every 97th cut is followed by second cuts in the repair at the next start, at every 31st byte.
/// The first of these bytes moves on from cut to cut.
const AGAIN: (usize, usize) = (97, 31);

/// Cuts power at every byte of every act.
fn cut_everywhere<const WORD: usize, const PAGE: usize>(tear: Tear) -> Count {
    let size = (COPIES * PAGE) as u32;
    let mut flash = Flash::<WORD, PAGE>::erased(COPIES);
    flash.tear = tear;
    let mut count = Count::default();
    let mut old: Found = Err(StoreError::Empty);
    for act in acts() {
        let new = act.leaves(&old);
        for bytes in 0.. {
            let mut cut = flash.clone();
            if !cut_after(&mut cut, bytes, act, size) {
                break;
            }
            count.cuts += 1;
            if count.cuts.is_multiple_of(AGAIN.0) {
                for more in (count.cuts / AGAIN.0 % AGAIN.1..).step_by(AGAIN.1) {
                    let mut again = cut.clone();
                    if !cut_after(&mut again, more, Act::Boot, size) {
                        break;
                    }
                    count.again += 1;
                    if !survives(&mut again, size, &old, &new) {
                        count.lost += 1;
                        eprintln!("lost: {act:?} cut after {bytes} and {more} bytes, {tear:?}");
                    }
                }
            }
            if !survives(&mut cut, size, &old, &new) {
                count.lost += 1;
                eprintln!("lost: {act:?} cut after {bytes} bytes, {tear:?}");
            }
        }
        assert_eq!(act.perform(&mut flash, size), Ok(()), "{act:?}");
        old = new;
    }
    count.erases = flash.erased;
    count
}

/// Performs an act and cuts power after `bytes`. Returns whether the act took longer, so that the
/// cut was in its middle. Power is back on return.
fn cut_after<const WORD: usize, const PAGE: usize>(
    flash: &mut Flash<WORD, PAGE>,
    bytes: usize,
    act: Act,
    size: u32,
) -> bool {
    flash.power = Some(bytes);
    let done = act.perform(flash, size);
    let failed = flash.power == Some(0);
    flash.power = None;
    assert!(failed || done == Ok(()), "{act:?}: {done:?}");
    failed
}

/// Returns whether the store holds the old or the new content, keeps it over a start, and can
/// save the next calibration.
fn survives<F: NorFlash>(flash: &mut F, size: u32, old: &Found, new: &Found) -> bool {
    let load = |flash: &mut F| Store::new(flash, 0..size).and_then(|mut store| store.load());
    let found = load(flash);
    let mut good = found == *old || found == *new;
    good &= Act::Boot.perform(flash, size).is_ok() && load(flash) == found;
    let next = Act::Save(1000, "poly:2");
    good &= next.perform(flash, size).is_ok() && load(flash) == next.leaves(&found);
    good
}

const SMALL: &str = "words of 32 bytes, pages of 512";

fn main() -> ExitCode {
    let mut all = Count::default();
    let mut run = |what: &str, count: Count| {
        let Count {
            cuts,
            again,
            lost,
            erases,
        } = count;
        println!(
            "{what:32} {cuts:6} cuts, {again:6} second cuts, {erases} page erases, {lost} lost"
        );
        // Few page erases would mean that the test covers little.
        assert!(erases > 2 * COPIES);
        all.cuts += cuts;
        all.again += again;
        all.lost += lost;
    };
    // Each way of tearing has a thread of its own.
    let torn = |tear| {
        [
            ("words of 4 bytes (nRF51)", cut_everywhere::<4, 1024>(tear)),
            (
                "words of 8 bytes (STM32L4)",
                cut_everywhere::<8, 1024>(tear),
            ),
            (
                "words of 2 bytes (STM32F1)",
                cut_everywhere::<2, 1024>(tear),
            ),
            ("bytes (STM32F4, Pico)", cut_everywhere::<1, 1024>(tear)),
            // These pages are so small that almost every save erases one.
            (SMALL, cut_everywhere::<32, 512>(tear)),
        ]
    };
    thread::scope(|scope| {
        let tears = [Tear::Clean, Tear::Half, Tear::FromTheEnd, Tear::Scattered];
        let runs = tears.map(|tear| scope.spawn(move || torn(tear)));
        for counts in runs.map(|run| run.join().expect("a thread that panicked said why")) {
            for (what, count) in counts {
                assert!(what != SMALL || count.erases > 10 * COPIES);
                run(what, count);
            }
        }
    });
    println!(
        "power cuts: {} points tried, {} lost",
        all.cuts + all.again,
        all.lost
    );
    ExitCode::from(u8::from(all.lost > 0))
}
