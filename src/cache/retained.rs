//! The empty slabs that a thread keeps, oldest first.
//!
//! A loop that allocates and frees one block would otherwise take a slab from the page heap and
//! return it each time round. How much may be kept grows with use: a thread that turned out to
//! need a slab again after giving one up may keep more, so an idle thread holds 32 KiB and a
//! busy one up to 1 MiB.

use core::cell::Cell;

/// Slabs kept at most.
const PLACES: usize = 32;
/// Touched bytes that a fresh thread keeps: eight pages.
const FIRST_LIMIT_BYTES: u32 = 32 << 10;
/// Touched bytes that any thread keeps at most.
const LAST_LIMIT_BYTES: u32 = 1 << 20;

#[derive(Clone, Copy)]
struct Entry {
    /// First granule of the slab.
    slab: u32,
    /// Bytes of it that were touched.
    bytes: u32,
}

/// A queue of slabs. The cache decides whether an entry still is what it was.
pub(crate) struct Retained {
    entries: [Cell<Entry>; PLACES],
    oldest: Cell<usize>,
    length: Cell<usize>,
    bytes: Cell<u32>,
    limit_bytes: Cell<u32>,
    given_up: Cell<u32>,
}

impl Retained {
    /// Makes a zeroed or used value fresh.
    pub(crate) fn reset(&self) {
        self.oldest.set(0);
        self.length.set(0);
        self.bytes.set(0);
        self.limit_bytes.set(FIRST_LIMIT_BYTES);
        self.given_up.set(0);
    }

    /// Appends a slab; [`Self::pop_excess`] must have been asked until it had nothing.
    pub(crate) fn push(&self, slab: u32, bytes: u32) {
        let place = (self.oldest.get() + self.length.get()) % PLACES;
        if let Some(entry) = self.entries.get(place) {
            entry.set(Entry { slab, bytes });
            self.length.set(self.length.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
        }
    }

    /// Removes the oldest slab if `bytes` more would not fit beside it.
    pub(crate) fn pop_excess(&self, bytes: u32) -> Option<u32> {
        let full = self.length.get() == PLACES;
        let heavy = self.bytes.get() + bytes > self.limit_bytes.get();
        if full || (heavy && self.length.get() > 0) {
            self.pop()
        } else {
            None
        }
    }

    /// Removes the oldest slab.
    pub(crate) fn pop(&self) -> Option<u32> {
        if self.length.get() == 0 {
            return None;
        }
        let entry = self.entries.get(self.oldest.get())?.get();
        self.oldest.set((self.oldest.get() + 1) % PLACES);
        self.length.set(self.length.get() - 1);
        self.bytes.set(self.bytes.get() - entry.bytes);
        Some(entry.slab)
    }

    /// Removes `slab`, wherever it stands.
    pub(crate) fn remove(&self, slab: u32) {
        let length = self.length.get();
        let (mut kept, mut bytes) = (0, 0);
        for index in 0..length {
            let from = (self.oldest.get() + index) % PLACES;
            let Some(entry) = self.entries.get(from).map(Cell::get) else {
                continue;
            };
            if entry.slab != slab {
                if let Some(to) = self.entries.get((self.oldest.get() + kept) % PLACES) {
                    to.set(entry);
                }
                kept += 1;
                bytes += entry.bytes;
            }
        }
        self.length.set(kept);
        self.bytes.set(bytes);
    }

    /// A slab was given up for want of room here.
    pub(crate) fn count_given_up(&self) {
        self.given_up.set(self.given_up.get() + 1);
    }

    /// A slab was taken from the page heap: where one had been given up, more may be kept.
    pub(crate) fn count_taken(&self) {
        if self.given_up.get() > 0 {
            self.given_up.set(self.given_up.get() - 1);
            let more = self.limit_bytes.get() + FIRST_LIMIT_BYTES;
            self.limit_bytes.set(more.min(LAST_LIMIT_BYTES));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Retained {
        let empty = Entry { slab: 0, bytes: 0 };
        let retained = Retained {
            entries: [const { Cell::new(Entry { slab: 0, bytes: 0 }) }; PLACES],
            oldest: Cell::new(0),
            length: Cell::new(0),
            bytes: Cell::new(0),
            limit_bytes: Cell::new(0),
            given_up: Cell::new(0),
        };
        assert_eq!(retained.entries[0].get().slab, empty.slab);
        retained.reset();
        retained
    }

    #[test]
    fn a_fresh_thread_keeps_eight_pages_and_gives_up_the_oldest_first() {
        let retained = fresh();
        for slab in 1..=8 {
            assert_eq!(retained.pop_excess(4096), None);
            retained.push(slab, 4096);
        }
        assert_eq!(retained.pop_excess(4096), Some(1));
        assert_eq!(retained.pop_excess(4096), None);
    }

    #[test]
    fn need_after_giving_up_raises_the_limit() {
        let retained = fresh();
        (0..100).for_each(|_| retained.count_taken());
        assert_eq!(retained.limit_bytes.get(), FIRST_LIMIT_BYTES);
        (0..100).for_each(|_| {
            retained.count_given_up();
            retained.count_taken();
        });
        assert_eq!(retained.limit_bytes.get(), LAST_LIMIT_BYTES);
    }

    #[test]
    fn remove_closes_the_gap_and_keeps_the_order() {
        let retained = fresh();
        for slab in 1..=5 {
            retained.push(slab, 4096);
        }
        retained.remove(3);
        retained.remove(99);
        let rest: [Option<u32>; 5] = core::array::from_fn(|_| retained.pop());
        assert_eq!(rest, [Some(1), Some(2), Some(4), Some(5), None]);
        assert_eq!(retained.bytes.get(), 0);
    }
}
