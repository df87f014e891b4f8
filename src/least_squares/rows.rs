//! Rows from any source: raw counts in flash, iterators, or values computed on demand.

use core::cell::Cell;
use core::marker::PhantomData;

use super::problem::{Problem, Row, Sample, row_of, slope_of};
use crate::function::Function;

/// Numbered observations. A solver reads all of them, from the first to the last, as often as
/// it needs.
pub trait Rows<const X: usize> {
    /// The number of observations.
    fn len(&self) -> usize;

    /// Whether there are no observations.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Observation `i`, counted from 0.
    fn sample(&self, i: usize) -> Sample<X>;
}

/// A [`Function`] and the [`Rows`] to fit it to: a [`CurveFit`](super::CurveFit) for
/// observations that are not slices of `f32`.
#[derive(Clone, Debug)]
pub struct FitRows<F, D, const X: usize> {
    rows: D,
    function: PhantomData<fn() -> F>,
}

impl<F, D: Rows<X>, const X: usize> FitRows<F, D, X> {
    /// Takes the function and the rows to fit it to.
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

/// Raw 16-bit counts of a converter and the factors that convert them. The counts may stay in
/// flash as they were taken.
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
    /// The length of the longer of `x` and `y`.
    rows: usize,
}

impl<'a, const X: usize> Counts<'a, X> {
    /// Takes the inputs row by row, `[n, X]`, the worth of a count in each column, `[n]`
    /// observations, and the worth of a count of an observation.
    ///
    /// A row with a missing number is NaN: a solver ends with
    /// [`Status::NotFinite`](super::Status::NotFinite), which contains the row's number.
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

/// The samples of an iterator, which is cloned for every pass. Samples are computed, unpacked
/// or read when they are needed, and none is stored.
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
    /// The number of the next sample, and the iterator that yields it.
    next: Cell<Option<(usize, I)>>,
}

impl<I: Iterator + Clone> Restarted<I> {
    /// Takes the iterator, and runs a clone of it once to count the samples.
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
