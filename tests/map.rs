//! The map of real programs, stopped, beside what the kernel says of each of their mappings.

mod common;

use glebe::{AddressSpace, MapError, MapKind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a mapping has, in bytes: its size, and what is resident, swapped and in huge pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mapping {
    start: usize,
    end: usize,
    resident: usize,
    swapped: usize,
    huge: usize,
}

/// The mappings of a process, as /proc/PID/smaps says.
fn smaps(process: i32) -> Vec<Mapping> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps")).expect("/proc/PID/smaps");
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let range = first
            .split_once('-')
            .map(|(start, end)| [start, end].map(|digits| usize::from_str_radix(digits, 16).ok()));
        if let Some([Some(start), Some(end)]) = range {
            mappings.push(Mapping {
                start,
                end,
                resident: 0,
                swapped: 0,
                huge: 0,
            });
            continue;
        }
        let mapping = mappings.last_mut().expect("a mapping comes first");
        let field = match first {
            "Rss:" => &mut mapping.resident,
            "Swap:" => &mut mapping.swapped,
            "AnonHugePages:" => &mut mapping.huge,
            _ => continue,
        };
        *field = second.parse::<usize>().expect("a number") << 10;
    }
    mappings
}

/// The same, added up from a map: the runs of its regions, each in the mapping that it lies in.
fn from_map(map: &AddressSpace, mappings: &[Mapping]) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = mappings.to_vec();
    for it in &mut found {
        (it.resident, it.swapped, it.huge) = (0, 0, 0);
    }
    let mut covered = 0;
    for index in 0..map.regions().len() {
        for run in map.runs(index) {
            assert!(run.start < run.end, "{run:?} of {:?}", map.regions()[index]);
            covered += run.end - run.start;
            let mut at = run.start;
            while at < run.end {
                let place = found.partition_point(|it| it.end <= at);
                let mapping = &mut found[place];
                assert!(mapping.start <= at, "{run:?} is in no mapping");
                let end = run.end.min(mapping.end);
                match run.state {
                    glebe::MapPageState::Resident => {
                        mapping.resident += end - at;
                        mapping.huge += if run.page_bytes > 4096 { end - at } else { 0 };
                    }
                    glebe::MapPageState::Swapped => mapping.swapped += end - at,
                    _ => {}
                }
                at = end;
            }
        }
    }
    let all: usize = mappings.iter().map(|it| it.end - it.start).sum();
    assert_eq!(
        covered, all,
        "the regions are the mappings, every byte of them"
    );
    found
}

/// A program that has done its work and waits for more, in a folder of its own; killed when it is
/// dropped.
struct Waiting {
    child: Child,
    _folder: common::TemporaryFolder,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Waiting {
    fn id(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process's number")
    }

    /// Stops it, and waits until each of its threads has stopped.
    fn stop(&self) {
        kill(Pid::from_raw(self.id()), Signal::SIGSTOP).expect("it lives");
        let is_stopped = |thread: &fs::DirEntry| {
            let state = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            let state = state
                .rsplit(')')
                .next()
                .unwrap_or("")
                .trim_start()
                .to_owned();
            state.starts_with('T') || state.is_empty()
        };
        loop {
            let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it lives");
            if threads.flatten().all(|thread| is_stopped(&thread)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The programs: how each is started, so that it writes a line with `ready` once it has done its
/// work, and waits.
const PROGRAMS: [(&str, &[&str], &str); 5] = [
    (
        "python3",
        &[
            "-c",
            "import sys\nd = {str(i): [i] * 3 for i in range(200000)}\nb = bytearray(30 << 20)\nprint('ready', flush=True)\nsys.stdin.read()",
        ],
        "",
    ),
    (
        "perl",
        &[
            "-e",
            "$| = 1; $h{$_} = \"value $_\" x 3 for 1 .. 200000; print \"ready\\n\"; <STDIN>;",
        ],
        "",
    ),
    (
        "sqlite3",
        &["-interactive", ":memory:"],
        "CREATE TABLE t (a INTEGER, b TEXT);\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;\nSELECT 'rea' || 'dy';\n",
    ),
    (
        "awk",
        &[
            "BEGIN { for (i = 0; i < 200000; i++) a[i] = i \" and \" i; print \"ready\"; fflush(); getline }",
        ],
        "",
    ),
    (
        "redis-server",
        &["--port", "0", "--unixsocket", "socket", "--save", ""],
        "",
    ),
];

/// Starts a program; `None`, with a word about it, where it is not installed.
fn start(
    (program, arguments, input): (&str, &[&str], &str),
    prepare: impl Fn(&mut Command),
) -> Option<Waiting> {
    let mut command = Command::new(program);
    common::without_allocator_settings(&mut command);
    prepare(&mut command);
    let folder = common::temporary_folder(program);
    command.args(arguments).current_dir(&*folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        common::skip(&format!("{program} is not installed"));
        return None;
    };
    let mut waiting = Waiting {
        child,
        _folder: folder,
    };
    let stdin = waiting.child.stdin.as_mut().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    stdin.flush().expect("it reads");
    let output = BufReader::new(waiting.child.stdout.as_mut().expect("a pipe"));
    let is_ready = |line: &std::io::Result<String>| {
        line.as_ref()
            .is_ok_and(|line| line.to_lowercase().contains("ready"))
    };
    let ready = output.lines().find(is_ready);
    assert!(ready.is_some(), "{program} ended early");
    Some(waiting)
}

/// Holds the map of a stopped program beside smaps: to the page, in each mapping.
fn agrees(program: &str, waiting: &Waiting) -> AddressSpace {
    const TRIES: usize = 20;
    waiting.stop();
    for _ in 0..TRIES {
        // Whoever else uses the machine may have the kernel take pages away from a stopped program
        // too: what counts is that nothing has changed from before to after.
        let before = smaps(waiting.id());
        let map = AddressSpace::of_process(waiting.id()).expect("a map");
        if smaps(waiting.id()) != before {
            continue;
        }
        let found = from_map(&map, &before);
        for (found, said) in found.iter().zip(&before) {
            assert_eq!(found, said, "{program}");
        }
        return map;
    }
    panic!("{program}: what is resident changes all the time");
}

fn bytes_of(map: &AddressSpace, kind: MapKind) -> usize {
    let regions = map.regions().iter().filter(|region| region.kind == kind);
    regions
        .map(|region| region.resident_bytes + region.evicted_bytes)
        .sum()
}

#[test]
fn the_map_agrees_with_the_kernel_to_the_page_on_programs_that_do_not_run_glebe() {
    for program in PROGRAMS {
        let Some(waiting) = start(program, |_| ()) else {
            continue;
        };
        let map = agrees(program.0, &waiting);
        assert!(!map.runs_glebe(), "{program:?}");
        assert_eq!(bytes_of(&map, MapKind::Slabs), 0);
        for kind in [MapKind::Text, MapKind::Data, MapKind::Stack] {
            assert!(bytes_of(&map, kind) > 0, "{program:?} has no {kind:?}");
        }
    }
}

#[test]
fn the_map_agrees_with_the_kernel_to_the_page_on_programs_that_run_glebe() {
    for program in PROGRAMS {
        let preload = |command: &mut Command| {
            command.env("LD_PRELOAD", common::shipped_library());
        };
        let Some(waiting) = start(program, preload) else {
            continue;
        };
        let map = agrees(program.0, &waiting);
        assert!(map.runs_glebe(), "{program:?}");
        assert!(bytes_of(&map, MapKind::Slabs) > 100 << 10, "{program:?}");
        assert!(bytes_of(&map, MapKind::HeapTables) > 0, "{program:?}");
        let slabs = map.regions().iter().filter(|it| it.kind == MapKind::Slabs);
        assert!(slabs.clone().all(|it| it.block_bytes >= 16));
        let live: usize = slabs.map(|it| it.live_blocks * it.block_bytes).sum();
        let resident = bytes_of(&map, MapKind::Slabs);
        // Blocks in use are in memory, but for the rest of a page and what was never written.
        assert!(
            live > 0 && live < 4 * resident,
            "{program:?}: {live} of {resident}"
        );
    }
}

#[test]
fn the_map_tells_what_a_budget_has_moved_out() {
    let preload = |command: &mut Command| {
        command
            .env("LD_PRELOAD", common::shipped_library())
            .env("GLEBE_BUDGET", "24M")
            .env("GLEBE_STORE", "both");
    };
    let mut trial = Command::new("true");
    preload(&mut trial);
    let outcome = common::run({
        trial.env("GLEBE_BUDGET_REQUIRED", "1");
        trial
    });
    if !outcome.status.success() {
        common::skip(&format!("no budget: {}", outcome.stderr.trim()));
        return;
    }
    let Some(waiting) = start(PROGRAMS[1], preload) else {
        return;
    };
    let map = agrees(PROGRAMS[1].0, &waiting);
    let evicted: usize = map
        .regions()
        .iter()
        .map(|region| region.evicted_bytes)
        .sum();
    assert!(evicted > 4 << 20, "{evicted} bytes are out");
    assert!(bytes_of(&map, MapKind::PagingStore) > 0);
}

#[test]
fn a_process_that_ends_or_is_none_has_no_map() {
    let Some(waiting) = start(PROGRAMS[3], |_| ()) else {
        return;
    };
    let process = waiting.id();
    let mut map = AddressSpace::of_process(process).expect("a map");
    drop(waiting);
    assert_eq!(map.refresh(), Err(MapError::NoProcess));
    assert!(map.regions().is_empty());
    assert_eq!(
        AddressSpace::of_process(process).err(),
        Some(MapError::NoProcess)
    );
    assert!(!MapError::NoProcess.to_string().is_empty());
}
