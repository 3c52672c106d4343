//! When and how much freed memory goes back to the kernel.
//!
//! Law: dirty free spans and cached large objects together stay below `GLEBE_DIRTY_MIB` plus
//! 1/16 of what is in use; passing that gives back down to half of it, in batches of up to 4 MiB
//! a call and holding no lock. What lies dirty for `GLEBE_PURGE_DELAY_MS` goes back by halves
//! whenever a thread comes by a slow path, or by the helper thread where one was asked for.
//!
//! 4 MiB and 1/16: after a peak nobody may call us again, so the bound must hold at once and not
//! after a delay; within it a program's heap may breathe without a system call.

use super::{chunk, page_heap, source};
use crate::base::address::{GRANULE_BYTES, Granule};
use crate::config;
use crate::metadata::span::{self, Kind};
use crate::os::{mapping, process};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

static PURGING: AtomicBool = AtomicBool::new(false);
static LAST_DECAY_MS: AtomicU64 = AtomicU64::new(0);
static PURGED_BYTES: AtomicUsize = AtomicUsize::new(0);
static PURGE_CALLS: AtomicUsize = AtomicUsize::new(0);
/// Bytes in use, and cached, that the page heap does not know of: large objects.
static LARGE_USED_BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGE_CACHED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Dirty spans below this many granules (1 MiB) do not decay: not worth a system call.
const DECAY_FLOOR: usize = 16;

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
    PURGED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    PURGE_CALLS.fetch_add(1, Ordering::Relaxed);
}

/// Counts large objects that came into use (or left it, negative).
pub(crate) fn count_large_used(bytes: isize) {
    LARGE_USED_BYTES.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
}

/// Counts large objects that are kept for reuse (or no longer).
pub(crate) fn count_large_cached(bytes: isize) {
    LARGE_CACHED_BYTES.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
}

/// Bytes of large objects kept for reuse.
pub(crate) fn large_cached_bytes() -> usize {
    LARGE_CACHED_BYTES.load(Ordering::Relaxed)
}

/// The law's bound in bytes.
fn limit_bytes() -> usize {
    let used = page_heap::used_bytes() + LARGE_USED_BYTES.load(Ordering::Relaxed);
    config::dirty_bytes().saturating_add(used / 16)
}

/// How many more bytes may be kept resident although they are free.
pub(crate) fn spare_bytes() -> usize {
    let kept = chunk::dirty_granules() * GRANULE_BYTES + large_cached_bytes();
    limit_bytes().saturating_sub(kept)
}

/// To be called after spans became free: keeps the law.
#[inline]
pub(crate) fn after_release() {
    let dirty = chunk::dirty_granules();
    if dirty * GRANULE_BYTES + large_cached_bytes() > limit_bytes() {
        purge_to(limit_bytes() / 2 / GRANULE_BYTES);
    } else {
        decay();
    }
}

/// To be called now and then: gives half of the dirty spans back if none went for the delay.
pub(crate) fn decay() {
    let dirty = chunk::dirty_granules();
    if dirty <= DECAY_FLOOR {
        return;
    }
    let now = process::now_ms();
    let last = LAST_DECAY_MS.load(Ordering::Relaxed);
    if now.wrapping_sub(last) < config::purge_delay_ms() {
        return;
    }
    if LAST_DECAY_MS
        .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
        && last != 0
    {
        purge_to(dirty / 2);
    }
}

/// Gives dirty spans back until `target` granules are left; the bytes given back. Does nothing
/// while another thread is at it.
pub(crate) fn purge_to(target: usize) -> usize {
    // Acquire pairs with the Release below: one purge sees what the last one did.
    if PURGING.swap(true, Ordering::Acquire) {
        return 0;
    }
    let before = purged_bytes();
    let shrunk = source::shrink_break(forget);
    if shrunk > 0 {
        count_purged(shrunk);
    }
    chunk::purge(target, |start, granules, in_break| {
        let bytes = granules * GRANULE_BYTES;
        let discarded = mapping::discard(start.address(), bytes, !in_break);
        if discarded {
            count_purged(bytes);
        }
        discarded
    });
    PURGING.store(false, Ordering::Release);
    purged_bytes().wrapping_sub(before)
}

/// A granule below which the program break was lowered is not ours any more.
fn forget(granule: Granule) {
    if let Some(record) = span::record(granule) {
        record.set_kind(Kind::None);
    }
}

/// In a child after fork: whoever was purging is no more.
pub(crate) fn reset() {
    PURGING.store(false, Ordering::Relaxed);
}
