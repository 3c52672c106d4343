//! Segments for Rust programs.

pub use crate::segment::SegmentError;

use super::rust_region::RegionProtection;
use crate::os::mapping::Protection;
use crate::os::process::ErrnoKept;
use crate::segment::{self, Plan, image};
use core::cell::Cell;
use core::ffi::{CStr, c_int};
use core::marker::PhantomData;
use core::ptr::NonNull;

/// What a segment shall be. Sizes are in bytes.
///
/// ```
/// # fn main() -> Result<(), glebe::SegmentError> {
/// let mut segment = glebe::SegmentOptions::new(1000).most_size(1 << 20).create()?;
/// segment.as_mut_slice()?[999] = 7;
/// assert!(segment.translate(999, 2).is_err());
/// segment.expand(2000)?;
/// segment.relocate()?;
/// assert_eq!(segment.as_slice()?[998..1001], [0, 7, 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SegmentOptions(Plan);

impl SegmentOptions {
    /// A segment with the limit `size`, readable and writable.
    pub fn new(size: usize) -> SegmentOptions {
        SegmentOptions(Plan {
            bytes: size,
            most_bytes: 0,
            base: 0,
            protection: Protection::ReadWrite,
        })
    }

    /// It may be expanded so far: address space alone.
    pub fn most_size(mut self, bytes: usize) -> SegmentOptions {
        self.0.most_bytes = bytes;
        self
    }

    /// Where it shall lie, a multiple of the page size.
    pub fn base(mut self, address: usize) -> SegmentOptions {
        self.0.base = address;
        self
    }

    /// What may be done with it.
    pub fn protection(mut self, protection: RegionProtection) -> SegmentOptions {
        self.0.protection = protection.raw();
        self
    }

    /// Creates a private segment of zeroes.
    ///
    /// # Errors
    /// `ZeroSize`, `TooLarge`, `Unaligned`, `Overflow`, `BadBase`, `TooMany`, `NoMemory`.
    pub fn create(self) -> Result<Segment, SegmentError> {
        let _kept = ErrnoKept::new();
        segment::create(&self.0).map(|id| Segment {
            id,
            protection: self.0.protection,
        })
    }

    /// Attaches shared memory (of [`shared_memory`](crate::shared_memory), any memfd or file), whose
    /// descriptor may be closed afterwards. A size of 0 is all there is.
    ///
    /// # Safety
    /// Who else writes to the memory does so in a way that references to it permit: the slices of
    /// this segment are made and given up between such writes.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`], and `BadFile`, `BadProtection`.
    pub unsafe fn attach(self, descriptor: c_int) -> Result<Segment, SegmentError> {
        let _kept = ErrnoKept::new();
        segment::attach(descriptor, &self.0).map(|id| Segment {
            id,
            protection: self.0.protection,
        })
    }

    /// Loads the image that [`Segment::save`] has written; the size of the options does not count.
    ///
    /// # Safety
    /// Nobody writes to the file while it is loaded; saving over it is fine.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`], and `ReadFailed`, `BadImage`, `Damaged`.
    pub unsafe fn load(self, path: &CStr) -> Result<Segment, SegmentError> {
        let _kept = ErrnoKept::new();
        image::load(path, &self.0).map(|id| Segment {
            id,
            protection: self.0.protection,
        })
    }
}

/// Memory as a base, a limit and a protection: see the header's section on segments. Deleted when
/// it is dropped. Any thread may use it; methods wait for each other.
#[derive(Debug)]
pub struct Segment {
    id: u64,
    protection: Protection,
}

impl Segment {
    /// The address of `length` bytes from `offset` on, all below the limit. It is good until the
    /// segment is relocated, contracted below it or deleted.
    ///
    /// # Errors
    /// `Outside`.
    pub fn translate(&self, offset: usize, length: usize) -> Result<NonNull<u8>, SegmentError> {
        let _kept = ErrnoKept::new();
        let address = segment::translate(self.id, offset, length)?;
        NonNull::new(address as *mut u8).ok_or(SegmentError::Outside)
    }

    /// Base and limit, for translations that cost no call.
    pub fn registers(&self) -> SegmentRegisters<'_> {
        let (base, limit) = self.range().unwrap_or((core::ptr::dangling_mut(), 0));
        SegmentRegisters {
            base,
            limit,
            segment: PhantomData,
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// `BadProtection` where they may not be read.
    pub fn as_slice(&self) -> Result<&[u8], SegmentError> {
        if self.protection == Protection::None {
            return Err(SegmentError::BadProtection);
        }
        let (base, limit) = self.range()?;
        // SAFETY: so many bytes are mapped and readable, and who moves them has the segment to
        // itself.
        Ok(unsafe { core::slice::from_raw_parts(base, limit) })
    }

    /// The bytes, to be written.
    ///
    /// # Errors
    /// `BadProtection` where they may not be.
    pub fn as_mut_slice(&mut self) -> Result<&mut [u8], SegmentError> {
        if self.protection != Protection::ReadWrite {
            return Err(SegmentError::BadProtection);
        }
        let (base, limit) = self.range()?;
        // SAFETY: as `as_slice`, and writable.
        Ok(unsafe { core::slice::from_raw_parts_mut(base, limit) })
    }

    fn range(&self) -> Result<(*mut u8, usize), SegmentError> {
        let _kept = ErrnoKept::new();
        let registers = segment::registers(self.id)?;
        let base = registers.translate(0, 0).ok_or(SegmentError::BadHandle)?;
        Ok((base as *mut u8, registers.limit()))
    }

    /// Moves the limit up, in place; what comes in is zero.
    ///
    /// # Errors
    /// `TooLarge`, `ZeroSize`, `BadArgument` for less than now, `NoMemory`.
    pub fn expand(&mut self, size: usize) -> Result<(), SegmentError> {
        let _kept = ErrnoKept::new();
        segment::set_limit(self.id, size, true)
    }

    /// Moves the limit down; what goes is lost.
    ///
    /// # Errors
    /// `ZeroSize`, `BadArgument` for more than now, `NoMemory`.
    pub fn contract(&mut self, size: usize) -> Result<(), SegmentError> {
        let _kept = ErrnoKept::new();
        segment::set_limit(self.id, size, false)
    }

    /// Sets what may be done with all of it.
    ///
    /// # Errors
    /// `BadProtection` where the descriptor that was attached does not permit it, `NoMemory`.
    pub fn protect(&mut self, protection: RegionProtection) -> Result<(), SegmentError> {
        let _kept = ErrnoKept::new();
        segment::protect(self.id, protection.raw())?;
        self.protection = protection.raw();
        Ok(())
    }

    /// Moves it elsewhere without copying; where it lies then.
    ///
    /// # Errors
    /// `TooLarge` where there is no room, `NoMemory`.
    pub fn relocate(&mut self) -> Result<usize, SegmentError> {
        let _kept = ErrnoKept::new();
        segment::relocate(self.id, 0)
    }

    /// Moves it to `base`, a multiple of the page size.
    ///
    /// # Errors
    /// `BadBase` where something is mapped, `Unaligned`, `Overflow`, `NoMemory`.
    pub fn relocate_to(&mut self, base: usize) -> Result<usize, SegmentError> {
        let _kept = ErrnoKept::new();
        if base == 0 {
            return Err(SegmentError::BadBase);
        }
        segment::relocate(self.id, base)
    }

    /// Saves its image as `path`, whole or not at all.
    ///
    /// # Errors
    /// `WriteFailed`, and then what the path named is as it was; `BadProtection` where it may not be
    /// read.
    pub fn save(&self, path: &CStr) -> Result<(), SegmentError> {
        let _kept = ErrnoKept::new();
        image::save(self.id, path)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _kept = ErrnoKept::new();
        // It is there: nobody else has the handle.
        let _ = segment::delete(self.id);
    }
}

/// Base and limit of a segment, which nobody moves or resizes while this lives.
#[derive(Clone, Copy, Debug)]
pub struct SegmentRegisters<'a> {
    base: *mut u8,
    limit: usize,
    segment: PhantomData<&'a Segment>,
}

// SAFETY: two numbers, which lead nowhere by themselves.
unsafe impl Send for SegmentRegisters<'_> {}
// SAFETY: as above.
unsafe impl Sync for SegmentRegisters<'_> {}

impl SegmentRegisters<'_> {
    /// The address of `length` bytes from `offset` on; `None` where they are not all below the limit.
    #[inline(always)]
    pub fn translate(&self, offset: usize, length: usize) -> Option<NonNull<u8>> {
        // Law: no sum that could wrap.
        if length > self.limit || offset > self.limit - length {
            return None;
        }
        NonNull::new(self.base.wrapping_add(offset))
    }
}

/// A pointer within a segment that is right wherever the segment lies: the distance from itself. All
/// zero is null. It says where it leads by where it is, so a copy elsewhere leads elsewhere; and it
/// cannot lead to its own second byte. The layout is that of `glebe_offset_pointer`.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct OffsetPointer<T> {
    /// 0: null; 1: itself.
    distance: Cell<isize>,
    target: PhantomData<*mut T>,
}

impl<T> OffsetPointer<T> {
    /// Null.
    pub const fn null() -> OffsetPointer<T> {
        OffsetPointer {
            distance: Cell::new(0),
            target: PhantomData,
        }
    }

    /// Makes it lead to `target`.
    pub fn set(&self, target: *const T) {
        let distance = target.addr().wrapping_sub(core::ptr::from_ref(self).addr());
        self.distance.set(match (target.is_null(), distance) {
            (true, _) => 0,
            (_, 0) => 1,
            (_, distance) => distance.cast_signed(),
        });
    }

    /// Where it leads.
    pub fn get(&self) -> *mut T {
        let here = core::ptr::from_ref(self).addr();
        match self.distance.get() {
            0 => core::ptr::null_mut(),
            1 => here as *mut T,
            distance => here.wrapping_add_signed(distance) as *mut T,
        }
    }
}
