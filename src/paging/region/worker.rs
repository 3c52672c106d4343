//! A region's thread: it waits for faults, serves them, and does what callers ask for.
//!
//! It has a table of descriptors of its own, in which are its userfaultfd, the file, and the
//! pagemap: a program that closes all of its descriptors closes none of them. It touches nothing
//! of the program's, and reads the region's memory only where it is known to be there.

use super::super::page_table::PAGE_BYTES;
use super::super::store::codec::Scratch;
use super::super::streams::Streams;
use super::control::{Control, Count, FAILED, Request, SERVES_ALL, SERVES_USER, STAGING_SHARE};
use super::entry::{MOST_PINS, State};
use super::options::{Eviction, Kind, LEAST_UNITS, RegionError};
use super::unit_list::UnitList;
use crate::os::errno::Errno;
use crate::os::file::File;
use crate::os::helper_thread::{
    self, close_all_descriptors, close_all_descriptors_but, exit_thread, futex_wake_all,
};
use crate::os::mapping;
use crate::os::pagemap::Pagemap;
use crate::os::process;
use crate::os::userfault::{Event, EventKind, Features, Mode, Modes, UserfaultFd};
use core::sync::atomic::Ordering;

/// Most events that are taken at a time.
const EVENTS: usize = 16;
/// Bytes that one request writes back at most: faults wait meanwhile.
const WRITE_BACK_BYTES: usize = 4 << 20;
/// A part in this of the budget is brought in at a hint at most.
const HINT_SHARE: usize = 2;
/// Ages that a unit can have: what 16 bits hold beside none.
pub(super) const AGES: usize = u16::MAX as usize;
/// As many evictions as the budget has units are so many steps. Of a unit that left longer ago than
/// 16 times that it is forgotten how long; one in 16 of these is taken for one that left lately.
const AGE_STEPS_OF_BUDGET: usize = 4096;

/// What the thread knows beside the table.
pub(super) struct Worker {
    pub(super) control: &'static Control,
    pub(super) userfault: UserfaultFd,
    pub(super) pagemap: Option<Pagemap>,
    /// Whether units can be moved to staging.
    pub(super) movable: bool,
    pub(super) fresh: UnitList,
    pub(super) proven: UnitList,
    /// Frames `tail` to `head` of the ring are filled, or empty again; counted up for ever.
    pub(super) head: usize,
    pub(super) tail: usize,
    /// Units that ever left their place.
    pub(super) evictions: usize,
    /// So many of them are a step of the clock by which units age.
    pub(super) age_step: usize,
    streams: Streams,
    pub(super) compressed: [u8; PAGE_BYTES],
    pub(super) scratch: Scratch,
}

/// The thread's entry; `control` is the address of a [`Control`].
pub(super) extern "C" fn run(control: usize) -> ! {
    // SAFETY: whoever starts the thread keeps the control mapped until it has ended.
    let control = unsafe { &*(control as *const Control) };
    helper_thread::set_name(c"glebe region");
    control
        .thread
        .store(helper_thread::number(), Ordering::Relaxed);
    match usize::try_from(control.plan.file) {
        Ok(file) => close_all_descriptors_but(file),
        Err(_) => close_all_descriptors(),
    }
    match set_up(control) {
        Ok((userfault, mode, movable)) => {
            let mut worker = Worker {
                control,
                userfault,
                pagemap: Pagemap::open().ok(),
                movable,
                fresh: UnitList::new(),
                proven: UnitList::new(),
                head: 0,
                tail: 0,
                evictions: 0,
                age_step: (control.plan.budget / AGE_STEPS_OF_BUDGET).max(1),
                streams: Streams::new(),
                compressed: [0; PAGE_BYTES],
                scratch: Scratch::new(),
            };
            tell(
                control,
                if mode == Mode::Full {
                    SERVES_ALL
                } else {
                    SERVES_USER
                },
            );
            worker.serve_all();
        }
        Err(error) => tell(control, FAILED + error as u32),
    }
    exit_thread()
}

fn tell(control: &Control, state: u32) {
    // Release pairs with the Acquire of who waits for the start.
    control.state.store(state, Ordering::Release);
    futex_wake_all(&control.state);
}

fn open() -> Result<(UserfaultFd, Mode, bool), RegionError> {
    let mut last = Errno(libc::ENOSYS);
    for mode in [Mode::Full, Mode::UserModeOnly] {
        for features in [Features::MOVE, Features::NONE] {
            match UserfaultFd::open(mode, features) {
                Ok(userfault) => return Ok((userfault, mode, features == Features::MOVE)),
                Err(error) => last = error,
            }
        }
    }
    Err(match last.0 {
        libc::EMFILE | libc::ENFILE | libc::ENOMEM => RegionError::NoMemory,
        _ => RegionError::NoUserfault,
    })
}

fn set_up(control: &Control) -> Result<(UserfaultFd, Mode, bool), RegionError> {
    let (userfault, mode, movable) = open()?;
    let modes = match control.plan.kind {
        Kind::Shared => Modes::MISSING | Modes::UNMAPPED,
        Kind::Anonymous | Kind::File => Modes::MISSING | Modes::WRITE_PROTECTED,
    };
    let (staging, staging_bytes) = control.staging();
    let registered = userfault
        .register(staging, staging_bytes, Modes::MISSING)
        .and_then(|()| userfault.register(control.start, control.plan.most_bytes, modes));
    if registered.is_err() {
        userfault.close();
        return Err(RegionError::NoUserfault);
    }
    Ok((
        userfault,
        mode,
        movable && control.plan.kind != Kind::Shared,
    ))
}

impl Worker {
    /// Serves faults and requests until it is asked to end.
    fn serve_all(&mut self) {
        let mut events = [const { Event::new() }; EVENTS];
        loop {
            let Ok(taken) = self.userfault.read(&mut events) else {
                continue;
            };
            for event in events.iter().take(taken) {
                let EventKind::PageFault {
                    address, writes, ..
                } = event.kind()
                else {
                    continue;
                };
                if address & !(PAGE_BYTES - 1) == self.control.doorbell {
                    if self.serve_request() == Request::End {
                        self.userfault.close();
                        return;
                    }
                    continue;
                }
                let began_ns = process::now_ns();
                let unit = self.serve_fault(address, writes);
                self.control
                    .stalls
                    .note(process::now_ns().saturating_sub(began_ns));
                if let Some(unit) = unit {
                    self.follow_streams(unit);
                }
            }
        }
    }

    /// Has a touch go on; the unit, if that was brought in.
    fn serve_fault(&mut self, address: usize, writes: bool) -> Option<usize> {
        self.control.count(Count::Faults, 1);
        let page = address & !(PAGE_BYTES - 1);
        let unit = page.wrapping_sub(self.control.start) / self.control.plan.unit_bytes;
        if unit >= self.control.units() {
            // Behind the end of a region that was contracted: not to be touched, nor to be hung on.
            self.fill_hole(page);
            return None;
        }
        if self.control.table.unit(unit).state() == State::Resident {
            self.serve_resident(unit, page, writes);
            return None;
        }
        let _ = self.bring_in(unit, writes, Some(page));
        self.wake(unit);
        Some(unit)
    }

    /// Of a unit that is in its place: a write to a clean one, a page of shared memory that is not
    /// mapped yet, a touch that another fault has served, or a page that the program gave back.
    fn serve_resident(&mut self, unit: usize, page: usize, writes: bool) {
        match self.control.plan.kind {
            Kind::Shared => self.map_shared_page(page),
            Kind::File if writes && !self.control.plan.read_only => {
                if !self.control.table.unit(unit).is_dirty() {
                    self.control.count(Count::WriteFaults, 1);
                }
                self.make_writable(unit);
                self.fill_hole(page);
            }
            Kind::Anonymous => {
                // After an eviction that was called off.
                self.protect(unit, false);
                self.fill_hole(page);
            }
            Kind::File => self.fill_hole(page),
        }
        self.wake(unit);
    }

    /// Brings in what a stream of touches will want next.
    fn follow_streams(&mut self, unit: usize) {
        let most = self.control.plan.ahead;
        if most == 0 {
            return;
        }
        let ahead = self.streams.observe(unit as u64);
        let budget = self.control.budget.load(Ordering::Relaxed);
        let most = most.min(budget.saturating_sub(self.control.counted(Count::Pinned)) / 8);
        let (first, units) = (ahead.first as usize, ahead.pages);
        // Of a stream that walks down, what is nearest lies last.
        let first = if first > unit {
            first
        } else {
            first + units - units.min(most)
        };
        let end = (first + units.min(most)).min(self.control.units());
        self.bring_in_range(first, end);
        if self.control.plan.kind == Kind::File && first < end {
            // What comes after that: the device reads it while the program is busy with these.
            let length = end - first;
            self.read_soon(if first > unit {
                end..end + length
            } else {
                first.saturating_sub(length)..first
            });
        }
    }

    /// Has the kernel read absent units of a file, without waiting.
    fn read_soon(&self, range: core::ops::Range<usize>) {
        let plan = &self.control.plan;
        let end = range.end.min(self.control.units());
        let mut absent = (range.start..end).filter(|unit| !self.control.table.is_in_memory(*unit));
        let Some(first) = absent.next() else { return };
        let last = absent.next_back().unwrap_or(first);
        let offset = plan.file_offset + (first * plan.unit_bytes) as u64;
        self.file()
            .will_need(offset, (last + 1 - first) * plan.unit_bytes);
    }

    /// Does what is asked for, and lets the caller go on.
    fn serve_request(&mut self) -> Request {
        let (what, first, units) = self.control.asked();
        let outcome = match what {
            Request::None | Request::End => Ok(0),
            Request::Evict => self.evict_range(first, units),
            Request::Prefetch => {
                let budget = self.control.budget.load(Ordering::Relaxed);
                let pinned = self.control.counted(Count::Pinned);
                let most = budget.saturating_sub(pinned) / HINT_SHARE;
                self.bring_in_range(first, first + units.min(most));
                Ok(0)
            }
            Request::Pin => self.pin(first, units),
            Request::Unpin => self.unpin(first, units),
            Request::Release => self.release(first, units),
            Request::MakeUnreadable => self.make_unreadable(first, units),
            Request::MakeReadable => {
                for unit in first..first + units {
                    let entry = self.control.table.unit(unit);
                    self.control.table.set_flags(unit, entry.unreadable(false));
                }
                Ok(0)
            }
            Request::Expand => self.expand(first),
            Request::Contract => self.contract(first),
            Request::SetBudget => self.set_budget(first),
            Request::WriteBack => self.write_back(first),
            Request::Flush => self
                .file()
                .sync_data()
                .map(|()| 0)
                .map_err(|_| RegionError::WriteFailed),
        };
        self.control.answer(outcome);
        self.fill_hole(self.control.doorbell);
        what
    }

    /// The region's file.
    pub(super) fn file(&self) -> File {
        File::from_word(self.control.plan.file as usize)
    }

    fn evict_range(&mut self, first: usize, units: usize) -> Result<usize, RegionError> {
        let mut outcome = Ok(0);
        for unit in self.control.table.known(first..first + units) {
            if !self.send_out(unit) {
                outcome = Err(RegionError::WriteFailed);
            }
        }
        outcome
    }

    fn pin(&mut self, first: usize, units: usize) -> Result<usize, RegionError> {
        let table = self.control.table;
        let pins = |unit: usize| table.unit(unit).pins();
        let range = first..first + units;
        let budget = self.control.budget.load(Ordering::Relaxed);
        if units > budget {
            return Err(RegionError::NoRoom);
        }
        if range.clone().any(|unit| pins(unit) == MOST_PINS) {
            return Err(RegionError::TooMany);
        }
        let new = range.clone().filter(|unit| pins(*unit) == 0).count();
        if self.control.counted(Count::Pinned) + new + LEAST_UNITS > budget {
            return Err(RegionError::NoRoom);
        }
        for unit in range {
            if let Err(error) = self.pin_unit(unit) {
                for pinned in first..unit {
                    self.unpin_unit(pinned);
                }
                return Err(error);
            }
        }
        Ok(0)
    }

    fn pin_unit(&mut self, unit: usize) -> Result<(), RegionError> {
        let table = self.control.table;
        let writes = !self.control.plan.read_only;
        if table.unit(unit).state() != State::Resident {
            self.bring_in(unit, writes, None)?;
        }
        if self.control.plan.kind == Kind::Shared {
            self.map_all_shared(unit);
        } else if writes {
            // The kernel may write to it, unseen by us.
            self.make_writable(unit);
        }
        if table.unit(unit).pins() == 0 {
            self.list_of(unit).remove(&table, unit);
            self.control.count(Count::Pinned, 1);
        }
        let entry = table.unit(unit);
        table.set_flags(unit, entry.pinned(entry.pins() + 1));
        Ok(())
    }

    fn unpin(&mut self, first: usize, units: usize) -> Result<usize, RegionError> {
        let table = self.control.table;
        if (first..first + units).any(|unit| table.unit(unit).pins() == 0) {
            return Err(RegionError::NotPinned);
        }
        for unit in first..first + units {
            self.unpin_unit(unit);
        }
        Ok(0)
    }

    fn unpin_unit(&mut self, unit: usize) {
        let table = self.control.table;
        let entry = table.unit(unit);
        table.set_flags(unit, entry.pinned(entry.pins() - 1));
        if entry.pins() == 1 {
            self.control.count(Count::Pinned, -1);
            self.list_of(unit).push(&table, unit);
        }
    }

    fn make_unreadable(&mut self, first: usize, units: usize) -> Result<usize, RegionError> {
        let table = self.control.table;
        // What cannot be read later is written now; nobody can make it dirty again.
        if self.control.plan.kind == Kind::File {
            for unit in table.known(first..first + units) {
                if table.unit(unit).is_dirty() && !self.clean(unit) {
                    return Err(RegionError::WriteFailed);
                }
            }
        }
        for unit in first..first + units {
            table.set_flags(unit, table.unit(unit).unreadable(true));
        }
        Ok(0)
    }

    fn expand(&mut self, bytes: usize) -> Result<usize, RegionError> {
        let plan = &self.control.plan;
        let before = self.control.bytes.load(Ordering::Relaxed);
        if plan.kind != Kind::Anonymous {
            let end = plan.file_offset + bytes as u64;
            let file_bytes = self.file().bytes().map_err(|_| RegionError::BadFile)?;
            if file_bytes < end && !plan.grows_file {
                return Err(RegionError::FileTooShort);
            }
            if !before.is_multiple_of(plan.unit_bytes) {
                // What the file has behind the old end comes in with the rest.
                let last = before / plan.unit_bytes;
                if self.control.table.unit(last).pins() > 0 {
                    return Err(RegionError::Pinned);
                }
                if !self.send_out(last) {
                    return Err(RegionError::WriteFailed);
                }
            }
            if file_bytes < end {
                let grown = self.file().set_bytes(end);
                grown.map_err(|_| RegionError::WriteFailed)?;
            }
        }
        self.control.bytes.store(bytes, Ordering::Relaxed);
        Ok(0)
    }

    fn contract(&mut self, bytes: usize) -> Result<usize, RegionError> {
        let table = self.control.table;
        let first = bytes / self.control.plan.unit_bytes;
        let gone = first..table.units();
        if table
            .known(gone.clone())
            .any(|unit| table.unit(unit).pins() > 0)
        {
            return Err(RegionError::Pinned);
        }
        for unit in table.known(gone.clone()) {
            if table.unit(unit).is_dirty() && !self.clean(unit) {
                return Err(RegionError::WriteFailed);
            }
        }
        for unit in table.known(gone.clone()) {
            self.forget(unit);
        }
        table.trim(gone);
        self.control.bytes.store(bytes, Ordering::Relaxed);
        let end = self.control.start + self.control.plan.most_bytes;
        let start = self.control.address(first);
        mapping::discard_without_errno(start, end - start);
        Ok(0)
    }

    fn set_budget(&mut self, units: usize) -> Result<usize, RegionError> {
        if self.control.counted(Count::Pinned) + LEAST_UNITS > units {
            return Err(RegionError::NoRoom);
        }
        self.control.budget.store(units, Ordering::Relaxed);
        self.make_room(0);
        Ok(0)
    }

    fn write_back(&mut self, first: usize) -> Result<usize, RegionError> {
        let most = (WRITE_BACK_BYTES / self.control.plan.unit_bytes).max(1);
        let mut written = 0;
        for unit in self.control.table.known(first..self.control.table.units()) {
            if self.control.table.unit(unit).is_dirty() {
                if written == most {
                    return Ok(unit);
                }
                if !self.clean(unit) {
                    return Err(RegionError::WriteFailed);
                }
                written += 1;
            }
        }
        Ok(self.control.table.units())
    }

    /// Units of staging that shall be filled.
    pub(super) fn staging_target(&self) -> usize {
        let budget = self.control.budget.load(Ordering::Relaxed);
        if self.movable && self.control.plan.eviction != Eviction::Newest {
            (budget / STAGING_SHARE).min(self.control.frames / 2)
        } else {
            0
        }
    }

    /// Units in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.control.counted(Count::Resident) + self.control.counted(Count::Staged)
    }
}
