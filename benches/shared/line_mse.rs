//! The mean squared error of a straight line as an operation of its own, which functions are
//! compared with. It uses only the crate's public API, and takes at most 16 samples, which are
//! summed in order.

use baregrad::kernel::{Lanes, f32x8};
use baregrad::op::{Attrs, Backward, Forward, Op};
use baregrad::{Shape, ShapeError, Var};

/// The operation. Its operands are `x`, slope and offset, and targets. It saves the means of
/// `x * r` and of `r`, where `r` is `(x * slope + offset) - y`.
struct LineMse;

/// The most samples.
const FEW: usize = 16;

/// Records the loss of the line `[slope, offset]`.
pub fn line_mse<'t>(x: Var<'t>, line: Var<'t>, y: Var<'t>) -> Var<'t> {
    x.tape().apply(&LineMse, &[x, line, y], Attrs::default())
}

/// Returns the sums of `r²`, `x * r` and `r`.
#[inline(always)]
fn residuals([slope, offset]: [f32; 2], x: &[f32], y: &[f32]) -> [f32; 3] {
    #[inline(always)]
    fn residual<L: Lanes>([slope, offset]: [f32; 2], x: L, y: L) -> L {
        (x * L::splat(slope) + L::splat(offset)) - y
    }
    let line = [slope, offset];
    let (mut squares, mut products, mut sum) = (-0.0, -0.0, -0.0);
    let n = x.len().min(y.len());
    let (x_whole, x_rest) = f32x8::chunks(&x[..n]);
    let (y_whole, y_rest) = f32x8::chunks(&y[..n]);
    for (x, y) in x_whole.iter().zip(y_whole) {
        let x = f32x8::load(x);
        let r = residual(line, x, f32x8::load(y));
        let terms = (r * r).to_array().into_iter().zip((x * r).to_array());
        for ((square, product), r) in terms.zip(r.to_array()) {
            squares += square;
            products += product;
            sum += r;
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        let r = residual(line, *x, *y);
        squares += r * r;
        products += x * r;
        sum += r;
    }
    [squares, products, sum]
}

impl Op for LineMse {
    fn name(&self) -> &'static str {
        "line_mse"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        match operands {
            [x, line, y] if x == y && x.numel() <= FEW && line.numel() == 2 => Ok(Shape::SCALAR),
            _ => Err(ShapeError::Other("expected a line and up to 16 samples")),
        }
    }

    fn saves(&self) -> u8 {
        2
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x, line, y], loss) = cx.split();
        if let ([slope, offset], [loss, ..]) = (line, loss) {
            let n = x.len() as f32;
            let [squares, slope, offset] = residuals([*slope, *offset], x, y);
            *loss = squares / n;
            if let [to_slope, to_offset] = cx.saved() {
                (*to_slope, *to_offset) = (slope / n, offset / n);
            }
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
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
