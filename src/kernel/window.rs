//! Windows that slide along rows: convolution and pooling in one dimension, with strides,
//! padding and dilation.
//!
//! The kernels are plain loops over [`Tile`]s of neighbouring results, which the compiler turns
//! into vectors. The bits are the same with any vectors, because a result depends on its own
//! window only. Padding is left out of sums, so that it makes no NaN with an infinite weight.

use super::Acc;
use super::compensated::{Blocks, Columns, TILE, Tile, carry};
use super::running::sum_in_turn;
use super::slices::{one, run};

/// The windows of a row. The sizes are those that the shape rule has accepted, or those of an
/// empty tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// The length of a row.
    pub(crate) len: usize,
    /// The number of windows.
    pub(crate) count: usize,
    /// The number of elements of a window.
    pub(crate) kernel: usize,
    /// The distance from a window to the next.
    pub(crate) stride: usize,
    /// The number of padded places in front of the row, and behind it.
    pub(crate) padding: usize,
    /// The distance from an element of a window to the next.
    pub(crate) dilation: usize,
}

impl Windows {
    /// The first window whose element `k` is at `place` or behind it; `count` if there is none.
    fn first_from(&self, place: usize, k: usize) -> usize {
        let behind = place.saturating_add(self.padding);
        let behind = behind.saturating_sub(k.saturating_mul(self.dilation));
        behind.div_ceil(self.stride.max(1)).min(self.count)
    }

    /// The place of element `k` of a window, if it is in the row.
    fn place(&self, window: usize, k: usize) -> Option<usize> {
        let start = window.saturating_mul(self.stride);
        let place = start.saturating_add(k.saturating_mul(self.dilation));
        let place = place.checked_sub(self.padding)?;
        (place < self.len).then_some(place)
    }

    /// The places of those elements of a window that are in the row, in order.
    fn places(&self, window: usize) -> impl Iterator<Item = usize> + use<> {
        let (start, step) = (window.saturating_mul(self.stride), self.dilation.max(1));
        let behind = self.len.saturating_add(self.padding);
        let from = self.padding.saturating_sub(start).div_ceil(step);
        let to = behind.saturating_sub(start).div_ceil(step).min(self.kernel);
        let first = start.saturating_add(from.saturating_mul(step));
        let places = (first.saturating_sub(self.padding)..self.len).step_by(step);
        places.take(to.saturating_sub(from))
    }

    /// The part of the row that a window without dilation covers, as start and end.
    fn range(&self, window: usize) -> (usize, usize) {
        let start = window.saturating_mul(self.stride);
        let end = start.saturating_add(self.kernel);
        let end = end.saturating_sub(self.padding);
        (start.saturating_sub(self.padding), end.min(self.len))
    }
}

/// A convolution of `[batch, channels, len]` with `[filters, channels / groups, kernel]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) filters: usize,
    pub(crate) groups: usize,
    pub(crate) windows: Windows,
}

impl Convolution {
    /// The numbers of channels and of filters in a group.
    fn of_group(&self) -> [usize; 2] {
        let groups = self.groups.max(1);
        [self.channels / groups, self.filters / groups]
    }

    /// A row of the input.
    fn row<'a>(&self, x: &'a [f32], n: usize, channel: usize) -> &'a [f32] {
        let len = self.windows.len;
        run(x, (n * self.channels + channel) * len, len)
    }

    /// A row of the result, or of its gradient.
    fn result<'a>(&self, g: &'a [f32], n: usize, filter: usize) -> &'a [f32] {
        let count = self.windows.count;
        run(g, (n * self.filters + filter) * count, count)
    }

    /// Computes the result, `[batch, filters, count]`. Products are added channel by channel, in
    /// order of the kernel, more than 64 in blocks as in [`super::sum_axis`]; the bias is added
    /// last.
    #[inline(never)]
    pub(crate) fn forward(&self, x: &[f32], w: &[f32], b: &[f32], out: &mut [f32]) {
        if out.is_empty() {
            return; // without loops over the other sizes, which may be huge
        }
        let (windows, [channels, filters]) = (&self.windows, self.of_group());
        let kernel = windows.kernel;
        for (i, out) in out.chunks_mut(windows.count.max(1)).enumerate() {
            let (n, filter) = (i / self.filters.max(1), i % self.filters.max(1));
            let first = filter / filters.max(1) * channels;
            let bias = one(b, filter);
            for (t, out) in out.chunks_mut(TILE).enumerate() {
                let (start, end) = (t * TILE, t * TILE + out.len());
                let mut tile = Tile::new();
                let mut blocks = Blocks::of(channels * kernel);
                for c in 0..channels {
                    let row = self.row(x, n, first + c);
                    for k in 0..kernel {
                        if blocks.next() {
                            tile.carry();
                        }
                        let w = one(w, (filter * channels + c) * kernel + k);
                        let from = windows.first_from(0, k).max(start);
                        let to = windows.first_from(windows.len, k).min(end);
                        let Some(x) = windows.place(from, k).filter(|_| from < to) else {
                            continue;
                        };
                        let x = row.get(x..).unwrap_or_default();
                        let sums = tile.sums.get_mut(from - start..to - start);
                        add_products(w, x, windows.stride, sums.unwrap_or_default(), 1);
                    }
                }
                tile.finish();
                for (to, sum) in out.iter_mut().zip(&tile.sums) {
                    *to = sum + bias;
                }
            }
        }
    }

    /// Computes the gradient of the input. Products are added filter by filter, in order of the
    /// kernel, in blocks as in [`forward`](Self::forward).
    #[inline(never)]
    pub(crate) fn grad_input(&self, w: &[f32], g: &[f32], out: &mut [f32], acc: Acc) {
        if out.is_empty() {
            return;
        }
        let (windows, [channels, filters]) = (&self.windows, self.of_group());
        let kernel = windows.kernel;
        for (i, out) in out.chunks_mut(windows.len.max(1)).enumerate() {
            let (n, channel) = (i / self.channels.max(1), i % self.channels.max(1));
            let (group, c) = (channel / channels.max(1), channel % channels.max(1));
            for (t, out) in out.chunks_mut(TILE).enumerate() {
                let (start, end) = (t * TILE, t * TILE + out.len());
                let mut tile = Tile::new();
                let mut blocks = Blocks::of(filters * kernel);
                for f in group * filters..(group + 1) * filters {
                    let g = self.result(g, n, f);
                    for k in 0..kernel {
                        if blocks.next() {
                            tile.carry();
                        }
                        let w = one(w, (f * channels + c) * kernel + k);
                        let from = windows.first_from(start, k);
                        let to = windows.first_from(end, k);
                        let Some(x) = windows.place(from, k).filter(|_| from < to) else {
                            continue;
                        };
                        let g = g.get(from..to).unwrap_or_default();
                        let sums = tile.sums.get_mut(x - start..);
                        add_products(w, g, 1, sums.unwrap_or_default(), windows.stride);
                    }
                }
                tile.finish();
                for (to, sum) in out.iter_mut().zip(&tile.sums) {
                    acc.put(to, sum + 0.0);
                }
            }
        }
    }

    /// Computes the gradient of the weights. For each weight, the products of a row of the batch
    /// are summed in the order of [`super::sum`], and the sums of the rows are added up with each
    /// as a block of its own.
    #[inline(never)]
    pub(crate) fn grad_weights(&self, x: &[f32], g: &[f32], out: &mut [f32], acc: Acc) {
        let (windows, [channels, filters]) = (&self.windows, self.of_group());
        let (kernel, stride) = (windows.kernel, windows.stride.max(1));
        for (i, out) in out.chunks_mut(kernel.max(1)).enumerate() {
            let (filter, c) = (i / channels.max(1), i % channels.max(1));
            let channel = filter / filters.max(1) * channels + c;
            for (k, to) in out.iter_mut().enumerate() {
                let from = windows.first_from(0, k);
                let end = windows.first_from(windows.len, k);
                let place = windows.place(from, k).filter(|_| from < end);
                let sum = sum_of_rows(self.batch, |n| {
                    let x = self.row(x, n, channel).get(place?..)?;
                    let g = self.result(g, n, filter).get(from..end)?;
                    Some(if stride == 1 {
                        super::dot(g, x)
                    } else {
                        let products = g.iter().zip(x.iter().step_by(stride));
                        sum_in_turn(products.map(|(g, x)| g * x), g.len())
                    })
                });
                acc.put(to, sum);
            }
        }
    }

    /// Computes the gradient of the bias, summed in the same way.
    #[inline(never)]
    pub(crate) fn grad_bias(&self, g: &[f32], out: &mut [f32], acc: Acc) {
        for (filter, to) in out.iter_mut().enumerate() {
            let row = |n| Some(super::sum(self.result(g, n, filter)));
            acc.put(to, sum_of_rows(self.batch, row));
        }
    }
}

/// `sums[i * to] += w * x[i * from]`, up to the end of the shorter slice.
#[inline(always)]
fn add_products(w: f32, x: &[f32], from: usize, sums: &mut [f32], to: usize) {
    if from == 1 && to == 1 {
        // A whole tile has a constant length, so that the compiler uses vectors.
        if let (Some(sums), Some(x)) = (sums.first_chunk_mut::<TILE>(), x.first_chunk::<TILE>()) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += w * x;
            }
            return;
        }
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += w * x;
        }
        return;
    }
    let x = x.iter().step_by(from.max(1));
    for (sum, x) in sums.iter_mut().step_by(to.max(1)).zip(x) {
        *sum += w * x;
    }
}

/// The sum of one term for each row, compensated from row to row; 0 without terms.
fn sum_of_rows(rows: usize, term: impl Fn(usize) -> Option<f32>) -> f32 {
    let (mut total, mut part) = (-0.0, -0.0);
    for n in 0..rows {
        let Some(term) = term(n) else {
            break; // if one row has no term, none has
        };
        (total, part) = carry(total, part);
        part += term;
    }
    total + part + 0.0
}

/// The largest element of each window, or NaN if there is a NaN.
#[inline(never)]
pub(crate) fn max_pool(x: &[f32], windows: &Windows, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let rows = x.chunks(windows.len.max(1));
    for (out, row) in out.chunks_mut(windows.count.max(1)).zip(rows) {
        for (window, to) in out.iter_mut().enumerate() {
            *to = largest(row, windows, window).1;
        }
    }
}

/// The place of a window's largest element, and the element. As in PyTorch, this is the first of
/// several equal elements, but the last of several NaN.
fn largest(row: &[f32], windows: &Windows, window: usize) -> (usize, f32) {
    let mut places = windows.places(window);
    let first = places.next().unwrap_or(0);
    let mut best = (first, one(row, first));
    for place in places {
        let x = one(row, place);
        if x > best.1 || x.is_nan() {
            best = (place, x);
        }
    }
    best
}

/// The gradient of [`max_pool`], which goes to the largest element of each window. If windows
/// share that element, their terms are added in order, more than 32 in blocks as in
/// [`super::sum_axis`].
#[inline(never)]
pub(crate) fn max_pool_grad(x: &[f32], windows: &Windows, g: &[f32], out: &mut [f32], acc: Acc) {
    if acc == Acc::Set {
        out.fill(0.0);
    }
    if g.is_empty() || out.is_empty() {
        return;
    }
    let (len, count) = (windows.len.max(1), windows.count.max(1));
    let rows = x.chunks(len).zip(g.chunks(count));
    for ((row, g), out) in rows.zip(out.chunks_mut(len)) {
        // Only windows whose starts are a multiple of the dilation apart have elements in common.
        // Among these, the place of the largest element never goes back from one window to the
        // next, so that the terms of an element come one after the other.
        for class in 0..windows.dilation.max(1) {
            let mut at = None;
            let mut sum = Columns::<f32, 1>::of(usize::MAX);
            let mut put = |at: Option<usize>, sum: Columns<f32, 1>| {
                if let Some(to) = at.and_then(|at| out.get_mut(at)) {
                    let [sum] = sum.sums();
                    *to += sum;
                }
            };
            for (window, g) in g.iter().enumerate() {
                if window * windows.stride % windows.dilation.max(1) != class {
                    continue;
                }
                let (place, _) = largest(row, windows, window);
                if at != Some(place) {
                    let done = core::mem::replace(&mut sum, Columns::of(usize::MAX));
                    put(at.replace(place), done);
                }
                sum.add([*g]);
            }
            put(at, sum);
        }
    }
}

/// The mean of each window, without dilation. With `with_padding`, padded places count as zeros;
/// otherwise they are left out of the mean.
#[inline(never)]
pub(crate) fn avg_pool(x: &[f32], windows: &Windows, with_padding: bool, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let rows = x.chunks(windows.len.max(1));
    for (out, row) in out.chunks_mut(windows.count.max(1)).zip(rows) {
        for (window, to) in out.iter_mut().enumerate() {
            let (start, end) = windows.range(window);
            let sum = super::sum(row.get(start..end).unwrap_or_default()) + 0.0;
            *to = sum / divisor(windows, window, with_padding);
        }
    }
}

/// The number of elements that the mean of a window divides by.
fn divisor(windows: &Windows, window: usize, with_padding: bool) -> f32 {
    let (start, end) = windows.range(window);
    if !with_padding {
        return end.saturating_sub(start) as f32;
    }
    // The last window may reach beyond the padding at the end; places there are not counted.
    let first = window.saturating_mul(windows.stride);
    let padding = windows.padding.saturating_mul(2);
    let last = windows.len.saturating_add(padding);
    let end = first.saturating_add(windows.kernel).min(last);
    end.saturating_sub(first) as f32
}

/// The gradient of [`avg_pool`], summed over the windows of an element in the order of
/// [`super::sum`].
#[inline(never)]
pub(crate) fn avg_pool_grad(
    windows: &Windows,
    with_padding: bool,
    g: &[f32],
    out: &mut [f32],
    acc: Acc,
) {
    if g.is_empty() || out.is_empty() {
        if acc == Acc::Set {
            out.fill(0.0);
        }
        return;
    }
    let all = g.chunks(windows.count.max(1));
    for (g, out) in all.zip(out.chunks_mut(windows.len.max(1))) {
        for (place, to) in out.iter_mut().enumerate() {
            // The first window whose last element is at `place` or behind it.
            let first = windows.first_from(place, windows.kernel.saturating_sub(1));
            let end = windows.first_from(place + 1, 0);
            let terms =
                (first..end).map(|window| one(g, window) / divisor(windows, window, with_padding));
            let sum = sum_in_turn(terms, end.saturating_sub(first));
            acc.put(to, sum + 0.0);
        }
    }
}
