//! Prints a [`Source`] as Rust.

use core::fmt::Write as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::plan::{Language, Plan};
use super::symbol::{Layer, Line, Operation};
use super::table::Table;
use super::{Form, Source};

struct Rust;

/// The comment above a function.
pub(super) fn comment(source: &Source) -> String {
    let lines = Plan::new(source, &[], &[]).comment();
    let lines = lines.iter().map(|line| format!("/// {line}"));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Prints a table as a constant.
pub(super) fn table(table: &Table) -> String {
    let Table {
        name,
        shape,
        values,
    } = table;
    match (shape.as_slice(), values.as_slice()) {
        ([], [x]) => format!("const {name}: f32 = {};\n", number(*x)),
        ([rows, columns], values) => {
            let mut text = format!("const {name}: [[f32; {columns}]; {rows}] = [\n");
            for row in values.chunks((*columns).max(1)) {
                let _ = writeln!(text, "    [{}],", listed(row));
            }
            text + "];\n"
        }
        (_, values) => {
            let count = values.len();
            format!("const {name}: [f32; {count}] = [{}];\n", listed(values))
        }
    }
}

fn listed(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(|x| number(*x)).collect();
    values.join(", ")
}

/// A literal that Rust parses to the same bits.
fn number(x: f32) -> String {
    if x.is_finite() {
        format!("{x:?}")
    } else {
        format!("f32::from_bits({:#010x})", x.to_bits())
    }
}

/// Prints a function.
pub(super) fn function(plan: &Plan<'_>) -> String {
    let source = plan.source;
    let mut text = String::new();
    let (x, p) = (plan.inputs.len(), plan.parameters.len());
    let (inputs, parameters) = (plan.inputs.join(", "), plan.parameters.join(", "));
    let kind = if source.rest.is_some() { "f64" } else { "f32" };
    let result = match &source.gradient {
        None => String::from(kind),
        Some(_) => format!("(f32, [f32; {p}])"),
    };
    let arguments = match source.form {
        Form::Model => format!("[{inputs}]: [f32; {x}], [{parameters}]: [f32; {p}]"),
        Form::Array => format!("[{inputs}]: [f32; {x}]"),
        Form::OneByOne | Form::Private => {
            let inputs = plan.inputs.iter().map(|name| format!("{name}: {kind}"));
            inputs.collect::<Vec<_>>().join(", ")
        }
    };
    let public = if source.form == Form::Private {
        ""
    } else {
        "pub "
    };
    let name = source.function_name();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{public}fn {name}({arguments}) -> {result} {{");
    if plan.needs(|operation| operation == Operation::Sqrt) {
        helper(&mut text, include_str!("../../kernel/sqrt.rs"));
    }
    if plan.needs(|operation| matches!(operation, Operation::Call(_))) {
        helper(&mut text, include_str!("../../kernel/huge_angle.rs"));
    }
    text.push_str(&Rust.lines(plan, "    "));
    let value = Rust.operand(plan, source.value);
    let _ = match (&source.gradient, source.rest) {
        (_, Some(rest)) => {
            let rest = Rust.operand(plan, rest);
            writeln!(text, "    f64::from({value}) + f64::from({rest})")
        }
        (None, None) => writeln!(text, "    {value}"),
        (Some(gradient), _) => {
            let gradient: Vec<_> = gradient.iter().map(|k| Rust.operand(plan, *k)).collect();
            writeln!(text, "    ({value}, [{}])", gradient.join(", "))
        }
    };
    text.push_str("}\n");
    text
}

/// Appends the functions of one of this crate's source files, without the file's own docs and
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

impl Language for Rust {
    fn own(&self, plan: &Plan<'_>, line: Line) -> Option<String> {
        let [a, b, c] = line.operands;
        let operand = |k| self.operand(plan, k);
        let input = |k: usize| plan.inputs.get(k).cloned().unwrap_or_default();
        Some(match line.operation {
            Operation::Number(bits) => format!("f32::from_bits({bits:#010x})"),
            Operation::Word(word) => format!("{word:#010x}_u32"),
            Operation::High(k) => format!("{} as f32", input(k)),
            Operation::Low(k) => format!("({0} - f64::from({0} as f32)) as f32", input(k)),
            Operation::Sqrt => format!("sqrt({})", operand(a)),
            Operation::Abs => format!("{}.abs()", operand(a)),
            Operation::Select => format!(
                "if {} {{ {} }} else {{ {} }}",
                operand(a),
                operand(b),
                operand(c)
            ),
            Operation::Call(name) => format!("{name}({})", operand(a)),
            Operation::ToBits => format!("{}.to_bits()", operand(a)),
            Operation::FromBits => format!("f32::from_bits({})", operand(a)),
            Operation::WordAdd => format!("{}.wrapping_add({})", operand(a), operand(b)),
            Operation::WordSubtract => format!("{}.wrapping_sub({})", operand(a), operand(b)),
            _ => return None,
        })
    }

    fn define(&self, _: Operation, name: &str, value: &str) -> String {
        format!("let {name} = {value};")
    }

    fn remark(&self, text: &str) -> String {
        format!(" // {text}")
    }

    fn layer(&self, plan: &Plan<'_>, layer: &Layer, name: &str, indent: &str) -> String {
        let table = |k: usize| plan.tables.get(k).map_or("", |table| table.name.as_str());
        let (weights, biases) = (table(layer.weights), table(layer.biases));
        let inputs = plan.layer_before(layer).unwrap_or_else(|| {
            let inputs: Vec<_> = layer
                .inputs
                .iter()
                .map(|k| self.operand(plan, *k))
                .collect();
            format!("[{}]", inputs.join(", "))
        });
        let in_loop = format!("{indent}    ");
        let in_both = format!("{in_loop}    ");
        let add = self.body(&layer.add, &in_both, |sum| format!("sum = {sum};"));
        let end = self.body(&layer.end, &in_loop, |result| format!("*unit = {result};"));
        format!(
            "{indent}let mut {name} = {biases};\n\
             {indent}for (unit, weights) in {name}.iter_mut().zip(&{weights}) {{\n\
             {in_loop}let (mut sum, b) = (-0.0_f32, *unit);\n\
             {in_loop}for (&x, &w) in {inputs}.iter().zip(weights) {{\n{add}{in_loop}}}\n\
             {end}{indent}}}\n"
        )
    }
}
