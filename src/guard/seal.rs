//! The seal of a small block in hardened mode, its last word:
//!
//! ```text
//! | bytes asked for | slack: a pattern | seal: bytes asked for, alignment, state; 40 bits of proof |
//! ```
//!
//! The proof depends on the block's address, on the rest of the seal and on a key that only this
//! process knows, so a write past the end of the block damages it whatever it writes, and no seal
//! fits another block. The slack between the bytes asked for and the seal is filled with a byte
//! that depends on the key. A block that is free has a seal that says so and is zero but for
//! that, the link and the mark. One that was never issued has no seal: a word of zero.

use crate::base::random::mix;
use crate::config;
use crate::small::block::Block;

/// Bytes of a seal.
pub(crate) const SEAL_BYTES: usize = size_of::<u64>();
/// The smallest block in hardened mode: link, mark and seal side by side.
pub(crate) const LEAST_BLOCK_BYTES: usize = 32;

/// Of a seal the part that states something: bytes asked for (16), alignment as a power of two
/// (5), state (3).
const STATED_BITS: u32 = 24;
const BYTES_BITS: u32 = 16;
const ALIGNMENT_BITS: u32 = 5;
const LIVE: u64 = 1 << (BYTES_BITS + ALIGNMENT_BITS);
const FREE: u64 = 2 << (BYTES_BITS + ALIGNMENT_BITS);

/// What a program asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// Bytes.
    pub(crate) bytes: usize,
    /// A power of two; 1 where it asked for none.
    pub(crate) alignment: usize,
}

/// What a block's seal says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seal {
    /// In use.
    Live(Asked),
    /// Free.
    Free,
    /// There is none.
    Absent,
    /// It was written over.
    Broken,
}

/// A block of a slab and its size.
#[derive(Clone, Copy)]
pub(crate) struct SealedBlock {
    block: Block,
    bytes: usize,
}

impl SealedBlock {
    /// `block`, of `bytes`: at least [`LEAST_BLOCK_BYTES`], a multiple of 16.
    #[inline(always)]
    pub(crate) fn new(block: Block, bytes: usize) -> SealedBlock {
        debug_assert!(bytes >= LEAST_BLOCK_BYTES && bytes.is_multiple_of(16));
        SealedBlock { block, bytes }
    }

    #[inline(always)]
    fn place(self) -> *mut u64 {
        (self.block.address() + self.bytes - SEAL_BYTES) as *mut u64
    }

    #[inline(always)]
    fn word(self) -> u64 {
        // SAFETY: the last word of a block in a slab.
        unsafe { self.place().read() }
    }

    #[inline(always)]
    fn sealed(self, stated: u64) -> u64 {
        let key = config::seal_key();
        let proof = mix(
            self.block.address() as u64 ^ key,
            stated ^ key.rotate_left(32),
        );
        proof << STATED_BITS | stated
    }

    #[inline(always)]
    fn set(self, stated: u64) {
        // SAFETY: the last word of a block in a slab, which no program was given.
        unsafe { self.place().write(self.sealed(stated)) }
    }

    /// What the seal says.
    #[inline(always)]
    pub(crate) fn read(self) -> Seal {
        let word = self.word();
        let stated = word & ((1 << STATED_BITS) - 1);
        if word != self.sealed(stated) {
            return if word == 0 {
                Seal::Absent
            } else {
                Seal::Broken
            };
        }
        if stated & LIVE == 0 {
            return Seal::Free;
        }
        Seal::Live(Asked {
            bytes: (stated & ((1 << BYTES_BITS) - 1)) as usize,
            alignment: 1 << (stated >> BYTES_BITS & ((1 << ALIGNMENT_BITS) - 1)),
        })
    }

    /// Seals a block that is issued, and fills its slack. `asked.bytes` is at most the block's
    /// less the seal's.
    #[inline(always)]
    pub(crate) fn issue(self, asked: Asked) {
        let alignment = u64::from(asked.alignment.trailing_zeros());
        self.set(LIVE | alignment << BYTES_BITS | asked.bytes as u64);
        let slack = self.bytes - SEAL_BYTES - asked.bytes;
        // SAFETY: the slack lies in the block.
        unsafe {
            let slack_start = (self.block.address() + asked.bytes) as *mut u8;
            slack_start.write_bytes(pattern(), slack);
        }
    }

    /// The offset of the first byte of the slack that was written over.
    #[inline(always)]
    pub(crate) fn damage(self, asked: Asked) -> Option<usize> {
        let pattern = pattern();
        let slack = self.slice(asked.bytes, self.bytes - SEAL_BYTES);
        if slack.iter().fold(0, |all, &byte| all | byte ^ pattern) == 0 {
            return None;
        }
        let first = slack.iter().position(|&byte| byte != pattern)?;
        Some(asked.bytes + first)
    }

    /// Makes it a free block: zero but for its seal.
    #[inline(always)]
    pub(crate) fn wipe(self) {
        self.zero();
        self.set(FREE);
    }

    /// Zeroes all but the seal.
    #[inline(always)]
    pub(crate) fn zero(self) {
        // SAFETY: a block's bytes, which no program may use any more.
        unsafe {
            (self.block.address() as *mut u8).write_bytes(0, self.bytes - SEAL_BYTES);
        }
    }

    /// The offset of the first byte of a free block that is not zero.
    #[inline(always)]
    pub(crate) fn remains(self) -> Option<usize> {
        // SAFETY: whole words of the block, which is aligned to 16 bytes.
        let words = unsafe {
            core::slice::from_raw_parts(
                self.block.address() as *const u64,
                self.bytes / size_of::<u64>() - 1,
            )
        };
        if words.iter().fold(0, |all, &word| all | word) == 0 {
            return None;
        }
        let all = self.slice(0, self.bytes - SEAL_BYTES);
        all.iter().position(|&byte| byte != 0)
    }

    /// Bytes of the block, by offsets.
    #[inline(always)]
    fn slice(self, from: usize, to: usize) -> &'static [u8] {
        // SAFETY: in the block, which stays mapped while its owner looks; a program that writes to
        // it meanwhile is what is looked for.
        unsafe {
            core::slice::from_raw_parts((self.block.address() + from) as *const u8, to - from)
        }
    }
}

/// The byte that slack is filled with: never 0, which strings end with.
#[inline(always)]
fn pattern() -> u8 {
    config::seal_key().to_le_bytes()[7] | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize) -> SealedBlock {
        let memory = std::vec![0u128; bytes / 16].leak();
        // SAFETY: the memory is never freed.
        SealedBlock::new(unsafe { Block::at(memory.as_ptr() as usize) }, bytes)
    }

    fn write(block: SealedBlock, offset: usize, value: u8) {
        // SAFETY: a test's block is larger.
        unsafe { ((block.block.address() + offset) as *mut u8).write(value) }
    }

    #[test]
    fn a_seal_says_what_was_asked_for() {
        for bytes in [32, 48, 1024, 32 << 10] {
            let block = block(bytes);
            assert_eq!(block.read(), Seal::Absent);
            for asked in [0, 1, bytes / 2, bytes - SEAL_BYTES] {
                for alignment in [1, 16, 4096, 65536] {
                    let asked = Asked {
                        bytes: asked,
                        alignment,
                    };
                    block.issue(asked);
                    assert_eq!(block.read(), Seal::Live(asked));
                    assert_eq!(block.damage(asked), None);
                }
            }
            block.wipe();
            assert_eq!((block.read(), block.remains()), (Seal::Free, None));
        }
    }

    #[test]
    fn every_byte_behind_those_asked_for_is_watched() {
        let block = block(64);
        let asked = Asked {
            bytes: 40,
            alignment: 1,
        };
        for offset in 40..64 {
            block.issue(asked);
            write(block, offset, pattern() ^ 0x40);
            if offset < 56 {
                assert_eq!(block.damage(asked), Some(offset));
            } else {
                assert_eq!(block.read(), Seal::Broken);
            }
        }
        block.issue(asked);
        (0..40).for_each(|offset| write(block, offset, 0xff));
        assert_eq!(
            (block.read(), block.damage(asked)),
            (Seal::Live(asked), None)
        );
    }

    #[test]
    fn the_first_byte_written_after_free_is_found() {
        let block = block(256);
        for offset in 0..248 {
            block.wipe();
            write(block, 247, 1);
            write(block, offset, 1);
            assert_eq!(block.remains(), Some(offset));
        }
    }

    #[test]
    fn a_seal_fits_no_other_block() {
        let (a, b) = (block(64), block(64));
        a.issue(Asked {
            bytes: 8,
            alignment: 1,
        });
        // SAFETY: the last words of two blocks.
        unsafe { b.place().write(a.word()) };
        assert_eq!(b.read(), Seal::Broken);
    }
}
