//! The one piece of thread-local storage: 24 bytes, initial-exec.
//!
//! | word | name | holds |
//! |---|---|---|
//! | 0 | cache | the thread's cache; [`BUSY`] is added while the thread is inside it, and stands alone where it has none |
//! | 1 | limit | sizes below it may be taken from the cache: 0 where there is none |
//! | 2 | owner | [`NO_CACHE_YET`], [`ENDED`], or the thread's cache, also while that is busy |
//!
//! All three read 0 while thread-local storage is not set up or we are not relocated: then the
//! bootstrap arena serves.
//!
//! A thread makes the cache busy while it changes it. A signal handler thus never meets a
//! half-changed cache, at the price of two plain stores. The fast paths do not ask for it: a
//! busy word owns no slab, so a free goes the slow way, and it leads malloc to a table of its own
//! in which no size has a block (see `cache::thread_cache`).

use super::cpu;

/// Added to a cache's address in word 0; caches are aligned to more.
pub(crate) const BUSY: usize = 8;
/// Word 2 before the thread's first allocation.
const NO_CACHE_YET: usize = 1;
/// Word 2 after the thread's exit.
const ENDED: usize = 2;

/// What a thread has for a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// None so far.
    NoCacheYet,
    /// None any more: the thread's exit has run.
    Ended,
    /// The cache at this address.
    Cache(usize),
}

/// This thread's slot.
#[derive(Clone, Copy)]
pub(crate) struct ThreadSlot {
    offset: usize,
}

impl ThreadSlot {
    /// The calling thread's.
    #[inline(always)]
    pub(crate) fn current() -> ThreadSlot {
        ThreadSlot {
            offset: cpu::slot_offset(),
        }
    }

    /// Word 0, by the table above.
    #[inline(always)]
    pub(crate) fn word(self) -> usize {
        cpu::slot_load::<0>(self.offset)
    }

    /// Whether word 0 leads to a table for requests of `bytes`.
    #[inline(always)]
    pub(crate) fn admits(self, bytes: usize) -> bool {
        cpu::slot_limit_exceeds(self.offset, bytes)
    }

    /// Makes the cache busy; `word` is what [`Self::word`] said.
    #[inline(always)]
    pub(crate) fn take(self, word: usize) {
        cpu::slot_store_busy(self.offset, word);
    }

    /// Word 0 becomes what it was before [`Self::take`].
    #[inline(always)]
    pub(crate) fn put(self, word: usize) {
        cpu::slot_store::<0>(self.offset, word);
    }

    /// Word 2, by the table above. The slot must be ready.
    pub(crate) fn owner(self) -> Owner {
        match cpu::slot_load::<2>(self.offset) {
            NO_CACHE_YET => Owner::NoCacheYet,
            ENDED => Owner::Ended,
            cache => Owner::Cache(cache),
        }
    }

    /// The thread has the cache at `address`, which is busy until [`Self::open`].
    pub(crate) fn own(self, address: usize) {
        cpu::slot_store::<2>(self.offset, address);
    }

    /// Opens the cache at `address` to the fast paths, for sizes below `limit`.
    pub(crate) fn open(self, address: usize, limit: usize) {
        cpu::slot_store::<0>(self.offset, address);
        cpu::slot_store::<1>(self.offset, limit);
    }

    /// The thread has no cache any more.
    pub(crate) fn end(self) {
        cpu::slot_store::<1>(self.offset, 0);
        cpu::slot_store::<0>(self.offset, BUSY);
        cpu::slot_store::<2>(self.offset, ENDED);
    }

    /// Whether relocation and the thread's static storage are in place.
    #[inline(always)]
    pub(crate) fn is_ready(self) -> bool {
        cpu::slot_load::<2>(self.offset) != 0
    }
}
