//! Slots of blocks for byte strings, as a slab allocator has them: which are in use, wherever the
//! blocks lie.
//!
//! ```text
//! block:  | slot | slot | ... |                                  64 KiB, slots of one size
//! handle: | block (22 bits) | slot (10) | unused bytes at the slot's end (8) |
//! ```
//!
//! A string has no header: what is known of it stands in its handle. Sizes: [`super::slot_size`].
//!
//! | a block is | which means |
//! |---|---|
//! | full | in no list |
//! | partial | in the list of its size, the last to become so first |
//! | draining | partial, and to be emptied: nothing more is put in |
//! | frozen | the same, and its slots are not used again |
//! | empty | it still has its space, for the next size that needs a block |
//! | unused | its space was given back, or it was never used |
//!
//! Slots are taken from the lowest, so the space behind the highest that was ever taken is
//! untouched.
//!
//! # Who may touch what
//! Records and lists are changed with the lock held. The size of a block's slots stands still
//! while any of them is in use, so who holds a handle reads it without the lock. A slot belongs to
//! who holds its handle.

use super::block_table::{Block, BlockTable, DRAINING, FROZEN, PAGE_BYTES, SERVING};
use super::slot_size::{
    BLOCK_BYTES, CLASSES, MOST_SLOTS, SLACK_BITS, class_for, slot_bytes, slots,
};
use super::{HANDLE_BITS, Handle, MOST_BYTES};
use crate::os::futex::Mutex;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

const SLOT_BITS: u32 = MOST_SLOTS.trailing_zeros();
const BLOCK_BITS: u32 = HANDLE_BITS - SLOT_BITS - SLACK_BITS;
/// Blocks that a handle can name.
pub(super) const MOST_BLOCKS: usize = 1 << BLOCK_BITS;

/// Empty blocks that keep their space.
const MOST_EMPTY: u32 = 8;

/// Where a string lies.
#[derive(Clone, Copy)]
struct Place {
    block: u32,
    slot: usize,
    /// Bytes at the slot's end that are not the string's.
    slack: usize,
}

impl Place {
    fn handle(self) -> Handle {
        let number = u64::from(self.block) << SLOT_BITS | self.slot as u64;
        number << SLACK_BITS | self.slack as u64
    }

    fn of(handle: Handle) -> Place {
        let field = |shift: u32, bits: u32| (handle >> shift) & ((1 << bits) - 1);
        Place {
            block: field(SLOT_BITS + SLACK_BITS, BLOCK_BITS) as u32,
            slot: field(SLACK_BITS, SLOT_BITS) as usize,
            slack: field(0, SLACK_BITS) as usize,
        }
    }
}

/// The number of the block that a handle's string lies in.
pub(super) fn block_of(handle: Handle) -> u32 {
    Place::of(handle).block
}

/// The lists, by the number of their first block; 0 is none.
struct Lists {
    partial: [u32; CLASSES],
    draining: u32,
    empty: u32,
    empty_count: u32,
    unused: u32,
    /// The blocks that were never used.
    fresh: Range<u32>,
    /// Behind the last block that was ever used.
    used_end: u32,
}

impl Lists {
    const NONE: Lists = Lists {
        partial: [0; CLASSES],
        draining: 0,
        empty: 0,
        empty_count: 0,
        unused: 0,
        fresh: 0..0,
        used_end: 0,
    };
}

/// Slots for byte strings. See the module.
pub(super) struct Slots {
    pub(super) table: BlockTable,
    lists: Mutex<Lists>,
    // Written with the lock held.
    touched_bytes: AtomicUsize,
    record_bytes: AtomicUsize,
    stored_count: AtomicUsize,
    stored_bytes: AtomicUsize,
}

/// An empty block with more space than is kept, in no list.
#[must_use]
pub(super) struct Surplus {
    pub(super) block: u32,
    /// Bytes from the block's start that may hold something.
    pub(super) bytes: usize,
}

/// Adds to a word that is written with the lock held.
fn add(word: &AtomicUsize, bytes: usize) {
    let sum = word.load(Ordering::Relaxed).wrapping_add(bytes);
    word.store(sum, Ordering::Relaxed);
}

fn subtract(word: &AtomicUsize, bytes: usize) {
    add(word, bytes.wrapping_neg());
}

impl Slots {
    /// No slots yet.
    pub(super) const fn new() -> Slots {
        Slots {
            table: BlockTable::new(),
            lists: Mutex::new(Lists::NONE),
            touched_bytes: AtomicUsize::new(0),
            record_bytes: AtomicUsize::new(0),
            stored_count: AtomicUsize::new(0),
            stored_bytes: AtomicUsize::new(0),
        }
    }

    /// Blocks that were never used, from now on; those that were so before are forgotten.
    pub(super) fn extend(&self, blocks: Range<u32>) {
        self.lists.lock().fresh = blocks;
    }

    /// Takes a slot for a string of 1 to 4096 `bytes`, which may be written then; `None` where
    /// there is none.
    pub(super) fn take(&self, bytes: usize) -> Option<Handle> {
        if bytes == 0 || bytes > MOST_BYTES {
            return None;
        }
        let class = class_for(bytes);
        let mut lists = self.lists.lock();
        let number = match lists.partial[class] {
            0 => self.new_block(&mut lists, class)?,
            number => number,
        };
        let block = self.table.block(number);
        let slot = block.take()?;
        if block.used.load(Ordering::Relaxed) == slots(class) {
            self.table.unlink(&mut lists.partial[class], number);
        }
        let touched = ((slot + 1) * slot_bytes(class)).div_ceil(PAGE_BYTES);
        let before = usize::from(block.touched_pages.load(Ordering::Relaxed));
        if touched > before {
            block.touched_pages.store(touched as u8, Ordering::Relaxed);
            add(&self.touched_bytes, (touched - before) * PAGE_BYTES);
        }
        add(&self.stored_count, 1);
        add(&self.stored_bytes, bytes);
        let slack = slot_bytes(class) - bytes;
        Some(
            Place {
                block: number,
                slot,
                slack,
            }
            .handle(),
        )
    }

    /// Where the string of a handle begins, in bytes from the start of block 0, and its bytes;
    /// `None` of a handle that never was.
    pub(super) fn extent(&self, handle: Handle) -> Option<(usize, usize)> {
        let place = Place::of(handle);
        let block = self.table.get(place.block)?;
        let class = usize::from(block.class.load(Ordering::Relaxed));
        let bytes = slot_bytes(class).checked_sub(place.slack)?;
        let start = place.block as usize * BLOCK_BYTES + place.slot * slot_bytes(class);
        (place.slot < usize::from(slots(class))).then_some((start, bytes))
    }

    /// Gives the slot of a handle, which the caller holds, back; `false` where it was not in use.
    pub(super) fn give(&self, handle: Handle) -> bool {
        let place = Place::of(handle);
        let Some(block) = self.table.get(place.block) else {
            return false;
        };
        let mut lists = self.lists.lock();
        let class = usize::from(block.class.load(Ordering::Relaxed));
        if !block.give(place.slot) {
            return false;
        }
        subtract(&self.stored_count, 1);
        subtract(&self.stored_bytes, slot_bytes(class) - place.slack);
        let used = block.used.load(Ordering::Relaxed);
        let state = block.state.load(Ordering::Relaxed);
        let was_full = used + 1 == slots(class);
        match state {
            FROZEN => {}
            DRAINING if used == 0 => {
                self.table.unlink(&mut lists.draining, place.block);
                block.state.store(SERVING, Ordering::Relaxed);
                self.keep_empty(&mut lists, place.block);
            }
            DRAINING => {}
            _ if used > 0 && was_full => {
                self.table.push(&mut lists.partial[class], place.block);
            }
            _ if used > 0 => {}
            _ => {
                if !was_full {
                    self.table.unlink(&mut lists.partial[class], place.block);
                }
                self.keep_empty(&mut lists, place.block);
            }
        }
        true
    }

    /// An empty block beyond those that keep their space: the caller gives its space back, without
    /// the lock, since that takes long, and says so by [`Self::settle`].
    pub(super) fn take_surplus(&self) -> Option<Surplus> {
        let mut lists = self.lists.lock();
        if lists.empty_count <= MOST_EMPTY {
            return None;
        }
        lists.empty_count -= 1;
        let block = self.table.pop(&mut lists.empty);
        let pages = self
            .table
            .block(block)
            .touched_pages
            .load(Ordering::Relaxed);
        let bytes = usize::from(pages) * PAGE_BYTES;
        Some(Surplus { block, bytes })
    }

    /// The block may be used again: whether its space is `gone`.
    pub(super) fn settle(&self, surplus: Surplus, gone: bool) {
        let mut lists = self.lists.lock();
        if gone {
            let block = self.table.block(surplus.block);
            block.touched_pages.store(0, Ordering::Relaxed);
            subtract(&self.touched_bytes, surplus.bytes);
            self.table.push(&mut lists.unused, surplus.block);
        } else {
            self.keep_empty(&mut lists, surplus.block);
        }
    }

    /// Begins to compact: until [`Self::end_compaction`] nothing is put into blocks of which more
    /// than half is free.
    pub(super) fn begin_compaction(&self) {
        for class in 0..CLASSES {
            let mut lists = self.lists.lock();
            let mut number = lists.partial[class];
            // One block has to take what leaves the others.
            let mut spared = false;
            while number != 0 {
                let block = self.table.block(number);
                let next = block.next.load(Ordering::Relaxed);
                if block.used.load(Ordering::Relaxed) < slots(class) / 2 {
                    if spared {
                        self.table.unlink(&mut lists.partial[class], number);
                        block.state.store(DRAINING, Ordering::Relaxed);
                        self.table.push(&mut lists.draining, number);
                    }
                    spared = true;
                }
                number = next;
            }
        }
    }

    /// Ends what [`Self::begin_compaction`] began: blocks that were not emptied serve again.
    pub(super) fn end_compaction(&self) {
        let mut lists = self.lists.lock();
        while lists.draining != 0 {
            let number = self.table.pop(&mut lists.draining);
            let block = self.table.block(number);
            block.state.store(SERVING, Ordering::Relaxed);
            let class = usize::from(block.class.load(Ordering::Relaxed));
            self.table.push(&mut lists.partial[class], number);
        }
    }

    /// Whether the string of a handle should move, since its block is to be emptied or frozen.
    pub(super) fn should_move(&self, handle: Handle) -> bool {
        let block = self.table.get(block_of(handle));
        block.is_some_and(|block| block.state.load(Ordering::Relaxed) != SERVING)
    }

    /// The block that is used next of those that never were.
    pub(super) fn first_fresh(&self) -> u32 {
        self.lists.lock().fresh.start
    }

    /// Leaves blocks as they are for good: no slot of them is taken again, nor of any other but
    /// those that [`Self::extend`] adds.
    pub(super) fn freeze(&self, blocks: Range<u32>) {
        let mut lists = self.lists.lock();
        for number in blocks {
            let block = self.table.block(number);
            block.state.store(FROZEN, Ordering::Relaxed);
        }
        *lists = Lists {
            used_end: lists.used_end,
            ..Lists::NONE
        };
    }

    /// Forgets frozen blocks, whose space is gone: they are as if they had never been used.
    pub(super) fn forget(&self, blocks: Range<u32>) {
        let _lists = self.lists.lock();
        for number in blocks {
            let block = self.table.block(number);
            let pages = usize::from(block.touched_pages.swap(0, Ordering::Relaxed));
            subtract(&self.touched_bytes, pages * PAGE_BYTES);
        }
    }

    /// Bytes of blocks, as far as they were used.
    pub(super) fn touched_bytes(&self) -> usize {
        self.touched_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of records that are resident.
    pub(super) fn record_bytes(&self) -> usize {
        self.record_bytes.load(Ordering::Relaxed)
    }

    /// How many strings there are, and how many bytes they have in sum.
    pub(super) fn stored(&self) -> (usize, usize) {
        let count = self.stored_count.load(Ordering::Relaxed);
        (count, self.stored_bytes.load(Ordering::Relaxed))
    }

    /// In the child of a fork: frees the lock, whose holder is no more.
    pub(super) fn reset_lock(&self) {
        // SAFETY: the child has one thread, and it is not in here.
        unsafe { self.lists.raw() }.reset();
    }

    /// Makes an empty, an unused or a fresh block the first partial one of `class`.
    fn new_block(&self, lists: &mut Lists, class: usize) -> Option<u32> {
        let number = if lists.empty != 0 {
            lists.empty_count -= 1;
            self.table.pop(&mut lists.empty)
        } else if lists.unused != 0 {
            self.table.pop(&mut lists.unused)
        } else {
            let number = lists.fresh.next()?;
            if number >= lists.used_end {
                lists.used_end = number + 1;
                let pages_to =
                    |block: u32| (block as usize * size_of::<Block>()).div_ceil(PAGE_BYTES);
                let pages = pages_to(number + 1) - pages_to(number);
                add(&self.record_bytes, pages * PAGE_BYTES);
            }
            number
        };
        self.table.block(number).format(class);
        self.table.push(&mut lists.partial[class], number);
        Some(number)
    }

    fn keep_empty(&self, lists: &mut Lists, number: u32) {
        lists.empty_count += 1;
        self.table.push(&mut lists.empty, number);
    }
}

#[cfg(test)]
impl Slots {
    /// The lists hold what the records say, and the sums are the records' sums.
    pub(super) fn check(&self) {
        extern crate std;
        let lists = self.lists.lock();
        let walk = |head: u32| {
            let next = |number: &u32| Some(self.table.block(*number).next.load(Ordering::Relaxed));
            std::iter::successors(Some(head), next).take_while(|number| *number != 0)
        };
        let mut listed = walk(lists.draining).count();
        for (class, head) in lists.partial.iter().enumerate() {
            for number in walk(*head) {
                let block = self.table.block(number);
                let used = block.used.load(Ordering::Relaxed);
                assert_eq!(usize::from(block.class.load(Ordering::Relaxed)), class);
                assert!(used > 0 && used < slots(class), "block {number} is partial");
                listed += 1;
            }
        }
        assert_eq!(walk(lists.empty).count(), lists.empty_count as usize);
        let (mut used_sum, mut pages, mut partial) = (0, 0, 0);
        for block in self.table.blocks().iter().take(lists.used_end as usize) {
            let class = usize::from(block.class.load(Ordering::Relaxed));
            let used = block.used.load(Ordering::Relaxed);
            let free: u32 = block
                .free
                .iter()
                .map(|it| it.load(Ordering::Relaxed).count_ones())
                .sum();
            let touched = block.touched_pages.load(Ordering::Relaxed);
            assert!(used == 0 || u32::from(used) + free == u32::from(slots(class)));
            assert!(usize::from(touched) * PAGE_BYTES >= usize::from(used) * slot_bytes(class));
            let is_frozen = block.state.load(Ordering::Relaxed) == FROZEN;
            partial += usize::from(!is_frozen && used > 0 && used < slots(class));
            used_sum += usize::from(used);
            pages += usize::from(touched);
        }
        assert_eq!(listed, partial);
        assert_eq!(used_sum, self.stored().0);
        assert_eq!(pages * PAGE_BYTES, self.touched_bytes());
    }
}
