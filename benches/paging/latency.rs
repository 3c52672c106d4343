//! The round trip of a fault under a budget, to that of the kernel's primitive.

use crate::Bench;
use crate::aligned::{aligned, digits};
use crate::bars::{Bar, Target, bar};
use crate::confined::{Confined, Memory, Task, run};
use crate::median;

/// Microseconds that bringing a page out of the store may add to its copy.
const DECOMPRESSION_US: f64 = 3.0;

/// A kind of fault, the primitive it rests on, and what may come on top of it; None: nothing is
/// asked of it.
type Kind = (&'static str, &'static str, &'static str, Option<f64>);

#[rustfmt::skip]
const KINDS: [Kind; 5] = [
    ("zero page, read", "zero", "raw_zero", Some(0.0)),
    ("zero page, written", "zero_write", "raw_zero_write", Some(0.0)),
    ("evicted page, read", "evicted", "raw_copy", Some(DECOMPRESSION_US)),
    ("zero page, while others have to go", "zero_pressed", "raw_zero", None),
    ("evicted page, while others have to go", "evicted_pressed", "raw_copy", None),
];

pub(crate) fn measure(bench: &Bench, bars: &mut Vec<Bar>) -> String {
    let row = "fault latency";
    if !bench.wants(row) {
        return String::new();
    }
    let mib = if bench.quick { 64 } else { 256 };
    let budget_kib = mib * 1024;
    let task = Task {
        program: "./fault_latency".into(),
        arguments: vec![format!("budget_mib={mib}")],
        is_workload: true,
    };
    let mut runs = Vec::new();
    for round in 0..bench.rounds {
        bench.say(row, &format!("round {}", round + 1));
        match run(
            &bench.stage,
            &task,
            &bench.glebe,
            Memory::Budget(budget_kib),
        ) {
            Ok(run) => runs.push(run),
            Err(why) => {
                eprintln!("SKIPPED: {row}: {why}");
                return format!("## Faults\n\nnot measured: {why}\n");
            }
        }
    }
    let head = [
        "fault",
        "p50 us",
        "p99 us",
        "primitive's p50",
        "its p99",
        "p50 to p50",
        "p99 to p99",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (name, ours, raw, on_top) in KINDS {
        let of = |kind: &str, point: &str| metric(&runs, &format!("{kind}_{point}"));
        let figures = [
            of(ours, "p50"),
            of(ours, "p99"),
            of(raw, "p50"),
            of(raw, "p99"),
        ];
        let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
        let ratios = [ratio(figures[0], figures[2]), ratio(figures[1], figures[3])];
        let shown = |value: &Option<f64>| value.map_or("-".to_owned(), digits);
        let cells = figures.iter().chain(&ratios).map(shown);
        lines.push([name.to_owned()].into_iter().chain(cells).collect());
        let Some(on_top) = on_top else {
            continue;
        };
        let found = ratio(figures[0].map(|it| (it - on_top).max(0.0)), figures[2]);
        let words = match on_top > 0.0 {
            true => format!("{name}, less {on_top} us"),
            false => name.to_owned(),
        };
        bars.push(bar(
            1,
            "a fault's p50, to the primitive's",
            found.map(|it| (it, words)),
            Target::AtMost(1.25),
        ));
    }
    format!("## Faults\n\n{}", aligned(lines.into_iter()))
}

fn metric(runs: &[Confined], name: &str) -> Option<f64> {
    let found = runs
        .iter()
        .filter_map(|it| Some(it.run.metrics.get(name)?.0));
    median(found)
}
