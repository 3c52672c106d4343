//! Records of spans for models, a few of them. What only a slab's owner may touch is no atomic
//! here but a cell, so that loom tells when two threads take themselves for the owner.

use crate::base::address::Granule;
use core::sync::atomic::Ordering;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize};

pub(crate) const UNOWNED: usize = 1;
pub(crate) const UNLISTED: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    None,
    Slab,
    Medium,
    Free,
    Released,
}

#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: Granule,
    pub(crate) span: &'static Span,
}

/// A value that threads hand on together with ownership.
#[derive(Default, Debug)]
pub(crate) struct OwnersOnly<T>(UnsafeCell<T>);

impl<T: Copy> OwnersOnly<T> {
    pub(crate) fn load(&self, _: Ordering) -> T {
        // SAFETY: loom fails the model where another thread writes.
        self.0.with(|value| unsafe { *value })
    }

    pub(crate) fn store(&self, value: T, _: Ordering) {
        // SAFETY: loom fails the model where another thread reads or writes.
        self.0.with_mut(|place| unsafe { *place = value });
    }
}

#[derive(Default, Debug)]
pub(crate) struct Span {
    pub(crate) owner: AtomicUsize,
    pub(crate) free: OwnersOnly<usize>,
    pub(crate) countdown: OwnersOnly<u32>,
    pub(crate) bias: OwnersOnly<u32>,
    pub(crate) carved: OwnersOnly<u32>,
    pub(crate) next: OwnersOnly<u32>,
    pub(crate) previous: OwnersOnly<u32>,
    pub(crate) generation: OwnersOnly<u32>,
    pub(crate) divisor: OwnersOnly<u32>,
    pub(crate) class: OwnersOnly<u8>,
    pub(crate) granules: OwnersOnly<u8>,
    pub(crate) chunk: OwnersOnly<u32>,
    pub(crate) distance: OwnersOnly<u32>,
    kind: AtomicU8,
    pub(crate) queued: AtomicU8,
    pub(crate) orphan_link: AtomicU32,
}

// SAFETY: loom checks the cells.
unsafe impl Sync for Span {}

loom::lazy_static! {
    static ref RECORDS: [Span; 4] = Default::default();
}

/// The record of `granule`, the first few of which have one.
pub(crate) fn record(granule: Granule) -> Option<&'static Span> {
    (granule.0 < 4).then(|| &RECORDS[granule.0 as usize])
}

impl Span {
    pub(crate) fn kind(&self) -> Kind {
        const KINDS: [Kind; 5] = [
            Kind::None,
            Kind::Slab,
            Kind::Medium,
            Kind::Free,
            Kind::Released,
        ];
        KINDS[usize::from(self.kind.load(Ordering::Acquire))]
    }

    pub(crate) fn set_kind(&self, kind: Kind) {
        self.kind.store(kind as u8, Ordering::Release);
    }

    pub(crate) fn used(&self) -> u32 {
        let bias = self.bias.load(Ordering::Relaxed);
        self.countdown.load(Ordering::Relaxed).wrapping_sub(bias)
    }

    pub(crate) fn lower_countdown(&self) -> bool {
        let lower = self.countdown.load(Ordering::Relaxed).wrapping_sub(1);
        self.countdown.store(lower, Ordering::Relaxed);
        lower == 0
    }

    pub(crate) fn set_bias(&self, bias: u32) {
        let used = self.used();
        self.bias.store(bias, Ordering::Relaxed);
        self.countdown
            .store(used.wrapping_add(bias), Ordering::Relaxed);
    }
}
