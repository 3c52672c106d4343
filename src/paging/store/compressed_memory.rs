//! The store in memory: byte strings in [`super::slots`], in blocks of memory of our own.
//!
//! ```text
//! region: | records of the blocks | block | block | ...          address space, reserved once
//! ```

use super::Handle;
use super::slot_size::{BLOCK_BYTES, CLASSES};
use super::slots::{MOST_BLOCKS, Slots};
use crate::os::mapping;

/// Footprint that holds nothing and is no reason to compact: partial and empty blocks.
const SPARSE_BYTES: usize = 4 << 20;

/// A store of byte strings in memory of its own. See the module.
pub(crate) struct CompressedMemory {
    slots: Slots,
}

impl CompressedMemory {
    /// A store that takes nothing yet.
    pub(crate) const fn new() -> CompressedMemory {
        CompressedMemory {
            slots: Slots::new(),
        }
    }

    /// Reserves address space for `most_bytes` of strings, as far as handles reach; `false` where
    /// there is none. Once is enough; by one thread at a time.
    pub(crate) fn prepare(&self, most_bytes: usize) -> bool {
        let table = &self.slots.table;
        if !table.blocks().is_empty() {
            return true;
        }
        // A partial block of each size, and what is lost in and between slots.
        let blocks = most_bytes / BLOCK_BYTES + most_bytes / BLOCK_BYTES / 16 + 2 * CLASSES;
        let fresh = table.reserve_with_memory(blocks.min(MOST_BLOCKS - MOST_BLOCKS / 256));
        fresh.is_some_and(|fresh| {
            self.slots.extend(fresh);
            true
        })
    }

    /// For the map: where the words are that say where its memory starts, and how many blocks it
    /// has; both 0 before it was prepared.
    pub(crate) const fn words(&self) -> *const () {
        (&raw const self.slots.table).cast()
    }

    /// Stores 1 to 4096 bytes; `None` where there is no room, or it was not prepared.
    pub(crate) fn insert(&self, bytes: &[u8]) -> Option<Handle> {
        let handle = self.slots.take(bytes.len())?;
        let (start, _) = self.slots.extent(handle)?;
        // SAFETY: the slot lies in the region, holds as many bytes, and was taken just now: nobody
        // else reads or writes it.
        unsafe {
            let place = (self.slots.table.start() + start) as *mut u8;
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
        Some(handle)
    }

    /// What `handle` stands for, until it is removed; nothing for a handle that never was.
    pub(crate) fn bytes(&self, handle: Handle) -> &[u8] {
        let Some((start, bytes)) = self.slots.extent(handle) else {
            return &[];
        };
        // SAFETY: the slot lies in the region, which stays mapped; the caller holds the handle, so
        // nobody writes there.
        unsafe {
            let place = (self.slots.table.start() + start) as *const u8;
            core::slice::from_raw_parts(place, bytes)
        }
    }

    /// Forgets what `handle`, which the caller holds, stands for. Memory goes back block by block.
    pub(crate) fn remove(&self, handle: Handle) {
        self.slots.give(handle);
        while let Some(surplus) = self.slots.take_surplus() {
            let address = self.slots.table.start() + surplus.block as usize * BLOCK_BYTES;
            let gone = mapping::discard_without_errno(address, surplus.bytes);
            self.slots.settle(surplus, gone);
            if !gone {
                break;
            }
        }
    }

    /// Bytes of the footprint that hold no string.
    pub(crate) fn waste_bytes(&self) -> usize {
        let (_, stored_bytes) = self.stored();
        self.footprint_bytes().saturating_sub(stored_bytes)
    }

    /// Whether these are so many that it pays to compact.
    pub(crate) fn is_sparse(&self) -> bool {
        let (_, stored_bytes) = self.stored();
        self.waste_bytes() > stored_bytes / 4 + SPARSE_BYTES
    }

    /// Begins to compact: until [`Self::end_compaction`] nothing is put into blocks of which more
    /// than half is free, and [`Self::relocate`] moves what is in them.
    pub(crate) fn begin_compaction(&self) {
        self.slots.begin_compaction();
    }

    /// Moves what `handle`, which the caller holds, stands for if it lies in a block that is to
    /// be emptied: its new handle, which the caller holds instead.
    pub(crate) fn relocate(&self, handle: Handle) -> Option<Handle> {
        if !self.slots.should_move(handle) {
            return None;
        }
        let moved = self.insert(self.bytes(handle))?;
        self.remove(handle);
        Some(moved)
    }

    /// Ends what [`Self::begin_compaction`] began.
    pub(crate) fn end_compaction(&self) {
        self.slots.end_compaction();
    }

    /// Bytes that may be resident: blocks as far as they were used, and their records.
    pub(crate) fn footprint_bytes(&self) -> usize {
        self.slots.touched_bytes() + self.slots.record_bytes()
    }

    /// How many strings there are, and how many bytes they have in sum.
    pub(crate) fn stored(&self) -> (usize, usize) {
        self.slots.stored()
    }

    /// Unmaps it with all that it holds, which nobody uses any more.
    pub(crate) fn unmap(&self) {
        self.slots.table.unmap_with_memory();
    }

    /// In the child of a fork: frees the lock, whose holder is no more.
    pub(crate) fn reset_lock(&self) {
        self.slots.reset_lock();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HANDLE_BITS, MOST_BYTES};
    use super::*;
    use crate::base::random::Random;
    extern crate std;
    use std::sync::Mutex as StdMutex;
    use std::vec::Vec;

    const ROOM: usize = 64 << 20;

    fn prepared() -> CompressedMemory {
        let store = CompressedMemory::new();
        assert!(store.prepare(ROOM));
        store
    }

    /// Bytes that tell of which string they are.
    fn contents(seed: u64, length: usize) -> Vec<u8> {
        let random = Random::new(seed);
        let words = (0..length.div_ceil(8)).flat_map(|_| random.next().to_ne_bytes());
        words.take(length).collect()
    }

    /// Each length as likely, whole pages more often.
    fn length(random: &Random) -> usize {
        1 + (random.next() % 4500).min(4095) as usize
    }

    fn seed() -> u64 {
        let seed = crate::os::random::seed();
        std::println!("seed {seed:#x}");
        seed
    }

    #[test]
    fn strings_survive_any_order_of_inserts_and_removes() {
        let seed = seed();
        let random = Random::new(seed);
        let store = prepared();
        let mut model: Vec<(Handle, u64, usize)> = Vec::new();
        for step in 0..60_000_u64 {
            // The population swells and shrinks.
            let grows = random.next() % 16 < if step / 8000 % 2 == 0 { 11 } else { 5 };
            if grows || model.is_empty() {
                let length = length(&random);
                let handle = store.insert(&contents(step | 1, length)).expect("room");
                assert!(handle < 1 << HANDLE_BITS);
                model.push((handle, step | 1, length));
            } else {
                let index = random.next() as usize % model.len();
                let (handle, seed, length) = model.swap_remove(index);
                assert_eq!(store.bytes(handle), contents(seed, length));
                store.remove(handle);
            }
            if step % 5000 == 0 {
                store.slots.check();
            }
        }
        let bytes = model.iter().map(|(_, _, length)| length).sum();
        assert_eq!(store.stored(), (model.len(), bytes));
        for (handle, seed, length) in model {
            assert_eq!(store.bytes(handle), contents(seed, length));
            store.remove(handle);
        }
        store.slots.check();
        assert_eq!(store.stored(), (0, 0));
    }

    #[test]
    fn footprint_is_near_what_is_stored_and_near_zero_when_all_is_removed() {
        let random = Random::new(seed());
        let store = prepared();
        let handles: Vec<_> = (0..20_000_u64)
            .map(|_| store.insert(&contents(5, length(&random))).expect("room"))
            .collect();
        let (_, bytes) = store.stored();
        let footprint = store.footprint_bytes();
        assert!(
            footprint < bytes + bytes / 10,
            "{footprint} bytes for {bytes}"
        );
        handles.iter().for_each(|handle| store.remove(*handle));
        assert!(store.footprint_bytes() < 1 << 20);
    }

    #[test]
    fn compaction_gives_back_what_random_removal_left_sparse() {
        let random = Random::new(seed());
        let store = prepared();
        let mut model: Vec<(Handle, u64)> = (0..20_000_u64)
            .map(|number| {
                let bytes = contents(number | 1, 600 + random.next() as usize % 1200);
                (store.insert(&bytes).expect("room"), number | 1)
            })
            .collect();
        model.retain(|(handle, _)| {
            let stays = random.next().is_multiple_of(8);
            if !stays {
                store.remove(*handle);
            }
            stays
        });
        assert!(store.is_sparse());
        store.begin_compaction();
        for (handle, _) in &mut model {
            *handle = store.relocate(*handle).unwrap_or(*handle);
        }
        store.end_compaction();
        store.slots.check();
        assert!(
            !store.is_sparse(),
            "{} for {:?}",
            store.footprint_bytes(),
            store.stored()
        );
        for (handle, seed) in model {
            let bytes = store.bytes(handle);
            assert_eq!(bytes, contents(seed, bytes.len()));
            store.remove(handle);
        }
        store.slots.check();
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let store = CompressedMemory::new();
        assert_eq!(store.insert(&[1]), None, "not prepared");
        assert_eq!(store.bytes(12_345), b"");
        store.remove(12_345);
        assert!(store.prepare(1 << 20) && store.prepare(1 << 20));
        assert_eq!(store.insert(&[]), None);
        assert_eq!(store.insert(&[0; MOST_BYTES + 1]), None);
        let handles: Vec<_> = std::iter::from_fn(|| store.insert(&[7; MOST_BYTES])).collect();
        assert!(
            handles.len() >= (1 << 20) / MOST_BYTES,
            "as much as was asked for"
        );
        for handle in handles {
            assert_eq!(store.bytes(handle), [7; MOST_BYTES]);
            store.remove(handle);
        }
        store.slots.check();
        assert!(store.insert(&[1]).is_some(), "room again");
    }

    #[test]
    fn threads_insert_read_and_remove_each_others_strings() {
        let store = prepared();
        let seed = seed();
        let exchange = StdMutex::new(Vec::<(Handle, u64)>::new());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, exchange) = (&store, &exchange);
                scope.spawn(move || {
                    let random = Random::new(seed + 2 * thread);
                    for _ in 0..8_000 {
                        let seed = random.next() | 1;
                        let bytes = contents(seed, length(&random));
                        let handle = store.insert(&bytes).expect("room");
                        let mut exchange = exchange.lock().expect("no thread panics");
                        exchange.push((handle, seed));
                        let index = random.next() as usize % exchange.len();
                        let taken = (exchange.len() > 500).then(|| exchange.swap_remove(index));
                        drop(exchange);
                        if let Some((handle, seed)) = taken {
                            let bytes = store.bytes(handle);
                            assert_eq!(bytes, contents(seed, bytes.len()));
                            store.remove(handle);
                        }
                    }
                });
            }
        });
        store.slots.check();
        for (handle, _) in exchange.into_inner().expect("no thread panics") {
            store.remove(handle);
        }
        store.slots.check();
        assert_eq!(store.stored(), (0, 0));
    }
}
