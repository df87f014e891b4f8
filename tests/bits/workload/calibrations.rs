//! Calibrations: from decimal text to a record and its predictions.

use baregrad::calibrate::{Calibration, Curve, Differences, Fit, Origin, Poll, Samples, prepare};
use baregrad::function::TwoFloat;
use baregrad::optim::Adam;
use baregrad::{Error, Tape};

use super::{Digest, Group};

/// Readings in decimal text, curves fitted to them, records and predictions.
pub const CALIBRATIONS: Group = Group {
    name: "calibrations",
    run: calibrations,
    stack: 6000,
    digest: 0x2259_95e4_1af1_691f,
};

/// The thermometer's readings, and the references.
const READINGS: [&str; 11] = [
    "35.7", "55.9", "58.2", "81.9", "56.3", "48.9", "33.9", "21.8", "48.4", "60.4", "68.4",
];
const REFERENCES: [&str; 11] = [
    "0.5", "14.0", "15.0", "28.0", "11.0", "8.0", "3.0", "-4.0", "6.0", "13.0", "21.0",
];

/// Fits the thermometer's readings, unchanged and moved far from zero.
fn calibrations(digest: &mut Digest) -> Result<(), Error> {
    for (origin, step) in [("0", 1.0), ("101325.07", 0.01), ("1764410400", 0.5)] {
        let origin: TwoFloat = origin.parse().unwrap_or_default();
        let (mut x_memory, mut y_memory) = ([0.0; 11], [0.0; 11]);
        let mut x = Differences::new(&mut x_memory);
        let mut y = Differences::new(&mut y_memory);
        let pair = |text: &str| text.parse::<TwoFloat>().unwrap_or_default();
        for (reading, reference) in READINGS.into_iter().zip(REFERENCES) {
            let _ = x.push(origin.plus(step * pair(reading).high()));
            let _ = y.push(pair(reference));
        }
        for curve in ["linear", "poly:3", "mlp:4"] {
            calibrate(digest, curve, &x, &y)?;
        }
    }
    for text in [
        "101325.07",
        "-8388607.001",
        "1e-45",
        "3.4028235e38",
        "16777217",
    ] {
        let pair: TwoFloat = text.parse().unwrap_or_default();
        digest.add(&[pair.high(), pair.low()]);
    }
    Ok(())
}

fn calibrate(
    digest: &mut Digest,
    curve: &str,
    x: &Differences<'_>,
    y: &Differences<'_>,
) -> Result<(), Error> {
    let curve = Curve::parse(curve).unwrap_or(Curve::Linear);
    let (mut scaled_x, mut scaled_y) = ([0.0; 11], [0.0; 11]);
    let scales = prepare(&curve, x.iter(), y.iter(), &mut scaled_x, &mut scaled_y);
    let Ok([input, output]) = scales else {
        return Ok(());
    };
    let mut start = [0.0; 13];
    let (start, _) = start.split_at_mut(curve.param_count());
    curve.start(start);
    let mut params = [0.0; 13];
    let (params, _) = params.split_at_mut(start.len());
    let samples = Samples {
        x: &scaled_x,
        y: &scaled_y,
    };
    let mut floats = [0.0; 256];
    let mut nodes = [const { baregrad::op::Node::EMPTY }; 12];
    {
        let tape = Tape::new(&mut floats, &mut nodes);
        let record = |x| curve.record(x, start);
        let mut fit = Fit::new(&tape, samples, 8, params, record)?.epochs(60);
        // The largest curve has 13 parameters.
        let mut adam = Adam::<13>::new(0.05);
        while fit.poll(&mut adam)? == Poll::Running {}
        digest.add(&[fit.losses().first, fit.losses().training]);
    }
    let calibration = Calibration {
        curve,
        input,
        output,
        range: [TwoFloat::ZERO; 2],
        params,
        origin: Origin::default(),
    };
    let mut bytes = [0; 252];
    let mut room = [0.0; 13];
    let record = calibration.write(&mut bytes);
    let read = record.and_then(|record| {
        for byte in record {
            digest.add(&[f32::from(*byte)]);
        }
        Calibration::read(record, &mut room)
    });
    let Ok(read) = read else { return Ok(()) };
    for reading in x.iter() {
        let tape = Tape::new(&mut floats, &mut nodes);
        if let Ok(prediction) = read.predict(&tape, reading) {
            digest.add(&[prediction.value.high(), prediction.value.low()]);
        }
    }
    Ok(())
}
