//! The thermometer, one sample at a time: recursive least squares of two parameters.

use baregrad::function;
use baregrad::least_squares::{OutOfRange, Recursive};

function! {
    /// °C of a thermometer without units.
    pub fn Thermometer([t_u], [w, b]) { w * t_u + b }
}

/// The samples: readings of the thermometer without units, and °C.
pub const SAMPLES: [[f32; 2]; 11] = [
    [35.7, 0.5],
    [55.9, 14.0],
    [58.2, 15.0],
    [81.9, 28.0],
    [56.3, 11.0],
    [48.9, 8.0],
    [33.9, 3.0],
    [21.8, -4.0],
    [48.4, 6.0],
    [60.4, 13.0],
    [68.4, 21.0],
];

/// Starts with a wide prior, as nothing is known of the line. The forgetting factor of 0.999
/// gives a sample 1000 steps back a weight of 0.37. The gate is at 6 standard deviations.
///
/// # Errors
/// None, as these constants are within range.
pub fn start() -> Result<Recursive<2>, OutOfRange> {
    Recursive::new([0.0; 2], [10.0, 1000.0], 1.7)?
        .forgetting(0.999)?
        .gate(6.0)
}

/// Takes all samples once.
pub fn pass(line: &mut Recursive<2>) {
    for &[t_u, t_c] in core::hint::black_box(&SAMPLES) {
        // A sample outside of the gate is left out.
        let _ = line.observe::<Thermometer, 1>([t_u], t_c);
    }
}
