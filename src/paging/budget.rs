//! What counts against the budget, and who waits for room.
//!
//! Law: used = resident pages + untracked granules, each in full + staged pages + the store + page
//! table leaves. A granule that is untracked may be wholly resident without our knowing.
//!
//! ```text
//! 0 ............................. low ....... high ...... budget
//!   nothing is done; evicted down to here |  evictor wakes |  whoever needs a page waits
//! ```

use super::page_table::{self, PAGE_BYTES};
use super::store;
use crate::base::address::GRANULE_BYTES;
use crate::os::helper_thread::{futex_wait, futex_wake_all};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// The budget in bytes; 0 where there is none.
static BUDGET: AtomicUsize = AtomicUsize::new(0);
/// What it was raised by because nothing more could be evicted.
static EXCESS: AtomicUsize = AtomicUsize::new(0);
/// Whether more was used than was asked for when that was raised.
static WAS_EXCEEDED: AtomicBool = AtomicBool::new(false);
static RESIDENT_PAGES: AtomicUsize = AtomicUsize::new(0);
static STAGED_PAGES: AtomicUsize = AtomicUsize::new(0);
static UNTRACKED_GRANULES: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Changes when the evictor made room, or gave up.
static ROOM: AtomicU32 = AtomicU32::new(0);
/// Whether somebody may wait for that.
static AWAITED: AtomicBool = AtomicBool::new(false);

/// An excess above one part in this of the budget is worth a word: pages come in while others leave.
const NOTABLE_EXCESS: usize = 16;

/// A wait for room ends after this even without any: late is better than never.
const LONGEST_WAIT_NS: u64 = 20_000_000;

/// Sets the budget, before anything is managed.
pub(crate) fn set(bytes: usize) {
    BUDGET.store(bytes, Ordering::Relaxed);
}

/// The budget as it was asked for; 0 where there is none.
pub(crate) fn asked_bytes() -> usize {
    BUDGET.load(Ordering::Relaxed)
}

/// The budget with what it was raised by.
pub(crate) fn limit_bytes() -> usize {
    asked_bytes() + EXCESS.load(Ordering::Relaxed)
}

/// Where the evictor wakes.
pub(crate) fn high_bytes() -> usize {
    let limit = limit_bytes();
    limit - (limit / 32).min(8 << 20)
}

/// Where it rests.
pub(crate) fn low_bytes() -> usize {
    let limit = limit_bytes();
    limit - (limit / 16).min(16 << 20)
}

/// Where the threads are started: early enough that nobody waits for them.
pub(crate) fn in_sight_bytes() -> usize {
    asked_bytes() / 8 * 7
}

/// What counts now.
pub(crate) fn used_bytes() -> usize {
    (resident_pages() + staged_pages()) * PAGE_BYTES
        + untracked_granules() * GRANULE_BYTES
        + store::memory().footprint_bytes()
        + store::spill().footprint_bytes()
        + page_table::leaf_bytes()
}

/// The most that ever counted, as far as the evictor saw it.
pub(crate) fn peak_bytes() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Notes what counts now for the peak.
pub(crate) fn note_peak() {
    PEAK.fetch_max(used_bytes(), Ordering::Relaxed);
}

/// Pages of tracked granules that are in memory.
pub(crate) fn resident_pages() -> usize {
    RESIDENT_PAGES.load(Ordering::Relaxed)
}

/// Pages in staging.
pub(crate) fn staged_pages() -> usize {
    STAGED_PAGES.load(Ordering::Relaxed)
}

/// Granules that are charged in full.
pub(crate) fn untracked_granules() -> usize {
    UNTRACKED_GRANULES.load(Ordering::Relaxed)
}

/// Counts pages that came to memory (or left it, negative).
pub(crate) fn count_resident(pages: isize) {
    RESIDENT_PAGES.fetch_add(pages.cast_unsigned(), Ordering::Relaxed);
}

/// Counts pages that came to staging (or left it, negative).
pub(crate) fn count_staged(pages: isize) {
    STAGED_PAGES.fetch_add(pages.cast_unsigned(), Ordering::Relaxed);
}

/// Counts granules that are managed and not tracked (or no longer, negative).
pub(crate) fn count_untracked(granules: isize) {
    UNTRACKED_GRANULES.fetch_add(granules.cast_unsigned(), Ordering::Relaxed);
}

/// Whether whoever needs a page should wait.
pub(crate) fn is_exhausted() -> bool {
    used_bytes() > limit_bytes()
}

/// Raises the budget to a little above what is used, since nothing more can be evicted; what is
/// used, if that is more than was asked for, and for the first time.
pub(crate) fn give_way() -> Option<usize> {
    let used = used_bytes();
    let excess = used.saturating_sub(asked_bytes());
    EXCESS.fetch_max(excess + asked_bytes() / 32, Ordering::Relaxed);
    (excess > asked_bytes() / NOTABLE_EXCESS && !WAS_EXCEEDED.swap(true, Ordering::Relaxed))
        .then_some(used)
}

/// Waits until there is room, the evictor gives up, or some time has passed.
pub(crate) fn wait_for_room() {
    let seen = ROOM.load(Ordering::Relaxed);
    AWAITED.store(true, Ordering::SeqCst);
    if is_exhausted() {
        futex_wait(&ROOM, seen, Some(LONGEST_WAIT_NS));
    }
}

/// Lets those go on that wait for room. SeqCst pairs with `wait_for_room`: one of the two sees the
/// other.
pub(crate) fn announce_room() {
    ROOM.fetch_add(1, Ordering::SeqCst);
    if AWAITED.swap(false, Ordering::SeqCst) {
        futex_wake_all(&ROOM);
    }
}

/// In a child after fork the counts are taken anew.
pub(crate) fn recount(resident: usize, staged: usize) {
    RESIDENT_PAGES.store(resident, Ordering::Relaxed);
    STAGED_PAGES.store(staged, Ordering::Relaxed);
}

/// The same for untracked granules.
pub(crate) fn recount_untracked(granules: usize) {
    UNTRACKED_GRANULES.store(granules, Ordering::Relaxed);
}
