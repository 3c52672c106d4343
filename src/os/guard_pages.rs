//! Guard pages (temporary, until the real one).

use core::ffi::c_void;

pub(crate) fn install(address: usize, bytes: usize) -> bool {
    // SAFETY: callers own the range.
    unsafe { libc::madvise(address as *mut c_void, bytes, 102) == 0 }
}

pub(crate) fn remove(address: usize, bytes: usize) -> bool {
    // SAFETY: callers own the range.
    unsafe { libc::madvise(address as *mut c_void, bytes, 103) == 0 }
}
