//! Regions for Rust programs.

pub use crate::paging::region::RegionError;

use super::figures::figures;
use super::region::RawPage;
use crate::os::mapping::Protection;
use crate::os::process::ErrnoKept;
use crate::paging::region::{self, OnRange, RawOptions};
use core::ffi::c_int;
use core::ops::Range;

/// What a region shall be. Sizes are in bytes.
///
/// ```no_run
/// # fn main() -> Result<(), glebe::RegionError> {
/// // 1 GiB of which 64 MiB are in memory.
/// let mut region = glebe::RegionOptions::anonymous(1 << 30, 64 << 20).create()?;
/// region.as_mut_slice()?[12345] = 6;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RegionOptions(RawOptions);

/// Which pages leave first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RegionEviction {
    /// The oldest, but what was wanted back soon stays longer.
    Adaptive,
    /// The oldest.
    Fifo,
    /// The newest, for loops over more than the budget.
    Newest,
}

const ANONYMOUS: c_int = 0;
const FILE: c_int = 1;
const SHARED: c_int = 2;

impl RegionOptions {
    fn of(kind: c_int, file: c_int, size: usize, budget: usize) -> RegionOptions {
        RegionOptions(RawOptions {
            struct_size: size_of::<RawOptions>(),
            size,
            most_size: 0,
            budget,
            page_size: 0,
            base: 0,
            file_offset: 0,
            prefetch_size: 0,
            kind,
            file,
            flags: 0,
            prefetch: 0,
            eviction: 0,
            reserved: 0,
        })
    }

    /// `size` bytes of zeroes, of which `budget` are in memory at most.
    pub fn anonymous(size: usize, budget: usize) -> RegionOptions {
        RegionOptions::of(ANONYMOUS, -1, size, budget)
    }

    /// The first `size` bytes of the open file `descriptor`, which may be closed after the region
    /// was created. They are written back by `sync`, by eviction and by deletion.
    ///
    /// # Safety
    /// Nobody else changes that part of the file while the region lives.
    pub unsafe fn file(descriptor: c_int, size: usize, budget: usize) -> RegionOptions {
        RegionOptions::of(FILE, descriptor, size, budget)
    }

    /// The first `size` bytes of the shared memory `descriptor` (of [`shared_memory`], or a memfd
    /// of another process), of which at most `budget` are mapped here.
    pub fn shared(descriptor: c_int, size: usize, budget: usize) -> RegionOptions {
        RegionOptions::of(SHARED, descriptor, size, budget)
    }

    /// The region may be expanded so far.
    pub fn most_size(mut self, bytes: usize) -> RegionOptions {
        self.0.most_size = bytes;
        self
    }

    /// What comes and goes together: a power of two from 4 KiB to 2 MiB.
    pub fn page_size(mut self, bytes: usize) -> RegionOptions {
        self.0.page_size = bytes;
        self
    }

    /// Where the section of the file or shared memory begins, a multiple of 4 KiB.
    pub fn file_offset(mut self, bytes: u64) -> RegionOptions {
        self.0.file_offset = bytes;
        self
    }

    /// The file or shared memory is made as long as the section.
    pub fn grows_file(mut self) -> RegionOptions {
        self.0.flags |= 1;
        self
    }

    /// Writes fault.
    pub fn read_only(mut self) -> RegionOptions {
        self.0.flags |= 2;
        self
    }

    /// Brings so many bytes in ahead of a stream of touches at most; 0 is none.
    pub fn prefetch(mut self, bytes: usize) -> RegionOptions {
        self.0.prefetch_size = bytes;
        self.0.prefetch = c_int::from(bytes == 0);
        self
    }

    /// Which pages leave first.
    pub fn eviction(mut self, which: RegionEviction) -> RegionOptions {
        self.0.eviction = which as c_int;
        self
    }

    /// Creates the region.
    pub fn create(self) -> Result<Region, RegionError> {
        let _kept = ErrnoKept::new();
        let (id, start) = region::create(&self.0)?;
        Ok(Region {
            id,
            start,
            bytes: self.0.size,
            read_only: self.0.flags & 2 != 0,
            shared: self.0.kind == SHARED,
        })
    }
}

/// Makes shared memory of `size` bytes, a multiple of 4 KiB; its descriptor, which is the caller's
/// to close.
pub fn shared_memory(size: usize) -> Result<c_int, RegionError> {
    let _kept = ErrnoKept::new();
    region::shared_memory(size)
}

/// A range of addresses of which only a part is in memory. Deleted when dropped.
///
/// A child after fork does not have its memory. Where [`RegionStatistics::kernel_faults`] is
/// false, what is passed to system calls must be pinned.
#[derive(Debug)]
pub struct Region {
    id: u64,
    start: usize,
    bytes: usize,
    read_only: bool,
    shared: bool,
}

/// What may be done with pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RegionProtection {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
}

impl RegionProtection {
    pub(super) fn raw(self) -> Protection {
        match self {
            RegionProtection::None => Protection::None,
            RegionProtection::Read => Protection::Read,
            RegionProtection::ReadWrite => Protection::ReadWrite,
        }
    }
}

/// Where a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PageState {
    /// Never touched: zero, or in the file or shared memory.
    Absent,
    /// In memory.
    Resident,
    /// In memory, out of sight.
    Staged,
    /// In the store.
    Compressed,
    /// One 32-bit word again and again.
    Same,
}

/// A page of 4 KiB in the view of a region's page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionPage {
    /// Where it is.
    pub state: PageState,
    /// Whether it is to be written to the file.
    pub dirty: bool,
    /// How often it is pinned.
    pub pins: u16,
}

impl RegionPage {
    fn of(page: RawPage) -> RegionPage {
        RegionPage {
            state: match page.state {
                1 => PageState::Resident,
                2 => PageState::Staged,
                3 => PageState::Compressed,
                4 => PageState::Same,
                _ => PageState::Absent,
            },
            dirty: page.dirty != 0,
            pins: page.pins,
        }
    }
}

figures! {
    /// Numbers of a region: in bytes unless told. The header explains them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs, reason = "explained in the header")]
    #[non_exhaustive]
    pub struct RegionStatistics {
        pub size: usize,
        pub budget: usize,
        pub page_size: usize,
        pub resident: usize,
        pub staged: usize,
        pub stored: usize,
        pub store_size: usize,
        pub pinned: usize,
        pub dirty: usize,
        pub metadata: usize,
        pub kernel_faults: bool,
        pub faults: usize,
        pub zero_faults: usize,
        pub staged_faults: usize,
        pub stored_faults: usize,
        pub file_faults: usize,
        pub shared_faults: usize,
        pub write_faults: usize,
        pub prefetched: usize,
        pub evicted: usize,
        pub written_back: usize,
        pub read_errors: usize,
        pub write_errors: usize,
        pub stall_ns: usize,
        pub stall_p50_ns: usize,
        pub stall_p99_ns: usize,
    }
}

impl Region {
    /// Where it lies.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start as *mut u8
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes: never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Its bytes; `WrongKind` of shared memory, which others may write to.
    pub fn as_slice(&self) -> Result<&[u8], RegionError> {
        if self.shared {
            return Err(RegionError::WrongKind);
        }
        // SAFETY: mapped and initialised as long as the region lives; it changes by `&mut self`
        // alone. Pages that are protected raise a signal.
        Ok(unsafe { core::slice::from_raw_parts(self.start as *const u8, self.bytes) })
    }

    /// The same, to write to; `BadProtection` of a read-only region.
    pub fn as_mut_slice(&mut self) -> Result<&mut [u8], RegionError> {
        if self.shared {
            return Err(RegionError::WrongKind);
        }
        if self.read_only {
            return Err(RegionError::BadProtection);
        }
        // SAFETY: as above, and `self` is borrowed mutably.
        Ok(unsafe { core::slice::from_raw_parts_mut(self.start as *mut u8, self.bytes) })
    }

    /// Makes it longer; see `glebe_region_expand`.
    pub fn expand(&mut self, bytes: usize) -> Result<(), RegionError> {
        let _kept = ErrnoKept::new();
        region::expand(self.id, bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Makes it shorter; what is behind the new end is lost, but for what goes to a file.
    pub fn contract(&mut self, bytes: usize) -> Result<(), RegionError> {
        let _kept = ErrnoKept::new();
        region::contract(self.id, bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Gives the memory and the store of a range of whole pages (of the region's size) back, in
    /// bytes from its start. Anonymous pages are zero then, those of a file what the file holds:
    /// what was not written back is lost. Of shared memory they leave this process alone. `Pinned`
    /// where one of them is, and then nothing has changed.
    pub fn release(&mut self, range: Range<usize>) -> Result<(), RegionError> {
        let (address, bytes) = self.addresses(range)?;
        let _kept = ErrnoKept::new();
        region::release(self.id, address, bytes)
    }

    /// Sets what may be done with a range of whole pages (of the region's size), in bytes from its
    /// start. Forbidden accesses raise SIGSEGV.
    pub fn protect(
        &mut self,
        range: Range<usize>,
        protection: RegionProtection,
    ) -> Result<(), RegionError> {
        let (address, bytes) = self.addresses(range)?;
        let _kept = ErrnoKept::new();
        region::protect(self.id, address, bytes, Some(protection.raw()))
    }

    /// Writes a file's dirty pages back, and waits for the device.
    pub fn sync(&self) -> Result<(), RegionError> {
        let _kept = ErrnoKept::new();
        region::sync(self.id)
    }

    /// Keeps the pages of a range in memory until they are unpinned as often.
    pub fn pin(&self, range: Range<usize>) -> Result<(), RegionError> {
        self.on_range(OnRange::Pin, range)
    }

    /// Ends that once.
    pub fn unpin(&self, range: Range<usize>) -> Result<(), RegionError> {
        self.on_range(OnRange::Unpin, range)
    }

    /// Brings the pages of a range in, up to half the budget.
    pub fn prefetch(&self, range: Range<usize>) -> Result<(), RegionError> {
        self.on_range(OnRange::Prefetch, range)
    }

    /// Sends the pages of a range out.
    pub fn evict(&self, range: Range<usize>) -> Result<(), RegionError> {
        self.on_range(OnRange::Evict, range)
    }

    fn on_range(&self, what: OnRange, range: Range<usize>) -> Result<(), RegionError> {
        let (address, bytes) = self.addresses(range)?;
        let _kept = ErrnoKept::new();
        region::on_range(self.id, what, address, bytes)
    }

    fn addresses(&self, range: Range<usize>) -> Result<(usize, usize), RegionError> {
        let bytes = range.end.checked_sub(range.start);
        let address = self.start.checked_add(range.start);
        match (address, bytes) {
            (Some(address), Some(bytes)) => Ok((address, bytes)),
            _ => Err(RegionError::Overflow),
        }
    }

    /// Sets another budget, and evicts down to it.
    pub fn set_budget(&self, bytes: usize) -> Result<(), RegionError> {
        let _kept = ErrnoKept::new();
        region::set_budget(self.id, bytes)
    }

    /// Numbers.
    pub fn statistics(&self) -> Result<RegionStatistics, RegionError> {
        let _kept = ErrnoKept::new();
        region::statistics(self.id).map(RegionStatistics::of)
    }

    /// The states of as many pages of 4 KiB as `out` has, from page `first` on.
    pub fn pages(&self, first: usize, out: &mut [RegionPage]) -> Result<(), RegionError> {
        let _kept = ErrnoKept::new();
        region::pages(self.id, first, out.len(), |index, page| {
            if let Some(place) = out.get_mut(index) {
                *place = RegionPage::of(page);
            }
        })
    }

    /// Writes a file's dirty pages back and deletes the region; where that fails it comes back.
    pub fn delete(self) -> Result<(), (Region, RegionError)> {
        let _kept = ErrnoKept::new();
        match region::delete(self.id, true) {
            Ok(()) => {
                core::mem::forget(self);
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl Drop for Region {
    /// Writes dirty pages back; those for which that fails are lost. `delete` tells.
    fn drop(&mut self) {
        let _kept = ErrnoKept::new();
        if region::delete(self.id, true).is_err() {
            let _ = region::delete(self.id, false);
        }
    }
}
