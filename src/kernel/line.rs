//! The gradients of a straight line, `x * w + b`, in one pass.
//!
//! ```text
//! dots[0..32], sums[0..32] = -0.0
//! for each i:  dots[i % 32] += x[i] * g[i],  sums[i % 32] += g[i]
//! each added up by the tree of every long sum
//! ```
//!
//! or, if there are few, both in order.
//!
//! Two sums take hardly longer than one: what costs is reading `g`.

use super::generic::{PARTIALS, Reduce, Sum, run, tree};
use super::{Lanes, Level, dot, f32x8, sum};

/// Few elements. Two results and not an array of two, which would be packed into
/// one integer.
#[inline(always)]
pub(super) fn in_order(mut x: &[f32], mut g: &[f32]) -> (f32, f32) {
    let (mut dot, mut sum) = (Sum::IDENTITY, Sum::IDENTITY);
    let mut add = |product: f32, g: f32| {
        dot += product;
        sum += g;
    };
    if Level::VECTORS {
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
    if L::LEN == 1 {
        // Partial sums are in memory then: little to gain, and more flash.
        return (dot(x, g), sum(run(g, 0, n)));
    }
    let (x, x_rest) = run(x, 0, n).as_chunks::<PARTIALS>();
    let (g, g_rest) = run(g, 0, n).as_chunks::<PARTIALS>();
    let (mut dots, mut sums) = ([L::splat(Sum::IDENTITY); 4], [L::splat(Sum::IDENTITY); 4]);
    for (x, g) in x.iter().zip(g) {
        let pairs = L::chunks(x).0.iter().zip(L::chunks(g).0);
        for ((dot, sum), (x, g)) in dots.iter_mut().zip(&mut sums).zip(pairs) {
            let g = L::load(g);
            *dot = *dot + L::load(x) * g;
            *sum = *sum + g;
        }
    }
    // Beyond the end, -0.0 is added.
    let groups = x_rest.chunks(L::LEN).zip(g_rest.chunks(L::LEN));
    for ((dot, sum), (x, g)) in dots.iter_mut().zip(&mut sums).zip(groups) {
        let g = L::load_part(g, Sum::IDENTITY);
        *dot = *dot + L::load_part(x, 1.0) * g;
        *sum = *sum + g;
    }
    (added_up(dots), added_up(sums))
}

#[inline(always)]
fn added_up<L: Lanes>(partial: [L; 4]) -> f32 {
    tree::<Sum>(partial.map(|vector| {
        let mut lanes = [0.0; 8];
        vector.store_part(&mut lanes);
        lanes
    }))
}
