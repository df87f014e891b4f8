//! Fits curves by least squares, one pass over the samples at a time.

use super::curve::Curve;
use super::samples::Samples;
use super::start::{Rates, Sample, Start, sign};
use crate::function::TwoFloat;
use crate::least_squares::{LevenbergMarquardt, Problem, Row, Solution, Status};

/// A fit of a curve by [least squares](crate::least_squares) that is [polled](Self::poll), as
/// [`Fit`](super::Fit) is, one pass over the samples at a time. Some ten passes reach the
/// minimum for which gradient descent needs thousands of epochs, and give standard errors.
///
/// It fits lines, polynomials and formulas of at most `P` parameters. For a curve of fewer
/// parameters, all bits are the same as for a smaller `P`, so firmware needs only one solver, of
/// the largest `P` for which it has room. The [`FORMULAS`](super::FORMULAS) start from
/// parameters estimated from the data, other formulas from ones.
///
/// ```
/// use baregrad::calibrate::{Curve, CurveSolver, Samples};
/// use baregrad::least_squares::Status;
///
/// // Scaled samples, as `prepare` writes them.
/// let samples = Samples { x: &[-1.0, 0.0, 0.5, 1.0], y: &[-3.1, -0.9, 0.0, 1.0] };
/// let mut solver = CurveSolver::<4>::new(&Curve::Linear, samples).unwrap();
/// let status = loop {
///     if let Some(status) = solver.poll() {
///         break status;
///     } // else Ctrl-C, a watchdog, …
/// };
/// assert_eq!(status, Status::Converged);
/// let solution = solver.solution();
/// let [w, b, ..] = solution.params();
/// assert!((w - 2.045714).abs() < 1e-5 && (b + 1.005714).abs() < 1e-5);
/// assert!(solution.residual_standard_deviation() < 0.1);
/// ```
#[derive(Clone, Debug)]
pub struct CurveSolver<'d, const P: usize> {
    rows: CurveRows<'d>,
    phase: Phase,
    /// The solver for the linear fit or the curve, whichever `rows` holds.
    solver: LevenbergMarquardt<P>,
    max_passes: u32,
    /// The number of passes spent on finding the start.
    before: u32,
}

#[derive(Clone, Debug)]
enum Phase {
    Rates(Rates<f32>),
    /// The linear fit that gives the start of a formula.
    Straight,
    Curve,
}

/// The samples as rows of the curve, or of the linear fit that gives its start.
#[derive(Clone, Copy, Debug)]
struct CurveRows<'d> {
    curve: Curve,
    samples: Samples<'d>,
    count: usize,
    /// The linear fit, while it runs, with the sign of most references.
    straight: Option<(Start, f32)>,
}

impl<const P: usize> Problem<P> for CurveRows<'_> {
    /// Pairs, because `f32` rounds the results of a thermistor by a hundredth of the
    /// error of its manufacturer's table, which is too coarse to recognise a minimum.
    type Scalar = TwoFloat;

    /// The samples, and a row for each surplus parameter.
    fn rows(&self) -> usize {
        self.samples.len() + P.saturating_sub(self.count)
    }

    fn is_linear(&self) -> bool {
        self.straight.is_some() || !matches!(self.curve, Curve::Function(_))
    }

    #[inline(never)]
    fn row(&self, i: usize, p: &[TwoFloat; P]) -> Row<P> {
        let mut derivatives = [0.0; P];
        let (Some(x), Some(y)) = (self.samples.x.get(i), self.samples.y.get(i)) else {
            // The residual of a surplus parameter is the parameter itself, which keeps it at 0.
            let at = self
                .count
                .saturating_add(i.saturating_sub(self.samples.len()));
            if let Some(one) = derivatives.get_mut(at) {
                *one = 1.0;
            }
            return Row {
                residual: p.get(at).copied().unwrap_or_default().to_f32(),
                derivatives,
                rounding: 0.0,
            };
        };
        let (residual, size) = match self.straight {
            Some((start, sign)) => {
                let own = derivatives.get_mut(..self.count).unwrap_or_default();
                (straight_row(start, sign, [*x, *y], p, own), 0.0)
            }
            None => {
                let value = self.curve.value_and_gradient(*x, p, &mut derivatives);
                let value = value.unwrap_or(TwoFloat::from(f32::NAN));
                // Parameters have rounding errors, too, each proportional to its size.
                let mut size = y.abs();
                for (d, p) in derivatives.iter().zip(p) {
                    size += (d * p.high()).abs();
                }
                ((value - *y).to_f32(), size)
            }
        };
        Row {
            residual,
            derivatives,
            rounding: TwoFloat::ROUNDING * size,
        }
    }
}

/// A row of the linear fit that gives the start of a formula: returns the residual, and
/// writes its derivatives. The row of a sample without an equation is 0.
fn straight_row(start: Start, sign: f32, sample: [f32; 2], p: &[TwoFloat], to: &mut [f32]) -> f32 {
    let Some(equation) = start.equation(sign, sample) else {
        return 0.0;
    };
    let mut residual = -equation.target;
    for ((to, term), p) in to.iter_mut().zip(equation.terms).zip(p) {
        *to = equation.factor * term;
        residual += p.to_f32() * term;
    }
    equation.factor * residual
}

/// The samples with equal weights.
fn equally_weighted(samples: Samples<'_>) -> impl Iterator<Item = Sample<f32>> + Clone {
    let pairs = samples.x.iter().zip(samples.y);
    pairs.map(|(x, y)| [*x, *y, 1.0])
}

impl<'d, const P: usize> CurveSolver<'d, P> {
    /// Prepares to fit a curve to scaled samples. `None` for a network, and for a curve
    /// of more than `P` parameters.
    #[must_use]
    pub fn new(curve: &Curve, samples: Samples<'d>) -> Option<Self> {
        let count = curve.param_count();
        let mut params = [0.0; P];
        curve.start(params.get_mut(..count)?);
        let start = match curve {
            Curve::Mlp { .. } => return None,
            Curve::Function(formula) => formula.start(),
            Curve::Linear | Curve::Poly(_) => Start::Ones,
        };
        let straight = start
            .is_straight()
            .then(|| (start, sign(samples.y.iter().copied())));
        let phase = match start {
            Start::Exponential | Start::Logistic => {
                Phase::Rates(Rates::new(equally_weighted(samples)))
            }
            Start::SteinhartHart | Start::Power => Phase::Straight,
            Start::Ones => Phase::Curve,
        };
        Some(CurveSolver {
            rows: CurveRows {
                curve: *curve,
                samples,
                count,
                straight,
            },
            phase,
            solver: LevenbergMarquardt::new(params),
            max_passes: 1000,
            before: 0,
        })
    }

    /// Limits the passes over the samples; the default is 1000. The passes that find the
    /// start do not count.
    pub fn set_max_passes(&mut self, passes: u32) {
        self.max_passes = passes;
        self.solver.set_max_passes(passes);
    }

    /// Goes through the samples once, or tries one rate to start from. Returns the status
    /// once the fit has ended, `None` before.
    pub fn poll(&mut self) -> Option<Status> {
        match &mut self.phase {
            Phase::Rates(rates) => {
                let start = match self.rows.curve {
                    Curve::Function(formula) => formula.start(),
                    _ => Start::Ones,
                };
                self.before = self.before.saturating_add(1);
                if let Some(params) = rates.poll(start, equally_weighted(self.rows.samples)) {
                    self.begin(&params.unwrap_or([1.0; 3]));
                }
                None
            }
            Phase::Straight => {
                self.before = self.before.saturating_add(1);
                let status = self.solver.poll(&self.rows)?;
                if let Status::Singular { .. } | Status::NotFinite { .. } | Status::TooFewRows =
                    status
                {
                    return Some(status);
                }
                let mut params = self.solver.params();
                if let Some((start, sign)) = self.rows.straight.take() {
                    start.bent(sign, &mut params);
                }
                self.begin(&params);
                None
            }
            Phase::Curve => self.solver.poll(&self.rows),
        }
    }

    /// Starts the fit of the curve itself from these parameters.
    fn begin(&mut self, params: &[f32]) {
        let mut from = [0.0; P];
        for (to, p) in from.iter_mut().zip(params).take(self.rows.count) {
            *to = *p;
        }
        self.solver = LevenbergMarquardt::new(from);
        self.solver.set_max_passes(self.max_passes);
        self.phase = Phase::Curve;
    }

    /// The number of passes over the samples, those for the start included.
    #[must_use]
    pub fn passes(&self) -> u32 {
        let now = match self.phase {
            Phase::Curve => self.solver.passes(),
            _ => 0,
        };
        self.before.saturating_add(now)
    }

    /// The parameters with their covariance. If the fit has not ended, [`poll`](Self::poll)s it
    /// to the end first. Surplus parameters are 0 and do not count: [degrees of
    /// freedom](Solution::degrees_of_freedom) depend only on the samples and the curve.
    pub fn solution(&mut self) -> Solution<P> {
        while self.poll().is_none() {}
        self.solver.run(&self.rows)
    }

    /// The mean squared residual of a solution.
    #[must_use]
    pub fn loss(&self, solution: &Solution<P>) -> f32 {
        solution.sum_of_squares() / self.rows.samples.len() as f32
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Curve, CurveSolver, Samples, Status};
    use crate::calibrate::{Calibration, FORMULAS, Origin, Scale, TwoFloat, prepare, range};
    use crate::function::Function;
    use crate::function::models::{Exponential, Logistic, Power, SteinhartHart};
    use crate::least_squares::Solution;

    const T_U: [f32; 11] = [
        35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
    ];
    const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

    fn curve(name: &str) -> Curve {
        Curve::parse_with(name, &FORMULAS).unwrap()
    }

    /// Prepares the samples, fits a curve to them, and passes the results to `look`.
    fn solve<const P: usize, T>(
        name: &str,
        x: &[f32],
        y: &[f32],
        look: impl FnOnce(Calibration<'_>, Solution<P>, Status) -> T,
    ) -> T {
        let curve = curve(name);
        let pairs = |values: &[f32]| values.iter().copied().map(TwoFloat::from).collect();
        let [readings, references]: [Vec<TwoFloat>; 2] = [pairs(x), pairs(y)];
        let (readings, references) = (readings.into_iter(), references.into_iter());
        let mut scaled = [std::vec![0.0; x.len()], std::vec![0.0; x.len()]];
        let [to_x, to_y] = &mut scaled;
        let [input, output] = prepare(&curve, readings.clone(), references, to_x, to_y).unwrap();
        let samples = Samples { x: to_x, y: to_y };
        let mut solver = CurveSolver::<P>::new(&curve, samples).unwrap();
        let status = loop {
            if let Some(status) = solver.poll() {
                break status;
            }
        };
        let solution = solver.solution();
        let params = solution.params();
        let calibration = Calibration {
            curve,
            input,
            output,
            range: range(readings).unwrap(),
            params: &params[..curve.param_count()],
            origin: Origin::default(),
        };
        look(calibration, solution, status)
    }

    fn near(found: f32, expected: f64, digits: i32) {
        let off = (f64::from(found) / expected - 1.0).abs();
        assert!(off < 10_f64.powi(-digits), "{found}, expected {expected}");
    }

    /// Compares the thermometer of the book with the textbook formulas in f64: slope
    /// `Sxy / Sxx`, `s² = SSR / 9`, standard errors `s / √Sxx` and `s √(1/11 + x̄² / Sxx)`.
    #[test]
    fn the_thermometer_and_how_sure_it_is() {
        let (x, y) = (T_U.map(f64::from), T_C.map(f64::from));
        let mean = |of: [f64; 11]| of.iter().sum::<f64>() / 11.0;
        let (mx, my) = (mean(x), mean(y));
        let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 { (0..11).map(|i| f(x[i], y[i])).sum() };
        let xx = sum(&|x, _| (x - mx).powi(2));
        let w = sum(&|x, y| (x - mx) * (y - my)) / xx;
        let b = my - w * mx;
        let s = (sum(&|x, y| (y - w * x - b).powi(2)) / 9.0).sqrt();
        solve::<4, _>("linear", &T_U, &T_C, |calibration, solution, status| {
            assert_eq!(status, Status::Converged);
            let [found_b, found_w, ..] = calibration.coefficients().unwrap();
            near(found_w, w, 6);
            near(found_b, b, 6);
            let [error_b, error_w, rest @ ..] =
                calibration.standard_errors(&solution, false).unwrap();
            near(error_w, s / xx.sqrt(), 5);
            near(error_b, s * (1.0 / 11.0 + mx * mx / xx).sqrt(), 5);
            assert_eq!(rest, [0.0; 11]);
            assert_eq!(solution.degrees_of_freedom(), 9);
            let deviation = solution.residual_standard_deviation() / calibration.output.factor;
            near(deviation, s, 5);
            // For the scaled reading, both standard errors are s / √n: its mean is 0, its
            // variance 1.
            let [c0, c1, ..] = calibration.standard_errors(&solution, true).unwrap();
            near(c0, s / 11_f64.sqrt(), 5);
            near(c1, s / 11_f64.sqrt(), 5);
        });
    }

    /// A larger `P` changes no bit of the results.
    #[test]
    fn a_larger_solver_gives_the_same_bits() {
        fn all<const P: usize>(name: &str, x: &[f32], y: &[f32]) -> Vec<u32> {
            solve::<P, _>(name, x, y, |calibration, solution, status| {
                assert!(solution.is_converged(), "{name} {P}: {status}");
                let errors = calibration.standard_errors(&solution, true).unwrap();
                let numbers = calibration.params.iter().chain(&errors).copied();
                let others = [
                    solution.residual_standard_deviation(),
                    solution.sum_of_squares(),
                    solution.degrees_of_freedom() as f32,
                ];
                numbers.chain(others).map(f32::to_bits).collect()
            })
        }
        let r = [1e4, 2e4, 5e3, 1.2e4, 8e3, 3e4, 4.5e3];
        let t = r.map(|r| SteinhartHart::value([r], [1.1e-3, 2.4e-4, 9e-8]));
        let t = [0.01, -0.02, 0.005, 0.01, -0.015, 0.01, 0.0].map({
            let mut t = t.into_iter();
            move |off: f32| off + t.next().unwrap()
        });
        let bent = T_U.map(|x| 3.0 * (0.02 * x).exp() - 2.0 + (7.0 * x).sin() * 0.05);
        let power = T_U.map(|x| 3.0 * x.powf(0.7) + (7.0 * x).sin() * 0.05);
        assert_eq!(
            all::<2>("linear", &T_U, &T_C),
            all::<4>("linear", &T_U, &T_C)
        );
        assert_eq!(
            all::<4>("linear", &T_U, &T_C),
            all::<13>("linear", &T_U, &T_C)
        );
        assert_eq!(
            all::<3>("poly:2", &T_U, &T_C),
            all::<4>("poly:2", &T_U, &T_C)
        );
        assert_eq!(
            all::<4>("poly:3", &T_U, &T_C),
            all::<13>("poly:3", &T_U, &T_C)
        );
        assert_eq!(
            all::<3>("steinhart-hart", &r, &t),
            all::<4>("steinhart-hart", &r, &t)
        );
        assert_eq!(all::<3>("exp", &T_U, &bent), all::<4>("exp", &T_U, &bent));
        assert_eq!(all::<3>("exp", &T_U, &bent), all::<13>("exp", &T_U, &bent));
        assert_eq!(
            all::<2>("power", &T_U, &power),
            all::<4>("power", &T_U, &power)
        );
    }

    /// From the starts that the data suggest, the fit finds the parameters that made
    /// exact data again: the residuals are rounding errors.
    #[test]
    fn functions_find_the_parameters_of_exact_data() {
        fn check<F: Function<1, P>, const P: usize>(name: &str, x: &[f32], p: [f32; P]) {
            let y: Vec<f32> = x.iter().map(|x| F::value([*x], p)).collect();
            let largest = y.iter().fold(0.0_f32, |a, y| a.max(y.abs()));
            solve::<4, _>(name, x, &y, |calibration, solution, status| {
                assert!(
                    solution.is_converged() || matches!(status, Status::IllConditioned { .. }),
                    "{name} {p:?}: {status}"
                );
                let mut params = [0.0; P];
                params.copy_from_slice(calibration.params);
                for (x, y) in x.iter().zip(&y) {
                    let off = F::value([*x], params) - y;
                    assert!(off.abs() < 3e-5 * largest, "{name} {p:?} at {x}: {off}");
                }
            });
        }
        let readings = |from: f32, step: f32| -> Vec<f32> {
            (0..12).map(|i| from + step * i as f32).collect()
        };
        for (a, b, c) in [
            (1.1e-3, 2.4e-4, 9e-8),
            (8.3e-4, 2.6e-4, 1.9e-7),
            (1.4e-3, 2.37e-4, 9.9e-8),
        ] {
            let x: Vec<f32> = (0..12).map(|i| 500.0 * 1.6_f32.powi(i)).collect();
            check::<SteinhartHart, 3>("steinhart-hart", &x, [a, b, c]);
        }
        for (a, b, c) in [
            (2.0, -0.5, 1.0),
            (-3.0, 0.2, 100.0),
            (0.5, 0.03, -7.0),
            (1e-3, 1.0, 0.0),
            (40.0, -2.0, 20.0),
        ] {
            check::<Exponential, 3>("exp", &readings(0.0, 0.5), [a, b, c]);
            check::<Exponential, 3>("exp", &readings(-4.0, 0.7), [a, b, c]);
        }
        for (a, b) in [(3.0, 0.5), (-2.0, 1.7), (1e4, -1.2), (0.2, 3.0)] {
            check::<Power, 2>("power", &readings(0.5, 2.0), [a, b]);
        }
        for (a, b, c) in [
            (5.0, 1.0, 4.0),
            (-2.0, 3.0, 2.0),
            (100.0, -0.8, 3.0),
            (1.0, 4.0, 5.0),
        ] {
            check::<Logistic, 3>("logistic", &readings(0.0, 0.75), [a, b, c]);
        }
    }

    /// A formula has the same bits with and without the tape.
    #[test]
    fn functions_have_the_bits_of_the_tape() {
        for (name, params, from, step) in [
            ("steinhart-hart", &[1.1e-3, 2.4e-4, 9e-8][..], 10.0, 17.3),
            ("exp", &[2.0, -0.013, 1.5], -300.0, 0.7),
            ("power", &[3.0, 0.7], 0.0, 0.9),
            ("logistic", &[5.0, 0.04, 100.0], -500.0, 1.1),
        ] {
            let curve = curve(name);
            let x: Vec<f32> = (0..1000).map(|i| from + step * i as f32).collect();
            let mut memory = std::vec![0.0; 8 * 1024];
            let mut nodes = [const { crate::op::Node::EMPTY }; 8];
            let tape = crate::Tape::new(&mut memory, &mut nodes);
            let on_tape = curve.record(tape.input(&x, [1000, 1]), params);
            let calibration = Calibration {
                curve,
                input: Scale::ONE,
                output: Scale::ONE,
                range: [from.into(), 1e6.into()],
                params,
                origin: Origin::default(),
            };
            let mut none = [0.0; 0];
            let empty = crate::Tape::new(&mut none, &mut []);
            for (x, expected) in x.iter().zip(on_tape.value().unwrap().iter()) {
                let found = match calibration.predict(&empty, (*x).into()) {
                    Ok(found) => found.value.high(),
                    Err(_) => f32::NAN,
                };
                let same = found.to_bits() == expected.to_bits();
                assert!(same || !expected.is_finite(), "{name} at {x}");
            }
        }
    }

    /// A formula without a tape cannot be recorded, but least squares fits it all the same.
    #[test]
    fn formulas_without_a_tape_are_solved_and_not_recorded() {
        use crate::calibrate::Formula;
        static EXP: Formula = FORMULAS[1].without_tape();
        let curve = Curve::Function(&EXP);
        assert_eq!(curve, self::curve("exp"));
        let mut arena = crate::Arena::<16, 8>::new();
        let tape = arena.tape();
        let y = curve.record(tape.input(&[1.0], [1, 1]), &[1.0; 3]);
        assert!(y.value().is_err());
        let x = [0.0, 1.0, 2.0, 3.0, 4.0];
        let y = x.map(|x: f32| 2.0 * (-0.5 * x).exp() + 1.0);
        let samples = Samples { x: &x, y: &y };
        let solution = CurveSolver::<4>::new(&curve, samples).unwrap().solution();
        let [a, b, c, rest] = solution.params();
        near(a, 2.0, 5);
        near(b, -0.5, 5);
        near(c, 1.0, 5);
        assert_eq!(rest, 0.0);
    }

    /// The status tells readings for which a formula has no value, and problems without a
    /// solution.
    #[test]
    fn what_cannot_be_fitted_says_so() {
        let status = |name: &str, x: &[f32], y: &[f32]| {
            let samples = Samples { x, y };
            let mut solver = CurveSolver::<4>::new(&curve(name), samples).unwrap();
            let status = loop {
                if let Some(status) = solver.poll() {
                    break status;
                }
            };
            assert_eq!(solver.poll(), Some(status));
            assert_eq!(solver.solution().status(), status);
            status
        };
        let x = [1.0, 2.0, -3.0, 4.0];
        let y = [1.0, 2.0, 3.0, 4.0];
        for name in ["power", "steinhart-hart"] {
            assert_eq!(status(name, &x, &y), Status::NotFinite { row: 2 }, "{name}");
        }
        let none = [f32::NAN, 1.0, 2.0, 3.0];
        for name in ["linear", "poly:3", "exp", "logistic"] {
            let found = status(name, &y, &none);
            assert_eq!(found, Status::NotFinite { row: 0 }, "{name}");
        }
        // Two distinct readings do not determine a parabola.
        let found = status("poly:2", &[-1.0, 1.0, -1.0, 1.0], &y);
        assert!(matches!(found, Status::Singular { .. }), "{found:?}");
        let found = status("poly:3", &[-1.0, 0.0, 1.0], &y[..3]);
        assert_eq!(found, Status::TooFewRows);
        let samples = Samples { x: &y, y: &y };
        assert!(CurveSolver::<16>::new(&curve("mlp:2"), samples).is_none());
        assert!(CurveSolver::<4>::new(&curve("poly:4"), samples).is_none());
        let mut capped = CurveSolver::<4>::new(&curve("exp"), samples).unwrap();
        capped.set_max_passes(2);
        assert_eq!(capped.solution().status(), Status::MaxPasses);
    }

    /// A curve through as many samples as it has parameters is exact, so that standard
    /// errors cannot be estimated.
    #[test]
    fn without_freedom_there_are_no_errors() {
        solve::<4, _>(
            "linear",
            &[1.0, 3.0],
            &[2.0, 8.0],
            |calibration, solution, status| {
                assert_eq!(status, Status::Exact);
                let [b, w, ..] = calibration.coefficients().unwrap();
                near(b, -1.0, 6);
                near(w, 3.0, 6);
                assert_eq!(solution.degrees_of_freedom(), 0);
                let errors = calibration.standard_errors(&solution, false).unwrap();
                assert!(errors[0].is_nan() && errors[1].is_nan(), "{errors:?}");
            },
        );
    }
}
