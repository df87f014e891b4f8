//! Lanes of 256 bits on x86-64, for CPUs that have AVX2 at run time.
//!
//! `wide` chooses its instructions at compile time, so AVX2 that is detected at
//! run time needs a lane type of our own. Its operations are those of
//! [`Lanes`], each one instruction or two; none of them is fused or estimated,
//! so the bits are those of one `f32` at a time.
//!
//! All kernels are `#[inline(always)]`. Called within [`enter`], a function
//! compiled for AVX2, they are compiled for AVX2 themselves, intrinsics included.
//! Only speed depends on this: code that is not inlined is called, and computes the same.
//!
//! # Safety
//!
//! All `unsafe` code of the crate is in this module and in `op/lend`, which lends the arena's
//! slices. This module relies on two facts.
//!
//! **The CPU has AVX2.** Nothing here runs otherwise: [`enter`] and [`M256`] are
//! private to the crate, which uses them only in `with_avx2!`, in the branch for
//! `Level::Avx2`. `level()` returns that level only if it was stored, and it is
//! stored only after `is_x86_feature_detected!` found AVX2 in the CPU and
//! enabled by the operating system. A user's `Map` may get the type as
//! `L` and may use it as it likes, on any thread, because a CPU does not lose
//! a feature. No intrinsic used here needs more than AVX2 (which includes AVX).
//!
//! **Pointers.** There are four, in `load`, `store`, `load_part` and `store_part`.
//! Each comes from a reference to the floats that it reads or writes, and none needs to be
//! aligned.

#![allow(unsafe_code)]

use core::arch::x86_64::*;
use core::ops::{Add, Div, Mul, Neg, Sub};

use super::lanes::{Bits, Lanes, Mask, sealed::Sealed};

/// Evaluates an expression of intrinsics.
macro_rules! avx2 {
    ($e:expr) => {{
        // SAFETY: the CPU has AVX2; see the module. Where an intrinsic requires more, a comment
        // at its use says why that holds.
        unsafe { $e }
    }};
}

/// Runs a kernel compiled for AVX2. For `with_avx2!` only: see the module.
///
/// The closure must be `#[inline(always)]`, because a closure as large as softmax would not be
/// inlined otherwise, and neither would the intrinsics in it.
#[inline(always)]
pub(crate) fn enter<R>(kernel: impl FnOnce() -> R) -> R {
    #[target_feature(enable = "avx2")]
    fn with_avx2<R>(kernel: impl FnOnce() -> R) -> R {
        kernel()
    }
    avx2!(with_avx2(kernel))
}

/// Eight `f32`s in one register. For `with_avx2!` only: see the module.
#[derive(Clone, Copy)]
pub(crate) struct M256(__m256);

/// Eight `u32`s in one register.
#[derive(Clone, Copy)]
pub(crate) struct M256Bits(__m256i);

/// Lanes of all ones or all zeros.
#[derive(Clone, Copy)]
pub(crate) struct M256Mask(__m256);

macro_rules! arithmetic {
    ($($Op:ident $op:ident $intrinsic:ident),*) => {$(
        impl $Op for M256 {
            type Output = Self;
            #[inline(always)]
            fn $op(self, rhs: Self) -> Self {
                M256(avx2!($intrinsic(self.0, rhs.0)))
            }
        }
    )*};
}
arithmetic!(
    Add add _mm256_add_ps,
    Sub sub _mm256_sub_ps,
    Mul mul _mm256_mul_ps,
    Div div _mm256_div_ps
);

impl Neg for M256 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        M256(avx2!(negate(self.0)))
    }
}

// Each operation of several intrinsics is a function of its own. Where the inliner judges a loop
// before the loop is inlined into `enter`, such an operation then costs one call instead of one
// for each intrinsic.

/// All ones in the first `len` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn first(len: usize) -> __m256i {
    let number = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(len.min(8) as i32), number)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_part(xs: &[f32], pad: f32) -> __m256 {
    let mask = first(xs.len());
    // SAFETY: reads only lanes of the mask, which are elements of `xs`.
    let lanes = unsafe { _mm256_maskload_ps(xs.as_ptr(), mask) };
    _mm256_blendv_ps(_mm256_set1_ps(pad), lanes, _mm256_castsi256_ps(mask))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_part(lanes: __m256, to: &mut [f32]) {
    // SAFETY: writes only lanes of the mask, which are elements of `to`.
    unsafe { _mm256_maskstore_ps(to.as_mut_ptr(), first(to.len()), lanes) }
}

/// Flips the sign, also of NaN, as `-x` does for one `f32`.
#[inline]
#[target_feature(enable = "avx2")]
fn negate(x: __m256) -> __m256 {
    _mm256_xor_ps(x, _mm256_set1_ps(-0.0))
}

#[inline]
#[target_feature(enable = "avx2")]
fn absolute(x: __m256) -> __m256 {
    _mm256_andnot_ps(_mm256_set1_ps(-0.0), x)
}

#[inline]
#[target_feature(enable = "avx2")]
fn invert(x: __m256) -> __m256 {
    _mm256_xor_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift_left<const N: u32>(x: __m256i) -> __m256i {
    _mm256_sll_epi32(x, _mm_cvtsi32_si128(N as i32))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift_right<const N: u32>(x: __m256i) -> __m256i {
    _mm256_srl_epi32(x, _mm_cvtsi32_si128(N as i32))
}

impl Sealed for M256 {}

impl Lanes for M256 {
    type Array = [f32; 8];
    type Bits = M256Bits;
    type Mask = M256Mask;

    const LEN: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        M256(avx2!(_mm256_set1_ps(x)))
    }
    #[inline(always)]
    fn chunks(xs: &[f32]) -> (&[[f32; 8]], &[f32]) {
        xs.as_chunks()
    }
    #[inline(always)]
    fn chunks_mut(xs: &mut [f32]) -> (&mut [[f32; 8]], &mut [f32]) {
        xs.as_chunks_mut()
    }
    #[inline(always)]
    fn load(from: &[f32; 8]) -> Self {
        // SAFETY: reads the eight floats of `from`.
        M256(avx2!(_mm256_loadu_ps(from.as_ptr())))
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; 8]) {
        // SAFETY: writes the eight floats of `to`.
        avx2!(_mm256_storeu_ps(to.as_mut_ptr(), self.0));
    }
    #[inline(always)]
    fn load_part(xs: &[f32], pad: f32) -> Self {
        M256(avx2!(load_part(xs, pad)))
    }
    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        avx2!(store_part(self.0, to));
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        M256(avx2!(_mm256_sqrt_ps(self.0)))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        M256(avx2!(absolute(self.0)))
    }

    // Ordered comparisons: false where either is NaN.
    #[inline(always)]
    fn lt(self, rhs: Self) -> M256Mask {
        M256Mask(avx2!(_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, rhs.0)))
    }
    #[inline(always)]
    fn le(self, rhs: Self) -> M256Mask {
        M256Mask(avx2!(_mm256_cmp_ps::<_CMP_LE_OQ>(self.0, rhs.0)))
    }
    #[inline(always)]
    fn eq(self, rhs: Self) -> M256Mask {
        M256Mask(avx2!(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, rhs.0)))
    }
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut lanes = [0.0; 8];
        self.store(&mut lanes);
        Self::load(&lanes.map(f))
    }
    #[inline(always)]
    fn select(mask: M256Mask, yes: Self, no: Self) -> Self {
        M256(avx2!(_mm256_blendv_ps(no.0, yes.0, mask.0)))
    }

    #[inline(always)]
    fn to_bits(self) -> M256Bits {
        M256Bits(avx2!(_mm256_castps_si256(self.0)))
    }
    #[inline(always)]
    fn from_bits(bits: M256Bits) -> Self {
        M256(avx2!(_mm256_castsi256_ps(bits.0)))
    }
}

impl Bits for M256Bits {
    #[inline(always)]
    fn splat(x: u32) -> Self {
        M256Bits(avx2!(_mm256_set1_epi32(x as i32)))
    }
    #[inline(always)]
    fn add(self, rhs: Self) -> Self {
        M256Bits(avx2!(_mm256_add_epi32(self.0, rhs.0)))
    }
    #[inline(always)]
    fn sub(self, rhs: Self) -> Self {
        M256Bits(avx2!(_mm256_sub_epi32(self.0, rhs.0)))
    }
    #[inline(always)]
    fn and(self, rhs: Self) -> Self {
        M256Bits(avx2!(_mm256_and_si256(self.0, rhs.0)))
    }
    #[inline(always)]
    fn or(self, rhs: Self) -> Self {
        M256Bits(avx2!(_mm256_or_si256(self.0, rhs.0)))
    }
    #[inline(always)]
    fn xor(self, rhs: Self) -> Self {
        M256Bits(avx2!(_mm256_xor_si256(self.0, rhs.0)))
    }
    #[inline(always)]
    fn shl<const N: u32>(self) -> Self {
        const { assert!(N < 32) };
        M256Bits(avx2!(shift_left::<N>(self.0)))
    }
    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        const { assert!(N < 32) };
        M256Bits(avx2!(shift_right::<N>(self.0)))
    }
}

impl Mask for M256Mask {
    #[inline(always)]
    fn and(self, rhs: Self) -> Self {
        M256Mask(avx2!(_mm256_and_ps(self.0, rhs.0)))
    }
    #[inline(always)]
    fn or(self, rhs: Self) -> Self {
        M256Mask(avx2!(_mm256_or_ps(self.0, rhs.0)))
    }
    #[inline(always)]
    fn not(self) -> Self {
        M256Mask(avx2!(invert(self.0)))
    }
    #[inline(always)]
    fn any(self) -> bool {
        avx2!(_mm256_movemask_ps(self.0)) != 0
    }
}
