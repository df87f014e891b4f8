//! Names that are valid in Rust and in C.

use std::format;
use std::string::String;

/// Returns whether an argument can have this name in Rust and in C. It must differ from the names
/// of the printer's own, which are `v`, `x` or `p` and a number.
pub(super) fn is_name(name: &str) -> bool {
    const RESERVED: &str = " _ as async auto await bool box break case char const continue crate default do \
        double dyn else enum extern f32 false final float fn for gen goto if impl in inline int let \
        long loop macro match mod move mut override priv pub ref register restrict return self Self \
        short signed sizeof sqrt static struct super switch trait true try type typedef typeof u32 \
        union unsafe unsigned unsized use virtual void volatile where while yield ";
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let all_well = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let numbered = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    };
    let reserved = RESERVED.contains(&format!(" {name} "));
    starts_well
        && all_well
        && !reserved
        && !['v', 'x', 'p']
            .into_iter()
            .any(|c| numbered(c) && name.len() > 1)
}

/// Turns `SteinhartHart` into `steinhart_hart`, and characters that a name cannot hold into `_`.
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        let c = if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        };
        snake.push(c);
    }
    if is_name(&snake) {
        snake
    } else {
        format!("f_{snake}")
    }
}
