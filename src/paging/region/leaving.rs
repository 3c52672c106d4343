//! How units leave: by staging, where the kernel can move pages, else from where they lie.
//!
//! Nobody can write to a unit between the moment in which its contents are read and the one in
//! which it is gone: it is out of sight in a frame, or protected.

use super::super::page_table::PAGE_BYTES;
use super::super::store::codec;
use super::control::Count;
use super::entry::{Entry, State};
use super::options::{Eviction, Kind, RegionError};
use super::worker::{AGES, Worker};
use crate::os::errno::Errno;
use crate::os::mapping;
use crate::os::pagemap::Pagemap;
use crate::os::userfault::Wake;
use core::sync::atomic::Ordering;

/// Units are fresh until they have proven that they are wanted; fresh ones leave first while they
/// are more than a part in this of all.
const FRESH_SHARE: usize = 8;
/// Of the newest units so many stay: instructions may need several at once.
const SPARED: usize = 8;
/// And so many of each list, while the other has more.
const FEW: usize = SPARED / 2;
/// The kernel is asked so often to move a page.
const TRIES: u32 = 1000;

impl Worker {
    /// Sends units out until so many more fit the budget, as far as that can be.
    pub(super) fn make_room(&mut self, units: usize) {
        let budget = self.control.budget.load(Ordering::Relaxed);
        while self.in_memory() + units > budget {
            if !self.send_one_out() {
                return;
            }
        }
    }

    /// One step: a unit goes to staging while that is not full, else the oldest of it to a store.
    fn send_one_out(&mut self) -> bool {
        let room = self.control.counted(Count::Staged) < self.staging_target()
            && self.head - self.tail < self.control.frames;
        if room && let Some(unit) = self.victim() {
            return self.stage(unit) || self.evict_in_place(unit);
        }
        if self.head > self.tail {
            return self.drain();
        }
        match self.victim() {
            Some(unit) => self.evict_in_place(unit),
            None => false,
        }
    }

    fn victim(&self) -> Option<usize> {
        let table = &self.control.table;
        if self.control.plan.eviction == Eviction::Newest {
            return self.fresh.newest_but(table, SPARED);
        }
        let all = self.fresh.length() + self.proven.length();
        let from_fresh = self.fresh.length() > (all / FRESH_SHARE).max(FEW);
        if from_fresh || self.proven.length() <= FEW {
            self.fresh.oldest(table).or(self.proven.oldest(table))
        } else {
            self.proven.oldest(table)
        }
    }

    /// A resident unit is no longer in its place.
    fn withdraw(&mut self, unit: usize) {
        let table = self.control.table;
        self.list_of(unit).remove(&table, unit);
        self.control.count(Count::Resident, -1);
    }

    /// What could not leave has a long way before it is tried again.
    fn put_off(&mut self, unit: usize) {
        let table = self.control.table;
        self.list_of(unit).remove(&table, unit);
        self.list_as_proven(unit);
    }

    /// The same of a unit that is in no list.
    fn list_as_proven(&mut self, unit: usize) {
        let table = self.control.table;
        table.set_flags(unit, table.unit(unit).proven(true));
        self.proven.push(&table, unit);
    }

    /// Moves a resident unit to staging; `false` where the kernel refuses, and it is where it was.
    fn stage(&mut self, unit: usize) -> bool {
        let number = self.head % self.control.frames;
        let (from, to) = (self.control.address(unit), self.control.frame(number));
        let bytes = self.control.plan.unit_bytes;
        let (mut done, mut tries) = (0, 0);
        while done < bytes {
            let moved = self
                .userfault
                .move_pages(to + done, from + done, bytes - done, Wake::No);
            done += moved.bytes;
            match moved.error {
                None => {}
                Some(Errno(libc::EAGAIN)) if tries < TRIES => tries += 1,
                // The program gave the page back by itself: it is zero.
                Some(Errno(libc::ENOENT)) => {
                    self.zero_in(to + done, PAGE_BYTES);
                    done += PAGE_BYTES;
                }
                Some(_) => {
                    self.copy_in(from, to, done, !self.control.table.unit(unit).is_dirty());
                    mapping::discard_without_errno(to, bytes);
                    return false;
                }
            }
        }
        self.withdraw(unit);
        self.control
            .table
            .move_unit(unit, State::Staged, number as u64);
        self.control.count(Count::Staged, 1);
        self.control.count(Count::Evicted, 1);
        self.evictions += 1;
        self.control.table.set_frame(number, Some(unit));
        self.head += 1;
        true
    }

    /// Empties the oldest frame of staging into a store; `false` where that takes nothing.
    fn drain(&mut self) -> bool {
        let number = self.tail % self.control.frames;
        let Some(unit) = self.control.table.unit_in_frame(number) else {
            self.tail += 1;
            return true;
        };
        let frame = self.control.frame(number);
        if !self.store_unit(unit, frame) {
            // It comes back, and the budget is exceeded rather than a byte lost.
            let entry = self.control.table.unit(unit);
            self.restore(unit, entry, false);
            self.put_off(unit);
            self.tail += 1;
            return false;
        }
        mapping::discard_without_errno(frame, self.control.plan.unit_bytes);
        self.control.table.set_frame(number, None);
        self.control.count(Count::Staged, -1);
        self.note_left(unit);
        self.tail += 1;
        true
    }

    /// Sends a unit out to the last, if it is in memory and not pinned; `false` where no store
    /// takes it, and it stays.
    pub(super) fn send_out(&mut self, unit: usize) -> bool {
        let entry = self.control.table.unit(unit);
        match entry.state() {
            State::Resident if entry.pins() == 0 => self.evict_in_place(unit),
            State::Staged => {
                let number = entry.payload() as usize;
                let frame = self.control.frame(number);
                if !self.store_unit(unit, frame) {
                    return false;
                }
                mapping::discard_without_errno(frame, self.control.plan.unit_bytes);
                self.control.table.set_frame(number, None);
                self.control.count(Count::Staged, -1);
                self.note_left(unit);
                true
            }
            _ => true,
        }
    }

    /// Stores a resident unit from where it lies.
    fn evict_in_place(&mut self, unit: usize) -> bool {
        let entry = self.control.table.unit(unit);
        let (address, bytes) = (self.control.address(unit), self.control.plan.unit_bytes);
        let must_be_read = match self.control.plan.kind {
            Kind::Anonymous => true,
            Kind::File => entry.is_dirty(),
            Kind::Shared => false,
        };
        if must_be_read {
            if entry.is_unreadable() {
                self.put_off(unit);
                return false;
            }
            self.protect(unit, true);
            self.gather(address);
        }
        // Before its entries say where it went: they tell which list it is in, and where.
        let table = self.control.table;
        self.list_of(unit).remove(&table, unit);
        if !self.store_unit(unit, self.control.buffer) {
            self.protect(unit, false);
            self.list_as_proven(unit);
            return false;
        }
        self.control.count(Count::Resident, -1);
        self.control.count(Count::Evicted, 1);
        self.evictions += 1;
        self.note_left(unit);
        mapping::discard_without_errno(address, bytes);
        self.wake(unit);
        true
    }

    /// Copies a unit that nobody can write to into the buffer; what the program gave back is zero.
    fn gather(&self, address: usize) {
        let bytes = self.control.plan.unit_bytes;
        let buffer = self.control.buffer as *mut u8;
        // SAFETY: the buffer holds a unit, and is this thread's.
        unsafe { buffer.write_bytes(0, bytes) };
        Pagemap::for_each_resident_run(self.pagemap, address, bytes, &mut |start, length| {
            // SAFETY: within the unit, whose pages are there and readable: a touch of an absent one
            // would wait for this very thread.
            unsafe {
                let from = start as *const u8;
                buffer
                    .add(start - address)
                    .copy_from_nonoverlapping(from, length);
            }
        });
    }

    /// Writes a dirty unit to the file, wherever it is; `false` where that fails, and it stays
    /// dirty.
    pub(super) fn clean(&mut self, unit: usize) -> bool {
        let entry = self.control.table.unit(unit);
        match entry.state() {
            State::Staged => {
                let from = self.control.frame(entry.payload() as usize);
                self.write_unit(unit, from)
            }
            State::Resident if entry.is_unreadable() => true,
            // What the kernel may write to unseen stays writable, and dirty.
            State::Resident if entry.pins() > 0 => {
                self.gather(self.control.address(unit));
                let written = self.write_unit(unit, self.control.buffer);
                self.make_writable(unit);
                written
            }
            State::Resident => {
                self.protect(unit, true);
                self.gather(self.control.address(unit));
                let written = self.write_unit(unit, self.control.buffer);
                if !written {
                    self.protect(unit, false);
                }
                written
            }
            _ => true,
        }
    }

    fn write_unit(&self, unit: usize, from: usize) -> bool {
        let control = self.control;
        let offset = unit * control.plan.unit_bytes;
        let length = control.bytes.load(Ordering::Relaxed).saturating_sub(offset);
        let length = length.min(control.plan.unit_bytes);
        // SAFETY: a frame that is filled, or the buffer, as long as a unit.
        let bytes = unsafe { core::slice::from_raw_parts(from as *const u8, length) };
        let place = control.plan.file_offset + offset as u64;
        if self.file().write_at(bytes, place).is_err() {
            control.count(Count::WriteErrors, 1);
            return false;
        }
        control.count(Count::WrittenBack, length as isize);
        control.count(Count::Dirty, -1);
        control
            .table
            .set_flags(unit, control.table.unit(unit).dirty(false));
        true
    }

    /// Puts a unit, which lies at `from` too, where it goes when it leaves memory, and sets its
    /// entries so; `false` where that takes nothing, and the entries are as they were.
    fn store_unit(&mut self, unit: usize, from: usize) -> bool {
        let table = self.control.table;
        let before = table.unit(unit);
        if self.control.plan.kind != Kind::Anonymous {
            if before.is_dirty() && !self.write_unit(unit, from) {
                return false;
            }
            table.move_unit(unit, State::Absent, 0);
            return true;
        }
        for (index, page) in table.pages_of(unit).enumerate() {
            // SAFETY: a frame that is filled, or the buffer, as long as a unit.
            let contents = unsafe { &*((from + index * PAGE_BYTES) as *const [u8; PAGE_BYTES]) };
            let Some((state, payload)) = self.put(contents) else {
                for page in table.pages_of(unit).take(index) {
                    let entry = table.entry(page);
                    if entry.state() == State::Stored {
                        self.control.store.remove(entry.payload());
                    }
                    if matches!(entry.state(), State::Stored | State::Same) {
                        self.control.count(Count::Stored, -1);
                    }
                    table.set(page, entry.moved(before.state(), before.payload()));
                }
                return false;
            };
            if state != State::Absent {
                self.control.count(Count::Stored, 1);
            }
            table.set(page, table.entry(page).moved(state, payload));
        }
        true
    }

    /// Stores a page; `None` where there is no memory for it.
    fn put(&mut self, contents: &[u8; PAGE_BYTES]) -> Option<(State, u64)> {
        match codec::same_filled(contents) {
            Some(0) => return Some((State::Absent, 0)),
            Some(word) => return Some((State::Same, u64::from(word))),
            None => {}
        }
        let length = codec::compress(contents, &mut self.compressed, &mut self.scratch);
        let bytes = match length {
            Some(length) => self.compressed.get(..length)?,
            None => &contents[..],
        };
        Some((State::Stored, self.control.store.insert(bytes)?))
    }

    /// Gives the memory and the store of units back; what a file does not have is lost. What is not
    /// to be had back, since the program locked it, stays.
    pub(super) fn release(&mut self, first: usize, units: usize) -> Result<usize, RegionError> {
        let table = self.control.table;
        let all = first..first + units;
        if table
            .known(all.clone())
            .any(|unit| table.unit(unit).pins() > 0)
        {
            return Err(RegionError::Pinned);
        }
        // Touches of what is gone wait for this thread, which has forgotten it then.
        let discard = |first: usize, end: usize| {
            let bytes = (end - first) * self.control.plan.unit_bytes;
            mapping::discard_without_errno(self.control.address(first), bytes)
        };
        let all_gone = discard(all.start, all.end);
        let mut outcome = Ok(0);
        for unit in table.known(all.clone()) {
            if !all_gone && !discard(unit, unit + 1) {
                outcome = Err(RegionError::Pinned);
                continue;
            }
            let before = table.unit(unit);
            if before.is_dirty() {
                self.control.count(Count::Dirty, -1);
            }
            self.forget(unit);
            let entry = table.unit(unit);
            table.set_flags(unit, entry.unreadable(before.is_unreadable()));
        }
        table.trim(all);
        outcome
    }

    /// Forgets what a unit holds, wherever it is.
    pub(super) fn forget(&mut self, unit: usize) {
        let table = self.control.table;
        let entry = table.unit(unit);
        match entry.state() {
            State::Resident => self.withdraw(unit),
            State::Staged => {
                let number = entry.payload() as usize;
                let frame = self.control.frame(number);
                mapping::discard_without_errno(frame, self.control.plan.unit_bytes);
                self.control.table.set_frame(number, None);
                self.control.count(Count::Staged, -1);
            }
            _ => {}
        }
        self.drop_stored(unit);
        for page in table.pages_of(unit) {
            table.set(page, Entry::new(State::Absent, 0));
        }
    }

    /// Notes that a unit left memory just now.
    fn note_left(&self, unit: usize) {
        let table = self.control.table;
        table.set_flags(unit, table.unit(unit).aged(self.age()));
    }

    /// The clock by which units age: steps of evictions, from 1 to the largest and round again.
    pub(super) fn age(&self) -> u16 {
        #[expect(clippy::cast_possible_truncation, reason = "below AGES")]
        let step = (self.evictions / self.age_step % AGES) as u16;
        step + 1
    }

    /// Evictions since a unit left whose age is `age`; fewer for one that left long ago.
    pub(super) fn evictions_since(&self, age: u16) -> usize {
        let steps = usize::from(self.age()) + AGES - usize::from(age);
        steps % AGES * self.age_step
    }
}
