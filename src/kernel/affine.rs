//! The gradients of `w` and `b` in `x * w + b`, the affine function of one number, in one pass.
//!
//! ```text
//! dots[0..32], sums[0..32] = -0.0
//! for each i:  dots[i % 32] += x[i] * g[i],  sums[i % 32] += g[i]
//! both added up by the tree of a long sum
//! ```
//!
//! Few elements are added in order, and more than 512 in blocks, as in every sum.
//!
//! Two sums take hardly longer than one, because most of the time goes into reading `g`.

use super::compensated::in_blocks;
use super::reduce::{PARTIALS, Reduce, Sum, tree};
use super::slices::run;
use super::{Lanes, Level, f32x8};

/// Both sums of few elements. Returns a tuple, because an array of two would be packed into one
/// integer register.
#[inline(always)]
pub(super) fn in_order(mut x: &[f32], mut g: &[f32]) -> (f32, f32) {
    let (mut dot, mut sum) = (Sum::IDENTITY, Sum::IDENTITY);
    let mut add = |product: f32, g: f32| {
        dot += product;
        sum += g;
    };
    if const { Level::VECTORS } {
        // Reads whole vectors, because a CPU is slow to read a part of a vector that it has just
        // written.
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

/// Both sums of many elements, with vectors.
#[inline(always)]
pub(super) fn dot_and_sum<L: Lanes>(x: &[f32], g: &[f32]) -> (f32, f32) {
    let n = x.len().min(g.len());
    let xs = [run(x, 0, n), run(g, 0, n)];
    let [dot, sum] = in_blocks(
        xs,
        #[inline(always)]
        |[x, g]| {
            let mut partial = [[L::splat(Sum::IDENTITY); 4]; 2];
            // Takes four rows at a time, which the compiler unrolls.
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

/// Both sums of the last elements, fewer than a block.
#[inline(always)]
fn few_dots_and_sums<L: Lanes>([x, g]: [&[f32]; 2]) -> [f32; 2] {
    let (x, x_rest) = x.as_chunks::<PARTIALS>();
    let (g, g_rest) = g.as_chunks::<PARTIALS>();
    let none = [L::splat(Sum::IDENTITY); 4];
    let [mut dots, mut sums] = add_dots_and_sums(x, g, [none; 2]);
    // The lanes beyond the end add -0.0, which changes nothing.
    let groups = x_rest.chunks(L::LEN).zip(g_rest.chunks(L::LEN));
    for ((dot, sum), (x, g)) in dots.iter_mut().zip(&mut sums).zip(groups) {
        let g = L::load_part(g, Sum::IDENTITY);
        *dot = *dot + L::load_part(x, 1.0) * g;
        *sum = *sum + g;
    }
    [dots, sums].map(tree::<L, Sum>)
}
