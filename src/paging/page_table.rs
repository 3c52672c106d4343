//! The page table of all managed memory: where the contents of each page are.
//!
//! ```text
//! address: | area (26) | page (9) | offset in the page (12) |
//!              |           |
//!   directory -+           +- leaf: 512 entries of 8 bytes, one 4 KiB page
//!   of areas of 2 MiB
//! ```
//!
//! A leaf exists once a page of its area that is tracked was found in memory or touched; before,
//! all of them are absent and zero. Entries are changed by whoever made them
//! busy, and by nobody else; all but the resident set's bit, which may change any time.

use crate::base::address::GRANULE_SHIFT;
use crate::metadata::directory::{Directory, ZeroIsValid};
use crate::metadata::map_table;
use crate::os::futex::Mutex;
use crate::os::{helper_thread, mapping};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// log2 of the bytes of a page.
pub(crate) const PAGE_SHIFT: u32 = 12;
/// Bytes of a page: other kernels' pages are not paged.
pub(crate) const PAGE_BYTES: usize = 1 << PAGE_SHIFT;
/// log2 of the bytes of an area, what one leaf describes.
pub(crate) const AREA_SHIFT: u32 = 21;
/// Entries of a leaf.
pub(crate) const LEAF_PAGES: usize = 1 << (AREA_SHIFT - PAGE_SHIFT);

/// Granules of an area: its masks have a bit each.
pub(crate) const AREA_GRANULES: usize = 1 << (AREA_SHIFT - GRANULE_SHIFT);
const _: () = assert!(AREA_GRANULES == u32::BITS as usize);
/// Pages of a granule.
const GRANULE_PAGES: usize = LEAF_PAGES / AREA_GRANULES;

/// Number of a page: its address / 4096.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct PageNumber(pub(crate) u64);

impl PageNumber {
    /// The page that holds `address`.
    pub(crate) fn of(address: usize) -> PageNumber {
        PageNumber(address as u64 >> PAGE_SHIFT)
    }

    /// Its first byte.
    pub(crate) fn address(self) -> usize {
        (self.0 << PAGE_SHIFT) as usize
    }

    /// The page `pages` further.
    pub(crate) fn plus(self, pages: usize) -> PageNumber {
        PageNumber(self.0 + pages as u64)
    }
}

/// Where the contents of a page are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// The page is the kernel's business alone.
    Unmanaged = 0,
    /// Nowhere: all zero, and absent.
    Zero = 1,
    /// In memory, where the program sees it.
    Resident = 2,
    /// In a frame of staging; the payload is its number.
    Staged = 3,
    /// In the store of compressed memory; the payload is the handle.
    Compressed = 4,
    /// The payload is a word of 32 bits that fills it.
    Same = 5,
    /// In the spill file; the payload is the handle.
    Spilled = 6,
}

const STATE_MASK: u64 = 7;
const BUSY: u64 = 1 << 3;
const QUEUED: u64 = 1 << 4;
/// The page could not be moved when it was tried last.
const UNMOVABLE: u64 = 1 << 5;
pub(super) const PAYLOAD_SHIFT: u32 = 8;
const PAYLOAD_MASK: u64 = ((1 << 40) - 1) << PAYLOAD_SHIFT;
const AGE_SHIFT: u32 = 48;

/// A page table entry.
///
/// | bits | meaning |
/// |---|---|
/// | 0-2 | state |
/// | 3 | busy: somebody is changing it |
/// | 4 | queued: in a queue of the resident set |
/// | 5 | unmovable when last tried |
/// | 8-47 | payload, by state |
/// | 48-63 | age: the resident set's clock when it left memory |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(u64);

impl Entry {
    /// An entry of `state` with `payload` (below 2^40) and no age.
    pub(crate) fn new(state: State, payload: u64) -> Entry {
        debug_assert!(payload < 1 << 40);
        Entry(state as u64 | payload << PAYLOAD_SHIFT & PAYLOAD_MASK)
    }

    /// The entry that a word of another process is.
    pub(super) fn of_word(word: u64) -> Entry {
        Entry(word)
    }

    /// Where the contents are.
    pub(crate) fn state(self) -> State {
        match self.0 & STATE_MASK {
            1 => State::Zero,
            2 => State::Resident,
            3 => State::Staged,
            4 => State::Compressed,
            5 => State::Same,
            6 => State::Spilled,
            _ => State::Unmanaged,
        }
    }

    /// Frame, handle or word.
    pub(crate) fn payload(self) -> u64 {
        (self.0 & PAYLOAD_MASK) >> PAYLOAD_SHIFT
    }

    /// Whether somebody is changing it.
    pub(crate) fn is_busy(self) -> bool {
        self.0 & BUSY != 0
    }

    /// Whether the page could not be moved when it was tried last.
    pub(crate) fn is_unmovable(self) -> bool {
        self.0 & UNMOVABLE != 0
    }

    /// The resident set's clock when the page left memory.
    pub(crate) fn age(self) -> u16 {
        (self.0 >> AGE_SHIFT) as u16
    }

    /// It with another age.
    pub(crate) fn with_age(self, age: u16) -> Entry {
        Entry(self.0 & !(0xffff << AGE_SHIFT) | u64::from(age) << AGE_SHIFT)
    }

    /// It without what is of the moment: busy with nobody, in no queue.
    pub(crate) fn idle(self) -> Entry {
        Entry(self.0 & !(BUSY | QUEUED))
    }

    /// It as one that could not be moved.
    pub(crate) fn as_unmovable(self) -> Entry {
        Entry(self.0 | UNMOVABLE)
    }
}

/// The place of an entry.
pub(crate) struct Slot(AtomicU64);

// SAFETY: an atomic integer.
unsafe impl ZeroIsValid for Slot {}

impl Slot {
    /// The entry as it is now.
    pub(crate) fn load(&self) -> Entry {
        // Acquire pairs with the Release of `Locked::finish`: who sees a state sees what led to it.
        Entry(self.0.load(Ordering::Acquire))
    }

    /// Makes the entry busy; `None` where it is.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        // Acquire pairs with the Release of `Locked::finish`.
        let before = self.0.fetch_or(BUSY, Ordering::Acquire);
        (before & BUSY == 0).then_some(Locked {
            slot: self,
            entry: Entry(before),
        })
    }

    /// Makes the entry busy if its state is `wanted`; `None` where it is not, or is busy.
    pub(crate) fn try_lock_if(&self, wanted: impl Fn(State) -> bool) -> Option<Locked<'_>> {
        // Looked at first: most are not, and stay unwritten.
        if !wanted(self.load().state()) {
            return None;
        }
        let locked = self.try_lock()?;
        if wanted(locked.entry().state()) {
            return Some(locked);
        }
        locked.leave();
        None
    }

    /// Makes the entry busy, waiting for whoever has it: for the time of a system call or two.
    pub(crate) fn lock(&self) -> Locked<'_> {
        let mut patience = helper_thread::Patience::new();
        loop {
            if let Some(locked) = self.try_lock() {
                return locked;
            }
            patience.pause();
        }
    }

    /// Notes that the page is in a queue of the resident set; `false` where it was.
    pub(crate) fn set_queued(&self) -> bool {
        self.0.fetch_or(QUEUED, Ordering::Relaxed) & QUEUED == 0
    }

    /// Notes that the page has left the queues.
    pub(crate) fn clear_queued(&self) {
        self.0.fetch_and(!QUEUED, Ordering::Relaxed);
    }

    /// In a child after fork: whoever had it busy is no more.
    pub(crate) fn reset(&self, entry: Entry) {
        self.0.store(entry.0, Ordering::Relaxed);
    }
}

/// A busy entry, which its holder alone may change.
#[must_use = "a busy entry must be finished or left as it was"]
pub(crate) struct Locked<'a> {
    slot: &'a Slot,
    entry: Entry,
}

impl Locked<'_> {
    /// The entry as it was found.
    pub(crate) fn entry(&self) -> Entry {
        self.entry
    }

    /// Makes it `entry`, and busy no more.
    pub(crate) fn finish(self, entry: Entry) {
        let kept = self.slot.0.load(Ordering::Relaxed);
        let mut before = kept;
        // The queued bit may change meanwhile. Release pairs with the Acquires above.
        while let Err(now) = self.slot.0.compare_exchange_weak(
            before,
            entry.0 & !(BUSY | QUEUED) | before & QUEUED,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            before = now;
        }
    }

    /// Leaves it as it was found.
    pub(crate) fn leave(self) {
        let entry = self.entry;
        self.finish(entry);
    }
}

/// The busy entry in a slot that the caller made busy by [`Slot::try_lock`] and let go of:
/// for holders of many.
pub(crate) fn held(slot: &Slot) -> Locked<'_> {
    let entry = Entry(slot.0.load(Ordering::Relaxed) & !BUSY);
    debug_assert!(slot.load().is_busy());
    Locked { slot, entry }
}

/// 512 entries.
pub(crate) struct Leaf([Slot; LEAF_PAGES]);

impl Leaf {
    /// The slot of the page `index` (below 512) of its area.
    pub(crate) fn slot(&self, index: usize) -> &Slot {
        &self.0[index % LEAF_PAGES]
    }

    /// The indices and slots of the pages of some granules, a bit each.
    pub(crate) fn slots_of(&self, granules: u32) -> impl Iterator<Item = (usize, &Slot)> {
        let all = self.0.iter().enumerate();
        all.filter(move |(index, _)| granules >> (index / GRANULE_PAGES) & 1 == 1)
    }

    /// Makes the pages of granules that become tracked absent and zero, but for those that have
    /// become something else already.
    pub(crate) fn begin(&self, granules: u32) {
        for (_, slot) in self.slots_of(granules) {
            if slot.load().state() == State::Unmanaged {
                slot.lock().finish(Entry::new(State::Zero, 0));
            }
        }
    }
}

/// 2 MiB of address space; each bit of the masks is a granule, the lowest first.
#[repr(C)]
pub(crate) struct Area {
    /// The granules that are ours to page.
    pub(crate) managed: AtomicU32,
    /// Of these, the granules whose pages have entries.
    pub(crate) tracked: AtomicU32,
    /// The neighbours in the list of areas with untracked granules: their numbers + 1.
    pub(crate) newer: AtomicU32,
    pub(crate) older: AtomicU32,
    pub(super) leaf: AtomicPtr<Leaf>,
}

// SAFETY: atomics.
unsafe impl ZeroIsValid for Area {}

/// Areas of a block of the directory.
pub(crate) const AREAS_PER_BLOCK: usize = 8192;
static AREAS: Directory<Area, 8192, AREAS_PER_BLOCK> = Directory::new();

/// For the map: where the pointers to the blocks are.
pub(super) const fn blocks() -> *const () {
    (&raw const AREAS).cast()
}

/// The number of the area of an address.
pub(crate) fn area_number(address: usize) -> usize {
    address >> AREA_SHIFT
}

/// The area `number`, if anything near it was ever managed.
pub(crate) fn area(number: usize) -> Option<&'static Area> {
    AREAS.get(number)
}

/// The area `number`; `None` out of memory or beyond 47 bits.
pub(crate) fn ensure_area(number: usize) -> Option<&'static Area> {
    AREAS.ensure(number)
}

impl Area {
    /// Its leaf, if it has one.
    pub(crate) fn leaf(&self) -> Option<&'static Leaf> {
        // Acquire pairs with the Release of `leaf_of_tracked`.
        let leaf = self.leaf.load(Ordering::Acquire);
        let in_use = !leaf.is_null() && leaf.addr() & PARKED == 0;
        // SAFETY: a leaf lives for ever once it is there, changed through shared references only.
        in_use.then(|| unsafe { &*leaf })
    }

    /// Gives the memory of the leaf of an area back in which nothing is managed any more. Its
    /// address space stays: whoever still looks at an entry finds an unmanaged page.
    pub(crate) fn park_leaf(&self) {
        let _leaves = LEAVES.lock();
        if self.leaf().is_none() || self.managed.load(Ordering::Relaxed) != 0 {
            return;
        }
        let address = self.leaf.load(Ordering::Relaxed).addr();
        self.leaf
            .store((address | PARKED) as *mut Leaf, Ordering::Relaxed);
        if mapping::discard_without_errno(address, LEAF_BYTES) {
            LEAF_COUNT.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Its leaf, made if need be, with all tracked pages absent and zero; `None` out of memory.
    fn leaf_of_tracked(&self) -> Option<&'static Leaf> {
        if let Some(leaf) = self.leaf() {
            return Some(leaf);
        }
        let mut leaves = LEAVES.lock();
        if let Some(leaf) = self.leaf() {
            return Some(leaf);
        }
        let parked = self.leaf.load(Ordering::Relaxed).addr() & !PARKED;
        let address = if parked == 0 { leaves.take()? } else { parked };
        LEAF_COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: a part of a table that is this area's alone, zeroed, which is a valid leaf.
        let leaf = unsafe { &*(address as *const Leaf) };
        let tracked = self.tracked.load(Ordering::SeqCst);
        leaf.begin(tracked);
        // SeqCst pairs with `managed`, which sets bits of the mask and looks for the leaf then, and
        // includes the Release for the Acquire of `leaf`.
        self.leaf.store(address as *mut Leaf, Ordering::SeqCst);
        // Again: bits that were set before this leaf could be seen.
        leaf.begin(self.tracked.load(Ordering::SeqCst) & !tracked);
        Some(leaf)
    }
}

/// In the address of a leaf: it is not in use.
pub(super) const PARKED: usize = 1;
/// Leaves are cut from tables of this many bytes.
const LEAVES_BYTES: usize = 2 << 20;
const LEAF_BYTES: usize = size_of::<Leaf>();
const _: () = assert!(LEAF_BYTES == PAGE_BYTES);

/// Where leaves come from.
struct Leaves {
    next: usize,
    end: usize,
}

static LEAVES: Mutex<Leaves> = Mutex::new(Leaves { next: 0, end: 0 });
static LEAF_COUNT: AtomicUsize = AtomicUsize::new(0);

impl Leaves {
    fn take(&mut self) -> Option<usize> {
        if self.next == self.end {
            self.next = map_table(LEAVES_BYTES)?;
            self.end = self.next + LEAVES_BYTES;
        }
        let address = self.next;
        self.next += LEAF_BYTES;
        Some(address)
    }
}

/// In a child after fork: whoever held the lock is no more.
pub(crate) fn reset_lock() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { LEAVES.raw() }.reset();
}

/// Bytes of all leaves.
pub(crate) fn leaf_bytes() -> usize {
    LEAF_COUNT.load(Ordering::Relaxed) * LEAF_BYTES
}

/// The slot of a page, if its area has a leaf. What it holds says whether the page is managed.
pub(crate) fn slot(page: PageNumber) -> Option<&'static Slot> {
    let leaf = area(area_number(page.address()))?.leaf()?;
    Some(leaf.slot(page.0 as usize % LEAF_PAGES))
}

/// The slot of a page whose granule is tracked, with its leaf made if need be.
pub(crate) fn slot_of_tracked(page: PageNumber) -> Option<&'static Slot> {
    let area = area(area_number(page.address()))?;
    let index = page.0 as usize % LEAF_PAGES;
    if area.tracked.load(Ordering::SeqCst) >> (index / GRANULE_PAGES) & 1 == 0 {
        return None;
    }
    Some(area.leaf_of_tracked()?.slot(index))
}

/// Above the numbers of all areas.
pub(crate) const END_OF_AREAS: usize = 8192 * AREAS_PER_BLOCK;

/// The last area below `number` of which something is managed, and its number.
pub(crate) fn area_below(mut number: usize) -> Option<(usize, &'static Area)> {
    loop {
        number = AREAS.last_mapped_at_or_below(number.checked_sub(1)?)?;
        let found = area(number).filter(|it| it.managed.load(Ordering::Relaxed) != 0);
        if let Some(area) = found {
            return Some((number, area));
        }
    }
}

/// Calls `each` with the number of every area of which something is managed, in descending order:
/// that is how the directory skips.
pub(crate) fn for_each_area(mut each: impl FnMut(usize, &'static Area)) {
    let mut end = END_OF_AREAS;
    while let Some((number, area)) = area_below(end) {
        each(number, area);
        end = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_its_parts_apart() {
        let entry = Entry::new(State::Compressed, (1 << 40) - 1).with_age(0xabcd);
        assert_eq!(entry.state(), State::Compressed);
        assert_eq!(entry.payload(), (1 << 40) - 1);
        assert_eq!(entry.age(), 0xabcd);
        assert!(!entry.is_busy() && !entry.is_unmovable());
    }

    #[test]
    fn a_busy_entry_has_one_holder_and_keeps_its_queued_bit() {
        let slot = Slot(AtomicU64::new(0));
        let locked = slot.try_lock().expect("nobody has it");
        assert!(slot.try_lock().is_none());
        assert!(slot.set_queued() && !slot.set_queued());
        locked.finish(Entry::new(State::Same, 7));
        assert_eq!(slot.load().state(), State::Same);
        assert!(!slot.set_queued());
        slot.lock().leave();
        assert_eq!(slot.load().payload(), 7);
    }
}
