//! Medium objects, above 32 KiB and up to 2 MiB: a span of the page heap each, so freeing and
//! reusing one makes no system call.

use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT};
use crate::metadata::span::{Kind, Place};
use crate::pages::{filling, page_heap};
use crate::small::size_class::object_bytes;
use core::sync::atomic::Ordering;

/// The largest medium object, bytes: half of a chunk, so that two fit one.
pub(crate) const MEDIUM_MAX_BYTES: usize = 2 << 20;

/// A new object.
pub(crate) struct MediumObject {
    /// Its address, a multiple of 64 KiB.
    pub(crate) address: usize,
    /// Whether all its bytes are zero.
    pub(crate) clean: bool,
}

/// Allocates at least `bytes` (1 to [`MEDIUM_MAX_BYTES`]); `None` out of memory.
pub(crate) fn allocate(bytes: usize) -> Option<MediumObject> {
    let usable = object_bytes(bytes.max(1 << 4))?;
    let span_bytes = usable.next_multiple_of(GRANULE_BYTES);
    #[expect(clippy::cast_possible_truncation, reason = "at most 32")]
    let granules = (span_bytes >> GRANULE_SHIFT) as u32;
    let new = page_heap::allocate(granules, &|| filling::of_growth(span_bytes, bytes))?;
    if new.clean {
        filling::note_by_touch(new.start.address());
    }
    new.span.free.store(usable, Ordering::Relaxed);
    new.span.set_kind(Kind::Medium);
    Some(MediumObject {
        address: new.start.address(),
        clean: new.clean,
    })
}

/// Frees an object.
pub(crate) fn free(place: Place) {
    page_heap::free(place.start, place.span);
}

/// Makes `bytes` of an object usable where it stands, if its span has room and is not mostly
/// waste then.
pub(crate) fn resize_in_place(place: Place, bytes: usize) -> bool {
    let room = usize::from(place.span.granules.load(Ordering::Relaxed)) * GRANULE_BYTES;
    let Some(usable) = object_bytes(bytes.max(1 << 4)) else {
        return false;
    };
    if usable > room || room - usable > room / 2 {
        return false;
    }
    place.span.free.store(usable, Ordering::Relaxed);
    true
}
