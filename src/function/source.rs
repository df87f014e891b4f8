//! Prints a function as Rust, for firmware that does not link this crate: the same bits.
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
//! and additions fused (which Rust never does), or subnormal numbers flushed to 0.

use core::cell::RefCell;
use core::fmt::Write as _;
use core::ops::{Add, Div, Mul, Neg, Sub};
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;
use std::{format, thread_local};

use super::{Function, Jet};
use crate::kernel::{Bits, Lanes, Mask};

/// One function, operation by operation.
#[derive(Clone, Debug)]
pub struct Source {
    name: &'static str,
    inputs: Vec<&'static str>,
    parameters: Vec<&'static str>,
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
        Self::run::<F, X, P>(|x, p| (F::lanes(x, p), None))
    }

    /// The function's value and its derivatives by the parameters: a pair of a number and an
    /// array.
    pub fn with_gradient<F: Function<X, P>, const X: usize, const P: usize>() -> Self {
        Self::run::<F, X, P>(|x, p| {
            let jet: Jet<Symbol, P> = F::by_parameters(x, p);
            (jet.value(), Some(jet.derivatives().map(|d| d.0).to_vec()))
        })
    }

    fn run<F: Function<X, P>, const X: usize, const P: usize>(
        f: impl FnOnce([Symbol; X], [Symbol; P]) -> (Symbol, Option<Vec<u32>>),
    ) -> Self {
        // A function that prints another one goes on with its own listing afterwards.
        let outer = LISTING.take();
        let input = |k| Symbol(write_down(Operation::Input(k), &[]));
        let parameter = |k| Symbol(write_down(Operation::Parameter(k), &[]));
        let (value, gradient) = f(core::array::from_fn(input), core::array::from_fn(parameter));
        let Listing { lines, .. } = LISTING.replace(outer);
        Source {
            name: F::NAME,
            inputs: F::INPUTS.to_vec(),
            parameters: F::PARAMETERS.to_vec(),
            lines,
            value: value.0,
            gradient,
        }
    }

    /// As Rust: one function, which needs nothing but `core`.
    pub fn rust(&self) -> String {
        Rust::new(self).print()
    }

    /// The name of the function that [`rust`](Self::rust) prints: `steinhart_hart` of
    /// `SteinhartHart`.
    pub fn function_name(&self) -> String {
        snake(self.name)
    }

    fn line(&self, k: u32) -> Line {
        self.lines.get(k as usize).copied().unwrap_or(Line {
            operation: Operation::Number(f32::NAN.to_bits()),
            operands: [0; 3],
        })
    }
}

/// Prints a [`Source`] as Rust.
struct Rust<'a> {
    source: &'a Source,
    inputs: Vec<String>,
    parameters: Vec<String>,
    /// By line: whether the result needs it, and its number among those printed.
    needed: Vec<bool>,
    numbers: Vec<usize>,
}

impl<'a> Rust<'a> {
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
        let (inputs, parameters) = (names(&source.inputs, "x"), names(&source.parameters, "p"));

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
        Rust {
            source,
            inputs,
            parameters,
            numbers: numbers.collect(),
            needed,
        }
    }

    fn print(&self) -> String {
        let source = self.source;
        let mut text = String::new();
        let (inputs, parameters) = (self.inputs.join(", "), self.parameters.join(", "));
        let (x, p) = (self.inputs.len(), self.parameters.len());
        let result = match &source.gradient {
            None => String::from("f32"),
            Some(_) => format!("(f32, [f32; {p}])"),
        };
        let listed = |names: &[&str]| {
            if names.is_empty() {
                String::from("nothing")
            } else {
                names.join(", ")
            }
        };
        let (of, by) = (listed(&source.inputs), listed(&source.parameters));
        let gradient = if source.gradient.is_some() {
            ", and its gradient"
        } else {
            ""
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "/// {} of {of}, by {by}{gradient}.", source.name);
        let name = snake(source.name);
        let _ = writeln!(
            text,
            "pub fn {name}([{inputs}]: [f32; {x}], [{parameters}]: [f32; {p}]) -> {result} {{"
        );
        let calls = |operation: fn(Operation) -> bool| {
            let mut lines = source.lines.iter().zip(&self.needed);
            lines.any(|(line, needed)| *needed && operation(line.operation))
        };
        if calls(|operation| operation == Operation::Sqrt) {
            helper(&mut text, include_str!("../kernel/sqrt.rs"));
        }
        if calls(|operation| matches!(operation, Operation::Call(_))) {
            helper(&mut text, include_str!("../kernel/huge_angle.rs"));
        }
        for (k, line) in source.lines.iter().enumerate() {
            if self.needed.get(k) != Some(&true) || line.operation.is_inline() {
                continue;
            }
            let _ = write!(
                text,
                "    let {} = {};",
                self.name(k as u32),
                self.expression(*line)
            );
            let operands = line.operands.iter().take(line.operation.operands());
            let mut says = " //";
            for operand in operands {
                if let Operation::Number(bits) = source.line(*operand).operation {
                    let _ = write!(text, "{says} {:?}", f32::from_bits(bits));
                    says = ",";
                }
            }
            text.push('\n');
        }
        let value = self.name(source.value);
        let _ = match &source.gradient {
            None => writeln!(text, "    {value}"),
            Some(gradient) => {
                let gradient: Vec<_> = gradient.iter().map(|k| self.name(*k)).collect();
                writeln!(text, "    ({value}, [{}])", gradient.join(", "))
            }
        };
        text.push_str("}\n");
        text
    }

    /// A line by its name, or what it is if it has none.
    fn name(&self, k: u32) -> String {
        let line = self.source.line(k);
        if line.operation.is_inline() {
            return self.expression(line);
        }
        format!("v{}", self.numbers.get(k as usize).copied().unwrap_or(0))
    }

    fn expression(&self, line: Line) -> String {
        let [a, b, c] = line.operands;
        let operand = |k| self.name(k);
        let infix = |sign| format!("{} {sign} {}", operand(a), operand(b));
        let nth = |names: &[String], k: usize| names.get(k).cloned().unwrap_or_default();
        match line.operation {
            Operation::Number(bits) => format!("f32::from_bits({bits:#010x})"),
            Operation::Word(word) => format!("{word:#010x}_u32"),
            Operation::Input(k) => nth(&self.inputs, k),
            Operation::Parameter(k) => nth(&self.parameters, k),
            Operation::Negate => format!("-{}", operand(a)),
            Operation::Add => infix("+"),
            Operation::Subtract => infix("-"),
            Operation::Multiply => infix("*"),
            Operation::Divide => infix("/"),
            Operation::Sqrt => format!("sqrt({})", operand(a)),
            Operation::Abs => format!("{}.abs()", operand(a)),
            Operation::Less => infix("<"),
            Operation::LessOrEqual => infix("<="),
            Operation::Equal => infix("=="),
            Operation::Select => {
                format!(
                    "if {} {{ {} }} else {{ {} }}",
                    operand(a),
                    operand(b),
                    operand(c)
                )
            }
            Operation::Call(name) => format!("{name}({})", operand(a)),
            Operation::ToBits => format!("{}.to_bits()", operand(a)),
            Operation::FromBits => format!("f32::from_bits({})", operand(a)),
            Operation::WordAdd => format!("{}.wrapping_add({})", operand(a), operand(b)),
            Operation::WordSubtract => format!("{}.wrapping_sub({})", operand(a), operand(b)),
            Operation::And | Operation::MaskAnd => infix("&"),
            Operation::Or | Operation::MaskOr => infix("|"),
            Operation::Xor => infix("^"),
            Operation::ShiftLeft(by) => format!("{} << {by}", operand(a)),
            Operation::ShiftRight(by) => format!("{} >> {by}", operand(a)),
            Operation::MaskNot => format!("!{}", operand(a)),
        }
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

/// Appends the functions of one of this crate's files, without what is said of the file and
/// its tests.
fn helper(text: &mut String, file: &str) {
    let code = file.split("#[cfg(test)]").next().unwrap_or_default();
    for line in code.lines().filter(|line| !line.starts_with("//!")) {
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        let line = line.strip_prefix("pub(super) ").unwrap_or(line);
        if !line.is_empty() {
            text.push_str("    ");
            text.push_str(line);
            text.push('\n');
        }
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
