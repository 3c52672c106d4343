//! Pointers that are not ours go to the next allocator in the program: they were allocated before
//! we were loaded, or by an allocator that a library brought along.

use crate::config;
use crate::heap::bootstrap;
use crate::os::linker;
use crate::report;
use core::ffi::{CStr, c_void};
use once_cell::race::OnceNonZeroUsize;

/// One function of the next allocator, looked up at the first foreign pointer.
struct Next {
    name: &'static CStr,
    found: OnceNonZeroUsize,
}

const NONE: usize = 1;

impl Next {
    const fn new(name: &'static CStr) -> Next {
        Next {
            name,
            found: OnceNonZeroUsize::new(),
        }
    }

    /// Its address. The search starts after our own object, so it never is one of ours.
    fn address(&self) -> Option<usize> {
        let found = self.found.get_or_init(|| {
            let found = linker::next_symbol(self.name);
            core::num::NonZeroUsize::new(found)
                .unwrap_or(const { core::num::NonZeroUsize::new(NONE).expect("1 is not 0") })
        });
        (found.get() != NONE).then_some(found.get())
    }
}

static FREE: Next = Next::new(c"free");
static REALLOC: Next = Next::new(c"realloc");
static USABLE_SIZE: Next = Next::new(c"malloc_usable_size");

/// free of a pointer that is not ours.
#[cold]
pub(crate) fn free(address: usize) {
    if bootstrap::block_bytes(address).is_some() {
        return;
    }
    match FREE.address() {
        // No block of another allocator's is freed here by a program that checks its frees.
        Some(_) if config::hardened() => report::not_ours("free", address),
        Some(function) => {
            // SAFETY: free's address and type; the caller vouches for the pointer.
            let free: extern "C" fn(*mut c_void) = unsafe { core::mem::transmute(function) };
            free(address as *mut c_void);
        }
        None => report::not_ours("free", address),
    }
}

/// What a realloc of a pointer that is not ours came to.
pub(crate) enum Reallocated {
    /// The next allocator's answer.
    Answer(usize),
    /// A bootstrap block of this size: to be copied to a block of ours and forgotten.
    Bootstrap(usize),
}

/// realloc of a pointer that is not ours.
#[cold]
pub(crate) fn reallocate(address: usize, bytes: usize) -> Reallocated {
    if let Some(old_bytes) = bootstrap::block_bytes(address) {
        return Reallocated::Bootstrap(old_bytes);
    }
    match REALLOC.address() {
        Some(function) => {
            // SAFETY: realloc's address and type; the caller vouches for the pointer.
            let realloc: extern "C" fn(*mut c_void, usize) -> *mut c_void =
                unsafe { core::mem::transmute(function) };
            Reallocated::Answer(realloc(address as *mut c_void, bytes) as usize)
        }
        None => {
            report::not_ours("realloc", address);
            Reallocated::Answer(0)
        }
    }
}

/// malloc_usable_size of a pointer that is not ours.
#[cold]
pub(crate) fn usable_bytes(address: usize) -> usize {
    if let Some(bytes) = bootstrap::block_bytes(address) {
        return bytes;
    }
    match USABLE_SIZE.address() {
        Some(function) => {
            // SAFETY: malloc_usable_size's address and type; the caller vouches for the pointer.
            let usable_size: extern "C" fn(*mut c_void) -> usize =
                unsafe { core::mem::transmute(function) };
            usable_size(address as *mut c_void)
        }
        None => {
            report::not_ours("malloc_usable_size", address);
            0
        }
    }
}
