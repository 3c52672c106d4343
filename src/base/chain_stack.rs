//! A stack of chains for many pushers and one taker: how blocks come home.
//!
//! A chain is a list of free blocks, each holding the address of the next in its first word,
//! 0 at the end. Pushing links the chain's tail to the head that was seen; taking swaps the
//! whole stack for an empty one, so there is no ABA: nobody ever removes a single block.

use super::atomic::{AtomicUsize, Ordering, const_here};

/// Many threads push, the owner takes all.
#[derive(Debug)]
pub(crate) struct ChainStack {
    head: AtomicUsize,
}

impl ChainStack {
    const_here! {
        /// An empty stack; all zero is one too.
        #[allow(dead_code, reason = "thread caches start as zeroed memory; loom's cannot")]
        pub(crate) fn new() -> Self {
            Self { head: AtomicUsize::new(0) }
        }
    }

    /// Whether a take would find nothing; a hint while others push.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) == 0
    }

    /// Pushes the chain that starts at `head`. `link_tail(address)` writes `address` into the
    /// link of the chain's last block, which nobody else may touch until this returns.
    pub(crate) fn push(&self, head: usize, mut link_tail: impl FnMut(usize)) {
        let mut seen = self.head.load(Ordering::Relaxed);
        loop {
            link_tail(seen);
            // Release pairs with the Acquire of `take_all`: the links are visible to the taker.
            match self
                .head
                .compare_exchange_weak(seen, head, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes everything: the first block of the joined chains, or 0.
    pub(crate) fn take_all(&self) -> usize {
        // Acquire pairs with the Release of `push`.
        self.head.swap(0, Ordering::Acquire)
    }
}
