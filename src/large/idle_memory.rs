//! Keeps the laws of `pages::purge` over all idle memory together: kept mappings and dirty spans.

use super::large_object;
use crate::base::address::GRANULE_BYTES;
use crate::pages::{chunk, purge};

/// Gives back what the laws want given back now. To be called after memory became free, and now
/// and then.
#[inline]
pub(crate) fn settle() {
    if let Some(target_bytes) = purge::due_target_bytes() {
        give_back_to(target_bytes);
    }
}

/// Gives all idle memory back, and the address space it is in as far as that can be.
#[cold]
pub(crate) fn give_back_all() {
    give_back_to(0);
    purge::unmap_free_chunks();
}

/// Gives idle memory back until `target_bytes` of it are left: half of them for kept mappings
/// and half for dirty spans, and what one leaves unused for the other.
#[cold]
pub(crate) fn give_back_to(target_bytes: usize) {
    let left_by_spans = target_bytes.saturating_sub(chunk::dirty_granules() * GRANULE_BYTES);
    large_object::release_kept_to(left_by_spans.max(target_bytes / 2));
    purge::purge_spans_to(target_bytes - purge::large_kept_bytes().min(target_bytes));
}
