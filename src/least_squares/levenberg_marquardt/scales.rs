//! Powers of two that scale derivatives and residuals, so that their squares stay in range.

use super::LevenbergMarquardt;
use crate::least_squares::bounds::Constraints;
use crate::least_squares::normal::power_of_two;
use crate::least_squares::problem::Problem;

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// Whether the square of a column or of the residuals is out of the range of pairs.
    pub(super) fn needs_scales(&self) -> bool {
        let fits = |square: f32| square > 1e-20 && square < 1e30;
        let mut columns = (0..P).map(|j| self.normal.diagonal(j));
        !fits(self.normal.residual.rr.high()) || !columns.all(fits)
    }

    /// Sets the scales to reciprocals of powers of two near the largest derivative of each
    /// column and the largest residual.
    ///
    /// # Errors
    /// The first row with a residual or derivative that is not finite.
    #[cold]
    pub(super) fn find_scales<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Result<(), usize> {
        let params = self.params.map(R::Scalar::from);
        let (mut largest, mut residual) = ([0.0_f32; P], 0.0_f32);
        for i in 0..problem.rows() {
            let row = problem.row(i, &params);
            let mut is_finite = row.residual.is_finite();
            for (largest, d) in largest.iter_mut().zip(row.derivatives) {
                *largest = largest.max(d.abs());
                is_finite &= d.is_finite();
            }
            residual = residual.max(row.residual.abs());
            if !is_finite {
                return Err(i);
            }
        }
        for (scale, largest) in self.column_scale.iter_mut().zip(largest) {
            *scale = 1.0 / power_of_two(largest);
        }
        self.residual_scale = 1.0 / power_of_two(residual);
        Ok(())
    }
}
