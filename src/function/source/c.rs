//! Prints a [`Source`] as C99.

use core::fmt::Write as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Line, Operation, Plan, Source, snake};

/// Functions of other files, in C: they hold `NAME` for the function's own.
const HUGE_ANGLE: &str = include_str!("huge_angle.c");

/// The head of everything printed: bits of numbers, and compilers that do not change them.
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

/// The text of a source.
pub(super) fn print(source: &Source) -> String {
    let plan = Plan::new(source);
    let name = snake(&source.name);
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "/* {}", plan.title());
    for line in plan.ranges() {
        let _ = writeln!(text, "{}", format!(" * {line}").trim_end());
    }
    text.push_str(
        " *\n * The bits are the same on every target where float is IEEE's, if multiplications and\n \
         * additions are not fused: compile with -ffp-contract=off.\n */\n",
    );
    text.push_str(HEADER);

    let lines = || {
        let lines = source.lines.iter().zip(&plan.needed);
        lines
            .filter(|(_, needed)| **needed)
            .map(|(line, _)| line.operation)
    };
    let calls = lines().any(|operation| matches!(operation, Operation::Call(_)));
    let takes_bits = |operation| matches!(operation, Operation::ToBits | Operation::Abs);
    let makes_numbers = |operation| match operation {
        Operation::FromBits | Operation::Abs => true,
        Operation::Number(bits) => !f32::from_bits(bits).is_finite(),
        _ => false,
    };
    let helpers = [
        (BITS, calls || lines().any(takes_bits)),
        (NUMBER, calls || lines().any(makes_numbers)),
        (SQRT, lines().any(|operation| operation == Operation::Sqrt)),
        (HUGE_ANGLE, calls),
    ];
    for (helper, is_needed) in helpers {
        if is_needed {
            text.push_str(&helper.replace("NAME", &name));
            if !text.ends_with("\n\n") {
                text.push('\n');
            }
        }
    }

    let arguments = plan.inputs.iter().chain(&plan.parameters);
    let mut arguments: Vec<_> = arguments.map(|name| format!("float {name}")).collect();
    if source.gradient.is_some() {
        // Not named as an input may be: v and a number are the printer's own.
        arguments.push(format!("float v_gradient[{}]", plan.gradient().len()));
    }
    if arguments.is_empty() {
        arguments.push(String::from("void"));
    }
    let arguments = arguments.join(", ");
    let _ = writeln!(
        text,
        "float {name}({arguments});\n\nfloat {name}({arguments})\n{{"
    );
    for (k, line) in source.lines.iter().enumerate() {
        if !plan.has_line(k) {
            continue;
        }
        let decimals = plan.decimals(*line);
        let remark = if decimals.is_empty() {
            decimals
        } else {
            format!(" /* {decimals} */")
        };
        let _ = writeln!(
            text,
            "    const {} {} = {};{remark}",
            kind(line.operation),
            operand(&plan, &name, k as u32),
            expression(&plan, &name, *line)
        );
    }
    for name in plan.idle() {
        let _ = writeln!(text, "    (void){name};");
    }
    for (k, derivative) in plan.gradient().iter().enumerate() {
        let _ = writeln!(
            text,
            "    v_gradient[{k}] = {};",
            operand(&plan, &name, *derivative)
        );
    }
    let _ = writeln!(
        text,
        "    return {};\n}}",
        operand(&plan, &name, source.value)
    );
    text
}

/// The type of what an operation gives.
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

/// A line by its name, or what it is if it has none.
fn operand(plan: &Plan<'_>, name: &str, k: u32) -> String {
    match plan.name(k) {
        Ok(name) => name,
        Err(line) => expression(plan, name, line),
    }
}

fn expression(plan: &Plan<'_>, name: &str, line: Line) -> String {
    let [a, b, c] = line.operands;
    let operand = |k| operand(plan, name, k);
    let infix = |sign| format!("{} {sign} {}", operand(a), operand(b));
    match line.operation {
        Operation::Number(bits) => number(bits, name),
        Operation::Word(word) => format!("{word:#010x}u"),
        Operation::Input(k) => Plan::nth(&plan.inputs, k),
        Operation::Parameter(k) => Plan::nth(&plan.parameters, k),
        Operation::Negate => format!("-{}", operand(a)),
        Operation::Add | Operation::WordAdd => infix("+"),
        Operation::Subtract | Operation::WordSubtract => infix("-"),
        Operation::Multiply => infix("*"),
        Operation::Divide => infix("/"),
        Operation::Sqrt => format!("{name}_sqrt({})", operand(a)),
        Operation::Abs => format!("{name}_number({name}_bits({}) & 0x7fffffffu)", operand(a)),
        Operation::Less => infix("<"),
        Operation::LessOrEqual => infix("<="),
        Operation::Equal => infix("=="),
        Operation::Select => format!("{} ? {} : {}", operand(a), operand(b), operand(c)),
        Operation::Call(function) => format!("{name}_{function}({})", operand(a)),
        Operation::ToBits => format!("{name}_bits({})", operand(a)),
        Operation::FromBits => format!("{name}_number({})", operand(a)),
        Operation::And | Operation::MaskAnd => infix("&"),
        Operation::Or | Operation::MaskOr => infix("|"),
        Operation::Xor => infix("^"),
        Operation::ShiftLeft(by) => format!("{} << {by}", operand(a)),
        Operation::ShiftRight(by) => format!("{} >> {by}", operand(a)),
        Operation::MaskNot => format!("!{}", operand(a)),
    }
}

/// A number without rounding: in hexadecimal.
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
