//! Tests of the resident set, with a page table that is a map.

use super::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::vec::Vec;

/// A page table, memory of `limit` pages, and a staging of a tenth.
struct Machine<'a> {
    set: ResidentSet<'a>,
    entries: FakeEntries,
    staged: Vec<u64>,
    stamps: BTreeMap<u64, Stamp>,
    limit: usize,
    hard_faults: usize,
}

#[derive(Default)]
struct FakeEntries {
    resident: RefCell<BTreeMap<u64, ()>>,
    queued: RefCell<BTreeMap<u64, ()>>,
    touched: Cell<Option<u64>>,
}

impl Entries for FakeEntries {
    fn set_queued(&self, page: u64) -> bool {
        self.queued.borrow_mut().insert(page, ()).is_none()
    }

    fn clear_queued(&self, page: u64) {
        self.queued.borrow_mut().remove(&page);
    }

    fn is_resident(&self, page: u64) -> bool {
        self.resident.borrow().contains_key(&page)
    }

    fn take_touched(&self, page: u64) -> bool {
        self.touched.get() == Some(page) && self.touched.take().is_some()
    }
}

fn table(pages: usize) -> Vec<AtomicU64> {
    (0..5 * pages).map(|_| AtomicU64::new(0)).collect()
}

impl<'a> Machine<'a> {
    fn new(table: &'a [AtomicU64], limit: usize) -> Machine<'a> {
        let mut set = ResidentSet::new();
        set.give_table(table);
        Machine {
            set,
            entries: FakeEntries::default(),
            staged: Vec::new(),
            stamps: BTreeMap::new(),
            limit,
            hard_faults: 0,
        }
    }

    fn touch(&mut self, page: u64) {
        if self.entries.is_resident(page) {
            return;
        }
        let how = match (
            self.stamps.get(&page),
            self.staged.iter().position(|it| *it == page),
        ) {
            (Some(stamp), Some(at)) => {
                self.staged.remove(at);
                Admission::StagedHit(*stamp)
            }
            (Some(stamp), None) => Admission::Refault(*stamp),
            (None, _) => Admission::FirstTouch,
        };
        self.hard_faults += usize::from(!matches!(how, Admission::StagedHit(_)));
        self.entries.resident.borrow_mut().insert(page, ());
        self.set.admit(page, how, &self.entries);
        while self.entries.resident.borrow().len() > self.limit - staging_pages(self.limit) {
            let mut victims = [Victim::NONE; 4];
            let found = self.set.victims(&mut victims, &self.entries);
            assert!(found > 0, "a page that is resident is queued");
            for victim in &victims[..found] {
                assert!(
                    self.entries
                        .resident
                        .borrow_mut()
                        .remove(&victim.page)
                        .is_some()
                );
                self.stamps.insert(victim.page, victim.stamp());
                self.staged.push(victim.page);
            }
            let excess = self.staged.len().saturating_sub(staging_pages(self.limit));
            self.staged.drain(..excess);
        }
    }

    fn hard_faults_of(&mut self, pages: impl Iterator<Item = u64>) -> usize {
        let before = self.hard_faults;
        pages.for_each(|page| self.touch(page));
        self.hard_faults - before
    }
}

#[test]
fn every_resident_page_leaves_in_the_end_and_is_chosen_once() {
    let table = table(100);
    let mut machine = Machine::new(&table, 100);
    (0..90).for_each(|page| machine.touch(page));
    let mut victims = [Victim::NONE; 200];
    let found = machine.set.victims(&mut victims, &machine.entries);
    let mut pages: Vec<_> = victims[..found].iter().map(|it| it.page).collect();
    pages.sort_unstable();
    assert_eq!(pages, (0..90).collect::<Vec<_>>());
    assert!(machine.entries.queued.borrow().is_empty());
    assert_eq!(machine.set.queued(), 0);
}

#[test]
fn pages_that_vanished_are_passed_over_and_may_come_again() {
    let table = table(100);
    let mut machine = Machine::new(&table, 100);
    (0..50).for_each(|page| machine.touch(page));
    machine
        .entries
        .resident
        .borrow_mut()
        .retain(|page, ()| page % 2 == 0);
    let mut victims = [Victim::NONE; 50];
    assert_eq!(machine.set.victims(&mut victims, &machine.entries), 25);
    assert!(victims[..25].iter().all(|it| it.page % 2 == 0));
    machine.stamps.clear();
    machine.touch(1);
    assert_eq!(machine.set.victims(&mut victims, &machine.entries), 1);
}

#[test]
fn freed_pages_never_fill_the_tables() {
    let table = table(64);
    let mut machine = Machine::new(&table, 64);
    for page in 0..10_000 {
        machine.touch(page);
        if page >= 20 {
            machine.entries.resident.borrow_mut().remove(&(page - 20));
        }
    }
    let mut victims = [Victim::NONE; 64];
    assert_eq!(machine.set.victims(&mut victims, &machine.entries), 20);
}

#[test]
fn a_scan_leaves_the_proven_in_memory() {
    let table = table(1000);
    let mut machine = Machine::new(&table, 1000);
    let hot = || (0..500u64).map(|at| at * 7919 % 500);
    // New pages press until the hot ones, touched in staging, have proven themselves.
    for round in 0..40 {
        hot().for_each(|page| machine.touch(page));
        (0..100).for_each(|page| machine.touch(10_000 + round * 100 + page));
    }
    assert_eq!(machine.hard_faults_of(100_000..103_000), 3000);
    assert!(machine.hard_faults_of(hot()) < 50);
}

#[test]
fn most_of_a_loop_larger_than_memory_stays() {
    let table = table(1000);
    let mut machine = Machine::new(&table, 1000);
    for _ in 0..20 {
        (0..1100).for_each(|page| machine.touch(page));
    }
    let faults = machine.hard_faults_of((0..10).flat_map(|_| 0..1100));
    assert!(faults < 10 * 1100 * 2 / 5, "{faults}");
}

#[test]
fn a_hot_set_that_moved_is_in_memory_after_few_rounds() {
    let table = table(1000);
    let mut machine = Machine::new(&table, 1000);
    for start in [0, 5000, 10_000] {
        let mut round = || machine.hard_faults_of((0..800).map(|at| start + at * 7919 % 800));
        assert_eq!(round(), 800);
        for _ in 0..6 {
            round();
        }
        assert!(round() < 80, "at {start}");
    }
}

#[test]
fn what_the_kernel_saw_touched_goes_round() {
    let table = table(100);
    let mut machine = Machine::new(&table, 100);
    (0..50).for_each(|page| machine.touch(page));
    machine.entries.touched.set(Some(0));
    let mut victims = [Victim::NONE; 49];
    assert_eq!(machine.set.victims(&mut victims, &machine.entries), 49);
    assert!(victims.iter().all(|it| it.page != 0));
}

#[test]
fn a_page_left_long_ago_once_as_many_left_since_as_a_queue_has_places() {
    let table = table(4096);
    let mut machine = Machine::new(&table, 4096);
    machine.touch(0);
    let mut victims = [Victim::NONE; 1];
    assert_eq!(machine.set.victims(&mut victims, &machine.entries), 1);
    let stamp = victims[0].stamp();
    machine.set.evictions += 2 * 4096 - 4;
    assert!(!machine.set.left_long_ago(stamp));
    machine.set.evictions += 4;
    assert!(machine.set.left_long_ago(stamp));
}

#[test]
fn a_stamp_tells_queue_and_distance_over_a_clock_that_went_round() {
    for ticks in [0, 5, 0x7ffe, 0x7fff, 0x8000, 0x12_3456] {
        for queue in [Queue::Fresh, Queue::Proven] {
            let stamp = Stamp::new(ticks, queue);
            assert_eq!(stamp.queue(), queue);
            assert_eq!(stamp.distance(ticks + 9), 9);
        }
    }
}
