//! Matrix products over [`Lanes`], in the three forms that training needs.
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
//! Each lane computes a column, and every sum is added in order of `p`, as in a
//! loop written by hand, whatever the block, so that blocks can be of any size. If `k`
//! is more than 64, sums are [`compensated`], 32 products at a time. A block has several
//! rows, because each addition to a sum waits for the one before, and the sums of other
//! rows fill the time.
//!
//! `Aᵀ · G` reads several columns of `A` at once, which are neighbours in memory. `G · Bᵀ`
//! would read a strip of `B` across its rows, so the strip is copied into a buffer first
//! ([`vectors`]). Columns that do not fill a vector are copied as well, unless some columns can
//! be computed twice. Without SIMD none of this pays: see [`scalar`].
//!
//! [`compensated`]: super::compensated
//!
//! The elements of a result of one column, whose factors are both contiguous along the sum,
//! are dot products, in the order of [`sum`](super::sum).

mod job;
mod scalar;
mod vectors;

use super::{Acc, Lanes};
pub(super) use job::{Job, linear_job, nt_job, tn_job};
pub(super) use scalar::sum_rows;

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
        let job = scalar::Job {
            sizes: [m, k, n],
            a: scalar::Factor::by_rows(x, k),
            b: scalar::Factor::by_steps(w, n),
            bias,
            acc: Acc::Set,
        };
        return scalar::product(&job, out);
    }
    compute::<L>(&linear_job(x, w, bias, [m, k, n]), out);
}

/// See [`super::matmul_tn`].
#[inline(always)]
pub fn matmul_tn<L: Lanes>(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { L::LEN == 1 } {
        // A single column is computed as a row, so that tiles are full.
        let (a, g, k, n) = if n == 1 { (g, a, 1, k) } else { (a, g, k, n) };
        let job = scalar::Job {
            sizes: [k, m, n],
            a: scalar::Factor::by_steps(a, k),
            b: scalar::Factor::by_steps(g, n),
            bias: &[],
            acc,
        };
        return scalar::product(&job, out);
    }
    compute::<L>(&tn_job(a, g, [m, k, n], acc), out);
}

/// See [`super::matmul_nt`].
#[inline(always)]
pub fn matmul_nt<L: Lanes>(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { L::LEN == 1 } {
        let job = scalar::Job {
            sizes: [m, n, k],
            a: scalar::Factor::by_rows(g, n),
            b: scalar::Factor::by_rows(b, n),
            bias: &[],
            acc,
        };
        return scalar::product(&job, out);
    }
    compute::<L>(&nt_job(g, b, [m, k, n], acc), out);
}

/// Computes a product. Each form is compiled once for each lane type and shared by all kernels:
/// with a copy for each kernel, matrix products would take a quarter of LLVM's time.
#[inline(always)]
pub(super) fn compute<L: Lanes>(job: &Job<'_>, out: &mut [f32]) {
    if const { L::LEN == 1 } {
        return scalar::product(&job.for_scalar(), out);
    }
    // Transposed forms never have a bias; a constant empty one removes its code.
    let no_bias = Job { bias: &[], ..*job };
    let [m, k, n] = job.sizes;
    // Initialised only if it is used.
    let mut b: [f32; vectors::TRANSPOSED];
    let mut turned = *job;
    let few = k.saturating_mul(n) <= vectors::TRANSPOSED && m >= vectors::MANY_ROWS;
    if job.form == job::Form::RightTransposed && few {
        // A small right factor is transposed as a whole, and the product is a plain one.
        b = [0.0; vectors::TRANSPOSED];
        vectors::transposed(job, &mut b);
        turned = Job {
            form: job::Form::Plain,
            b: &b,
            b_step: n,
            ..no_bias
        };
    }
    let job = &turned;
    match job.form {
        job::Form::Dots => vectors::dots::<L>(*job, out),
        job::Form::Plain => vectors::product::<L, false, false>(*job, out),
        job::Form::LeftTransposed => vectors::product::<L, true, false>(no_bias, out),
        job::Form::RightTransposed => vectors::product::<L, false, true>(no_bias, out),
    }
}
