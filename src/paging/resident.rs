//! The one resident set there is, that of the heap: its lock, its table, and the page table's
//! entries as [`resident_set`](super::resident_set) asks for them.

use super::budget;
use super::page_table::{self, PAGE_BYTES, PageNumber, State};
use super::resident_set::{self, Entries, ResidentSet};
use crate::metadata;
use crate::os::futex::Mutex;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) use super::resident_set::{Admission, Stamp, Victim};

static RESIDENT_SET: Mutex<ResidentSet<'static>> = Mutex::new(ResidentSet::new());
static PREPARED: AtomicBool = AtomicBool::new(false);

struct PageTable;

impl Entries for PageTable {
    fn set_queued(&self, page: u64) -> bool {
        page_table::slot(PageNumber(page)).is_some_and(|slot| slot.set_queued())
    }

    fn clear_queued(&self, page: u64) {
        if let Some(slot) = page_table::slot(PageNumber(page)) {
            slot.clear_queued();
        }
    }

    fn is_resident(&self, page: u64) -> bool {
        page_table::slot(PageNumber(page))
            .is_some_and(|slot| slot.load().state() == State::Resident)
    }

    fn was_in_vain(&self, page: u64) -> Option<Stamp> {
        let entry = page_table::slot(PageNumber(page))?.load();
        entry.is_unmovable().then_some(Stamp(entry.age()))
    }

    fn take_touched(&self, _page: u64) -> bool {
        false
    }
}

/// Maps what the queues need, once; `false` out of memory.
pub(super) fn prepare() -> bool {
    let mut resident_set = RESIDENT_SET.lock();
    if PREPARED.swap(true, Ordering::Relaxed) {
        return true;
    }
    let words = 5 * budget::asked_bytes().div_ceil(PAGE_BYTES);
    let Some(table) = metadata::map_table(words * size_of::<AtomicU64>()) else {
        return false;
    };
    // SAFETY: the table has room for them, zero is a valid word, and it lives for ever.
    let table = unsafe { core::slice::from_raw_parts(table as *const AtomicU64, words) };
    resident_set.give_table(table);
    true
}

/// Pages that staging holds.
pub(super) fn staging_pages() -> usize {
    resident_set::staging_pages(budget::asked_bytes() / PAGE_BYTES)
}

/// Takes note of a page that is resident now.
pub(super) fn admit(page: PageNumber, how: Admission) {
    RESIDENT_SET.lock().admit(page.0, how, &PageTable);
}

/// Chooses pages that shall leave; how many of `out` it filled.
pub(super) fn victims(out: &mut [Victim]) -> usize {
    RESIDENT_SET.lock().victims(out, &PageTable)
}

/// What the entry of a page shall keep that could not leave now.
pub(super) fn in_vain() -> Stamp {
    RESIDENT_SET.lock().in_vain()
}

/// Whether a page whose entry keeps this left long ago.
pub(super) fn left_long_ago(stamp: Stamp) -> bool {
    RESIDENT_SET.lock().left_long_ago(stamp)
}

/// In a child after fork: nothing is queued.
pub(super) fn forget_all() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { RESIDENT_SET.raw() }.reset();
    RESIDENT_SET.lock().forget_all();
}
