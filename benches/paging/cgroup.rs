//! A memory cgroup, of either version, in which a program runs.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Removed with the value, and what still runs in it is killed.
pub(crate) struct Cgroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Without a limit. Err says why there is none.
    pub(crate) fn create() -> Result<Self, String> {
        let (root, version) = hierarchy().ok_or("no memory cgroups")?;
        let folder = root.join(format!("glebe-paging-{}", std::process::id()));
        if version == Version::Two {
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        fs::create_dir(&folder).map_err(|why| format!("no cgroup: {why}"))?;
        let group = Self { folder, version };
        match group.usage_kib() {
            Some(_) => Ok(group),
            None => Err("no account of memory in a cgroup".to_owned()),
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The file that takes the processes.
    pub(crate) fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    pub(crate) fn limit(&self, kib: u64) -> Result<(), String> {
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        fs::write(self.folder.join(file), (kib * 1024).to_string())
            .map_err(|why| format!("no limit of a cgroup: {why}"))
    }

    /// All that is charged to it but the page cache of files, which anybody may have read.
    pub(crate) fn usage_kib(&self) -> Option<f64> {
        let (all, files) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_cache "),
            Version::Two => ("memory.current", "file "),
        };
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).ok();
        let all: f64 = read(all)?.trim().parse().ok()?;
        let stat = read("memory.stat")?;
        let files = stat.lines().find_map(|line| line.strip_prefix(files))?;
        Some((all - files.parse::<f64>().ok()?) / 1024.0)
    }

    /// What of it is swapped out, uncompressed.
    pub(crate) fn swapped_kib(&self) -> f64 {
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let bytes = match self.version {
            Version::One => {
                let stat = read("memory.stat");
                let line = stat
                    .lines()
                    .find_map(|line| line.strip_prefix("total_swap "));
                line.and_then(|it| it.parse::<f64>().ok())
            }
            Version::Two => read("memory.swap.current").trim().parse().ok(),
        };
        bytes.unwrap_or(0.0) / 1024.0
    }

    pub(crate) fn kill(&self) {
        let text = fs::read_to_string(self.processes()).unwrap_or_default();
        for process in text.lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::remove_dir(&self.folder).is_err() {
            if Instant::now() > deadline {
                return eprintln!("{} stays: remove it", self.folder.display());
            }
            self.kill();
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Where groups of memory are made.
fn hierarchy() -> Option<(PathBuf, Version)> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mut found = mounts.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, folder, kind, options, ..] = words[..] else {
            return None;
        };
        let folder = Path::new(folder);
        let controllers = || fs::read_to_string(folder.join("cgroup.controllers"));
        match kind {
            "cgroup" if options.split(',').any(|it| it == "memory") => {
                Some((folder.to_owned(), Version::One))
            }
            "cgroup2" if controllers().is_ok_and(|it| it.contains("memory")) => {
                Some((folder.to_owned(), Version::Two))
            }
            _ => None,
        }
    });
    found.next()
}
