//! How long a map of a process takes, beside a bare scan of the same process's page tables, both in
//! turn in one run. The process is this program once more, with a heap of glebe's of 10 GiB (or half
//! of the memory that is free, if that is less) in blocks of 4 KiB, all touched.
//!
//! `cargo bench --bench map`; `-- 1` for a heap of 1 GiB, `-- 1 100` for blocks of 100 bytes.

#![allow(
    dead_code,
    unreachable_pub,
    unused_extern_crates,
    unused_imports,
    reason = "the whole library, with its tests, of which the benchmark uses a part"
)]

include!("library/rooms.rs");

use map::AddressSpace;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[global_allocator]
static GLEBE: abi::rust::Glebe = abi::rust::Glebe;

const ROUNDS: usize = 11;
const CHILD: &str = "BENCH_MAP_HEAP";

/// Fills a heap of so many bytes, says so, and waits for the end of its input.
fn be_the_process(bytes: usize, block_bytes: usize) {
    let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(bytes / block_bytes);
    for number in 0..bytes / block_bytes {
        blocks.push(vec![number as u8 | 1; block_bytes]);
    }
    println!("ready");
    let _ = std::io::stdout().flush();
    let _ = std::io::stdin().read_line(&mut String::new());
    black_box(&blocks);
}

fn free_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or(0) << 10
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Run([u64; 3]);

/// One pass of ioctl(PAGEMAP_SCAN) over the whole process, that asks for what is present or swapped.
fn bare_scan(pagemap: &File, runs: &mut [Run]) -> Option<usize> {
    const PRESENT_OR_SWAPPED: u64 = 1 << 3 | 1 << 4;
    const REQUEST: u64 = 3 << 30 | 96 << 16 | (b'f' as u64) << 8 | 16;
    let (mut at, mut found) = (0_u64, 0);
    let end = (1_u64 << 47) - 4096;
    while at < end {
        let mut request = [
            96,
            0,
            at,
            end,
            0,
            runs.as_mut_ptr() as u64,
            runs.len() as u64,
            0,
            0,
            0,
            PRESENT_OR_SWAPPED,
            PRESENT_OR_SWAPPED,
        ];
        // SAFETY: the request and the runs are alive, and as the kernel wants them.
        let answer =
            unsafe { libc::ioctl(pagemap.as_raw_fd(), REQUEST as _, request.as_mut_ptr()) };
        let answer = usize::try_from(answer).ok()?;
        found += answer;
        if answer < runs.len() {
            // What the kernel says of its end then may be where it last broke off.
            break;
        }
        at = request[4];
    }
    Some(found)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    if let Ok(heap) = std::env::var(CHILD) {
        let mut numbers = heap
            .split(' ')
            .map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("two numbers");
        return be_the_process(next(), next());
    }
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|it| it.parse::<usize>().ok());
    let bytes = (numbers.next().unwrap_or(10) << 30).min(free_bytes() / 2);
    let block_bytes = numbers.next().unwrap_or(4096);
    #[expect(
        clippy::zombie_processes,
        reason = "waited for at the end, but where this panics"
    )]
    let mut process = Command::new(std::env::current_exe().expect("a path"))
        .env(CHILD, format!("{bytes} {block_bytes}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process");
    let mut line = String::new();
    let output = process.stdout.as_mut().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");

    let id = i32::try_from(process.id()).expect("a number");
    let pagemap = File::open(format!("/proc/{id}/pagemap")).expect("/proc");
    let mut runs = vec![Run::default(); 1 << 16];
    let Some(found) = bare_scan(&pagemap, &mut runs) else {
        println!("SKIPPED: no PAGEMAP_SCAN (Linux 6.7)");
        return;
    };
    let (mut maps, mut again, mut scans) = (Vec::new(), Vec::new(), Vec::new());
    let mut kept = AddressSpace::of_process(id).expect("a map");
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let map = AddressSpace::of_process(id).expect("a map");
        maps.push(start.elapsed());
        assert!(map.runs_glebe());
        drop(map);
        let start = Instant::now();
        kept.refresh().expect("a map");
        again.push(start.elapsed());
        let start = Instant::now();
        black_box(bare_scan(&pagemap, &mut runs));
        scans.push(start.elapsed());
    }
    let (map, again, scan) = (median(maps), median(again), median(scans));
    let resident: usize = kept.regions().iter().map(|it| it.resident_bytes).sum();
    println!(
        "{} GiB resident, blocks of {block_bytes} bytes: {} regions; {found} runs of the bare scan",
        resident >> 30,
        kept.regions().len()
    );
    println!("a map {map:.2} ms, taken again {again:.2} ms, a bare scan {scan:.2} ms");
    println!("a map: {:.2}; taken again: {:.2}", map / scan, again / scan);
    drop(process.stdin.take());
    let _ = process.wait();
}
