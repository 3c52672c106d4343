//! How long touches of a region's absent pages took, as a histogram with four steps a doubling.

use core::sync::atomic::{AtomicUsize, Ordering};

const STEPS: usize = 4;
/// From 4 ns to beyond a day.
const BUCKETS: usize = 46 * STEPS;

/// See the module; all zero is empty.
pub(super) struct Stalls {
    buckets: [AtomicUsize; BUCKETS],
    sum_ns: AtomicUsize,
}

/// The bucket of a duration: its two bits after the highest say which step of the doubling.
fn bucket(ns: u64) -> usize {
    let ns = ns.max(4);
    let doubling = ns.ilog2();
    let step = ns >> (doubling - 2) & 3;
    ((doubling as usize - 2) * STEPS + step as usize).min(BUCKETS - 1)
}

/// The first duration beyond a bucket.
fn end_of(bucket: usize) -> usize {
    let (doubling, step) = (bucket / STEPS + 2, bucket % STEPS);
    (STEPS + step + 1) << (doubling - 2)
}

impl Stalls {
    /// None yet.
    pub(super) const fn new() -> Stalls {
        Stalls {
            buckets: [const { AtomicUsize::new(0) }; BUCKETS],
            sum_ns: AtomicUsize::new(0),
        }
    }

    /// Notes one.
    pub(super) fn note(&self, ns: u64) {
        self.buckets[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns as usize, Ordering::Relaxed);
    }

    /// Their sum.
    pub(super) fn sum_ns(&self) -> usize {
        self.sum_ns.load(Ordering::Relaxed)
    }

    /// What `percent` of them did not exceed, up to a quarter too much; 0 where there are none.
    pub(super) fn percentile_ns(&self, percent: usize) -> usize {
        let counts = self.buckets.iter().map(|it| it.load(Ordering::Relaxed));
        let all: usize = counts.clone().sum();
        let wanted = (all * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in counts.enumerate() {
            seen += count;
            if count > 0 && seen >= wanted {
                return end_of(index);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket_and_a_bucket_spans_a_quarter() {
        for ns in (4..100_000).chain([1 << 40, (1 << 40) + 1]) {
            let end = end_of(bucket(ns)) as u64;
            assert!(ns < end && end <= ns + ns / 4 + 1, "{ns} {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(0), 0);
    }

    #[test]
    fn percentiles_are_those_of_what_was_noted() {
        let stalls = Stalls::new();
        assert_eq!(stalls.percentile_ns(50), 0);
        for ns in 1..=1000 {
            stalls.note(ns * 1000);
        }
        assert!((500_000..=625_000).contains(&stalls.percentile_ns(50)));
        assert!((990_000..=1_240_000).contains(&stalls.percentile_ns(99)));
        assert_eq!(stalls.sum_ns(), 500_500_000);
    }
}
