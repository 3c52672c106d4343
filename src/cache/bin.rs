//! A bin: the free blocks of one size class that a thread has at hand, last freed first. The fast
//! paths of malloc and free touch the thread's bins and nothing else of the cache.
//!
//! To their slabs the blocks in a bin are in use. A bin is filled with a batch of the free blocks
//! of one slab; when it has no room left it sends the older half back to their slabs.
//!
//! How much it may hold follows from use, as in `retained`: what is wanted again after it was
//! sent back raises the limit, and a thread that sends back many times as much without wanting
//! any halves it. So a program that breathes keeps a breath of blocks, and one that tears its
//! heap down is left with a handful, whose slabs cannot be released.

use crate::metadata::span::Span;
use crate::os::cpu;
use crate::small::block::Block;
use crate::small::size_class::SizeClass;
use core::cell::Cell;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering};

/// See the module. Atomic where statistics read along; only the owner writes.
#[repr(C)]
pub(crate) struct Bin {
    /// Address of the first block, or 0.
    head: AtomicUsize,
    /// Blocks that may be added before somebody has to look; at least 1 but in the middle of a
    /// refill.
    room: AtomicU32,
    /// Blocks in the bin plus `room`: constant but for looks and refills.
    held: AtomicU16,
    /// Blocks that the bin is meant to hold at most.
    limit: Cell<u16>,
    /// Blocks sent back and not wanted again so far.
    sent_back: Cell<u16>,
    /// Blocks that the next refill takes at most.
    batch: Cell<u16>,
    /// Partial slabs in the list.
    pub(super) partial_slabs: Cell<u32>,
    /// First granule of the current slab, or 0.
    pub(super) current: Cell<u32>,
    /// First granule of the first partial slab, or 0.
    pub(super) partial: Cell<u32>,
}

const _: () = assert!(size_of::<Bin>() == 32);

/// What a bin's limit is at first: every block goes back at once, so a thread that did a little of
/// everything and fell idle keeps no slab from being released.
const FIRST_LIMIT: u16 = 1;
/// And what it may grow to: a breath that stays in the second-level cache of today's processors.
const LAST_LIMIT: Limit = Limit {
    blocks: 2048,
    bytes: 256 << 10,
};
/// And shrink to: a look for every few frees.
const LEAST_LIMIT: Limit = Limit {
    blocks: 8,
    bytes: 1 << 10,
};
/// So many limits of blocks sent back and not wanted again are a teardown, not a breath.
const TEARDOWN: u16 = 32;
/// Blocks that were sent back and wanted again for one more block of limit.
const WANTED_PER_BLOCK: u16 = 4;

struct Limit {
    blocks: usize,
    bytes: usize,
}

impl Limit {
    fn of(&self, class: SizeClass) -> u16 {
        let blocks = (self.bytes / class.block_bytes()).clamp(2, self.blocks);
        u16::try_from(blocks).unwrap_or(u16::MAX)
    }
}

/// Whether a bin still has room.
#[derive(PartialEq, Eq)]
pub(crate) enum Room {
    /// It does.
    Left,
    /// It does not: the owner has to look.
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
            held: AtomicU16::new(0),
            limit: Cell::new(0),
            sent_back: Cell::new(0),
            batch: Cell::new(0),
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

    /// Makes the bin empty.
    pub(super) fn open(&self) {
        let limit = FIRST_LIMIT;
        self.head.store(0, Ordering::Relaxed);
        self.room.store(u32::from(limit), Ordering::Relaxed);
        self.held.store(limit, Ordering::Relaxed);
        self.limit.set(limit);
        self.sent_back.set(0);
        self.batch.set(1);
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

    /// Adds a block of the slab with record `span`: the fast path, for default mode.
    #[inline(always)]
    pub(crate) fn push(&self, span: &Span, block: Block) -> Room {
        block.mark(span);
        self.push_listed(block, Block::set_plain_link)
    }

    /// Adds a block that has its mark, `set_link` being the mode's.
    #[inline(always)]
    pub(crate) fn push_listed(&self, block: Block, set_link: impl Fn(Block, usize)) -> Room {
        const ROOM: usize = core::mem::offset_of!(Bin, room);
        set_link(block, self.head.load(Ordering::Relaxed));
        self.head.store(block.address(), Ordering::Relaxed);
        // SAFETY: the count is `room`, and only its owner calls.
        if unsafe { cpu::lower_to_zero::<ROOM>(core::ptr::from_ref(self) as usize) } {
            Room::None
        } else {
            Room::Left
        }
    }

    /// Blocks in it; for another thread than the owner, of some recent moment.
    pub(crate) fn blocks(&self) -> u32 {
        let held = u32::from(self.held.load(Ordering::Relaxed));
        held.saturating_sub(self.room.load(Ordering::Relaxed))
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

    /// Whether a push leaves room.
    pub(super) fn has_room_to_spare(&self) -> bool {
        self.room.load(Ordering::Relaxed) > 1
    }

    fn set_room(&self, blocks: u32, room: u32) {
        let held = u16::try_from(blocks + room).unwrap_or(u16::MAX);
        self.held.store(held, Ordering::Relaxed);
        self.room.store(u32::from(held) - blocks, Ordering::Relaxed);
    }

    /// Blocks that [`Self::refill`] should be given at most: twice as many each time, until a look
    /// finds the bin full, so that a program that grows comes seldom and one that does not takes
    /// little.
    pub(super) fn batch(&self) -> u32 {
        u32::from(self.batch.get())
    }

    /// Fills the empty bin with a list of `blocks`, of which one is popped next.
    pub(super) fn refill(&self, class: SizeClass, head: usize, blocks: u32) {
        debug_assert!(self.head.load(Ordering::Relaxed) == 0 && blocks > 0);
        let last_limit = LAST_LIMIT.of(class);
        let wanted = u32::from(self.sent_back.get()).min(blocks) as u16;
        if wanted > 0 {
            self.sent_back.set(self.sent_back.get() - wanted);
            let more = (wanted / WANTED_PER_BLOCK).max(1);
            self.limit.set((self.limit.get() + more).min(last_limit));
        }
        self.batch.set((self.batch.get() * 2).min(last_limit));
        self.head.store(head, Ordering::Relaxed);
        let limit = u32::from(self.limit.get());
        self.set_room(blocks, limit.saturating_sub(blocks));
    }

    /// Makes room where there is none; the list of the older blocks, which go back to their slabs.
    pub(super) fn overflow(&self, class: SizeClass) -> usize {
        let blocks = self.blocks();
        if self.sent_back.get() / TEARDOWN >= self.limit.get() {
            let least = LEAST_LIMIT.of(class).min(self.limit.get());
            self.limit.set((self.limit.get() / 2).max(least));
        }
        self.batch.set(self.batch.get().min(self.limit.get()));
        let limit = u32::from(self.limit.get());
        let kept = (limit / 2).min(blocks);
        let rest = self.cut_after(kept);
        let sent = u16::try_from(blocks - kept).unwrap_or(u16::MAX);
        self.sent_back
            .set(self.sent_back.get().saturating_add(sent));
        self.set_room(kept, limit - kept);
        rest
    }

    /// Takes all blocks out.
    pub(super) fn take_all(&self) -> usize {
        let limit = u32::from(self.limit.get());
        self.set_room(0, limit);
        self.head.swap(0, Ordering::Relaxed)
    }

    /// Ends the list after `count` blocks; the rest of it.
    fn cut_after(&self, count: u32) -> usize {
        if count == 0 {
            return self.head.swap(0, Ordering::Relaxed);
        }
        // SAFETY: a bin's list holds free blocks, here at least `count` of them.
        let last = (1..count).fold(
            unsafe { Block::at(self.head.load(Ordering::Relaxed)) },
            |block, _| unsafe { Block::at(block.link()) },
        );
        let rest = last.link();
        last.set_link(0);
        rest
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
        assert!(self.room.load(Ordering::Relaxed) > 0);
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

    #[test]
    fn what_was_freed_last_is_issued_first() {
        let (bin, blocks) = (bin(), blocks(3));
        bin.limit.set(8);
        bin.take_all();
        for block in &blocks {
            assert!(bin.push(record(), *block) == Room::Left);
        }
        assert_eq!(bin.blocks(), 3);
        bin.check();
        let issued: Vec<_> = from_fn(|| bin.pop()).collect();
        assert!(issued.iter().eq(blocks.iter().rev()));
        assert!(issued.iter().all(|block| !block.is_marked(record())));
        assert_eq!(bin.blocks(), 0);
    }

    /// A list of `count` free blocks.
    fn list(count: usize) -> usize {
        let blocks = blocks(count);
        for pair in blocks.windows(2) {
            pair[0].set_link(pair[1].address());
        }
        blocks.last().expect("some").set_link(0);
        blocks[0].address()
    }

    fn free(bin: &Bin, count: usize) {
        for block in blocks(count) {
            if bin.push(record(), block) == Room::None {
                bin.overflow(CLASS);
            }
        }
    }

    fn use_all(bin: &Bin) {
        from_fn(|| bin.pop()).count();
    }

    #[test]
    fn a_fresh_bin_sends_every_block_back() {
        let (bin, blocks) = (bin(), blocks(2));
        for block in blocks {
            assert!(bin.push(record(), block) == Room::None);
            assert_eq!((bin.overflow(CLASS), bin.blocks()), (block.address(), 0));
            bin.check();
        }
    }

    #[test]
    fn a_full_bin_sends_its_older_half_back() {
        let bin = bin();
        bin.limit.set(32);
        bin.take_all();
        let blocks = blocks(32);
        let (last, rest) = blocks.split_last().expect("32");
        for block in rest {
            assert!(bin.push(record(), *block) == Room::Left);
        }
        assert!(bin.push(record(), *last) == Room::None);
        let older = bin.overflow(CLASS);
        assert_eq!((length(older), bin.blocks()), (16, 16));
        assert_eq!(older, blocks[15].address());
        bin.check();
    }

    #[test]
    fn need_after_sending_back_raises_the_limit_and_mere_freeing_halves_it() {
        let bin = bin();
        for _ in 0..100 {
            free(&bin, 40);
            use_all(&bin);
            bin.refill(CLASS, list(40), 40);
            use_all(&bin);
            bin.check();
        }
        let raised = bin.limit.get();
        assert!((40..200).contains(&raised), "{raised}");
        free(&bin, 64 * usize::from(raised));
        assert_eq!(bin.limit.get(), LEAST_LIMIT.of(CLASS));
        bin.check();
    }
}
