//! The resident set of managed memory: which pages are in memory, and which of them shall leave.

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
    /// It was touched and came from a store; its age when it left.
    Refault(u16),
    /// It was touched while it was staged.
    StagedHit,
    /// It was brought in since a stream comes by.
    Prefetched,
    /// It was chosen, and could not leave.
    Unmovable,
}

struct Queue {
    places: usize,
    start: usize,
    head: usize,
    tail: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    places: 0,
    start: 0,
    head: 0,
    tail: 0,
});

pub(super) fn prepare() -> bool {
    let mut queue = QUEUE.lock();
    if queue.places != 0 {
        return true;
    }
    let places = (4 * budget::asked_bytes() / PAGE_BYTES).next_power_of_two();
    let Some(start) = metadata::map_table(places * 8) else {
        return false;
    };
    queue.start = start;
    queue.places = places;
    true
}

impl Queue {
    fn place(&self, at: usize) -> &'static AtomicU64 {
        // SAFETY: the table has that many places, and lives for ever.
        unsafe { &*(self.start as *const AtomicU64).add(at & (self.places - 1)) }
    }
}

pub(super) fn admit(page: PageNumber, _how: Admission) {
    let Some(slot) = page_table::slot(page) else {
        return;
    };
    let mut queue = QUEUE.lock();
    if queue.head - queue.tail < queue.places && slot.set_queued() {
        queue.place(queue.head).store(page.0, Ordering::Relaxed);
        queue.head += 1;
    }
}

pub(super) fn victims(out: &mut [PageNumber]) -> usize {
    let mut queue = QUEUE.lock();
    let mut found = 0;
    while found < out.len() && queue.tail < queue.head {
        let page = PageNumber(queue.place(queue.tail).load(Ordering::Relaxed));
        queue.tail += 1;
        let Some(slot) = page_table::slot(page) else {
            continue;
        };
        slot.clear_queued();
        if slot.load().state() == State::Resident {
            out[found] = page;
            found += 1;
        }
    }
    found
}

pub(super) fn age_now() -> u16 {
    0
}

pub(super) fn staging_pages() -> usize {
    budget::asked_bytes() / 10 / PAGE_BYTES
}

/// In a child after fork: nothing is queued.
pub(super) fn forget_all() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { QUEUE.raw() }.reset();
    let mut queue = QUEUE.lock();
    queue.head = 0;
    queue.tail = 0;
}
