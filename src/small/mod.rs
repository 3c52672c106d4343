//! Blocks of up to 32 KiB: size classes, slabs of equal blocks, slabs that lost their owner.

pub(crate) mod block;
pub(crate) mod orphans;
pub(crate) mod seal;
pub(crate) mod size_class;
pub(crate) mod slab;
pub(crate) mod trim;

// Not in slab.rs, which tests/loom.rs compiles over records of its own.
#[cfg(test)]
mod tests {
    use super::block::Block;
    use super::size_class::SizeClass;
    use super::slab::{InSlab, Slab, classify};
    use crate::base::address::{GRANULE_BYTES, Granule};
    use crate::metadata::span::{self, UNOWNED};
    use core::sync::atomic::Ordering;

    /// A slab in memory of its own, not carved yet.
    fn slab_of(block_bytes: usize) -> Slab {
        let class = SizeClass::holding(block_bytes).expect("a slab's size");
        let bytes = class.slab_granules() as usize * GRANULE_BYTES;
        let memory = std::vec![0u8; bytes + GRANULE_BYTES].leak();
        let start = Granule::of(memory.as_ptr() as usize + GRANULE_BYTES - 1).expect("an address");
        let span = span::ensure_record(start).expect("memory for the table");
        span.class.store(
            u8::try_from(class.number()).expect("72 classes"),
            Ordering::Relaxed,
        );
        span.granules
            .store(class.slab_granules() as u8, Ordering::Relaxed);
        Slab { start, span }
    }

    fn first_free(slab: Slab) -> Option<Block> {
        let address = slab.span.free.load(Ordering::Relaxed);
        // SAFETY: a free list holds block starts.
        (address != 0).then(|| unsafe { Block::at(address) })
    }

    #[test]
    fn carving_goes_page_by_page_up_to_the_last_block() {
        for block_bytes in [16, 48, 1000, 5000, 32 << 10] {
            let slab = slab_of(block_bytes);
            let block_bytes = slab.class().block_bytes();
            let mut carved = 0;
            while slab.carve() {
                slab.check();
                let now = slab.span.carved.load(Ordering::Relaxed);
                let batch_bytes = (now - carved) as usize * block_bytes;
                assert!(batch_bytes <= (16 << 10).max(block_bytes), "{block_bytes}");
                assert!(
                    carved > 0 || batch_bytes <= 4096.max(block_bytes),
                    "{block_bytes}"
                );
                assert_eq!(
                    first_free(slab).map(Block::address),
                    Some(slab.start.address() + carved as usize * block_bytes)
                );
                carved = now;
            }
            assert_eq!(carved, slab.class().slab_blocks());
            assert!(slab.has_room());
        }
    }

    #[test]
    fn addresses_are_told_apart_by_block_and_by_what_was_carved() {
        let slab = slab_of(1000);
        assert!(slab.carve());
        let block_bytes = slab.class().block_bytes();
        let carved_bytes = slab.span.carved.load(Ordering::Relaxed) as usize * block_bytes;
        for offset in 0..GRANULE_BYTES {
            let address = slab.start.address() + offset;
            let block_start = address - offset % block_bytes;
            match classify(slab, address) {
                InSlab::Start(block) => {
                    assert_eq!((block.address(), address), (address, block_start))
                }
                InSlab::Inside(block) => {
                    assert!(block.address() == block_start && address != block_start);
                }
                InSlab::Unused => assert!(offset >= carved_bytes),
            }
            assert!(offset < carved_bytes || matches!(classify(slab, address), InSlab::Unused));
        }
    }

    #[test]
    fn what_is_free_at_the_end_of_a_slab_is_uncarved_in_whole_pages() {
        for block_bytes in [16, 48, 1000, 5000, 32 << 10] {
            let slab = slab_of(block_bytes);
            let block_bytes = slab.class().block_bytes();
            while slab.carve() {}
            let blocks = slab.class().slab_blocks();
            // All are taken; every third comes back, and those of the second half.
            assert_eq!(slab.take_free(u32::MAX).1, blocks);
            slab.span.set_bias(u32::MAX / 2);
            assert_eq!(slab.uncarve(), None, "nothing is free");
            let is_freed = |index: u32| index % 3 == 1 || index > blocks / 2;
            for index in (0..blocks).filter(|&index| is_freed(index)) {
                let address = slab.start.address() + index as usize * block_bytes;
                // SAFETY: a block starts there.
                slab.put(unsafe { Block::at(address) });
            }
            let used = slab.span.used();
            let (address, bytes) = slab.uncarve().expect("half a slab");
            slab.check();
            let carved = slab.span.carved.load(Ordering::Relaxed);
            let last_used = (0..blocks).rev().find(|&index| !is_freed(index));
            assert_eq!(carved, last_used.expect("one is in use") + 1);
            assert_eq!(slab.span.used(), used);
            let kept_end = slab.start.address() + carved as usize * block_bytes;
            let end = slab.start.address() + blocks as usize * block_bytes;
            assert_eq!(address, kept_end.next_multiple_of(4096));
            assert_eq!(address + bytes, end.next_multiple_of(4096));
            assert_eq!(slab.span.divisor.load(Ordering::Relaxed), 0);
            assert_eq!(slab.uncarve(), None, "once");
            while slab.carve() {}
            slab.check();
            assert_eq!(
                slab.span.divisor.load(Ordering::Relaxed),
                slab.class().divisor()
            );
        }
    }

    #[test]
    fn a_claimed_slab_is_refused_to_others_until_it_is_disowned() {
        let slab = slab_of(64);
        slab.disown();
        assert!(slab.claim(UNOWNED, 0x1000));
        assert!(!slab.claim(UNOWNED, 0x2000));
        slab.disown();
        assert!(slab.claim(UNOWNED, 0x2000));
    }

    #[test]
    fn a_slab_of_an_older_generation_is_retired_when_it_is_claimed() {
        let slab = slab_of(64);
        assert!(slab.carve());
        slab.disown();
        slab.span.generation.store(u32::MAX, Ordering::Relaxed);
        assert!(slab.claim(UNOWNED, 0x1000));
        assert_eq!(slab.span.used(), slab.class().slab_blocks());
        assert!(!slab.has_room());
    }

    #[test]
    fn a_mark_is_of_one_block_in_one_slab() {
        let (slab, other) = (slab_of(16), slab_of(16));
        assert!(slab.carve());
        let block = first_free(slab).expect("carved");
        // SAFETY: the next block is in the same page.
        let next = unsafe { Block::at(block.link()) };
        assert!(block.is_marked(slab.span) && !block.is_marked(other.span));
        // SAFETY: both blocks are 16 bytes of the slab's memory.
        unsafe { core::ptr::copy(block.address() as *const u8, next.address() as *mut u8, 16) };
        assert!(!next.is_marked(slab.span), "a copied mark is none");
        block.unmark();
        assert!(!block.is_marked(slab.span));
    }
}
