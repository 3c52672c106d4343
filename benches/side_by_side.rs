//! glebe beside glibc and its peers: `cargo bench --bench side_by_side -- --help`.
//!
//! Each row is a program that runs under every allocator in turn, round after round, each round
//! in an order of its own, so that a noisy moment hits all alike. Allocators run at their
//! defaults in a clean environment; results must be those under glibc.

#[path = "side_by_side/aligned.rs"]
mod aligned;
#[path = "side_by_side/allocators.rs"]
#[allow(dead_code, reason = "a part of it")]
mod allocators;
#[path = "side_by_side/bars.rs"]
mod bars;
#[path = "side_by_side/chart.rs"]
mod chart;
#[path = "side_by_side/figures.rs"]
mod figures;
#[path = "side_by_side/json.rs"]
mod json;
#[path = "side_by_side/machine.rs"]
mod machine;
#[path = "side_by_side/markdown.rs"]
mod markdown;
#[path = "side_by_side/programs.rs"]
mod programs;
#[path = "side_by_side/report.rs"]
mod report;
#[path = "side_by_side/rounds.rs"]
mod rounds;
#[path = "side_by_side/rows.rs"]
mod rows;
#[path = "side_by_side/run.rs"]
mod run;
#[path = "side_by_side/verdict.rs"]
mod verdict;

use allocators::{Allocator, Kind, repository};
use figures::{Measure, Table};
use machine::Machine;
use report::Report;
use rows::{Group, ROWS, Row};
use run::{Job, Stage};
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo bench --bench side_by_side -- [OPTION | NAME=LIBRARY]...
  NAME=LIBRARY      one more allocator; `glebe` replaces the one that would be built, and names
                    that begin with glebe are shown but are no peers; with ,VARIABLE=VALUE...
                    behind it, in that environment
  --quick           some of the rows, with less work, in one round
  --rounds N        at least, instead of 3
  --patience N      seconds from a row's start until which it gets further rounds, while the least
                    time of some allocator was not come close to by a second run; otherwise 30
  --rows PATTERN    only rows with this in their name; may be repeated
  --only NAME,...   only these allocators, and glibc
  --list            says what would run, and ends
  --output FOLDER   for the report; otherwise target/side_by_side";

#[derive(Default)]
struct Options {
    quick: bool,
    list: bool,
    rounds: Option<usize>,
    patience_s: Option<u64>,
    patterns: Vec<String>,
    only: Vec<String>,
    output: Option<PathBuf>,
    further: Vec<Allocator>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--list" => options.list = true,
                "--rounds" => options.rounds = Some(words.next()?.parse().ok()?),
                "--patience" => options.patience_s = Some(words.next()?.parse().ok()?),
                "--rows" => options.patterns.push(words.next()?),
                "--only" => options
                    .only
                    .extend(words.next()?.split(',').map(str::to_owned)),
                "--output" => options.output = Some(words.next()?.into()),
                _ => options.further.push(Allocator::of_word(&word)?),
            }
        }
        Some(options)
    }

    fn wants(&self, row: &Row) -> bool {
        let mut patterns = self.patterns.iter();
        (!self.quick || row.quick_scale > 0)
            && (self.patterns.is_empty() || patterns.any(|it| row.name.contains(it)))
    }

    fn wants_allocator(&self, allocator: &Allocator) -> bool {
        allocator.kind == Kind::Glibc || self.only.is_empty() || self.only.contains(&allocator.name)
    }

    /// The row as it can run here; None, said loudly, where it cannot.
    fn job(&self, row: &'static Row) -> Option<Job> {
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { 3 });
        let patience_s = self.patience_s.unwrap_or(if self.quick { 0 } else { 30 });
        let runs_per_round = match row.group {
            Group::StartUp if self.quick => 30,
            Group::StartUp => 100,
            _ => 1,
        };
        Some(Job {
            row,
            program: rounds::program(row)?,
            scale: if self.quick {
                row.quick_scale
            } else {
                row.scale
            },
            rounds: rounds.min(row.most_rounds) * runs_per_round,
            patience: Duration::from_secs(patience_s),
        })
    }
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("side_by_side: measures only as `cargo bench --bench side_by_side`");
        return ExitCode::SUCCESS;
    }
    let Some(mut options) = Options::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let rows = ROWS.iter().filter(|row| options.wants(row));
    let jobs: Vec<Job> = rows.filter_map(|row| options.job(row)).collect();
    let mut allocators = allocators::found(mem::take(&mut options.further));
    allocators.retain(|it| options.wants_allocator(it));
    if options.list {
        for job in &jobs {
            println!("{:10} {}", job.row.group.name(), job.row.name);
        }
        for allocator in &allocators {
            println!(
                "{:10} {}: {}",
                "allocator",
                allocator.name,
                allocator.origin()
            );
        }
        return ExitCode::SUCCESS;
    }

    let stage = Stage::set_up(&jobs);
    for allocator in allocators.extract_if(.., |it| !it.is_loaded()) {
        eprintln!("SKIPPED: {}: cannot be preloaded", allocator.name);
        assert!(allocator.kind != Kind::Glebe);
    }
    allocators.extend(stage.floors());

    let folder = options.output.clone();
    let folder = folder.unwrap_or_else(|| repository().join("target/side_by_side"));
    let machine = machine::machine();
    let mut table = Table {
        allocators,
        rows: Vec::new(),
    };
    let begin = Instant::now();
    for (number, job) in jobs.iter().enumerate() {
        let (passed, of) = (begin.elapsed().as_secs(), jobs.len());
        eprintln!("{passed:4} s  {}/{of}  {}", number + 1, job.row.name);
        table
            .rows
            .push(rounds::measured(&stage, job, &table.allocators));
        // After each row, so that what was measured stays if the rest is interrupted.
        write_report(&table, &machine, &folder);
    }
    let report = Report::of(&table, &machine);
    println!("{}", markdown::markdown(&report));
    println!(
        "{} s; written to {}",
        begin.elapsed().as_secs(),
        folder.display()
    );
    ExitCode::from(u8::from(report.glebe_failed()))
}

fn write_report(table: &Table, machine: &Machine, folder: &Path) {
    let report = Report::of(table, machine);
    fs::create_dir_all(folder).expect("a folder for the report");
    for (file, text) in [
        ("table.md", markdown::markdown(&report)),
        ("table.json", format!("{:#}\n", json::json(&report))),
        ("time.svg", chart::svg(table, Measure::Time)),
        ("memory.svg", chart::svg(table, Measure::Peak)),
    ] {
        fs::write(folder.join(file), text).expect("the report can be written");
    }
}
