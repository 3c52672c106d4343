//! The replacement policy in a simulator, beside others: `cargo bench --bench paging_policy`.
//!
//! Ours is the very file of the library. It sees what it sees there: faults, on pages that are
//! absent and on pages in staging, a tenth of its memory. The others see every access. Each trace
//! runs with memory for 75, 50 and 25 % of its pages. Nothing is timed: the same seed gives the
//! same figures everywhere.

#[path = "paging_policy/lists.rs"]
mod lists;
#[path = "paging_policy/ours.rs"]
mod ours;
#[path = "paging_policy/peers.rs"]
mod peers;
#[path = "../src/paging/resident_set.rs"]
#[allow(
    dead_code,
    unused_extern_crates,
    unused_imports,
    reason = "a part of it, with its tests"
)]
mod resident_set;
#[path = "../src/paging/streams.rs"]
#[allow(
    dead_code,
    unused_extern_crates,
    unused_imports,
    reason = "a part of it, with its tests"
)]
mod streams;
#[path = "paging_policy/traces.rs"]
mod traces;

use ours::{Outcome, Terms};
use peers::PEERS;
use std::process::ExitCode;
use traces::{SYNTHETIC, Scale, Trace};

const USAGE: &str = "\
cargo bench --bench paging_policy -- [OPTION | TRACEFILE]...
  --quick    shorter traces
  --seed N   instead of 1
  TRACEFILE  one more trace; what such files are: benches/paging_policy/recorded.md";

/// What a fault costs the program, in microseconds: one on a page in the store, one on a page in
/// staging.
const HARD_FAULT_US: f64 = 27.0;
const STAGED_HIT_US: f64 = 13.0;

/// What is told beyond faults, and what that changes.
const TERMS: [(&str, Terms); 4] = [
    (
        "ours",
        Terms {
            writes: false,
            touches: false,
            streams: false,
        },
    ),
    (
        "with written bits",
        Terms {
            writes: true,
            touches: false,
            streams: false,
        },
    ),
    (
        "with accessed bits",
        Terms {
            writes: false,
            touches: true,
            streams: false,
        },
    ),
    (
        "with streams",
        Terms {
            writes: false,
            touches: false,
            streams: true,
        },
    ),
];

struct Row {
    name: String,
    share: usize,
    accesses: usize,
    /// Misses of the peers, in their order.
    peers: Vec<usize>,
    optimum: usize,
    /// Ours, on all terms.
    ours: Vec<Outcome>,
}

impl Row {
    fn new(trace: &Trace, share: usize, memory: usize) -> Self {
        let misses = |make: &peers::Make| {
            let mut policy = make(trace.pages, memory);
            trace
                .accesses
                .iter()
                .filter(|it| policy.misses(it.page()))
                .count()
        };
        Self {
            name: trace.name.clone(),
            share,
            accesses: trace.accesses.len(),
            peers: PEERS.iter().map(|(_, make)| misses(make)).collect(),
            optimum: peers::optimum(trace, memory),
            ours: TERMS
                .iter()
                .map(|(_, terms)| ours::run(trace, memory, *terms))
                .collect(),
        }
    }

    /// Of the policies that see every access.
    fn best(&self) -> f64 {
        self.peers.iter().copied().min().unwrap_or(1) as f64
    }
}

fn mean(rows: &[Row], figure: impl Fn(&Row) -> f64) -> f64 {
    rows.iter().map(figure).sum::<f64>() / rows.len() as f64
}

fn main() -> ExitCode {
    if !std::env::args().any(|it| it == "--bench") {
        println!("paging_policy: runs only as `cargo bench --bench paging_policy`");
        return ExitCode::SUCCESS;
    }
    let (mut quick, mut seed, mut files) = (false, 1, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bench" => {}
            "--quick" => quick = true,
            "--seed" => match words.next().and_then(|it| it.parse().ok()) {
                Some(number) => seed = number,
                None => return usage(),
            },
            word if word.starts_with("--") => return usage(),
            _ => files.push(word),
        }
    }
    let (pages, accesses) = if quick {
        (2048, 100_000)
    } else {
        (16_384, 1_200_000)
    };
    let mut rows = Vec::new();
    for (name, make) in SYNTHETIC {
        for share in [75, 50, 25] {
            let memory = pages * share / 100;
            let scale = Scale {
                pages,
                accesses,
                memory,
                seed,
            };
            rows.push(Row::new(
                &Trace::synthetic(name, make, &scale),
                share,
                memory,
            ));
        }
    }
    let recorded = traces::RECORDED
        .iter()
        .map(|(name, text)| Trace::recorded(name, text));
    let further = files.iter().map(|file| {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        Trace::recorded(file, &text)
    });
    for trace in recorded.chain(further) {
        let trace = match trace {
            Ok(trace) => trace,
            Err(error) => {
                eprintln!("paging_policy: no trace: {error}");
                return ExitCode::FAILURE;
            }
        };
        let distinct = trace.distinct();
        for share in [75, 50, 25] {
            rows.push(Row::new(&trace, share, distinct * share / 100));
        }
    }
    println!("Seed {seed}; {pages} pages, {accesses} accesses in synthetic traces.\n");
    print_misses(&rows);
    print_means(&rows);
    print_evidence(&rows);
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::FAILURE
}

/// Miss ratios in percent, a row for each run.
fn print_misses(rows: &[Row]) {
    println!("Misses in percent of the accesses, first touches included; ours: hard faults.\n");
    let names: Vec<_> = PEERS.iter().map(|(name, _)| *name).collect();
    println!(
        "| trace | memory | {} | optimum | ours | ours / best | staged hits |",
        names.join(" | ")
    );
    println!("|---|{}", "---:|".repeat(names.len() + 5));
    for row in rows {
        let percent = |count: usize| format!("{:.2}", 100.0 * count as f64 / row.accesses as f64);
        let peers: Vec<_> = row.peers.iter().map(|misses| percent(*misses)).collect();
        println!(
            "| {} | {} % | {} | {} | {} | {:.2} | {} |",
            row.name,
            row.share,
            peers.join(" | "),
            percent(row.optimum),
            percent(row.ours[0].hard_faults),
            row.ours[0].hard_faults as f64 / row.best(),
            percent(row.ours[0].staged_hits),
        );
    }
}

/// Each policy in the mean of all runs.
fn print_means(rows: &[Row]) {
    println!(
        "\nMisses over those of the best policy that sees every access, run by run; cost with"
    );
    println!("{HARD_FAULT_US} us for a miss, {STAGED_HIT_US} us for a staged hit.\n");
    println!("| policy | mean | worst | cost |\n|---|---:|---:|---:|");
    let line = |name: &str, ratio: &dyn Fn(&Row) -> f64, cost: &dyn Fn(&Row) -> f64| {
        let worst = rows.iter().map(ratio).fold(0.0, f64::max);
        println!(
            "| {name} | {:.3} | {worst:.2} | {:.3} |",
            mean(rows, ratio),
            mean(rows, cost)
        );
    };
    let mut best_mean = f64::INFINITY;
    for (index, (name, _)) in PEERS.iter().enumerate() {
        let ratio = |row: &Row| row.peers[index] as f64 / row.best();
        best_mean = best_mean.min(mean(rows, ratio));
        line(name, &ratio, &ratio);
    }
    let optimum = |row: &Row| row.optimum as f64 / row.best();
    line("optimum (offline)", &optimum, &optimum);
    for (index, (name, _)) in TERMS.iter().enumerate() {
        let ratio = |row: &Row| row.ours[index].hard_faults as f64 / row.best();
        let cost = |row: &Row| {
            let staged = row.ours[index].staged_hits as f64 * STAGED_HIT_US / HARD_FAULT_US;
            ratio(row) + staged / row.best()
        };
        line(name, &ratio, &cost);
    }
    let ours = mean(rows, |row| row.ours[0].hard_faults as f64 / row.best());
    println!(
        "\nOurs misses {:.3} times as often as the best of them in the mean.",
        ours / best_mean
    );
}

/// How ours came to it: prefetch, and runs of neighbours.
fn print_evidence(rows: &[Row]) {
    println!("\nStreams brought in ahead, and how many pages leave with one move.\n");
    println!("| trace | memory | faults | with streams | brought in | untouched | pages a move |");
    println!("|---|{}", "---:|".repeat(6));
    for row in rows {
        let (ours, streams) = (row.ours[0], row.ours[TERMS.len() - 1]);
        println!(
            "| {} | {} % | {} | {} | {} | {} | {:.1} |",
            row.name,
            row.share,
            ours.hard_faults + ours.staged_hits,
            streams.hard_faults + streams.staged_hits,
            streams.prefetched,
            streams.wasted,
            ours.evictions as f64 / ours.moves.max(1) as f64,
        );
    }
}
