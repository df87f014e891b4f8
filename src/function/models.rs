//! The usual models of sensors, and the list of all of them.

use super::{Function, Real, chebyshev, horner};
use crate::function;

function! {
    /// A straight line, `w x + b`: a thermometer without units.
    pub fn Line([x], [w, b]) { w * x + b }
}

/// A polynomial of degree `N - 1`, from the constant up: `a0 + a1 x + a2 x² + …`.
#[derive(Clone, Copy, Debug)]
pub struct Polynomial<const N: usize>;

/// A polynomial of degree 2.
pub type Quadratic = Polynomial<3>;

/// A polynomial of degree 3.
pub type Cubic = Polynomial<4>;

impl<const N: usize> Function<1, N> for Polynomial<N> {
    const NAME: &'static str = match N {
        3 => "Quadratic",
        4 => "Cubic",
        _ => "Polynomial",
    };
    const INPUTS: [&'static str; 1] = ["x"];
    const PARAMETERS: [&'static str; N] = numbered();

    #[inline(always)]
    fn eval<S: Real>([x]: [S; 1], a: [S; N]) -> S {
        horner(x, a)
    }
}

/// A sum of the first `N` Chebyshev polynomials, of degree `N - 1`:
/// `a0 T₀(x) + a1 T₁(x) + …`, for `x` from -1 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Chebyshev<const N: usize>;

impl<const N: usize> Function<1, N> for Chebyshev<N> {
    const NAME: &'static str = "Chebyshev";
    const INPUTS: [&'static str; 1] = ["x"];
    const PARAMETERS: [&'static str; N] = numbered();

    #[inline(always)]
    fn eval<S: Real>([x]: [S; 1], a: [S; N]) -> S {
        chebyshev(x, a)
    }
}

/// The names of `N` coefficients. It is evaluated at compile time only, so its panic is a
/// compile error.
#[allow(clippy::panic)]
const fn numbered<const N: usize>() -> [&'static str; N] {
    const NAMES: [&str; 32] = [
        "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12", "a13",
        "a14", "a15", "a16", "a17", "a18", "a19", "a20", "a21", "a22", "a23", "a24", "a25", "a26",
        "a27", "a28", "a29", "a30", "a31",
    ];
    match NAMES.first_chunk() {
        Some(names) => *names,
        None => panic!("a polynomial has at most 32 coefficients"),
    }
}

function! {
    /// The temperature in °C of a thermistor of resistance `r`, by the Steinhart–Hart equation:
    /// `1 / T = a + b ln r + c ln³ r`, with `T` in kelvins.
    pub fn SteinhartHart([r], [a, b, c]) {
        let ln = r.ln();
        1.0 / (a + ln * (b + c * (ln * ln))) - 273.15
    }
}

function! {
    /// Exponential decay or growth towards `c`: `a e^(b x) + c`.
    pub fn Exponential([x], [a, b, c]) { a * (b * x).exp() + c }
}

function! {
    /// A power law, `a xᵇ`, for positive `x`: light on a photoresistor.
    pub fn Power([x], [a, b]) { a * x.pow(b) }
}

function! {
    /// Logistic growth from 0 to `a`, which is at `a / 2` for `x = c`: `a / (1 + e^(-b (x - c)))`.
    pub fn Logistic([x], [a, b, c]) { a * (b * (x - c)).sigmoid() }
}

function! {
    /// Two peaks of heights `a` and `d`, at `b` and `e`, of widths `c` and `f`:
    /// `a e^-((x - b) / c)² + d e^-((x - e) / f)²`.
    pub fn TwoGaussians([x], [a, b, c, d, e, f]) {
        let first = (-((x - b) / c).square()).exp();
        let second = (-((x - e) / f).square()).exp();
        a * first + d * second
    }
}

function! {
    /// A soft step of height `π a` at `c`: `a atan(b (x - c)) + d`.
    pub fn Arctangent([x], [a, b, c, d]) { a * (b * (x - c)).atan() + d }
}

function! {
    /// A calibration of magnetometers: `|m - c|² - r²`, which is 0 if the reading `m` is on the
    /// sphere of centre `c` and radius `r`. Fit it to a target of 0.
    pub fn Sphere([mx, my, mz], [cx, cy, cz, r]) {
        let (x, y, z) = (mx - cx, my - cy, mz - cz);
        ((x * x + y * y) + z * z) - r * r
    }
}

function! {
    /// A calibration of magnetometers: `|A (m - c)| - 1`, which is 0 if the reading `m` is on an
    /// ellipsoid of centre `c`. The diagonal of the symmetric matrix `A` scales the axes, its
    /// other elements correct their cross-coupling. Fit it to a target of 0.
    pub fn Ellipsoid([mx, my, mz], [cx, cy, cz, axx, ayy, azz, axy, axz, ayz]) {
        let (x, y, z) = (mx - cx, my - cy, mz - cz);
        let u = axx * x + axy * y + axz * z;
        let v = axy * x + ayy * y + ayz * z;
        let w = axz * x + ayz * y + azz * z;
        ((u * u + v * v) + w * w).sqrt() - 1.0
    }
}

function! {
    /// Two lines that meet at the point `(knee, c)`, with slope `a` below it and `b` above.
    pub fn Piecewise([x], [a, b, knee, c]) {
        let d = x - knee;
        (a * d).where_(x.lt(knee), b * d) + c
    }
}

/// A visitor of the models that [`visit`] lists.
pub trait Visitor {
    /// Visits one model.
    ///
    /// `x` and `p` are ranges, from and to, of inputs and parameters for which the model is
    /// defined and differentiable.
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        model: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    );
}

/// Visits every model, with ranges of its inputs and parameters. This is the list of models.
pub fn visit(all: &mut impl Visitor) {
    const UNIT: [f32; 2] = [-1.0, 1.0];
    const POSITIVE: [f32; 2] = [0.5, 2.0];
    all.visit(Line, [UNIT], [UNIT; 2]);
    all.visit(Polynomial::<3>, [UNIT], [UNIT; 3]);
    all.visit(Polynomial::<4>, [UNIT], [UNIT; 4]);
    all.visit(Chebyshev::<6>, [UNIT], [UNIT; 6]);
    let steinhart_hart = [[1e-3, 1.2e-3], [2.2e-4, 2.6e-4], [8e-8, 1.2e-7]];
    all.visit(SteinhartHart, [[1e3, 1e5]], steinhart_hart);
    all.visit(Exponential, [UNIT], [UNIT; 3]);
    all.visit(Power, [POSITIVE], [POSITIVE, UNIT]);
    all.visit(Logistic, [[-2.0, 2.0]], [POSITIVE, POSITIVE, UNIT]);
    let gaussian = [POSITIVE, UNIT, POSITIVE];
    let [a, b, c] = gaussian;
    all.visit(TwoGaussians, [[-2.0, 2.0]], [a, b, c, a, b, c]);
    all.visit(Arctangent, [[-2.0, 2.0]], [POSITIVE, POSITIVE, UNIT, UNIT]);
    all.visit(
        Sphere,
        [UNIT; 3],
        [[-0.1, 0.1], [-0.1, 0.1], [-0.1, 0.1], POSITIVE],
    );
    let (center, diagonal, rest) = ([-0.1, 0.1], [0.8, 1.2], [-0.1, 0.1]);
    let corrections = [
        center, center, center, diagonal, diagonal, diagonal, rest, rest, rest,
    ];
    all.visit(Ellipsoid, [[0.5, 1.0], UNIT, UNIT], corrections);
    all.visit(Piecewise, [UNIT], [UNIT, UNIT, [-0.1, 0.1], UNIT]);
}
