//! Reads a file of readings and their references, with one of several separators.

use baregrad::calibrate::{DecimalError, TwoFloat};

/// A reading and its reference.
pub(super) type Sample = [TwoFloat; 2];

/// The samples of a file, or an error text to follow the name of the file.
pub(super) fn samples(text: &str) -> Result<Vec<Sample>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut heading = None;
    let mut samples = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns = columns(line);
        // At most one line is a heading. It contains only words, so a line with a number
        // is never one.
        let is_heading = samples.is_empty()
            && heading.is_none()
            && columns.iter().all(|word| word.parse::<f32>().is_err())
            && columns.iter().any(|word| is_name(word));
        if is_heading {
            heading = Some(i + 1);
            continue;
        }
        let at = i + 1;
        let [reading, reference] = columns[..] else {
            return Err(format!(
                ":{at}: expected a reading and its reference, found {} in '{line}'",
                match columns.len() {
                    1 => "one column".into(),
                    n => format!("{n} columns"),
                }
            ));
        };
        let number = |what, word: &str| match word.parse::<TwoFloat>() {
            Ok(x) => Ok(x),
            Err(DecimalError::TooLarge) => Err(format!(
                ":{at}: expected {what} that f32 can hold, found '{word}'"
            )),
            Err(_) => Err(format!(
                ":{at}: expected a finite number as {what}, found '{word}'{}",
                match word.replacen(',', ".", 1).parse::<TwoFloat>() {
                    Ok(_) if word.contains(',') => ": write a point, not a comma",
                    _ => "",
                }
            )),
        };
        samples.push([number("reading", reading)?, number("reference", reference)?]);
    }
    match (samples.is_empty(), heading) {
        (false, _) => Ok(samples),
        (true, None) => Err(": expected lines of a reading and its reference, found none".into()),
        (true, Some(at)) => Err(format!(
            ": expected lines of a reading and its reference, found only a heading in line {at}"
        )),
    }
}

/// The columns of a line, separated by semicolons if there are any, or else by tabs, by
/// commas or by spaces.
fn columns(line: &str) -> Vec<&str> {
    for separator in [';', '\t', ','] {
        if line.contains(separator) {
            return line.split(separator).map(str::trim).collect();
        }
    }
    line.split_whitespace().collect()
}

/// Returns whether a word may name a column, rather than being meant as a number.
fn is_name(word: &str) -> bool {
    let word = word.trim_start_matches(['+', '-', '"', '\'']);
    word.starts_with(char::is_alphabetic) && !["nan", "inf"].contains(&&*word.to_lowercase())
}
