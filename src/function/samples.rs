//! Passes over samples. One loop computes everything that an operation needs of each sample,
//! and stores no intermediate results.
//!
//! # Sums
//!
//! Each sample adds a term to each of `A + P` sums, for example a loss and its `P` derivatives.
//!
//! ```text
//! if n <= IN_ORDER:  sum = -0.0; for each i: sum = sum + term(i)
//!
//! else: for each block of 16 S samples:            S = 16, or 8 if P > 4
//!       partial[0..S] = -0.0
//!       for each i: partial[i % S] = partial[i % S] + term(i)
//!       v[l] = partial[l] + partial[8 + l]                     l = 0..8, if S is 16
//!       v[l] = v[l] + v[l + 4],  v[l + 2],  v[l + 1]
//!       the block's sum is v[0]; blocks are added up as in every long sum
//! ```
//!
//! The order is a function of `n` and `P` alone. Eight partial sums are one vector, and two
//! vectors in turn hide half of the latency of an addition. With more than four parameters,
//! sums of two vectors each would not fit into sixteen registers. Sixteen partial sums would
//! also be one vector of AVX-512, if there were such a lane type.
//!
//! A core without vectors passes over a block once for each partial sum, in strides, so that
//! all sums stay in registers. Only this inner loop is compiled for each function; functions
//! with a similar number of parameters share the code around it.

use core::ops::Range;

use super::straight;
use crate::kernel::{Acc, IN_ORDER, Lanes, Level, carry, carry_all, f32x8, with_lanes};

/// Samples: rows of `X` inputs, and `M` numbers that belong to each row.
#[derive(Clone, Copy)]
pub(super) struct Samples<'a, const X: usize, const M: usize> {
    x: &'a [f32],
    columns: [&'a [f32]; M],
    len: usize,
}

impl<'a, const X: usize, const M: usize> Samples<'a, X, M> {
    /// Takes as many samples as the shortest slice holds.
    #[inline(always)]
    pub(super) fn new(x: &'a [f32], columns: [&'a [f32]; M]) -> Self {
        let mut len = x.len() / const { if X == 0 { 1 } else { X } };
        for column in &columns {
            len = len.min(column.len());
        }
        Samples { x, columns, len }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn rows(&self) -> &'a [[f32; X]] {
        self.x.as_chunks().0
    }

    /// The samples in `range`.
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        let len = range.len();
        let mut columns = [&[] as &[f32]; M];
        for (to, from) in columns.iter_mut().zip(&self.columns) {
            *to = from.get(range.clone()).unwrap_or_default();
        }
        let x = self.x.get(range.start * X..range.end * X);
        Samples {
            x: x.unwrap_or_default(),
            columns,
            len,
        }
    }

    /// Loads the first `min(len, L::LEN)` samples into lanes; the remaining lanes hold zeros.
    #[inline(always)]
    fn load<L: Lanes>(&self) -> ([L; X], [L; M]) {
        let lanes = |column: &[f32]| match L::chunks(column).0 {
            [first, ..] => L::load(first),
            [] => L::load_part(column, 0.0),
        };
        let mut x = [L::splat(0.0); X];
        let mut columns = [L::splat(0.0); M];
        for (to, column) in columns.iter_mut().zip(&self.columns) {
            *to = lanes(column);
        }
        straight::<X>(
            #[inline(always)]
            |k| {
                let Some(to) = x.get_mut(k) else { return };
                if const { X == 1 } {
                    *to = lanes(self.x);
                } else {
                    let mut column = [0.0; 8];
                    let rows = self.x.chunks_exact(const { if X == 0 { 1 } else { X } });
                    for (to, row) in column.iter_mut().zip(rows) {
                        *to = row.get(k).copied().unwrap_or_default();
                    }
                    *to = lanes(&column);
                }
            },
        );
        (x, columns)
    }
}

/// The terms that each sample adds to `A + P` sums.
pub(super) trait Terms<const X: usize, const M: usize, const A: usize, const P: usize>:
    Copy
{
    fn of<L: Lanes>(self, x: [L; X], columns: [L; M]) -> Sums<L, A, P>;
}

/// The `A + P` sums, or a sample's terms of them.
#[derive(Clone, Copy)]
pub(super) struct Sums<L, const A: usize, const P: usize> {
    pub(super) first: [L; A],
    pub(super) rest: [L; P],
}

impl<L: Lanes, const A: usize, const P: usize> Sums<L, A, P> {
    /// The identity of addition.
    const NONE: f32 = -0.0;

    #[inline(always)]
    fn none() -> Self {
        Sums {
            first: [L::splat(Self::NONE); A],
            rest: [L::splat(Self::NONE); P],
        }
    }

    #[inline(always)]
    fn add(&mut self, terms: &Self) {
        straight::<A>(
            #[inline(always)]
            |k| {
                if let (Some(to), Some(term)) = (self.first.get_mut(k), terms.first.get(k)) {
                    *to = *to + *term;
                }
            },
        );
        straight::<P>(
            #[inline(always)]
            |k| {
                if let (Some(to), Some(term)) = (self.rest.get_mut(k), terms.rest.get(k)) {
                    *to = *to + *term;
                }
            },
        );
    }
}

impl<const A: usize, const P: usize> Sums<f32, A, P> {
    /// Writes the sums to `out`, those of `first` before those of `rest`.
    #[inline(always)]
    fn store(&self, out: &mut [f32]) {
        if let Some((first, rest)) = out.split_first_chunk_mut()
            && let Some(rest) = rest.first_chunk_mut()
        {
            (*first, *rest) = (self.first, self.rest);
        }
    }

    /// Divides each sum by `n`, through [`straight`]: a loop would stay a loop when the compiler
    /// optimises for size.
    #[inline(always)]
    fn over(mut self, n: f32) -> Self {
        straight::<A>(
            #[inline(always)]
            |k| {
                if let Some(sum) = self.first.get_mut(k) {
                    *sum /= n;
                }
            },
        );
        straight::<P>(
            #[inline(always)]
            |k| {
                if let Some(sum) = self.rest.get_mut(k) {
                    *sum /= n;
                }
            },
        );
        self
    }
}

/// Writes the sums of all samples' terms, divided by `n`, to `out`.
#[inline(always)]
pub(super) fn sums<T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    samples: Samples<'_, X, M>,
    n: f32,
    out: &mut [f32],
) where
    T: Terms<X, M, A, P>,
{
    if samples.len <= IN_ORDER {
        in_order(terms, samples).over(n).store(out);
    } else if const { Level::VECTORS } {
        long(terms, samples, n, out);
    } else {
        without_vectors(terms, samples, n, out);
    }
}

/// The sums of at most `IN_ORDER` samples, whose terms are added one after the other.
#[inline(always)]
fn in_order<T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    samples: Samples<'_, X, M>,
) -> Sums<f32, A, P>
where
    T: Terms<X, M, A, P>,
{
    let whole = if const { Level::VECTORS } {
        samples.len - samples.len % f32x8::LEN
    } else {
        0
    };
    let mut sums = Sums::none();
    // Terms are computed in vectors: only the additions must be in order.
    for start in (0..whole).step_by(f32x8::LEN) {
        let (x, columns) = samples.range(start..start + f32x8::LEN).load::<f32x8>();
        let terms = terms.of(x, columns);
        let (first, rest) = (
            terms.first.map(f32x8::to_array),
            terms.rest.map(f32x8::to_array),
        );
        for lane in 0..f32x8::LEN {
            let of = |array: &[f32; 8]| array.get(lane).copied().unwrap_or_default();
            sums.add(&Sums {
                first: first.each_ref().map(of),
                rest: rest.each_ref().map(of),
            });
        }
    }
    let rest = samples.range(whole..samples.len);
    add_each(terms, rest.rows(), rest.columns, &mut sums);
    sums
}

/// Adds the terms of the samples one after the other.
#[inline(always)]
fn add_each<T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    rows: &[[f32; X]],
    columns: [&[f32]; M],
    sums: &mut Sums<f32, A, P>,
) where
    T: Terms<X, M, A, P>,
{
    const { assert!(M <= 2) };
    let mut add = |x: &[f32; X], of_sample: [&f32; 2]| {
        let mut columns = [0.0; M];
        for (to, from) in columns.iter_mut().zip(of_sample) {
            *to = *from;
        }
        sums.add(&terms.of(*x, columns));
    };
    // A zip checks lengths once, before the loop.
    match *columns.as_slice() {
        [first, second, ..] => {
            let zip = rows.iter().zip(first).zip(second);
            zip.for_each(|((x, first), second)| add(x, [first, second]));
        }
        [first] => {
            let zip = rows.iter().zip(first);
            zip.for_each(|(x, first)| add(x, [first, &0.0]));
        }
        [] => rows.iter().for_each(|x| add(x, [&0.0; 2])),
    }
}

/// The number of terms in each partial sum of a block.
const TERMS: usize = 16;

/// The largest number of partial sums in a block.
const MOST: usize = 16;

/// The number of partial sums in a block, for a function with this number of parameters.
const fn partial_sums(parameters: usize) -> usize {
    if parameters <= 4 { MOST } else { MOST / 2 }
}

/// The sums of more than `IN_ORDER` samples.
#[inline(never)]
fn long<T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    samples: Samples<'_, X, M>,
    n: f32,
    out: &mut [f32],
) where
    T: Terms<X, M, A, P>,
{
    with_lanes!(L => {
        if const { L::LEN == 1 } {
            without_vectors(terms, samples, n, out);
        } else {
            let sums = in_blocks::<L, T, X, M, A, P>(terms, samples);
            sums.over(n).store(out);
        }
    });
}

/// The sums of more than `IN_ORDER` samples, with vectors.
#[inline(always)]
fn in_blocks<L: Lanes, T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    samples: Samples<'_, X, M>,
) -> Sums<f32, A, P>
where
    T: Terms<X, M, A, P>,
{
    let (mut totals, mut parts) = (Sums::none(), Sums::none());
    let block = const { partial_sums(P) * TERMS };
    let mut start = 0;
    while start < samples.len {
        let end = samples.len.min(start + block);
        let sums = block_of::<L, _, X, M, A, P>(terms, samples.range(start..end));
        close(&mut totals, &mut parts, &sums);
        start = end;
    }
    totals.add(&parts);
    totals
}

/// Adds the previous block's sums, `parts`, to the totals. `parts` keeps the rounding errors of
/// these additions, to which the new block's sums are added.
#[inline(always)]
fn close<const A: usize, const P: usize>(
    totals: &mut Sums<f32, A, P>,
    parts: &mut Sums<f32, A, P>,
    block: &Sums<f32, A, P>,
) {
    carry_all(&mut totals.first, &mut parts.first);
    carry_all(&mut totals.rest, &mut parts.rest);
    parts.add(block);
}

/// The sums of a block.
#[inline(always)]
fn block_of<L: Lanes, T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    samples: Samples<'_, X, M>,
) -> Sums<f32, A, P>
where
    T: Terms<X, M, A, P>,
{
    let mut partial = [Sums::<L, A, P>::none(); 2];
    let vectors = const { partial_sums(P) / 8 };
    let whole = samples.len - samples.len % (vectors * L::LEN);
    let mut start = 0;
    while start < whole {
        for partial in partial.iter_mut().take(vectors) {
            let (x, columns) = samples.range(start..start + L::LEN).load::<L>();
            partial.add(&terms.of(x, columns));
            start += L::LEN;
        }
    }
    // The last vectors may be incomplete: lanes beyond the end add the identity.
    for partial in &mut partial {
        let len = L::LEN.min(samples.len - start);
        if len == 0 {
            break;
        }
        let (x, columns) = samples.range(start..start + len).load::<L>();
        let terms = terms.of(x, columns);
        partial.add(&Sums {
            first: terms.first.map(
                #[inline(always)]
                |term| first_lanes(term, len),
            ),
            rest: terms.rest.map(
                #[inline(always)]
                |term| first_lanes(term, len),
            ),
        });
        start += len;
    }
    let [mut low, high] = partial;
    if vectors == 2 {
        low.add(&high);
    }
    Sums {
        first: low.first.map(
            #[inline(always)]
            |v| across(v),
        ),
        rest: low.rest.map(
            #[inline(always)]
            |v| across(v),
        ),
    }
}

/// The first `len` lanes of a vector; the other lanes hold the identity of addition.
#[inline(always)]
fn first_lanes<L: Lanes>(terms: L, len: usize) -> L {
    let mut lanes = [0.0; 8];
    terms.store_part(&mut lanes);
    L::load_part(lanes.get(..len).unwrap_or_default(), -0.0)
}

/// The sum of the lanes of a vector.
#[inline(always)]
fn across<L: Lanes>(v: L) -> f32 {
    let mut lanes = [0.0; 8];
    v.store_part(&mut lanes);
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// The sums of more than `IN_ORDER` samples, without vectors.
#[inline(always)]
fn without_vectors<T, const X: usize, const M: usize, const A: usize, const P: usize>(
    terms: T,
    samples: Samples<'_, X, M>,
    n: f32,
    out: &mut [f32],
) where
    T: Terms<X, M, A, P>,
{
    let len = samples.len;
    let all = All { terms, samples };
    const { assert!(A <= 1) };
    // The size of the array on the stack grows with the parameters.
    match P {
        0..=4 => in_strides::<{ 16 * 5 }, 5>(&all, len, n, out),
        5..=16 => in_strides::<{ 8 * 17 }, 17>(&all, len, n, out),
        _ => in_strides::<{ 8 * 33 }, 33>(&all, len, n, out),
    }
}

/// Samples and the terms that they add, as a [`Partial`].
struct All<'a, T, const X: usize, const M: usize, const A: usize, const P: usize> {
    terms: T,
    samples: Samples<'a, X, M>,
}

/// Partial sums of a function's terms, behind a vtable, so that functions share [`in_strides`].
trait Partial {
    /// Writes one row of partial sums to `out`: the sums over samples `start`, `start + S`,
    /// `start + 2 S`, … of a block, where `S` is the number of partial sums.
    fn partial(&self, start: usize, out: &mut [f32]);
}

impl<T, const X: usize, const M: usize, const A: usize, const P: usize> Partial
    for All<'_, T, X, M, A, P>
where
    T: Terms<X, M, A, P>,
{
    fn partial(&self, mut at: usize, out: &mut [f32]) {
        let mut sums = Sums::none();
        'samples: for _ in 0..TERMS {
            let Some(x) = self.samples.rows().get(at) else {
                break;
            };
            let mut columns = [0.0; M];
            for (to, from) in columns.iter_mut().zip(self.samples.columns) {
                let Some(from) = from.get(at) else {
                    break 'samples;
                };
                *to = *from;
            }
            sums.add(&self.terms.of(*x, columns));
            at += const { partial_sums(P) };
        }
        sums.store(out);
    }
}

/// The sums of more than `IN_ORDER` samples. The array of partial sums has `N` elements, in rows
/// of `SUMS`.
#[inline(never)]
fn in_strides<const N: usize, const SUMS: usize>(
    all: &dyn Partial,
    len: usize,
    n: f32,
    out: &mut [f32],
) {
    let mut partial = [0.0; N];
    let mut totals = [(-0.0, -0.0); SUMS];
    let mut start = 0;
    while start < len {
        for (l, row) in partial.as_chunks_mut::<SUMS>().0.iter_mut().enumerate() {
            all.partial(start + l, row);
        }
        let mut half = N / 2;
        while half >= SUMS
            && let Some((low, high)) = partial.split_at_mut_checked(half)
        {
            for (low, high) in low.iter_mut().zip(high) {
                *low += *high;
            }
            half /= 2;
        }
        for ((total, part), sum) in totals.iter_mut().zip(&partial) {
            (*total, *part) = carry(*total, *part);
            *part += *sum;
        }
        start += const { TERMS * N / SUMS };
    }
    for (to, (total, part)) in out.iter_mut().zip(&totals) {
        *to = (total + part) / n;
    }
}

/// Computes `N` numbers for each sample, and writes or adds them to the sample's row of `out`.
#[inline(always)]
pub(super) fn map<F, const X: usize, const M: usize, const N: usize>(
    f: &F,
    samples: Samples<'_, X, M>,
    out: &mut [f32],
    acc: Acc,
) where
    F: PerSample<X, M, N>,
{
    with_lanes!(L => map_in::<L, F, X, M, N>(f, samples, out, acc));
}

/// Results that depend on one sample each.
pub(super) trait PerSample<const X: usize, const M: usize, const N: usize> {
    fn of<L: Lanes>(&self, x: [L; X], columns: [L; M]) -> [L; N];
}

#[inline(always)]
fn map_in<L: Lanes, F, const X: usize, const M: usize, const N: usize>(
    f: &F,
    samples: Samples<'_, X, M>,
    out: &mut [f32],
    acc: Acc,
) where
    F: PerSample<X, M, N>,
{
    let mut start = 0;
    while start < samples.len {
        let len = L::LEN.min(samples.len - start);
        let (x, columns) = samples.range(start..start + len).load::<L>();
        let results = f.of(x, columns);
        let rows = out
            .get_mut(start * N..(start + len) * N)
            .unwrap_or_default();
        if const { N == 1 } {
            let [result] = results.as_slice() else { return };
            match (acc, L::chunks_mut(rows).0) {
                (Acc::Set, [to]) => result.store(to),
                (Acc::Set, _) => result.store_part(rows),
                (Acc::Add, _) => (L::load_part(rows, 0.0) + *result).store_part(rows),
            }
        } else {
            for (k, result) in results.iter().enumerate() {
                let mut lanes = [0.0; 8];
                result.store_part(&mut lanes);
                for (row, value) in rows.chunks_exact_mut(N.max(1)).zip(lanes) {
                    if let Some(to) = row.get_mut(k) {
                        acc.put(to, value);
                    }
                }
            }
        }
        start += len;
    }
}
