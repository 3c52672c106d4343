//! How much of its memory a user will write. What is filled had better come in one piece and in
//! huge pages; of what is not, no page should be taken before its touch.
//!
//! Of large objects it is told from those freed before. Most are filled, so that is expected first. An
//! object in memory nobody had touched has pages only where it was written: at its free some of
//! them are asked for. One that was not filled ends the expectation, until four times the bytes of
//! the next one were seen filled. Medium objects are looked at while they are in use, when the heap
//! grows for the next one.

use super::huge::HUGE_PAGE_BYTES;
use super::purge;
use crate::base::address::GRANULE_SHIFT;
use crate::base::random::{STEP, mix};
use crate::base::shared::SharedUsize;
use crate::metadata::span::{self, Kind};
use crate::os::mapping;
use crate::paging;
use core::sync::atomic::Ordering;

/// How much of a span its user will write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filling {
    /// All of it, soon.
    All,
    /// Nobody knows.
    Unknown,
}

/// So many times an object's bytes were seen filled where it is expected to be: in an object that is
/// not, a wrong guess then takes no more pages than right ones saved faults.
const CERTAINTY: usize = 4;
/// What more was seen makes nothing more certain: an object above 64 MiB is never expected to be
/// filled. Most such are made larger than their program knows it needs.
const MOST_FILLED_BYTES: usize = 256 << 20;
/// As if so much had been seen when a program starts: its first objects of up to 16 MiB, which are
/// buffers rather than address space to grow into, count as filled.
const FIRST_FILLED_BYTES: usize = 64 << 20;
/// What a wrong guess takes at once, a huge page, is at most so much of what the heap has in memory:
/// small programs stay small.
const STAKE_ONE_OF: usize = 8;
/// The most of a span that may be what its size was rounded up by, if the span is to be resident as
/// a whole.
const ROUNDING_ONE_OF: usize = 8;
/// One of so many places is a probe: an object there gets no page before its touch, whatever is
/// expected. In huge pages all objects look filled.
const PROBE_ONE_OF: u64 = 16;

/// One of so many growths for medium objects is a probe, too: the next growth looks at an object that
/// got memory from it. So a wrong guess is found out after seven huge pages, 14 MiB.
const PROBE_GROWTH_ONE_OF: usize = 8;

/// What is known of large objects.
static OBJECTS: Experience = Experience(SharedUsize::new(FIRST_FILLED_BYTES));
/// What is known of medium ones: nothing at first, since by the time the heap would grow ahead for
/// them it has grown by touch some times.
static MEDIUM_OBJECTS: Experience = Experience(SharedUsize::new(0));
/// Address of the last medium object that got memory nobody had touched; 0 where it was looked at.
static LAST_BY_TOUCH: SharedUsize = SharedUsize::new(0);
/// Growths of the heap for medium objects, by which the probes are told.
static MEDIUM_GROWTHS: SharedUsize = SharedUsize::new(0);

/// Bytes of objects that were seen filled since the last one that was not.
struct Experience(SharedUsize);

/// What to expect of an object of `bytes`.
pub(crate) fn of_object(bytes: usize) -> Filling {
    let in_memory_bytes = purge::used_bytes() + purge::idle_bytes();
    if HUGE_PAGE_BYTES > in_memory_bytes / STAKE_ONE_OF || paging::scarce_bytes().is_some() {
        return Filling::Unknown;
    }
    OBJECTS.expectation(bytes)
}

/// What to expect of a span of `span_bytes` for a medium object of `bytes`, for which the heap has to
/// grow: what the last ones that got untouched memory made of it, if the object is about as large as
/// the span.
pub(crate) fn of_growth(span_bytes: usize, bytes: usize) -> Filling {
    let last = LAST_BY_TOUCH.swap(0, Ordering::Relaxed);
    if let Some(record) = span::record_holding(last)
        && record.kind() == Kind::Medium
    {
        MEDIUM_OBJECTS.note(last, record.object_bytes());
    }
    let growths = MEDIUM_GROWTHS.fetch_add(1, Ordering::Relaxed);
    if growths.is_multiple_of(PROBE_GROWTH_ONE_OF)
        || span_bytes - bytes > span_bytes / ROUNDING_ONE_OF
    {
        return Filling::Unknown;
    }
    MEDIUM_OBJECTS.expectation(bytes)
}

/// Notes a medium object that got memory nobody had touched: what is resident of it when the heap
/// grows for the next one was written.
pub(crate) fn note_by_touch(address: usize) {
    LAST_BY_TOUCH.store(address, Ordering::Relaxed);
}

/// Notes whether an object of `bytes` at `address` that is freed now was filled: one that got memory
/// nobody had touched, and of which at most the first huge page was made resident ahead.
pub(crate) fn note_freed(address: usize, bytes: usize) {
    OBJECTS.note(address, bytes);
}

/// Whether an object at `address`, a multiple of 64 KiB, is to show what it fills.
pub(crate) fn is_probe(address: usize) -> bool {
    let granule = (address >> GRANULE_SHIFT) as u64;
    mix(granule, STEP).is_multiple_of(PROBE_ONE_OF)
}

impl Experience {
    fn expectation(&self, bytes: usize) -> Filling {
        if bytes <= self.0.load(Ordering::Relaxed) / CERTAINTY {
            Filling::All
        } else {
            Filling::Unknown
        }
    }

    fn note(&self, address: usize, bytes: usize) {
        // Not at its ends: the last eighth may be what sizes are rounded up by.
        let is_filled = [1, 3, 5, 7]
            .iter()
            .all(|eighths| mapping::is_resident(address + bytes / 8 * eighths));
        let seen = self.0.load(Ordering::Relaxed);
        let now = if is_filled {
            (seen + bytes).min(MOST_FILLED_BYTES)
        } else {
            0
        };
        if now != seen {
            self.0.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT_BYTES: usize = 1 << 20;

    /// Frees an object of which the first `bytes` were written.
    fn free_filled_to(objects: &Experience, bytes: usize) {
        let address = mapping::map_aligned(OBJECT_BYTES, 1 << 16).expect("memory");
        for offset in (0..bytes).step_by(4096) {
            // SAFETY: just mapped, and nobody else's.
            unsafe { ((address + offset) as *mut u8).write_volatile(1) };
        }
        objects.note(address, OBJECT_BYTES);
        assert!(mapping::unmap(address, OBJECT_BYTES));
    }

    #[test]
    fn objects_are_expected_to_be_filled_while_and_as_far_as_those_before_were() {
        let objects = Experience(SharedUsize::new(FIRST_FILLED_BYTES));
        assert_eq!(objects.expectation(OBJECT_BYTES), Filling::All);
        assert_eq!(objects.expectation(1 << 30), Filling::Unknown);
        free_filled_to(&objects, OBJECT_BYTES / 2);
        assert_eq!(objects.expectation(1), Filling::Unknown);
        for _ in 0..CERTAINTY {
            assert_eq!(objects.expectation(OBJECT_BYTES), Filling::Unknown);
            free_filled_to(&objects, OBJECT_BYTES * 15 / 16);
        }
        assert_eq!(objects.expectation(OBJECT_BYTES), Filling::All);
        assert_eq!(objects.expectation(2 * OBJECT_BYTES), Filling::Unknown);
    }

    #[test]
    fn one_place_in_sixteen_is_a_probe() {
        let probes = (0..4096).filter(|granule| is_probe(granule << GRANULE_SHIFT));
        let count = probes.count();
        assert!((128..512).contains(&count), "{count} of 4096");
    }
}
