//! Huge pages where they pay: a huge page is taken for as long as it becomes resident faster than
//! the 512 small ones that it stands for.
//!
//! Mostly it does, by a factor of three to five. Where the kernel has to compact memory for it, or
//! a host below the kernel has to find memory for the guest, it takes ten times as long as small
//! pages, which come from lists of what was in use a moment ago. So each is timed, and one that
//! is slow sends us back to small pages for a while.

use super::page_size;
use crate::base::shared::SharedUsize;
use crate::config;
use crate::os::{mapping, process};
use core::sync::atomic::Ordering;

/// Bytes of a huge page on x86-64, and of one of the sizes on aarch64.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A huge page that takes longer is slow: 512 faults at half a microsecond each and the clearing of
/// 2 MiB take about this long.
const SLOW_NS: u64 = 500_000;
/// Bytes made resident by small pages before the next huge page is tried: 64 times as many, so a
/// slow one costs little beside them.
const PAUSE_BYTES: usize = 64 * HUGE_PAGE_BYTES;

/// Bytes left of a pause.
static PAUSED_BYTES: SharedUsize = SharedUsize::new(0);

/// Whether huge pages should be asked for now, for `bytes`.
fn pay(bytes: usize) -> bool {
    if !config::huge_pages() || !page_size::is_as_it_pays() {
        return false;
    }
    let paused = PAUSED_BYTES.load(Ordering::Relaxed);
    if paused > 0 {
        PAUSED_BYTES.store(paused.saturating_sub(bytes), Ordering::Relaxed);
    }
    paused == 0
}

/// Makes a range resident, and watches how long that takes; `false` where the kernel does not do
/// it, and nothing is lost.
fn populate(address: usize, bytes: usize) -> bool {
    let begin = process::now_ns();
    let resident = mapping::populate(address, bytes);
    let elapsed = process::now_ns().saturating_sub(begin);
    if elapsed > SLOW_NS * (bytes.div_ceil(HUGE_PAGE_BYTES) as u64) {
        PAUSED_BYTES.store(PAUSE_BYTES, Ordering::Relaxed);
    }
    resident
}

/// Makes new heap, which will be written soon, resident: in huge pages where they pay.
pub(crate) fn make_resident(address: usize, bytes: usize) -> bool {
    if pay(bytes) {
        mapping::advise_huge(address, bytes);
        populate(address, bytes)
    } else {
        mapping::populate(address, bytes)
    }
}

/// An object grew from `old_bytes` to `new_bytes`, so it is being written from its start on: huge
/// pages for it where they pay. (One that is allocated at its full size may stay mostly untouched,
/// and gets none.) The advice is for all of it, since mremap moves one mapping, not two.
pub(crate) fn expect_growth(address: usize, old_bytes: usize, new_bytes: usize) {
    let first = (address + old_bytes).next_multiple_of(HUGE_PAGE_BYTES);
    let end = address + new_bytes;
    if first + HUGE_PAGE_BYTES > end || !pay(new_bytes - old_bytes) {
        return;
    }
    mapping::advise_huge(address, new_bytes);
    // The next to be written.
    populate(first, HUGE_PAGE_BYTES);
    if PAUSED_BYTES.load(Ordering::Relaxed) > 0 {
        mapping::advise_small(address, new_bytes);
    }
}
