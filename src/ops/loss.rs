//! Losses that are one node: one pass over the data, no buffers in between.

use super::{Build, Entry, exactly};
use crate::kernel::{self, Lanes, Map};
use crate::op::{Attrs, Backward, Forward, Grad, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pair("mse", |p, y, _| p.mse(y)).of(&[&[2, 3], &[2, 3]]),
    Entry::new(
        "line_mse",
        Build::Three(|x, line, y, _| x.line_mse(line, y)),
    )
    .of(&[&[5], &[2], &[5]])
    .fix(1),
];

/// The mean of squared differences.
#[derive(Clone, Copy, Debug)]
pub struct Mse;

/// `s * (x - y)`, with `s = 2 g / n`: the product that the spelled-out form rounds.
struct Slope(f32);
impl Map<2> for Slope {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        L::splat(self.0) * (x - y)
    }
}

impl Op for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [prediction, target] = exactly(operands)?;
        if prediction == target {
            Ok(Shape::SCALAR)
        } else {
            Err(ShapeError::Different)
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let ([p, y], loss) = cx.split();
        if let [loss, ..] = loss {
            let sum = if p.len() <= kernel::IN_ORDER {
                kernel::short_squared_distance(p, y)
            } else {
                kernel::long_squared_distance(p, y)
            };
            *loss = sum / p.len() as f32;
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (p, y) = (cx.operand(0), cx.operand(1));
        if let Some(grad) = cx.first_grad(0) {
            if let Some(slope) = Slope::of(&grad, p) {
                kernel::set_map(slope, [p, y], grad.operand);
            }
        } else {
            seldom_send(cx, [0, 1]);
        }
        if cx.needs_grad(1) {
            seldom_send(cx, [1, 0]);
        }
    }
}

impl Slope {
    #[inline(always)]
    fn of(grad: &Grad<'_>, x: &[f32]) -> Option<Self> {
        let g = grad.output.first()? / x.len() as f32;
        Some(Slope(g + g))
    }
}

// To a target, which is seldom trained, or to what has other gradients: so that the
// usual should not pay for it.
#[inline(never)]
fn seldom_send(cx: &mut Backward<'_>, [k, other]: [usize; 2]) {
    let (own, other) = (cx.operand(k), cx.operand(other));
    if let Some(grad) = cx.grad(k)
        && let Some(slope) = Slope::of(&grad, own)
    {
        kernel::seldom_map(slope, [own, other], grad.operand, grad.acc);
    }
}

/// `s * r`, with `r` for what a line leaves unexplained, `(x * slope + offset) - y`.
struct ScaledResidual {
    s: f32,
    line: [f32; 2],
    /// Or `s * -r`, which is another zero where nothing is left.
    to_target: bool,
}
impl Map<2> for ScaledResidual {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        let [slope, offset] = self.line.map(L::splat);
        let p = x * slope + offset;
        L::splat(self.s) * if self.to_target { y - p } else { p - y }
    }
}

/// The mean squared error of a straight line. Saves the means of `x * r` and of `r`:
/// all that the line's gradient takes.
#[derive(Clone, Copy, Debug)]
pub struct LineMse;

impl LineMse {
    #[inline(never)]
    fn send_to_data(cx: &mut Backward<'_>, k: usize) {
        let (x, line, y) = (cx.operand(0), cx.operand(1), cx.operand(2));
        if let Some(grad) = cx.grad(k)
            && let ([g, ..], [slope, offset]) = (grad.output, line)
        {
            let factor = if k == 0 { *slope } else { 1.0 };
            let residual = ScaledResidual {
                s: factor * (2.0 * g / x.len() as f32),
                line: [*slope, *offset],
                to_target: k != 0,
            };
            kernel::seldom_map(residual, [x, y], grad.operand, grad.acc);
        }
    }
}

impl Op for LineMse {
    fn name(&self) -> &'static str {
        "line_mse"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, line, y] = exactly(operands)?;
        if x != y {
            Err(ShapeError::Different)
        } else if line.rank() != 1 || line.dim(0) != 2 {
            Err(ShapeError::Other("expected slope and offset, of shape [2]"))
        } else {
            Ok(Shape::SCALAR)
        }
    }

    fn saves(&self) -> u8 {
        2
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x, line, y], loss) = cx.split();
        if let ([slope, offset], [loss, ..]) = (line, loss) {
            let n = x.len() as f32;
            let [squares, slope, offset] = kernel::line_residuals([*slope, *offset], x, y);
            *loss = squares / n;
            if let [to_slope, to_offset] = cx.saved() {
                (*to_slope, *to_offset) = (slope / n, offset / n);
            }
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        // Data are seldom trained, and what is should not pay for it.
        if cx.needs_grad(0) {
            Self::send_to_data(cx, 0);
        }
        if cx.needs_grad(2) {
            Self::send_to_data(cx, 2);
        }
        let saved = cx.saved();
        if let Some(grad) = cx.grad(1)
            && let [g, ..] = grad.output
        {
            let g = 2.0 * g;
            for (to, mean) in grad.operand.iter_mut().zip(saved) {
                grad.acc.put(to, g * mean);
            }
        }
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// Mean squared error: `Σ (x - target)² / n`, as one node.
    ///
    /// Shapes must be equal; PyTorch would broadcast with a warning, and a mean
    /// over the wrong elements is a mistake nobody sees.
    ///
    /// Gradient: `2 (x - target) / n`, and its negative to the target. Same
    /// bits as `(x - target).square().mean()`, values and gradients.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0], [2]);
    /// let target = tape.constant(&[0.0, 4.0], [2]);
    /// let loss = x.mse(target);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, 2.5);
    /// assert_eq!(*x.grad()?, [1.0, -2.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn mse(self, target: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Mse, &[self, target])
    }

    /// The [`mse`](Self::mse) of the straight line `line[0] * x + line[1]` against
    /// `target`, as one node: `line` has shape `[2]`, slope and offset.
    ///
    /// What most sensors need to be calibrated, as fast as the data can be read:
    /// neither predictions nor their gradients are stored, so that the arena does
    /// not grow with the samples. Agrees with `x.linear(slope, offset).mse(target)`
    /// to rounding. With `r` for `line[0] * x + line[1] - target`, the sums of `r²`,
    /// `x r` and `r` are in the order of [`kernel::sum`](crate::kernel::sum).
    ///
    /// Gradients: `2 (Σ x r, Σ r) / n` to the line, `2 line[0] r / n` to `x` and
    /// `-2 r / n` to the target.
    ///
    /// ```
    /// use baregrad::{Arena, optim::Sgd};
    ///
    /// let mut arena = Arena::<8, 4>::new();
    /// let tape = arena.tape();
    /// let line = tape.param(&[0.0, 0.0], [2]);
    /// let x = tape.input(&[-1.0, 0.0, 1.0], [3]);
    /// let y = tape.input(&[-1.0, 1.0, 3.0], [3]);
    /// let loss = x.line_mse(line, y);
    ///
    /// let mut sgd = Sgd::new(0.4);
    /// for _ in 0..50 {
    ///     tape.zero_grad();
    ///     tape.backward(loss)?;
    ///     tape.step(&mut sgd)?;
    ///     tape.replay()?;
    /// }
    /// let line = line.value()?;
    /// assert!((line[0] - 2.0).abs() < 1e-5 && (line[1] - 1.0).abs() < 1e-5);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn line_mse(self, line: Var<'t>, target: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&LineMse, &[self, line, target])
    }
}
