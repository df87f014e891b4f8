//! Measures how deep the stack has been: free memory is painted at the start, and the lowest
//! word that is no longer paint is searched for later.

use core::ptr;

const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    /// The start of statics.
    static __sdata: u32;
    /// The end of statics, down to which the stack may grow.
    static mut __sheap: u32;
    /// The start of the stack, its highest address.
    static mut _stack_start: u32;
}

/// Bytes below the stack pointer that are not painted, because [`paint`] itself may use them.
const MARGIN: usize = 256;

/// Paints the free memory. `main` must call it first.
#[inline(never)]
pub fn paint() {
    let on_the_stack = core::hint::black_box(0_u32);
    let here = ptr::from_ref(&on_the_stack).addr();
    let mut word = &raw mut __sheap;
    while word.addr() + MARGIN < here {
        // SAFETY: nothing is stored between the end of statics and the stack in use. Interrupts,
        // which would use this memory, are not enabled yet.
        unsafe { word.write_volatile(PAINT) };
        word = word.wrapping_add(1);
    }
}

/// Returns the most bytes of RAM that statics and the stack have taken.
pub fn used() -> usize {
    let statics = (&raw const __sheap).addr() - (&raw const __sdata).addr();
    let top = (&raw const _stack_start).addr();
    let mut word = &raw const __sheap;
    // SAFETY: the word is within RAM, and any bits are a `u32`.
    while word.addr() < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    statics + (top - word.addr())
}
