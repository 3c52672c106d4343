//! Real programs under a budget of about half of what they need: each must write what it writes
//! without one, and much of its heap must have been out of memory meanwhile.

mod common;
#[path = "real_programs/stage.rs"]
#[allow(dead_code, reason = "there are no servers here")]
mod stage;

use stage::{Stage, material, shown};
use std::fmt::Write;
use std::process::Command;

/// The stage for `programs`; None, with a word about it, where one is not installed or a budget
/// cannot be kept.
fn stage(programs: &[&str]) -> Option<Stage> {
    let stage = Stage::with(programs)?;
    let mut trial = Command::new("true");
    trial
        .env("LD_PRELOAD", common::shipped_library())
        .env("GLEBE_BUDGET", "1G")
        .env("GLEBE_BUDGET_REQUIRED", "1");
    let outcome = common::run(trial);
    if !outcome.status.success() {
        common::skip(&format!("{}: {}", programs[0], outcome.stderr.trim()));
        return None;
    }
    Some(stage)
}

/// Runs `program`, prepared by `prepare`, without the library and with `budget`. It must write the
/// same on its standard output, and `whose` heap must have been evicted from.
fn same_under_a_budget(
    stage: &Stage,
    budget: &str,
    program: &str,
    whose: &str,
    prepare: impl Fn(&mut Command),
) -> String {
    let [mut plain, mut paged] = [stage.plain(program), stage.preloaded(program)];
    prepare(&mut plain);
    prepare(paged.env("GLEBE_BUDGET", budget));
    let right = stage.output(&mut plain);
    assert!(!right.is_empty(), "{program} wrote nothing");
    let written = stage.output(&mut paged);
    assert!(
        written == right,
        "{program} writes something else under a budget of {budget}:\n{written}\nbut without:\n{right}"
    );
    stage.prove(&[whose]);
    let evicted = stage.most(whose, "evicted");
    assert!(
        evicted.is_some_and(|pages| pages > 1000),
        "{whose} does not need {budget}: {evicted:?} pages were evicted"
    );
    written
}

#[test]
fn python_builds_and_asks_a_dictionary() {
    let Some(stage) = stage(&["python3"]) else {
        return;
    };
    let script = material("tables.py");
    // What the PATH leads to may be a script that starts another.
    let program = if std::path::Path::new("/usr/bin/python3").exists() {
        "/usr/bin/python3"
    } else {
        "python3"
    };
    let written = same_under_a_budget(&stage, "48M", program, "python3", |command| {
        command
            .env("PYTHONMALLOC", "malloc")
            .env("PYTHONHASHSEED", "1")
            .arg(&script);
    });
    assert!(written.contains(" True "), "{written}");
}

#[test]
fn perl_counts_and_sorts_a_hash() {
    let Some(stage) = stage(&["perl"]) else {
        return;
    };
    let script = material("hashes.pl");
    same_under_a_budget(&stage, "20M", "perl", "perl", |command| {
        command.env("PERL_HASH_SEED", "1").arg(&script);
    });
}

#[test]
fn sqlite_keeps_a_database_in_memory() {
    let Some(stage) = stage(&["sqlite3"]) else {
        return;
    };
    let script = format!(".read {}", shown(&material("warehouse.sql")));
    let written = same_under_a_budget(&stage, "20M", "sqlite3", "sqlite3", |command| {
        // What it stores hardly compresses.
        command.env("GLEBE_STORE", "both");
        command.args([":memory:", &script]);
    });
    assert!(written.ends_with("\nok\n"), "{written}");
}

#[test]
fn sort_sorts_in_threads() {
    let Some(stage) = stage(&["sort"]) else {
        return;
    };
    let mut lines = String::new();
    let mut number = 1_u32;
    for line in 0..400_000_usize {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(lines, "{number:08x} {} {line}", "word".repeat(line % 7))
            .expect("a string takes text");
    }
    let file = stage.write("lines", lines);
    same_under_a_budget(&stage, "20M", "sort", "sort", |command| {
        command
            .args(["--buffer-size=200M", "--parallel=2", "-k2"])
            .arg(&file);
    });
}

#[test]
fn gxx_writes_the_same_code() {
    let Some(stage) = stage(&["g++"]) else {
        return;
    };
    let source = material("templates.cc");
    // Nine tenths of the compiler's memory are its own collector's, mapped past malloc.
    same_under_a_budget(&stage, "14M", "g++", "cc1plus", |command| {
        command
            .args(["-std=c++20", "-O1", "-S", "-o", "-"])
            .arg(&source);
    });
}
