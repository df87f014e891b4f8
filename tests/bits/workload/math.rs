//! Elementary functions, on ordinary and special numbers.

use baregrad::Error;
use baregrad::kernel::{self, Acc, Lanes, Map, math};
use baregrad::random::seeded;

use super::{Digest, Group, fill, fill_wild};

/// Elementary functions.
pub const MATH: Group = Group {
    name: "math",
    run: functions,
    stack: 2000,
    digest: 0xbb26_c34c_c381_180a,
};

macro_rules! functions {
    ($($Name:ident $function:ident),*) => {
        $(
            struct $Name;
            impl Map<1> for $Name {
                const SHORT: usize = 0;
                #[inline(always)]
                fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
                    math::$function(x)
                }
            }
        )*

        fn every_function(digest: &mut Digest, x: &[f32], out: &mut [f32]) {
            $(
                kernel::map($Name, [x], out, Acc::Set);
                digest.add(out);
            )*
        }
    };
}

fn functions(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 101;
    let rng = &mut seeded(2);
    let [mut x, mut y, mut out] = [[0.0; N]; 3];
    for round in 0_u16..60 {
        match round % 3 {
            // All bit patterns, in a stride that is prime.
            0 => {
                for (x, i) in x.iter_mut().zip(u32::from(round) * 1000..) {
                    *x = f32::from_bits(i.wrapping_mul(2_147_483_659_u64 as u32));
                }
            }
            1 => fill(rng, &mut x),
            _ => fill_wild(rng, &mut x),
        }
        every_function(digest, &x, &mut out);
        fill_wild(rng, &mut y);
        kernel::map(Pow, [&x, &y], &mut out, Acc::Set);
        digest.add(&out);
        // Whole exponents, and bases, of both signs.
        y.iter_mut().for_each(|y| *y = (*y as i32 % 30) as f32);
        kernel::map(Pow, [&x, &y], &mut out, Acc::Set);
        digest.add(&out);
        kernel::map(Powi(i32::from(round) - 30), [&x], &mut out, Acc::Set);
        digest.add(&out);
    }
    Ok(())
}

functions!(
    Exp exp, ExpM1 exp_m1, Ln ln, Tanh tanh, Sigmoid sigmoid, Silu silu, Softplus softplus,
    Sin sin, Cos cos, Erf erf, Gelu gelu, GeluTanh gelu_tanh, Atan atan
);

struct Pow;
impl Map<2> for Pow {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        math::pow(x, y)
    }
}

struct Powi(i32);
impl Map<1> for Powi {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::powi(x, self.0)
    }
}
