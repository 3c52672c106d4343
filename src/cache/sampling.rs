//! When a thread's request is sampled: goes to a page of its own (`guard/sampled_slots`).
//!
//! The budget is time: a sample costs about 20 us, so the option says how many a thread may take
//! in a second that it runs. Only a request that finds its bin empty asks, and most of those that
//! do count down a word. Now and then one looks at the coarse clock, which is no system call; and
//! only where by that a sample may be due, at the time that the thread has run. Some more requests
//! are let go then, as many as chance says: else it would always be the one that comes first in a
//! tick.

use super::thread_cache::ThreadCache;
use crate::base::random::Random;
use crate::config;
use crate::os::{process, random};
use core::cell::Cell;

/// Requests before the first look: a short program looks at no clock.
const FIRST_LOOK: u32 = 64;
/// Requests between two looks.
const BETWEEN_LOOKS: u32 = 32;
/// A request is let go for fewer than this many others once a sample is due.
const LET_GO: u32 = 32;
/// [`Sampling::ran_ns`] before the first look.
const NOT_LOOKED: u64 = u64::MAX;

/// See the module.
pub(super) struct Sampling {
    /// Requests until something is to be done.
    countdown: Cell<u32>,
    /// Whether that is a sample, not a look.
    is_due: Cell<bool>,
    /// No sample is due before, by the coarse clock.
    not_before_ms: Cell<u64>,
    /// What the thread had run at the last sample.
    ran_ns: Cell<u64>,
    random: Random,
}

impl Sampling {
    /// For a thread that has taken no sample.
    pub(super) fn reset(&self) {
        let every = config::samples_every_request();
        self.countdown.set(if every { 0 } else { FIRST_LOOK });
        self.is_due.set(every);
        self.ran_ns.set(NOT_LOOKED);
    }

    /// Looks whether a sample is due, at most `per_second`; sets what comes next.
    fn look(&self, per_second: usize, now_ms: u64, ran_ns: impl FnOnce() -> u64) {
        let first = self.ran_ns.get() == NOT_LOOKED;
        self.countdown.set(BETWEEN_LOOKS);
        if !first && now_ms < self.not_before_ms.get() {
            return;
        }
        let period_ns = 1_000_000_000 / per_second as u64;
        let ran_ns = ran_ns();
        let since_ns = ran_ns.saturating_sub(self.ran_ns.get());
        let wait_ns = if first || since_ns >= period_ns {
            self.ran_ns.set(ran_ns);
            period_ns
        } else {
            period_ns - since_ns
        };
        self.not_before_ms.set(now_ms + wait_ns / 1_000_000);
        if !first && wait_ns == period_ns {
            self.is_due.set(true);
            self.countdown.set(self.random().below(LET_GO));
        }
    }

    fn random(&self) -> &Random {
        if !self.random.is_seeded() {
            self.random.seed(random::seed());
        }
        &self.random
    }
}

impl ThreadCache {
    /// A random number where the request that found its bin empty shall be sampled.
    #[inline]
    pub(crate) fn sample(&self) -> Option<u64> {
        let countdown = self.sampling.countdown.get();
        if countdown > 0 {
            self.sampling.countdown.set(countdown - 1);
            return None;
        }
        self.sample_or_look()
    }

    #[cold]
    #[inline(never)]
    fn sample_or_look(&self) -> Option<u64> {
        let sampling = &self.sampling;
        if sampling.is_due.get() {
            if !config::samples_every_request() {
                sampling.is_due.set(false);
                sampling.countdown.set(BETWEEN_LOOKS);
            }
            return Some(sampling.random().next());
        }
        match config::samples_per_second() {
            0 => sampling.countdown.set(u32::MAX),
            most => sampling.look(most, process::now_ms(), process::thread_ns),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    fn new() -> Sampling {
        let sampling = Sampling {
            countdown: Cell::new(0),
            is_due: Cell::new(false),
            not_before_ms: Cell::new(0),
            ran_ns: Cell::new(0),
            random: Random::new(7),
        };
        sampling.reset();
        sampling
    }

    /// Samples and looks at the thread's clock of a thread that runs for a second, `share` of
    /// the time, with a request each microsecond.
    fn in_a_second(per_second: usize, share: u64) -> (u32, u32) {
        let sampling = new();
        let (mut samples, mut looks) = (0, 0);
        for microsecond in 0..1_000_000 * share {
            let countdown = sampling.countdown.get();
            if countdown > 0 {
                sampling.countdown.set(countdown - 1);
            } else if sampling.is_due.take() {
                samples += 1;
                sampling.countdown.set(BETWEEN_LOOKS);
            } else {
                // The coarse clock ticks 250 times a second.
                let now_ms = 1 + microsecond / 4000 * 4;
                sampling.look(per_second, now_ms, || {
                    looks += 1;
                    microsecond * 1000 / share
                });
            }
        }
        (samples, looks)
    }

    #[test]
    fn a_busy_thread_is_sampled_as_often_as_the_option_says_and_no_more() {
        let (samples, looks) = in_a_second(200, 1);
        assert!((120..=200).contains(&samples), "{samples}");
        assert!(looks < 1000, "{looks} system calls");
        let (samples, _) = in_a_second(1000, 1);
        assert!((200..=250).contains(&samples), "once a tick: {samples}");
        assert_eq!(in_a_second(1, 1).0, 0);
    }

    #[test]
    fn the_budget_is_of_processor_time_not_of_time() {
        let (samples, _) = in_a_second(200, 10);
        assert!((120..=200).contains(&samples), "{samples}");
    }

    #[test]
    fn the_first_requests_and_the_first_look_take_no_sample() {
        let sampling = new();
        assert_eq!(sampling.countdown.get(), FIRST_LOOK);
        sampling.look(200, 1 << 40, || 1 << 50);
        assert!(!sampling.is_due.get());
        sampling.look(200, (1 << 40) + 4, || unreachable!("not due by the clock"));
        sampling.look(200, (1 << 40) + 5, || (1 << 50) + 4_999_999);
        assert!(!sampling.is_due.get());
        sampling.look(200, (1 << 40) + 6, || (1 << 50) + 5_000_000);
        assert!(sampling.is_due.get());
        assert!(sampling.countdown.get() < LET_GO);
    }
}
