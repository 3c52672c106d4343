//! Large objects: above 2 MiB, or aligned to more than 64 KiB. A mapping each, at a multiple of
//! 64 KiB; the record of its first granule holds the length.

use super::kept_mappings::{self, FreedMapping};
use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT, Granule, round_up};
use crate::base::shared::SharedUsize;
use crate::metadata::span::{self, Kind, Place};
use crate::os::{mapping, process};
use crate::pages::filling::{self, Filling};
use crate::pages::huge::{self, HUGE_PAGE_BYTES};
use crate::pages::{page_size, purge};
use crate::paging;
use core::sync::atomic::Ordering;

static LIVE_BYTES: SharedUsize = SharedUsize::new(0);
static LIVE_OBJECTS: SharedUsize = SharedUsize::new(0);

/// Usable bytes of all large objects, and their number.
pub(crate) fn live() -> (usize, usize) {
    (
        LIVE_BYTES.load(Ordering::Relaxed),
        LIVE_OBJECTS.load(Ordering::Relaxed),
    )
}

/// A new object.
pub(crate) struct LargeObject {
    /// Its address.
    pub(crate) address: usize,
    /// Whether all its bytes are zero.
    pub(crate) clean: bool,
}

/// Usable bytes and granules of an object of `bytes`: whole pages are usable, whole granules are
/// mapped, and what is beyond the pages asked for is never touched.
fn shape(bytes: usize) -> Option<(usize, u32)> {
    let usable = round_up(bytes.max(1), process::page_bytes())?;
    let granules = round_up(usable, GRANULE_BYTES)? >> GRANULE_SHIFT;
    Some((usable, u32::try_from(granules).ok()?))
}

/// Where an object's pages come from: the class of its record.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Pages {
    /// Ordinary memory.
    Ordinary = 0,
    /// The kernel's pool of pages of 1 GiB: whole ones are mapped and unmapped, no part of one is
    /// given back, and nothing is moved.
    Pool = 1,
}

fn is_of_pool(place: Place) -> bool {
    place.span.class.load(Ordering::Relaxed) == Pages::Pool as u8
}

/// What an object may hold at first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Anything.
    Any,
    /// Zeroes are wanted: those of a new mapping cost nothing until they are touched, so no kept one
    /// is written over.
    Zeroes,
}

/// Allocates at least `bytes` at a multiple of `alignment` (a power of two); `None` out of
/// memory.
pub(crate) fn allocate(bytes: usize, alignment: usize, contents: Contents) -> Option<LargeObject> {
    let (usable, granules) = shape(bytes)?;
    let length = granules as usize * GRANULE_BYTES;
    if let Some(object) = allocate_of_pool(usable, length) {
        return Some(object);
    }
    let natural = if length >= HUGE_PAGE_BYTES {
        HUGE_PAGE_BYTES
    } else {
        GRANULE_BYTES
    };
    if contents == Contents::Any
        && let Some(address) = reuse(usable, granules, alignment.max(GRANULE_BYTES))
    {
        return Some(LargeObject {
            address,
            clean: false,
        });
    }
    let address = mapping::map_aligned(length, alignment.max(natural))
        .or_else(|| mapping::map_aligned(length, alignment.max(GRANULE_BYTES)))?;
    let registered = Granule::of(address).and_then(|start| register(start, usable, granules));
    if registered.is_none() {
        mapping::unmap(address, length);
        return None;
    }
    page_size::advise(address, length);
    mapping::name(address, length, c"glebe large");
    paging::claim(address, length);
    purge::count_taken(length);
    if contents == Contents::Any {
        if filling::of_object(usable) == Filling::All && !filling::is_probe(address) {
            huge::expect_filling(address, 0, length);
        }
        if let Some(record) = span::record_holding(address) {
            record.set_resident_by_touch(true);
        }
    }
    Some(LargeObject {
        address,
        clean: true,
    })
}

/// An object in pages of 1 GiB, where those were asked for and are to be had: aligned to that, as
/// much as any object may be.
fn allocate_of_pool(usable: usize, length: usize) -> Option<LargeObject> {
    let (address, mapped) = page_size::map_gigantic(length)?;
    let granules = u32::try_from(mapped >> GRANULE_SHIFT).ok();
    let registered = granules
        .zip(Granule::of(address))
        .and_then(|(granules, start)| register_in(Pages::Pool, start, usable, granules));
    if registered.is_none() {
        mapping::unmap(address, mapped);
        return None;
    }
    purge::count_taken(mapped);
    Some(LargeObject {
        address,
        clean: true,
    })
}

/// Writes the record of a mapping that becomes an object.
fn register(start: Granule, usable: usize, granules: u32) -> Option<()> {
    register_in(Pages::Ordinary, start, usable, granules)
}

fn register_in(pages: Pages, start: Granule, usable: usize, granules: u32) -> Option<()> {
    let span = span::ensure_record(start)?;
    span.owner.store_alone(0, Ordering::Relaxed);
    span.free.store(usable, Ordering::Relaxed);
    span.distance.store(granules, Ordering::Relaxed);
    span.class.store(pages as u8, Ordering::Relaxed);
    span.set_resident_by_touch(false);
    span.set_kind(Kind::Large);
    LIVE_BYTES.fetch_add(usable, Ordering::Relaxed);
    LIVE_OBJECTS.fetch_add(1, Ordering::Relaxed);
    purge::count_large_used((granules as usize * GRANULE_BYTES).cast_signed());
    Some(())
}

/// Takes the object out of the books and leaves `kind` in its record; its mapping.
fn unregister(place: Place, kind: Kind) -> FreedMapping {
    let granules = place.span.distance.load(Ordering::Relaxed);
    let kept = FreedMapping {
        start: place.start,
        granules,
    };
    LIVE_BYTES.fetch_sub(place.span.object_bytes(), Ordering::Relaxed);
    LIVE_OBJECTS.fetch_sub(1, Ordering::Relaxed);
    purge::count_large_used(-kept.bytes().cast_signed());
    place.span.set_kind(kind);
    kept
}

/// Makes an object of a kept mapping, of its first part if it is longer.
fn reuse(usable: usize, granules: u32, alignment: usize) -> Option<usize> {
    let kept = kept_mappings::take(granules, alignment)?;
    purge::count_large_kept(-kept.bytes().cast_signed());
    let (head, rest) = kept.split(granules);
    if let Some(rest) = rest {
        keep(rest);
    }
    register(head.start, usable, granules)?;
    purge::count_taken(0);
    Some(head.start.address())
}

/// Frees an object. Its mapping is kept for the next one, joined with kept neighbours; one that
/// alone would break the law of amount in `pages::purge` is unmapped at once.
pub(crate) fn free(place: Place) {
    if is_of_pool(place) {
        return unmap(unregister(place, Kind::Released));
    }
    if place.span.is_resident_by_touch() {
        filling::note_freed(place.start.address(), place.span.object_bytes());
    }
    let mut freed = unregister(place, Kind::Cached);
    if freed.bytes() > purge::limit_bytes() / 2 {
        return unmap(freed);
    }
    while let Some(neighbour) = kept_mappings::take_next_to(freed) {
        purge::count_large_kept(-neighbour.bytes().cast_signed());
        // A record amid the joined mapping would hide its start from `span::containing`.
        if let Some(inner) = span::record(freed.start.max(neighbour.start)) {
            inner.set_kind(Kind::Released);
        }
        freed = freed.join(neighbour);
    }
    keep(freed);
}

/// Keeps a mapping, or returns it to the kernel where there is no place for it.
fn keep(kept: FreedMapping) {
    let Some(record) = span::ensure_record(kept.start) else {
        return unmap(kept);
    };
    record.owner.store_alone(0, Ordering::Relaxed);
    record.distance.store(kept.granules, Ordering::Relaxed);
    record.set_kind(Kind::Cached);
    purge::count_large_kept(kept.bytes().cast_signed());
    if !kept_mappings::put(kept) {
        purge::count_large_kept(-kept.bytes().cast_signed());
        unmap(kept);
    }
}

/// Returns a mapping to the kernel. Should that fail (too many mappings), its pages go and the
/// address space stays.
fn unmap(kept: FreedMapping) {
    let address = kept.start.address();
    if let Some(record) = span::record(kept.start) {
        record.set_kind(Kind::Released);
    }
    paging::unclaim(address, kept.bytes());
    if mapping::unmap(address, kept.bytes()) || mapping::discard(address, kept.bytes(), true) {
        purge::count_purged(kept.bytes());
    }
}

/// Returns kept mappings to the kernel until at most `bytes` of them are left.
pub(crate) fn release_kept_to(bytes: usize) {
    while purge::large_kept_bytes() > bytes {
        let Some(kept) = kept_mappings::take_any() else {
            return;
        };
        purge::count_large_kept(-kept.bytes().cast_signed());
        unmap(kept);
    }
}

/// Changes an object's size without copying: in place, or by moving its pages. Its address
/// afterwards; `None` if that cannot be, and the object is as it was.
pub(crate) fn resize(place: Place, bytes: usize) -> Option<usize> {
    let (usable, granules) = shape(bytes)?;
    let old = FreedMapping {
        start: place.start,
        granules: place.span.distance.load(Ordering::Relaxed),
    };
    let length = granules as usize * GRANULE_BYTES;
    let address = old.start.address();
    let fits = if is_of_pool(place) {
        // A page of the pool goes as a whole or not at all: it is kept while half of it is used.
        length <= old.bytes()
            && old.bytes() - length < page_size::GIGANTIC_PAGE_BYTES
            && length >= old.bytes() / 2
    } else {
        granules == old.granules
    };
    if fits {
        let before = place.span.free.swap(usable, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(usable.wrapping_sub(before), Ordering::Relaxed);
        return Some(address);
    }
    if is_of_pool(place) {
        return None;
    }
    // What mremap moves is the kernel's business alone meanwhile; what it does not see, it loses.
    if !paging::take_back(address, old.bytes()) {
        return resize_paged(place, old, usable, granules);
    }
    if mapping::resize_in_place(address, old.bytes(), length) {
        paging::claim(address, length);
        unregister(place, Kind::Released);
        register(place.start, usable, granules)?;
        huge::expect_filling(address, old.bytes(), length);
        return Some(address);
    }
    let alignment = if length >= HUGE_PAGE_BYTES {
        HUGE_PAGE_BYTES
    } else {
        GRANULE_BYTES
    };
    // Off the books first: once its range is unmapped, another thread's mapping may get it.
    let old_usable = place.span.object_bytes();
    unregister(place, Kind::Released);
    let Some(moved) = mapping::relocate(address, old.bytes(), length, alignment) else {
        paging::claim(address, old.bytes());
        register(old.start, old_usable, old.granules)?;
        return None;
    };
    paging::claim(moved, length);
    register(Granule::of(moved)?, usable, granules)?;
    mapping::name(moved, length, c"glebe large");
    huge::expect_filling(moved, old.bytes(), length);
    Some(moved)
}

/// [`resize`] of an object of which pages may be elsewhere than in memory.
fn resize_paged(place: Place, old: FreedMapping, usable: usize, granules: u32) -> Option<usize> {
    let address = old.start.address();
    let length = granules as usize * GRANULE_BYTES;
    if granules < old.granules {
        let (end, rest) = (address + length, old.bytes() - length);
        paging::unclaim(end, rest);
        if !mapping::unmap(end, rest) {
            mapping::discard(end, rest, true);
        }
        unregister(place, Kind::Released);
        register(place.start, usable, granules)?;
        return Some(address);
    }
    let (end, more) = (address + old.bytes(), length - old.bytes());
    if mapping::map_at(end, more) {
        page_size::advise(end, more);
        paging::claim(end, more);
        unregister(place, Kind::Released);
        register(place.start, usable, granules)?;
        return Some(address);
    }
    let target = mapping::map_aligned(length, HUGE_PAGE_BYTES)?;
    page_size::advise(target, length);
    let old_usable = place.span.object_bytes();
    unregister(place, Kind::Released);
    if !paging::relocate(address, old.bytes(), target, length) {
        mapping::unmap(target, length);
        register(old.start, old_usable, old.granules)?;
        return None;
    }
    mapping::unmap(address, old.bytes());
    register(Granule::of(target)?, usable, granules)?;
    mapping::name(target, length, c"glebe large");
    Some(target)
}

/// Whether `address` lies where something of ours was unmapped and nothing else is mapped now:
/// then a free of it is a second free.
pub(crate) fn is_released(address: usize) -> bool {
    let page = process::page_bytes();
    !mapping::is_mapped(address & !(page - 1), page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small::size_class::object_bytes;

    #[test]
    fn usable_bytes_are_whole_pages_and_within_an_eighth() {
        for bytes in [(1 << 20) + 1, (2 << 20) - 1, 5 << 20, (1 << 30) + 12345] {
            let (usable, _) = shape(bytes).expect("no overflow");
            assert!(usable.is_multiple_of(process::page_bytes()));
            assert!(usable >= bytes && usable <= object_bytes(bytes).expect("no overflow"));
        }
        assert_eq!(shape(usize::MAX), None);
    }
}
