//! Files larger than memory, as regions beside plain mmap: `cargo bench --bench file_regions`, or
//! `-- sort`, `-- bfs` for one program, `-- --quick` for one round.
//!
//! A sort of random numbers and a breadth-first search work in a file of four times the limit of a
//! memory cgroup, in which each run is alone with what the kernel caches for it. The region has a
//! budget of three quarters of the limit; the rest is for the program, the tables and the cache.
//! Both end when all is written and the device has it. The file is made anew, and dropped from the
//! cache, before each run; runs take turns, and the ratio of their medians is what counts. The bar:
//! at most 1.0.

#![allow(
    dead_code,
    unreachable_pub,
    unused_extern_crates,
    unused_imports,
    reason = "the whole library, with its tests, of which the benchmark uses a part"
)]

include!("library/rooms.rs");

#[path = "paging/cgroup.rs"]
#[allow(dead_code, reason = "a part of it")]
mod cgroup;

use abi::rust_region::{Region, RegionError, RegionOptions};
use cgroup::Cgroup;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const LIMIT: usize = 64 << 20;
const FILE_BYTES: usize = 4 * LIMIT;
const BUDGET: usize = LIMIT / 4 * 3;
const ROUNDS: usize = 5;

/// Exit status of a run that this machine permits not.
const NOT_PERMITTED: i32 = 77;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Sort,
    Bfs,
}

impl Program {
    const ALL: [Program; 2] = [Program::Sort, Program::Bfs];

    fn name(self) -> &'static str {
        match self {
            Program::Sort => "sort",
            Program::Bfs => "bfs",
        }
    }

    /// What comes and goes together: neighbours are used together in a sort, less so in a search.
    fn page_size(self) -> usize {
        match self {
            Program::Sort => 256 << 10,
            Program::Bfs => 16 << 10,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Mmap,
    Region,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Mmap => "mmap",
            Way::Region => "region",
        }
    }
}

/// xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

// ---- what is in the file ------------------------------------------------------------------------

const SEED: u64 = 20_240_607;

/// The graph, in words of 32 bits: the neighbours of each vertex, as many of each; then the distance
/// of each from vertex 0; then the queue.
const DEGREE: usize = 30;
const VERTICES: usize = FILE_BYTES / 4 / (DEGREE + 2);
/// Neighbours are near in the file, but for one in so many.
const FAR: u64 = 1000;
const NEAR: u64 = 5000;
const UNSEEN: u32 = u32::MAX;

fn write_file(program: Program, path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut random = Random(SEED);
    match program {
        Program::Sort => {
            for _ in 0..FILE_BYTES / 8 {
                file.write_all(&random.next().to_ne_bytes())?;
            }
        }
        Program::Bfs => {
            for vertex in 0..VERTICES as u64 {
                for _ in 0..DEGREE {
                    let far = random.next().is_multiple_of(FAR);
                    let reach = if far { VERTICES as u64 } else { NEAR };
                    let to = (vertex + VERTICES as u64 + random.next() % reach - reach / 2)
                        % VERTICES as u64;
                    file.write_all(&(to as u32).to_ne_bytes())?;
                }
            }
            for _ in 0..VERTICES {
                file.write_all(&UNSEEN.to_ne_bytes())?;
            }
            for _ in VERTICES * (DEGREE + 1)..FILE_BYTES / 4 {
                file.write_all(&0u32.to_ne_bytes())?;
            }
        }
    }
    let file = file.into_inner()?;
    file.sync_all()?;
    // SAFETY: a descriptor of ours.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    Ok(())
}

// ---- the programs -------------------------------------------------------------------------------

/// Sorts numbers; a sum that depends on their order.
fn sort(numbers: &mut [u64]) -> u64 {
    numbers.sort_unstable();
    assert!(numbers.is_sorted());
    let weighed = |(index, number): (usize, &u64)| number.wrapping_mul(index as u64 | 1);
    numbers
        .iter()
        .enumerate()
        .map(weighed)
        .fold(0, u64::wrapping_add)
}

/// Searches from vertex 0; the sum of all distances.
fn bfs(words: &mut [u32]) -> u64 {
    let (edges, rest) = words.split_at_mut(VERTICES * DEGREE);
    let (distance, queue) = rest.split_at_mut(VERTICES);
    distance[0] = 0;
    queue[0] = 0;
    let (mut head, mut tail, mut sum) = (0, 1, 0);
    while head < tail {
        let vertex = queue[head] as usize;
        head += 1;
        let next = distance[vertex] + 1;
        for &to in &edges[vertex * DEGREE..(vertex + 1) * DEGREE] {
            if distance[to as usize] == UNSEEN {
                distance[to as usize] = next;
                sum += u64::from(next);
                queue[tail] = to;
                tail += 1;
            }
        }
    }
    sum + tail as u64
}

fn work(program: Program, bytes: &mut [u8]) -> u64 {
    match program {
        // SAFETY: every pattern of bits is a number.
        Program::Sort => sort(unsafe { bytes.align_to_mut().1 }),
        // SAFETY: as above.
        Program::Bfs => bfs(unsafe { bytes.align_to_mut().1 }),
    }
}

/// A run, in a process of its own: prints nanoseconds and the sum.
fn run(program: Program, way: Way, path: &Path, group: &Path) -> ExitCode {
    fs::write(group, std::process::id().to_string()).expect("a cgroup");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the file");
    let begin = Instant::now();
    let sum = match way {
        Way::Mmap => by_mmap(program, &file),
        Way::Region => {
            // SAFETY: nobody else knows of the file.
            let options = unsafe { RegionOptions::file(file.as_raw_fd(), FILE_BYTES, BUDGET) };
            let region = match options.page_size(program.page_size()).create() {
                Ok(region) => region,
                Err(RegionError::NoUserfault) => {
                    return ExitCode::from(NOT_PERMITTED as u8);
                }
                Err(error) => panic!("no region: {error:?}"),
            };
            by_region(program, region)
        }
    };
    println!("{} {sum}", begin.elapsed().as_nanos());
    ExitCode::SUCCESS
}

fn by_region(program: Program, mut region: Region) -> u64 {
    let sum = work(program, region.as_mut_slice().expect("a file's"));
    region.sync().expect("room");
    if env::var_os("FILE_REGIONS_STATISTICS").is_some() {
        eprintln!("{:#?}", region.statistics().expect("alive"));
    }
    sum
}

fn by_mmap(program: Program, file: &File) -> u64 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let descriptor = file.as_raw_fd();
    // SAFETY: a new mapping, which nobody else has, of a file that stays as long as it is.
    unsafe {
        let start = libc::mmap(
            std::ptr::null_mut(),
            FILE_BYTES,
            access,
            libc::MAP_SHARED,
            descriptor,
            0,
        );
        assert_ne!(start, libc::MAP_FAILED);
        let bytes = std::slice::from_raw_parts_mut(start.cast::<u8>(), FILE_BYTES);
        let sum = work(program, bytes);
        assert_eq!(libc::msync(start, FILE_BYTES, libc::MS_SYNC), 0);
        sum
    }
}

// ---- who starts them ----------------------------------------------------------------------------

/// Runs it in a cgroup of its own; seconds and the sum, or why not.
fn measure(program: Program, way: Way, path: &Path) -> Result<(f64, String), String> {
    write_file(program, path).map_err(|why| format!("no file: {why}"))?;
    let group = Cgroup::create()?;
    group.limit(LIMIT as u64 / 1024)?;
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["run", program.name(), way.name()])
        .args([path, &group.processes()])
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|why| format!("no process: {why}"))?;
    if output.status.code() == Some(NOT_PERMITTED) {
        return Err("no userfaultfd".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let parts = text.trim().split_once(' ');
    let (Some((ns, sum)), true) = (parts, output.status.success()) else {
        return Err(format!("{} ended by {}", way.name(), output.status));
    };
    let ns: f64 = ns.parse().expect("nanoseconds");
    Ok((ns / 1e9, sum.to_owned()))
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn compare(program: Program, rounds: usize, path: &Path) -> Result<(), String> {
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let mut ways = [Way::Mmap, Way::Region];
        // Who goes first finds the device as the other left it.
        if round % 2 == 1 {
            ways.reverse();
        }
        let mut sums = Vec::new();
        for way in ways {
            let (took, sum) = measure(program, way, path)?;
            println!("  {:5} {:7} {took:8.2} s", program.name(), way.name());
            seconds[way as usize].push(took);
            sums.push(sum);
        }
        assert_eq!(sums[0], sums[1], "both find the same");
    }
    let [mmap, region] = seconds.each_mut().map(|them| median(them));
    println!(
        "{:5}: region {region:.2} s, mmap {mmap:.2} s: {:.2} of mmap (bar 1.0)",
        program.name(),
        region / mmap
    );
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [verb, program, way, path, group] = &arguments[..]
        && verb == "run"
    {
        let program = Program::ALL.into_iter().find(|it| it.name() == program);
        let way = if way == "mmap" {
            Way::Mmap
        } else {
            Way::Region
        };
        let program = program.expect("a program");
        return run(program, way, Path::new(path), Path::new(group));
    }
    let quick = arguments.iter().any(|it| it == "--quick");
    let rounds = if quick { 1 } else { ROUNDS };
    let wanted = |program: &Program| {
        let named = |program: &Program| arguments.iter().any(|it| it == program.name());
        named(program) || !Program::ALL.iter().any(named)
    };
    println!(
        "file of {} MiB, limit {} MiB, budget {} MiB, seed {SEED}",
        FILE_BYTES >> 20,
        LIMIT >> 20,
        BUDGET >> 20
    );
    // Where files are that a file system on a device holds.
    let path = PathBuf::from(format!(
        "/var/tmp/glebe-file-regions-{}",
        std::process::id()
    ));
    for program in Program::ALL.into_iter().filter(wanted) {
        if let Err(why) = compare(program, rounds, &path) {
            println!("SKIPPED: {}: {why}", program.name());
        }
    }
    let _ = fs::remove_file(path);
    ExitCode::SUCCESS
}
