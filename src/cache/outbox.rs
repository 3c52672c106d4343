//! Blocks of other threads that this thread freed, gathered so that one compare-and-swap sends
//! many of them home.

use crate::small::block::Block;
use core::cell::Cell;

/// Chains gathered at a time, for as many owners.
pub(crate) const CHAINS: usize = 8;
/// A chain is sent when it has this many blocks: one shared write for 64 frees.
const SEND_BLOCKS: u32 = 64;
/// Or this many bytes, so that a thread that falls idle holds little back.
const SEND_BYTES: u32 = 32 << 10;

/// Blocks for one owner, linked through their first words.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    /// Address of the owner's cache; 0 for an empty chain.
    pub(crate) owner: usize,
    /// First block.
    pub(crate) head: usize,
    /// Last block.
    pub(crate) tail: usize,
    blocks: u32,
    bytes: u32,
}

impl Chain {
    const EMPTY: Chain = Chain {
        owner: 0,
        head: 0,
        tail: 0,
        blocks: 0,
        bytes: 0,
    };

    /// Adds a block of `bytes` in front, `set_link` being the mode's.
    #[inline]
    fn push(&mut self, block: Block, bytes: u32, set_link: impl Fn(Block, usize)) {
        set_link(block, self.head);
        self.head = block.address();
        self.blocks += 1;
        self.bytes += bytes;
    }
}

/// See the module.
pub(crate) struct Outbox {
    chains: [Cell<Chain>; CHAINS],
    /// Chains that were sent; wrapping.
    sent: Cell<usize>,
}

impl Outbox {
    /// One without chains. (Thread caches start as zeroed memory, which is one too.)
    #[cfg(test)]
    pub(super) fn empty() -> Outbox {
        Outbox {
            chains: [const { Cell::new(Chain::EMPTY) }; CHAINS],
            sent: Cell::new(0),
        }
    }

    /// Counts a chain that is about to be sent; how many were before.
    pub(super) fn count_sent(&self) -> usize {
        let sent = self.sent.get();
        self.sent.set(sent.wrapping_add(1));
        sent
    }

    /// Adds a free block of `bytes` that belongs to `owner` to the chain that waits for that owner:
    /// the fast path, for default mode; `false` where there is none, or where the block would fill it.
    #[inline]
    pub(crate) fn add_to_chain(&self, owner: usize, block: Block, bytes: usize) -> bool {
        let Some(place) = self.chains.get((owner >> 12) % CHAINS) else {
            return false;
        };
        let mut chain = place.get();
        let bytes = u32::try_from(bytes).unwrap_or(SEND_BYTES);
        if chain.owner != owner
            || chain.blocks + 1 >= SEND_BLOCKS
            || chain.bytes + bytes >= SEND_BYTES
        {
            return false;
        }
        chain.push(block, bytes, Block::set_plain_link);
        place.set(chain);
        true
    }

    /// Adds a free block of `bytes` that belongs to `owner`; a chain that has to leave now: the
    /// one it joined, if that is full, or another owner's that stood in its place.
    pub(crate) fn add(&self, owner: usize, block: Block, bytes: usize) -> Option<Chain> {
        // Caches lie 4 KiB apart: these bits differ for caches in a row.
        let place = self.chains.get((owner >> 12) % CHAINS)?;
        let mut chain = place.get();
        let displaced = if chain.owner == owner || chain.owner == 0 {
            None
        } else {
            Some(core::mem::replace(&mut chain, Chain::EMPTY))
        };
        if chain.owner == 0 {
            chain = Chain {
                owner,
                tail: block.address(),
                ..Chain::EMPTY
            };
        }
        let bytes = u32::try_from(bytes).unwrap_or(SEND_BYTES);
        chain.push(block, bytes, Block::set_link);
        if displaced.is_none() && (chain.blocks >= SEND_BLOCKS || chain.bytes >= SEND_BYTES) {
            place.set(Chain::EMPTY);
            return Some(chain);
        }
        place.set(chain);
        displaced
    }

    /// Takes a chain that is waiting, if any.
    pub(crate) fn take(&self) -> Option<Chain> {
        self.chains.iter().find_map(|place| {
            let chain = place.replace(Chain::EMPTY);
            (chain.owner != 0).then_some(chain)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;
    use std::vec::Vec;

    /// Free blocks of 16 bytes.
    fn blocks(count: usize) -> Vec<Block> {
        let memory: Vec<[AtomicUsize; 2]> = (0..count).map(|_| Default::default()).collect();
        // SAFETY: the memory is never freed.
        memory
            .leak()
            .iter()
            .map(|it| unsafe { Block::at(it.as_ptr() as usize) })
            .collect()
    }

    fn addresses(chain: &Chain) -> Vec<usize> {
        let mut all = Vec::new();
        let mut next = chain.head;
        while next != 0 {
            all.push(next);
            // SAFETY: a chain links blocks.
            next = unsafe { Block::at(next) }.link();
        }
        assert_eq!(all.last(), Some(&chain.tail));
        all
    }

    #[test]
    fn a_chain_leaves_when_it_has_64_blocks_with_the_last_first() {
        let outbox = Outbox::empty();
        let blocks = blocks(64);
        let mut sent: Vec<_> = blocks
            .iter()
            .filter_map(|block| outbox.add(0x1000, *block, 16))
            .collect();
        let chain = sent.pop().expect("the 64th block fills it");
        assert!(sent.is_empty() && outbox.take().is_none());
        assert_eq!(chain.owner, 0x1000);
        assert!(
            addresses(&chain)
                .into_iter()
                .eq(blocks.iter().rev().map(|it| it.address()))
        );
    }

    #[test]
    fn a_chain_leaves_when_it_has_32_kib() {
        let outbox = Outbox::empty();
        let blocks = blocks(3);
        assert!(outbox.add(0x1000, blocks[0], 16 << 10).is_none());
        assert_eq!(
            addresses(&outbox.add(0x1000, blocks[1], 16 << 10).expect("full")).len(),
            2
        );
        assert_eq!(
            addresses(&outbox.add(0x1000, blocks[2], 32 << 10).expect("full")).len(),
            1
        );
    }

    #[test]
    fn owners_in_one_place_displace_each_other_and_others_wait_side_by_side() {
        let outbox = Outbox::empty();
        let blocks = blocks(3);
        let same_place = 0x1000 + 0x1000 * CHAINS;
        assert!(outbox.add(0x1000, blocks[0], 16).is_none());
        assert!(outbox.add(0x2000, blocks[1], 16).is_none());
        let displaced = outbox
            .add(same_place, blocks[2], 16)
            .expect("another owner's");
        assert_eq!(
            (displaced.owner, addresses(&displaced)),
            (0x1000, [blocks[0].address()].into())
        );
        let waiting: Vec<_> = core::iter::from_fn(|| outbox.take())
            .map(|chain| chain.owner)
            .collect();
        assert_eq!(waiting, [same_place, 0x2000]);
    }
}
