//! The line search of L-BFGS, which looks for a step that satisfies the strong Wolfe
//! conditions: the loss falls sufficiently and its slope becomes flatter. It advances one
//! evaluation at a time, like every search.

use super::memory::{CopyChecked as _, Memory, move_to, scale_into};
use super::{Answer, Machine, Now, Phase, largest};
use crate::kernel::Lanes;

/// The required decrease of the loss, relative to the decrease that the slope predicts.
const C1: f32 = 1e-4;
/// The maximum slope after the step, relative to the slope before.
const C2: f32 = 0.9;
/// Zooming ends when no parameter moves by this much within the bracket.
const LEAST_BRACKET: f32 = 1e-9;

/// A point along the direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) t: f32,
    pub(super) loss: f32,
    pub(super) slope: f32,
}

impl Point {
    pub(super) const START: Self = Point {
        t: 0.0,
        loss: 0.0,
        slope: 0.0,
    };
}

impl Machine {
    /// Whether the loss at a point violates the condition of sufficient decrease.
    fn is_too_high(&self, new: Point) -> bool {
        new.loss > self.now.prev_loss + C1 * new.t * self.now.slope
    }

    /// Whether no evaluation is left. As in PyTorch, a line search takes one evaluation even if
    /// earlier iterations have used up `max_eval`.
    fn has_no_more(&self) -> bool {
        self.now.evals > self.hyper.most_evals()
    }

    fn is_flat_enough(&self, new: Point) -> bool {
        new.slope.abs() <= -C2 * self.now.slope
    }

    /// Extends the step until the bracket contains a minimum.
    pub(super) fn bracket(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        new: Point,
        grads: &[f32],
        sign: f32,
    ) -> Answer {
        let [mut last, _] = self.now.bracket;
        let reached = self.has_no_more();
        if reached {
            // The bracket is everything from the start of the line search.
            let [low, _] = &mut memory.bracket;
            low.copy_from_slice_checked(memory.prev);
            last = Point {
                t: 0.0,
                loss: self.now.prev_loss,
                slope: self.now.slope,
            };
        } else if !(self.is_too_high(new) || self.now.ls_iter > 1 && new.loss >= last.loss)
            && (self.is_flat_enough(new) || new.slope < 0.0 || new.slope.is_nan())
        {
            scale_into(memory.bracket_mut(0), sign, grads);
            self.now.bracket = [new; 2];
            if self.is_flat_enough(new) {
                self.now.low = false;
                return self.end_line_search(memory, params);
            }
            let bounds = [new.t + 0.01 * (new.t - last.t), new.t * 10.0];
            self.now.t = cubic_minimum(last, new, bounds);
            self.now.ls_iter = self.now.ls_iter.saturating_add(1);
            move_to(params, memory.x, self.now.t, memory.d);
            return Answer::Ask;
        }
        scale_into(memory.bracket_mut(1), sign, grads);
        self.now.bracket = [last, new];
        self.now.insufficient = false;
        self.now.low = new.loss < last.loss || last.loss.is_nan();
        self.next_zoom(memory, params)
    }

    /// Proposes the next point inside the bracket, or ends the line search if the bracket is
    /// small or no evaluation is left.
    fn next_zoom(&mut self, memory: &mut Memory<'_>, params: &mut [f32]) -> Answer {
        let [a, b] = self.now.bracket;
        let is_small = (b.t - a.t).abs() * largest(memory.d) < LEAST_BRACKET;
        if self.has_no_more() || is_small {
            return self.end_line_search(memory, params);
        }
        let [least, most] = if a.t <= b.t { [a.t, b.t] } else { [b.t, a.t] };
        let mut t = cubic_minimum(a, b, [least, most]);
        // A point that is at an end, or close to one for the second time, is moved to a tenth
        // of the bracket from that end.
        let margin = 0.1 * (most - least);
        let (above, below) = (t - least, most - t);
        let is_close = (if below < above { below } else { above }) < margin;
        self.now.insufficient = if is_close && (self.now.insufficient || t >= most || t <= least) {
            t = if below.abs() < above.abs() {
                most - margin
            } else {
                least + margin
            };
            false
        } else {
            is_close
        };
        self.now.t = t;
        self.now.ls_iter = self.now.ls_iter.saturating_add(1);
        self.now.phase = Phase::Zoom;
        move_to(params, memory.x, t, memory.d);
        Answer::Ask
    }

    /// Shrinks the bracket by a point inside it.
    pub(super) fn zoom(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        new: Point,
        grads: &[f32],
        sign: f32,
    ) -> Answer {
        let low = usize::from(self.now.low);
        let high = 1 - low;
        let point = |now: &Now, at: usize| now.bracket.get(at).copied().unwrap_or(Point::START);
        let (lowest, highest) = (point(&self.now, low), point(&self.now, high));
        let replace = |now: &mut Now, at: usize, by: Point| {
            if let Some(point) = now.bracket.get_mut(at) {
                *point = by;
            }
        };
        if self.is_too_high(new) || new.loss >= lowest.loss {
            scale_into(memory.bracket_mut(high), sign, grads);
            replace(&mut self.now, high, new);
            let [a, b] = self.now.bracket;
            self.now.low = b.loss < a.loss || a.loss.is_nan();
            return self.next_zoom(memory, params);
        }
        let is_done = self.is_flat_enough(new);
        if !is_done && new.slope * (highest.t - lowest.t) >= 0.0 {
            let [a, b] = &mut memory.bracket;
            if low == 0 {
                b.copy_from_slice_checked(a);
            } else {
                a.copy_from_slice_checked(b);
            }
            replace(&mut self.now, high, lowest);
        }
        scale_into(memory.bracket_mut(low), sign, grads);
        replace(&mut self.now, low, new);
        if is_done {
            self.end_line_search(memory, params)
        } else {
            self.next_zoom(memory, params)
        }
    }

    /// Moves to the end of the bracket with the lower loss.
    fn end_line_search(&mut self, memory: &mut Memory<'_>, params: &mut [f32]) -> Answer {
        let low = usize::from(self.now.low);
        let point = self.now.bracket.get(low).copied().unwrap_or(Point::START);
        self.now.t = point.t;
        move_to(params, memory.x, point.t, memory.d);
        self.end_iteration(memory, params, point.loss, low)
    }
}

/// The minimum within bounds of the cubic through two points with their slopes.
fn cubic_minimum(a: Point, b: Point, [least, most]: [f32; 2]) -> f32 {
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 || square.is_nan() {
        return (least + most) / 2.0;
    }
    let d2 = Lanes::sqrt(square);
    let t = if a.t <= b.t {
        b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2))
    } else {
        a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2.0 * d2))
    };
    let t = if t > least { t } else { least };
    if t < most { t } else { most }
}
