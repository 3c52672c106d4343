//! Slabs that lost their owner with room in them: a thread ended, or a thread that frees more
//! than it allocates passed them on. One lock-free stack for each size class.
//!
//! A slab in a stack may meanwhile have been claimed by a thread that freed into it, and even
//! have become something else: whoever pops it looks before adopting it, and `queued` in its
//! record keeps it from being pushed twice.

use super::size_class::{CLASSES, SizeClass};
use super::slab::Slab;
use crate::base::address::Granule;
use crate::base::tagged_stack::TaggedStack;
use crate::metadata::span::{self, Kind, UNOWNED};
use core::sync::atomic::Ordering;

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
    for stack in &STACKS {
        stack.abandon();
    }
}
