//! The page table of a region: one flat array of entries, a word for each page of the kernel's, and
//! the lists of its resident units. Both are sparse: what was never touched takes no memory.
//!
//! The region's thread alone writes; others may read at any time.

use super::super::page_table::PAGE_SHIFT;
use crate::os::mapping;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Where the contents of a page are. The numbers are those of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum State {
    /// Nowhere: zero, or as the file or the shared memory has it.
    Absent = 0,
    /// In memory.
    Resident = 1,
    /// In a frame of staging, which the payload numbers.
    Staged = 2,
    /// In the store, whose handle is the payload.
    Stored = 3,
    /// A word again and again, which is the payload.
    Same = 4,
}

/// An entry:
///
/// ```text
/// | payload (40 bits) | 0 | pins (12) | 0 | unreadable | proven | dirty | state (3) |
/// ```
///
/// What concerns the unit (pins and flags) stands in the entry of its first page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry(u64);

const STATE: u64 = 7;
const DIRTY: u64 = 1 << 3;
const PROVEN: u64 = 1 << 4;
const UNREADABLE: u64 = 1 << 5;
const PINS_SHIFT: u32 = 8;
/// Pins of a page at a time.
pub(super) const MOST_PINS: u64 = (1 << 12) - 1;
const PAYLOAD_SHIFT: u32 = 24;

impl Entry {
    /// An entry in that state.
    pub(super) fn new(state: State, payload: u64) -> Entry {
        debug_assert!(payload < 1 << 40);
        Entry(payload << PAYLOAD_SHIFT | state as u64)
    }

    /// The entry that a word of another process is.
    pub(super) fn of_word(word: u64) -> Entry {
        Entry(word)
    }

    /// Where the page is.
    pub(super) fn state(self) -> State {
        match self.0 & STATE {
            1 => State::Resident,
            2 => State::Staged,
            3 => State::Stored,
            4 => State::Same,
            _ => State::Absent,
        }
    }

    /// What goes with the state.
    pub(super) fn payload(self) -> u64 {
        self.0 >> PAYLOAD_SHIFT
    }

    /// Whether the file does not have it.
    pub(super) fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    /// Whether it was wanted back soon.
    pub(super) fn is_proven(self) -> bool {
        self.0 & PROVEN != 0
    }

    /// Whether nobody may read it, not even we.
    pub(super) fn is_unreadable(self) -> bool {
        self.0 & UNREADABLE != 0
    }

    /// How often it is pinned.
    pub(super) fn pins(self) -> u64 {
        self.0 >> PINS_SHIFT & MOST_PINS
    }

    fn with(self, flag: u64, set: bool) -> Entry {
        Entry(if set { self.0 | flag } else { self.0 & !flag })
    }

    pub(super) fn dirty(self, set: bool) -> Entry {
        self.with(DIRTY, set)
    }

    pub(super) fn proven(self, set: bool) -> Entry {
        self.with(PROVEN, set)
    }

    pub(super) fn unreadable(self, set: bool) -> Entry {
        self.with(UNREADABLE, set)
    }

    pub(super) fn pinned(self, pins: u64) -> Entry {
        Entry(self.0 & !(MOST_PINS << PINS_SHIFT) | pins << PINS_SHIFT)
    }

    /// The same unit's flags in another state.
    pub(super) fn moved(self, state: State, payload: u64) -> Entry {
        let flags = self.0 & ((1 << PAYLOAD_SHIFT) - 1) & !STATE;
        Entry(Entry::new(state, payload).0 | flags)
    }
}

/// Neighbours of a unit in a list, while it is in one; else `older` is the count of evictions when
/// it left.
struct Link {
    newer: AtomicU32,
    older: AtomicU32,
}

/// The entries and links of a region.
#[derive(Clone, Copy)]
pub(super) struct Table {
    entries: usize,
    links: usize,
    /// What is in each frame of staging.
    frames: usize,
    pages: usize,
    frame_count: usize,
    /// Of a unit: pages, as a power of two.
    unit_shift: u32,
}

impl Table {
    /// Maps one for a region of `bytes` and so many frames of staging; `None` out of memory.
    pub(super) fn map(bytes: usize, unit_bytes: usize, frame_count: usize) -> Option<Table> {
        let pages = bytes >> PAGE_SHIFT;
        let unit_shift = unit_bytes.trailing_zeros() - PAGE_SHIFT;
        let table = Table {
            entries: 0,
            links: 0,
            frames: 0,
            pages,
            frame_count,
            unit_shift,
        };
        let start = mapping::map_sparse(table.mapped_bytes())?;
        mapping::advise_small(start, table.mapped_bytes());
        mapping::name(start, table.mapped_bytes(), c"glebe region table");
        let links = start + pages * size_of::<AtomicU64>();
        Some(Table {
            entries: start,
            links,
            frames: links + table.units() * size_of::<Link>(),
            ..table
        })
    }

    /// Unmaps it, which nobody uses any more.
    pub(super) fn unmap(&self) {
        mapping::unmap(self.entries, self.mapped_bytes());
    }

    /// Start and bytes of it.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.entries, self.mapped_bytes())
    }

    fn mapped_bytes(&self) -> usize {
        let words = self.pages + self.frame_count;
        (words * size_of::<AtomicU64>() + self.units() * size_of::<Link>()).next_multiple_of(4096)
    }

    /// How many units there may be.
    pub(super) fn units(&self) -> usize {
        self.pages >> self.unit_shift
    }

    /// Pages of a unit.
    pub(super) fn unit_pages(&self) -> usize {
        1 << self.unit_shift
    }

    fn word(&self, page: usize) -> &AtomicU64 {
        debug_assert!(page < self.pages);
        let page = page.min(self.pages - 1);
        // SAFETY: within the array, which is mapped as long as the region lives; zeroes are a word.
        unsafe { &*(self.entries as *const AtomicU64).add(page) }
    }

    /// The entry of a page.
    pub(super) fn entry(&self, page: usize) -> Entry {
        Entry(self.word(page).load(Ordering::Relaxed))
    }

    /// Sets it.
    pub(super) fn set(&self, page: usize, entry: Entry) {
        self.word(page).store(entry.0, Ordering::Relaxed);
    }

    /// The entry of a unit's first page.
    pub(super) fn unit(&self, unit: usize) -> Entry {
        self.entry(unit << self.unit_shift)
    }

    /// Pages of a unit, by number.
    pub(super) fn pages_of(&self, unit: usize) -> core::ops::Range<usize> {
        let first = unit << self.unit_shift;
        first..first + self.unit_pages()
    }

    /// Sets the flags of a unit.
    pub(super) fn set_flags(&self, unit: usize, entry: Entry) {
        self.set(unit << self.unit_shift, entry);
    }

    /// Sets the state of all pages of a unit, whose flags stay.
    pub(super) fn move_unit(&self, unit: usize, state: State, payload: u64) {
        for page in self.pages_of(unit) {
            self.set(page, self.entry(page).moved(state, payload));
        }
    }

    /// Whether pages of the unit are elsewhere than in memory, and nowhere else than that.
    pub(super) fn is_in_memory(&self, unit: usize) -> bool {
        matches!(self.unit(unit).state(), State::Resident | State::Staged)
    }

    fn frame_word(&self, number: usize) -> &AtomicU64 {
        let number = number.min(self.frame_count - 1);
        // SAFETY: as in `word`.
        unsafe { &*(self.frames as *const AtomicU64).add(number) }
    }

    /// The unit in a frame of staging; `None` where it is empty.
    pub(super) fn unit_in_frame(&self, number: usize) -> Option<usize> {
        (self.frame_word(number).load(Ordering::Relaxed) as usize).checked_sub(1)
    }

    /// Notes which unit is in a frame.
    pub(super) fn set_frame(&self, number: usize, unit: Option<usize>) {
        let word = unit.map_or(0, |unit| unit as u64 + 1);
        self.frame_word(number).store(word, Ordering::Relaxed);
    }

    fn link(&self, unit: u32) -> &Link {
        let unit = (unit as usize).min(self.units() - 1);
        // SAFETY: as in `word`.
        unsafe { &*(self.links as *const Link).add(unit) }
    }

    /// Notes when a unit left, in evictions; it is in no list.
    pub(super) fn note_left(&self, unit: usize, evictions: u32) {
        self.link(unit as u32)
            .older
            .store(evictions, Ordering::Relaxed);
    }

    /// When it left.
    pub(super) fn left(&self, unit: usize) -> u32 {
        self.link(unit as u32).older.load(Ordering::Relaxed)
    }
}

/// Of a link: no unit.
const NONE: u32 = u32::MAX;

/// A list of units, newest to oldest.
pub(super) struct UnitList {
    newest: u32,
    oldest: u32,
    length: usize,
}

impl UnitList {
    /// An empty one.
    pub(super) const fn new() -> UnitList {
        UnitList {
            newest: NONE,
            oldest: NONE,
            length: 0,
        }
    }

    /// How many units it has.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Puts a unit that is in no list at the newest end.
    pub(super) fn push(&mut self, table: &Table, unit: usize) {
        let unit = unit as u32;
        let link = table.link(unit);
        link.newer.store(NONE, Ordering::Relaxed);
        link.older.store(self.newest, Ordering::Relaxed);
        if self.newest == NONE {
            self.oldest = unit;
        } else {
            table.link(self.newest).newer.store(unit, Ordering::Relaxed);
        }
        self.newest = unit;
        self.length += 1;
    }

    /// Takes a unit of this list out of it.
    pub(super) fn remove(&mut self, table: &Table, unit: usize) {
        let link = table.link(unit as u32);
        let newer = link.newer.load(Ordering::Relaxed);
        let older = link.older.load(Ordering::Relaxed);
        if newer == NONE {
            self.newest = older;
        } else {
            table.link(newer).older.store(older, Ordering::Relaxed);
        }
        if older == NONE {
            self.oldest = newer;
        } else {
            table.link(older).newer.store(newer, Ordering::Relaxed);
        }
        self.length -= 1;
    }

    /// The oldest unit.
    pub(super) fn oldest(&self) -> Option<usize> {
        (self.oldest != NONE).then_some(self.oldest as usize)
    }

    /// The newest unit but `spared`, or the oldest.
    pub(super) fn newest_but(&self, table: &Table, spared: usize) -> Option<usize> {
        let mut unit = self.newest;
        for _ in 0..spared.min(self.length.saturating_sub(1)) {
            unit = table.link(unit).older.load(Ordering::Relaxed);
        }
        (unit != NONE).then_some(unit as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn an_entry_keeps_its_parts_apart() {
        let entry = Entry::new(State::Stored, (1 << 40) - 1)
            .dirty(true)
            .pinned(MOST_PINS);
        assert_eq!(entry.state(), State::Stored);
        assert_eq!(entry.payload(), (1 << 40) - 1);
        assert_eq!(entry.pins(), MOST_PINS);
        assert!(entry.is_dirty() && !entry.is_proven() && !entry.is_unreadable());
        let moved = entry.proven(true).pinned(3).moved(State::Staged, 5);
        assert_eq!(
            (moved.state(), moved.payload(), moved.pins()),
            (State::Staged, 5, 3)
        );
        assert!(moved.is_dirty() && moved.is_proven());
        assert_eq!(Entry::new(State::Absent, 0), Entry(0));
    }

    #[test]
    fn a_list_keeps_its_order_under_any_removal() {
        let table = Table::map(1 << 20, 1 << 14, 2).expect("memory");
        assert_eq!((table.units(), table.unit_pages()), (64, 4));
        let mut list = UnitList::new();
        let mut model: Vec<usize> = Vec::new();
        let mut state = 7u64;
        for _ in 0..10_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let unit = (state >> 33) as usize % 64;
            if let Some(at) = model.iter().position(|it| *it == unit) {
                model.remove(at);
                list.remove(&table, unit);
            } else {
                model.push(unit);
                list.push(&table, unit);
            }
            assert_eq!(list.length(), model.len());
            assert_eq!(list.oldest(), model.first().copied());
            assert_eq!(list.newest_but(&table, 0), model.last().copied());
            let third = model.len().checked_sub(3).map(|at| model[at]);
            assert_eq!(list.newest_but(&table, 2), third.or(model.first().copied()));
        }
        table.unmap();
    }
}
