//! What `glebe.h` offers beyond the standard functions. Semantics and units stand there; all keep
//! errno but those that allocate.

use crate::abi::figures::{fields_of, fill};
use crate::abi::libc::refuse;
use crate::heap::give_back;
use crate::heap::questions;
use crate::heap::requests::{self, FreeStatus};
use crate::observe::statistics;
use crate::os::mapping::Protection;
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::ThreadSlot;
use core::ffi::{c_char, c_int, c_void};

/// The version, "MAJOR.MINOR.PATCH".
#[unsafe(no_mangle)]
pub extern "C" fn glebe_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Frees `block` and says whether it could: 0 success, 1 not ours, 2 inside a block, 3 already
/// free.
///
/// # Safety
/// If `block` is live, nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_free_checked(block: *mut c_void) -> c_int {
    let _kept = ErrnoKept::new();
    match requests::free_checked(block as usize) {
        FreeStatus::Success => 0,
        FreeStatus::NotOurs => 1,
        FreeStatus::InsideBlock => 2,
        FreeStatus::AlreadyFree => 3,
    }
}

/// 1 if `address` lies in a live block, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_owns(address: *const c_void) -> c_int {
    let _kept = ErrnoKept::new();
    c_int::from(questions::block_containing(address as usize).is_some())
}

/// The start of the live block that contains `address`, or null.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_block_start(address: *const c_void) -> *mut c_void {
    let _kept = ErrnoKept::new();
    questions::block_containing(address as usize).map_or(0, |(start, _)| start) as *mut c_void
}

/// The usable bytes of the live block that contains `address`, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_block_size(address: *const c_void) -> usize {
    let _kept = ErrnoKept::new();
    questions::block_containing(address as usize).map_or(0, |(_, bytes)| bytes)
}

/// Fills a `glebe_statistics` up to the size that its first field states. 0, or EINVAL.
///
/// # Safety
/// `out` is null or valid for reads and writes of that many bytes, and aligned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_get_statistics(out: *mut usize) -> c_int {
    // SAFETY: as the caller's.
    let Some(fields) = (unsafe { fields_of(out, 2) }) else {
        return ::libc::EINVAL;
    };
    let _kept = ErrnoKept::new();
    fill(fields, statistics::figures().map(|(_, value)| value));
    0
}

/// Gives every free page back to the kernel now; the bytes given back.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_purge() -> usize {
    let _kept = ErrnoKept::new();
    give_back::purge(0)
}

/// Allocates `size` bytes of zeroes between guard pages, in any mode; null with errno EINVAL for an
/// alignment that is no power of two, or ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_guarded_alloc(alignment: usize, size: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        return refuse(::libc::EINVAL);
    }
    // Before relocation there are no guards to be had.
    if !ThreadSlot::current().is_ready() {
        return refuse(::libc::ENOMEM);
    }
    match requests::allocate_guarded(alignment, size) {
        0 => refuse(::libc::ENOMEM),
        address => address as *mut c_void,
    }
}

/// Sets what may be done with a range of pages of one guarded block: 0 nothing, 1 read, 2 read and
/// write. 0, or an error number.
///
/// # Safety
/// Whoever reads or writes the pages meanwhile can do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_protect(
    address: *mut c_void,
    size: usize,
    protection: c_int,
) -> c_int {
    let Some(protection) = Protection::of(protection) else {
        return ::libc::EINVAL;
    };
    if !ThreadSlot::current().is_ready() {
        return ::libc::EINVAL;
    }
    let _kept = ErrnoKept::new();
    match questions::protect(address as usize, size, protection) {
        Ok(()) => 0,
        Err(code) => code,
    }
}

/// What `address` is, as a `glebe_kind`.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_address_kind(address: *const c_void) -> c_int {
    if !ThreadSlot::current().is_ready() {
        return 0;
    }
    let _kept = ErrnoKept::new();
    questions::address_kind(address as usize) as c_int
}
