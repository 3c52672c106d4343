//! Slabs that lost their owner with room in them: a thread ended, or a thread that frees more
//! than it allocates passed them on. One lock-free stack for each size class. A few are empty: the
//! next thread that starts finds them cut into blocks.
//!
//! A slab in a stack may meanwhile have been claimed by a thread that freed into it, and even
//! have become something else: whoever pops it looks before adopting it, and `queued` in its
//! record keeps it from being pushed twice.

use super::size_class::{CLASSES, SizeClass};
use super::slab::Slab;
use crate::base::address::Granule;
use crate::base::shared::SharedUsize;
use crate::base::tagged_stack::TaggedStack;
use crate::metadata::span::{self, Kind, UNOWNED};
use core::sync::atomic::Ordering;

/// Empty slabs kept at most, of all classes: what a few short-lived threads use.
const MOST_EMPTY: usize = 64;

/// Empty slabs in the stacks. Nobody frees into one, so each is adopted from there.
static EMPTY: SharedUsize = SharedUsize::new(0);
static STACKS: [TaggedStack; CLASSES] = [const { TaggedStack::new() }; CLASSES];

fn link(node: u32) -> u32 {
    span::record(Granule(node)).map_or(0, |record| record.orphan_link.load(Ordering::Relaxed))
}

/// Gives `slab` up for adoption; the caller is its owner.
pub(crate) fn give(slab: Slab) {
    let class = slab.class();
    slab.disown();
    // Acquire and Release pair with those of `adopt`: the link is ours once `queued` was 0.
    if slab.span.queued.swap(1, Ordering::AcqRel) == 0 {
        STACKS[class.number()].push(slab.start.0, |next| {
            slab.span.orphan_link.store(next, Ordering::Relaxed);
        });
    }
}

/// Gives the empty `slab` up for adoption, if there is a place for it, which is the answer.
pub(crate) fn give_empty(slab: Slab) -> bool {
    debug_assert_eq!(slab.span.used(), 0);
    // One that still stands in the stack of a class that it had would not be found.
    if slab.span.queued.load(Ordering::Relaxed) != 0 || EMPTY.load(Ordering::Relaxed) >= MOST_EMPTY
    {
        return false;
    }
    EMPTY.fetch_add(1, Ordering::Relaxed);
    give(slab);
    true
}

/// Releases the empty slabs; `owner` is the address of the caller's cache.
pub(crate) fn release_empty(owner: usize) {
    if EMPTY.load(Ordering::Relaxed) > 0 {
        look_through(owner, |_| ());
    }
}

/// Releases the empty slabs, and shows the others to `each` while they are the cache's at address
/// `owner`, the caller's.
pub(crate) fn look_through(owner: usize, each: impl Fn(Slab)) {
    for class in SizeClass::all() {
        let mut kept = None;
        while let Some(slab) = adopt(class, owner) {
            if slab.span.used() == 0 {
                slab.release();
            } else {
                each(slab);
                let next = kept.map_or(0, |next: Slab| next.start.0);
                slab.span.next.store(next, Ordering::Relaxed);
                kept = Some(slab);
            }
        }
        while let Some(slab) = kept {
            let start = Granule(slab.span.next.load(Ordering::Relaxed));
            kept = (start.0 != 0)
                .then(|| {
                    Some(Slab {
                        start,
                        span: span::record(start)?,
                    })
                })
                .flatten();
            give(slab);
        }
    }
}

/// Adopts a slab of `class` with room in it for the cache at address `owner`.
pub(crate) fn adopt(class: SizeClass, owner: usize) -> Option<Slab> {
    loop {
        let start = Granule(STACKS[class.number()].pop(link)?);
        let slab = Slab {
            start,
            span: span::record(start)?,
        };
        // A swap, so that of this and the swap in `give` one sees the other: either the slab is
        // pushed again or its new state is seen here.
        slab.span.queued.swap(0, Ordering::AcqRel);
        if slab.span.kind() != Kind::Slab || !slab.claim(UNOWNED, owner) {
            continue;
        }
        if slab.class() == class && slab.has_room() {
            if slab.span.used() == 0 {
                EMPTY.fetch_sub(1, Ordering::Relaxed);
            }
            return Some(slab);
        }
        if slab.has_room() {
            give(slab);
        } else {
            slab.disown();
        }
    }
}

/// In a child after fork: the links may be from another instant than the heads.
pub(crate) fn abandon() {
    EMPTY.store(0, Ordering::Relaxed);
    for stack in &STACKS {
        stack.abandon();
    }
}
