//! Least squares: Levenberg–Marquardt, bounds and robust losses.

use baregrad::Error;
use baregrad::function::models::{Line, Logistic};
use baregrad::function::{Function as _, Real, TwoFloat};
use baregrad::least_squares::{
    CurveFit, LevenbergMarquardt, Problem, RobustFit, RobustLoss, Solution,
};
use baregrad::random::{Rng as _, seeded};

use super::{Digest, Group, fill, fill_wild};

/// Fits by Levenberg–Marquardt, in `f32` and in pairs.
pub const LEAST_SQUARES: Group = Group {
    name: "least-squares",
    run: least_squares,
    stack: 6000,
    digest: 0x9d33_51db_bfd0_0fb0,
};

/// Fits of a line and of a curve within bounds, with fixed parameters, and by robust losses.
pub const ROBUST: Group = Group {
    name: "robust",
    run: robust,
    stack: 4000,
    digest: 0x985e_6320_8b72_5dc2,
};

fn least_squares(digest: &mut Digest) -> Result<(), Error> {
    fn add<const P: usize>(digest: &mut Digest, solution: Solution<P>) {
        digest.add(&solution.params());
        digest.add(&solution.standard_errors().unwrap_or([f32::NAN; P]));
        digest.add(&[solution.sum_of_squares(), solution.passes() as f32]);
    }
    const SAMPLES: usize = 24;
    let rng = &mut seeded(16);
    let (mut x, mut y) = ([0.0; SAMPLES], [0.0; SAMPLES]);
    fill(rng, &mut x);
    for (y, x) in y.iter_mut().zip(&mut x) {
        *x *= 4.0;
        *y = Logistic::value([*x], [3.0, 1.5, 0.25]) + 0.02 * (rng.next_u32() >> 25) as f32 / 128.0;
    }
    let problem = CurveFit::new(Logistic, &x, &y);
    add(
        digest,
        LevenbergMarquardt::new([1.0, 1.0, 0.0]).run(&problem),
    );
    add(
        digest,
        LevenbergMarquardt::new([1.0, 1.0, 0.0]).run(&problem.in_pairs()),
    );

    let line = CurveFit::new(Line, &x, &y);
    add(digest, LevenbergMarquardt::new([0.0, 0.0]).run(&line));
    // The squares of these overflow, so the solver must scale.
    let (x, y) = (x.map(|x| x * 1e18), y.map(|y| y * 1e-19));
    let line = CurveFit::new(Line, &x, &y);
    add(digest, LevenbergMarquardt::new([0.0, 0.0]).run(&line));

    // Elementary functions of pairs.
    for _ in 0..64 {
        let mut drawn = [0.0; 2];
        fill_wild(rng, &mut drawn);
        let [x, low] = drawn;
        let x = TwoFloat::sum(x, low);
        let [exp, ln, sin] = [Real::exp(x), Real::ln(x), Real::sin(x)];
        let [atan, tanh, pow] = [Real::atan(x), Real::tanh(x), Real::pow(x, exp)];
        for y in [exp, ln, sin, atan, tanh, pow, x / exp, Real::sqrt(x)] {
            digest.add(&[y.high(), y.low()]);
        }
    }
    Ok(())
}

fn robust(digest: &mut Digest) -> Result<(), Error> {
    const SAMPLES: usize = 21;
    let mut rng = seeded(23);
    let mut noise = || 0.02 * (rng.next_u32() >> 25) as f32 / 128.0;
    let mut x = [0.0; SAMPLES];
    let (mut line, mut curve) = ([0.0; SAMPLES], [0.0; SAMPLES]);
    for (k, ((line, curve), x)) in line.iter_mut().zip(&mut curve).zip(&mut x).enumerate() {
        *x = 0.25 * k as f32 - 2.0;
        *line = 2.0 * *x - 1.0 + noise();
        *curve = Logistic::value([*x], [3.0, 1.5, 0.25]) + noise();
    }
    // Outliers.
    for y in [&mut line, &mut curve] {
        for (row, by) in [(3, 5.0), (11, -2.0), (20, 0.4)] {
            if let Some(y) = y.get_mut(row) {
                *y += by;
            }
        }
    }
    bounded(
        digest,
        &CurveFit::new(Line, &x, &line),
        [1.0, 0.0],
        [1.9, 0.5],
    );
    bounded(
        digest,
        &CurveFit::new(Logistic, &x, &curve),
        [1.0, 1.0, 0.0],
        [2.9, 1.4, 9.0],
    );
    Ok(())
}

/// Fits without bounds, within bounds that are active, with fixed parameters, and by every robust
/// loss.
fn bounded<R: Problem<P>, const P: usize>(
    digest: &mut Digest,
    problem: &R,
    start: [f32; P],
    upper: [f32; P],
) {
    let mut add = |solution: Solution<P>| {
        digest.add(&solution.params());
        digest.add(&solution.standard_errors().unwrap_or([f32::NAN; P]));
        digest.add(&[solution.passes() as f32]);
    };
    let lower = [f32::NEG_INFINITY; P];
    let fixed = core::array::from_fn(|k| k == 0);
    add(LevenbergMarquardt::new(start)
        .bounds(lower, upper)
        .run(problem));
    add(LevenbergMarquardt::new(start).fixed(fixed).run(problem));
    for loss in [
        RobustLoss::Huber,
        RobustLoss::SoftL1,
        RobustLoss::Cauchy,
        RobustLoss::Tukey,
    ] {
        add(RobustFit::new(start, loss).run(problem).solution());
        add(RobustFit::new(start, loss)
            .f_scale(0.05)
            .run(problem)
            .solution());
    }
}
