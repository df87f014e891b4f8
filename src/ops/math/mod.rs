//! Powers, roots, exponentials and trigonometry: a file for each of these families.

mod exponential;
mod power;
mod trigonometry;

pub use exponential::{Erf, Exp, ExpM1, Ln, Ln1p, Log2, Log10};
pub use power::{Abs, Pow, Powf, Powi, Reciprocal, Rsqrt, Sign, Sqrt, Square};
pub use trigonometry::{Acos, Asin, Atan, Atan2, Cos, Sin, Tan};

use super::{Domain, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("square", |x, _| x.square()),
    Entry::each("sqrt", |x, _| x.sqrt()).on(Domain::Positive),
    Entry::each("powi", |x, args| x.powi(args.n)),
    Entry::each("powf", |x, args| x.powf(args.p)).on(Domain::Positive),
    Entry::each("exp", |x, _| x.exp()),
    Entry::each("log", |x, _| x.ln()).on(Domain::Positive),
    Entry::each("abs", |x, _| x.abs()),
    Entry::each("sin", |x, _| x.sin()),
    Entry::each("cos", |x, _| x.cos()),
    Entry::each("atan", |x, _| x.atan()),
    Entry::each("expm1", |x, _| x.exp_m1()),
    Entry::each("erf", |x, _| x.erf()),
    Entry::pair("pow", |x, y, _| x.pow(y)).on(Domain::Positive),
    Entry::each("log10", |x, _| x.log10()).on(Domain::Positive),
    Entry::each("log2", |x, _| x.log2()).on(Domain::Positive),
    Entry::each("log1p", |x, _| x.ln_1p()).on(Domain::Positive),
    Entry::each("rsqrt", |x, _| x.rsqrt()).on(Domain::Positive),
    Entry::each("reciprocal", |x, _| x.reciprocal()),
    Entry::each("sign", |x, _| x.sign()),
    Entry::each("tan", |x, _| x.tan()).on(Domain::Probability),
    Entry::each("asin", |x, _| x.asin()).on(Domain::Probability),
    Entry::each("acos", |x, _| x.acos()).on(Domain::Probability),
    Entry::pair("atan2", |y, x, _| y.atan2(x)),
];
