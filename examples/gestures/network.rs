//! The network, and how a board adapts its last layer to somebody new. The example and the
//! firmware `embedded/gestures` both are this file.

use core::fmt;

use baregrad::nn::{Conv1d, Linear};
use baregrad::optim::{Adam, LoadError};
use baregrad::random::{Rng, seeded};
use baregrad::record::Record;
use baregrad::{Arena, Error, Tape, Var};

use crate::sensor::{AXES, GESTURES, LENGTH, NEW, Wearer, Window, window};

pub const FILTERS: usize = 8;
pub const KERNEL: usize = 5;
/// The largest of so many neighbours is kept.
const POOL: usize = 7;
/// Numbers that the last layer sees: four of each filter.
const FEATURES: usize = FILTERS * ((LENGTH - KERNEL + 1) / POOL);
/// Parameters of the last layer: what is adapted.
pub const LAST: usize = Linear::param_count(FEATURES, GESTURES.len());
/// Windows of somebody new that a board learns from: eight of each gesture.
const LEARNT: usize = 40;
/// Other windows of theirs, by which the board's accuracy is told.
const TOLD: usize = 200;
const EPOCHS: usize = 60;

/// A convolution, the largest of neighbours, a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Network<'t> {
    conv: Conv1d<'t>,
    last: Linear<'t>,
}

impl<'t> Network<'t> {
    /// Parameters as PyTorch draws them.
    pub fn new<R: Rng + ?Sized>(tape: &'t Tape<'t>, rng: &mut R) -> Self {
        Network {
            conv: Conv1d::new(tape, AXES, FILTERS, KERNEL, rng),
            last: Linear::new(tape, FEATURES, GESTURES.len(), rng),
        }
    }

    /// Records the features, `[n, FEATURES]`, of windows `[n, AXES, LENGTH]`, and a logit for each
    /// gesture, `[n, GESTURES]`.
    pub fn forward(&self, x: Var<'t>) -> (Var<'t>, Var<'t>) {
        let filtered = self.conv.forward(x).relu().max_pool1d(POOL);
        let features = filtered.reshape([-1, FEATURES as isize]);
        (features, self.last.forward(features))
    }

    /// The parameters by name.
    pub fn params(&self) -> [(&'static str, Var<'t>); 4] {
        [
            ("conv.weight", self.conv.weight),
            ("conv.bias", self.conv.bias),
            ("last.weight", self.last.weight),
            ("last.bias", self.last.bias),
        ]
    }
}

/// Windows of all gestures in turn, and which gesture each is.
pub fn windows(wearer: &Wearer, seed: u64, count: usize) -> impl Iterator<Item = (Window, usize)> {
    let (wearer, mut rng) = (*wearer, seeded(seed));
    (0..count).map(move |i| {
        let gesture = i % GESTURES.len();
        (window(&wearer, gesture, &mut rng), gesture)
    })
}

/// The gesture of the largest logit.
pub fn likeliest(logits: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (gesture, logit) in logits.iter().enumerate() {
        if *logit > best.1 {
            best = (gesture, *logit);
        }
    }
    best.0
}

/// The outcome of adapting.
#[derive(Clone, Copy, Debug)]
pub struct Adapted {
    /// How many of [`TOLD`] windows of somebody new are classified rightly before.
    pub before: usize,
    /// And after.
    pub after: usize,
    /// The loss of the windows that are learnt from, before the first epoch and after the last.
    pub loss: [f32; 2],
    /// A number for the bits of all parameters of the last layer.
    pub digest: u32,
}

/// Adapts the last layer of the network in `record` to windows of somebody new. Readings are
/// forgotten as soon as their features are known.
///
/// # Errors
/// A record that does not hold the network.
#[inline(never)] // so that a board can measure its stack
pub fn adapt(record: &Record<'_>) -> Result<Adapted, LoadError> {
    // One window at a time: parameters, their gradients, and what a layer leaves behind.
    let mut arena = Arena::<2200, 12>::new();
    let tape = arena.tape();
    let network = Network::new(&tape, &mut seeded(0));
    record.load_params("gestures", &network.params())?;
    let x = tape.constant(&[0.0; AXES * LENGTH], [1, AXES, LENGTH]);
    let (features, logits) = network.forward(x);

    let right = || -> Result<usize, Error> {
        let mut right = 0;
        for (window, gesture) in windows(&NEW, 3, TOLD) {
            tape.write(x, &window)?;
            tape.replay()?;
            right += usize::from(likeliest(&logits.value()?) == gesture);
        }
        Ok(right)
    };
    let before = right()?;

    // Features and gestures of what is learnt from.
    let mut learnt = [[0.0; FEATURES]; LEARNT];
    let mut gestures = [0.0; LEARNT];
    for ((window, gesture), (to, class)) in
        windows(&NEW, 2, LEARNT).zip(learnt.iter_mut().zip(&mut gestures))
    {
        tape.write(x, &window)?;
        tape.replay()?;
        to.copy_from_slice(&features.value()?);
        *class = gesture as f32;
    }

    let loss = {
        let mut arena = Arena::<1400, 8>::new();
        let own = arena.tape();
        let weight = own.param(&network.last.weight.value()?, [FEATURES, GESTURES.len()]);
        let bias = own.param(&network.last.bias.value()?, [GESTURES.len()]);
        let x = own.input(learnt.as_flattened(), [LEARNT, FEATURES]);
        let loss = x
            .linear(weight, bias)
            .cross_entropy(own.input(&gestures, [LEARNT]));
        let first = loss.item()?;
        let mut adam = Adam::<LAST>::new(0.02);
        for _ in 0..EPOCHS {
            own.zero_grad();
            own.backward(loss)?;
            own.step(&mut adam)?;
            own.replay()?;
        }
        tape.write(network.last.weight, &weight.value()?)?;
        tape.write(network.last.bias, &bias.value()?)?;
        [first, loss.item()?]
    };
    let (weight, bias) = (network.last.weight.value()?, network.last.bias.value()?);
    let digest = weight
        .iter()
        .chain(bias.iter())
        .fold(0x811c_9dc5, |digest: u32, p| {
            (digest ^ p.to_bits()).wrapping_mul(0x0100_0193)
        });
    drop((weight, bias));
    Ok(Adapted {
        before,
        after: right()?,
        loss,
        digest,
    })
}

/// The lines that the example and the board print.
pub fn report(adapted: &Adapted, print: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let [first, last] = adapted.loss;
    print(format_args!(
        "somebody new: {} of {TOLD} right before, {} after {EPOCHS} epochs with {LEARNT} windows",
        adapted.before, adapted.after
    ));
    print(format_args!(
        "loss {first} -> {last}, last layer {:08x}",
        adapted.digest
    ));
}
