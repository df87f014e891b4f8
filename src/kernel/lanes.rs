//! `trait Lanes`: the few operations that all kernels are written in. Only this file uses
//! `wide`.
//!
//! The results of these operations are the same bits on every CPU:
//! `+ - * /`, square root, compares, selects and integer arithmetic. Fused
//! multiply-add, reciprocal estimates, `wide`'s transcendental functions and
//! horizontal adds are left out on purpose: their rounding depends on the
//! instruction set they are compiled for.
//!
//! | type | lanes | used |
//! | --- | --- | --- |
//! | `f32` | 1 | targets without SIMD, and as the reference that the other types must equal |
//! | [`f32x8`] | 8 | all other targets (SSE2, NEON, wasm SIMD, through `wide`) |
//! | `x86::M256` | 8 | x86-64 with AVX2, found at run time |

use core::ops::{Add, Div, Mul, Neg, Sub};

use wide::u32x8;

pub(crate) use wide::f32x4;
/// `wide`'s type, re-exported with its own operations, so that a new major version of `wide` is
/// a new major version of this crate.
pub use wide::f32x8;

/// Keeps [`Lanes`] to the types of this crate.
pub(crate) mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for super::f32x8 {}
}

/// Integer lanes as wide as a [`Lanes`] type. All arithmetic wraps.
pub trait Bits: Copy {
    /// Every lane set to `x`.
    fn splat(x: u32) -> Self;
    /// Lane-wise wrapping addition.
    fn add(self, rhs: Self) -> Self;
    /// Lane-wise wrapping subtraction.
    fn sub(self, rhs: Self) -> Self;
    /// Lane-wise and.
    fn and(self, rhs: Self) -> Self;
    /// Lane-wise or.
    fn or(self, rhs: Self) -> Self;
    /// Lane-wise exclusive or.
    fn xor(self, rhs: Self) -> Self;
    /// Shift every lane left by `N` bits.
    fn shl<const N: u32>(self) -> Self;
    /// Shift every lane right by `N` bits, filling with zeros.
    fn shr<const N: u32>(self) -> Self;
}

/// Lane-wise truth values.
pub trait Mask: Copy {
    /// Lane-wise and.
    fn and(self, rhs: Self) -> Self;
    /// Lane-wise or.
    fn or(self, rhs: Self) -> Self;
    /// Lane-wise not.
    fn not(self) -> Self;
    /// Returns whether any lane is true, so that work which no lane needs can be skipped. A
    /// lane's result must not depend on it, because it would then depend on its neighbours.
    fn any(self) -> bool;
}

/// One or more `f32`s that are computed with together.
///
/// A function generic over `Lanes` is one algorithm for every CPU. It gives
/// the same bits for an element with every type, at every position in a slice.
///
/// ```
/// use baregrad::kernel::{Lanes, f32x8};
///
/// fn logistic_map<L: Lanes>(x: L) -> L {
///     L::splat(3.7) * x * (L::splat(1.0) - x)
/// }
///
/// let one = logistic_map(0.3_f32);
/// let eight = logistic_map(f32x8::splat(0.3));
/// assert_eq!(one.to_bits(), eight.to_array()[5].to_bits());
/// ```
///
/// The trait is sealed, because all types must give the same bits.
pub trait Lanes:
    sealed::Sealed
    + Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The lanes as an array in memory, `[f32; LEN]`.
    type Array: 'static;
    /// Integer lanes of the same width.
    type Bits: Bits;
    /// The result of a comparison.
    type Mask: Mask;

    /// The number of lanes.
    const LEN: usize;
    /// The number of values of the type that fit into the CPU's registers.
    const REGISTERS: usize;

    /// Every lane set to `x`.
    fn splat(x: f32) -> Self;
    /// Cuts a slice into whole arrays and the shorter rest.
    fn chunks(xs: &[f32]) -> (&[Self::Array], &[f32]);
    /// Cuts a slice into whole arrays and the shorter rest.
    fn chunks_mut(xs: &mut [f32]) -> (&mut [Self::Array], &mut [f32]);
    /// Loads all lanes.
    fn load(from: &Self::Array) -> Self;
    /// Stores all lanes.
    fn store(self, to: &mut Self::Array);
    /// Loads the first `xs.len()` lanes (at most `LEN`); the others are `pad`.
    fn load_part(xs: &[f32], pad: f32) -> Self;
    /// Stores the first `to.len()` lanes (at most `LEN`).
    fn store_part(self, to: &mut [f32]);

    /// Correctly rounded square root.
    fn sqrt(self) -> Self;
    /// Absolute value: clears the sign bit.
    fn abs(self) -> Self;

    /// `self < rhs`; false where either is NaN.
    fn lt(self, rhs: Self) -> Self::Mask;
    /// `self <= rhs`; false where either is NaN.
    fn le(self, rhs: Self) -> Self::Mask;
    /// `self == rhs`; false where either is NaN.
    fn eq(self, rhs: Self) -> Self::Mask;
    /// `self > rhs`; false where either is NaN.
    #[inline(always)]
    fn gt(self, rhs: Self) -> Self::Mask {
        rhs.lt(self)
    }
    /// `self >= rhs`; false where either is NaN.
    #[inline(always)]
    fn ge(self, rhs: Self) -> Self::Mask {
        rhs.le(self)
    }
    /// True where the lane is NaN.
    #[inline(always)]
    fn is_nan(self) -> Self::Mask {
        self.eq(self).not()
    }
    /// Applies `f` to one lane after the other, for rare inputs whose algorithm
    /// is not made of lane operations.
    fn map(self, f: impl Fn(f32) -> f32) -> Self;
    /// [`map`](Self::map) with the name of the function, for lanes that
    /// record operations instead of computing them and cannot record a closure.
    #[inline(always)]
    fn map_named(self, name: &'static str, f: impl Fn(f32) -> f32) -> Self {
        let _ = name;
        self.map(f)
    }
    /// `yes` where the mask is true, `no` elsewhere; chooses bits without changing them.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// The bits of every lane.
    fn to_bits(self) -> Self::Bits;
    /// Lanes with the given bits.
    fn from_bits(bits: Self::Bits) -> Self;
}

impl Bits for u32 {
    #[inline(always)]
    fn splat(x: u32) -> Self {
        x
    }
    #[inline(always)]
    fn add(self, rhs: Self) -> Self {
        self.wrapping_add(rhs)
    }
    #[inline(always)]
    fn sub(self, rhs: Self) -> Self {
        self.wrapping_sub(rhs)
    }
    #[inline(always)]
    fn and(self, rhs: Self) -> Self {
        self & rhs
    }
    #[inline(always)]
    fn or(self, rhs: Self) -> Self {
        self | rhs
    }
    #[inline(always)]
    fn xor(self, rhs: Self) -> Self {
        self ^ rhs
    }
    #[inline(always)]
    fn shl<const N: u32>(self) -> Self {
        const { assert!(N < 32) };
        self << N
    }
    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        const { assert!(N < 32) };
        self >> N
    }
}

impl Mask for bool {
    #[inline(always)]
    fn and(self, rhs: Self) -> Self {
        self & rhs
    }
    #[inline(always)]
    fn or(self, rhs: Self) -> Self {
        self | rhs
    }
    #[inline(always)]
    fn not(self) -> Self {
        !self
    }
    #[inline(always)]
    fn any(self) -> bool {
        self
    }
}

impl Lanes for f32 {
    type Array = [f32; 1];
    type Bits = u32;
    type Mask = bool;

    const LEN: usize = 1;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        x
    }
    #[inline(always)]
    fn chunks(xs: &[f32]) -> (&[[f32; 1]], &[f32]) {
        xs.as_chunks()
    }
    #[inline(always)]
    fn chunks_mut(xs: &mut [f32]) -> (&mut [[f32; 1]], &mut [f32]) {
        xs.as_chunks_mut()
    }
    #[inline(always)]
    fn load(&[x]: &[f32; 1]) -> Self {
        x
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; 1]) {
        *to = [self];
    }
    #[inline(always)]
    fn load_part(xs: &[f32], pad: f32) -> Self {
        xs.first().copied().unwrap_or(pad)
    }
    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        if let Some(first) = to.first_mut() {
            *first = self;
        }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        // `core` has no square root on stable. libm's is correctly rounded and uses the
        // CPU's instruction where it can, but not on a Cortex-M with an FPU, for which
        // ours is shorter.
        #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
        return super::sqrt::sqrt(self);
        #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
        libm::sqrtf(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn lt(self, rhs: Self) -> bool {
        self < rhs
    }
    #[inline(always)]
    fn le(self, rhs: Self) -> bool {
        self <= rhs
    }
    #[inline(always)]
    #[allow(clippy::float_cmp)]
    fn eq(self, rhs: Self) -> bool {
        self == rhs
    }
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        f(self)
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        f32::to_bits(self)
    }
    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        f32::from_bits(bits)
    }
}

impl Bits for u32x8 {
    #[inline(always)]
    fn splat(x: u32) -> Self {
        u32x8::splat(x)
    }
    #[inline(always)]
    fn add(self, rhs: Self) -> Self {
        self + rhs
    }
    #[inline(always)]
    fn sub(self, rhs: Self) -> Self {
        self - rhs
    }
    #[inline(always)]
    fn and(self, rhs: Self) -> Self {
        self & rhs
    }
    #[inline(always)]
    fn or(self, rhs: Self) -> Self {
        self | rhs
    }
    #[inline(always)]
    fn xor(self, rhs: Self) -> Self {
        self ^ rhs
    }
    #[inline(always)]
    fn shl<const N: u32>(self) -> Self {
        const { assert!(N < 32) };
        self << N
    }
    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        const { assert!(N < 32) };
        self >> N
    }
}

/// The comparisons of `wide` return lanes of all ones or all zeros.
impl Mask for f32x8 {
    #[inline(always)]
    fn and(self, rhs: Self) -> Self {
        self & rhs
    }
    #[inline(always)]
    fn or(self, rhs: Self) -> Self {
        self | rhs
    }
    #[inline(always)]
    fn not(self) -> Self {
        !self
    }
    #[inline(always)]
    fn any(self) -> bool {
        f32x8::any(self)
    }
}

impl Lanes for f32x8 {
    type Array = [f32; 8];
    type Bits = u32x8;
    type Mask = f32x8;

    const LEN: usize = 8;
    // A value takes two of SSE2's 16 or NEON's 32 registers, or one of AVX's 16.
    const REGISTERS: usize = if cfg!(any(target_feature = "avx", target_feature = "neon")) {
        16
    } else {
        8
    };

    #[inline(always)]
    fn splat(x: f32) -> Self {
        f32x8::splat(x)
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
        f32x8::new(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; 8]) {
        *to = self.to_array();
    }
    #[inline(always)]
    fn load_part(xs: &[f32], pad: f32) -> Self {
        let mut lanes = [pad; 8];
        copy_part(xs, &mut lanes);
        f32x8::new(lanes)
    }
    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        copy_part(&self.to_array(), to);
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32x8::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32x8::abs(self)
    }
    #[inline(always)]
    fn lt(self, rhs: Self) -> f32x8 {
        self.simd_lt(rhs)
    }
    #[inline(always)]
    fn le(self, rhs: Self) -> f32x8 {
        self.simd_le(rhs)
    }
    #[inline(always)]
    fn eq(self, rhs: Self) -> f32x8 {
        self.simd_eq(rhs)
    }
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        f32x8::new(self.to_array().map(f))
    }
    #[inline(always)]
    fn select(mask: f32x8, yes: Self, no: Self) -> Self {
        // Written out, because `wide` calls it `blend` before 1.6, and `select` since.
        (mask & yes) | (!mask & no)
    }
    #[inline(always)]
    fn to_bits(self) -> u32x8 {
        bytemuck::must_cast(self)
    }
    #[inline(always)]
    fn from_bits(bits: u32x8) -> Self {
        bytemuck::must_cast(bits)
    }
}

/// Copies up to 8 numbers, as many as the shorter slice has. Copies them in runs of 8, 4, 2
/// and 1, because the compiler turns a loop into a call of `memcpy`.
#[inline(always)]
pub(super) fn copy_part(from: &[f32], to: &mut [f32]) {
    fn run<'f, 't, const N: usize>(
        from: &'f [f32],
        to: &'t mut [f32],
    ) -> (&'f [f32], &'t mut [f32]) {
        if from.len() < N || to.len() < N {
            return (from, to);
        }
        match (
            from.split_first_chunk::<N>(),
            to.split_first_chunk_mut::<N>(),
        ) {
            (Some((f, from)), Some((t, to))) => {
                *t = *f;
                (from, to)
            }
            _ => (&[], &mut []),
        }
    }
    let (from, to) = run::<8>(from, to);
    let (from, to) = run::<4>(from, to);
    let (from, to) = run::<2>(from, to);
    run::<1>(from, to);
}
