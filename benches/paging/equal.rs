//! Equal memory: the limit of the cgroup with which a program and its swap take as much as under
//! glebe's budget. What zram and zswap keep in memory lies outside of the cgroup, and grows as the
//! limit falls; so trial runs find it.

use crate::confined::{Confined, Memory};
use crate::swap::Kind;

/// How a program gets along with less memory than heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// It has all the memory it wants.
    Unlimited,
    Glebe,
    Swap(Kind),
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unlimited => "in memory",
            Self::Glebe => "glebe's budget",
            Self::Swap(Kind::Zram) => "zram (lz4)",
            Self::Swap(Kind::Zswap) => "zswap",
            Self::Swap(Kind::File) => "swap file",
        }
    }
}

/// What stands under a table.
pub(crate) const EXPLAINED: &str = "\
In all: the most that the cgroup had at one time, page tables and all, without the page cache; and
what the swap kept in memory outside of it. Trials: limit of the cgroup + swap in memory, by which the
limit was found that makes the sum equal to what glebe's budget comes to.
";

/// A total that is so near is the same.
const NEAR: f64 = 0.02;

/// With a smaller part of it in the cgroup a program is killed, or does nothing but thrash. Where the
/// swap takes so much beside it, it gets more in all than the budget.
const LEAST_SHARE: f64 = 0.4;

/// The limit in KiB, and how it was found, in words. The heap is what the program takes in all when
/// it has all the memory it wants.
pub(crate) fn limit(
    trial: impl Fn(Memory) -> Result<Confined, String>,
    kind: Kind,
    total_kib: f64,
    heap_kib: f64,
    trials: usize,
) -> Result<(u64, String), String> {
    if kind == Kind::File {
        return Ok((total_kib as u64, String::new()));
    }
    let (mut said, mut measured) = (Vec::new(), 0);
    let mut least = LEAST_SHARE * total_kib;
    // As if two and a half pages became one; the first trial says better.
    let mut share = 0.4;
    loop {
        let limit = (total_kib - share * heap_kib) / (1.0 - share);
        let limit = limit.clamp(least, total_kib);
        if measured == trials {
            return Ok((limit as u64, said.join(", ")));
        }
        let pool_kib = match trial(Memory::Swap(kind, limit as u64)) {
            Ok(run) => run.pool_kib,
            // There are fewer of these than it takes to come near the total.
            Err(why) if why.starts_with("killed") && limit < (1.0 - NEAR) * total_kib => {
                said.push(format!("{:.0}: killed", limit / 1024.0));
                least = f64::midpoint(limit, total_kib);
                continue;
            }
            Err(why) => return Err(why),
        };
        measured += 1;
        said.push(format!("{:.0} + {:.0}", limit / 1024.0, pool_kib / 1024.0));
        if ((limit + pool_kib) / total_kib - 1.0).abs() <= NEAR {
            return Ok((limit as u64, said.join(", ")));
        }
        share = (pool_kib / (heap_kib - limit).max(1.0)).min(0.9);
    }
}
