//! Build script of all firmware but the calibrators: copies the memory layout of the board that
//! `BOARD` names (by default one for the target) to where the start-up code's linker script
//! includes it from.

use std::path::Path;
use std::{env, fs};

fn main() {
    let target = env::var("TARGET").unwrap_or_default();
    let arm = target.starts_with("thumb");
    let board = match env::var("BOARD") {
        Ok(board) => board,
        Err(_) => match target.split('-').next() {
            Some("thumbv6m") => "microbit",
            Some("thumbv8m.main") => "an505",
            _ if arm => "mps2",
            Some(riscv) if riscv.starts_with("riscv32") => "virt",
            _ => return, // the host, for `cargo check`
        }
        .into(),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../memory");
    let layout = root.join(format!("{board}.x"));
    let out = env::var("OUT_DIR").expect("set by cargo");
    fs::copy(&layout, Path::new(&out).join("memory.x")).expect("memory/$BOARD.x");
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-env-changed=BOARD");
    println!("cargo:rerun-if-changed={}", layout.display());
    println!("cargo:rerun-if-changed={}", root.display());
    if !arm {
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
}
