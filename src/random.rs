//! Random numbers that are the same bits on every target.
//!
//! All functions take any generator that implements [`Rng`] of `rand_core`;
//! [`seeded`] gives the default one, whose 16 bytes of state and 32-bit
//! arithmetic suit a microcontroller. The same seed gives the same numbers
//! everywhere, and a longer slice begins with the numbers of a shorter one.
//!
//! ```
//! use baregrad::random::{fill_normal, fill_uniform, randperm, seeded};
//!
//! let mut rng = seeded(42);
//! let (mut weights, mut noise, mut order) = ([0.0; 6], [0.0; 3], [0; 5]);
//! fill_uniform(&mut rng, -0.1, 0.1, &mut weights)?;
//! fill_normal(&mut rng, 0.0, 2.0, &mut noise)?;
//! randperm(&mut rng, &mut order);
//!
//! assert!(weights.iter().all(|w| (-0.1..0.1).contains(w)));
//! order.sort();
//! assert_eq!(order, [0, 1, 2, 3, 4]);
//! # Ok::<(), baregrad::random::RandomError>(())
//! ```

use core::fmt;
use core::num::NonZeroU32;

pub use rand_core::{Rng, SeedableRng};
/// The generator of the crate `rand_xoshiro`, re-exported and not wrapped: [`seeded`] promises
/// this algorithm, and its own methods save and restore its state.
pub use rand_xoshiro::Xoshiro128PlusPlus;

/// The parameters of a range or distribution are invalid.
///
/// `Debug` prints the text of `Display`, because `unwrap` and `main` print errors with
/// `Debug`. Without `std`, `Debug` prints numbers as their bits, `0x3f800000`: the code that
/// prints floats takes some 20 KB of flash, and firmware that unwraps would link it.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RandomError {
    /// The range is invalid: `low > high`, or `low`, `high` or `high - low` is not finite.
    Range {
        /// The lower bound.
        low: f32,
        /// The upper bound.
        high: f32,
    },
    /// The normal distribution is invalid: `std < 0`, or `mean` or `std` is not finite.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        std: f32,
    },
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, fmt::Display::fmt)
    }
}

impl fmt::Debug for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if cfg!(feature = "std") {
            return self.text(f, fmt::Display::fmt);
        }
        self.text(f, |x, f| write!(f, "{:#010x}", x.to_bits()))
    }
}

impl RandomError {
    /// Writes the message, with floats printed by `number`: a function pointer, so that
    /// firmware that does not call `Display` does not link the printing of floats.
    fn text(
        &self,
        f: &mut fmt::Formatter<'_>,
        number: fn(&f32, &mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let (expected, first, a, second, b) = match self {
            Self::Range { low, high } => ("finite low <= high", "low", low, "high", high),
            Self::Normal { mean, std } => ("finite mean and std >= 0", "mean", mean, "std", std),
        };
        write!(f, "expected {expected}, found {first} ")?;
        number(a, f)?;
        write!(f, ", {second} ")?;
        number(b, f)
    }
}

impl core::error::Error for RandomError {}

/// Returns the default generator, xoshiro128++ (<https://prng.di.unimi.it>), seeded with
/// SplitMix64 as its authors advise.
///
/// ```
/// use baregrad::random::{Rng, seeded};
///
/// assert_eq!(seeded(7).next_u32(), seeded(7).next_u32());
/// assert_ne!(seeded(7).next_u32(), seeded(8).next_u32());
/// ```
#[must_use]
pub fn seeded(seed: u64) -> Xoshiro128PlusPlus {
    Xoshiro128PlusPlus::seed_from_u64(seed)
}

/// The uniform distribution over `[low, high)`, or `low` alone if the two are equal.
///
/// There are 2²⁴ equally likely numbers before rounding, as in PyTorch.
/// Unlike in PyTorch, a number is never rounded up to `high`.
///
/// ```
/// use baregrad::random::{Uniform, seeded};
///
/// let mut rng = seeded(1);
/// let noise = Uniform::new(-0.5, 0.5)?;
/// let reading = 20.0 + noise.sample(&mut rng);
/// assert!((19.5..20.5).contains(&reading));
/// # Ok::<(), baregrad::random::RandomError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uniform {
    low: f32,
    width: f32,
    /// The largest number that may be drawn; samples are clamped to it, because rounding could
    /// reach `high`.
    last: f32,
}

impl Uniform {
    /// Returns the distribution of numbers from `low` to just below `high`.
    ///
    /// # Errors
    ///
    /// If `low > high`, or one of `low`, `high` and `high - low` is not finite.
    pub fn new(low: f32, high: f32) -> Result<Self, RandomError> {
        let width = high - low;
        // A difference is finite only if both ends are.
        if !(width.is_finite() && width >= 0.0) {
            return Err(RandomError::Range { low, high });
        }
        let last = if width > 0.0 { high.next_down() } else { low };
        Ok(Uniform { low, width, last })
    }

    /// Draws a number. Takes one draw of `rng`.
    #[inline]
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f32 {
        let unit = (rng.next_u32() >> 8) as f32 * f32::from_bits(0x3380_0000); // 2^-24
        let sample = self.low + self.width * unit;
        if sample < self.last {
            sample
        } else {
            self.last
        }
    }
}

/// Fills a slice with numbers from `[low, high)`, each drawn by [`Uniform::sample`].
///
/// ```
/// use baregrad::random::{fill_uniform, seeded};
///
/// let mut xs = [0.0; 4];
/// fill_uniform(&mut seeded(1), -1.0, 1.0, &mut xs)?;
/// assert!(xs.iter().all(|x| (-1.0..1.0).contains(x)));
/// # Ok::<(), baregrad::random::RandomError>(())
/// ```
///
/// # Errors
///
/// If `low > high`, or one of `low`, `high` and `high - low` is not finite.
/// Then nothing is written or drawn.
pub fn fill_uniform<R: Rng + ?Sized>(
    rng: &mut R,
    low: f32,
    high: f32,
    to: &mut [f32],
) -> Result<(), RandomError> {
    let uniform = Uniform::new(low, high)?;
    for x in to {
        *x = uniform.sample(rng);
    }
    Ok(())
}

/// Fills a slice with normally distributed numbers, two draws for each pair.
///
/// The method is that of G. E. P. Box and M. E. Muller, "A note on the generation of
/// random normal deviates" (1958): exact up to rounding, and without
/// rejection, so that the number of draws is known. The largest deviation
/// possible is 6.66 `std`.
///
/// ```
/// use baregrad::random::{fill_normal, seeded};
///
/// let (mut five, mut two) = ([0.0; 5], [0.0; 2]);
/// fill_normal(&mut seeded(1), 20.0, 0.5, &mut five)?;
/// fill_normal(&mut seeded(1), 20.0, 0.5, &mut two)?;
/// assert_eq!(five[..2], two);
/// # Ok::<(), baregrad::random::RandomError>(())
/// ```
///
/// # Errors
///
/// If `std < 0`, or one of `mean` and `std` is not finite. Then nothing is
/// written or drawn.
pub fn fill_normal<R: Rng + ?Sized>(
    rng: &mut R,
    mean: f32,
    std: f32,
    to: &mut [f32],
) -> Result<(), RandomError> {
    if !(mean.is_finite() && std.is_finite() && std >= 0.0) {
        return Err(RandomError::Normal { mean, std });
    }
    const SCALE: f32 = f32::from_bits(0x2f80_0000); // 2^-32
    for pair in to.chunks_mut(2) {
        let unit = (rng.next_u32() as f32 + 1.0) * SCALE; // in (0, 1], so that ln is finite
        let turn = rng.next_u32() as f32 * SCALE;
        let radius = libm::sqrtf(-2.0 * ln(unit));
        for (x, z) in pair.iter_mut().zip(cos_sin(core::f32::consts::TAU * turn)) {
            *x = mean + std * (radius * z);
        }
    }
    Ok(())
}

// From libm, whose results are the same bits on every target; those of `std` are not.
fn ln(x: f32) -> f32 {
    libm::logf(x)
}
fn cos_sin(x: f32) -> [f32; 2] {
    [libm::cosf(x), libm::sinf(x)]
}

/// Fills a slice of length `n` with a random permutation of `0..n`. All permutations are
/// equally likely.
///
/// Indices are `u32`, so that they take the same room and have the same values
/// on 32-bit and 64-bit targets. See [`shuffle`] about very long slices.
///
/// ```
/// use baregrad::random::{randperm, seeded};
///
/// // The order in which to visit 11 samples this epoch.
/// let mut order = [0; 11];
/// randperm(&mut seeded(3), &mut order);
/// for i in 0..11 {
///     assert!(order.contains(&i));
/// }
/// ```
pub fn randperm<R: Rng + ?Sized>(rng: &mut R, to: &mut [u32]) {
    for (x, i) in to.iter_mut().zip(0..=u32::MAX) {
        *x = i;
    }
    shuffle(rng, to);
}

/// Brings a slice into random order. All orders are equally likely.
///
/// The algorithm is that of R. Durstenfeld, "Algorithm 235: Random permutation" (1964), often
/// called the Fisher-Yates shuffle. In a slice longer than `u32::MAX`, an element beyond the
/// first `u32::MAX` is exchanged with one of those only, so that not all orders are possible.
///
/// ```
/// use baregrad::random::{seeded, shuffle};
///
/// let mut samples = [(0.5, 35.7), (14.0, 55.9), (15.0, 58.2)];
/// shuffle(&mut seeded(3), &mut samples);
/// assert!(samples.contains(&(14.0, 55.9)));
/// ```
pub fn shuffle<T, R: Rng + ?Sized>(rng: &mut R, items: &mut [T]) {
    let mut rest = items;
    while let [head @ .., last] = rest {
        if head.is_empty() {
            break;
        }
        let len = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let place = below(rng, NonZeroU32::MIN.saturating_add(len));
        // If `place` is beyond `head`, the last item stays where it is.
        if let Some(item) = head.get_mut(place as usize) {
            core::mem::swap(item, last);
        }
        rest = head;
    }
}

/// Draws a number less than `n`, each with the same probability, by algorithm 5 of D. Lemire,
/// "Fast random integer generation in an interval" (2019).
fn below<R: Rng + ?Sized>(rng: &mut R, n: NonZeroU32) -> u32 {
    let mut draw = || u64::from(rng.next_u32()) * u64::from(n.get());
    let mut product = draw();
    if (product as u32) < n.get() {
        let biased = n.get().wrapping_neg() % n; // 2^32 mod n
        while (product as u32) < biased {
            product = draw();
        }
    }
    (product >> 32) as u32
}
