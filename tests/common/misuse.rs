//! The misuse programs of c-tests/misuse: their table, how they are built and run, and how a run
//! ended.
#![allow(dead_code, reason = "the test and the bench each use a part of this")]

use crate::common::{self, Outcome};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A way to run glebe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Default,
    Sampled,
    Hardened,
}

impl Mode {
    /// In the order of the table's columns.
    pub(crate) const ALL: [Mode; 3] = [Mode::Default, Mode::Sampled, Mode::Hardened];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Default => "default",
            Mode::Sampled => "sampled",
            Mode::Hardened => "hardened",
        }
    }

    pub(crate) fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Mode::Default => &[("GLEBE_SAMPLE", "0")],
            Mode::Sampled => &[("GLEBE_SAMPLE", "100000")],
            Mode::Hardened => &[("GLEBE_SAMPLE", "0"), ("GLEBE_HARDENED", "1")],
        }
    }
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Aborted, with this kind of report of ours.
    Report(String),
    /// Aborted, with somebody else's words.
    OtherReport,
    /// Ended by another signal, or aborted without a word.
    Crash,
    /// malloc returned an address that the program had forged.
    Hijacked,
    Unnoticed,
    Hang,
    /// Nothing of these: what it was.
    Unclear(String),
}

impl Ending {
    fn of(outcome: &Outcome) -> Ending {
        let report = outcome.stderr.lines().find_map(report_kind);
        match (outcome.status.code(), report) {
            (None, Some(kind)) if outcome.aborted() => Ending::Report(kind.to_owned()),
            (None, None) if outcome.aborted() && !outcome.stderr.is_empty() => Ending::OtherReport,
            (None, None) if outcome.status.signal().is_some() => Ending::Crash,
            (Some(0), None) => Ending::Unnoticed,
            (Some(3), None) => Ending::Hijacked,
            _ => Ending::Unclear(format!("{}: {}", outcome.status, outcome.stderr.trim())),
        }
    }

    /// As the table calls it.
    pub(crate) fn in_table(&self) -> &str {
        match self {
            Ending::Report(kind) => kind,
            Ending::OtherReport | Ending::Crash => "crash",
            Ending::Hijacked => "hijacked",
            Ending::Unnoticed => "unnoticed",
            Ending::Hang => "hang",
            Ending::Unclear(what) => what,
        }
    }
}

/// The kind of report that a line is: `glebe: [PID] fatal: KIND: ptr=0x…`.
fn report_kind(line: &str) -> Option<&str> {
    let (_, report) = line.strip_prefix("glebe: [")?.split_once("] fatal: ")?;
    Some(report.split_once(": ptr=0x").map_or(report, |it| it.0))
}

/// The kinds of report that the table may name.
const KINDS: [&str; 14] = [
    "double free",
    "free inside a block",
    "free of a pointer that is not ours",
    "realloc inside a block",
    "free list corrupted",
    "wrong size",
    "wrong alignment",
    "write past the end of a block",
    "read past the end of a block",
    "write before the start of a block",
    "read before the start of a block",
    "write after free",
    "read after free",
    "write to memory of glebe's own",
];
/// And what else it says, where nothing was reported.
const WITHOUT_A_REPORT: [&str; 3] = ["unnoticed", "crash", "hijacked"];

/// A program, and what the table says of it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    source: PathBuf,
    pub(crate) size: String,
    pub(crate) threads: String,
    /// By mode: the endings that are right.
    expected: [Vec<String>; 3],
}

impl Program {
    fn read(row: &str) -> Program {
        let columns: Vec<&str> = row.split(" ; ").map(str::trim).collect();
        let [name, size, threads, expected @ .., _why] = &columns[..] else {
            panic!("no row of the table: {row}");
        };
        let expected: [&str; 3] = expected
            .try_into()
            .unwrap_or_else(|_| panic!("a column for each mode: {row}"));
        let endings = expected.map(|it| it.split('|').map(str::to_owned).collect::<Vec<_>>());
        for ending in endings.iter().flatten() {
            let ending = ending.as_str();
            let is_known = KINDS.contains(&ending) || WITHOUT_A_REPORT.contains(&ending);
            assert!(is_known, "{name}: unknown: {ending}");
        }
        let source = ["c", "cc"].map(|it| folder().join(name).with_extension(it));
        Program {
            name: (*name).to_owned(),
            source: source
                .into_iter()
                .find(|it| it.exists())
                .unwrap_or_else(|| panic!("a row without a program: {name}")),
            size: (*size).to_owned(),
            threads: (*threads).to_owned(),
            expected: endings,
        }
    }

    pub(crate) fn expected(&self, mode: Mode) -> &[String] {
        &self.expected[mode as usize]
    }

    /// Whether hardened mode ends it with a report, wherever its blocks come to lie.
    pub(crate) fn is_stopped_by_hardened(&self) -> bool {
        let mut endings = self.expected(Mode::Hardened).iter();
        endings.all(|it| KINDS.contains(&it.as_str()))
    }

    pub(crate) fn build(&self, workshop: &Path) {
        // The programs do on purpose what compilers warn of.
        let misuse = [
            "-Wno-use-after-free",
            "-Wno-free-nonheap-object",
            "-Wno-dangling-pointer",
        ];
        common::compile_c(&self.source, &misuse, &workshop.join(&self.name));
    }

    /// The command that runs it under an allocator: a library, or the C library's.
    pub(crate) fn command(
        &self,
        workshop: &Path,
        library: Option<&Path>,
        environment: &[(&str, &str)],
    ) -> Command {
        let mut command = Command::new(workshop.join(&self.name));
        common::without_allocator_settings(&mut command);
        if let Some(library) = library {
            command.env("LD_PRELOAD", library);
        }
        command.envs(environment.iter().copied());
        command
    }
}

/// Runs `command` to its end.
pub(crate) fn run(command: Command) -> Ending {
    let outcome = catch_unwind(AssertUnwindSafe(|| common::run(command)));
    outcome.map_or(Ending::Hang, |outcome| Ending::of(&outcome))
}

fn folder() -> PathBuf {
    common::package().join("c-tests/misuse")
}

/// All programs, in the order of the table; a program without a row is a mistake.
pub(crate) fn programs() -> Vec<Program> {
    let table = fs::read_to_string(folder().join("expected.txt")).expect("the table is there");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let programs: Vec<Program> = rows.map(Program::read).collect();
    let with_a_row: BTreeSet<&Path> = programs.iter().map(|it| it.source.as_path()).collect();
    assert_eq!(with_a_row.len(), programs.len(), "one row for each");
    for entry in fs::read_dir(folder()).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let extension = path.extension().and_then(OsStr::to_str);
        let is_program = matches!(extension, Some("c" | "cc"));
        assert!(
            !is_program || with_a_row.contains(path.as_path()),
            "{path:?} has no row in the table"
        );
    }
    programs
}

/// Those programs whose name contains what the environment's `MISUSE` says.
pub(crate) fn chosen_programs() -> Vec<Program> {
    let part = std::env::var("MISUSE").unwrap_or_default();
    let mut chosen = programs();
    chosen.retain(|it| it.name.contains(&part));
    assert!(!chosen.is_empty(), "no program is named *{part}*");
    chosen
}
