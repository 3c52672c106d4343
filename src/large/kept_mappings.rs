//! Freed mappings of large objects, kept for the next large object.
//!
//! A fixed number of words, each a whole entry, so that putting and taking are single atomic
//! operations. How much may be kept is part of the law in `pages::purge`.

use crate::base::address::{GRANULE_BYTES, Granule};
use crate::base::atomic::Ordering;
use crate::base::shared::SharedU64;

/// Entries: a search is 64 loads, small against a system call.
const PLACES: usize = 64;

/// An entry is granules << 32 | first granule; 0 is an empty place.
static KEPT: [SharedU64; PLACES] = [const { SharedU64::new(0) }; PLACES];

/// A mapping: first granule and number of granules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FreedMapping {
    /// First granule.
    pub(crate) start: Granule,
    /// Its length.
    pub(crate) granules: u32,
}

impl FreedMapping {
    /// As a word: granules << 32 | first granule.
    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.granules) << 32 | u64::from(self.start.0)
    }

    /// The mapping of such a word; `None` for 0, an empty place.
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(crate) fn from_word(word: u64) -> Option<FreedMapping> {
        (word != 0).then_some(FreedMapping {
            start: Granule(word as u32),
            granules: (word >> 32) as u32,
        })
    }

    /// Its length in bytes.
    pub(crate) fn bytes(self) -> usize {
        self.granules as usize * GRANULE_BYTES
    }

    /// The granule after its last.
    fn end(self) -> Granule {
        self.start.plus(self.granules as usize)
    }

    /// It and a neighbour as one.
    pub(crate) fn join(self, neighbour: FreedMapping) -> FreedMapping {
        debug_assert!(self.end() == neighbour.start || neighbour.end() == self.start);
        FreedMapping {
            start: self.start.min(neighbour.start),
            granules: self.granules + neighbour.granules,
        }
    }

    /// The first `granules` of it, and the rest if there is one.
    pub(crate) fn split(self, granules: u32) -> (FreedMapping, Option<FreedMapping>) {
        let rest = self.granules - granules;
        let tail = FreedMapping {
            start: self.start.plus(granules as usize),
            granules: rest,
        };
        (
            FreedMapping { granules, ..self },
            (rest > 0).then_some(tail),
        )
    }
}

/// Keeps a mapping; `false` if all places are taken.
pub(crate) fn put(kept: FreedMapping) -> bool {
    put_in(&KEPT, kept)
}

/// Puts a mapping in an empty one of `places`; `false` if all are taken.
pub(crate) fn put_in(places: &[SharedU64], kept: FreedMapping) -> bool {
    places.iter().any(|place| {
        // Looked at first: a write to a place that is taken would still take its cache line from
        // all others. Release pairs with the Acquire of `take_place`.
        place.load(Ordering::Relaxed) == 0
            && place
                .compare_exchange(0, kept.to_word(), Ordering::Release, Ordering::Relaxed)
                .is_ok()
    })
}

/// Empties a place if it still holds `kept`, which is the answer.
pub(crate) fn take_place(place: &SharedU64, kept: FreedMapping) -> bool {
    // Acquire pairs with the Release of `put`.
    place
        .compare_exchange(kept.to_word(), 0, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

/// Takes the shortest mapping of at least `granules` whose address is a multiple of `alignment`.
pub(crate) fn take(granules: u32, alignment: usize) -> Option<FreedMapping> {
    let (place, best) = KEPT
        .iter()
        .filter_map(|place| {
            Some((
                place,
                FreedMapping::from_word(place.load(Ordering::Relaxed))?,
            ))
        })
        .filter(|(_, kept)| kept.granules >= granules)
        .filter(|(_, kept)| kept.start.address().is_multiple_of(alignment))
        .min_by_key(|(_, kept)| kept.granules)?;
    take_place(place, best).then_some(best)
}

/// Takes a kept mapping that begins where `other` ends, or ends where it begins.
pub(crate) fn take_next_to(other: FreedMapping) -> Option<FreedMapping> {
    KEPT.iter().find_map(|place| {
        let kept = FreedMapping::from_word(place.load(Ordering::Relaxed))?;
        let adjacent = kept.start == other.end() || kept.end() == other.start;
        (adjacent && take_place(place, kept)).then_some(kept)
    })
}

/// Takes any mapping.
pub(crate) fn take_any() -> Option<FreedMapping> {
    KEPT.iter().find_map(|place| {
        let kept = FreedMapping::from_word(place.load(Ordering::Relaxed))?;
        take_place(place, kept).then_some(kept)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_prefers_the_shortest_that_fits_and_respects_alignment() {
        let kept = |start, granules| FreedMapping {
            start: Granule(start),
            granules,
        };
        for each in [kept(32, 20), kept(65, 17), kept(128, 18), kept(7, 64)] {
            assert!(put(each));
        }
        assert_eq!(take(16, GRANULE_BYTES), Some(kept(65, 17)));
        assert_eq!(take(16, 128 * GRANULE_BYTES), Some(kept(128, 18)));
        assert_eq!(take_next_to(kept(53, 5)), None);
        assert_eq!(take_next_to(kept(52, 5)), Some(kept(32, 20)));
        assert_eq!(take_next_to(kept(0, 7)), Some(kept(7, 64)));
        assert!(put(kept(7, 64).join(kept(0, 7))));
        assert_eq!(take(72, GRANULE_BYTES), None);
        assert_eq!(take_any(), Some(kept(0, 71)));
        assert_eq!(take_any(), None);
    }

    #[test]
    fn split_leaves_no_granule_out() {
        let whole = FreedMapping {
            start: Granule(100),
            granules: 40,
        };
        let (head, tail) = whole.split(33);
        assert_eq!((head.start, head.granules), (Granule(100), 33));
        assert_eq!(
            tail,
            Some(FreedMapping {
                start: Granule(133),
                granules: 7
            })
        );
        assert_eq!(whole.split(40).1, None);
    }
}
