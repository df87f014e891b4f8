//! Classifies gestures by a convolution over windows of accelerometer readings. The network is
//! trained on the desktop with windows of many people. Then its last layer is adapted to a person
//! who wears the sensor differently, which a Cortex-M4F does in 32 KiB of RAM, with the same bits
//! (`embedded/gestures.sh`).
//!
//! The windows come from a seeded model of the sensor. The trained network is in the file
//! `trained.bin`, which firmware holds in flash. The example trains the network again and compares
//! it with the file; `save` writes the file.
//!
//! ```text
//! cargo run --release --example gestures
//! cargo run --release --example gestures -- save
//! ```

#![allow(unreachable_pub)] // `network` and `sensor` are also modules of firmware.

mod network;
mod sensor;

use std::error::Error;

use baregrad::HeapArena;
use baregrad::nn::Conv1d;
use baregrad::optim::Adam;
use baregrad::random::seeded;
use baregrad::record::{Record, Writer};
use network::{FILTERS, KERNEL, LAST, Network, adapt, likeliest, report, windows};
use sensor::{AXES, GESTURES, LENGTH, Wearer};

const TRAINED: &[u8] = include_bytes!("trained.bin");
/// The number of all parameters.
const PARAMS: usize = Conv1d::param_count(AXES, FILTERS, KERNEL) + LAST;
/// The people of the training data, whose sensors sit nearly straight.
const MANY: Wearer = Wearer {
    turned: [-0.3, 0.3],
    strength: 1.0,
};
const WINDOWS: usize = 400;
const EPOCHS: usize = 150;

fn main() -> Result<(), Box<dyn Error>> {
    let record = train()?;
    if std::env::args().nth(1).as_deref() == Some("save") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gestures/trained.bin");
        std::fs::write(file, &record)?;
        println!("{file}: {} bytes", record.len());
        return Ok(());
    }
    if record != TRAINED {
        return Err("training gave other bits than trained.bin holds".into());
    }
    println!("trained.bin: {} bytes, the same bits\n", record.len());
    report(&adapt(&Record::read(TRAINED)?)?, &mut |line| {
        println!("{line}")
    });
    Ok(())
}

/// Trains with all windows at once in each epoch, and returns the record of the network.
fn train() -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut x, mut classes) = (Vec::new(), Vec::new());
    for (window, gesture) in windows(&MANY, 1, WINDOWS) {
        x.extend(window);
        classes.push(gesture as f32);
    }
    let mut arena = HeapArena::new(2000 * WINDOWS, 16);
    let tape = arena.tape();
    let network = Network::new(&tape, &mut seeded(1));
    let (_, logits) = network.forward(tape.input(&x, [WINDOWS, AXES, LENGTH]));
    let loss = logits.cross_entropy(tape.input(&classes, [WINDOWS]));
    let mut adam = Adam::<PARAMS>::new(0.01);
    println!("{PARAMS} parameters, {WINDOWS} windows");
    for epoch in 0..=EPOCHS {
        if epoch % 50 == 0 {
            println!("epoch {epoch:3}: loss {}", loss.item()?);
        }
        if epoch < EPOCHS {
            tape.zero_grad();
            tape.backward(loss)?;
            tape.step(&mut adam)?;
            tape.replay()?;
        }
    }
    show(&logits.value()?, &classes);
    let mut bytes = vec![0; 4096];
    let mut writer = Writer::new(&mut bytes);
    writer.params("gestures", &network.params())?;
    Ok(writer.finish()?.to_vec())
}

/// Prints the confusion matrix: a row for each gesture, a column for each predicted one.
fn show(logits: &[f32], classes: &[f32]) {
    const COUNT: usize = GESTURES.len();
    let mut confusion = [[0; COUNT]; COUNT];
    for (logits, class) in logits.chunks_exact(COUNT).zip(classes) {
        let row = confusion.get_mut(*class as usize);
        if let Some(found) = row.and_then(|row| row.get_mut(likeliest(logits))) {
            *found += 1;
        }
    }
    print!("{:8}", "");
    GESTURES.iter().for_each(|name| print!("{name:>8}"));
    println!();
    for (name, row) in GESTURES.iter().zip(confusion) {
        print!("{name:8}");
        row.iter().for_each(|count| print!("{count:8}"));
        println!();
    }
}
