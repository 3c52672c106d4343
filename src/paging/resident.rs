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
    /// It was touched and came from a store; its age is when it left.
    Refault { age: u16 },
    /// It was touched while it was staged.
    StagedHit,
    /// It was brought in since a stream comes by.
    Prefetched,
    /// It was chosen, and could not leave.
    Unmovable,
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
    /// Pages that were ever chosen.
    evictions: u64,
}

static RESIDENT: Mutex<ResidentSet> = Mutex::new(ResidentSet {
    places: 0,
    fresh: Fifo::new(),
    proven: Fifo::new(),
    evictions: 0,
});

/// Fresh pages leave first while they are more than a part in this of all that are queued.
const FRESH_SHARE: usize = 8;
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

/// Evictions are counted in units of this many for a page's age: 16 bits span 64 times the budget.
fn evictions_a_unit() -> u64 {
    (budget::asked_bytes() / PAGE_BYTES / 1024).max(1) as u64
}

/// The age of a page that leaves now.
pub(super) fn age_now() -> u16 {
    (RESIDENT.lock().evictions / evictions_a_unit()) as u16
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
        Admission::StagedHit | Admission::Unmovable => true,
        Admission::Refault { age } => {
            let now = (resident.evictions / evictions_a_unit()) as u16;
            let distance = u64::from(now.wrapping_sub(age)) * evictions_a_unit();
            distance < budget::resident_pages() as u64
        }
        Admission::Found | Admission::FirstTouch | Admission::Prefetched => false,
    };
    resident.push(page, proven);
}

impl ResidentSet {
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

    fn pop(&mut self) -> Option<PageNumber> {
        let places = self.places;
        let queued = self.fresh.length() + self.proven.length();
        let from_fresh = self.fresh.length() > queued / FRESH_SHARE || self.proven.length() == 0;
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
        Some(PageNumber(page))
    }
}

/// Chooses pages that shall leave; how many of `out` it filled.
pub(super) fn victims(out: &mut [PageNumber]) -> usize {
    let mut resident = RESIDENT.lock();
    let mut found = 0;
    while let Some(place) = out.get_mut(found) {
        let Some(page) = resident.pop() else { break };
        let Some(slot) = page_table::slot(page) else {
            continue;
        };
        slot.clear_queued();
        if slot.load().state() == State::Resident {
            *place = page;
            found += 1;
        }
    }
    resident.evictions += found as u64;
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
