//! A chunk is 64 granules in a row and two words about them.
//!
//! | `free` bit | `dirty` bit | the granule |
//! |---|---|---|
//! | 0 | any | in use, being purged, or never ours |
//! | 1 | 0 | free and clean: all zero, not resident |
//! | 1 | 1 | free and dirty: may hold old bytes and be resident |
//!
//! Every change is one atomic operation on one word, so no lock is held and a fork that takes
//! its snapshot in between loses at most the span in flight.

use crate::base::address::{CHUNK_GRANULES, Granule};
use crate::base::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use crate::base::bit_run;
use crate::base::shared::{SharedU64, SharedUsize};
use crate::metadata::directory::{Directory, ZeroIsValid};
use crate::metadata::span::{self, Kind, Span};

/// See the module.
pub(crate) struct Chunk {
    base: AtomicU32,
    in_break: AtomicBool,
    /// The granules that are in it; 0 once it was unmapped and may be another chunk.
    all: AtomicU64,
    free: SharedU64,
    dirty: SharedU64,
}

// SAFETY: atomics of integers and a bool.
unsafe impl ZeroIsValid for Chunk {}

static CHUNKS: Directory<Chunk, 1024, 1024> = Directory::new();
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Chunks that were unmapped.
static VACANT: AtomicUsize = AtomicUsize::new(0);
/// No chunk below this number has a free granule; a hint.
static FIRST_FREE: SharedUsize = SharedUsize::new(0);
/// Granules of all chunks: in use, times 2^32, plus those that are free and dirty. One word, so
/// that a claim and a release write one each.
static COUNTS: SharedUsize = SharedUsize::new(0);
const ONE_USED: usize = 1 << 32;

/// A span claimed from a chunk.
pub(crate) struct Claim {
    /// Number of the chunk.
    pub(crate) chunk: u32,
    /// First granule.
    pub(crate) start: Granule,
    /// Whether all its bytes are zero.
    pub(crate) clean: bool,
}

/// Adds a chunk that starts at `base`, with the granules in `free` ready to be claimed, of which
/// those in `resident` count as dirty; its number. Callers hold the growth lock. `None` out of
/// memory.
pub(crate) fn add(base: Granule, in_break: bool, free: u64, resident: u64) -> Option<u32> {
    let count = COUNT.load(Ordering::Relaxed);
    let vacant = if VACANT.load(Ordering::Relaxed) == 0 {
        None
    } else {
        all(0).find(|(_, chunk)| chunk.all.load(Ordering::Relaxed) == 0)
    };
    let number = vacant.map_or(count, |(number, _)| number as usize);
    let chunk = CHUNKS.ensure(number)?;
    chunk.all.store(free, Ordering::Relaxed);
    chunk.base.store(base.0, Ordering::Relaxed);
    chunk.in_break.store(in_break, Ordering::Relaxed);
    chunk.dirty.store(resident, Ordering::Relaxed);
    count_granules(0, resident.count_ones() as isize);
    regain(base, free);
    bit_run::release(&chunk.free, free);
    if vacant.is_some() {
        VACANT.fetch_sub(1, Ordering::Relaxed);
    } else {
        // Release pairs with the Acquire of `all`.
        COUNT.store(count + 1, Ordering::Release);
    }
    let number = u32::try_from(number).ok()?;
    lower_first_free(number);
    Some(number)
}

/// Notes that granules which had been given back to the kernel are ours again.
fn regain(base: Granule, bits: u64) {
    let ours = (0..CHUNK_GRANULES).filter(|offset| bits >> offset & 1 == 1);
    for record in ours.filter_map(|offset| span::record(base.plus(offset))) {
        if record.kind() == Kind::Released {
            record.set_kind(Kind::Free);
        }
    }
}

/// All chunks from number `first` on, with their numbers.
fn all(first: usize) -> impl DoubleEndedIterator<Item = (u32, &'static Chunk)> {
    // Acquire pairs with the Release of `add`.
    let count = COUNT.load(Ordering::Acquire);
    (first..count).filter_map(|number| Some((u32::try_from(number).ok()?, CHUNKS.get(number)?)))
}

/// The chunk in the program break that starts at `base`, if there is one.
pub(crate) fn find_in_break(base: Granule) -> Option<u32> {
    all(0)
        .find(|(_, chunk)| {
            chunk.in_break.load(Ordering::Relaxed) && chunk.base.load(Ordering::Relaxed) == base.0
        })
        .map(|(number, _)| number)
}

/// Makes the granules in `bits` of chunk `number` claimable, those in `resident` as dirty ones.
pub(crate) fn extend(number: u32, bits: u64, resident: u64) {
    if let Some(chunk) = CHUNKS.get(number as usize) {
        chunk.dirty.fetch_and(!bits, Ordering::Relaxed);
        chunk.dirty.fetch_or(resident, Ordering::Relaxed);
        count_granules(0, resident.count_ones() as isize);
        regain(Granule(chunk.base.load(Ordering::Relaxed)), bits);
        bit_run::release(&chunk.free, bits);
        lower_first_free(number);
    }
}

/// Claims `count` (1 to 64) granules in a row from the chunk with the lowest number that has
/// them: dirty ones if any chunk has, since these cost no page fault and would else be purged
/// while clean ones are faulted in.
pub(crate) fn claim(count: u32) -> Option<Claim> {
    if dirty_granules() >= count as usize
        && let Some(claim) = claim_from(count, |chunk| chunk.dirty.load(Ordering::Relaxed))
    {
        return Some(claim);
    }
    claim_from(count, |_| u64::MAX)
}

/// As [`claim`], from chunks that have the run within the bits that `wanted` names.
fn claim_from(count: u32, wanted: impl Fn(&Chunk) -> u64) -> Option<Claim> {
    let first = FIRST_FREE.load(Ordering::Relaxed);
    let mut lowest_free = None;
    for (number, chunk) in all(first) {
        let free = chunk.free.load(Ordering::Relaxed);
        if free == 0 {
            continue;
        }
        lowest_free.get_or_insert(number as usize);
        let dirty = chunk.dirty.load(Ordering::Relaxed);
        if bit_run::find(free & wanted(chunk), count).is_none() {
            continue;
        }
        if let Some(start) = bit_run::claim(&chunk.free, dirty, count) {
            if lowest_free != Some(first) {
                raise_first_free(first, lowest_free);
            }
            let bits = bit_run::mask(start, count);
            // The bits are ours now, and change no more.
            let was_dirty = chunk.dirty.load(Ordering::Relaxed) & bits;
            if was_dirty != bits {
                chunk.dirty.fetch_or(bits, Ordering::Relaxed);
            }
            count_granules(count as usize, -(was_dirty.count_ones() as isize));
            let base = Granule(chunk.base.load(Ordering::Relaxed));
            let start = base.plus(start as usize);
            return Some(Claim {
                chunk: number,
                start,
                clean: was_dirty == 0,
            });
        }
    }
    None
}

/// Moves the hint from `seen` up to `lowest`, and back where a skipped chunk got free granules
/// meanwhile.
fn raise_first_free(seen: usize, lowest: Option<usize>) {
    let Some(lowest) = lowest else { return };
    let raised = FIRST_FREE.compare_exchange(seen, lowest, Ordering::Relaxed, Ordering::Relaxed);
    if raised.is_ok() {
        // Pairs with the fence of `lower_first_free`: one of the two sees the other's change.
        fence(Ordering::SeqCst);
        let skipped = all(seen).take(lowest - seen);
        for (number, chunk) in skipped {
            if chunk.free.load(Ordering::Relaxed) != 0 {
                FIRST_FREE.fetch_min(number as usize, Ordering::Relaxed);
            }
        }
    }
}

/// Makes sure that the hint lets `number`, which has just got free granules, be found.
fn lower_first_free(number: u32) {
    // Pairs with the fence of `raise_first_free`.
    fence(Ordering::SeqCst);
    if FIRST_FREE.load(Ordering::Relaxed) > number as usize {
        FIRST_FREE.fetch_min(number as usize, Ordering::Relaxed);
    }
}

/// Gives `count` granules from `start` back to chunk `number`, as dirty ones.
pub(crate) fn release(number: u32, start: Granule, count: u32) {
    let Some(chunk) = CHUNKS.get(number as usize) else {
        return;
    };
    let bits = bit_run::mask(start.0 - chunk.base.load(Ordering::Relaxed), count);
    // Before the release: what another claims is counted.
    COUNTS.fetch_sub((ONE_USED - 1) * count as usize, Ordering::Relaxed);
    bit_run::release(&chunk.free, bits);
    lower_first_free(number);
}

/// Granules that are free and dirty now.
pub(crate) fn dirty_granules() -> usize {
    COUNTS.load(Ordering::Relaxed) % ONE_USED
}

/// Granules in use now.
pub(crate) fn used_granules() -> usize {
    COUNTS.load(Ordering::Relaxed) / ONE_USED
}

/// Adds to both counts.
fn count_granules(used: usize, dirty: isize) {
    let change = (used * ONE_USED).wrapping_add_signed(dirty);
    COUNTS.fetch_add(change, Ordering::Relaxed);
}

/// Passes runs of free dirty granules as (first, count, in the break) to `discard` until only
/// `target` are left; runs for which that answers `true` are clean then. While a run is with
/// `discard`, nobody can claim it.
pub(crate) fn purge(target: usize, mut discard: impl FnMut(Granule, usize, bool) -> bool) {
    // From the end: spans are claimed from the front, so the front is what is wanted again.
    for (number, chunk) in all(0).rev() {
        if dirty_granules() <= target {
            return;
        }
        let wanted = chunk.free.load(Ordering::Relaxed) & chunk.dirty.load(Ordering::Relaxed);
        if wanted == 0 {
            continue;
        }
        // What somebody claimed and gave back meanwhile is dirty all the same.
        let claimed = bit_run::claim_any(&chunk.free, wanted);
        let base = Granule(chunk.base.load(Ordering::Relaxed));
        let in_break = chunk.in_break.load(Ordering::Relaxed);
        let mut rest = claimed;
        let mut cleaned = 0;
        while let Some((start, count)) = bit_run::highest(rest) {
            let run = bit_run::mask(start, count);
            rest &= !run;
            if discard(base.plus(start as usize), count as usize, in_break) {
                cleaned |= run;
            }
        }
        chunk.dirty.fetch_and(!cleaned, Ordering::Relaxed);
        count_granules(0, -(cleaned.count_ones() as isize));
        bit_run::release(&chunk.free, claimed);
        lower_first_free(number);
    }
}

/// Claims, for good, the free granules of chunk `number` that end right below bit `end`; their
/// number. The granules are no longer ours to hand out.
pub(crate) fn withdraw_top(number: u32, end: u32) -> u32 {
    let Some(chunk) = CHUNKS.get(number as usize) else {
        return 0;
    };
    if end == 0 {
        return 0;
    }
    let below_end = bit_run::mask(0, end);
    let free = chunk.free.load(Ordering::Relaxed) & below_end;
    let Some((start, count)) = bit_run::highest(free) else {
        return 0;
    };
    if start + count != end {
        return 0;
    }
    // Others may claim parts of the run meanwhile: only what is still whole at the top counts.
    let got = bit_run::claim_any(&chunk.free, bit_run::mask(start, count));
    let kept = match bit_run::highest(got) {
        Some((top, length)) if top + length == end => length,
        _ => 0,
    };
    let withdrawn = if kept == 0 {
        0
    } else {
        bit_run::mask(end - kept, kept)
    };
    bit_run::release(&chunk.free, got & !withdrawn);
    let was_dirty = chunk.dirty.fetch_and(!withdrawn, Ordering::Relaxed) & withdrawn;
    count_granules(0, -(was_dirty.count_ones() as isize));
    kept
}

/// Withdraws chunks outside the break of which all granules are free, for good, and passes each
/// to `unmap(first, count)`; chunks for which that answers `false` stay. Callers hold the growth
/// lock.
pub(crate) fn withdraw_whole(mut unmap: impl FnMut(Granule, usize) -> bool) {
    for (number, chunk) in all(0) {
        let whole = chunk.all.load(Ordering::Relaxed);
        if whole == 0 || chunk.in_break.load(Ordering::Relaxed) {
            continue;
        }
        let claimed = chunk
            .free
            .compare_exchange(whole, 0, Ordering::Acquire, Ordering::Relaxed);
        if claimed.is_err() {
            continue;
        }
        let base = Granule(chunk.base.load(Ordering::Relaxed));
        if unmap(base, whole.count_ones() as usize) {
            let dirty = chunk.dirty.swap(0, Ordering::Relaxed) & whole;
            count_granules(0, -(dirty.count_ones() as isize));
            chunk.all.store(0, Ordering::Relaxed);
            VACANT.fetch_add(1, Ordering::Relaxed);
        } else {
            regain(base, whole);
            bit_run::release(&chunk.free, whole);
            lower_first_free(number);
        }
    }
}

/// Undoes [`withdraw_top`] for the granules in `bits`, as dirty ones.
pub(crate) fn return_withdrawn(number: u32, bits: u64) {
    if let Some(chunk) = CHUNKS.get(number as usize) {
        chunk.dirty.fetch_or(bits, Ordering::Relaxed);
        count_granules(0, bits.count_ones() as isize);
        regain(Granule(chunk.base.load(Ordering::Relaxed)), bits);
        bit_run::release(&chunk.free, bits);
    }
}

/// In a child after fork of a multi-threaded program: a granule that was free and clean when its
/// chunk's page was copied may have been written before its own page was.
pub(crate) fn distrust_clean() {
    let mut dirty = 0;
    for (_, chunk) in all(0) {
        let free = chunk.free.load(Ordering::Relaxed);
        let now = chunk.dirty.fetch_or(free, Ordering::Relaxed) | free;
        dirty += (free & now).count_ones() as usize;
    }
    FIRST_FREE.store(0, Ordering::Relaxed);
    COUNTS.store(used_granules() * ONE_USED + dirty, Ordering::Relaxed);
}

/// Calls `each` with the record of every slab and medium object.
pub(crate) fn for_each_span(mut each: impl FnMut(&'static Span)) {
    for (number, chunk) in all(0) {
        let base = Granule(chunk.base.load(Ordering::Relaxed));
        if chunk.all.load(Ordering::Relaxed) == 0 {
            continue;
        }
        for offset in 0..CHUNK_GRANULES {
            // A short chunk is followed by granules that are another's.
            if let Some(record) = span::record(base.plus(offset))
                && matches!(record.kind(), Kind::Slab | Kind::Medium)
                && record.chunk.load(Ordering::Relaxed) == number
            {
                each(record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::{Mutex, MutexGuard};
    use std::vec::Vec;

    /// Keeps the other tests waiting, and leaves them no free granule.
    struct Alone(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

    impl Alone {
        fn new() -> Alone {
            static ALONE: Mutex<()> = Mutex::new(());
            Alone(ALONE.lock().unwrap_or_else(|failed| failed.into_inner()))
        }
    }

    impl Drop for Alone {
        fn drop(&mut self) {
            while claim(1).is_some() {}
        }
    }

    /// A chunk with `granules` free ones and a base of its own, in memory that does not exist.
    fn new_chunk(in_break: bool, granules: u32) -> (u32, Granule) {
        static NEXT: AtomicUsize = AtomicUsize::new(1 << 24);
        let base = NEXT.fetch_add(CHUNK_GRANULES, Ordering::Relaxed);
        let base = Granule(u32::try_from(base).expect("31 bits"));
        let number = add(base, in_break, bit_run::mask(0, granules), 0).expect("room");
        (number, base)
    }

    fn claim_at(granules: u32) -> Option<(Granule, bool)> {
        claim(granules).map(|claim| (claim.start, claim.clean))
    }

    #[test]
    fn claims_prefer_dirty_granules_and_tell_clean_ones() {
        let _alone = Alone::new();
        let (number, base) = new_chunk(false, 8);
        assert_eq!(claim_at(2), Some((base, true)));
        assert_eq!(claim_at(2), Some((base.plus(2), true)));
        release(number, base.plus(2), 2);
        assert_eq!(
            claim_at(3),
            Some((base.plus(2), false)),
            "the lowest, dirty in part"
        );
        release(number, base.plus(2), 1);
        release(number, base, 1);
        assert_eq!(dirty_granules(), 2);
        assert_eq!(
            claim_at(2),
            Some((base.plus(5), true)),
            "the dirty ones do not adjoin"
        );
        assert_eq!(claim_at(1), Some((base, false)));
        assert_eq!(claim_at(2), None);
        assert_eq!(dirty_granules(), 1);
    }

    #[test]
    fn purge_cleans_what_is_discarded_and_stops_at_its_target() {
        let _alone = Alone::new();
        let (low, low_base) = new_chunk(false, 4);
        let (high, high_base) = new_chunk(true, 4);
        for (number, base) in [(low, low_base), (high, high_base)] {
            assert_eq!(claim_at(4), Some((base, true)));
            release(number, base, 1);
            release(number, base.plus(2), 2);
        }
        let mut runs = Vec::new();
        purge(4, |start, count, in_break| {
            runs.push((start, count, in_break));
            count == 2
        });
        assert_eq!(runs, [(high_base.plus(2), 2, true), (high_base, 1, true)]);
        assert_eq!(dirty_granules(), 4, "one run could not be discarded");
        purge(0, |_, _, _| true);
        assert_eq!(dirty_granules(), 0);
        assert_eq!(claim_at(2), Some((low_base.plus(2), true)));
    }

    #[test]
    fn the_top_of_a_chunk_can_be_withdrawn_and_regained() {
        let _alone = Alone::new();
        let (number, base) = new_chunk(true, 6);
        assert_eq!(find_in_break(base), Some(number));
        assert_eq!(claim_at(4), Some((base, true)));
        assert_eq!(withdraw_top(number, 6), 2);
        assert_eq!(withdraw_top(number, 4), 0, "what lies below is in use");
        release(number, base.plus(3), 1);
        assert_eq!((withdraw_top(number, 4), dirty_granules()), (1, 0));
        return_withdrawn(number, bit_run::mask(3, 1));
        extend(number, bit_run::mask(4, 2), 0);
        assert_eq!(
            dirty_granules(),
            1,
            "what was withdrawn in vain is dirty, what is new is not"
        );
        assert_eq!(claim_at(1), Some((base.plus(3), false)));
        assert_eq!(claim_at(2), Some((base.plus(4), true)));
    }

    #[test]
    fn only_free_chunks_outside_the_break_are_withdrawn_whole_and_their_numbers_used_again() {
        let _alone = Alone::new();
        let (whole, whole_base) = new_chunk(false, 3);
        let (in_use, in_use_base) = new_chunk(false, 3);
        new_chunk(true, 3);
        let (kept, kept_base) = new_chunk(false, 3);
        assert_eq!(claim_at(3), Some((whole_base, true)));
        assert_eq!(claim_at(1), Some((in_use_base, true)));
        release(whole, whole_base, 3);
        let mut asked = BTreeSet::new();
        withdraw_whole(|start, granules| {
            asked.insert((start, granules));
            start == whole_base
        });
        assert_eq!(asked, [(whole_base, 3), (kept_base, 3)].into());
        assert_eq!(dirty_granules(), 0);
        let starts: BTreeSet<_> = core::iter::from_fn(|| claim_at(1))
            .map(|(it, _)| it)
            .collect();
        assert_eq!(starts.len(), 2 + 3 + 3);
        assert!(!starts.contains(&whole_base));
        release(kept, kept_base, 1);
        release(in_use, in_use_base, 1);
        let (again, again_base) = new_chunk(false, 2);
        assert_eq!(again, whole);
        assert_eq!(claim_at(2), Some((again_base, true)));
    }

    #[test]
    fn after_a_fork_no_free_granule_is_taken_for_clean() {
        let _alone = Alone::new();
        let (_, base) = new_chunk(false, 5);
        assert_eq!(claim_at(2), Some((base, true)));
        distrust_clean();
        assert_eq!(dirty_granules(), 3);
        assert_eq!(claim_at(3), Some((base.plus(2), false)));
    }
}
