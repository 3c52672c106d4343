//! A slab is a span cut into equal blocks. Its record keeps the free list; blocks are linked
//! into it ("carved") a few at a time as they are first wanted, so an unused rest is never touched.
//!
//! Law, for its owner: used + free-list length = carved <= capacity, where blocks in a bin and
//! those on their way home from other threads count as used.
//!
//! A slab that was trimmed has carved fewer blocks than it had issued: frees of it take the slow
//! path, where a block that is not carved is known to be free, until all are carved again.

use super::block::Block;
use super::seal::SealedBlock;
use super::size_class::{SLAB_MOST_BLOCKS, SizeClass};
use crate::base::address::{GRANULE_BYTES, Granule, round_up};
use crate::base::random::mix;
use crate::config;
use crate::metadata::span::{Kind, Place, Span, UNLISTED, UNOWNED};
use crate::os::guard_pages;
use crate::os::process::page_bytes;
use crate::pages::filling::Filling;
use crate::pages::huge;
use crate::pages::page_heap;
use core::sync::atomic::{AtomicU32, Ordering};

/// Carved at a time from a fresh slab: a page at most, and so few blocks that a thread which wants
/// one does not write to hundreds. A slab that is used up quickly doubles it up to 16 KiB, for
/// fewer trips to this slow path.
const FIRST_CARVE_BYTES: usize = 4096;
const FIRST_CARVE_BLOCKS: usize = 32;
const LAST_CARVE_BYTES: usize = 16384;

/// `bias` of a slab that may become empty without anybody looking.
pub(crate) const BIAS_RETAINED: u32 = 1 << 30;

/// The number of multi-threaded forks that this process descends from: what other threads left
/// half done in an older generation is not trusted.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// See [`GENERATION`].
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// In a child after fork of a multi-threaded program.
pub(crate) fn next_generation() -> u32 {
    GENERATION.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// A slab whose countdown reached 0 wants a look.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Countdown {
    /// Goes on.
    Running,
    /// Reached 0.
    Due,
}

/// A slab as its owner sees it.
#[derive(Clone, Copy)]
pub(crate) struct Slab {
    /// First granule.
    pub(crate) start: Granule,
    /// Its record.
    pub(crate) span: &'static Span,
}

impl Slab {
    /// The slab at a place of kind `Slab`.
    pub(crate) fn at(place: Place) -> Slab {
        Slab {
            start: place.start,
            span: place.span,
        }
    }

    /// Makes a new slab of `class` that belongs to the cache at address `owner`; all of it resident
    /// at once if that will fill it, which saves a fault a page.
    pub(crate) fn new(class: SizeClass, owner: usize, filling: Filling) -> Option<Slab> {
        let new = page_heap::allocate(class.slab_granules(), &|| filling)?;
        let span = new.span;
        let bytes = class.slab_granules() as usize * GRANULE_BYTES;
        if filling == Filling::All && new.clean {
            huge::make_resident(new.start.address(), bytes);
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 72")]
        span.class.store(class.number() as u8, Ordering::Relaxed);
        let slab = Slab {
            start: new.start,
            span,
        };
        slab.admit_frees();
        if config::hardened() {
            let guard = guard_pages::install(slab.guard_page(), page_bytes());
            span.distance
                .store(guard.map_or(0, |method| method as u32), Ordering::Relaxed);
        }
        span.carved.store(0, Ordering::Relaxed);
        span.free.store(0, Ordering::Relaxed);
        span.bias.store(0, Ordering::Relaxed);
        span.countdown.store(0, Ordering::Relaxed);
        span.generation.store(generation(), Ordering::Relaxed);
        span.next.store(0, Ordering::Relaxed);
        span.previous.store(UNLISTED, Ordering::Relaxed);
        span.set_kind(Kind::Slab);
        // Release pairs with the Acquire of whoever claims the slab one day.
        span.owner.store(owner, Ordering::Release);
        Some(slab)
    }

    /// Lets the fast paths of free see where blocks start; in hardened mode, that none does.
    fn admit_frees(self) {
        let divisor = match config::hardened() {
            true => 0,
            false => self.class().divisor(),
        };
        self.span.divisor.store(divisor, Ordering::Relaxed);
    }

    /// Gives an empty slab back to the page heap.
    pub(crate) fn release(self) {
        debug_assert_eq!(self.span.used(), 0, "a slab in use is not released");
        if config::hardened() {
            self.remove_guard();
        }
        page_heap::free(self.start, self.span);
    }

    /// The page of it that is its guard in hardened mode.
    pub(crate) fn guard_page(self) -> usize {
        let bytes = self.class().slab_granules() as usize * GRANULE_BYTES;
        self.start.address() + bytes - page_bytes()
    }

    /// Removes its guard page.
    pub(crate) fn remove_guard(self) {
        let method = guard_pages::Method::from_number(self.span.distance.load(Ordering::Relaxed));
        if let Some(method) = method {
            guard_pages::remove(method, self.guard_page(), page_bytes());
            guard_pages::forget(method);
            self.span.distance.store(0, Ordering::Relaxed);
        }
    }

    /// Blocks that it has when all are carved: in hardened mode without those that lie in its last
    /// page, the guard.
    #[inline]
    pub(crate) fn capacity(self) -> u32 {
        let class = self.class();
        if !config::hardened() {
            return class.slab_blocks();
        }
        let bytes = class.slab_granules() as usize * GRANULE_BYTES - page_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "at most 4096")]
        let blocks = (bytes / class.block_bytes()) as u32;
        blocks
    }

    /// Its size class.
    pub(crate) fn class(self) -> SizeClass {
        class_of(self.span)
    }

    /// Bytes of it that were ever written by us or the program.
    pub(crate) fn touched_bytes(self) -> usize {
        let carved = self.span.carved.load(Ordering::Relaxed) as usize;
        (carved * self.class().block_bytes()).max(FIRST_CARVE_BYTES)
    }

    /// Whether a block can be had without another slab.
    pub(crate) fn has_room(self) -> bool {
        self.span.free.load(Ordering::Relaxed) != 0
            || self.span.carved.load(Ordering::Relaxed) < self.capacity()
    }

    /// Links untouched blocks into the free list; `false` if there is none left.
    pub(crate) fn carve(self) -> bool {
        let span = self.span;
        let carved = span.carved.load(Ordering::Relaxed);
        let capacity = self.capacity();
        if carved == capacity {
            return false;
        }
        let block_bytes = self.class().block_bytes();
        let first_bytes = (FIRST_CARVE_BLOCKS * block_bytes).min(FIRST_CARVE_BYTES);
        let batch_bytes = (carved as usize * block_bytes).clamp(first_bytes, LAST_CARVE_BYTES);
        #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
        let batch = ((batch_bytes / block_bytes) as u32).clamp(1, capacity - carved);
        if config::hardened() {
            self.link_shuffled(carved, batch);
        } else {
            let mut next = span.free.load(Ordering::Relaxed);
            for index in (carved..carved + batch).rev() {
                let block = self.block(index);
                block.set_link(next);
                block.mark(span);
                next = block.address();
            }
            span.free.store(next, Ordering::Relaxed);
            if carved + batch == capacity {
                self.admit_frees();
            }
        }
        span.carved.store(carved + batch, Ordering::Relaxed);
        true
    }

    /// Forgets the free blocks at the slab's end, as if they had never been carved, if that leaves
    /// whole pages with nothing in them: their address and bytes. For its owner, in default mode.
    pub(crate) fn uncarve(self) -> Option<(usize, usize)> {
        let (span, start) = (self.span, self.start.address());
        let block_bytes = self.class().block_bytes();
        let carved = span.carved.load(Ordering::Relaxed);
        let free = carved.wrapping_sub(span.used()) as usize;
        if free * block_bytes < page_bytes() {
            return None;
        }
        let mut is_free = [0_u64; SLAB_MOST_BLOCKS / 64];
        let mut at = span.free.load(Ordering::Relaxed);
        while at != 0 {
            let index = (at - start) / block_bytes;
            if let Some(word) = is_free.get_mut(index / 64) {
                *word |= 1 << (index % 64);
            }
            // SAFETY: a free list holds block starts.
            at = unsafe { Block::at(at) }.link();
        }
        let is_free = |&index: &usize| is_free[index / 64] >> (index % 64) & 1 == 1;
        let kept = carved as usize - (0..carved as usize).rev().take_while(is_free).count();
        // A slab ends where a page does, so there is no overflow.
        let page_up = |blocks: usize| round_up(start + blocks * block_bytes, page_bytes());
        let (first, end) = (page_up(kept)?, page_up(carved as usize)?);
        if first >= end {
            return None;
        }
        let mut list = 0;
        for index in (0..kept).rev().filter(is_free) {
            let block = self.block(index as u32);
            block.set_link(list);
            list = block.address();
        }
        span.divisor.store(0, Ordering::Relaxed);
        span.free.store(list, Ordering::Relaxed);
        span.carved.store(kept as u32, Ordering::Relaxed);
        Some((first, end - first))
    }

    /// The block with this number, which is below the capacity.
    fn block(self, index: u32) -> Block {
        let offset = index as usize * self.class().block_bytes();
        // SAFETY: as the caller's: the block lies in the slab's mapped span.
        unsafe { Block::at(self.start.address() + offset) }
    }

    /// Links `count` blocks from number `first` on into the free list, each at its head or at its
    /// end, as coins fall that only this process knows.
    fn link_shuffled(self, first: u32, count: u32) {
        let span = self.span;
        let mut head = span.free.load(Ordering::Relaxed);
        let mut end: Option<Block> = None;
        let mut coins = 0;
        for index in 0..count {
            let block = self.block(first + index);
            if index % 64 == 0 {
                coins = mix(config::seal_key(), block.address() as u64);
            }
            SealedBlock::new(block, self.class().block_bytes()).wipe();
            match end {
                Some(last) if coins >> (index % 64) & 1 == 1 => {
                    block.set_link(0);
                    last.set_link(block.address());
                    end = Some(block);
                }
                _ => {
                    block.set_link(head);
                    if head == 0 {
                        end = Some(block);
                    }
                    head = block.address();
                }
            }
        }
        span.free.store(head, Ordering::Relaxed);
    }

    /// Puts a free block back.
    pub(crate) fn put(self, block: Block) -> Countdown {
        put_by(self.span, block, Block::set_link)
    }

    /// Takes up to `most` (1 or more) free blocks: their list, and their number. They are in use
    /// then.
    pub(crate) fn take_free(self, most: u32) -> (usize, u32) {
        let span = self.span;
        let carved = span.carved.load(Ordering::Relaxed);
        let free = carved.wrapping_sub(span.used());
        let head = span.free.load(Ordering::Relaxed);
        let (rest, taken) = if free <= most {
            (0, free)
        } else {
            let mut last = head;
            for _ in 1..most {
                // SAFETY: a free list holds block starts, this one more than `most`.
                last = unsafe { Block::at(last) }.link();
            }
            // SAFETY: as above.
            let last = unsafe { Block::at(last) };
            let rest = last.link();
            last.set_link(0);
            (rest, most)
        };
        let countdown = span.countdown.load(Ordering::Relaxed).wrapping_add(taken);
        span.countdown.store(countdown, Ordering::Relaxed);
        span.free.store(rest, Ordering::Relaxed);
        (head, taken)
    }

    /// Gives up ownership: any thread that frees into the slab may claim it.
    pub(crate) fn disown(self) {
        let span = self.span;
        span.set_bias(0);
        if span.generation.load(Ordering::Relaxed) != generation() {
            // The orphan stack that it stood in was left behind by a fork.
            span.queued.store(0, Ordering::Relaxed);
            span.generation.store(generation(), Ordering::Relaxed);
        }
        // Release pairs with the Acquire of `claim`.
        span.owner.store(UNOWNED, Ordering::Release);
    }

    /// Claims the slab from `seen` (unowned, or a cache that ended with a fork) for the cache at
    /// address `owner`. A record that an older fork generation vouches for is retired: all its
    /// blocks count as used, so only what is freed from now on is issued again.
    pub(crate) fn claim(self, seen: usize, owner: usize) -> bool {
        let span = self.span;
        // Acquire pairs with the Release of `disown`.
        if span
            .owner
            .compare_exchange(seen, owner, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return false;
        }
        if span.generation.load(Ordering::Relaxed) != generation() {
            let capacity = self.capacity();
            span.free.store(0, Ordering::Relaxed);
            span.carved.store(capacity, Ordering::Relaxed);
            self.admit_frees();
            span.bias.store(0, Ordering::Relaxed);
            span.countdown.store(capacity, Ordering::Relaxed);
            span.queued.store(0, Ordering::Relaxed);
            span.generation.store(generation(), Ordering::Relaxed);
        }
        span.next.store(0, Ordering::Relaxed);
        span.previous.store(UNLISTED, Ordering::Relaxed);
        true
    }

    /// Asserts the module's law by walking the free list. For debug builds.
    pub(crate) fn check(self) {
        let span = self.span;
        let (mut length, mut at) = (0, span.free.load(Ordering::Relaxed));
        let bytes = self.class().block_bytes();
        while at != 0 {
            let offset = at - self.start.address();
            assert!(offset < span.granules.load(Ordering::Relaxed) as usize * GRANULE_BYTES);
            assert_eq!(offset % bytes, 0, "a free list holds block starts");
            length += 1;
            // SAFETY: checked just now.
            at = unsafe { Block::at(at) }.link();
        }
        assert_eq!(span.used() + length, span.carved.load(Ordering::Relaxed));
    }
}

/// Marks a block of the slab with record `span` as free and puts it back: the fast path of free, for
/// default mode.
#[inline(always)]
pub(crate) fn put_unmarked(span: &Span, block: Block) -> Countdown {
    block.mark(span);
    put_by(span, block, Block::set_plain_link)
}

#[inline(always)]
fn put_by(span: &Span, block: Block, set_link: impl Fn(Block, usize)) -> Countdown {
    set_link(block, span.free.load(Ordering::Relaxed));
    span.free.store(block.address(), Ordering::Relaxed);
    if span.lower_countdown() {
        Countdown::Due
    } else {
        Countdown::Running
    }
}

/// The size class of the slab with record `span`.
#[inline(always)]
pub(crate) fn class_of(span: &Span) -> SizeClass {
    SizeClass::new(usize::from(span.class.load(Ordering::Relaxed)))
}

/// What an address in a slab is.
pub(crate) enum InSlab {
    /// The start of this block, which may be in use.
    Start(Block),
    /// Inside the block that starts there.
    Inside(Block),
    /// Beyond the last block, or in one that this slab has not issued yet.
    Unused,
}

/// Classifies `address`, which lies in `slab`.
pub(crate) fn classify(slab: Slab, address: usize) -> InSlab {
    let offset = address - slab.start.address();
    let bytes = slab.class().block_bytes();
    if offset / bytes >= slab.span.carved.load(Ordering::Relaxed) as usize {
        return InSlab::Unused;
    }
    // SAFETY: a start below the carved bound lies in the slab's mapped span.
    let block = unsafe { Block::at(address - offset % bytes) };
    if offset.is_multiple_of(bytes) {
        InSlab::Start(block)
    } else {
        InSlab::Inside(block)
    }
}
