//! Schedules of learning rates and momentum.

use baregrad::Error;
use baregrad::optim::schedule::*;
use baregrad::optim::{Optimizer as _, Sgd};

use super::{Digest, Group};

/// Rates of every schedule of the list. A new one changes only the digest here.
pub const SCHEDULES: Group = Group {
    name: "schedules",
    run: schedules,
    stack: 1500,
    digest: 0x49cb_dc14_1bce_9c59,
};

/// Computes rates and momentum of every schedule.
fn schedules(digest: &mut Digest) -> Result<(), Error> {
    fn run(digest: &mut Digest, schedule: impl Schedule) {
        let mut sgd = Sgd::new(0.1).momentum::<1>(0.9);
        let mut scheduler = Scheduler::new(schedule, &mut sgd);
        for epoch in 0..25_u16 {
            digest.add(&[
                sgd.learning_rate(),
                sgd.momentum_factor().unwrap_or_default(),
            ]);
            scheduler.step_with(f32::from(epoch % 7), &mut sgd);
        }
        scheduler.visit_state(&mut |_, numbers| digest.add(numbers));
    }
    macro_rules! run_all {
        ($(
            $name:ident = $torch:literal ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
                [$($option:ident($($value:expr),*))*];
        )*) => {
            $(run(digest, $name::new($($sample),*)$(.$option($($value),*))*);)*
        };
    }
    baregrad::each_schedule!(run_all);
    // Modes and combinations that the list does not have.
    run(digest, OneCycleLr::new(0.5, 20));
    run(
        digest,
        CyclicLr::new(0.01, 0.1).step_size_up(3).triangular2(),
    );
    run(digest, ReduceLrOnPlateau::new().patience(2).factor(0.3));
    run(
        digest,
        LinearLr::new(0.1, 0.8, 10).chain(ExponentialLr::new(0.9)),
    );
    run(
        digest,
        LinearLr::default().then(5, CosineAnnealingLr::new(20)),
    );
    Ok(())
}
