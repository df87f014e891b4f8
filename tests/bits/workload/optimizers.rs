//! Optimizers: steps, state, and searches.

use baregrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Asgd, Lbfgs, NAdam, Optimizer, ParamGroups, RAdam,
    RmsProp, Rprop, Sgd, SparseAdam, Stateful, clip_grad_norm,
};
use baregrad::random::seeded;
use baregrad::{Arena, Error, Shape};

use super::{Digest, Group, fill};

/// Steps of SGD and Adam.
pub const OPTIMIZERS: Group = Group {
    name: "optimizers",
    run: optimizers,
    stack: 5000,
    digest: 0x0da1_b224_4b97_d1ca,
};

/// Steps and state of the optimizers besides SGD and Adam.
pub const MORE_OPTIMIZERS: Group = Group {
    name: "more-optimizers",
    run: more_optimizers,
    stack: 2500,
    digest: 0x940e_8cc7_6834_2120,
};

/// Every optimizer of the list. A new one changes only the digest here.
pub const EVERY_OPTIMIZER: Group = Group {
    name: "every-optimizer",
    run: every_optimizer,
    stack: 3000,
    digest: 0xc222_76a7_573c_b72b,
};

/// L-BFGS on a recorded loss.
pub const SEARCHES: Group = Group {
    name: "searches",
    run: searches,
    stack: 4500,
    digest: 0x9738_64d5_299d_1fb2,
};

fn optimizers(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 67;
    fn run(digest: &mut Digest, mut optimizer: impl Optimizer) {
        let rng = &mut seeded(3);
        let [mut params, mut grads] = [[0.0; N]; 2];
        fill(rng, &mut params);
        for _ in 0..5 {
            fill(rng, &mut grads);
            let stepped = optimizer.step(&mut params, &grads).is_ok();
            digest.add(&[if stepped { 1.0 } else { 0.0 }]);
            digest.add(&params);
        }
    }
    let sgd = Sgd::new(0.1);
    run(digest, sgd.clone());
    run(digest, sgd.clone().weight_decay(0.01).maximize());
    run(digest, sgd.clone().momentum::<N>(0.9).dampening(0.1));
    run(digest, sgd.momentum::<N>(0.9).nesterov());
    run(digest, Adam::<N>::new(0.1));
    run(digest, Adam::<N>::new(0.1).weight_decay(0.01).maximize());
    run(digest, Adam::<N>::new(0.1).betas(0.8, 0.99).amsgrad());
    Ok(())
}

/// Steps the other optimizers, with fewer parameters, so that they fit the stack of a small board.
fn more_optimizers(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 19;
    fn run(digest: &mut Digest, mut optimizer: impl Optimizer + Stateful) {
        let rng = &mut seeded(4);
        let [mut params, mut grads] = [[0.0; N]; 2];
        fill(rng, &mut params);
        for _ in 0..7 {
            fill(rng, &mut grads);
            let stepped = optimizer.step(&mut params, &grads).is_ok();
            digest.add(&[if stepped { 1.0 } else { 0.0 }]);
            digest.add(&params);
        }
        let shown = optimizer.visit_state(N, &mut |_, numbers| digest.add(numbers));
        digest.add(&[if shown.is_ok() { 1.0 } else { 0.0 }]);
    }
    run(digest, AdamW::<N>::new(0.1).amsgrad());
    run(digest, NAdam::<N>::new(0.1).weight_decay(0.01));
    run(
        digest,
        RAdam::<N>::new(0.1)
            .decoupled_weight_decay()
            .weight_decay(0.01),
    );
    run(digest, Adamax::<N>::new(0.1).maximize());
    run(digest, RmsProp::<N>::new(0.1).momentum(0.9).centered());
    run(digest, Adagrad::<N>::new(0.1).lr_decay(0.01));
    run(digest, Adadelta::<N>::new(0.1));
    run(digest, Asgd::<N>::new(0.1).t0(3.0));
    run(digest, Rprop::<N>::new(0.1));
    run(digest, SparseAdam::<N>::new(0.1));
    run(
        digest,
        ParamGroups::new(7, Adagrad::<7>::new(0.1), Sgd::new(0.1)),
    );
    let mut grads = [0.0; 67];
    fill(&mut seeded(5), &mut grads);
    for most in [1.0, 1e-38] {
        digest.add(&[clip_grad_norm(&mut grads, most)]);
        digest.add(&grads);
    }
    Ok(())
}

/// Steps each optimizer with its defaults, on matrices, as some take nothing else.
fn every_optimizer(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 30;
    let shapes = [[3, 4], [2, 5], [1, 5], [3, 1]].map(Shape::from);
    #[inline(never)]
    fn run(digest: &mut Digest, mut optimizer: impl Optimizer + Stateful) {
        let rng = &mut seeded(6);
        let [mut params, mut grads] = [[0.0; N]; 2];
        fill(rng, &mut params);
        for step in 0..7 {
            fill(rng, &mut grads);
            if step == 4 {
                grads.fill(0.0);
            }
            let stepped = optimizer.step(&mut params, &grads).is_ok();
            digest.add(&[if stepped { 1.0 } else { 0.0 }]);
            digest.add(&params);
        }
        let shown = optimizer.visit_state(N, &mut |_, numbers| digest.add(numbers));
        digest.add(&[if shown.is_ok() { 1.0 } else { 0.0 }]);
    }
    macro_rules! told {
        ($optimizer:expr, shapes $($option:ident)*) => {
            $optimizer.shapes(&shapes)
        };
        ($optimizer:expr, $($option:ident)*) => {
            $optimizer
        };
    }
    macro_rules! run_all {
        ($($name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {
            $(run(digest, told!(baregrad::optim::$name::<N>::new(0.1), $($option)*));)*
        };
    }
    baregrad::each_optimizer!(run_all);
    Ok(())
}

/// Runs L-BFGS with and without its line search, on a recorded loss.
fn searches(digest: &mut Digest) -> Result<(), Error> {
    for strong_wolfe in [false, true] {
        let mut arena = Arena::<64, 24>::new();
        let tape = arena.tape();
        let [x, y] = [tape.param(&[-1.5], []), tape.param(&[2.0], [])];
        let loss = (1.0 - x).square() + 100.0 * (y - x * x).square();
        let mut search = Lbfgs::<2, 4>::new(if strong_wolfe { 1.0 } else { 0.2 });
        if strong_wolfe {
            search = search.strong_wolfe();
        }
        for _ in 0..3 {
            let found = tape.minimize(loss, &mut search)?;
            digest.add(&[found.evaluations as f32, loss.item()?]);
            digest.add(&tape.params()?);
        }
    }
    Ok(())
}
