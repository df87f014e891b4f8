//! Classifies flowers with the network that `examples/classify` trained.

use baregrad::record::{Record, RecordError};
use baregrad::{Arena, Error};

/// The record that the example saved: scales and parameters.
pub const TRAINED: &[u8] = include_bytes!("../../../examples/data/iris.bin");

/// A flower of each species: length and width of sepal and petal in cm.
pub const FLOWERS: [[f32; 4]; 3] = [
    [5.1, 3.5, 1.4, 0.2],
    [7.0, 3.2, 4.7, 1.4],
    [6.3, 3.3, 6.0, 2.5],
];

const LENGTHS: usize = 4;
const UNITS: usize = 8;
const SPECIES: usize = 3;

/// The reason why a flower could not be classified.
#[derive(Clone, Copy, Debug)]
pub enum ClassifyError {
    /// The record does not hold the network.
    Record(RecordError),
    /// Recording or reading the tape failed.
    Tape(Error),
}

impl From<RecordError> for ClassifyError {
    fn from(error: RecordError) -> Self {
        ClassifyError::Record(error)
    }
}

impl From<Error> for ClassifyError {
    fn from(error: Error) -> Self {
        ClassifyError::Tape(error)
    }
}

/// Returns the number of the species of a flower, an index into [`FLOWERS`].
///
/// # Errors
/// The record is damaged, or holds another network.
#[inline(never)]
pub fn classify(record: &[u8], lengths: &[f32; LENGTHS]) -> Result<usize, ClassifyError> {
    let record = Record::read(record)?;
    let offset: [f32; LENGTHS] = values(&record, "offset")?;
    let factor: [f32; LENGTHS] = values(&record, "factor")?;
    let mut x = *lengths;
    for (x, (offset, factor)) in x.iter_mut().zip(offset.iter().zip(&factor)) {
        *x = (*x - offset) * factor;
    }
    let weights: [f32; LENGTHS * UNITS] = values(&record, "0.weight")?;
    let biases: [f32; UNITS] = values(&record, "0.bias")?;
    let last_weights: [f32; UNITS * SPECIES] = values(&record, "2.weight")?;
    let last_biases: [f32; SPECIES] = values(&record, "2.bias")?;
    // Inputs are borrowed, so the arena holds only units and logits.
    let mut arena = Arena::<16, 8>::new();
    let tape = arena.tape();
    let units = tape.input(&x, [1, LENGTHS]).linear_tanh(
        tape.input(&weights, [LENGTHS, UNITS]),
        tape.input(&biases, [UNITS]),
    );
    let logits = units.linear_identity(
        tape.input(&last_weights, [UNITS, SPECIES]),
        tape.input(&last_biases, [SPECIES]),
    );
    let mut likeliest = (0, f32::NEG_INFINITY);
    for (species, logit) in logits.value()?.iter().enumerate() {
        if *logit > likeliest.1 {
            likeliest = (species, *logit);
        }
    }
    Ok(likeliest.0)
}

fn values<const N: usize>(
    record: &Record<'_>,
    name: &'static str,
) -> Result<[f32; N], RecordError> {
    let mut values = [0.0; N];
    record.array(name)?.copy_to(&mut values)?;
    Ok(values)
}
