//! Rows from anywhere: raw counts in flash, iterators, whatever is computed when it is asked
//! for.

use core::cell::Cell;
use core::marker::PhantomData;

use super::problem::{Problem, Row, Sample, row_of, slope_of};
use crate::function::Function;

/// Observations by number. A solver goes through all of them, from the first to the last, as
/// often as it needs.
pub trait Rows<const X: usize> {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `i`.
    fn sample(&self, i: usize) -> Sample<X>;
}

/// A [`Function`] next to [`Rows`]: a [`CurveFit`](super::CurveFit) whose observations are
/// not slices of `f32`.
#[derive(Clone, Debug)]
pub struct FitRows<F, D, const X: usize> {
    rows: D,
    function: PhantomData<fn() -> F>,
}

impl<F, D: Rows<X>, const X: usize> FitRows<F, D, X> {
    /// The function, and what it is fitted to.
    #[must_use]
    pub fn new(function: F, rows: D) -> Self {
        let _ = function;
        FitRows {
            rows,
            function: PhantomData,
        }
    }
}

impl<F: Function<X, P>, D: Rows<X>, const X: usize, const P: usize> Problem<P>
    for FitRows<F, D, X>
{
    type Scalar = f32;

    fn rows(&self) -> usize {
        self.rows.len()
    }

    #[inline(always)]
    fn is_linear(&self) -> bool {
        F::is_linear()
    }

    #[inline(always)]
    fn row(&self, i: usize, p: &[f32; P]) -> Row<P> {
        row_of::<F, X, P>(self.rows.sample(i), p)
    }

    #[inline(always)]
    fn slope(&self, i: usize, p: &[f32; P], direction: &[f32; P]) -> f32 {
        slope_of::<F, X, P>(self.rows.sample(i), p, direction)
    }
}

/// Counts of a converter, 16 bits each, with what a count is worth: they may stay in flash as
/// they were taken.
///
/// ```
/// use baregrad::function::models::Line;
/// use baregrad::least_squares::{Counts, FitRows, LevenbergMarquardt};
///
/// static RAW: [i16; 4] = [100, 200, 300, 400];
/// static TENTHS: [i16; 4] = [-50, 10, 70, 130]; // of a degree
/// let rows = Counts::<1>::new(&RAW, [0.01], &TENTHS, 0.1);
/// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&FitRows::new(Line, rows));
/// let [w, b] = solution.params();
/// assert!((w - 6.0).abs() < 1e-5 && (b + 11.0).abs() < 1e-5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Counts<'a, const X: usize> {
    x: &'a [[i16; X]],
    y: &'a [i16],
    x_scale: [f32; X],
    y_scale: f32,
    /// As many as the longer of them has.
    rows: usize,
}

impl<'a, const X: usize> Counts<'a, X> {
    /// Inputs row by row, `[n, X]`, with the worth of a count in each column, and `[n]`
    /// observations with that of theirs.
    ///
    /// A row of which something is missing is no number: a solver ends with
    /// [`Status::NotFinite`](super::Status::NotFinite), which says which.
    #[must_use]
    pub fn new(x: &'a [i16], x_scale: [f32; X], y: &'a [i16], y_scale: f32) -> Self {
        let (x, rest) = x.as_chunks();
        Counts {
            x,
            y,
            x_scale,
            y_scale,
            rows: y.len().max(x.len() + usize::from(!rest.is_empty())),
        }
    }
}

impl<const X: usize> Rows<X> for Counts<'_, X> {
    fn len(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn sample(&self, i: usize) -> Sample<X> {
        let mut x = [f32::NAN; X];
        if let Some(counts) = self.x.get(i) {
            for ((to, count), scale) in x.iter_mut().zip(counts).zip(self.x_scale) {
                *to = f32::from(*count) * scale;
            }
        }
        let y = self
            .y
            .get(i)
            .map_or(f32::NAN, |count| f32::from(*count) * self.y_scale);
        Sample { x, y, weight: 1.0 }
    }
}

/// Samples of an iterator, which is cloned to begin again: they are computed, unpacked or read
/// when they are needed, and nothing of them is kept.
///
/// ```
/// use baregrad::function::models::Line;
/// use baregrad::least_squares::{FitRows, LevenbergMarquardt, Restarted, Sample};
///
/// let ramp = (0..100_u8).map(|i| f32::from(i) * 0.5);
/// let samples = ramp.map(|x| Sample { x: [x], y: 3.0 * x - 1.0, weight: 1.0 });
/// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&FitRows::new(Line, Restarted::new(samples)));
/// let [w, b] = solution.params();
/// assert!((w - 3.0).abs() < 1e-6 && (b + 1.0).abs() < 1e-6);
/// ```
pub struct Restarted<I> {
    first: I,
    len: usize,
    /// The number of the next sample, and an iterator that has it next.
    next: Cell<Option<(usize, I)>>,
}

impl<I: Iterator + Clone> Restarted<I> {
    /// Goes through the samples once, to count them.
    #[must_use]
    pub fn new(samples: I) -> Self {
        Restarted {
            len: samples.clone().count(),
            first: samples,
            next: Cell::new(None),
        }
    }
}

impl<I: core::fmt::Debug> core::fmt::Debug for Restarted<I> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Restarted")
            .field("first", &self.first)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<I: Iterator<Item = Sample<X>> + Clone, const X: usize> Rows<X> for Restarted<I> {
    fn len(&self) -> usize {
        self.len
    }

    fn sample(&self, i: usize) -> Sample<X> {
        let (mut at, mut samples) = match self.next.take() {
            Some((at, samples)) if at <= i => (at, samples),
            _ => (0, self.first.clone()),
        };
        while at < i {
            samples.next();
            at += 1;
        }
        let sample = samples.next();
        self.next.set(Some((at + 1, samples)));
        sample.unwrap_or(Sample {
            x: [f32::NAN; X],
            y: f32::NAN,
            weight: 1.0,
        })
    }
}
