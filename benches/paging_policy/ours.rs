//! Our policy: the very `ResidentSet` of the library, told of faults only, in a machine that stages
//! what leaves memory.

use super::resident_set::{Admission, Entries, ResidentSet, Stamp, Victim, staging_pages};
use super::streams::Streams;
use super::traces::Trace;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;

/// What more the policy is told, and what it may do.
#[derive(Clone, Copy, Default)]
pub(crate) struct Terms {
    /// Which pages were written since they were asked about last.
    pub(crate) writes: bool,
    /// Which pages were touched.
    pub(crate) touches: bool,
    /// Streams are brought in ahead.
    pub(crate) streams: bool,
}

/// What became of a trace.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Faults on pages that were not in memory, the first touches included.
    pub(crate) hard_faults: usize,
    /// Faults on pages that were staged.
    pub(crate) staged_hits: usize,
    /// Pages brought in ahead.
    pub(crate) prefetched: usize,
    /// Those of them that left again untouched.
    pub(crate) wasted: usize,
    pub(crate) evictions: usize,
    /// Moves that these took: a run of neighbours is one.
    pub(crate) moves: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Nowhere,
    Resident,
    Staged,
    Stored,
}

#[derive(Clone)]
struct Entry {
    place: Cell<Place>,
    stamp: Cell<Stamp>,
    /// When it was staged last, in evictions.
    staged_at: Cell<usize>,
    queued: Cell<bool>,
    told: Cell<bool>,
    /// It was brought in ahead, and has not been touched.
    ahead: Cell<bool>,
}

struct Table(Vec<Entry>);

impl Entries for Table {
    fn set_queued(&self, page: u64) -> bool {
        !self.0[page as usize].queued.replace(true)
    }

    fn clear_queued(&self, page: u64) {
        self.0[page as usize].queued.set(false);
    }

    fn is_resident(&self, page: u64) -> bool {
        self.0[page as usize].place.get() == Place::Resident
    }

    fn take_touched(&self, page: u64) -> bool {
        self.0[page as usize].told.take()
    }
}

/// Victims that leave at a time.
const BATCH: usize = 64;

struct Machine<'a> {
    set: ResidentSet<'a>,
    table: Table,
    /// Pages, and when they were staged.
    ring: VecDeque<(u32, usize)>,
    staged: usize,
    resident: usize,
    memory: usize,
    outcome: Outcome,
}

/// Runs `trace` with `memory` pages, staging included.
pub(crate) fn run(trace: &Trace, memory: usize, terms: Terms) -> Outcome {
    let words: Vec<_> = (0..5 * memory).map(|_| AtomicU64::new(0)).collect();
    let mut set = ResidentSet::new();
    set.give_table(&words);
    let entry = Entry {
        place: Cell::new(Place::Nowhere),
        stamp: Cell::new(Stamp(0)),
        staged_at: Cell::new(0),
        queued: Cell::new(false),
        told: Cell::new(false),
        ahead: Cell::new(false),
    };
    let mut machine = Machine {
        set,
        table: Table(vec![entry; trace.pages]),
        ring: VecDeque::new(),
        staged: 0,
        resident: 0,
        memory,
        outcome: Outcome::default(),
    };
    let mut streams = Streams::new();
    for access in &trace.accesses {
        let entry = &machine.table.0[access.page() as usize];
        if entry.place.get() == Place::Resident {
            entry.ahead.set(false);
            entry
                .told
                .set(entry.told.get() || terms.touches || terms.writes && access.is_write());
            continue;
        }
        machine.fault(access.page());
        if terms.streams {
            let ahead = streams.observe(u64::from(access.page()));
            for page in ahead.first..ahead.first + ahead.pages as u64 {
                machine.prefetch(page as u32);
            }
        }
    }
    machine.outcome
}

impl Machine<'_> {
    fn fault(&mut self, page: u32) {
        let entry = &self.table.0[page as usize];
        let how = match entry.place.get() {
            Place::Staged => Admission::StagedHit(entry.stamp.get()),
            Place::Stored => Admission::Refault(entry.stamp.get()),
            _ => Admission::FirstTouch,
        };
        match how {
            Admission::StagedHit(_) => self.outcome.staged_hits += 1,
            _ => self.outcome.hard_faults += 1,
        }
        self.bring_in(page, how);
    }

    /// As the fault handler does: what was never touched is left alone.
    fn prefetch(&mut self, page: u32) {
        let Some(entry) = self.table.0.get(page as usize) else {
            return;
        };
        if matches!(entry.place.get(), Place::Staged | Place::Stored) {
            let stamp = entry.stamp.get();
            self.outcome.prefetched += 1;
            self.bring_in(page, Admission::Refault(stamp));
            self.table.0[page as usize].ahead.set(true);
        }
    }

    fn bring_in(&mut self, page: u32, how: Admission) {
        let before = self.table.0[page as usize].place.replace(Place::Resident);
        self.staged -= usize::from(before == Place::Staged);
        if before != Place::Staged {
            self.make_room();
        }
        self.resident += 1;
        self.table.0[page as usize].told.set(false);
        self.set.admit(u64::from(page), how, &self.table);
    }

    /// Makes room for one page: stages a batch once staging is short of one, stores the oldest.
    fn make_room(&mut self) {
        let share = staging_pages(self.memory);
        while self.resident + self.staged >= self.memory {
            if self.staged < share {
                let mut victims = [Victim::NONE; BATCH];
                let found = self
                    .set
                    .victims(&mut victims[..BATCH.min(share / 4)], &self.table);
                self.stage(&mut victims[..found]);
            }
            self.store_oldest();
        }
    }

    fn stage(&mut self, victims: &mut [Victim]) {
        victims.sort_unstable();
        let mut after = None;
        for victim in victims {
            let entry = &self.table.0[victim.page as usize];
            entry.place.set(Place::Staged);
            entry.stamp.set(victim.stamp());
            self.outcome.wasted += usize::from(entry.ahead.take());
            self.outcome.moves += usize::from(after != Some(victim.page));
            after = Some(victim.page + 1);
            self.outcome.evictions += 1;
            entry.staged_at.set(self.outcome.evictions);
            self.ring
                .push_back((victim.page as u32, self.outcome.evictions));
            self.resident -= 1;
            self.staged += 1;
        }
    }

    fn store_oldest(&mut self) {
        while let Some((page, staged_at)) = self.ring.pop_front() {
            let entry = &self.table.0[page as usize];
            if entry.place.get() == Place::Staged && entry.staged_at.get() == staged_at {
                entry.place.set(Place::Stored);
                self.staged -= 1;
                return;
            }
        }
    }
}
