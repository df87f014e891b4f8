//! Simulates a magnetometer that is turned in all directions, and fits the ellipsoid that its
//! readings lie on. It does not use `std`, so that a board can do the same work.

use core::fmt;

use baregrad::function::Function;
use baregrad::function::models::Ellipsoid;
use baregrad::kernel::math;
use baregrad::least_squares::{
    FitRows, LevenbergMarquardt, OutOfRange, Recursive, Rows, Sample, Solution,
};
use baregrad::random::{Uniform, seeded};

/// The number of readings, taken while the device is turned.
pub const SAMPLES: usize = 300;
/// µT per count of the converter.
const UNIT: f32 = 0.15;
/// The field of the earth, in µT.
const FIELD: f32 = 48.0;
/// The field of magnets in the device (hard iron), in µT.
const MAGNETS: [f32; 3] = [31.4, -18.2, 12.7];
/// The distortion of the field by iron in the device (soft iron).
const IRON: [[f32; 3]; 3] = [[1.09, 0.06, -0.04], [0.06, 0.93, 0.03], [-0.04, 0.03, 1.02]];

/// Returns the converter's counts in all directions, with noise of up to 0.6 µT.
pub fn counts() -> [[i16; 3]; SAMPLES] {
    let mut rng = seeded(300);
    let noise = |rng: &mut _| Uniform::new(-0.6, 0.6).map_or(0.0, |noise| noise.sample(rng));
    let mut counts = [[0; 3]; SAMPLES];
    for (k, counts) in counts.iter_mut().enumerate() {
        // The directions are a spiral from pole to pole, by the golden angle.
        let z = (k as f32 + 0.5) * (2.0 / SAMPLES as f32) - 1.0;
        let (radius, angle) = (math::pow(1.0 - z * z, 0.5), 2.399_963_2 * k as f32);
        let field = [radius * math::cos(angle), radius * math::sin(angle), z];
        for ((count, row), magnets) in counts.iter_mut().zip(&IRON).zip(MAGNETS) {
            let [a, b, c] = [row[0] * field[0], row[1] * field[1], row[2] * field[2]];
            let reading = magnets + FIELD * (a + b + c) + noise(&mut rng);
            // Rounds to the nearest count; adding 1000 makes the number positive.
            *count = (reading / UNIT + 1000.5) as i16 - 1000;
        }
    }
    counts
}

/// Returns reading `i` in µT.
pub fn reading(counts: &[[i16; 3]], i: usize) -> [f32; 3] {
    let counts = counts.get(i).copied().unwrap_or_default();
    counts.map(|count| UNIT * f32::from(count))
}

/// The start of fits: a sphere around 0 whose radius is the earth's field.
const START: [f32; 9] = {
    let a = 1.0 / FIELD;
    [0.0, 0.0, 0.0, a, a, a, 0.0, 0.0, 0.0]
};

/// The result of a fit.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The parameters of [`Ellipsoid`]: the center, and the matrix that turns the ellipsoid into a
    /// sphere.
    pub params: [f32; 9],
    /// The standard errors of the parameters.
    pub errors: [f32; 9],
    /// The standard deviation of the distances of corrected readings from the sphere of radius 1.
    pub deviation: f32,
    /// The number of passes over the samples.
    pub passes: u32,
}

/// Fits the ellipsoid in O(P²) RAM and without sums that cancel: each pass is a Gauss–Newton step,
/// computed by recursive least squares from one linearised sample after another.
///
/// # Errors
/// None, as the constants are within range.
#[inline(never)]
pub fn fit(counts: &[[i16; 3]]) -> Result<Found, OutOfRange> {
    let a = 1.0 / FIELD;
    let mut params = START;
    // The prior standard deviations of a step. They are wide, so the prior hardly counts beside
    // 300 samples.
    let reach = [100.0, 100.0, 100.0, a, a, a, a, a, a];
    let mut passes = 0;
    loop {
        passes += 1;
        let mut step = Recursive::new([0.0; 9], reach, 0.01)?;
        let mut squares = 0.0;
        for i in 0..counts.len() {
            // The distance of the corrected reading from the sphere of radius 1.
            let (off, gradient) = Ellipsoid::value_and_gradient(reading(counts, i), params);
            squares += off * off;
            // It cannot fail, as the numbers are finite and there is no gate.
            let _ = step.update(&gradient, -off);
        }
        // The standard deviation of readings is estimated from the residuals. The recursion assumed
        // 0.01.
        let deviation = math::pow(squares / (counts.len() as f32 - 9.0), 0.5);
        let errors = step.standard_errors().map(|error| error * deviation / 0.01);
        let mut longest = 0.0_f32;
        for ((param, step), error) in params.iter_mut().zip(step.params()).zip(errors) {
            *param += step;
            longest = longest.max(step.abs() / error);
        }
        if longest < 1e-3 || passes == 50 {
            return Ok(Found {
                params,
                errors,
                deviation,
                passes,
            });
        }
    }
}

/// The readings as rows of a fit, with the target 0: [`Ellipsoid`] computes the distance of a
/// corrected reading from the sphere of radius 1.
struct Turned<'a>(&'a [[i16; 3]]);

impl Rows<3> for Turned<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, i: usize) -> Sample<3> {
        Sample {
            x: reading(self.0, i),
            y: 0.0,
            weight: 1.0,
        }
    }
}

/// Fits the ellipsoid by Levenberg–Marquardt, which keeps a matrix of sums in pairs of `f32`.
#[inline(never)]
pub fn fit_by_squares(counts: &[[i16; 3]]) -> Solution<9> {
    LevenbergMarquardt::new(START).run(&FitRows::new(Ellipsoid, Turned(counts)))
}

/// Prints the status of the solver, and the parameters with their standard errors.
pub fn report_squares(solution: &Solution<9>, print: &mut dyn FnMut(fmt::Arguments<'_>)) {
    print(format_args!(
        "Levenberg–Marquardt: {}, {} passes",
        solution.status(),
        solution.passes()
    ));
    let errors = solution.standard_errors().unwrap_or([f32::NAN; 9]);
    for (param, error) in solution.params().iter().zip(errors) {
        print(format_args!("    {param:?} ± {error:?}"));
    }
}

/// Prints the result, every number with all its digits.
pub fn report(found: &Found, print: &mut dyn FnMut(fmt::Arguments<'_>)) {
    print(format_args!(
        "{} passes over {SAMPLES} samples",
        found.passes
    ));
    let names = <Ellipsoid as Function<3, 9>>::PARAMETERS;
    for ((name, param), error) in names.iter().zip(found.params).zip(found.errors) {
        print(format_args!("{name:<4}{param:?} ± {error:?}"));
    }
    print(format_args!(
        "radius off by {:?} (standard deviation)",
        found.deviation
    ));
}
