//! The mappings of guarded objects that were freed, inaccessible throughout. Each first waits in a
//! queue, first in, first out, so that a use after free meets a guard and not the next object.
//! What leaves the queue is kept for the next object of its length.
//!
//! Each entry is a word and each step an atomic operation on one; whoever takes an entry owns the
//! mapping only once the record's kind has changed hands (`guarded_object`). So the child of a
//! fork, which may see an entry twice or not at all, issues none twice.

use crate::base::shared::{SharedU64, SharedUsize};
use crate::large::kept_mappings::{self, FreedMapping};
use core::sync::atomic::Ordering;

/// Most mappings in the queue.
const MOST_QUEUED: usize = 256;
/// Most bytes of them: address space, and 1/512 of that in page tables.
const MOST_QUEUED_BYTES: usize = 256 << 20;
/// Most mappings kept for reuse.
const MOST_KEPT: usize = 64;
/// The longest mapping that is kept, bytes: what a longer one costs to map is little beside its use.
const LONGEST_KEPT_BYTES: usize = 16 << 20;

/// A mapping, as granules << 32 | first granule; 0 is an empty place.
static QUEUE: [SharedU64; MOST_QUEUED] = [const { SharedU64::new(0) }; MOST_QUEUED];
/// How many were ever put in, and taken out: modulo the places, where.
static PUT_IN: SharedUsize = SharedUsize::new(0);
static TAKEN_OUT: SharedUsize = SharedUsize::new(0);
static QUEUED_BYTES: SharedUsize = SharedUsize::new(0);

static KEPT: [SharedU64; MOST_KEPT] = [const { SharedU64::new(0) }; MOST_KEPT];

/// Queues a mapping, whatever its length. `unmap` is told of those for which there is no place any
/// more.
pub(super) fn put(freed: FreedMapping, mut unmap: impl FnMut(FreedMapping)) {
    let most_bytes = MOST_QUEUED_BYTES.saturating_sub(freed.bytes());
    while queued() >= MOST_QUEUED || queued_bytes() > most_bytes {
        let Some(oldest) = take_oldest() else { break };
        keep(oldest, &mut unmap);
    }
    QUEUED_BYTES.fetch_add(freed.bytes(), Ordering::Relaxed);
    let number = PUT_IN.fetch_add(1, Ordering::Relaxed);
    // The place is empty but where a thread was slow to take what was in it.
    if let Some(passed) = exchange(number, freed.to_word()) {
        keep(passed, &mut unmap);
    }
}

// In the child of a fork the words may be from several instants, and a difference negative.

fn queued() -> usize {
    let taken_out = TAKEN_OUT.load(Ordering::Relaxed);
    let queued = PUT_IN.load(Ordering::Relaxed).wrapping_sub(taken_out);
    queued.cast_signed().max(0).cast_unsigned()
}

fn queued_bytes() -> usize {
    let bytes = QUEUED_BYTES.load(Ordering::Relaxed);
    bytes.cast_signed().max(0).cast_unsigned()
}

/// Exchanges what is in the place of entry `number` of the queue.
fn exchange(number: usize, word: u64) -> Option<FreedMapping> {
    let place = QUEUE.get(number % MOST_QUEUED)?;
    // Release and Acquire pair with each other: the record was written before.
    let taken = FreedMapping::from_word(place.swap(word, Ordering::AcqRel))?;
    QUEUED_BYTES.fetch_sub(taken.bytes(), Ordering::Relaxed);
    Some(taken)
}

fn take_oldest() -> Option<FreedMapping> {
    loop {
        let number = TAKEN_OUT.load(Ordering::Relaxed);
        if queued() == 0 {
            return None;
        }
        let mine = TAKEN_OUT
            .compare_exchange(
                number,
                number.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok();
        // Whoever is slow to put in finds the place passed: its entry then waits for a round more.
        if mine && let Some(freed) = exchange(number, 0) {
            return Some(freed);
        }
    }
}

fn keep(freed: FreedMapping, unmap: &mut impl FnMut(FreedMapping)) {
    if freed.bytes() > LONGEST_KEPT_BYTES || !kept_mappings::put_in(&KEPT, freed) {
        unmap(freed);
    }
}

/// Takes a kept mapping of `granules`.
pub(super) fn take(granules: u32) -> Option<FreedMapping> {
    KEPT.iter().find_map(|place| {
        let freed = FreedMapping::from_word(place.load(Ordering::Relaxed))?;
        (freed.granules == granules && kept_mappings::take_place(place, freed)).then_some(freed)
    })
}

/// Takes all that are kept or queued.
pub(super) fn take_all(mut each: impl FnMut(FreedMapping)) {
    while let Some(oldest) = take_oldest() {
        each(oldest);
    }
    for place in &KEPT {
        if let Some(freed) = FreedMapping::from_word(place.load(Ordering::Relaxed))
            && kept_mappings::take_place(place, freed)
        {
            each(freed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::{GRANULE_BYTES, Granule};
    extern crate std;
    use std::vec::Vec;

    /// One test, since the queue is the process's.
    #[test]
    fn first_in_is_first_out_within_bounds_of_count_and_bytes() {
        let freed = |number: u32, granules| FreedMapping {
            start: Granule(1 + number),
            granules,
        };
        let mut unmapped = Vec::new();
        let mut number = 0;
        while unmapped.is_empty() {
            put(freed(number, 1), |it| unmapped.push(it.start.0));
            number += 1;
        }
        assert_eq!(number as usize, MOST_QUEUED + MOST_KEPT + 1);
        assert_eq!(unmapped, [1 + MOST_KEPT as u32], "the oldest are kept");
        assert_eq!(take(2), None);
        assert_eq!(take(1), Some(freed(0, 1)));
        let long = u32::try_from(MOST_QUEUED_BYTES / GRANULE_BYTES).expect("few");
        unmapped.clear();
        put(freed(1000, long), |it| unmapped.push(it.start.0));
        assert_eq!(unmapped.len(), MOST_QUEUED - 1, "one place was empty");
        assert_eq!(take(long), None, "too long to be kept");
        let mut rest = Vec::new();
        take_all(|it| rest.push(it.start.0));
        assert_eq!(rest[0], 1001);
        assert_eq!(rest.len(), 1 + MOST_KEPT);
        assert_eq!(QUEUED_BYTES.load(Ordering::Relaxed), 0);
    }
}
