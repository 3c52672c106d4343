//! Staging: frames that hold the pages which left memory last. A page that is touched there comes
//! back by a copy; so staging tells the resident set which pages it should not have chosen.
//!
//! The frames are a ring that only the evictor fills and empties. The contents of a filled frame
//! do not change until it is emptied.

use super::page_table::{PAGE_BYTES, PAGE_SHIFT, PageNumber};
use crate::metadata;
use crate::os::mapping;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The ring's frames lie at one range, its pages' numbers in a table.
static FRAMES_START: AtomicUsize = AtomicUsize::new(0);
static PAGES_START: AtomicUsize = AtomicUsize::new(0);
static FRAMES: AtomicUsize = AtomicUsize::new(0);

/// Maps the ring for `frames` frames, once; `false` out of memory.
pub(super) fn prepare(frames: usize) -> bool {
    if FRAMES.load(Ordering::Relaxed) != 0 {
        return true;
    }
    let (Some(start), Some(pages)) = (
        mapping::map_sparse(frames * PAGE_BYTES),
        metadata::map_table(frames * size_of::<AtomicU64>()),
    ) else {
        return false;
    };
    mapping::name(start, frames * PAGE_BYTES, c"glebe staging");
    // In the child of a fork a huge page would fill frames that must be empty.
    mapping::advise_small(start, frames * PAGE_BYTES);
    FRAMES_START.store(start, Ordering::Relaxed);
    PAGES_START.store(pages, Ordering::Relaxed);
    FRAMES.store(frames, Ordering::Relaxed);
    true
}

/// For the map: where the words are that say where the frames start, and how many there are.
pub(super) const fn words() -> [*const (); 2] {
    [(&raw const FRAMES_START).cast(), (&raw const FRAMES).cast()]
}

/// Frames of the ring.
pub(super) fn frames() -> usize {
    FRAMES.load(Ordering::Relaxed)
}

/// Start and bytes of the frames.
pub(super) fn range() -> (usize, usize) {
    (FRAMES_START.load(Ordering::Relaxed), frames() * PAGE_BYTES)
}

/// The address of frame `number`.
pub(super) fn frame_address(number: usize) -> usize {
    FRAMES_START.load(Ordering::Relaxed) + (number << PAGE_SHIFT)
}

/// Where the evictor is in the ring: frames `tail` to `head` are filled. Counted up for ever, the
/// frame is the remainder.
pub(super) struct Ring {
    head: usize,
    tail: usize,
}

impl Ring {
    /// An empty ring.
    pub(super) const fn new() -> Ring {
        Ring { head: 0, tail: 0 }
    }

    /// Filled frames.
    pub(super) fn filled(&self) -> usize {
        self.head - self.tail
    }

    /// The next empty frame, and how many in a row are, up to `most`.
    pub(super) fn empty_run(&self, most: usize) -> (usize, usize) {
        let frames = frames();
        let frame = self.head % frames;
        (frame, most.min(frames - frame).min(frames - self.filled()))
    }

    /// The next empty frame was filled with `page`.
    pub(super) fn push(&mut self, page: PageNumber) {
        if let Some(place) = page_of(self.head % frames()) {
            place.store(page.0, Ordering::Relaxed);
        }
        self.head += 1;
    }

    /// The oldest filled frame and its page; 0 is no page.
    pub(super) fn oldest(&self) -> Option<(usize, PageNumber)> {
        if self.filled() == 0 {
            return None;
        }
        let frame = self.tail % frames();
        Some((frame, PageNumber(page_of(frame)?.load(Ordering::Relaxed))))
    }

    /// The oldest frame is done with.
    pub(super) fn pop(&mut self) {
        self.tail += 1;
    }
}

/// The contents of a filled frame are another page's from now on. For the evictor.
pub(super) fn rename(frame: usize, page: PageNumber) {
    if let Some(place) = page_of(frame) {
        place.store(page.0, Ordering::Relaxed);
    }
}

fn page_of(frame: usize) -> Option<&'static AtomicU64> {
    let start = PAGES_START.load(Ordering::Relaxed) as *const AtomicU64;
    // SAFETY: the table holds a number for each frame, zero is one, and it lives for ever.
    (frame < frames()).then(|| unsafe { &*start.add(frame) })
}
