//! Managed memory: whose pages are ours to move out and in. In granules of 64 KiB; untracked ones
//! wait in a list, oldest first, until the evictor tracks them.

use super::budget;
use super::page_table::{
    self, AREA_GRANULES, AREA_SHIFT, Area, Entry, LEAF_PAGES, PAGE_BYTES, PageNumber, Slot, State,
    held,
};
use super::store;
use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT};
use crate::os::futex::Mutex;
use crate::os::mapping;
use crate::os::pagemap::Pagemap;
use core::sync::atomic::Ordering;

/// The areas with untracked granules, in the order in which they got them; numbers + 1, 0 for
/// none.
struct Untracked {
    oldest: u32,
    newest: u32,
}

static UNTRACKED: Mutex<Untracked> = Mutex::new(Untracked {
    oldest: 0,
    newest: 0,
});

/// Where a new area stands in the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Behind all others.
    Last,
    /// Before all others: the evictor looks at once what of it is resident.
    First,
}

fn link(area: &Area) -> (u32, u32) {
    (
        area.older.load(Ordering::Relaxed),
        area.newer.load(Ordering::Relaxed),
    )
}

impl Untracked {
    fn contains(&self, number: u32, area: &Area) -> bool {
        self.oldest == number || area.older.load(Ordering::Relaxed) != 0
    }

    fn insert(&mut self, number: u32, area: &Area, place: Place) {
        let (older, newer) = match place {
            Place::Last => (self.newest, 0),
            Place::First => (0, self.oldest),
        };
        area.older.store(older, Ordering::Relaxed);
        area.newer.store(newer, Ordering::Relaxed);
        self.set_newer(older, number);
        self.set_older(newer, number);
    }

    fn remove(&mut self, area: &Area) {
        let (older, newer) = link(area);
        self.set_newer(older, newer);
        self.set_older(newer, older);
        area.older.store(0, Ordering::Relaxed);
        area.newer.store(0, Ordering::Relaxed);
    }

    /// Ends the management of some granules of an area; which of them were tracked.
    fn withdraw(&mut self, number: usize, area: &Area, granules: u32) -> u32 {
        let managed = area.managed.fetch_and(!granules, Ordering::Relaxed);
        let tracked = area.tracked.fetch_and(!granules, Ordering::Relaxed);
        let untracked = managed & !tracked;
        budget::count_untracked(-((untracked & granules).count_ones() as isize));
        if untracked & granules == untracked && self.contains(number as u32 + 1, area) {
            self.remove(area);
        }
        tracked & granules
    }

    /// What follows `number` (or is the oldest, for 0) is `newer`.
    fn set_newer(&mut self, number: u32, newer: u32) {
        match area_of(number) {
            Some(area) => area.newer.store(newer, Ordering::Relaxed),
            None => self.oldest = newer,
        }
    }

    fn set_older(&mut self, number: u32, older: u32) {
        match area_of(number) {
            Some(area) => area.older.store(older, Ordering::Relaxed),
            None => self.newest = older,
        }
    }
}

fn area_of(number: u32) -> Option<&'static Area> {
    page_table::area(number.checked_sub(1)? as usize)
}

/// The parts of a range in each of its areas: number and granules.
fn parts(address: usize, bytes: usize) -> impl Iterator<Item = (usize, u32)> {
    let (mut next, end) = (
        address >> GRANULE_SHIFT,
        (address + bytes).div_ceil(GRANULE_BYTES),
    );
    core::iter::from_fn(move || {
        if next >= end {
            return None;
        }
        let first = next % AREA_GRANULES;
        let count = (AREA_GRANULES - first).min(end - next);
        let number = next / AREA_GRANULES;
        next += count;
        let granules = (((1u64 << count) - 1) << first) as u32;
        Some((number, granules))
    })
}

/// Takes a range of whole granules, readable and writable, into management, untracked; `false` out
/// of memory: then it stays the kernel's business.
pub(super) fn claim(address: usize, bytes: usize, place: Place) -> bool {
    let mut untracked = UNTRACKED.lock();
    if parts(address, bytes).any(|(number, _)| page_table::ensure_area(number).is_none()) {
        return false;
    }
    for (number, granules) in parts(address, bytes) {
        let Some(area) = page_table::area(number) else {
            continue;
        };
        let before = area.managed.fetch_or(granules, Ordering::Relaxed);
        budget::count_untracked((granules & !before).count_ones() as isize);
        let number = number as u32 + 1;
        if !untracked.contains(number, area) {
            untracked.insert(number, area, place);
        }
    }
    true
}

/// Ends the management of a range whose contents nobody wants any more: afterwards nobody of us
/// touches it.
pub(super) fn unclaim(address: usize, bytes: usize) {
    let mut untracked = UNTRACKED.lock();
    hold(address, bytes);
    for (number, granules) in parts(address, bytes) {
        let Some(area) = page_table::area(number) else {
            continue;
        };
        let tracked = untracked.withdraw(number, area, granules);
        for_each_slot(number, area, tracked, |_, slot| {
            forget(slot, Entry::new(State::Unmanaged, 0));
        });
        if area.managed.load(Ordering::Relaxed) == 0 {
            area.park_leaf();
        }
    }
}

/// Takes a range of whole granules into management that becomes tracked before anything else
/// happens to it: it is charged by what it holds.
pub(super) fn claim_tracked(address: usize, bytes: usize) -> bool {
    let claimed = claim(address, bytes, Place::First);
    if claimed {
        track(address, bytes);
    }
    claimed
}

/// Ends the management of a range with its contents, which only works while none of it is tracked;
/// whether that is so.
pub(super) fn take_back(address: usize, bytes: usize) -> bool {
    let mut untracked = UNTRACKED.lock();
    if is_tracked(address, bytes) {
        return false;
    }
    for (number, granules) in parts(address, bytes) {
        if let Some(area) = page_table::area(number) {
            untracked.withdraw(number, area, granules);
        }
    }
    true
}

/// Gives the pages of a range back by `drop_pages`: they are zero afterwards. What that answers.
pub(super) fn discard(address: usize, bytes: usize, drop_pages: impl FnOnce() -> bool) -> bool {
    let _untracked = UNTRACKED.lock();
    hold(address, bytes);
    let dropped = drop_pages();
    for_each_tracked(address, bytes, |slot| {
        if dropped {
            forget(slot, Entry::new(State::Zero, 0));
        } else {
            held(slot).leave();
        }
    });
    dropped
}

/// Whether a page of the range is tracked.
fn is_tracked(address: usize, bytes: usize) -> bool {
    parts(address, bytes).any(|(number, granules)| {
        page_table::area(number)
            .is_some_and(|area| area.tracked.load(Ordering::Relaxed) & granules != 0)
    })
}

/// Makes the entries of all tracked pages in a range busy. Callers hold the lock of the list, so no
/// other granule becomes tracked meanwhile.
fn hold(address: usize, bytes: usize) {
    for_each_tracked(address, bytes, |slot| {
        // It stays busy: `held` finds it again.
        let _ = slot.lock();
    });
}

fn for_each_tracked(address: usize, bytes: usize, mut each: impl FnMut(&'static Slot)) {
    for (number, granules) in parts(address, bytes) {
        if let Some(area) = page_table::area(number) {
            let tracked = area.tracked.load(Ordering::Relaxed) & granules;
            for_each_slot(number, area, tracked, |_, slot| each(slot));
        }
    }
}

/// Calls `each` with the slots of all pages of some granules of an area.
pub(super) fn for_each_slot(
    number: usize,
    area: &Area,
    granules: u32,
    mut each: impl FnMut(PageNumber, &'static Slot),
) {
    let Some(leaf) = area.leaf() else { return };
    let first = PageNumber((number * LEAF_PAGES) as u64);
    for (index, slot) in leaf.slots_of(granules) {
        each(first.plus(index), slot);
    }
}

/// Sets the entry in a slot that the caller made busy, and lets go of what it stood for.
fn forget(slot: &Slot, then: Entry) {
    let locked = held(slot);
    let before = locked.entry();
    locked.finish(then);
    // Of a staged page the frame is the evictor's to empty, and its count with it.
    if before.state() == State::Resident {
        budget::count_resident(-1);
    }
    store::remove(before);
}

/// Areas in a row at most that become tracked at a time: 256 MiB.
const MOST_AREAS: usize = 128;

/// Granules that become tracked: some of one area, or all of several in a row.
pub(super) struct Tracking {
    first: usize,
    areas: usize,
    granules: u32,
}

/// Begins to track the oldest untracked granules; `None` where there are none. From now on their
/// pages count as absent and zero unless something else is found out.
pub(super) fn begin_tracking() -> Option<Tracking> {
    let mut untracked = UNTRACKED.lock();
    let (number, granules) = untracked.take_oldest()?;
    let mut tracking = Tracking {
        first: number,
        areas: 1,
        granules,
    };
    while tracking.granules == u32::MAX && tracking.areas < MOST_AREAS {
        let next = untracked.oldest.wrapping_sub(1) as usize;
        let adjoins = next == tracking.first + tracking.areas || next + 1 == tracking.first;
        if !adjoins || area_of(untracked.oldest).is_none_or(|area| untracked_of(area) != u32::MAX) {
            break;
        }
        untracked.take_oldest();
        tracking.first = tracking.first.min(next);
        tracking.areas += 1;
    }
    Some(tracking)
}

/// The managed granules of an area that are not tracked.
fn untracked_of(area: &Area) -> u32 {
    area.managed.load(Ordering::Relaxed) & !area.tracked.load(Ordering::Relaxed)
}

impl Untracked {
    /// Takes the oldest area out of the list, and notes that its granules are tracked.
    fn take_oldest(&mut self) -> Option<(usize, u32)> {
        let number = self.oldest;
        let area = area_of(number)?;
        self.remove(area);
        let granules = untracked_of(area);
        let number = number as usize - 1;
        begin_tracking_of(area, granules);
        Some((number, granules))
    }
}

fn begin_tracking_of(area: &Area, granules: u32) {
    // Twice: a leaf made in between by the fault handler either knows of the granules or is found
    // here. SeqCst pairs with `Area::leaf_of_tracked`.
    let begin_entries = || {
        if let Some(leaf) = area.leaf() {
            leaf.begin(granules);
        }
    };
    begin_entries();
    area.tracked.fetch_or(granules, Ordering::SeqCst);
    begin_entries();
}

impl Tracking {
    /// Their runs, as start and bytes.
    pub(super) fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let whole = self.granules == u32::MAX;
        let all = whole.then_some((self.first << AREA_SHIFT, self.areas << AREA_SHIFT));
        let some = if whole { 0 } else { self.granules };
        all.into_iter().chain(runs_of(self.first, some))
    }

    /// Their number.
    fn count(&self) -> isize {
        self.granules.count_ones() as isize * self.areas as isize
    }

    /// Ends it: pages that are in memory, as `pagemap` says, are resident and go to `admit`.
    pub(super) fn end(&self, pagemap: Option<Pagemap>, mut admit: impl FnMut(PageNumber)) {
        for (start, bytes) in self.runs() {
            note_present(start, bytes, pagemap, &mut admit);
        }
        budget::count_untracked(-self.count());
    }

    /// Ends it where the kernel did not register the granules: they stay its business, charged in
    /// full.
    pub(super) fn abandon(&self) {
        for (start, bytes) in self.runs() {
            for address in (start..start + bytes).step_by(PAGE_BYTES) {
                let entry = Entry::new(State::Resident, 0).as_unmovable();
                note_resident(PageNumber::of(address), entry);
            }
        }
        budget::count_untracked(-self.count());
    }
}

/// Looks which pages of a tracked range are in memory; those that were not known to be go to
/// `admit`.
pub(super) fn note_present(
    start: usize,
    bytes: usize,
    pagemap: Option<Pagemap>,
    mut admit: impl FnMut(PageNumber),
) {
    Pagemap::for_each_resident_run(pagemap, start, bytes, &mut |start, bytes| {
        for address in (start..start + bytes).step_by(PAGE_BYTES) {
            let page = PageNumber::of(address);
            if note_resident(page, Entry::new(State::Resident, 0)) {
                admit(page);
            }
        }
    });
}

/// Tracks a managed range at once, whatever its place in the list.
pub(super) fn track(address: usize, bytes: usize) {
    let mut untracked = UNTRACKED.lock();
    for (number, granules) in parts(address, bytes) {
        let Some(area) = page_table::area(number) else {
            continue;
        };
        let granules = granules & untracked_of(area);
        begin_tracking_of(area, granules);
        budget::count_untracked(-(granules.count_ones() as isize));
        if untracked_of(area) == 0 && untracked.contains(number as u32 + 1, area) {
            untracked.remove(area);
        }
    }
}

/// Keeps huge pages from all that is tracked, before a fork. In the child it is registered with
/// nobody for a moment; a huge page that the kernel made there (khugepaged) would have zeroes where
/// pages are out, and no touch of these would be a fault any more.
pub(super) fn keep_small() {
    page_table::for_each_area(|number, area| {
        for (start, bytes) in tracked_runs(number, area) {
            mapping::advise_small(start, bytes);
        }
    });
}

/// The runs of tracked granules of an area, as start and bytes.
pub(super) fn tracked_runs(number: usize, area: &Area) -> impl Iterator<Item = (usize, usize)> {
    runs_of(number, area.tracked.load(Ordering::Relaxed))
}

/// The runs of some granules of an area, as start and bytes.
fn runs_of(number: usize, granules: u32) -> impl Iterator<Item = (usize, usize)> {
    let start = number << AREA_SHIFT;
    let mut rest = granules;
    core::iter::from_fn(move || {
        let first = rest.trailing_zeros();
        let count = rest.checked_shr(first)?.trailing_ones();
        rest &= !((((1u64 << count) - 1) << first) as u32);
        Some((
            start + first as usize * GRANULE_BYTES,
            count as usize * GRANULE_BYTES,
        ))
    })
}

/// Notes that a tracked page is in memory, unless it is known already, or not ours any more.
fn note_resident(page: PageNumber, entry: Entry) -> bool {
    let Some(slot) = page_table::slot_of_tracked(page) else {
        return false;
    };
    let locked = slot.lock();
    if locked.entry().state() != State::Zero {
        locked.leave();
        return false;
    }
    budget::count_resident(1);
    locked.finish(entry);
    true
}

/// In a child after fork: whoever held the lock is no more, and the list may be torn.
pub(super) fn rebuild() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { UNTRACKED.raw() }.reset();
    let mut untracked = UNTRACKED.lock();
    *untracked = Untracked {
        oldest: 0,
        newest: 0,
    };
    let mut granules = 0;
    page_table::for_each_area(|number, area| {
        area.older.store(0, Ordering::Relaxed);
        area.newer.store(0, Ordering::Relaxed);
        let tracked = area.tracked.load(Ordering::Relaxed);
        let rest = area.managed.load(Ordering::Relaxed) & !tracked;
        granules += rest.count_ones() as usize;
        if rest != 0 {
            untracked.insert(number as u32 + 1, area, Place::Last);
        }
    });
    budget::recount_untracked(granules);
}
