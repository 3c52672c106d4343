//! The fault handler: a thread that waits for touches of absent pages and brings these in.

use super::budget;
use super::evictor;
use super::page_table::{self, Entry, Locked, PAGE_BYTES, PageNumber, Slot, State, held};
use super::resident::{self, Admission, Stamp};
use super::staging;
use super::statistics::{Count, count};
use super::store::{self, codec};
use super::streams::Streams;
use crate::os::futex::{Mutex, MutexGuard};
use crate::os::helper_thread::{Patience, futex_wait, futex_wake_all};
use crate::os::process;
use crate::os::userfault::{Event, EventKind, Filled, UserfaultFd, Wake};
use crate::report;
use core::sync::atomic::{AtomicU32, Ordering};

/// Most events that are taken at a time.
const EVENTS: usize = 16;
/// Most pages that are brought in ahead of a stream at a time.
const AHEAD: usize = super::streams::MOST_AHEAD;

/// A page's worth of bytes where the kernel may copy from.
#[repr(C, align(4096))]
pub(super) struct Buffer([u8; PAGE_BYTES]);

/// The fault handler's thread.
pub(super) struct FaultHandler {
    userfault: UserfaultFd,
    streams: Streams,
    raw: [u8; PAGE_BYTES],
    buffers: &'static mut Buffers,
}

/// Where pages are put together that are brought in at once.
pub(super) type Buffers = [Buffer; AHEAD];

/// Pages that came in while a fork went on, whose entries stay busy and as they were until it is
/// over.
///
/// Law: what a fork copies at whatever moment, an entry and its page, fits together. The child finds
/// the page in memory, or the entry that says where it is.
struct Pending {
    /// The first `length` of these.
    entries: [(PageNumber, Admission); MOST_PENDING],
    length: usize,
}

/// Most such pages; whoever wants more waits for the fork.
const MOST_PENDING: usize = 512;

/// Held while a fault is served and what comes after it is brought in.
static SERVING: Mutex<Pending> = Mutex::new(Pending {
    entries: [(PageNumber(0), Admission::FirstTouch); MOST_PENDING],
    length: 0,
});
/// Whether a fork goes on.
static FORKING: AtomicU32 = AtomicU32::new(0);
/// A thread that waits for a fork may hold what the fork waits for; so it does not wait for ever.
const LONGEST_FORK_NS: u64 = 1_000_000_000;

impl Pending {
    fn contains(&self, page: PageNumber) -> bool {
        self.entries[..self.length]
            .iter()
            .any(|&(pending, _)| pending == page)
    }

    fn is_full(&self) -> bool {
        self.length == MOST_PENDING
    }

    fn push(&mut self, page: PageNumber, how: Admission) {
        if let Some(place) = self.entries.get_mut(self.length) {
            *place = (page, how);
            self.length += 1;
        }
    }
}

/// No entry becomes that of a page in memory until [`go_on`]: a fork comes.
pub(super) fn hold_still() {
    // SeqCst pairs with the load in `finish`: it sees this, or is waited for here.
    FORKING.store(1, Ordering::SeqCst);
    drop(SERVING.lock());
}

/// The fork is over: the entries are made what they should be.
pub(super) fn go_on() {
    let mut pending = SERVING.lock();
    FORKING.store(0, Ordering::SeqCst);
    let length = core::mem::take(&mut pending.length);
    for &(page, how) in pending.entries.iter().take(length) {
        if let Some(slot) = page_table::slot(page) {
            come_in(held(slot), page, how);
        }
    }
    drop(pending);
    futex_wake_all(&FORKING);
}

/// In a child after fork: who served is no more, and entries are righted otherwise.
pub(super) fn reset() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { SERVING.raw() }.reset();
    SERVING.lock().length = 0;
    FORKING.store(0, Ordering::SeqCst);
}

/// Notes that a page is in memory now.
fn come_in(locked: Locked<'_>, page: PageNumber, how: Admission) {
    let before = locked.entry();
    budget::count_resident(1);
    locked.finish(Entry::new(State::Resident, 0));
    store::remove(before);
    resident::admit(page, how);
}

/// The right to serve a fault; where a fork has gone on for a while, once it is over.
fn begin_to_serve() -> MutexGuard<'static, Pending> {
    let pending = SERVING.lock();
    if !pending.is_full() {
        return pending;
    }
    drop(pending);
    futex_wait(&FORKING, 1, Some(LONGEST_FORK_NS));
    SERVING.lock()
}

static ZEROES: Buffer = Buffer([0; PAGE_BYTES]);

impl FaultHandler {
    /// One that serves what is registered with `userfault`.
    pub(super) const fn new(userfault: UserfaultFd, buffers: &'static mut Buffers) -> FaultHandler {
        FaultHandler {
            userfault,
            streams: Streams::new(),
            raw: [0; PAGE_BYTES],
            buffers,
        }
    }

    /// Serves faults for ever.
    pub(super) fn run(&mut self) -> ! {
        let mut events = [const { Event::new() }; EVENTS];
        loop {
            let Ok(taken) = self.userfault.read(&mut events) else {
                continue;
            };
            for event in &events[..taken] {
                if let EventKind::PageFault {
                    address, writes, ..
                } = event.kind()
                {
                    let mut pending = begin_to_serve();
                    let began_ns = process::now_ns();
                    self.serve(PageNumber::of(address), writes, &mut pending);
                    let took_ns = process::now_ns() - began_ns;
                    count(Count::ServiceNs, took_ns as usize);
                }
            }
        }
    }

    /// Brings a page in, and wakes who waits for it.
    fn serve(&mut self, page: PageNumber, writes: bool, pending: &mut Pending) {
        count(Count::Faults, 1);
        evictor::wake_if_needed();
        if budget::is_exhausted() {
            budget::wait_for_room();
        }
        let Some(slot) = page_table::slot_of_tracked(page) else {
            return self.zero_unless_present(page);
        };
        if pending.contains(page) {
            return self.zero_unless_present(page);
        }
        let locked = slot.lock();
        let before = locked.entry();
        let stamp = Stamp(before.age());
        let (kind, how, from) = match before.state() {
            // Not ours any more, or brought in meanwhile. Should it be absent all the same, the
            // program has given it back by itself, and expects zeroes.
            State::Unmanaged | State::Resident => {
                locked.leave();
                return self.zero_unless_present(page);
            }
            State::Zero => {
                let from = writes.then_some(ZEROES.0.as_ptr() as usize);
                (Count::ZeroFaults, Admission::FirstTouch, from)
            }
            State::Staged => {
                let frame = staging::frame_address(before.payload() as usize);
                (Count::StagedHits, Admission::StagedHit(stamp), Some(frame))
            }
            State::Compressed | State::Same | State::Spilled => {
                if !load(before, &mut self.raw, &mut self.buffers[0].0) {
                    report::page_lost(page.address());
                }
                let kind = match before.state() {
                    State::Compressed => Count::CompressedFaults,
                    State::Same => Count::SameFaults,
                    _ => Count::SpilledFaults,
                };
                let from = self.buffers[0].0.as_ptr() as usize;
                (kind, Admission::Refault(stamp), Some(from))
            }
        };
        count(kind, 1);
        let done = match from {
            Some(from) => self.copy(page, from, 1) == 1,
            None => self.zero(page),
        };
        self.finish(locked, page, done, how, pending);
        if FORKING.load(Ordering::SeqCst) == 0 {
            self.follow_streams(page, pending);
        }
    }

    /// Ends a fault: the page is resident now, or as it was where it could not be brought in (its
    /// range is gone).
    fn finish(
        &self,
        locked: Locked<'static>,
        page: PageNumber,
        done: bool,
        how: Admission,
        pending: &mut Pending,
    ) {
        if !done {
            locked.leave();
            let _ = self.userfault.wake(page.address(), PAGE_BYTES);
        } else if FORKING.load(Ordering::SeqCst) != 0 && !pending.is_full() {
            // The entry stays busy.
            pending.push(page, how);
        } else {
            come_in(locked, page, how);
        }
    }

    /// Fills a page with zeroes if it is absent, and wakes who waits for it.
    fn zero_unless_present(&self, page: PageNumber) {
        self.zero(page);
        let _ = self.userfault.wake(page.address(), PAGE_BYTES);
    }

    /// Makes a page one of zeroes; `false` where its range is gone. One that is there stays.
    fn zero(&self, page: PageNumber) -> bool {
        let mut patience = Patience::new();
        loop {
            let Filled { bytes, error } =
                self.userfault.zero(page.address(), PAGE_BYTES, Wake::Yes);
            match error.map_or(0, |error| error.0) {
                _ if bytes == PAGE_BYTES => return true,
                libc::EEXIST => return true,
                libc::EAGAIN | libc::ENOMEM => patience.pause(),
                _ => return false,
            }
        }
    }

    /// Copies `pages` pages in and wakes who waits for them; how many of them are there now, fewer
    /// where the range is gone or (of several) one is there.
    fn copy(&self, page: PageNumber, from: usize, pages: usize) -> usize {
        let mut done = 0;
        let mut patience = Patience::new();
        while done < pages {
            let Filled { bytes, error } = self.userfault.copy(
                page.plus(done).address(),
                from + done * PAGE_BYTES,
                (pages - done) * PAGE_BYTES,
                Wake::Yes,
            );
            done += bytes / PAGE_BYTES;
            match error.map_or(0, |error| error.0) {
                0 => {}
                // Somebody else's doing: what is there is newer.
                libc::EEXIST => done += 1,
                libc::EAGAIN | libc::ENOMEM => patience.pause(),
                _ => break,
            }
        }
        done
    }

    /// Brings in what a stream of touches will want next.
    fn follow_streams(&mut self, page: PageNumber, pending: &mut Pending) {
        let ahead = self.streams.observe(page.0);
        if ahead.pages == 0 || budget::is_exhausted() {
            return;
        }
        let mut held: [Option<Locked<'static>>; AHEAD] = [const { None }; AHEAD];
        let mut next = PageNumber(ahead.first);
        let mut rest = ahead.pages.min(AHEAD);
        while rest > 0 {
            let mut run = 0;
            while run < rest {
                let Some(locked) =
                    page_table::slot_of_tracked(next.plus(run)).and_then(lock_absent)
                else {
                    break;
                };
                if !load(locked.entry(), &mut self.raw, &mut self.buffers[run].0) {
                    locked.leave();
                    break;
                }
                held[run] = Some(locked);
                run += 1;
            }
            if run > 0 {
                let done = self.copy(next, self.buffers[0].0.as_ptr() as usize, run);
                count(Count::Prefetched, done);
                for (index, locked) in held.iter_mut().enumerate().take(run) {
                    if let Some(locked) = locked.take() {
                        let how = match locked.entry().state() {
                            State::Zero => Admission::FirstTouch,
                            _ => Admission::Refault(Stamp(locked.entry().age())),
                        };
                        self.finish(locked, next.plus(index), index < done, how, pending);
                    }
                }
            }
            let passed = (run + 1).min(rest);
            next = next.plus(passed);
            rest -= passed;
        }
    }
}

/// Makes the entry of an absent page busy.
fn lock_absent(slot: &'static Slot) -> Option<Locked<'static>> {
    slot.try_lock_if(|state| !matches!(state, State::Unmanaged | State::Resident))
}

/// Reads an absent page from where it is; `false` where it cannot be read. Callers have made its
/// entry busy, so that it stays there.
pub(super) fn load(entry: Entry, raw: &mut [u8; PAGE_BYTES], into: &mut [u8; PAGE_BYTES]) -> bool {
    match entry.state() {
        State::Zero => {
            into.fill(0);
            true
        }
        State::Same => {
            let word = (entry.payload() as u32).to_ne_bytes();
            into.chunks_exact_mut(4)
                .for_each(|place| place.copy_from_slice(&word));
            true
        }
        State::Staged => {
            let from = staging::frame_address(entry.payload() as usize);
            // SAFETY: the evictor empties no frame of a page whose entry is busy.
            into.copy_from_slice(unsafe { &*(from as *const [u8; PAGE_BYTES]) });
            true
        }
        State::Compressed => expand(store::memory().bytes(entry.payload()), into),
        State::Spilled => match store::spill().read(entry.payload(), raw) {
            Ok(length) => expand(&raw[..length.min(PAGE_BYTES)], into),
            Err(_) => false,
        },
        _ => false,
    }
}

/// A page of stored bytes: whole pages are stored as they are.
fn expand(bytes: &[u8], into: &mut [u8; PAGE_BYTES]) -> bool {
    if bytes.len() == PAGE_BYTES {
        into.copy_from_slice(bytes);
        return true;
    }
    codec::decompress(bytes, into)
}
