//! `glebe map` as a user meets it: what it draws of a process and of a program, on a terminal and
//! elsewhere, and what it says where it cannot.
#![cfg(feature = "launcher")]

mod common;

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::ptr;

use common::{Outcome, run, shipped_library, skip, temporary_folder};
use serde_json::Value;

const GLEBE: &str = env!("CARGO_BIN_EXE_glebe");
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// `glebe map` with the environment of a user who has set nothing.
fn glebe_map() -> Command {
    let mut command = Command::new(GLEBE);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GLEBE_") || text.starts_with("LD_") || text == "NO_COLOR" {
            command.env_remove(&name);
        }
    }
    command.arg("map");
    command
}

/// `glebe map OPTIONS -- PROGRAM` with the shipped library.
fn map_program<const N: usize>(options: &[&str], program: [&str; N]) -> Outcome {
    let mut command = glebe_map();
    command.arg("--library").arg(shipped_library());
    run_and_return(command.args(options).arg("--").args(program))
}

fn run_and_return(command: &mut Command) -> Outcome {
    let mut owned = Command::new("");
    std::mem::swap(command, &mut owned);
    run(owned)
}

/// A shell that has started and waits until it is dropped.
struct Waiting {
    child: Child,
}

impl Waiting {
    fn start(preload: bool) -> Waiting {
        let mut command = Command::new("sh");
        common::without_allocator_settings(&mut command);
        if preload {
            command.env("LD_PRELOAD", shipped_library());
        }
        let mut child = command
            .args(["-c", "echo ready; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        assert_eq!(line, "ready\n");
        Waiting { child }
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }

    fn map(&self, options: &[&str]) -> Outcome {
        run_and_return(glebe_map().args(options).arg(self.id()))
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("the shell ends");
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

/// What was written, if all went well.
fn good(outcome: Outcome) -> String {
    assert!(
        outcome.status.success() && outcome.stderr.is_empty(),
        "{outcome:?}"
    );
    outcome.stdout
}

/// The command ended with `status` and said one line, with `words` in it.
fn assert_says(outcome: &Outcome, status: i32, words: &str) {
    assert_eq!(outcome.status.code(), Some(status), "{outcome:?}");
    assert!(
        outcome.stderr.starts_with("glebe: ")
            && outcome.stderr.lines().count() == 1
            && outcome.stderr.contains(words),
        "wanted one line with {words:?}: {outcome:?}"
    );
}

/// The addresses at the beginning of the lines of a table.
fn addresses(text: &str) -> Vec<u64> {
    let first = |line: &str| u64::from_str_radix(line.get(..12)?, 16).ok();
    text.lines().filter_map(first).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name}: {value}"))
}

/// The words of an SVG document, which is parsed.
fn words(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("XML");
    let root = document.root_element();
    assert!(root.has_tag_name(("http://www.w3.org/2000/svg", "svg")));
    assert!(
        !document
            .descendants()
            .any(|node| { node.has_tag_name(("http://www.w3.org/2000/svg", "script")) })
    );
    let texts = document.descendants().filter(|node| node.is_text());
    texts
        .filter_map(|node| node.text().map(str::to_string))
        .collect()
}

#[test]
fn a_map_has_the_program_its_stack_and_the_sums_in_address_order() {
    let process = Waiting::start(false);
    let text = good(process.map(&[]));
    assert!(text.contains("does not run glebe"), "{text}");
    for word in ["program", "library", "stack", "hole", "[stack]", "all "] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let lines = addresses(&text);
    assert!(lines.is_sorted() && lines.len() >= 4, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn a_process_on_glebe_shows_its_slabs_with_the_blocks_in_them() {
    let process = Waiting::start(true);
    let text = good(process.map(&["--all"]));
    assert!(text.contains("runs glebe"), "{text}");
    assert!(text.contains("slabs") && text.contains(" live"), "{text}");
}

#[test]
fn all_shows_what_is_folded_and_the_folded_map_says_so() {
    let process = Waiting::start(true);
    let folded = good(process.map(&[]));
    let all = good(process.map(&["--all"]));
    assert!(addresses(&folded).len() < addresses(&all).len());
    assert!(folded.contains("--all") && !all.contains("--all"));
    let object = json(&good(process.map(&["--json"])));
    // The page in the kernel's half has more digits.
    let regions = object["regions"].as_array().expect("regions");
    let shown = regions.iter().filter(|region| {
        let start = region["start"].as_str().expect("an address");
        start.len() <= "0x".len() + 12
    });
    assert_eq!(addresses(&all).len(), shown.count());
}

#[test]
fn the_sums_in_json_are_those_of_its_regions_and_runs_come_with_pages_alone() {
    let process = Waiting::start(true);
    let text = good(process.map(&["--json"]));
    assert!(!text.contains("\"runs\":["), "{text}");
    let text = good(process.map(&["--json", "--pages", "all"]));
    let object = json(&text);
    assert_eq!(object["process"].to_string(), process.id());
    assert_eq!(object["program"], "sh");
    assert_eq!(object["runs_glebe"], true);
    let regions = object["regions"].as_array().expect("regions");
    let kinds = object["totals"]["kinds"].as_object().expect("kinds");
    for name in ["size", "resident", "dirty", "swapped", "evicted", "huge"] {
        let sum: u64 = regions.iter().map(|region| number(region, name)).sum();
        assert_eq!(number(&object["totals"], name), sum, "{name}");
        let of_kinds: u64 = kinds.values().map(|kind| number(kind, name)).sum();
        assert_eq!(of_kinds, sum, "{name}");
    }
    for region in regions {
        let runs = region["runs"].as_array().expect("runs");
        let resident: u64 = runs
            .iter()
            .filter(|run| run["state"] == "resident")
            .map(|run| address(&run["end"]) - address(&run["start"]))
            .sum();
        assert!(resident >= number(region, "resident"), "{region}");
    }
    let text = good(process.map(&["--json", "--pages", "stack"]));
    let with_runs = json(&text)["regions"]
        .as_array()
        .expect("regions")
        .iter()
        .filter(|region| !region["runs"].is_null())
        .all(|region| region["kind"] == "stack");
    assert!(with_runs && text.contains("\"runs\":["), "{text}");
}

fn address(value: &Value) -> u64 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    u64::from_str_radix(digits.expect("0x"), 16).expect("hexadecimal")
}

#[test]
fn the_picture_is_valid_xml_and_names_the_stack_the_heap_and_the_program() {
    let folder = temporary_folder("map");
    let file = folder.join("map.svg");
    for preload in [false, true] {
        let process = Waiting::start(preload);
        let path = file.to_str().expect("a path in UTF-8");
        assert_eq!(good(process.map(&["--svg", path])), "");
        let words = words(&fs::read_to_string(&file).expect("the picture"));
        for word in ["STACK", "HEAP", "PROGRAM", "LIBRARIES"] {
            assert!(words.iter().any(|it| it == word), "{word}: {words:?}");
        }
        let says = |what: &str| words.iter().any(|it| it.contains(what));
        assert!(says("Each cell is ") && says("low"), "{words:?}");
        let enlarged = good(process.map(&["--svg", "-", "--pages", "stack"]));
        assert!(enlarged.contains("STACK") && !enlarged.contains("LIBRARIES"));
        roxmltree::Document::parse(&enlarged).expect("XML");
    }
}

#[test]
fn pages_enlarges_the_region_of_an_address_and_those_of_a_kind() {
    let process = Waiting::start(false);
    let by_kind = good(process.map(&["--pages", "stack"]));
    assert!(by_kind.contains("[stack]"), "{by_kind}");
    assert!(by_kind.contains("each cell is 4 KiB"), "{by_kind}");
    let (start, _) = by_kind.split_once('-').expect("a range");
    let by_address = good(process.map(&["--pages", &format!("0x{start}")]));
    assert_eq!(by_address, by_kind);
    assert_says(&process.map(&["--pages", "0x10"]), 1, "no such region");
    let bad = process.map(&["--pages", "stacks"]);
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
}

#[test]
fn output_goes_to_the_file_that_is_named() {
    let folder = temporary_folder("map");
    let file = folder.join("map.json");
    let process = Waiting::start(false);
    let path = file.to_str().expect("a path in UTF-8");
    assert_eq!(good(process.map(&["--json", "--output", path])), "");
    json(&fs::read_to_string(&file).expect("the map"));
    let bad = process.map(&["--output", "/nonexistent/map"]);
    assert_says(&bad, 1, "/nonexistent/map");
    let bad = process.map(&["--svg", "/nonexistent/map"]);
    assert_says(&bad, 1, "/nonexistent/map");
}

#[test]
fn what_cannot_be_mapped_is_told_in_one_line_with_1() {
    let mut ended = Waiting::start(false);
    ended.end();
    let outcome = run_and_return(glebe_map().arg(ended.id()));
    assert_says(&outcome, 1, "no such process");
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return skip("another user's process: only root can become another user");
    }
    let process = Waiting::start(false);
    let folder = temporary_folder("map");
    let copy = folder.join("glebe");
    fs::copy(GLEBE, &copy).expect("a copy that another user may run");
    let mut command = Command::new(&copy);
    command.args(["map", &process.id()]).uid(65534).gid(65534);
    let outcome = match command.output() {
        Ok(output) => output,
        Err(error) => return skip(&format!("another user cannot run glebe: {error}")),
    };
    let words = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(1), "{words}");
    assert!(words.contains("not permitted"), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
}

#[test]
fn wrong_use_is_refused_with_2() {
    let id = std::process::id().to_string();
    let uses: [&[&str]; 9] = [
        &[],
        &["0"],
        &["self"],
        &[&id, "--", "true"],
        &["--at-exit", &id],
        &["--after", "1", &id],
        &["--hardened", &id],
        &["--live", "--json", &id],
        &["--after", "0", "--", "true"],
    ];
    for arguments in uses {
        let outcome = run_and_return(glebe_map().args(arguments));
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?} {outcome:?}");
        assert!(outcome.stdout.is_empty(), "{arguments:?} {outcome:?}");
    }
}

#[test]
fn a_program_is_mapped_at_its_end_and_its_output_and_status_pass_through() {
    let outcome = map_program(&[], ["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(outcome.status.code(), Some(7), "{outcome:?}");
    assert_eq!(outcome.stdout, "out\n");
    assert!(outcome.stderr.starts_with("err\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("runs glebe"), "{outcome:?}");
    assert!(outcome.stderr.contains("slabs"), "{outcome:?}");
    assert!(outcome.stderr.contains("[stack]"), "{outcome:?}");
    let at_exit = map_program(&["--at-exit"], ["true"]);
    assert!(at_exit.status.success() && at_exit.stderr.contains("[stack]"));
}

#[test]
fn the_death_of_a_program_passes_through_and_it_is_mapped_all_the_same() {
    let outcome = map_program(&[], ["sh", "-c", "kill -TERM $$"]);
    assert_eq!(outcome.status.signal(), Some(libc::SIGTERM), "{outcome:?}");
    assert!(outcome.stderr.contains("[stack]"), "{outcome:?}");
}

#[test]
fn a_program_keeps_its_stops_signals_and_children() {
    let script = "trap 'echo caught' USR1; kill -USR1 $$; (sleep 0; echo child); \
                  sh -c 'kill -STOP $PPID' & wait $!; echo continued";
    let folder = temporary_folder("map");
    let file = folder.join("map.txt");
    let mut command = glebe_map();
    command.arg("--library").arg(shipped_library());
    command.arg("--output").arg(&file);
    let mut child = command
        .args(["--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("glebe");
    // The program is stopped at some time; SIGCONT goes on being sent until it has ended.
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        let list = fs::read_to_string(&children).unwrap_or_default();
        for id in list.split_whitespace() {
            let state = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            if state.contains(") T ") || state.contains(") t ") {
                // SAFETY: kill reads no memory; the process is the program, which glebe has not
                // waited for while it lists it.
                unsafe { libc::kill(id.parse().expect("a number"), libc::SIGCONT) };
            }
        }
        std::thread::yield_now();
    };
    let mut text = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("text");
    assert!(status.success(), "{status:?} {text}");
    assert_eq!(text, "caught\nchild\ncontinued\n");
    assert!(
        fs::read_to_string(&file)
            .expect("the map")
            .contains("[stack]")
    );
}

#[test]
fn after_seconds_or_at_the_end_before_them_a_program_is_mapped_once() {
    let folder = temporary_folder("map");
    let file = folder.join("map.svg");
    let path = file.to_str().expect("a path in UTF-8");
    // It ends when its map is there.
    let wait = "while ! test -s \"$0\"; do sleep 0.05; done";
    let options = ["--after", "0.1", "--svg", path];
    let outcome = map_program(&options, ["sh", "-c", wait, path]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(words(&fs::read_to_string(&file).expect("the picture")).contains(&"HEAP".into()));
    let outcome = map_program(&["--after", "1000", "--json"], ["true"]);
    assert!(outcome.status.success(), "{outcome:?}");
    json(&outcome.stderr);
}

#[test]
fn a_program_runs_with_the_options_of_run() {
    let outcome = map_program(
        &["--hardened", "--stats=json"],
        ["sh", "-c", "echo $GLEBE_HARDENED $GLEBE_STATS; exec true"],
    );
    assert_eq!(outcome.stdout, "1 json\n", "{outcome:?}");
}

#[test]
fn a_program_that_cannot_be_run_has_no_map_and_the_status_of_run() {
    assert_says(&map_program(&[], ["/nonexistent"]), 127, "not found");
    assert_says(&map_program(&[], ["/"]), 126, "not executable");
    let outcome = run_and_return(glebe_map().args(["--library", "/nonexistent", "--", "true"]));
    assert_eq!(outcome.status.code(), Some(125), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
}

#[test]
fn colour_is_for_terminals_unless_it_is_unwanted_or_wanted_everywhere() {
    let process = Waiting::start(false);
    assert!(good(process.map(&["--color", "always"])).contains("\x1b["));
    assert!(!good(process.map(&[])).contains('\x1b'));
    let on_terminal = |name: &str, value: &str, option: &str| {
        let mut command = glebe_map();
        command
            .env(name, value)
            .args(["--color", option])
            .arg(process.id());
        Terminal::new(80, 200).run(command).contains("\x1b[")
    };
    assert!(on_terminal("NO_COLOR", "", "auto"));
    assert!(!on_terminal("NO_COLOR", "1", "auto"));
    assert!(on_terminal("NO_COLOR", "1", "always"));
    assert!(!on_terminal("UNUSED", "", "never"));
}

#[test]
fn a_map_fits_the_terminal() {
    let process = Waiting::start(true);
    for width in [24, 40, 61, 80, 132] {
        let mut command = glebe_map();
        command.args(["--color", "never"]).arg(process.id());
        let text = Terminal::new(width, 200).run(command);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(width.into()), "{width}: {text}");
        assert!(text.contains("process"), "{text}");
    }
}

#[test]
fn a_view_without_a_terminal_is_frame_after_frame_until_the_process_ends() {
    let mut process = Waiting::start(false);
    let mut view = glebe_map()
        .args(["--live=0.05", &process.id()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("glebe");
    let mut lines = BufReader::new(view.stdout.take().expect("a pipe")).lines();
    let mut wait_for = |words: &str| {
        let mut lines = lines.by_ref().map(|line| line.expect("text"));
        lines.any(|line| line.contains(words))
    };
    assert!(wait_for("[stack]"));
    assert!(wait_for("the last frame"));
    process.end();
    assert!(wait_for("has ended"));
    assert!(view.wait().expect("a status").success());
}

#[test]
fn a_view_gives_the_terminal_back_however_it_ends() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, 0] {
        let mut process = Waiting::start(false);
        let mut command = glebe_map();
        command.args(["--live=0.05", &process.id()]);
        let mut terminal = Terminal::new(60, 12);
        let mut view = terminal.spawn(command);
        let mut text = terminal.read_until("the last frame");
        match signal {
            0 => process.end(),
            // SAFETY: kill reads no memory; the view has not been waited for.
            signal => assert_eq!(unsafe { libc::kill(view.id() as i32, signal) }, 0),
        }
        text += &terminal.read_to_end();
        assert!(view.wait().expect("a status").success(), "{signal}");
        assert_eq!(text.matches(ENTER).count(), 1, "{signal}: {text}");
        let (_, behind) = text.rsplit_once(LEAVE).expect("the screen as it was");
        assert_eq!(behind.is_empty(), signal != 0, "{behind}");
    }
}

#[test]
fn a_frame_fits_the_rows_of_the_terminal() {
    let process = Waiting::start(true);
    let mut command = glebe_map();
    command.args(["--live=0.05", "--all", &process.id()]);
    let mut terminal = Terminal::new(100, 12);
    let mut view = terminal.spawn(command);
    let mut text = terminal.read_until("the last frame");
    // SAFETY: kill reads no memory; the view has not been waited for.
    unsafe { libc::kill(view.id() as i32, libc::SIGTERM) };
    text += &terminal.read_to_end();
    view.wait().expect("a status");
    for frame in text.split("\x1b[H").skip(1) {
        assert!(frame.lines().count() <= 12, "{frame}");
    }
    assert!(text.contains("are not shown"), "{text}");
}

#[test]
fn what_a_program_writes_while_it_is_viewed_comes_when_the_view_has_ended() {
    let mut command = glebe_map();
    command.arg("--library").arg(shipped_library());
    let script = "echo out; echo err >&2; sleep 0.3; exit 3";
    command.args(["--live=0.05", "--", "sh", "-c", script]);
    let mut terminal = Terminal::new(80, 24);
    let mut view = terminal.spawn(command);
    let text = terminal.read_to_end();
    assert_eq!(view.wait().expect("a status").code(), Some(3));
    let (frames, behind) = text.rsplit_once(LEAVE).expect("the screen as it was");
    assert!(frames.contains("runs glebe"), "{frames}");
    assert_eq!(behind, "out\r\nerr\r\n");
}

/// A terminal, of which this process is the other end.
struct Terminal {
    master: File,
    slave: Option<File>,
}

impl Terminal {
    fn new(columns: u16, rows: u16) -> Terminal {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let (mut master, mut slave) = (0, 0);
        // SAFETY: the first two are places for descriptors, the last a size; nothing else is asked.
        let answer =
            unsafe { libc::openpty(&mut master, &mut slave, ptr::null_mut(), ptr::null(), &size) };
        assert_eq!(answer, 0, "no terminal");
        let own = |descriptor| {
            // SAFETY: openpty gave the descriptor to us alone.
            unsafe {
                libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
                File::from_raw_fd(descriptor)
            }
        };
        Terminal {
            master: own(master),
            slave: Some(own(slave)),
        }
    }

    /// The command with this terminal for its output; only it has the terminal from then on.
    fn spawn(&mut self, mut command: Command) -> Child {
        let slave = self.slave.take().expect("one command for a terminal");
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command
            .stdin(Stdio::null())
            .stdout(copy())
            .stderr(copy())
            .spawn()
            .expect("glebe")
    }

    fn run(mut self, command: Command) -> String {
        let mut child = self.spawn(command);
        let text = self.read_to_end();
        assert!(child.wait().expect("a status").success(), "{text}");
        text.replace("\r\n", "\n")
    }

    fn read_until(&mut self, words: &str) -> String {
        let mut bytes = Vec::new();
        loop {
            let mut part = [0; 4096];
            let length = self.master.read(&mut part).expect("more from the terminal");
            bytes.extend_from_slice(&part[..length]);
            let text = String::from_utf8_lossy(&bytes);
            if text.contains(words) {
                return text.into_owned();
            }
        }
    }

    /// Until nobody has the terminal any more, which reads as an error.
    fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = self.master.read(&mut part) {
            bytes.extend_from_slice(&part[..length]);
        }
        let _ = self.master.flush();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
