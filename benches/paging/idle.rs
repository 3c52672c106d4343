//! What a budget costs that has little to do: one that is never reached, and one under which most of
//! the heap was evicted and is not touched again.

use crate::Bench;
use crate::aligned::{aligned, digits};
use crate::allocators::Allocator;
use crate::bars::{Bar, Target, bar};
use crate::confined::{Memory, Task, run};
use crate::median;
use crate::pairs::{Pairs, Quartiles};
use std::iter::once;

/// More than any row of the workload set takes.
const NEVER_REACHED: &str = "8G";

pub(crate) fn never_reached(bench: &Bench, bars: &mut Vec<Bar>) -> String {
    let budget = bench
        .glebe
        .with("glebe-budget", "GLEBE_BUDGET", NEVER_REACHED);
    let mut pairs = Pairs::default();
    for job in &bench.jobs {
        if !bench.wants(&format!("never reached, {}", job.row.name)) {
            continue;
        }
        bench.say("never reached", job.row.name);
        pairs.measure(&bench.stage, job, &budget, &bench.glebe);
    }
    let Some((mean, spread)) = pairs.mean().zip(pairs.spread()) else {
        return String::new();
    };
    let fine = |ratio: f64| format!("{ratio:.3}");
    let head = ["row", "first quartile", "median", "third quartile"].map(str::to_owned);
    let rows = pairs.rows.iter().filter_map(|(name, ratios)| {
        let of = Quartiles::of(ratios.clone())?;
        let figures = [of.first, of.median, of.third].map(fine);
        Some(once((*name).to_owned()).chain(figures).collect())
    });
    let [first, third] = [spread.first, spread.third].map(fine);
    let words = format!("{}; rounds {first} to {third}", fine(mean));
    bars.push(bar(
        2,
        "CPU time under a budget never reached, to none",
        Some((mean, words)),
        Target::AtMost(1.02),
    ));
    format!(
        "## A budget never reached: CPU time, to that without\n\n{}",
        aligned(once(head.to_vec()).chain(rows))
    )
}

/// A name, the budget in percent of the heap, and the store. The heap is not as compressible as to
/// fit in memory under the smaller one.
const COLD: [(&str, u64, &str); 3] = [
    ("80 % cold, budget 30 %, file", 30, "file"),
    ("80 % cold, budget 30 %, memory and file", 30, "both"),
    ("80 % cold, budget 60 %, memory", 60, "memory"),
];

pub(crate) fn cold(bench: &Bench, bars: &mut Vec<Bar>) -> String {
    let head = [
        "row",
        "ns",
        "without",
        "ratio",
        "CPU s",
        "without",
        "ratio",
        "MiB in all",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (row, percent, store) in COLD {
        if !bench.wants(row) {
            continue;
        }
        let mib = if bench.quick { 100 } else { 500 };
        let task = Task {
            program: "./cold".into(),
            arguments: vec![
                format!("mib={mib}"),
                format!("scale={}", if bench.quick { 20 } else { 100 }),
            ],
            is_workload: true,
        };
        let glebe: Allocator = bench.glebe.with("glebe-cold", "GLEBE_STORE", store);
        let memories = [
            Memory::Budget(mib * 1024 * percent / 100),
            Memory::Unlimited,
        ];
        let mut runs = [Vec::new(), Vec::new()];
        for round in 0..bench.rounds {
            bench.say(row, &format!("round {}", round + 1));
            for number in [round % 2, 1 - round % 2] {
                match run(&bench.stage, &task, &glebe, memories[number]) {
                    Ok(run) => runs[number].push(run),
                    Err(why) => eprintln!("FAILED: {row}: {why}"),
                }
            }
        }
        let metric = |number: usize, name: &str| {
            let found = runs[number].iter();
            median(found.filter_map(|it| Some(it.run.metrics.get(name)?.0)))
        };
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), digits);
        let mut line = vec![row.to_owned()];
        for (name, what) in [
            ("operation", "time beside a cold heap, to no budget"),
            ("cpu", "CPU time beside a cold heap, to no budget"),
        ] {
            let [with, without] = [0, 1].map(|number| metric(number, name));
            let ratio = with.zip(without).map(|(one, other)| one / other);
            line.extend([with, without, ratio].map(shown));
            let found = ratio.map(|it| (it, row.to_owned()));
            bars.push(bar(2, what, found, Target::AtMost(1.10)));
        }
        let total = median(runs[0].iter().map(|it| it.total_kib / 1024.0));
        line.push(shown(total));
        lines.push(line);
    }
    match lines.len() {
        1 => String::new(),
        _ => format!(
            "## Most of the heap evicted\n\n{}",
            aligned(lines.into_iter())
        ),
    }
}
