//! How many instructions of the release library one call takes on each path that programs take
//! most: `cargo bench --bench instructions`. Unlike a time, a count is the same on every machine,
//! so it is compared with `benches/instructions/counts.txt`: the bench fails where a count rose,
//! and the commit that makes it rise writes the file anew (`-- --update`) and says why.
//!
//! Callgrind counts. Only what lies in libglebe.so counts: not the loop, the PLT, nor libc's
//! memset, of which every machine picks another. Times: `--bench layers`, `--bench side_by_side`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What malloc and free together may take for a small block.
const PAIR_LIMIT: f64 = 40.0;
const SMALL_SIZES: [&str; 3] = ["16 B", "256 B", "1 KiB"];

/// The function of the driver in which a path is counted.
const REGION: &str = "measured";
/// How the driver calls what is counted: by a function `door_malloc`, …
const DOOR: &str = "door_";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    if !arguments.iter().any(|it| it == "--bench") {
        println!("instructions: counts only as `cargo bench --bench instructions`");
        return ExitCode::SUCCESS;
    }
    if let Err(reason) = can_count() {
        common::skip(&format!("instructions: {reason}: NOTHING WAS COUNTED"));
        return ExitCode::SUCCESS;
    }
    let counts = Counts::take();
    let known = Counts::from_text(&fs::read_to_string(file()).unwrap_or_default());
    print!("{}", counts.table(&known));
    if arguments.iter().any(|it| it == "--update") {
        fs::write(file(), counts.to_text()).expect("the file is writable");
        println!("wrote {}", file().display());
        return ExitCode::SUCCESS;
    }
    counts.verdict(&known)
}

/// Whether valgrind is here, and the processor is the one of the file.
fn can_count() -> Result<(), String> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err("the counts on file are x86-64's".to_owned());
    }
    match Command::new("valgrind").arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => Err("no valgrind here".to_owned()),
        _ => Ok(()),
    }
}

fn file() -> PathBuf {
    folder().join("counts.txt")
}

fn folder() -> PathBuf {
    common::package().join("benches/instructions")
}

/// The compiler's version: another one makes other instructions of the same source.
fn compiler() -> String {
    let rustc = Command::new("rustc").arg("--version").output();
    let version = rustc.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    version.expect("rustc runs")
}

/// Instructions per call, by path.
struct Counts {
    compiler: String,
    by_path: Vec<(String, f64)>,
}

impl Counts {
    fn take() -> Counts {
        let folder = common::temporary_folder("instructions");
        let driver = folder.join("paths");
        common::compile_c(&self::folder().join("paths.cc"), &[], &driver);
        let mut by_path = Vec::new();
        for (source, arguments, remark) in [
            ("auto", &[][..], ""),
            // Where the program break does not serve, an address may find its span otherwise.
            ("mmap", &["16 B"], ", from mmap"),
        ] {
            let profile = folder.join(source);
            for (path, count) in count(&driver, arguments, source, &profile) {
                by_path.push((path + remark, count));
            }
        }
        Counts {
            compiler: compiler(),
            by_path,
        }
    }

    fn of(&self, path: &str) -> Option<f64> {
        let found = self.by_path.iter().find(|(known, _)| known == path);
        found.map(|(_, count)| *count)
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "# Instructions of libglebe.so per call, by {}.\n\
             # Written by `cargo bench --bench instructions -- --update`.\n",
            self.compiler
        );
        for (path, count) in &self.by_path {
            text += &format!("{path:<32}{count:>8}\n");
        }
        text
    }

    fn from_text(text: &str) -> Counts {
        let (remarks, lines): (Vec<_>, Vec<_>) = text.lines().partition(|it| it.starts_with('#'));
        let compiler = remarks
            .iter()
            .find_map(|it| it.split_once(", by ")?.1.strip_suffix('.'));
        Counts {
            compiler: compiler.unwrap_or_default().to_owned(),
            by_path: lines
                .iter()
                .filter_map(|line| line.rsplit_once(' '))
                .map(|(path, count)| {
                    let count = count.parse().expect("a line ends with its count");
                    (path.trim_end().to_owned(), count)
                })
                .collect(),
        }
    }

    fn table(&self, known: &Counts) -> String {
        let mut table = String::from("instructions per call             now  on file\n");
        for (path, count) in &self.by_path {
            let on_file = known.of(path).map_or("-".to_owned(), |it| it.to_string());
            table += &format!("{path:<29}{count:>8}{on_file:>9}\n");
        }
        for size in SMALL_SIZES {
            if let [Some(malloc), Some(free)] =
                ["malloc", "free"].map(|door| self.of(&format!("{door} {size}")))
            {
                let pair = malloc + free;
                let missed = if pair > PAIR_LIMIT { ", MISSED" } else { "" };
                let what = format!("malloc + free {size}");
                table += &format!("{what:<29}{pair:>8} (at most {PAIR_LIMIT}{missed})\n");
            }
        }
        table
    }

    /// Fails where a count is above the one on file, or a path is only in one of both.
    fn verdict(&self, known: &Counts) -> ExitCode {
        if self.compiler != known.compiler {
            common::skip(&format!(
                "instructions: counted with {}, the file with {}: NOT COMPARED",
                self.compiler, known.compiler
            ));
            return ExitCode::SUCCESS;
        }
        let mut passed = true;
        let mut fell = 0;
        for (path, count) in &self.by_path {
            match known.of(path) {
                Some(before) if *count > before => {
                    eprintln!("ROSE: {path}: from {before} to {count} instructions");
                    passed = false;
                }
                Some(before) => fell += u32::from(*count < before),
                None => {
                    eprintln!("NEW: {path}: {count} instructions, not on file");
                    passed = false;
                }
            }
        }
        for (path, _) in &known.by_path {
            if self.of(path).is_none() {
                eprintln!("GONE: {path}: on file, and not counted any more");
                passed = false;
            }
        }
        if fell > 0 {
            eprintln!("{fell} counts fell: please run with --update, so that they stay there");
        }
        if passed {
            return ExitCode::SUCCESS;
        }
        eprintln!(
            "If that is meant, `cargo bench --bench instructions -- --update`, and the commit \
             says why."
        );
        ExitCode::FAILURE
    }
}

/// Runs the driver under callgrind, which writes `profile`: instructions per call, by door and path.
fn count(driver: &Path, arguments: &[&str], source: &str, profile: &Path) -> Vec<(String, f64)> {
    let library = common::shipped_library();
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind", "--combine-dumps=yes"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(format!("--zero-before={REGION}"))
        .arg(format!("--dump-after={REGION}"))
        // The name of a function becomes the chain of its callers: deeper than any of ours.
        .arg("--separate-callers=64")
        .arg(driver)
        .args(arguments)
        .env_clear()
        .env("GLEBE_SOURCE", source)
        // A block is sampled by the clock, so on a slow machine one more of the calls may be.
        .env("GLEBE_SAMPLE", "0")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LD_PRELOAD", &library);
    let outcome = common::run(valgrind);
    assert!(outcome.status.success(), "{outcome:#?}");
    let text = fs::read_to_string(profile).expect("callgrind writes its profile");
    let regions = regions(&text, &library);
    assert_eq!(regions.len(), outcome.stdout.lines().count());
    let mut counts = Vec::new();
    for (line, mut doors) in outcome.stdout.lines().zip(regions) {
        doors.sort_by_key(|(door, _)| ["free", "delete"].contains(&door.as_str()));
        let (calls, path) = line.split_once(' ').expect("calls, then the path's name");
        let calls: f64 = calls.parse().expect("a number of calls");
        for (door, instructions) in doors {
            let count = rounded(instructions as f64 / calls);
            counts.push((format!("{door} {path}"), count));
        }
    }
    counts
}

/// To a tenth: paths that do more every so many calls have a mean.
fn rounded(count: f64) -> f64 {
    (count * 10.0).round() / 10.0
}

/// For each region of a profile, the instructions inside `library` by door. The format is
/// described in valgrind's manual, "Callgrind Format Specification".
fn regions(profile: &str, library: &Path) -> Vec<Vec<(String, u64)>> {
    let library = library.to_string_lossy();
    let mut regions = Vec::new();
    let mut doors: BTreeMap<String, u64> = BTreeMap::new();
    let mut objects = Names::default();
    let mut functions = Names::default();
    let (mut inside, mut door) = (false, None);
    let mut is_region = false;
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        if let Some(trigger) = line.strip_prefix("desc: Trigger: ") {
            is_region = trigger == format!("--dump-after={REGION}");
        } else if let Some(object) = line.strip_prefix("ob=") {
            inside = objects.resolve(object) == library;
        } else if let Some(object) = line.strip_prefix("cob=") {
            objects.resolve(object);
        } else if let Some(chain) = line.strip_prefix("fn=") {
            let mut callers = functions.resolve(chain).split('\'');
            door = callers.find_map(|it| Some(it.strip_prefix(DOOR)?.to_owned()));
        } else if let Some(chain) = line.strip_prefix("cfn=") {
            functions.resolve(chain);
        } else if line.starts_with("calls=") {
            // What the callee took stands with the callee.
            lines.next();
        } else if line.starts_with("totals:") {
            let doors = std::mem::take(&mut doors);
            if is_region {
                regions.push(doors.into_iter().collect());
            }
        } else if let (Some(door), true) = (&door, inside)
            && let Some((position, instructions)) = line.split_once(' ')
            && position.starts_with(|it: char| it.is_ascii_digit() || "+-*".contains(it))
        {
            let instructions: u64 = instructions.parse().expect("one event, a number");
            *doors.entry(door.clone()).or_default() += instructions;
        }
    }
    regions
}

/// Names that a profile gives once, as `(7) name`, and from then on as `(7)`.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn resolve(&mut self, text: &str) -> &str {
        let (number, name) = text.split_once(' ').unwrap_or((text, ""));
        if !name.is_empty() {
            self.0.insert(number.to_owned(), name.to_owned());
        }
        self.0.get(number).map_or("", String::as_str)
    }
}
