//! Normalisation: of each row by itself, or of each channel over a batch.

mod batch;
mod layer;

pub use batch::BatchNorm;
pub use layer::LayerNorm;

use super::{Args, Build, Entry};
use crate::kernel::{Lanes, sum_in_turn};
use crate::op::Backward;
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("layer_norm_plain", |x, args| {
        let rank = x.shape().rank();
        let last = x.shape().dim(rank.saturating_sub(1));
        LayerNorm::new([last]).eps(args.c).of(x)
    })
    .with(EPS),
    Entry::new(
        "layer_norm",
        Build::Three(|x, w, b, args| {
            let norm = LayerNorm::new(w.shape()).weight(w).bias(b);
            norm.eps(args.c).of(x)
        }),
    )
    .of(AFFINE)
    .with(EPS),
    Entry::new(
        "batch_norm",
        Build::Three(|x, w, b, args| of_channels(x, w, b, args).train(x)),
    )
    .of(AFFINE)
    .with(EPS),
    Entry::new(
        "batch_norm_eval",
        Build::Three(|x, w, b, args| of_channels(x, w, b, args).eval(x)),
    )
    .of(AFFINE)
    .with(EPS),
];

const AFFINE: &[&[usize]] = &[&[4, 3], &[3], &[3]];

const EPS: Args = Args {
    c: 1e-3,
    ..Args::NONE
};

/// A normalisation for tests, with statistics that differ from channel to channel.
fn of_channels<'t>(x: Var<'t>, w: Var<'t>, b: Var<'t>, args: &Args) -> BatchNorm<'t> {
    let (tape, shape) = (x.tape(), w.shape());
    let mean = tape.constant_from_fn(shape, |i| (i % 4) as f32 * 0.25 - 0.5);
    let var = tape.constant_from_fn(shape, |i| (i % 4) as f32 * 0.25 + 0.5);
    let norm = BatchNorm::new(mean, var).weight(w).bias(b);
    norm.eps(args.c)
}

/// Mean and variance of some numbers.
#[derive(Clone, Copy)]
struct Moments {
    /// The rounded mean.
    mean: f32,
    /// The rounding error of the mean. Subtracting it as well keeps the digits of numbers that
    /// are far from 0 and close to each other.
    rest: f32,
    /// The mean squared distance from the mean, divided by the count, not by one less.
    variance: f32,
}

impl Moments {
    fn of(values: impl Iterator<Item = f32> + Clone, count: usize) -> Self {
        let n = count as f32;
        let mean = sum_in_turn(values.clone(), count) / n;
        let rest = sum_in_turn(values.clone().map(|x| x - mean), count) / n;
        let squares = values.map(|x| {
            let distance = (x - mean) - rest;
            distance * distance
        });
        Moments {
            mean,
            rest,
            variance: sum_in_turn(squares, count) / n,
        }
    }

    /// The factor that normalises distances from the mean.
    fn scale(self, eps: f32) -> f32 {
        1.0 / Lanes::sqrt(self.variance + eps)
    }
}

/// The groups of elements that are normalised together. A tensor is seen as
/// `[outer, groups, inner]`, and each index of its second dimension is a group.
#[derive(Clone, Copy)]
struct Groups {
    outer: usize,
    groups: usize,
    inner: usize,
}

impl Groups {
    /// The number of elements in each group.
    fn len(self) -> usize {
        self.outer.saturating_mul(self.inner)
    }

    /// The positions of a group's elements.
    fn places(self, group: usize) -> impl Iterator<Item = usize> + Clone {
        (0..self.outer).flat_map(move |o| {
            let first = (o * self.groups + group) * self.inner;
            first..first + self.inner
        })
    }

    /// A group's elements.
    fn elements(self, x: &[f32], group: usize) -> impl Iterator<Item = f32> + Clone {
        self.places(group)
            .map(|place| x.get(place).copied().unwrap_or(f32::NAN))
    }

    fn moments(self, x: &[f32], group: usize) -> Moments {
        Moments::of(self.elements(x, group), self.len())
    }

    #[inline(never)]
    fn normalize(self, x: &[f32], eps: f32, out: &mut [f32]) {
        if out.is_empty() {
            return; // the other sizes of an empty tensor may be huge
        }
        for group in 0..self.groups {
            let moments = self.moments(x, group);
            let scale = moments.scale(eps);
            for (place, x) in self.places(group).zip(self.elements(x, group)) {
                if let Some(to) = out.get_mut(place) {
                    *to = ((x - moments.mean) - moments.rest) * scale;
                }
            }
        }
    }

    #[inline(never)]
    fn send(self, x: &[f32], y: &[f32], eps: f32, cx: &mut Backward<'_>) {
        let Some(grad) = cx.grad(0) else { return };
        if grad.operand.is_empty() {
            return;
        }
        let n = self.len() as f32;
        for group in 0..self.groups {
            let scale = self.moments(x, group).scale(eps);
            let gs = self.elements(grad.output, group);
            let both = gs.zip(self.elements(y, group));
            let mean = sum_in_turn(both.clone().map(|(g, _)| g), self.len()) / n;
            let along = sum_in_turn(both.clone().map(|(g, y)| g * y), self.len()) / n;
            for (place, (g, y)) in self.places(group).zip(both) {
                if let Some(to) = grad.operand.get_mut(place) {
                    grad.acc.put(to, ((g - mean) - y * along) * scale);
                }
            }
        }
    }
}
