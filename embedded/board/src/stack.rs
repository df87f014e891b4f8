//! Measures the stack: free memory below the caller is painted, and later searched for the
//! lowest word that is no longer paint.

const PAINT: u32 = 0xCCCC_CCCC;

/// The most stack that the functions here take, in words.
const MARGIN: usize = 32;

unsafe extern "C" {
    // The lowest address of the stack, a symbol of the start-up code's linker script.
    #[cfg_attr(target_arch = "riscv32", link_name = "__estack")]
    static mut _stack_end: u32;
}

fn lowest() -> *mut u32 {
    &raw mut _stack_end
}

/// Returns an address a little below the stack pointer. Nothing below it is in use.
#[inline(never)]
fn pointer() -> *mut u32 {
    let mut here = 0_u32;
    core::hint::black_box(&raw mut here).wrapping_sub(MARGIN)
}

/// Returns the bytes that are free below the caller.
pub fn free() -> usize {
    pointer().addr().saturating_sub(lowest().addr())
}

/// Paints the stack below the caller.
pub fn paint() {
    let (mut at, end) = (lowest(), pointer());
    while at < end {
        // SAFETY: the word is between the lowest address of the stack and the part in use.
        unsafe { at.write_volatile(PAINT) };
        at = at.wrapping_add(1);
    }
}

/// Returns the most bytes below the caller that were in use since [`paint`].
pub fn used() -> usize {
    let (mut at, end) = (lowest(), pointer());
    // SAFETY: the word is between the lowest address of the stack and the part in use.
    while at < end && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    end.addr() - at.addr()
}
