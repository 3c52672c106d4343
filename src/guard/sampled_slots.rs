//! Sampled blocks, in the manner of GWP-ASan: now and then a request gets a page of its own between
//! guard pages, at whose start or end the block stands, by chance.
//!
//! ```text
//!   guard | slot 0 | guard | slot 1 | guard | ... | slot 127 | guard
//!                     /                \
//!       block............| pattern |      or      | pattern |............block | pattern
//! ```
//!
//! An access beyond the page faults, and so does one to a freed block, since slots are reused in the
//! order in which they were freed; `sampled_report` tells the program. What of the page is not the
//! block holds a pattern, which is checked when the block is freed.
//!
//! The region is mapped when the first request is sampled. What is known of its slots stands in a
//! table elsewhere, between guard pages too.
//!
//! # A slot's word
//! | state | from | to |
//! |---|---|---|
//! | free | the start; the end of a free | held, by an allocation: that of the least stamp |
//! | held: nobody else touches the slot | a compare-and-swap | live or free |
//! | live | the end of an allocation | held, by a free: of two, one succeeds |
//!
//! Above the state is a stamp, which says when the slot was freed. There is no lock: a signal
//! handler or the child of a fork finds a slot that somebody else holds as one less.

use super::fault;
use super::sampled_report;
use super::trace::Trace;
use crate::base::address::{GRANULE_BYTES, Granule, round_up};
use crate::metadata::span::{self, Kind};
use crate::metadata::{self, directory::ZeroIsValid};
use crate::os::{fault_signals, mapping, process::page_bytes};
use crate::report::ReportedBlock;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Slots in the region.
const SLOTS: usize = 128;
/// What a slot's page holds around its block: no ASCII, no small number, no address.
const PATTERN: u8 = 0xd9;

const STATE_MASK: u64 = 3;
const FREE: u64 = 0;
const HELD: u64 = 1;
const LIVE: u64 = 2;
/// Added to a word for the next stamp.
const STAMP: u64 = 4;

/// What is known of a slot.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Slot {
    /// Address of the block, or of the one that was freed last; 0 before the first.
    block: AtomicUsize,
    bytes: AtomicUsize,
    /// Who allocated it.
    pub(super) allocated: Trace,
    /// Who freed it, if anybody has.
    pub(super) freed: Trace,
}

/// The region's table.
#[repr(C)]
struct Table {
    /// Address of the region: of its first guard page.
    region: AtomicUsize,
    /// The stamp of the slot that was freed last.
    stamp: AtomicU64,
    words: [AtomicU64; SLOTS],
    slots: [Slot; SLOTS],
}

// SAFETY: atomics of integers.
unsafe impl ZeroIsValid for Table {}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(core::ptr::null_mut());
/// Whether somebody has set about to map the region; it is tried once.
static BEGUN: AtomicBool = AtomicBool::new(false);
static SAMPLED: AtomicUsize = AtomicUsize::new(0);

/// A slot and its place in the region.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: &'static Slot,
    word: &'static AtomicU64,
    /// Address of its page.
    pub(super) page: usize,
}

/// Pages of the region.
const PAGES: usize = 2 * SLOTS + 1;

impl Table {
    /// The table, once the region is there.
    fn get() -> Option<&'static Table> {
        // Acquire pairs with the Release of `begin`.
        let table = TABLE.load(Ordering::Acquire);
        // SAFETY: published once, never unmapped, valid as it was mapped (`ZeroIsValid`).
        (!table.is_null()).then(|| unsafe { &*table })
    }

    /// The same; maps the region first where nobody has. `None` out of memory, and while somebody
    /// else is at it.
    fn ensure() -> Option<&'static Table> {
        match Table::get() {
            None if !BEGUN.swap(true, Ordering::Relaxed) => Table::begin(),
            table => table,
        }
    }

    /// Maps region and table, and sees to it that faults there are told.
    #[cold]
    fn begin() -> Option<&'static Table> {
        let bytes = round_up(PAGES * page_bytes(), GRANULE_BYTES)?;
        // With room to align; what is too much stays inaccessible.
        let reserved_bytes = bytes + GRANULE_BYTES;
        let reserved = mapping::reserve(reserved_bytes)?;
        let made = Table::describe(round_up(reserved, GRANULE_BYTES)?, bytes);
        if made.is_none() {
            mapping::unmap(reserved, reserved_bytes);
            return None;
        }
        mapping::name(reserved, reserved_bytes, c"glebe sampled");
        fault_signals::watch(fault::is_ours);
        made
    }

    /// Makes and publishes the table for the region at `region`, and its records.
    fn describe(region: usize, bytes: usize) -> Option<&'static Table> {
        let first = Granule::of(region)?;
        let granules = || (0..bytes / GRANULE_BYTES).map(|number| first.plus(number));
        for granule in granules() {
            span::ensure_record(granule)?;
        }
        let address = metadata::map_guarded_table(size_of::<Table>())?;
        // SAFETY: mapped for this, as large as a table, zero and of nobody else.
        let table = unsafe { &*(address as *const Table) };
        table.region.store(region, Ordering::Relaxed);
        // Release pairs with the Acquire of `get`.
        TABLE.store(address as *mut Table, Ordering::Release);
        granules()
            .filter_map(span::record)
            .for_each(|record| record.set_kind(Kind::Sampled));
        Some(table)
    }

    fn region(&self) -> usize {
        self.region.load(Ordering::Relaxed)
    }

    fn place(&'static self, index: usize) -> Option<Place> {
        Some(Place {
            slot: self.slots.get(index)?,
            word: self.words.get(index)?,
            page: self.region() + (2 * index + 1) * page_bytes(),
        })
    }

    /// The slots whose page holds `address`, or whose pages the guard page there lies between.
    fn near(&'static self, address: usize) -> impl Iterator<Item = Place> {
        let page = address.wrapping_sub(self.region()) / page_bytes();
        let after = page / 2;
        let before = if page.is_multiple_of(2) {
            after.wrapping_sub(1)
        } else {
            SLOTS
        };
        [before, after]
            .into_iter()
            .filter_map(|index| self.place(index))
    }

    /// Takes the slot that has been free for longest, if one is; the caller holds it.
    fn claim(&'static self) -> Option<Place> {
        loop {
            let free = self
                .words
                .iter()
                .map(|word| word.load(Ordering::Relaxed))
                .enumerate()
                .filter(|(_, word)| word & STATE_MASK == FREE);
            let (index, word) = free.min_by_key(|(_, word)| *word)?;
            let place = self.place(index)?;
            if place.exchange(word, HELD) {
                return Some(place);
            }
        }
    }
}

impl Place {
    /// Changes the state if the word is still `word`; the caller holds the slot then.
    fn exchange(&self, word: u64, state: u64) -> bool {
        let held = word & !STATE_MASK | state;
        // Acquire pairs with the Release of `release`: what the last holder wrote.
        self.word
            .compare_exchange(word, held, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Ends the holding.
    fn release(&self, word: u64) {
        // Release pairs with the Acquire of `exchange` and `state`.
        self.word.store(word, Ordering::Release);
    }

    fn state(&self) -> u64 {
        // Acquire pairs with the Release of `release`: the block is that of the state.
        self.word.load(Ordering::Acquire) & STATE_MASK
    }

    /// Whether it has a live block.
    pub(super) fn is_live(&self) -> bool {
        self.state() == LIVE
    }

    /// Whether it ever had a block.
    pub(super) fn was_used(&self) -> bool {
        self.start() != 0
    }

    /// Address of the block.
    pub(super) fn start(&self) -> usize {
        self.slot.block.load(Ordering::Relaxed)
    }

    /// Bytes asked for.
    pub(super) fn bytes(&self) -> usize {
        self.slot.bytes.load(Ordering::Relaxed)
    }

    /// For reports.
    pub(super) fn reported(&self) -> ReportedBlock {
        ReportedBlock {
            start: self.start(),
            bytes: self.bytes(),
        }
    }

    /// Places a block in the slot, which the caller holds; its address. `None` where the kernel
    /// refuses, and then the slot is free.
    fn issue(&self, alignment: usize, bytes: usize, at_end: bool) -> Option<usize> {
        let word = self.word.load(Ordering::Relaxed) & !STATE_MASK;
        if !mapping::make_usable(self.page, page_bytes()) {
            self.release(word | FREE);
            return None;
        }
        let start = start_of_block(page_bytes(), alignment, bytes, at_end);
        let block = self.page + start;
        self.slot.block.store(block, Ordering::Relaxed);
        self.slot.bytes.store(bytes, Ordering::Relaxed);
        for (slack, length) in self.slack() {
            // SAFETY: within the slot's page, which is usable and the caller's.
            unsafe { core::ptr::write_bytes(slack as *mut u8, PATTERN, length) };
        }
        self.slot.freed.clear();
        self.slot.allocated.record();
        self.release(word | LIVE);
        Some(block)
    }

    /// What of the page lies before the block and behind it: address and bytes.
    fn slack(&self) -> [(usize, usize); 2] {
        let end = self.start() + self.bytes();
        [
            (self.page, self.start() - self.page),
            (end, self.page + page_bytes() - end),
        ]
    }

    /// The byte nearest to the block that holds the pattern no more.
    fn damaged(&self) -> Option<usize> {
        let is_damaged = |&address: &usize| {
            // SAFETY: within the slot's page, which is usable while the block is live or held by
            // its free.
            unsafe { (address as *const u8).read() != PATTERN }
        };
        let [(before, room), (behind, rest)] = self.slack();
        (behind..behind + rest)
            .find(is_damaged)
            .or_else(|| (before..before + room).rev().find(is_damaged))
    }

    /// Ends the life of the block at `address`; reports what was written beside it, and a free that
    /// another has forestalled.
    fn free(&self, door: &str, address: usize) {
        let word = self.word.load(Ordering::Relaxed);
        let is_its_block = word & STATE_MASK == LIVE && self.start() == address;
        if !is_its_block || !self.exchange(word, HELD) {
            return sampled_report::misuse(*self, door, address);
        }
        if let Some(address) = self.damaged() {
            sampled_report::damage(*self, door, address);
        }
        mapping::make_inaccessible(self.page, page_bytes());
        self.slot.freed.record();
        let stamp = Table::get().map_or(0, |table| {
            table.stamp.fetch_add(STAMP, Ordering::Relaxed) + STAMP
        });
        self.release(stamp | FREE);
    }
}

/// Where in a page a block begins.
fn start_of_block(page_bytes: usize, alignment: usize, bytes: usize, at_end: bool) -> usize {
    if at_end {
        (page_bytes - bytes.max(1)) & !(alignment.max(16) - 1)
    } else {
        0
    }
}

/// Allocates `bytes` at a multiple of `alignment`, a power of two, in a slot; `None` where they do
/// not fit or no slot is free, and then others may serve. `random` decides where in its page the
/// block stands. Async-signal-safe; changes errno.
pub(crate) fn allocate(alignment: usize, bytes: usize, random: u64) -> Option<usize> {
    if bytes.max(alignment) > page_bytes() {
        return None;
    }
    let place = Table::ensure()?.claim()?;
    let block = place.issue(alignment, bytes, random >> 63 == 0)?;
    SAMPLED.fetch_add(1, Ordering::Relaxed);
    Some(block)
}

/// What an address in the region is.
pub(crate) enum InRegion {
    /// The start of a live block.
    Start {
        /// As many as were asked for.
        bytes: usize,
    },
    /// Inside the live block that starts there.
    Inside {
        /// Address of the block.
        start: usize,
        /// As many as were asked for.
        bytes: usize,
    },
    /// In no live block.
    Beside,
}

/// What `address`, whose span is of kind `Sampled`, is.
pub(crate) fn look_up(address: usize) -> InRegion {
    match nearest(address) {
        Some(place) if place.is_live() => {
            let (start, bytes) = (place.start(), place.bytes());
            if address == start {
                InRegion::Start { bytes }
            } else if address.wrapping_sub(start) < bytes {
                InRegion::Inside { start, bytes }
            } else {
                InRegion::Beside
            }
        }
        _ => InRegion::Beside,
    }
}

/// Frees the block that starts at `address`, whose span is of kind `Sampled`. Changes errno.
pub(crate) fn free(door: &str, address: usize) {
    if let Some(place) = nearest(address) {
        place.free(door, address);
    }
}

/// The slot to which an access to `address` belongs, of those that ever had a block: a live one
/// before a freed one, the nearer of two. `None` outside of the region.
pub(super) fn nearest(address: usize) -> Option<Place> {
    let table = Table::get()?;
    table
        .near(address)
        .filter(Place::was_used)
        .min_by_key(|place| (!place.is_live(), place.reported().distance(address)))
}

/// Whether `address` lies in the region.
pub(super) fn is_in_region(address: usize) -> bool {
    Table::get().is_some_and(|table| address.wrapping_sub(table.region()) < PAGES * page_bytes())
}

/// Whether `address` lies in a guard page of the region.
pub(crate) fn is_guard(address: usize) -> bool {
    is_in_region(address)
        && Table::get()
            .is_some_and(|table| ((address - table.region()) / page_bytes()).is_multiple_of(2))
}

/// Whether `address` lies in a guard page of the table.
pub(super) fn is_beside_table(address: usize) -> bool {
    Table::get().is_some_and(|table| {
        let start = core::ptr::from_ref(table) as usize;
        let bytes = round_up(size_of::<Table>(), page_bytes()).unwrap_or(0);
        address.wrapping_sub(start - page_bytes()) < bytes + 2 * page_bytes()
    })
}

/// Bytes and number of the live blocks.
pub(crate) fn live() -> (usize, usize) {
    let Some(table) = Table::get() else {
        return (0, 0);
    };
    (0..SLOTS)
        .filter_map(|index| table.place(index))
        .filter(Place::is_live)
        .fold((0, 0), |(bytes, blocks), place| {
            (bytes + place.bytes(), blocks + 1)
        })
}

/// Blocks that were ever sampled.
pub(crate) fn sampled_blocks() -> usize {
    SAMPLED.load(Ordering::Relaxed)
}

/// In a child after fork: what another thread was about to map, this process will.
pub(crate) fn after_fork() {
    BEGUN.store(Table::get().is_some(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lies_in_its_page_aligned_and_at_an_end_of_it() {
        const PAGE: usize = 4096;
        for alignment in [1, 16, 64, 1024, 4096] {
            for bytes in (0..64).chain([100, 1000, 4000, 4080, 4081, 4095, 4096]) {
                assert_eq!(start_of_block(PAGE, alignment, bytes, false), 0);
                let start = start_of_block(PAGE, alignment, bytes, true);
                assert!(start.is_multiple_of(alignment.max(16)) && start < PAGE);
                let left = PAGE - (start + bytes);
                assert!(left < alignment.max(16) || bytes == 0 && left == alignment.max(16));
            }
        }
    }

    /// One test, since the region is the process's.
    #[test]
    fn slots_are_issued_and_found_and_reused_first_freed_first() {
        let blocks: std::vec::Vec<_> = (0..SLOTS)
            .map(|number| allocate(16, number, (number as u64) << 63).expect("a free slot"))
            .collect();
        assert_eq!(allocate(16, 1, 0), None, "all slots are live");
        assert_eq!(allocate(16, page_bytes() + 1, 0), None);
        assert_eq!(live(), ((0..SLOTS).sum(), SLOTS));
        for (number, &block) in blocks.iter().enumerate() {
            assert!(matches!(look_up(block), InRegion::Start { bytes } if bytes == number));
            if number > 1 {
                let inside = look_up(block + number - 1);
                assert!(matches!(inside, InRegion::Inside { start, bytes }
                    if start == block && bytes == number));
            }
            assert!(matches!(look_up(block + number.max(1)), InRegion::Beside));
            // SAFETY: a live block.
            unsafe { core::ptr::write_bytes(block as *mut u8, 0, number) };
        }
        let order = [5, 77, 3];
        for number in order {
            free("free", blocks[number]);
            assert!(matches!(look_up(blocks[number]), InRegion::Beside));
        }
        for number in order {
            let again = allocate(16, 1, 0).expect("a free slot");
            let page = |block: usize| block & !(page_bytes() - 1);
            assert_eq!(page(again), page(blocks[number]));
        }
        assert_eq!(allocate(16, 1, 0), None);
    }
}
