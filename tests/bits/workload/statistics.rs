//! Statistics of fits: distributions, confidence intervals, straight lines, recursive least
//! squares.

use baregrad::Error;
use baregrad::function::Function as _;
use baregrad::function::models::Logistic;
use baregrad::least_squares::{
    CurveFit, FDistribution, LevenbergMarquardt, Recursive, StraightLine, StudentT, York,
};
use baregrad::random::{Rng as _, seeded};

use super::{Digest, Group, fill};

/// Distributions, intervals and goodness of fits, lines with errors in both coordinates, and
/// recursive least squares.
pub const STATISTICS: Group = Group {
    name: "statistics",
    run: statistics,
    stack: 3000,
    digest: 0x8c0f_9ebe_3341_f47e,
};

fn statistics(digest: &mut Digest) -> Result<(), Error> {
    const NONE: f32 = f32::NAN;
    for freedom in [1.0, 2.5, 9.0, 1000.0, f32::INFINITY] {
        for p in [1e-6, 0.025, 0.4, 0.95, 0.999] {
            let t = StudentT::new(freedom);
            let quantile = t.and_then(|t| t.quantile(p)).unwrap_or(NONE);
            let f = FDistribution::new(3.0, freedom);
            let ratio = f.and_then(|f| f.quantile(p)).unwrap_or(NONE);
            let tails = f.map_or(NONE, |f| f.cdf(1.5 * ratio));
            digest.add(&[quantile, ratio, tails, t.map_or(NONE, |t| t.survival(p))]);
        }
    }

    const SAMPLES: usize = 20;
    let rng = &mut seeded(17);
    let (mut x, mut y) = ([0.0; SAMPLES], [0.0; SAMPLES]);
    fill(rng, &mut x);
    for (y, x) in y.iter_mut().zip(&mut x) {
        *x *= 4.0;
        *y = Logistic::value([*x], [3.0, 1.5, 0.25]) + 0.02 * (rng.next_u32() >> 25) as f32 / 128.0;
    }
    let solution = LevenbergMarquardt::new([1.0, 1.0, 0.0]).run(&CurveFit::new(Logistic, &x, &y));
    digest.add(
        solution
            .correlation()
            .unwrap_or([[NONE; 3]; 3])
            .as_flattened(),
    );
    let intervals = solution.confidence_intervals(0.95);
    digest.add(intervals.unwrap_or([[NONE; 2]; 3]).as_flattened());
    let estimates = [
        solution.mean_at::<Logistic, 1>([0.5]),
        solution.reading_at::<Logistic, 1>([0.5], 1.0),
        solution.input_for::<Logistic>(2.0, 0.01, [-2.0, 2.0]),
    ];
    for estimate in estimates {
        digest.add(&estimate.map_or([NONE; 2], |at| [at.value(), at.standard_error()]));
    }
    let unexplained = solution
        .goodness(&y, &[])
        .map_or(NONE, |good| good.unexplained());
    digest.add(&[unexplained]);

    let york = York {
        x: &x,
        y: &y,
        sigma_x: &[0.1],
        sigma_y: &[0.3],
        correlation: &[0.2],
    };
    for line in [york.fit(), StraightLine::deming(&x, &y, 2.0)] {
        let [slope, intercept] = line.map_or([NONE; 2], |line| line.standard_errors());
        digest.add(&[slope, intercept]);
        digest.add(&line.map_or([NONE; 2], |line| [line.slope(), line.chi_squared()]));
    }

    let start = || {
        Recursive::new([1.0, 1.0, 0.0], [1.0; 3], 0.02)?
            .forgetting(0.98)?
            .gate(9.0)
    };
    if let Ok(mut recursive) = start() {
        for (x, y) in x.iter().zip(&y) {
            let _ = recursive.drift(&[1e-6, 1e-5, 0.0]);
            let innovation = recursive.observe::<Logistic, 1>([*x], *y).unwrap_or(NONE);
            digest.add(&[innovation]);
        }
        let mut state = [0.0; Recursive::<3>::STATE];
        let _ = recursive.save(&mut state);
        digest.add(&state);
        digest.add(recursive.covariance().as_flattened());
    }
    Ok(())
}
