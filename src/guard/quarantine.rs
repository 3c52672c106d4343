//! The quarantine of hardened mode: where freed small blocks wait before they may be issued again,
//! wiped and sealed. Each thread has one of its own. A block that comes in takes a place drawn by
//! lot, and the one that stood there leaves: so nobody can tell when a block comes back, and a
//! write after free has, for as long, only zeroes to hit.

use crate::base::random::Random;
use crate::metadata::directory::{Directory, ZeroIsValid};
use crate::os::random;
use crate::small::block::Block;
use crate::small::size_class::SizeClass;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

/// Blocks that wait at most: what fits four pages as addresses, so that the lot costs no more than
/// a miss in the first-level cache.
const PLACES: u32 = 512;
/// Bytes that wait at most: beyond it blocks leave in turn. A quarter of a second-level cache.
const MOST_BYTES: usize = 256 << 10;

/// A block that waits: class number << 48 | address; 0 is an empty place. Atomic where statistics
/// read along; only the owner writes.
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    fn new(block: Block, class: SizeClass) -> Entry {
        Entry((class.number() as u64) << 48 | block.address() as u64)
    }

    /// The block and its class.
    fn open(self) -> Option<(Block, SizeClass)> {
        if self.0 == 0 {
            return None;
        }
        let class = SizeClass::new((self.0 >> 48) as usize);
        #[expect(clippy::cast_possible_truncation, reason = "usize is 64 bits")]
        let address = (self.0 & ((1 << 48) - 1)) as usize;
        // SAFETY: what came in was a block of a slab, and is free.
        Some((unsafe { Block::at(address) }, class))
    }
}

/// See the module.
pub(crate) struct Quarantine {
    places: [AtomicU64; PLACES as usize],
    bytes: Cell<usize>,
    /// The place that is emptied next where there are too many bytes.
    turn: Cell<u32>,
    random: Random,
}

// SAFETY: integers and atomics of integers.
unsafe impl ZeroIsValid for Quarantine {}
// SAFETY: the cells are touched only by the thread whose quarantine it is.
unsafe impl Sync for Quarantine {}

static QUARANTINES: Directory<Quarantine, 4096, 256> = Directory::new();

/// The quarantine of the thread cache with number `node` in its pool; `None` out of memory.
#[inline]
pub(crate) fn of(node: u32) -> Option<&'static Quarantine> {
    let quarantine = QUARANTINES.ensure(node as usize)?;
    if !quarantine.random.is_seeded() {
        quarantine.random.seed(random::seed());
    }
    Some(quarantine)
}

/// The same if there is one.
pub(crate) fn existing(node: u32) -> Option<&'static Quarantine> {
    QUARANTINES.get(node as usize)
}

impl Quarantine {
    /// Takes in a free block; passes those that leave for it to `leave`.
    #[inline]
    pub(crate) fn put(&self, block: Block, class: SizeClass, leave: impl Fn(Block)) {
        let place = self.random.below(PLACES);
        let left = self.exchange(place, Entry::new(block, class));
        let mut bytes = self.bytes.get() + class.block_bytes();
        if let Some((block, class)) = left {
            bytes -= class.block_bytes();
            leave(block);
        }
        while bytes > MOST_BYTES {
            let turn = self.turn.get();
            self.turn.set((turn + 1) % PLACES);
            if let Some((block, class)) = self.exchange(turn, Entry(0)) {
                bytes -= class.block_bytes();
                leave(block);
            }
        }
        self.bytes.set(bytes);
    }

    #[inline]
    fn exchange(&self, place: u32, entry: Entry) -> Option<(Block, SizeClass)> {
        let word = self.places.get(place as usize)?;
        let before = Entry(word.load(Ordering::Relaxed));
        word.store(entry.0, Ordering::Relaxed);
        before.open()
    }

    /// Passes all blocks to `leave`: the thread ends.
    pub(crate) fn empty(&self, leave: impl Fn(Block)) {
        for place in 0..PLACES {
            if let Some((block, _)) = self.exchange(place, Entry(0)) {
                leave(block);
            }
        }
        self.bytes.set(0);
    }

    /// Calls `each` with the class of every block that waits; for another thread, of some recent
    /// moment.
    pub(crate) fn for_each(&self, mut each: impl FnMut(SizeClass)) {
        for word in &self.places {
            if let Some((_, class)) = Entry(word.load(Ordering::Relaxed)).open() {
                each(class);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;
    use std::collections::BTreeSet;

    fn fresh() -> &'static Quarantine {
        static NEXT: AtomicU64 = AtomicU64::new(900);
        let node = u32::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).expect("few tests");
        of(node).expect("memory")
    }

    fn block(number: usize) -> Block {
        // SAFETY: no test looks inside.
        unsafe { Block::at(0x10000 + 64 * number) }
    }

    fn class(bytes: usize) -> SizeClass {
        SizeClass::holding(bytes).expect("a slab's size")
    }

    #[test]
    fn every_block_leaves_once_and_not_in_the_order_it_came() {
        let quarantine = fresh();
        let left = RefCell::new(std::vec::Vec::new());
        let leave = |block: Block| left.borrow_mut().push(block.address());
        (0..5000).for_each(|number| quarantine.put(block(number), class(64), leave));
        assert!(left.borrow().len() >= 5000 - PLACES as usize);
        assert!(!left.borrow().is_sorted());
        quarantine.empty(leave);
        let different: BTreeSet<_> = left.borrow().iter().copied().collect();
        assert_eq!((left.borrow().len(), different.len()), (5000, 5000));
    }

    #[test]
    fn no_more_bytes_wait_than_the_limit() {
        let quarantine = fresh();
        for number in 0..2000 {
            let bytes = 16 << (number % 12);
            quarantine.put(block(number), class(bytes), |_| ());
            let mut waiting = 0;
            quarantine.for_each(|class| waiting += class.block_bytes());
            assert_eq!(waiting, quarantine.bytes.get());
            assert!(waiting <= MOST_BYTES);
        }
    }
}
