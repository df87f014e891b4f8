//! Calibrates a thermometer that has lost its units.
//!
//! Eleven readings `t_u` in unknown units were noted next to the temperature
//! `t_c` in °C. We look for the weight and the bias that turn one into the
//! other. On the way we meet three ways to compute gradients, a learning rate that is too large,
//! badly scaled inputs, the model as a function that firmware calls, an optimizer that tolerates
//! bad scales, and validation with readings that were kept back.
//!
//! ```text
//! cargo run --release --example thermometer
//! ```

use baregrad::function;
use baregrad::function::Function;
use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::train::{self, Dataset, Fit, Fitted, Model, Param, Samples, Scaler, Scaling};
use baregrad::{Arena, Error, Tape, Var};

/// The readings of the thermometer.
static T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
/// The temperatures in °C, one for each reading.
static T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

/// All the memory that is used: 83 floats and 10 nodes, exactly as much as the
/// largest recording below takes. Data are borrowed and take none.
type Memory = Arena<83, 10>;

fn model<'t>(t_u: Var<'t>, w: Var<'t>, b: Var<'t>) -> Var<'t> {
    w * t_u + b
}

/// The mean squared error in operators. `t_p.mse(t_c)` computes the same in one node.
fn loss_fn<'t>(t_p: Var<'t>, t_c: Var<'t>) -> Var<'t> {
    (t_p - t_c).square().mean()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut memory = Memory::new();

    heading("Where we start: w = 1, b = 0");
    initial_loss(&mut memory)?;

    heading("The gradient there, in three ways");
    three_gradients(&mut memory)?;

    heading("SGD on raw readings, learning rate 1e-2");
    too_large_a_step(&mut memory)?;

    heading("SGD on 0.1 * t_u, learning rate 1e-2");
    sgd_on_scaled_readings(&mut memory)?;

    heading("The same as a function of one sample");
    function_of_one_sample(&mut memory)?;

    heading("Adam on raw readings, learning rate 1e-1");
    adam_on_raw_readings(&mut memory)?;

    heading("Training and validation, SGD on 0.1 * t_u, learning rate 1e-2");
    training_and_validation()?;

    heading("What to try next");
    println!("- SGD with 1e-4 on raw readings: it no longer diverges, but the bias hardly moves.");
    println!("- Another model, say w2 * t_u * t_u + w1 * t_u + b: one line and one parameter.");
    println!("- A network in place of the line: cargo run --release --example neural_network");
    Ok(())
}

/// Records parameters and data, with which every section begins. Parameters are copied into the
/// arena, data are borrowed.
fn parameters_and_data<'t>(tape: &'t Tape<'t>) -> [Var<'t>; 4] {
    let w = tape.param(&[1.0], []);
    let b = tape.param(&[0.0], []);
    let t_u = tape.input(&T_U, [11]);
    let t_c = tape.input(&T_C, [11]);
    [w, b, t_u, t_c]
}

/// Operations compute as they are recorded, so the loss can be read at once.
fn initial_loss(memory: &mut Memory) -> Result<(), Error> {
    let tape = memory.tape();
    let [w, b, t_u, t_c] = parameters_and_data(&tape);

    let t_p = model(t_u, w, b);
    let loss = loss_fn(t_p, t_c);
    println!("initial loss: {:.4}", loss.item()?);
    Ok(())
}

fn three_gradients(memory: &mut Memory) -> Result<(), Error> {
    let tape = memory.tape();
    let [w, b, t_u, t_c] = parameters_and_data(&tape);
    let loss = loss_fn(model(t_u, w, b), t_c);

    println!("by finite differences, moving one parameter at a time by 0.1 either way:");
    let loss_at = |w_value: f32, b_value: f32| -> Result<f32, Error> {
        tape.write(w, &[w_value])?;
        tape.write(b, &[b_value])?;
        tape.replay()?;
        loss.item()
    };
    let delta = 0.1;
    let grad_w = (loss_at(1.0 + delta, 0.0)? - loss_at(1.0 - delta, 0.0)?) / (2.0 * delta);
    let grad_b = (loss_at(1.0, delta)? - loss_at(1.0, -delta)?) / (2.0 * delta);
    println!("[{grad_w:.4}, {grad_b:.4}]");
    loss_at(1.0, 0.0)?; // back to where we were

    println!("by the formula, derived by hand for this model and this loss only:");
    let [grad_w, grad_b] = gradient_by_hand(1.0, 0.0);
    println!("[{grad_w:.4}, {grad_b:.4}]");

    println!("by the tape, for whatever was recorded:");
    tape.backward(loss)?;
    println!("grad: {:.4?}", &*tape.grads()?);
    Ok(())
}

/// The chain rule on paper: `d loss / d t_p = 2 (t_p - t_c) / n`, then
/// `d t_p / d w = t_u` and `d t_p / d b = 1`.
fn gradient_by_hand(w: f32, b: f32) -> [f32; 2] {
    let n = T_U.len() as f32;
    let mut grad = [0.0; 2];
    for (t_u, t_c) in T_U.iter().zip(&T_C) {
        let t_p = w * t_u + b;
        let dloss_dt_p = 2.0 * (t_p - t_c) / n;
        let [grad_w, grad_b] = &mut grad;
        *grad_w += dloss_dt_p * t_u;
        *grad_b += dloss_dt_p;
    }
    grad
}

/// The gradient of `w` is fifty times that of `b`. A step that suits `b` is far too long for `w`:
/// it overshoots the minimum, and every step overshoots more.
fn too_large_a_step(memory: &mut Memory) -> Result<(), Error> {
    let tape = memory.tape();
    let [w, b, t_u, t_c] = parameters_and_data(&tape);
    let loss = loss_fn(model(t_u, w, b), t_c);

    let mut sgd = Sgd::new(1e-2);
    for epoch in 1..=100 {
        if !loss.item()?.is_finite() {
            println!("It diverges: at epoch {epoch} the loss is no longer a finite number.");
            return Ok(());
        }
        println!("Epoch {epoch}, Loss {:.4e}", loss.item()?);
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut sgd)?;
        tape.replay()?;
    }
    println!("It did not diverge in 100 epochs.");
    Ok(())
}

/// Multiplying the readings by 0.1 brings both gradients to a similar size, and the
/// same learning rate works.
fn sgd_on_scaled_readings(memory: &mut Memory) -> Result<(), Error> {
    let tape = memory.tape();
    let [w, b, t_u, t_c] = parameters_and_data(&tape);
    let loss = loss_fn(model(0.1 * t_u, w, b), t_c);

    train(&tape, loss, &mut Sgd::new(1e-2), 5000)?;
    println!("params: {:.4?}", &*tape.params()?);
    println!("arena: {}", tape.usage());
    Ok(())
}

function! {
    /// °C of a thermometer without units.
    fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
}

/// A model that is a formula of one sample is recorded together with its loss as one node, in a
/// third of the memory. Afterwards the function is called with new readings.
fn function_of_one_sample(memory: &mut Memory) -> Result<(), Error> {
    let tape = memory.tape();
    let w_b = tape.param(&[1.0, 0.0], [2]);
    let loss = Thermometer::mse(tape.input(&T_U, [11]), w_b, tape.input(&T_C, [11]));

    train(&tape, loss, &mut Sgd::new(1e-2), 5000)?;
    println!("params: {:.4?}", &*tape.params()?);
    println!("arena: {}", tape.usage());
    if let [w, b] = w_b.value()?[..] {
        let celsius = Thermometer::value([50.0], [w, b]);
        println!("a reading of 50.0 means {celsius:.2} °C");
    }
    Ok(())
}

/// Adam scales the step of each parameter by its past gradients, so raw readings and a larger
/// learning rate work.
fn adam_on_raw_readings(memory: &mut Memory) -> Result<(), Error> {
    let tape = memory.tape();
    let [w, b, t_u, t_c] = parameters_and_data(&tape);
    let loss = loss_fn(model(t_u, w, b), t_c);

    // Adam keeps two floats for each parameter, `Adam::<2>` inline for two parameters.
    train(&tape, loss, &mut Adam::<2>::new(1e-1), 2000)?;
    println!("params: {:.4?}", &*tape.params()?);
    println!("arena: {}", tape.usage());
    Ok(())
}

/// PyTorch's training loop, but with the forward pass, `replay`, at its end, because recording
/// was the first forward pass.
fn train<'t>(
    tape: &'t Tape<'t>,
    loss: Var<'t>,
    optimizer: &mut impl Optimizer,
    epochs: u32,
) -> Result<(), Error> {
    for epoch in 1..=epochs {
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

/// Trains with nine readings and validates with two. Data sets, the
/// loop and the verdict are helpers for the desktop; the model is the function
/// above, which also runs on the device.
fn training_and_validation() -> Result<(), Box<dyn std::error::Error>> {
    let (_, fitted, _) = fit()?;
    println!("params: {:.4?}", fitted.params());
    println!("{}", fitted.verdict());
    println!("As pictures: cargo run --release --features plot --example pictures");
    Ok(())
}

/// Fits a line. Returns it with the result, and the readings for training and validation.
pub fn fit() -> Result<(impl Model, Fitted, [Samples; 2]), Box<dyn std::error::Error>> {
    let data = Dataset::new([("t_u", T_U), ("t_c", T_C)])?;
    // The book's random split. `data.split(0.2, seed)` draws another one.
    let (training, validation) = (
        data.select(&[9, 0, 10, 3, 4, 2, 7, 8, 5])?,
        data.select(&[1, 6])?,
    );
    // The scaler is fitted to the training part alone, so that validation stays independent.
    let scaler = Scaler::fit(&training, &[("t_u", Scaling::Fixed(0.1))])?;
    let samples = |part| scaler.apply(part)?.samples(&["t_u"], &["t_c"]);
    let (training, validation) = (samples(&training)?, samples(&validation)?);

    let start = [Param::scalar("w", 1.0), Param::scalar("b", 0.0)];
    let line = train::model(start, |t_u, [w, b]| model(t_u, w, b));
    let fitted = Fit::new(&line, &training)
        .validation(&validation)
        .loss(loss_fn)
        .epochs(3000)
        .observe(train::lines(500))
        .run(&mut Sgd::new(1e-2))?;
    Ok((line, fitted, [training, validation]))
}

fn heading(text: &str) {
    println!("\n# {text}\n");
}
