//! Typical firmware, which prints its panics: a line, a small network, the network that learns a
//! sine, and an `unwrap`. `profiles.sh` builds each with several profiles and prints the flash it
//! takes.

#![no_std]
#![no_main]

use baregrad::Error;
use core::hint::black_box;

board::entry!(run);

fn run() -> i32 {
    let job: fn() -> Result<f32, Error> = if cfg!(feature = "line") {
        line
    } else if cfg!(feature = "network") {
        network
    } else if cfg!(feature = "sine") {
        sine
    } else if cfg!(any(feature = "unwrap", feature = "unwrap-floats")) {
        unwrap
    } else {
        || Ok(0.0)
    };
    match job() {
        Ok(loss) if black_box(loss) < 10.0 => 0,
        Ok(_) => 1,
        Err(_) => 2,
    }
}

/// Trains README's thermometer, recorded with operators.
fn line() -> Result<f32, Error> {
    let fit = jobs::thermometer::fit(jobs::thermometer::Spelling::Operators, 5000)?;
    black_box([fit.w, fit.b]);
    Ok(fit.loss)
}

/// Trains a network of 25 parameters, 1-8-1 with `tanh`, to a parabola with Adam.
fn network() -> Result<f32, Error> {
    use baregrad::optim::Adam;
    use baregrad::random::{Uniform, seeded};

    let mut arena = baregrad::Arena::<512, 12>::new();
    let tape = arena.tape();
    let x = tape.constant_from_fn([16, 1], |i| i as f32 / 8.0 - 1.0);
    let y = tape.constant_from_fn([16, 1], |i| {
        let x = i as f32 / 8.0 - 1.0;
        x * x
    });
    let mut rng = seeded(1);
    let Ok(start) = Uniform::new(-0.5, 0.5) else {
        return Ok(f32::INFINITY);
    };
    let mut param = |shape: [usize; 2]| tape.param_from_fn(shape, |_| start.sample(&mut rng));
    let (w, v) = (param([1, 8]), param([8, 1]));
    let (b, c) = (tape.param(&[0.0; 8], [8]), tape.param(&[0.0], [1]));
    let loss = x.linear_tanh(w, b).linear(v, c).mse(y);
    let mut adam = Adam::<25>::new(1e-2);
    for _ in 0..200 {
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut adam)?;
        tape.replay()?;
    }
    loss.item()
}

/// Trains the network of `budget.sh`, one point at a time, for an epoch.
fn sine() -> Result<f32, Error> {
    use jobs::sine::{Network, SmallMemory, optimizer_of_sums};

    let mut optimizer = optimizer_of_sums();
    let mut memory = SmallMemory::new();
    let tape = memory.tape();
    let network = Network::record_one(&tape);
    network.epoch_one_by_one(&mut optimizer)
}

/// Unwraps a distribution whose bounds the compiler does not know, so that the panic's text is
/// linked.
fn unwrap() -> Result<f32, Error> {
    use baregrad::random::{RandomError, Uniform, seeded};

    /// An error whose derived `Debug` prints floats.
    #[derive(Debug)]
    #[allow(dead_code)] // `Debug` alone reads the fields.
    struct Floats(f32, f32);

    let uniform = Uniform::new(black_box(-0.5), black_box(0.5));
    let uniform = if cfg!(feature = "unwrap-floats") {
        uniform
            .map_err(|error| match error {
                RandomError::Range { low, high } => Floats(low, high),
                _ => Floats(0.0, 0.0),
            })
            .unwrap()
    } else {
        uniform.unwrap()
    };
    Ok(uniform.sample(&mut seeded(1)))
}
