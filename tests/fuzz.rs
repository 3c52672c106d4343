//! Random operations (`c-tests/fuzz/fuzz.c`) on the preloaded library, a process for each seed, on
//! all processors. Runs without a corruption end well. In hardened mode a run may do one corruption,
//! and then ends well (it did no harm), with a report, or with contents of the program's own blocks
//! that differ. Everything else is a finding, printed with the command that repeats it.
//!
//! | variable | meaning |
//! |---|---|
//! | `GLEBE_FUZZ_SECONDS` | how long (60) |
//! | `GLEBE_FUZZ_SEED` | the first seed, the next run has the next one (the time) |
//! | `GLEBE_FUZZ_RUNS` | at most so many runs |
//! | `GLEBE_FUZZ_MODES` | only modes whose name contains this |
//! | `GLEBE_FUZZ_LIBRARY` | the library to preload (the shipped one) |
//!
//! A finding repeats as often as its threads meet in the same way: try the command some times, or
//! the seed with `GLEBE_FUZZ_RUNS=1`.

mod common;

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::Outcome;

/// After so many findings the fuzzer ends: more of them say the same.
const ENOUGH: usize = 10;

/// Operations of each thread.
const OPERATIONS: u64 = 20_000;

struct Mode {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    corrupts: bool,
}

const MODES: [Mode; 6] = [
    Mode {
        name: "default",
        settings: &[],
        corrupts: false,
    },
    Mode {
        name: "mapped",
        settings: &[("GLEBE_SOURCE", "mmap")],
        corrupts: false,
    },
    Mode {
        name: "sampled",
        settings: &[("GLEBE_SAMPLE", "100000")],
        corrupts: false,
    },
    Mode {
        name: "hardened",
        settings: &[("GLEBE_HARDENED", "1")],
        corrupts: true,
    },
    Mode {
        name: "hardened-mprotect",
        settings: &[("GLEBE_HARDENED", "1"), ("GLEBE_GUARD", "mprotect")],
        corrupts: true,
    },
    Mode {
        name: "hardened-mapped",
        settings: &[("GLEBE_HARDENED", "1"), ("GLEBE_SOURCE", "mmap")],
        corrupts: true,
    },
];

/// As the program names them.
const CORRUPTIONS: [&str; 12] = [
    "none",
    "overflow",
    "underflow",
    "write-after-free",
    "late-write-after-free",
    "double-free",
    "late-double-free",
    "free-inside",
    "free-wild",
    "free-stack",
    "wrong-size",
    "wrong-alignment",
];

struct Fuzzer {
    program: PathBuf,
    library: PathBuf,
    modes: Vec<&'static Mode>,
}

struct Run {
    mode: &'static Mode,
    corruption: &'static str,
    command: Command,
}

impl Fuzzer {
    /// All that a run does follows from its seed.
    fn run(&self, seed: u64) -> Run {
        let count = self.modes.len() as u64;
        let mode = self.modes[(seed % count) as usize];
        let which = seed / count;
        let corruption = if mode.corrupts {
            CORRUPTIONS[(which % CORRUPTIONS.len() as u64) as usize]
        } else {
            "none"
        };
        let mut command = Command::new(&self.program);
        // Each corruption meets each number of threads.
        let threads = 1 + (which + which / CORRUPTIONS.len() as u64) % 4;
        command.args([seed, OPERATIONS, threads].map(|number| number.to_string()));
        command.arg(corruption);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if ["LD_", "GLEBE_", "MALLOC_"]
                .iter()
                .any(|it| name.starts_with(it))
            {
                command.env_remove(&*name);
            }
        }
        command.env("LD_PRELOAD", &self.library);
        command.envs(mode.settings.iter().copied());
        Run {
            mode,
            corruption,
            command,
        }
    }
}

/// How a run ended, in the words of the table; the error says what is wrong with it.
fn end(outcome: &Outcome) -> Result<String, &'static str> {
    let marks = ["fuzz: corruption: ", "glebe:"];
    let mut lines = outcome.stderr.lines();
    let mut next = || lines.find(|line| marks.iter().any(|mark| line.starts_with(mark)));
    let (first, second) = (next(), next());
    if first.is_some_and(|line| line.starts_with("glebe:")) {
        return Err("the library reports what nobody did");
    }
    let corrupted = first.is_some();
    match (outcome.status.code(), second) {
        (Some(0), None) => Ok("ended well".to_owned()),
        (Some(3), _) if corrupted => Ok("contents differ".to_owned()),
        // A child's report counts for the run: it is told by 5.
        (code, Some(report)) if code == Some(5) || outcome.aborted() => {
            let kind = report.split_once(" fatal: ").ok_or("no fatal report")?.1;
            Ok(format!(
                "report: {}",
                kind.split(": ").next().unwrap_or(kind)
            ))
        }
        (Some(0), Some(_)) => Err("a report, and yet the run ended well"),
        _ if corrupted => Err("neither a good end nor a report after the corruption"),
        _ => Err("no good end, without a corruption"),
    }
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is a number")),
    )
}

fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("a folder to build in");
    // Renamed into place: another fuzzer may be running the one that is there.
    let (program, new) = (
        folder.join("fuzz"),
        folder.join(format!("fuzz-{}", std::process::id())),
    );
    let source = common::package().join("c-tests/fuzz/fuzz.c");
    common::compile_c(&source, &["-O1", "-Wno-use-after-free"], &new);
    std::fs::rename(new, &program).expect("the program is in its place");
    program
}

#[test]
fn random_operations_and_corruptions_end_well_or_in_a_report() {
    let wanted = env::var("GLEBE_FUZZ_MODES").unwrap_or_default();
    let fuzzer = Fuzzer {
        program: program(),
        library: env::var_os("GLEBE_FUZZ_LIBRARY")
            .map_or_else(common::shipped_library, PathBuf::from),
        modes: MODES
            .iter()
            .filter(|mode| mode.name.contains(&wanted))
            .collect(),
    };
    assert!(!fuzzer.modes.is_empty(), "no mode is named *{wanted}*");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let first =
        setting("GLEBE_FUZZ_SEED").unwrap_or(now.map_or(0, |now| now.as_secs() % 1_000_000) * 1000);
    let last = setting("GLEBE_FUZZ_RUNS").map_or(u64::MAX, |runs| first.saturating_add(runs));
    let deadline =
        Instant::now() + Duration::from_secs(setting("GLEBE_FUZZ_SECONDS").unwrap_or(60));

    let next = AtomicU64::new(first);
    let ends = Mutex::new(BTreeMap::new());
    let findings = Mutex::new(Vec::new());
    let enough = || findings.lock().expect("the list is whole").len() >= ENOUGH;
    let work = || {
        while Instant::now() < deadline && !enough() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                break;
            }
            let run = fuzzer.run(seed);
            let again = format!("{:?}", run.command);
            let outcome = catch_unwind(AssertUnwindSafe(|| common::run(run.command)));
            let (end, finding) = match &outcome {
                Ok(outcome) => match end(outcome) {
                    Ok(end) => (end, None),
                    Err(fault) => {
                        let finding = format!(
                            "seed {seed}: {fault}: {}\n{}",
                            outcome.status, outcome.stderr
                        );
                        ("FINDING".to_owned(), Some(finding))
                    }
                },
                Err(_) => (
                    "FINDING".to_owned(),
                    Some(format!("seed {seed}: hangs or did not start: see above")),
                ),
            };
            *ends
                .lock()
                .expect("the table is whole")
                .entry((run.mode.name, run.corruption, end))
                .or_insert(0) += 1;
            if let Some(finding) = finding {
                let finding = format!("{finding}  {again}");
                eprintln!("{finding}");
                findings.lock().expect("the list is whole").push(finding);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });

    let ends = ends.into_inner().expect("the table is whole");
    let runs: u64 = ends.values().sum();
    println!("{runs} runs from GLEBE_FUZZ_SEED={first} on");
    println!("| mode | corruption | end | runs |\n|---|---|---|---|");
    for ((mode, corruption, end), count) in &ends {
        println!("| {mode} | {corruption} | {end} | {count} |");
    }
    let findings = findings.into_inner().expect("the list is whole");
    assert!(
        findings.is_empty(),
        "{} findings, see above; the first: {}",
        findings.len(),
        findings[0]
    );
}
