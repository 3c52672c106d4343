//! Moving what is stored, so that space goes back. Pages that come in leave slots free all over
//! compressed memory, and blocks go back as a whole only; and what a fork froze in the spill file
//! keeps its segment. The stores say what should move, and the page table leads to it, so that
//! nothing in a store has to lead back.

use super::evictor::EVICTION;
use super::page_table::{self, Area, Entry, LEAF_PAGES, PAGE_BYTES, State};
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

/// Calls `relocate` with the handle of each page in that state; it answers with the new one of
/// what it has moved.
fn relocate_all(state: State, mut relocate: impl FnMut(Handle) -> Option<Handle>) {
    page_table::for_each_area(|_, area| {
        let _eviction = EVICTION.lock();
        relocate_area(area, state, &mut relocate);
    });
}

fn relocate_area(
    area: &'static Area,
    state: State,
    relocate: &mut impl FnMut(Handle) -> Option<Handle>,
) {
    let Some(leaf) = area.leaf() else { return };
    for slot in (0..LEAF_PAGES).map(|index| leaf.slot(index)) {
        // Who is busy with the page is about to let go of what is stored.
        let Some(locked) = slot.try_lock_if(|it| it == state) else {
            continue;
        };
        let entry = locked.entry();
        match relocate(entry.payload()) {
            Some(handle) => locked.finish(Entry::new(state, handle).with_age(entry.age())),
            None => locked.leave(),
        }
    }
}
