//! Work in groups, each with the digest of all bits that it computes. Each file has the groups of
//! one subject; this one has the list of all groups, and shared helpers.
//!
//! The work needs no `std`, so that a board can do it, too. A crate that includes this module must
//! have a module `thermometer` beside it.

mod calibrations;
mod kernels;
mod layers;
mod least_squares;
mod math;
mod models;
mod nist;
mod operations;
mod optimizers;
mod programs;
pub mod resume;
mod schedules;
mod statistics;
mod training;

use core::fmt;

use baregrad::Error;
use baregrad::random::Rng;

pub use calibrations::CALIBRATIONS;
pub use kernels::KERNELS;
pub use layers::LAYERS;
pub use least_squares::{LEAST_SQUARES, ROBUST};
pub use math::MATH;
pub use models::{MODEL_NODES, MODELS};
pub use nist::{NIST, NIST_SMALL};
pub use operations::{OPERATIONS, SHAPES_AND_LAYERS};
pub use optimizers::{EVERY_OPTIMIZER, MORE_OPTIMIZERS, OPTIMIZERS, SEARCHES};
pub use programs::PROGRAMS;
pub use resume::RESUME;
pub use schedules::SCHEDULES;
pub use statistics::STATISTICS;
pub use training::{SINE, SINE_IN_PARTS, THERMOMETER};

/// Some work, and the digest of its results.
pub struct Group {
    /// The group's name.
    pub name: &'static str,
    /// Does the work.
    pub run: fn(&mut Digest) -> Result<(), Error>,
    /// Bytes of stack that are enough in firmware, on every target.
    #[allow(dead_code)] // The host does not check it.
    pub stack: usize,
    /// The digest. If it changes, users' results change: say so in the changelog.
    pub digest: u64,
}

/// All groups. Boards with little flash list some of them instead.
#[allow(dead_code)]
pub static GROUPS: [Group; 23] = [
    KERNELS,
    MATH,
    OPERATIONS,
    MODELS,
    MODEL_NODES,
    LEAST_SQUARES,
    OPTIMIZERS,
    MORE_OPTIMIZERS,
    SEARCHES,
    SCHEDULES,
    LAYERS,
    THERMOMETER,
    CALIBRATIONS,
    SINE_IN_PARTS,
    SINE,
    PROGRAMS,
    RESUME,
    EVERY_OPTIMIZER,
    NIST_SMALL,
    NIST,
    STATISTICS,
    SHAPES_AND_LAYERS,
    ROBUST,
];

impl Group {
    /// Does the work, and returns the digest of its results.
    pub fn digest(&self) -> Result<Digest, Error> {
        let mut digest = Digest(0xcbf2_9ce4_8422_2325);
        (self.run)(&mut digest)?;
        Ok(digest)
    }
}

/// A digest of the bits of numbers by FNV-1a, 64 bits. All NaN count as the same one, as sign and
/// payload of a NaN are not guaranteed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    fn add(&mut self, xs: &[f32]) {
        for x in xs {
            let bits = if x.is_nan() { f32::NAN } else { *x }.to_bits();
            for byte in bits.to_le_bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

// ---- numbers ----------------------------------------------------------------

fn below(rng: &mut impl Rng, n: usize) -> usize {
    rng.next_u32() as usize % n.max(1)
}

/// Fills with magnitudes between 2^-10 and 2^10 with full mantissas, and at times the
/// negative of the number before, so that sums cancel and every order of summation gives
/// different bits.
fn fill(rng: &mut impl Rng, to: &mut [f32]) {
    let mut last = 1.0;
    for x in to {
        let bits = rng.next_u32();
        let exponent = 117 + rng.next_u32() % 20;
        *x = match exponent {
            120 => -last,
            _ => f32::from_bits(bits & 0x807f_ffff | exponent << 23),
        };
        last = *x;
    }
}

/// Fills with the same numbers, and special ones among them.
fn fill_wild(rng: &mut impl Rng, to: &mut [f32]) {
    const SPECIAL: [f32; 12] = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        f32::from_bits(0x807f_ffff),
        1.0,
        -1.0,
    ];
    fill(rng, to);
    for x in to {
        let special = SPECIAL.get(below(rng, 3 * SPECIAL.len()));
        *x = special.copied().unwrap_or(*x);
    }
}

/// Returns the first `n` elements.
fn first(x: &[f32], n: usize) -> &[f32] {
    x.get(..n).unwrap_or_default()
}

fn first_mut(x: &mut [f32], n: usize) -> &mut [f32] {
    x.get_mut(..n).unwrap_or_default()
}
