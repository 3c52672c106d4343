//! The seal of a small block in hardened mode, its last word:
//!
//! ```text
//! | bytes asked for | slack: a pattern | seal |
//!
//! seal: mask ^ | proof (40 bits) | statement (24) |
//! statement:   | state (3) | alignment as a power of two (5) | bytes asked for (16) |
//! ```
//!
//! The mask depends on the block's address, the proof on the statement, and both on a key that only
//! this process knows. So a write past the end of the block that reaches the seal leaves a proof
//! that fits the statement but once in 2^40 times, whatever it writes, and no seal fits another
//! block. The slack between the bytes asked for and the seal is filled with a byte of the key.
//!
//! A block that is free has a seal that says so, and is zero otherwise, but for the link while it
//! is in a list.

use super::block::Block;
use crate::base::random::mix;
use crate::config;

/// Bytes of a seal.
pub(crate) const SEAL_BYTES: usize = size_of::<u64>();
/// The smallest block in hardened mode: a link, a word of slack, and the seal apart from both.
pub(crate) const LEAST_BLOCK_BYTES: usize = 32;

const STATEMENT: u64 = (1 << 24) - 1;
const BYTES_BITS: u32 = 16;
const ALIGNMENT_BITS: u32 = 5;
const STATE_SHIFT: u32 = BYTES_BITS + ALIGNMENT_BITS;
const LIVE: u64 = 5 << STATE_SHIFT;
const FREE: u64 = 2 << STATE_SHIFT;
const WORD_BYTES: usize = size_of::<u64>();

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
    /// Nothing: it was written over.
    Broken,
}

/// A block of a slab with its size, and what masks its seal.
#[derive(Clone, Copy)]
pub(crate) struct SealedBlock {
    block: Block,
    bytes: usize,
    mask: u64,
}

impl SealedBlock {
    /// `block`, of `bytes`: at least [`LEAST_BLOCK_BYTES`], a multiple of 16.
    #[inline(always)]
    pub(crate) fn new(block: Block, bytes: usize) -> SealedBlock {
        debug_assert!(bytes >= LEAST_BLOCK_BYTES && bytes.is_multiple_of(16));
        let key = config::seal_key();
        SealedBlock {
            block,
            bytes,
            mask: mix(block.address() as u64 ^ key, key),
        }
    }

    /// The word `offset` bytes before the block's end.
    #[inline(always)]
    fn word_before_end(self, offset: usize) -> *mut u64 {
        (self.block.address() + self.bytes - offset) as *mut u64
    }

    #[inline(always)]
    fn set(self, statement: u64) {
        // SAFETY: the last word of a block in a slab, which no program was given.
        unsafe {
            let seal = self.word_before_end(SEAL_BYTES);
            seal.write(self.mask ^ with_proof(statement));
        }
    }

    #[inline(always)]
    fn unmasked(self) -> u64 {
        // SAFETY: the last word of a block in a slab.
        self.mask ^ unsafe { self.word_before_end(SEAL_BYTES).read() }
    }

    /// What the seal says.
    #[inline(always)]
    pub(crate) fn read(self) -> Seal {
        let word = self.unmasked();
        let statement = word & STATEMENT;
        if word != with_proof(statement) {
            return Seal::Broken;
        }
        if statement == FREE {
            return Seal::Free;
        }
        Seal::Live(Asked {
            bytes: (statement & ((1 << BYTES_BITS) - 1)) as usize,
            alignment: 1 << (statement >> BYTES_BITS & ((1 << ALIGNMENT_BITS) - 1)),
        })
    }

    /// Whether the seal says that the block is free.
    #[inline(always)]
    pub(crate) fn is_free(self) -> bool {
        self.unmasked() == with_proof(FREE)
    }

    /// Issues a free block, or changes what was asked for of one in use, whose contents stay.
    /// `asked.bytes` is at most the block's less the seal's.
    #[inline(always)]
    pub(crate) fn issue(self, asked: Asked) {
        let alignment = u64::from(asked.alignment.trailing_zeros());
        self.set(LIVE | alignment << BYTES_BITS | asked.bytes as u64);
        let (words, bytes) = self.slack(asked);
        // SAFETY: whole words of the slack, in the block.
        let whole = unsafe { core::slice::from_raw_parts_mut(self.slack_start(words), words) };
        whole.fill(pattern());
        if bytes > 0 {
            let ones = ones_at_end(bytes);
            // SAFETY: a word of the block, since it is longer than its slack's whole words.
            unsafe {
                let word = self.slack_start(words + 1);
                word.write(word.read() & !ones | pattern() & ones);
            }
        }
    }

    /// Whole words of the slack, and bytes of the word before them.
    #[inline(always)]
    fn slack(self, asked: Asked) -> (usize, usize) {
        let bytes = self.bytes - SEAL_BYTES - asked.bytes;
        (bytes / WORD_BYTES, bytes % WORD_BYTES)
    }

    /// The first of the last `words` words before the seal.
    #[inline(always)]
    fn slack_start(self, words: usize) -> *mut u64 {
        self.word_before_end(SEAL_BYTES + WORD_BYTES * words)
    }

    /// Whether the slack was written over.
    #[inline(always)]
    pub(crate) fn is_damaged(self, asked: Asked) -> bool {
        let (words, bytes) = self.slack(asked);
        // SAFETY: whole words of the slack, in the block.
        let whole = unsafe { core::slice::from_raw_parts(self.slack_start(words), words) };
        let pattern = pattern();
        let mut differing = whole.iter().fold(0, |all, &word| all | (word ^ pattern));
        if bytes > 0 {
            // SAFETY: as in `issue`.
            let word = unsafe { self.slack_start(words + 1).read() };
            differing |= (word ^ pattern) & ones_at_end(bytes);
        }
        differing != 0
    }

    /// The offset of the first byte of the slack that was written over.
    #[cold]
    pub(crate) fn first_damaged(self, asked: Asked) -> usize {
        let pattern = pattern().to_le_bytes()[0];
        let slack = self.slice(asked.bytes, self.bytes - SEAL_BYTES);
        let first = slack.iter().position(|&byte| byte != pattern);
        asked.bytes + first.unwrap_or(slack.len())
    }

    /// Makes it a free block: zero but for its seal.
    #[inline(always)]
    pub(crate) fn wipe(self) {
        // SAFETY: a block's bytes, which no program may use any more.
        unsafe {
            (self.block.address() as *mut u8).write_bytes(0, self.bytes - SEAL_BYTES);
        }
        self.set(FREE);
    }

    /// Whether a free block is zero as far as its list does not need it.
    #[inline(always)]
    pub(crate) fn is_wiped(self) -> bool {
        // SAFETY: whole words of the block, which is aligned to 16 bytes.
        let words = unsafe {
            core::slice::from_raw_parts(
                self.block.address() as *const u64,
                self.bytes / WORD_BYTES - 1,
            )
        };
        // Two cache lines at a time: the loop itself would cost as much as the loads.
        let mut lines = words.chunks_exact(16);
        let all = lines.by_ref().fold(0, |all, line| {
            all | line.iter().fold(0, |all, &word| all | word)
        });
        let rest = lines.remainder().iter();
        rest.fold(all, |all, &word| all | word) == 0
    }

    /// The offset of the first byte of a free block that was written to.
    #[cold]
    pub(crate) fn first_written(self) -> usize {
        let all = self.slice(0, self.bytes - SEAL_BYTES);
        let first = all.iter().position(|&byte| byte != 0);
        first.unwrap_or(self.bytes - SEAL_BYTES)
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

/// A statement, and above it the proof: a product, for its bits depend on all of the statement's.
#[inline(always)]
fn with_proof(statement: u64) -> u64 {
    statement | statement.wrapping_mul(config::seal_key()) & !STATEMENT
}

/// A word of the byte that slack is filled with: of the key, but none that programs write often,
/// which are 0, 0xff, and text and small numbers, below 0x80.
#[inline(always)]
fn pattern() -> u64 {
    ((config::seal_key() >> 56 | 0x81) & 0xfd) * 0x0101_0101_0101_0101
}

/// The last `bytes` (1 to 7) of a word, by the order in memory, all ones.
#[inline(always)]
fn ones_at_end(bytes: usize) -> u64 {
    u64::MAX << (8 * (WORD_BYTES - bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize) -> SealedBlock {
        config::draw_seal_key();
        let memory = std::vec![0u128; bytes / 16].leak();
        // SAFETY: the memory is never freed.
        let block = SealedBlock::new(unsafe { Block::at(memory.as_ptr() as usize) }, bytes);
        block.wipe();
        block
    }

    fn write(block: SealedBlock, offset: usize, value: u8) {
        // SAFETY: a test's block is larger.
        unsafe { ((block.block.address() + offset) as *mut u8).write(value) }
    }

    fn read(block: SealedBlock, offset: usize) -> u8 {
        // SAFETY: a test's block is larger.
        unsafe { ((block.block.address() + offset) as *const u8).read() }
    }

    #[test]
    fn a_seal_says_what_was_asked_for_and_the_block_is_zero() {
        for bytes in [32, 48, 1024, 32 << 10] {
            let block = block(bytes);
            for asked in [0, 1, bytes / 2, bytes - 17, bytes - 9, bytes - SEAL_BYTES] {
                for alignment in [1, 16, 4096, 65536] {
                    let asked = Asked {
                        bytes: asked,
                        alignment,
                    };
                    assert!(block.is_free() && block.is_wiped());
                    block.issue(asked);
                    assert_eq!(block.read(), Seal::Live(asked));
                    assert!(!block.is_damaged(asked));
                    assert!((0..asked.bytes).all(|offset| read(block, offset) == 0));
                    block.wipe();
                    assert_eq!(block.read(), Seal::Free);
                }
            }
        }
    }

    #[test]
    fn every_byte_behind_those_asked_for_is_watched() {
        for asked_bytes in 36..=56 {
            let asked = Asked {
                bytes: asked_bytes,
                alignment: 1,
            };
            for offset in asked_bytes..64 {
                for flipped in [1, 0x80, 0xff] {
                    let block = block(64);
                    block.issue(asked);
                    write(block, offset, read(block, offset) ^ flipped);
                    if offset < 56 {
                        assert!(block.is_damaged(asked));
                        assert_eq!(block.first_damaged(asked), offset);
                    } else {
                        assert_eq!(block.read(), Seal::Broken);
                    }
                }
            }
            let block = block(64);
            block.issue(asked);
            (0..asked_bytes).for_each(|offset| write(block, offset, 0xff));
            assert_eq!(block.read(), Seal::Live(asked));
            assert!(!block.is_damaged(asked));
        }
    }

    #[test]
    fn a_block_issued_again_keeps_what_it_held() {
        let block = block(64);
        let ask = |bytes| Asked {
            bytes,
            alignment: 1,
        };
        block.issue(ask(20));
        (0..20).for_each(|offset| write(block, offset, 7));
        for bytes in [56, 10, 51, 30] {
            block.issue(ask(bytes));
            assert_eq!(block.read(), Seal::Live(ask(bytes)));
            assert!(!block.is_damaged(ask(bytes)));
            assert!((0..10).all(|offset| read(block, offset) == 7));
        }
    }

    #[test]
    fn the_first_byte_written_after_free_is_found() {
        let block = block(256);
        for offset in 0..248 {
            block.wipe();
            assert!(block.is_wiped());
            write(block, 247, 1);
            write(block, offset, 1);
            assert!(!block.is_wiped());
            assert_eq!(block.first_written(), offset);
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
        unsafe { b.word_before_end(8).write(a.word_before_end(8).read()) };
        assert_eq!(b.read(), Seal::Broken);
    }
}
