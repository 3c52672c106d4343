//! Huge pages where they pay: a huge page is taken for as long as it becomes resident faster than
//! the 512 small ones that it stands for.
//!
//! Mostly it does, by a factor of three to five. Where the kernel has to compact memory for it, or
//! a host below the kernel has to find memory for the guest, it takes ten times as long as small
//! pages, which come from lists of what was in use a moment ago. So both are timed: what fast huge
//! pages save is credit, slow ones use it up, and where it is not enough we go back to small pages
//! for a while.

use super::page_size;
use crate::base::shared::{SharedU64, SharedUsize};
use crate::config;
use crate::os::{mapping, process};
use core::sync::atomic::Ordering;

/// Bytes of a huge page on x86-64, and of one of the sizes on aarch64.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// What small pages for 2 MiB take before they were timed: 512 faults at half a microsecond each and
/// the clearing of 2 MiB.
const FIRST_SMALL_NS: u64 = 500_000;
/// One sample counts so much of the mean.
const SMALL_WEIGHT_ONE_OF: u64 = 8;
/// Saved time that counts, in such times: what about six fast huge pages save. One that takes ten
/// times as long as small pages is then one too many at any moment.
const MOST_CREDIT: u64 = 4;
/// Bytes made resident by small pages before the next huge page is tried: 64 times as many, so a
/// slow one costs little beside them.
const PAUSE_BYTES: usize = 64 * HUGE_PAGE_BYTES;

/// What small pages for 2 MiB take, the mean of late.
static SMALL_NS: SharedU64 = SharedU64::new(FIRST_SMALL_NS);
/// Time that huge pages have saved; at first what one needs that takes twice as long as it may.
static CREDIT_NS: SharedU64 = SharedU64::new(FIRST_SMALL_NS);
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

/// Makes a range resident; `false` where the kernel does not do it, and nothing is lost. And how many
/// nanoseconds of the processor that took: a thread that had to wait for one tells nothing of pages.
fn populate(address: usize, bytes: usize) -> (bool, u64) {
    let begin = process::thread_ns();
    let resident = mapping::populate(address, bytes);
    (resident, process::thread_ns().saturating_sub(begin))
}

/// The same in huge pages, where the kernel has them at hand.
fn populate_huge(address: usize, bytes: usize) -> bool {
    let (resident, elapsed_ns) = populate(address, bytes);
    let small_ns = SMALL_NS.load(Ordering::Relaxed);
    let pages = bytes.div_ceil(HUGE_PAGE_BYTES) as u64;
    let earned_ns = CREDIT_NS.load(Ordering::Relaxed) + small_ns * pages;
    if elapsed_ns > earned_ns {
        PAUSED_BYTES.store(PAUSE_BYTES, Ordering::Relaxed);
    }
    let credit_ns = earned_ns.saturating_sub(elapsed_ns);
    CREDIT_NS.store(credit_ns.min(MOST_CREDIT * small_ns), Ordering::Relaxed);
    resident
}

/// Makes a range of heap, which will be written soon, resident in pages of whatever size it has.
pub(crate) fn make_resident(address: usize, bytes: usize) -> bool {
    let (resident, elapsed_ns) = populate(address, bytes);
    if !resident {
        return false;
    }
    let mean_ns = SMALL_NS.load(Ordering::Relaxed);
    // Not more than twice the mean: one that was interrupted is no measure.
    let sample_ns = (elapsed_ns * (HUGE_PAGE_BYTES as u64) / bytes as u64).min(2 * mean_ns);
    let mean_ns = mean_ns - mean_ns / SMALL_WEIGHT_ONE_OF + sample_ns / SMALL_WEIGHT_ONE_OF;
    SMALL_NS.store(mean_ns, Ordering::Relaxed);
    true
}

/// The same of heap that is new: in huge pages where they pay.
pub(crate) fn make_new_resident(address: usize, bytes: usize) -> bool {
    if pay(bytes) {
        mapping::advise_huge(address, bytes);
        populate_huge(address, bytes)
    } else {
        make_resident(address, bytes)
    }
}

/// An object got `new_bytes` instead of `old_bytes`, and is going to be filled: huge pages for it where
/// they pay, each when it is touched. The advice is for all of it, since mremap moves one mapping,
/// not two.
pub(crate) fn expect_filling(address: usize, old_bytes: usize, new_bytes: usize) {
    let first = (address + old_bytes).next_multiple_of(HUGE_PAGE_BYTES);
    let end = address + new_bytes;
    if first + HUGE_PAGE_BYTES > end || !pay(new_bytes - old_bytes) {
        return;
    }
    mapping::advise_huge(address, new_bytes);
    // The next to be written.
    populate_huge(first, HUGE_PAGE_BYTES);
    if PAUSED_BYTES.load(Ordering::Relaxed) > 0 {
        mapping::advise_small(address, new_bytes);
    }
}
