//! Prints functions as C99.

use core::fmt::Write as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::Form;
use super::plan::{Language, Plan, harmless};
use super::symbol::{Layer, Line, Operation};
use super::table::Table;

/// C, with the prefix of the helpers' names.
struct C<'a> {
    prefix: &'a str,
}

/// A helper in C. Here and below, `NAME` stands for the prefix.
const HUGE_ANGLE: &str = include_str!("huge_angle.c");

/// The head of each file: includes, and checks that the compiler keeps the bits.
const HEADER: &str = "\
#include <float.h>
#include <stdint.h>

#if defined(__FAST_MATH__)
#error \"expected IEEE arithmetic, found -ffast-math: compile without it\"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error \"expected float computed in float: on x86, compile with -msse2 -mfpmath=sse\"
#endif
#if defined(__clang__) || !defined(__GNUC__)
#pragma STDC FP_CONTRACT OFF
#endif

";
const BITS: &str = "\
static uint32_t NAME_bits(float x)
{
    union { float number; uint32_t bits; } to;
    to.number = x;
    return to.bits;
}

";
const NUMBER: &str = "\
static float NAME_number(uint32_t bits)
{
    union { uint32_t bits; float number; } to;
    to.bits = bits;
    return to.number;
}

";
const SQRT: &str = "\
#if defined(__GNUC__)
#define NAME_sqrt __builtin_sqrtf /* an instruction, with -fno-math-errno */
#else
#include <math.h>
#define NAME_sqrt sqrtf
#endif

";

/// The number of a table's elements in one line.
const A_LINE: usize = 4;

/// Prints functions and their tables, with `comment` at the top.
pub(super) fn print(
    comment: &[String],
    tables: &[&Table],
    plans: &[Plan<'_>],
    prefix: &str,
) -> String {
    let language = C { prefix };
    let mut text = opening(comment);
    text.push_str(
        " *\n * The bits are the same on every target where float is IEEE's, if multiplications and\n \
         * additions are not fused: compile with -ffp-contract=off.\n */\n",
    );
    text.push_str(HEADER);
    for helper in helpers(plans) {
        text.push_str(&helper.replace("NAME", prefix));
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
    }
    for table in tables {
        text.push_str(&language.table(table));
    }
    if !tables.is_empty() {
        text.push('\n');
    }
    for (k, plan) in plans.iter().enumerate() {
        if k > 0 {
            text.push('\n');
        }
        text.push_str(&language.function(plan));
    }
    text
}

/// Prints the declarations, as a header of this name.
pub(super) fn header(comment: &[String], plans: &[Plan<'_>], name: &str) -> String {
    let guard: String = name
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_uppercase(),
            false => '_',
        })
        .collect();
    let mut text = opening(comment);
    let _ = write!(
        text,
        " */\n#ifndef CALIBRATED_{guard}\n#define CALIBRATED_{guard}\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n"
    );
    for plan in plans
        .iter()
        .filter(|plan| plan.source.form != Form::Private)
    {
        let title = harmless(&plan.source.title);
        let _ = write!(text, "\n/* {title} */\n{};\n", signature(plan));
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

/// The beginning of a comment with these lines, which is left open.
fn opening(comment: &[String]) -> String {
    let lines = comment.iter().enumerate();
    let lines = lines.map(|(k, line)| match k {
        0 => format!("/* {line}"),
        _ => format!(" * {line}"),
    });
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The helpers that the functions need, in the order in which C must see them.
fn helpers(plans: &[Plan<'_>]) -> impl Iterator<Item = &'static str> {
    let needs = |wanted: fn(Operation) -> bool| plans.iter().any(|plan| plan.needs(wanted));
    let calls = needs(|operation| matches!(operation, Operation::Call(_)));
    let takes_bits = needs(|operation| matches!(operation, Operation::ToBits | Operation::Abs));
    let makes_numbers = needs(|operation| match operation {
        Operation::FromBits | Operation::Abs => true,
        Operation::Number(bits) => !f32::from_bits(bits).is_finite(),
        _ => false,
    });
    let helpers = [
        (BITS, calls || takes_bits),
        (NUMBER, calls || makes_numbers),
        (SQRT, needs(|operation| operation == Operation::Sqrt)),
        (HUGE_ANGLE, calls),
    ];
    let needed = helpers.into_iter().filter(|(_, is_needed)| *is_needed);
    needed.map(|(helper, _)| helper)
}

/// The signature of a function, such as `float calibrated(float x)`.
fn signature(plan: &Plan<'_>) -> String {
    let source = plan.source;
    let kind = if source.rest.is_some() {
        "double"
    } else {
        "float"
    };
    let arguments = plan.inputs.iter().chain(&plan.parameters);
    let mut arguments: Vec<_> = arguments.map(|name| format!("{kind} {name}")).collect();
    if source.gradient.is_some() {
        // No input has this name: see `is_name`.
        arguments.push(format!("float v_gradient[{}]", plan.gradient().len()));
    }
    if arguments.is_empty() {
        arguments.push(String::from("void"));
    }
    let name = source.function_name();
    format!("{kind} {name}({})", arguments.join(", "))
}

impl C<'_> {
    /// The declaration of a function, unless it is private, and its definition.
    fn function(&self, plan: &Plan<'_>) -> String {
        let (source, signature) = (plan.source, signature(plan));
        let mut text = match source.form {
            Form::Private => format!("static {signature}\n{{\n"),
            _ => format!("{signature};\n\n{signature}\n{{\n"),
        };
        text.push_str(&self.lines(plan, "    "));
        // Writing to a `String` cannot fail.
        for name in plan.idle() {
            let _ = writeln!(text, "    (void){name};");
        }
        for (k, derivative) in plan.gradient().iter().enumerate() {
            let derivative = self.operand(plan, *derivative);
            let _ = writeln!(text, "    v_gradient[{k}] = {derivative};");
        }
        let value = self.operand(plan, source.value);
        let _ = match source.rest {
            None => writeln!(text, "    return {value};\n}}"),
            Some(rest) => {
                let rest = self.operand(plan, rest);
                writeln!(text, "    return (double){value} + (double){rest};\n}}")
            }
        };
        text
    }

    fn table(&self, table: &Table) -> String {
        let name = &table.name;
        let sizes: String = table.shape.iter().map(|n| format!("[{n}]")).collect();
        match (table.shape.as_slice(), table.values.as_slice()) {
            ([], [x]) => {
                let value = number(x.to_bits(), self.prefix);
                format!("static const float {name} = {value}; /* {x:?} */\n")
            }
            (shape, values) => {
                let width = shape.last().copied().unwrap_or(1).max(1);
                let is_matrix = shape.len() > 1;
                let mut text = format!("static const float {name}{sizes} = {{\n");
                for row in values.chunks(width) {
                    text.push_str(if is_matrix { "    {\n" } else { "" });
                    for part in row.chunks(A_LINE) {
                        let bits = part.iter().map(|x| number(x.to_bits(), self.prefix));
                        let bits: Vec<_> = bits.map(|x| format!("{x},")).collect();
                        let decimals: Vec<_> = part.iter().map(|x| format!("{x:?}")).collect();
                        let (bits, decimals) = (bits.join(" "), decimals.join(", "));
                        let _ = writeln!(text, "    {bits} /* {decimals} */");
                    }
                    text.push_str(if is_matrix { "    },\n" } else { "" });
                }
                text + "};\n"
            }
        }
    }
}

impl Language for C<'_> {
    fn own(&self, plan: &Plan<'_>, line: Line) -> Option<String> {
        let [a, b, c] = line.operands;
        let operand = |k| self.operand(plan, k);
        let input = |k: usize| plan.inputs.get(k).cloned().unwrap_or_default();
        let name = self.prefix;
        Some(match line.operation {
            Operation::Number(bits) => number(bits, name),
            Operation::Word(word) => format!("{word:#010x}u"),
            Operation::High(k) => format!("(float){}", input(k)),
            Operation::Low(k) => format!("(float)({0} - (double)(float){0})", input(k)),
            Operation::Sqrt => format!("{name}_sqrt({})", operand(a)),
            Operation::Abs => format!("{name}_number({name}_bits({}) & 0x7fffffffu)", operand(a)),
            Operation::Select => format!("{} ? {} : {}", operand(a), operand(b), operand(c)),
            Operation::Call(function) => format!("{name}_{function}({})", operand(a)),
            Operation::ToBits => format!("{name}_bits({})", operand(a)),
            Operation::FromBits => format!("{name}_number({})", operand(a)),
            Operation::WordAdd => format!("{} + {}", operand(a), operand(b)),
            Operation::WordSubtract => format!("{} - {}", operand(a), operand(b)),
            _ => return None,
        })
    }

    fn define(&self, operation: Operation, name: &str, value: &str) -> String {
        format!("const {} {name} = {value};", kind(operation))
    }

    fn remark(&self, text: &str) -> String {
        format!(" /* {text} */")
    }

    fn layer(&self, plan: &Plan<'_>, layer: &Layer, name: &str, indent: &str) -> String {
        let table = |k: usize| plan.tables.get(k).map_or("", |table| table.name.as_str());
        let (weights, biases) = (table(layer.weights), table(layer.biases));
        let (units, count) = (layer.units, layer.inputs.len());
        let in_block = format!("{indent}    ");
        let in_loop = format!("{in_block}    ");
        let in_both = format!("{in_loop}    ");
        let (inputs, array) = match plan.layer_before(layer) {
            Some(before) => (before, String::new()),
            None => {
                let inputs: Vec<_> = layer
                    .inputs
                    .iter()
                    .map(|k| self.operand(plan, *k))
                    .collect();
                let inputs = inputs.join(", ");
                let array = format!("{in_block}const float inputs[{count}] = {{{inputs}}};\n");
                (String::from("inputs"), array)
            }
        };
        let add = self.body(&layer.add, &in_both, |sum| format!("sum = {sum};"));
        let end = self.body(&layer.end, &in_loop, |result| {
            format!("{name}[k] = {result};")
        });
        format!(
            "{indent}float {name}[{units}];\n\
             {indent}{{\n{array}\
             {in_block}for (int k = 0; k < {units}; k++) {{\n\
             {in_loop}const float b = {biases}[k];\n\
             {in_loop}float sum = -0.0f;\n\
             {in_loop}for (int i = 0; i < {count}; i++) {{\n\
             {in_both}const float x = {inputs}[i], w = {weights}[k][i];\n\
             {add}{in_loop}}}\n\
             {end}{in_block}}}\n\
             {indent}}}\n"
        )
    }
}

/// The type of an operation's result.
fn kind(operation: Operation) -> &'static str {
    match operation {
        Operation::Less
        | Operation::LessOrEqual
        | Operation::Equal
        | Operation::MaskAnd
        | Operation::MaskOr
        | Operation::MaskNot => "int",
        Operation::Word(_)
        | Operation::ToBits
        | Operation::WordAdd
        | Operation::WordSubtract
        | Operation::And
        | Operation::Or
        | Operation::Xor
        | Operation::ShiftLeft(_)
        | Operation::ShiftRight(_) => "uint32_t",
        _ => "float",
    }
}

/// A literal of the same bits: hexadecimal, or a call of `NAME_number` for infinities and NaN.
fn number(bits: u32, name: &str) -> String {
    if !f32::from_bits(bits).is_finite() {
        return format!("{name}_number({bits:#010x}u)");
    }
    let (exponent, mantissa) = ((bits >> 23) & 0xff, (bits & 0x007f_ffff) << 1);
    let digits = format!("{mantissa:06x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let magnitude = match (exponent, mantissa) {
        (0, 0) => String::from("0.0f"),
        (0, _) => format!("0x0{point}{digits}p-126f"),
        _ => format!("0x1{point}{digits}p{}f", exponent as i32 - 127),
    };
    if bits >> 31 == 1 {
        format!("(-{magnitude})")
    } else {
        magnitude
    }
}
