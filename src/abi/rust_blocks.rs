//! Blocks for Rust programs: a free with a status, questions about an address, statistics. What
//! `glebe.h` says of the functions of these names holds here too: any thread may call them, and
//! signal handlers; errno is kept.

pub use crate::heap::questions::AddressKind;
pub use crate::heap::requests::FreeStatus;

use super::figures::figures;
use super::rust_region::RegionProtection;
use crate::heap::{give_back, questions, requests};
use crate::observe::statistics;
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::ThreadSlot;
use core::alloc::Layout;
use core::ffi::c_int;
use core::ptr::NonNull;

/// Frees `block` and says whether it could; null is success.
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
///
/// // SAFETY: a size that is not 0; nobody uses the block.
/// unsafe {
///     let block = glebe::Glebe.alloc(Layout::new::<[u64; 8]>());
///     assert_eq!(glebe::free_checked(block), glebe::FreeStatus::Success);
///     assert_eq!(glebe::free_checked(block), glebe::FreeStatus::AlreadyFree);
/// }
/// ```
///
/// # Safety
/// If a block in use starts there, nobody uses it any more. Any other address does no harm.
pub unsafe fn free_checked(block: *mut u8) -> FreeStatus {
    let _kept = ErrnoKept::new();
    requests::free_checked(block as usize)
}

/// Allocates zeroes between guard pages, in any mode; `None` out of memory. An access past the end,
/// down to the alignment, or before the block's first page, or after it was freed (for a while), ends
/// in a report. The block has exactly the layout's bytes, and begins with a page if the layout is
/// aligned to one. [`free_checked`] frees it, and [`Glebe`](super::rust::Glebe) as any block of it.
/// Costs whole pages and some 10 us.
///
/// ```
/// use std::alloc::Layout;
///
/// let layout = Layout::from_size_align(5000, 4096).expect("a power of two");
/// let block = glebe::guarded_alloc(layout).expect("memory");
/// // SAFETY: the first page of the block, which nobody else uses, and then all of it.
/// unsafe {
///     block.cast::<u8>().write(7);
///     glebe::protect(block.cast().as_ptr(), 4096, glebe::RegionProtection::Read).expect("a page");
///     assert_eq!(block.cast::<u8>().read(), 7);
///     assert_eq!(glebe::free_checked(block.cast().as_ptr()), glebe::FreeStatus::Success);
/// }
/// ```
pub fn guarded_alloc(layout: Layout) -> Option<NonNull<[u8]>> {
    let _kept = ErrnoKept::new();
    let start = requests::allocate_guarded(layout.align(), layout.size());
    let start = NonNull::new(start as *mut u8)?;
    Some(NonNull::slice_from_raw_parts(start, layout.size()))
}

/// Sets what may be done with the `size` bytes from `address` on, both multiples of the page size,
/// within the pages of one live block of [`guarded_alloc`]: see `glebe_protect` in `glebe.h`. The
/// contents stay. Calls for one block, and a free of it, must not run at the same time.
///
/// # Safety
/// Nobody reads or writes what is forbidden, or whoever does can do with SIGSEGV.
///
/// # Errors
/// What the C function answers, EINVAL or what the kernel refuses with; nothing has changed then.
pub unsafe fn protect(
    address: *mut u8,
    size: usize,
    protection: RegionProtection,
) -> Result<(), c_int> {
    if !ThreadSlot::current().is_ready() {
        return Err(::libc::EINVAL);
    }
    let _kept = ErrnoKept::new();
    questions::protect(address as usize, size, protection.raw())
}

/// The block in use that contains `address`, as long as it is usable; `None` where that is no
/// block of glebe's. Never reads there.
pub fn block_containing<T>(address: *const T) -> Option<NonNull<[u8]>> {
    let _kept = ErrnoKept::new();
    let (start, bytes) = questions::block_containing(address as usize)?;
    NonNull::new(start as *mut u8).map(|start| NonNull::slice_from_raw_parts(start, bytes))
}

/// What `address` is at this moment. Never reads there.
pub fn address_kind<T>(address: *const T) -> AddressKind {
    if !ThreadSlot::current().is_ready() {
        return AddressKind::NotOurs;
    }
    let _kept = ErrnoKept::new();
    questions::address_kind(address as usize)
}

/// Gives every free page back to the kernel now; the bytes given back.
pub fn purge() -> usize {
    let _kept = ErrnoKept::new();
    give_back::purge(0)
}

/// Makes huge pages of the small ones that lie wholly in a range of a live block, now: see
/// `glebe_collapse` in `glebe.h`. The contents stay.
///
/// # Errors
/// What the C function answers: EINVAL, EBUSY, ENOMEM or EAGAIN; a part may be done then.
pub fn collapse(address: *mut u8, size: usize) -> Result<(), c_int> {
    let _kept = ErrnoKept::new();
    questions::collapse(address as usize, size)
}

figures! {
    /// A snapshot of the heap: in bytes unless told. `glebe.h` explains the fields.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs, reason = "explained in the header")]
    #[non_exhaustive]
    pub struct Statistics {
        pub live_bytes: usize,
        pub live_blocks: usize,
        pub small_live_bytes: usize,
        pub medium_live_bytes: usize,
        pub large_live_bytes: usize,
        pub large_live_blocks: usize,
        pub heap_bytes: usize,
        pub break_bytes: usize,
        pub free_dirty_bytes: usize,
        pub cached_large_bytes: usize,
        pub metadata_bytes: usize,
        pub purged_bytes: usize,
        pub purge_calls: usize,
        pub thread_caches: usize,
        pub fork_generation: usize,
        pub sampled_blocks: usize,
        pub unguarded_objects: usize,
    }
}

/// The statistics now. Other threads go on meanwhile, so sums are exact only where they rest.
pub fn statistics() -> Statistics {
    let _kept = ErrnoKept::new();
    Statistics::of(statistics::figures().map(|(_, value)| value))
}
