//! The evictor: a thread that tracks what is managed, moves cold pages out of the program's sight
//! into staging, and from there to the stores, while more is in use than the budget likes.

use super::budget;
use super::compaction;
use super::managed;
use super::page_table::{self, Entry, Locked, PAGE_BYTES, PageNumber, Slot, State};
use super::relocation;
use super::resident::{self, Admission, Stamp, Victim};
use super::staging::{self, Ring};
use super::statistics::{Count, count};
use super::store::{self, Handle, codec};
use crate::config::{self, StoreKind};
use crate::os::futex::Mutex;
use crate::os::helper_thread::{Patience, futex_wait, futex_wake_all};
use crate::os::mapping;
use crate::os::pagemap::Pagemap;
use crate::os::userfault::{Filled, Modes, UserfaultFd, Wake};
use crate::report;
use core::sync::atomic::{AtomicU32, Ordering};

/// Pages that are evicted at a time.
pub(super) const BATCH: usize = 64;
/// Areas that are tracked at a time while the resident set has little to offer.
const AREAS_AT_A_TIME: usize = 8;
/// After the spill file took no more it is not tried for this many pages.
const SPILL_REST: usize = 4096;
/// Beside a file, compressed memory has one part in this of the budget.
const MEMORY_SHARE: usize = 4;
/// Most tries of a move that the kernel asks to repeat.
const TRIES: usize = 16;

/// What the evictor does is done under this lock: a fork holds it, so that the child finds the
/// ring and the stores whole.
pub(super) static EVICTION: Mutex<Ring> = Mutex::new(Ring::new());

/// 1 while the evictor is wanted.
static WANTED: AtomicU32 = AtomicU32::new(0);

/// Calls the evictor, whatever it is for.
pub(super) fn wake() {
    // Release pairs with the Acquire of `run`.
    WANTED.store(1, Ordering::Release);
    futex_wake_all(&WANTED);
}

/// Calls the evictor, if more is used than it likes.
pub(super) fn wake_if_needed() {
    // Release pairs with the Acquire of `run`.
    if budget::used_bytes() > budget::high_bytes() && WANTED.swap(1, Ordering::Release) == 0 {
        futex_wake_all(&WANTED);
    }
}

/// The evictor's thread.
pub(super) struct Evictor {
    userfault: UserfaultFd,
    pagemap: Option<Pagemap>,
    scratch: codec::Scratch,
    compressed: [u8; PAGE_BYTES],
    spill: Spill,
    /// What the last compaction left in compressed memory that holds nothing, in bytes.
    waste_left: usize,
    /// Pages that no store took.
    kept: usize,
    /// The area of which old pages were last written out.
    written_out: usize,
}

/// The way to the spill file; closed for a while after a write has failed.
struct Spill {
    /// Pages that shall not be offered to it.
    rest: usize,
    /// Whether a failure was reported.
    has_failed: bool,
}

impl Spill {
    fn write(&mut self, bytes: &[u8]) -> Option<Handle> {
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        match store::spill().write(bytes) {
            Ok(handle) => Some(handle),
            Err(error) => {
                self.rest = SPILL_REST;
                if !core::mem::replace(&mut self.has_failed, true) {
                    report::spill_failed(error.0);
                }
                None
            }
        }
    }
}

impl Evictor {
    pub(super) const fn new(userfault: UserfaultFd, pagemap: Option<Pagemap>) -> Evictor {
        Evictor {
            userfault,
            pagemap,
            scratch: codec::Scratch::new(),
            compressed: [0; PAGE_BYTES],
            spill: Spill {
                rest: 0,
                has_failed: false,
            },
            kept: 0,
            waste_left: 0,
            written_out: page_table::END_OF_AREAS,
        }
    }

    /// Evicts for ever.
    pub(super) fn run(&mut self) -> ! {
        loop {
            // Acquire pairs with the Release of `wake` and `wake_if_needed`.
            if WANTED.swap(0, Ordering::Acquire) == 0 {
                futex_wait(&WANTED, 0, None);
                continue;
            }
            relocation::serve(self.userfault, self.pagemap, &EVICTION);
            self.make_room();
        }
    }

    /// Evicts down to the low mark, or until nothing more can be.
    fn make_room(&mut self) {
        let mut rounds_in_vain = 0;
        budget::note_peak();
        self.compact_if_it_pays();
        while budget::used_bytes() > budget::low_bytes() {
            let (store_bytes, kept) = (store::memory().footprint_bytes(), self.kept);
            let (did_something, emptied) = {
                let mut ring = EVICTION.lock();
                self.round(&mut ring)
            };
            budget::announce_room();
            relocation::serve(self.userfault, self.pagemap, &EVICTION);
            // Staging fills up first, and stores grow by whole blocks: one round says little.
            // What came in meanwhile is not the evictor's failure.
            let grown = store::memory()
                .footprint_bytes()
                .saturating_sub(store_bytes);
            let left = emptied.saturating_sub(self.kept - kept) * PAGE_BYTES;
            let freed = left.saturating_sub(grown);
            if freed >= PAGE_BYTES * BATCH / 16 {
                rounds_in_vain = 0;
            } else {
                rounds_in_vain += 1;
            }
            let patience = 4 + 2 * staging::frames() / BATCH;
            if !did_something || rounds_in_vain > patience {
                if let Some(used) = budget::give_way() {
                    report::budget_exceeded(budget::asked_bytes(), used);
                }
                budget::announce_room();
                return;
            }
        }
    }

    /// Moves what is stored, where what holds nothing in compressed memory has become much, and
    /// more than the last time, or the spill file runs out of segments.
    fn compact_if_it_pays(&mut self) {
        let memory = store::memory();
        let waste = memory.waste_bytes();
        self.waste_left = self.waste_left.min(waste);
        if memory.is_sparse() && waste / 2 > self.waste_left {
            compaction::compact_memory();
            self.waste_left = memory.waste_bytes();
        }
        if store::spill().is_crowded() {
            compaction::empty_frozen_segments(&mut self.compressed);
        }
    }

    /// Tracks an area or more, moves a batch out, and stores as many; whether there was anything
    /// to do, and how many frames were emptied.
    fn round(&mut self, ring: &mut Ring) -> (bool, usize) {
        let mut tracked = 0;
        let lean = budget::resident_pages() * PAGE_BYTES < budget::asked_bytes() / 2;
        while tracked < if lean { AREAS_AT_A_TIME } else { 1 } && self.track_oldest() {
            tracked += 1;
        }
        if config::store() == StoreKind::Both && store::memory().stored().0 > 0 {
            let spill = &mut self.spill;
            compaction::write_out_next_area(&mut self.written_out, |bytes| spill.write(bytes));
        }
        let mut victims = [Victim::NONE; BATCH];
        let found = resident::victims(&mut victims);
        let victims = &mut victims[..found];
        victims.sort_unstable();
        self.drain_to(ring, staging::frames() - BATCH);
        self.move_out(ring, victims);
        let share = if found == 0 {
            0
        } else {
            resident::staging_pages()
        };
        let stored = self.drain_to(ring, share);
        (tracked + found + stored > 0, stored)
    }

    /// Tracks the oldest untracked area; `false` where there is none.
    fn track_oldest(&mut self) -> bool {
        let Some(tracking) = managed::begin_tracking() else {
            return false;
        };
        for (start, bytes) in tracking.runs() {
            if self
                .userfault
                .register(start, bytes, Modes::MISSING)
                .is_err()
            {
                tracking.abandon();
                return true;
            }
        }
        tracking.end(self.pagemap, |page| {
            resident::admit(page, Admission::FirstTouch)
        });
        count(Count::AreasTracked, 1);
        true
    }

    /// Moves victims (in ascending order) to staging; those that have left meanwhile are passed
    /// over.
    fn move_out(&mut self, ring: &mut Ring, victims: &[Victim]) {
        let mut rest = victims;
        while let Some(first) = rest.first().map(|victim| PageNumber(victim.page)) {
            let (frame, room) = ring.empty_run(rest.len());
            if room == 0 {
                // Cannot be: the ring was drained. Back to the queue, for another round.
                resident::admit(first, Admission::FirstTouch);
                rest = &rest[1..];
                continue;
            }
            let mut held: [Option<Locked<'static>>; BATCH] = [const { None }; BATCH];
            let mut run = 0;
            while run < room && rest.get(run).is_some_and(|it| it.page == first.plus(run).0) {
                match lock_resident(first.plus(run)) {
                    Some(locked) => held[run] = Some(locked),
                    None => break,
                }
                run += 1;
            }
            if run == 0 {
                rest = &rest[1..];
                continue;
            }
            self.move_run(ring, &rest[..run], frame, &mut held[..run]);
            rest = &rest[run..];
        }
    }

    /// Moves a run of pages, whose entries are held, to the frames from `frame` on.
    fn move_run(
        &mut self,
        ring: &mut Ring,
        victims: &[Victim],
        mut frame: usize,
        held: &mut [Option<Locked<'static>>],
    ) {
        let (mut done, mut tries) = (0, 0);
        while done < held.len() {
            let page = PageNumber(victims[done].page);
            let to = staging::frame_address(frame);
            let bytes = (held.len() - done) * PAGE_BYTES;
            let Filled { bytes, error } =
                self.userfault
                    .move_pages(to, page.address(), bytes, Wake::No);
            let moved = bytes / PAGE_BYTES;
            budget::count_staged(moved as isize);
            budget::count_resident(-(moved as isize));
            for locked in &mut held[done..done + moved] {
                let Stamp(age) = victims[done].stamp();
                ring.push(PageNumber(victims[done].page));
                if let Some(locked) = locked.take() {
                    locked.finish(Entry::new(State::Staged, frame as u64).with_age(age));
                }
                frame += 1;
                done += 1;
            }
            count(Count::Evicted, moved);
            if moved > 0 {
                tries = 0;
                continue;
            }
            let Some(locked) = held[done].take() else {
                return;
            };
            match error.map_or(0, |error| error.0) {
                libc::EAGAIN if tries < TRIES => {
                    tries += 1;
                    held[done] = Some(locked);
                    continue;
                }
                // The program gave the page back by itself: the next touch finds zeroes.
                libc::ENOENT => {
                    budget::count_resident(-1);
                    locked.finish(Entry::new(State::Zero, 0));
                }
                libc::EBUSY if tries < TRIES && mapping::populate(page.address(), PAGE_BYTES) => {
                    // Shared since a fork: it is the process's own now. Else it is pinned, and
                    // the second try says so.
                    tries = TRIES;
                    held[done] = Some(locked);
                    continue;
                }
                _ => {
                    count(Count::Unmovable, 1);
                    let Stamp(age) = resident::in_vain();
                    let entry = locked.entry().as_unmovable().with_age(age);
                    locked.finish(entry);
                    resident::admit(page, Admission::Unmovable);
                }
            }
            tries = 0;
            done += 1;
        }
    }

    /// Stores the oldest staged pages until `frames` are left; how many were emptied.
    fn drain_to(&mut self, ring: &mut Ring, frames: usize) -> usize {
        let mut emptied = 0;
        let mut run = (0, 0);
        while ring.filled() > frames {
            let Some((frame, page)) = ring.oldest() else {
                break;
            };
            if let Some(slot) = page_table::slot(page) {
                self.store(slot, page, frame);
            }
            if run.1 == BATCH || frame != run.0 + run.1 {
                drop_frames(run);
                run = (frame, 0);
            }
            run.1 += 1;
            ring.pop();
            emptied += 1;
        }
        drop_frames(run);
        emptied
    }

    /// Puts what the frame holds into a store, if it is still the page's contents.
    fn store(&mut self, slot: &'static Slot, page: PageNumber, frame: usize) {
        let is_there =
            |entry: Entry| entry.state() == State::Staged && entry.payload() == frame as u64;
        if !is_there(slot.load()) && !slot.load().is_busy() {
            return;
        }
        // SAFETY: the frame is filled, so it is readable, and nobody writes to it until it is
        // emptied, which is ours to do.
        let contents = unsafe { &*(staging::frame_address(frame) as *const [u8; PAGE_BYTES]) };
        let stored = self.put(contents);
        let locked = slot.lock();
        let before = locked.entry();
        if !is_there(before) {
            locked.leave();
            if let Some(entry) = stored {
                store::remove(entry);
            }
            return;
        }
        match stored {
            Some(entry) => locked.finish(entry.with_age(before.age())),
            None => self.keep(locked, page, frame),
        }
    }

    /// The entry of a page with these contents, put in a store; `None` where no store takes it.
    fn put(&mut self, contents: &[u8; PAGE_BYTES]) -> Option<Entry> {
        if let Some(word) = codec::same_filled(contents) {
            count(Count::SameFilled, 1);
            return Some(if word == 0 {
                Entry::new(State::Zero, 0)
            } else {
                Entry::new(State::Same, u64::from(word))
            });
        }
        let length = codec::compress(contents, &mut self.compressed, &mut self.scratch);
        if length.is_none() {
            count(Count::Incompressible, 1);
        }
        let bytes = match length {
            Some(length) => &self.compressed[..length],
            None => &contents[..],
        };
        let kind = config::store();
        let memory = store::memory();
        let in_memory = match kind {
            StoreKind::Memory => length.is_some(),
            StoreKind::File => false,
            StoreKind::Both => {
                length.is_some() && memory.footprint_bytes() < budget::asked_bytes() / MEMORY_SHARE
            }
        };
        if in_memory && let Some(handle) = memory.insert(bytes) {
            count(Count::Compressed, 1);
            return Some(Entry::new(State::Compressed, handle));
        }
        if kind != StoreKind::Memory {
            if let Some(handle) = self.spill.write(bytes) {
                count(Count::Spilled, 1);
                return Some(Entry::new(State::Spilled, handle));
            }
            if let Some(handle) = memory.insert(bytes) {
                count(Count::Compressed, 1);
                return Some(Entry::new(State::Compressed, handle));
            }
        }
        None
    }

    /// Copies a staged page that no store takes back to where it was.
    fn keep(&mut self, locked: Locked<'_>, page: PageNumber, frame: usize) {
        let from = staging::frame_address(frame);
        let mut patience = Patience::new();
        loop {
            let Filled { bytes, error } =
                self.userfault
                    .copy(page.address(), from, PAGE_BYTES, Wake::Yes);
            let error = error.map_or(0, |error| error.0);
            if bytes == PAGE_BYTES || error == libc::EEXIST {
                break;
            }
            // The contents have no other place: all that can be done is to try again.
            patience.pause();
        }
        self.kept += 1;
        count(Count::Kept, 1);
        budget::count_resident(1);
        let Stamp(age) = resident::in_vain();
        locked.finish(Entry::new(State::Resident, 0).as_unmovable().with_age(age));
        resident::admit(page, Admission::Unmovable);
    }
}

fn lock_resident(page: PageNumber) -> Option<Locked<'static>> {
    page_table::slot(page)?.try_lock_if(|state| state == State::Resident)
}

fn drop_frames((first, frames): (usize, usize)) {
    if frames > 0 {
        // Nobody can touch the frames: should the kernel refuse, they stay in memory until the
        // ring comes round, and moves into them fail.
        mapping::discard_without_errno(staging::frame_address(first), frames * PAGE_BYTES);
        budget::count_staged(-(frames as isize));
    }
}
