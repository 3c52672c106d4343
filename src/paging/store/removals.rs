//! Letting go of what is stored; not while a fork goes on, whose child must find the stores whole.

use super::super::page_table::{Entry, State};
use crate::os::futex::Mutex;

/// Removals that a fork can hold up; more are lost to the stores.
const MOST_HELD: usize = 1024;

struct Removals {
    /// A fork goes on.
    held_up: bool,
    waiting: usize,
    entries: [Option<Entry>; MOST_HELD],
}

static REMOVALS: Mutex<Removals> = Mutex::new(Removals {
    held_up: false,
    waiting: 0,
    entries: [None; MOST_HELD],
});

/// Lets go of what an entry stands for, if it stands for anything.
pub(in super::super) fn remove(entry: Entry) {
    if !matches!(entry.state(), State::Compressed | State::Spilled) {
        return;
    }
    let mut removals = REMOVALS.lock();
    if !removals.held_up {
        return remove_now(entry);
    }
    let next = removals.waiting;
    if let Some(place) = removals.entries.get_mut(next) {
        *place = Some(entry);
        removals.waiting += 1;
    }
}

fn remove_now(entry: Entry) {
    match entry.state() {
        State::Compressed => super::memory().remove(entry.payload()),
        State::Spilled => super::spill().remove(entry.payload()),
        _ => {}
    }
}

/// From now on nothing is removed: a fork comes.
pub(in super::super) fn hold_removals() {
    REMOVALS.lock().held_up = true;
}

/// The fork is over: calls `before`, and removes what had to wait. Whether there was one; else
/// nothing is done.
pub(super) fn release(before: impl FnOnce()) -> bool {
    let mut removals = REMOVALS.lock();
    let held_up = core::mem::replace(&mut removals.held_up, false);
    if held_up {
        before();
    }
    let waiting = core::mem::take(&mut removals.waiting);
    for entry in removals.entries.iter_mut().take(waiting) {
        if let Some(entry) = entry.take() {
            remove_now(entry);
        }
    }
    held_up
}

/// In a child after fork: what had to wait may be in use here, and stays.
pub(super) fn after_fork() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { REMOVALS.raw() }.reset();
    let mut removals = REMOVALS.lock();
    removals.held_up = false;
    removals.waiting = 0;
}
