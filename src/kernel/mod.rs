//! Numeric kernels over slices.
mod lanes;
pub mod math;
pub use lanes::{Bits, Lanes, Mask};
pub use wide::f32x8;
