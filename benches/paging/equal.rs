//! Equal memory: the limit of the cgroup with which a program and its swap take as much as under
//! glebe's budget. What zram and zswap keep in memory lies outside of the cgroup, and grows as the
//! limit falls; so trial runs find it.

use crate::Bench;
use crate::confined::{Confined, Memory, Task, run};
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
            Self::Swap(Kind::Zswap) => "zswap (lz4)",
            Self::Swap(Kind::File) => "swap file",
        }
    }
}

/// A total that is so near is the same.
const NEAR: f64 = 0.02;

/// A smaller part in the cgroup would measure nothing but its thrashing.
const LEAST_SHARE: f64 = 0.15;

/// The limit in KiB for a task, and how it was found, in words.
pub(crate) fn limit(
    bench: &Bench,
    task: &Task,
    kind: Kind,
    total_kib: f64,
    heap_kib: f64,
    trials: usize,
) -> Result<(u64, String), String> {
    let mut limit = total_kib;
    let mut said = Vec::new();
    if kind == Kind::File {
        return Ok((limit as u64, String::new()));
    }
    // As if two and a half pages became one; the first trial says better.
    let mut share = 0.4;
    for _ in 0..=trials {
        let next = (total_kib - share * heap_kib) / (1.0 - share);
        limit = next.clamp(LEAST_SHARE * total_kib, total_kib);
        if said.len() == trials {
            break;
        }
        let Confined { pool_kib, .. } = run(
            &bench.stage,
            task,
            &bench.glibc,
            Memory::Swap(kind, limit as u64),
        )?;
        said.push(format!("{:.0} + {:.0}", limit / 1024.0, pool_kib / 1024.0));
        if ((limit + pool_kib) / total_kib - 1.0).abs() <= NEAR {
            break;
        }
        share = (pool_kib / (heap_kib - limit).max(1.0)).min(0.9);
    }
    Ok((limit as u64, said.join(", ")))
}
