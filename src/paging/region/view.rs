//! What a region says of itself: numbers, and where its pages are.

use super::super::page_table::{PAGE_BYTES, PAGE_SHIFT};
use super::control::{Control, Count, SERVES_ALL};
use super::entry::State;
use super::options::RegionError;
use super::{control_bytes, with};
use crate::base::address::round_up;
use crate::os::pagemap::Pagemap;
use core::sync::atomic::Ordering;

/// Fields of the statistics behind the first.
const FIGURES: usize = 26;

/// The fields of `glebe_region_statistics` behind the first, in order.
pub(crate) fn statistics(handle: u64) -> Result<[usize; FIGURES], RegionError> {
    with(handle, |region| {
        let control = region.control;
        let unit_bytes = control.plan.unit_bytes;
        let counted = |what| control.counted(what);
        let bytes = |what| control.counted(what) * unit_bytes;
        Ok([
            control.bytes.load(Ordering::Relaxed),
            control.budget.load(Ordering::Relaxed) * unit_bytes,
            unit_bytes,
            bytes(Count::Resident),
            bytes(Count::Staged),
            counted(Count::Stored) << PAGE_SHIFT,
            control.store.footprint_bytes(),
            bytes(Count::Pinned),
            bytes(Count::Dirty),
            metadata_bytes(control),
            usize::from(control.state.load(Ordering::Relaxed) == SERVES_ALL),
            counted(Count::Faults),
            counted(Count::ZeroFaults),
            counted(Count::StagedFaults),
            counted(Count::StoredFaults),
            counted(Count::FileFaults),
            counted(Count::SharedFaults),
            counted(Count::WriteFaults),
            counted(Count::Prefetched),
            counted(Count::Evicted),
            counted(Count::WrittenBack),
            counted(Count::ReadErrors),
            counted(Count::WriteErrors),
            control.stalls.sum_ns(),
            control.stalls.percentile_ns(50),
            control.stalls.percentile_ns(99),
        ])
    })
}

fn metadata_bytes(control: &Control) -> usize {
    let pagemap = Pagemap::open().ok();
    let (start, bytes) = control.table.range();
    let found = control_bytes() + Pagemap::used_bytes(pagemap, start, bytes);
    if let Some(pagemap) = pagemap {
        pagemap.close();
    }
    found
}

/// `glebe_region_page` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "explained in the header")]
pub struct RawPage {
    pub state: u8,
    pub dirty: u8,
    pub pins: u16,
    pub frame: u32,
}

/// Calls `each` with the states of `count` pages from page `first` on.
pub(crate) fn pages(
    handle: u64,
    first: usize,
    count: usize,
    mut each: impl FnMut(usize, RawPage),
) -> Result<(), RegionError> {
    with(handle, |region| {
        let control = region.control;
        if count == 0 {
            return Err(RegionError::ZeroSize);
        }
        let end = first.checked_add(count).ok_or(RegionError::Overflow)?;
        let bytes = control.bytes.load(Ordering::Relaxed);
        if round_up(bytes, PAGE_BYTES).is_none_or(|bytes| end > bytes >> PAGE_SHIFT) {
            return Err(RegionError::Outside);
        }
        let unit_pages = control.table.unit_pages();
        for page in first..end {
            let entry = control.table.entry(page);
            let unit = control.table.unit(page / unit_pages);
            let frame = match entry.state() {
                State::Staged => entry.payload() as u32,
                _ => 0,
            };
            each(
                page - first,
                RawPage {
                    state: entry.state() as u8,
                    dirty: u8::from(unit.is_dirty()),
                    pins: unit.pins() as u16,
                    frame,
                },
            );
        }
        Ok(())
    })
}
