//! Segments: memory as a base, a limit and a protection. What a program knows is an offset; it is
//! checked against the limit, and added to the base. So a segment can lie anywhere, at another
//! place in each process, and move while the program holds nothing but offsets and its handle.
//!
//! ```text
//! base                 limit                     reserved
//!  | bytes of the segment | zero to the page's end | inaccessible |
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`image`] | segments saved to files, and loaded at another base |
//! | here | registers; creating, resizing, moving |

pub(crate) mod image;

use crate::base::address::round_up;
use crate::base::numbered_error::numbered_error;
use crate::os::errno::Errno;
use crate::os::file::File;
use crate::os::handle_table::{HandleTable, Handled};
use crate::os::mapping::{self, Protection};
use crate::os::paged_mapping;
use crate::os::process::page_bytes;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Segments at a time.
pub(crate) const PLACES: usize = 256;
/// Segments of this size and above begin at a multiple of it, so that the kernel moves them by
/// whole page tables.
const TABLE_BYTES: usize = 2 << 20;

numbered_error! {
    /// Why a call changed nothing; 0 in C is none of them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[non_exhaustive]
    #[repr(i32)]
    pub enum SegmentError {
        /// No segment, or one that was deleted.
        BadHandle = 1 => c"no such segment",
        /// A null pointer, a size of a structure that is too small, an unknown flag.
        BadArgument => c"bad argument",
        /// No bytes.
        ZeroSize => c"size is zero",
        /// A base that is no multiple of the page size.
        Unaligned => c"not aligned",
        /// Sizes or addresses whose sum wraps.
        Overflow => c"sizes overflow",
        /// Beyond the limit.
        Outside => c"beyond the limit",
        /// More than the segment's most bytes, or than can be reserved.
        TooLarge => c"too large",
        /// A base where something is mapped, or nothing may be.
        BadBase => c"no room at that base",
        /// An unknown protection, one that the descriptor does not permit, or one under which the
        /// segment cannot be read.
        BadProtection => c"bad protection",
        /// No shared memory or file, or shorter than the segment.
        BadFile => c"not memory that can be attached so",
        /// No image of a segment, or one of another version or byte order.
        BadImage => c"not the image of a segment",
        /// An image that is cut off or whose bytes have changed.
        Damaged => c"the image is damaged",
        /// 256 segments at a time.
        TooMany => c"too many segments",
        /// No memory, or no room for one more mapping.
        NoMemory => c"out of memory",
        /// The file could not be opened or read.
        ReadFailed => c"reading the file failed",
        /// The file could not be written; what was there before is still there.
        WriteFailed => c"writing the file failed",
    }
}

/// What a segment is asked to be. Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Its limit.
    pub(crate) bytes: usize,
    /// What it may be expanded to; 0: to its limit.
    pub(crate) most_bytes: usize,
    /// Where it shall lie; 0: anywhere.
    pub(crate) base: usize,
    /// What may be done with it.
    pub(crate) protection: Protection,
}

/// The registers of a place, which translations read: base and limit of its segment, both 0 where
/// there is none. The third word, the bytes reserved, is for maps of the process.
///
/// The base changes by relocation alone, the limit by expansion, contraction and deletion alone.
/// So of each the last value is right at any time, whatever the other is; and who translates while
/// another thread relocates gets one base or the other, as with any memory that moves.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Registers {
    base: AtomicUsize,
    limit: AtomicUsize,
    reserved_bytes: AtomicUsize,
}

impl Registers {
    /// The limit.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// The address of `bytes` bytes from `offset` on; `None` where they are not all below the
    /// limit.
    #[inline(always)]
    pub(crate) fn translate(&self, offset: usize, bytes: usize) -> Option<usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        // Law: no sum that could wrap.
        if bytes > limit || offset > limit - bytes {
            return None;
        }
        Some(self.base.load(Ordering::Relaxed).wrapping_add(offset))
    }
}

static REGISTERS: [Registers; PLACES] = [const {
    Registers {
        base: AtomicUsize::new(0),
        limit: AtomicUsize::new(0),
        reserved_bytes: AtomicUsize::new(0),
    }
}; PLACES];

/// For the map: where the registers are, [`REGISTER_WORDS`] words for each place.
pub(crate) const fn words() -> *const () {
    (&raw const REGISTERS).cast()
}

/// Words of a place's registers: base, limit, bytes reserved.
pub(crate) const REGISTER_WORDS: usize = size_of::<Registers>() / size_of::<usize>();

/// A segment that lives.
#[derive(Clone, Copy)]
struct Segment {
    base: usize,
    limit: usize,
    /// Bytes of address space; a multiple of the page size.
    reserved_bytes: usize,
    /// Bytes from the base on that are mapped from a file; a multiple of the page size.
    file_bytes: usize,
    is_shared: bool,
    protection: Protection,
}

static SEGMENTS: HandleTable<Segment, PLACES> = HandleTable::new();

/// A child has the segments of its parent: private ones as copies. One that another thread was
/// just changing is gone.
impl Handled for Segment {
    type Error = SegmentError;
    const BAD_HANDLE: SegmentError = SegmentError::BadHandle;
    const TOO_MANY: SegmentError = SegmentError::TooMany;
    const OUTLIVES_FORK: bool = true;

    fn forgotten(place: usize) {
        registers_of(place).limit.store(0, Ordering::Relaxed);
    }
}

/// The registers of a place of the table, which has as many.
fn registers_of(place: usize) -> &'static Registers {
    &REGISTERS[place % PLACES]
}

/// Calls `act` with the segment of a handle and its registers.
fn with<T>(
    handle: u64,
    act: impl FnOnce(&mut Segment, &'static Registers) -> Result<T, SegmentError>,
) -> Result<T, SegmentError> {
    SEGMENTS.with(handle, |place, segment| act(segment, registers_of(place)))
}

/// Gives the segment that `make` makes a handle, never 0.
fn admit(make: impl FnOnce() -> Result<Segment, SegmentError>) -> Result<u64, SegmentError> {
    SEGMENTS.admit(|place| {
        let segment = make()?;
        publish(&segment, registers_of(place));
        Ok(segment)
    })
}

fn publish(segment: &Segment, registers: &Registers) {
    registers
        .reserved_bytes
        .store(segment.reserved_bytes, Ordering::Relaxed);
    registers.base.store(segment.base, Ordering::Relaxed);
    registers.limit.store(segment.limit, Ordering::Relaxed);
}

fn pages(bytes: usize) -> Result<usize, SegmentError> {
    round_up(bytes, page_bytes()).ok_or(SegmentError::Overflow)
}

/// Checks a plan, and reserves its address space; its start and bytes.
fn reserve(plan: &Plan) -> Result<(usize, usize), SegmentError> {
    if plan.bytes == 0 {
        return Err(SegmentError::ZeroSize);
    }
    let most_bytes = if plan.most_bytes == 0 {
        plan.bytes
    } else {
        plan.most_bytes
    };
    if plan.bytes > most_bytes {
        return Err(SegmentError::TooLarge);
    }
    let bytes = pages(most_bytes)?;
    reserve_at(plan.base, bytes).map(|base| (base, bytes))
}

/// Reserves address space at `base`, or (0) where page tables can move whole.
fn reserve_at(base: usize, bytes: usize) -> Result<usize, SegmentError> {
    if !base.is_multiple_of(page_bytes()) {
        return Err(SegmentError::Unaligned);
    }
    if base.checked_add(bytes).is_none() {
        return Err(SegmentError::Overflow);
    }
    if base != 0 {
        return mapping::reserve_at(base, bytes).map_err(|error| match error {
            Errno(libc::ENOMEM) if bytes > mapping::MOST_BYTES => SegmentError::TooLarge,
            _ => SegmentError::BadBase,
        });
    }
    let alignment = if bytes >= TABLE_BYTES {
        TABLE_BYTES
    } else {
        page_bytes()
    };
    mapping::reserve_aligned(bytes, alignment).ok_or(SegmentError::TooLarge)
}

/// Creates a private segment of zeroes; its handle.
pub(crate) fn create(plan: &Plan) -> Result<u64, SegmentError> {
    admit(|| {
        let (base, reserved_bytes) = reserve(plan)?;
        mapping::name(base, reserved_bytes, c"glebe segment");
        if !mapping::protect(base, pages(plan.bytes)?, plan.protection) {
            mapping::unmap(base, reserved_bytes);
            return Err(SegmentError::NoMemory);
        }
        Ok(Segment {
            base,
            limit: plan.bytes,
            reserved_bytes,
            file_bytes: 0,
            is_shared: false,
            protection: plan.protection,
        })
    })
}

/// Attaches the shared memory or file `descriptor`, which may be closed afterwards: what is written
/// is seen by all who attach it, each at a base of its own. Its handle. The plan's most bytes are
/// what there is; its bytes may be 0 for all of that.
pub(crate) fn attach(descriptor: i32, plan: &Plan) -> Result<u64, SegmentError> {
    let access = paged_mapping::access(descriptor).ok_or(SegmentError::BadFile)?;
    if !access.reads {
        return Err(SegmentError::BadFile);
    }
    if plan.protection == Protection::ReadWrite && !access.writes {
        return Err(SegmentError::BadProtection);
    }
    let file = File::from_word(descriptor as usize);
    let there = file.bytes().map_err(|_| SegmentError::BadFile)?;
    let there = usize::try_from(there).map_err(|_| SegmentError::TooLarge)?;
    let bytes = if plan.bytes == 0 { there } else { plan.bytes };
    if bytes > there || plan.most_bytes > there {
        return Err(SegmentError::BadFile);
    }
    admit(|| {
        let whole = Plan {
            bytes,
            most_bytes: there,
            ..*plan
        };
        let (base, reserved_bytes) = reserve(&whole)?;
        let usable = pages(bytes)?;
        let mapped = mapping::map_file_over(base, reserved_bytes, file, 0, true)
            && mapping::protect(base, reserved_bytes, Protection::None)
            && mapping::protect(base, usable, plan.protection);
        if !mapped {
            mapping::unmap(base, reserved_bytes);
            return Err(SegmentError::NoMemory);
        }
        Ok(Segment {
            base,
            limit: bytes,
            reserved_bytes,
            file_bytes: reserved_bytes,
            is_shared: true,
            protection: plan.protection,
        })
    })
}

/// Deletes a segment; its memory goes.
pub(crate) fn delete(handle: u64) -> Result<(), SegmentError> {
    SEGMENTS.remove(handle, |place, segment| {
        let registers = registers_of(place);
        registers.limit.store(0, Ordering::Relaxed);
        registers.base.store(0, Ordering::Relaxed);
        registers.reserved_bytes.store(0, Ordering::Relaxed);
        mapping::unmap(segment.base, segment.reserved_bytes);
        Ok(())
    })
}

/// The registers of a segment, which stay where they are as long as the segment lives.
pub(crate) fn registers(handle: u64) -> Result<&'static Registers, SegmentError> {
    with(handle, |_, registers| Ok(registers))
}

/// The address of `bytes` bytes from `offset` on.
pub(crate) fn translate(handle: u64, offset: usize, bytes: usize) -> Result<usize, SegmentError> {
    with(handle, |_, registers| {
        let address = registers.translate(offset, bytes);
        address.ok_or(SegmentError::Outside)
    })
}

/// Makes the limit `bytes`. What comes in is zero (of a shared segment what is there); what goes is
/// lost (of a shared segment it stays with the others).
pub(crate) fn set_limit(handle: u64, bytes: usize, grows: bool) -> Result<(), SegmentError> {
    with(handle, |segment, registers| {
        if bytes == 0 {
            return Err(SegmentError::ZeroSize);
        }
        if grows && bytes < segment.limit || !grows && bytes > segment.limit {
            return Err(SegmentError::BadArgument);
        }
        if bytes > segment.reserved_bytes {
            return Err(SegmentError::TooLarge);
        }
        let (usable, wanted) = (pages(segment.limit)?, pages(bytes)?);
        if grows {
            let start = segment.base + usable;
            if wanted > usable && !mapping::protect(start, wanted - usable, segment.protection) {
                return Err(SegmentError::NoMemory);
            }
        } else {
            segment.forget_behind(bytes, wanted, usable)?;
        }
        segment.limit = bytes;
        registers.limit.store(bytes, Ordering::Relaxed);
        Ok(())
    })
}

impl Segment {
    /// Takes what lies from byte `limit` up to `usable` away: whole pages from `kept` on, and the
    /// rest of the last page by zeroing it.
    fn forget_behind(
        &mut self,
        limit: usize,
        kept: usize,
        usable: usize,
    ) -> Result<(), SegmentError> {
        if self.is_shared {
            let hidden = usable == kept
                || mapping::protect(self.base + kept, usable - kept, Protection::None);
            return hidden.then_some(()).ok_or(SegmentError::NoMemory);
        }
        let rest = self.base + limit..self.base + kept;
        let must_be_writable = !rest.is_empty() && self.protection != Protection::ReadWrite;
        let last_page = self.base + kept - page_bytes();
        if must_be_writable && !mapping::protect(last_page, page_bytes(), Protection::ReadWrite) {
            return Err(SegmentError::NoMemory);
        }
        if usable > kept && !mapping::reserve_again(self.base + kept, usable - kept) {
            if must_be_writable {
                mapping::protect(last_page, page_bytes(), self.protection);
            }
            return Err(SegmentError::NoMemory);
        }
        // SAFETY: within the segment's last page, which is writable; behind the limit nobody has
        // anything.
        unsafe { (rest.start as *mut u8).write_bytes(0, rest.len()) };
        if must_be_writable {
            mapping::protect(last_page, page_bytes(), self.protection);
        }
        self.file_bytes = self.file_bytes.min(kept);
        Ok(())
    }
}

/// Sets what may be done with the segment.
pub(crate) fn protect(handle: u64, protection: Protection) -> Result<(), SegmentError> {
    with(handle, |segment, _| {
        let usable = pages(segment.limit)?;
        if !mapping::protect(segment.base, usable, protection) {
            // A descriptor that was not open for writing cannot be written to by this way either.
            let refused = segment.is_shared && protection == Protection::ReadWrite;
            return Err(if refused {
                SegmentError::BadProtection
            } else {
                SegmentError::NoMemory
            });
        }
        segment.protection = protection;
        Ok(())
    })
}

/// Moves the segment to `base`, or (0) to another place, without copying: the kernel moves the
/// pages, and where both places are congruent to 2 MiB whole page tables. Where it lies now.
pub(crate) fn relocate(handle: u64, base: usize) -> Result<usize, SegmentError> {
    with(handle, |segment, registers| {
        let target = reserve_at(base, segment.reserved_bytes)?;
        mapping::name(target, segment.reserved_bytes, c"glebe segment");
        let usable = pages(segment.limit)?;
        let file_bytes = segment.file_bytes;
        // A file's part and the rest are mappings of their own to the kernel; so is what of shared
        // memory lies behind the limit.
        let end = if segment.is_shared {
            segment.reserved_bytes
        } else {
            usable
        };
        let pieces = [
            (0, file_bytes.min(usable)),
            (file_bytes.min(usable), usable),
            (usable, end),
        ];
        for (number, (from, to)) in pieces.into_iter().enumerate() {
            if from < to && !mapping::move_over(segment.base + from, target + from, to - from) {
                // Back again; then all is as it was.
                for (from, to) in pieces.into_iter().take(number) {
                    if from < to {
                        mapping::move_over(target + from, segment.base + from, to - from);
                    }
                }
                mapping::unmap(target, segment.reserved_bytes);
                return Err(SegmentError::NoMemory);
            }
        }
        mapping::unmap(segment.base, segment.reserved_bytes);
        segment.base = target;
        registers.base.store(target, Ordering::Relaxed);
        Ok(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        bytes: 10_000,
        most_bytes: 1 << 20,
        base: 0,
        protection: Protection::ReadWrite,
    };

    #[test]
    fn no_range_that_leaves_the_limit_is_translated() {
        let handle = create(&PLAN).expect("memory");
        let registers = registers(handle).expect("it lives");
        let base = registers.translate(0, 0).expect("within");
        for (offset, bytes, inside) in [
            (0, 10_000, true),
            (9_999, 1, true),
            (10_000, 0, true),
            (10_001, 0, false),
            (0, 10_001, false),
            (9_999, 2, false),
            (usize::MAX, 2, false),
            (2, usize::MAX, false),
            (usize::MAX, usize::MAX, false),
        ] {
            let address = registers.translate(offset, bytes);
            assert_eq!(address, inside.then(|| base + offset), "{offset} {bytes}");
            assert_eq!(translate(handle, offset, bytes).ok(), address);
        }
        assert_eq!(delete(handle), Ok(()));
        assert_eq!(registers.translate(0, 1), None);
        assert_eq!(delete(handle), Err(SegmentError::BadHandle));
    }

    #[test]
    fn what_comes_in_is_zero_whatever_went_before_and_wherever_the_segment_moved() {
        let handle = create(&PLAN).expect("memory");
        let registers = registers(handle).expect("it lives");
        let bytes = |from: usize, to: usize| {
            let start = registers.translate(from, to - from).expect("within");
            // SAFETY: this test's alone, and moved by it alone.
            unsafe { core::slice::from_raw_parts_mut(start as *mut u8, to - from) }
        };
        for limit in [100, 5000, 4096, 1 << 20, 1, 4097, 12_288] {
            let now = registers.limit.load(Ordering::Relaxed);
            assert_eq!(set_limit(handle, limit, limit >= now), Ok(()));
            if limit > now {
                assert!(bytes(now, limit).iter().all(|byte| *byte == 0));
            }
            bytes(0, limit).fill(0xa5);
            relocate(handle, 0).expect("room");
            assert!(bytes(0, limit).iter().all(|byte| *byte == 0xa5));
        }
        assert_eq!(delete(handle), Ok(()));
    }
}
