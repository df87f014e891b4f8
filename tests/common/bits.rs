//! Bits that tests compare.

/// Returns the bits, with one value for all NaN, whose sign and payload are not guaranteed.
pub(crate) fn bits(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}
