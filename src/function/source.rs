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
//! The printed source is the computation itself: the function runs once over a [`Symbol`], lanes that
//! write each operation down, through the same operations and the same
//! [`kernel::math`](crate::kernel::math) as everything else. So no formula stands in two
//! places, and derivatives come out as well ([`Source::with_gradient`]). Each operation is a
//! line of its own, equal ones are one line, and constants are printed as their bits. What
//! must not happen to it is what must not happen to any of this crate's code: multiplications
//! and additions fused (which Rust never does, and C compilers do unless told), or subnormal
//! numbers flushed to 0.
//!
//! (One helper is written for C a second time: the reduction of angles beyond 8192 multiplies
//! 128 bits, which C99 does not have. `tests/source.rs` compares both.)

use core::cell::RefCell;
use core::ops::{Add, Div, Mul, Neg, Sub};
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;
use std::{format, thread_local};

mod c;
mod rust;

use super::{Function, Jet};
use crate::kernel::{Bits, Lanes, Mask};

/// One function, operation by operation.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name that it is printed with, and the model's.
    name: String,
    title: &'static str,
    inputs: Vec<&'static str>,
    parameters: Vec<&'static str>,
    /// The parameters, if they are numbers.
    fitted: Option<Vec<f32>>,
    range: Vec<[f32; 2]>,
    lines: Vec<Line>,
    /// The value, and with a gradient the derivatives.
    value: u32,
    gradient: Option<Vec<u32>>,
}

/// An operation and the lines of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Line {
    operation: Operation,
    operands: [u32; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    /// A number, by its bits.
    Number(u32),
    Word(u32),
    Input(usize),
    Parameter(usize),
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Sqrt,
    Abs,
    Less,
    LessOrEqual,
    Equal,
    Select,
    /// A function of one number, printed with what calls it.
    Call(&'static str),
    ToBits,
    FromBits,
    WordAdd,
    WordSubtract,
    And,
    Or,
    Xor,
    ShiftLeft(u32),
    ShiftRight(u32),
    MaskAnd,
    MaskOr,
    MaskNot,
}

/// The listing that is being written.
#[derive(Default)]
struct Listing {
    lines: Vec<Line>,
    known: HashMap<Line, u32>,
}

thread_local! {
    /// Symbols are made of nothing, as lanes are, and so find their listing here.
    static LISTING: RefCell<Listing> = RefCell::default();
}

fn write_down(operation: Operation, operands: &[u32]) -> u32 {
    let mut line = Line {
        operation,
        operands: [0; 3],
    };
    for (to, operand) in line.operands.iter_mut().zip(operands) {
        *to = *operand;
    }
    LISTING.with_borrow_mut(|listing| {
        let Listing { lines, known } = listing;
        *known.entry(line).or_insert_with(|| {
            lines.push(line);
            lines.len() as u32 - 1
        })
    })
}

/// Lanes that write down what is done with them.
///
/// Made by [`Source`]; beside it they are of no use.
#[derive(Clone, Copy, Debug)]
pub struct Symbol(u32);

/// The bits of a [`Symbol`].
#[derive(Clone, Copy, Debug)]
pub struct SymbolBits(u32);

/// A comparison of [`Symbol`]s.
#[derive(Clone, Copy, Debug)]
pub struct SymbolMask(u32);

macro_rules! arithmetic {
    ($($Trait:ident $method:ident $operation:ident),*) => {$(
        impl $Trait for Symbol {
            type Output = Self;
            fn $method(self, rhs: Self) -> Self {
                Symbol(write_down(Operation::$operation, &[self.0, rhs.0]))
            }
        }
    )*};
}
arithmetic!(Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide);

impl Neg for Symbol {
    type Output = Self;
    fn neg(self) -> Self {
        Symbol(write_down(Operation::Negate, &[self.0]))
    }
}

impl crate::kernel::SealedLanes for Symbol {}

impl Lanes for Symbol {
    type Array = [f32; 1];
    type Bits = SymbolBits;
    type Mask = SymbolMask;

    const LEN: usize = 1;
    const REGISTERS: usize = 16;

    fn splat(x: f32) -> Self {
        Symbol(write_down(Operation::Number(x.to_bits()), &[]))
    }
    fn chunks(xs: &[f32]) -> (&[[f32; 1]], &[f32]) {
        xs.as_chunks()
    }
    fn chunks_mut(xs: &mut [f32]) -> (&mut [[f32; 1]], &mut [f32]) {
        xs.as_chunks_mut()
    }
    fn load(&[x]: &[f32; 1]) -> Self {
        Self::splat(x)
    }
    /// Stores NaN: a symbol has no value.
    fn store(self, to: &mut [f32; 1]) {
        *to = [f32::NAN];
    }
    fn load_part(xs: &[f32], pad: f32) -> Self {
        Self::splat(xs.first().copied().unwrap_or(pad))
    }
    /// Stores NaN: a symbol has no value.
    fn store_part(self, to: &mut [f32]) {
        if let Some(to) = to.first_mut() {
            *to = f32::NAN;
        }
    }
    fn sqrt(self) -> Self {
        Symbol(write_down(Operation::Sqrt, &[self.0]))
    }
    fn abs(self) -> Self {
        Symbol(write_down(Operation::Abs, &[self.0]))
    }
    fn lt(self, rhs: Self) -> SymbolMask {
        SymbolMask(write_down(Operation::Less, &[self.0, rhs.0]))
    }
    fn le(self, rhs: Self) -> SymbolMask {
        SymbolMask(write_down(Operation::LessOrEqual, &[self.0, rhs.0]))
    }
    fn eq(self, rhs: Self) -> SymbolMask {
        SymbolMask(write_down(Operation::Equal, &[self.0, rhs.0]))
    }
    /// A call of a function that has no name, which will not compile.
    fn map(self, _: impl Fn(f32) -> f32) -> Self {
        Symbol(write_down(Operation::Call("unnamed"), &[self.0]))
    }
    fn map_named(self, name: &'static str, _: impl Fn(f32) -> f32) -> Self {
        Symbol(write_down(Operation::Call(name), &[self.0]))
    }
    fn select(mask: SymbolMask, yes: Self, no: Self) -> Self {
        Symbol(write_down(Operation::Select, &[mask.0, yes.0, no.0]))
    }
    fn to_bits(self) -> SymbolBits {
        SymbolBits(write_down(Operation::ToBits, &[self.0]))
    }
    fn from_bits(bits: SymbolBits) -> Self {
        Symbol(write_down(Operation::FromBits, &[bits.0]))
    }
}

impl Bits for SymbolBits {
    fn splat(x: u32) -> Self {
        SymbolBits(write_down(Operation::Word(x), &[]))
    }
    fn add(self, rhs: Self) -> Self {
        SymbolBits(write_down(Operation::WordAdd, &[self.0, rhs.0]))
    }
    fn sub(self, rhs: Self) -> Self {
        SymbolBits(write_down(Operation::WordSubtract, &[self.0, rhs.0]))
    }
    fn and(self, rhs: Self) -> Self {
        SymbolBits(write_down(Operation::And, &[self.0, rhs.0]))
    }
    fn or(self, rhs: Self) -> Self {
        SymbolBits(write_down(Operation::Or, &[self.0, rhs.0]))
    }
    fn xor(self, rhs: Self) -> Self {
        SymbolBits(write_down(Operation::Xor, &[self.0, rhs.0]))
    }
    fn shl<const N: u32>(self) -> Self {
        SymbolBits(write_down(Operation::ShiftLeft(N), &[self.0]))
    }
    fn shr<const N: u32>(self) -> Self {
        SymbolBits(write_down(Operation::ShiftRight(N), &[self.0]))
    }
}

impl Mask for SymbolMask {
    fn and(self, rhs: Self) -> Self {
        SymbolMask(write_down(Operation::MaskAnd, &[self.0, rhs.0]))
    }
    fn or(self, rhs: Self) -> Self {
        SymbolMask(write_down(Operation::MaskOr, &[self.0, rhs.0]))
    }
    fn not(self) -> Self {
        SymbolMask(write_down(Operation::MaskNot, &[self.0]))
    }
    /// Nobody knows. What it guards is chosen lane by lane all the same.
    fn any(self) -> bool {
        true
    }
}

impl Source {
    /// The function's value.
    pub fn of<F: Function<X, P>, const X: usize, const P: usize>() -> Self {
        Self::run::<F, X, P>(parameters(), |x, p| (F::lanes(x, p), None))
    }

    /// The function's value and its derivatives by the parameters: a pair of a number and an
    /// array, in C a number, and an array that is written to.
    pub fn with_gradient<F: Function<X, P>, const X: usize, const P: usize>() -> Self {
        Self::run::<F, X, P>(parameters(), |x, p| {
            let jet: Jet<Symbol, P> = F::by_parameters(x, p);
            (jet.value(), Some(jet.derivatives().map(|d| d.0).to_vec()))
        })
    }

    /// The function with these parameters, by their bits: a fitted curve, which takes nothing
    /// but inputs, one by one, and is called `calibrated`, unless it is given
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
        let mut source = Self::run::<F, X, P>(numbers, |x, p| (F::lanes(x, p), None));
        source.title = F::NAME;
        source.name = String::from("calibrated");
        source.fitted = Some(params.to_vec());
        source
    }

    /// Gives the printed function a name; what a name cannot hold becomes `_`.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Source {
            name: String::from(name),
            ..self
        }
    }

    /// Tells for which inputs the function was calibrated, in a comment of what is printed:
    /// from and to for each.
    #[must_use]
    pub fn range<const X: usize>(self, range: [[f32; 2]; X]) -> Self {
        Source {
            range: range.to_vec(),
            ..self
        }
    }

    fn run<F: Function<X, P>, const X: usize, const P: usize>(
        p: impl FnOnce() -> [Symbol; P],
        f: impl FnOnce([Symbol; X], [Symbol; P]) -> (Symbol, Option<Vec<u32>>),
    ) -> Self {
        // A function that prints another one goes on with its own listing afterwards.
        let outer = LISTING.take();
        let input = |k| Symbol(write_down(Operation::Input(k), &[]));
        let (value, gradient) = f(core::array::from_fn(input), p());
        let Listing { lines, .. } = LISTING.replace(outer);
        Source {
            name: String::from(F::NAME),
            title: F::NAME,
            inputs: F::INPUTS.to_vec(),
            parameters: F::PARAMETERS.to_vec(),
            fitted: None,
            range: Vec::new(),
            lines,
            value: value.0,
            gradient,
        }
    }

    /// As Rust: one function, which needs nothing but `core`.
    pub fn rust(&self) -> String {
        rust::print(self)
    }

    /// As C99: one function with the same bits, which needs nothing but the headers `float.h`
    /// and `stdint.h`; where it takes square roots, also `math.h`, unless GCC or Clang compile
    /// it. Inputs come first, then parameters, if there are any, each a `float`.
    ///
    /// The compiler must not fuse multiplications and additions (`-ffp-contract=off`), must not
    /// be told `-ffast-math`, which the text refuses, and must compute `float` in `float`, which
    /// it checks. Square roots are an instruction where the CPU has one and `-fno-math-errno`
    /// says that nobody asks for `errno`; elsewhere the C library's.
    pub fn c(&self) -> String {
        c::print(self)
    }

    /// The name of the function that [`rust`](Self::rust) prints: `steinhart_hart` of
    /// `SteinhartHart`.
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

/// Parameters that are arguments.
fn parameters<const P: usize>() -> impl FnOnce() -> [Symbol; P] {
    || core::array::from_fn(|k| Symbol(write_down(Operation::Parameter(k), &[])))
}

/// The lines and names of a [`Source`] that are printed, in any language.
struct Plan<'a> {
    source: &'a Source,
    /// Names of arguments; none for parameters that are numbers.
    inputs: Vec<String>,
    parameters: Vec<String>,
    /// By line: whether the result needs it, and its number among those printed.
    needed: Vec<bool>,
    numbers: Vec<usize>,
}

impl<'a> Plan<'a> {
    fn new(source: &'a Source) -> Self {
        let mut taken = Vec::new();
        let mut names = |of: &[&str], otherwise: &str| {
            let names = of.iter().enumerate();
            let names = names.map(|(k, name)| {
                let name = if is_name(name) && !taken.contains(&String::from(*name)) {
                    String::from(*name)
                } else {
                    format!("{otherwise}{k}")
                };
                taken.push(name.clone());
                name
            });
            names.collect::<Vec<_>>()
        };
        let inputs = names(&source.inputs, "x");
        let parameters = match source.fitted {
            Some(_) => Vec::new(),
            None => names(&source.parameters, "p"),
        };

        // From the results backwards: operands stand before what they are operands of.
        let mut needed: Vec<bool> = source.lines.iter().map(|_| false).collect();
        let results = source.gradient.iter().flatten().chain([&source.value]);
        let mut need = |k: u32| {
            if let Some(needed) = needed.get_mut(k as usize) {
                *needed = true;
            }
        };
        results.for_each(|k| need(*k));
        for k in (0..source.lines.len()).rev() {
            if needed.get(k) == Some(&true) {
                let line = source.line(k as u32);
                for operand in line.operands.iter().take(line.operation.operands()) {
                    if let Some(needed) = needed.get_mut(*operand as usize) {
                        *needed = true;
                    }
                }
            }
        }
        let mut count = 0;
        let numbers = source.lines.iter().zip(&needed).map(|(line, needed)| {
            let number = count;
            count += usize::from(*needed && !line.operation.is_inline());
            number
        });
        Plan {
            source,
            inputs,
            parameters,
            numbers: numbers.collect(),
            needed,
        }
    }

    /// The function's name, inputs and parameters, for a comment that they do not end.
    fn title(&self) -> String {
        self.words().replace("*/", "* /").replace('\n', " ")
    }

    fn words(&self) -> String {
        let source = self.source;
        let listed = |names: &[&str]| {
            if names.is_empty() {
                String::from("nothing")
            } else {
                names.join(", ")
            }
        };
        let (name, of) = (source.title, listed(&source.inputs));
        if let Some(numbers) = &source.fitted {
            let numbers = source.parameters.iter().zip(numbers);
            let numbers: Vec<_> = numbers.map(|(name, x)| format!("{name} {x:?}")).collect();
            let with = numbers.iter().map(String::as_str).collect::<Vec<_>>();
            return format!("{name} of {of}, with {}.", listed(&with));
        }
        let by = listed(&source.parameters);
        let gradient = if source.gradient.is_some() {
            ", and its gradient"
        } else {
            ""
        };
        format!("{name} of {of}, by {by}{gradient}.")
    }

    /// For which inputs it was calibrated: a paragraph, if that is known.
    fn ranges(&self) -> Vec<String> {
        if self.source.range.is_empty() {
            return Vec::new();
        }
        let ranges = self.source.inputs.iter().zip(&self.source.range);
        let ranges = ranges.map(|(name, [from, to])| format!("{name} from {from:?} to {to:?}"));
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        let text = format!("Calibrated for {ranges}. Beyond, it extrapolates.");
        std::vec![String::new(), text]
    }

    /// Arguments that nothing needs.
    fn idle(&self) -> impl Iterator<Item = &str> {
        let is_needed = |operation| {
            let mut lines = self.source.lines.iter().zip(&self.needed);
            lines.any(|(line, needed)| *needed && line.operation == operation)
        };
        let inputs = self.inputs.iter().enumerate();
        let inputs = inputs.filter(move |(k, _)| !is_needed(Operation::Input(*k)));
        let parameters = self.parameters.iter().enumerate();
        let parameters = parameters.filter(move |(k, _)| !is_needed(Operation::Parameter(*k)));
        inputs.chain(parameters).map(|(_, name)| name.as_str())
    }

    fn gradient(&self) -> &[u32] {
        self.source.gradient.as_deref().unwrap_or_default()
    }

    /// Whether an operation is printed as a line of its own.
    fn has_line(&self, k: usize) -> bool {
        let line = self.source.line(k as u32);
        self.needed.get(k) == Some(&true) && !line.operation.is_inline()
    }

    /// A line by its name, or the line itself if it has none.
    fn name(&self, k: u32) -> Result<String, Line> {
        let line = self.source.line(k);
        if line.operation.is_inline() {
            return Err(line);
        }
        let number = self.numbers.get(k as usize).copied().unwrap_or(0);
        Ok(format!("v{number}"))
    }

    fn nth(names: &[String], k: usize) -> String {
        names.get(k).cloned().unwrap_or_default()
    }

    /// The numbers among a line's operands, in decimal.
    fn decimals(&self, line: Line) -> String {
        let operands = line.operands.iter().take(line.operation.operands());
        let numbers = operands.filter_map(|k| match self.source.line(*k).operation {
            Operation::Number(bits) => Some(format!("{:?}", f32::from_bits(bits))),
            _ => None,
        });
        numbers.collect::<Vec<_>>().join(", ")
    }
}

impl Operation {
    /// How many operands it has.
    fn operands(self) -> usize {
        match self {
            Operation::Number(_)
            | Operation::Word(_)
            | Operation::Input(_)
            | Operation::Parameter(_) => 0,
            Operation::Negate
            | Operation::Sqrt
            | Operation::Abs
            | Operation::Call(_)
            | Operation::ToBits
            | Operation::FromBits
            | Operation::ShiftLeft(_)
            | Operation::ShiftRight(_)
            | Operation::MaskNot => 1,
            Operation::Select => 3,
            _ => 2,
        }
    }

    /// Has no line of its own: a leaf, or a call, which is only made where it is chosen.
    fn is_inline(self) -> bool {
        self.operands() == 0 || matches!(self, Operation::Call(_))
    }
}

/// Whether a name can be that of an argument, in Rust and in C, beside those given to lines.
fn is_name(name: &str) -> bool {
    const RESERVED: &str = " _ as async auto await bool box break case char const continue crate default do \
        double dyn else enum extern f32 false final float fn for gen goto if impl in inline int let \
        long loop macro match mod move mut override priv pub ref register restrict return self Self \
        short signed sizeof sqrt static struct super switch trait true try type typedef typeof u32 \
        union unsafe unsigned unsized use virtual void volatile where while yield ";
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let all_well = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let numbered = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    };
    let reserved = RESERVED.contains(&format!(" {name} "));
    starts_well
        && all_well
        && !reserved
        && !['v', 'x', 'p']
            .into_iter()
            .any(|c| numbered(c) && name.len() > 1)
}

/// `SteinhartHart` as `steinhart_hart`; what a name cannot hold as `_`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        let c = if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        };
        snake.push(c);
    }
    if is_name(&snake) {
        snake
    } else {
        format!("f_{snake}")
    }
}
