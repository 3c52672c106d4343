//! Real programs: where they are, and redis, which takes two of them.

use crate::allocators::{Allocator, Kind, system_library};
use crate::run::{Job, Run, Stage};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const REDIS: &str = "redis-server";

/// The file that the PATH leads to.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    let file = found.into_iter().find(|file| file.is_file())?;
    if program != "python3" {
        return Some(file);
    }
    // It may be a script that looks for the real one.
    let find = ["-c", "import sys; print(sys.executable)"];
    let answer = Command::new(file).args(find).output().ok()?;
    Some(String::from_utf8(answer.stdout).ok()?.trim().into())
}

/// redis-server on the allocator, under a redis-benchmark on none: the wall time is the client's,
/// everything else the server's.
pub(crate) fn redis(stage: &Stage, job: &Job, allocator: &Allocator) -> Result<Run, String> {
    let mut start = stage.start(&job.program, allocator);
    if allocator.kind == Kind::Glibc
        && let Some(glibc) = system_library("libc.so.6")
    {
        // Debian's redis-server is linked with jemalloc.
        start.env("LD_PRELOAD", glibc);
    }
    let mut redis = Redis::start(stage, start)?;
    let requests = (100_000 * job.scale / 100).to_string();
    let begin = Instant::now();
    let table = redis.client(&[
        "redis-benchmark",
        "--csv",
        "-n",
        &requests,
        "-r",
        "100000",
        "-P",
        "16",
        "-d",
        "200",
        "-t",
        "set,get,incr,lpush,lpop,sadd,hset,zadd,mset",
    ]);
    let wall_seconds = begin.elapsed().as_secs_f64();
    redis.shut_down();
    let mut run = stage.report()?;
    run.wall_seconds = wall_seconds;
    run.read_latencies(&table)?;
    Ok(run)
}

impl Run {
    /// From a line for each command: name, requests a second, latency in ms as average, least,
    /// median, 95th and 99th percentile, and most. The metrics are means over the commands.
    fn read_latencies(&mut self, table: &str) -> Result<(), String> {
        let commands: Vec<Vec<f64>> = table
            .lines()
            .skip(1)
            .map(|line| {
                let fields = line.split("\",\"").skip(1);
                fields.flat_map(|it| it.trim_matches('"').parse()).collect()
            })
            .collect();
        if commands.is_empty() || commands.iter().any(|it| it.len() != 7) {
            return Err(format!("redis-benchmark printed: {table}"));
        }
        self.result = format!("{} commands", commands.len());
        let mean =
            |field: usize| commands.iter().map(|it| it[field]).sum::<f64>() / commands.len() as f64;
        for (name, value, unit) in [
            ("throughput", mean(0) / 1e3, "thousand/s"),
            ("p50", mean(3), "ms"),
            ("p99", mean(5), "ms"),
        ] {
            let metric = (value, unit.to_owned());
            self.metrics.insert(name.to_owned(), metric);
        }
        Ok(())
    }
}

/// A redis-server, shut down when the value goes.
struct Redis<'a> {
    stage: &'a Stage,
    server: Child,
    port: String,
}

impl<'a> Redis<'a> {
    /// Returns when it answers.
    fn start(stage: &'a Stage, mut start: Command) -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
        let port = listener.local_addr().expect("bound").port().to_string();
        drop(listener);
        let server = start
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut redis = Self {
            stage,
            server,
            port,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while redis.client(&["redis-cli", "ping"]) != "PONG\n" {
            if redis.server.try_wait().is_ok_and(|it| it.is_some()) {
                return Err(stage.report().err().unwrap_or_default());
            }
            if Instant::now() > deadline {
                return Err("does not answer".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(redis)
    }

    fn client(&self, words: &[&str]) -> String {
        let mut client = self.stage.command(Path::new(words[0]));
        client.args(["-p", &self.port]).args(&words[1..]);
        let output = client.stderr(Stdio::null()).output();
        output.map_or(String::new(), |it| {
            String::from_utf8_lossy(&it.stdout).into_owned()
        })
    }

    /// Where the server does not listen any more, it is dead or will be killed by `start`.
    fn shut_down(&mut self) {
        self.client(&["redis-cli", "shutdown", "nosave"]);
        let _ = self.server.wait();
    }
}

impl Drop for Redis<'_> {
    fn drop(&mut self) {
        self.shut_down();
    }
}
