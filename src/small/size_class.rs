//! Size classes: every 16 bytes up to 128, then eight to each doubling up to 32 KiB, so that a
//! block is at most 12.5 % larger than what was asked for.

use crate::base::address::GRANULE_BYTES;

/// Number of classes.
pub(crate) const CLASSES: usize = 72;
/// The largest block in a slab, bytes. Above it an object has a span of its own, where only the
/// pages that are touched cost memory and no block of a neighbour keeps them resident.
pub(crate) const SLAB_MAX_BYTES: usize = 32 << 10;
/// The most blocks in a slab.
pub(crate) const SLAB_MOST_BLOCKS: usize = GRANULE_BYTES / 16;
/// The largest size that the fast path finds by a table of 16-byte steps.
pub(crate) const DIRECT_MAX_BYTES: usize = 1024;
/// Entries of that table: sizes 0, 1-16, 17-32, …
pub(crate) const DIRECT_ENTRIES: usize = DIRECT_MAX_BYTES / 16 + 1;

/// The number of a class, 0 to [`CLASSES`] - 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub(crate) struct SizeClass(u8);

impl SizeClass {
    /// The class with number `number`, which is below [`CLASSES`].
    #[inline(always)]
    pub(crate) const fn new(number: usize) -> SizeClass {
        debug_assert!(number < CLASSES);
        #[expect(clippy::cast_possible_truncation, reason = "below 72")]
        SizeClass(number as u8)
    }

    /// The smallest class whose blocks hold `bytes`; `None` above [`SLAB_MAX_BYTES`].
    #[inline]
    pub(crate) const fn holding(bytes: usize) -> Option<SizeClass> {
        if bytes > SLAB_MAX_BYTES {
            return None;
        }
        if bytes <= 128 {
            let steps = bytes.div_ceil(16);
            return Some(SizeClass::new(if steps == 0 { 0 } else { steps - 1 }));
        }
        let last = bytes - 1;
        let doubling = last.ilog2();
        let eighth = (last >> (doubling - 3)) & 7;
        Some(SizeClass::new(8 + (doubling as usize - 7) * 8 + eighth))
    }

    /// The smallest class whose blocks hold `bytes` and all start at multiples of `alignment`, a
    /// power of two; `None` where only a span of its own will do. A slab starts at a multiple of
    /// 64 KiB, so blocks are aligned to what divides their size.
    pub(crate) fn holding_aligned(bytes: usize, alignment: usize) -> Option<SizeClass> {
        let mut class = SizeClass::holding(bytes.max(alignment))?;
        while !class.block_bytes().is_multiple_of(alignment) {
            class = SizeClass::new(class.number() + 1);
        }
        Some(class)
    }

    /// Its number.
    #[inline(always)]
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }

    /// Bytes of its blocks.
    #[inline(always)]
    pub(crate) const fn block_bytes(self) -> usize {
        /// By class: shifts otherwise.
        const BYTES: [u16; CLASSES] = {
            let mut bytes = [0; CLASSES];
            let mut number = 0;
            while number < CLASSES {
                #[expect(clippy::cast_possible_truncation, reason = "at most 32 KiB")]
                let block_bytes = if number < 8 {
                    16 * (number + 1)
                } else {
                    let base = 128 << ((number - 8) / 8);
                    base + base / 8 * ((number - 8) % 8 + 1)
                } as u16;
                bytes[number] = block_bytes;
                number += 1;
            }
            bytes
        };
        debug_assert!(self.number() < CLASSES);
        // SAFETY: a class has a number below CLASSES.
        (unsafe { *BYTES.as_ptr().add(self.number()) }) as usize
    }

    /// Granules of its slabs: as few as hold 8 blocks.
    pub(crate) const fn slab_granules(self) -> u32 {
        match self.block_bytes() {
            0..=0x2000 => 1,
            0x2001..=0x4000 => 2,
            _ => 4,
        }
    }

    /// Blocks in a slab.
    pub(crate) const fn slab_blocks(self) -> u32 {
        /// By class: a division otherwise.
        const BLOCKS: [u16; CLASSES] = {
            let mut blocks = [0; CLASSES];
            let mut number = 0;
            while number < CLASSES {
                let class = SizeClass::new(number);
                let bytes = class.slab_granules() as usize * GRANULE_BYTES;
                #[expect(clippy::cast_possible_truncation, reason = "at most 4096")]
                let count = (bytes / class.block_bytes()) as u16;
                blocks[number] = count;
                number += 1;
            }
            blocks
        };
        BLOCKS[self.number()] as u32
    }

    /// ceil(2^32 / block size). For an offset n and a block size d below 2^16, d divides n iff
    /// n * divisor mod 2^32 < divisor (Lemire, Kaser, Kurz: "Faster remainder by direct
    /// computation", 2019).
    #[inline(always)]
    pub(crate) const fn divisor(self) -> u32 {
        /// By class: a division otherwise.
        const DIVISORS: [u32; CLASSES] = {
            let mut divisors = [0; CLASSES];
            let mut number = 0;
            while number < CLASSES {
                let bytes = SizeClass::new(number).block_bytes() as u64;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "block sizes are at least 16"
                )]
                let divisor = (u32::MAX as u64 / bytes + 1) as u32;
                divisors[number] = divisor;
                number += 1;
            }
            divisors
        };
        // SAFETY: a class has a number below CLASSES.
        unsafe { *DIVISORS.as_ptr().add(self.number()) }
    }

    /// All classes.
    pub(crate) fn all() -> impl Iterator<Item = SizeClass> {
        (0..CLASSES).map(SizeClass::new)
    }
}

const _: () = assert!(SizeClass::new(CLASSES - 1).block_bytes() == SLAB_MAX_BYTES);

/// Bytes that an object of `bytes` above [`SLAB_MAX_BYTES`] may use: the same eighths of a
/// doubling. `None` on overflow.
pub(crate) const fn object_bytes(bytes: usize) -> Option<usize> {
    let eighth = 1 << ((bytes - 1).ilog2() - 3);
    crate::base::address::round_up(bytes, eighth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for bytes in 0..=SLAB_MAX_BYTES {
            let class = SizeClass::holding(bytes).expect("within the slabs' range");
            assert!(class.block_bytes() >= bytes);
            if class.number() > 0 {
                assert!(SizeClass::new(class.number() - 1).block_bytes() < bytes.max(1));
            }
        }
        assert_eq!(SizeClass::holding(SLAB_MAX_BYTES + 1), None);
    }

    #[test]
    fn no_step_above_128_bytes_exceeds_an_eighth() {
        for class in SizeClass::all().skip(8) {
            let below = SizeClass::new(class.number() - 1).block_bytes();
            assert!((class.block_bytes() - below) * 8 <= below, "{class:?}");
        }
    }

    #[test]
    fn aligned_classes_are_multiples_of_the_alignment() {
        for shift in 4..=15 {
            for bytes in (0..=SLAB_MAX_BYTES).step_by(13) {
                let class = SizeClass::holding_aligned(bytes, 1 << shift).expect("fits");
                assert!(class.block_bytes() >= bytes);
                assert_eq!(class.block_bytes() % (1 << shift), 0);
            }
        }
    }

    #[test]
    fn divisor_tells_block_starts_from_all_other_offsets() {
        for class in SizeClass::all() {
            for offset in 0..GRANULE_BYTES {
                let product = u32::try_from(offset).unwrap().wrapping_mul(class.divisor());
                assert_eq!(product < class.divisor(), offset % class.block_bytes() == 0);
            }
        }
    }

    #[test]
    fn slabs_hold_at_least_eight_blocks() {
        assert!(SizeClass::all().all(|class| class.slab_blocks() >= 8));
    }

    #[test]
    fn object_bytes_waste_at_most_an_eighth() {
        for bytes in (SLAB_MAX_BYTES + 1..4 << 20).step_by(997) {
            let usable = object_bytes(bytes).expect("no overflow here");
            assert!(usable >= bytes && (usable - bytes) * 8 <= bytes);
        }
        assert_eq!(object_bytes(usize::MAX), None);
    }
}
