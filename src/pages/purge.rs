//! When and how much freed memory goes back to the kernel.
//!
//! *Idle* memory is what is free and may be resident: dirty free spans and kept mappings.
//!
//! Law of amount: idle memory stays below `GLEBE_DIRTY_MIB` plus 1/8 of what is in use plus the
//! *allowance*. It holds at once, since after a peak nobody may call us again; passing it gives
//! back an eighth more than is needed, in batches of up to 4 MiB a call and holding no lock.
//!
//! Law of regret: what was given back and is wanted again adds to the allowance. A heap that
//! breathes, by whatever amount, thus pays for one breath and keeps the memory from then on.
//!
//! Law of time: while threads come by, of the memory above 1 MiB that lay idle all through a
//! quarter of `GLEBE_PURGE_DELAY_MS` half is given back, and the allowance shrinks by as much.
//! There is no thread for that unless one was asked for: slow paths look at the clock, and a
//! thread that stays on the fast path is made to come by now and then ([`wants_visits`],
//! `cache::visits`).
//!
//! 24 MiB and 1/8: a heap that breathes by less than that makes no system call, and the worst
//! case, a program that never calls again after its first peak, keeps 1.125 times its live bytes
//! and 24 MiB.

use super::{chunk, page_heap, source};
use crate::base::address::{GRANULE_BYTES, Granule};
use crate::base::shared::{SharedBool, SharedU64, SharedUsize};
use crate::config;
use crate::metadata::span::{self, Kind};
use crate::os::{mapping, process};
use crate::paging;
use core::sync::atomic::Ordering;

static PURGING: SharedBool = SharedBool::new(false);
/// When the last halving was due, in milliseconds of the coarse clock.
static DECAYED_MS: SharedU64 = SharedU64::new(0);
static PURGED_BYTES: SharedUsize = SharedUsize::new(0);
static PURGE_CALLS: SharedUsize = SharedUsize::new(0);
/// Bytes of large objects' mappings, in use and kept for reuse.
static LARGE_USED_BYTES: SharedUsize = SharedUsize::new(0);
static LARGE_KEPT_BYTES: SharedUsize = SharedUsize::new(0);

/// Bytes that were given back since the law of time last looked, and were not wanted again so far.
static GIVEN_BACK_BYTES: SharedUsize = SharedUsize::new(0);
static ALLOWANCE_BYTES: SharedUsize = SharedUsize::new(0);
/// The least that was idle since the law of time last looked.
static LEAST_IDLE_BYTES: SharedUsize = SharedUsize::new(0);

/// Idle memory below this does not decay: not worth a system call.
const DECAY_FLOOR_BYTES: usize = 1 << 20;

/// Bytes given back to the kernel since the start.
pub(crate) fn purged_bytes() -> usize {
    PURGED_BYTES.load(Ordering::Relaxed)
}

/// System calls that gave them back.
pub(crate) fn purge_calls() -> usize {
    PURGE_CALLS.load(Ordering::Relaxed)
}

/// Counts `bytes` given back by one call.
pub(crate) fn count_purged(bytes: usize) {
    GIVEN_BACK_BYTES.fetch_add(bytes, Ordering::Relaxed);
    PURGED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    PURGE_CALLS.fetch_add(1, Ordering::Relaxed);
}

/// Counts large objects that came into use (or left it, negative).
pub(crate) fn count_large_used(bytes: isize) {
    LARGE_USED_BYTES.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
}

/// Counts mappings that are kept for reuse (or no longer).
pub(crate) fn count_large_kept(bytes: isize) {
    LARGE_KEPT_BYTES.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
}

/// Bytes of mappings kept for reuse.
pub(crate) fn large_kept_bytes() -> usize {
    LARGE_KEPT_BYTES.load(Ordering::Relaxed)
}

/// To be called when free memory came into use: `fresh_bytes` that were not resident (regretted, if
/// we gave them back), the rest idle before.
pub(crate) fn count_taken(fresh_bytes: usize) {
    if fresh_bytes > 0 {
        let given_back = GIVEN_BACK_BYTES.load(Ordering::Relaxed);
        let regretted = given_back.min(fresh_bytes);
        // One try: what a race misses is counted at the next purge too many.
        if regretted > 0
            && GIVEN_BACK_BYTES
                .compare_exchange(
                    given_back,
                    given_back - regretted,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
        {
            ALLOWANCE_BYTES.fetch_add(regretted, Ordering::Relaxed);
        }
    }
    let idle = idle_bytes();
    if idle < LEAST_IDLE_BYTES.load(Ordering::Relaxed) {
        LEAST_IDLE_BYTES.store(idle, Ordering::Relaxed);
    }
}

/// Free memory that may be resident, in bytes.
pub(crate) fn idle_bytes() -> usize {
    chunk::dirty_granules() * GRANULE_BYTES + large_kept_bytes()
}

/// Bytes of spans and of large objects in use.
pub(crate) fn used_bytes() -> usize {
    page_heap::used_bytes() + LARGE_USED_BYTES.load(Ordering::Relaxed)
}

/// The law of amount's bound, in bytes.
pub(crate) fn limit_bytes() -> usize {
    let used = used_bytes();
    let allowance = ALLOWANCE_BYTES.load(Ordering::Relaxed);
    if let Some(budget_bytes) = paging::scarce_bytes() {
        // Moved out, idle memory would cost more than it is worth.
        return config::dirty_bytes()
            .min(budget_bytes / 16)
            .max(DECAY_FLOOR_BYTES);
    }
    config::dirty_bytes()
        .saturating_add(used / 8)
        .saturating_add(allowance)
}

/// What idle memory has to shrink to now by the laws of amount and time; `None` where it may stay.
pub(crate) fn due_target_bytes() -> Option<usize> {
    let idle = idle_bytes();
    if idle <= DECAY_FLOOR_BYTES {
        return None;
    }
    let limit = limit_bytes();
    if idle > limit {
        return Some(limit - limit / 8);
    }
    let halvings = halvings_due()?;
    let least = LEAST_IDLE_BYTES.swap(idle, Ordering::Relaxed).min(idle);
    let rested = least - (least >> halvings.min(63));
    let allowance = ALLOWANCE_BYTES.load(Ordering::Relaxed);
    ALLOWANCE_BYTES.store(allowance.saturating_sub(rested), Ordering::Relaxed);
    GIVEN_BACK_BYTES.store(0, Ordering::Relaxed);
    (rested > 0).then(|| (idle - rested).max(DECAY_FLOOR_BYTES))
}

/// Halvings that are due since the last one, counted from when idle memory was first seen after
/// a pause. Each due halving is told to one caller.
fn halvings_due() -> Option<u64> {
    let now = process::now_ms();
    let delay = config::purge_delay_ms();
    let last = DECAYED_MS.load(Ordering::Relaxed);
    let elapsed = now.saturating_sub(last);
    let quarter = (delay / 4).max(1);
    if elapsed < quarter {
        return None;
    }
    let mine = DECAYED_MS
        .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok();
    // A pause longer than four delays: nobody was idle that long, the clock starts here.
    (mine && elapsed <= delay.saturating_mul(4)).then(|| elapsed / quarter)
}

/// Whether idle memory is left that the law of time wants to see shrink.
pub(crate) fn wants_visits() -> bool {
    idle_bytes() > DECAY_FLOOR_BYTES
}

/// Gives dirty spans back until `target_bytes` of them are left; the bytes given back. Does
/// nothing while another thread is at it.
pub(crate) fn purge_spans_to(target_bytes: usize) -> usize {
    // Acquire pairs with the Release below: one purge sees what the last one did.
    if PURGING.swap(true, Ordering::Acquire) {
        return 0;
    }
    let before = purged_bytes();
    let shrunk = source::shrink_break(forget);
    if shrunk > 0 {
        count_purged(shrunk);
    }
    chunk::purge(target_bytes / GRANULE_BYTES, |start, granules, in_break| {
        let bytes = granules * GRANULE_BYTES;
        let discarded = paging::discard(start.address(), bytes, || {
            mapping::discard(start.address(), bytes, !in_break)
        });
        if discarded {
            count_purged(bytes);
        }
        discarded
    });
    PURGING.store(false, Ordering::Release);
    purged_bytes().wrapping_sub(before)
}

/// Unmaps the chunks that are free as a whole.
pub(crate) fn unmap_free_chunks() {
    let bytes = source::unmap_free_chunks(forget);
    if bytes > 0 {
        count_purged(bytes);
    }
}

/// A granule that was given back to the kernel is not ours any more.
fn forget(granule: Granule) {
    if let Some(record) = span::record(granule)
        && record.kind() != Kind::None
    {
        record.set_kind(Kind::Released);
    }
}

/// In a child after fork: whoever was purging is no more.
pub(crate) fn reset() {
    PURGING.store(false, Ordering::Relaxed);
}
