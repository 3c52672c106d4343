//! The C++ doors: the eight operators new. (The twelve operators delete are `glebe_free` and
//! its kin in `libc` under other names.)
//!
//! A new that cannot be served is handed, arguments and all, to the C++ library's own operator of
//! the same name: it tries again through malloc, runs the new-handler loop and throws, or
//! catches for the nothrow forms. No frame of ours is on the stack then, so the exception passes.
//! Only a size that no memory holds is lowered on the way: libstdc++'s aligned forms round it up
//! without looking for overflow.

use crate::heap::requests;
use crate::os::cpu::operator_new_door;
use crate::os::linker;
use crate::report;
use core::ffi::CStr;

/// More than any address space, and far from overflow.
const HOPELESS_BYTES: usize = 1 << 62;

/// Where to jump, and with which size.
#[repr(C)]
struct Next {
    operator: usize,
    size: usize,
}

extern "C" fn allocate(size: usize) -> usize {
    requests::allocate(size)
}

extern "C" fn allocate_aligned(size: usize, alignment: usize) -> usize {
    if alignment.is_power_of_two() {
        requests::allocate_aligned(alignment, size)
    } else {
        0
    }
}

/// The C++ library's operator `name`, also where the library was loaded late and locally.
fn operator_of_library(name: &CStr) -> Option<usize> {
    let found = [
        linker::next_symbol(name),
        linker::symbol_in_loaded(c"libstdc++.so.6", name),
        linker::symbol_in_loaded(c"libc++.so.1", name),
    ];
    found.into_iter().find(|&address| address != 0)
}

fn throwing(name: &CStr) -> usize {
    operator_of_library(name).unwrap_or_else(|| report::new_without_library())
}

extern "C" fn null() -> usize {
    0
}

fn nothrow(name: &CStr) -> usize {
    operator_of_library(name).unwrap_or(null as *const () as usize)
}

macro_rules! operators_new {
    ($($(#[$doc:meta])* $door:ident = $symbol:literal, $allocate:ident, $next:ident, $kind:ident;)*) => {
        $(
            extern "C" fn $next(size: usize) -> Next {
                Next { operator: $kind($symbol), size: size.min(HOPELESS_BYTES) }
            }
            operator_new_door!($(#[$doc])* $door, $allocate, $next);
        )*
    };
}

operators_new! {
    /// `operator new(size_t)`
    glebe_new = c"_Znwm", allocate, next_new, throwing;
    /// `operator new[](size_t)`
    glebe_new_array = c"_Znam", allocate, next_new_array, throwing;
    /// `operator new(size_t, nothrow_t const&)`
    glebe_new_nothrow = c"_ZnwmRKSt9nothrow_t", allocate, next_new_nothrow, nothrow;
    /// `operator new[](size_t, nothrow_t const&)`
    glebe_new_array_nothrow = c"_ZnamRKSt9nothrow_t", allocate, next_new_array_nothrow, nothrow;
    /// `operator new(size_t, align_val_t)`
    glebe_new_aligned = c"_ZnwmSt11align_val_t", allocate_aligned, next_new_aligned, throwing;
    /// `operator new[](size_t, align_val_t)`
    glebe_new_array_aligned = c"_ZnamSt11align_val_t", allocate_aligned, next_new_array_aligned, throwing;
    /// `operator new(size_t, align_val_t, nothrow_t const&)`
    glebe_new_aligned_nothrow = c"_ZnwmSt11align_val_tRKSt9nothrow_t", allocate_aligned, next_new_aligned_nothrow, nothrow;
    /// `operator new[](size_t, align_val_t, nothrow_t const&)`
    glebe_new_array_aligned_nothrow = c"_ZnamSt11align_val_tRKSt9nothrow_t", allocate_aligned, next_new_array_aligned_nothrow, nothrow;
}
