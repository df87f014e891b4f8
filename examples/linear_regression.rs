//! Linear regression, `x @ w + b`, first on a whole
//! batch, then on one random sample at a time. Data, start values and the order
//! of samples were drawn with PyTorch, so the printed numbers are PyTorch's.
//!
//! ```text
//! cargo run --release --example linear_regression
//! ```

use std::error::Error;

use baregrad::Arena;
use baregrad::optim::Sgd;

fn main() -> Result<(), Box<dyn Error>> {
    println!("# All samples at once: y = 2 x + 1 and noise, 200 epochs\n");
    full_batch()?;
    println!("\n# One sample at a time: y = 2 x0 - 3.4 x1 + 4.2 and noise, 200 steps\n");
    single_samples()
}

/// Ten samples of one feature each, `[10, 1]`.
#[rustfmt::skip]
static X: [f32; 10] = [
    1.5409961, -0.2934289, -2.1787894, 0.56843126, -1.0845224,
    -1.3985954, 0.40334684, 0.83802634, -0.7192576, -0.40334353,
];
/// `2 x + 1` plus noise with a standard deviation of 0.1.
#[rustfmt::skip]
static Y: [f32; 10] = [
    4.0223284, 0.43134585, -3.4432461, 2.246923, -1.2761635,
    -1.7849208, 1.7500619, 2.7133641, -0.5277147, 0.042402163,
];

fn full_batch() -> Result<(), Box<dyn Error>> {
    let mut arena = Arena::<66, 9>::new();
    let tape = arena.tape();
    let w = tape.param(&[0.37039354], [1, 1]);
    let b = tape.param(&[1.4565026], [1]);
    let x = tape.input(&X, [10, 1]);
    let y = tape.input(&Y, [10, 1]);
    let loss = (x.matmul(w) + b - y).square().mean();

    println!("epoch        w        b      loss");
    let mut sgd = Sgd::new(0.01);
    for epoch in 1..=200 {
        tape.zero_grad();
        tape.backward(loss)?;
        let before = loss.item()?;
        tape.step(&mut sgd)?;
        tape.replay()?;
        if epoch == 1 || epoch % 10 == 0 {
            println!("{epoch:5} {:8.5} {:8.5} {before:9.6}", w.item()?, b.item()?);
        }
    }
    Ok(())
}

/// One sample: its features and its target.
struct Sample {
    x: [f32; 2],
    y: [f32; 1],
}

const fn sample(x: [f32; 2], y: f32) -> Sample {
    Sample { x, y: [y] }
}

static SAMPLES: [Sample; 20] = [
    sample([-1.5255959, -0.7502318], 3.701748),
    sample([-0.6539809, -1.6094848], 8.359044),
    sample([-0.10016718, -0.6091889], 6.052874),
    sample([-0.97977227, -1.6090963], 7.6983),
    sample([-0.7121446, 0.303722], 1.7471556),
    sample([-0.7773143, -0.25145525], 3.5044036),
    sample([-0.22227049, 1.6871134], -1.9781481),
    sample([0.22842518, 0.4676355], 3.0778396),
    sample([-0.6969724, -1.1607615], 6.747579),
    sample([0.6995424, 0.19908163], 4.9232044),
    sample([0.8656924, 0.2444039], 5.0938716),
    sample([-0.66291135, 0.80730826], 0.13664566),
    sample([-1.8821425, -0.77654505], 3.0614004),
    sample([2.024202, -0.0865412], 8.558734),
    sample([0.098123535, -1.2150067], 8.528207),
    sample([0.7311667, 1.1718048], 1.6655995),
    sample([2.4069781, 0.27856624], 8.069377),
    sample([0.24675292, 1.1843267], 0.66177547),
    sample([-0.7282137, 1.1632744], -1.2219727),
    sample([-0.0090745855, -0.8424634], 7.0535493),
];

/// The sample of each step, drawn at random with replacement.
#[rustfmt::skip]
static ORDER: [usize; 200] = [
    17, 7, 3, 2, 7, 17, 12, 7, 13, 13, 3, 6, 16, 16, 10, 10, 7, 15, 3, 15,
    5, 19, 19, 12, 10, 10, 18, 0, 12, 11, 19, 17, 9, 9, 3, 4, 12, 1, 9, 6,
    8, 9, 18, 18, 16, 7, 9, 19, 11, 17, 12, 15, 0, 19, 8, 14, 16, 15, 15, 9,
    12, 1, 12, 0, 6, 16, 13, 2, 15, 0, 9, 11, 9, 4, 14, 0, 16, 4, 16, 5,
    2, 12, 17, 8, 18, 3, 5, 14, 8, 4, 19, 14, 18, 10, 8, 9, 6, 10, 10, 18,
    19, 11, 0, 14, 11, 9, 13, 6, 12, 14, 8, 6, 5, 5, 17, 6, 17, 5, 16, 18,
    12, 11, 5, 12, 13, 1, 11, 8, 17, 11, 1, 1, 2, 9, 0, 0, 7, 10, 1, 12,
    15, 3, 16, 3, 1, 6, 19, 9, 17, 12, 13, 8, 5, 12, 13, 3, 1, 9, 7, 1,
    16, 14, 9, 7, 16, 16, 18, 17, 19, 12, 18, 14, 6, 8, 1, 15, 7, 11, 5, 9,
    1, 2, 8, 11, 16, 14, 8, 17, 8, 19, 18, 15, 0, 14, 14, 0, 5, 15, 4, 4,
];

/// Records the tape for a batch of one, and rebinds its inputs to another row in each step. Data of
/// any size can be streamed through the tape in this way, without copies.
fn single_samples() -> Result<(), Box<dyn Error>> {
    let [first, ..] = &SAMPLES;

    let mut arena = Arena::<16, 10>::new();
    let tape = arena.tape();
    let w = tape.param(&[0.3982294, 0.39627588], [1, 2]); // a row per output, as in nn.Linear
    let b = tape.param(&[0.03560987], [1]);
    let x = tape.input(&first.x, [1, 2]);
    let y = tape.input(&first.y, [1, 1]);
    let loss = (x.matmul(w.transpose(0, 1)) + b - y).square().mean();

    println!(" step  sample       w0       w1        b       loss");
    let mut sgd = Sgd::new(0.03);
    for (step, &index) in (1..).zip(&ORDER) {
        let sample = SAMPLES
            .get(index)
            .ok_or("ORDER names a sample that is not there")?;
        tape.rebind(x, &sample.x)?;
        tape.rebind(y, &sample.y)?;
        tape.replay()?;
        let before = loss.item()?;
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut sgd)?;

        if (step <= 5 || step % 10 == 0)
            && let [w0, w1, b] = &*tape.params()?
        {
            println!("{step:5} {index:7} {w0:8.5} {w1:8.5} {b:8.5} {before:10.6}");
        }
    }
    Ok(())
}
