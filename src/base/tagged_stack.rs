//! A lock-free stack of numbered nodes that live for ever: pooled thread caches, orphaned slabs.
//!
//! The head is one word, `tag << 32 | node`; node 0 is nobody. Each change raises the tag, so a
//! head that came back to the same node is told from one that never left (ABA). Nodes are never
//! unmapped, so reading the link of a node that somebody else popped meanwhile is harmless: the
//! compare-and-swap then fails.

use super::atomic::Ordering;
use super::shared::SharedU64;

/// See the module.
#[derive(Debug)]
pub(crate) struct TaggedStack {
    head: SharedU64,
}

const NODE: u64 = 0xffff_ffff;

impl TaggedStack {
    /// An empty stack.
    pub(crate) const fn new() -> Self {
        Self {
            head: SharedU64::new(0),
        }
    }

    /// Pushes `node` (not 0, in no stack). `set_link(next)` stores the node's link.
    pub(crate) fn push(&self, node: u32, mut set_link: impl FnMut(u32)) {
        let mut seen = self.head.load(Ordering::Relaxed);
        loop {
            set_link((seen & NODE) as u32);
            let next = ((seen >> 32).wrapping_add(1) << 32) | u64::from(node);
            // Release pairs with the Acquire of `pop`: the link is visible to the popper.
            match self
                .head
                .compare_exchange_weak(seen, next, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Pops a node. `link(node)` reads the link of a node; its answer is used only if the node
    /// was the head all the while.
    pub(crate) fn pop(&self, mut link: impl FnMut(u32) -> u32) -> Option<u32> {
        // Acquire pairs with the Release of `push`.
        let mut seen = self.head.load(Ordering::Acquire);
        loop {
            let node = (seen & NODE) as u32;
            if node == 0 {
                return None;
            }
            let next = ((seen >> 32).wrapping_add(1) << 32) | u64::from(link(node));
            match self
                .head
                .compare_exchange_weak(seen, next, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some(node),
                Err(now) => seen = now,
            }
        }
    }

    /// Forgets all nodes, in a child after fork: their links may be from another instant.
    pub(crate) fn abandon(&self) {
        self.head.store(0, Ordering::Relaxed);
    }
}
