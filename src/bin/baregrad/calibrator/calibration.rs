//! A calibration: which model, how readings and references are scaled, and the
//! parameters. Also as bytes, for flash.

use core::fmt;

pub(crate) use baregrad::calibrate::crc32;

/// The widest hidden layer of a network.
pub const MAX_HIDDEN: usize = 8;
/// The most parameters a model has: weights and biases of two layers.
pub const MAX_PARAMS: usize = 3 * MAX_HIDDEN + 1;
/// The highest power of a reading that a model uses.
pub const MAX_DEGREE: usize = 3;

/// What turns a scaled reading into a scaled reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// `w · z + b`.
    Linear,
    /// `w1 · z + w2 · z² + b`.
    Poly2,
    /// `w1 · z + w2 · z² + w3 · z³ + b`.
    Poly3,
    /// One hidden layer of `tanh` units.
    Mlp {
        /// Its width, 1 to [`MAX_HIDDEN`].
        hidden: u8,
    },
}

impl Model {
    /// A network, unless it would be too wide or empty.
    pub fn mlp(hidden: usize) -> Option<Self> {
        let hidden = u8::try_from(hidden).ok()?;
        (1..=MAX_HIDDEN as u8)
            .contains(&hidden)
            .then_some(Model::Mlp { hidden })
    }

    /// How many powers of the reading go in.
    pub fn degree(self) -> usize {
        match self {
            Model::Linear | Model::Mlp { .. } => 1,
            Model::Poly2 => 2,
            Model::Poly3 => 3,
        }
    }

    /// How many parameters it has.
    pub fn params(self) -> usize {
        match self {
            Model::Mlp { hidden } => 3 * hidden as usize + 1,
            polynomial => polynomial.degree() + 1,
        }
    }

    /// The fewest samples it makes sense to fit, of as many different readings: as
    /// many as a polynomial has coefficients, one more than a network has units.
    pub fn min_samples(self) -> usize {
        match self {
            Model::Mlp { hidden } => hidden as usize + 1,
            polynomial => polynomial.params(),
        }
    }

    fn code(self) -> [u8; 2] {
        match self {
            Model::Linear => [1, 0],
            Model::Poly2 => [2, 0],
            Model::Poly3 => [3, 0],
            Model::Mlp { hidden } => [4, hidden],
        }
    }

    fn from_code(code: [u8; 2]) -> Option<Self> {
        match code {
            [1, 0] => Some(Model::Linear),
            [2, 0] => Some(Model::Poly2),
            [3, 0] => Some(Model::Poly3),
            [4, hidden] => Model::mlp(hidden.into()),
            _ => None,
        }
    }
}

/// As the command that chooses it spells it.
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Model::Linear => f.write_str("linear"),
            Model::Poly2 => f.write_str("poly2"),
            Model::Poly3 => f.write_str("poly3"),
            Model::Mlp { hidden } => write!(f, "mlp {hidden}"),
        }
    }
}

/// Brings numbers to mean 0 and standard deviation 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// What becomes 0.
    pub mean: f32,
    /// What becomes 1 above it. Not 0.
    pub deviation: f32,
}

impl Scale {
    /// Changes nothing.
    pub const ONE: Self = Scale {
        mean: 0.0,
        deviation: 1.0,
    };

    /// The scale of these numbers, of which there must be some. Its deviation
    /// (that of all of them, not of a sample) is 0 if they are equal, or so close
    /// that the square of their distance is, and not finite if they are too large.
    pub fn of(numbers: impl Iterator<Item = f32> + Clone) -> Self {
        let n = numbers.clone().count() as f32;
        let sum = numbers.clone().fold(0.0, |sum, x| sum + x);
        // A long sum of numbers that hardly differ rounds by more than they do. Their
        // distances from where it ends do not, and say how far off it is. Of numbers
        // that are equal, they are equal: the mean is that number.
        let near = sum / n;
        let off = numbers.clone().fold(0.0, |sum, x| sum + (x - near)) / n;
        let [least, most] = extremes(numbers.clone());
        let mean = (near + off).max(least).min(most);
        let squares = numbers.fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        Scale {
            mean,
            deviation: libm::sqrtf(squares / n),
        }
    }

    /// Whether numbers can be scaled by it.
    pub fn is_usable(self) -> bool {
        self.mean.is_finite() && self.deviation.is_finite() && self.deviation > 0.0
    }

    /// To scaled units.
    pub fn apply(self, x: f32) -> f32 {
        (x - self.mean) / self.deviation
    }

    /// Back from scaled units.
    pub fn undo(self, z: f32) -> f32 {
        z * self.deviation + self.mean
    }
}

/// The least and the most of some numbers.
pub fn extremes(numbers: impl Iterator<Item = f32>) -> [f32; 2] {
    let none = [f32::INFINITY, f32::NEG_INFINITY];
    numbers.fold(none, |[least, most], x| [least.min(x), most.max(x)])
}

/// All that turns a reading into a value in the reference's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Which model.
    pub model: Model,
    /// Of readings.
    pub input: Scale,
    /// Of references.
    pub output: Scale,
    /// The model's parameters come first, in the order they are recorded:
    /// weights of a layer, then its biases. The others are 0.
    pub params: [f32; MAX_PARAMS],
}

/// The version of the bytes below. Another one is refused, not guessed at.
pub const VERSION: u8 = 1;
/// Version, model, how many parameters.
const HEADER: usize = 4;
const SCALES: usize = 4;
const CHECKSUM: usize = 4;
/// The most bytes a calibration takes.
pub const MAX_BYTES: usize = HEADER + 4 * (SCALES + MAX_PARAMS) + CHECKSUM;

/// Why bytes are not taken for a calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Written by a firmware of another version.
    Version {
        /// Which.
        found: u8,
    },
    /// Not what was written.
    Checksum {
        /// Of the bytes as they are.
        expected: u32,
        /// That came with them.
        found: u32,
    },
    /// Too few bytes, or numbers no calibration has.
    Content,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Version { found } => {
                write!(f, "expected a record of version {VERSION}, found {found}")
            }
            Refused::Checksum { expected, found } => write!(
                f,
                "expected a record with checksum {expected:08x}, found {found:08x}"
            ),
            Refused::Content => f.write_str("expected a record that makes sense"),
        }
    }
}

impl Calibration {
    /// The parameters the model has.
    pub fn params(&self) -> &[f32] {
        self.params.get(..self.model.params()).unwrap_or_default()
    }

    /// For polynomials: the coefficients in the units of readings and
    /// references, of the constant term first. What a person copies elsewhere;
    /// the calibration itself is evaluated in scaled units, which rounds less.
    pub fn coefficients(&self) -> Option<[f32; MAX_DEGREE + 1]> {
        if let Model::Mlp { .. } = self.model {
            return None;
        }
        let (bias, weights) = self.params().split_last()?;
        let mut coefficients = [0.0; MAX_DEGREE + 1];
        let mut unit = self.output.deviation;
        for (c, p) in coefficients
            .iter_mut()
            .zip([bias].into_iter().chain(weights))
        {
            *c = p * unit;
            unit /= self.input.deviation;
        }
        // From powers of (reading - mean) to powers of the reading: Horner's
        // scheme, once for every coefficient.
        for lowest in 0..self.model.degree() {
            let mut above = 0.0;
            for c in coefficients.iter_mut().skip(lowest).rev() {
                *c -= self.input.mean * above;
                above = *c;
            }
        }
        let [constant, ..] = &mut coefficients;
        *constant += self.output.mean;
        Some(coefficients)
    }

    /// Version, model, number of parameters; scales and parameters; checksum.
    /// Little endian. Returns the bytes of `to` that it took.
    pub fn encode<'b>(&self, to: &'b mut [u8; MAX_BYTES]) -> &'b [u8] {
        let [kind, hidden] = self.model.code();
        let header = [VERSION, kind, hidden, self.model.params() as u8];
        let numbers = self
            .scales()
            .into_iter()
            .chain(self.params().iter().copied());
        let bytes = header.into_iter().chain(numbers.flat_map(f32::to_le_bytes));
        let mut len = 0;
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to = byte;
            len += 1;
        }
        let checksum = crc32(to.get(..len).unwrap_or_default()).to_le_bytes();
        for (to, byte) in to.iter_mut().skip(len).zip(checksum) {
            *to = byte;
            len += 1;
        }
        to.get(..len).unwrap_or_default()
    }

    /// The calibration that was encoded.
    ///
    /// # Errors
    /// Bytes of another version, with another checksum, or that are not those
    /// of a calibration.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let (&[version, kind, hidden, count], _) =
            bytes.split_first_chunk().ok_or(Refused::Content)?;
        // Another version may keep its checksum elsewhere.
        if version != VERSION {
            return Err(Refused::Version { found: version });
        }
        let (body, checksum) = bytes.split_last_chunk().ok_or(Refused::Content)?;
        let (expected, found) = (crc32(body), u32::from_le_bytes(*checksum));
        if expected != found {
            return Err(Refused::Checksum { expected, found });
        }
        let model = Model::from_code([kind, hidden]).ok_or(Refused::Content)?;
        let mut numbers = body
            .get(HEADER..)
            .unwrap_or_default()
            .chunks_exact(4)
            .filter_map(|bytes| bytes.try_into().ok())
            .map(f32::from_le_bytes);
        let len = HEADER + 4 * (SCALES + model.params());
        if usize::from(count) != model.params() || body.len() != len {
            return Err(Refused::Content);
        }
        let mut scale = || {
            let (mean, deviation) = (numbers.next()?, numbers.next()?);
            Some(Scale { mean, deviation })
        };
        let (input, output) = (scale(), scale());
        let mut params = [0.0; MAX_PARAMS];
        for (to, p) in params.iter_mut().zip(numbers) {
            *to = p;
        }
        match (input, output) {
            (Some(input), Some(output))
                if input.is_usable()
                    && output.is_usable()
                    && params.iter().all(|p| p.is_finite()) =>
            {
                Ok(Calibration {
                    model,
                    input,
                    output,
                    params,
                })
            }
            _ => Err(Refused::Content),
        }
    }

    /// One number that differs if any bit of the calibration does: compare it
    /// with another machine's.
    pub fn checksum(&self) -> u32 {
        let mut bytes = [0; MAX_BYTES];
        let (_, checksum) = self
            .encode(&mut bytes)
            .split_last_chunk()
            .unwrap_or((&[], &[0; 4]));
        u32::from_le_bytes(*checksum)
    }

    fn scales(&self) -> [f32; SCALES] {
        let Calibration { input, output, .. } = self;
        [input.mean, input.deviation, output.mean, output.deviation]
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn calibration(model: Model) -> Calibration {
        let mut params = [0.0; MAX_PARAMS];
        for (i, p) in params.iter_mut().take(model.params()).enumerate() {
            *p = 0.5 - i as f32;
        }
        Calibration {
            model,
            input: Scale {
                mean: 50.0,
                deviation: 16.0,
            },
            output: Scale {
                mean: 10.0,
                deviation: 8.0,
            },
            params,
        }
    }

    fn models() -> impl Iterator<Item = Model> {
        let networks = (1..=MAX_HIDDEN).filter_map(Model::mlp);
        [Model::Linear, Model::Poly2, Model::Poly3]
            .into_iter()
            .chain(networks)
    }

    #[test]
    fn bytes_give_the_calibration_back() {
        for model in models() {
            let before = calibration(model);
            let mut bytes = [0; MAX_BYTES];
            let encoded = before.encode(&mut bytes);
            assert_eq!(encoded.len(), 24 + 4 * model.params());
            assert_eq!(Calibration::decode(encoded), Ok(before));
        }
        assert_eq!(
            calibration(Model::Mlp { hidden: 8 }).params().len(),
            MAX_PARAMS
        );
    }

    #[test]
    fn no_bit_of_the_bytes_may_change() {
        for model in models() {
            let mut bytes = [0; MAX_BYTES];
            let len = calibration(model).encode(&mut bytes).len();
            for bit in 0..8 * len {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let found = Calibration::decode(&bytes[..len]);
                bytes[bit / 8] ^= 1 << (bit % 8);
                match found {
                    Err(Refused::Version { .. }) => assert!(bit < 8),
                    Err(Refused::Checksum { .. }) => assert!(bit >= 8),
                    found => panic!("{found:?}"),
                }
            }
            for len in 0..len {
                assert!(Calibration::decode(&bytes[..len]).is_err());
            }
        }
    }

    #[test]
    fn numbers_no_calibration_has_are_refused() {
        let good = calibration(Model::Linear);
        let mut no_deviation = good;
        no_deviation.input.deviation = 0.0;
        let mut infinite = good;
        infinite.params[1] = f32::INFINITY;
        for bad in [no_deviation, infinite] {
            let mut bytes = [0; MAX_BYTES];
            assert_eq!(
                Calibration::decode(bad.encode(&mut bytes)),
                Err(Refused::Content)
            );
        }
        // A right checksum over a model there is not, and over another length.
        for (byte, value) in [(1, 9), (2, 1), (3, 3)] {
            let mut bytes = [0; MAX_BYTES];
            let len = good.encode(&mut bytes).len();
            bytes[byte] = value;
            let checksum = crc32(&bytes[..len - 4]).to_le_bytes();
            bytes[len - 4..len].copy_from_slice(&checksum);
            assert_eq!(Calibration::decode(&bytes[..len]), Err(Refused::Content));
        }
    }

    #[test]
    fn coefficients_are_those_of_the_unscaled_polynomial() {
        for model in [Model::Linear, Model::Poly2, Model::Poly3] {
            let calibration = calibration(model);
            let c = calibration.coefficients().unwrap();
            let (bias, weights) = calibration.params().split_last().unwrap();
            for reading in [20.0, 50.0, 81.9] {
                let z = calibration.input.apply(reading);
                let scaled = bias
                    + weights[0] * z
                    + weights.get(1).unwrap_or(&0.0) * z * z
                    + weights.get(2).unwrap_or(&0.0) * z * z * z;
                let expected = calibration.output.undo(scaled);
                let x = reading;
                let found = c[0] + x * (c[1] + x * (c[2] + x * c[3]));
                // A few roundings of terms that reach 100.
                assert!(
                    (found - expected).abs() < 1e-3,
                    "{model} {found} {expected}"
                );
            }
        }
        assert!(
            calibration(Model::Mlp { hidden: 3 })
                .coefficients()
                .is_none()
        );
    }
}
