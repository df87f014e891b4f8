//! Access to flash that is mapped into memory.

use core::ptr;

/// Returns a pointer to an address, through which drivers also send commands and data.
pub fn at(address: usize) -> *mut u8 {
    ptr::with_exposed_provenance_mut(address)
}

/// Reads `to.len()` bytes from an address on.
///
/// # Safety
/// These bytes must be readable memory.
pub unsafe fn read(address: usize, to: &mut [u8]) {
    for (i, byte) in to.iter_mut().enumerate() {
        // SAFETY: promised by the caller. The read is volatile, because flash changes without
        // writes that the compiler sees.
        *byte = unsafe { at(address + i).read_volatile() };
    }
}
