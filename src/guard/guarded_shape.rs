//! How long a guarded object's mapping is, and where in it the object stands.

use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT, round_up};
use crate::large::kept_mappings::FreedMapping;
use crate::os::process::page_bytes;

/// Every object is aligned to this, bytes.
pub(super) const LEAST_ALIGNMENT: usize = 16;

/// The end of the page that `address` lies in, or `address` where a page begins there.
pub(super) fn page_up(address: usize) -> usize {
    // Callers' addresses lie below the end of the address space.
    round_up(address, page_bytes()).unwrap_or(address)
}

/// The start of the page that `address` lies in.
pub(super) fn page_down(address: usize) -> usize {
    address & !(page_bytes() - 1)
}

/// What to map for an object.
pub(super) struct Shape {
    /// Bytes asked for.
    pub(super) bytes: usize,
    /// Alignment, at least 16.
    pub(super) alignment: usize,
    /// Bytes that shall find room where the object stands.
    room: usize,
    /// Length of the mapping.
    pub(super) granules: u32,
    /// Length of the guard behind the room, bytes.
    rear: usize,
}

impl Shape {
    /// For an object of `bytes` at a multiple of `alignment`, with `room` bytes where it stands;
    /// `None` on overflow.
    pub(super) fn of(bytes: usize, alignment: usize, room: usize) -> Option<Shape> {
        let page = page_bytes();
        let alignment = alignment.max(LEAST_ALIGNMENT);
        let needed = round_up(room, page)?
            .checked_add(alignment.max(page) - page)?
            .checked_add(2 * page)?;
        let granules = length_class(round_up(needed, GRANULE_BYTES)? >> GRANULE_SHIFT);
        let length = granules.checked_mul(GRANULE_BYTES)?;
        // What the length has to spare widens both guards.
        let spare = (length - needed) / 2;
        Some(Shape {
            bytes,
            alignment,
            room,
            granules: u32::try_from(granules).ok()?,
            rear: page + page_down(spare),
        })
    }

    /// Where the object starts in a mapping.
    pub(super) fn start(&self, mapping: FreedMapping) -> usize {
        let first = mapping.start.address();
        if self.room > self.bytes {
            let lowest = first + page_bytes();
            return round_up(lowest, self.alignment).unwrap_or(lowest);
        }
        (first + mapping.bytes() - self.rear - self.bytes) & !(self.alignment - 1)
    }
}

/// The length, in granules, of mappings for `granules`: eight steps a doubling, so that lengths
/// recur.
pub(super) fn length_class(granules: usize) -> usize {
    let step = 1 << granules.max(8).ilog2().saturating_sub(3);
    granules.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Granule;

    #[test]
    fn lengths_recur_and_waste_an_eighth_at_most() {
        for granules in 1..10_000 {
            let length = length_class(granules);
            assert!(length >= granules && length - granules <= granules / 8);
            assert_eq!(length_class(length), length);
        }
    }

    #[test]
    fn an_object_ends_at_a_guard_and_has_one_before_it() {
        let page = page_bytes();
        for alignment in [1, 16, 64, 4096, GRANULE_BYTES, 4 * GRANULE_BYTES] {
            for bytes in [0, 1, 16, 4096, 32_769, 61_440, 65_536, 1 << 20, 5_000_001] {
                for room in [bytes, bytes + bytes / 2] {
                    let shape = Shape::of(bytes, alignment, room).expect("no overflow");
                    let mapping = FreedMapping {
                        start: Granule(77),
                        granules: shape.granules,
                    };
                    let (first, start) = (mapping.start.address(), shape.start(mapping));
                    assert!(start.is_multiple_of(alignment.max(16)));
                    assert!(page_down(start) >= first + page);
                    assert!(page_up(start + room.max(bytes)) <= first + mapping.bytes() - page);
                    if room == bytes && alignment <= page {
                        assert!(page_up(start + bytes) - (start + bytes) < alignment.max(16));
                    }
                }
            }
        }
        assert!(Shape::of(usize::MAX - 4096, 16, usize::MAX - 4096).is_none());
        assert!(Shape::of(1 << 46, 1 << 63, 1 << 46).is_none());
    }
}
