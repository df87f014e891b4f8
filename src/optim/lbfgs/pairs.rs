//! The curvature estimate of L-BFGS: pairs of differences, and the direction computed from
//! them.

use super::Now;
use super::memory::scale_into;
use crate::kernel;

/// The stored pairs.
pub(super) struct Pairs<'m> {
    pub(super) dirs: &'m mut [f32],
    pub(super) stps: &'m mut [f32],
    pub(super) ro: &'m mut [f32],
    pub(super) al: &'m mut [f32],
}

impl Pairs<'_> {
    /// Adds the pair of the last iteration, if its `ys` is large enough, and replaces the last
    /// direction in `d` by the next.
    pub(super) fn direct(
        self,
        now: &mut Now,
        room: usize,
        ys: f32,
        [g, prev]: [&[f32]; 2],
        d: &mut [f32],
    ) {
        let Pairs { dirs, stps, ro, al } = self;
        let n = g.len();
        if ys > 1e-10 {
            let (pairs, oldest) = (now.pairs as usize, now.oldest as usize);
            let slot = if pairs == room {
                now.oldest = oldest.saturating_add(1).checked_rem(room).unwrap_or(0) as u32;
                oldest
            } else {
                now.pairs = now.pairs.saturating_add(1);
                slot_of(oldest, pairs, room)
            };
            let (y, s) = (part(dirs, slot, n), part(stps, slot, n));
            for ((y, g), prev) in y.iter_mut().zip(g).zip(prev) {
                *y = g - prev;
            }
            scale_into(s, now.t, d);
            if let Some(ro) = ro.get_mut(slot) {
                *ro = 1.0 / ys;
            }
            now.h_diag = ys / kernel::dot(y, y);
        }
        let (pairs, oldest) = (now.pairs as usize, now.oldest as usize);
        scale_into(d, -1.0, g);
        for i in (0..pairs).rev() {
            let slot = slot_of(oldest, i, room);
            let (y, s) = (part(dirs, slot, n), part(stps, slot, n));
            let ro = ro.get(slot).copied().unwrap_or_default();
            let a = kernel::dot(s, d) * ro;
            if let Some(al) = al.get_mut(slot) {
                *al = a;
            }
            for (q, y) in d.iter_mut().zip(y.iter()) {
                *q -= a * y;
            }
        }
        d.iter_mut().for_each(|d| *d *= now.h_diag);
        for i in 0..pairs {
            let slot = slot_of(oldest, i, room);
            let (y, s) = (part(dirs, slot, n), part(stps, slot, n));
            let ro = ro.get(slot).copied().unwrap_or_default();
            let be = kernel::dot(y, d) * ro;
            let a = al.get(slot).copied().unwrap_or_default() - be;
            for (r, s) in d.iter_mut().zip(s.iter()) {
                *r += a * s;
            }
        }
    }
}

/// The slot of the `i`-th pair in the ring, counted from the oldest.
fn slot_of(oldest: usize, i: usize, room: usize) -> usize {
    oldest.saturating_add(i).checked_rem(room).unwrap_or(0)
}

/// The `i`-th vector of `n` numbers.
fn part(all: &mut [f32], i: usize, n: usize) -> &mut [f32] {
    let start = i.saturating_mul(n);
    all.get_mut(start..start.saturating_add(n))
        .unwrap_or_default()
}
