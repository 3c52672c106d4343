//! A stack of chains for many pushers and one taker: how blocks come home.
//!
//! A chain is a list of free blocks, each holding the address of the next in its first word,
//! 0 at the end. Pushing links the chain's tail to the head that was seen; taking swaps the
//! whole stack for an empty one, so there is no ABA: nobody ever removes a single block.

use super::atomic::Ordering;
use super::shared::SharedUsize;

/// Many threads push, the owner takes all.
#[derive(Debug)]
pub(crate) struct ChainStack {
    head: SharedUsize,
}

impl ChainStack {
    /// An empty stack. (Thread caches start as zeroed memory, which is one too.)
    #[cfg(test)]
    pub(crate) const fn new() -> Self {
        Self {
            head: SharedUsize::new(0),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_come_out_joined_and_the_last_first() {
        let mut links = [0; 6];
        let stack = ChainStack::new();
        links[1] = 2;
        stack.push(1, |next| links[2] = next);
        links[3] = 4;
        links[4] = 5;
        stack.push(3, |next| links[5] = next);
        assert!(!stack.is_empty());
        assert_eq!((stack.take_all(), links), (3, [0, 2, 0, 4, 5, 1]));
        assert_eq!(stack.take_all(), 0);
    }
}
