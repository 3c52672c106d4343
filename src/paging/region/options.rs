//! What a region is asked to be, and whether it can be that.

use super::super::page_table::PAGE_BYTES;
use crate::base::address::round_up;
use crate::base::numbered_error::numbered_error;
use core::ffi::c_int;

numbered_error! {
    /// Why a call changed nothing; 0 in C is none of them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[non_exhaustive]
    #[repr(i32)]
    pub enum RegionError {
        /// No region, one that was deleted, or one of another process.
        BadHandle = 1 => c"no such region",
        /// A null pointer, a size of a structure that is too small, an unknown flag or option.
        BadArgument => c"bad argument",
        /// No bytes.
        ZeroSize => c"size is zero",
        /// An address, size or offset that is no multiple of what it must be one of.
        Unaligned => c"not aligned",
        /// An address and a size, or an offset and a size, whose sum wraps.
        Overflow => c"address and size overflow",
        /// A range that is not within the region.
        Outside => c"not within the region",
        /// More than the region's most bytes, or than can be reserved.
        TooLarge => c"too large",
        /// A base where something is mapped, or nothing may be.
        BadBase => c"no room at that base",
        /// A page size that is no power of two from 4 KiB to 2 MiB.
        BadPageSize => c"bad page size",
        /// A budget below 8 pages.
        BadBudget => c"budget below 8 pages",
        /// An unknown protection, or a writable one in a read-only region.
        BadProtection => c"bad protection",
        /// A call that this kind of region does not have.
        WrongKind => c"not for this kind of region",
        /// No regular file or shared memory, or not open for that.
        BadFile => c"not a file that can be used so",
        /// A section beyond the file's end.
        FileTooShort => c"file too short",
        /// Pages that would go are pinned.
        Pinned => c"pages are pinned",
        /// A page is not pinned.
        NotPinned => c"page is not pinned",
        /// So many pinned pages leave none to work with.
        NoRoom => c"too much is pinned",
        /// Too many regions, or pins of a page.
        TooMany => c"too many",
        /// No memory, or no thread.
        NoMemory => c"out of memory",
        /// The kernel has no userfaultfd, or does not permit it.
        NoUserfault => c"userfaultfd is not to be had",
        /// The file could not be read.
        ReadFailed => c"reading the file failed",
        /// The file could not be written; the data stays in memory, dirty.
        WriteFailed => c"writing the file failed",
    }
}

/// The file is made as long as the section.
pub(super) const GROWS_FILE: c_int = 1;
/// Writes fault.
pub(super) const READ_ONLY: c_int = 2;

/// What a region is asked to be: `glebe_region_options` of the header, where the fields are
/// explained. Sizes in bytes; 0 is the default throughout.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(
    missing_docs,
    reason = "explained in the header and on the methods of `abi::region`"
)]
pub struct RawOptions {
    pub struct_size: usize,
    pub size: usize,
    pub most_size: usize,
    pub budget: usize,
    pub page_size: usize,
    pub base: usize,
    pub file_offset: u64,
    pub prefetch_size: usize,
    pub kind: c_int,
    pub file: c_int,
    pub flags: c_int,
    pub prefetch: c_int,
    pub eviction: c_int,
    pub reserved: c_int,
}

/// What a region's memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Zeroes at first.
    Anonymous,
    /// A section of a file.
    File,
    /// Shared memory.
    Shared,
}

/// Which unit leaves first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Eviction {
    /// The oldest, but what was wanted back soon stays longer.
    Adaptive,
    /// The oldest.
    Fifo,
    /// The newest but some.
    Newest,
}

/// Units of a budget that must not be pinned: an instruction may need several at once, and each
/// must stay until it has all of them.
pub(super) const LEAST_UNITS: usize = 8;

const LARGEST_UNIT: usize = 2 << 20;
/// The most that a region may reserve: units are numbered by 32 bits, with some to spare.
const MOST_BYTES: usize = 1 << 43;
const DEFAULT_AHEAD: usize = 1 << 20;
const MOST_AHEAD: usize = 4 << 20;

/// Options that make sense. A *unit* is what comes and goes together: a page of the region's page
/// size, which is one or more of the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// Where it shall lie; 0 is anywhere.
    pub(super) base: usize,
    /// How long it is.
    pub(super) bytes: usize,
    /// How long it may become, in whole units.
    pub(super) most_bytes: usize,
    /// Units that may be in memory.
    pub(super) budget: usize,
    /// Bytes of a unit.
    pub(super) unit_bytes: usize,
    /// What it is.
    pub(super) kind: Kind,
    /// Descriptor of the file or shared memory; -1 where there is none.
    pub(super) file: i32,
    /// Where in it the region begins.
    pub(super) file_offset: u64,
    /// Whether the file grows with the region.
    pub(super) grows_file: bool,
    /// Whether nobody may write.
    pub(super) read_only: bool,
    /// Units brought in ahead of a stream at most; 0 is none.
    pub(super) ahead: usize,
    /// Which unit leaves first.
    pub(super) eviction: Eviction,
}

impl RawOptions {
    /// The plan that they make.
    pub(super) fn plan(&self) -> Result<Plan, RegionError> {
        let kind = match self.kind {
            0 => Kind::Anonymous,
            1 => Kind::File,
            2 => Kind::Shared,
            _ => return Err(RegionError::BadArgument),
        };
        let eviction = match self.eviction {
            0 => Eviction::Adaptive,
            1 => Eviction::Fifo,
            2 => Eviction::Newest,
            _ => return Err(RegionError::BadArgument),
        };
        if self.flags & !(GROWS_FILE | READ_ONLY) != 0
            || !(0..=1).contains(&self.prefetch)
            || self.reserved != 0
        {
            return Err(RegionError::BadArgument);
        }
        let (grows_file, read_only) = (self.flags & GROWS_FILE != 0, self.flags & READ_ONLY != 0);
        if kind == Kind::Anonymous && (grows_file || self.file_offset != 0)
            || grows_file && read_only
        {
            return Err(RegionError::WrongKind);
        }
        let unit_bytes = match self.page_size {
            0 => PAGE_BYTES,
            bytes => bytes,
        };
        if !unit_bytes.is_power_of_two() || !(PAGE_BYTES..=LARGEST_UNIT).contains(&unit_bytes) {
            return Err(RegionError::BadPageSize);
        }
        if self.size == 0 {
            return Err(RegionError::ZeroSize);
        }
        let aligned = |bytes: usize, to: usize| bytes.is_multiple_of(to);
        if kind != Kind::File && !aligned(self.size, unit_bytes)
            || !aligned(self.most_size, unit_bytes)
            || !aligned(self.base, PAGE_BYTES)
            || !self.file_offset.is_multiple_of(PAGE_BYTES as u64)
        {
            return Err(RegionError::Unaligned);
        }
        let long = round_up(self.size, unit_bytes).ok_or(RegionError::Overflow)?;
        let most_bytes = if self.most_size == 0 {
            long
        } else {
            self.most_size
        };
        if long > most_bytes || most_bytes > MOST_BYTES {
            // A base so high that the end wraps is the graver mistake.
            return Err(match self.base.checked_add(most_bytes) {
                Some(_) => RegionError::TooLarge,
                None => RegionError::Overflow,
            });
        }
        let file_end = self.file_offset.checked_add(most_bytes as u64);
        if self.base.checked_add(most_bytes).is_none()
            || file_end.is_none_or(|end| i64::try_from(end).is_err())
        {
            return Err(RegionError::Overflow);
        }
        let budget = self.budget / unit_bytes;
        if budget < LEAST_UNITS {
            return Err(RegionError::BadBudget);
        }
        let ahead = match self.prefetch_size {
            0 => (DEFAULT_AHEAD / unit_bytes).max(1),
            bytes => (bytes.min(MOST_AHEAD) / unit_bytes).max(1),
        };
        Ok(Plan {
            base: self.base,
            bytes: self.size,
            most_bytes,
            budget: budget.min(MOST_BYTES / unit_bytes),
            unit_bytes,
            kind,
            file: if kind == Kind::Anonymous {
                -1
            } else {
                self.file
            },
            file_offset: self.file_offset,
            grows_file,
            read_only,
            ahead: if self.prefetch == 1 { 0 } else { ahead },
            eviction,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: RawOptions = RawOptions {
        struct_size: size_of::<RawOptions>(),
        size: 1 << 24,
        most_size: 0,
        budget: 1 << 20,
        page_size: 1 << 16,
        base: 0,
        file_offset: 0,
        prefetch_size: 0,
        kind: 0,
        file: -1,
        flags: 0,
        prefetch: 0,
        eviction: 0,
        reserved: 0,
    };

    #[test]
    fn errors_have_the_numbers_of_the_header() {
        assert_eq!(RegionError::BadHandle as i32, 1);
        assert_eq!(RegionError::TooLarge as i32, 7);
        assert_eq!(RegionError::WriteFailed as i32, 22);
    }

    #[test]
    fn good_options_make_a_plan() {
        let plan = GOOD.plan().expect("good");
        assert_eq!(
            (plan.budget, plan.ahead, plan.most_bytes),
            (16, 16, 1 << 24)
        );
        let odd = RawOptions {
            kind: 1,
            size: 100_001,
            ..GOOD
        };
        assert_eq!(odd.plan().expect("good").most_bytes, 2 << 16);
    }

    #[test]
    fn each_bad_option_has_its_error() {
        use RegionError::*;
        let bad = [
            (RawOptions { kind: 3, ..GOOD }, BadArgument),
            (RawOptions { kind: -1, ..GOOD }, BadArgument),
            (
                RawOptions {
                    eviction: 3,
                    ..GOOD
                },
                BadArgument,
            ),
            (
                RawOptions {
                    prefetch: 2,
                    ..GOOD
                },
                BadArgument,
            ),
            (RawOptions { flags: 4, ..GOOD }, BadArgument),
            (
                RawOptions {
                    reserved: 1,
                    ..GOOD
                },
                BadArgument,
            ),
            (RawOptions { flags: 1, ..GOOD }, WrongKind),
            (
                RawOptions {
                    flags: 3,
                    kind: 1,
                    ..GOOD
                },
                WrongKind,
            ),
            (
                RawOptions {
                    file_offset: 4096,
                    ..GOOD
                },
                WrongKind,
            ),
            (
                RawOptions {
                    page_size: 2048,
                    ..GOOD
                },
                BadPageSize,
            ),
            (
                RawOptions {
                    page_size: 12288,
                    ..GOOD
                },
                BadPageSize,
            ),
            (
                RawOptions {
                    page_size: 4 << 20,
                    ..GOOD
                },
                BadPageSize,
            ),
            (RawOptions { size: 0, ..GOOD }, ZeroSize),
            (RawOptions { size: 4096, ..GOOD }, Unaligned),
            (RawOptions { base: 4097, ..GOOD }, Unaligned),
            (
                RawOptions {
                    most_size: (1 << 24) + 1,
                    ..GOOD
                },
                Unaligned,
            ),
            (
                RawOptions {
                    kind: 1,
                    file_offset: 1,
                    ..GOOD
                },
                Unaligned,
            ),
            (
                RawOptions {
                    size: 1 << 44,
                    ..GOOD
                },
                TooLarge,
            ),
            (
                RawOptions {
                    most_size: 1 << 20,
                    ..GOOD
                },
                TooLarge,
            ),
            (
                RawOptions {
                    base: usize::MAX - 4095,
                    ..GOOD
                },
                Overflow,
            ),
            (
                RawOptions {
                    kind: 1,
                    size: usize::MAX,
                    ..GOOD
                },
                Overflow,
            ),
            (
                RawOptions {
                    kind: 1,
                    file_offset: u64::MAX - 4095,
                    ..GOOD
                },
                Overflow,
            ),
            (
                RawOptions {
                    budget: (8 << 16) - 1,
                    ..GOOD
                },
                BadBudget,
            ),
        ];
        for (options, error) in bad {
            assert_eq!(options.plan(), Err(error), "{options:?}");
        }
    }
}
