//! The quarantine of hardened mode: where freed small blocks wait before they are issued again,
//! wiped and sealed. Each thread has one, with places for each size class. While it holds few
//! blocks of a class none is issued from it; which of many is issued, and which leaves where there
//! is no place, is drawn by lot. So a block does not come back soon, nobody can tell when, and a
//! write after free has, for as long, only zeroes to hit.

use super::thread_cache::ThreadCache;
use crate::base::random::Random;
use crate::metadata::directory::{Directory, ZeroIsValid};
use crate::os::process::ErrnoKept;
use crate::os::random;
use crate::small::block::Block;
use crate::small::size_class::{CLASSES, SizeClass};
use core::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// Blocks of one class that wait at most: one in so many is the chance to be drawn.
const MOST_BLOCKS: usize = 128;
/// Bytes of one class that wait at most: what all classes that a program uses much hold stays in
/// a second-level cache.
const MOST_BYTES: usize = 32 << 10;
/// But so many blocks of any class.
const LEAST_BLOCKS: usize = 4;

/// Where the places of each class begin, and at last where those of the last class end.
const FIRST_PLACES: [u16; CLASSES + 1] = {
    let mut first = [0; CLASSES + 1];
    let mut class = 0;
    while class < CLASSES {
        let bytes = SizeClass::new(class).block_bytes();
        let mut places = MOST_BYTES / bytes;
        if places > MOST_BLOCKS {
            places = MOST_BLOCKS;
        }
        if places < LEAST_BLOCKS {
            places = LEAST_BLOCKS;
        }
        first[class + 1] = first[class] + places as u16;
        class += 1;
    }
    first
};
const PLACES: usize = FIRST_PLACES[CLASSES] as usize;

/// See the module. Atomic where statistics read along; only the owner writes.
pub(crate) struct Quarantine {
    random: Random,
    counts: [AtomicU16; CLASSES],
    /// Addresses of blocks, those of a class side by side.
    places: [AtomicUsize; PLACES],
}

// SAFETY: integers and atomics of integers.
unsafe impl ZeroIsValid for Quarantine {}
// SAFETY: the generator is used only by the thread whose quarantine it is.
unsafe impl Sync for Quarantine {}

static QUARANTINES: Directory<Quarantine, 4096, 256> = Directory::new();

/// The quarantine of the thread cache with number `node` in its pool; `None` out of memory.
pub(super) fn of(node: u32) -> Option<&'static Quarantine> {
    let quarantine = QUARANTINES.ensure(node as usize)?;
    if !quarantine.random.is_seeded() {
        quarantine.random.seed(random::seed());
    }
    Some(quarantine)
}

impl Quarantine {
    #[inline(always)]
    fn places(&self, class: SizeClass) -> &[AtomicUsize] {
        let number = class.number();
        // SAFETY: a class has a number below CLASSES, and places lie where the table says.
        unsafe {
            let first = usize::from(*FIRST_PLACES.get_unchecked(number));
            let end = usize::from(*FIRST_PLACES.get_unchecked(number + 1));
            self.places.get_unchecked(first..end)
        }
    }

    #[inline(always)]
    fn count(&self, class: SizeClass) -> &AtomicU16 {
        // SAFETY: a class has a number below CLASSES.
        unsafe { self.counts.get_unchecked(class.number()) }
    }

    /// Blocks of `class` that wait.
    #[inline(always)]
    pub(super) fn blocks(&self, class: SizeClass) -> usize {
        usize::from(self.count(class).load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn set_blocks(&self, class: SizeClass, blocks: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "at most MOST_BLOCKS")]
        self.count(class).store(blocks as u16, Ordering::Relaxed);
    }

    #[inline(always)]
    fn draw(&self, blocks: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "at most MOST_BLOCKS")]
        let bound = blocks as u32;
        self.random.below(bound) as usize
    }

    /// Draws a block of `class`, where enough wait.
    #[inline(always)]
    pub(super) fn take(&self, class: SizeClass) -> Option<Block> {
        let places = self.places(class);
        let blocks = self.blocks(class);
        if blocks <= places.len() / 2 {
            return None;
        }
        // SAFETY: both are below `blocks`, which is at most the number of places.
        let (drawn, last) = unsafe {
            let drawn = self.draw(blocks);
            (
                places.get_unchecked(drawn),
                places.get_unchecked(blocks - 1),
            )
        };
        let address = drawn.load(Ordering::Relaxed);
        drawn.store(last.load(Ordering::Relaxed), Ordering::Relaxed);
        self.set_blocks(class, blocks - 1);
        // SAFETY: what was put in is a block of a slab, and free.
        Some(unsafe { Block::at(address) })
    }

    /// Takes in a free block of `class`; the one that leaves for it, if there is no other place.
    #[inline(always)]
    pub(super) fn put(&self, class: SizeClass, block: Block) -> Option<Block> {
        let places = self.places(class);
        let blocks = self.blocks(class);
        if let Some(place) = places.get(blocks) {
            place.store(block.address(), Ordering::Relaxed);
            self.set_blocks(class, blocks + 1);
            return None;
        }
        let drawn = places.get(self.draw(places.len()))?;
        let address = drawn.load(Ordering::Relaxed);
        drawn.store(block.address(), Ordering::Relaxed);
        // SAFETY: as in `take`.
        Some(unsafe { Block::at(address) })
    }

    /// Takes out any block of `class`.
    pub(super) fn take_any(&self, class: SizeClass) -> Option<Block> {
        let blocks = self.blocks(class).checked_sub(1)?;
        let address = self.places(class).get(blocks)?.load(Ordering::Relaxed);
        self.set_blocks(class, blocks);
        // SAFETY: as in `take`.
        Some(unsafe { Block::at(address) })
    }
}

impl ThreadCache {
    /// Draws a block of `class` from the quarantine, if enough wait there.
    #[inline(always)]
    pub(crate) fn draw(&self, class: SizeClass) -> Option<Block> {
        self.quarantine.get()?.take(class)
    }

    /// Puts a free block of `class` into quarantine; a block that has to leave it, which its slab
    /// gets back by [`Self::free`].
    #[inline(always)]
    pub(crate) fn put_in_quarantine(&self, class: SizeClass, block: Block) -> Option<Block> {
        match self.quarantine.get() {
            Some(quarantine) => quarantine.put(class, block),
            None => self.begin_quarantine(class, block),
        }
    }

    #[cold]
    fn begin_quarantine(&self, class: SizeClass, block: Block) -> Option<Block> {
        let _kept = ErrnoKept::new();
        let Some(quarantine) = of(self.node()) else {
            return Some(block);
        };
        self.quarantine.set(Some(quarantine));
        quarantine.put(class, block)
    }

    /// Takes any block of `class` out of quarantine.
    pub(crate) fn take_from_quarantine(&self, class: SizeClass) -> Option<Block> {
        self.quarantine.get()?.take_any(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn fresh() -> &'static Quarantine {
        static NEXT: AtomicU32 = AtomicU32::new(900);
        of(NEXT.fetch_add(1, Ordering::Relaxed)).expect("memory")
    }

    fn block(number: usize) -> Block {
        // SAFETY: no test looks inside.
        unsafe { Block::at(0x10000 + 64 * number) }
    }

    #[test]
    fn every_block_leaves_once_and_not_in_the_order_it_came() {
        for class in SizeClass::all() {
            let quarantine = fresh();
            let put = |number| quarantine.put(class, block(number));
            let mut left: Vec<_> = (0..5000).filter_map(put).map(Block::address).collect();
            assert!(!left.is_sorted());
            assert_eq!(quarantine.blocks(class), 5000 - left.len());
            let rest = core::iter::from_fn(|| quarantine.take_any(class));
            left.extend(rest.map(Block::address));
            let different: BTreeSet<_> = left.iter().copied().collect();
            assert_eq!((left.len(), different.len()), (5000, 5000));
        }
    }

    #[test]
    fn none_is_issued_while_few_wait_and_then_not_the_last_one() {
        let (quarantine, class) = (fresh(), SizeClass::new(3));
        let mut put = 0;
        let first = loop {
            assert!(quarantine.put(class, block(put)).is_none());
            put += 1;
            if let Some(taken) = quarantine.take(class) {
                break taken;
            }
        };
        assert_eq!(put, MOST_BLOCKS / 2 + 1);
        let mut at_once = usize::from(first == block(put - 1));
        for number in put..put + 1000 {
            quarantine.put(class, block(number));
            at_once += usize::from(quarantine.take(class) == Some(block(number)));
        }
        assert!(at_once < 60, "{at_once} of 1000 came back at once");
    }
}
