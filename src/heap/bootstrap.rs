//! Memory for whoever allocates before we are relocated or before thread-local storage exists:
//! IFUNC resolvers, and little else.
//!
//! Nothing here may call a libc function or read an address that needs relocation: both go
//! through our global offset table, which is still empty. Blocks are never reused, so they are
//! zero when issued; free forgets them. The side tables keep the sizes, so that no header stands
//! beside a block.

use crate::os::{cpu, mapping};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const ARENA_BYTES: usize = 256 << 10;
const UNIT_BYTES: usize = 16;
/// Requests beyond the arena get a mapping each; so many of them.
const MAPPINGS: usize = 64;

#[repr(C, align(4096))]
struct Arena(core::cell::UnsafeCell<[u8; ARENA_BYTES]>);

// SAFETY: the bytes belong to whoever was issued them; the arena itself only takes addresses.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(core::cell::UnsafeCell::new([0; ARENA_BYTES]));
static ARENA_USED: AtomicUsize = AtomicUsize::new(0);
/// Size of the block that starts at each unit, 0 for none.
static ARENA_SIZES: [AtomicU32; ARENA_BYTES / UNIT_BYTES] =
    [const { AtomicU32::new(0) }; ARENA_BYTES / UNIT_BYTES];
static MAPPED_AT: [AtomicUsize; MAPPINGS] = [const { AtomicUsize::new(0) }; MAPPINGS];
static MAPPED_BYTES: [AtomicUsize; MAPPINGS] = [const { AtomicUsize::new(0) }; MAPPINGS];
static MAPPINGS_USED: AtomicUsize = AtomicUsize::new(0);

fn arena_start() -> usize {
    ARENA.0.get() as usize
}

/// Allocates `bytes` of zeroes at a multiple of `alignment`, a power of two; 0 out of memory.
/// errno is not set: it cannot be reached yet.
#[cold]
pub(crate) fn allocate(bytes: usize, alignment: usize) -> usize {
    let bytes = if bytes == 0 { 1 } else { bytes };
    let alignment = if alignment < UNIT_BYTES {
        UNIT_BYTES
    } else {
        alignment
    };
    if bytes > isize::MAX as usize || alignment > isize::MAX as usize {
        return 0;
    }
    if bytes < ARENA_BYTES && alignment <= 4096 {
        let wanted = bytes + alignment;
        let offset = ARENA_USED.fetch_add(
            (wanted + UNIT_BYTES - 1) & !(UNIT_BYTES - 1),
            Ordering::Relaxed,
        );
        if offset < ARENA_BYTES && wanted <= ARENA_BYTES - offset {
            let address = (arena_start() + offset + alignment - 1) & !(alignment - 1);
            let unit = (address - arena_start()) / UNIT_BYTES;
            // SAFETY: the address lies within the arena. Unchecked: a panic's message would need
            // relocation.
            #[expect(clippy::cast_possible_truncation, reason = "below the arena's size")]
            unsafe { ARENA_SIZES.get_unchecked(unit) }.store(bytes as u32, Ordering::Relaxed);
            return address;
        }
    }
    map(bytes, alignment)
}

fn map(bytes: usize, alignment: usize) -> usize {
    let place = MAPPINGS_USED.fetch_add(1, Ordering::Relaxed);
    let Some(length) = bytes.checked_add(alignment) else {
        return 0;
    };
    if place >= MAPPINGS {
        return 0;
    }
    let mapped = mapping::map_before_relocation(length);
    if mapped == 0 {
        return 0;
    }
    let address = (mapped + alignment - 1) & !(alignment - 1);
    // SAFETY: `place` is within both tables.
    unsafe {
        MAPPED_BYTES
            .get_unchecked(place)
            .store(bytes, Ordering::Relaxed);
        MAPPED_AT
            .get_unchecked(place)
            .store(address, Ordering::Relaxed);
    }
    address
}

/// The size of the block at `address`, if it is one of the arena's.
#[cold]
pub(crate) fn block_bytes(address: usize) -> Option<usize> {
    let offset = address.wrapping_sub(arena_start());
    if offset < ARENA_BYTES {
        // SAFETY: within the table.
        let size = unsafe { ARENA_SIZES.get_unchecked(offset / UNIT_BYTES) };
        return match size.load(Ordering::Relaxed) {
            0 => None,
            bytes => Some(bytes as usize),
        };
    }
    let mut place = 0;
    while place < MAPPINGS {
        // SAFETY: within both tables.
        unsafe {
            if address != 0 && MAPPED_AT.get_unchecked(place).load(Ordering::Relaxed) == address {
                return Some(MAPPED_BYTES.get_unchecked(place).load(Ordering::Relaxed));
            }
        }
        place += 1;
    }
    None
}

/// Whether `address` lies in the arena or in a block mapped before relocation.
#[cold]
pub(crate) fn contains(address: usize) -> bool {
    if address.wrapping_sub(arena_start()) < ARENA_BYTES {
        return true;
    }
    MAPPED_AT.iter().zip(&MAPPED_BYTES).any(|(at, bytes)| {
        let start = at.load(Ordering::Relaxed);
        start != 0 && address.wrapping_sub(start) < bytes.load(Ordering::Relaxed)
    })
}

/// realloc before relocation.
#[cold]
pub(crate) fn reallocate(address: usize, bytes: usize) -> usize {
    let old_bytes = block_bytes(address).unwrap_or(0);
    let new = allocate(bytes, UNIT_BYTES);
    if new != 0 && address != 0 {
        let count = if old_bytes < bytes { old_bytes } else { bytes };
        // SAFETY: both blocks are at least `count` bytes and distinct.
        unsafe { cpu::raw_copy(address as *const u8, new as *mut u8, count) };
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_distinct_and_keep_their_contents_when_resized() {
        let first = allocate(24, 16);
        let second = allocate(1, 4096);
        assert!(first != 0 && second != 0 && second.is_multiple_of(4096));
        assert_eq!(block_bytes(first), Some(24));
        assert_eq!(block_bytes(first + 1000), None);
        // SAFETY: 24 bytes were issued.
        unsafe { core::ptr::write_bytes(first as *mut u8, 7, 24) };
        let moved = reallocate(first, 300 << 10);
        assert_eq!(
            block_bytes(moved),
            Some(300 << 10),
            "beyond the arena: a mapping"
        );
        // SAFETY: as above.
        let bytes = unsafe { core::slice::from_raw_parts(moved as *const u8, 25) };
        assert_eq!((bytes[0], bytes[23], bytes[24]), (7, 7, 0));
        assert_eq!(allocate(usize::MAX, 16), 0);
    }
}
