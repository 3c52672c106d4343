//! Regions: ranges of addresses with a budget of their own, which programs create by name.
//!
//! The engine beside this keeps one budget for the heap, whose memory comes in granules from
//! everywhere. A region is one range, with a page table, a thread, a userfaultfd and a store of its
//! own; so regions know nothing of each other, and deleting one leaves nothing behind.
//!
//! | file | what |
//! |---|---|
//! | [`options`] | what a region is asked to be; errors |
//! | [`control`] | what the thread and its callers share; requests |
//! | [`worker`] | the thread: faults, requests |
//! | [`arriving`], [`leaving`] | how units come and go |
//! | [`table`], [`entry`] | the page table |
//! | [`unit_list`] | lists of the units in memory |
//! | [`stalls`] | how long touches took |
//! | [`published`] | where regions lie, for who reads it from outside |
//! | [`view`] | what a region says of itself |
//! | here | what callers do themselves: mapping, protection |

mod arriving;
mod control;
mod entry;
mod leaving;
mod options;
mod published;
mod stalls;
mod table;
mod unit_list;
mod view;
mod worker;

use super::page_table::PAGE_BYTES;
use crate::base::numbered_error::NumberedError as _;
use crate::os::errno::Errno;
use crate::os::file::File;
use crate::os::handle_table::{HandleTable, Handled};
use crate::os::helper_thread::{self, Files, Stack, futex_wait, wait_for_end};
use crate::os::mapping::{self, Protection};
use crate::os::{paged_mapping, process};
use control::{Control, FAILED, Memory, Request, STARTING};
use core::sync::atomic::{AtomicUsize, Ordering};
use options::{Kind, Plan};
pub use options::{RawOptions, RegionError};
pub(crate) use published::{
    PUBLISHED_WORDS, Published, entry_of_region, is_dirty_in_region, published,
};
pub use view::RawPage;
pub(crate) use view::{pages, statistics};

/// Regions at a time.
pub(crate) const PLACES: usize = 256;
/// Bytes of a region's thread's stack.
const STACK_BYTES: usize = 256 << 10;

/// A region that lives.
#[derive(Clone, Copy)]
struct Region {
    control: &'static Control,
    memory: Memory,
}

static REGIONS: HandleTable<Region, PLACES> = HandleTable::new();

/// For each place the stack of the last region's thread, as a word; the next has it again.
static STACKS: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];

/// None of the regions are a child's own: their threads are not in it.
impl Handled for Region {
    type Error = RegionError;
    const BAD_HANDLE: RegionError = RegionError::BadHandle;
    const TOO_MANY: RegionError = RegionError::TooMany;
    const OUTLIVES_FORK: bool = false;

    fn forgotten(place: usize) {
        published::clear(place);
        STACKS[place % PLACES].store(0, Ordering::Relaxed);
    }
}

/// Calls `act` with the region of that handle, which stays while it runs.
fn with<T>(
    handle: u64,
    act: impl FnOnce(&Region) -> Result<T, RegionError>,
) -> Result<T, RegionError> {
    REGIONS.with(handle, |_, region| act(region))
}

/// Creates a region; its handle, never 0, and its start.
pub(crate) fn create(options: &RawOptions) -> Result<(u64, usize), RegionError> {
    let plan = options.plan()?;
    check_file(&plan)?;
    if process::page_bytes() != PAGE_BYTES {
        return Err(RegionError::NoUserfault);
    }
    let mut start = 0;
    let handle = REGIONS.admit(|place| {
        let region = Region::create(plan, &STACKS[place % PLACES])?;
        published::set(place, region.control);
        start = region.control.start;
        Ok(region)
    })?;
    Ok((handle, start))
}

/// Whether the file is one that the plan can have; it need not be long enough yet.
fn check_file(plan: &Plan) -> Result<(), RegionError> {
    if plan.kind == Kind::Anonymous {
        return Ok(());
    }
    let access = paged_mapping::access(plan.file).ok_or(RegionError::BadFile)?;
    if !access.reads || !access.writes && !plan.read_only {
        return Err(RegionError::BadFile);
    }
    let length = File::from_word(plan.file as usize).bytes();
    let length = length.map_err(|_| RegionError::BadFile)?;
    let end = plan.file_offset + plan.bytes as u64;
    if length < end && !plan.grows_file {
        return Err(RegionError::FileTooShort);
    }
    Ok(())
}

/// Makes shared memory of `bytes`; its descriptor.
pub(crate) fn shared_memory(bytes: usize) -> Result<i32, RegionError> {
    if bytes == 0 {
        return Err(RegionError::ZeroSize);
    }
    if !bytes.is_multiple_of(PAGE_BYTES) {
        return Err(RegionError::Unaligned);
    }
    paged_mapping::shared_memory(bytes).map_err(|error| match error.0 {
        libc::EFBIG | libc::EINVAL => RegionError::TooLarge,
        _ => RegionError::NoMemory,
    })
}

fn protection_of(plan: &Plan) -> Protection {
    if plan.read_only {
        Protection::Read
    } else {
        Protection::ReadWrite
    }
}

impl Region {
    fn create(plan: Plan, stack: &AtomicUsize) -> Result<Region, RegionError> {
        let start = Region::map(&plan)?;
        let built = Region::build(plan, start, stack);
        if built.is_err() {
            mapping::unmap(start, plan.most_bytes);
        }
        built
    }

    /// Maps its memory, as much of it usable as it has bytes.
    fn map(plan: &Plan) -> Result<usize, RegionError> {
        let reserved = match plan.kind {
            Kind::Shared => paged_mapping::reserve_shared(
                plan.base,
                plan.most_bytes,
                plan.file,
                plan.file_offset,
            ),
            Kind::Anonymous | Kind::File => paged_mapping::reserve(plan.base, plan.most_bytes),
        };
        let start = reserved.map_err(|error| match error {
            Errno(libc::ENOMEM) if plan.base == 0 => RegionError::TooLarge,
            Errno(libc::ENODEV | libc::EACCES) => RegionError::BadFile,
            _ if plan.base == 0 => RegionError::NoMemory,
            _ => RegionError::BadBase,
        })?;
        mapping::advise_small(start, plan.most_bytes);
        mapping::name(start, plan.most_bytes, c"glebe region");
        let usable = plan.bytes.next_multiple_of(plan.unit_bytes);
        if !mapping::protect(start, usable, protection_of(plan)) {
            mapping::unmap(start, plan.most_bytes);
            return Err(RegionError::NoMemory);
        }
        Ok(start)
    }

    fn build(plan: Plan, start: usize, stack: &AtomicUsize) -> Result<Region, RegionError> {
        let memory = Memory::map(&plan).ok_or(RegionError::NoMemory)?;
        let Some(place) = mapping::map_sparse(control_bytes()) else {
            memory.unmap();
            return Err(RegionError::NoMemory);
        };
        let control = place as *mut Control;
        // SAFETY: mapped just now, aligned to a page and large enough; it lives until `unmap`, which
        // nobody who has the reference outlives.
        let control = unsafe {
            control.write(Control::new(plan, start, memory));
            &*control
        };
        let region = Region { control, memory };
        let outcome = region.start(stack).and_then(|()| region.grow_file());
        match outcome {
            Ok(()) => Ok(region),
            Err(error) => {
                region.end();
                region.unmap_tables();
                Err(error)
            }
        }
    }

    /// Starts the thread, and waits until it serves faults.
    fn start(&self, stack: &AtomicUsize) -> Result<(), RegionError> {
        // What leaves may take as much as it does in memory.
        if self.control.plan.kind == Kind::Anonymous
            && !self.control.store.prepare(self.control.plan.most_bytes)
        {
            return Err(RegionError::NoMemory);
        }
        if stack.load(Ordering::Relaxed) == 0 {
            let mapped = Stack::map(STACK_BYTES).ok_or(RegionError::NoMemory)?;
            stack.store(mapped.to_word(), Ordering::Relaxed);
        }
        let stack = Stack::from_word(stack.load(Ordering::Relaxed));
        let control = core::ptr::from_ref(self.control) as usize;
        helper_thread::start(worker::run, control, stack, Files::Copied)
            .map_err(|_| RegionError::NoMemory)?;
        loop {
            // Acquire pairs with the Release of the thread.
            let state = self.control.state.load(Ordering::Acquire);
            if state == STARTING {
                futex_wait(&self.control.state, STARTING, None);
            } else if state >= FAILED {
                let error = RegionError::of((state - FAILED) as i32);
                return Err(error.unwrap_or(RegionError::NoUserfault));
            } else {
                return Ok(());
            }
        }
    }

    /// Makes the file as long as the section, if it shall be.
    fn grow_file(&self) -> Result<(), RegionError> {
        let plan = &self.control.plan;
        if !plan.grows_file {
            return Ok(());
        }
        let file = File::from_word(plan.file as usize);
        let end = plan.file_offset + plan.bytes as u64;
        if file.bytes().map_err(|_| RegionError::BadFile)? < end {
            file.set_bytes(end).map_err(|_| RegionError::WriteFailed)?;
        }
        Ok(())
    }

    /// Ends the thread, if there is one, and waits until it is gone.
    fn end(&self) {
        let state = self.control.state.load(Ordering::Acquire);
        if (STARTING + 1..FAILED).contains(&state) {
            let _ = self.control.ask(Request::End, 0, 0);
        }
        let thread = self.control.thread.load(Ordering::Relaxed);
        if thread != 0 {
            wait_for_end(thread);
        }
    }

    /// Unmaps all but the region's own memory. The thread has ended.
    fn unmap_tables(&self) {
        self.control.store.unmap();
        self.memory.unmap();
        mapping::unmap(core::ptr::from_ref(self.control) as usize, control_bytes());
    }

    /// First unit and count of the units that a range of the region touches.
    fn units_of(&self, address: usize, bytes: usize) -> Result<(usize, usize), RegionError> {
        if bytes == 0 {
            return Err(RegionError::ZeroSize);
        }
        let end = address.checked_add(bytes).ok_or(RegionError::Overflow)?;
        let start = self.control.start;
        if address < start || end > start + self.control.bytes.load(Ordering::Relaxed) {
            return Err(RegionError::Outside);
        }
        let unit_bytes = self.control.plan.unit_bytes;
        let first = (address - start) / unit_bytes;
        Ok((first, (end - start).div_ceil(unit_bytes) - first))
    }

    /// First unit and count of a range that consists of whole units, the last of the region among
    /// them.
    fn whole_units(&self, address: usize, bytes: usize) -> Result<(usize, usize), RegionError> {
        let control = self.control;
        let unit_bytes = control.plan.unit_bytes;
        if bytes == 0 {
            return Err(RegionError::ZeroSize);
        }
        let end = address.checked_add(bytes).ok_or(RegionError::Overflow)?;
        let usable = control.units() * unit_bytes;
        if address < control.start || end > control.start + usable {
            return Err(RegionError::Outside);
        }
        let offset = address - control.start;
        if !offset.is_multiple_of(unit_bytes) || !bytes.is_multiple_of(unit_bytes) {
            return Err(RegionError::Unaligned);
        }
        Ok((offset / unit_bytes, bytes / unit_bytes))
    }

    fn write_back(&self) -> Result<(), RegionError> {
        if self.control.plan.kind != Kind::File || self.control.plan.read_only {
            return Ok(());
        }
        let mut unit = 0;
        while unit < self.control.table.units() {
            unit = self.control.ask(Request::WriteBack, unit, 0)?;
        }
        Ok(())
    }
}

fn control_bytes() -> usize {
    size_of::<Control>().next_multiple_of(PAGE_BYTES)
}

/// Deletes a region, after its dirty pages were written back if that is wanted.
pub(crate) fn delete(handle: u64, save: bool) -> Result<(), RegionError> {
    REGIONS.remove(handle, |place, region| {
        if save {
            region.write_back()?;
        }
        published::clear(place);
        region.end();
        mapping::unmap(region.control.start, region.control.plan.most_bytes);
        region.unmap_tables();
        Ok(())
    })
}

/// Makes a region longer.
pub(crate) fn expand(handle: u64, bytes: usize) -> Result<(), RegionError> {
    with(handle, |region| {
        let control = region.control;
        let plan = &control.plan;
        let before = control.bytes.load(Ordering::Relaxed);
        check_size(plan, bytes)?;
        if bytes < before {
            return Err(RegionError::BadArgument);
        }
        if bytes == before {
            return Ok(());
        }
        let old_end = before.next_multiple_of(plan.unit_bytes);
        let (start, more) = (control.start + old_end, bytes - old_end);
        if more > 0 && !mapping::protect(start, more, protection_of(plan)) {
            return Err(RegionError::NoMemory);
        }
        let outcome = control.ask(Request::Expand, bytes, 0).map(|_| ());
        if outcome.is_err() && more > 0 {
            mapping::protect(start, more, Protection::None);
        }
        outcome
    })
}

/// Makes a region shorter.
pub(crate) fn contract(handle: u64, bytes: usize) -> Result<(), RegionError> {
    with(handle, |region| {
        let control = region.control;
        check_size(&control.plan, bytes)?;
        let before = control.bytes.load(Ordering::Relaxed);
        if bytes > before {
            return Err(RegionError::BadArgument);
        }
        if bytes == before {
            return Ok(());
        }
        control.ask(Request::Contract, bytes, 0)?;
        let rest = control.plan.most_bytes - bytes;
        mapping::protect(control.start + bytes, rest, Protection::None);
        Ok(())
    })
}

fn check_size(plan: &Plan, bytes: usize) -> Result<(), RegionError> {
    if bytes == 0 {
        Err(RegionError::ZeroSize)
    } else if !bytes.is_multiple_of(plan.unit_bytes) {
        Err(RegionError::Unaligned)
    } else if bytes > plan.most_bytes {
        Err(RegionError::TooLarge)
    } else {
        Ok(())
    }
}

/// Sets what may be done with a range of whole units.
pub(crate) fn protect(
    handle: u64,
    address: usize,
    bytes: usize,
    protection: Option<Protection>,
) -> Result<(), RegionError> {
    with(handle, |region| {
        let control = region.control;
        let protection = protection.ok_or(RegionError::BadProtection)?;
        if protection == Protection::ReadWrite && control.plan.read_only {
            return Err(RegionError::BadProtection);
        }
        let (first, units) = region.whole_units(address, bytes)?;
        if protection == Protection::None {
            control.ask(Request::MakeUnreadable, first, units)?;
        }
        let done = mapping::protect(address, bytes, protection);
        if done != (protection == Protection::None) {
            control.ask(Request::MakeReadable, first, units)?;
        }
        if done {
            Ok(())
        } else {
            Err(RegionError::NoMemory)
        }
    })
}

/// Gives a range of whole units back.
pub(crate) fn release(handle: u64, address: usize, bytes: usize) -> Result<(), RegionError> {
    with(handle, |region| {
        let (first, units) = region.whole_units(address, bytes)?;
        region
            .control
            .ask(Request::Release, first, units)
            .map(|_| ())
    })
}

/// Writes a file's dirty pages back, and waits for the device.
pub(crate) fn sync(handle: u64) -> Result<(), RegionError> {
    with(handle, |region| {
        if region.control.plan.kind != Kind::File {
            return Err(RegionError::WrongKind);
        }
        region.write_back()?;
        region.control.ask(Request::Flush, 0, 0).map(|_| ())
    })
}

/// What can be asked for a range of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnRange {
    /// Bring them in and keep them.
    Pin,
    /// End that once.
    Unpin,
    /// Bring them in.
    Prefetch,
    /// Send them out.
    Evict,
}

/// Has that done with the units that a range touches.
pub(crate) fn on_range(
    handle: u64,
    what: OnRange,
    address: usize,
    bytes: usize,
) -> Result<(), RegionError> {
    with(handle, |region| {
        let (first, units) = region.units_of(address, bytes)?;
        let request = match what {
            OnRange::Pin => Request::Pin,
            OnRange::Unpin => Request::Unpin,
            OnRange::Prefetch => Request::Prefetch,
            OnRange::Evict => Request::Evict,
        };
        region.control.ask(request, first, units).map(|_| ())
    })
}

/// Sets another budget.
pub(crate) fn set_budget(handle: u64, bytes: usize) -> Result<(), RegionError> {
    with(handle, |region| {
        let plan = &region.control.plan;
        let units = bytes / plan.unit_bytes;
        if units < options::LEAST_UNITS {
            return Err(RegionError::BadBudget);
        }
        region.control.ask(Request::SetBudget, units, 0).map(|_| ())
    })
}
