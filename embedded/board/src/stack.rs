//! How much stack there is, and how much was used: what lies below the caller is
//! painted, and looked at again later.

const PAINT: u32 = 0xCCCC_CCCC;

/// What the functions here may themselves have on the stack, in words.
const MARGIN: usize = 32;

unsafe extern "C" {
    // Of the start-up code's linker script: the lowest address.
    #[cfg_attr(target_arch = "riscv32", link_name = "__estack")]
    static mut _stack_end: u32;
}

fn lowest() -> *mut u32 {
    &raw mut _stack_end
}

/// Below which nothing is in use. It is a little lower than the stack pointer.
#[inline(never)]
fn pointer() -> *mut u32 {
    let mut here = 0_u32;
    core::hint::black_box(&raw mut here).wrapping_sub(MARGIN)
}

/// Bytes left below the caller.
pub fn free() -> usize {
    pointer().addr().saturating_sub(lowest().addr())
}

/// Paints what lies below the caller.
pub fn paint() {
    let (mut at, end) = (lowest(), pointer());
    while at < end {
        // SAFETY: between the lowest address of the stack and what is in use.
        unsafe { at.write_volatile(PAINT) };
        at = at.wrapping_add(1);
    }
}

/// The most bytes below the caller that were in use since [`paint`].
pub fn used() -> usize {
    let (mut at, end) = (lowest(), pointer());
    // SAFETY: between the lowest address of the stack and what is in use.
    while at < end && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    end.addr() - at.addr()
}
