//! Element-wise functions, and the choice between overwriting and adding.

use super::Lanes;

/// Whether a kernel overwrites its destination or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acc {
    /// Overwrite the destination, which is not read.
    Set,
    /// Add to the destination.
    Add,
}

impl Acc {
    /// Overwrites one number, or adds to it.
    #[inline(always)]
    pub fn put(self, to: &mut f32, x: f32) {
        *to = match self {
            Acc::Set => x,
            Acc::Add => *to + x,
        };
    }
}

/// An element-wise function of `N` numbers.
///
/// It is a trait and not a closure because `apply` is compiled for every lane type.
/// `apply` should be `#[inline(always)]`: a function that is called from a loop, instead of
/// being part of it, costs a call for each vector and each operation on it.
///
/// One implementation serves whole kernels:
///
/// ```
/// use baregrad::kernel::{self, Acc, Lanes, Map};
///
/// /// `min(x, y)²`
/// struct SmallerSquared;
/// impl Map<2> for SmallerSquared {
///     #[inline(always)]
///     fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
///         let smaller = L::select(x.lt(y), x, y);
///         smaller * smaller
///     }
/// }
///
/// let mut out = [0.0; 3];
/// kernel::map(SmallerSquared, [&[1.0, 2.0, 3.0], &[2.0, 1.0, 5.0]], &mut out, Acc::Set);
/// assert_eq!(out, [1.0, 1.0, 9.0]);
/// assert_eq!(kernel::sum_of(SmallerSquared, [&[1.0, 2.0, 3.0], &[2.0, 1.0, 5.0]]), 11.0);
/// ```
pub trait Map<const N: usize> {
    /// For slices up to this length, the loop is inlined where the kernel is called, and uses the
    /// vectors that every CPU of the target has, whatever the [`Level`](super::Level). 0 is better
    /// for functions of many operations.
    const SHORT: usize = 16;

    /// Computes the function in every lane.
    fn apply<L: Lanes>(&self, x: &[L; N]) -> L;
}

impl<const N: usize, F: Map<N>> Map<N> for &F {
    const SHORT: usize = F::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, x: &[L; N]) -> L {
        (*self).apply(x)
    }
}

/// `x`.
#[derive(Clone, Copy, Debug)]
pub struct Identity;

impl Map<1> for Identity {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x
    }
}

/// `x * y`.
#[derive(Clone, Copy, Debug)]
pub struct Product;

impl Map<2> for Product {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        x * y
    }
}

/// `(x - y)²`.
#[derive(Clone, Copy, Debug)]
pub struct SquaredDifference;

impl Map<2> for SquaredDifference {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        let d = x - y;
        d * d
    }
}

/// `x * w + b`.
pub(super) struct Affine(pub(super) f32, pub(super) f32);

impl Map<1> for Affine {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x * L::splat(self.0) + L::splat(self.1)
    }
}

/// `s * x`.
#[derive(Clone, Copy, Debug)]
pub struct Scale(pub f32);

impl Map<1> for Scale {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        L::splat(self.0) * x
    }
}

/// `f` with its last argument fixed.
pub(super) struct Last<F>(pub(super) F, pub(super) f32);

impl<F: Map<2>> Map<1> for Last<F> {
    const SHORT: usize = F::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        self.0.apply(&[x, L::splat(self.1)])
    }
}

impl<F: Map<3>> Map<2> for Last<F> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        self.0.apply(&[x, y, L::splat(self.1)])
    }
}

/// `f` with its last argument but one fixed.
pub(super) struct LastButOne<F>(pub(super) F, pub(super) f32);

impl<F: Map<2>> Map<1> for LastButOne<F> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[y]: &[L; 1]) -> L {
        self.0.apply(&[L::splat(self.1), y])
    }
}

impl<F: Map<3>> Map<2> for LastButOne<F> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, z]: &[L; 2]) -> L {
        self.0.apply(&[x, L::splat(self.1), z])
    }
}

/// `x / n`.
pub(super) struct Divide(pub(super) f32);

impl Map<1> for Divide {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x / L::splat(self.0)
    }
}
