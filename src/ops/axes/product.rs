//! Products.

use super::{Over, Reduction, To};
use crate::kernel::groups::Group;
use crate::var::Var;

/// The product.
struct ProdOver;

impl Reduction for ProdOver {
    const NAME: &'static str = "prod";
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        Factors::of(xs).product()
    }
    fn backward(whole: f32, xs: &Group<'_>, _: f32, g: f32, to: To<'_>) {
        let all = Factors::of(xs);
        // As PyTorch does for a whole tensor: with several zeros the gradient is 0 whatever `g`
        // is, and without zeros it is NaN wherever the product divided by the element is.
        let whole = whole == 1.0;
        if whole && all.zeros > 1 {
            return to.each(xs, |_| 0.0);
        }
        to.each(xs, |x| {
            if whole && all.zeros == 0 && (all.nans > 0 || x.is_infinite()) {
                f32::NAN
            } else {
                g * all.product_without(x)
            }
        });
    }
}

/// A product. Its finite factors other than 0 are multiplied to `(number + rest) 2^exponent`,
/// where `rest` is the rounding error of `number`, so that nothing overflows or underflows on the
/// way. Other factors are counted.
#[derive(Clone, Copy)]
struct Factors {
    number: f32,
    rest: f32,
    exponent: i32,
    negative: bool,
    zeros: usize,
    infinities: usize,
    nans: usize,
}

impl Factors {
    fn of(xs: &Group<'_>) -> Self {
        let mut all = Factors {
            number: 1.0,
            rest: 0.0,
            exponent: 0,
            negative: false,
            zeros: 0,
            infinities: 0,
            nans: 0,
        };
        for x in xs.iter() {
            all.negative ^= x.is_sign_negative();
            match Factors::kind(x) {
                Kind::Nan => all.nans += 1,
                Kind::Infinite => all.infinities += 1,
                Kind::Zero => all.zeros += 1,
                Kind::Finite(part, exponent) => all.multiply(part, exponent),
            }
        }
        all
    }

    fn kind(x: f32) -> Kind {
        let a = x.abs();
        if a == 0.0 {
            Kind::Zero
        } else if a < f32::INFINITY {
            let subnormal = a < f32::MIN_POSITIVE;
            let bits = if subnormal { a * 8_388_608.0 } else { a }.to_bits();
            let bias = if subnormal { 150 } else { 127 };
            let part = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
            Kind::Finite(part, (bits >> 23) as i32 - bias)
        } else if a.is_nan() {
            Kind::Nan
        } else {
            Kind::Infinite
        }
    }

    /// Multiplies by `part`, from 1 to 2, times `2^exponent`.
    fn multiply(&mut self, part: f32, exponent: i32) {
        let product = self.number * part;
        // Halves of 12 bits, whose products are exact.
        let half = |x: f32| f32::from_bits(x.to_bits() & 0xffff_f000);
        let (a, b) = (half(self.number), half(part));
        let (a_rest, b_rest) = (self.number - a, part - b);
        let lost = ((a * b - product) + a * b_rest + a_rest * b) + a_rest * b_rest;
        let rest = self.rest * part + lost;
        let halve = product >= 2.0;
        let by = if halve { 0.5 } else { 1.0 };
        (self.number, self.rest) = (product * by, rest * by);
        self.exponent = self.exponent.saturating_add(exponent + i32::from(halve));
    }

    /// The product of all factors.
    fn product(&self) -> f32 {
        self.signed(
            self.negative,
            [self.zeros, self.infinities, self.nans],
            || times_power_of_two(self.number + self.rest, self.exponent),
        )
    }

    /// The product of all factors but `x`, which is one of them.
    fn product_without(&self, x: f32) -> f32 {
        let [mut zeros, mut infinities, mut nans] = [self.zeros, self.infinities, self.nans];
        let mut finite = (1.0, 0);
        match Factors::kind(x) {
            Kind::Zero => zeros = zeros.saturating_sub(1),
            Kind::Infinite => infinities = infinities.saturating_sub(1),
            Kind::Nan => nans = nans.saturating_sub(1),
            Kind::Finite(part, exponent) => finite = (part, exponent),
        }
        let negative = self.negative ^ x.is_sign_negative();
        self.signed(negative, [zeros, infinities, nans], || {
            let exponent = self.exponent.saturating_sub(finite.1);
            times_power_of_two((self.number + self.rest) / finite.0, exponent)
        })
    }

    fn signed(
        &self,
        negative: bool,
        [zeros, infinities, nans]: [usize; 3],
        finite: impl Fn() -> f32,
    ) -> f32 {
        let magnitude = match (zeros, infinities, nans) {
            (0, 0, 0) => finite(),
            (0, _, 0) => f32::INFINITY,
            (_, 0, 0) => 0.0,
            _ => f32::NAN,
        };
        if negative { -magnitude } else { magnitude }
    }
}

enum Kind {
    Zero,
    Infinite,
    Nan,
    /// A number from 1 to 2, and the exponent of the power of two that is its factor.
    Finite(f32, i32),
}

/// x times 2^n for x from 1/2 to 4, rounded once.
fn times_power_of_two(x: f32, n: i32) -> f32 {
    // Beyond these exponents the result is infinite, or 0.
    let n = n.clamp(-200, 200);
    let first = n / 2;
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    x * power(first) * power(n - first)
}

impl<'t> Var<'t> {
    /// The product of all elements; 1 if there are none. It is rounded once, regardless of their
    /// number, and does not overflow on the way: `1e30 * 1e30 * 1e-30` is 1e30, where PyTorch
    /// gives infinity in this order.
    ///
    /// Gradient: the product of all other elements, also where some are 0; NaN at an infinite
    /// element if the product is infinite, as in PyTorch.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[2.0, 0.0, 5.0], [3]);
    /// let product = x.prod();
    /// tape.backward(product)?;
    /// assert_eq!(product.item()?, 0.0);
    /// assert_eq!(*x.grad()?, [0.0, 10.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn prod(self) -> Var<'t> {
        self.prod_axes(&[], false)
    }

    /// Products over dimensions; see [`prod`](Self::prod). The gradient is always the product of
    /// all other elements, also at infinite elements, where PyTorch's is so only if there is a
    /// zero anywhere in `x`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[2.0, 3.0, 4.0, 5.0], [2, 2]);
    /// assert_eq!(*x.prod_axes(&[0], false).value()?, [8.0, 15.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn prod_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        let whole = if axes.is_empty() { 1.0 } else { 0.0 };
        self.over(&Over(ProdOver), whole, axes, keepdim)
    }
}
