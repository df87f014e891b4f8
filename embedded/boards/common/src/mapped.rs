//! Flash that is read like memory.

use core::ptr;

/// The byte at an address, to be written to as the flash wants it.
pub fn at(address: usize) -> *mut u8 {
    ptr::with_exposed_provenance_mut(address)
}

/// Reads bytes from an address on.
///
/// # Safety
/// There must be as much memory there.
pub unsafe fn read(address: usize, to: &mut [u8]) {
    for (i, byte) in to.iter_mut().enumerate() {
        // SAFETY: promised by the caller. Volatile: what is there changes
        // without the compiler's knowing.
        *byte = unsafe { at(address + i).read_volatile() };
    }
}
