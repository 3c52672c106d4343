//! The C doors: malloc(3) and its kin, by the Linux man-pages, POSIX.1-2024 and C23.
//!
//! All are thread-safe, and safe in a signal handler that interrupted one of them. Sizes and
//! alignments are bytes. On failure those that allocate return null and set errno; those that
//! free keep errno.

use crate::base::address::GRANULE_BYTES;
use crate::heap::hardened::Named;
use crate::heap::{questions, requests};
use crate::os::process::{self, ErrnoKept};
use crate::os::thread_slot::ThreadSlot;
use core::ffi::{c_int, c_void};

/// `address` as a pointer; null with errno ENOMEM for 0.
#[inline(always)]
fn answer(address: usize) -> *mut c_void {
    if address == 0 {
        return refuse(::libc::ENOMEM);
    }
    address as *mut c_void
}

/// Null, with errno set where it can be reached already.
#[cold]
#[inline(never)]
pub(crate) fn refuse(code: c_int) -> *mut c_void {
    if ThreadSlot::current().is_ready() {
        process::set_errno(code);
    }
    core::ptr::null_mut()
}

/// malloc: at least `size` bytes at a multiple of 16; a block of its own for 0.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_malloc(size: usize) -> *mut c_void {
    match requests::allocate_at_hand(size) {
        Some(block) => block.address() as *mut c_void,
        None => malloc_slow(size),
    }
}

#[inline(never)]
extern "C" fn malloc_slow(size: usize) -> *mut c_void {
    answer(requests::allocate_slow(size))
}

/// free: ends the life of `block`; nothing for null. Keeps errno.
///
/// # Safety
/// `block` is null or a live block, which nobody uses any more. (Misuse that is seen is reported.)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_free(block: *mut c_void) {
    requests::free(block as usize);
}

/// calloc: `count` times `size` bytes, all zero.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => answer(requests::allocate_zeroed(bytes)),
        None => refuse(::libc::ENOMEM),
    }
}

/// realloc: as glibc, `(null, n)` allocates and `(block, 0)` frees and returns null.
///
/// # Safety
/// `block` is null or a live block; after a non-null answer nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return glebe_malloc(size);
    }
    if size == 0 {
        requests::free(block as usize);
        return core::ptr::null_mut();
    }
    answer(requests::reallocate(block as usize, size))
}

/// reallocarray: realloc to `count` times `size` bytes, unless the product overflows.
///
/// # Safety
/// As [`glebe_realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: as the caller's.
        Some(bytes) => unsafe { glebe_realloc(block, bytes) },
        None => refuse(::libc::ENOMEM),
    }
}

/// aligned_alloc: C23; the size need not be a multiple. EINVAL for an alignment that is no power
/// of two.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        return refuse(::libc::EINVAL);
    }
    answer(requests::allocate_aligned(alignment, size))
}

/// memalign: as [`glebe_aligned_alloc`].
#[unsafe(no_mangle)]
pub extern "C" fn glebe_memalign(alignment: usize, size: usize) -> *mut c_void {
    glebe_aligned_alloc(alignment, size)
}

/// posix_memalign: 0, EINVAL or ENOMEM; `out` is written only on success, errno is kept.
///
/// # Safety
/// `out` is valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_posix_memalign(
    out: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    if !alignment.is_power_of_two() || alignment < size_of::<usize>() {
        return ::libc::EINVAL;
    }
    let _kept = ThreadSlot::current().is_ready().then(ErrnoKept::new);
    match requests::allocate_aligned(alignment, size) {
        0 => ::libc::ENOMEM,
        address => {
            // SAFETY: as the caller's.
            unsafe { *out = address as *mut c_void };
            0
        }
    }
}

/// The page size, or before it can be asked for a multiple of any.
fn page_bytes() -> usize {
    if ThreadSlot::current().is_ready() {
        process::page_bytes()
    } else {
        GRANULE_BYTES
    }
}

/// valloc: aligned to the page size.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_valloc(size: usize) -> *mut c_void {
    glebe_aligned_alloc(page_bytes(), size)
}

/// pvalloc: aligned to the page size, and the size rounded up to it.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_pvalloc(size: usize) -> *mut c_void {
    let page = page_bytes();
    match crate::base::address::round_up(size.max(1), page) {
        Some(bytes) => glebe_aligned_alloc(page, bytes),
        None => refuse(::libc::ENOMEM),
    }
}

/// malloc_usable_size: bytes of `block`, every one of which may be used; 0 for null.
///
/// # Safety
/// `block` is null or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_malloc_usable_size(block: *mut c_void) -> usize {
    questions::usable_bytes(block as usize)
}

/// free_sized (C23): free of a block that was asked for with `size`; hardened mode compares.
///
/// # Safety
/// As [`glebe_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_free_sized(block: *mut c_void, size: usize) {
    requests::free_named(
        block as usize,
        Named {
            bytes: size,
            alignment: 0,
        },
    );
}

/// free_aligned_sized (C23): free of a block that was asked for with `alignment` and `size`;
/// hardened mode compares.
///
/// # Safety
/// As [`glebe_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_free_aligned_sized(
    block: *mut c_void,
    alignment: usize,
    size: usize,
) {
    requests::free_named(
        block as usize,
        Named {
            bytes: size,
            alignment,
        },
    );
}

/// Frees a block that was asked for with `alignment`: C++'s aligned operators delete that name no
/// size.
///
/// # Safety
/// As [`glebe_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_free_aligned(block: *mut c_void, alignment: usize) {
    requests::free_named(
        block as usize,
        Named {
            bytes: Named::NO_BYTES,
            alignment,
        },
    );
}

/// C++'s sized and aligned operators delete, which name the size first.
///
/// # Safety
/// As [`glebe_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_free_sized_aligned(
    block: *mut c_void,
    size: usize,
    alignment: usize,
) {
    // SAFETY: as the caller's.
    unsafe { glebe_free_aligned_sized(block, alignment, size) };
}

/// Runs among the constructors, when libc is set up.
extern "C" fn after_libc_start() {
    let malloc = ::libc::malloc as *const ();
    let is_ours = core::ptr::eq(malloc, glebe_malloc as *const ());
    crate::heap::start::at_constructors(is_ours || cfg!(feature = "takeover"));
}

// SAFETY: the loader calls each entry of this section once, with arguments that may be ignored.
#[used]
#[unsafe(link_section = ".init_array")]
static AFTER_LIBC_START: extern "C" fn() = after_libc_start;
