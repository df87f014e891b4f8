//! A model that overfits on purpose, and three cures.
//!
//! A network with many times more parameters than samples is trained with twenty noisy samples of
//! a smooth curve, and comes to pass through all of them. Then it is trained with a penalty on
//! large weights, with early stopping, and with noise added to the readings.
//!
//! ```text
//! cargo run --release --example overfit
//! ```

use std::error::Error;

use baregrad::optim::Adam;
use baregrad::random::{fill_normal, fill_uniform, seeded};
use baregrad::train::{Curve, Dataset, EarlyStopping, Fit, Fitted, Model, Samples};

/// Hidden units, enough to follow every sample.
const UNITS: [usize; 2] = [32, 32];
/// The standard deviation of the noise. Its square is the least validation loss of any model.
const NOISE: f32 = 0.3;

fn main() -> Result<(), Box<dyn Error>> {
    let runs = runs()?;
    println!(
        "The square of the noise, which no model gets below: {:.4}",
        NOISE * NOISE
    );
    for (name, fitted) in &runs {
        println!("\n# {name}\n\n{}", fitted.verdict());
    }
    println!("\nAs a picture: cargo run --release --features plot --example pictures");
    Ok(())
}

/// Trains the same network four times: as it is, and with each of the three cures.
pub fn runs() -> Result<[(&'static str, Fitted); 4], Box<dyn Error>> {
    let training = measure(20, 1)?;
    let validation = measure(100, 2)?;
    let network = Curve::mlp(&UNITS, 7).ok_or("a network of these widths")?;
    let adam = || {
        let count = network.params().iter().map(|p| p.values().len()).sum();
        Adam::on_heap(1e-2, count)
    };
    let fit = || {
        Fit::new(&network, &training)
            .validation(&validation)
            .epochs(4000)
    };

    Ok([
        ("as it is", fit().run(&mut adam())?),
        ("L2 penalty 0.003", fit().l2(3e-3).run(&mut adam())?),
        (
            "early stopping, patience 200",
            fit()
                .early_stopping(EarlyStopping::new(200))
                .run(&mut adam())?,
        ),
        (
            "noise 0.15 on the readings",
            fit().noise(0.15).run(&mut adam())?,
        ),
    ])
}

/// Draws samples of the curve with noise, at random places between -1 and 1.
fn measure(rows: usize, seed: u64) -> Result<Samples, Box<dyn Error>> {
    let mut rng = seeded(seed);
    let (mut x, mut noise) = (vec![0.0; rows], vec![0.0; rows]);
    fill_uniform(&mut rng, -1.0, 1.0, &mut x)?;
    fill_normal(&mut rng, 0.0, NOISE, &mut noise)?;
    // 4x³ - 3x goes up, down and up again, and has the same bits on every machine.
    let curve = |x: f32| (4.0 * x * x - 3.0) * x;
    let y: Vec<f32> = x
        .iter()
        .zip(&noise)
        .map(|(x, noise)| curve(*x) + noise)
        .collect();
    Ok(Dataset::new([("x", x), ("y", y)])?.samples(&["x"], &["y"])?)
}
