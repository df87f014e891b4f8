//! A straight line, `x * w + b`: both gradients in one pass, and the whole of its
//! squared error in one.
//!
//! ```text
//! dots[0..32], sums[0..32] = -0.0
//! for each i:  dots[i % 32] += x[i] * g[i],  sums[i % 32] += g[i]
//! each added up by the tree of every long sum
//! ```
//!
//! or, if there are few, both in order; more than 512 in the blocks of every sum.
//!
//! Two sums take hardly longer than one: what costs is reading `g`. With `r` for
//! `(x * w + b) - y`, the squared error and its gradients are three sums, of `r²`,
//! `x * r` and `r`, and neither prediction nor gradient has to be stored.

use super::compensated::{BLOCK, OneByOne, in_blocks};
use super::generic::{PARTIALS, Reduce, Sum, run, tree};
use super::{Identity, Lanes, Level, Product, f32x8, long_reduce};

/// Few elements. Two results and not an array of two, which would be packed into
/// one integer.
#[inline(always)]
pub(super) fn in_order(mut x: &[f32], mut g: &[f32]) -> (f32, f32) {
    let (mut dot, mut sum) = (Sum::IDENTITY, Sum::IDENTITY);
    let mut add = |product: f32, g: f32| {
        dot += product;
        sum += g;
    };
    if const { Level::VECTORS } {
        // As they were written: a CPU is slow to read a part of what it just wrote.
        let n = x.len().min(g.len());
        let (x_whole, x_rest) = f32x8::chunks(x.get(..n).unwrap_or_default());
        let (g_whole, g_rest) = f32x8::chunks(g.get(..n).unwrap_or_default());
        for (x, g) in x_whole.iter().zip(g_whole) {
            let g = f32x8::load(g);
            let products = (f32x8::load(x) * g).to_array();
            for (product, g) in products.into_iter().zip(g.to_array()) {
                add(product, g);
            }
        }
        (x, g) = (x_rest, g_rest);
    }
    for (x, g) in x.iter().zip(g) {
        add(x * g, *g);
    }
    (dot, sum)
}

/// Many elements.
#[inline(always)]
pub(super) fn dot_and_sum<L: Lanes>(x: &[f32], g: &[f32]) -> (f32, f32) {
    let n = x.len().min(g.len());
    if const { L::LEN == 1 } {
        // Partial sums are in memory then: little to gain, and more flash.
        let (x, g) = (run(x, 0, n), run(g, 0, n));
        return (
            long_reduce::<Sum, 2, _>(Product, [x, g]),
            long_reduce::<Sum, 1, _>(Identity, [g]),
        );
    }
    let xs = [run(x, 0, n), run(g, 0, n)];
    let [dot, sum] = in_blocks(
        xs,
        #[inline(always)]
        |[x, g]| {
            let mut partial = [[L::splat(Sum::IDENTITY); 4]; 2];
            // Four rows, of which the compiler makes one run of instructions.
            let (x, g) = (
                x.as_chunks::<{ 4 * PARTIALS }>().0,
                g.as_chunks::<{ 4 * PARTIALS }>().0,
            );
            for (x, g) in x.iter().zip(g) {
                partial = add_dots_and_sums(x.as_chunks().0, g.as_chunks().0, partial);
            }
            partial.map(tree::<L, Sum>)
        },
        #[inline(always)]
        |rest| few_dots_and_sums::<L>(rest),
    );
    (dot, sum)
}

/// Adds rows to the partial sums.
#[inline(always)]
fn add_dots_and_sums<L: Lanes>(
    x: &[[f32; PARTIALS]],
    g: &[[f32; PARTIALS]],
    [mut dots, mut sums]: [[L; 4]; 2],
) -> [[L; 4]; 2] {
    for (x, g) in x.iter().zip(g) {
        let pairs = L::chunks(x).0.iter().zip(L::chunks(g).0);
        for ((dot, sum), (x, g)) in dots.iter_mut().zip(&mut sums).zip(pairs) {
            let g = L::load(g);
            *dot = *dot + L::load(x) * g;
            *sum = *sum + g;
        }
    }
    [dots, sums]
}

/// At most a block of them.
#[inline(always)]
fn few_dots_and_sums<L: Lanes>([x, g]: [&[f32]; 2]) -> [f32; 2] {
    let (x, x_rest) = x.as_chunks::<PARTIALS>();
    let (g, g_rest) = g.as_chunks::<PARTIALS>();
    let none = [L::splat(Sum::IDENTITY); 4];
    let [mut dots, mut sums] = add_dots_and_sums(x, g, [none; 2]);
    // Beyond the end, -0.0 is added.
    let groups = x_rest.chunks(L::LEN).zip(g_rest.chunks(L::LEN));
    for ((dot, sum), (x, g)) in dots.iter_mut().zip(&mut sums).zip(groups) {
        let g = L::load_part(g, Sum::IDENTITY);
        *dot = *dot + L::load_part(x, 1.0) * g;
        *sum = *sum + g;
    }
    [dots, sums].map(tree::<L, Sum>)
}

/// What a line leaves unexplained, `(x * w + b) - y`.
#[derive(Clone, Copy)]
pub(super) struct Residual {
    pub(super) slope: f32,
    pub(super) offset: f32,
}

impl Residual {
    #[inline(always)]
    fn of<L: Lanes>(&self, x: L, y: L) -> L {
        (x * L::splat(self.slope) + L::splat(self.offset)) - y
    }
}

/// The sums of `r²`, `x * r` and `r` of few elements, in order.
#[inline(always)]
pub(super) fn residuals_in_order(line: Residual, mut x: &[f32], mut y: &[f32]) -> [f32; 3] {
    let (mut squares, mut slope, mut sum) = (Sum::IDENTITY, Sum::IDENTITY, Sum::IDENTITY);
    if const { Level::VECTORS } {
        let n = x.len().min(y.len());
        let (x_whole, x_rest) = f32x8::chunks(x.get(..n).unwrap_or_default());
        let (y_whole, y_rest) = f32x8::chunks(y.get(..n).unwrap_or_default());
        for (x, y) in x_whole.iter().zip(y_whole) {
            let x = f32x8::load(x);
            let r = line.of(x, f32x8::load(y));
            let terms = (r * r).to_array().into_iter().zip((x * r).to_array());
            for ((square, product), r) in terms.zip(r.to_array()) {
                squares += square;
                slope += product;
                sum += r;
            }
        }
        (x, y) = (x_rest, y_rest);
    }
    for (x, y) in x.iter().zip(y) {
        let r = line.of(*x, *y);
        squares += r * r;
        slope += x * r;
        sum += r;
    }
    [squares, slope, sum]
}

/// The sums of `r²`, `x * r` and `r`, each in the order of `sum`.
#[inline(always)]
pub(super) fn residuals<L: Lanes>(line: Residual, x: &[f32], y: &[f32]) -> [f32; 3] {
    if const { L::LEN == 1 } {
        return residuals_one_by_one(line, x, y);
    }
    let n = x.len().min(y.len());
    let xs = [run(x, 0, n), run(y, 0, n)];
    in_blocks(
        xs,
        #[inline(always)]
        |[x, y]| {
            let mut partial = [[L::splat(Sum::IDENTITY); 4]; 3];
            // Two rows, as above.
            let (x, y) = (
                x.as_chunks::<{ 2 * PARTIALS }>().0,
                y.as_chunks::<{ 2 * PARTIALS }>().0,
            );
            for (x, y) in x.iter().zip(y) {
                partial = add_residuals(line, x.as_chunks().0, y.as_chunks().0, partial);
            }
            partial.map(tree::<L, Sum>)
        },
        #[inline(always)]
        |rest| few_residuals::<L>(line, rest),
    )
}

#[inline(always)]
fn residuals_one_by_one(line: Residual, x: &[f32], y: &[f32]) -> [f32; 3] {
    let mut partial = [Sum::IDENTITY; 3 * PARTIALS];
    let ([squares, slopes, offsets], []) = partial.as_chunks_mut() else {
        return [f32::NAN; 3];
    };
    let mut partial = [squares, slopes, offsets];
    let mut sums = [OneByOne::NEW, OneByOne::NEW, OneByOne::NEW];
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let r = line.of(*x, *y);
            for (partial, term) in partial.iter_mut().zip([r * r, x * r, r]) {
                if let Some(sum) = partial.get_mut(i % PARTIALS) {
                    *sum += term;
                }
            }
        }
        for (sum, partial) in sums.iter_mut().zip(&mut partial) {
            sum.close(partial);
        }
    }
    sums.map(|sum| sum.sum())
}

/// Adds rows to the partial sums.
#[inline(always)]
fn add_residuals<L: Lanes>(
    line: Residual,
    x: &[[f32; PARTIALS]],
    y: &[[f32; PARTIALS]],
    [mut squares, mut slopes, mut sums]: [[L; 4]; 3],
) -> [[L; 4]; 3] {
    for (x, y) in x.iter().zip(y) {
        let pairs = L::chunks(x).0.iter().zip(L::chunks(y).0);
        let partial = squares.iter_mut().zip(&mut slopes).zip(&mut sums);
        for (((square, slope), sum), (x, y)) in partial.zip(pairs) {
            let x = L::load(x);
            let r = line.of(x, L::load(y));
            *square = *square + r * r;
            *slope = *slope + x * r;
            *sum = *sum + r;
        }
    }
    [squares, slopes, sums]
}

/// At most a block of them.
#[inline(always)]
fn few_residuals<L: Lanes>(line: Residual, [x, y]: [&[f32]; 2]) -> [f32; 3] {
    let (x, x_rest) = x.as_chunks::<PARTIALS>();
    let (y, y_rest) = y.as_chunks::<PARTIALS>();
    let none = [L::splat(Sum::IDENTITY); 4];
    let [mut squares, mut slopes, mut sums] = add_residuals(line, x, y, [none; 3]);
    // Beyond the end, -0.0 is added.
    let groups = x_rest.chunks(L::LEN).zip(y_rest.chunks(L::LEN));
    let partial = squares.iter_mut().zip(&mut slopes).zip(&mut sums);
    for (((square, slope), sum), (x, y)) in partial.zip(groups) {
        let lanes = x.len();
        let (x, y) = (L::load_part(x, 0.0), L::load_part(y, 0.0));
        let r = line.of(x, y);
        let part = |terms: L| {
            let mut kept = [Sum::IDENTITY; 8];
            terms.store_part(kept.get_mut(..lanes).unwrap_or_default());
            L::load_part(&kept, Sum::IDENTITY)
        };
        *square = *square + part(r * r);
        *slope = *slope + part(x * r);
        *sum = *sum + part(r);
    }
    [squares, slopes, sums].map(tree::<L, Sum>)
}
