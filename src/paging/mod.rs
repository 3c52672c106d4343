//! The demand-paging engine: the heap under a budget.
//!
//! Memory of ours is *managed* in granules, wherever it lies. While the budget is far away nothing
//! else happens. Once it comes into sight two threads start. The *evictor* registers what is
//! managed with userfaultfd(2), and from then on each page has an entry in the *page table*; it
//! moves pages out of the program's sight into *staging*, and from there to a *store*. The *fault
//! handler* brings in what is touched.
//!
//! ```text
//!              track                 MOVE                  compress
//! untracked ----------> resident -----------> staged ----------------> stored
//!              zero <---    ^                    | COPY                  | expand, COPY
//!                           +--------------------+-----------------------+
//! ```
//!
//! What changes an entry makes it busy first; see [`page_table::Slot`]. A fault never needs the
//! allocator, and the threads never touch managed memory but through userfaultfd.

mod budget;
mod compaction;
mod evictor;
mod fault_handler;
mod managed;
mod page_table;
pub(crate) mod picture;
pub(crate) mod region;
mod relocation;
mod resident;
mod resident_set;
mod staging;
mod statistics;
mod store;
mod streams;
mod threads;

use page_table::{Entry, State};

use crate::config;
use crate::os::pagemap::Pagemap;
use crate::os::process::{ErrnoKept, SignalsBlocked};
use crate::os::stdio_files;
use crate::report;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether there is a budget to keep.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Claims of more than this share of the budget are looked at before others: huge objects are
/// seldom touched as a whole.
const HUGE_SHARE: usize = 8;

/// Whether the heap has a budget.
#[inline]
pub(crate) fn is_active() -> bool {
    ACTIVE.load(Ordering::Relaxed)
}

/// Gives the heap a budget of `bytes`, before its first allocation, if the kernel lets us keep it.
pub(crate) fn prepare(bytes: usize) {
    match threads::probe() {
        Ok(()) => {
            budget::set(bytes);
            ACTIVE.store(true, Ordering::Relaxed);
        }
        Err(obstacle) => report::no_budget(obstacle.reason(), config::budget_required()),
    }
}

/// Takes a range of whole granules, mapped just now and readable and writable, into management.
/// Waits for the evictor where the budget is exhausted.
#[inline]
pub(crate) fn claim(address: usize, bytes: usize) {
    if is_active() {
        claim_now(address, bytes);
    }
}

#[cold]
fn claim_now(address: usize, bytes: usize) {
    let _blocked = SignalsBlocked::new();
    let place = if bytes > budget::asked_bytes() / HUGE_SHARE {
        managed::Place::First
    } else {
        managed::Place::Last
    };
    if !managed::claim(address, bytes, place) || budget::used_bytes() < budget::in_sight_bytes() {
        return;
    }
    if !threads::are_running()
        && let Err(obstacle) = threads::start()
    {
        ACTIVE.store(false, Ordering::Relaxed);
        return report::no_budget(obstacle.reason(), config::budget_required());
    }
    evictor::wake_if_needed();
    let mut waits = 0;
    while budget::is_exhausted() && waits < 50 {
        budget::wait_for_room();
        waits += 1;
    }
}

/// Ends the management of a range that is about to be unmapped; its contents are lost.
#[inline]
pub(crate) fn unclaim(address: usize, bytes: usize) {
    if is_active() {
        let _blocked = SignalsBlocked::new();
        managed::unclaim(address, bytes);
    }
}

/// Gives the pages of a range back by `drop_pages`, and what is stored of them; what `drop_pages`
/// answers.
#[inline]
pub(crate) fn discard(address: usize, bytes: usize, drop_pages: impl FnOnce() -> bool) -> bool {
    if !is_active() {
        return drop_pages();
    }
    let _blocked = SignalsBlocked::new();
    managed::discard(address, bytes, drop_pages)
}

/// Ends the management of a range with its contents, so that mremap may move it; `false` where
/// pages of it may be elsewhere than in memory, and nothing has changed.
pub(crate) fn take_back(address: usize, bytes: usize) -> bool {
    if !is_active() {
        return true;
    }
    let _blocked = SignalsBlocked::new();
    managed::take_back(address, bytes)
}

/// Moves the contents of a managed range to one that was mapped just now and is at least as long,
/// and takes that into management: `false` where that cannot be, and the old range is as it was.
/// Afterwards the old range holds nothing, and is unclaimed.
pub(crate) fn relocate(from: usize, from_bytes: usize, to: usize, to_bytes: usize) -> bool {
    if !is_active() {
        return false;
    }
    let _blocked = SignalsBlocked::new();
    if !threads::are_running() || !managed::claim_tracked(to, to_bytes) {
        return false;
    }
    let moved = relocation::ask(from, to, from_bytes, to_bytes);
    let (gone, gone_bytes) = if moved {
        (from, from_bytes)
    } else {
        (to, to_bytes)
    };
    managed::unclaim(gone, gone_bytes);
    moved
}

/// The budget in bytes if it is in sight, so that memory is scarce.
pub(crate) fn scarce_bytes() -> Option<usize> {
    let in_sight = is_active() && budget::used_bytes() > budget::in_sight_bytes();
    in_sight.then(budget::asked_bytes)
}

/// What there is to say of the budget and of faults, by name; nothing where there is no budget.
pub(crate) fn figures() -> impl Iterator<Item = (&'static str, usize)> {
    let sums = [
        ("budget_bytes", budget::asked_bytes()),
        ("budget_used_bytes", budget::used_bytes()),
        ("budget_peak_bytes", budget::peak_bytes()),
        ("resident_pages", budget::resident_pages()),
        ("staged_pages", budget::staged_pages()),
        ("untracked_granules", budget::untracked_granules()),
        ("store_bytes", store::memory().footprint_bytes()),
        ("spill_bytes", store::spill().used_bytes()),
    ];
    sums.into_iter()
        .chain(statistics::counts())
        .filter(|_| is_active())
}

/// Has in memory what fork(3) writes to in the child before any handler: the open streams.
pub(crate) fn touch_streams() {
    if is_active() && threads::are_running() {
        stdio_files::touch_all();
    }
}

/// Holds the evictor still and the stores as they are until [`after_fork_in_parent`], so that the
/// child finds a whole picture. Async-signal-safe.
pub(crate) fn before_fork() {
    if is_active() && threads::are_running() {
        core::mem::forget(evictor::EVICTION.lock());
        store::hold_removals();
        fault_handler::hold_still();
        let _kept = ErrnoKept::new();
        managed::keep_small();
    }
}

/// Lets the evictor go on.
pub(crate) fn after_fork_in_parent() {
    if is_active() && store::after_fork_in_parent() {
        fault_handler::go_on();
        // SAFETY: locked by `before_fork` of this thread.
        unsafe { evictor::EVICTION.force_unlock(Default::default()) };
    }
}

/// In the child of a fork: takes stock and starts the threads, before anybody touches a page that
/// is not there.
pub(crate) fn after_fork_in_child() {
    if is_active() {
        recover();
    }
}

#[cold]
fn recover() {
    let ran = threads::are_running();
    page_table::reset_lock();
    managed::rebuild();
    if !ran {
        return;
    }
    // SAFETY: the child has one thread, and it does not hold the lock in earnest.
    unsafe { evictor::EVICTION.raw() }.reset();
    store::after_fork_in_child();
    relocation::reset();
    fault_handler::reset();
    resident::forget_all();
    take_stock();
    if threads::restart().is_err() {
        bring_all_in();
    }
}

/// Where the child of a fork may not page (it gave up the privilege): brings everything in and
/// lets the budget be. Its memory is registered with nobody, so that takes no more than writing.
fn bring_all_in() {
    ACTIVE.store(false, Ordering::Relaxed);
    let mut raw = [0; page_table::PAGE_BYTES];
    page_table::for_each_area(|number, area| {
        let tracked = area.tracked.load(Ordering::Relaxed);
        managed::for_each_slot(number, area, tracked, |page, slot| {
            let entry = slot.load();
            if matches!(
                entry.state(),
                State::Unmanaged | State::Zero | State::Resident
            ) {
                return;
            }
            // SAFETY: managed memory is writable unless the program has changed that; the page is
            // absent, so nobody has anything in it.
            let into = unsafe { &mut *(page.address() as *mut [u8; page_table::PAGE_BYTES]) };
            if !fault_handler::load(entry, &mut raw, into) {
                report::page_lost(page.address());
            }
        });
    });
}

/// Rights all entries after a fork, in the middle of which the fault handler may have been busy:
/// what is in memory is resident, whatever the entry says.
fn take_stock() {
    let mut resident = 0;
    page_table::for_each_area(|number, area| {
        let mut right = |start: usize, bytes: usize, present: bool| {
            for address in (start..start + bytes).step_by(page_table::PAGE_BYTES) {
                let page = page_table::PageNumber::of(address);
                let Some(slot) = page_table::slot(page) else {
                    continue;
                };
                let before = slot.load().idle();
                let entry = match before.state() {
                    State::Unmanaged => before,
                    _ if present => Entry::new(State::Resident, 0),
                    State::Resident => Entry::new(State::Zero, 0),
                    _ => before,
                };
                slot.reset(entry);
                if present && entry.state() == State::Resident {
                    resident += 1;
                    resident::admit(page, resident::Admission::FirstTouch);
                }
            }
        };
        for (start, bytes) in managed::tracked_runs(number, area) {
            let mut absent = start;
            Pagemap::for_each_resident_run(None, start, bytes, &mut |run, run_bytes| {
                right(absent, run - absent, false);
                right(run, run_bytes, true);
                absent = run + run_bytes;
            });
            right(absent, start + bytes - absent, false);
        }
    });
    budget::recount(resident, evictor::EVICTION.lock().filled());
}
