//! Power fails after every single byte that the flash works on, in saves, page
//! erases and moves between pages: afterwards the old calibration is found, or
//! the new one, and never anything else.

mod host;

use calibrator::calibration::{Calibration, MAX_PARAMS, Model, Scale};
use calibrator::store::{Store, StoreError};
use embedded_storage::nor_flash::NorFlash;
use host::{Flash, Tear};

/// A calibration that can be told from others.
fn calibration(number: u32, model: Model) -> Calibration {
    let mut params = [0.0; MAX_PARAMS];
    for (i, p) in params.iter_mut().take(model.params()).enumerate() {
        *p = number as f32 + i as f32 / 64.0;
    }
    let scale = Scale {
        mean: number as f32,
        deviation: 1.0,
    };
    Calibration {
        model,
        input: scale,
        output: scale,
        params,
    }
}

/// What the firmware does with its flash.
#[derive(Clone, Copy, Debug)]
enum Act {
    Boot,
    Save(u32, Model),
    Erase,
}

/// What is to be found: a calibration, or none.
type Found = Result<Calibration, StoreError>;

impl Act {
    fn perform<F: NorFlash>(self, flash: &mut F, pages: u32) -> Result<(), StoreError> {
        let mut store = Store::new(flash, 0..pages)?;
        match self {
            Act::Boot => store.boot().map(|_| ()),
            Act::Save(number, model) => store.save(&calibration(number, model)),
            Act::Erase => store.erase(),
        }
    }

    /// What is found when it is done.
    fn leaves(self, before: Found) -> Found {
        match self {
            Act::Boot => before,
            Act::Save(number, model) => Ok(calibration(number, model)),
            Act::Erase => Err(StoreError::Empty),
        }
    }
}

/// Saves of all sizes, starts and erasures, often enough to go round all pages
/// several times.
fn acts() -> Vec<Act> {
    let models = [
        Model::Linear,
        Model::Poly3,
        Model::Mlp { hidden: 8 },
        Model::Poly2,
    ];
    let mut acts = Vec::new();
    for number in 0..60 {
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
    lost: usize,
    erases: usize,
}

/// Cuts power at every byte of every act, in that many pages of the flash.
fn cut_everywhere<const WORD: usize, const PAGE: usize>(pages: usize, tear: Tear) -> Count {
    let size = (pages * PAGE) as u32;
    let mut flash = Flash::<WORD, PAGE>::erased(pages);
    flash.tear = tear;
    let mut count = Count::default();
    let mut old: Found = Err(StoreError::Empty);
    for act in acts() {
        let new = act.leaves(old);
        for bytes in 0.. {
            let mut cut = flash.clone();
            cut.power = Some(bytes);
            let done = act.perform(&mut cut, size);
            let complete = cut.power != Some(0);
            if complete {
                assert_eq!(done, Ok(()), "{act:?}");
                break;
            }
            // Power is back.
            count.cuts += 1;
            cut.power = None;
            if !survives(&mut cut, size, old, new) {
                count.lost += 1;
                eprintln!("lost: {act:?} cut after {bytes} bytes, {tear:?}");
            }
        }
        act.perform(&mut flash, size).unwrap();
        old = new;
    }
    count.erases = flash.erased;
    count
}

/// Whether the old or the new state is found, stays found over a start, and the
/// flash can be used as before.
fn survives<F: NorFlash>(flash: &mut F, size: u32, old: Found, new: Found) -> bool {
    let load = |flash: &mut F| Store::new(flash, 0..size).and_then(|mut store| store.load());
    let found = load(flash);
    let mut good = found == old || found == new;
    good &= Act::Boot.perform(flash, size).is_ok() && load(flash) == found;
    let next = Act::Save(1000, Model::Poly2);
    good &= next.perform(flash, size).is_ok() && load(flash) == next.leaves(found);
    good
}

#[test]
fn every_cut_leaves_the_old_or_the_new_calibration() {
    let mut all = Count::default();
    let mut run = |what: &str, count: Count| {
        println!(
            "{what}: {} cut points, {} lost, {} page erases",
            count.cuts, count.lost, count.erases
        );
        assert!(count.erases >= 2, "pages were never erased");
        all.cuts += count.cuts;
        all.lost += count.lost;
    };
    for tear in [Tear::Clean, Tear::Half] {
        run(
            "nRF51: words of 4, 2 pages of 1 KiB",
            cut_everywhere::<4, 1024>(2, tear),
        );
        run("3 pages", cut_everywhere::<4, 1024>(3, tear));
        run(
            "STM32F1: words of 2, 2 pages of 1 KiB",
            cut_everywhere::<2, 1024>(2, tear),
        );
        run(
            "bytes, 2 pages of 1 KiB",
            cut_everywhere::<1, 1024>(2, tear),
        );
    }
    println!("power cuts: {} points tried, {} lost", all.cuts, all.lost);
    assert_eq!(all.lost, 0);
}
