//! The page heap: spans of 1 to 64 granules.

use super::chunk::{self, Claim};
use super::filling::Filling;
use super::{purge, source};
use crate::base::address::{GRANULE_BYTES, Granule};
use crate::metadata::span::{self, Kind, Span};
use core::sync::atomic::Ordering;

/// A span just taken, not yet of any kind: its records have owner 0.
pub(crate) struct NewSpan {
    /// First granule.
    pub(crate) start: Granule,
    /// Its record.
    pub(crate) span: &'static Span,
    /// Whether all its bytes are zero.
    pub(crate) clean: bool,
}

/// Bytes of the spans in use.
pub(crate) fn used_bytes() -> usize {
    chunk::used_granules() * GRANULE_BYTES
}

/// Takes a span of `granules` (1 to 64), at a multiple of 64 KiB. The caller gives the first
/// record its shape and then its kind. Where the heap has to grow, and only there, `filling` is asked: for
/// a span that will be filled it may grow by pages that are resident. `None` out of memory.
pub(crate) fn allocate(granules: u32, filling: &dyn Fn() -> Filling) -> Option<NewSpan> {
    let Claim {
        chunk,
        start,
        clean,
    } = chunk::claim(granules)
        .or_else(|| source::grow(granules as usize, filling(), || chunk::claim(granules)))?;
    let Some(span) = prepare_records(start, granules, chunk) else {
        chunk::release(chunk, start, granules);
        return None;
    };
    purge::count_taken(if clean {
        granules as usize * GRANULE_BYTES
    } else {
        0
    });
    Some(NewSpan { start, span, clean })
}

/// Writes the shape that all spans share and the tails' way back to the first record.
fn prepare_records(start: Granule, granules: u32, chunk: u32) -> Option<&'static Span> {
    for distance in 1..granules {
        let tail = span::ensure_record(start.plus(distance as usize))?;
        tail.owner.store_alone(0, Ordering::Relaxed);
        tail.distance.store(distance, Ordering::Relaxed);
        tail.set_kind(Kind::Tail);
    }
    let first = span::ensure_record(start)?;
    first.owner.store_alone(0, Ordering::Relaxed);
    first.chunk.store(chunk, Ordering::Relaxed);
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    first.granules.store(granules as u8, Ordering::Relaxed);
    Some(first)
}

/// Returns a span in which nothing is live.
pub(crate) fn free(start: Granule, span: &'static Span) {
    let granules = u32::from(span.granules.load(Ordering::Relaxed));
    let chunk = span.chunk.load(Ordering::Relaxed);
    for distance in 0..granules {
        if let Some(record) = span::record(start.plus(distance as usize)) {
            record.owner.store_alone(0, Ordering::Relaxed);
            record.set_kind(Kind::Free);
        }
    }
    chunk::release(chunk, start, granules);
}
