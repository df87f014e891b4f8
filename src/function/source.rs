//! Prints a function as Rust or as C99, for firmware that does not link this crate: the same
//! bits.
//!
//! ```
//! use baregrad::function::{models::Line, source::Source};
//!
//! assert_eq!(Source::of::<Line, 1, 2>().rust(), "\
//! /// Line of x, by w, b.
//! pub fn line([x]: [f32; 1], [w, b]: [f32; 2]) -> f32 {
//!     let v0 = w * x;
//!     let v1 = v0 + b;
//!     v1
//! }
//! ");
//! ```
//!
//! The printed source is a trace of the computation: the function runs once over [`Symbol`], a
//! lane type that records each operation, through the same operations and the same
//! [`kernel::math`](crate::kernel::math) as everything else. So no formula is written twice, and
//! derivatives can be printed as well ([`Source::with_gradient`]). Each operation is a line of
//! its own, equal operations share a line, and constants are printed as their bits. As for all
//! of this crate's code, multiplications and additions must not be fused (Rust never fuses them;
//! C compilers do unless told otherwise), and subnormal numbers must not be flushed to 0.
//!
//! (One helper is written a second time, for C: the reduction of angles beyond 8192 multiplies
//! 128-bit integers, which C99 does not have. `tests/source.rs` compares both.)

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

mod c;
mod file;
mod names;
mod plan;
mod rust;
mod symbol;
mod table;

use super::{Function, Jet, Value};
use crate::kernel::Lanes as _;
pub(crate) use file::{File, Head, Scalar};
use names::snake;
use plan::Plan;
use symbol::{Layer, Line, Listing, Operation, write_down};
pub use symbol::{Symbol, SymbolBits, SymbolMask};
pub(crate) use symbol::{call, element, layer};

/// One function, operation by operation.
#[derive(Clone, Debug)]
pub struct Source {
    /// The function's name, printed in snake case.
    name: String,
    /// A sentence about the function, for its comment.
    title: String,
    inputs: Vec<String>,
    /// The names of the parameters that are arguments.
    parameters: Vec<String>,
    form: Form,
    range: Vec<[f32; 2]>,
    lines: Vec<Line>,
    layers: Vec<Layer>,
    /// The line of the value.
    value: u32,
    /// The lines of the derivatives, if the function returns them.
    gradient: Option<Vec<u32>>,
    /// In a function from `f64` to `f64`, the line of the part of the value that `f32` does not
    /// hold.
    rest: Option<u32>,
}

/// How a function takes its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As an array, and the parameters as another one; in C, one argument each.
    Model,
    /// As one argument each.
    OneByOne,
    /// As an array; in C, one argument each.
    Array,
    /// As one argument each, in a function that only its file can call.
    Private,
}

impl Source {
    /// Source of a function's value.
    pub fn of<F: Function<X, P>, const X: usize, const P: usize>() -> Self {
        Self::run::<F, X, P>(parameters(), "", |x, p| (F::lanes(x, p), None))
    }

    /// Source of a function's value and its derivatives with respect to the parameters. In Rust,
    /// it returns a number and an array; in C, it returns the number and writes to an array.
    pub fn with_gradient<F: Function<X, P>, const X: usize, const P: usize>() -> Self {
        Self::run::<F, X, P>(parameters(), ", and its gradient", |x, p| {
            let jet: Jet<Symbol, P> = F::by_parameters(x, p);
            (jet.value(), Some(jet.derivatives().map(|d| d.0).to_vec()))
        })
    }

    /// Source of a fitted curve: the function with `params` as constants, by their bits. It takes
    /// the inputs only, one argument each, and is called `calibrated` unless it is given
    /// [another name](Self::named).
    ///
    /// ```
    /// use baregrad::function::{models::Line, source::Source};
    ///
    /// let source = Source::fitted::<Line, 1, 2>([0.5, -2.0]).range([[0.0, 100.0]]);
    /// assert_eq!(source.rust(), "\
    /// /// Line of x, with w 0.5, b -2.0.
    /// ///
    /// /// Calibrated for x from 0.0 to 100.0. Beyond, it extrapolates.
    /// pub fn calibrated(x: f32) -> f32 {
    ///     let v0 = f32::from_bits(0x3f000000) * x; // 0.5
    ///     let v1 = v0 + f32::from_bits(0xc0000000); // -2.0
    ///     v1
    /// }
    /// ");
    /// assert!(source.c().ends_with("\
    /// float calibrated(float x);
    ///
    /// float calibrated(float x)
    /// {
    ///     const float v0 = 0x1p-1f * x; /* 0.5 */
    ///     const float v1 = v0 + (-0x1p1f); /* -2.0 */
    ///     return v1;
    /// }
    /// "));
    /// ```
    pub fn fitted<F: Function<X, P>, const X: usize, const P: usize>(params: [f32; P]) -> Self {
        let numbers = || params.map(Symbol::splat);
        let source = Self::run::<F, X, P>(numbers, "", |x, p| (F::lanes(x, p), None));
        let with = F::PARAMETERS.iter().zip(params);
        let with: Vec<String> = with.map(|(name, p)| format!("{name} {p:?}")).collect();
        let of = listed(&F::INPUTS);
        Source {
            name: String::from("calibrated"),
            title: format!("{} of {of}, with {}.", F::NAME, listed(&with)),
            parameters: Vec::new(),
            form: Form::OneByOne,
            ..source
        }
    }

    /// Gives the printed function a name; characters that a name cannot hold become `_`.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Source {
            name: String::from(name),
            ..self
        }
    }

    /// Sets the range, from and to, of each input for which the function was calibrated. The
    /// printed function's comment states it.
    #[must_use]
    pub fn range<const X: usize>(self, range: [[f32; 2]; X]) -> Self {
        Source {
            range: range.to_vec(),
            ..self
        }
    }

    fn run<F: Function<X, P>, const X: usize, const P: usize>(
        p: impl FnOnce() -> [Symbol; P],
        and: &str,
        f: impl FnOnce([Symbol; X], [Symbol; P]) -> (Symbol, Option<Vec<u32>>),
    ) -> Self {
        let input = |k| Symbol(write_down(Operation::Input(k), &[]));
        let (listing, (value, gradient)) = Listing::of(|| f(core::array::from_fn(input), p()));
        let (of, by) = (listed(&F::INPUTS), listed(&F::PARAMETERS));
        Source {
            gradient,
            parameters: F::PARAMETERS.map(String::from).to_vec(),
            form: Form::Model,
            ..Self::new(
                F::NAME,
                format!("{} of {of}, by {by}{and}.", F::NAME),
                F::INPUTS.map(String::from).to_vec(),
                listing,
                value,
            )
        }
    }

    /// A function of inputs alone, with `value` as its result.
    fn new(
        name: &str,
        title: String,
        inputs: Vec<String>,
        listing: Listing,
        value: Symbol,
    ) -> Self {
        let Listing { lines, layers, .. } = listing;
        Source {
            name: String::from(name),
            title,
            inputs,
            parameters: Vec::new(),
            form: Form::OneByOne,
            range: Vec::new(),
            lines,
            layers,
            value: value.0,
            gradient: None,
            rest: None,
        }
    }

    /// The body of a loop, as a function of variables with these names.
    fn body<const X: usize>(
        names: [&str; X],
        f: impl FnOnce([Value<Symbol>; X]) -> Value<Symbol>,
    ) -> Self {
        let input = |k| Value::constant(Symbol(write_down(Operation::Input(k), &[])));
        let (listing, value) = Listing::of(|| f(core::array::from_fn(input)));
        let names = names.map(String::from).to_vec();
        Self::new("", String::new(), names, listing, value.value())
    }

    /// Prints the function in Rust. It needs nothing but `core`.
    pub fn rust(&self) -> String {
        let mut text = rust::comment(self);
        text.push_str(&rust::function(&Plan::new(self, &[], &[])));
        text
    }

    /// Prints the function in C99, with the same bits. It needs nothing but the headers `float.h`
    /// and `stdint.h`; if it takes square roots and the compiler is neither GCC nor Clang, also
    /// `math.h`. The arguments are the inputs, then the parameters, if there are any, each a
    /// `float`.
    ///
    /// The compiler must not fuse multiplications and additions (`-ffp-contract=off`). The
    /// printed source stops it if it is called with `-ffast-math`, or does not compute `float` in
    /// `float`. A square root is an instruction if the CPU has one and `-fno-math-errno` is
    /// given, otherwise a call of the C library.
    pub fn c(&self) -> String {
        let name = self.function_name();
        let plan = Plan::new(self, &[], &[]);
        c::print(&plan.comment(), &[], core::slice::from_ref(&plan), &name)
    }

    /// The name of the printed function: `steinhart_hart` for `SteinhartHart`.
    pub fn function_name(&self) -> String {
        snake(&self.name)
    }

    fn line(&self, k: u32) -> Line {
        self.lines.get(k as usize).copied().unwrap_or(Line {
            operation: Operation::Number(f32::NAN.to_bits()),
            operands: [0; 3],
        })
    }
}

/// Makes symbols of parameters that are arguments.
fn parameters<const P: usize>() -> impl FnOnce() -> [Symbol; P] {
    || core::array::from_fn(|k| Symbol(write_down(Operation::Parameter(k), &[])))
}

/// The names separated by commas, or "nothing" if there are none.
fn listed(names: &[impl ToString]) -> String {
    if names.is_empty() {
        return String::from("nothing");
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
