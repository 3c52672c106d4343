//! The free pages at the ends of slabs go back to the kernel.

use super::slab::Slab;
use crate::config;
use crate::os::mapping;
use crate::pages::purge;
use crate::paging;

/// Gives back what whole pages are free at the end of a slab, which is the caller's. Not in hardened
/// mode, where the order of blocks is chance's, nor of paged memory, whose single pages are paging's.
pub(crate) fn trim(slab: Slab) {
    if config::hardened() || paging::is_active() {
        return;
    }
    if let Some((address, bytes)) = slab.uncarve()
        && mapping::discard(address, bytes, false)
    {
        purge::count_purged(bytes);
    }
}
