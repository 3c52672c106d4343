//! glebe beside glibc and the allocators that Debian ships, in one table: `cargo bench --bench
//! foundation`. Each workload runs under every allocator in turn, round after round, so that a
//! noisy moment hits all alike; what is not installed is left out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An allocator: its name and what stands in LD_PRELOAD for it.
struct Allocator {
    name: &'static str,
    library: Option<PathBuf>,
    /// Whether it can serve a real program and several threads.
    complete: bool,
}

/// What one allocator reached in one row.
#[derive(Clone, Copy)]
struct Figure {
    least: f64,
    median: f64,
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            least: values[0],
            median: values[values.len() / 2],
        }
    }
}

/// The figures of one workload by allocator, in the order of the allocators.
struct Row {
    what: String,
    decimals: usize,
    figures: BTreeMap<usize, Figure>,
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("foundation: measures only as `cargo bench --bench foundation`");
    }
    let bench = Bench::set_up();
    let mut rows = Vec::new();
    for (what, workload, argument) in [
        ("malloc + free of 16 B, ns", "pair", "16"),
        ("malloc + free of 256 B, ns", "pair", "256"),
        ("1024 of 64 B, then freed, ns a pair", "pair", "batch"),
        ("ring of mixed sizes, ns a pair", "pair", "ring"),
        (
            "producer/consumer, 1 + 1 threads, ns a block",
            "remote",
            "1",
        ),
        (
            "producer/consumer, 4 + 4 threads, ns a block",
            "remote",
            "4",
        ),
        ("server (Larson), 2 threads, ns a request", "server", "2"),
        ("server (Larson), 16 threads, ns a request", "server", "16"),
    ] {
        rows.push(bench.workload(what, workload, argument));
    }
    rows.extend(bench.program("true", 1000, &["true"]));
    rows.extend(bench.python());
    rows.extend(bench.redis());
    print!("{}", bench.table(&rows));
}

/// The compiled workloads and the allocators found.
struct Bench {
    folder: PathBuf,
    allocators: Vec<Allocator>,
}

impl Bench {
    fn set_up() -> Self {
        let folder = std::env::temp_dir().join(format!("glebe-foundation-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        for (workload, flags) in [
            ("pair", &["-fno-builtin"][..]),
            ("remote", &["-fno-builtin", "-pthread"]),
            ("server", &["-fno-builtin", "-pthread"]),
            ("start", &["-static"]),
            ("nothing", &["-fno-builtin", "-fPIC", "-shared"]),
        ] {
            let mut gcc = Command::new("gcc");
            gcc.args(["-O2", "-o"])
                .arg(folder.join(workload))
                .arg(source(&format!("{workload}.c")))
                .args(flags);
            assert!(gcc.status().is_ok_and(|it| it.success()), "{gcc:?}");
        }
        let mut allocators = vec![
            Allocator {
                name: "glibc",
                library: None,
                complete: true,
            },
            Allocator {
                name: "glebe",
                library: Some(release_library()),
                complete: true,
            },
        ];
        for (name, library) in [
            ("mimalloc", "libmimalloc.so.2"),
            ("jemalloc", "libjemalloc.so.2"),
            ("tcmalloc", "libtcmalloc_minimal.so.4"),
        ] {
            match system_library(library) {
                Some(path) => allocators.push(Allocator {
                    name,
                    library: Some(path),
                    complete: true,
                }),
                None => eprintln!("SKIPPED: {name}: no {library} here"),
            }
        }
        allocators.push(Allocator {
            name: "nothing",
            library: Some(folder.join("nothing")),
            complete: false,
        });
        Self { folder, allocators }
    }

    /// Those that can run more than a toy, or all of them.
    fn allocators(&self, complete: bool) -> impl Iterator<Item = (usize, &Allocator)> {
        let fits = move |it: &(usize, &Allocator)| it.1.complete || !complete;
        self.allocators.iter().enumerate().filter(fits)
    }

    /// One of our programs, which measures itself and writes its minimum and median.
    fn workload(&self, what: &str, workload: &str, argument: &str) -> Row {
        const ROUNDS: usize = 7;
        eprintln!("{what}");
        let mut runs: BTreeMap<usize, Vec<Figure>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for (index, allocator) in self.allocators(workload != "pair") {
                let mut command = Command::new(self.folder.join(workload));
                let numbers = numbers(allocator.preloaded(&mut command).arg(argument));
                runs.entry(index).or_default().push(Figure {
                    least: numbers[0],
                    median: numbers[1],
                });
            }
        }
        let all =
            |runs: &[Figure], of: fn(&Figure) -> f64| Figure::of(runs.iter().map(of).collect());
        Row {
            what: what.to_owned(),
            decimals: 1,
            figures: runs
                .iter()
                .map(|(&index, runs)| {
                    let least = all(runs, |it| it.least).least;
                    let median = all(runs, |it| it.median).median;
                    (index, Figure { least, median })
                })
                .collect(),
        }
    }

    /// Wall time and peak memory of a program that runs `rounds` times under each allocator.
    fn program(&self, name: &str, rounds: usize, program: &[&str]) -> [Row; 2] {
        eprintln!("{name}, {rounds} times");
        let toy = program == ["true"];
        let allocators: Vec<_> = self.allocators(!toy).collect();
        let mut start = Command::new(self.folder.join("start"));
        start.arg(rounds.to_string()).env("PYTHONMALLOC", "malloc");
        for (_, allocator) in &allocators {
            start.arg(allocator.library.as_deref().unwrap_or(Path::new("-")));
        }
        let numbers = numbers(start.arg("--").args(program));
        let row = |what: String, decimals, figure: fn(&[f64]) -> Figure| Row {
            what,
            decimals,
            figures: allocators
                .iter()
                .zip(numbers.chunks(3))
                .map(|((index, _), numbers)| (*index, figure(numbers)))
                .collect(),
        };
        [
            row(format!("{name}: start to end, ms"), 2, |it| Figure {
                least: it[0] / 1e3,
                median: it[1] / 1e3,
            }),
            row(format!("{name}: peak resident, MiB"), 2, |it| Figure {
                least: it[2] / 1024.0,
                median: it[2] / 1024.0,
            }),
        ]
    }

    fn python(&self) -> Vec<Row> {
        let find = ["-c", "import sys; print(sys.executable)"];
        let Ok(answer) = Command::new("python3").args(find).output() else {
            eprintln!("SKIPPED: python3: not here");
            return Vec::new();
        };
        let python = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        let script = source("objects.py");
        let program = [&python, script.to_str().expect("the path is text")];
        self.program("python3, JSON and dictionaries", 9, &program)
            .into()
    }

    /// redis-server under redis-benchmark, which runs without any of them.
    fn redis(&self) -> Vec<Row> {
        const ROUNDS: usize = 5;
        eprintln!("redis-server under redis-benchmark");
        let mut times: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let mut peaks: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for (index, allocator) in self.allocators(true) {
                let mut command = Command::new("redis-server");
                // Debian's redis-server is linked with jemalloc.
                match (&allocator.library, system_library("libc.so.6")) {
                    (None, Some(libc)) => command.env("LD_PRELOAD", libc),
                    _ => allocator.preloaded(&mut command),
                };
                let Some(redis) = Redis::start(command, &self.folder) else {
                    eprintln!("SKIPPED: redis-server: not here");
                    return Vec::new();
                };
                let (seconds, peak) = redis.benchmark();
                times.entry(index).or_default().push(seconds);
                peaks.entry(index).or_default().push(peak);
            }
        }
        let row = |what: &str, decimals, values: BTreeMap<usize, Vec<f64>>| Row {
            what: what.to_owned(),
            decimals,
            figures: values
                .into_iter()
                .map(|(index, values)| (index, Figure::of(values)))
                .collect(),
        };
        vec![
            row("redis-server under redis-benchmark, s", 2, times),
            row("redis-server: peak resident, MiB", 1, peaks),
        ]
    }

    /// Markdown: a cell holds minimum, median, and the ratio of the minimum to glibc's.
    fn table(&self, rows: &[Row]) -> String {
        let mut table = String::from("\nminimum / median (minimum as a ratio to glibc's)\n\n|");
        let columns = self.allocators.len();
        for head in ["workload"]
            .into_iter()
            .chain(self.allocators.iter().map(|it| it.name))
        {
            write!(table, " {head} |").expect("a string takes text");
        }
        writeln!(table, "\n|---|{}", "---|".repeat(columns)).expect("a string takes text");
        for row in rows {
            write!(table, "| {} |", row.what).expect("a string takes text");
            for index in 0..columns {
                let cell = row.figures.get(&index).map_or(String::new(), |figure| {
                    let ratio = figure.least / row.figures[&0].least;
                    let decimals = row.decimals;
                    format!(
                        " {:.decimals$} / {:.decimals$} ({ratio:.2})",
                        figure.least, figure.median
                    )
                });
                write!(table, "{cell} |").expect("a string takes text");
            }
            table.push('\n');
        }
        table
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Allocator {
    fn preloaded<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match &self.library {
            Some(library) => command.env("LD_PRELOAD", library),
            None => command.env_remove("LD_PRELOAD"),
        }
    }
}

/// A redis-server, killed when the value goes.
struct Redis {
    server: Child,
    port: String,
}

impl Redis {
    /// None where it is not installed. Returns when it answers.
    fn start(mut command: Command, folder: &Path) -> Option<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
        let port = listener.local_addr().expect("bound").port().to_string();
        drop(listener);
        let server = command
            .current_dir(folder)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Self { server, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while redis.client("redis-cli", &["ping"]) != "PONG\n" {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            thread::sleep(Duration::from_millis(5));
        }
        Some(redis)
    }

    fn client(&self, program: &str, arguments: &[&str]) -> String {
        let mut client = Command::new(program);
        client.args(["-p", &self.port]).args(arguments);
        let output = client.stderr(Stdio::null()).output();
        output.map_or(String::new(), |it| {
            String::from_utf8_lossy(&it.stdout).into_owned()
        })
    }

    /// Seconds of a run of redis-benchmark, and the server's peak resident MiB.
    fn benchmark(self) -> (f64, f64) {
        let begin = Instant::now();
        let report = self.client(
            "redis-benchmark",
            &[
                "-q",
                "-n",
                "200000",
                "-r",
                "100000",
                "-P",
                "16",
                "-d",
                "200",
                "-t",
                "set,get,incr,lpush,lpop,sadd,hset,zadd,mset",
            ],
        );
        let seconds = begin.elapsed().as_secs_f64();
        assert!(report.contains("requests per second"), "{report}");
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.id()));
        let peak = status.expect("the server runs").lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        });
        (seconds, peak.map_or(f64::NAN, |kib: f64| kib / 1024.0))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/foundation")
        .join(name)
}

/// The numbers that a command wrote; it must succeed.
fn numbers(command: &mut Command) -> Vec<f64> {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

/// libglebe.so as users get it, in a target folder of its own: the bench's unwinds.
fn release_library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("shipped");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--lib", "--release", "--quiet", "--target-dir"])
        .arg(&target);
    assert!(cargo.status().is_ok_and(|it| it.success()), "{cargo:?}");
    target.join("release/libglebe.so")
}

/// Where the loader finds a library.
fn system_library(name: &str) -> Option<PathBuf> {
    let cache = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    String::from_utf8_lossy(&cache.stdout)
        .lines()
        .find_map(|line| {
            let (found, path) = line.split_once(" => ")?;
            let (found, kind) = found.trim().split_once(' ')?;
            (found == name && kind.contains("x86-64")).then(|| path.into())
        })
}
