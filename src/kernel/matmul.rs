//! Matrix products over [`Lanes`], in the three forms a backward pass needs.
//!
//! ```text
//! out[m, n] = A[m, k] · B[k, n]
//!
//! for each strip of columns, as wide as a vector or two:
//!     for each block of rows:
//!         sums = -0.0                          in registers
//!         for p in 0..k:
//!             x = B[p, strip]
//!             for each row i of the block:
//!                 sums[i] = sums[i] + A[i, p] * x
//!         out[block, strip] = sums             or += sums
//! ```
//!
//! Lanes run along columns, and every sum is added in order of `p`: the order is
//! that of the loop one would write by hand, whatever the block, so blocks can
//! be of any size. If `k` is more than 64, it is that of [`compensated`], 32 products
//! at a time. Several rows at once, because a sum waits for the one before
//! and the others fill the time.
//!
//! `Aᵀ · G` reads `A` by columns, which stand next to each other. `G · Bᵀ` would
//! read a strip of `B` across its rows; the strip is copied into a buffer first
//! ([`packed`]), and so are columns that do not fill a vector, unless some can be
//! computed twice. Without SIMD none of this pays: see [`tiles`].
//!
//! [`compensated`]: super::compensated
//!
//! A result of one column, whose factors are both contiguous along the sum, is
//! a dot product and goes in the order of [`sum`](super::sum).

use core::hint::black_box;

use super::compensated::{
    ROWS_IN_ORDER, ROWS_OF_BLOCK, carry_unchecked, finite_or_zero, is_finite,
};
use super::generic::{Reduce, Sum, reduce, run};
use super::tiles;
use super::{Acc, Lanes, Mask, Product};

/// Rows of a block.
const ROWS: usize = 4;

/// Up to so many numbers in a left factor, with a result narrower than a vector, what
/// vectors take to be filled is more than they save.
const SMALL: usize = 32;

/// See [`super::matmul`].
#[inline(always)]
pub fn matmul<L: Lanes>(a: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    linear::<L>(a, b, &[], out, [m, k, n]);
}

/// See [`super::linear`]; no bias if `bias` is empty.
#[inline(always)]
pub fn linear<L: Lanes>(
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    out: &mut [f32],
    [m, k, n]: [usize; 3],
) {
    if const { L::LEN == 1 } {
        let job = tiles::Job {
            sizes: [m, k, n],
            a: tiles::Factor::by_rows(x, k),
            b: tiles::Factor::by_steps(w, n),
            bias,
            acc: Acc::Set,
        };
        return tiles::product(&job, out);
    }
    compute::<L>(&linear_job(x, w, bias, [m, k, n]), out);
}

/// See [`super::matmul_tn`].
#[inline(always)]
pub fn matmul_tn<L: Lanes>(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { L::LEN == 1 } {
        // One column is computed as one row, so that tiles are full.
        let (a, g, k, n) = if n == 1 { (g, a, 1, k) } else { (a, g, k, n) };
        let job = tiles::Job {
            sizes: [k, m, n],
            a: tiles::Factor::by_steps(a, k),
            b: tiles::Factor::by_steps(g, n),
            bias: &[],
            acc,
        };
        return tiles::product(&job, out);
    }
    compute::<L>(&tn_job(a, g, [m, k, n], acc), out);
}

/// See [`super::matmul_nt`].
#[inline(always)]
pub fn matmul_nt<L: Lanes>(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { L::LEN == 1 } {
        let job = tiles::Job {
            sizes: [m, n, k],
            a: tiles::Factor::by_rows(g, n),
            b: tiles::Factor::by_rows(b, n),
            bias: &[],
            acc,
        };
        return tiles::product(&job, out);
    }
    compute::<L>(&nt_job(g, b, [m, k, n], acc), out);
}

/// `x · w + bias` for vectors.
pub(super) fn linear_job<'a>(
    x: &'a [f32],
    w: &'a [f32],
    bias: &'a [f32],
    [m, k, n]: [usize; 3],
) -> Job<'a> {
    Job {
        form: if n == 1 { Form::Dots } else { Form::Plain },
        sizes: [m, k, n],
        a: x,
        a_step: k,
        b: w,
        b_step: n,
        bias,
        acc: Acc::Set,
    }
}

/// `aᵀ · g` for vectors.
pub(super) fn tn_job<'a>(a: &'a [f32], g: &'a [f32], [m, k, n]: [usize; 3], acc: Acc) -> Job<'a> {
    let job = Job {
        form: Form::LeftTransposed,
        sizes: [k, m, n],
        a,
        a_step: k,
        b: g,
        b_step: n,
        bias: &[],
        acc,
    };
    if k == 1 {
        // A column is its own transpose.
        let form = if n == 1 { Form::Dots } else { Form::Plain };
        let a_step = m;
        Job {
            form,
            a_step,
            ..job
        }
    } else if n == 1 {
        // One column is computed as one row, so that lanes run along it.
        Job {
            form: Form::Plain,
            sizes: [1, m, k],
            a: g,
            a_step: m,
            b: a,
            b_step: k,
            ..job
        }
    } else {
        job
    }
}

/// `g · bᵀ` for vectors.
pub(super) fn nt_job<'a>(g: &'a [f32], b: &'a [f32], [m, k, n]: [usize; 3], acc: Acc) -> Job<'a> {
    let job = Job {
        form: Form::RightTransposed,
        sizes: [m, n, k],
        a: g,
        a_step: n,
        b,
        b_step: n,
        bias: &[],
        acc,
    };
    if k == 1 {
        let form = Form::Dots;
        Job { form, ..job }
    } else if n == 1 {
        // A row is its own transpose.
        let (form, b_step) = (Form::Plain, k);
        Job {
            form,
            b_step,
            ..job
        }
    } else {
        job
    }
}

/// Computes a product. Each form is there once for each lane type, whichever kernels ask
/// for it: when each kernel had its own, matrix products took a quarter of LLVM's time.
#[inline(always)]
pub(super) fn compute<L: Lanes>(job: &Job<'_>, out: &mut [f32]) {
    if const { L::LEN == 1 } {
        return tiles::product(&job.for_tiles(), out);
    }
    // Transposed, there is never a bias, and no code for it.
    let no_bias = Job { bias: &[], ..*job };
    match job.form {
        Form::Dots => dots::<L>(*job, out),
        Form::Plain => product::<L, false, false>(*job, out),
        Form::LeftTransposed => product::<L, true, false>(no_bias, out),
        Form::RightTransposed => product::<L, false, true>(no_bias, out),
    }
}

/// `out[i] = a[i, ..] · b`, and the bias.
#[inline(always)]
fn dots<L: Lanes>(job: Job<'_>, out: &mut [f32]) {
    let [m, k, _] = job.sizes;
    for (i, to) in out.iter_mut().take(m).enumerate() {
        let sum = reduce::<L, Sum, 2, _>(Product, [run(job.a, i * k, k), run(job.b, 0, k)]);
        job.acc.put(to, job.bias.first().map_or(sum, |b| sum + b));
    }
}

/// The ways to go through the factors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One column, of dot products.
    Dots,
    /// Both factors as they stand.
    Plain,
    LeftTransposed,
    RightTransposed,
}

/// A product to be computed: `a` has `m` rows that begin `a_step` apart (`k` if
/// transposed), `b` has `k` rows that begin `b_step` apart (`n` if transposed).
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    form: Form,
    sizes: [usize; 3],
    a: &'a [f32],
    a_step: usize,
    b: &'a [f32],
    b_step: usize,
    bias: &'a [f32],
    acc: Acc,
}

impl<'a> Job<'a> {
    /// The rest of the factors from product `start` on. (The sizes stay.)
    #[inline(always)]
    fn after<const TA: bool>(self, start: usize) -> Self {
        let passed = if TA { start * self.a_step } else { start };
        Job {
            a: self.a.get(passed..).unwrap_or_default(),
            b: self.b.get(start * self.b_step..).unwrap_or_default(),
            ..self
        }
    }

    /// The same without vectors.
    fn for_tiles(&self) -> tiles::Job<'a> {
        let [m, k, n] = self.sizes;
        tiles::Job {
            sizes: self.sizes,
            a: if self.form == Form::LeftTransposed {
                tiles::Factor::by_steps(self.a, m)
            } else {
                tiles::Factor::by_rows(self.a, k)
            },
            b: if self.form == Form::RightTransposed {
                tiles::Factor::by_rows(self.b, k)
            } else {
                tiles::Factor::by_steps(self.b, n)
            },
            bias: self.bias,
            acc: self.acc,
        }
    }
}

/// Cuts the result into strips. `TA` and `TB`: whether a factor is transposed.
#[inline(always)]
fn product<L: Lanes, const TA: bool, const TB: bool>(job: Job<'_>, out: &mut [f32]) {
    if out.is_empty() {
        return; // whatever the sizes are
    }
    let [m, k, n] = job.sizes;
    if n < L::LEN && m.saturating_mul(k) <= SMALL {
        return tiles::product(&job.for_tiles(), out);
    }
    let mut j = 0;
    if const { !TB } {
        // Each factor is used for two vectors, where their sums fit.
        if const { L::REGISTERS >= 16 } {
            while j + 2 * L::LEN <= n {
                rows::<L, ROWS, 2, TA>(job, j, j, out);
                j += 2 * L::LEN;
            }
        }
        // The last whole vector once more costs less than copying a part of one.
        let once_more = n >= L::LEN && job.acc == Acc::Set;
        while j + L::LEN <= n || (j < n && once_more) {
            let at = j.min(n - L::LEN);
            rows::<L, ROWS, 1, TA>(job, at, at, out);
            j += L::LEN;
        }
    }
    while j < n {
        packed::<L, TA, TB>(job, j, out);
        j += L::LEN;
    }
}

/// All rows of the strip of `M` vectors that stands at column `from` in `B` and at
/// column `j` in the result, in blocks of `R`.
#[inline(always)]
fn rows<L: Lanes, const R: usize, const M: usize, const TA: bool>(
    job: Job<'_>,
    from: usize,
    j: usize,
    out: &mut [f32],
) {
    let [m, k, n] = job.sizes;
    let whole = m - m % R;
    // Told apart outside of the loops: short sums have no totals.
    if k > ROWS_IN_ORDER {
        for i in (0..whole).step_by(R) {
            let sums = sums_in_blocks::<L, R, M, TA>(job, [i, from]);
            for (r, sums) in sums.into_iter().enumerate() {
                finish(job, sums, j, out.get_mut((i + r) * n + j..));
            }
        }
        for i in whole..m {
            let [sums] = sums_in_blocks::<L, 1, M, TA>(job, [i, from]);
            finish(job, sums, j, out.get_mut(i * n + j..));
        }
        return;
    }
    for i in (0..whole).step_by(R) {
        let mut sums = [[L::splat(Sum::IDENTITY); M]; R];
        block::<L, R, M, TA>(job, [i, from], k, &mut sums);
        for (r, sums) in sums.into_iter().enumerate() {
            finish(job, sums, j, out.get_mut((i + r) * n + j..));
        }
    }
    for i in whole..m {
        let mut sums = [[L::splat(Sum::IDENTITY); M]; 1];
        block::<L, 1, M, TA>(job, [i, from], k, &mut sums);
        let [sums] = sums;
        finish(job, sums, j, out.get_mut(i * n + j..));
    }
}

/// The sums of a block of rows, of more than 64 products.
#[inline(always)]
fn sums_in_blocks<L: Lanes, const R: usize, const M: usize, const TA: bool>(
    job: Job<'_>,
    place: [usize; 2],
) -> [[L; M]; R] {
    let [_, k, _] = job.sizes;
    let mut sums = [[L::splat(Sum::IDENTITY); M]; R];
    let mut totals = sums;
    // Kept in memory by `black_box`: the loop needs all registers for the sums. That
    // concerns speed alone.
    let totals = black_box(&mut totals);
    for start in (0..k).step_by(ROWS_OF_BLOCK) {
        if start > 0 {
            carry_rows(totals, &mut sums);
        }
        let rest = job.after::<TA>(start);
        let len = ROWS_OF_BLOCK.min(k - start);
        block::<L, R, M, TA>(rest, place, len, &mut sums);
    }
    for (sums, totals) in sums.iter_mut().zip(totals) {
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = *total + *sum;
        }
    }
    sums
}

/// Ends a block of every sum, as [`carry`](super::compensated::carry) does. Whether
/// something infinite or NaN was lost is asked of all at once: that costs one addition
/// each, and if they overflow, no more than the time.
#[inline(always)]
fn carry_rows<L: Lanes, const R: usize, const M: usize>(
    totals: &mut [[L; M]; R],
    sums: &mut [[L; M]; R],
) {
    let mut all = L::splat(0.0);
    for (totals, sums) in totals.iter_mut().zip(sums.iter_mut()) {
        for (total, sum) in totals.iter_mut().zip(sums) {
            (*total, *sum) = carry_unchecked(*total, *sum);
            all = all + *sum;
        }
    }
    if is_finite(all).not().any() {
        for sum in sums.as_flattened_mut() {
            *sum = finite_or_zero(*sum);
        }
    }
}

/// Adds [`ROWS_OF_BLOCK`] products to the sums of a block of rows: [`block`] of a constant
/// length, for a copied strip, whose rows have a constant length as well.
#[inline(always)]
fn whole_block<L: Lanes, const R: usize, const M: usize, const TA: bool>(
    job: Job<'_>,
    [i, j]: [usize; 2],
    sums: &mut [[L; M]; R],
) -> Option<()> {
    let (mut a, mut b) = (job.a, job.b);
    let mut a_rows = [&[0.0; ROWS_OF_BLOCK]; R];
    if !TA {
        for (r, row) in a_rows.iter_mut().enumerate() {
            *row = a.get((i + r) * job.a_step..)?.first_chunk()?;
        }
    }
    for p in 0..ROWS_OF_BLOCK {
        // (`chunks_exact` would divide.)
        let (b_row, b_rest) = b.split_at_checked(job.b_step)?;
        b = b_rest;
        if TA {
            let (a_row, a_rest) = a.split_at_checked(job.a_step)?;
            a = a_rest;
            add(a_row.get(i..)?.first_chunk()?, b_row.get(j..)?, sums)?;
        } else {
            let mut factors = [0.0; R];
            for (factor, row) in factors.iter_mut().zip(&a_rows) {
                *factor = *row.get(p)?;
            }
            add(&factors, b_row.get(j..)?, sums)?;
        }
    }
    Some(())
}

/// Adds the first `k` products to the sums of a block. Whether all of them are
/// there is found out before the loop, or it would be asked in every round.
#[inline(always)]
fn block<L: Lanes, const R: usize, const M: usize, const TA: bool>(
    job: Job<'_>,
    [i, j]: [usize; 2],
    k: usize,
    sums: &mut [[L; M]; R],
) -> Option<()> {
    let b_rows = job.b.chunks_exact(job.b_step.max(1)).take(k);
    if TA {
        let a_rows = job.a.chunks_exact(job.a_step.max(1));
        for (a, b) in a_rows.zip(b_rows) {
            add(a.get(i..)?.first_chunk()?, b.get(j..)?, sums)?;
        }
    } else {
        let mut a_rows = [&[] as &[f32]; R];
        for (r, row) in a_rows.iter_mut().enumerate() {
            *row = job.a.get((i + r) * job.a_step..)?.get(..k)?;
        }
        for (p, b) in (0..k).zip(b_rows) {
            let mut factors = [0.0; R];
            for (factor, row) in factors.iter_mut().zip(&a_rows) {
                *factor = *row.get(p)?;
            }
            add(&factors, b.get(j..)?, sums)?;
        }
    }
    Some(())
}

/// Adds one product to each sum of a block.
#[inline(always)]
fn add<L: Lanes, const R: usize, const M: usize>(
    factors: &[f32; R],
    row: &[f32],
    sums: &mut [[L; M]; R],
) -> Option<()> {
    let vectors: &[L::Array; M] = L::chunks(row).0.first_chunk()?;
    for (sums, factor) in sums.iter_mut().zip(factors) {
        for (sum, x) in sums.iter_mut().zip(vectors) {
            *sum = *sum + L::splat(*factor) * L::load(x);
        }
    }
    Some(())
}

/// Writes finished sums, or adds them.
#[inline(always)]
fn finish<L: Lanes, const M: usize>(job: Job<'_>, sums: [L; M], j: usize, to: Option<&mut [f32]>) {
    let (to, _) = L::chunks_mut(to.unwrap_or_default());
    let bias = L::chunks(job.bias.get(j..).unwrap_or_default()).0;
    for (c, (to, mut sum)) in to.iter_mut().zip(sums).enumerate() {
        if let Some(bias) = bias.get(c) {
            sum = sum + L::load(bias);
        }
        match job.acc {
            Acc::Set => sum,
            Acc::Add => L::load(to) + sum,
        }
        .store(to);
    }
}

/// How much of a strip is copied at a time at most, and for how many rows the sums wait
/// meanwhile: 4 KiB of stack.
const PACKED: usize = ROWS_IN_ORDER;
const WAITING: usize = 32;

/// Columns `j..j + width` of `B`, in rows `start..start + len`.
#[inline(always)]
fn pack<const TB: bool>(
    job: Job<'_>,
    [j, width]: [usize; 2],
    [start, len]: [usize; 2],
) -> [[f32; 8]; PACKED] {
    let mut strip = [[0.0; 8]; PACKED];
    if TB {
        for c in 0..width {
            let row = run(job.b, (j + c) * job.b_step + start, len);
            for (to, x) in strip.iter_mut().zip(row) {
                if let Some(to) = to.get_mut(c) {
                    *to = *x;
                }
            }
        }
    } else {
        for (p, to) in strip.iter_mut().take(len).enumerate() {
            let row = run(job.b, (start + p) * job.b_step + j, width);
            for (to, x) in to.iter_mut().zip(row) {
                *to = *x;
            }
        }
    }
    strip
}

/// One vector of columns at `j`, or as many as there are, from a copy of `B`.
#[inline(always)]
fn packed<L: Lanes, const TA: bool, const TB: bool>(job: Job<'_>, j: usize, out: &mut [f32]) {
    let [m, k, n] = job.sizes;
    let width = L::LEN.min(n - j);
    // (Others have come to their last few columns, fewer than a vector has lanes.)
    if const { TB } && k <= PACKED && width == L::LEN {
        // All of it at once: no sum has to wait.
        let strip = pack::<TB>(job, [j, width], [0, k]);
        let job = Job {
            b: strip.as_flattened(),
            b_step: 8,
            ..job
        };
        return rows::<L, ROWS, 1, TA>(job, 0, j, out);
    }
    for first in (0..m).step_by(WAITING) {
        let count = WAITING.min(m - first);
        let mut sums = [[Sum::IDENTITY; 8]; WAITING];
        let mut totals = sums;
        for start in (0..k).step_by(PACKED) {
            let len = PACKED.min(k - start);
            let strip = pack::<TB>(job, [j, width], [start, len]);
            let chunk = Job {
                b: strip.as_flattened(),
                b_step: 8,
                ..job.after::<TA>(start)
            };
            let mut waiting = sums.iter_mut().zip(&mut totals).take(count);
            let mut i = first;
            while i < first + count {
                if i + ROWS <= first + count {
                    add_waiting::<L, ROWS, TA>(chunk, i, [start, len], &mut waiting);
                    i += ROWS;
                } else {
                    add_waiting::<L, 1, TA>(chunk, i, [start, len], &mut waiting);
                    i += 1;
                }
            }
        }
        for (r, (sums, totals)) in sums.iter().zip(&totals).take(count).enumerate() {
            let row = out.get_mut((first + r) * n + j..).unwrap_or_default();
            let sums = sums.iter().zip(totals).map(|(sum, total)| total + sum);
            for (c, (to, sum)) in row.iter_mut().zip(sums).take(width).enumerate() {
                job.acc
                    .put(to, job.bias.get(j + c).map_or(sum, |b| sum + b));
            }
        }
    }
}

/// Sums that wait in memory, and their totals.
type Waiting<'s> = (&'s mut [f32; 8], &'s mut [f32; 8]);

/// Adds a chunk of products, from number `start` on, to the sums of `R` rows that wait.
#[inline(always)]
fn add_waiting<'s, L: Lanes, const R: usize, const TA: bool>(
    chunk: Job<'_>,
    i: usize,
    [start, len]: [usize; 2],
    waiting: &mut impl Iterator<Item = Waiting<'s>>,
) {
    let [_, k, _] = chunk.sizes;
    let mut places: [Option<Waiting<'_>>; R] = core::array::from_fn(|_| waiting.next());
    let mut sums = [[L::splat(Sum::IDENTITY); 1]; R];
    let mut totals = sums;
    for (([sum], [total]), place) in sums.iter_mut().zip(&mut totals).zip(&places) {
        if let Some((waits, of)) = place {
            *sum = L::load_part(waits.as_slice(), 0.0);
            *total = L::load_part(of.as_slice(), 0.0);
        }
    }
    if k <= ROWS_IN_ORDER {
        block::<L, R, 1, TA>(chunk, [i, 0], len, &mut sums);
    } else {
        for at in (0..len).step_by(ROWS_OF_BLOCK) {
            if start + at > 0 {
                carry_rows(&mut totals, &mut sums);
            }
            let rest = chunk.after::<TA>(at);
            if len - at >= ROWS_OF_BLOCK {
                whole_block::<L, R, 1, TA>(rest, [i, 0], &mut sums);
            } else {
                block::<L, R, 1, TA>(rest, [i, 0], len - at, &mut sums);
            }
        }
    }
    for (([sum], [total]), place) in sums.into_iter().zip(totals).zip(&mut places) {
        if let Some((waits, of)) = place {
            sum.store_part(waits.as_mut_slice());
            total.store_part(of.as_mut_slice());
        }
    }
}
