//! Dropout: elements set to 0 at random.

use super::stretch::no_gradient;
use super::{Args, Entry, exactly};
use crate::kernel::Acc;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[Entry::each("dropout", |x, args| {
    let step = x.tape().constant(&[args.d0 as f32], []);
    Dropout::new(args.p).seed(args.n as u64).of(x, step)
})
.with(Args {
    p: 0.4,
    d0: 7,
    ..Args::NONE
})];

/// PyTorch's `dropout`: in training, each element is 0 with probability `p`, and the others are
/// divided by `1 - p`.
///
/// A number on the tape, `step`, determines which elements are dropped: the caller writes
/// another step before each [replay](crate::Tape::replay), for example the number of the epoch.
/// The same `seed` and `step` drop the same elements, on every target, also when a computation
/// is replayed, differentiated by differences or resumed. (PyTorch draws from a generator, which
/// a tape that is replayed does not have.) A negative `step` drops and divides nothing:
/// evaluation, with the same recording.
///
/// ```
/// use baregrad::ops::dropout::Dropout;
/// # let mut arena = baregrad::Arena::<64, 8>::new();
/// # let tape = arena.tape();
/// let x = tape.param(&[1.0; 8], [8]);
/// let step = tape.constant(&[0.0], []);
/// let y = Dropout::new(0.5).seed(3).of(x, step);
/// assert!(y.value()?.iter().all(|y| *y == 0.0 || *y == 2.0));
/// let before = y.value()?[..] == [0.0; 8];
///
/// tape.write(step, &[1.0])?; // others
/// tape.replay()?;
/// tape.write(step, &[-1.0])?; // none
/// tape.replay()?;
/// assert_eq!(*y.value()?, [1.0; 8]);
/// # assert!(!before);
/// # Ok::<(), baregrad::Error>(())
/// ```
///
/// `step` is an integer from 0 to 2²⁴, of shape `[]`, or an integer for each row, of shape `[n]`
/// for an `x` of `[n, …]`. Steps that differ from row to row and are rebound with the data drop
/// the same elements in micro-batches as in one batch.
///
/// Gradient: `g / (1 - p)` to elements that stay, 0 to dropped ones; none flows to `step`. As in
/// PyTorch, dropped elements are multiplied by 0, so that NaN and infinities become NaN.
///
/// The random numbers are those of Philox 4x32-10 (J. Salmon et al., "Parallel random numbers: as
/// easy as 1, 2, 3", 2011): element `i` of a row takes word `i % 4` for the key `seed` and the
/// counter `i / 4`, `step`. The backward pass generates them again, so that none are kept.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    p: f32,
    seed: u64,
    training: bool,
}

impl Dropout {
    /// A dropout with probability `p`, from 0 to 1, and a seed of 0.
    #[must_use]
    pub fn new(p: f32) -> Self {
        Dropout {
            p,
            seed: 0,
            training: true,
        }
    }

    /// Sets the seed, which should differ between layers of a network and between trainings.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets whether [`of`](Self::of) records anything; if not, it returns its `x`.
    #[must_use]
    pub fn training(mut self, training: bool) -> Self {
        self.training = training;
        self
    }

    /// Records the dropout of `x`.
    ///
    /// The tape keeps an error if `p` is not from 0 to 1, or `step` neither a number nor one
    /// for each row.
    #[track_caller]
    #[must_use]
    pub fn of<'t>(self, x: Var<'t>, step: Var<'t>) -> Var<'t> {
        if !self.training {
            return x;
        }
        let attrs = Attrs {
            words: [
                self.p.to_bits(),
                self.seed as u32,
                (self.seed >> 32) as u32,
                0,
            ],
            tag: 0,
        };
        x.tape().apply(&DropoutOp, &[x, step], attrs)
    }
}

/// Words: the probability, the seed.
#[derive(Debug)]
struct DropoutOp;

impl DropoutOp {
    /// Writes or adds (`acc`) to `to`: `from` times 0 or `1 / (1 - p)`, or `from` itself for a
    /// negative step.
    #[inline(never)]
    fn multiply(attrs: &Attrs, from: &[f32], steps: &[f32], to: &mut [f32], acc: Acc) {
        let [p, low, high, _] = attrs.words;
        let p = f32::from_bits(p);
        let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
        let Some(row) = to.len().checked_div(steps.len()).filter(|len| *len > 0) else {
            return;
        };
        let rows = from.chunks(row).zip(to.chunks_mut(row));
        for ((from, to), step) in rows.zip(steps) {
            if *step < 0.0 {
                from.iter().zip(to).for_each(|(x, to)| acc.put(to, *x));
                continue;
            }
            for (block, (from, to)) in from.chunks(4).zip(to.chunks_mut(4)).enumerate() {
                let block = block as u64;
                let counter = [block as u32, (block >> 32) as u32, *step as u32, 0];
                let words = philox(counter, [low, high]);
                for ((to, x), word) in to.iter_mut().zip(from).zip(words) {
                    // 24 bits: all multiples of 2⁻²⁴ below 1 are equally likely.
                    let unit = (word >> 8) as f32 * f32::from_bits(0x3380_0000);
                    acc.put(to, x * if unit < p { 0.0 } else { scale });
                }
            }
        }
    }
}

impl Op for DropoutOp {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, step] = exactly(operands)?;
        if !(0.0..=1.0).contains(&attrs.x()) {
            return Err(ShapeError::Other("expected a probability from 0 to 1"));
        }
        let of_rows = x.rank() > 0 && step.dims() == [x.dim(0)];
        if step.rank() != 0 && !of_rows {
            return Err(ShapeError::Other(
                "expected a step that is one number, or one for each row",
            ));
        }
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let attrs = cx.attrs();
        let ([x, steps], out) = cx.split();
        Self::multiply(attrs, x, steps, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (attrs, steps) = (cx.attrs(), cx.operand(1));
        if let Some(grad) = cx.grad(0) {
            Self::multiply(attrs, grad.output, steps, grad.operand, grad.acc);
        }
        no_gradient(cx, 1);
    }
}

/// Philox 4x32-10: ten rounds, each of two products of 32 by 32 bits.
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let product = |factor: u32, x: u32| {
        let product = u64::from(factor) * u64::from(x);
        ((product >> 32) as u32, product as u32)
    };
    let ([mut a, mut b, mut c, mut d], [mut k, mut l]) = (counter, key);
    for _ in 0..10 {
        let (high, low) = product(0xD251_1F53, a);
        let (other_high, other_low) = product(0xCD9E_8D57, c);
        (a, b, c, d) = (other_high ^ b ^ k, other_low, high ^ d ^ l, low);
        k = k.wrapping_add(0x9E37_79B9);
        l = l.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that are shipped with Random123, by the authors of the paper.
    #[test]
    fn philox_gives_the_known_answers() {
        let ones = u32::MAX;
        let answers = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [ones; 4],
                [ones; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in answers {
            assert_eq!(philox(counter, key), answer);
        }
    }
}
