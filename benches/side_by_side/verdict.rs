//! The bars that glebe is held to, each with its figure: met or not.

use crate::aligned::digits;
use crate::allocators::Kind;
use crate::bars::{Bar, Found, Target, bar};
use crate::figures::{Measure, Measured, Table, least};
use crate::rows::Group;

/// More than this times the best peer of a row is a miss.
const MOST_TO_BEST_OF_ROW: f64 = 1.10;
/// Half a percent slower than glibc is noise, no miss.
const MOST_TO_GLIBC: f64 = 1.005;

/// Every bar of issue 3 that this bench can measure; the rest (instructions of a pair, locks and
/// shared atomic writes) are counted by benches of their own.
#[rustfmt::skip]
pub(crate) fn bars(table: &Table) -> Vec<Bar> {
    use Measure::{Faults, Peak, Time};
    use Target::{AtLeast, AtMost, Below};
    let Some(judge) = Judge::of(table) else {
        return Vec::new();
    };
    let best_of = |row: &Measured| table.best_of_row(row, Time);
    let glibc = Some(judge.glibc);
    let [nothing, empty] = [Kind::Nothing, Kind::Empty].map(|kind| table.find(kind));
    let tcmalloc = table.named("tcmalloc");
    let mimalloc2 = table.named("mimalloc2").or(table.named("debian-mimalloc"));
    let pairs = || table.rows_of(Group::Pair);
    let starts = || table.rows_of(Group::StartUp).filter(|it| it.row.program == "true");
    vec![
        bar(1, "time, geometric mean, to the best peer", judge.mean_to(table.best_peer(Time), Time), AtMost(0.95)),
        bar(1, "time, worst row, to the best peer of the row", judge.worst(judge.rows(), best_of), AtMost(MOST_TO_BEST_OF_ROW)),
        bar(1, "time, worst row, to glibc", judge.worst(judge.rows(), |_| glibc), AtMost(MOST_TO_GLIBC)),
        bar(2, "peak memory, geometric mean, to the leanest peer", judge.mean_to(table.best_peer(Peak), Peak), AtMost(1.0)),
        bar(2, "peak memory, geometric mean, to glibc", judge.mean_to(glibc, Peak), AtMost(1.05)),
        bar(2, "memory two seconds after the phases, to the lowest of all", judge.after_phases(), AtMost(1.0)),
        bar(2, "KiB above glibc in a program that allocates little", judge.above_glibc_at_start(), AtMost(300.0)),
        bar(3, "pair of 16 B to 1 KiB, worst, to a malloc that does nothing", judge.worst(pairs(), |_| nothing), AtMost(1.2)),
        bar(3, "pair of 16 B to 1 KiB, worst, to tcmalloc", judge.worst(pairs(), |_| tcmalloc), Below(1.0)),
        bar(4, "start-up of `true`, to an empty library", judge.worst(starts(), |_| empty), AtMost(1.1)),
        bar(4, "start-up of `true`, to the best peer", judge.worst(starts(), best_of), Below(1.0)),
        bar(5, "rate of 4 to 64 threads, worst, to that of 2", judge.growth_of_threads(), AtLeast(0.9)),
        bar(5, "growth of an operation's time with the live heap, to the best peer's", judge.growth_with_live_heap(), AtMost(1.0)),
        bar(6, "page faults of a heap that grows fast, to mimalloc 2", judge.growing(mimalloc2, Faults), Below(0.5)),
        bar(6, "peak memory of a heap that grows fast, to mimalloc 2", judge.growing(mimalloc2, Peak), AtMost(1.0)),
    ]
}

/// A row in which glebe is slower than the first bar allows.
pub(crate) struct Miss {
    pub(crate) row: &'static str,
    pub(crate) to_best: Option<f64>,
    pub(crate) best: String,
    pub(crate) to_glibc: Option<f64>,
}

pub(crate) fn misses(table: &Table) -> Vec<Miss> {
    let Some(judge) = Judge::of(table) else {
        return Vec::new();
    };
    let miss = |row: &Measured| {
        let best = table.best_of_row(row, Measure::Time);
        let to = |other: Option<usize>| row.ratio(judge.glebe, other?, Measure::Time);
        let (to_best, to_glibc) = (to(best), to(Some(judge.glibc)));
        let is_miss = to_best.is_some_and(|it| it > MOST_TO_BEST_OF_ROW)
            || to_glibc.is_some_and(|it| it > MOST_TO_GLIBC);
        is_miss.then(|| Miss {
            row: row.row.name,
            to_best,
            best: best.map_or(String::new(), |it| judge.name(it)),
            to_glibc,
        })
    };
    judge.rows().filter_map(miss).collect()
}

struct Judge<'a> {
    table: &'a Table,
    glebe: usize,
    glibc: usize,
}

impl<'a> Judge<'a> {
    fn of(table: &'a Table) -> Option<Self> {
        Some(Self {
            table,
            glebe: table.find(Kind::Glebe)?,
            glibc: table.find(Kind::Glibc)?,
        })
    }

    fn name(&self, allocator: usize) -> String {
        self.table.allocators[allocator].name.clone()
    }

    /// Those that must be fast: start-up has a bar of its own, and no library preloaded is faster
    /// than none.
    fn rows(&self) -> impl Iterator<Item = &'a Measured> {
        let rows = self.table.rows.iter();
        rows.filter(|it| it.row.group != Group::StartUp)
    }

    fn mean_to(&self, other: Option<usize>, measure: Measure) -> Found {
        let ratio = self.table.mean_ratio(self.glebe, other?, measure)?;
        Some((ratio, self.name(other?)))
    }

    /// The highest ratio of times to another in some rows.
    fn worst(
        &self,
        rows: impl Iterator<Item = &'a Measured>,
        other: impl Fn(&Measured) -> Option<usize>,
    ) -> Found {
        highest(rows.filter_map(|row| {
            let other = other(row)?;
            let ratio = row.ratio(self.glebe, other, Measure::Time)?;
            Some((ratio, format!("{}: {}", self.name(other), row.row.name)))
        }))
    }

    fn above_glibc_at_start(&self) -> Found {
        highest(self.table.rows_of(Group::StartUp).filter_map(|row| {
            let peak_kib = |it| Some(row.value(it, Measure::Peak)? * 1024.0);
            let above = peak_kib(self.glebe)? - peak_kib(self.glibc)?;
            Some((above, row.row.name.to_owned()))
        }))
    }

    fn row(&self, program: &str) -> Option<&'a Measured> {
        let mut rows = self.table.rows.iter();
        rows.find(|it| it.row.program == program)
    }

    fn after_phases(&self) -> Found {
        let row = self.row("phases")?;
        let after = |allocator| Some(row.metric(allocator, "after")?.median);
        let others = (0..self.table.allocators.len()).filter(|&it| it != self.glebe);
        let lowest = least(others, after)?;
        Some((after(self.glebe)? / after(lowest)?, self.name(lowest)))
    }

    /// The work is the same by all numbers of threads, so rates are as times.
    fn growth_of_threads(&self) -> Found {
        let time = |row: &Measured| row.value(self.glebe, Measure::Time);
        let mut rows = self.table.rows_of(Group::Threads);
        let few = time(rows.next()?)?;
        let slowest = highest(rows.filter_map(|row| Some((time(row)?, row.row.name.to_owned()))));
        slowest.map(|(many, name)| (few / many, name))
    }

    fn growth_with_live_heap(&self) -> Found {
        let [small, .., large] = &*self.table.rows_of(Group::LiveHeap).collect::<Vec<_>>() else {
            return None;
        };
        let time = |row: &Measured, it| row.value(it, Measure::Time);
        let growth = |it| Some(time(large, it)? / time(small, it)?);
        let best = least(self.table.peers(), growth)?;
        let (ours, theirs) = (growth(self.glebe)?, growth(best)?);
        let words = [digits(ours), digits(theirs), self.name(best)];
        Some((
            ours / theirs,
            format!("{} times beside {} of {}", words[0], words[1], words[2]),
        ))
    }

    fn growing(&self, other: Option<usize>, measure: Measure) -> Found {
        let ratio = self.row("growth")?.ratio(self.glebe, other?, measure)?;
        Some((ratio, self.name(other?)))
    }
}

fn highest(found: impl Iterator<Item = (f64, String)>) -> Found {
    found.max_by(|one, other| one.0.total_cmp(&other.0))
}
