//! The Rust door.

use crate::heap::hardened::Named;
use crate::heap::requests;
use core::alloc::{GlobalAlloc, Layout};

/// The allocator, for `#[global_allocator]`:
///
/// ```
/// #[global_allocator]
/// static GLOBAL: glebe::Glebe = glebe::Glebe;
///
/// let squares: Vec<u64> = (0..1000).map(|n| n * n).collect();
/// assert_eq!(squares[999], 998_001);
/// ```
///
/// A null answer means out of memory. Thread-safe; see `abi::libc` for signals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Glebe;

// Not `#[inline]`: what the methods call would then be visible to other crates, and our functions
// would call each other through the global offset table, which is still empty when an IFUNC
// resolver allocates.
// SAFETY: blocks are at least as large and as aligned as their layout, distinct, and stay until
// they are freed; nothing here unwinds.
unsafe impl GlobalAlloc for Glebe {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        requests::allocate_aligned(layout.align(), layout.size()) as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        requests::free_named(
            block as usize,
            Named {
                bytes: layout.size(),
                alignment: layout.align(),
            },
        );
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return requests::allocate_zeroed(layout.size()) as *mut u8;
        }
        let block = requests::allocate_aligned(layout.align(), layout.size()) as *mut u8;
        if !block.is_null() {
            // SAFETY: as large as the layout, and nobody else's.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            return requests::reallocate(block as usize, new_size) as *mut u8;
        }
        let new = requests::allocate_aligned(layout.align(), new_size) as *mut u8;
        if !new.is_null() {
            // SAFETY: both blocks have that many bytes and are distinct; the old one is live.
            unsafe {
                new.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}
