//! What becomes of misused memory under glebe and under other allocators: the programs of
//! c-tests/misuse as `cargo bench --bench misuse -- [NAME=LIBRARY]...` runs them. Nothing is timed.
//! A Markdown table on standard output; allocators run at their defaults.
//!
//! `MISUSE=part` runs the programs whose name contains the part.

#[path = "side_by_side/allocators.rs"]
#[allow(dead_code, reason = "a part of it")]
mod allocators;
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/misuse.rs"]
mod misuse;

use allocators::{Allocator, Kind};
use misuse::{Ending, Mode, Program};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// A column of the table.
struct Column {
    name: String,
    library: Option<PathBuf>,
    environment: &'static [(&'static str, &'static str)],
}

/// A word in the table, and what it means.
const WORDS: [(&str, &str); 4] = [
    ("report", "aborted, saying why"),
    ("crash", "ended by a signal, without a word (or hung)"),
    (
        "hijacked",
        "malloc returned an address that the program had forged",
    ),
    ("unnoticed", "went on as if nothing was wrong"),
];

fn word(ending: &Ending) -> &str {
    match ending {
        Ending::Report(_) | Ending::OtherReport => "report",
        Ending::Crash | Ending::Hang => "crash",
        Ending::Hijacked => "hijacked",
        Ending::Unnoticed => "unnoticed",
        Ending::Unclear(what) => what,
    }
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("misuse: runs only as `cargo bench --bench misuse`");
    }
    let programs = misuse::chosen_programs();
    let columns = columns();
    let workshop = common::temporary_folder("misuse");
    common::in_parallel(programs.iter().collect(), |it: &Program| {
        it.build(&workshop)
    });
    let rows = Mutex::new(BTreeMap::new());
    common::in_parallel(programs.iter().collect(), |program: &Program| {
        let run = |column: &Column| {
            let library = column.library.as_deref();
            misuse::run(program.command(&workshop, library, column.environment))
        };
        let row: Vec<Ending> = columns.iter().map(run).collect();
        rows.lock()
            .expect("the map is whole")
            .insert(&program.name, row);
    });
    print(
        &programs,
        &columns,
        &rows.into_inner().expect("the map is whole"),
    );
}

/// glebe's modes first.
fn columns() -> Vec<Column> {
    let mut further: Vec<Allocator> = std::env::args()
        .filter_map(|argument| Allocator::of_word(&argument))
        .collect();
    match allocators::scudo() {
        _ if further.iter().any(|it| it.name == "scudo") => {}
        Some(library) => further.push(Allocator::named("scudo", library)),
        None => eprintln!("SKIPPED: scudo: not here (apt-get install libclang-rt-19-dev)"),
    }
    let mut columns = Vec::new();
    let (glebe, others): (Vec<_>, Vec<_>) = allocators::found(further)
        .into_iter()
        .filter(|it| it.is_loaded() || skipped(it))
        .partition(|it| it.kind == Kind::Glebe);
    for mode in Mode::ALL {
        columns.extend(glebe.iter().map(|glebe| Column {
            name: format!("{} {}", glebe.name, mode.name()),
            library: glebe.library.clone(),
            environment: mode.environment(),
        }));
    }
    columns.extend(others.into_iter().map(|other| Column {
        name: other.name,
        library: other.library,
        environment: &[],
    }));
    columns
}

fn skipped(allocator: &Allocator) -> bool {
    eprintln!("SKIPPED: {}: the loader refuses it", allocator.name);
    false
}

fn print(programs: &[Program], columns: &[Column], rows: &BTreeMap<&String, Vec<Ending>>) {
    let line = |first: [&str; 3], cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = first.map(str::to_owned).into_iter().chain(cells).collect();
        println!("| {} |", cells.join(" | "));
    };
    line(
        ["program", "size", "threads"],
        &mut columns.iter().map(|it| it.name.clone()),
    );
    line(["---"; 3], &mut columns.iter().map(|_| "---".to_owned()));
    for program in programs {
        let row = &rows[&program.name];
        let Program {
            name,
            size,
            threads,
            ..
        } = program;
        line(
            [name, size, threads],
            &mut row.iter().map(|it| word(it).to_owned()),
        );
    }
    for (wanted, _) in WORDS {
        let count = |column| {
            let endings = rows.values().map(|row: &Vec<Ending>| &row[column]);
            endings.filter(|it| word(it) == wanted).count().to_string()
        };
        line(
            [&format!("**{wanted}**"), "", ""],
            &mut (0..columns.len()).map(count),
        );
    }
    println!();
    for (word, meaning) in WORDS {
        println!("- {word}: {meaning}");
    }
}
