//! The one piece of thread-local storage: 16 bytes, initial-exec.
//!
//! Word 0 is what the fast path reads:
//!
//! | word 0 | meaning |
//! |---|---|
//! | 0 | thread-local storage is not set up, or we are not relocated: the bootstrap arena serves |
//! | -1 | no cache may be used: there is none yet, or the thread is inside it right now |
//! | address | the thread's cache, free to be entered |
//!
//! Word 1 tells the -1 apart: 0, no cache yet; [`ENDED`], the thread's exit has run; else the
//! cache that the thread is inside of, so we are in a signal handler that interrupted it.
//!
//! A thread takes the cache out of word 0 while it changes it and puts it back afterwards. A
//! signal handler thus never meets a half-changed cache, at the price of two plain stores.

use super::cpu;

/// Word 1 after the thread's exit.
pub(crate) const ENDED: isize = 1;

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
    pub(crate) fn cache(self) -> isize {
        cpu::slot_load::<0>(self.offset)
    }

    /// Takes the cache out.
    #[inline(always)]
    pub(crate) fn take(self) {
        cpu::slot_store_busy(self.offset);
    }

    /// Puts the cache (an address, or -1) back.
    #[inline(always)]
    pub(crate) fn put(self, cache: isize) {
        cpu::slot_store::<0>(self.offset, cache);
    }

    /// Word 1, by the text above.
    pub(crate) fn owner(self) -> isize {
        cpu::slot_load::<1>(self.offset)
    }

    /// Stores word 1.
    pub(crate) fn set_owner(self, owner: isize) {
        cpu::slot_store::<1>(self.offset, owner);
    }

    /// Whether relocation and the thread's static storage are in place.
    #[inline(always)]
    pub(crate) fn is_ready(self) -> bool {
        self.cache() != 0
    }
}
