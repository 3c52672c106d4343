//! Moving managed memory to another address without bringing it in: pages in memory are moved by
//! the kernel (UFFDIO_MOVE), entries of pages elsewhere take the new address.
//!
//! The evictor does it, since it has the descriptor; who asks waits. One at a time.

use super::budget;
use super::evictor::{self, BATCH};
use super::managed;
use super::page_table::{self, Entry, Locked, PAGE_BYTES, PageNumber, State};
use super::resident::{self, Admission};
use super::staging::{self, Ring};
use crate::os::futex::Mutex;
use crate::os::helper_thread::{Patience, futex_wait, futex_wake_all};
use crate::os::pagemap::Pagemap;
use crate::os::userfault::{Filled, Modes, UserfaultFd, Wake};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const NONE: u32 = 0;
const ASKED: u32 = 1;
const DONE: u32 = 2;
const FAILED: u32 = 3;

/// One who asks at a time.
static ASKING: Mutex<()> = Mutex::new(());
static STATE: AtomicU32 = AtomicU32::new(NONE);
static FROM: AtomicUsize = AtomicUsize::new(0);
static TO: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static TO_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Has the contents of a managed range moved to another at least as long, which was mapped just
/// now and is tracked; nobody touches either meanwhile. `false` where the kernel refuses: then what
/// was moved has come back.
pub(super) fn ask(from: usize, to: usize, bytes: usize, to_bytes: usize) -> bool {
    let _asking = ASKING.lock();
    FROM.store(from, Ordering::Relaxed);
    TO.store(to, Ordering::Relaxed);
    BYTES.store(bytes, Ordering::Relaxed);
    TO_BYTES.store(to_bytes, Ordering::Relaxed);
    // Release pairs with the Acquire of `serve`, and its Release with the Acquire here.
    STATE.store(ASKED, Ordering::Release);
    evictor::wake();
    while STATE.load(Ordering::Acquire) == ASKED {
        futex_wait(&STATE, ASKED, None);
    }
    STATE.swap(NONE, Ordering::Acquire) == DONE
}

/// In a child after fork: who asked is no more.
pub(super) fn reset() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { ASKING.raw() }.reset();
    STATE.store(NONE, Ordering::Relaxed);
}

/// Does what was asked for, if anything was. For the evictor; no fork comes in between.
pub(super) fn serve(userfault: UserfaultFd, pagemap: Option<Pagemap>, eviction: &Mutex<Ring>) {
    if STATE.load(Ordering::Acquire) != ASKED {
        return;
    }
    let _eviction = eviction.lock();
    let (from, to, bytes) = (
        FROM.load(Ordering::Relaxed),
        TO.load(Ordering::Relaxed),
        BYTES.load(Ordering::Relaxed),
    );
    let relocation = Relocation { userfault };
    let mut outcome = DONE;
    let to_bytes = TO_BYTES.load(Ordering::Relaxed);
    if userfault.register(to, to_bytes, Modes::MISSING).is_err() {
        outcome = FAILED;
    } else if !relocation.run(from, to, bytes) {
        // The way back is as free as the way there was.
        relocation.run(to, from, bytes);
        outcome = FAILED;
    }
    managed::note_present(to, bytes, pagemap, |page| {
        resident::admit(page, Admission::FirstTouch)
    });
    STATE.store(outcome, Ordering::Release);
    futex_wake_all(&STATE);
}

struct Relocation {
    userfault: UserfaultFd,
}

impl Relocation {
    /// Moves page by page, runs of those in memory at once; `false` at the first that will not.
    fn run(&self, from: usize, to: usize, bytes: usize) -> bool {
        let pages = bytes / PAGE_BYTES;
        let (from, to) = (PageNumber::of(from), PageNumber::of(to));
        let mut at = 0;
        while at < pages {
            let mut held: [Option<Locked<'static>>; BATCH] = [const { None }; BATCH];
            let mut run = 0;
            while run < BATCH.min(pages - at) {
                match self.rehome(from.plus(at + run), to.plus(at + run)) {
                    Rehomed::InMemory(locked) => held[run] = locked,
                    Rehomed::Elsewhere => break,
                }
                run += 1;
            }
            let moved = self.move_run(from.plus(at), to.plus(at), run);
            for (index, locked) in held.iter_mut().enumerate() {
                let Some(locked) = locked.take() else {
                    continue;
                };
                if index < moved {
                    budget::count_resident(-1);
                    locked.finish(Entry::new(State::Zero, 0));
                } else {
                    locked.leave();
                }
            }
            if moved < run {
                return false;
            }
            // The page that ended the run has its entry there by now.
            at += run.max(1);
        }
        true
    }

    /// Gives the entry of a page that is not in memory to its new place.
    fn rehome(&self, from: PageNumber, to: PageNumber) -> Rehomed {
        let Some(slot) = page_table::slot_of_tracked(from) else {
            return Rehomed::InMemory(None);
        };
        let locked = slot.lock();
        let entry = locked.entry();
        match entry.state() {
            State::Resident => return Rehomed::InMemory(Some(locked)),
            State::Unmanaged | State::Zero => locked.leave(),
            _ => {
                let Some(target) = page_table::slot_of_tracked(to) else {
                    return Rehomed::InMemory(Some(locked));
                };
                if entry.state() == State::Staged {
                    staging::rename(entry.payload() as usize, to);
                }
                target.lock().finish(entry);
                locked.finish(Entry::new(State::Zero, 0));
            }
        }
        Rehomed::Elsewhere
    }

    /// Moves pages in memory, absent ones left out; how many pages were dealt with.
    fn move_run(&self, from: PageNumber, to: PageNumber, pages: usize) -> usize {
        let mut done = 0;
        let mut patience = Patience::new();
        while done < pages {
            let (source, target) = (from.plus(done).address(), to.plus(done).address());
            let bytes = (pages - done) * PAGE_BYTES;
            let Filled { bytes, error } =
                self.userfault
                    .move_or_skip_pages(target, source, bytes, Wake::No);
            done += bytes / PAGE_BYTES;
            match error.map_or(0, |error| error.0) {
                _ if done == pages => {}
                0 => {}
                libc::EAGAIN => patience.pause(),
                // Shared since a fork, or pinned: a copy will do, since nobody looks meanwhile.
                libc::EBUSY | libc::EEXIST => {
                    let copied = self.userfault.copy(target, source, PAGE_BYTES, Wake::No);
                    if copied.bytes != PAGE_BYTES {
                        break;
                    }
                    done += 1;
                }
                _ => break,
            }
        }
        done
    }
}

enum Rehomed {
    /// The page is to be moved; its entry, if it is tracked, is busy.
    InMemory(Option<Locked<'static>>),
    /// Nothing is left to be done.
    Elsewhere,
}
