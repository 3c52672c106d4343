//! Holds docs/tour.md equal to what it talks about: its programs are the files of examples/, its
//! commands are carried out, and print what stands there.
//!
//! A session is a block of `console`: a line with `$ ` is a command, those up to the next one are
//! what it prints; `…` stands for anything, alone on a line for any number of lines. Commands run in
//! a folder with `examples` in it, as if glebe were installed. Besides those of the shell there is
//!
//! ```text
//! $ cargo run -q --example NAME     as cargo would, from what was built before; so does
//! $ target/debug/examples/NAME
//! $ STOP=1 COMMAND > /dev/null &    runs it up to its first moment
//! $ … $! …                          with the number of that process
//! $ glebe map … --svg NAME.svg …    a picture that shows what docs/tour/NAME.svg does
//! $ kill -CONT $!                   lets it run up to its next moment, or its end
//! ```
#![cfg(feature = "launcher")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Words of a machine that does not permit what a section is about.
const NOT_HERE: [&str; 4] = [
    "userfault",
    "no regions on this machine",
    "no budget: ",
    "GLEBE_PAGE_SIZE: no pages of ",
];

#[derive(Debug)]
struct Section {
    title: String,
    text: String,
    /// The programs: a path in examples/ and what stands in the text.
    programs: Vec<(String, String)>,
    sessions: Vec<Vec<Step>>,
}

#[derive(Debug)]
struct Step {
    command: String,
    output: Vec<String>,
}

fn tour() -> Vec<Section> {
    let tour = fs::read_to_string(common::package().join("docs/tour.md")).expect("the tour");
    tour.split(
        "
## ",
    )
    .skip(1)
    .map(section)
    .collect()
}

fn section(text: &str) -> Section {
    let mut section = Section {
        title: text.lines().next().unwrap_or_default().to_owned(),
        text: text.to_owned(),
        programs: Vec::new(),
        sessions: Vec::new(),
    };
    let mut last = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match language {
                "c" | "rust" => {
                    let path = last
                        .split_once("](../")
                        .and_then(|(_, rest)| rest.split_once(')'));
                    let (path, _) = path.unwrap_or_else(|| panic!("a link before {block:#?}"));
                    section
                        .programs
                        .push((path.to_owned(), block.join("\n") + "\n"));
                }
                "console" => section.sessions.push(session(&block)),
                _ => {}
            }
        }
        if !line.is_empty() {
            last = line;
        }
    }
    section
}

fn session(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else {
            let step = steps.last_mut().expect("a session begins with a command");
            step.output.push((*line).to_owned());
        }
    }
    steps
}

/// Whether `printed` is what `expected` says; see the top of this file.
fn is_as_expected(expected: &[String], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        [any, rest @ ..] if any == "…" => {
            (0..=printed.len()).any(|skipped| is_as_expected(rest, &printed[skipped..]))
        }
        [first, rest @ ..] => printed.split_first().is_some_and(|(line, printed)| {
            is_line_as_expected(first, line) && is_as_expected(rest, printed)
        }),
    }
}

fn is_line_as_expected(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let at = match pieces.peek() {
            Some(_) => rest.find(piece),
            None => rest.ends_with(piece).then(|| rest.len() - piece.len()),
        };
        let Some(at) = at else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty()
}

#[test]
fn three_dots_stand_for_anything() {
    let matching = [
        ("a … c", "a b c"),
        ("… c", "a b c"),
        ("a …", "a b c"),
        ("a…a…a", "aaa"),
        ("…", ""),
    ];
    for (expected, line) in matching {
        assert!(is_line_as_expected(expected, line), "{expected} {line}");
    }
    for (expected, line) in [("a … c", "a b"), ("a", "ab"), ("a…a", "a"), ("b…", "ab")] {
        assert!(!is_line_as_expected(expected, line), "{expected} {line}");
    }
    let lines = ["a", "…", "b"].map(str::to_owned);
    assert!(is_as_expected(&lines, &["a", "b"]));
    assert!(is_as_expected(&lines, &["a", "x", "y", "b"]));
    assert!(!is_as_expected(&lines, &["a", "x"]));
}

#[test]
fn every_program_stands_in_the_text_as_it_is() {
    let mut shown = BTreeSet::new();
    for section in tour() {
        for (path, text) in section.programs {
            let file = fs::read_to_string(common::package().join(&path));
            let file = file.unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(text, file, "{path} and docs/tour.md differ");
            assert!(shown.insert(path));
        }
    }
    let examples = fs::read_dir(common::package().join("examples")).expect("examples");
    for entry in examples {
        let name = entry.expect("an entry").file_name();
        let path = format!("examples/{}", name.to_string_lossy());
        let is_program = path.ends_with(".c") || path.ends_with(".rs");
        assert!(
            !is_program || shown.contains(&path),
            "{path} is not in docs/tour.md"
        );
    }
}

#[test]
fn every_section_has_a_program_a_session_and_an_exercise() {
    let sections = tour();
    assert!(!sections.is_empty());
    for section in sections {
        let Section {
            title,
            text,
            programs,
            sessions,
        } = section;
        assert!(!programs.is_empty() && !sessions.is_empty(), "{title}");
        assert_eq!(text.matches("**Exercise.**").count(), 1, "{title}");
        assert!(
            text.contains("<details>") && text.contains("</details>"),
            "{title}"
        );
        for (path, _) in programs {
            let name = Path::new(&path)
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let is_run = |step: &Step| !step.output.is_empty() && step.command.contains(&name);
            assert!(
                sessions.iter().flatten().any(is_run),
                "{title}: {path} is not run"
            );
        }
    }
}

/// What a picture is of: the groups of regions that every process of its kind has, and whether pages
/// were evicted.
fn contents_of(picture: &str) -> BTreeSet<&str> {
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    let texts = picture.lines().filter_map(|line| line.split_once('>'));
    let words = texts.filter_map(|(_, words)| words.strip_suffix("</text>"));
    let groups = ["PROGRAM", "HEAP", "REGIONS", "LIBRARIES", "STACK"];
    words
        .filter_map(|words| match words.contains(" EVICTED by glebe") {
            true => Some("EVICTED"),
            false => groups.into_iter().find(|group| *group == words),
        })
        .collect()
}

/// The name of the picture that a command makes.
fn picture_made_by(command: &str) -> Option<&str> {
    let (_, rest) = command.split_once(" --svg ")?;
    rest.split(' ').next()
}

#[test]
fn every_picture_is_shown_where_a_command_has_made_it() {
    let mut shown = BTreeSet::new();
    for section in tour() {
        let commands = section.sessions.iter().flatten();
        let made: BTreeSet<&str> = commands
            .filter_map(|step| picture_made_by(&step.command))
            .collect();
        let links = section.text.split("](tour/").skip(1);
        let links: BTreeSet<&str> = links.filter_map(|rest| rest.split(')').next()).collect();
        assert_eq!(made, links, "{}", section.title);
        shown.extend(links.into_iter().map(str::to_owned));
    }
    assert!(!shown.is_empty());
    let pictures = fs::read_dir(common::package().join("docs/tour")).expect("pictures");
    let names = pictures.map(|entry| entry.expect("an entry").file_name());
    let names: BTreeSet<String> = names.map(|it| it.to_string_lossy().into_owned()).collect();
    assert_eq!(names, shown);
}

/// A folder in which the commands of the text can be carried out, and glebe as installed.
struct Workshop {
    folder: common::TemporaryFolder,
    programs: PathBuf,
}

impl Workshop {
    fn new() -> Workshop {
        let folder = common::temporary_folder("tour");
        for name in ["bin", "lib", "include", "work"] {
            fs::create_dir(folder.join(name)).expect("a folder");
        }
        let link = |of: &Path, at: &str| symlink(of, folder.join(at)).expect("a link");
        // The launcher looks for the library beside itself, where links lead.
        fs::copy(env!("CARGO_BIN_EXE_glebe"), folder.join("bin/glebe")).expect("the launcher");
        link(&common::shipped_library(), "lib/libglebe.so");
        link(&common::shipped_library(), "lib/libglebe.so.0");
        link(
            &common::package().join("include/glebe.h"),
            "include/glebe.h",
        );
        link(&common::package().join("examples"), "work/examples");
        Workshop {
            folder,
            programs: rust_examples(),
        }
    }

    /// `command` as a shell carries it out.
    fn shell(&self, command: &str) -> Command {
        let as_written = ["cargo run -q --example ", "target/debug/examples/"];
        let written = as_written.iter().find(|it| command.contains(**it));
        let built = format!("{}/", self.programs.display());
        let command = written.map_or(command.to_owned(), |it| command.replace(it, &built));
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(command)
            .current_dir(self.folder.join("work"));
        common::without_allocator_settings(&mut shell);
        let path = std::env::var("PATH").unwrap_or_default();
        shell
            .env(
                "PATH",
                format!("{}:{path}", self.folder.join("bin").display()),
            )
            .env("CPATH", self.folder.join("include"))
            .env("LIBRARY_PATH", self.folder.join("lib"))
            .env("LD_LIBRARY_PATH", self.folder.join("lib"))
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100");
        shell
    }

    /// Whether the picture that was made just now is of the same as the one in the text.
    fn hold_picture(&self, name: &str) -> Result<(), String> {
        let read = |path: PathBuf| {
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let made = read(self.folder.join("work").join(name))?;
        let shown = read(common::package().join("docs/tour").join(name))?;
        let (made, shown) = (contents_of(&made), contents_of(&shown));
        if made == shown && !made.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{name} shows {made:?}, and that of the text {shown:?}"
        ))
    }

    /// Carries a session out; what is wrong with it.
    fn hold(&self, session: &[Step]) -> Result<(), String> {
        let mut stopped: Option<Stopped> = None;
        for step in session {
            let command = match &stopped {
                Some(process) => step.command.replace("$!", &process.0.id().to_string()),
                None => step.command.clone(),
            };
            let printed = if let Some(command) = command.strip_suffix(" &") {
                let child = self.shell(&format!("exec env {command}")).spawn();
                stopped = Some(Stopped(child.expect("sh starts")));
                stopped.as_ref().expect("just started").wait()?;
                String::new()
            } else if command.starts_with("kill -CONT ") {
                let process = stopped.as_ref().ok_or("no process that is stopped")?;
                process.go_on()?;
                String::new()
            } else {
                let outcome = common::run(self.shell(&command));
                let words = format!("{}{}", outcome.stdout, outcome.stderr);
                if !outcome.status.success() {
                    return Err(format!("$ {command}\n{words}{}", outcome.status));
                }
                words
            };
            if let Some(name) = picture_made_by(&command) {
                self.hold_picture(name)?;
            }
            let lines: Vec<&str> = printed.lines().collect();
            if !is_as_expected(&step.output, &lines) {
                let expected = step.output.join("\n");
                return Err(format!(
                    "$ {command}\n{printed}\nbut the text has\n{expected}"
                ));
            }
        }
        Ok(())
    }
}

/// A process that stops at its moments; ends with this value.
struct Stopped(Child);

impl Stopped {
    fn process(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }

    /// Until it has stopped, or ended.
    fn wait(&self) -> Result<(), String> {
        let started = Instant::now();
        let flags = WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG;
        loop {
            match waitpid(self.process(), Some(flags)) {
                Ok(WaitStatus::Stopped(..) | WaitStatus::Exited(_, 0)) => return Ok(()),
                Ok(WaitStatus::StillAlive) if started.elapsed() < common::PATIENCE => {
                    thread::sleep(Duration::from_millis(2));
                }
                other => return Err(format!("the program neither stops nor ends: {other:?}")),
            }
        }
    }

    fn go_on(&self) -> Result<(), String> {
        kill(self.process(), Signal::SIGCONT).map_err(|error| error.to_string())?;
        self.wait()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Child remembers nobody who was waited for past it, so a number is not killed twice.
        if waitpid(self.process(), Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The folder of the Rust examples, built as this test was.
fn rust_examples() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.ancestors().nth(2).expect("PROFILE/deps/tour");
    let target = profile.parent().expect("TARGET/PROFILE");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(common::package())
        .args([
            "build",
            "--examples",
            "--offline",
            "--quiet",
            "--target-dir",
        ])
        .arg(target);
    match profile.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => {}
        Some(name) => {
            cargo.args(["--profile", name]);
        }
    }
    let output = cargo.output().expect("cargo starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?}: {words}");
    profile.join("examples")
}

#[test]
fn every_c_program_compiles_without_a_warning() {
    let folder = common::temporary_folder("tour-warnings");
    for (path, _) in tour().into_iter().flat_map(|section| section.programs) {
        if path.ends_with(".c") {
            let source = common::package().join(&path);
            common::compile_c(&source, &["-c"], &folder.join("object.o"));
        }
    }
}

#[test]
fn every_command_prints_what_the_text_says() {
    let workshop = Workshop::new();
    let part = std::env::var("TOUR").unwrap_or_default();
    let failures = Mutex::new(Vec::new());
    let sections: Vec<Section> = tour()
        .into_iter()
        .filter(|it| it.title.contains(&part))
        .collect();
    assert!(!sections.is_empty(), "no section is named *{part}*");
    common::in_parallel(sections, |section| {
        for session in &section.sessions {
            match workshop.hold(session) {
                Ok(()) => {}
                Err(words) if NOT_HERE.iter().any(|it| words.contains(it)) => {
                    common::skip(&format!("{}: {words}", section.title));
                }
                Err(words) => {
                    let failure = format!("{}:\n{words}", section.title);
                    failures.lock().expect("the list is whole").push(failure);
                }
            }
        }
    });
    let failures = failures.into_inner().expect("the list is whole");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
