//! What the heap must look like: the blocks that are live, and what the doors must say of them.

use crate::contents;
use crate::random::Random;
use core::ffi::c_void;
use glebe::abi::extensions::{
    glebe_block_size, glebe_block_start, glebe_free_checked, glebe_get_statistics, glebe_owns,
    glebe_purge,
};
use glebe::abi::libc::glebe_malloc_usable_size;
use std::collections::BTreeMap;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};

/// Answers of `glebe_free_checked`.
pub(crate) const SUCCESS: i32 = 0;
pub(crate) const NOT_OURS: i32 = 1;
pub(crate) const INSIDE_BLOCK: i32 = 2;
pub(crate) const ALREADY_FREE: i32 = 3;

/// Larger blocks have a mapping each.
const LARGE_BYTES: usize = 2 << 20;

/// Whether any memory is mapped at `address`, a multiple of the page size.
fn is_mapped(address: usize) -> bool {
    let mut page = 0;
    // SAFETY: mincore writes a byte for the page, or fails where nothing is mapped.
    unsafe { libc::mincore(address as *mut c_void, 1, &raw mut page) == 0 }
}

/// Frees what is no live block's start, which must be refused: the answer.
pub(crate) fn refused_free(address: usize) -> i32 {
    // SAFETY: by the caller no live block starts there, so nothing is freed.
    unsafe { glebe_free_checked(address as *mut c_void) }
}

/// A live block, filled with the contents of its number.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) address: usize,
    pub(crate) usable: usize,
    pub(crate) number: u64,
}

impl Block {
    /// The block that a door has just answered for a request of `asked` bytes; filled to the brim.
    pub(crate) fn new(answer: *mut c_void, asked: usize, alignment: usize) -> Block {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        assert!(
            !answer.is_null(),
            "{asked} bytes at a multiple of {alignment}"
        );
        assert!(
            answer.addr().is_multiple_of(alignment.max(16)),
            "{answer:p} at {alignment}"
        );
        // SAFETY: a live block.
        let usable = unsafe { glebe_malloc_usable_size(answer) };
        assert!(usable >= asked, "{usable} bytes for {asked}");
        let mut block = Block {
            address: answer as usize,
            usable,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        };
        block.check_questions(0);
        let number = block.number;
        contents::fill(block.bytes(), number);
        block
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.address as *mut c_void
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: live, and every usable byte may be used; the value owns the block.
        unsafe { core::slice::from_raw_parts_mut(self.address as *mut u8, self.usable) }
    }

    pub(crate) fn check_contents(&self) {
        // SAFETY: as in `bytes`; initialised by `new`.
        let bytes = unsafe { core::slice::from_raw_parts(self.address as *const u8, self.usable) };
        contents::check(bytes, self.address, self.number);
    }

    /// Asks about the byte at `offset`, and about the first byte that is not the block's.
    pub(crate) fn check_questions(&self, offset: usize) {
        assert!(offset < self.usable.max(1));
        let inside = (self.address + offset) as *const c_void;
        let behind = (self.address + self.usable) as *const c_void;
        assert_eq!(glebe_owns(inside), 1, "{self:?} + {offset}");
        assert_eq!(
            glebe_block_start(inside),
            self.pointer(),
            "{self:?} + {offset}"
        );
        assert_eq!(glebe_block_size(inside), self.usable, "{self:?} + {offset}");
        // A sampled block of no bytes has its start for its end.
        if self.usable > 0 {
            assert_ne!(glebe_block_start(behind), self.pointer(), "{self:?}");
        }
    }
}

/// `glebe_statistics` of `glebe.h`, as far as it is looked at.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Statistics {
    struct_size: usize,
    live_bytes: usize,
    live_blocks: usize,
    small_live_bytes: usize,
    medium_live_bytes: usize,
    large_live_bytes: usize,
    large_live_blocks: usize,
    heap_bytes: usize,
    pub(crate) break_bytes: usize,
    free_dirty_bytes: usize,
    cached_large_bytes: usize,
    metadata_bytes: usize,
    purged_bytes: usize,
}

pub(crate) fn statistics() -> Statistics {
    let mut out = Statistics {
        struct_size: size_of::<Statistics>(),
        ..Statistics::default()
    };
    // SAFETY: as large as its first field says.
    assert_eq!(unsafe { glebe_get_statistics((&raw mut out).cast()) }, 0);
    out
}

/// Live bytes and blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    bytes: usize,
    blocks: usize,
}

impl Add for Figures {
    type Output = Figures;
    fn add(self, other: Figures) -> Figures {
        Figures {
            bytes: self.bytes + other.bytes,
            blocks: self.blocks + other.blocks,
        }
    }
}

impl std::iter::Sum for Figures {
    fn sum<I: Iterator<Item = Figures>>(all: I) -> Figures {
        all.fold(
            Figures {
                bytes: 0,
                blocks: 0,
            },
            Figures::add,
        )
    }
}

impl Figures {
    /// By the library's statistics.
    pub(crate) fn now() -> Figures {
        let now = statistics();
        assert_eq!(
            now.small_live_bytes + now.medium_live_bytes + now.large_live_bytes,
            now.live_bytes
        );
        assert!(now.large_live_blocks <= now.live_blocks);
        Figures {
            bytes: now.live_bytes,
            blocks: now.live_blocks,
        }
    }

    /// Brings home the blocks that are on their way between threads, which count as live.
    pub(crate) fn settle() {
        glebe_purge();
    }
}

/// The blocks that one thread answers for.
pub(crate) struct ShadowHeap {
    blocks: Vec<Block>,
    /// End of each block by its start.
    ends: BTreeMap<usize, usize>,
    bytes: usize,
    /// Addresses that were freed; kept only where no other thread could be issued them.
    freed: Vec<usize>,
    /// Those freed before memory was last given back to the kernel: others may have it now.
    freed_long_ago: Vec<usize>,
    given_back_bytes: usize,
    alone: bool,
}

impl ShadowHeap {
    /// For a thread that nobody else allocates beside.
    pub(crate) fn alone() -> ShadowHeap {
        ShadowHeap {
            blocks: Vec::new(),
            ends: BTreeMap::new(),
            bytes: 0,
            freed: Vec::new(),
            freed_long_ago: Vec::new(),
            given_back_bytes: 0,
            alone: true,
        }
    }

    /// For one thread of several.
    pub(crate) fn among_others() -> ShadowHeap {
        ShadowHeap {
            alone: false,
            ..ShadowHeap::alone()
        }
    }

    /// Usable bytes of all blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            bytes: self.bytes,
            blocks: self.blocks.len(),
        }
    }

    /// Adds a block, which must not overlap another.
    pub(crate) fn receive(&mut self, block: Block) {
        let end = block.address + block.usable.max(1);
        let below = self.ends.range(..end).next_back();
        if let Some((&start, &other)) = below {
            assert!(
                other <= block.address,
                "{block:?} overlaps {start:#x}..{other:#x}"
            );
        }
        self.ends.insert(block.address, end);
        self.bytes += block.usable;
        self.blocks.push(block);
    }

    /// Takes a block out, for its end or for another thread.
    pub(crate) fn take_any(&mut self, random: &mut Random) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(random.below(self.blocks.len()));
        self.ends.remove(&block.address);
        self.bytes -= block.usable;
        block.check_contents();
        Some(block)
    }

    /// Any block, left where it is.
    pub(crate) fn any(&self, random: &mut Random) -> Option<&Block> {
        (!self.blocks.is_empty()).then(|| &self.blocks[random.below(self.blocks.len())])
    }

    /// To be told after the block at `address`, of `usable` bytes, was freed.
    pub(crate) fn note_freed(&mut self, address: usize, usable: usize) {
        if !self.alone {
            return;
        }
        let pointer = address as *mut c_void;
        assert_eq!(glebe_owns(pointer), 0);
        assert!(glebe_block_start(pointer).is_null());
        assert_eq!(glebe_block_size(pointer), 0);
        let answer = refused_free(address);
        // Where a large block was, a starting thread of the test program may have mapped its stack.
        let is_taken = usable > LARGE_BYTES && is_mapped(address);
        assert!(
            answer == ALREADY_FREE || (is_taken && answer == NOT_OURS),
            "{address:#x}: {answer}"
        );
        if answer == ALREADY_FREE {
            self.freed.push(address);
        }
    }

    /// Frees once more what was freed some time ago.
    pub(crate) fn free_again(&mut self, random: &mut Random) {
        let given_back_bytes = statistics().purged_bytes;
        if given_back_bytes != self.given_back_bytes {
            self.given_back_bytes = given_back_bytes;
            self.freed_long_ago.append(&mut self.freed);
        }
        let (list, allowed): (_, &[i32]) = if self.freed.is_empty() {
            (&mut self.freed_long_ago, &[ALREADY_FREE, NOT_OURS])
        } else {
            (&mut self.freed, &[ALREADY_FREE])
        };
        if !list.is_empty() {
            let address = list.swap_remove(random.below(list.len()));
            self.check_free(address, allowed);
        }
    }

    /// Asserts that all freed addresses are known as such, though memory may have been given back:
    /// for a moment in which nobody else maps any.
    pub(crate) fn check_freed(&self) {
        self.freed
            .iter()
            .for_each(|&address| self.check_free(address, &[ALREADY_FREE]));
    }

    /// Asserts that a free of `address`, where no block of an earlier time is live, is refused
    /// with one of `answers`, or as inside of a newer block.
    fn check_free(&self, address: usize, answers: &[i32]) {
        let below = self.ends.range(..=address).next_back();
        let answers = match below.filter(|(_, end)| **end > address) {
            Some((&start, _)) if start == address => return,
            Some(_) => &[INSIDE_BLOCK],
            None => answers,
        };
        let answer = refused_free(address);
        assert!(
            answers.contains(&answer),
            "{address:#x}: {answer}, not one of {answers:?}"
        );
    }

    pub(crate) fn check_contents(&self) {
        self.blocks.iter().for_each(Block::check_contents);
    }

    /// Asserts that the library counts these blocks and those of `others`; nothing may be on its
    /// way between threads.
    pub(crate) fn check_figures(&self, others: Figures) {
        assert_eq!(Figures::now(), others + self.figures());
    }

    /// Asserts that no block of one heap overlaps one of another.
    pub(crate) fn check_disjoint(heaps: &[ShadowHeap]) {
        let mut all: Vec<_> = heaps.iter().flat_map(|heap| &heap.ends).collect();
        all.sort_unstable();
        for pair in all.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:x?} overlap");
        }
    }

    pub(crate) fn free_all(&mut self) {
        self.ends.clear();
        self.bytes = 0;
        for block in self.blocks.drain(..) {
            block.check_contents();
            // SAFETY: a live block that nobody uses any more.
            assert_eq!(unsafe { glebe_free_checked(block.pointer()) }, SUCCESS);
            if self.alone {
                self.freed.push(block.address);
            }
        }
    }
}
