//! Maps of address spaces for C. Semantics, units and errors stand in `glebe.h`; the functions
//! answer 0 or the number of a [`MapError`], and keep errno.

use crate::abi::figures::{fields_of, fill};
use crate::base::numbered_error::{number_of, text_of};
use crate::map::AddressSpace;
use crate::map::model::{MapError, MapRegion, MapRun};
use crate::os::handle_table::{HandleTable, Handled};
use crate::os::process::ErrnoKept;
use core::ffi::{c_char, c_int};

/// `glebe_map` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct RawMap {
    /// Which; 0 is none.
    pub id: u64,
}

/// `glebe_map_run` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "explained in the header")]
pub struct RawRun {
    pub start: usize,
    pub end: usize,
    pub state: u32,
    pub is_dirty: u32,
    pub page_bytes: usize,
}

/// 64 maps at a time.
static MAPS: HandleTable<AddressSpace, 64> = HandleTable::new();

/// A child has its parent's maps; one that another thread was taking anew is gone.
impl Handled for AddressSpace {
    type Error = MapError;
    const BAD_HANDLE: MapError = MapError::BadHandle;
    const TOO_MANY: MapError = MapError::TooMany;
    const OUTLIVES_FORK: bool = true;
}

/// Runs `act` with errno kept: an error's number, or 0.
fn answer(act: impl FnOnce() -> Result<(), MapError>) -> c_int {
    let _kept = ErrnoKept::new();
    number_of(act())
}

fn with(map: RawMap, act: impl FnOnce(&mut AddressSpace) -> Result<(), MapError>) -> c_int {
    answer(|| MAPS.with(map.id, |_, map| act(map)))
}

/// What an error is, in English.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_map_error_text(error: c_int) -> *const c_char {
    text_of::<MapError>(error).as_ptr()
}

/// Takes a map of a process.
///
/// # Safety
/// `out` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_map_take(process: c_int, out: *mut RawMap) -> c_int {
    answer(|| {
        if out.is_null() {
            return Err(MapError::BadArgument);
        }
        let map = AddressSpace::of_process(process)?;
        let id = MAPS.admit(|_| Ok(map))?;
        // SAFETY: valid for writes.
        unsafe { out.write(RawMap { id }) };
        Ok(())
    })
}

/// Takes it anew.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_map_refresh(map: RawMap) -> c_int {
    with(map, AddressSpace::refresh)
}

/// Deletes it.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_map_delete(map: RawMap) -> c_int {
    answer(|| MAPS.remove(map.id, |_, _| Ok(())))
}

/// How many regions it has, and whether the process runs glebe.
///
/// # Safety
/// `regions` and `runs_glebe` are null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_map_count(
    map: RawMap,
    regions: *mut usize,
    runs_glebe: *mut c_int,
) -> c_int {
    with(map, |map| {
        if regions.is_null() {
            return Err(MapError::BadArgument);
        }
        // SAFETY: valid for writes.
        unsafe {
            regions.write(map.regions().len());
            if !runs_glebe.is_null() {
                runs_glebe.write(c_int::from(map.runs_glebe()));
            }
        }
        Ok(())
    })
}

/// The fields of `glebe_map_region` behind the first, in order.
fn words(region: &MapRegion) -> [usize; 12] {
    let flags = [
        region.is_readable,
        region.is_writable,
        region.is_executable,
        region.is_shared,
    ];
    let flags = flags.into_iter().enumerate();
    [
        region.start,
        region.end,
        region.kind as usize,
        flags.fold(0, |all, (bit, set)| all | usize::from(set) << bit),
        region.block_bytes,
        region.live_blocks,
        region.resident_bytes,
        region.dirty_bytes,
        region.swapped_bytes,
        region.evicted_bytes,
        region.huge_bytes,
        region.page_bytes,
    ]
}

/// Fills `out` with what is known of a region.
///
/// # Safety
/// `out` is null or points to a `struct_size` and as many writable bytes as that says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_map_get_region(map: RawMap, index: usize, out: *mut usize) -> c_int {
    with(map, |map| {
        let region = map.regions().get(index).ok_or(MapError::BadArgument)?;
        // SAFETY: as the caller's.
        let fields = unsafe { fields_of(out, 3) }.ok_or(MapError::BadArgument)?;
        fill(fields, words(region));
        Ok(())
    })
}

/// Writes a region's name, and a NUL.
///
/// # Safety
/// `out` is null or points to `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_map_get_name(
    map: RawMap,
    index: usize,
    out: *mut c_char,
    size: usize,
) -> c_int {
    with(map, |map| {
        if index >= map.regions().len() || out.is_null() || size == 0 {
            return Err(MapError::BadArgument);
        }
        let name = map.name(index);
        let length = name.len().min(size - 1);
        // SAFETY: `size` bytes are writable, of which this is at most all.
        unsafe {
            core::ptr::copy_nonoverlapping(name.as_ptr().cast(), out, length);
            *out.add(length) = 0;
        }
        Ok(())
    })
}

/// Writes a region's runs.
///
/// # Safety
/// `out` is null or points to `count` writable runs; `written` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_map_get_runs(
    map: RawMap,
    index: usize,
    first: usize,
    count: usize,
    out: *mut RawRun,
    written: *mut usize,
) -> c_int {
    with(map, |map| {
        if index >= map.regions().len() || out.is_null() || written.is_null() {
            return Err(MapError::BadArgument);
        }
        let runs = map.runs(index).iter().skip(first).take(count);
        let raw = |run: &MapRun| RawRun {
            start: run.start,
            end: run.end,
            state: run.state as u32,
            is_dirty: u32::from(run.is_dirty),
            page_bytes: run.page_bytes,
        };
        let mut done = 0;
        for (number, run) in runs.enumerate() {
            // SAFETY: below `count`.
            unsafe { out.add(number).write(raw(run)) };
            done = number + 1;
        }
        // SAFETY: valid for writes.
        unsafe { written.write(done) };
        Ok(())
    })
}
