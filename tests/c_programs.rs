//! Compiles every program of c-tests and runs it as its first comment says:
//!
//! ```text
//! expect: exit STATUS ["TEXT" …]   one line on standard error holds every TEXT; without a TEXT
//!         abort "TEXT" …           the library says nothing there
//!         module | wrapper         no test: a shared library, a static program that starts others
//! modes: link preload static bare  how it gets our malloc (link and preload unless told): linked
//!                                  with libglebe.so, under LD_PRELOAD, linked with libglebe.a
//!                                  taking over the standard names; bare: not at all
//! library: shipped                 not also with the checked library
//! flags: …                         for the compiler, last
//! with: MODULE                     is linked with this shared library of ours
//! beside: MODULE                   stands before us in LD_PRELOAD
//! under: NAME=VALUE … [WRAPPER ARGUMENT …]
//!                                  a run of its own under this environment; `nothing` is plain
//! ```
//!
//! `C_PROGRAMS=part` runs those whose name contains the part.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use common::Outcome;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Mode {
    Link,
    Preload,
    Static,
    Bare,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Profile {
    Shipped,
    Checked,
}

impl Profile {
    fn library(self) -> PathBuf {
        match self {
            Profile::Shipped => common::shipped_library(),
            Profile::Checked => common::checked_library(),
        }
    }

    fn archive(self) -> PathBuf {
        match self {
            Profile::Shipped => common::shipped_archive(),
            Profile::Checked => common::checked_archive(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Expectation {
    Exit(i32),
    Abort,
    Module,
    Wrapper,
}

#[derive(Clone, Debug)]
struct Program {
    name: String,
    source: PathBuf,
    expectation: Expectation,
    texts: Vec<String>,
    modes: Vec<Mode>,
    profiles: Vec<Profile>,
    flags: Vec<String>,
    with: Option<String>,
    beside: Option<String>,
    conditions: Vec<Vec<String>>,
}

impl Program {
    fn read(source: &Path) -> Program {
        let text = fs::read_to_string(source).expect("a source file can be read");
        let comment = text
            .strip_prefix("/*")
            .and_then(|rest| rest.split_once("*/"));
        let (comment, _) = comment.unwrap_or_else(|| panic!("{source:?} starts with a comment"));
        let mut program = Program {
            name: source.file_stem().unwrap().to_string_lossy().into_owned(),
            source: source.to_owned(),
            expectation: Expectation::Exit(0),
            texts: Vec::new(),
            modes: vec![Mode::Link, Mode::Preload],
            profiles: vec![Profile::Shipped, Profile::Checked],
            flags: Vec::new(),
            with: None,
            beside: None,
            conditions: Vec::new(),
        };
        let mut expected = false;
        for line in comment.lines() {
            let Some((key, value)) = line.trim().split_once(": ") else {
                continue;
            };
            let words = || {
                value
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            match key {
                "expect" => {
                    expected = true;
                    program.texts = value
                        .split('"')
                        .skip(1)
                        .step_by(2)
                        .map(str::to_owned)
                        .collect();
                    program.expectation = expectation(&words());
                }
                "modes" => program.modes = words().iter().map(|word| mode(word)).collect(),
                "library" if value == "shipped" => program.profiles = vec![Profile::Shipped],
                "flags" => program.flags = words(),
                "with" => program.with = Some(value.to_owned()),
                "beside" => program.beside = Some(value.to_owned()),
                "under" => program.conditions.push(words()),
                _ => {}
            }
        }
        assert!(expected, "{source:?} says what is expected");
        if program.conditions.is_empty() {
            program.conditions.push(vec!["nothing".to_owned()]);
        }
        program
    }

    fn is_test(&self) -> bool {
        matches!(self.expectation, Expectation::Exit(_) | Expectation::Abort)
    }

    /// What is wrong with how a run ended, if anything is.
    fn fault(&self, outcome: &Outcome) -> Option<String> {
        let ended = match self.expectation {
            Expectation::Exit(status) => outcome.status.code() == Some(status),
            _ => outcome.aborted(),
        };
        let lines = |texts: &[&str]| {
            let holds = |line: &&str| texts.iter().all(|text| line.contains(text));
            outcome.stderr.lines().filter(holds).count()
        };
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        if !ended {
            Some(format!(
                "expected {:?}, came {}",
                self.expectation, outcome.status
            ))
        } else if texts.is_empty() && lines(&["glebe:"]) > 0 {
            Some("expected no word on standard error".to_owned())
        } else if !texts.is_empty() && lines(&texts) != 1 {
            Some(format!(
                "expected one line with {texts:?} on standard error"
            ))
        } else {
            None
        }
    }
}

fn expectation(words: &[String]) -> Expectation {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["exit", status, ..] => Expectation::Exit(status.parse().expect("an exit status")),
        ["abort", ..] => Expectation::Abort,
        ["module"] => Expectation::Module,
        ["wrapper"] => Expectation::Wrapper,
        _ => panic!("no expectation: {words:?}"),
    }
}

fn mode(word: &str) -> Mode {
    match word {
        "link" => Mode::Link,
        "preload" => Mode::Preload,
        "static" => Mode::Static,
        "bare" => Mode::Bare,
        _ => panic!("no mode: {word}"),
    }
}

/// Where everything is built; the same each time, so that a failure can be run again by hand.
fn workshop() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-tests")
}

fn module(name: &str) -> PathBuf {
    workshop().join(format!("{name}.so"))
}

fn executable(program: &Program, mode: Mode, profile: Profile) -> PathBuf {
    workshop().join(match mode {
        Mode::Link => format!("{}-linked", program.name),
        Mode::Preload | Mode::Bare => program.name.clone(),
        Mode::Static => format!("{}-static-{profile:?}", program.name),
    })
}

fn compile(program: &Program, flags: &[String], out: &Path) {
    let modules = format!("-DMODULES=\"{}\"", workshop().display());
    // The programs do on purpose what compilers warn of.
    let misuse = ["use-after-free", "alloc-size-larger-than", "unused-result"];
    let misuse = misuse.map(|warning| format!("-Wno-{warning}"));
    let flags = flags
        .iter()
        .chain([&modules])
        .chain(&misuse)
        .chain(&program.flags);
    common::compile_c(
        &program.source,
        &flags.map(String::as_str).collect::<Vec<_>>(),
        out,
    );
}

/// The flags that give a program our malloc.
fn linking(mode: Mode, profile: Profile) -> Vec<String> {
    match mode {
        Mode::Preload | Mode::Bare => Vec::new(),
        Mode::Link => {
            let folder = profile.library().with_file_name("");
            let folder = format!("-L{}", folder.display());
            [
                &folder,
                "-Wl,--push-state,--no-as-needed",
                "-lglebe",
                "-Wl,--pop-state",
            ]
            .map(str::to_owned)
            .to_vec()
        }
        Mode::Static => {
            let doors = include_str!("../src/abi/exports.txt").lines();
            let doors = doors.filter_map(|line| line.split_once(" = "));
            // As glebe.pc has it: libc's own stays.
            let doors = doors.filter(|(name, _)| *name != "_Fork");
            let takeover = doors.map(|(name, ours)| format!("-Wl,--defsym={name}={ours}"));
            takeover
                .chain([profile.archive().display().to_string()])
                .collect()
        }
    }
}

fn build(program: &Program) {
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    match program.expectation {
        Expectation::Module => {
            compile(
                program,
                &words(&["-shared", "-fPIC"]),
                &module(&program.name),
            );
        }
        Expectation::Wrapper => {
            compile(
                program,
                &words(&["-static"]),
                &workshop().join(&program.name),
            );
        }
        _ => {
            let mut done = BTreeMap::new();
            for (&mode, &profile) in pairs(&program.modes, &program.profiles) {
                let out = executable(program, mode, profile);
                done.entry(out.clone()).or_insert_with(|| {
                    let mut flags = linking(mode, profile);
                    flags.extend(
                        program
                            .with
                            .iter()
                            .map(|with| module(with).display().to_string()),
                    );
                    compile(program, &flags, &out);
                });
            }
        }
    }
}

fn pairs<'a, A, B>(left: &'a [A], right: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    left.iter()
        .flat_map(move |a| right.iter().map(move |b| (a, b)))
}

/// The command of one run.
fn command(program: &Program, mode: Mode, profile: Profile, condition: &[String]) -> Command {
    let executable = executable(program, mode, profile);
    let is_setting = |word: &&String| word.contains('=') || *word == "nothing";
    let settings = condition.iter().take_while(is_setting).count();
    let (settings, wrapper) = condition.split_at(settings);
    let mut command = match wrapper {
        [] => Command::new(executable),
        [name, arguments @ ..] => {
            let mut command = Command::new(workshop().join(name));
            command.args(arguments).arg(executable);
            command
        }
    };
    common::without_allocator_settings(&mut command);
    let library = profile.library();
    let mut preloaded: Vec<PathBuf> = program.beside.iter().map(|beside| module(beside)).collect();
    match mode {
        Mode::Link => {
            command.env("LD_LIBRARY_PATH", library.with_file_name(""));
        }
        Mode::Preload => preloaded.push(library.clone()),
        Mode::Static | Mode::Bare => {}
    }
    if !preloaded.is_empty() {
        command.env(
            "LD_PRELOAD",
            std::env::join_paths(preloaded).expect("no colon in paths"),
        );
    }
    command.env("LIBRARY", library);
    command.env("PROFILE", format!("{profile:?}"));
    let everywhere = std::env::var("C_PROGRAMS_UNDER").unwrap_or_default();
    for (name, value) in everywhere
        .split_whitespace()
        .chain(settings.iter().map(String::as_str))
        .filter_map(|setting| setting.split_once('='))
    {
        command.env(name, value);
    }
    command
}

#[test]
fn every_c_program_behaves_as_its_first_comment_says() {
    let part = std::env::var("C_PROGRAMS").unwrap_or_default();
    fs::create_dir_all(workshop()).expect("a folder to build in");
    let folder = fs::read_dir(common::package().join("c-tests")).expect("c-tests is there");
    let mut sources: Vec<PathBuf> = folder
        .map(|entry| entry.expect("an entry").path())
        .collect();
    sources.retain(|path| path.extension().is_some_and(|it| it == "c" || it == "cc"));
    sources.sort();
    let programs: Vec<Program> = sources.iter().map(|source| Program::read(source)).collect();
    let (tests, parts): (Vec<_>, Vec<_>) = programs.into_iter().partition(Program::is_test);
    let tests: Vec<_> = tests
        .into_iter()
        .filter(|test| test.name.contains(&part))
        .collect();
    assert!(!tests.is_empty(), "no program is named *{part}*");

    common::in_parallel(parts.iter().collect(), build);
    common::in_parallel(tests.iter().collect(), build);

    let mut runs = Vec::new();
    for test in &tests {
        for (&mode, &profile) in pairs(&test.modes, &test.profiles) {
            runs.extend(
                test.conditions
                    .iter()
                    .map(|under| (test, mode, profile, under)),
            );
        }
    }
    let count = runs.len();
    let failures = Mutex::new(Vec::new());
    common::in_parallel(runs, |(test, mode, profile, under)| {
        let title = format!("{} ({mode:?}, {profile:?}, {})", test.name, under.join(" "));
        let run = || common::run(command(test, mode, profile, under));
        let started = Instant::now();
        let fault = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(outcome) if outcome.status.code() == Some(77) => {
                common::skip(&format!("{title}: {}", outcome.stderr.trim()));
                None
            }
            Ok(outcome) => test
                .fault(&outcome)
                .map(|fault| format!("{fault}\n{outcome:#?}")),
            Err(_) => Some("hangs: see above".to_owned()),
        };
        println!("{:5.1} s  {title}", started.elapsed().as_secs_f32());
        if let Some(fault) = fault {
            let again = command(test, mode, profile, under);
            let failure = format!("{title}: {fault}\n  {again:?}");
            failures.lock().expect("the list is whole").push(failure);
        }
    });
    let failures = failures.into_inner().expect("the list is whole");
    let failed = failures.len();
    assert!(
        failed == 0,
        "{failed} of {count} runs failed:\n\n{}",
        failures.join("\n\n")
    );
}
