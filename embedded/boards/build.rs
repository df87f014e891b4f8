//! Shared by all boards: puts the board's `memory.x` where the linker script of
//! the start-up code looks for it.

use std::env;

fn main() {
    let board = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    println!("cargo:rustc-link-search={board}");
    println!("cargo:rerun-if-changed={board}/memory.x");
    let target = env::var("TARGET").expect("set by cargo");
    if target.starts_with("riscv") {
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Sections follow each other without padding to pages of a desktop.
    println!("cargo:rustc-link-arg-bins=--nmagic");
}
