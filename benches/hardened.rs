//! What hardening and sampling cost: `cargo bench --bench hardened -- --help`.
//!
//! The rows that count in the means of `side_by_side`, each with half the work, run under glebe's
//! default mode, without sampling, hardened, and under peers that are hardened too: in turn, each
//! round in an order of its own. What sampling costs lies below the noise of such runs; so short
//! runs with and without it alternate, and each pair is a figure.

#[path = "side_by_side/aligned.rs"]
mod aligned;
#[path = "side_by_side/allocators.rs"]
#[allow(dead_code, reason = "a part of it")]
mod allocators;
#[path = "side_by_side/bars.rs"]
#[allow(dead_code, reason = "a part of it")]
mod bars;
#[path = "side_by_side/figures.rs"]
#[allow(dead_code, reason = "a part of it")]
mod figures;
#[path = "side_by_side/machine.rs"]
mod machine;
#[path = "side_by_side/pairs.rs"]
mod pairs;
#[path = "side_by_side/programs.rs"]
mod programs;
#[path = "hardened/report.rs"]
mod report;
#[path = "side_by_side/rounds.rs"]
mod rounds;
#[path = "side_by_side/rows.rs"]
#[allow(dead_code, reason = "a part of it")]
mod rows;
#[path = "side_by_side/run.rs"]
#[allow(dead_code, reason = "a part of it")]
mod run;

use allocators::{Allocator, Kind, repository};
use figures::Table;
use pairs::Pairs;
use rows::{ROWS, Row};
use run::{Job, Stage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo bench --bench hardened -- [OPTION | NAME=LIBRARY[,VARIABLE=VALUE]...]...
  NAME=LIBRARY...   one more column, in that environment; `glebe` replaces the library that would
                    be built, in all its modes
  --quick           some of the rows, with less work, in one round, and few pairs
  --rounds N        instead of 3
  --pairs N         of runs with and without sampling, instead of 20; 0: none
  --rows PATTERN    only rows with this in their name; may be repeated
  --output FOLDER   for the report; otherwise target/hardened";

/// Left out: peers that grow by copying need minutes for it. The same to 64 MiB stays.
const TOO_LONG: &str = "realloc to 512 MiB";

struct Options {
    quick: bool,
    rounds: Option<usize>,
    pairs: Option<usize>,
    patterns: Vec<String>,
    output: PathBuf,
    further: Vec<Allocator>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            quick: false,
            rounds: None,
            pairs: None,
            patterns: Vec::new(),
            output: repository().join("target/hardened"),
            further: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(words.next()?.parse().ok()?),
                "--pairs" => options.pairs = Some(words.next()?.parse().ok()?),
                "--rows" => options.patterns.push(words.next()?),
                "--output" => options.output = words.next()?.into(),
                _ => options.further.push(Allocator::of_word(&word)?),
            }
        }
        Some(options)
    }

    fn wants(&self, row: &Row) -> bool {
        let mut patterns = self.patterns.iter();
        row.group.is_in_the_means()
            && row.name != TOO_LONG
            && (!self.quick || row.quick_scale > 0)
            && (self.patterns.is_empty() || patterns.any(|it| row.name.contains(it)))
    }

    fn job(&self, row: &'static Row) -> Option<Job> {
        Some(Job {
            row,
            program: rounds::program(row)?,
            scale: match self.quick {
                true => row.quick_scale,
                false => row.scale.div_ceil(2),
            },
            rounds: self
                .rounds
                .unwrap_or(if self.quick { 1 } else { 3 })
                .min(row.most_rounds),
            patience: Duration::ZERO,
        })
    }

    /// The same, short: what is compared is a pair of runs, and many make the figure.
    fn short(&self, job: &Job) -> Job {
        Job {
            row: job.row,
            program: job.program.clone(),
            scale: match job.row.quick_scale {
                0 => job.scale.div_ceil(4),
                scale => scale,
            },
            rounds: self.pairs.unwrap_or(if self.quick { 3 } else { 20 }),
            patience: Duration::ZERO,
        }
    }
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("hardened: measures only as `cargo bench --bench hardened`");
        return ExitCode::SUCCESS;
    }
    let Some(mut options) = Options::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let rows = ROWS.iter().filter(|row| options.wants(row));
    let jobs: Vec<Job> = rows.filter_map(|row| options.job(row)).collect();
    let stage = Stage::set_up(&jobs);
    let mut table = Table {
        allocators: columns(std::mem::take(&mut options.further)),
        rows: Vec::new(),
    };
    let machine = machine::machine();
    let mut pairs = Pairs::default();
    let begin = Instant::now();
    let say = |what: &str, number: usize, job: &Job| {
        let (passed, of) = (begin.elapsed().as_secs(), jobs.len());
        eprintln!("{passed:4} s  {what} {}/{of}  {}", number + 1, job.row.name);
    };
    for (number, job) in jobs.iter().enumerate() {
        say("row", number, job);
        table
            .rows
            .push(rounds::measured(&stage, job, &table.allocators));
        // After each row, so that what was measured stays if the rest is interrupted.
        write_report(&report::markdown(&table, &pairs, &machine), &options.output);
    }
    let sampled = table.find(Kind::Glebe).expect("one was found or given");
    let unsampled = table.named(UNSAMPLED).expect("one of its modes");
    let [sampled, unsampled] = [sampled, unsampled].map(|it| &table.allocators[it]);
    for (number, job) in jobs.iter().enumerate() {
        say("sampling", number, job);
        pairs.measure(&stage, &options.short(job), sampled, unsampled);
        write_report(&report::markdown(&table, &pairs, &machine), &options.output);
    }
    println!("{}", report::markdown(&table, &pairs, &machine));
    println!(
        "{} s; written to {}",
        begin.elapsed().as_secs(),
        options.output.display()
    );
    ExitCode::from(u8::from(report::glebe_failed(&table)))
}

/// What glebe's modes are called, and what makes them.
const UNSAMPLED: &str = "glebe-unsampled";
const HARDENED: &str = "glebe-hardened";

/// glibc for the results, glebe's modes, the peers.
fn columns(further: Vec<Allocator>) -> Vec<Allocator> {
    let mut columns = allocators::found_hardened(further);
    for refused in columns.extract_if(.., |it| !it.is_loaded()) {
        eprintln!("SKIPPED: {}: cannot be preloaded", refused.name);
        assert!(refused.kind != Kind::Glebe);
    }
    let place = columns.iter().position(|it| it.kind == Kind::Glebe);
    let place = place.expect("one was found or given");
    let glebe = &columns[place];
    let modes = [
        glebe.with(UNSAMPLED, "GLEBE_SAMPLE", "0"),
        glebe.with(HARDENED, "GLEBE_HARDENED", "1"),
    ];
    columns.splice(place + 1..place + 1, modes);
    columns
}

fn write_report(text: &str, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder for the report");
    fs::write(folder.join("table.md"), text).expect("the report can be written");
}
