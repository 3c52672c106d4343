//! Stores: where the contents of pages are that left memory.
//!
//! A store takes a string of 1 to 4096 bytes, mostly a page that [`codec`] made smaller, and
//! answers with a handle, by which it is read and removed. There are two, of one shape:
//!
//! | store | where | what it costs |
//! |---|---|---|
//! | [`compressed_memory`] | memory of ours | its footprint, which counts against the budget |
//! | [`spill_file`] | slots in files without a name | system calls, and room on a disk |
//!
//! Stores know nothing of pages. Who holds a handle, the busy page table entry of one page, is
//! the only one to read or remove what it stands for; stores lock but their own tables.
//!
//! All of this runs in threads that must not wait for the allocator: no allocation, no errno.

mod block_table;
pub(crate) mod codec;
pub(crate) mod compressed_memory;
mod removals;
mod slot_size;
mod slots;
pub(crate) mod spill_file;
mod spill_io;

use compressed_memory::CompressedMemory;
use spill_file::SpillFile;

pub(crate) use slot_size::BLOCK_BYTES;

pub(super) use removals::{hold_removals, remove};

/// What a store knows its byte strings by: below 2^40, so that it fits a page table entry.
pub(crate) type Handle = u64;

/// Bits of a [`Handle`].
pub(crate) const HANDLE_BITS: u32 = 40;

/// The most bytes that a store takes at a time: a page.
pub(crate) const MOST_BYTES: usize = 4096;

static MEMORY: CompressedMemory = CompressedMemory::new();
static SPILL: SpillFile = SpillFile::new();

/// The store in memory.
pub(crate) fn memory() -> &'static CompressedMemory {
    &MEMORY
}

/// For the map: where the words are that say where the store in memory starts, and of how many
/// blocks of [`BLOCK_BYTES`] it is.
pub(crate) const fn words() -> *const () {
    MEMORY.words()
}

/// The store in a file.
pub(crate) fn spill() -> &'static SpillFile {
    &SPILL
}

/// In the parent, after a fork during which nobody inserted, before anybody does: removes what had
/// to wait. Whether there was a fork.
pub(crate) fn after_fork_in_parent() -> bool {
    // First of all what the child has is frozen, so that no removal gives its space away.
    removals::release(|| SPILL.after_fork_in_parent())
}

/// In the child of such a fork, before anything else: frees the locks, whose holders are no more.
pub(crate) fn after_fork_in_child() {
    MEMORY.reset_lock();
    SPILL.after_fork_in_child();
    removals::after_fork();
}
