//! A cache's life as a whole: opened for a thread, emptied at its wish, closed at its end.

use super::bin;
use super::thread_cache::{ThreadCache, slab_at};
use crate::large::idle_memory;
use crate::metadata::span;
use crate::small::orphans;
use crate::small::size_class::SizeClass;
use crate::small::slab::{self, Slab};
use crate::small::trim::trim;
use core::sync::atomic::Ordering;

impl ThreadCache {
    /// Makes an idle or new cache ready for a thread.
    pub(crate) fn open(&'static self) {
        for entry in &self.direct {
            entry.busy.set(Some(&bin::EMPTY));
        }
        for class in SizeClass::all() {
            self.bin(class).open();
        }
        self.open_direct();
        self.retained.reset();
        self.visits.wanted.set(false);
        self.sampling.reset();
        let inbox = &self.inbox;
        inbox
            .generation
            .store(slab::generation(), Ordering::Relaxed);
        inbox.idle.store(false, Ordering::Relaxed);
    }

    /// Sends what waits in the outbox, brings home what waits in the inbox, returns the empty slabs
    /// to the page heap, and gives the free pages at the ends of the others back.
    pub(crate) fn flush(&'static self) {
        self.send_everything_back();
        while let Some(start) = self.retained.pop() {
            self.stop_retaining(start);
        }
        while let Some(chain) = self.outbox.take() {
            self.send(chain);
        }
        SizeClass::all().for_each(|class| self.slabs(class).for_each(trim));
    }

    /// Its slabs of `class` that are not used up.
    fn slabs(&self, class: SizeClass) -> impl Iterator<Item = Slab> {
        let mut at = self.first_partial(class);
        let listed = core::iter::from_fn(move || {
            let slab = at?;
            at = slab_at(slab.span.next.load(Ordering::Relaxed));
            Some(slab)
        });
        self.current(class).into_iter().chain(listed)
    }

    /// Brings every block that waits or is at hand to its slab, or to the slab's owner.
    fn send_everything_back(&'static self) {
        if cfg!(debug_assertions) {
            self.check();
        }
        while let Some(chain) = self.outbox.take() {
            self.send(chain);
        }
        self.drain_inbox();
        self.empty_bins();
    }

    /// Empties the cache, as its thread ends: slabs with room are up for adoption, a few empty ones
    /// too, and the rest goes to the page heap. Blocks that arrive later are routed by the next
    /// user or by a purge.
    pub(crate) fn close(&'static self) {
        self.send_everything_back();
        while let Some(slab) = self.retained.pop().and_then(slab_at) {
            if slab.span.is_owned_by(self.address()) {
                slab.span.set_bias(0);
            }
        }
        while let Some(chain) = self.outbox.take() {
            self.send(chain);
        }
        for class in SizeClass::all() {
            if let Some(current) = self.current(class) {
                self.bin(class).current.set(0);
                self.part_with(current);
            }
            while let Some(slab) = self.first_partial(class) {
                self.unlink_partial(slab);
                self.part_with(slab);
            }
        }
        idle_memory::settle();
        self.inbox.idle.store(true, Ordering::Relaxed);
        // What arrived while we closed belongs to slabs that anybody may claim by now: to claim
        // them here would bring them back, so they wait for the next user.
    }

    fn part_with(&self, slab: Slab) {
        slab.span.set_bias(0);
        if slab.span.used() == 0 {
            if !orphans::give_empty(slab) {
                slab.release();
            }
        } else if slab.has_room() {
            orphans::give(slab);
        } else {
            slab.disown();
        }
    }

    /// In a child after fork, in the one thread that is left: what was on its way from the other
    /// threads may be half written.
    pub(crate) fn survive_fork(&self, generation: u32) {
        self.inbox.generation.store(generation, Ordering::Relaxed);
        let _lost = self.inbox.take_all();
    }

    /// Asserts, for its owner, that every slab it lists is owned by it and lawful. For debug
    /// builds.
    fn check(&self) {
        for class in SizeClass::all() {
            self.bin(class).check();
            for slab in self.slabs(class) {
                assert_eq!(slab.span.owner.load(Ordering::Relaxed), self.address());
                assert_eq!(slab.class(), class);
                assert_eq!(slab.span.kind(), span::Kind::Slab);
                slab.check();
            }
        }
    }
}
