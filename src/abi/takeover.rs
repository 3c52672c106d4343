//! The standard names themselves, for Rust programs whose C libraries shall allocate from glebe
//! too (cargo feature `takeover`).

use super::libc::*;
use super::tuning::{glebe_malloc_trim, glebe_mallopt};
use core::ffi::{c_int, c_void};

macro_rules! take_over {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $door:ident;)*) => {
        $(
            /// # Safety
            /// As the door's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                #[allow(unused_unsafe, reason = "some doors are safe")]
                // SAFETY: as the caller's: the same contract under another name.
                unsafe { $door($($argument),*) }
            }
        )*
    };
}

take_over! {
    malloc(size: usize) -> *mut c_void = glebe_malloc;
    free(block: *mut c_void) = glebe_free;
    cfree(block: *mut c_void) = glebe_free;
    calloc(count: usize, size: usize) -> *mut c_void = glebe_calloc;
    realloc(block: *mut c_void, size: usize) -> *mut c_void = glebe_realloc;
    reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void = glebe_reallocarray;
    posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int = glebe_posix_memalign;
    aligned_alloc(alignment: usize, size: usize) -> *mut c_void = glebe_aligned_alloc;
    memalign(alignment: usize, size: usize) -> *mut c_void = glebe_memalign;
    valloc(size: usize) -> *mut c_void = glebe_valloc;
    pvalloc(size: usize) -> *mut c_void = glebe_pvalloc;
    malloc_usable_size(block: *mut c_void) -> usize = glebe_malloc_usable_size;
    free_sized(block: *mut c_void, size: usize) = glebe_free_sized;
    free_aligned_sized(block: *mut c_void, alignment: usize, size: usize) = glebe_free_aligned_sized;
    malloc_trim(pad: usize) -> c_int = glebe_malloc_trim;
    mallopt(key: c_int, value: c_int) -> c_int = glebe_mallopt;
}
