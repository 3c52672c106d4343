//! The page table of a region: a directory of areas of 2 MiB, and a leaf of entries, a word for each
//! page of the kernel's, for each area of which something is known.
//!
//! ```text
//! offset in the region: | area | page (9) | offset in the page (12) |
//!                          |        |
//!              directory --+        +-- leaf: 512 entries of 8 bytes, one 4 KiB page
//!              a word for each area: address of its leaf, or 0
//! ```
//!
//! A leaf is there from the first entry that is not zero until nothing is known of its area any
//! more. Address space for all of them is reserved at first, so that none can be missing when a
//! fault wants it; what was never used of that, as of the directory, takes no memory.
//!
//! The region's thread alone writes; others may read at any time. One that reads while a leaf goes
//! sees zeroes, or for a moment another area's entries: callers hold the region's place in the
//! table of handles, so that is who reads from outside.

use super::super::page_table::{AREA_SHIFT, LEAF_PAGES, PAGE_BYTES, PAGE_SHIFT};
use super::entry::{Entry, State};
use super::unit_list::Node;
use crate::os::mapping;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

type Leaf = [AtomicU64; LEAF_PAGES];
const _: () = assert!(size_of::<Leaf>() == PAGE_BYTES);

/// What is handed out of the table's memory.
struct Counts {
    /// Leaves that were ever in use: of those behind, nothing was touched.
    leaves: AtomicUsize,
    /// Of these, the free ones: so many places of `free_leaves` are filled.
    free_leaves: AtomicUsize,
    /// Nodes that were ever in use.
    nodes: AtomicU32,
    /// The first of these that is free.
    free_node: AtomicU32,
}

/// The page table of a region, its lists' nodes, and what is in each frame of staging; addresses of
/// arrays in one mapping.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// [`Counts`]; also where the mapping starts.
    counts: usize,
    directory: usize,
    free_leaves: usize,
    frames: usize,
    nodes: usize,
    leaves: usize,
    pages: usize,
    frame_count: usize,
    /// Of a unit: pages, as a power of two.
    unit_shift: u32,
}

impl Table {
    /// Maps one for a region of `bytes` and so many frames of staging; `None` out of memory.
    pub(super) fn map(bytes: usize, unit_bytes: usize, frame_count: usize) -> Option<Table> {
        let unit_shift = unit_bytes.trailing_zeros() - PAGE_SHIFT;
        let pages = bytes >> PAGE_SHIFT;
        let at_zero = Table::at(0, pages, unit_shift, frame_count);
        let start = mapping::map_sparse(at_zero.end())?;
        mapping::advise_small(start, at_zero.end());
        mapping::name(start, at_zero.end(), c"glebe region table");
        Some(Table::at(start, pages, unit_shift, frame_count))
    }

    fn at(start: usize, pages: usize, unit_shift: u32, frame_count: usize) -> Table {
        let areas = pages.div_ceil(LEAF_PAGES);
        let units = pages >> unit_shift;
        let directory = start + size_of::<Counts>();
        let frames = directory + areas * size_of::<AtomicUsize>();
        let free_leaves = frames + frame_count * size_of::<AtomicU64>();
        let nodes = (free_leaves + areas * size_of::<AtomicU32>()).next_multiple_of(8);
        // Node 0 is none.
        let leaves = nodes + (units + 1) * size_of::<Node>();
        Table {
            counts: start,
            directory,
            free_leaves,
            frames,
            nodes,
            leaves: leaves.next_multiple_of(PAGE_BYTES),
            pages,
            frame_count,
            unit_shift,
        }
    }

    fn end(&self) -> usize {
        self.leaves + self.areas() * size_of::<Leaf>()
    }

    /// Unmaps it, which nobody uses any more.
    pub(super) fn unmap(&self) {
        let (start, bytes) = self.range();
        mapping::unmap(start, bytes);
    }

    /// Start and bytes of it.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.counts, self.end() - self.counts)
    }

    /// The address of the directory.
    pub(super) fn directory(&self) -> usize {
        self.directory
    }

    fn areas(&self) -> usize {
        self.pages.div_ceil(LEAF_PAGES)
    }

    /// How many units there may be.
    pub(super) fn units(&self) -> usize {
        self.pages >> self.unit_shift
    }

    /// Pages of a unit.
    pub(super) fn unit_pages(&self) -> usize {
        1 << self.unit_shift
    }

    fn counts(&self) -> &Counts {
        // SAFETY: mapped as long as the region lives; zeroes are counts.
        unsafe { &*(self.counts as *const Counts) }
    }

    // ---- entries -------------------------------------------------------------------------------

    fn leaf_word(&self, area: usize) -> &AtomicUsize {
        debug_assert!(area < self.areas());
        let area = area.min(self.areas() - 1);
        // SAFETY: within the array, which is mapped as long as the region lives; zeroes are a word.
        unsafe { &*(self.directory as *const AtomicUsize).add(area) }
    }

    fn leaf(&self, area: usize) -> Option<&Leaf> {
        // Acquire pairs with the Release of `leaf_to_write`.
        let address = self.leaf_word(area).load(Ordering::Acquire);
        // SAFETY: 0 or a leaf's address: that memory stays mapped, zeroes are entries.
        unsafe { (address as *const Leaf).as_ref() }
    }

    fn leaf_to_write(&self, area: usize) -> &Leaf {
        if let Some(leaf) = self.leaf(area) {
            return leaf;
        }
        let counts = self.counts();
        let number = match counts.free_leaves.load(Ordering::Relaxed).checked_sub(1) {
            Some(free) => {
                counts.free_leaves.store(free, Ordering::Relaxed);
                self.free_leaf(free).load(Ordering::Relaxed) as usize
            }
            None => counts.leaves.fetch_add(1, Ordering::Relaxed),
        };
        debug_assert!(number < self.areas());
        let address = self.leaves + number * size_of::<Leaf>();
        // Release pairs with the Acquire of `leaf`: the entries of who had it before are gone.
        self.leaf_word(area).store(address, Ordering::Release);
        // SAFETY: there are as many as areas, each of which has one at most; zeroes are entries.
        unsafe { &*(address as *const Leaf) }
    }

    fn free_leaf(&self, place: usize) -> &AtomicU32 {
        debug_assert!(place < self.areas());
        // SAFETY: as in `leaf_word`.
        unsafe { &*(self.free_leaves as *const AtomicU32).add(place) }
    }

    /// The entry of a page.
    pub(super) fn entry(&self, page: usize) -> Entry {
        let leaf = self.leaf(page / LEAF_PAGES);
        let word = leaf.map(|leaf| leaf[page % LEAF_PAGES].load(Ordering::Relaxed));
        Entry::of_word(word.unwrap_or(0))
    }

    /// Sets it.
    pub(super) fn set(&self, page: usize, entry: Entry) {
        let area = page / LEAF_PAGES;
        if entry.word() != 0 || self.leaf(area).is_some() {
            let leaf = self.leaf_to_write(area);
            leaf[page % LEAF_PAGES].store(entry.word(), Ordering::Relaxed);
        }
    }

    /// The entry of a unit's first page.
    pub(super) fn unit(&self, unit: usize) -> Entry {
        self.entry(unit << self.unit_shift)
    }

    /// Pages of a unit, by number.
    pub(super) fn pages_of(&self, unit: usize) -> Range<usize> {
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

    /// Those of a range of units of which something may be known, in ascending order.
    pub(super) fn known(&self, units: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        let table = *self;
        let shift = AREA_SHIFT - PAGE_SHIFT - self.unit_shift;
        let mut unit = units.start;
        core::iter::from_fn(move || {
            while unit < units.end && table.leaf(unit >> shift).is_none() {
                unit = ((unit >> shift) + 1) << shift;
            }
            let found = (unit < units.end).then_some(unit);
            unit += 1;
            found
        })
    }

    /// Gives the leaves back of those areas of a range of units of which nothing is known any more.
    pub(super) fn trim(&self, units: Range<usize>) {
        let first = (units.start << self.unit_shift) / LEAF_PAGES;
        let end = (units.end << self.unit_shift).div_ceil(LEAF_PAGES);
        for area in first..end.min(self.areas()) {
            let Some(leaf) = self.leaf(area) else {
                continue;
            };
            let address = core::ptr::from_ref(leaf).addr();
            let is_zero = leaf.iter().all(|it| it.load(Ordering::Relaxed) == 0);
            // Memory that does not go stays with its area: nothing is lost.
            if is_zero && mapping::discard_without_errno(address, size_of::<Leaf>()) {
                self.leaf_word(area).store(0, Ordering::Relaxed);
                let number = ((address - self.leaves) / size_of::<Leaf>()) as u32;
                let place = self.counts().free_leaves.fetch_add(1, Ordering::Relaxed);
                self.free_leaf(place).store(number, Ordering::Relaxed);
            }
        }
    }

    // ---- frames --------------------------------------------------------------------------------

    fn frame_word(&self, number: usize) -> &AtomicU64 {
        let number = number.min(self.frame_count - 1);
        // SAFETY: as in `leaf_word`.
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

    // ---- nodes of lists ------------------------------------------------------------------------

    /// The node of that number.
    pub(super) fn node(&self, number: u32) -> &Node {
        let number = (number as usize).min(self.units());
        // SAFETY: as in `leaf_word`; there is one for each unit, behind node 0.
        unsafe { &*(self.nodes as *const Node).add(number) }
    }

    /// A node that was never in use: there are as many as units.
    pub(super) fn new_node(&self) -> u32 {
        self.counts().nodes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The number of the first free node.
    pub(super) fn free_node(&self) -> &AtomicU32 {
        &self.counts().free_node
    }

    /// The node of a resident unit, if it is in a list; else 0.
    pub(super) fn node_of(&self, unit: usize) -> u32 {
        self.unit(unit).payload() as u32
    }

    /// Notes it.
    pub(super) fn set_node(&self, unit: usize, number: u32) {
        let entry = self.unit(unit);
        debug_assert!(entry.state() == State::Resident);
        self.set_flags(unit, entry.with_payload(u64::from(number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    fn leaves(table: &Table) -> usize {
        let counts = table.counts();
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        of(&counts.leaves) - of(&counts.free_leaves)
    }

    #[test]
    fn a_leaf_is_there_while_something_is_known_of_its_area() {
        let table = Table::map(1 << 40, 4096, 2).expect("address space");
        let last = (1 << 28) - 1;
        let stored = Entry::new(State::Stored, 7);
        assert_eq!(table.entry(last), Entry::of_word(0));
        table.set(last, Entry::of_word(0));
        assert_eq!(leaves(&table), 0, "to read, or to forget, makes none");
        table.set(0, stored);
        table.set(last, stored);
        assert_eq!(leaves(&table), 2);
        assert_eq!(
            (table.entry(last), table.entry(1)),
            (stored, Entry::of_word(0))
        );
        let known: Vec<usize> = table.known(1..1 << 28).collect();
        assert_eq!((known.len(), known[0]), (511 + 512, 1));
        assert_eq!(known.last(), Some(&last));

        table.trim(0..1 << 28);
        assert_eq!(leaves(&table), 2, "something is known");
        table.set(0, Entry::of_word(0));
        table.trim(0..1);
        assert_eq!(leaves(&table), 1);
        table.set(5 << 9, stored);
        assert_eq!(table.entry(5 << 9), stored);
        assert_eq!(table.entry((5 << 9) + 1), Entry::of_word(0));
        assert_eq!(
            table.counts().leaves.load(Ordering::Relaxed),
            2,
            "used again"
        );
        assert_eq!(table.known(0..1 << 20).collect::<Vec<_>>().len(), 512);
        table.unmap();
    }

    #[test]
    fn the_table_is_the_array_that_it_stands_for() {
        const UNITS: usize = 3000;
        let table = Table::map(UNITS << 14, 1 << 14, 2).expect("memory");
        let mut model = std::vec![0u64; UNITS * 4];
        let mut state = 11u64;
        for round in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let unit = (state >> 33) as usize % UNITS;
            match round % 8 {
                0..6 => {
                    let entry = Entry::new(State::Same, state >> 40);
                    let page = unit * 4 + (state >> 20) as usize % 4;
                    table.set(page, entry);
                    model[page] = entry.word();
                }
                _ => {
                    let end = (unit + (state >> 20) as usize % 600).min(UNITS);
                    (unit * 4..end * 4).for_each(|page| table.set(page, Entry::of_word(0)));
                    model[unit * 4..end * 4].fill(0);
                    table.trim(unit..end);
                }
            }
            assert!(leaves(&table) <= table.areas());
        }
        let found: Vec<u64> = (0..UNITS * 4)
            .map(|page| table.entry(page).word())
            .collect();
        assert_eq!(found, model);
        let known = table.known(0..UNITS).collect::<Vec<_>>();
        let is_known = |unit: &usize| model[unit * 4..unit * 4 + 4].iter().any(|it| *it != 0);
        assert!(
            (0..UNITS)
                .filter(is_known)
                .all(|unit| known.contains(&unit))
        );
        table.unmap();
    }
}
