//! NumPy's uniformly distributed random numbers.

use rand_pcg::Lcg128Xsl64;
use rand_pcg::rand_core::Rng as _;

/// The generator of `numpy.random.default_rng(0)`, which is PCG64.
#[derive(Clone, Debug)]
pub(crate) struct NumPy(Lcg128Xsl64);

impl NumPy {
    pub(crate) fn new() -> Self {
        // From numpy.random.SeedSequence(0).generate_state(4, numpy.uint64).
        let (state, stream) = (
            0xdb2c_d7e7_b0f4_78be_abf4_641a_2c71_ba49,
            0x20c6_ed6d_9d7b_8d41_2c40_99de_223c_39d4,
        );
        NumPy(Lcg128Xsl64::new(state, stream))
    }

    /// Returns `rng.uniform(-bound, bound).astype(numpy.float32)` for a bound that is a power of
    /// two.
    ///
    /// NumPy makes an `f64` of 53 random bits. Software `f64` would take kilobytes of flash, so
    /// this converts the integer to `f32` in two halves. Both the lower half and the sum of the
    /// halves are rounded, so a few numbers in a million may be off by the last bit.
    pub(crate) fn uniform(&mut self, bound: f32) -> f32 {
        const HALF: f32 = (1_u64 << 32) as f32;
        const UNIT: f32 = 1.0 / (1_u64 << 52) as f32;
        let centred = (self.0.next_u64() >> 11).cast_signed() - (1 << 52);
        let (high, low) = ((centred >> 32) as i32, centred as u32);
        (high as f32 * HALF + low as f32) * (UNIT * bound)
    }
}

#[cfg(test)]
mod tests {
    use super::NumPy;
    use rand_pcg::rand_core::Rng as _;

    #[test]
    fn numbers_are_numpys() {
        // From numpy.random.default_rng(0).bit_generator.random_raw(4).
        let theirs = [
            0xa30f_ebcf_d9c2_825f,
            0x4510_bdf8_82d9_d721,
            0x0a7d_3da9_4ecd_e8b8,
            0x043b_27b6_1342_f01d,
        ];
        let mut rng = NumPy::new();
        assert_eq!([(); 4].map(|()| rng.0.next_u64()), theirs);
    }
}
