//! Parses the number in a field, with a decimal point or comma.

use super::super::error::{is_finite_in_f32, too_large};
use super::records::Separator;

/// Returns the number in a field, or a hint why it is none. `decimal` is the decimal mark
/// of the numbers read before; the first number that has one sets it.
pub(super) fn number(
    field: &str,
    separator: Separator,
    decimal: &mut Option<char>,
) -> Result<f64, &'static str> {
    if field.is_empty() {
        return Err(", a missing value: remove the row, or fill it in");
    }
    let mark = field.chars().find(|c| matches!(c, '.' | ','));
    let has_comma = mark == Some(',');
    if has_comma && matches!(separator, Separator::Comma | Separator::Blanks) {
        return Err("; decimal commas need columns that semicolons or tabs separate");
    }
    let number = if has_comma {
        field.replacen(',', ".", 1).parse()
    } else {
        field.parse()
    };
    let x: f64 = number.map_err(|_| "")?;
    if !is_finite_in_f32(x) {
        // Digits that parse as an infinity are a number too large for `f64`.
        let has_digits = field.contains(|c: char| c.is_ascii_digit());
        let x = if has_digits {
            x.clamp(f64::MIN, f64::MAX)
        } else {
            x
        };
        return Err(too_large(x));
    }
    if let Some(mark) = mark {
        match *decimal.get_or_insert(mark) {
            before if before == mark => {}
            ',' => return Err(", with a decimal point after numbers with a decimal comma"),
            _ => return Err(", with a comma after numbers with a decimal point"),
        }
    }
    Ok(x)
}

/// Returns whether a field is a number, and therefore not the name of a column.
pub(super) fn is_number(field: &str) -> bool {
    field.replacen(',', ".", 1).parse::<f64>().is_ok()
}
