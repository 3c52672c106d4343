//! The inbox of a cache: blocks of its slabs that other threads freed, until the owner has use for
//! them.
//!
//! The owner reads such a block's link from another processor's cache, and in one list could not ask
//! for the next block before. So there are several lists, the *strands*: who sends one chain after
//! the other fills them in turn, and the owner reads them in turn. While one block is dealt with, the
//! next ones of the others arrive.

use super::outbox::Chain;
use crate::base::chain_stack::ChainStack;
use crate::os::cpu;
use crate::small::block::Block;
use core::sync::atomic::{AtomicBool, AtomicU32};

/// Blocks that are on their way to the owner's processor at a time.
const STRANDS: usize = 4;

/// What other threads read or write of a cache, on cache lines of its own.
#[repr(C, align(128))]
pub(super) struct Inbox {
    strands: [ChainStack; STRANDS],
    pub(super) generation: AtomicU32,
    pub(super) idle: AtomicBool,
    /// The cache in its pool.
    pub(super) node: AtomicU32,
    /// Its link there.
    pub(super) pool_link: AtomicU32,
}

impl Inbox {
    /// Whether a take would find nothing; a hint while others push.
    pub(super) fn is_empty(&self) -> bool {
        self.strands.iter().all(ChainStack::is_empty)
    }

    /// Adds a chain of free blocks of the owner's slabs, in nobody's hands but the caller's, who sent
    /// as many chains before.
    pub(super) fn push(&self, chain: Chain, sent_before: usize) {
        // SAFETY: a chain's blocks are free blocks of slabs.
        let tail = unsafe { Block::at(chain.tail) };
        let strand = &self.strands[sent_before % STRANDS];
        strand.push(chain.head, |next| tail.set_link(next));
    }

    /// Takes everything.
    pub(super) fn take_all(&self) -> Arrivals {
        Arrivals {
            heads: self.strands.each_ref().map(take_strand),
            turn: 0,
        }
    }
}

/// The first block of a strand, or 0. One that is empty is not written to.
fn take_strand(strand: &ChainStack) -> usize {
    if strand.is_empty() {
        0
    } else {
        strand.take_all()
    }
}

/// Blocks taken out of an inbox. What is not asked for is lost.
pub(super) struct Arrivals {
    /// The first block of each strand, or 0.
    heads: [usize; STRANDS],
    turn: usize,
}

impl Iterator for Arrivals {
    type Item = Block;

    #[inline]
    fn next(&mut self) -> Option<Block> {
        for _ in 0..STRANDS {
            self.turn = (self.turn + 1) % STRANDS;
            let head = &mut self.heads[self.turn];
            if *head != 0 {
                // SAFETY: a strand holds free blocks.
                let block = unsafe { Block::at(*head) };
                *head = block.link();
                cpu::prefetch(*head);
                return Some(block);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::Outbox;
    use super::*;
    use core::iter::from_fn;
    use std::vec::Vec;

    const OWNER: usize = 0x1000;
    /// As many as fill a chain.
    const CHAIN_BLOCKS: usize = 64;

    #[test]
    fn chains_of_one_sender_come_out_in_turn_and_whole() {
        let inbox = Inbox {
            strands: [const { ChainStack::new() }; STRANDS],
            generation: AtomicU32::new(0),
            idle: AtomicBool::new(false),
            node: AtomicU32::new(0),
            pool_link: AtomicU32::new(0),
        };
        let outbox = Outbox::empty();
        let memory: Vec<[usize; 2]> = std::vec![[0; 2]; (STRANDS + 1) * CHAIN_BLOCKS];
        // SAFETY: the memory is never freed.
        let block = |it: &[usize; 2]| unsafe { Block::at(it.as_ptr() as usize) };
        let blocks: Vec<Block> = memory.leak().iter().map(block).collect();
        let chains = blocks
            .iter()
            .filter_map(|block| outbox.add(OWNER, *block, 16));
        assert!(inbox.is_empty());
        for chain in chains {
            inbox.push(chain, outbox.count_sent());
        }
        assert!(!inbox.is_empty());

        let mut arrivals = inbox.take_all();
        assert!(inbox.is_empty());
        let all: Vec<Block> = from_fn(|| arrivals.next()).collect();
        let chain_of = |block: &Block| {
            blocks
                .iter()
                .position(|it| it == block)
                .map(|at| at / CHAIN_BLOCKS)
        };
        let mut first: Vec<_> = all.iter().take(STRANDS).filter_map(chain_of).collect();
        first.sort_unstable();
        assert_eq!(
            first,
            [1, 2, 3, 4],
            "the first of each strand, the last chain before the first"
        );
        let mut addresses: Vec<_> = all.iter().map(|it| it.address()).collect();
        addresses.sort_unstable();
        assert!(
            addresses
                .into_iter()
                .eq(blocks.iter().map(|it| it.address()))
        );
    }
}
