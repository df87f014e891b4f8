//! Reductions along a dimension, and their gradients.
//!
//! Where the terms of a sum are not neighbours, each lane sums a column: up to 64 terms in order,
//! and more in blocks of 32 (`compensated.rs`).

use super::compensated::{ROWS_IN_ORDER, ROWS_OF_BLOCK, carry, carry_vectors, rows_of_block};
use super::element::Divide;
use super::map::{map, map_in_place};
use super::reduce::{Reduce, Sum, reduce};
use super::slices::{load_all, one, run};
use super::{Acc, Identity, Lanes, Map};

/// Chooses which elements get the gradient of a maximum or minimum, if several equal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The first tie gets the whole gradient, as with `torch.max(x, axis)`. If there are NaN, the
    /// first NaN does.
    First,
    /// All ties get equal parts, as with `torch.max(x)`. If there are NaN, all NaN do.
    Even,
    /// All ties get equal parts, as with `torch.amax(x, axis)`, which multiplies by 1 or 0
    /// and divides by the number of ties. So the other elements get 0 with the gradient's sign,
    /// or NaN if the gradient is infinite. NaN equals nothing, so in a row with NaN all elements
    /// get NaN.
    Scaled,
}

/// See [`super::sum_axis`].
#[inline(always)]
pub fn reduce_axis<L: Lanes, R: Reduce>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
) {
    if const { R::ROUNDS } {
        return sum_axis::<L>(x, [outer, len, inner], out, Acc::Set);
    }
    if inner == 1 {
        for (i, to) in out.iter_mut().take(outer).enumerate() {
            let row = x.get(i * len..(i + 1) * len).unwrap_or_default();
            *to = reduce::<L, R, 1, _>(Identity, [row]);
        }
        return;
    }
    if inner == 0 {
        return;
    }
    for (i, to) in out.chunks_exact_mut(inner).take(outer).enumerate() {
        let slab = run(x, i * len * inner, len * inner);
        to.fill(R::IDENTITY);
        for row in slab.chunks_exact(inner) {
            combine_into::<L, R>(row, to);
        }
    }
}

/// [`super::sum_axis`], which overwrites or adds.
#[inline(always)]
pub(super) fn sum_axis<L: Lanes>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    if inner == 1 {
        for (i, to) in out.iter_mut().take(outer).enumerate() {
            let row = x.get(i * len..(i + 1) * len).unwrap_or_default();
            acc.put(to, reduce::<L, Sum, 1, _>(Identity, [row]));
        }
        return;
    }
    if inner == 0 {
        return;
    }
    for (i, to) in out.chunks_exact_mut(inner).take(outer).enumerate() {
        let slab = run(x, i * len * inner, len * inner);
        sum_slab::<L>(slab, [len, inner], to, acc);
    }
}

/// `to = combine(to, row)`.
#[inline(always)]
fn combine_into<L: Lanes, R: Reduce>(row: &[f32], to: &mut [f32]) {
    let (whole, rest) = L::chunks(row);
    let (to, to_rest) = L::chunks_mut(to);
    for (to, x) in to.iter_mut().zip(whole) {
        R::combine(L::load(to), L::load(x)).store(to);
    }
    if const { L::LEN > 1 } {
        let x = L::load_part(rest, 0.0);
        R::combine(L::load_part(to_rest, 0.0), x).store_part(to_rest);
    }
}

/// See [`super::sum_rows`].
#[inline(always)]
pub fn sum_rows<L: Lanes>(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    sum_axis::<L>(x, [1, m, n], out, acc);
}

/// The sums of `n` columns of `m` rows, with `n` above one.
#[inline(always)]
fn sum_slab<L: Lanes>(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    // Sums several vectors of columns at once, because each addition waits for the one of the
    // row before.
    let mut j = 0;
    if const { L::LEN > 1 } {
        while j + 4 * L::LEN <= n {
            let _ = sum_columns::<L, 4>(x, [m, n], j, out, acc);
            j += 4 * L::LEN;
        }
        while j + 2 * L::LEN <= n {
            let _ = sum_columns::<L, 2>(x, [m, n], j, out, acc);
            j += 2 * L::LEN;
        }
        while j + L::LEN <= n {
            let _ = sum_columns::<L, 1>(x, [m, n], j, out, acc);
            j += L::LEN;
        }
        // If a vector is one register, loading a part of one costs little.
        if const { L::REGISTERS >= 16 } && j < n {
            let _ = sum_last_columns::<L>(x, [m, n], j, out, acc);
            return;
        }
        while j + 2 <= n {
            let _ = sum_columns::<f32, 2>(x, [m, n], j, out, acc);
            j += 2;
        }
    }
    for (j, to) in out.iter_mut().enumerate().take(n).skip(j) {
        acc.put(to, sum_of_column(x, [m, n], j));
    }
}

/// The sum of column `j`.
#[inline(always)]
pub(super) fn sum_of_column(x: &[f32], [m, n]: [usize; 2], j: usize) -> f32 {
    let block = rows_of_block(m);
    let (mut total, mut part) = (Sum::IDENTITY, Sum::IDENTITY);
    let (mut at, mut left) = (j, block);
    while let Some(x) = x.get(at) {
        if left == 0 {
            (total, part) = carry(total, part);
            left = block;
        }
        left -= 1;
        part += x;
        at += n;
    }
    total + part
}

/// The sums of `M` vectors of columns from `j` on.
#[inline(always)]
fn sum_columns<L: Lanes, const M: usize>(
    x: &[f32],
    sizes: [usize; 2],
    j: usize,
    out: &mut [f32],
    acc: Acc,
) -> Option<()> {
    let sums = sums_of_rows(
        x,
        sizes,
        #[inline(always)]
        |row| {
            let mut loaded = [L::splat(0.0); M];
            load_all::<L>(L::chunks(row.get(j..)?).0.get(..M)?, &mut loaded);
            Some(loaded)
        },
    )?;
    put_vectors(sums, out.get_mut(j..)?, acc)
}

/// The sums of the last columns, from `j` on, fewer than a vector has lanes.
#[inline(always)]
fn sum_last_columns<L: Lanes>(
    x: &[f32],
    [m, n]: [usize; 2],
    j: usize,
    out: &mut [f32],
    acc: Acc,
) -> Option<()> {
    let [sums] = sums_of_rows(
        x,
        [m, n],
        #[inline(always)]
        |row| Some([L::load_part(row.get(j..)?, 0.0)]),
    )?;
    let to = out.get_mut(j..n)?;
    match acc {
        Acc::Set => sums,
        Acc::Add => L::load_part(to, 0.0) + sums,
    }
    .store_part(to);
    Some(())
}

/// The sums of `M` vectors that `load` takes from each row.
#[inline(always)]
fn sums_of_rows<L: Lanes, const M: usize>(
    x: &[f32],
    [m, n]: [usize; 2],
    load: impl Fn(&[f32]) -> Option<[L; M]>,
) -> Option<[L; M]> {
    let mut parts = [L::splat(Sum::IDENTITY); M];
    if m <= ROWS_IN_ORDER {
        return add_rows(x, n, load, parts);
    }
    let mut totals = parts;
    for block in x.chunks(ROWS_OF_BLOCK.saturating_mul(n).max(1)) {
        carry_vectors(&mut totals, &mut parts);
        parts = add_rows(block, n, &load, parts)?;
    }
    for (total, part) in totals.iter_mut().zip(parts) {
        *total = *total + part;
    }
    Some(totals)
}

/// Adds what `load` takes from each row of `n` numbers.
#[inline(always)]
fn add_rows<L: Lanes, const M: usize>(
    x: &[f32],
    n: usize,
    load: impl Fn(&[f32]) -> Option<[L; M]>,
    mut sums: [L; M],
) -> Option<[L; M]> {
    for row in x.chunks_exact(n.max(1)) {
        for (sum, x) in sums.iter_mut().zip(load(row)?) {
            *sum = *sum + x;
        }
    }
    Some(sums)
}

/// Writes `M` vectors to `out`, or adds them.
#[inline(always)]
pub(super) fn put_vectors<L: Lanes, const M: usize>(
    ys: [L; M],
    out: &mut [f32],
    acc: Acc,
) -> Option<()> {
    let to: &mut [L::Array; M] = L::chunks_mut(out).0.first_chunk_mut()?;
    for (to, y) in to.iter_mut().zip(ys) {
        match acc {
            Acc::Set => y,
            Acc::Add => L::load(to) + y,
        }
        .store(to);
    }
    Some(())
}

/// `x + b`.
struct Shift(f32);

impl Map<1> for Shift {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x + L::splat(self.0)
    }
}

/// See [`super::spread`].
#[inline(always)]
pub fn spread<L: Lanes>(
    x: &[f32],
    n: f32,
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    if inner == 1 {
        // The quotient is the same for a whole row.
        for i in 0..outer {
            let value = one(x, i) / n;
            let row = out.get_mut(i * len..(i + 1) * len).unwrap_or_default();
            match acc {
                Acc::Set => row.fill(value),
                Acc::Add => map_in_place::<L, _>(Shift(value), row),
            }
        }
        return;
    }
    for i in 0..outer {
        let row = run(x, i * inner, inner);
        for j in i * len..(i + 1) * len {
            let to = out.get_mut(j * inner..(j + 1) * inner).unwrap_or_default();
            map::<L, 1, _>(Divide(n), [row], to, acc);
        }
    }
}

/// See [`super::send_to_extremes`].
pub fn send_to_extremes(
    x: &[f32],
    y: &[f32],
    g: &[f32],
    [outer, len, inner]: [usize; 3],
    ties: Ties,
    out: &mut [f32],
    acc: Acc,
) {
    for o in 0..outer {
        for j in 0..inner {
            let (y, g) = (one(y, o * inner + j), one(g, o * inner + j));
            let place = |i: usize| (o * len + i) * inner + j;
            let wins = |i: usize| {
                let x = one(x, place(i));
                // With `Scaled`, nothing in a row with NaN equals `y`: the count is 0, and 0 / 0
                // is the NaN that every element gets.
                x == y || (ties != Ties::Scaled && x.is_nan() && y.is_nan())
            };
            let (part, rest) = if ties == Ties::First {
                (g, 0.0)
            } else {
                let count = (0..len).filter(|i| wins(*i)).count() as f32;
                let rest = if ties == Ties::Scaled {
                    g * 0.0 / count
                } else {
                    0.0
                };
                (g / count, rest)
            };
            let mut over = false;
            for i in 0..len {
                let won = !over && wins(i);
                over |= won && ties == Ties::First;
                if let Some(to) = out.get_mut(place(i)) {
                    acc.put(to, if won { part } else { rest });
                }
            }
        }
    }
}
