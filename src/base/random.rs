//! A fast generator of numbers that nobody outside can foretell without its seed: the sequence of
//! Weyl with a multiplication to mix it. Not for secrets that are shown.

use core::cell::Cell;

/// Odd, with as many ones as zeroes: the golden ratio times 2^64.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes two words into one: both halves of their product.
#[inline(always)]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// A generator; one that is all zero waits for its seed.
#[derive(Debug)]
pub(crate) struct Random {
    state: Cell<u64>,
}

impl Random {
    /// A generator with this seed.
    #[cfg(test)]
    pub(crate) fn new(seed: u64) -> Random {
        Random {
            state: Cell::new(seed),
        }
    }

    /// Whether it was given a seed.
    pub(crate) fn is_seeded(&self) -> bool {
        self.state.get() != 0
    }

    /// Starts the sequence of `seed`.
    pub(crate) fn seed(&self, seed: u64) {
        self.state.set(seed | 1);
    }

    /// The next number.
    #[inline(always)]
    pub(crate) fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(STEP);
        self.state.set(state);
        mix(state, state ^ STEP.rotate_left(29))
    }

    /// The next number, from 0 to `bound` - 1; `bound` is at least 1.
    #[inline(always)]
    pub(crate) fn below(&self, bound: u32) -> u32 {
        let scaled = ((self.next() >> 32) * u64::from(bound)) >> 32;
        scaled as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_reach_all_of_it_about_as_often() {
        let random = Random::new(7);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| (9_000..11_000).contains(&count)),
            "{counts:?}"
        );
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn seeds_differ_in_what_follows() {
        let (a, b) = (Random::new(1), Random::new(2));
        assert!((0..100).all(|_| a.next() != b.next()));
    }
}
