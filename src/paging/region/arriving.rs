//! How units come: a read of the file, from the store, from staging, or as zeroes.
//!
//! ```text
//! absent, stored, in the file -> resident -> staged -> stored, in the file
//!                                    ^         |
//!                                    +---------+  touched again: proven
//! ```
//!
//! A unit's contents are known to be somewhere at every moment: where a step fails, they stay.

use super::super::page_table::PAGE_BYTES;
use super::super::store::codec;
use super::super::store::compressed_memory::CompressedMemory;
use super::control::{BUFFER_BYTES, Count};
use super::entry::{Entry, State};
use super::options::{Eviction, Kind, RegionError};
use super::unit_list::UnitList;
use super::worker::Worker;
use crate::os::errno::Errno;
use crate::os::helper_thread::Patience;
use crate::os::mapping::{self, Protection};
use crate::os::userfault::{Filled, Wake};
use crate::report;
use core::sync::atomic::Ordering;

impl Worker {
    /// Brings a unit in that is not in its place, for a touch of `page` if there is one.
    pub(super) fn bring_in(
        &mut self,
        unit: usize,
        writes: bool,
        page: Option<usize>,
    ) -> Result<(), RegionError> {
        let entry = self.control.table.unit(unit);
        let faulted = page.is_some();
        let what = match (entry.state(), self.control.plan.kind) {
            (State::Resident, _) => return Ok(()),
            (State::Staged, _) => {
                self.restore(unit, entry, writes);
                Count::StagedFaults
            }
            (_, Kind::Shared) => {
                self.make_room(1);
                self.admit(unit, false, false);
                let found = match page {
                    Some(page) => self.map_shared_page_first(page),
                    None => false,
                };
                self.map_rest_of_shared(unit);
                if found {
                    Count::SharedFaults
                } else {
                    Count::ZeroFaults
                }
            }
            (_, Kind::File) => {
                self.make_room(1);
                self.read_units(unit, 1, writes)?;
                Count::FileFaults
            }
            (_, Kind::Anonymous) => {
                self.make_room(1);
                let stored = self.expand_unit(unit, writes);
                if stored {
                    Count::StoredFaults
                } else {
                    Count::ZeroFaults
                }
            }
        };
        if faulted {
            self.control.count(what, 1);
        }
        Ok(())
    }

    /// Brings in those of a range that are absent, while there is room for them beside each other.
    pub(super) fn bring_in_range(&mut self, first: usize, end: usize) {
        let most_run = (BUFFER_BYTES / self.control.plan.unit_bytes).max(1);
        let end = end.min(self.control.units());
        let mut unit = first;
        while unit < end {
            if self.control.table.is_in_memory(unit) {
                unit += 1;
                continue;
            }
            let mut run = 1;
            if self.control.plan.kind == Kind::File {
                while run < most_run
                    && unit + run < end
                    && !self.control.table.is_in_memory(unit + run)
                {
                    run += 1;
                }
                self.make_room(run);
                if self.read_units(unit, run, false).is_err() {
                    return;
                }
            } else if self.bring_in(unit, false, None).is_err() {
                return;
            }
            self.control.count(Count::Prefetched, run as isize);
            unit += run;
        }
    }

    /// A unit is about to be in its place: whoever its arrival lets go on finds the entry so.
    fn admit(&mut self, unit: usize, proven: bool, dirty: bool) {
        let table = self.control.table;
        let entry = table.unit(unit);
        if dirty && !entry.is_dirty() {
            self.control.count(Count::Dirty, 1);
        }
        table.set_flags(unit, entry.proven(proven).dirty(dirty || entry.is_dirty()));
        table.move_unit(unit, State::Resident, 0);
        self.control.count(Count::Resident, 1);
        self.list_of(unit).push(&table, unit);
    }

    /// The list in which a resident unit without pins is.
    pub(super) fn list_of(&mut self, unit: usize) -> &mut UnitList {
        if self.control.table.unit(unit).is_proven() {
            &mut self.proven
        } else {
            &mut self.fresh
        }
    }

    /// Whether a unit that comes back would not have left if memory had been twice as large.
    fn left_lately(&self, unit: usize) -> bool {
        let age = self.control.table.unit(unit).age();
        self.control.plan.eviction == Eviction::Adaptive
            && age != 0
            && self.evictions_since(age) < self.control.counted(Count::Resident)
    }

    /// Reads units from the file to their places.
    fn read_units(&mut self, first: usize, units: usize, writes: bool) -> Result<(), RegionError> {
        let plan = &self.control.plan;
        let (unit_bytes, region) = (plan.unit_bytes, self.control.bytes.load(Ordering::Relaxed));
        let bytes = units * unit_bytes;
        // SAFETY: the buffer is that large, and this thread's.
        let buffer =
            unsafe { core::slice::from_raw_parts_mut(self.control.buffer as *mut u8, bytes) };
        let offset = first * unit_bytes;
        let of_region = bytes.min(region.saturating_sub(offset));
        let (wanted, rest) = buffer.split_at_mut(of_region);
        match self
            .file()
            .read_at(wanted, plan.file_offset + offset as u64)
        {
            Ok(read) => wanted.get_mut(read..).unwrap_or_default().fill(0),
            Err(_) => {
                self.control.count(Count::ReadErrors, 1);
                if units == 1 {
                    self.make_faulty(first);
                }
                return Err(RegionError::ReadFailed);
            }
        }
        rest.fill(0);
        let dirty = writes && !plan.read_only;
        for unit in first..first + units {
            let proven = self.left_lately(unit);
            self.admit(unit, proven, dirty);
        }
        let address = self.control.address(first);
        self.copy_in(address, self.control.buffer, bytes, !dirty);
        Ok(())
    }

    /// Puts an anonymous unit into its place; whether any of it came from the store.
    fn expand_unit(&mut self, unit: usize, writes: bool) -> bool {
        let control = self.control;
        let table = &control.table;
        let address = control.address(unit);
        let stored = |entry: Entry| matches!(entry.state(), State::Stored | State::Same);
        let found = table.pages_of(unit).any(|page| stored(table.entry(page)));
        let zero = !found && !writes;
        if !zero {
            for (index, page) in table.pages_of(unit).enumerate() {
                let place = (control.buffer + index * PAGE_BYTES) as *mut [u8; PAGE_BYTES];
                // SAFETY: within the buffer, which holds a unit and is this thread's.
                let into = unsafe { &mut *place };
                if !load(&control.store, table.entry(page), into) {
                    report::page_lost(address + index * PAGE_BYTES);
                }
            }
            self.drop_stored(unit);
        }
        let proven = found && self.left_lately(unit);
        self.admit(unit, proven, false);
        if zero {
            self.zero_in(address, control.plan.unit_bytes);
        } else {
            self.copy_in(address, control.buffer, control.plan.unit_bytes, false);
        }
        found
    }

    /// Brings a staged unit back.
    pub(super) fn restore(&mut self, unit: usize, entry: Entry, writes: bool) {
        let number = entry.payload() as usize;
        let (from, to) = (self.control.frame(number), self.control.address(unit));
        let bytes = self.control.plan.unit_bytes;
        let is_file = self.control.plan.kind == Kind::File;
        let dirty = is_file && (entry.is_dirty() || writes && !self.control.plan.read_only);
        self.control.table.set_frame(number, None);
        self.control.count(Count::Staged, -1);
        let proven = self.control.plan.eviction == Eviction::Adaptive;
        self.admit(unit, proven, dirty);
        let mut done = 0;
        // What moves can be written to at once, so what is clean must be copied.
        while done < bytes && (!is_file || dirty) {
            let moved = self
                .userfault
                .move_pages(to + done, from + done, bytes - done, Wake::Yes);
            done += moved.bytes;
            if moved.error.is_some_and(|error| error.0 != libc::EAGAIN) {
                break;
            }
        }
        if done < bytes {
            self.copy_in(to + done, from + done, bytes - done, !dirty);
            mapping::discard_without_errno(from, bytes);
        }
    }

    /// Takes what of a unit is stored out of the store.
    pub(super) fn drop_stored(&self, unit: usize) {
        let control = self.control;
        for page in control.table.pages_of(unit) {
            let entry = control.table.entry(page);
            if matches!(entry.state(), State::Stored | State::Same) {
                control.count(Count::Stored, -1);
            }
            if entry.state() == State::Stored {
                control.store.remove(entry.payload());
            }
        }
    }

    /// Copies to absent pages, and lets those go on that wait for them. A page that is there stays.
    pub(super) fn copy_in(&self, to: usize, from: usize, bytes: usize, protected: bool) {
        let protected = protected && self.control.plan.kind == Kind::File;
        self.fill(to, bytes, |at, length| {
            let from = from + (at - to);
            if protected {
                self.userfault.copy_protected(at, from, length)
            } else {
                self.userfault.copy(at, from, length, Wake::Yes)
            }
        });
    }

    /// Zeroes absent pages, likewise.
    pub(super) fn zero_in(&self, to: usize, bytes: usize) {
        self.fill(to, bytes, |at, length| {
            self.userfault.zero(at, length, Wake::Yes)
        });
    }

    /// Calls `request` with an address and a length until all is filled.
    fn fill(&self, to: usize, bytes: usize, request: impl Fn(usize, usize) -> Filled) {
        let (mut done, mut most) = (0, bytes);
        let mut patience = Patience::new();
        while done < bytes {
            let wanted = most.min(bytes - done);
            let Filled { bytes: more, error } = request(to + done, wanted);
            done += more;
            match error {
                None => {}
                Some(Errno(libc::EEXIST)) => done += PAGE_BYTES,
                Some(Errno(libc::EAGAIN | libc::ENOMEM)) => patience.pause(),
                // Where protections differ there are several mappings, and a request is for one.
                Some(_) if wanted > PAGE_BYTES => most = PAGE_BYTES,
                // The program has unmapped it.
                Some(_) => return,
            }
        }
    }

    /// Zeroes where a page is absent though its unit is not.
    pub(super) fn fill_hole(&self, page: usize) {
        self.zero_in(page, PAGE_BYTES);
        let _ = self.userfault.wake(page, PAGE_BYTES);
    }

    /// Touches of a unit that cannot be read raise a signal.
    fn make_faulty(&self, unit: usize) {
        let (address, bytes) = (self.control.address(unit), self.control.plan.unit_bytes);
        let poisoned = self.userfault.poison(address, bytes, Wake::Yes);
        if poisoned.bytes == 0 {
            mapping::protect(address, bytes, Protection::None);
        }
    }

    /// Lets those go on that wait for a unit.
    pub(super) fn wake(&self, unit: usize) {
        let (address, bytes) = (self.control.address(unit), self.control.plan.unit_bytes);
        let _ = self.userfault.wake(address, bytes);
    }

    /// From now on a resident unit counts as dirty, and may be written to unseen.
    pub(super) fn make_writable(&mut self, unit: usize) {
        let table = &self.control.table;
        let entry = table.unit(unit);
        if self.control.plan.kind == Kind::File && !entry.is_dirty() {
            table.set_flags(unit, entry.dirty(true));
            self.control.count(Count::Dirty, 1);
        }
        self.protect(unit, false);
    }

    /// Has writes to a unit reported, or lets them through.
    pub(super) fn protect(&self, unit: usize, protected: bool) {
        let (address, bytes) = (self.control.address(unit), self.control.plan.unit_bytes);
        let mut patience = Patience::new();
        while self.userfault.protect(address, bytes, protected) == Err(Errno(libc::EAGAIN)) {
            patience.pause();
        }
    }

    // ---- shared memory ----------------------------------------------------------------------

    /// Maps a page, which shared memory gets if it has it not.
    pub(super) fn map_shared_page(&self, page: usize) {
        self.map_shared_page_first(page);
        let _ = self.userfault.wake(page, PAGE_BYTES);
    }

    /// The same; whether it was there.
    fn map_shared_page_first(&self, page: usize) -> bool {
        let mut patience = Patience::new();
        loop {
            let found = self.userfault.map_shared(page, PAGE_BYTES);
            match found.error {
                None | Some(Errno(libc::EEXIST)) => return true,
                Some(Errno(libc::EFAULT)) => {}
                Some(Errno(libc::EAGAIN | libc::ENOMEM)) => {
                    patience.pause();
                    continue;
                }
                Some(_) => return false,
            }
            let zeroed = self.userfault.zero(page, PAGE_BYTES, Wake::Yes);
            match zeroed.error {
                None => return false,
                // Another process was faster, or there is no memory.
                Some(Errno(libc::EEXIST | libc::EAGAIN | libc::ENOMEM)) => patience.pause(),
                Some(_) => return false,
            }
        }
    }

    /// Maps what shared memory has of a unit.
    fn map_rest_of_shared(&self, unit: usize) {
        let (address, bytes) = (self.control.address(unit), self.control.plan.unit_bytes);
        let mut done = 0;
        while done < bytes {
            let mapped = self.userfault.map_shared(address + done, bytes - done);
            done += mapped.bytes;
            if mapped.error.is_some() {
                done += PAGE_BYTES;
            }
        }
    }

    /// Maps all pages of a unit, which shared memory gets if it has them not.
    pub(super) fn map_all_shared(&self, unit: usize) {
        let address = self.control.address(unit);
        for page in (address..address + self.control.plan.unit_bytes).step_by(PAGE_BYTES) {
            self.map_shared_page(page);
        }
    }
}

/// The contents of an absent page; `false` where they are damaged.
fn load(store: &CompressedMemory, entry: Entry, into: &mut [u8; PAGE_BYTES]) -> bool {
    match entry.state() {
        State::Stored => {
            let bytes = store.bytes(entry.payload());
            if bytes.len() == PAGE_BYTES {
                into.copy_from_slice(bytes);
                return true;
            }
            codec::decompress(bytes, into)
        }
        State::Same => {
            let word = (entry.payload() as u32).to_ne_bytes();
            for place in into.chunks_exact_mut(word.len()) {
                place.copy_from_slice(&word);
            }
            true
        }
        _ => {
            into.fill(0);
            true
        }
    }
}
