//! Measures how deep the stack has been: it is painted at the start, and words that are
//! no longer paint were used.

use core::ptr;

const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    /// Where statics begin.
    static __sdata: u32;
    /// Where statics end: the stack grows down to here.
    static mut __sheap: u32;
    /// Where the stack begins.
    static mut _stack_start: u32;
}

/// Bytes that are not painted, because the painter itself may use them.
const MARGIN: usize = 256;

/// Paints the free memory. To be called first.
#[inline(never)]
pub fn paint() {
    let on_the_stack = core::hint::black_box(0_u32);
    let here = ptr::from_ref(&on_the_stack).addr();
    let mut word = &raw mut __sheap;
    while word.addr() + MARGIN < here {
        // SAFETY: between the end of statics and the stack in use, nothing is
        // stored; interrupts, which would use it, are not enabled yet.
        unsafe { word.write_volatile(PAINT) };
        word = word.wrapping_add(1);
    }
}

/// Bytes of RAM that statics and the stack have taken.
pub fn used() -> usize {
    let statics = (&raw const __sheap).addr() - (&raw const __sdata).addr();
    let top = (&raw const _stack_start).addr();
    let mut word = &raw const __sheap;
    // SAFETY: within RAM, where any bits are a number.
    while word.addr() < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    statics + (top - word.addr())
}
