//! Lanes that write down what is done with them.

use core::cell::RefCell;
use core::ops::{Add, Div, Mul, Neg, Sub};
use std::collections::HashMap;
use std::thread_local;
use std::vec::Vec;

use super::Source;
use crate::function::Value;
use crate::kernel::{Bits, Lanes, Mask};

/// An operation and the lines of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) operation: Operation,
    pub(super) operands: [u32; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    /// A number, by its bits.
    Number(u32),
    Word(u32),
    Input(usize),
    Parameter(usize),
    /// The nearest `f32` of an input that is an `f64`, and what is left of it.
    High(usize),
    Low(usize),
    /// A number of a table, which has a name.
    Element {
        table: usize,
        at: usize,
    },
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
    /// A function of the same file.
    Function(usize),
    /// A loop over units that are alike, whose operands the layer itself knows.
    Layer(usize),
    /// The result of one of them; the operand is the loop.
    Unit {
        layer: usize,
        unit: usize,
    },
}

/// Units that are alike, in a loop over tables of their weights, a row for each, and biases.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) weights: usize,
    pub(super) biases: usize,
    pub(super) units: usize,
    /// The lines of the inputs.
    pub(super) inputs: Vec<u32>,
    /// The sum after another input, of the sum before, the input, and its weight.
    pub(super) add: Source,
    /// The unit's result, of the sum and the bias.
    pub(super) end: Source,
}

/// The listing that is being written.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) lines: Vec<Line>,
    pub(super) layers: Vec<Layer>,
    known: HashMap<Line, u32>,
}

impl Listing {
    /// The listing of what `f` does. One that is being written goes on afterwards.
    pub(super) fn of<T>(f: impl FnOnce() -> T) -> (Self, T) {
        let outer = LISTING.take();
        let result = f();
        (LISTING.replace(outer), result)
    }
}

thread_local! {
    /// Symbols are made of nothing, as lanes are, and so find their listing here.
    static LISTING: RefCell<Listing> = RefCell::default();
}

pub(super) fn write_down(operation: Operation, operands: &[u32]) -> u32 {
    let mut line = Line {
        operation,
        operands: [0; 3],
    };
    for (to, operand) in line.operands.iter_mut().zip(operands) {
        *to = *operand;
    }
    LISTING.with_borrow_mut(|listing| {
        let Listing { lines, known, .. } = listing;
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
pub struct Symbol(pub(super) u32);

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

impl Operation {
    /// How many operands it has.
    pub(super) fn operands(self) -> usize {
        match self {
            Operation::Number(_)
            | Operation::Word(_)
            | Operation::Input(_)
            | Operation::Parameter(_)
            | Operation::High(_)
            | Operation::Low(_)
            | Operation::Element { .. }
            | Operation::Layer(_) => 0,
            Operation::Negate
            | Operation::Sqrt
            | Operation::Abs
            | Operation::Call(_)
            | Operation::ToBits
            | Operation::FromBits
            | Operation::ShiftLeft(_)
            | Operation::ShiftRight(_)
            | Operation::MaskNot
            | Operation::Function(_)
            | Operation::Unit { .. } => 1,
            Operation::Select => 3,
            _ => 2,
        }
    }

    /// Whether it has no line of its own: a leaf, or a call, which is only made where it is
    /// chosen.
    pub(super) fn is_inline(self) -> bool {
        match self {
            Operation::High(_) | Operation::Low(_) | Operation::Layer(_) => false,
            Operation::Call(_) | Operation::Unit { .. } => true,
            _ => self.operands() == 0,
        }
    }
}

/// A number of a table of the file that is being written.
pub(crate) fn element(table: usize, at: usize) -> Value<Symbol> {
    Value::constant(Symbol(write_down(Operation::Element { table, at }, &[])))
}

/// A function of the file that is being written, of those that stand before.
pub(crate) fn call(function: usize, x: Value<Symbol>) -> Value<Symbol> {
    let x = x.value().0;
    Value::constant(Symbol(write_down(Operation::Function(function), &[x])))
}

/// Units that are alike, as a loop: `weights` is a table with a row for each, `biases` one of
/// numbers. `add` adds a product to a sum, which begins with -0.0, the identity of addition,
/// and `end` makes a result of the sum and the bias.
pub(crate) fn layer(
    [weights, biases]: [usize; 2],
    units: usize,
    inputs: &[Value<Symbol>],
    add: impl FnOnce([Value<Symbol>; 3]) -> Value<Symbol>,
    end: impl FnOnce([Value<Symbol>; 2]) -> Value<Symbol>,
) -> Vec<Value<Symbol>> {
    let layer = Layer {
        weights,
        biases,
        units,
        inputs: inputs.iter().map(|x| x.value().0).collect(),
        add: Source::body(["sum", "x", "w"], add),
        end: Source::body(["sum", "b"], end),
    };
    let index = LISTING.with_borrow_mut(|listing| {
        listing.layers.push(layer);
        listing.layers.len() - 1
    });
    let line = write_down(Operation::Layer(index), &[]);
    let unit = |unit| Operation::Unit { layer: index, unit };
    let units = (0..units).map(|k| Value::constant(Symbol(write_down(unit(k), &[line]))));
    units.collect()
}
