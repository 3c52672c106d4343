//! Segments for C. Semantics, units and errors stand in `glebe.h`; the functions answer 0 or the
//! number of a [`SegmentError`], and keep errno.

use crate::base::numbered_error::{number_of, text_of};
use crate::os::mapping::Protection;
use crate::os::process::ErrnoKept;
use crate::segment::{self, Plan, Registers, SegmentError, image};
use core::ffi::{CStr, c_char, c_int, c_void};

/// `glebe_segment` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct RawSegment {
    /// Which; 0 is none.
    pub id: u64,
}

/// `glebe_segment_options` of the header, where the fields are explained.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "explained in the header")]
pub struct RawSegmentOptions {
    pub struct_size: usize,
    pub size: usize,
    pub most_size: usize,
    pub base: usize,
    pub protection: c_int,
    pub reserved: c_int,
}

/// Has `make` make a segment of what the options say, and writes its handle.
///
/// # Safety
/// `options` is null or points to as many readable bytes as its first field says; `out` is null or
/// valid for writes.
unsafe fn make(
    options: *const RawSegmentOptions,
    out: *mut RawSegment,
    make: impl FnOnce(&Plan) -> Result<u64, SegmentError>,
) -> c_int {
    let _kept = ErrnoKept::new();
    if options.is_null() || out.is_null() {
        return SegmentError::BadArgument as c_int;
    }
    // SAFETY: the caller set the first field, and the rest is there if it says so.
    let options = unsafe {
        if (*options).struct_size != size_of::<RawSegmentOptions>() {
            return SegmentError::BadArgument as c_int;
        }
        *options
    };
    let Some(protection) = Protection::of(options.protection) else {
        return SegmentError::BadProtection as c_int;
    };
    let plan = Plan {
        bytes: options.size,
        most_bytes: options.most_size,
        base: options.base,
        protection,
    };
    // SAFETY: valid for writes.
    number_of(make(&plan).map(|id| unsafe { out.write(RawSegment { id }) }))
}

/// What an error is, in English.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_segment_error_text(error: c_int) -> *const c_char {
    text_of::<SegmentError>(error).as_ptr()
}

/// Creates a private segment.
///
/// # Safety
/// `options` is null or points to as many readable bytes as its first field says; `out` is null or
/// valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_create(
    options: *const RawSegmentOptions,
    out: *mut RawSegment,
) -> c_int {
    // SAFETY: as the caller's.
    unsafe { make(options, out, segment::create) }
}

/// Attaches shared memory.
///
/// # Safety
/// As [`glebe_segment_create`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_attach(
    descriptor: c_int,
    options: *const RawSegmentOptions,
    out: *mut RawSegment,
) -> c_int {
    // SAFETY: as the caller's.
    unsafe { make(options, out, |plan| segment::attach(descriptor, plan)) }
}

/// Loads an image.
///
/// # Safety
/// As [`glebe_segment_create`]; `path` is null or a string. Nobody writes to the file while it is
/// loaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_load(
    path: *const c_char,
    options: *const RawSegmentOptions,
    out: *mut RawSegment,
) -> c_int {
    if path.is_null() {
        return SegmentError::BadArgument as c_int;
    }
    // SAFETY: a string.
    let path = unsafe { CStr::from_ptr(path) };
    // SAFETY: as the caller's.
    unsafe { make(options, out, |plan| image::load(path, plan)) }
}

/// Saves an image.
///
/// # Safety
/// `path` is null or a string. Nobody writes to the segment meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_save(segment: RawSegment, path: *const c_char) -> c_int {
    let _kept = ErrnoKept::new();
    if path.is_null() {
        return SegmentError::BadArgument as c_int;
    }
    // SAFETY: a string.
    number_of(image::save(segment.id, unsafe { CStr::from_ptr(path) }))
}

/// Deletes a segment.
///
/// # Safety
/// Nobody uses its memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_delete(segment: RawSegment) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(segment::delete(segment.id))
}

/// Moves the limit up.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_segment_expand(segment: RawSegment, size: usize) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(segment::set_limit(segment.id, size, true))
}

/// Moves the limit down.
///
/// # Safety
/// Nobody uses what lies behind it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_contract(segment: RawSegment, size: usize) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(segment::set_limit(segment.id, size, false))
}

/// Sets what may be done with a segment: 0 nothing, 1 read, 2 read and write.
///
/// # Safety
/// Whoever reads or writes it meanwhile can do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_protect(segment: RawSegment, protection: c_int) -> c_int {
    let _kept = ErrnoKept::new();
    let protection = Protection::of(protection).ok_or(SegmentError::BadProtection);
    number_of(protection.and_then(|protection| segment::protect(segment.id, protection)))
}

/// Moves a segment.
///
/// # Safety
/// Nobody uses an address in it from before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_relocate(segment: RawSegment, base: *mut c_void) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(segment::relocate(segment.id, base as usize).map(drop))
}

/// The address of a range of a segment.
///
/// # Safety
/// `address` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_translate(
    segment: RawSegment,
    offset: usize,
    length: usize,
    address: *mut *mut c_void,
) -> c_int {
    let _kept = ErrnoKept::new();
    if address.is_null() {
        return SegmentError::BadArgument as c_int;
    }
    let translated = segment::translate(segment.id, offset, length);
    // SAFETY: valid for writes.
    number_of(translated.map(|found| unsafe { address.write(found as *mut c_void) }))
}

/// The registers of a segment.
///
/// # Safety
/// `registers` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_segment_get_registers(
    segment: RawSegment,
    registers: *mut *const c_void,
) -> c_int {
    let _kept = ErrnoKept::new();
    if registers.is_null() {
        return SegmentError::BadArgument as c_int;
    }
    let found = segment::registers(segment.id);
    // SAFETY: valid for writes. The header's structure is the first two words.
    number_of(
        found.map(|found| unsafe {
            registers.write(core::ptr::from_ref::<Registers>(found).cast())
        }),
    )
}
