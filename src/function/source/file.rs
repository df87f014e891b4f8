//! A file for firmware: several functions, and the tables of numbers that they share.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::plan::{Plan, harmless};
use super::symbol::{Listing, Operation, Symbol, write_down};
use super::table::Table;
use super::{Form, Source, c, rust, snake};
use crate::function::Value;

/// A number that records the operations applied to it.
pub(crate) type Scalar = Value<Symbol>;

/// Functions and tables. A function can call those that stand before it.
#[derive(Clone, Debug)]
pub(crate) struct File {
    name: String,
    comment: Vec<String>,
    tables: Vec<Table>,
    functions: Vec<Source>,
}

/// The name and the arguments of a function of a file.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    /// The name; characters that a name cannot hold become `_`.
    pub(crate) name: &'a str,
    /// A sentence about the function.
    pub(crate) title: String,
    /// The names of inputs. Names that are not valid in Rust and C are replaced.
    pub(crate) inputs: Vec<String>,
}

impl File {
    /// A file with a comment at its top, line by line. In C, its name prefixes the names of
    /// helpers, which must be unique in a program.
    pub(crate) fn new(name: &str, comment: Vec<String>) -> Self {
        File {
            name: String::from(name),
            comment: comment.iter().map(|line| harmless(line)).collect(),
            tables: Vec::new(),
            functions: Vec::new(),
        }
    }

    /// Adds a table, and returns its index for [`element`](super::element) and
    /// [`layer`](super::layer).
    pub(crate) fn table(&mut self, name: &str, shape: &[usize], values: &[f32]) -> usize {
        self.tables.push(Table {
            name: String::from(name),
            shape: shape.to_vec(),
            values: values.to_vec(),
        });
        self.tables.len() - 1
    }

    /// Adds a function of numbers, and returns its index for [`call`](super::call). A public
    /// function of several numbers takes them as an array in Rust.
    pub(crate) fn function(
        &mut self,
        head: Head<'_>,
        is_private: bool,
        f: impl FnOnce(&[Scalar]) -> Scalar,
    ) -> usize {
        let form = match (is_private, head.inputs.len()) {
            (true, _) => Form::Private,
            (_, 1) => Form::OneByOne,
            _ => Form::Array,
        };
        let count = head.inputs.len();
        let (listing, value) = Listing::of(|| {
            let inputs = (0..count).map(|k| leaf(Operation::Input(k)));
            f(&inputs.collect::<Vec<_>>())
        });
        self.add(head, listing, value, None, form)
    }

    /// Adds a function from `f64` to `f64`, and returns its index. `f` computes with pairs: the
    /// nearest `f32`, and the rest, which the first does not hold.
    pub(crate) fn function_of_pair(
        &mut self,
        head: Head<'_>,
        f: impl FnOnce([Scalar; 2]) -> [Scalar; 2],
    ) -> usize {
        let (listing, [high, low]) =
            Listing::of(|| f([leaf(Operation::High(0)), leaf(Operation::Low(0))]));
        self.add(head, listing, high, Some(low), Form::OneByOne)
    }

    fn add(
        &mut self,
        head: Head<'_>,
        listing: Listing,
        value: Scalar,
        rest: Option<Scalar>,
        form: Form,
    ) -> usize {
        let source = Source::new(head.name, head.title, head.inputs, listing, value.value());
        self.functions.push(Source {
            form,
            rest: rest.map(|rest| rest.value().0),
            ..source
        });
        self.functions.len() - 1
    }

    /// Prints the file in Rust: constants and functions, which need nothing but `core`.
    pub(crate) fn rust(&self) -> String {
        let mut text = String::new();
        for line in &self.comment {
            text.push_str(format!("// {line}").trim_end());
            text.push('\n');
        }
        text.push('\n');
        for table in self.used() {
            text.push_str(&rust::table(table));
        }
        for function in &self.functions {
            text.push('\n');
            text.push_str(&rust::comment(function));
            text.push_str(&rust::function(&self.plan(function)));
        }
        text
    }

    /// Prints the file in C99: see [`Source::c`].
    pub(crate) fn c(&self) -> String {
        let tables: Vec<&Table> = self.used().collect();
        c::print(&self.comment, &tables, &self.plans(), &snake(&self.name))
    }

    /// Prints a header of this `name`, which declares the functions of [`c`](Self::c).
    pub(crate) fn header(&self, name: &str) -> String {
        c::header(&self.comment, &self.plans(), name)
    }

    fn plans(&self) -> Vec<Plan<'_>> {
        self.functions.iter().map(|f| self.plan(f)).collect()
    }

    fn plan<'a>(&'a self, function: &'a Source) -> Plan<'a> {
        Plan::new(function, &self.tables, &self.functions)
    }

    /// The tables that at least one function needs.
    fn used(&self) -> impl Iterator<Item = &Table> {
        let plans = self.plans();
        let tables = self.tables.iter().enumerate();
        let used = tables.filter(move |(k, _)| plans.iter().any(|plan| plan.needs_table(*k)));
        used.map(|(_, table)| table)
    }
}

fn leaf(operation: Operation) -> Scalar {
    Value::constant(Symbol(write_down(operation, &[])))
}
