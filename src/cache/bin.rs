//! A bin: the free blocks of one size class that a thread has at hand, last freed first. The fast
//! paths of malloc and free touch the thread's bins and, of a block's slab, the record.
//!
//! To their slabs the blocks in a bin are in use. A bin is filled with all the free blocks of one
//! slab; what is freed beyond its room goes to its own slab at once, while it is in the processor's
//! cache. So a program that breathes has what it freed last, and one that has freed much gets
//! blocks that lie side by side.

use crate::metadata::span::Span;
use crate::os::cpu;
use crate::small::block::Block;
use crate::small::size_class::SizeClass;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// See the module. Atomic where statistics read along; only the owner writes.
#[repr(C)]
pub(crate) struct Bin {
    /// Address of the first block, or 0.
    head: AtomicUsize,
    /// Blocks that may be added, as a number with a sign: in a young bin so many less than none as it
    /// has blocks.
    room: AtomicU32,
    /// Blocks in the bin plus `room`: constant but for refills.
    held: AtomicU32,
    /// Refills since it was opened.
    refills: Cell<u32>,
    /// Partial slabs in the list.
    pub(super) partial_slabs: Cell<u32>,
    /// First granule of the current slab, or 0.
    pub(super) current: Cell<u32>,
    /// First granule of the first partial slab, or 0.
    pub(super) partial: Cell<u32>,
}

const _: () = assert!(size_of::<Bin>() == 32);

/// Blocks that a bin in use has room for, if a refill did not bring more: so many frees and as many
/// allocations behind them never leave it. More would be older, and out of the first-level cache.
const LEAST_ROOM_BLOCKS: usize = 128;
/// The same in bytes, for large blocks.
const LEAST_ROOM_BYTES: usize = 16 << 10;
/// Before as many refills a bin is *young*: they bring 1 block, 2, 4, and so on, and it has no room
/// for what is freed. So a thread that did a little of everything and fell idle keeps no slab from
/// being released.
const YOUNG_REFILLS: u32 = 8;

/// Whether there was room in a bin.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// There was.
    Found,
    /// There was none, and nothing was done.
    None,
}

/// A bin without blocks, for a thread that may not use its own.
pub(super) static EMPTY: Bin = Bin::without_room();

// SAFETY: the cells are touched by the owner of the cache only; nobody writes to `EMPTY`.
unsafe impl Sync for Bin {}

impl Bin {
    /// A bin that has no blocks and takes none.
    const fn without_room() -> Bin {
        Bin {
            head: AtomicUsize::new(0),
            room: AtomicU32::new(0),
            held: AtomicU32::new(0),
            refills: Cell::new(0),
            partial_slabs: Cell::new(0),
            current: Cell::new(0),
            partial: Cell::new(0),
        }
    }

    /// The bin at `address`.
    ///
    /// # Safety
    /// One is there, of the calling thread's cache, which is taken.
    #[inline(always)]
    pub(crate) unsafe fn at(address: usize) -> &'static Bin {
        // SAFETY: as the caller's; caches are never unmapped.
        unsafe { &*(address as *const Bin) }
    }

    /// Makes the bin empty, and without room until it is refilled.
    pub(super) fn open(&self) {
        self.head.store(0, Ordering::Relaxed);
        self.set_room(0, 0);
        self.refills.set(0);
        self.partial_slabs.set(0);
        self.current.set(0);
        self.partial.set(0);
    }

    /// Takes the block that was freed last: the fast path, for default mode.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Block> {
        let block = self.pop_by(Block::plain_link)?;
        block.unmark();
        Some(block)
    }

    /// The same in any mode; the block has its link and its mark still.
    #[inline]
    pub(crate) fn pop_listed(&self) -> Option<Block> {
        self.pop_by(Block::link)
    }

    #[inline(always)]
    fn pop_by(&self, link: impl Fn(Block) -> usize) -> Option<Block> {
        let address = self.head.load(Ordering::Relaxed);
        if address == 0 {
            return None;
        }
        // SAFETY: a bin holds block starts.
        let block = unsafe { Block::at(address) };
        self.head.store(link(block), Ordering::Relaxed);
        let room = self.room.load(Ordering::Relaxed);
        self.room.store(room.wrapping_add(1), Ordering::Relaxed);
        Some(block)
    }

    /// Adds a block of the slab with record `span`, if there is room: the fast path, for default mode.
    #[inline(always)]
    pub(crate) fn push(&self, span: &Span, block: Block) -> Room {
        let room = self.take_room();
        if room == Room::Found {
            block.mark(span);
            self.link_first(block, Block::set_plain_link);
        }
        room
    }

    /// Adds a block that has its mark, if there is room.
    #[inline(always)]
    pub(crate) fn push_listed(&self, block: Block) -> Room {
        let room = self.take_room();
        if room == Room::Found {
            self.link_first(block, Block::set_link);
        }
        room
    }

    #[inline(always)]
    fn take_room(&self) -> Room {
        const ROOM: usize = core::mem::offset_of!(Bin, room);
        // SAFETY: the count is `room`, and only its owner calls.
        match unsafe { cpu::lower_if_positive::<ROOM>(core::ptr::from_ref(self) as usize) } {
            true => Room::Found,
            false => Room::None,
        }
    }

    #[inline(always)]
    fn link_first(&self, block: Block, set_link: impl Fn(Block, usize)) {
        set_link(block, self.head.load(Ordering::Relaxed));
        self.head.store(block.address(), Ordering::Relaxed);
    }

    /// Blocks in it; for another thread than the owner, of some recent moment.
    pub(crate) fn blocks(&self) -> u32 {
        let held = self.held.load(Ordering::Relaxed);
        let blocks = held.wrapping_sub(self.room.load(Ordering::Relaxed));
        // Read by another thread, they may not belong together.
        blocks.cast_signed().max(0).cast_unsigned()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) == 0
    }

    /// Asks the processor for the first and the last line of the first block, of `class`.
    #[inline(always)]
    pub(super) fn prefetch_first(&self, class: SizeClass) {
        let first = self.head.load(Ordering::Relaxed);
        cpu::prefetch(first);
        cpu::prefetch(first.wrapping_add(class.block_bytes() - 1));
    }

    fn set_room(&self, blocks: u32, room: u32) {
        self.held
            .store(blocks.wrapping_add(room), Ordering::Relaxed);
        self.room.store(room, Ordering::Relaxed);
    }

    /// Blocks that [`Self::refill`] should be given at most.
    pub(super) fn batch(&self) -> u32 {
        if self.is_young() {
            1 << self.refills.get()
        } else {
            u32::MAX
        }
    }

    /// Fills the empty bin with a list of `blocks` of `class`, of which one is popped next.
    pub(super) fn refill(&self, class: SizeClass, head: usize, blocks: u32) {
        debug_assert!(self.is_empty() && blocks > 0);
        self.head.store(head, Ordering::Relaxed);
        let least = (LEAST_ROOM_BYTES / class.block_bytes()).clamp(2, LEAST_ROOM_BLOCKS) as u32;
        let room = match self.is_young() {
            true => 0_u32.wrapping_sub(blocks),
            false => least.saturating_sub(blocks),
        };
        self.set_room(blocks, room);
        self.refills.set(self.refills.get().saturating_add(1));
    }

    /// Whether it was refilled a few times only.
    pub(super) fn is_young(&self) -> bool {
        self.refills.get() < YOUNG_REFILLS
    }

    /// Takes all blocks out; there is no room until it is refilled.
    pub(super) fn take_all(&self) -> usize {
        self.set_room(0, 0);
        self.head.swap(0, Ordering::Relaxed)
    }

    /// Asserts that the bin holds as many blocks as it says, and room for one. For debug builds.
    pub(super) fn check(&self) {
        let (mut length, mut at) = (0, self.head.load(Ordering::Relaxed));
        while at != 0 {
            length += 1;
            // SAFETY: a bin's list holds free blocks.
            at = unsafe { Block::at(at) }.link();
        }
        assert_eq!(self.blocks(), length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Granule;
    use crate::metadata::span;
    use core::iter::from_fn;
    use std::vec::Vec;

    const CLASS: SizeClass = SizeClass::new(3);

    fn bin() -> Bin {
        let bin = Bin::without_room();
        bin.open();
        bin
    }

    fn record() -> &'static Span {
        span::ensure_record(Granule(1 << 27)).expect("memory for the table")
    }

    /// Free blocks of 64 bytes.
    fn blocks(count: usize) -> Vec<Block> {
        let memory: Vec<[usize; 8]> = std::vec![[0; 8]; count];
        // SAFETY: the memory is never freed.
        let block = |it: &[usize; 8]| unsafe { Block::at(it.as_ptr() as usize) };
        memory.leak().iter().map(block).collect()
    }

    fn length(mut head: usize) -> usize {
        from_fn(|| {
            // SAFETY: a list links blocks.
            (head != 0).then(|| head = unsafe { Block::at(head) }.link())
        })
        .count()
    }

    /// A list of free blocks.
    fn list(blocks: &[Block]) -> usize {
        for pair in blocks.windows(2) {
            pair[0].set_link(pair[1].address());
        }
        let (first, last) = (blocks.first().expect("some"), blocks.last().expect("some"));
        last.set_link(0);
        first.address()
    }

    #[test]
    fn what_was_freed_last_is_issued_first() {
        let (bin, blocks) = (bin(), blocks(3));
        bin.set_room(0, 8);
        for block in &blocks {
            assert!(bin.push(record(), *block) == Room::Found);
        }
        assert_eq!(bin.blocks(), 3);
        bin.check();
        let issued: Vec<_> = from_fn(|| bin.pop()).collect();
        assert!(issued.iter().eq(blocks.iter().rev()));
        assert!(issued.iter().all(|block| !block.is_marked(record())));
        assert_eq!(bin.blocks(), 0);
    }

    /// Makes a bin one that was refilled often.
    fn grow(bin: &Bin, blocks: &[Block]) {
        for refills in 0..YOUNG_REFILLS {
            assert!(bin.is_young());
            assert_eq!(bin.batch(), 1 << refills);
            let brought = &blocks[..1 << refills];
            bin.refill(CLASS, list(brought), 1 << refills);
            assert_eq!(bin.blocks(), 1 << refills);
            assert_eq!(from_fn(|| bin.pop()).count(), brought.len());
            assert_eq!(bin.push_listed(blocks[0]), Room::None, "while it is young");
        }
        assert!(!bin.is_young());
    }

    #[test]
    fn a_bin_has_no_room_before_it_is_refilled_and_after_it_is_emptied() {
        let (bin, blocks) = (bin(), blocks(1 << YOUNG_REFILLS));
        assert_eq!(bin.push_listed(blocks[0]), Room::None);
        assert_eq!(bin.blocks(), 0);
        grow(&bin, &blocks);
        bin.refill(CLASS, list(&blocks[..3]), 3);
        assert_eq!(bin.blocks(), 3);
        assert_eq!(bin.push_listed(blocks[3]), Room::Found);
        bin.check();
        assert_eq!((length(bin.take_all()), bin.blocks()), (4, 0));
        assert_eq!(bin.push_listed(blocks[4]), Room::None);
        bin.check();
    }

    #[test]
    fn room_is_for_what_a_refill_brought_and_for_some_blocks_always() {
        let (bin, more) = (bin(), blocks(1 << YOUNG_REFILLS));
        grow(&bin, &more);
        for (brought, room) in [(1, LEAST_ROOM_BLOCKS), (200, 200)] {
            bin.refill(CLASS, list(&more[..brought]), brought as u32);
            assert_eq!(from_fn(|| bin.pop()).count(), brought);
            let added = more
                .iter()
                .take_while(|block| bin.push_listed(**block) == Room::Found);
            assert_eq!(added.count(), room);
            bin.check();
            bin.take_all();
        }
    }
}
