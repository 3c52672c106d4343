//! A heap-like 192 MiB under less memory, accessed in patterns: glebe's budget beside the kernel's
//! ways to swap, all with the same whole memory.

use crate::Bench;
use crate::aligned::{aligned, digits};
use crate::bars::{Bar, Target, bar};
use crate::confined::{Confined, Memory, Task, run};
use crate::equal::{self, Way};
use crate::median;
use crate::swap::Kind;
use std::path::PathBuf;

const HEAP_MIB: u64 = 192;

/// MiB: half of the heap, store included; and what leaves about half of the heap resident.
const BUDGETS: [u64; 2] = [96, 136];

/// Patterns, and thousands of accesses: so many that the slowest way takes about a minute.
const PATTERNS: [(&str, u64); 4] = [
    ("uniform", 400),
    ("zipf", 1000),
    ("scan", 400),
    ("shift", 1500),
];

const WAYS: [Way; 5] = [
    Way::Glebe,
    Way::Swap(Kind::Zram),
    Way::Swap(Kind::Zswap),
    Way::Swap(Kind::File),
    Way::Unlimited,
];

/// All runs of a row in one way.
struct Column {
    way: Way,
    /// None where it cannot be had here.
    memory: Option<Memory>,
    trials: String,
    runs: Vec<Confined>,
    failed: Option<String>,
}

impl Column {
    fn metric(&self, name: &str) -> Option<f64> {
        let values = self.runs.iter();
        median(values.filter_map(|it| Some(it.run.metrics.get(name)?.0)))
    }

    fn median(&self, of: impl Fn(&Confined) -> f64) -> Option<f64> {
        median(self.runs.iter().map(of))
    }
}

fn task(pattern: &str, accesses: u64, scale: u32) -> Task {
    Task {
        program: PathBuf::from("./access"),
        arguments: vec![
            format!("pattern={pattern}"),
            format!("mib={HEAP_MIB}"),
            format!("accesses={}", accesses * 1000),
            format!("scale={scale}"),
        ],
        is_workload: true,
    }
}

/// The table and the bars.
pub(crate) fn measure(bench: &Bench, bars: &mut Vec<Bar>) -> String {
    let head = ["row", "way", "ns per access", "to glebe", "CPU s"];
    let head = head
        .into_iter()
        .chain(["MiB in all", "MiB of swap in it", "trials"]);
    let mut lines: Vec<Vec<String>> = vec![head.map(str::to_owned).collect()];
    for budget in BUDGETS {
        for (pattern, accesses) in PATTERNS {
            let row = format!("access {pattern}, {budget} of {HEAP_MIB} MiB");
            if !bench.wants(&row) {
                continue;
            }
            let scale = if bench.quick { 20 } else { 100 };
            let trial = task(pattern, accesses, scale / 2);
            let task = task(pattern, accesses, scale);
            let columns = columns(bench, &row, &task, &trial, budget * 1024);
            lines.extend(columns.iter().map(|it| line(&row, it, &columns[0])));
            bars.extend(verdict(&row, pattern, budget, &columns));
        }
    }
    match lines.len() {
        1 => String::new(),
        _ => format!(
            "## Patterns of access\n\n{}\n{}",
            aligned(lines.into_iter()),
            equal::EXPLAINED
        ),
    }
}

/// Runs in all ways, in turn.
fn columns(bench: &Bench, row: &str, task: &Task, trial: &Task, budget_kib: u64) -> Vec<Column> {
    bench.say(row, "trials");
    // What the budget comes to as the cgroup counts it, with what is no heap, is what all get.
    let asked = budget_kib as f64;
    let taken = run(
        &bench.stage,
        trial,
        &bench.glebe,
        Memory::Budget(budget_kib),
    );
    let total = taken.map_or(asked, |it| it.total_kib.clamp(asked, 1.1 * asked));
    let mut columns: Vec<Column> = WAYS
        .iter()
        .map(|&way| {
            let found = match way {
                Way::Unlimited => Ok((Memory::Unlimited, String::new())),
                Way::Glebe => Ok((Memory::Budget(budget_kib), String::new())),
                Way::Swap(kind) => {
                    let heap = (HEAP_MIB * 1024) as f64;
                    let trial = |memory| run(&bench.stage, trial, &bench.glibc, memory);
                    equal::limit(trial, kind, total, heap, 4)
                        .map(|(kib, said)| (Memory::Swap(kind, kib), said))
                }
            };
            if let Err(why) = &found {
                eprintln!("SKIPPED: {row}: {}: {why}", way.name());
            }
            let failed = found.as_ref().err().cloned();
            let (memory, trials) = found.ok().unzip();
            Column {
                way,
                memory,
                trials: trials.unwrap_or_default(),
                runs: Vec::new(),
                failed,
            }
        })
        .collect();
    for round in 0..bench.rounds {
        bench.say(row, &format!("round {}", round + 1));
        // Each begins in its turn.
        for place in 0..columns.len() {
            let column = &mut columns[(place + round) % WAYS.len()];
            let (Some(memory), None) = (column.memory, &column.failed) else {
                continue;
            };
            let allocator = match column.way {
                Way::Glebe => &bench.glebe,
                _ => &bench.glibc,
            };
            match run(&bench.stage, task, allocator, memory) {
                Ok(run) => column.runs.push(run),
                Err(why) => column.failed = Some(why),
            }
        }
    }
    let results = columns.iter().flat_map(|it| &it.runs);
    let mut results: Vec<&String> = results.map(|it| &it.run.result).collect();
    results.dedup();
    assert!(results.len() <= 1, "{row}: results differ: {results:?}");
    columns
}

fn line(row: &str, column: &Column, glebe: &Column) -> Vec<String> {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), digits);
    let mib = |of: fn(&Confined) -> f64| shown(column.median(of).map(|kib| kib / 1024.0));
    let ratio = column.metric("access").zip(glebe.metric("access"));
    let time = match &column.failed {
        Some(why) => format!("failed: {why}"),
        None => shown(column.metric("access")),
    };
    vec![
        row.to_owned(),
        column.way.name().to_owned(),
        time,
        shown(ratio.map(|(one, other)| one / other)),
        shown(column.metric("cpu")),
        mib(|it| it.total_kib),
        mib(|it| it.pool_kib),
        column.trials.clone(),
    ]
}

fn verdict(row: &str, pattern: &str, budget_mib: u64, columns: &[Column]) -> Vec<Bar> {
    let of = |way: Way| columns.iter().find(|it| it.way == way);
    let glebe = of(Way::Glebe).and_then(|it| it.metric("access"));
    let mut bars: Vec<Bar> = [Kind::Zram, Kind::Zswap, Kind::File]
        .into_iter()
        .map(|kind| {
            let other = of(Way::Swap(kind)).and_then(|it| it.metric("access"));
            let ratio = glebe.zip(other).map(|(one, other)| one / other);
            let target = match (kind, pattern) {
                (Kind::Zram, "uniform") => Target::AtMost(1.05),
                _ => Target::Below(1.0),
            };
            let name = Way::Swap(kind).name();
            let found = ratio.map(|it| (it, format!("{row}, to {name}")));
            bar(
                3,
                "an access under the budget, to the kernel's swap",
                found,
                target,
            )
        })
        .collect();
    let total = of(Way::Glebe).and_then(|it| it.median(|it| it.total_kib));
    let share = total.map(|kib| (kib / 1024.0 / budget_mib as f64, row.to_owned()));
    bars.push(bar(
        3,
        "whole memory, to the budget",
        share,
        Target::AtMost(1.05),
    ));
    bars
}
