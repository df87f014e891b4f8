//! `Symbol`: a lane type that records the operations applied to it.

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
    /// The `f32` nearest to an input that is an `f64`.
    High(usize),
    /// The rest of an input that is an `f64`.
    Low(usize),
    /// A number of a table.
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
    /// A function of one number, which is printed along with its callers.
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
    /// The loop over the units of a layer. The [`Layer`] holds its operands.
    Layer(usize),
    /// The result of one unit; the operand is the loop.
    Unit {
        layer: usize,
        unit: usize,
    },
}

/// A layer of units, computed in a loop over a table of weights, with a row for each unit, and a
/// table of biases.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) weights: usize,
    pub(super) biases: usize,
    pub(super) units: usize,
    /// The lines of the inputs.
    pub(super) inputs: Vec<u32>,
    /// The new sum, from the sum so far, an input and its weight.
    pub(super) add: Source,
    /// The unit's result, from the sum and the bias.
    pub(super) end: Source,
}

/// The lines and layers recorded so far.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) lines: Vec<Line>,
    pub(super) layers: Vec<Layer>,
    known: HashMap<Line, u32>,
}

impl Listing {
    /// Records the operations of `f` in a new listing, then restores the listing that was being
    /// recorded before.
    pub(super) fn of<T>(f: impl FnOnce() -> T) -> (Self, T) {
        let outer = LISTING.take();
        let result = f();
        (LISTING.replace(outer), result)
    }
}

thread_local! {
    /// The listing being recorded. It is global because functions such as [`Lanes::splat`]
    /// take nothing that could refer to it.
    static LISTING: RefCell<Listing> = RefCell::default();
}

/// Records an operation unless an equal one is recorded already, and returns its line.
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

/// A lane type that records the operations applied to it.
///
/// [`Source`] makes symbols; they have no other use.
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
    /// Records a call of `unnamed`, a function that the printed source lacks: it will not
    /// compile.
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
    /// Returns `true`, because a symbol has no value. The code that `any` guards selects its
    /// result lane by lane, so running it is always correct.
    fn any(self) -> bool {
        true
    }
}

impl Operation {
    /// The number of operands.
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

    /// Returns whether the operation is printed within the lines that use it. It is if it is a
    /// leaf, or a call, which then runs only in the branch that needs it.
    pub(super) fn is_inline(self) -> bool {
        match self {
            Operation::High(_) | Operation::Low(_) | Operation::Layer(_) => false,
            Operation::Call(_) | Operation::Unit { .. } => true,
            _ => self.operands() == 0,
        }
    }
}

/// Number `at` of a table of the file.
pub(crate) fn element(table: usize, at: usize) -> Value<Symbol> {
    Value::constant(Symbol(write_down(Operation::Element { table, at }, &[])))
}

/// A call of a function that stands earlier in the file.
pub(crate) fn call(function: usize, x: Value<Symbol>) -> Value<Symbol> {
    let x = x.value().0;
    Value::constant(Symbol(write_down(Operation::Function(function), &[x])))
}

/// Records a layer of `units` as a loop, and returns their results. The table `weights` has a
/// row, and the table `biases` a number, for each unit. `add` adds the product of an input and
/// its weight to the sum, which begins with -0.0, the identity of addition; `end` computes the
/// result from the sum and the bias.
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
