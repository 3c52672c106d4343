//! Real programs with three quarters, a half and a quarter of the memory that they would take, under
//! glebe's budget and with zswap, each as slow as it is beside itself with all its memory. All run on
//! glebe, so that only the paging differs.

use crate::Bench;
use crate::aligned::{aligned, digits};
use crate::bars::{Bar, Target, bar};
use crate::confined::{self, Confined, Memory, Running, Task};
use crate::equal::{self, Way};
use crate::median;
use crate::programs::{REDIS, installed};
use crate::swap::Kind;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// Percent of the peak.
const SHARES: [u64; 3] = [75, 50, 25];

/// A program of the PATH; in its arguments `$work` stands for the amount of work, and `$here` for
/// the folder of the bench.
struct Program {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    work: u64,
    quick_work: u64,
}

#[rustfmt::skip]
const PROGRAMS: [Program; 5] = [
    // Thousands of keys, of about 600 bytes.
    Program { name: "redis", program: REDIS, arguments: &[], work: 1000, quick_work: 100 },
    Program { name: "python dictionary", program: "python3", arguments: &["$here/dictionary.py", "$work"], work: 1200, quick_work: 150 },
    Program { name: "sqlite in memory", program: "sqlite3", arguments: &[":memory:", "-cmd", "create table work as select $work as thousands", ".read $here/entries.sql"], work: 2000, quick_work: 200 },
    // MiB of the file.
    Program { name: "sort of a file", program: "sort", arguments: &["--parallel=1", "--buffer-size=4G", "lines"], work: 300, quick_work: 40 },
    Program { name: "g++", program: "g++", arguments: &["-std=c++17", "-O1", "-S", "-o", "-", "-DSCALE=$work", "$here/../programs/templates.cc"], work: 300, quick_work: 60 },
];

impl Program {
    /// None, said loudly, where it is not here.
    fn task(&self, bench: &Bench) -> Option<Task> {
        let Some(program) = installed(self.program) else {
            eprintln!("SKIPPED: {}: no {} here", self.name, self.program);
            return None;
        };
        let work = if bench.quick {
            self.quick_work
        } else {
            self.work
        };
        if self.program == "sort" {
            write_lines(&bench.stage.folder.join("lines"), work << 20);
        }
        let here = crate::repository().join("benches/paging");
        let arguments = self.arguments.iter().map(|word| {
            word.replace("$work", &work.to_string())
                .replace("$here", &here.to_string_lossy())
        });
        Some(Task {
            program,
            arguments: arguments.collect(),
            is_workload: false,
        })
    }

    fn run(&self, bench: &Bench, task: &Task, memory: Memory) -> Result<Confined, String> {
        // Where compressed memory does not suffice, as under zswap, a file takes the rest.
        let glebe = bench.glebe.with("glebe-both", "GLEBE_STORE", "both");
        if self.program != REDIS {
            return confined::run(&bench.stage, task, &glebe, memory);
        }
        // The server would begin with the snapshot of the run before.
        let _ = fs::remove_file(bench.stage.folder.join("dump.rdb"));
        let thousands = if bench.quick {
            self.quick_work
        } else {
            self.work
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let words = format!("--port {port} --bind 127.0.0.1 --save  --loglevel warning");
        let server = Task {
            program: task.program.clone(),
            arguments: words.split(' ').map(str::to_owned).collect(),
            is_workload: false,
        };
        let mut running = Running::start(&bench.stage, &server, &glebe, memory)?;
        let begin = Instant::now();
        let client = bench
            .stage
            .command(Path::new("./keys"))
            .args([
                format!("port={port}"),
                format!("keys={}", thousands * 1000),
                format!("requests={}", thousands * 1000),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| format!("no client: {why}"))?;
        let output = match running.look_until_end_of(client) {
            Ok(output) => output,
            // How the server ended says more.
            Err(why) => {
                return Err(match running.has_ended() {
                    true => running.finish(&bench.stage, false).err().unwrap_or(why),
                    false => why,
                });
            }
        };
        let wall_seconds = begin.elapsed().as_secs_f64();
        let mut confined = running.finish(&bench.stage, false)?;
        confined.run.read_protocol(&output)?;
        confined.run.wall_seconds = wall_seconds;
        Ok(confined)
    }
}

/// Lines of words drawn by xorshift, as many as give the length.
fn write_lines(file: &Path, bytes: u64) {
    let mut out = BufWriter::new(File::create(file).expect("the folder is ours"));
    let (mut state, mut written) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    while written < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let line = format!(
            "{:08x} of entry {}, in the order {}\n",
            state as u32,
            state >> 50,
            written / 1000
        );
        written += line.len() as u64;
        out.write_all(line.as_bytes()).expect("room for a file");
    }
    out.flush().expect("room for a file");
}

/// All runs of a program in one way.
struct Column {
    way: Way,
    share: u64,
    memory: Memory,
    trials: String,
    runs: Vec<Confined>,
    failed: Option<String>,
}

impl Column {
    fn seconds(&self) -> Option<f64> {
        self.median(|it| it.run.wall_seconds)
    }

    fn median(&self, of: impl Fn(&Confined) -> f64) -> Option<f64> {
        match self.failed {
            Some(_) => None,
            None => median(self.runs.iter().map(of)),
        }
    }
}

pub(crate) fn measure(bench: &Bench, bars: &mut Vec<Bar>) -> String {
    let head = [
        "program",
        "memory",
        "way",
        "s",
        "slowdown",
        "CPU s",
        "MiB in all",
        "MiB of swap in it",
        "trials",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for program in &PROGRAMS {
        let wants =
            |share: &u64| bench.wants(&row(program, *share)) && (!bench.quick || *share == 50);
        let shares: Vec<u64> = SHARES.into_iter().filter(wants).collect();
        if shares.is_empty() {
            continue;
        }
        let Some(task) = program.task(bench) else {
            continue;
        };
        let columns = columns(bench, program, &task, &shares);
        lines.extend(columns.iter().map(|it| line(program, it, &columns[0])));
        bars.extend(
            shares
                .iter()
                .flat_map(|&share| verdict(program, share, &columns)),
        );
    }
    match lines.len() {
        1 => String::new(),
        _ => format!(
            "## Real programs\n\n{}\n{}",
            aligned(lines.into_iter()),
            equal::EXPLAINED
        ),
    }
}

fn row(program: &Program, share: u64) -> String {
    format!("{}, {share} %", program.name)
}

/// The first is the one with all its memory.
fn columns(bench: &Bench, program: &Program, task: &Task, shares: &[u64]) -> Vec<Column> {
    bench.say(program.name, "its peak");
    let column = |way, share, memory, trials: String| Column {
        way,
        share,
        memory,
        trials,
        runs: Vec::new(),
        failed: None,
    };
    let mut columns = vec![column(
        Way::Unlimited,
        100,
        Memory::Unlimited,
        String::new(),
    )];
    let peak_kib = match program.run(bench, task, Memory::Unlimited) {
        Ok(run) => run.total_kib,
        Err(why) => {
            eprintln!("FAILED: {}: {why}", program.name);
            columns[0].failed = Some(why);
            return columns;
        }
    };
    for &share in shares {
        bench.say(&row(program, share), "trials");
        let budget_kib = peak_kib * share as f64 / 100.0;
        let budget = Memory::Budget(budget_kib as u64);
        // What the program comes to in all, with what is no heap and with children, which have
        // budgets of their own, is what both get.
        let taken = program.run(bench, task, budget);
        let total = taken.map_or(budget_kib, |it| it.total_kib.max(budget_kib));
        columns.push(column(Way::Glebe, share, budget, String::new()));
        let trials = if bench.quick { 1 } else { 2 };
        let trial = |memory| program.run(bench, task, memory);
        let way = Way::Swap(Kind::Zswap);
        match equal::limit(trial, Kind::Zswap, total, peak_kib, trials) {
            Ok((kib, said)) => {
                columns.push(column(way, share, Memory::Swap(Kind::Zswap, kib), said));
            }
            Err(why) => eprintln!("SKIPPED: {}: {}: {why}", row(program, share), way.name()),
        }
    }
    for round in 0..bench.rounds {
        bench.say(program.name, &format!("round {}", round + 1));
        let count = columns.len();
        for place in 0..count {
            let column = &mut columns[(place + round) % count];
            if column.failed.is_some() {
                continue;
            }
            match program.run(bench, task, column.memory) {
                Ok(run) => column.runs.push(run),
                Err(why) => column.failed = Some(why),
            }
        }
    }
    let expected = columns[0].runs.first().map(|it| it.run.result.clone());
    for column in &mut columns {
        let mut results = column.runs.iter().map(|it| &it.run.result);
        if results.any(|it| Some(it) != expected.as_ref()) {
            column.failed = Some("wrong result".to_owned());
        }
    }
    columns
}

fn line(program: &Program, column: &Column, unlimited: &Column) -> Vec<String> {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), digits);
    let slowdown = column.seconds().zip(unlimited.seconds());
    let seconds = match &column.failed {
        Some(why) => format!("failed: {why}"),
        None => shown(column.seconds()),
    };
    vec![
        program.name.to_owned(),
        format!("{} %", column.share),
        column.way.name().to_owned(),
        seconds,
        shown(slowdown.map(|(one, other)| one / other)),
        shown(column.median(|it| it.run.cpu_seconds)),
        shown(column.median(|it| it.total_kib / 1024.0)),
        shown(column.median(|it| it.pool_kib / 1024.0)),
        column.trials.clone(),
    ]
}

fn verdict(program: &Program, share: u64, columns: &[Column]) -> [Bar; 2] {
    let of = |way: Way| {
        let mut found = columns.iter();
        found.find(|it| it.way == way && it.share == share)
    };
    let [glebe, zswap] = [Way::Glebe, Way::Swap(Kind::Zswap)].map(of);
    let seconds = |column: Option<&Column>| column?.seconds();
    let ratio = |one: Option<f64>, other: Option<f64>| Some((one? / other?, row(program, share)));
    let total = glebe.and_then(|it| it.median(|it| it.total_kib));
    let budget = glebe.and_then(|it| match it.memory {
        Memory::Budget(kib) => Some(kib as f64),
        _ => None,
    });
    [
        bar(
            4,
            "slowdown of a real program, to zswap's",
            ratio(seconds(glebe), seconds(zswap)),
            Target::AtMost(1.0),
        ),
        bar(
            4,
            "whole memory, to the budget",
            ratio(total, budget),
            Target::AtMost(1.05),
        ),
    ]
}
