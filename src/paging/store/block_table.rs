//! What is known of each block of [`super::slots`], and the lists of blocks.

use super::slot_size::{BLOCK_BYTES, MOST_SLOTS, slots};
use crate::os::errno::Errno;
use crate::os::mapping;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

pub(super) const PAGE_BYTES: usize = 4096;
const BITMAP_WORDS: usize = MOST_SLOTS / 64;

/// What is known of a block. Zeroed memory is one that was never used.
pub(super) struct Block {
    /// Bit of each slot that is free.
    pub(super) free: [AtomicU64; BITMAP_WORDS],
    /// Neighbours in a list; 0 is none, since block 0 holds records.
    pub(super) next: AtomicU32,
    pub(super) previous: AtomicU32,
    /// Slots in use.
    pub(super) used: AtomicU16,
    /// Which size the slots have.
    pub(super) class: AtomicU8,
    /// Pages from the block's start that may be resident.
    pub(super) touched_pages: AtomicU8,
    /// [`SERVING`], [`DRAINING`] or [`FROZEN`].
    pub(super) state: AtomicU8,
}

/// States of a block: slots are taken and given back.
pub(super) const SERVING: u8 = 0;
/// Nothing more is put in, since the block is to be emptied.
pub(super) const DRAINING: u8 = 1;
/// Nothing more is put in, ever.
pub(super) const FROZEN: u8 = 2;

/// The records of blocks, and mostly the blocks themselves: in one range of address space, which
/// begins with the records.
#[repr(C)]
pub(super) struct BlockTable {
    /// Where the range starts; 0 until it is reserved.
    start: AtomicUsize,
    /// Blocks in the range, those of the records among them.
    blocks: AtomicUsize,
}

impl BlockTable {
    /// A table without blocks.
    pub(super) const fn new() -> BlockTable {
        BlockTable {
            start: AtomicUsize::new(0),
            blocks: AtomicUsize::new(0),
        }
    }

    /// Reserves address space for `count` blocks: their numbers. Once, by one thread.
    pub(super) fn reserve_with_memory(&self, count: usize) -> Option<Range<u32>> {
        let records = (count * size_of::<Block>()).div_ceil(BLOCK_BYTES) + 1;
        let blocks = records + count;
        let start = mapping::map_sparse(blocks * BLOCK_BYTES)?;
        // A huge page would make memory resident that nobody counts.
        mapping::advise_small(start, blocks * BLOCK_BYTES);
        mapping::name(start, blocks * BLOCK_BYTES, c"glebe store");
        self.begin(start, blocks);
        Some(records as u32..blocks as u32)
    }

    /// Ends what `reserve_with_memory` began; nobody uses the blocks any more.
    pub(super) fn unmap_with_memory(&self) {
        let start = self.start.swap(0, Ordering::Relaxed);
        if start != 0 {
            mapping::unmap(start, self.blocks.load(Ordering::Relaxed) * BLOCK_BYTES);
        }
    }

    /// Reserves address space for the records of `count` blocks, 0 among them, which lie elsewhere.
    /// Once, by one thread, which may be one that libc does not know.
    pub(super) fn reserve_elsewhere(&self, count: usize) -> Result<(), Errno> {
        let bytes = (count * size_of::<Block>()).next_multiple_of(BLOCK_BYTES);
        self.begin(mapping::map_sparse_without_errno(bytes)?, count);
        Ok(())
    }

    fn begin(&self, start: usize, blocks: usize) {
        self.blocks.store(blocks, Ordering::Relaxed);
        // Release pairs with the Acquire of `blocks`.
        self.start.store(start, Ordering::Release);
    }

    /// The records; none before they are reserved.
    pub(super) fn blocks(&self) -> &[Block] {
        // Acquire pairs with the Release of `begin`: the count of blocks is that of the region.
        let start = self.start.load(Ordering::Acquire);
        if start == 0 {
            return &[];
        }
        // SAFETY: the region begins with a record for each of its blocks, and zeroes are a record.
        unsafe {
            core::slice::from_raw_parts(start as *const Block, self.blocks.load(Ordering::Relaxed))
        }
    }

    /// The record of a block that there is.
    pub(super) fn block(&self, number: u32) -> &Block {
        &self.blocks()[number as usize]
    }

    /// The record of a block, if there is such a block.
    pub(super) fn get(&self, number: u32) -> Option<&Block> {
        self.blocks().get(number as usize)
    }

    /// Where the range starts; 0 until it is reserved.
    pub(super) fn start(&self) -> usize {
        self.start.load(Ordering::Relaxed)
    }

    /// Puts a block, which is in no list, first in one.
    pub(super) fn push(&self, head: &mut u32, number: u32) {
        let block = self.block(number);
        block.previous.store(0, Ordering::Relaxed);
        block.next.store(*head, Ordering::Relaxed);
        if *head != 0 {
            self.block(*head).previous.store(number, Ordering::Relaxed);
        }
        *head = number;
    }

    /// Takes a block out of the list that it is in.
    pub(super) fn unlink(&self, head: &mut u32, number: u32) {
        let block = self.block(number);
        let next = block.next.load(Ordering::Relaxed);
        let previous = block.previous.load(Ordering::Relaxed);
        if next != 0 {
            self.block(next).previous.store(previous, Ordering::Relaxed);
        }
        if previous != 0 {
            self.block(previous).next.store(next, Ordering::Relaxed);
        } else {
            *head = next;
        }
    }

    /// Takes the first of a list that is not empty.
    pub(super) fn pop(&self, head: &mut u32) -> u32 {
        let number = *head;
        self.unlink(head, number);
        number
    }
}

impl Block {
    /// Cuts an empty block into free slots of `class`.
    pub(super) fn format(&self, class: usize) {
        let slots = usize::from(slots(class));
        for (index, word) in self.free.iter().enumerate() {
            let bits = slots.saturating_sub(index * 64).min(64) as u32;
            let free = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
            word.store(free, Ordering::Relaxed);
        }
        self.class.store(class as u8, Ordering::Relaxed);
        self.state.store(SERVING, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
    }

    /// Takes the lowest free slot.
    pub(super) fn take(&self) -> Option<usize> {
        let words = self.free.iter().enumerate();
        let (index, word) = words
            .map(|(index, word)| (index, word.load(Ordering::Relaxed)))
            .find(|(_, word)| *word != 0)?;
        self.free[index].store(word & (word - 1), Ordering::Relaxed);
        let used = self.used.load(Ordering::Relaxed);
        self.used.store(used + 1, Ordering::Relaxed);
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    /// Gives a slot back; `false` where it was not in use.
    pub(super) fn give(&self, slot: usize) -> bool {
        let (word, bit) = (&self.free[slot / 64], 1 << (slot % 64));
        let before = word.load(Ordering::Relaxed);
        let used = self.used.load(Ordering::Relaxed);
        if before & bit != 0 || used == 0 {
            return false;
        }
        word.store(before | bit, Ordering::Relaxed);
        self.used.store(used - 1, Ordering::Relaxed);
        true
    }
}
