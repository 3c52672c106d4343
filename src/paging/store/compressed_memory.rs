//! The store in memory: byte strings in slots of blocks, as a slab allocator has them.
//!
//! ```text
//! region: | records of the blocks | block | block | ...          address space, reserved once
//! block:  | slot | slot | ... |                                  64 KiB, slots of one size
//! handle: | block (22 bits) | slot (10) | unused bytes at the slot's end (8) |
//! ```
//!
//! A string has no header: what is known of it stands in its handle. Sizes: [`super::slot_size`].
//!
//! A block is full, partial (in the list of its size), draining (partial, and to be emptied),
//! empty (with its memory, for the next size that needs one) or unused (without memory). Slots are
//! taken from the lowest, so the memory behind the highest that was ever taken is untouched.
//!
//! # Who may touch what
//! Records and lists are changed with the lock held. The size of a block's slots stands still
//! while any of them is in use, so who holds a handle reads it without the lock. A slot belongs to
//! who holds its handle.

use super::block_table::{Block, BlockTable, PAGE_BYTES};
use super::slot_size::{
    BLOCK_BYTES, CLASSES, MOST_SLOTS, SLACK_BITS, class_for, slot_bytes, slots,
};
use super::{HANDLE_BITS, Handle, MOST_BYTES};
use crate::os::futex::Mutex;
use crate::os::mapping;
use core::sync::atomic::{AtomicUsize, Ordering};

const SLOT_BITS: u32 = MOST_SLOTS.trailing_zeros();
const BLOCK_BITS: u32 = HANDLE_BITS - SLOT_BITS - SLACK_BITS;

/// Empty blocks that keep their memory.
const MOST_EMPTY: u32 = 8;

/// Footprint that holds nothing and is no reason to compact: partial and empty blocks.
const SPARSE_BYTES: usize = 4 << 20;

/// Where a string lies.
#[derive(Clone, Copy)]
struct Place {
    block: u32,
    slot: usize,
    /// Bytes at the slot's end that are not the string's.
    slack: usize,
}

impl Place {
    fn handle(self) -> Handle {
        let number = u64::from(self.block) << SLOT_BITS | self.slot as u64;
        number << SLACK_BITS | self.slack as u64
    }

    fn of(handle: Handle) -> Place {
        let field = |shift: u32, bits: u32| (handle >> shift) & ((1 << bits) - 1);
        Place {
            block: field(SLOT_BITS + SLACK_BITS, BLOCK_BITS) as u32,
            slot: field(SLACK_BITS, SLOT_BITS) as usize,
            slack: field(0, SLACK_BITS) as usize,
        }
    }
}

/// The lists, by the number of their first block; 0 is none.
struct Lists {
    partial: [u32; CLASSES],
    draining: u32,
    empty: u32,
    empty_count: u32,
    unused: u32,
    /// The first block that was never used; 0 before there are blocks.
    frontier: u32,
}

/// A store of byte strings in memory of its own. See the module.
pub(crate) struct CompressedMemory {
    table: BlockTable,
    lists: Mutex<Lists>,
    // Written with the lock held.
    resident_bytes: AtomicUsize,
    stored_count: AtomicUsize,
    stored_bytes: AtomicUsize,
}

/// Adds to a word that is written with the lock held.
fn add(word: &AtomicUsize, bytes: usize) {
    word.store(
        word.load(Ordering::Relaxed).wrapping_add(bytes),
        Ordering::Relaxed,
    );
}

fn subtract(word: &AtomicUsize, bytes: usize) {
    add(word, bytes.wrapping_neg());
}

impl CompressedMemory {
    /// A store that takes nothing yet.
    pub(crate) const fn new() -> CompressedMemory {
        CompressedMemory {
            table: BlockTable::new(),
            lists: Mutex::new(Lists {
                partial: [0; CLASSES],
                draining: 0,
                empty: 0,
                empty_count: 0,
                unused: 0,
                frontier: 0,
            }),
            resident_bytes: AtomicUsize::new(0),
            stored_count: AtomicUsize::new(0),
            stored_bytes: AtomicUsize::new(0),
        }
    }

    /// Reserves address space for `most_bytes` of strings, as far as handles reach; `false` where
    /// there is none. Once is enough. Uses libc: for the program's threads.
    pub(crate) fn prepare(&self, most_bytes: usize) -> bool {
        let mut lists = self.lists.lock();
        // A partial block of each size, and what is lost in and between slots.
        let blocks = most_bytes / BLOCK_BYTES + most_bytes / BLOCK_BYTES / 16 + 2 * CLASSES;
        if lists.frontier == 0 {
            lists.frontier = self.table.reserve(blocks, 1 << BLOCK_BITS).unwrap_or(0);
        }
        lists.frontier != 0
    }

    /// Stores 1 to 4096 bytes; `None` where there is no room, or it was not prepared.
    pub(crate) fn insert(&self, bytes: &[u8]) -> Option<Handle> {
        if bytes.is_empty() || bytes.len() > MOST_BYTES {
            return None;
        }
        let class = class_for(bytes.len());
        let (block, slot) = self.take_slot(class, bytes.len())?;
        let slack = slot_bytes(class) - bytes.len();
        let place = Place { block, slot, slack };
        // SAFETY: the slot lies in the region, is as large as the bytes and was free: nobody else
        // reads or writes it.
        unsafe {
            let address = self.address(place, class) as *mut u8;
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), address, bytes.len());
        }
        Some(place.handle())
    }

    /// What `handle` stands for, until it is removed; nothing for a handle that no store made.
    pub(crate) fn bytes(&self, handle: Handle) -> &[u8] {
        let place = Place::of(handle);
        let Some(block) = self.table.get(place.block) else {
            return &[];
        };
        let class = usize::from(block.class.load(Ordering::Relaxed));
        let slot_bytes = slot_bytes(class);
        if place.slot >= usize::from(slots(class)) || place.slack >= slot_bytes {
            return &[];
        }
        // SAFETY: the slot lies in the region, which stays mapped; the caller holds the handle, so
        // nobody writes there.
        unsafe {
            let address = self.address(place, class) as *const u8;
            core::slice::from_raw_parts(address, slot_bytes - place.slack)
        }
    }

    /// Forgets what `handle`, which the caller holds, stands for. Memory goes back block by block.
    pub(crate) fn remove(&self, handle: Handle) {
        let place = Place::of(handle);
        let Some(block) = self.table.get(place.block) else {
            return;
        };
        let mut lists = self.lists.lock();
        let class = usize::from(block.class.load(Ordering::Relaxed));
        if !block.give(place.slot) {
            return;
        }
        subtract(&self.stored_count, 1);
        subtract(&self.stored_bytes, slot_bytes(class) - place.slack);
        let used = block.used.load(Ordering::Relaxed);
        let draining = block.draining.load(Ordering::Relaxed) != 0;
        let was_full = used + 1 == slots(class);
        if used > 0 {
            if was_full {
                self.table.push(&mut lists.partial[class], place.block);
            }
            return;
        }
        if draining {
            self.table.unlink(&mut lists.draining, place.block);
            block.draining.store(0, Ordering::Relaxed);
        } else if !was_full {
            self.table.unlink(&mut lists.partial[class], place.block);
        }
        if lists.empty_count < MOST_EMPTY {
            self.keep_empty(&mut lists, place.block);
            return;
        }
        drop(lists);
        self.give_memory_back(place.block);
    }

    /// Whether much of the footprint holds nothing, so that it pays to compact.
    pub(crate) fn is_sparse(&self) -> bool {
        let (_, stored_bytes) = self.stored();
        self.footprint_bytes() > stored_bytes + stored_bytes / 4 + SPARSE_BYTES
    }

    /// Begins to compact: until [`Self::end_compaction`] nothing is put into blocks of which more
    /// than half is free, and [`Self::relocate`] moves what is in them.
    pub(crate) fn begin_compaction(&self) {
        for class in 0..CLASSES {
            let mut lists = self.lists.lock();
            let mut number = lists.partial[class];
            // One block has to take what leaves the others.
            let mut spared = false;
            while number != 0 {
                let block = self.table.block(number);
                let next = block.next.load(Ordering::Relaxed);
                if block.used.load(Ordering::Relaxed) < slots(class) / 2 {
                    if spared {
                        self.table.unlink(&mut lists.partial[class], number);
                        block.draining.store(1, Ordering::Relaxed);
                        self.table.push(&mut lists.draining, number);
                    }
                    spared = true;
                }
                number = next;
            }
        }
    }

    /// Moves what `handle`, which the caller holds, stands for if it lies in a block that is to
    /// be emptied: its new handle, which the caller holds instead.
    pub(crate) fn relocate(&self, handle: Handle) -> Option<Handle> {
        let block = self.table.get(Place::of(handle).block)?;
        if block.draining.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let moved = self.insert(self.bytes(handle))?;
        self.remove(handle);
        Some(moved)
    }

    /// Ends what [`Self::begin_compaction`] began: blocks that were not emptied serve again.
    pub(crate) fn end_compaction(&self) {
        let mut lists = self.lists.lock();
        while lists.draining != 0 {
            let number = self.table.pop(&mut lists.draining);
            let block = self.table.block(number);
            block.draining.store(0, Ordering::Relaxed);
            let class = usize::from(block.class.load(Ordering::Relaxed));
            self.table.push(&mut lists.partial[class], number);
        }
    }

    /// Bytes that may be resident: blocks as far as they were used, and their records.
    pub(crate) fn footprint_bytes(&self) -> usize {
        self.resident_bytes.load(Ordering::Relaxed)
    }

    /// How many strings there are, and how many bytes they have in sum.
    pub(crate) fn stored(&self) -> (usize, usize) {
        (
            self.stored_count.load(Ordering::Relaxed),
            self.stored_bytes.load(Ordering::Relaxed),
        )
    }

    /// In the child of a fork: frees the lock, whose holder is no more.
    pub(crate) fn reset_lock(&self) {
        // SAFETY: the child has one thread, and it is not in here.
        unsafe { self.lists.raw() }.reset();
    }

    fn address(&self, place: Place, class: usize) -> usize {
        self.table.address(place.block) + place.slot * slot_bytes(class)
    }

    /// Takes a slot of `class` for a string of `bytes`: its block and number.
    fn take_slot(&self, class: usize, bytes: usize) -> Option<(u32, usize)> {
        let mut lists = self.lists.lock();
        let number = match lists.partial[class] {
            0 => self.new_block(&mut lists, class)?,
            number => number,
        };
        let block = self.table.block(number);
        let slot = block.take()?;
        if block.used.load(Ordering::Relaxed) == slots(class) {
            self.table.unlink(&mut lists.partial[class], number);
        }
        let touched = ((slot + 1) * slot_bytes(class)).div_ceil(PAGE_BYTES);
        let before = usize::from(block.touched_pages.load(Ordering::Relaxed));
        if touched > before {
            block.touched_pages.store(touched as u8, Ordering::Relaxed);
            add(&self.resident_bytes, (touched - before) * PAGE_BYTES);
        }
        add(&self.stored_count, 1);
        add(&self.stored_bytes, bytes);
        Some((number, slot))
    }

    /// Makes an empty, an unused or a new block the first partial one of `class`.
    fn new_block(&self, lists: &mut Lists, class: usize) -> Option<u32> {
        let number = if lists.empty != 0 {
            lists.empty_count -= 1;
            self.table.pop(&mut lists.empty)
        } else if lists.unused != 0 {
            self.table.pop(&mut lists.unused)
        } else if (lists.frontier as usize) < self.table.blocks().len() {
            lists.frontier += 1;
            let record_bytes = size_of::<Block>();
            let records_end = |blocks: u32| (blocks as usize * record_bytes).div_ceil(PAGE_BYTES);
            let pages = records_end(lists.frontier) - records_end(lists.frontier - 1);
            add(&self.resident_bytes, pages * PAGE_BYTES);
            lists.frontier - 1
        } else {
            return None;
        };
        self.table.block(number).format(class);
        self.table.push(&mut lists.partial[class], number);
        Some(number)
    }

    fn keep_empty(&self, lists: &mut Lists, number: u32) {
        lists.empty_count += 1;
        self.table.push(&mut lists.empty, number);
    }

    /// Gives back the memory of a block that is empty and in no list, without the lock, since that
    /// takes long.
    fn give_memory_back(&self, number: u32) {
        let block = self.table.block(number);
        let address = self.table.address(number);
        let touched = usize::from(block.touched_pages.load(Ordering::Relaxed)) * PAGE_BYTES;
        let gone = mapping::discard_without_errno(address, touched);
        let mut lists = self.lists.lock();
        if gone {
            block.touched_pages.store(0, Ordering::Relaxed);
            subtract(&self.resident_bytes, touched);
            self.table.push(&mut lists.unused, number);
        } else {
            self.keep_empty(&mut lists, number);
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// The lists hold what the records say, and the sums are the records' sums.
    fn check(store: &CompressedMemory) {
        let lists = store.lists.lock();
        let blocks = store.table.blocks();
        let walk = |head: u32| {
            let next = |number: &u32| Some(store.table.block(*number).next.load(Ordering::Relaxed));
            std::iter::successors(Some(head), next).take_while(|number| *number != 0)
        };
        let mut listed = 0;
        for (class, head) in lists.partial.iter().enumerate() {
            for number in walk(*head) {
                let block = &blocks[number as usize];
                let used = block.used.load(Ordering::Relaxed);
                assert_eq!(usize::from(block.class.load(Ordering::Relaxed)), class);
                assert!(used > 0 && used < slots(class), "block {number} is partial");
                listed += 1;
            }
        }
        assert_eq!(walk(lists.empty).count(), lists.empty_count as usize);
        let records = blocks.iter().take(lists.frontier as usize);
        let (mut used_sum, mut pages, mut partial) = (0, 0, 0);
        for block in records {
            let class = usize::from(block.class.load(Ordering::Relaxed));
            let used = block.used.load(Ordering::Relaxed);
            let free: u32 = block
                .free
                .iter()
                .map(|it| it.load(Ordering::Relaxed).count_ones())
                .sum();
            let touched = block.touched_pages.load(Ordering::Relaxed);
            assert!(used == 0 || u32::from(used) + free == u32::from(slots(class)));
            assert!(usize::from(touched) * PAGE_BYTES >= usize::from(used) * slot_bytes(class));
            partial += usize::from(used > 0 && used < slots(class));
            used_sum += usize::from(used);
            pages += usize::from(touched);
        }
        assert_eq!(listed + walk(lists.draining).count(), partial);
        assert_eq!(used_sum, store.stored().0);
        let records_bytes = lists.frontier as usize * size_of::<Block>();
        let all = pages * PAGE_BYTES + records_bytes;
        assert!(store.footprint_bytes().abs_diff(all) <= 16 * PAGE_BYTES);
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
                check(&store);
            }
        }
        let bytes = model.iter().map(|(_, _, length)| length).sum();
        assert_eq!(store.stored(), (model.len(), bytes));
        for (handle, seed, length) in model {
            assert_eq!(store.bytes(handle), contents(seed, length));
            store.remove(handle);
        }
        check(&store);
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
        check(&store);
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
        check(&store);
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
        check(&store);
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
        check(&store);
        for (handle, _) in exchange.into_inner().expect("no thread panics") {
            store.remove(handle);
        }
        check(&store);
        assert_eq!(store.stored(), (0, 0));
    }
}
