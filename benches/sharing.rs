//! How much the threads of a program share inside the allocator: `cargo bench --bench sharing`.
//! Writes to words that threads share and locks taken, per operation, as the library counts them
//! with the feature `counts`. They decide how far a machine with hundreds of processors is used,
//! and unlike times they are the same on a machine with two. Failed compare-and-swaps count too.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Some operations, and how often each may touch what is shared.
struct Row {
    what: &'static str,
    /// What the driver does, and how many of them.
    kind: &'static str,
    count: usize,
    /// Operations in one of these.
    operations: f64,
    limit: f64,
}

const ROWS: [Row; 6] = [
    Row {
        what: "malloc or free of a small block, by its owner",
        kind: "own",
        // So many that the bins of 64 threads have grown to what they need.
        count: 10_000_000,
        operations: 2.0,
        limit: 1.0 / 1000.0,
    },
    Row {
        what: "free of another thread's block",
        kind: "remote",
        count: 1_024_000,
        operations: 1.0,
        limit: 1.0 / 32.0,
    },
    objects("object of 33 to 66 KiB", "objects:33", 20_000),
    objects("object of 256 to 512 KiB", "objects:256", 20_000),
    objects("object of 3 to 6 MiB", "objects:3072", 10_000),
    objects("object of 40 to 80 MiB", "objects:40960", 2_000),
];

const fn objects(what: &'static str, kind: &'static str, count: usize) -> Row {
    Row {
        what,
        kind,
        count,
        operations: 1.0,
        limit: 4.0,
    }
}

const THREADS: [usize; 3] = [2, 8, 64];

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("sharing: counts only as `cargo bench --bench sharing`");
    }
    let folder = common::temporary_folder("sharing");
    let driver = folder.join("operations");
    let source = common::package().join("benches/sharing/operations.c");
    common::compile_c(&source, &[], &driver);
    let counter = Counter {
        library: counting_library(),
        driver,
        statistics: folder.join("statistics"),
    };
    println!("\nshared writes + locks taken, per operation\n");
    println!("| operation | 2 threads | 8 threads | 64 threads | at most |");
    println!("|---|---|---|---|---|");
    for row in &ROWS {
        let mut line = format!("| {} |", row.what);
        for threads in THREADS {
            let [writes, locks] = counter.per_operation(row, threads);
            let missed = if writes + locks > row.limit {
                " MISSED"
            } else {
                ""
            };
            line += &format!(" {writes:.5} + {locks:.5}{missed} |");
        }
        println!("{line} {:.5} |", row.limit);
    }
}

struct Counter {
    library: PathBuf,
    driver: PathBuf,
    statistics: PathBuf,
}

impl Counter {
    /// Writes and locks of one operation: what a longer run has more than a shorter one, so that
    /// neither start nor end is in it.
    fn per_operation(&self, row: &Row, threads: usize) -> [f64; 2] {
        let short = self.count(row.kind, row.count, threads);
        let long = self.count(row.kind, 3 * row.count, threads);
        let operations = 2.0 * row.count as f64 * row.operations;
        [0, 1].map(|index| ((long[index] - short[index]) / operations).max(0.0))
    }

    fn count(&self, kind: &str, count: usize, threads: usize) -> [f64; 2] {
        let mut driver = Command::new(&self.driver);
        driver
            .args([kind, &count.to_string(), &threads.to_string()])
            .env("LD_PRELOAD", &self.library)
            .env("GLEBE_STATS", "json")
            .env("GLEBE_STATS_FILE", &self.statistics);
        let outcome = common::run(driver);
        assert!(outcome.status.success(), "{outcome:#?}");
        let text = fs::read_to_string(&self.statistics).expect("statistics are written");
        let last = text.lines().last().expect("one line for each program");
        let figures: serde_json::Value = serde_json::from_str(last).expect("JSON");
        ["shared_writes", "lock_acquisitions"]
            .map(|name| figures[name].as_f64().expect("the feature's figure"))
    }
}

/// libglebe.so, counting; in a target folder of its own.
fn counting_library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("counting");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(common::package())
        .args(["build", "--lib", "--release", "--quiet"])
        .args(["--features", "counts", "--target-dir"])
        .arg(&target);
    assert!(cargo.status().is_ok_and(|it| it.success()), "{cargo:?}");
    target.join("release/libglebe.so")
}
