//! Keeps the laws of `pages::purge` over all idle memory together: kept mappings and dirty spans.

use super::large_object;
use crate::pages::purge;

/// Gives back what the laws want given back now. To be called after memory became free, and now
/// and then.
#[inline]
pub(crate) fn settle() {
    if let Some(target_bytes) = purge::due_target_bytes() {
        give_back_to(target_bytes);
    }
}

/// Gives idle memory back until `target_bytes` of it are left: of kept mappings, which serve
/// fewer requests, at most half of that.
#[cold]
pub(crate) fn give_back_to(target_bytes: usize) {
    large_object::release_kept_to(target_bytes / 2);
    purge::purge_spans_to(target_bytes - purge::large_kept_bytes().min(target_bytes));
}
