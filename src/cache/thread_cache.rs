//! A thread cache: for each size class the slab being allocated from and those with room.
//!
//! An owned slab is either *current* (malloc takes from it) or *partial* (in its bin's list, with
//! room). A slab that is used up is disowned on the spot: it belongs to nobody, and the first
//! thread that frees into it claims it. So blocks that one thread allocates and another frees
//! need no message each; a whole slab of them changes hands at once. Only blocks of slabs that
//! are owned by a living thread travel: through the outbox of the freeing thread, a chain of up
//! to 64 with one compare-and-swap, into the owner's inbox.
//!
//! Everything but `inbox`, `generation`, `node`, `pool_link` and `idle` is touched by the owning
//! thread only, with its slot taken (see `os::thread_slot`).

use super::outbox::{Chain, Outbox};
use super::retained::Retained;
use crate::base::address::Granule;
use crate::base::chain_stack::ChainStack;
use crate::large::idle_memory;
use crate::metadata::span::{self, Span, UNOWNED};
use crate::os::process;
use crate::pages::purge;
use crate::small::block::Block;
use crate::small::orphans;
use crate::small::size_class::{CLASSES, DIRECT_ENTRIES, DIRECT_MAX_BYTES, SizeClass};
use crate::small::slab::{self, BIAS_RETAINED, Slab};
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bytes from one cache to the next.
pub(crate) const CACHE_BYTES: usize = 4096;

/// Partial slabs of one class beyond which a thread that mostly frees passes slabs on.
const SURPLUS_SLABS: u32 = 4;

/// No current slab: never has a block.
static EMPTY: EmptySlab = EmptySlab([const { core::sync::atomic::AtomicU64::new(0) }; 8]);

#[repr(C, align(64))]
struct EmptySlab([core::sync::atomic::AtomicU64; 8]);

fn empty() -> &'static Span {
    // SAFETY: 64 zeroed bytes with the alignment of a record are one (`ZeroIsValid`).
    unsafe { &*core::ptr::from_ref(&EMPTY).cast::<Span>() }
}

struct Bin {
    /// First granule of the current slab; 0 where `direct` points to the empty slab.
    current: Cell<u32>,
    /// First slab of the list of partial ones; 0 is none.
    partial: Cell<u32>,
    partial_slabs: Cell<u32>,
}

/// See the module.
#[repr(C, align(128))]
pub(crate) struct ThreadCache {
    /// The current slab by size in steps of 16 bytes, for sizes up to 1 KiB.
    direct: [Cell<Option<&'static Span>>; DIRECT_ENTRIES],
    bins: [Bin; CLASSES],
    retained: Retained,
    outbox: Outbox,
    visits: Visits,
    inbox: Inbox,
    generation: AtomicU32,
    idle: AtomicBool,
    /// This cache in its pool.
    pub(crate) node: AtomicU32,
    /// Its link there.
    pub(crate) pool_link: AtomicU32,
}

/// While idle memory waits to go back to the kernel, the thread is kept off the fast path so
/// that it comes by: `direct` points to the empty slab throughout. A thread that calls often
/// proves that its slow paths will do, and is let go again for a while.
struct Visits {
    wanted: Cell<bool>,
    calls: Cell<u32>,
    last_ms: Cell<u64>,
}

/// Calls in one tick of the coarse clock (1 to 4 ms) that show a busy thread: at about 10 ns
/// more for each, 10 us of that tick.
const BUSY_CALLS: u32 = 1024;
/// Calls between two looks at the clock, after as many that each look: they may be all there are.
const CALLS_PER_LOOK: u32 = 32;

/// On cache lines of its own: other threads write it.
#[repr(C, align(128))]
struct Inbox(ChainStack);

// SAFETY: the cells are touched only by the thread that holds the cache (see the module).
unsafe impl Sync for ThreadCache {}

/// A slab whose countdown reached 0 wants a look.
#[derive(PartialEq, Eq)]
pub(crate) enum Countdown {
    /// Goes on.
    Running,
    /// Reached 0.
    Due,
}

/// Puts `block` into the free list of the slab with record `span`; for its owner.
#[inline(always)]
pub(crate) fn push(span: &Span, block: Block) -> Countdown {
    block.mark(span);
    block.set_link(span.free.load(Ordering::Relaxed));
    span.free.store(block.address(), Ordering::Relaxed);
    let countdown = span.countdown.load(Ordering::Relaxed).wrapping_sub(1);
    span.countdown.store(countdown, Ordering::Relaxed);
    if countdown == 0 {
        Countdown::Due
    } else {
        Countdown::Running
    }
}

/// Takes a block from the free list of the slab with record `span`; for its owner.
#[inline(always)]
fn pop(span: &Span) -> Option<Block> {
    let address = span.free.load(Ordering::Relaxed);
    if address == 0 {
        return None;
    }
    // SAFETY: a slab's free list holds block starts of that slab.
    let block = unsafe { Block::at(address) };
    span.free.store(block.link(), Ordering::Relaxed);
    span.countdown.store(
        span.countdown.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
    block.unmark();
    Some(block)
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

    /// Makes an idle or new cache ready for a thread.
    pub(crate) fn open(&self) {
        for entry in &self.direct {
            entry.set(Some(empty()));
        }
        for bin in &self.bins {
            bin.current.set(0);
            bin.partial.set(0);
            bin.partial_slabs.set(0);
        }
        self.retained.reset();
        self.visits.wanted.set(false);
        self.generation.store(slab::generation(), Ordering::Relaxed);
        self.idle.store(false, Ordering::Relaxed);
    }

    /// Whether no thread uses the cache.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed)
    }

    /// Whether a drain would find nothing.
    pub(crate) fn inbox_is_empty(&self) -> bool {
        self.inbox.0.is_empty()
    }

    /// Takes a block for a request of up to 1 KiB; `None` where the current slab has none.
    #[inline(always)]
    pub(crate) fn allocate_direct(&self, bytes: usize) -> Option<Block> {
        debug_assert!(bytes <= DIRECT_MAX_BYTES);
        // SAFETY: (bytes + 15) / 16 is within the table for sizes up to DIRECT_MAX_BYTES.
        let entry = unsafe { self.direct.get_unchecked((bytes + 15) >> 4) };
        // SAFETY: `open` fills every entry before a thread gets the cache.
        pop(unsafe { entry.get().unwrap_unchecked() })
    }

    /// Takes a block of `class`, from wherever one is to be had; `None` out of memory.
    pub(crate) fn allocate(&self, class: SizeClass) -> Option<Block> {
        if self.visits.wanted.get() {
            self.visit();
        }
        loop {
            if let Some(current) = self.current(class) {
                if let Some(block) = pop(current.span) {
                    return Some(block);
                }
                if current.carve() {
                    continue;
                }
                if self.receive() {
                    continue;
                }
                self.drop_current(class);
                self.disown(current);
            }
            let next = self.next_slab(class)?;
            self.set_current(class, next);
        }
    }

    /// A slab of `class` with room: a partial one, an orphan, a new one.
    fn next_slab(&self, class: SizeClass) -> Option<Slab> {
        self.receive();
        if let Some(slab) = self.first_partial(class) {
            self.unlink_partial(slab);
            return Some(slab);
        }
        if let Some(orphan) = orphans::adopt(class, self.address()) {
            return Some(orphan);
        }
        self.retained.count_taken();
        self.watch();
        Slab::new(class, self.address())
    }

    /// To be called on slow paths: keeps the laws of idle memory, and if some is left, asks the
    /// thread to come by; at most once a tick of the clock, so that a busy thread pays little.
    pub(crate) fn watch(&self) {
        idle_memory::settle();
        if self.visits.wanted.get() || !purge::wants_visits() {
            return;
        }
        let now = process::now_ms();
        if now != self.visits.last_ms.get() {
            self.visits.last_ms.set(now);
            self.visits.calls.set(0);
            self.visits.wanted.set(true);
            for entry in &self.direct {
                entry.set(Some(empty()));
            }
        }
    }

    /// The thread comes by.
    #[cold]
    fn visit(&self) {
        let calls = self.visits.calls.get();
        self.visits.calls.set(calls + 1);
        if calls < CALLS_PER_LOOK || calls.is_multiple_of(CALLS_PER_LOOK) {
            let now = process::now_ms();
            if now != self.visits.last_ms.get() {
                self.visits.last_ms.set(now);
                self.visits.calls.set(0);
                idle_memory::settle();
            }
            if !purge::wants_visits() {
                self.end_visits();
            }
        }
        if calls >= BUSY_CALLS {
            self.end_visits();
        }
    }

    /// Lets the thread use the fast path again.
    fn end_visits(&self) {
        self.visits.wanted.set(false);
        for class in SizeClass::all() {
            let span = self.current(class).map_or(empty(), |slab| slab.span);
            self.set_direct(class, span);
        }
    }

    /// Frees `block` of the slab at `slab`, whoever owns that.
    pub(crate) fn free(&self, slab: Slab, block: Block) {
        loop {
            let owner = slab.span.owner.load(Ordering::Relaxed);
            if owner == self.address() {
                if push(slab.span, block) == Countdown::Due {
                    self.countdown_due(slab);
                }
                return;
            }
            if owner == UNOWNED || Self::ended_with_a_fork(owner) {
                if slab.claim(owner, self.address()) {
                    self.take_in(slab);
                }
                continue;
            }
            block.mark(slab.span);
            let sent = self.outbox.add(owner, block, slab.class().block_bytes());
            if let Some(chain) = sent {
                self.send(chain);
            }
            return;
        }
    }

    /// Whether the cache at `owner` belonged to a thread that a fork left behind.
    fn ended_with_a_fork(owner: usize) -> bool {
        // SAFETY: a slab's owner that is not UNOWNED is a cache's address.
        let cache = unsafe { Self::from_address(owner) };
        cache.generation.load(Ordering::Relaxed) != slab::generation()
    }

    /// Lists a slab just claimed, into which a block is about to be freed. When three quarters of
    /// it are free it is looked at again: a thread that only frees should not sit on it.
    fn take_in(&self, slab: Slab) {
        if slab.span.queued.load(Ordering::Relaxed) == 0 {
            let quarter = slab.span.capacity.load(Ordering::Relaxed) / 4;
            if slab.span.used() > quarter + 1 {
                slab.span.set_bias(quarter.wrapping_neg());
            }
        }
        self.link_partial(slab);
    }

    /// The free that made `countdown` 0 has happened.
    #[cold]
    pub(crate) fn countdown_due(&self, slab: Slab) {
        slab.span.set_bias(0);
        if slab.span.used() == 0 {
            self.retain(slab);
        } else if !self.is_current(slab)
            && self.bin(slab.class()).partial_slabs.get() > SURPLUS_SLABS
            && super::pool::in_use() > 1
        {
            self.unlink_partial(slab);
            orphans::give(slab);
        }
    }

    /// Keeps an empty slab, and gives up older ones that are still empty for it.
    fn retain(&self, slab: Slab) {
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
    fn stop_retaining(&self, start: u32) -> bool {
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
            self.drop_current(slab.class());
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

    /// Sends a chain to its owner.
    fn send(&self, chain: Chain) {
        if Self::ended_with_a_fork(chain.owner) {
            return self.reroute(chain.head);
        }
        // SAFETY: a chain's owner is a cache's address.
        let owner = unsafe { Self::from_address(chain.owner) };
        // SAFETY: a chain's blocks are free blocks of slabs, in nobody's hands but ours.
        let tail = unsafe { Block::at(chain.tail) };
        owner.inbox.0.push(chain.head, |next| tail.set_link(next));
    }

    /// Brings home what other threads freed of our slabs.
    fn drain_inbox(&self) {
        self.reroute(self.inbox.0.take_all());
    }

    /// The same if there is anything, which is the answer. On slow paths of free too: a thread
    /// that never allocates has no other.
    pub(crate) fn receive(&self) -> bool {
        let waiting = !self.inbox_is_empty();
        if waiting {
            self.drain_inbox();
        }
        waiting
    }

    /// Routes what arrived at a cache that nobody uses.
    pub(crate) fn reroute_inbox_of(&self, other: &ThreadCache) {
        self.reroute(other.inbox.0.take_all());
    }

    /// Frees each block of a chain once more: its slab may have changed hands meanwhile.
    fn reroute(&self, head: usize) {
        let mut next = head;
        while next != 0 {
            // SAFETY: as in `send`.
            let block = unsafe { Block::at(next) };
            next = block.link();
            if let Some(place) = span::place_of(block.address()) {
                self.free(Slab::at(place), block);
            }
        }
    }

    // ---- lists ---------------------------------------------------------------------------------

    fn bin(&self, class: SizeClass) -> &Bin {
        &self.bins[class.number()]
    }

    fn current(&self, class: SizeClass) -> Option<Slab> {
        slab_at(self.bin(class).current.get())
    }

    fn is_current(&self, slab: Slab) -> bool {
        self.bin(slab.class()).current.get() == slab.start.0
    }

    fn first_partial(&self, class: SizeClass) -> Option<Slab> {
        slab_at(self.bin(class).partial.get())
    }

    fn set_current(&self, class: SizeClass, slab: Slab) {
        self.bin(class).current.set(slab.start.0);
        self.set_direct(class, slab.span);
    }

    fn drop_current(&self, class: SizeClass) {
        self.bin(class).current.set(0);
        self.set_direct(class, empty());
    }

    /// Lets all sizes of `class` that the fast path knows find `span`.
    fn set_direct(&self, class: SizeClass, span: &'static Span) {
        if class.block_bytes() > DIRECT_MAX_BYTES || self.visits.wanted.get() {
            return;
        }
        let last = class.block_bytes() / 16;
        let first = match class.number() {
            0 => 0,
            number => SizeClass::new(number - 1).block_bytes() / 16 + 1,
        };
        for entry in self.direct.iter().take(last + 1).skip(first) {
            entry.set(Some(span));
        }
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

    fn unlink_partial(&self, slab: Slab) {
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
        bin.partial_slabs.set(bin.partial_slabs.get() - 1);
    }

    // ---- the cache as a whole -------------------------------------------------------------------

    /// Sends what waits in the outbox, brings home what waits in the inbox, and returns the empty
    /// slabs to the page heap.
    pub(crate) fn flush(&self) {
        if cfg!(debug_assertions) {
            self.check();
        }
        while let Some(chain) = self.outbox.take() {
            self.send(chain);
        }
        self.drain_inbox();
        while let Some(start) = self.retained.pop() {
            self.stop_retaining(start);
        }
        while let Some(chain) = self.outbox.take() {
            self.send(chain);
        }
    }

    /// Empties the cache, as its thread ends: empty slabs go to the page heap, slabs with room up
    /// for adoption. Blocks that arrive later are routed by the next user or by a purge.
    pub(crate) fn close(&self) {
        self.flush();
        for class in SizeClass::all() {
            if let Some(current) = self.current(class) {
                self.drop_current(class);
                self.part_with(current);
            }
            while let Some(slab) = self.first_partial(class) {
                self.unlink_partial(slab);
                self.part_with(slab);
            }
        }
        idle_memory::settle();
        self.idle.store(true, Ordering::Relaxed);
        // What arrived while we closed belongs to slabs that anybody may claim by now: to claim
        // them here would bring them back, so they wait for the next user.
    }

    fn part_with(&self, slab: Slab) {
        slab.span.set_bias(0);
        if slab.span.used() == 0 {
            slab.release();
        } else if slab.has_room() {
            orphans::give(slab);
        } else {
            slab.disown();
        }
    }

    /// In a child after fork, in the one thread that is left: what was on its way from the other
    /// threads may be half written.
    pub(crate) fn survive_fork(&self, generation: u32) {
        self.generation.store(generation, Ordering::Relaxed);
        let _lost = self.inbox.0.take_all();
    }

    /// Asserts, for its owner, that every slab it lists is owned by it and lawful. For debug
    /// builds.
    fn check(&self) {
        for class in SizeClass::all() {
            let mut at = self.first_partial(class);
            let listed = core::iter::from_fn(|| {
                let slab = at?;
                at = slab_at(slab.span.next.load(Ordering::Relaxed));
                Some(slab)
            });
            for slab in self.current(class).into_iter().chain(listed) {
                assert_eq!(slab.span.owner.load(Ordering::Relaxed), self.address());
                assert_eq!(slab.class(), class);
                assert_eq!(slab.span.kind(), span::Kind::Slab);
                slab.check();
            }
        }
    }
}

/// The slab that starts at granule `start`; `None` for 0.
fn slab_at(start: u32) -> Option<Slab> {
    if start == 0 {
        return None;
    }
    let start = Granule(start);
    Some(Slab {
        start,
        span: span::record(start)?,
    })
}
