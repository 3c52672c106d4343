//! Reproducible choices.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

/// The finaliser of splitmix64: every bit of the answer depends on every bit of `value`.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A stream of its own.
    pub(crate) fn fork(&mut self) -> Random {
        Random(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A number below 2^`bits`, each length in bits as likely as the others.
    pub(crate) fn up_to_bits(&mut self, bits: usize) -> usize {
        let length = self.below(bits + 1);
        (self.next() & ((1 << length) - 1)) as usize
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    let Ok(value) = value.parse() else {
        panic!("{name}={value} is not a number");
    };
    Some(value)
}

/// `GLEBE_TEST_SEED`, or a new one; printed.
pub(crate) fn seed() -> u64 {
    let seed =
        setting("GLEBE_TEST_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("GLEBE_TEST_SEED={seed}");
    seed
}

/// `GLEBE_TEST_OPS`, or `count`.
pub(crate) fn operations(count: usize) -> usize {
    setting("GLEBE_TEST_OPS").unwrap_or(count)
}
