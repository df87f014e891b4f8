//! The network, and the adaptation of its last layer to another person. This file is a module of
//! the example and of the firmware `embedded/gestures`.

use core::fmt;

use baregrad::nn::{Conv1d, Linear};
use baregrad::optim::{Adam, LoadError};
use baregrad::random::{Rng, seeded};
use baregrad::record::Record;
use baregrad::{Arena, Error, Tape, Var};

use crate::sensor::{AXES, GESTURES, LENGTH, NEW, Wearer, Window, window};

pub const FILTERS: usize = 8;
pub const KERNEL: usize = 5;
/// The width of max pooling.
const POOL: usize = 7;
/// The number of inputs of the last layer, four from each filter.
const FEATURES: usize = FILTERS * ((LENGTH - KERNEL + 1) / POOL);
/// The number of parameters of the last layer, which are adapted.
pub const LAST: usize = Linear::param_count(FEATURES, GESTURES.len());
/// The number of windows that the adaptation is trained with, eight of each gesture.
const LEARNT: usize = 40;
/// The number of further windows of the same person, which measure the accuracy.
const TOLD: usize = 200;
const EPOCHS: usize = 60;

/// A convolution, max pooling, and a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Network<'t> {
    conv: Conv1d<'t>,
    last: Linear<'t>,
}

impl<'t> Network<'t> {
    /// Records the parameters, with PyTorch's default initialization.
    pub fn new<R: Rng + ?Sized>(tape: &'t Tape<'t>, rng: &mut R) -> Self {
        Network {
            conv: Conv1d::new(tape, AXES, FILTERS, KERNEL, rng),
            last: Linear::new(tape, FEATURES, GESTURES.len(), rng),
        }
    }

    /// Records the forward pass of windows `[n, AXES, LENGTH]`. Returns the features,
    /// `[n, FEATURES]`, and the logits of the gestures, `[n, GESTURES]`.
    pub fn forward(&self, x: Var<'t>) -> (Var<'t>, Var<'t>) {
        let filtered = self.conv.forward(x).relu().max_pool1d(POOL);
        let features = filtered.reshape([-1, FEATURES as isize]);
        (features, self.last.forward(features))
    }

    /// Returns the parameters with their names.
    pub fn params(&self) -> [(&'static str, Var<'t>); 4] {
        [
            ("conv.weight", self.conv.weight),
            ("conv.bias", self.conv.bias),
            ("last.weight", self.last.weight),
            ("last.bias", self.last.bias),
        ]
    }
}

/// Returns windows of all gestures in turn, each with the number of its gesture.
pub fn windows(wearer: &Wearer, seed: u64, count: usize) -> impl Iterator<Item = (Window, usize)> {
    let (wearer, mut rng) = (*wearer, seeded(seed));
    (0..count).map(move |i| {
        let gesture = i % GESTURES.len();
        (window(&wearer, gesture, &mut rng), gesture)
    })
}

/// Returns the gesture with the largest logit.
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
    /// The number of [`TOLD`] windows that are classified correctly before adapting.
    pub before: usize,
    /// The same number after adapting.
    pub after: usize,
    /// The training loss before the first epoch and after the last.
    pub loss: [f32; 2],
    /// A digest (FNV-1a) of the bits of all parameters of the last layer.
    pub digest: u32,
}

/// Adapts the last layer of the network in `record` to windows of another person. It keeps only
/// the features of the windows that it trains with, not their readings.
///
/// # Errors
/// The record does not hold the network.
#[inline(never)] // so that a board can measure its stack
pub fn adapt(record: &Record<'_>) -> Result<Adapted, LoadError> {
    // Room for one window at a time: parameters, their gradients, and the results of the layers.
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

    // Features and gestures of the windows to train with.
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

/// Prints the result, in the same lines in the example and on the board.
pub fn report(adapted: &Adapted, print: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let [first, last] = adapted.loss;
    print(format_args!(
        "a new person: {} of {TOLD} right before, {} after {EPOCHS} epochs with {LEARNT} windows",
        adapted.before, adapted.after
    ));
    print(format_args!(
        "loss {first} -> {last}, last layer {:08x}",
        adapted.digest
    ));
}
