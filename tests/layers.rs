//! Tests that the diagram of layers in `lib.rs` agrees with the imports.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the modules in each line of the diagram, top layer first.
fn drawn(lib: &str) -> Vec<Vec<&str>> {
    let start = lib.find("knows only those below it").unwrap();
    let drawing = lib[start..].split("```").nth(1).unwrap();
    let lines = drawing.lines().skip(1);
    let names = lines.map(|line| {
        line.trim_start_matches("//!")
            .trim()
            .trim_start_matches('→')
    });
    names
        .map(|names| names.split(',').map(str::trim).collect::<Vec<_>>())
        .filter(|names| names != &[""])
        .collect()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Returns the names behind `crate::` in code, without comments and unit tests.
fn imports(source: &str) -> Vec<String> {
    let code = source.split("\nmod tests {").next().unwrap();
    let code = code.lines().filter_map(|line| line.split("//").next());
    let code: String = code.flat_map(|line| [line, " "]).collect();
    let mut names = Vec::new();
    for path in code.split("crate::").skip(1) {
        let list = path.strip_prefix('{').map_or(path, |list| {
            // `use crate::{a::b, c}` imports from `a` and `c`, the first names.
            &list[..list.find(';').unwrap_or(list.len())]
        });
        let is_list = path.starts_with('{');
        for name in list.split(',').take(if is_list { usize::MAX } else { 1 }) {
            let word = name
                .trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_');
            names.extend(word.take(1).map(str::to_owned));
        }
    }
    names
}

#[test]
fn modules_import_only_what_is_drawn_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let layers = drawn(&lib);
    let layer = |name: &str| layers.iter().position(|names| names.contains(&name));
    // A name that `lib.rs` re-exports counts as its module.
    let exported = |name: &str| {
        let mut uses = lib.lines().filter_map(|line| line.strip_prefix("pub use "));
        let found = uses.find(|line| {
            line.split(|c: char| !c.is_alphanumeric())
                .any(|w| w == name)
        });
        found.map_or(name.to_owned(), |line| {
            line.split("::").next().unwrap().to_owned()
        })
    };

    let mut paths = Vec::new();
    files(&src, &mut paths);
    let mut checked = 0;
    for path in paths {
        let inner = path.strip_prefix(&src).unwrap();
        let module = inner.iter().next().unwrap().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        if ["lib", "bin"].contains(&module) {
            continue;
        }
        let from = layer(module).unwrap_or_else(|| panic!("lib.rs does not draw {module}"));
        for name in imports(&fs::read_to_string(&path).unwrap()) {
            let name = exported(&name);
            let Some(to) = layer(&name).filter(|_| name != module) else {
                continue; // It is a macro, or the module itself.
            };
            // `tape` and `var` may import each other.
            let circle = ["tape", "var"];
            let is_circle = circle.contains(&module) && circle.contains(&name.as_str());
            assert!(
                from < to || is_circle,
                "{}: {module} imports {name}",
                inner.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked} imports were found");
}
