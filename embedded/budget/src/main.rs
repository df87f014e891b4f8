//! A training loop between two symbols, to count instructions, flash and RAM.
//! Prints the most stack that was in use, in bytes.

#![no_std]
#![no_main]

use core::arch::asm;
use core::panic::PanicInfo;

board::entry!(run);

/// What start-up code paints the stack with.
const PAINT: u32 = 0xCCCC_CCCC;
/// Epochs between the two symbols.
const EPOCHS: u32 = 1000;

// Bodies differ, or the two would be merged into one.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_begin() {
    // SAFETY: does nothing.
    unsafe { asm!("nop") }
}
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_end() {
    // SAFETY: does nothing.
    unsafe { asm!("nop", "nop") }
}

#[cfg(any(feature = "operators", feature = "fused"))]
fn job() -> Option<f32> {
    use jobs::thermometer::{Memory, Spelling, epoch, record, scaled};

    let spelling = if cfg!(feature = "fused") {
        Spelling::Fused
    } else {
        Spelling::Operators
    };
    let t_un = scaled();
    let mut memory = Memory::new();
    let tape = memory.tape();
    let loss = record(&tape, &t_un, spelling);
    let mut sgd = jobs::Sgd::new(1e-2);
    epoch(&tape, loss, &mut sgd).ok()?;
    bench_begin();
    for _ in 0..EPOCHS {
        epoch(&tape, loss, &mut sgd).ok()?;
        core::hint::black_box(loss.item().ok()?);
    }
    bench_end();
    loss.item().ok()
}

#[cfg(not(any(feature = "operators", feature = "fused")))]
fn job() -> Option<f32> {
    bench_begin();
    for _ in 0..EPOCHS {
        core::hint::black_box(1.0_f32);
    }
    bench_end();
    Some(0.0)
}

fn run() -> i32 {
    let end = core::hint::black_box(job as fn() -> Option<f32>)();
    board::println!("stack {}", stack_used());
    i32::from(end.is_none())
}

/// From the deepest word that is no longer as painted to the stack's start.
fn stack_used() -> u32 {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
    }
    let (end, start) = (&raw const _stack_end, &raw const _stack_start);
    let mut at = end;
    // SAFETY: reads the stack's memory, word by word, and nothing beyond.
    while at < start && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    start.addr().wrapping_sub(at.addr()) as u32
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    board::exit(2)
}
