//! Addresses and the unit in which glebe divides the address space.
//!
//! A *page* is the kernel's (4 KiB on x86-64, read at run time). A *granule* is ours: 64 KiB,
//! aligned to its size, the smallest piece of address space that belongs to one purpose. A
//! *chunk* is 64 granules, 4 MiB, so that the state of its granules fits one word.

/// log2 of [`GRANULE_BYTES`].
pub(crate) const GRANULE_SHIFT: u32 = 16;
/// Bytes of a granule: a slab of 16-byte blocks then holds 4096, and the offset in it fits a
/// `u16`, which makes the check "is this the start of a block" one multiplication.
pub(crate) const GRANULE_BYTES: usize = 1 << GRANULE_SHIFT;
/// Granules in a chunk: the bits of one word.
pub(crate) const CHUNK_GRANULES: usize = 64;
/// Bytes of a chunk, 4 MiB.
pub(crate) const CHUNK_BYTES: usize = CHUNK_GRANULES * GRANULE_BYTES;
/// User addresses of x86-64 and aarch64 Linux lie below this unless a program asks for more.
pub(crate) const ADDRESS_LIMIT: usize = 1 << 47;

/// The number of a granule: address / 64 KiB. Fits 31 bits for every user address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub(crate) struct Granule(pub(crate) u32);

impl Granule {
    /// The granule that holds `address`; `None` beyond the user address space.
    #[inline(always)]
    pub(crate) fn of(address: usize) -> Option<Granule> {
        if address < ADDRESS_LIMIT {
            #[expect(clippy::cast_possible_truncation, reason = "47 - 16 = 31 bits")]
            Some(Granule((address >> GRANULE_SHIFT) as u32))
        } else {
            None
        }
    }

    /// Address of its first byte.
    #[inline(always)]
    pub(crate) fn address(self) -> usize {
        (self.0 as usize) << GRANULE_SHIFT
    }

    /// The granule `count` further on.
    #[inline(always)]
    pub(crate) fn plus(self, count: usize) -> Granule {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "spans end below 2^31 granules"
        )]
        Granule(self.0 + count as u32)
    }
}

/// Rounds up to a multiple of `unit`, a power of two; `None` on overflow.
#[inline(always)]
pub(crate) const fn round_up(bytes: usize, unit: usize) -> Option<usize> {
    match bytes.checked_add(unit - 1) {
        Some(sum) => Some(sum & !(unit - 1)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granule_of_rejects_addresses_beyond_user_space() {
        assert_eq!(Granule::of(ADDRESS_LIMIT), None);
        assert_eq!(Granule::of(usize::MAX), None);
        assert_eq!(Granule::of(GRANULE_BYTES + 1), Some(Granule(1)));
    }

    #[test]
    fn round_up_detects_overflow() {
        assert_eq!(round_up(1, 16), Some(16));
        assert_eq!(round_up(16, 16), Some(16));
        assert_eq!(round_up(usize::MAX, 16), None);
    }
}
