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

use crate::metadata::span::Span;
use crate::os::cpu;
use core::sync::atomic::{AtomicUsize, Ordering};

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

    /// The next free block's address, or 0.
    #[inline(always)]
    pub(crate) fn link(self) -> usize {
        self.word(0).load(Ordering::Relaxed)
    }

    /// Sets it.
    #[inline(always)]
    pub(crate) fn set_link(self, next: usize) {
        self.word(0).store(next, Ordering::Relaxed);
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
