//! Code that all benchmarks share: the data of the jobs, each job
//! written by hand ([`floors`]) and on a tape ([`jobs`]), an operation for lines only
//! ([`line_mse`]), graphs of many operations ([`graphs`]), and the plain loops that kernels are
//! compared with ([`plain`]).

#![allow(dead_code, unreachable_pub, missing_docs)] // Each benchmark uses a part.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

pub mod floors;
pub mod graphs;
pub mod jobs;
pub mod line_mse;
pub mod plain;

use baregrad::kernel::{self, Level};

/// Returns the SIMD levels that this machine can run, slowest first.
pub fn levels() -> Vec<Level> {
    Level::available().collect()
}

/// Returns the name of a level in tables.
pub fn name(level: Level) -> String {
    format!("{level:?}").to_lowercase()
}

/// Returns whether the command line selects a label. Its first argument selects all labels that
/// contain it; without one, all are selected.
pub fn wanted(label: &str) -> bool {
    let mut args = std::env::args().skip(1);
    let part = args.find(|arg| !arg.starts_with('-'));
    part.is_none_or(|part| label.contains(&part))
}

/// Runs `work` at a level, and restores the level before it.
pub fn at_level<R>(level: Level, work: impl FnOnce() -> R) -> R {
    let before = kernel::level();
    kernel::set_level(level);
    let result = work();
    kernel::set_level(before);
    result
}

/// Returns pseudo-random numbers in `[-1, 1)`, the same on every machine.
pub fn noise(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Returns rows of pseudo-random numbers; each column has its own range.
pub fn drawn(seed: u32, ranges: &[[f32; 2]], rows: usize) -> Vec<f32> {
    let bounds = ranges.iter().cycle();
    (noise(seed, rows * ranges.len()).iter().zip(bounds))
        .map(|(x, [low, high])| low + (high - low) * (0.5 * x + 0.5))
        .collect()
}

/// The thermometer: eleven readings, scaled, and the reference.
pub mod thermometer {
    /// The raw readings.
    pub const T_U: [f32; 11] = [
        35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
    ];
    pub const Y: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    pub const X: [f32; 11] = {
        let (mut x, mut i) = (T_U, 0);
        while i < x.len() {
            x[i] *= 0.1;
            i += 1;
        }
        x
    };
    pub const LEARNING_RATE: f32 = 1e-2;

    /// The readings, scaled to about -1 to 1 for a cubic.
    pub const U: [f32; 11] = {
        let (mut u, mut i) = (T_U, 0);
        while i < u.len() {
            u[i] = (u[i] - 50.0) / 32.0;
            i += 1;
        }
        u
    };
    pub const CUBIC_LEARNING_RATE: f32 = 0.1;
}

/// The sine network's data and start, and PyTorch's losses in `f64`.
#[derive(serde::Deserialize)]
pub struct Sine {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    pub params: Vec<Start>,
    pub loss: Reference,
    meta: Meta,
}
#[derive(serde::Deserialize)]
pub struct Start {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}
#[derive(serde::Deserialize)]
pub struct Reference {
    f64: Vec<f64>,
}
#[derive(serde::Deserialize)]
struct Meta {
    epochs: Vec<usize>,
}

impl Sine {
    pub const LEARNING_RATE: f32 = 1e-2;

    pub fn load() -> Sine {
        serde_json::from_str(include_str!("../../tests/golden/j2_mlp.json")).unwrap()
    }

    /// Compares the losses before the update with PyTorch's, for epochs 1 to 100. Later losses are
    /// amplified rounding errors.
    pub fn check(&self, who: &str, mut loss_then_update: impl FnMut() -> f32) {
        for epoch in 1..=100 {
            let loss = f64::from(loss_then_update());
            if let Some(at) = self.meta.epochs.iter().position(|e| *e == epoch) {
                let expected = self.loss.f64[at];
                assert!(
                    (loss / expected - 1.0).abs() < 2e-3,
                    "{who}, epoch {epoch}: {loss}, PyTorch has {expected}"
                );
            }
        }
    }
}

/// The data set of two interleaved half circles ("two moons") with noise, 200 samples; and the
/// start of a network 2-16-16-2, uniform within `1 / sqrt(inputs)` of zero like `nn.Linear`'s.
pub struct Moons {
    pub x: Vec<f32>,
    pub class: Vec<f32>,
    pub params: Vec<Vec<f32>>,
}

impl Moons {
    pub const SAMPLES: usize = 200;
    pub const SHAPES: [&[usize]; 6] = [&[2, 16], &[16], &[16, 16], &[16], &[16, 2], &[2]];

    pub fn make() -> Moons {
        let noise = noise(7, 2 * Self::SAMPLES);
        let class = |i: usize| (i % 2) as f32;
        let x = noise.as_chunks::<2>().0.iter().enumerate();
        let x = x.flat_map(|(i, [dx, dy])| {
            let turn = i as f32 * (std::f32::consts::PI / Self::SAMPLES as f32);
            let (dx, dy) = (0.2 * dx, 0.2 * dy);
            match i % 2 {
                0 => [turn.cos() + dx, turn.sin() + dy],
                _ => [1.0 - turn.cos() + dx, 0.5 - turn.sin() + dy],
            }
        });
        let params = Self::SHAPES.iter().zip(10..).map(|(shape, seed)| {
            let inputs: f32 = if seed < 12 { 2.0 } else { 16.0 };
            let start = self::noise(seed, shape.iter().product());
            start.iter().map(|x| x / inputs.sqrt()).collect()
        });
        Moons {
            x: x.collect(),
            class: (0..Self::SAMPLES).map(class).collect(),
            params: params.collect(),
        }
    }
}

/// A million samples of `y = 3x + 0.5 + noise`.
pub struct Line {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
}

impl Line {
    pub const SAMPLES: usize = 1_000_000;
    pub const LEARNING_RATE: f32 = 0.1;

    pub fn make() -> Line {
        let (x, noise) = (noise(1, Self::SAMPLES), noise(2, Self::SAMPLES));
        let y = (x.iter().zip(&noise))
            .map(|(x, e)| 3.0 * x + 0.5 + 0.1 * e)
            .collect();
        Line { x, y }
    }
}
