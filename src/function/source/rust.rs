//! Prints a [`Source`] as Rust.

use core::fmt::Write as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Line, Operation, Plan, Source, snake};

/// The text of a source.
pub(super) fn print(source: &Source) -> String {
    let plan = Plan::new(source);
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "/// {}", plan.title());
    for line in plan.ranges() {
        let _ = writeln!(text, "{}", format!("/// {line}").trim_end());
    }
    let (x, p) = (plan.inputs.len(), plan.parameters.len());
    let (inputs, parameters) = (plan.inputs.join(", "), plan.parameters.join(", "));
    let result = match &source.gradient {
        None => String::from("f32"),
        Some(_) => format!("(f32, [f32; {p}])"),
    };
    let arguments = match source.fitted {
        None => format!("[{inputs}]: [f32; {x}], [{parameters}]: [f32; {p}]"),
        Some(_) => {
            let inputs = plan.inputs.iter().map(|name| format!("{name}: f32"));
            inputs.collect::<Vec<_>>().join(", ")
        }
    };
    let name = snake(&source.name);
    let _ = writeln!(text, "pub fn {name}({arguments}) -> {result} {{");
    let calls = |operation: fn(Operation) -> bool| {
        let mut lines = source.lines.iter().zip(&plan.needed);
        lines.any(|(line, needed)| *needed && operation(line.operation))
    };
    if calls(|operation| operation == Operation::Sqrt) {
        helper(&mut text, include_str!("../../kernel/sqrt.rs"));
    }
    if calls(|operation| matches!(operation, Operation::Call(_))) {
        helper(&mut text, include_str!("../../kernel/huge_angle.rs"));
    }
    for (k, line) in source.lines.iter().enumerate() {
        if !plan.has_line(k) {
            continue;
        }
        let decimals = plan.decimals(*line);
        let remark = if decimals.is_empty() {
            decimals
        } else {
            format!(" // {decimals}")
        };
        let _ = writeln!(
            text,
            "    let {} = {};{remark}",
            operand(&plan, k as u32),
            expression(&plan, *line)
        );
    }
    let value = operand(&plan, source.value);
    let _ = match &source.gradient {
        None => writeln!(text, "    {value}"),
        Some(gradient) => {
            let gradient: Vec<_> = gradient.iter().map(|k| operand(&plan, *k)).collect();
            writeln!(text, "    ({value}, [{}])", gradient.join(", "))
        }
    };
    text.push_str("}\n");
    text
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

/// A line by its name, or what it is if it has none.
fn operand(plan: &Plan<'_>, k: u32) -> String {
    match plan.name(k) {
        Ok(name) => name,
        Err(line) => expression(plan, line),
    }
}

fn expression(plan: &Plan<'_>, line: Line) -> String {
    let [a, b, c] = line.operands;
    let operand = |k| operand(plan, k);
    let infix = |sign| format!("{} {sign} {}", operand(a), operand(b));
    match line.operation {
        Operation::Number(bits) => format!("f32::from_bits({bits:#010x})"),
        Operation::Word(word) => format!("{word:#010x}_u32"),
        Operation::Input(k) => Plan::nth(&plan.inputs, k),
        Operation::Parameter(k) => Plan::nth(&plan.parameters, k),
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
