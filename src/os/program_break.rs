//! The program break (sbrk(2)): one data section that other parts of the program may move too.

use super::process::page_bytes;
use core::ffi::c_void;

const FAILED: usize = usize::MAX;

/// The end of the data section; `None` where the break is not to be had.
pub(crate) fn current() -> Option<usize> {
    // SAFETY: sbrk(0) only asks.
    let end = unsafe { libc::sbrk(0) } as usize;
    (end != FAILED && end != 0).then_some(end)
}

/// Grows the data section by `bytes` if it still ends at `expected_end`. On success it reaches
/// from there to `expected_end + bytes`.
pub(crate) fn grow(expected_end: usize, bytes: usize) -> bool {
    let Ok(increment) = isize::try_from(bytes) else {
        return false;
    };
    if current() != Some(expected_end) {
        return false;
    }
    // SAFETY: growing the data section touches no existing memory.
    let before = unsafe { libc::sbrk(increment) } as usize;
    if before == FAILED {
        return false;
    }
    if before != expected_end {
        // Somebody moved the break between the two calls: what we got lies elsewhere. Give it
        // back if it is still the top; else it stays unused.
        if current() == Some(before + bytes) {
            // SAFETY: nothing in the range just gained is used.
            unsafe { libc::sbrk(-increment) };
        }
        return false;
    }
    true
}

/// Shrinks the data section from `end` to `new_end` if it still ends at `end`.
pub(crate) fn shrink(end: usize, new_end: usize) -> bool {
    debug_assert!(new_end <= end && new_end.is_multiple_of(page_bytes()));
    if current() != Some(end) {
        return false;
    }
    // SAFETY: callers own the range above `new_end` and nothing in it is live.
    unsafe { libc::brk(new_end as *mut c_void) == 0 }
}
