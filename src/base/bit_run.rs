//! Runs of set bits in a word, and claiming them from a shared one.
//!
//! A chunk keeps the state of its 64 granules in single words, so that a claim is one
//! compare-and-swap and no instant exists at which the state is half changed: a fork may take
//! its snapshot at any time.

use super::atomic::Ordering;
use super::shared::SharedU64;

/// A word with bits `start .. start + count` set; `count` is 1 to 64 and the run fits.
#[inline]
pub(crate) const fn mask(start: u32, count: u32) -> u64 {
    (u64::MAX >> (64 - count)) << start
}

/// Where the lowest run of `count` (1 to 64) set bits starts.
#[inline]
pub(crate) const fn find(word: u64, count: u32) -> Option<u32> {
    // Law: after the loop bit i of `starts` is set iff bits i .. i + count of `word` are.
    let mut starts = word;
    let mut covered = 1;
    while covered < count {
        let step = if count - covered < covered {
            count - covered
        } else {
            covered
        };
        starts &= starts >> step;
        covered += step;
    }
    if starts == 0 {
        None
    } else {
        Some(starts.trailing_zeros())
    }
}

/// The highest run of consecutive set bits as (start, count).
pub(crate) const fn highest(word: u64) -> Option<(u32, u32)> {
    if word == 0 {
        return None;
    }
    let end = 64 - word.leading_zeros();
    let below = word << (64 - end);
    let count = (!below).leading_zeros();
    Some((end - count, count))
}

/// Claims the lowest run of `count` set bits, in `preferred` if one is there, by clearing it.
pub(crate) fn claim(word: &SharedU64, preferred: u64, count: u32) -> Option<u32> {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let start = match find(seen & preferred, count) {
            Some(start) => start,
            None => find(seen, count)?,
        };
        // Acquire pairs with the Release of `release`: what the last owner wrote about these
        // granules happened before.
        match word.compare_exchange_weak(
            seen,
            seen & !mask(start, count),
            Ordering::Acquire,
            Ordering::Relaxed,
        ) {
            Ok(_) => return Some(start),
            Err(now) => seen = now,
        }
    }
}

/// Claims those of the bits in `wanted` that are set; the bits that were claimed.
pub(crate) fn claim_any(word: &SharedU64, wanted: u64) -> u64 {
    // Acquire pairs with the Release of `release`.
    word.fetch_and(!wanted, Ordering::Acquire) & wanted
}

/// Gives claimed bits back.
pub(crate) fn release(word: &SharedU64, bits: u64) {
    // Release pairs with the Acquire of the next claim.
    word.fetch_or(bits, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_agrees_with_a_bit_by_bit_search() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let word = state | state.rotate_left(1) | state.rotate_left(2);
            for count in 1..=64 {
                let slow = (0..=64 - count).find(|&s| word & mask(s, count) == mask(s, count));
                assert_eq!(find(word, count), slow, "word {word:#x} count {count}");
            }
        }
    }

    #[test]
    fn highest_names_the_top_run() {
        assert_eq!(highest(0), None);
        assert_eq!(highest(u64::MAX), Some((0, 64)));
        assert_eq!(highest(0b0110_1000), Some((5, 2)));
        assert_eq!(highest(1 << 63), Some((63, 1)));
    }

    #[test]
    fn claim_prefers_and_release_restores() {
        let word = SharedU64::new(0b1111_0000_1111);
        assert_eq!(claim(&word, 0b1111_0000_0000, 2), Some(8));
        assert_eq!(claim(&word, 0, 4), Some(0));
        assert_eq!(claim(&word, 0, 3), None);
        release(&word, mask(8, 2));
        assert_eq!(claim_any(&word, u64::MAX), 0b1111_0000_0000);
    }
}
