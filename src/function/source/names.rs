//! Names that are valid in Rust and in C.

use std::format;
use std::string::String;

/// Returns whether an argument can have this name in Rust, in C, and in C++, which may include the
/// header. It must differ from the names of the printer's own: `v`, `x` or `p` and a number,
/// `v_gradient`, and the functions for huge angles. C reserves names that begin with two
/// underscores, or with one and a capital.
pub(super) fn is_name(name: &str) -> bool {
    const RESERVED: &str = " \
        _ abstract alignas alignof and and_eq as asm async auto await become bitand bitor bool \
        box break case catch char class co_await co_return co_yield compl concept const \
        const_cast consteval constexpr constinit continue crate decltype default delete do \
        double dyn dynamic_cast else enum explicit export extern f32 false final float fn for \
        friend gen goto if impl in inline int let linux long loop macro match mod move mut \
        mutable namespace new noexcept not not_eq nullptr operator or or_eq override priv \
        private protected pub public ref register reinterpret_cast requires restrict return \
        Self self short signed sizeof sqrt static static_assert static_cast struct super switch \
        template this thread_local throw trait true try type typedef typeid typename typeof u32 \
        union unix unsafe unsigned unsized use using virtual void volatile wchar_t where while \
        xor xor_eq yield ";
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let all_well = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let numbered = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    };
    let reserved = RESERVED.contains(&format!(" {name} "))
        || name.starts_with("v_gradient")
        || name.starts_with("huge_")
        || name.starts_with("__")
        || matches!(name.as_bytes(), [b'_', b'A'..=b'Z', ..]);
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
