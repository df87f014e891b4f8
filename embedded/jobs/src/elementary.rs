//! Elementary functions of a hundred numbers, as a layer's activation takes them.

use baregrad::kernel::{self, Acc, Lanes, Map, math};

/// How many numbers.
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

/// From -5 to almost 5, where results differ.
pub fn arguments() -> [f32; LEN] {
    core::array::from_fn(|i| 0.1 * (i as f32 - 50.0))
}

/// `e^x` of each.
pub fn exp(x: &[f32; LEN], out: &mut [f32; LEN]) {
    kernel::map(Exp, [x], out, Acc::Set);
}

/// The hyperbolic tangent of each.
pub fn tanh(x: &[f32; LEN], out: &mut [f32; LEN]) {
    kernel::map(Tanh, [x], out, Acc::Set);
}

/// The sine of each.
pub fn sin(x: &[f32; LEN], out: &mut [f32; LEN]) {
    kernel::map(Sin, [x], out, Acc::Set);
}
