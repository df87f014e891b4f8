//! Standard errors of a calibration found by least squares.

use super::calibration::{COEFFICIENTS, Calibration, powers};
use super::curve::Curve;
use crate::function::TwoFloat;
use crate::least_squares::Solution;

impl Calibration<'_> {
    /// The standard errors of the [coefficients](Self::coefficients) or, if `scaled`, of
    /// the [coefficients for the scaled reading](Self::scaled_coefficients); for a
    /// formula, those of its parameters. `solution` is the one that the parameters were
    /// taken from. `None` for a network, and if the samples do not determine all
    /// parameters; NaN or infinite if there are no more samples than parameters.
    ///
    /// ```
    /// use baregrad::calibrate::{Calibration, Curve, CurveSolver, Origin, Samples, Scale, range};
    ///
    /// let samples = Samples { x: &[0.0, 1.0, 2.0, 3.0], y: &[0.1, 0.9, 2.1, 2.9] };
    /// let solution = CurveSolver::<2>::new(&Curve::Linear, samples).unwrap().solution();
    /// let calibration = Calibration {
    ///     curve: Curve::Linear,
    ///     input: Scale { offset: 5.0.into(), factor: 0.5 }, // readings 5 to 11
    ///     output: Scale::ONE,
    ///     range: [5.0.into(), 11.0.into()],
    ///     params: &solution.params(),
    ///     origin: Origin::default(),
    /// };
    /// let [constant, slope, ..] = calibration.standard_errors(&solution, false).unwrap();
    /// assert!((slope - 0.0282843).abs() < 1e-6); // √(0.016 / 5) for the scaled reading, times 0.5
    /// assert!((constant - 0.2349468).abs() < 1e-5); // √(0.016 (1/4 + 4² / 5))
    /// ```
    #[must_use]
    pub fn standard_errors<const P: usize>(
        &self,
        solution: &Solution<P>,
        scaled: bool,
    ) -> Option<[f32; COEFFICIENTS]> {
        let mut errors = [0.0; COEFFICIENTS];
        let own = solution.standard_errors()?;
        if let Curve::Function(_) = self.curve {
            for (to, error) in errors.iter_mut().zip(own).take(self.params.len()) {
                *to = error;
            }
            return Some(errors);
        }
        let factor = TwoFloat::from(self.input.factor);
        let reading = match scaled {
            true => [TwoFloat::ZERO, TwoFloat::ONE],
            false => [-(self.input.offset * factor), factor],
        };
        let count = match self.curve {
            Curve::Mlp { .. } => return None,
            _ => self.params.len().min(P),
        };
        // The derivatives of the coefficients by the parameters: each coefficient is a
        // linear combination of parameters.
        let mut gradients = [[0.0; P]; P];
        for j in 0..count {
            let mut one = [0.0; P];
            if let Some(one) = one.get_mut(j) {
                *one = 1.0;
            }
            let terms = powers(one.get(..count).unwrap_or_default(), reading);
            for (gradient, term) in gradients.iter_mut().zip(terms) {
                if let Some(to) = gradient.get_mut(j) {
                    *to = term.to_f32() / self.output.factor;
                }
            }
        }
        for (to, gradient) in errors.iter_mut().zip(&gradients).take(count) {
            *to = solution.standard_error_of(gradient)?;
        }
        Some(errors)
    }
}
