//! A two-level array of records that never move, valid when all zero: the root is a static, its
//! blocks are mapped when a record in them is first wanted and touched page by page.

use super::{map_table, unmap_table};
use core::sync::atomic::{AtomicPtr, Ordering};

/// A record that is valid when all its bytes are zero, and shared between threads.
///
/// # Safety
/// The all-zero pattern is a value of the type.
pub(crate) unsafe trait ZeroIsValid: Sync + 'static {}

/// Up to `BLOCKS` times `PER_BLOCK` records of `T`, numbered from 0.
#[repr(transparent)]
pub(crate) struct Directory<T, const BLOCKS: usize, const PER_BLOCK: usize> {
    blocks: [AtomicPtr<T>; BLOCKS],
}

impl<T: ZeroIsValid, const BLOCKS: usize, const PER_BLOCK: usize> Directory<T, BLOCKS, PER_BLOCK> {
    /// A directory without blocks.
    pub(crate) const fn new() -> Self {
        assert!(PER_BLOCK.is_power_of_two());
        Self {
            blocks: [const { AtomicPtr::new(core::ptr::null_mut()) }; BLOCKS],
        }
    }

    /// The record `index`, if it lies in a block that is mapped.
    #[inline(always)]
    pub(crate) fn get(&'static self, index: usize) -> Option<&'static T> {
        // Acquire pairs with the Release of `ensure`.
        let block = self.blocks.get(index / PER_BLOCK)?.load(Ordering::Acquire);
        if block.is_null() {
            return None;
        }
        // SAFETY: a block holds PER_BLOCK records for ever, all valid from the first moment
        // (`ZeroIsValid`), changed only through shared references.
        Some(unsafe { &*block.add(index % PER_BLOCK) })
    }

    /// The record `index`, mapping its block first if need be; `None` beyond the last block or
    /// out of memory.
    pub(crate) fn ensure(&'static self, index: usize) -> Option<&'static T> {
        if let Some(record) = self.get(index) {
            return Some(record);
        }
        let place = self.blocks.get(index / PER_BLOCK)?;
        let bytes = PER_BLOCK * size_of::<T>();
        let address = map_table(bytes)?;
        // Release pairs with the Acquire of `get`.
        let lost = place.compare_exchange(
            core::ptr::null_mut(),
            address as *mut T,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if lost.is_err() {
            unmap_table(address, bytes);
        }
        self.get(index)
    }

    /// The first index at or below `index` whose block is mapped: lets a search from right to
    /// left skip what was never used.
    pub(crate) fn last_mapped_at_or_below(&'static self, index: usize) -> Option<usize> {
        let mut block = index / PER_BLOCK;
        if !self.blocks.get(block)?.load(Ordering::Relaxed).is_null() {
            return Some(index);
        }
        while block > 0 {
            block -= 1;
            if !self.blocks.get(block)?.load(Ordering::Relaxed).is_null() {
                return Some(block * PER_BLOCK + PER_BLOCK - 1);
            }
        }
        None
    }
}
