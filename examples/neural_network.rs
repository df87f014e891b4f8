//! Small neural networks.
//!
//! First, two hidden layers learn a sine from the start of a PyTorch run, with the losses of both
//! side by side. Then one training function calibrates the thermometer with two models, a line
//! and a network.
//!
//! ```text
//! cargo run --release --example neural_network
//! ```

use std::error::Error;

use baregrad::optim::{Adam, Optimizer};
use baregrad::random::{RandomError, Uniform, seeded};
use baregrad::{Arena, Shape, Tape, Var};

#[rustfmt::skip] // The tables have their own layout.
mod sine;

fn main() -> Result<(), Box<dyn Error>> {
    println!("# y = sin(pi x), 1-16-16-1 units, tanh, Adam with learning rate 1e-2\n");
    learn_a_sine()?;

    println!("\n# The thermometer with a straight line\n");
    calibrate(straight_line, line_start, &mut Adam::<2>::new(1e-2))?;

    println!("\n# The thermometer with a network of 8 hidden units\n");
    calibrate(network, network_start, &mut Adam::<25>::new(1e-2))?;

    println!("\nThe smaller loss does not make the network the better thermometer: 25 parameters");
    println!("can follow the noise of 11 readings. Keep some of them for validation to see.");
    Ok(())
}

// ---- a sine -------------------------------------------------------------------

fn learn_a_sine() -> Result<(), Box<dyn Error>> {
    // Room for 321 parameters with their gradients, and the results of two layers of 16 units for
    // 64 samples, as measured by `Tape::usage`.
    let mut arena = Arena::<4868, 12>::new();
    let tape = arena.tape();
    let [w1, b1, w2, b2, w3, b3] = [
        tape.param(&sine::W1, [1, 16]),
        tape.param(&sine::B1, [16]),
        tape.param(&sine::W2, [16, 16]),
        tape.param(&sine::B2, [16]),
        tape.param(&sine::W3, [16, 1]),
        tape.param(&sine::B3, [1]),
    ];
    let x = tape.input(&sine::X, [64, 1]);
    let y = tape.input(&sine::Y, [64, 1]);

    let hidden = x.linear_tanh(w1, b1).linear_tanh(w2, b2);
    let loss = hidden.linear(w3, b3).mse(y);

    println!("Epoch  Loss         PyTorch in f64");
    let mut adam = Adam::<321>::new(1e-2);
    let mut reference = sine::REFERENCE.iter().peekable();
    for epoch in 1..=1000 {
        tape.zero_grad();
        tape.backward(loss)?;
        if let Some((_, theirs)) = reference.next_if(|(listed, _)| *listed == epoch) {
            // Later losses are rounding errors that Adam has amplified. In PyTorch, f32 and
            // f64 diverge there, too.
            if epoch <= 100 {
                println!("{epoch:5}  {:.4e}    {theirs:.4e}", loss.item()?);
            } else {
                println!("{epoch:5}  {:.4e}", loss.item()?);
            }
        }
        tape.step(&mut adam)?;
        tape.replay()?;
    }
    println!("arena: {} bytes", tape.usage().peak_bytes());
    Ok(())
}

// ---- the thermometer ----------------------------------------------------------

/// A tenth of the thermometer's readings, and the temperatures in °C.
static T_UN: [f32; 11] = [
    3.57, 5.59, 5.82, 8.19, 5.63, 4.89, 3.39, 2.18, 4.84, 6.04, 6.84,
];
static T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

fn straight_line<'t>(t_u: Var<'t>, [w, b]: [Var<'t>; 2]) -> Var<'t> {
    t_u.linear(w, b)
}

fn network<'t>(t_u: Var<'t>, [w1, b1, w2, b2]: [Var<'t>; 4]) -> Var<'t> {
    t_u.linear_tanh(w1, b1).linear(w2, b2)
}

/// Records the parameters of a straight line, which start at 1 and 0.
fn line_start<'t>(tape: &'t Tape<'t>) -> Result<[Var<'t>; 2], RandomError> {
    Ok([tape.param(&[1.0], [1, 1]), tape.param(&[0.0], [1])])
}

/// Records the network's parameters with the initialization of PyTorch's `nn.Linear`: uniform
/// within `1 / sqrt(inputs)` of zero. The seed gives the same start on every machine.
fn network_start<'t>(tape: &'t Tape<'t>) -> Result<[Var<'t>; 4], RandomError> {
    let mut rng = seeded(7);
    let mut uniform = |shape: Shape, inputs: f32| {
        let bound = 1.0 / inputs.sqrt();
        let uniform = Uniform::new(-bound, bound)?;
        Ok(tape.param_from_fn(shape, |_| uniform.sample(&mut rng)))
    };
    Ok([
        uniform([1, 8].into(), 1.0)?,
        uniform([8].into(), 1.0)?,
        uniform([8, 1].into(), 8.0)?,
        uniform([1].into(), 8.0)?,
    ])
}

/// Trains any model of `N` parameters and shows what it predicts.
fn calibrate<const N: usize>(
    model: for<'t> fn(Var<'t>, [Var<'t>; N]) -> Var<'t>,
    start: for<'t> fn(&'t Tape<'t>) -> Result<[Var<'t>; N], RandomError>,
    optimizer: &mut impl Optimizer,
) -> Result<(), Box<dyn Error>> {
    // Exactly enough for the network; the line takes less.
    let mut arena = Arena::<250, 9>::new();
    let tape = arena.tape();
    let parameters = start(&tape)?;
    let t_u = tape.input(&T_UN, [11, 1]);
    let t_c = tape.input(&T_C, [11, 1]);
    let t_p = model(t_u, parameters);
    let loss = t_p.mse(t_c);

    train(&tape, loss, optimizer)?;

    println!(" t_c   predicted");
    for (t_c, t_p) in T_C.iter().zip(&*t_p.value()?) {
        println!("{t_c:4.1}   {t_p:9.2}");
    }
    Ok(())
}

/// The training loop, which does not depend on the model.
fn train<'t>(
    tape: &'t Tape<'t>,
    loss: Var<'t>,
    optimizer: &mut impl Optimizer,
) -> Result<(), baregrad::Error> {
    for epoch in 1..=5000 {
        tape.zero_grad();
        tape.backward(loss)?;
        if epoch % 500 == 0 {
            println!("Epoch {epoch}, Loss {:.6}", loss.item()?);
        }
        tape.step(optimizer)?;
        tape.replay()?;
    }
    Ok(())
}
