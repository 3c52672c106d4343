//! Free memory goes back to the kernel because somebody asks.

use super::hardened;
use super::thread::with_cache;
use crate::cache::pool;
use crate::guard::guarded_object;
use crate::large::idle_memory;
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::ThreadSlot;
use crate::small::orphans;
use crate::small::trim::trim;

/// Gives all free memory but `keep_bytes` of it back to the kernel now; the bytes given back.
pub(crate) fn purge(keep_bytes: usize) -> usize {
    if !ThreadSlot::current().is_ready() {
        return 0;
    }
    let before = crate::pages::purge::purged_bytes();
    with_cache(|cache| {
        pool::drain_idle(cache);
        hardened::end_quarantine(cache);
        cache.flush();
        orphans::look_through(cache.address(), trim);
    });
    if keep_bytes == 0 {
        guarded_object::release_all();
        idle_memory::give_back_all();
    } else {
        idle_memory::give_back_to(keep_bytes);
    }
    crate::pages::purge::purged_bytes().wrapping_sub(before)
}

/// What `allocate` answers, keeping errno; out of memory, once more after all that is free went
/// back to the kernel: address space or commit that we hold for one use may be what another lacks.
#[inline(always)]
pub(super) fn or_after_purge<T>(allocate: impl Fn() -> Option<T>) -> Option<T> {
    let _kept = ErrnoKept::new();
    let first = allocate();
    if first.is_some() || purge(0) == 0 {
        first
    } else {
        allocate()
    }
}
