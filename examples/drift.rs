//! Follows a sensor that drifts, one sample at a time, by recursive least squares with a
//! forgetting factor, and by a Kalman filter with a model of the drift. Some readings are
//! outliers. Later the sensor is knocked, and its constant jumps.
//!
//! ```text
//! cargo run --release --example drift
//! ```

use baregrad::function::Function;
use baregrad::function::models::Line;
use baregrad::least_squares::{OutOfRange, Recursive, Refused};
use baregrad::random::{Rng, Uniform, fill_normal, seeded};

/// The standard deviation of a reading.
const SIGMA: f32 = 0.2;
const SAMPLES: u32 = 3000;
/// The sample at which the sensor is knocked.
const KNOCKED: u32 = 1800;
/// The number of refused readings in a row that is taken for a jump of the sensor.
const TOO_MANY: u32 = 8;

/// Returns the true slope and constant at sample `n`.
fn truth(n: u32) -> [f32; 2] {
    let t = n as f32 / SAMPLES as f32;
    let jump = if n >= KNOCKED { 3.0 } else { 0.0 };
    [2.0 - 0.4 * t, 1.0 + 1.5 * t + jump]
}

/// One of the two filters, with counts of refused readings and jumps.
struct Follower {
    line: Recursive<2>,
    refused_in_a_row: u32,
    refused: u32,
    reopened: u32,
}

impl Follower {
    fn new(line: Recursive<2>) -> Self {
        Follower {
            line,
            refused_in_a_row: 0,
            refused: 0,
            reopened: 0,
        }
    }

    fn take(&mut self, x: f32, reading: f32) -> Result<(), OutOfRange> {
        match self.line.observe::<Line, 1>([x], reading) {
            Ok(_) => self.refused_in_a_row = 0,
            Err(Refused::NotFinite) => self.refused += 1,
            Err(Refused::Outlier { innovation, .. }) => {
                self.refused += 1;
                self.refused_in_a_row += 1;
                if self.refused_in_a_row == TOO_MANY {
                    // The variance of the constant becomes the square of the last innovation.
                    self.line.drift(&[0.01, innovation * innovation])?;
                    self.refused_in_a_row = 0;
                    self.reopened += 1;
                }
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), OutOfRange> {
    let mut rng = seeded(2);
    let start = || Recursive::new([0.0, 0.0], [10.0, 10.0], SIGMA)?.gate(5.0);
    // With this factor about the last 100 samples count.
    let mut forgetting = Follower::new(start()?.forgetting(0.99)?);
    // The standard deviations of the random walk of slope and constant between two samples are ten
    // times their drift: in 100 samples, a drift goes 100 steps far and a random walk only 10.
    let mut kalman = Follower::new(start()?);
    let wander = [1.3e-3_f32, 5e-3].map(|each| each * each);

    println!("        truth             forgetting               Kalman filter");
    println!("    n   slope  constant   slope  constant   slope          constant");
    let mut squares = [0.0_f64; 2];
    for n in 0..SAMPLES {
        let x: f32 = Uniform::new(0.0, 5.0).map_or(0.0, |x| x.sample(&mut rng));
        let mut noise = [0.0];
        let _ = fill_normal(&mut rng, 0.0, SIGMA, &mut noise);
        let mut reading = Line::value([x], truth(n)) + noise[0];
        if rng.next_u32().is_multiple_of(50) {
            reading += 40.0; // a flipped bit
        }
        if n == 1000 {
            reading = f32::NAN; // a loose wire
        }
        forgetting.take(x, reading)?;
        kalman.line.drift(&wander)?;
        kalman.take(x, reading)?;

        let at_middle = |p: [f32; 2]| f64::from(Line::value([2.5], p));
        for (sum, follower) in squares.iter_mut().zip([&forgetting, &kalman]) {
            let off = at_middle(follower.line.params()) - at_middle(truth(n));
            if n >= 100 && !(KNOCKED..KNOCKED + 100).contains(&n) {
                *sum += off * off;
            }
        }
        if (n + 1) % 200 == 0 {
            let ([w, b], [fw, fb], [kw, kb]) =
                (truth(n), forgetting.line.params(), kalman.line.params());
            let [ew, eb] = kalman.line.standard_errors();
            println!(
                "{:5}   {w:5.3}  {b:7.3}    {fw:5.3}  {fb:7.3}    {kw:5.3} ± {ew:.3}  {kb:6.3} ± {eb:.3}",
                n + 1
            );
        }
    }
    println!();
    for (name, follower, squares) in [
        ("forgetting   ", &forgetting, squares[0]),
        ("Kalman filter", &kalman, squares[1]),
    ] {
        println!(
            "{name}: off by {:.4} at the middle (root mean square), {} readings refused, {} jump noticed",
            (squares / f64::from(SAMPLES - 200)).sqrt(),
            follower.refused,
            follower.reopened
        );
    }
    let mut state = [0.0; Recursive::<2>::STATE];
    kalman.line.save(&mut state)?;
    println!("state to keep over a power cut: {state:?}");
    Ok(())
}
