//! Lists of the units that are in their place, newest to oldest: an array of nodes, as many as there
//! ever were such units at a time. A unit's entry says which node is its.

use super::table::Table;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A unit in a list; or, where it is free, the next free one in `older`.
pub(super) struct Node {
    unit: AtomicU64,
    newer: AtomicU32,
    older: AtomicU32,
}

/// Of nodes: none. Their numbers begin at 1.
const NONE: u32 = 0;

/// A list of units.
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

    /// Puts a unit that is resident and in no list at the newest end.
    pub(super) fn push(&mut self, table: &Table, unit: usize) {
        let number = take_node(table);
        let node = table.node(number);
        node.unit.store(unit as u64, Ordering::Relaxed);
        node.newer.store(NONE, Ordering::Relaxed);
        node.older.store(self.newest, Ordering::Relaxed);
        if self.newest == NONE {
            self.oldest = number;
        } else {
            table
                .node(self.newest)
                .newer
                .store(number, Ordering::Relaxed);
        }
        self.newest = number;
        self.length += 1;
        table.set_node(unit, number);
    }

    /// Takes a unit of this list out of it.
    pub(super) fn remove(&mut self, table: &Table, unit: usize) {
        let number = table.node_of(unit);
        debug_assert!(number != NONE);
        let node = table.node(number);
        let newer = node.newer.load(Ordering::Relaxed);
        let older = node.older.load(Ordering::Relaxed);
        if newer == NONE {
            self.newest = older;
        } else {
            table.node(newer).older.store(older, Ordering::Relaxed);
        }
        if older == NONE {
            self.oldest = newer;
        } else {
            table.node(older).newer.store(newer, Ordering::Relaxed);
        }
        self.length -= 1;
        table.set_node(unit, NONE);
        let free = table.free_node().swap(number, Ordering::Relaxed);
        node.older.store(free, Ordering::Relaxed);
    }

    /// The oldest unit.
    pub(super) fn oldest(&self, table: &Table) -> Option<usize> {
        unit_in(table, self.oldest)
    }

    /// The newest unit but `spared`, or the oldest.
    pub(super) fn newest_but(&self, table: &Table, spared: usize) -> Option<usize> {
        let mut number = self.newest;
        for _ in 0..spared.min(self.length.saturating_sub(1)) {
            number = table.node(number).older.load(Ordering::Relaxed);
        }
        unit_in(table, number)
    }
}

fn unit_in(table: &Table, number: u32) -> Option<usize> {
    (number != NONE).then(|| table.node(number).unit.load(Ordering::Relaxed) as usize)
}

fn take_node(table: &Table) -> u32 {
    let free = table.free_node();
    match free.load(Ordering::Relaxed) {
        NONE => table.new_node(),
        number => {
            let next = table.node(number).older.load(Ordering::Relaxed);
            free.store(next, Ordering::Relaxed);
            number
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::State;
    use super::*;
    extern crate std;
    use std::vec::Vec;

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
                table.move_unit(unit, State::Absent, 0);
            } else {
                model.push(unit);
                table.move_unit(unit, State::Resident, 0);
                list.push(&table, unit);
            }
            assert_eq!(list.length(), model.len());
            assert_eq!(list.oldest(&table), model.first().copied());
            assert_eq!(list.newest_but(&table, 0), model.last().copied());
            let third = model.len().checked_sub(3).map(|at| model[at]);
            assert_eq!(list.newest_but(&table, 2), third.or(model.first().copied()));
        }
        assert!(table.new_node() <= 65, "nodes are used again");
        table.unmap();
    }
}
