//! Regions: what `glebe.h` offers of them, and the type for Rust. Semantics, units and errors stand
//! in the header; the functions answer 0 or the number of a [`RegionError`], and keep errno.

pub use crate::paging::region::{RawOptions, RawPage};

use crate::abi::figures::{fields_of, fill};
use crate::base::numbered_error::{number_of, text_of};
use crate::os::mapping::Protection;
use crate::os::process::ErrnoKept;
use crate::paging::region::{self, OnRange, RegionError};
use core::ffi::{c_char, c_int, c_void};

/// `glebe_region` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct RawRegion {
    /// Which; 0 is none.
    pub id: u64,
}

/// What an error is, in English.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_error_text(error: c_int) -> *const c_char {
    text_of::<RegionError>(error).as_ptr()
}

/// Creates a region.
///
/// # Safety
/// `options` is null or points to as many readable bytes as its first field says; `out` and `base`
/// are null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_create(
    options: *const RawOptions,
    out: *mut RawRegion,
    base: *mut *mut c_void,
) -> c_int {
    let _kept = ErrnoKept::new();
    if options.is_null() || out.is_null() {
        return RegionError::BadArgument as c_int;
    }
    // SAFETY: the caller set the first field, and the rest is there if it says so.
    let options = unsafe {
        if (*options).struct_size != size_of::<RawOptions>() {
            return RegionError::BadArgument as c_int;
        }
        *options
    };
    let created = region::create(&options).map(|(id, start)| {
        // SAFETY: valid for writes.
        unsafe {
            out.write(RawRegion { id });
            if !base.is_null() {
                base.write(start as *mut c_void);
            }
        }
    });
    number_of(created)
}

/// Makes shared memory.
///
/// # Safety
/// `descriptor` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_shared_memory(size: usize, descriptor: *mut c_int) -> c_int {
    let _kept = ErrnoKept::new();
    if descriptor.is_null() {
        return RegionError::BadArgument as c_int;
    }
    // SAFETY: valid for writes.
    number_of(region::shared_memory(size).map(|made| unsafe { descriptor.write(made) }))
}

/// Makes a region longer.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_expand(region: RawRegion, size: usize) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::expand(region.id, size))
}

/// Makes a region shorter.
///
/// # Safety
/// Nobody uses what is behind the new end any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_contract(region: RawRegion, size: usize) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::contract(region.id, size))
}

/// Sets what may be done with a range.
///
/// # Safety
/// Whoever reads or writes the pages meanwhile can do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_protect(
    region: RawRegion,
    address: *mut c_void,
    size: usize,
    protection: c_int,
) -> c_int {
    let _kept = ErrnoKept::new();
    let protection = Protection::of(protection);
    number_of(region::protect(
        region.id,
        address as usize,
        size,
        protection,
    ))
}

/// Gives the pages of a range back, and what they hold.
///
/// # Safety
/// Nobody relies on what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_release(
    region: RawRegion,
    address: *mut c_void,
    size: usize,
) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::release(region.id, address as usize, size))
}

/// Writes back and deletes.
///
/// # Safety
/// Nobody uses the region's memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_delete(region: RawRegion) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::delete(region.id, true))
}

/// Deletes.
///
/// # Safety
/// Nobody uses the region's memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_delete_unsaved(region: RawRegion) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::delete(region.id, false))
}

/// Writes back and waits for the device.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_sync(region: RawRegion) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::sync(region.id))
}

fn on_range(region: RawRegion, what: OnRange, address: *const c_void, size: usize) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::on_range(region.id, what, address as usize, size))
}

/// Brings pages in and keeps them.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_pin(
    region: RawRegion,
    address: *const c_void,
    size: usize,
) -> c_int {
    on_range(region, OnRange::Pin, address, size)
}

/// Ends that once.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_unpin(
    region: RawRegion,
    address: *const c_void,
    size: usize,
) -> c_int {
    on_range(region, OnRange::Unpin, address, size)
}

/// Brings pages in.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_prefetch(
    region: RawRegion,
    address: *const c_void,
    size: usize,
) -> c_int {
    on_range(region, OnRange::Prefetch, address, size)
}

/// Sends pages out.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_evict(
    region: RawRegion,
    address: *const c_void,
    size: usize,
) -> c_int {
    on_range(region, OnRange::Evict, address, size)
}

/// Sets another budget.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_region_set_budget(region: RawRegion, budget: usize) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(region::set_budget(region.id, budget))
}

/// Fills a `glebe_region_statistics` up to the size that its first field states.
///
/// # Safety
/// `out` is null or valid for reads and writes of that many bytes, and aligned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_get_statistics(region: RawRegion, out: *mut usize) -> c_int {
    let _kept = ErrnoKept::new();
    // SAFETY: as the caller's.
    let Some(fields) = (unsafe { fields_of(out, 2) }) else {
        return RegionError::BadArgument as c_int;
    };
    number_of(region::statistics(region.id).map(|figures| fill(fields, figures)))
}

/// The states of pages.
///
/// # Safety
/// `out` is null or valid for writes of `count` pages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_region_pages(
    region: RawRegion,
    first: usize,
    count: usize,
    out: *mut RawPage,
) -> c_int {
    let _kept = ErrnoKept::new();
    if out.is_null() {
        return RegionError::BadArgument as c_int;
    }
    // SAFETY: the index is below `count`.
    let write = |index: usize, page| unsafe { out.add(index).write(page) };
    number_of(region::pages(region.id, first, count, write))
}
