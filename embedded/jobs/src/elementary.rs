//! Elementary functions of a hundred numbers, through the kernel that a layer's activation uses.

use baregrad::kernel::{self, Acc, Lanes, Map, math};

/// The number of arguments.
pub const LEN: usize = 100;

struct Exp;
impl Map<1> for Exp {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::exp(x)
    }
}

struct Tanh;
impl Map<1> for Tanh {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::tanh(x)
    }
}

struct Sin;
impl Map<1> for Sin {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::sin(x)
    }
}

/// Returns the numbers from -5 to 4.9 in steps of 0.1.
pub fn arguments() -> [f32; LEN] {
    core::array::from_fn(|i| 0.1 * (i as f32 - 50.0))
}

/// Computes `e^x` of each number.
pub fn exp(x: &[f32; LEN], out: &mut [f32; LEN]) {
    kernel::map(Exp, [x], out, Acc::Set);
}

/// Computes the hyperbolic tangent of each number.
pub fn tanh(x: &[f32; LEN], out: &mut [f32; LEN]) {
    kernel::map(Tanh, [x], out, Acc::Set);
}

/// Computes the sine of each number.
pub fn sin(x: &[f32; LEN], out: &mut [f32; LEN]) {
    kernel::map(Sin, [x], out, Acc::Set);
}
