//! A data section for the program: one private, contiguous range of bytes that grows and shrinks
//! at its end, with the contract of sbrk(2) and brk(2). The program break itself is the heap's, so
//! this one lies elsewhere: in address space that is reserved at the first call and made usable
//! page by page, where no mapping can come in its way.
//!
//! ```text
//! base                    end            reserved
//!  |  the program's bytes  |  inaccessible  |
//! ```
//!
//! Bytes that come in are zero, whatever was there before. A child after fork has a section of its
//! own, with the same bytes.

use crate::base::address::round_up;
use crate::os::futex::{Mutex, MutexGuard};
use crate::os::mapping;
use crate::os::process::{SignalsBlocked, address_space_limit, page_bytes};
use crate::os::wiped_word::ForkRecovery;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Address space that is reserved where the process may have so much.
const MOST_BYTES: usize = 64 << 30;
/// With less than this there is no section.
const LEAST_BYTES: usize = 1 << 20;
/// Of the address space that the process may have, the section reserves one part in so many.
const SHARE_OF_LIMIT: usize = 8;

/// Why a call changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DataSectionError {
    /// The end would lie before the section's base.
    BelowBase,
    /// The end would lie beyond the address space that is reserved for the section, or the
    /// increment overflows.
    BeyondReserve,
    /// The kernel refuses: no memory, or the limit RLIMIT_DATA or RLIMIT_AS.
    NoMemory,
}

impl core::fmt::Display for DataSectionError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            DataSectionError::BelowBase => "before the data section's base",
            DataSectionError::BeyondReserve => "beyond what is reserved for the data section",
            DataSectionError::NoMemory => "no memory for the data section",
        })
    }
}

impl core::error::Error for DataSectionError {}

/// The section, in words that may be read from outside the process. All zero: not reserved.
#[repr(C)]
pub(crate) struct DataSection {
    /// Address of the first byte, a multiple of the page size.
    base: AtomicUsize,
    /// Bytes of address space from there on.
    reserved_bytes: AtomicUsize,
    /// Address behind the last byte that is in use.
    end: AtomicUsize,
}

static SECTION: DataSection = DataSection {
    base: AtomicUsize::new(0),
    reserved_bytes: AtomicUsize::new(0),
    end: AtomicUsize::new(0),
};

/// For the map: where the words are.
pub(crate) const fn words() -> *const () {
    (&raw const SECTION).cast()
}

/// Held by whoever moves the end.
static MOVING: Mutex<()> = Mutex::new(());

static FORK: ForkRecovery = ForkRecovery::new();

/// Moves the end by `bytes`, which may be negative; the end before.
pub(crate) fn move_by(bytes: isize) -> Result<usize, DataSectionError> {
    let _blocked = SignalsBlocked::new();
    let moving = prepare()?;
    let end = SECTION.end.load(Ordering::Relaxed);
    let outside = if bytes < 0 {
        DataSectionError::BelowBase
    } else {
        DataSectionError::BeyondReserve
    };
    let new_end = end.checked_add_signed(bytes).ok_or(outside)?;
    move_to(new_end, &moving)?;
    Ok(end)
}

/// Moves the end to `new_end`.
pub(crate) fn set_end(new_end: usize) -> Result<(), DataSectionError> {
    let _blocked = SignalsBlocked::new();
    let moving = prepare()?;
    move_to(new_end, &moving)
}

/// The lock, with the section reserved.
fn prepare() -> Result<MutexGuard<'static, ()>, DataSectionError> {
    FORK.notice(recover)?;
    let moving = MOVING.lock();
    if SECTION.base.load(Ordering::Relaxed) == 0 {
        reserve()?;
    }
    Ok(moving)
}

/// In a child after fork: a thread that is not in it may have held the lock, and may have stopped
/// half way through a contraction: the end was moved, what lay behind it is there.
fn recover() -> Result<(), DataSectionError> {
    // SAFETY: whoever held it is not in this process, and who is waits for the recovery.
    unsafe { MOVING.raw() }.reset();
    forget_behind_end(SECTION.end.load(Ordering::Relaxed), reserved_end())
}

fn reserved_end() -> usize {
    SECTION.base.load(Ordering::Relaxed) + SECTION.reserved_bytes.load(Ordering::Relaxed)
}

fn reserve() -> Result<(), DataSectionError> {
    let limit = address_space_limit();
    let mut bytes = MOST_BYTES;
    while bytes > limit / SHARE_OF_LIMIT && bytes > LEAST_BYTES {
        bytes /= 2;
    }
    let base = loop {
        if let Some(base) = mapping::reserve(bytes) {
            break base;
        }
        bytes /= 2;
        if bytes < LEAST_BYTES {
            return Err(DataSectionError::NoMemory);
        }
    };
    mapping::name(base, bytes, c"glebe data section");
    SECTION.reserved_bytes.store(bytes, Ordering::Relaxed);
    SECTION.end.store(base, Ordering::Relaxed);
    SECTION.base.store(base, Ordering::Relaxed);
    FORK.arm();
    Ok(())
}

/// The first page boundary at or behind an address of the section.
fn page_end(address: usize) -> usize {
    // Law: the reservation ends at a page boundary, so rounding up stays in it.
    round_up(address, page_bytes()).unwrap_or(address)
}

fn move_to(new_end: usize, _moving: &MutexGuard<'static, ()>) -> Result<(), DataSectionError> {
    let end = SECTION.end.load(Ordering::Relaxed);
    if new_end < SECTION.base.load(Ordering::Relaxed) {
        return Err(DataSectionError::BelowBase);
    }
    if new_end > reserved_end() {
        return Err(DataSectionError::BeyondReserve);
    }
    let (usable, wanted) = (page_end(end), page_end(new_end));
    if wanted > usable && !mapping::make_usable(usable, wanted - usable) {
        return Err(DataSectionError::NoMemory);
    }
    // Moved before what lies behind it goes: a child that is forked between the two finds pages
    // to forget, and not an end that it cannot reach.
    SECTION.end.store(new_end, Ordering::Relaxed);
    if new_end < end
        && let Err(refused) = forget_behind_end(new_end, usable)
    {
        SECTION.end.store(end, Ordering::Relaxed);
        return Err(refused);
    }
    Ok(())
}

/// Takes what lies from `end` up to the page boundary `usable` away: whole pages from the process,
/// the rest of the last page by zeroing it. On an error all is as it was.
fn forget_behind_end(end: usize, usable: usize) -> Result<(), DataSectionError> {
    let kept = page_end(end);
    if usable > kept && !mapping::reserve_again(kept, usable - kept) {
        return Err(DataSectionError::NoMemory);
    }
    // SAFETY: the page of `end` is usable up to `kept` unless that is where `end` is, and by
    // contract the program keeps it writable; nobody uses what is behind the end.
    unsafe { (end as *mut u8).write_bytes(0, kept - end) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex as TestMutex;

    /// The section is one for the process.
    static ONE_AT_A_TIME: TestMutex<()> = TestMutex::new(());

    #[test]
    fn the_end_moves_by_what_is_asked_and_what_comes_in_is_zero() {
        let _alone = ONE_AT_A_TIME.lock();
        let start = move_by(0).expect("address space");
        for bytes in [1, 4095, 4096, 4097, 100_000, 3 << 20] {
            assert_eq!(move_by(bytes), Ok(start));
            // SAFETY: the section reaches so far, and is this test's alone.
            let section =
                unsafe { core::slice::from_raw_parts_mut(start as *mut u8, bytes as usize) };
            assert!(section.iter().all(|byte| *byte == 0));
            section.fill(0xff);
            assert_eq!(move_by(-bytes), Ok(start + bytes as usize));
            assert_eq!(move_by(0), Ok(start));
        }
    }

    #[test]
    fn an_end_outside_the_section_is_refused_and_nothing_moves() {
        let _alone = ONE_AT_A_TIME.lock();
        let end = move_by(10).expect("address space") + 10;
        let base = SECTION.base.load(Ordering::Relaxed);
        let reserved = SECTION.reserved_bytes.load(Ordering::Relaxed);
        let below = Err(DataSectionError::BelowBase);
        let beyond = Err(DataSectionError::BeyondReserve);
        assert_eq!(set_end(base - 1), below);
        assert_eq!(set_end(0), below);
        assert_eq!(set_end(base + reserved + 1), beyond);
        assert_eq!(set_end(usize::MAX), beyond);
        assert_eq!(move_by(isize::MIN), below.map(|()| 0));
        assert_eq!(move_by(isize::MAX), beyond.map(|()| 0));
        assert_eq!(move_by(-10), Ok(end));
    }
}
