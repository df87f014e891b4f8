//! Steps of an optimizer with its defaults, on a matrix of 8 × 8 parameters with given gradients.
//! The environment variable `OPTIMIZER`, which `optimizers.sh` sets, chooses the optimizer at
//! compile time, by its name in `torch.optim`.

use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};

use baregrad::Shape;
use baregrad::optim::{Answer, Lbfgs, Optimizer, Reason, Search as _, Sgd};

/// The number of parameters.
const N: usize = 64;

/// The number of pairs that L-BFGS remembers.
const HISTORY: usize = 4;

/// Returns whether `OPTIMIZER` is this name.
const fn is_chosen(name: &str) -> bool {
    let Some(chosen) = option_env!("OPTIMIZER") else {
        return false;
    };
    let (mut left, mut right) = (chosen.as_bytes(), name.as_bytes());
    while let ([a, rest @ ..], [b, others @ ..]) = (left, right) {
        if *a != *b {
            return false;
        }
        (left, right) = (rest, others);
    }
    left.is_empty() && right.is_empty()
}

/// The bytes of the optimizer. They are printed after the stack has been measured, because
/// printing takes stack.
static BYTES: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Returns the ticks that `EPOCHS` steps of the chosen optimizer take.
#[inline(never)]
pub(crate) fn steps() -> Option<u32> {
    let shapes = [Shape::from([8, 8])];
    macro_rules! told {
        ($optimizer:expr, shapes $($option:ident)*) => {
            $optimizer.shapes(&shapes)
        };
        ($optimizer:expr, $($option:ident)*) => {
            $optimizer
        };
    }
    macro_rules! all {
        ($($name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {
            $(if const { is_chosen($torch) } {
                return measure(told!(baregrad::optim::$name::<N>::new(1e-3), $($option)*));
            })*
        };
    }
    baregrad::each_optimizer!(all);
    if const { is_chosen("SGD") } {
        return measure(Sgd::new(1e-3));
    }
    if const { is_chosen("SGD-momentum") } {
        return measure(Sgd::new(1e-3).momentum::<N>(0.9));
    }
    if const { is_chosen("LBFGS") } {
        return search(Lbfgs::new(1.0));
    }
    if const { is_chosen("LBFGS-strong_wolfe") } {
        return search(Lbfgs::new(1.0).strong_wolfe());
    }
    None
}

#[inline(always)]
fn measure(mut optimizer: impl Optimizer) -> Option<u32> {
    BYTES.store(size_of_val(&optimizer), Ordering::Relaxed);
    let (mut params, mut grads) = ([0.5; N], [0.25; N]);
    crate::count(|| {
        optimizer.step(&mut params, black_box(&mut grads)).ok()?;
        black_box(&params);
        Some(())
    })
}

/// Counts evaluations of a loss with its true gradients, without which a line search would stop:
/// a parabola that gets wider from parameter to parameter. At the minimum, where evaluations cost
/// next to nothing, the search starts again.
#[inline(always)]
fn search(mut search: Lbfgs<N, HISTORY>) -> Option<u32> {
    BYTES.store(size_of_val(&search), Ordering::Relaxed);
    let (mut params, mut grads) = ([0.5; N], [0.25; N]);
    crate::count(|| {
        let (mut loss, mut weight) = (0.0, 1.0);
        for (p, g) in params.iter_mut().zip(&mut grads) {
            loss += 0.5 * weight * *p * *p;
            *g = weight * *p;
            weight *= 0.875;
        }
        match search.tell(&mut params, loss, &grads).ok()? {
            Answer::Ask | Answer::Found(Reason::Iterations | Reason::Evaluations) => {}
            Answer::Found(_) => {
                search.reset();
                params = [0.5; N];
            }
        }
        Some(())
    })
}
