//! A recorded tape as a problem, row by row.

use super::problem::{Problem, Row};
use crate::error::Error;
use crate::tape::Tape;
use crate::var::Var;

/// A prediction that is recorded on a tape: a small network, say, whose residuals and
/// Jacobian are taken row by row, by the tape's own backward.
///
/// The tape is recorded for one row; `row` writes a row's inputs, and returns what was
/// observed there. `P` is the number of elements of all parameters together. A row of which
/// the tape says that something failed is no number: a solver ends with
/// [`Status::NotFinite`](super::Status::NotFinite), and [`Tape::error`] tells what it was.
///
/// ```
/// use baregrad::least_squares::{LevenbergMarquardt, Recorded};
///
/// let mut arena = baregrad::Arena::<64, 16>::new();
/// let tape = arena.tape();
/// let x = tape.constant(&[0.0], [1]); // which `write` overwrites
/// let (w, b) = (tape.param(&[1.0], [1]), tape.param(&[0.0], [1]));
/// let prediction = (w * x + b).sum();
///
/// let (xs, ys) = ([0.0, 1.0, 2.0, 3.0], [1.0, 2.9, 5.1, 7.0]);
/// let row = |i: usize| {
///     tape.write(x, &[xs[i]])?;
///     Ok(ys[i])
/// };
/// let params = [w, b];
/// let problem = Recorded::new(prediction, &params, xs.len(), row);
/// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&problem);
/// assert!(solution.is_converged());
/// assert!((solution.params()[0] - 2.02).abs() < 1e-5);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a, 't, W> {
    prediction: Var<'t>,
    params: &'a [Var<'t>],
    rows: usize,
    row: W,
}

/// How many roundings of its size a prediction is off by, as far as is known of a tape.
const ROUNDINGS: f32 = 4.0;

impl<'a, 't, W: Fn(usize) -> Result<f32, Error>> Recorded<'a, 't, W> {
    /// The prediction, of one element, the parameters in order, and rows.
    #[must_use]
    pub fn new(prediction: Var<'t>, params: &'a [Var<'t>], rows: usize, row: W) -> Self {
        Recorded {
            prediction,
            params,
            rows,
            row,
        }
    }

    /// # Errors
    /// The error of the tape.
    fn try_row<const P: usize>(&self, i: usize, p: &[f32; P]) -> Result<Row<P>, Error> {
        let tape: &'t Tape<'t> = self.prediction.tape();
        let y = (self.row)(i)?;
        let mut rest = p.as_slice();
        for param in self.params {
            let len = param.shape().numel();
            let (values, others) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            // Values of another length than the parameter's are the tape's error.
            tape.write(*param, values)?;
            rest = others;
        }
        tape.replay()?;
        tape.zero_grad();
        tape.backward(self.prediction)?;
        let value = self.prediction.item()?;
        let mut derivatives = [f32::NAN; P];
        let mut to = derivatives.iter_mut();
        for param in self.params {
            for (d, to) in param.grad()?.iter().zip(&mut to) {
                *to = *d;
            }
        }
        Ok(Row {
            residual: value - y,
            derivatives,
            rounding: ROUNDINGS * f32::EPSILON * y.abs().max(value.abs()),
        })
    }
}

impl<W: Fn(usize) -> Result<f32, Error>, const P: usize> Problem<P> for Recorded<'_, '_, W> {
    type Scalar = f32;

    fn rows(&self) -> usize {
        self.rows
    }

    fn row(&self, i: usize, p: &[f32; P]) -> Row<P> {
        self.try_row(i, p).unwrap_or(Row {
            residual: f32::NAN,
            derivatives: [f32::NAN; P],
            rounding: 0.0,
        })
    }
}
