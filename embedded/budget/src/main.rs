//! Counts what training costs on a Cortex-M: instructions per epoch, and the most
//! stack that was in use, the arena included. `budget.sh` runs it, and adds the flash.
//!
//! The training loop runs between calls of two functions, `bench_begin` and `bench_end`,
//! where an emulator's plugin can start and stop a profile.

#![no_std]
#![no_main]

#[cfg(feature = "optimizer")]
mod optimizers;

use core::arch::asm;
use core::panic::PanicInfo;

use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};

board::entry!(run);

/// The number of epochs that are counted: few enough for the timer's 24 bits.
const EPOCHS: u32 = if SINE { 100 } else { 1000 };

/// Instructions in a tick of mps2's 25 MHz clock, as each takes a nanosecond under QEMU's
/// `-icount shift=0`.
const PER_TICK: u32 = 40;

/// The word that start-up code paints the stack with.
const PAINT: u32 = 0xCCCC_CCCC;

/// Whether a job is selected. Without one, the firmware does nothing, and its size is subtracted
/// from that of the others.
const JOB: bool = cfg!(any(
    feature = "operators",
    feature = "fused",
    feature = "function",
    feature = "lm",
    feature = "iris",
    feature = "optimizer"
)) || SINE
    || ELEMENTARY
    || RECURSIVE;

/// Whether the job is an elementary function, counted per number, loop and store included.
const ELEMENTARY: bool = cfg!(any(feature = "exp", feature = "tanh", feature = "sin"));

/// Whether the job is a line by recursive least squares, counted per sample.
const RECURSIVE: bool = cfg!(feature = "rls");

/// Whether the job is the network that learns a sine.
const SINE: bool = cfg!(any(feature = "sine", feature = "one-by-one"));

fn run() -> i32 {
    let Some(mut peripherals) = Peripherals::take() else {
        return 1;
    };
    let timer = &mut peripherals.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(0xFF_FFFF);
    timer.clear_current();
    timer.enable_counter();

    let Some(ticks) = (if SINE {
        sine()
    } else if ELEMENTARY {
        elementary()
    } else if RECURSIVE {
        recursive()
    } else if cfg!(feature = "lm") {
        least_squares()
    } else if cfg!(feature = "iris") {
        iris()
    } else if cfg!(feature = "optimizer") {
        optimizer()
    } else if JOB {
        thermometer()
    } else {
        count(|| Some(()))
    }) else {
        return 2;
    };
    let calls = if ELEMENTARY {
        jobs::elementary::LEN as u32
    } else if RECURSIVE {
        jobs::recursive::SAMPLES.len() as u32
    } else {
        1
    };
    report(ticks * PER_TICK / EPOCHS / calls);
    #[cfg(feature = "optimizer")]
    board::println!("{}", optimizers::bytes());
    0
}

// It is out of line, so that the stack of printing is not counted as the job's.
#[inline(never)]
fn report(instructions: u32) {
    board::println!("{instructions} {}", stack_used());
}

/// Returns the ticks that `EPOCHS` calls take, after a first call, in which the tape plans its
/// gradients.
#[inline(always)]
fn count(mut epoch: impl FnMut() -> Option<()>) -> Option<u32> {
    let (mut start, mut left) = (0, EPOCHS);
    loop {
        epoch()?;
        if left == EPOCHS {
            bench_begin();
            start = SYST::get_current();
        }
        if left == 0 {
            break;
        }
        left -= 1;
    }
    let end = SYST::get_current();
    bench_end();
    Some(start.wrapping_sub(end) & 0xFF_FFFF) // The timer counts down.
}

// Each job is a function of its own, so that its stack frame lies below `run`'s.
#[inline(never)]
fn thermometer() -> Option<u32> {
    use jobs::thermometer::{Spelling, epoch, record};

    #[cfg(feature = "function")]
    use jobs::thermometer::FunctionMemory as Memory;
    #[cfg(feature = "fused")]
    use jobs::thermometer::FusedMemory as Memory;
    #[cfg(not(any(feature = "function", feature = "fused")))]
    use jobs::thermometer::Memory;

    let spelling = if cfg!(feature = "function") {
        Spelling::Function
    } else if cfg!(feature = "fused") {
        Spelling::Fused
    } else {
        Spelling::Operators
    };
    let mut memory = Memory::new();
    let tape = memory.tape();
    let loss = record(&tape, spelling);
    let mut sgd = jobs::Sgd::new(1e-2);
    count(|| {
        epoch(&tape, loss, &mut sgd).ok()?;
        core::hint::black_box(loss.item().ok()?);
        Some(())
    })
}

// Each call solves the line with its standard errors anew.
#[inline(never)]
fn least_squares() -> Option<u32> {
    count(|| jobs::thermometer::solve().map(|solved| _ = core::hint::black_box(solved)))
}

// Each call classifies a flower, and fails if the species is wrong.
#[inline(never)]
fn iris() -> Option<u32> {
    use jobs::iris::{FLOWERS, TRAINED, classify};

    let mut flowers = FLOWERS.iter().enumerate().cycle();
    count(|| {
        let (species, lengths) = flowers.next()?;
        let found = classify(core::hint::black_box(TRAINED), lengths).ok()?;
        (found == species).then_some(())
    })
}

#[inline(never)]
fn sine() -> Option<u32> {
    use jobs::sine::{Memory, Network, SmallMemory, optimizer, optimizer_of_sums};

    // `cfg!` is a constant, so the firmware has no code of the other job.
    if cfg!(feature = "one-by-one") {
        let mut optimizer = optimizer_of_sums();
        let mut memory = SmallMemory::new();
        let tape = memory.tape();
        let network = Network::record_one(&tape);
        count(|| network.epoch_one_by_one(&mut optimizer).ok().map(use_it))
    } else {
        let mut optimizer = optimizer();
        let mut memory = Memory::new();
        let tape = memory.tape();
        let network = Network::record(&tape);
        count(|| network.epoch(&mut optimizer).ok().map(use_it))
    }
}

#[inline(never)]
fn elementary() -> Option<u32> {
    use jobs::elementary::{LEN, arguments, exp, sin, tanh};

    let function = if cfg!(feature = "exp") {
        exp
    } else if cfg!(feature = "tanh") {
        tanh
    } else {
        sin
    };
    let (x, mut out) = (arguments(), [0.0; LEN]);
    count(|| {
        function(core::hint::black_box(&x), &mut out);
        core::hint::black_box(&out);
        Some(())
    })
}

#[inline(never)]
fn recursive() -> Option<u32> {
    let mut line = jobs::recursive::start().ok()?;
    count(|| {
        // The compiler must not know anything about the line.
        jobs::recursive::pass(core::hint::black_box(&mut line));
        Some(())
    })
}

#[cfg(feature = "optimizer")]
use optimizers::steps as optimizer;

/// Stands in for the job that only the feature compiles.
#[cfg(not(feature = "optimizer"))]
fn optimizer() -> Option<u32> {
    None
}

fn use_it(loss: f32) {
    core::hint::black_box(loss);
}

// The bodies differ, because the linker could merge equal ones.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_begin() {
    // SAFETY: `nop` does nothing.
    unsafe { asm!("nop") }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_end() {
    // SAFETY: `nop` does nothing.
    unsafe { asm!("nop", "nop") }
}

/// Returns the bytes from the deepest word that is no longer painted to the stack's start.
fn stack_used() -> usize {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
    }
    let (mut at, start) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: the words are between the stack's end and its start.
    while at < start && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    start.addr() - at.addr()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    board::exit(3)
}
