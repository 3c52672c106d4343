//! More heap than memory, beside the kernel's ways to have it: `cargo bench --bench paging -- --help`.
//!
//! Programs run under glebe's budget, in cgroups with swap (zram, zswap, a file), and with all the
//! memory they want: in turn, round after round. Needs root, and a machine on which swap may be
//! switched on and off; what cannot be had is skipped, and said so. On SIGINT and panics everything
//! is undone.

#[path = "paging/access.rs"]
mod access;
#[path = "side_by_side/aligned.rs"]
mod aligned;
#[path = "side_by_side/allocators.rs"]
#[allow(dead_code, reason = "a part of it")]
mod allocators;
#[path = "side_by_side/bars.rs"]
#[allow(dead_code, reason = "a part of it")]
mod bars;
#[path = "paging/cgroup.rs"]
mod cgroup;
#[path = "paging/confined.rs"]
mod confined;
#[path = "paging/equal.rs"]
mod equal;
#[path = "side_by_side/figures.rs"]
#[allow(dead_code, reason = "a part of it")]
mod figures;
#[path = "paging/idle.rs"]
mod idle;
#[path = "paging/latency.rs"]
mod latency;
#[path = "side_by_side/machine.rs"]
mod machine;
#[path = "side_by_side/pairs.rs"]
mod pairs;
#[path = "side_by_side/programs.rs"]
#[allow(dead_code, reason = "a part of it")]
mod programs;
#[path = "paging/real.rs"]
mod real;
#[path = "side_by_side/rounds.rs"]
#[allow(dead_code, reason = "a part of it")]
mod rounds;
#[path = "side_by_side/rows.rs"]
#[allow(dead_code, reason = "a part of it")]
mod rows;
#[path = "side_by_side/run.rs"]
#[allow(dead_code, reason = "a part of it")]
mod run;
#[path = "paging/swap.rs"]
mod swap;

use allocators::{Allocator, repository};
use bars::Bar;
use rows::ROWS;
use run::{Job, Stage};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo bench --bench paging -- [OPTION | ROWS]...
  ROWS              only rows with this in their name; may be repeated
  --quick           less work, in one round
  --rounds N        instead of 3
  --glebe LIBRARY   instead of the one that would be built
  --output FOLDER   for the report; otherwise target/paging";

/// What all rows need.
pub(crate) struct Bench {
    pub(crate) stage: Stage,
    pub(crate) glebe: Allocator,
    pub(crate) glibc: Allocator,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Those of `side_by_side` that a budget must not slow down.
    pub(crate) jobs: Vec<Job>,
    patterns: Vec<String>,
    begin: Instant,
}

impl Bench {
    pub(crate) fn wants(&self, row: &str) -> bool {
        let mut patterns = self.patterns.iter();
        !confined::interrupted()
            && (self.patterns.is_empty() || patterns.any(|it| row.contains(it)))
    }

    pub(crate) fn say(&self, row: &str, what: &str) {
        eprintln!("{:4} s  {row}: {what}", self.begin.elapsed().as_secs());
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What a part of the bench has for the report; its bars go to the end of it.
type Part = fn(&Bench, &mut Vec<Bar>) -> String;

const PARTS: [Part; 5] = [
    latency::measure,
    idle::never_reached,
    idle::cold,
    access::measure,
    real::measure,
];

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("paging: measures only as `cargo bench --bench paging`");
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    confined::survive_interrupts();
    let (bench, folder) = options.bench();
    let mut text = "# More heap than memory\n\n".to_owned();
    for (what, value) in machine::machine() {
        text += &format!("- {what}: {value}\n");
    }
    text += &format!("- glebe: {}\n", bench.glebe.origin());
    text += &format!(
        "- zswap's compressor: {}\n",
        swap::zswap_compressor().trim()
    );
    let mut bars = Vec::new();
    fs::create_dir_all(&folder).expect("a folder for the report");
    let mut report = String::new();
    for part in PARTS {
        text += &format!("\n{}", part(&bench, &mut bars));
        // After each part, so that what was measured stays if the rest is interrupted.
        report = format!("{text}\n## Verdict\n\n{}", bars::markdown(&bars));
        fs::write(folder.join("table.md"), &report).expect("the report can be written");
    }
    println!("{report}");
    let seconds = bench.begin.elapsed().as_secs();
    println!("{seconds} s; written to {}", folder.display());
    ExitCode::from(u8::from(confined::interrupted()))
}

struct Options {
    quick: bool,
    rounds: Option<usize>,
    library: Option<PathBuf>,
    patterns: Vec<String>,
    output: PathBuf,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            quick: false,
            rounds: None,
            library: None,
            patterns: Vec::new(),
            output: repository().join("target/paging"),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(words.next()?.parse().ok()?),
                "--glebe" => options.library = Some(fs::canonicalize(words.next()?).ok()?),
                "--output" => options.output = words.next()?.into(),
                _ if word.starts_with('-') => return None,
                _ => options.patterns.push(word),
            }
        }
        Some(options)
    }

    fn bench(self) -> (Bench, PathBuf) {
        let further = self.library.map(|it| Allocator::named("glebe", it));
        let [glibc, glebe] = allocators::glibc_and_glebe(further);
        assert!(glebe.is_loaded(), "{} cannot be preloaded", glebe.origin());
        let jobs = jobs(if self.quick { 3 } else { 10 });
        let stage = Stage::set_up(&jobs);
        for program in ["access", "fault_latency", "cold", "keys"] {
            let source = repository().join("benches/paging").join(program);
            let flags = ["-g", "-fno-builtin", "-pthread", "-lm"];
            stage.compile(program, &source.with_extension("c"), &flags);
        }
        let bench = Bench {
            stage,
            glebe,
            glibc,
            quick: self.quick,
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
            jobs,
            patterns: self.patterns,
            begin: Instant::now(),
        };
        (bench, self.output)
    }
}

/// Short runs of the rows that count in the means of `side_by_side`, so many of each.
fn jobs(runs: usize) -> Vec<Job> {
    let rows = ROWS
        .iter()
        .filter(|row| row.group.is_in_the_means() && row.quick_scale > 0);
    rows.filter_map(|row| {
        Some(Job {
            row,
            program: rounds::program(row)?,
            scale: row.quick_scale,
            rounds: runs,
            patience: Duration::ZERO,
        })
    })
    .collect()
}
