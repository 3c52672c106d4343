//! The resident set of managed memory: which pages are in memory, and which of them shall leave.
//!
//! The kernel does not tell which pages a program touches, so evidence is what faults say:
//!
//! ```text
//! first touch, refault after long --> fresh --+
//!                                             +--> victims --> staging --> store
//! touched in staging, refault soon -> proven -+
//! ```
//!
//! Both are FIFOs. Victims come from *fresh* while it holds more than its share, so what is touched
//! once (a scan) passes through without pushing out what has proven itself. What leaves *proven*
//! has its second chance in staging. *Soon* means that the page would not have left if memory had
//! been twice as large: it left fewer evictions ago than pages are resident.
//!
//! The share adapts (N. Megiddo, D. Modha, "ARC: a self-tuning, low overhead replacement cache",
//! FAST 2003): a page that left fresh and is soon wanted again says that fresh is too short, one
//! that left proven that it is too long. Where a page left from, and when, its entry remembers.

use super::budget;
use super::page_table::{self, PAGE_BYTES, PageNumber, State};
use crate::metadata;
use crate::os::futex::Mutex;
use core::sync::atomic::{AtomicU64, Ordering};

/// How a page came to be resident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It was there when its granule became tracked.
    Found,
    /// It was touched for the first time.
    FirstTouch,
    /// It was touched and came from a store.
    Refault(Departure),
    /// It was touched while it was staged.
    StagedHit(Departure),
    /// It was brought in since a stream comes by.
    Prefetched,
    /// It was chosen, and could not leave.
    Unmovable,
}

/// When a page left memory, and from which queue: 15 bits of the clock of evictions, and the
/// highest says *proven*.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Departure(pub(super) u16);

impl Departure {
    const PROVEN: u16 = 1 << 15;

    fn new(evictions: u64, proven: bool) -> Departure {
        let clock = (evictions / evictions_a_unit()) as u16 & !Departure::PROVEN;
        Departure(clock | if proven { Departure::PROVEN } else { 0 })
    }

    fn was_proven(self) -> bool {
        self.0 & Departure::PROVEN != 0
    }

    /// Pages that left since, as far as the clock reaches.
    fn distance(self, evictions: u64) -> u64 {
        let now = Departure::new(evictions, false).0;
        let units = now.wrapping_sub(self.0) & !Departure::PROVEN;
        u64::from(units) * evictions_a_unit()
    }
}

/// A page that shall leave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Victim {
    pub(super) page: PageNumber,
    /// The bits of its [`Departure`].
    pub(super) departure: u16,
}

/// A FIFO of page numbers in a table. Pages that have left memory otherwise stay in it until they
/// come out; the queued bit of their entries keeps them from being queued twice.
struct Fifo {
    start: usize,
    head: usize,
    tail: usize,
}

impl Fifo {
    const fn new() -> Fifo {
        Fifo {
            start: 0,
            head: 0,
            tail: 0,
        }
    }

    fn length(&self) -> usize {
        self.head - self.tail
    }

    fn place(&self, at: usize, places: usize) -> &'static AtomicU64 {
        let first = self.start as *const AtomicU64;
        // SAFETY: the table holds `places` words, a power of two of them, and lives for ever.
        unsafe { &*first.add(at & (places - 1)) }
    }
}

struct ResidentSet {
    /// Places of each queue, a power of two; 0 before [`prepare`].
    places: usize,
    fresh: Fifo,
    proven: Fifo,
    /// Fresh pages leave first while they are more than this.
    fresh_share: usize,
    /// Pages that were ever chosen.
    evictions: u64,
    /// Pages that were passed over, since they could not leave before.
    passed_over: usize,
}

static RESIDENT: Mutex<ResidentSet> = Mutex::new(ResidentSet {
    places: 0,
    fresh: Fifo::new(),
    proven: Fifo::new(),
    fresh_share: 0,
    evictions: 0,
    passed_over: 0,
});

/// A page that could not leave is tried again when this many of its kind came by.
const REST: usize = 16;
/// Neither queue's share falls below a part in this of what is resident.
const LEAST_SHARE: usize = 16;
/// Of the budget, one part in this is staging.
const STAGING_SHARE: usize = 10;

/// Maps what the queues need, once; `false` out of memory.
pub(super) fn prepare() -> bool {
    let mut resident = RESIDENT.lock();
    if resident.places != 0 {
        return true;
    }
    // The budget in pages four times over, since pages that left stay queued for a while.
    let places = (4 * budget::asked_bytes() / PAGE_BYTES).next_power_of_two();
    let Some(start) = metadata::map_table(2 * places * size_of::<AtomicU64>()) else {
        return false;
    };
    resident.fresh.start = start;
    resident.proven.start = start + places * size_of::<AtomicU64>();
    resident.places = places;
    true
}

/// Pages that staging holds.
pub(super) fn staging_pages() -> usize {
    budget::asked_bytes() / STAGING_SHARE / PAGE_BYTES
}

/// Evictions are counted in units of this many: 15 bits span 32 times the budget.
fn evictions_a_unit() -> u64 {
    (budget::asked_bytes() / PAGE_BYTES / 1024).max(1) as u64
}

/// Takes note of a page that is resident now.
pub(super) fn admit(page: PageNumber, how: Admission) {
    let Some(slot) = page_table::slot(page) else {
        return;
    };
    let mut resident = RESIDENT.lock();
    if !slot.set_queued() {
        return;
    }
    let proven = match how {
        Admission::Unmovable => true,
        Admission::StagedHit(departure) => {
            resident.adapt(departure);
            true
        }
        Admission::Refault(departure) => {
            let soon = departure.distance(resident.evictions) < budget::resident_pages() as u64;
            if soon {
                resident.adapt(departure);
            }
            soon
        }
        Admission::Found | Admission::FirstTouch | Admission::Prefetched => false,
    };
    resident.push(page, proven);
}

impl ResidentSet {
    /// A page was soon wanted again that left by this departure.
    fn adapt(&mut self, departure: Departure) {
        let (fresh, proven) = (self.fresh.length().max(1), self.proven.length().max(1));
        let all = fresh + proven;
        self.fresh_share = if departure.was_proven() {
            self.fresh_share.saturating_sub((fresh / proven).max(1))
        } else {
            self.fresh_share + (proven / fresh).max(1)
        }
        .clamp(all / LEAST_SHARE, all - all / LEAST_SHARE);
    }

    fn push(&mut self, page: PageNumber, proven: bool) {
        let places = self.places;
        let queue = if proven {
            &mut self.proven
        } else {
            &mut self.fresh
        };
        if queue.length() == places {
            // Its place is needed; it stays in memory until it is freed.
            queue.tail += 1;
        }
        queue
            .place(queue.head, places)
            .store(page.0, Ordering::Relaxed);
        queue.head += 1;
    }

    fn pop(&mut self) -> Option<Victim> {
        let (places, evictions) = (self.places, self.evictions);
        let from_fresh = self.fresh.length() > self.fresh_share || self.proven.length() == 0;
        let queue = if from_fresh {
            &mut self.fresh
        } else {
            &mut self.proven
        };
        if queue.length() == 0 {
            return None;
        }
        let page = queue.place(queue.tail, places).load(Ordering::Relaxed);
        queue.tail += 1;
        Some(Victim {
            page: PageNumber(page),
            departure: Departure::new(evictions, !from_fresh).0,
        })
    }
}

/// Whether a page that could not leave when it was tried last is passed over once more.
fn rests(resident: &mut ResidentSet) -> bool {
    resident.passed_over += 1;
    resident.passed_over % REST != 0
}

/// Chooses pages that shall leave; how many of `out` it filled.
pub(super) fn victims(out: &mut [Victim]) -> usize {
    let mut resident = RESIDENT.lock();
    let mut found = 0;
    let mut looks = out.len() * REST;
    while let Some(place) = out.get_mut(found) {
        looks -= 1;
        if looks == 0 {
            break;
        }
        let Some(victim) = resident.pop() else { break };
        let Some(slot) = page_table::slot(victim.page) else {
            continue;
        };
        let entry = slot.load();
        if entry.is_unmovable() && rests(&mut resident) {
            resident.push(victim.page, true);
            continue;
        }
        slot.clear_queued();
        if entry.state() == State::Resident {
            *place = victim;
            found += 1;
            resident.evictions += 1;
        }
    }
    found
}

/// In a child after fork: nothing is queued.
pub(super) fn forget_all() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { RESIDENT.raw() }.reset();
    let mut resident = RESIDENT.lock();
    resident.fresh.tail = resident.fresh.head;
    resident.proven.tail = resident.proven.head;
}
