//! _Fork, by POSIX.1-2024: a fork that runs no handlers, ours neither.

use crate::heap::fork;
use crate::os::{linker, process};
use core::ffi::c_int;
use core::num::NonZeroUsize;
use once_cell::race::OnceNonZeroUsize;

/// _Fork(3) of libc, with what its child needs of us: it finds what was moved out of memory.
///
/// Async-signal-safe but for the first call, which asks the dynamic linker. Errors are libc's;
/// ENOSYS where it has no _Fork (glibc before 2.34).
#[unsafe(no_mangle)]
pub extern "C" fn glebe__Fork() -> c_int {
    const NONE: NonZeroUsize = NonZeroUsize::new(1).expect("1 is not 0");
    static NEXT: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let next = NEXT.get_or_init(|| {
        let _kept = process::ErrnoKept::new();
        NonZeroUsize::new(linker::next_symbol(c"_Fork")).unwrap_or(NONE)
    });
    if next == NONE {
        process::set_errno(libc::ENOSYS);
        return -1;
    }
    // SAFETY: _Fork's address and type.
    let next: extern "C" fn() -> c_int = unsafe { core::mem::transmute(next.get()) };
    fork::around(next)
}
