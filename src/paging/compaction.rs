//! Moving what is stored, so that space goes back. Pages that come in leave slots free all over
//! compressed memory, and blocks go back as a whole only; what a fork froze in the spill file
//! keeps its segment; and what nobody wants takes memory where a file would do. The page table leads
//! to what should move, so that nothing in a store has to lead back.

use super::evictor::EVICTION;
use super::page_table::{self, Area, Entry, LEAF_PAGES, PAGE_BYTES, State};
use super::resident::{self, Stamp};
use super::statistics::{Count, count};
use super::store::{self, Handle};

/// Empties sparse blocks. For the evictor, which does not hold [`EVICTION`]: that is held for one
/// area at a time, so that forks do not wait.
pub(super) fn compact_memory() {
    let memory = store::memory();
    memory.begin_compaction();
    relocate_all(State::Compressed, |handle| memory.relocate(handle));
    memory.end_compaction();
}

/// Moves what was spilled before forks to the newest segment, as far as there is room. As
/// [`compact_memory`].
pub(super) fn empty_frozen_segments(buffer: &mut [u8; PAGE_BYTES]) {
    relocate_all(State::Spilled, |handle| {
        store::spill().relocate(handle, buffer).ok().flatten()
    });
}

/// Moves the pages of the next area that have been in compressed memory for long to the spill file,
/// by `write`; the areas take turns, of which `hand` keeps the last. For the evictor, which holds
/// [`EVICTION`].
pub(super) fn write_out_next_area(
    hand: &mut usize,
    mut write: impl FnMut(&[u8]) -> Option<Handle>,
) {
    let next = page_table::area_below(*hand);
    *hand = next.map_or(page_table::END_OF_AREAS, |(number, _)| number);
    let Some((_, area)) = next else { return };
    relocate_area(area, State::Compressed, |entry| {
        if !resident::left_long_ago(Stamp(entry.age())) {
            return None;
        }
        let handle = write(store::memory().bytes(entry.payload()))?;
        store::memory().remove(entry.payload());
        count(Count::Spilled, 1);
        count(Count::WrittenOut, 1);
        Some(Entry::new(State::Spilled, handle))
    });
}

/// Calls `relocate` with the handle of each page in that state; it answers with the new one of
/// what it has moved.
fn relocate_all(state: State, mut relocate: impl FnMut(Handle) -> Option<Handle>) {
    page_table::for_each_area(|_, area| {
        let _eviction = EVICTION.lock();
        relocate_area(area, state, |entry| {
            relocate(entry.payload()).map(|handle| Entry::new(state, handle))
        });
    });
}

/// Calls `relocate` with the entry of each page of the area in that state; it answers with the new
/// one, but for the age, of what it has moved.
fn relocate_area(
    area: &'static Area,
    state: State,
    mut relocate: impl FnMut(Entry) -> Option<Entry>,
) {
    let Some(leaf) = area.leaf() else { return };
    for slot in (0..LEAF_PAGES).map(|index| leaf.slot(index)) {
        // Who is busy with the page is about to let go of what is stored.
        let Some(locked) = slot.try_lock_if(|it| it == state) else {
            continue;
        };
        let entry = locked.entry();
        match relocate(entry) {
            Some(moved) => locked.finish(moved.with_age(entry.age())),
            None => locked.leave(),
        }
    }
}
