//! The resident set: which pages are in memory, and in which order they leave it.
//!
//! The kernel does not tell which pages a program touches while they are in memory. So the evidence
//! is what faults say: that a page was touched in staging, where all that leave rest for a while,
//! or that it came back from the store, how long after it left.
//!
//! ```text
//! first touch ------------------> fresh --+
//!                       by chance   |     +--> staging --> store
//! refault from the store ---------> |     |       |
//!                        or by chance     |       | touched there
//!                                   v     |       |
//!                                proven --+ <-----+
//! ```
//!
//! Both queues are FIFOs. Victims come from *fresh* while it holds more than its share, so what is
//! touched once (a scan) passes through and pushes nothing out that has proven itself.
//!
//! A refault is admitted to *proven* by chance, with odds of
//!
//! ```text
//! resident pages / (16 x distance) x (returns of fresh / returns of proven)
//! ```
//!
//! where the distance is the evictions since it left, and the returns are the parts of those which
//! left each queue lately and were wanted back within two memories of evictions. Where the proven are
//! as much in demand as what is let in for them (a loop larger than memory), few are exchanged and
//! most of the loop stays; where they are not (the hot set moved), all that comes is let in. A page
//! that is wanted often has its chance more often.
//!
//! A page that was proven when it was touched in staging goes round once without being staged:
//! that costs the program half as many faults there.
//!
//! Pure: no system call, no lock, no allocation. The caller serialises calls. What they cost in the
//! mean of many does not depend on the number of pages.

use core::sync::atomic::{AtomicU64, Ordering};

/// Fresh pages leave first while they are more than one part in this of all.
const FRESH_SHARE: usize = 32;
/// Of the budget, one part in this is staging.
const STAGING_SHARE: usize = 10;
/// The odds of a refault at a distance of one memory are one in this.
const REFAULT_ODDS: u64 = 16;
/// Ticks of the clock while as many pages are evicted as a queue has places.
const TICKS: u64 = 2048;

/// In a word of a queue: the page goes round once more.
const AGAIN: u64 = 1 << 63;

/// What a page table entry keeps of a page that left: the clock (15 bits), and whether the page had
/// been proven. A clock that has gone round makes an old page look young, at some 16 memories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(pub(crate) u16);

impl Stamp {
    fn new(ticks: u64, queue: Queue) -> Stamp {
        Stamp((ticks << 1) as u16 | queue as u16)
    }

    fn queue(self) -> Queue {
        if self.0 & 1 == 0 {
            Queue::Fresh
        } else {
            Queue::Proven
        }
    }

    /// Ticks since then.
    fn distance(self, ticks: u64) -> u64 {
        ticks.wrapping_sub(u64::from(self.0 >> 1)) & 0x7fff
    }
}

/// Why a page is in memory now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// It was touched for the first time, or found when its granule became tracked.
    FirstTouch,
    /// It was touched and came from a store; or a stream is about to touch it, wherever it was.
    Refault(Stamp),
    /// It was touched in staging.
    StagedHit(Stamp),
    /// It was chosen, and could not leave.
    Unmovable,
}

/// A page that shall leave, and what its entry shall keep.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Victim {
    /// The page's number.
    pub(crate) page: u64,
    stamp: u16,
}

impl Victim {
    /// None yet: to make arrays of.
    pub(crate) const NONE: Victim = Victim { page: 0, stamp: 0 };

    /// What its entry shall keep.
    pub(crate) fn stamp(self) -> Stamp {
        Stamp(self.stamp)
    }
}

/// What the resident set asks of the page table. Pages may leave memory without its knowing.
pub(crate) trait Entries {
    /// Sets a page's queued bit; `false` where it was set, or the page has no entry.
    fn set_queued(&self, page: u64) -> bool;

    /// Clears it.
    fn clear_queued(&self, page: u64);

    /// Whether a page is in memory, where the program sees it.
    fn is_resident(&self, page: u64) -> bool;

    /// When a page was tried last and could not leave.
    fn was_in_vain(&self, page: u64) -> Option<Stamp> {
        let _ = page;
        None
    }

    /// Takes what the kernel knows: whether a page was touched (or written) since this was asked
    /// last, or it came. `false` where the kernel does not tell.
    fn take_touched(&self, page: u64) -> bool;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Queue {
    Fresh = 0,
    Proven = 1,
}

/// A FIFO in a table: places `tail` to `head`, counted up for ever, the place is the remainder.
#[derive(Clone, Copy)]
struct Fifo<'a> {
    places: &'a [AtomicU64],
    head: usize,
    tail: usize,
}

impl Fifo<'_> {
    fn length(&self) -> usize {
        self.head - self.tail
    }

    fn is_full(&self) -> bool {
        self.length() >= self.places.len()
    }

    /// Appends a word; it is lost where the FIFO is full.
    fn push(&mut self, word: u64) {
        if self.is_full() {
            return;
        }
        if let Some(place) = self.places.get(self.head % self.places.len()) {
            place.store(word, Ordering::Relaxed);
            self.head += 1;
        }
    }

    fn oldest(&self) -> Option<u64> {
        if self.length() == 0 {
            return None;
        }
        let place = self.places.get(self.tail % self.places.len())?;
        Some(place.load(Ordering::Relaxed))
    }

    fn pop(&mut self) -> Option<u64> {
        let oldest = self.oldest()?;
        self.tail += 1;
        Some(oldest)
    }
}

/// How many left a queue lately, and how many of them came back soon.
#[derive(Clone, Copy)]
struct Returns {
    left: u64,
    back: u64,
}

/// The queues, and what is known of their pages.
pub(crate) struct ResidentSet<'a> {
    fresh: Fifo<'a>,
    proven: Fifo<'a>,
    /// Pages that could not leave, in the order in which they were tried.
    resting: Fifo<'a>,
    returns: [Returns; 2],
    /// Pages that were ever chosen.
    evictions: u64,
    random: u64,
}

/// Pages that staging shall hold, of a budget of so many.
pub(crate) const fn staging_pages(budget_pages: usize) -> usize {
    budget_pages / STAGING_SHARE
}

impl<'a> ResidentSet<'a> {
    /// An empty set, that holds pages once it is given a table.
    pub(crate) const fn new() -> ResidentSet<'a> {
        const NOTHING: Fifo<'_> = Fifo {
            places: &[],
            head: 0,
            tail: 0,
        };
        ResidentSet {
            fresh: NOTHING,
            proven: NOTHING,
            resting: NOTHING,
            returns: [Returns { left: 0, back: 0 }; 2],
            evictions: 0,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Gives it the words to work in: five times as many as there may be pages in memory. What was
    /// queued is forgotten.
    pub(crate) fn give_table(&mut self, table: &'a [AtomicU64]) {
        let (fresh, rest) = table.split_at(table.len() / 5 * 2);
        let (proven, resting) = rest.split_at(table.len() / 5 * 2);
        let fifo = |places| Fifo {
            places,
            head: 0,
            tail: 0,
        };
        self.fresh = fifo(fresh);
        self.proven = fifo(proven);
        self.resting = fifo(resting);
    }

    /// Forgets what is queued, as the queued bits must be: in a child after fork.
    pub(crate) fn forget_all(&mut self) {
        self.fresh.tail = self.fresh.head;
        self.proven.tail = self.proven.head;
        self.resting.tail = self.resting.head;
    }

    /// Pages that are queued, those among them which have left memory otherwise included.
    pub(crate) fn queued(&self) -> usize {
        self.fresh.length() + self.proven.length()
    }

    /// Takes note of a page that is in memory now.
    pub(crate) fn admit(&mut self, page: u64, how: Admission, entries: &impl Entries) {
        let (queue, mark) = match how {
            Admission::FirstTouch => (Queue::Fresh, 0),
            Admission::Unmovable => {
                if !self.resting.is_full() && entries.set_queued(page) {
                    self.resting.push(page);
                }
                return;
            }
            Admission::StagedHit(stamp) => {
                self.count_return(stamp);
                let mark = if stamp.queue() == Queue::Proven {
                    AGAIN
                } else {
                    0
                };
                (Queue::Proven, mark)
            }
            Admission::Refault(stamp) => {
                let distance = (stamp.distance(self.ticks()) * self.tick()).max(1);
                if distance < 2 * self.queued() as u64 {
                    self.count_return(stamp);
                }
                (self.queue_of_refault(distance), 0)
            }
        };
        if entries.set_queued(page) {
            self.push(queue, page | mark, entries);
        }
    }

    /// Chooses pages that shall leave, and says how many: they are no longer queued, and where one
    /// stays after all it must be admitted again.
    pub(crate) fn victims(&mut self, out: &mut [Victim], entries: &impl Entries) -> usize {
        // Whoever is touched all the time goes round; not for ever, though.
        let mut tries = out.len() + 2 * self.queued();
        let mut found = 0;
        while tries > 0 {
            tries -= 1;
            let Some(place) = out.get_mut(found) else {
                break;
            };
            let rested = self.pop_rested(entries).map(|word| (word, Queue::Fresh));
            let Some((word, queue)) = rested.or_else(|| self.pop()) else {
                break;
            };
            let page = word & !AGAIN;
            if !entries.is_resident(page) {
                entries.clear_queued(page);
            } else if word & AGAIN != 0 || entries.take_touched(page) {
                self.push(Queue::Proven, page, entries);
            } else {
                entries.clear_queued(page);
                let Stamp(stamp) = Stamp::new(self.ticks(), queue);
                *place = Victim { page, stamp };
                found += 1;
                self.evictions += 1;
                self.count_leave(queue);
            }
        }
        found
    }

    /// Takes the page that was tried in vain longest ago, if that is a memory of evictions ago.
    fn pop_rested(&mut self, entries: &impl Entries) -> Option<u64> {
        let word = self.resting.oldest()?;
        let rests = entries
            .was_in_vain(word)
            .is_some_and(|stamp| stamp.distance(self.ticks()) < TICKS / 2);
        if rests { None } else { self.resting.pop() }
    }

    /// What the entry of a page shall keep that is tried in vain now.
    pub(crate) fn in_vain(&self) -> Stamp {
        Stamp::new(self.ticks(), Queue::Fresh)
    }

    /// Whether a page left so long ago that it is unlikely to come back soon: as many others left
    /// since as a queue has places.
    pub(crate) fn left_long_ago(&self, stamp: Stamp) -> bool {
        stamp.distance(self.ticks()) >= TICKS
    }

    /// Evictions in a tick of the clock.
    fn tick(&self) -> u64 {
        (self.fresh.places.len() as u64 / TICKS).max(1)
    }

    fn ticks(&self) -> u64 {
        self.evictions / self.tick()
    }

    fn queue_of_refault(&mut self, distance: u64) -> Queue {
        let [fresh, proven] = self.returns;
        // As in the law above; what is added keeps few events from meaning much.
        let for_it = [fresh.back + 1, proven.left + 4, self.queued() as u64];
        let against = [fresh.left + 4, proven.back + 1, distance, REFAULT_ODDS];
        let product = |factors: &[u64]| factors.iter().fold(1, |all, it| all * u128::from(*it));
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let draw = u128::from(self.random & 0xffff);
        if draw * product(&against) < product(&for_it) << 16 {
            Queue::Proven
        } else {
            Queue::Fresh
        }
    }

    fn count_return(&mut self, stamp: Stamp) {
        self.returns[stamp.queue() as usize].back += 1;
    }

    fn count_leave(&mut self, queue: Queue) {
        self.returns[queue as usize].left += 1;
        let [fresh, proven] = &mut self.returns;
        if fresh.left + proven.left > (self.fresh.length() + self.proven.length()) as u64 / 2 {
            for it in [fresh, proven] {
                it.left /= 2;
                it.back /= 2;
            }
        }
    }

    fn pop(&mut self) -> Option<(u64, Queue)> {
        let from_fresh = self.fresh.length() > self.queued() / FRESH_SHARE;
        if from_fresh || self.proven.length() == 0 {
            Some((self.fresh.pop()?, Queue::Fresh))
        } else {
            Some((self.proven.pop()?, Queue::Proven))
        }
    }

    fn push(&mut self, queue: Queue, word: u64, entries: &impl Entries) {
        let queue = match queue {
            Queue::Fresh => &mut self.fresh,
            Queue::Proven => &mut self.proven,
        };
        if queue.is_full() {
            // Half of them at least have left memory: one sweep makes room for as many pushes.
            for _ in 0..queue.length() {
                let Some(word) = queue.pop() else { break };
                if entries.is_resident(word & !AGAIN) {
                    queue.push(word);
                } else {
                    entries.clear_queued(word & !AGAIN);
                }
            }
        }
        if queue.is_full() {
            // More pages than the table was made for: this one stays until it is freed.
            entries.clear_queued(word & !AGAIN);
        }
        queue.push(word);
    }
}

#[cfg(test)]
#[path = "resident_set/tests.rs"]
mod tests;
