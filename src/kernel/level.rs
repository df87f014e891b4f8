//! Levels: the lane types that kernels can run with, and the choice of one.

use core::fmt;

#[cfg(feature = "std")]
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
#[cfg(feature = "std")]
use std::{io::Write as _, string::String};

/// The lane types that kernels can run with.
///
/// The best one is found when the first kernel runs. The environment variable
/// `BAREGRAD_SIMD` (with the feature `std`), or [`set_level`], selects another one for
/// tests and benchmarks. The bits are the same with every level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Level {
    /// `scalar`: one element at a time, except in short slices.
    Scalar,
    /// `baseline`: the vectors that every CPU of the target has, such as SSE2 on x86-64 or
    /// NEON on AArch64.
    Baseline,
    /// `avx2`: vectors of 256 bits on x86-64, where the CPU has them. Needs the
    /// feature `std`, to detect them.
    Avx2,
}

impl Level {
    const ALL: [Level; 3] = [Level::Scalar, Level::Baseline, Level::Avx2];

    /// Whether flash is scarce, as on a microcontroller, which is a target without vectors. Code
    /// that rarely runs is then shared rather than fast, and errors say less where that saves
    /// code. On a Cortex-M4F this saves firmware with a network 720 bytes of 11,100, and costs it
    /// no instructions.
    pub(crate) const SCARCE_FLASH: bool = !Self::VECTORS;

    /// Whether every CPU of the target has vectors.
    pub(crate) const VECTORS: bool = cfg!(any(
        target_feature = "sse2",
        target_feature = "neon",
        target_feature = "simd128"
    ));

    /// The levels that this build can run on this CPU, slowest first.
    ///
    /// ```
    /// use baregrad::kernel::Level;
    /// assert_eq!(Level::available().next(), Some(Level::Scalar));
    /// ```
    pub fn available() -> impl Iterator<Item = Level> + Clone {
        Self::ALL.into_iter().filter(|level| level.is_available())
    }

    /// Returns whether this build can run the level on this CPU.
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            Level::Baseline => Self::VECTORS,
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Level::Avx2 => std::is_x86_feature_detected!("avx2"),
            #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
            Level::Avx2 => false,
        }
    }
}

/// Prints the name that `BAREGRAD_SIMD` takes.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Scalar => "scalar",
            Level::Baseline => "baseline",
            Level::Avx2 => "avx2",
        })
    }
}

/// `BAREGRAD_SIMD` names a level that does not exist, or that this build or this CPU
/// lacks. `Debug` prints the text of `Display`.
#[cfg(feature = "std")]
#[derive(Clone, PartialEq, Eq)]
pub struct LevelError {
    found: String,
}

#[cfg(feature = "std")]
impl fmt::Debug for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "std")]
impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BAREGRAD_SIMD: expected one of ")?;
        for (i, level) in Level::available().enumerate() {
            write!(f, "{}{level}", if i == 0 { "" } else { ", " })?;
        }
        write!(f, ", found {:?}", self.found)?;
        match named(&self.found) {
            Some(_) => f.write_str(", which this build or this CPU lacks"),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "std")]
impl core::error::Error for LevelError {}

#[cfg(feature = "std")]
fn named(name: &str) -> Option<Level> {
    let mut levels = Level::ALL.into_iter();
    levels.find(|level| std::format!("{level}") == name)
}

/// The level that the environment variable `BAREGRAD_SIMD` names: `scalar`,
/// `baseline` or `avx2`; `None` if it is not set, or empty.
///
/// # Errors
///
/// If the variable names another level, or one that is not [available](Level::available).
/// Kernels cannot return this error: the first one prints it to standard error, and all use the
/// best level. Tests and benchmarks, which depend on the level, should call this function first.
#[cfg(feature = "std")]
pub fn level_from_env() -> Result<Option<Level>, LevelError> {
    let found = std::env::var_os("BAREGRAD_SIMD").unwrap_or_default();
    let found = found.to_string_lossy();
    if found.is_empty() {
        return Ok(None);
    }
    match named(&found) {
        Some(level) if level.is_available() => Ok(Some(level)),
        _ => Err(LevelError {
            found: found.into_owned(),
        }),
    }
}

/// The level as a number, or [`UNKNOWN`]. `Avx2` is stored here only if the CPU
/// has AVX2: `x86.rs` relies on this.
#[cfg(feature = "std")]
static LEVEL: AtomicU8 = AtomicU8::new(UNKNOWN);
#[cfg(feature = "std")]
const UNKNOWN: u8 = u8::MAX;

#[cfg(feature = "std")]
#[inline(always)]
fn stored() -> Option<Level> {
    let level = LEVEL.load(Relaxed);
    Level::ALL.into_iter().find(|l| *l as u8 == level)
}

/// The lane type that kernels run with now.
#[cfg(feature = "std")]
#[inline(always)]
pub fn level() -> Level {
    match stored() {
        Some(level) => level,
        None => first_use(),
    }
}

/// The lane type that kernels run with now.
#[cfg(not(feature = "std"))]
#[inline(always)]
pub fn level() -> Level {
    if Level::VECTORS {
        Level::Baseline
    } else {
        Level::Scalar
    }
}

#[cfg(feature = "std")]
#[cold]
#[inline(never)]
fn first_use() -> Level {
    let best = Level::available().last().unwrap_or(Level::Scalar);
    let asked = level_from_env();
    let level = match asked {
        Ok(Some(level)) => level,
        _ => best,
    };
    // Another thread may have stored a level meanwhile, which then counts.
    let first = LEVEL.compare_exchange(UNKNOWN, level as u8, Relaxed, Relaxed);
    if let (Ok(_), Err(error)) = (first, asked) {
        // A failure to write is ignored, because there is no other place to report it.
        let _ = writeln!(std::io::stderr(), "{error}; using {best}");
    }
    stored().unwrap_or(level)
}

/// Runs kernels with another lane type from now on, in the whole process. The
/// bits they compute stay the same, so this is for tests and benchmarks. A
/// level that is not [available](Level::available) is ignored.
#[cfg(feature = "std")]
pub fn set_level(level: Level) {
    if level.is_available() {
        LEVEL.store(level as u8, Relaxed);
    }
}

/// Returns whether kernels run at the baseline level. With `std`, returns false as long as no
/// kernel has found the level.
#[inline(always)]
pub(super) fn is_baseline() -> bool {
    #[cfg(feature = "std")]
    return LEVEL.load(Relaxed) == Level::Baseline as u8;
    #[cfg(not(feature = "std"))]
    Level::VECTORS
}

/// Returns whether kernels take one number at a time.
#[inline(always)]
pub(super) fn is_scalar() -> bool {
    !Level::VECTORS || level() == Level::Scalar
}
