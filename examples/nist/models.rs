//! The models of NIST's nonlinear sets, by the names of the sets.

use baregrad::function;
use baregrad::function::Function;

const TAU: f32 = core::f32::consts::TAU;

function! { pub(crate) fn Misra1a([x], [b1, b2]) { b1 * (1.0 - (-b2 * x).exp()) } }
function! { pub(crate) fn Chwirut([x], [b1, b2, b3]) { (-b1 * x).exp() / (b2 + b3 * x) } }
function! {
    pub(crate) fn Lanczos([x], [b1, b2, b3, b4, b5, b6]) {
        b1 * (-b2 * x).exp() + b3 * (-b4 * x).exp() + b5 * (-b6 * x).exp()
    }
}
function! {
    pub(crate) fn Gauss([x], [b1, b2, b3, b4, b5, b6, b7, b8]) {
        let peak = |height: S, at: S, width: S| height * (-((x - at) / width).square()).exp();
        b1 * (-b2 * x).exp() + peak(b3, b4, b5) + peak(b6, b7, b8)
    }
}
function! { pub(crate) fn DanWood([x], [b1, b2]) { b1 * x.pow(b2) } }
function! { pub(crate) fn Misra1b([x], [b1, b2]) { b1 * (1.0 - (1.0 + 0.5 * (b2 * x)).powi(-2)) } }
function! { pub(crate) fn Misra1c([x], [b1, b2]) { b1 * (1.0 - 1.0 / (1.0 + 2.0 * (b2 * x)).sqrt()) } }
function! { pub(crate) fn Misra1d([x], [b1, b2]) { b1 * (b2 * x) / (1.0 + b2 * x) } }
function! {
    pub(crate) fn Kirby2([x], [b1, b2, b3, b4, b5]) {
        (b1 + x * (b2 + x * b3)) / (1.0 + x * (b4 + x * b5))
    }
}
function! {
    pub(crate) fn Cubics([x], [b1, b2, b3, b4, b5, b6, b7]) {
        (b1 + x * (b2 + x * (b3 + x * b4))) / (1.0 + x * (b5 + x * (b6 + x * b7)))
    }
}
// Nelson's observations are taken as logarithms.
function! { pub(crate) fn Nelson([x1, x2], [b1, b2, b3]) { b1 - b2 * x1 * (-b3 * x2).exp() } }
function! {
    pub(crate) fn Mgh17([x], [b1, b2, b3, b4, b5]) {
        b1 + b2 * (-x * b4).exp() + b3 * (-x * b5).exp()
    }
}
function! {
    pub(crate) fn Roszman1([x], [b1, b2, b3, b4]) {
        b1 - b2 * x - (b3 / (x - b4)).atan() / core::f32::consts::PI
    }
}
function! {
    pub(crate) fn Enso([x], [b1, b2, b3, b4, b5, b6, b7, b8, b9]) {
        let year = TAU * x / 12.0;
        let (first, second) = (TAU * x / b4, TAU * x / b7);
        b1 + b2 * year.cos() + b3 * year.sin()
            + b5 * first.cos() + b6 * first.sin()
            + b8 * second.cos() + b9 * second.sin()
    }
}
function! {
    pub(crate) fn Mgh09([x], [b1, b2, b3, b4]) {
        b1 * (x * (x + b2)) / (x * (x + b3) + b4)
    }
}
function! { pub(crate) fn Rat42([x], [b1, b2, b3]) { b1 / (1.0 + (b2 - b3 * x).exp()) } }
function! { pub(crate) fn Mgh10([x], [b1, b2, b3]) { b1 * (b2 / (x + b3)).exp() } }
function! {
    pub(crate) fn Eckerle4([x], [b1, b2, b3]) {
        b1 / b2 * (-0.5 * ((x - b3) / b2).square()).exp()
    }
}
function! {
    pub(crate) fn Rat43([x], [b1, b2, b3, b4]) {
        b1 / (1.0 + (b2 - b3 * x).exp()).pow(1.0 / b4)
    }
}
function! { pub(crate) fn Bennett5([x], [b1, b2, b3]) { b1 * (b2 + x).pow(-(1.0 / b3)) } }

/// A generic closure over models.
pub(crate) trait Use {
    type Output;
    fn call<F: Function<X, P>, const X: usize, const P: usize>(self, model: F) -> Self::Output;
}

/// Calls `with` with the model of a set, if the set is known.
pub(crate) fn by_name<U: Use>(name: &str, with: U) -> Option<U::Output> {
    Some(match name {
        "Misra1a" | "BoxBOD" => with.call(Misra1a),
        "Chwirut1" | "Chwirut2" => with.call(Chwirut),
        "Lanczos1" | "Lanczos2" | "Lanczos3" => with.call(Lanczos),
        "Gauss1" | "Gauss2" | "Gauss3" => with.call(Gauss),
        "DanWood" | "Danwood" => with.call(DanWood),
        "Misra1b" => with.call(Misra1b),
        "Misra1c" => with.call(Misra1c),
        "Misra1d" => with.call(Misra1d),
        "Kirby2" => with.call(Kirby2),
        "Hahn1" | "Thurber" => with.call(Cubics),
        "Nelson" => with.call(Nelson),
        "MGH17" => with.call(Mgh17),
        "Roszman1" => with.call(Roszman1),
        "ENSO" => with.call(Enso),
        "MGH09" => with.call(Mgh09),
        "Rat42" => with.call(Rat42),
        "MGH10" => with.call(Mgh10),
        "Eckerle4" => with.call(Eckerle4),
        "Rat43" => with.call(Rat43),
        "Bennett5" => with.call(Bennett5),
        _ => return None,
    })
}
