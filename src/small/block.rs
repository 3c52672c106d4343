//! A free block, 16 bytes or more:
//!
//! ```text
//! | word 0: address of the next free block, or 0 | word 1: the mark | ...
//! ```
//!
//! The mark is the sum of the block's address and that of its slab's record. A block that is free
//! has it, a block that was issued has had it cleared: so a double free is seen by one comparison
//! wherever the block waits: in its slab, a bin, a thread's outbox or an inbox. No program computes
//! that sum; and since it holds the block's own address, old marks that lie in memory of an
//! earlier life (a program copies padding along with its data) match nowhere else.
//!
//! In hardened mode there is no mark, but a seal (see `seal`), and the link is masked by what
//! depends on the place and on a key that only this process knows. It is verified when it is
//! followed: one that was written over is found out but once in 65,536 times.

use crate::base::random::mix;
use crate::config;
use crate::metadata::span::Span;
use crate::os::cpu;
use crate::report;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What of a link's word in hardened mode is the address, unmasked.
const LINK_BITS: usize = (1 << 48) - 1;

/// What a link in the block at `at` is masked by.
#[inline(always)]
fn mask(at: usize, key: u64) -> usize {
    mix(at as u64 ^ key, key) as usize
}

/// `next`, and above it 16 bits that depend on all of its bits and on the key: a product, since
/// what is found by exclusive-or alone does not notice the same bits flipped everywhere.
#[inline(always)]
fn with_proof(next: usize, key: u64) -> usize {
    let proof = (next as u64).wrapping_mul(key) as usize;
    next | (proof & !LINK_BITS)
}

/// The address of a block of a slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Block(usize);

impl Block {
    /// The block at `address`.
    ///
    /// # Safety
    /// `address` is the start of a block in a slab, which stays mapped while the value is used.
    #[inline(always)]
    pub(crate) unsafe fn at(address: usize) -> Block {
        Block(address)
    }

    /// Its address.
    #[inline(always)]
    pub(crate) fn address(self) -> usize {
        self.0
    }

    #[inline(always)]
    fn word(self, index: usize) -> &'static AtomicUsize {
        // SAFETY: by `at` the block's 16 bytes are mapped and aligned. Atomic, since another
        // thread may ask for the mark of a block that is in use.
        unsafe { &*(self.0 as *const AtomicUsize).add(index) }
    }

    /// The next free block's address, or 0. In hardened mode one that was written over ends the
    /// process by a report; where that goes on, it ends the list.
    #[inline(always)]
    pub(crate) fn link(self) -> usize {
        match config::link_key() {
            0 => self.plain_link(),
            key => self.open_link(key),
        }
    }

    /// Sets it.
    #[inline(always)]
    pub(crate) fn set_link(self, next: usize) {
        match config::link_key() {
            0 => self.set_plain_link(next),
            key => self.set_plain_link(with_proof(next, key) ^ mask(self.0, key)),
        }
    }

    /// As [`Self::link`] on the fast paths, which hardened mode does not take.
    #[inline(always)]
    pub(crate) fn plain_link(self) -> usize {
        self.word(0).load(Ordering::Relaxed)
    }

    /// As [`Self::set_link`] on the fast paths.
    #[inline(always)]
    pub(crate) fn set_plain_link(self, next: usize) {
        self.word(0).store(next, Ordering::Relaxed);
    }

    #[inline]
    fn open_link(self, key: u64) -> usize {
        let word = self.plain_link() ^ mask(self.0, key);
        let next = word & LINK_BITS;
        if word != with_proof(next, key) {
            report::free_list_corrupted(self.0);
            return 0;
        }
        next
    }

    #[inline(always)]
    fn mark_in(self, slab: &Span) -> usize {
        (core::ptr::from_ref(slab) as usize).wrapping_add(self.0)
    }

    /// Marks the block as free.
    #[inline(always)]
    pub(crate) fn mark(self, slab: &Span) {
        self.word(1).store(self.mark_in(slab), Ordering::Relaxed);
    }

    /// Clears the mark.
    #[inline(always)]
    pub(crate) fn unmark(self) {
        self.word(1).store(0, Ordering::Relaxed);
    }

    /// Whether the block is free.
    #[inline(always)]
    pub(crate) fn is_marked(self, slab: &Span) -> bool {
        // SAFETY: by `at` the block's 16 bytes are mapped.
        unsafe { !cpu::word_differs::<8>(self.0, self.mark_in(slab)) }
    }
}
