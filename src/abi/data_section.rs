//! sbrk and brk for a section of the program's own. Semantics stand in `glebe.h`.

pub use crate::data_section::DataSectionError;

use crate::data_section::{move_by, set_end};
use crate::os::process::{ErrnoKept, set_errno};
use core::ffi::{c_int, c_void};

/// Runs `call` with errno kept, and set to ENOMEM where it fails.
fn with_errno<T>(call: impl FnOnce() -> Result<T, DataSectionError>) -> Option<T> {
    let kept = ErrnoKept::new();
    let outcome = call();
    drop(kept);
    if outcome.is_err() {
        set_errno(::libc::ENOMEM);
    }
    outcome.ok()
}

/// Moves the end by `bytes`; the end before, or `(void *)-1` with ENOMEM.
///
/// # Safety
/// Nobody uses bytes that go.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_sbrk(bytes: isize) -> *mut c_void {
    with_errno(|| move_by(bytes)).unwrap_or(usize::MAX) as *mut c_void
}

/// Moves the end to `end`; 0, or -1 with ENOMEM.
///
/// # Safety
/// Nobody uses bytes that go.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_brk(end: *mut c_void) -> c_int {
    with_errno(|| set_end(end as usize)).map_or(-1, |()| 0)
}

/// Moves the end of the process's own data section by `bytes`, up or down, and returns the end
/// before; 0 asks for it. Bytes that come in are zero. Any thread may call it, and signal handlers;
/// errno is kept. The contract of sbrk(2), for a section beside the heap.
///
/// ```
/// # fn main() -> Result<(), glebe::DataSectionError> {
/// // SAFETY: nothing goes.
/// let bytes = unsafe { glebe::sbrk(4096)? };
/// // SAFETY: 4096 zeroes, ours until the section contracts.
/// unsafe { bytes.write(7) };
/// // SAFETY: nobody uses them any more.
/// unsafe { glebe::sbrk(-4096)? };
/// # Ok(())
/// # }
/// ```
///
/// # Safety
/// Nobody uses bytes that go.
///
/// # Errors
/// As [`DataSectionError`] says; nothing has changed then.
pub unsafe fn sbrk(bytes: isize) -> Result<*mut u8, DataSectionError> {
    let _kept = ErrnoKept::new();
    move_by(bytes).map(|end| end as *mut u8)
}

/// Moves the end of the process's own data section to `end`: brk(2) to [`sbrk`].
///
/// # Safety
/// Nobody uses bytes that go.
///
/// # Errors
/// As [`DataSectionError`] says; nothing has changed then.
pub unsafe fn brk(end: *mut u8) -> Result<(), DataSectionError> {
    let _kept = ErrnoKept::new();
    set_end(end as usize)
}
