//! A thread cache: for each size class a bin of free blocks, the slab that fills it, and the
//! slabs with room.
//!
//! An owned slab is *current* (the bin is filled from it), *listed* (partial: with room), or *used
//! up*: all its blocks are in use, and it is listed again when one comes back, by its countdown.
//! Where there is more than one thread such a slab is disowned on the spot: it belongs to nobody,
//! and the first thread that frees into it claims it. So blocks that one thread allocates and
//! another frees need no message each; a whole slab of them changes hands at once. Only blocks of
//! slabs that are owned by a living thread travel: through the outbox of the freeing thread, a
//! chain of up to 64 with one compare-and-swap, into the owner's inbox.
//!
//! Everything but `inbox` is touched by the owning thread only, with its slot taken (see
//! `os::thread_slot`).

use super::bin::{Bin, Room};
use super::inbox::Inbox;
use super::outbox::{Chain, Outbox};
use super::quarantine::Quarantine;
use super::retained::Retained;
use super::sampling::Sampling;
use super::visits::Visits;
use crate::base::address::Granule;
use crate::config;
use crate::metadata::span::{self, Span, UNLISTED, UNOWNED};
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::BUSY;
use crate::pages::filling::Filling;
use crate::pages::page_heap;
use crate::small::block::Block;
use crate::small::orphans;
use crate::small::size_class::{CLASSES, DIRECT_ENTRIES, DIRECT_MAX_BYTES, SizeClass};
use crate::small::slab::{self, BIAS_RETAINED, Countdown, Slab};
use core::cell::Cell;
use core::sync::atomic::Ordering;

/// Bytes from one cache to the next.
pub(crate) const CACHE_BYTES: usize = 4096;

/// Partial slabs of one class beyond which a thread that mostly frees passes slabs on.
const SURPLUS_SLABS: u32 = 4;
/// The same for a class of which it took few blocks itself: it has no use for any.
const SURPLUS_SLABS_OF_THE_YOUNG: u32 = 0;

/// Heap from which on slabs that will fill are made resident at once: then the last slab of each
/// class, mostly empty, is little beside the rest.
const POPULATE_FROM_BYTES: usize = 4 << 20;

/// What the fast path of malloc reads: the bin of the class that holds a size, for sizes in steps
/// of 16 bytes up to 1 KiB.
#[repr(C)]
pub(super) struct Direct {
    /// The bin; the empty one while visits are wanted.
    pub(super) bin: Cell<Option<&'static Bin>>,
    /// The empty bin always: what a busy slot, which is `BUSY` bytes further, leads to.
    pub(super) busy: Cell<Option<&'static Bin>>,
}

const _: () = assert!(core::mem::offset_of!(Direct, busy) == BUSY);
const _: () = assert!(core::mem::offset_of!(ThreadCache, direct) == 0);
/// An entry is found at the size rounded up to a multiple of 16.
const _: () = assert!(size_of::<Direct>() == 16);

/// See the module.
#[repr(C, align(128))]
pub(crate) struct ThreadCache {
    pub(super) direct: [Direct; DIRECT_ENTRIES],
    pub(super) bins: [Bin; CLASSES],
    pub(super) retained: Retained,
    pub(super) outbox: Outbox,
    pub(super) visits: Visits,
    /// In hardened mode, once a block was freed.
    pub(super) quarantine: Cell<Option<&'static Quarantine>>,
    pub(super) sampling: Sampling,
    pub(super) inbox: Inbox,
}

// SAFETY: the cells are touched only by the thread that holds the cache (see the module).
unsafe impl Sync for ThreadCache {}

/// Takes a block for a request of up to 1 KiB; `None` where the bin has none.
///
/// # Safety
/// `word` is what the thread's slot held before it was taken, and admitted `bytes`.
#[inline(always)]
pub(crate) unsafe fn pop_direct(word: usize, bytes: usize) -> Option<Block> {
    debug_assert!(bytes <= DIRECT_MAX_BYTES);
    let entry = word + ((bytes + 15) & !15);
    // SAFETY: `word` is a cache's address, busy or not, so this is one of the two places of an
    // entry of its table, and `open` filled them before a thread got the cache.
    unsafe { *(entry as *const &'static Bin) }.pop()
}

impl ThreadCache {
    /// The address that stands for this cache in a slab's `owner`.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// The cache at an address taken from a thread slot or a slab's owner.
    ///
    /// # Safety
    /// `address` came from [`Self::address`].
    #[inline(always)]
    pub(crate) unsafe fn from_address(address: usize) -> &'static ThreadCache {
        // SAFETY: caches are never unmapped.
        unsafe { &*(address as *const ThreadCache) }
    }

    /// Lets the fast path of malloc find the bins.
    pub(super) fn open_direct(&'static self) {
        for (steps, entry) in self.direct.iter().enumerate() {
            entry
                .bin
                .set(SizeClass::holding(steps * 16).map(|class| self.bin(class)));
        }
    }

    /// Whether no thread uses the cache.
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.idle.load(Ordering::Relaxed)
    }

    /// Whether a thread of this process uses it: not one that a fork left behind, either.
    pub(crate) fn is_in_use(&self) -> bool {
        self.node() != 0 && !self.is_idle() && !Self::ended_with_a_fork(self.address())
    }

    /// This cache in its pool.
    pub(crate) fn node(&self) -> u32 {
        self.inbox.node.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub(crate) fn set_node(&self, node: u32) {
        self.inbox.node.store(node, Ordering::Relaxed);
    }

    /// Its link in the pool.
    pub(crate) fn pool_link(&self) -> u32 {
        self.inbox.pool_link.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub(crate) fn set_pool_link(&self, node: u32) {
        self.inbox.pool_link.store(node, Ordering::Relaxed);
    }

    /// Free blocks of `class` at hand or in quarantine; for another thread, of some recent moment.
    pub(crate) fn blocks_at_hand(&self, class: SizeClass) -> usize {
        let waiting = self.quarantine.get().map_or(0, |it| it.blocks(class));
        self.bin(class).blocks() as usize + waiting
    }

    /// Whether a drain would find nothing.
    pub(crate) fn inbox_is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Takes a block of `class` that is at hand, unless the thread is to come by.
    #[inline]
    pub(crate) fn allocate_at_hand(&self, class: SizeClass) -> Option<Block> {
        if self.visits.wanted.get() {
            return None;
        }
        self.bin(class).pop()
    }

    /// Takes a block of `class`, from wherever one is to be had; `None` out of memory. It has a mark
    /// in default mode, and a link always.
    pub(crate) fn allocate(&'static self, class: SizeClass) -> Option<Block> {
        if self.visits.wanted.get() {
            self.visit();
        }
        let bin = self.bin(class);
        loop {
            if let Some(block) = bin.pop_listed() {
                return Some(block);
            }
            self.refill(bin, class)?;
        }
    }

    /// Fills an empty bin; `None` out of memory.
    fn refill(&'static self, bin: &Bin, class: SizeClass) -> Option<()> {
        let mut used_up = false;
        loop {
            if let Some(current) = self.current(class) {
                let (head, blocks) = current.take_free(bin.batch());
                if blocks > 0 {
                    bin.refill(class, head, blocks);
                    return Some(());
                }
                if current.carve() {
                    continue;
                }
            }
            if self.receive() {
                if !bin.is_empty() {
                    return Some(());
                }
                continue;
            }
            if let Some(current) = self.current(class) {
                bin.current.set(0);
                if super::pool::in_use() > 1 {
                    self.disown(current);
                } else {
                    self.note_used_up(current);
                }
                used_up = true;
            }
            let next = self.next_slab(class, used_up)?;
            bin.current.set(next.start.0);
        }
    }

    /// A slab of `class` with room: a partial one, an orphan, a new one. One was just `used_up`: a
    /// program that fills its slabs of a class will fill the next, too, but for the last; in a
    /// small heap that one would weigh.
    fn next_slab(&'static self, class: SizeClass, used_up: bool) -> Option<Slab> {
        if let Some(slab) = self.first_partial(class) {
            self.unlink_partial(slab);
            return Some(slab);
        }
        if let Some(orphan) = orphans::adopt(class, self.address()) {
            return Some(orphan);
        }
        self.retained.count_taken();
        self.watch();
        let filling = if used_up && page_heap::used_bytes() >= POPULATE_FROM_BYTES {
            Filling::All
        } else {
            Filling::Unknown
        };
        let slab = Slab::new(class, self.address(), filling)?;
        slab.span.bin.store(bin_offset(class), Ordering::Relaxed);
        Some(slab)
    }

    /// Frees `block` of the slab at `slab`, whoever owns that.
    pub(crate) fn free(&'static self, slab: Slab, block: Block) {
        if !config::hardened() {
            block.mark(slab.span);
        }
        if slab.span.owner.load(Ordering::Relaxed) == self.address() {
            self.put_listed(slab.class(), slab, block);
        } else {
            self.send_back(slab, block);
        }
    }

    /// Takes a block of `class` from its bin for hardened mode, unless the thread is to come by. Its
    /// link is cleared. The next is asked for: all of it will be read, and it seldom lies near.
    #[inline(always)]
    pub(crate) fn take_listed(&self, class: SizeClass) -> Option<Block> {
        if self.visits.wanted.get() {
            return None;
        }
        let bin = self.bin(class);
        let block = bin.pop_listed()?;
        bin.prefetch_first(class);
        block.set_plain_link(0);
        Some(block)
    }

    /// Puts a block of a slab of the cache's own, of `class`, into its bin, or back where that has no
    /// room, in hardened mode.
    #[inline(always)]
    pub(crate) fn put_listed(&'static self, class: SizeClass, slab: Slab, block: Block) {
        if self.bin(class).push_listed(block) == Room::None {
            self.put_back(slab, block);
        }
    }

    /// Sends the free `block` back to its slab, whoever owns that.
    fn send_back(&'static self, slab: Slab, block: Block) {
        loop {
            let owner = slab.span.owner.load(Ordering::Relaxed);
            if owner == self.address() {
                return self.put_back(slab, block);
            }
            if owner == UNOWNED || Self::ended_with_a_fork(owner) {
                if slab.claim(owner, self.address()) {
                    self.take_in(slab);
                }
                continue;
            }
            let sent = self.outbox.add(owner, block, slab.class().block_bytes());
            if let Some(chain) = sent {
                self.send(chain);
            }
            return;
        }
    }

    /// The same where the slab is ours.
    #[inline]
    fn put_back(&'static self, slab: Slab, block: Block) {
        if slab.put(block) == Countdown::Due || self.is_in_no_list(slab) {
            self.look_after(slab);
        }
    }

    fn is_in_no_list(&self, slab: Slab) -> bool {
        slab.span.previous.load(Ordering::Relaxed) == UNLISTED && !self.is_current(slab)
    }

    /// All blocks of the slab, which was current, are in use: the first that comes back is noticed.
    fn note_used_up(&self, slab: Slab) {
        if slab.span.bias.load(Ordering::Relaxed) == BIAS_RETAINED {
            self.retained.remove(slab.start.0);
        }
        slab.span.set_bias(1_u32.wrapping_sub(slab.span.used()));
    }

    /// Sends free blocks back.
    fn send_all_back(&'static self, blocks: impl Iterator<Item = Block>) {
        self.route(blocks, |slab, block| self.put_back(slab, block));
    }

    /// Passes blocks to `own` where their slab is ours, and sends the others back.
    fn route(&'static self, blocks: impl Iterator<Item = Block>, own: impl Fn(Slab, Block)) {
        for block in blocks {
            let Some(start) = Granule::of(block.address()) else {
                continue;
            };
            match span::record(start) {
                // Only the first granule of a slab has an owner.
                Some(span) if span.is_owned_by(self.address()) => own(Slab { start, span }, block),
                _ => {
                    if let Some(place) = span::place_of(block.address()) {
                        self.send_back(Slab::at(place), block);
                    }
                }
            }
        }
    }

    /// Empties the bins.
    pub(super) fn empty_bins(&'static self) {
        for class in SizeClass::all() {
            self.send_all_back(listed(self.bin(class).take_all()));
        }
    }

    /// Whether the cache at `owner` belonged to a thread that a fork left behind.
    fn ended_with_a_fork(owner: usize) -> bool {
        // SAFETY: a slab's owner that is not UNOWNED is a cache's address.
        let cache = unsafe { Self::from_address(owner) };
        cache.inbox.generation.load(Ordering::Relaxed) != slab::generation()
    }

    /// Takes in a slab just claimed, into which a block is about to be put. When three quarters of
    /// it are free it is looked at again: a thread that only frees should not sit on it.
    fn take_in(&self, slab: Slab) {
        if slab.span.queued.load(Ordering::Relaxed) == 0 {
            let quarter = slab.capacity() / 4;
            if slab.span.used() > quarter + 1 {
                slab.span.set_bias(quarter.wrapping_neg());
            }
        }
        if slab.has_room() {
            self.link_partial(slab);
        }
    }

    /// A block has come back to one of our slabs that is in no list, or whose countdown is 0 now.
    #[cold]
    pub(crate) fn look_after(&'static self, slab: Slab) {
        let _kept = ErrnoKept::new();
        let was_used_up = self.is_in_no_list(slab);
        if was_used_up {
            self.link_partial(slab);
        }
        if slab.span.countdown.load(Ordering::Relaxed) != 0 {
            return;
        }
        slab.span.set_bias(0);
        if slab.span.used() == 0 {
            // The program frees more than it wants: what is at hand keeps slabs from becoming empty.
            self.send_all_back(listed(self.bin(slab.class()).take_all()));
            self.retain(slab);
        } else if !was_used_up
            && !self.is_current(slab)
            && self.has_surplus(slab.class())
            && super::pool::in_use() > 1
        {
            self.unlink_partial(slab);
            orphans::give(slab);
        }
    }

    /// Whether more slabs of `class` have room than the thread is likely to want.
    fn has_surplus(&self, class: SizeClass) -> bool {
        let bin = self.bin(class);
        let kept = if bin.is_young() {
            SURPLUS_SLABS_OF_THE_YOUNG
        } else {
            SURPLUS_SLABS
        };
        bin.partial_slabs.get() > kept
    }

    /// Keeps an empty slab, and gives up older ones that are still empty for it.
    fn retain(&'static self, slab: Slab) {
        let bytes = u32::try_from(slab.touched_bytes()).unwrap_or(u32::MAX >> 4);
        let mut released = false;
        while let Some(start) = self.retained.pop_excess(bytes) {
            if self.stop_retaining(start) {
                self.retained.count_given_up();
                released = true;
            }
        }
        slab.span.set_bias(BIAS_RETAINED);
        self.retained.push(slab.start.0, bytes);
        if released {
            self.watch();
        }
    }

    /// Ends the special treatment of the slab at granule `start`: it is released if it is empty,
    /// which is the answer, and watched again if not.
    pub(super) fn stop_retaining(&self, start: u32) -> bool {
        let start = Granule(start);
        let Some(span) = span::record(start) else {
            return false;
        };
        let slab = Slab { start, span };
        slab.span.set_bias(0);
        if slab.span.used() != 0 {
            return false;
        }
        if self.is_current(slab) {
            self.bin(slab.class()).current.set(0);
        } else {
            self.unlink_partial(slab);
        }
        slab.release();
        true
    }

    /// Gives up ownership of a slab that is in no list any more.
    fn disown(&self, slab: Slab) {
        if slab.span.bias.load(Ordering::Relaxed) == BIAS_RETAINED {
            self.retained.remove(slab.start.0);
        }
        slab.disown();
    }

    // ---- blocks between threads --------------------------------------------------------------

    /// Adds a block of the slab with record `span` to the chain that waits for `owner`, if that has
    /// room for more.
    #[inline]
    pub(crate) fn add_to_chain(&self, owner: usize, span: &Span, block: Block) -> bool {
        let bytes = slab::class_of(span).block_bytes();
        let added = self.outbox.add_to_chain(owner, block, bytes);
        if added {
            block.mark(span);
        }
        added
    }

    /// Sends a chain to its owner.
    pub(super) fn send(&'static self, chain: Chain) {
        if Self::ended_with_a_fork(chain.owner) {
            return self.send_all_back(listed(chain.head));
        }
        // SAFETY: a chain's owner is a cache's address.
        let owner = unsafe { Self::from_address(chain.owner) };
        owner.inbox.push(chain, self.outbox.count_sent());
    }

    /// Brings home what other threads freed of our slabs: to the bins, as far as these have room.
    pub(super) fn drain_inbox(&'static self) {
        self.route(self.inbox.take_all(), |slab, block| {
            self.put_listed(slab.class(), slab, block);
        });
    }

    /// The same if there is anything, which is the answer. On slow paths of free too.
    pub(crate) fn receive(&'static self) -> bool {
        let waiting = !self.inbox_is_empty();
        if waiting {
            self.drain_inbox();
        }
        waiting
    }

    /// Routes what arrived at a cache that nobody uses.
    pub(crate) fn reroute_inbox_of(&'static self, other: &ThreadCache) {
        self.send_all_back(other.inbox.take_all());
    }

    // ---- lists ---------------------------------------------------------------------------------

    #[inline]
    pub(super) fn bin(&self, class: SizeClass) -> &Bin {
        // SAFETY: a class has a number below CLASSES.
        unsafe { self.bins.get_unchecked(class.number()) }
    }

    pub(super) fn current(&self, class: SizeClass) -> Option<Slab> {
        slab_at(self.bin(class).current.get())
    }

    fn is_current(&self, slab: Slab) -> bool {
        self.bin(slab.class()).current.get() == slab.start.0
    }

    pub(super) fn first_partial(&self, class: SizeClass) -> Option<Slab> {
        slab_at(self.bin(class).partial.get())
    }

    fn link_partial(&self, slab: Slab) {
        let bin = self.bin(slab.class());
        let head = bin.partial.replace(slab.start.0);
        slab.span.next.store(head, Ordering::Relaxed);
        slab.span.previous.store(0, Ordering::Relaxed);
        if let Some(next) = slab_at(head) {
            next.span.previous.store(slab.start.0, Ordering::Relaxed);
        }
        bin.partial_slabs.set(bin.partial_slabs.get() + 1);
    }

    pub(super) fn unlink_partial(&self, slab: Slab) {
        let bin = self.bin(slab.class());
        let next = slab.span.next.load(Ordering::Relaxed);
        let previous = slab.span.previous.load(Ordering::Relaxed);
        match slab_at(previous) {
            Some(previous) => previous.span.next.store(next, Ordering::Relaxed),
            None => bin.partial.set(next),
        }
        if let Some(next) = slab_at(next) {
            next.span.previous.store(previous, Ordering::Relaxed);
        }
        slab.span.previous.store(UNLISTED, Ordering::Relaxed);
        bin.partial_slabs.set(bin.partial_slabs.get() - 1);
    }
}

/// Where the bin of `class` lies in a cache, in bytes.
fn bin_offset(class: SizeClass) -> u32 {
    const FIRST: usize = core::mem::offset_of!(ThreadCache, bins);
    #[expect(clippy::cast_possible_truncation, reason = "within a cache")]
    let offset = (FIRST + class.number() * size_of::<Bin>()) as u32;
    offset
}

/// The blocks of a list of free ones that starts at `head`. Each may be changed once it is out.
fn listed(mut head: usize) -> impl Iterator<Item = Block> {
    core::iter::from_fn(move || {
        // SAFETY: a list holds free blocks.
        let block = (head != 0).then(|| unsafe { Block::at(head) })?;
        head = block.link();
        Some(block)
    })
}

/// The slab that starts at granule `start`; `None` for 0.
pub(super) fn slab_at(start: u32) -> Option<Slab> {
    if start == 0 {
        return None;
    }
    let start = Granule(start);
    Some(Slab {
        start,
        span: span::record(start)?,
    })
}
