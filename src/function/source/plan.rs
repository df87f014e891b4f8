//! The lines of a [`Source`] that are printed, and their names, independent of the language.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::names::is_name;
use super::symbol::{Layer, Line, Operation};
use super::table::Table;
use super::{Form, Source};

/// The lines and names that are printed of a source.
pub(super) struct Plan<'a> {
    pub(super) source: &'a Source,
    pub(super) tables: &'a [Table],
    /// The file's functions.
    pub(super) functions: &'a [Source],
    /// Names of arguments. `parameters` is empty if the parameters are constants.
    pub(super) inputs: Vec<String>,
    pub(super) parameters: Vec<String>,
    /// For each line, whether the result needs it.
    needed: Vec<bool>,
    /// For each line, its number among those printed.
    numbers: Vec<usize>,
}

/// The syntax of a language.
pub(super) trait Language {
    /// The expression of a line, if the language has its own syntax for the operation.
    fn own(&self, plan: &Plan<'_>, line: Line) -> Option<String>;

    /// The definition of a variable.
    fn define(&self, operation: Operation, name: &str, value: &str) -> String;

    /// A comment at the end of a line.
    fn remark(&self, text: &str) -> String;

    /// The loop over the units of a layer, which writes their results to an array of this name.
    fn layer(&self, plan: &Plan<'_>, layer: &Layer, name: &str, indent: &str) -> String;

    /// The expression of a line.
    fn expression(&self, plan: &Plan<'_>, line: Line) -> String {
        if let Some(own) = self.own(plan, line) {
            return own;
        }
        let [a, b, _] = line.operands;
        let operand = |k| self.operand(plan, k);
        let infix = |sign| format!("{} {sign} {}", operand(a), operand(b));
        match line.operation {
            Operation::Input(k) => Plan::nth(&plan.inputs, k),
            Operation::Parameter(k) => Plan::nth(&plan.parameters, k),
            Operation::Element { table, at } => plan.element(table, at),
            Operation::Unit { layer, unit } => format!("{}[{unit}]", units(layer)),
            Operation::Function(k) => {
                let name = plan.functions.get(k).map(Source::function_name);
                format!("{}({})", name.unwrap_or_default(), operand(a))
            }
            Operation::Negate => format!("-{}", operand(a)),
            Operation::Add => infix("+"),
            Operation::Subtract => infix("-"),
            Operation::Multiply => infix("*"),
            Operation::Divide => infix("/"),
            Operation::Less => infix("<"),
            Operation::LessOrEqual => infix("<="),
            Operation::Equal => infix("=="),
            Operation::And | Operation::MaskAnd => infix("&"),
            Operation::Or | Operation::MaskOr => infix("|"),
            Operation::Xor => infix("^"),
            Operation::ShiftLeft(by) => format!("{} << {by}", operand(a)),
            Operation::ShiftRight(by) => format!("{} >> {by}", operand(a)),
            Operation::MaskNot => format!("!{}", operand(a)),
            // `own` handles all other operations.
            _ => String::new(),
        }
    }

    /// The name of a line, or its expression if it has no name.
    fn operand(&self, plan: &Plan<'_>, k: u32) -> String {
        match plan.name(k) {
            Ok(name) => name,
            Err(line) => self.expression(plan, line),
        }
    }

    /// All lines that the result needs.
    fn lines(&self, plan: &Plan<'_>, indent: &str) -> String {
        let mut text = String::new();
        for (k, line) in plan.source.lines.iter().enumerate() {
            if !plan.has_line(k) {
                continue;
            }
            if let Operation::Layer(index) = line.operation {
                if let Some(layer) = plan.source.layers.get(index) {
                    text.push_str(&self.layer(plan, layer, &units(index), indent));
                }
                continue;
            }
            let name = self.operand(plan, k as u32);
            let value = self.expression(plan, *line);
            text.push_str(indent);
            text.push_str(&self.define(line.operation, &name, &value));
            let decimals = plan.decimals(*line);
            if !decimals.is_empty() {
                text.push_str(&self.remark(&decimals));
            }
            text.push('\n');
        }
        text
    }

    /// The body of a loop: its lines, then the statement that `end` makes of the result.
    fn body(&self, source: &Source, indent: &str, end: impl Fn(&str) -> String) -> String {
        let plan = Plan::new(source, &[], &[]);
        let mut text = self.lines(&plan, indent);
        text.push_str(indent);
        text.push_str(&end(&self.operand(&plan, source.value)));
        text.push('\n');
        text
    }
}

/// The name of the array of a layer's results.
fn units(layer: usize) -> String {
    format!("units{}", layer + 1)
}

impl<'a> Plan<'a> {
    /// The plan of a function of a file with these tables and functions.
    pub(super) fn new(source: &'a Source, tables: &'a [Table], functions: &'a [Source]) -> Self {
        // An argument must not hide a table or a function of the file.
        let table_names = tables.iter().map(|table| table.name.clone());
        let function_names = functions.iter().map(Source::function_name);
        let mut taken: Vec<String> = table_names.chain(function_names).collect();
        let mut names = |of: &[String], otherwise: &str| {
            let names = of.iter().enumerate();
            let names = names.map(|(k, name)| {
                // Rust warns of arguments that are not in snake case. The names of a model's
                // inputs stay as its author spelled them.
                let is_like_a_variable = source.form == Form::Model
                    || !(name.contains("__") || name.contains(|c: char| c.is_uppercase()));
                let is_new = !taken.contains(name);
                let name = if is_name(name) && is_new && is_like_a_variable {
                    name.clone()
                } else {
                    format!("{otherwise}{k}")
                };
                taken.push(name.clone());
                name
            });
            names.collect::<Vec<_>>()
        };
        let inputs = names(&source.inputs, "x");
        let parameters = names(&source.parameters, "p");

        // Marks lines from the results backwards: operands stand before their operations.
        let mut needed: Vec<bool> = source.lines.iter().map(|_| false).collect();
        let need = |needed: &mut Vec<bool>, k: u32| {
            if let Some(needed) = needed.get_mut(k as usize) {
                *needed = true;
            }
        };
        let results = source.gradient.iter().flatten().chain(&source.rest);
        results
            .chain([&source.value])
            .for_each(|k| need(&mut needed, *k));
        for k in (0..source.lines.len()).rev() {
            if needed.get(k) == Some(&true) {
                for operand in operands(source, source.line(k as u32)) {
                    need(&mut needed, operand);
                }
            }
        }
        let mut count = 0;
        let numbers = source.lines.iter().zip(&needed).map(|(line, needed)| {
            let number = count;
            let is_loop = matches!(line.operation, Operation::Layer(_));
            count += usize::from(*needed && !line.operation.is_inline() && !is_loop);
            number
        });
        Plan {
            source,
            tables,
            functions,
            inputs,
            parameters,
            numbers: numbers.collect(),
            needed,
        }
    }

    /// Returns whether the function, including the bodies of its loops, needs a wanted operation.
    pub(super) fn needs(&self, wanted: impl Fn(Operation) -> bool + Copy) -> bool {
        let mut lines = self.source.lines.iter().zip(&self.needed);
        lines.any(|(line, needed)| {
            *needed
                && (wanted(line.operation)
                    || self.loop_of(line.operation).is_some_and(|layer| {
                        [&layer.add, &layer.end]
                            .into_iter()
                            .any(|body| Plan::new(body, &[], &[]).needs(wanted))
                    }))
        })
    }

    /// Returns whether the function needs a number of a table.
    pub(super) fn needs_table(&self, index: usize) -> bool {
        self.needs(
            |operation| matches!(operation, Operation::Element { table, .. } if table == index),
        ) || self
            .source
            .lines
            .iter()
            .zip(&self.needed)
            .any(|(line, needed)| {
                let layer = self.loop_of(line.operation).filter(|_| *needed);
                layer.is_some_and(|layer| [layer.weights, layer.biases].contains(&index))
            })
    }

    fn loop_of(&self, operation: Operation) -> Option<&'a Layer> {
        match operation {
            Operation::Layer(index) => self.source.layers.get(index),
            _ => None,
        }
    }

    /// The lines of the function's comment: the title, and the inputs that it was calibrated for,
    /// if they are known. No line can end the comment.
    pub(super) fn comment(&self) -> Vec<String> {
        let mut lines = std::vec![self.source.title.clone()];
        if !self.source.range.is_empty() {
            let ranges = self.source.inputs.iter().zip(&self.source.range);
            let ranges = ranges.map(|(name, [from, to])| format!("{name} from {from:?} to {to:?}"));
            let ranges = ranges.collect::<Vec<_>>().join(", ");
            lines.push(String::new());
            lines.push(format!("Calibrated for {ranges}. Beyond, it extrapolates."));
        }
        lines.iter().map(|line| harmless(line)).collect()
    }

    /// The arguments that the function does not use.
    pub(super) fn idle(&self) -> impl Iterator<Item = &str> {
        let inputs = self.inputs.iter().enumerate().filter(|(k, _)| {
            let [input, high, low] =
                [Operation::Input, Operation::High, Operation::Low].map(|of| of(*k));
            !self.needs(|operation| operation == input || operation == high || operation == low)
        });
        let parameters = self.parameters.iter().enumerate();
        let parameters = parameters
            .filter(|(k, _)| !self.needs(|operation| operation == Operation::Parameter(*k)));
        inputs.chain(parameters).map(|(_, name)| name.as_str())
    }

    pub(super) fn gradient(&self) -> &[u32] {
        self.source.gradient.as_deref().unwrap_or_default()
    }

    /// Returns whether an operation is printed as a line of its own.
    fn has_line(&self, k: usize) -> bool {
        let line = self.source.line(k as u32);
        self.needed.get(k) == Some(&true) && !line.operation.is_inline()
    }

    /// The name of a line, or the line itself if it has no name.
    fn name(&self, k: u32) -> Result<String, Line> {
        let line = self.source.line(k);
        if line.operation.is_inline() {
            return Err(line);
        }
        let number = self.numbers.get(k as usize).copied().unwrap_or(0);
        Ok(format!("v{number}"))
    }

    /// A number of a table: `W2[3]`, or `B2` if the table is a single number.
    fn element(&self, table: usize, at: usize) -> String {
        let Some(table) = self.tables.get(table) else {
            return String::new();
        };
        let name = &table.name;
        match table.shape.as_slice() {
            [] => name.clone(),
            [_, columns] if *columns > 0 => format!("{name}[{}][{}]", at / columns, at % columns),
            _ => format!("{name}[{at}]"),
        }
    }

    /// The array of the previous layer, if the inputs of this layer are all its units in order.
    pub(super) fn layer_before(&self, layer: &Layer) -> Option<String> {
        let operations = || layer.inputs.iter().map(|k| self.source.line(*k).operation);
        let Some(Operation::Unit { layer: before, .. }) = operations().next() else {
            return None;
        };
        let all = self.source.layers.get(before)?.units;
        let expected = (0..all).map(|unit| Operation::Unit {
            layer: before,
            unit,
        });
        operations().eq(expected).then(|| units(before))
    }

    fn nth(names: &[String], k: usize) -> String {
        names.get(k).cloned().unwrap_or_default()
    }

    /// The numbers among a line's operands, in decimal.
    fn decimals(&self, line: Line) -> String {
        let operands = operands(self.source, line);
        let numbers = operands.filter_map(|k| match self.source.line(k).operation {
            Operation::Number(bits) => Some(format!("{:?}", f32::from_bits(bits))),
            _ => None,
        });
        numbers.collect::<Vec<_>>().join(", ")
    }
}

/// The lines of all operands, including the inputs of a layer.
fn operands(source: &Source, line: Line) -> impl Iterator<Item = u32> {
    let inputs = match line.operation {
        Operation::Layer(index) => source
            .layers
            .get(index)
            .map(|layer| layer.inputs.as_slice()),
        _ => None,
    };
    let own = line.operands.into_iter().take(line.operation.operands());
    own.chain(inputs.unwrap_or_default().iter().copied())
}

/// Changes text so that it neither ends a comment nor begins one, in Rust and in C.
pub(super) fn harmless(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    text.replace("*/", "* /").replace("/*", "/ *")
}
