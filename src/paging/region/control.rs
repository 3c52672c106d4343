//! What a region's thread and its callers share: the plan, the table, the counts, and the request
//! that a caller has.
//!
//! A request is a touch. Its kind and range are written here; then the caller touches the
//! *doorbell*, a page that is absent, and so waits until the thread, which sees that fault as it
//! sees others, has done what is asked and lets it go on. So one thread does all that changes a
//! region, one thing after the other, waits in one place, and needs no lock.

use super::super::page_table::PAGE_BYTES;
use super::super::store::compressed_memory::CompressedMemory;
use super::options::{Plan, RegionError};
use super::stalls::Stalls;
use super::table::Table;
use crate::base::numbered_error::NumberedError as _;
use crate::os::{mapping, paged_mapping};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

/// What is asked of a region's thread. Ranges are in units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Request {
    /// Nothing.
    None = 0,
    /// Send these units out.
    Evict,
    /// Bring them in.
    Prefetch,
    /// Bring them in and keep them.
    Pin,
    /// End that once.
    Unpin,
    /// Forget what they hold.
    Release,
    /// They cannot be read from now on.
    MakeUnreadable,
    /// They can be again.
    MakeReadable,
    /// The region has as many bytes as `first` says, more than before.
    Expand,
    /// It has as many, fewer than before.
    Contract,
    /// The budget is of so many units as `first` says.
    SetBudget,
    /// Write dirty units back from `first` on; answers in `first` where it came to.
    WriteBack,
    /// Wait for the device.
    Flush,
    /// End the thread.
    End,
}

const REQUESTS: [Request; 14] = [
    Request::None,
    Request::Evict,
    Request::Prefetch,
    Request::Pin,
    Request::Unpin,
    Request::Release,
    Request::MakeUnreadable,
    Request::MakeReadable,
    Request::Expand,
    Request::Contract,
    Request::SetBudget,
    Request::WriteBack,
    Request::Flush,
    Request::End,
];

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Count {
    /// Units in memory, in their place.
    Resident,
    /// Units in staging.
    Staged,
    /// Pages in the store.
    Stored,
    /// Units with pins.
    Pinned,
    /// Dirty units.
    Dirty,
    /// Faults.
    Faults,
    /// Of these: first touches.
    ZeroFaults,
    /// Of staged units.
    StagedFaults,
    /// Of stored ones.
    StoredFaults,
    /// Read from the file.
    FileFaults,
    /// That the shared memory had.
    SharedFaults,
    /// First writes.
    WriteFaults,
    /// Units brought in ahead.
    Prefetched,
    /// Units that left their place.
    Evicted,
    /// Bytes written to the file.
    WrittenBack,
    /// Units that could not be read.
    ReadErrors,
    /// Tries to write that failed.
    WriteErrors,
}

const COUNTS: usize = Count::WriteErrors as usize + 1;

/// The thread is on its way.
pub(super) const STARTING: u32 = 0;
/// It serves faults of programs.
pub(super) const SERVES_USER: u32 = 1;
/// It serves those of the kernel too.
pub(super) const SERVES_ALL: u32 = 2;
/// It could not start: from here on a [`RegionError`] is added.
pub(super) const FAILED: u32 = 16;

/// See the module.
pub(super) struct Control {
    pub(super) plan: Plan,
    pub(super) start: usize,
    pub(super) table: Table,
    /// Frames of staging, behind the doorbell; 0 where there is none.
    pub(super) frames: usize,
    pub(super) doorbell: usize,
    staging_bytes: usize,
    /// Where units are put together: `buffer_bytes()` of memory.
    pub(super) buffer: usize,
    /// How long the region is now.
    pub(super) bytes: AtomicUsize,
    /// Units that may be in memory now.
    pub(super) budget: AtomicUsize,
    pub(super) store: CompressedMemory,
    pub(super) stalls: Stalls,
    pub(super) state: AtomicU32,
    /// The thread's number.
    pub(super) thread: AtomicU32,
    counts: [AtomicUsize; COUNTS],
    kind: AtomicUsize,
    first: AtomicUsize,
    units: AtomicUsize,
    answer: AtomicI32,
}

impl Control {
    /// One for a region whose memory is mapped.
    pub(super) fn new(plan: Plan, start: usize, memory: Memory) -> Control {
        Control {
            bytes: AtomicUsize::new(plan.bytes),
            budget: AtomicUsize::new(plan.budget),
            plan,
            start,
            table: memory.table,
            frames: memory.frames,
            doorbell: memory.doorbell,
            staging_bytes: memory.staging_bytes(),
            buffer: memory.buffer,
            store: CompressedMemory::new(),
            stalls: Stalls::new(),
            state: AtomicU32::new(STARTING),
            thread: AtomicU32::new(0),
            counts: [const { AtomicUsize::new(0) }; COUNTS],
            kind: AtomicUsize::new(Request::None as usize),
            first: AtomicUsize::new(0),
            units: AtomicUsize::new(0),
            answer: AtomicI32::new(0),
        }
    }

    /// Start and bytes of its staging, the doorbell included.
    pub(super) fn staging_range(&self) -> (usize, usize) {
        (self.doorbell, self.staging_bytes)
    }

    /// Adds to a count (or subtracts, negative).
    pub(super) fn count(&self, what: Count, by: isize) {
        self.counts[what as usize].fetch_add(by.cast_unsigned(), Ordering::Relaxed);
    }

    /// A count.
    pub(super) fn counted(&self, what: Count) -> usize {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// Units that the region has now, the last one perhaps in part.
    pub(super) fn units(&self) -> usize {
        self.bytes
            .load(Ordering::Relaxed)
            .div_ceil(self.plan.unit_bytes)
    }

    /// Where a unit lies.
    pub(super) fn address(&self, unit: usize) -> usize {
        self.start + unit * self.plan.unit_bytes
    }

    /// Asks the region's thread and waits for its answer: how far it came. One caller at a time.
    pub(super) fn ask(
        &self,
        what: Request,
        first: usize,
        units: usize,
    ) -> Result<usize, RegionError> {
        self.first.store(first, Ordering::Relaxed);
        self.units.store(units, Ordering::Relaxed);
        self.kind.store(what as usize, Ordering::Relaxed);
        // The page that let the last caller go on.
        mapping::discard(self.doorbell, PAGE_BYTES, false);
        // SAFETY: mapped and readable as long as the region lives. The fault that this is orders
        // what was written before for the thread, and what that wrote for us.
        unsafe { core::ptr::read_volatile(self.doorbell as *const u8) };
        match RegionError::of(self.answer.load(Ordering::Acquire)) {
            None => Ok(self.first.load(Ordering::Relaxed)),
            Some(error) => Err(error),
        }
    }

    /// For the thread: what is asked, and the range.
    pub(super) fn asked(&self) -> (Request, usize, usize) {
        let kind = self.kind.swap(Request::None as usize, Ordering::Relaxed);
        (
            REQUESTS.get(kind).copied().unwrap_or(Request::None),
            self.first.load(Ordering::Relaxed),
            self.units.load(Ordering::Relaxed),
        )
    }

    /// For the thread: the answer, before it lets the caller go on.
    pub(super) fn answer(&self, outcome: Result<usize, RegionError>) {
        if let Ok(came_to) = outcome {
            self.first.store(came_to, Ordering::Relaxed);
        }
        let number = outcome.map_or_else(|error| error as i32, |_| 0);
        // Release pairs with the Acquire of `ask`.
        self.answer.store(number, Ordering::Release);
    }
}

/// Memory of a region beside its own, mapped for it alone.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) table: Table,
    pub(super) frames: usize,
    pub(super) doorbell: usize,
    pub(super) buffer: usize,
    unit_bytes: usize,
    buffer_bytes: usize,
}

/// Staging is one part in this of the budget.
pub(super) const STAGING_SHARE: usize = 8;
/// The most that is read ahead in one go.
pub(super) const BUFFER_BYTES: usize = 2 << 20;

impl Memory {
    /// Maps it; `None` out of memory.
    pub(super) fn map(plan: &Plan) -> Option<Memory> {
        // Twice what will be filled, since hits leave holes.
        let frames = 2 * (plan.budget / STAGING_SHARE).min(1 << 30) + 2;
        let table = Table::map(plan.most_bytes, plan.unit_bytes, frames)?;
        let memory = Memory {
            table,
            frames,
            doorbell: 0,
            buffer: 0,
            unit_bytes: plan.unit_bytes,
            buffer_bytes: BUFFER_BYTES.max(plan.unit_bytes) + PAGE_BYTES,
        };
        let Some(doorbell) = map_staging(memory.staging_bytes()) else {
            table.unmap();
            return None;
        };
        mapping::advise_small(doorbell, memory.staging_bytes());
        mapping::name(doorbell, memory.staging_bytes(), c"glebe region staging");
        let Some(buffer) = mapping::map_sparse(memory.buffer_bytes) else {
            mapping::unmap(doorbell, memory.staging_bytes());
            table.unmap();
            return None;
        };
        mapping::name(buffer, memory.buffer_bytes, c"glebe region buffer");
        Some(Memory {
            doorbell,
            buffer,
            ..memory
        })
    }

    /// Unmaps it, which nobody uses any more.
    pub(super) fn unmap(&self) {
        self.table.unmap();
        mapping::unmap(self.doorbell, self.staging_bytes());
        mapping::unmap(self.buffer, self.buffer_bytes);
    }

    fn staging_bytes(&self) -> usize {
        PAGE_BYTES + self.frames * self.unit_bytes
    }
}

/// Children do not get it: the kernel would not move pages that they share.
fn map_staging(bytes: usize) -> Option<usize> {
    let start = paged_mapping::reserve(0, bytes).ok()?;
    if mapping::make_usable(start, bytes) {
        return Some(start);
    }
    mapping::unmap(start, bytes);
    None
}

impl Control {
    /// Start and bytes of the doorbell and the frames behind it.
    pub(super) fn staging(&self) -> (usize, usize) {
        (
            self.doorbell,
            PAGE_BYTES + self.frames * self.plan.unit_bytes,
        )
    }

    /// The address of a frame.
    pub(super) fn frame(&self, number: usize) -> usize {
        self.doorbell + PAGE_BYTES + number * self.plan.unit_bytes
    }
}
