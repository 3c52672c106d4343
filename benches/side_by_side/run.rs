//! One run of one program under one allocator, and what it cost.

use crate::allocators::{Allocator, Kind, repository};
use crate::rows::Row;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Nothing here takes nearly as long, unless it hangs.
const MOST_SECONDS: &str = "300";

/// A row that can run here.
pub(crate) struct Job {
    pub(crate) row: &'static Row,
    pub(crate) program: PathBuf,
    /// Percent of the program's own amount of work.
    pub(crate) scale: u32,
    pub(crate) rounds: usize,
    /// So long after its start the row gets further rounds, if it needs them.
    pub(crate) patience: Duration,
}

/// What one run cost.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_kib: f64,
    /// Resident when everything was freed, where the program says so.
    pub(crate) final_kib: Option<f64>,
    pub(crate) faults: f64,
    /// Value and unit by name.
    pub(crate) metrics: BTreeMap<String, (f64, String)>,
    /// What must be the same under every allocator.
    pub(crate) result: String,
}

/// The folder with the compiled programs, in which everything runs; removed with the value.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
}

impl Stage {
    /// Compiles the two programs that start others, the two floors, and the jobs' workloads.
    pub(crate) fn set_up(jobs: &[Job]) -> Self {
        let name = format!("glebe-side-by-side-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        let stage = Self { folder };
        let own = repository().join("benches/side_by_side");
        let shared = ["-shared", "-fPIC", "-fno-builtin"];
        stage.compile("start", &own.join("start.c"), &["-static"]);
        stage.compile("resident", &own.join("resident.c"), &["-static"]);
        stage.compile("nothing", &own.join("nothing.c"), &shared);
        let empty = stage.folder.join("empty.c");
        fs::write(&empty, "extern int nothing_here;\n").expect("the folder is ours");
        stage.compile("empty", &empty, &shared);
        let mut workloads: Vec<&str> = jobs.iter().map(|it| it.row.program).collect();
        workloads.retain(|it| source(it).exists());
        workloads.sort_unstable();
        workloads.dedup();
        // Two at a time.
        let flags = ["-g", "-fno-builtin", "-pthread", "-lm"];
        for some in workloads.chunks(2) {
            thread::scope(|scope| {
                for name in some {
                    scope.spawn(|| stage.compile(name, &source(name), &flags));
                }
            });
        }
        stage
    }

    pub(crate) fn compile(&self, name: &str, source: &Path, flags: &[&str]) {
        let is_c = source.extension().is_some_and(|it| it == "c");
        let mut compiler = Command::new(if is_c { "gcc" } else { "g++" });
        compiler
            .arg(if is_c { "-std=gnu11" } else { "-std=gnu++17" })
            .args(["-O2", "-o"])
            .arg(self.folder.join(name))
            .arg(source)
            .args(flags);
        assert!(
            compiler.status().is_ok_and(|it| it.success()),
            "{compiler:?}"
        );
    }

    pub(crate) fn floors(&self) -> [Allocator; 2] {
        [("nothing", Kind::Nothing), ("empty", Kind::Empty)]
            .map(|(name, kind)| Allocator::new(name, kind, self.folder.join(name)))
    }

    /// A command with a clean environment: a variable of the user's could change an allocator.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("LC_ALL", "C.UTF-8")
            // python3 would serve small blocks itself, and hash strings by chance.
            .envs([("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "0")])
            .stdin(Stdio::null());
        command
    }

    /// A command that runs the program on the allocator, and reports what it cost.
    pub(crate) fn start(&self, program: &Path, allocator: &Allocator) -> Command {
        let mut start = self.command(&self.folder.join("start"));
        start.args(["report", MOST_SECONDS]).arg(program);
        preload(&mut start, allocator);
        start
    }

    /// What was reported; Err says how the program failed.
    pub(crate) fn report(&self) -> Result<Run, String> {
        let text = fs::read_to_string(self.folder.join("report")).unwrap_or_default();
        let numbers: Vec<f64> = text.split(' ').flat_map(|it| it.trim().parse()).collect();
        let [nanoseconds, microseconds, peak_kib, faults, status] = numbers[..] else {
            return Err("did not start".to_owned());
        };
        match status as i32 {
            0 => Ok(Run {
                wall_seconds: nanoseconds / 1e9,
                cpu_seconds: microseconds / 1e6,
                peak_kib,
                faults,
                ..Run::default()
            }),
            9 => Err("killed: out of time or memory".to_owned()),
            status if status & 0x7f != 0 => Err(format!("killed by signal {}", status & 0x7f)),
            status => Err(format!("exit status {}", status >> 8)),
        }
    }

    /// One run of a job's program.
    pub(crate) fn run(&self, job: &Job, allocator: &Allocator) -> Result<Run, String> {
        let output = self.folder.join("output");
        let file = File::create(&output).expect("the folder is ours");
        let mut start = self.start(&job.program, allocator);
        start.args(job.arguments()).stdout(file);
        let ended = start.output().expect("it starts");
        let mut run = self.report().map_err(|how| {
            let said = String::from_utf8_lossy(&ended.stderr);
            format!("{how} {}", said.lines().next().unwrap_or_default())
        })?;
        if job.row.group.is_installed() {
            let mut hash = DefaultHasher::new();
            fs::read(&output).expect("it was written").hash(&mut hash);
            run.result = format!("{:016x}", hash.finish());
        } else {
            run.read_protocol(&fs::read_to_string(&output).unwrap_or_default())?;
            // The final figure is exact, and the kernel's account of the peak may lag behind.
            run.peak_kib = run.peak_kib.max(run.final_kib.unwrap_or(0.0));
        }
        Ok(run)
    }

    /// KiB resident when the program ends, exactly; None where it may not be traced.
    pub(crate) fn resident_at_end(&self, job: &Job, allocator: &Allocator) -> Option<f64> {
        let mut resident = self.command(&self.folder.join("resident"));
        resident.arg(&job.program).args(job.arguments());
        preload(&mut resident, allocator);
        let output = resident.output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    }
}

impl Job {
    fn arguments(&self) -> impl Iterator<Item = String> {
        let here = repository().join("benches/programs");
        let scale = self.scale.to_string();
        let own = (!self.row.group.is_installed()).then(|| format!("scale={scale}"));
        let words = self.row.arguments.iter();
        words
            .map(move |word| {
                word.replace("$scale", &scale)
                    .replace("$here", &here.to_string_lossy())
            })
            .chain(own)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Run {
    /// The lines that every workload prints at its end.
    pub(crate) fn read_protocol(&mut self, output: &str) -> Result<(), String> {
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse().map_err(|_| format!("printed: {line}"));
            match words[..] {
                ["check", result] => self.result = result.to_owned(),
                ["final_resident", kib] => self.final_kib = Some(number(kib)?),
                ["metric", name, value, unit] => {
                    let metric = (number(value)?, unit.to_owned());
                    self.metrics.insert(name.to_owned(), metric);
                }
                _ => return Err(format!("printed: {line}")),
            }
        }
        match self.result.is_empty() {
            true => Err("printed no result".to_owned()),
            false => Ok(()),
        }
    }
}

fn preload(command: &mut Command, allocator: &Allocator) {
    if let Some(library) = &allocator.library {
        command.env("LD_PRELOAD", library);
    }
    command.envs(allocator.environment.iter().cloned());
}

/// The source of a workload, in C or C++.
fn source(workload: &str) -> PathBuf {
    let file = repository().join("benches/workloads").join(workload);
    match file.with_extension("c") {
        c if c.exists() => c,
        _ => file.with_extension("cc"),
    }
}
