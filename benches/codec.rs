//! The codec of evicted pages, a page at a time: how long it takes both ways, and how much smaller
//! pages become. `cargo bench --bench codec`, or `-- python` for one corpus.
//!
//! The corpora are made anew each time: pages of the heap of a python3 that has built dictionaries
//! and of one that has parsed JSON, read from its memory; JSON itself; English prose; machine code,
//! this program's own; random bytes. What cannot be had is left out, and said so.
#![allow(
    dead_code,
    unreachable_pub,
    unused_extern_crates,
    unused_imports,
    unused_macros,
    reason = "more of the library, with its tests, than the benchmark uses"
)]

#[path = "../src/base/mod.rs"]
mod base;
#[path = "../src/paging/store/codec/mod.rs"]
mod codec;
#[path = "../src/os/mod.rs"]
mod os;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::fs;
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

const PAGE_BYTES: usize = 4096;
const MOST_PAGES: usize = 2048;

type Page = [u8; PAGE_BYTES];

/// Pages that are not filled with one word, evenly out of all.
fn pages(bytes: &[u8]) -> Vec<Page> {
    let all: Vec<Page> = bytes
        .as_chunks()
        .0
        .iter()
        .filter(|page| codec::same_filled(page).is_none())
        .copied()
        .collect();
    let step = all.len().div_ceil(MOST_PAGES).max(1);
    all.into_iter().step_by(step).collect()
}

/// Builds dictionaries of texts, numbers and tuples, and waits.
const DICTIONARIES: &str = r"
import random, sys
random.seed(1)
names = [''.join(random.choice('etaoinshrdlu') for _ in range(random.randint(3, 11))) for _ in range(5000)]
kept = {'user:%d' % i: {'name': random.choice(names), 'age': random.randint(1, 99),
        'tags': [random.choice(names) for _ in range(3)], 'score': random.random()} for i in range(60000)}
";

/// Parses what [`json`] makes, and waits.
const PARSED: &str = r"
import json, random, sys
random.seed(2)
text = json.dumps([{'id': i, 'active': random.random() < .5, 'balance': round(random.random() * 1e5, 2),
        'note': 'order %d of customer %d' % (i, random.randint(1, 999))} for i in range(80000)])
kept = json.loads(text)
";

/// The private writable memory of a python3 that has run `program`.
fn python_heap(program: &str) -> Option<Vec<u8>> {
    let program = format!("{program}\nprint('ready', flush=True)\nsys.stdin.read()\n");
    let mut python = Command::new("python3")
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut ready = [0; 5];
    let is_ready = python.stdout.as_mut()?.read_exact(&mut ready).is_ok();
    let memory = fs::File::open(format!("/proc/{}/mem", python.id())).ok();
    let maps = fs::read_to_string(format!("/proc/{}/maps", python.id())).ok();
    let mut heap = Vec::new();
    for line in maps.as_deref().unwrap_or("").lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, access, name) = (words.next()?, words.next()?, words.nth(3));
        if access != "rw-p" || name.is_some_and(|name| name != "[heap]") {
            continue;
        }
        let (start, end) = range.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        let mut bytes = vec![0; (end - start) as usize];
        if memory.as_ref()?.read_exact_at(&mut bytes, start).is_ok() {
            heap.extend(bytes);
        }
    }
    drop(python.stdin.take());
    python.wait().ok()?;
    is_ready.then_some(heap)
}

/// A generator for corpora (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn json() -> Vec<u8> {
    let mut numbers = Numbers(3);
    let mut text = String::new();
    for id in 0..50_000 {
        let (balance, customer) = (numbers.next() % 100_000, numbers.next() % 1000);
        text += &format!(
            "{{\"id\": {id}, \"active\": {}, \"balance\": {balance}, \
             \"note\": \"order {id} of customer {customer}\"}},\n",
            numbers.next().is_multiple_of(2)
        );
    }
    text.into_bytes()
}

/// The package's own documents.
fn prose() -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        text.extend(fs::read(name).ok()?);
    }
    Some(text)
}

fn random() -> Vec<u8> {
    let mut numbers = Numbers(4);
    (0..MOST_PAGES * PAGE_BYTES / 8)
        .flat_map(|_| numbers.next().to_ne_bytes())
        .collect()
}

fn corpora() -> Vec<(&'static str, Vec<Page>)> {
    let all = [
        ("python, dictionaries", python_heap(DICTIONARIES)),
        ("python, parsed JSON", python_heap(PARSED)),
        ("JSON", Some(json())),
        ("prose", prose()),
        ("machine code", fs::read("/proc/self/exe").ok()),
        ("random bytes", Some(random())),
    ];
    let had = |(name, bytes): (&'static str, Option<Vec<u8>>)| {
        let pages = pages(&bytes.unwrap_or_default());
        if pages.is_empty() {
            eprintln!("SKIPPED: {name} is not to be had here");
            return None;
        }
        Some((name, pages))
    };
    all.into_iter().filter_map(had).collect()
}

/// Each page, compressed; whole where it would not become smaller.
fn compressed(pages: &[Page]) -> Vec<Vec<u8>> {
    let mut scratch = codec::Scratch::new();
    let mut into = [0; PAGE_BYTES];
    let mut one = |page: &Page| match codec::compress(page, &mut into, &mut scratch) {
        Some(length) => into[..length].to_vec(),
        None => page.to_vec(),
    };
    pages.iter().map(&mut one).collect()
}

fn codec_of_pages(criterion: &mut Criterion) {
    let mut rows = Vec::new();
    let mut group = criterion.benchmark_group("codec");
    for (corpus, pages) in corpora() {
        let stored = compressed(&pages);
        let bytes: usize = stored.iter().map(Vec::len).sum();
        let share = |is: fn(&Vec<u8>) -> bool| {
            100 * stored.iter().filter(|bytes| is(bytes)).count() / stored.len()
        };
        let halved = share(|bytes| bytes.len() <= PAGE_BYTES / 2);
        let whole = share(|bytes| bytes.len() == PAGE_BYTES);
        let ratio = (pages.len() * PAGE_BYTES) as f64 / bytes as f64;
        rows.push(format!(
            "| {corpus} | {} | {ratio:.2} | {halved} % | {whole} % |",
            pages.len()
        ));
        group.throughput(Throughput::Elements(1));
        let mut scratch = codec::Scratch::new();
        let mut into = [0; PAGE_BYTES];
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("compress", corpus), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % pages.len();
                black_box(codec::compress(&pages[turn], &mut into, &mut scratch))
            });
        });
        let smaller: Vec<_> = stored.iter().filter(|it| it.len() < PAGE_BYTES).collect();
        if smaller.is_empty() {
            continue;
        }
        group.bench_function(BenchmarkId::new("decompress", corpus), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % smaller.len();
                assert!(codec::decompress(smaller[turn], &mut into));
                black_box(&into);
            });
        });
    }
    group.finish();
    println!("| corpus | pages | times smaller | of pages: halved | stored whole |");
    println!("|---|---|---|---|---|");
    println!("{}", rows.join("\n"));
}

criterion_group!(benches, codec_of_pages);
criterion_main!(benches);
