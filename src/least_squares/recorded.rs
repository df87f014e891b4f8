//! A prediction recorded on a tape as a least-squares problem.

use super::problem::{Problem, Row};
use crate::error::Error;
use crate::tape::Tape;
use crate::var::Var;

/// A prediction that is recorded on a tape, for example a small network. The tape's backward
/// pass computes the Jacobian row by row.
///
/// The tape is recorded for one row. The closure `row` writes the inputs of row `i` to the tape
/// and returns the observation. `P` is the number of elements of all parameters together. If
/// the tape fails in a row, the row is NaN: a solver ends with
/// [`Status::NotFinite`](super::Status::NotFinite), and [`Tape::error`] returns the cause.
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

/// The assumed rounding error of a prediction, in units of `EPSILON` times its size. A tape
/// does not report its actual rounding errors.
const ROUNDINGS: f32 = 4.0;

impl<'a, 't, W: Fn(usize) -> Result<f32, Error>> Recorded<'a, 't, W> {
    /// Takes the prediction, of one element, the parameters in order, the number of rows, and
    /// the closure that prepares a row.
    #[must_use]
    pub fn new(prediction: Var<'t>, params: &'a [Var<'t>], rows: usize, row: W) -> Self {
        Recorded {
            prediction,
            params,
            rows,
            row,
        }
    }

    /// Computes a row.
    ///
    /// # Errors
    /// The error of the tape.
    fn try_row<const P: usize>(&self, i: usize, p: &[f32; P]) -> Result<Row<P>, Error> {
        let tape: &'t Tape<'t> = self.prediction.tape();
        let y = (self.row)(i)?;
        let mut rest = p.as_slice();
        for param in self.params {
            let len = param.shape().numel();
            let (values, others) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            // The tape reports an error if `values` is shorter than the parameter.
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
