//! A model of an accelerometer on a wrist, and of five gestures. Windows are drawn from a
//! seed, so that the desktop and a board have the same ones, bit for bit.

use baregrad::function::Real;
use baregrad::random::{Rng, Uniform};

/// The number of axes: x, y and z.
pub const AXES: usize = 3;
/// Readings of each axis in a window: 1.28 s at 25 Hz.
pub const LENGTH: usize = 32;
/// The gestures that are classified.
pub const GESTURES: [&str; 5] = ["rest", "shake", "circle", "knock", "turn"];

/// All readings of x, then all of y, then all of z, in units of gravity.
pub type Window = [f32; AXES * LENGTH];

/// A person or group: the position of the sensor, and the strength of movements.
#[derive(Clone, Copy, Debug)]
pub struct Wearer {
    /// The range of the angle in radians by which the sensor is turned about the axis that points
    /// out of the wrist.
    pub turned: [f32; 2],
    /// A factor of the accelerations of gestures.
    pub strength: f32,
}

/// A person who wears the sensor about a quarter of a turn off, and moves less.
pub const NEW: Wearer = Wearer {
    turned: [1.4, 1.7],
    strength: 0.7,
};

/// Draws a window of gesture number `gesture`.
pub fn window<R: Rng + ?Sized>(wearer: &Wearer, gesture: usize, rng: &mut R) -> Window {
    let [from, to] = wearer.turned;
    let turned = between(rng, from, to);
    let (sin, cos) = (Real::sin(turned), Real::cos(turned));
    let rate = between(rng, 0.5, 0.8); // radians a reading: 2 to 3.2 Hz
    let phase = between(rng, 0.0, core::f32::consts::TAU);
    let strength = wearer.strength * between(rng, 0.6, 1.2);
    let at = between(rng, 4.0, 27.0); // the reading at which a knock or a turn happens
    let mut window = [0.0; AXES * LENGTH];
    let (x, rest) = window.split_at_mut(LENGTH);
    let (y, z) = rest.split_at_mut(LENGTH);
    for (i, ((x, y), z)) in x.iter_mut().zip(y).zip(z).enumerate() {
        let time = i as f32;
        let angle = rate * time + phase;
        let (along, across, out) = match gesture {
            1 => (strength * Real::sin(angle), 0.0, 0.0),
            2 => (
                strength * Real::sin(angle),
                strength * Real::cos(angle),
                0.0,
            ),
            3 => {
                // A damped oscillation.
                let since = time - at;
                let ring = Real::exp(-0.5 * since) * Real::cos(2.0 * since);
                (
                    0.0,
                    0.0,
                    if since < 0.0 {
                        0.0
                    } else {
                        2.0 * strength * ring
                    },
                )
            }
            // The wrist turns over, and gravity moves from one axis to another.
            4 => {
                let over = Real::sigmoid(0.6 * (time - at)) * strength;
                (0.0, Real::sin(over), Real::cos(over) - 1.0)
            }
            _ => (0.0, 0.0, 0.0),
        };
        let mut noise = || between(rng, -0.1, 0.1);
        *x = cos * along - sin * across + noise();
        *y = sin * along + cos * across + noise();
        *z = 1.0 + out + noise();
    }
    window
}

fn between<R: Rng + ?Sized>(rng: &mut R, low: f32, high: f32) -> f32 {
    Uniform::new(low, high).map_or(low, |uniform| uniform.sample(rng))
}
