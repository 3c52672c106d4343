//! How a thread that stays on the fast path is made to come by while idle memory waits to go back
//! to the kernel: its table leads to the empty bin throughout, so every malloc takes the slow path.
//! A thread that calls often proves that its slow paths will do, and is let go again for a while.

use super::bin;
use super::thread_cache::ThreadCache;
use crate::config;
use crate::large::idle_memory;
use crate::os::process;
use crate::pages::purge;
use crate::small::orphans;
use core::cell::Cell;

/// See the module.
pub(super) struct Visits {
    pub(super) wanted: Cell<bool>,
    calls: Cell<u32>,
    last_ms: Cell<u64>,
    /// When the bins were emptied last.
    emptied_ms: Cell<u64>,
}

/// Calls in one tick of the coarse clock (1 to 4 ms) that show a busy thread: at about 10 ns
/// more for each, 10 us of that tick.
const BUSY_CALLS: u32 = 1024;
/// Calls between two looks at the clock, after as many that each look: they may be all there are.
const CALLS_PER_LOOK: u32 = 32;

impl ThreadCache {
    /// To be called on slow paths: keeps the laws of idle memory, and if some is left, asks the
    /// thread to come by; at most once a tick of the clock, so that a busy thread pays little.
    pub(crate) fn watch(&'static self) {
        idle_memory::settle();
        if self.visits.wanted.get() || !purge::wants_visits() {
            return;
        }
        let now = process::now_ms();
        if now != self.visits.last_ms.get() {
            self.visits.last_ms.set(now);
            self.visits.calls.set(0);
            self.visits.wanted.set(true);
            for entry in &self.direct {
                entry.bin.set(Some(&bin::EMPTY));
            }
        }
    }

    /// The thread comes by.
    #[cold]
    pub(super) fn visit(&'static self) {
        let calls = self.visits.calls.get();
        self.visits.calls.set(calls + 1);
        if calls < CALLS_PER_LOOK || calls.is_multiple_of(CALLS_PER_LOOK) {
            let now = process::now_ms();
            if now != self.visits.last_ms.get() {
                self.visits.last_ms.set(now);
                self.visits.calls.set(0);
                self.empty_idle_bins(now);
                idle_memory::settle();
            }
            if !purge::wants_visits() {
                self.end_visits();
            }
        }
        if calls >= BUSY_CALLS {
            self.end_visits();
        }
    }

    /// Once a quarter of the purge delay, what is at hand goes back to its slabs: one block keeps
    /// all pages of a slab.
    fn empty_idle_bins(&'static self, now_ms: u64) {
        if now_ms - self.visits.emptied_ms.get() >= config::purge_delay_ms() / 4 {
            self.visits.emptied_ms.set(now_ms);
            self.empty_bins();
            orphans::release_empty(self.address());
        }
    }

    /// Lets the thread use the fast path again.
    fn end_visits(&'static self) {
        self.visits.wanted.set(false);
        self.open_direct();
    }
}
