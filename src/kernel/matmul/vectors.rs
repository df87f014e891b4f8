//! Matrix products with vectors: strips of columns, blocks of rows.

use core::hint::black_box;

use super::super::compensated::{
    ROWS_IN_ORDER, ROWS_OF_BLOCK, carry_unchecked, finite_or_zero, is_finite,
};
use super::super::reduce::{Reduce, Sum, reduce};
use super::super::slices::run;
use super::super::{Acc, Lanes, Mask, Product};
use super::job::Job;
use super::scalar;

/// The rows of a block.
const ROWS: usize = 4;

/// The most numbers of a left factor for which a product narrower than a vector is computed
/// without vectors, because filling them would take longer than they save.
const SMALL: usize = 32;

/// `out[i] = a[i, ..] · b`, plus the bias.
#[inline(always)]
pub(super) fn dots<L: Lanes>(job: Job<'_>, out: &mut [f32]) {
    let [m, k, _] = job.sizes;
    for (i, to) in out.iter_mut().take(m).enumerate() {
        let sum = reduce::<L, Sum, 2, _>(Product, [run(job.a, i * k, k), run(job.b, 0, k)]);
        job.acc.put(to, job.bias.first().map_or(sum, |b| sum + b));
    }
}

/// Computes the result in strips of columns. `TA` and `TB` say which factor is transposed.
#[inline(always)]
pub(super) fn product<L: Lanes, const TA: bool, const TB: bool>(job: Job<'_>, out: &mut [f32]) {
    if out.is_empty() {
        return; // without loops over the other sizes, which may be huge
    }
    let [m, k, n] = job.sizes;
    if n < L::LEN && m.saturating_mul(k) <= SMALL {
        return scalar::product(&job.for_scalar(), out);
    }
    if const { TA && !TB } && n < L::LEN && m >= L::LEN {
        return tall::<L>(job, out);
    }
    let mut j = 0;
    if const { !TB } {
        // Uses each factor for two vectors, if the registers hold the sums of both.
        if const { L::REGISTERS >= 16 } {
            while j + 2 * L::LEN <= n {
                rows::<L, ROWS, 2, TA>(job, j, j, out);
                j += 2 * L::LEN;
            }
        }
        // Computing some columns of the last vector twice costs less than copying a part of one.
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

/// The most numbers of a right factor that is transposed as a whole: 2 KiB of stack.
pub(super) const TRANSPOSED: usize = 512;

/// The fewest rows of a result for which transposing the right factor saves more time than it
/// takes.
pub(super) const MANY_ROWS: usize = 128;

/// Transposes a right factor from `[n, k]` to `[k, n]`.
#[inline(never)]
pub(super) fn transposed(job: &Job<'_>, to: &mut [f32; TRANSPOSED]) {
    let [_, _, n] = job.sizes;
    for (j, column) in job.b.chunks(job.b_step.max(1)).take(n).enumerate() {
        let mut place = j;
        for x in column {
            if let Some(to) = to.get_mut(place) {
                *to = *x;
            }
            place += n;
        }
    }
}

/// `Aᵀ · G` with fewer columns than a vector has lanes, but enough rows: lanes run down the
/// columns of the result, along the rows of `A`.
#[inline(always)]
fn tall<L: Lanes>(job: Job<'_>, out: &mut [f32]) {
    let [m, k, n] = job.sizes;
    let turned = Job {
        sizes: [n, k, m],
        a: job.b,
        a_step: job.b_step,
        b: job.a,
        b_step: job.a_step,
        ..job
    };
    let mut i = 0;
    while i < m {
        // The last vector overlaps the one before, so that it is whole.
        let at = i.min(m - L::LEN);
        for j in (0..n - n % 2).step_by(2) {
            for (r, [sums]) in sums::<L, 2>(turned, [j, at]).into_iter().enumerate() {
                put_column(job, sums, [at, i], j + r, out);
            }
        }
        if n % 2 > 0 {
            let [[sums]] = sums::<L, 1>(turned, [n - 1, at]);
            put_column(job, sums, [at, i], n - 1, out);
        }
        i = at + L::LEN;
    }
}

/// The sums of a block of rows of `Aᵀ · G`.
#[inline(always)]
fn sums<L: Lanes, const R: usize>(job: Job<'_>, place: [usize; 2]) -> [[L; 1]; R] {
    let [_, k, _] = job.sizes;
    if k > ROWS_IN_ORDER {
        return sums_in_blocks::<L, R, 1, true>(job, place);
    }
    let mut sums = [[L::splat(Sum::IDENTITY); 1]; R];
    block::<L, R, 1, true>(job, place, k, &mut sums);
    sums
}

/// Writes the sums of the rows from `at` on to column `j`, or adds them. Leaves out rows before
/// `from`, which are done.
#[inline(always)]
fn put_column<L: Lanes>(job: Job<'_>, sums: L, [at, from]: [usize; 2], j: usize, out: &mut [f32]) {
    let [_, _, n] = job.sizes;
    let mut lanes = [0.0; 8];
    sums.store_part(&mut lanes);
    let column = out.get_mut(from * n + j..).unwrap_or_default();
    let lanes = lanes.iter().skip(from - at);
    for (to, sum) in column.iter_mut().step_by(n.max(1)).zip(lanes) {
        job.acc.put(to, *sum);
    }
}

/// Computes all rows of a strip of `M` vectors, in blocks of `R` rows. The strip is at column
/// `from` of `B` and at column `j` of the result.
#[inline(always)]
fn rows<L: Lanes, const R: usize, const M: usize, const TA: bool>(
    job: Job<'_>,
    from: usize,
    j: usize,
    out: &mut [f32],
) {
    let [m, k, n] = job.sizes;
    let whole = m - m % R;
    let bias = &bias_at::<L, M>(&job, j);
    // Tests this outside of the loops, because short sums need no totals.
    if k > ROWS_IN_ORDER {
        for i in (0..whole).step_by(R) {
            let sums = sums_in_blocks::<L, R, M, TA>(job, [i, from]);
            finish(&job, sums, bias, run_from(out, i * n + j));
        }
        for i in whole..m {
            let sums = sums_in_blocks::<L, 1, M, TA>(job, [i, from]);
            finish(&job, sums, bias, run_from(out, i * n + j));
        }
        return;
    }
    for i in (0..whole).step_by(R) {
        let mut sums = [[L::splat(Sum::IDENTITY); M]; R];
        block::<L, R, M, TA>(job, [i, from], k, &mut sums);
        finish(&job, sums, bias, run_from(out, i * n + j));
    }
    for i in whole..m {
        let mut sums = [[L::splat(Sum::IDENTITY); M]; 1];
        block::<L, 1, M, TA>(job, [i, from], k, &mut sums);
        finish(&job, sums, bias, run_from(out, i * n + j));
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
    // `black_box` keeps the totals in memory, because the loop needs all registers for the
    // sums. It changes only the speed.
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

/// Ends a block of every sum, as [`carry`](super::super::compensated::carry) does. A single test
/// of the sum of all losses, for one addition each, finds whether any loss is infinite or NaN; only
/// then is each loss tested. If the sum of finite losses overflows, these tests find nothing.
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

/// Adds [`ROWS_OF_BLOCK`] products to the sums of a block of rows: [`block`] with a constant
/// number of products, for a copied strip, whose rows have a constant length as well.
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
        // `split_at_checked`, because `chunks_exact` would divide.
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

/// Adds the first `k` products to the sums of a block. Cuts the rows to length before the
/// loop, so that it needs no bounds checks.
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

/// The vectors of the bias at column `j`; `None` if there is no bias.
#[inline(always)]
fn bias_at<L: Lanes, const M: usize>(job: &Job<'_>, j: usize) -> Option<[L; M]> {
    let from: &[L::Array; M] = L::chunks(job.bias.get(j..)?).0.first_chunk()?;
    let mut bias = [L::splat(0.0); M];
    for (to, from) in bias.iter_mut().zip(from) {
        *to = L::load(from);
    }
    Some(bias)
}

/// The numbers from `start` on; an empty slice if there are fewer.
#[inline(always)]
fn run_from(out: &mut [f32], start: usize) -> &mut [f32] {
    out.get_mut(start..).unwrap_or_default()
}

/// Adds the bias to the finished sums of neighbouring rows, and writes or adds them to the
/// result, of which `to` begins at the first sum.
#[inline(always)]
fn finish<L: Lanes, const R: usize, const M: usize>(
    job: &Job<'_>,
    sums: [[L; M]; R],
    bias: &Option<[L; M]>,
    mut to: &mut [f32],
) {
    let [_, _, n] = job.sizes;
    for mut sums in sums {
        if let Some(bias) = bias {
            for (sum, bias) in sums.iter_mut().zip(bias) {
                *sum = *sum + *bias;
            }
        }
        let Some(row) = L::chunks_mut(to).0.first_chunk_mut::<M>() else {
            return;
        };
        for (to, sum) in row.iter_mut().zip(sums) {
            match job.acc {
                Acc::Set => sum,
                Acc::Add => L::load(to) + sum,
            }
            .store(to);
        }
        to = to.get_mut(n..).unwrap_or_default();
    }
}

/// The most rows of a strip that are copied at a time: 2 KiB of stack.
const PACKED: usize = ROWS_IN_ORDER;

/// The rows of the result whose sums and totals are kept in memory from one copied part of a
/// strip to the next: 2 KiB of stack.
const WAITING: usize = 32;

/// A copy of columns `j..j + width` of `B`, in rows `start..start + len`.
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

/// Computes one vector of columns at `j`, or the columns that are left, from a copy of that strip
/// of `B`.
#[inline(always)]
fn packed<L: Lanes, const TA: bool, const TB: bool>(job: Job<'_>, j: usize, out: &mut [f32]) {
    let [m, k, n] = job.sizes;
    let width = L::LEN.min(n - j);
    // Without `TB`, this function gets only the last columns, fewer than a vector has lanes.
    if const { TB } && k <= PACKED && width == L::LEN {
        // The whole strip is copied at once, so that all sums stay in registers.
        let strip = pack::<TB>(job, [j, width], [0, k]);
        let job = Job {
            b: strip.as_flattened(),
            b_step: 8,
            ..job
        };
        return rows::<L, ROWS, 1, TA>(job, 0, j, out);
    }
    if k <= PACKED {
        // The same for a strip that is narrower than a vector.
        let strip = pack::<TB>(job, [j, width], [0, k]);
        let strip = Job {
            b: strip.as_flattened(),
            b_step: 8,
            ..job
        };
        let whole = m - m % ROWS;
        for i in (0..whole).step_by(ROWS) {
            part::<L, ROWS, TA>(strip, [i, j], width, out);
        }
        for i in whole..m {
            part::<L, 1, TA>(strip, [i, j], width, out);
        }
        return;
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

/// Computes a block of rows of a copied strip that is `width` columns wide.
#[inline(always)]
fn part<L: Lanes, const R: usize, const TA: bool>(
    strip: Job<'_>,
    [i, j]: [usize; 2],
    width: usize,
    out: &mut [f32],
) {
    let [_, k, n] = strip.sizes;
    let mut sums = [[L::splat(Sum::IDENTITY); 1]; R];
    block::<L, R, 1, TA>(strip, [i, 0], k, &mut sums);
    let bias = strip.bias.get(j..).unwrap_or_default();
    let bias = L::load_part(bias.get(..width).unwrap_or_default(), -0.0);
    for (r, [mut sum]) in sums.into_iter().enumerate() {
        let at = (i + r) * n + j;
        let Some(to) = out.get_mut(at..at + width) else {
            return;
        };
        if !strip.bias.is_empty() {
            sum = sum + bias;
        }
        match strip.acc {
            Acc::Set => sum,
            Acc::Add => L::load_part(to, 0.0) + sum,
        }
        .store_part(to);
    }
}

/// The unfinished sums of a row in memory, and their totals.
type Waiting<'s> = (&'s mut [f32; 8], &'s mut [f32; 8]);

/// Adds the `len` products from number `start` on to the unfinished sums of `R` rows.
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
