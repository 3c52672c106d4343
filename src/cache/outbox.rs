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
}

/// See the module.
pub(crate) struct Outbox {
    chains: [Cell<Chain>; CHAINS],
}

impl Outbox {
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
        block.set_link(chain.head);
        if chain.owner == 0 {
            chain = Chain {
                owner,
                tail: block.address(),
                ..Chain::EMPTY
            };
        }
        chain.head = block.address();
        chain.blocks += 1;
        chain.bytes += u32::try_from(bytes).unwrap_or(SEND_BYTES);
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
