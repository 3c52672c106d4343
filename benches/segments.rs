//! What a segment costs beside what it stands for, both in turn in one run, as ratios of the medians:
//!
//! - a translation beside an unchecked addition in the same loop, in Rust and in C (the functions of
//!   the header, compiled here);
//! - a relocation of 1 GiB of memory beside copying it into memory that is there already.
//!
//! `cargo bench --bench segments`

#![allow(
    dead_code,
    unreachable_pub,
    unused_extern_crates,
    unused_imports,
    reason = "the whole library, with its tests, of which the benchmark uses a part"
)]

include!("library/rooms.rs");

#[path = "../tests/common/mod.rs"]
mod common;

use abi::rust_segment::SegmentOptions;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 21;
/// Translations of a round: 16 passes over the offsets.
const OFFSETS: usize = 1 << 16;
const PASSES: usize = 16;
const SMALL_BYTES: usize = 1 << 20;
const LARGE_BYTES: usize = 1 << 30;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

/// Times both in turn, and prints the ratio of the medians.
fn compare(what: &str, units: usize, mut first: impl FnMut(), mut second: impl FnMut()) {
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        firsts.push(timed(&mut first));
        seconds.push(timed(&mut second));
    }
    let (first, second) = (median(firsts), median(seconds));
    let nanoseconds = |time: f64| time * 1e9 / units as f64;
    println!(
        "{what}: {:.2} ns beside {:.2} ns: {:.4}",
        nanoseconds(first),
        nanoseconds(second),
        first / second
    );
}

/// xorshift: offsets in an order that nothing predicts, and whose bytes are in the cache.
fn offsets() -> Vec<usize> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    (0..OFFSETS).map(|_| next() % (16 << 10)).collect()
}

fn translate_in_rust() {
    let mut segment = SegmentOptions::new(SMALL_BYTES).create().expect("memory");
    segment.as_mut_slice().expect("writable").fill(1);
    let (registers, offsets) = (segment.registers(), offsets());
    let base = segment.translate(0, SMALL_BYTES).expect("within").as_ptr();
    compare(
        "translate in Rust, beside an addition",
        OFFSETS * PASSES,
        || {
            let mut sum = 0_u64;
            for _ in 0..PASSES {
                for &offset in &offsets {
                    match registers.translate(offset, 1) {
                        // SAFETY: within the segment, which nobody moves.
                        Some(address) => sum += u64::from(unsafe { *address.as_ptr() }),
                        None => return,
                    }
                }
            }
            black_box(sum);
        },
        || {
            let mut sum = 0_u64;
            for _ in 0..PASSES {
                // As the segment's base, it may be another at each pass.
                let base = black_box(base);
                for &offset in &offsets {
                    // SAFETY: all offsets are within the segment.
                    sum += u64::from(unsafe { *base.add(offset) });
                }
            }
            black_box(sum);
        },
    );
}

const C_PROGRAM: &str = r#"
#include "glebe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OFFSETS = 1 << 16, PASSES = 16, ROUNDS = 21, SIZE = 1 << 20 };

static size_t offset[OFFSETS];
static volatile unsigned long kept;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    return *(double *)a < *(double *)b ? -1 : 1;
}

int main(void)
{
    glebe_segment segment;
    const glebe_segment_registers *registers;
    glebe_segment_options options = {.struct_size = sizeof options, .size = SIZE, .protection = GLEBE_PROTECT_READ_WRITE};
    if (glebe_segment_create(&options, &segment) || glebe_segment_get_registers(segment, &registers))
        return 1;
    unsigned char *base = memset(glebe_segment_at(registers, 0, SIZE), 1, SIZE);
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < OFFSETS; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        offset[i] = state % (16 << 10);
    }
    double checked[ROUNDS], added[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        unsigned long sum = 0;
        for (int pass = 0; pass < PASSES; pass++)
            for (int i = 0; i < OFFSETS; i++) {
                unsigned char *at = glebe_segment_at(registers, offset[i], 1);
                if (!at)
                    return 2;
                sum += *at;
            }
        kept = sum;
        double middle = now();
        sum = 0;
        for (int pass = 0; pass < PASSES; pass++) {
            unsigned char *here = base;
            __asm__ volatile("" : "+r"(here));
            for (int i = 0; i < OFFSETS; i++)
                sum += here[offset[i]];
        }
        kept = sum;
        checked[round] = middle - start;
        added[round] = now() - middle;
    }
    qsort(checked, ROUNDS, sizeof(double), by_size);
    qsort(added, ROUNDS, sizeof(double), by_size);
    double count = (double)OFFSETS * PASSES / 1e9;
    printf("translate in C, beside an addition: %.2f ns beside %.2f ns: %.4f\n", checked[ROUNDS / 2] / count,
           added[ROUNDS / 2] / count, checked[ROUNDS / 2] / added[ROUNDS / 2]);
    return 0;
}
"#;

/// Compiles the program against the library as users get it, and runs it.
fn translate_in_c() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (folder.join("translate.c"), folder.join("translate"));
    let library = common::shipped_library();
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&source, C_PROGRAM));
    written.expect("a place for the program");
    let compiled = Command::new("cc")
        .args([
            "-O2",
            "-I",
            concat!(env!("CARGO_MANIFEST_DIR"), "/include"),
            "-o",
        ])
        .arg(&program)
        .arg(&source)
        .arg(&library)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("SKIPPED: translate in C: no C compiler, or no libglebe.so");
        return;
    }
    let ran = Command::new(&program)
        .env("LD_LIBRARY_PATH", library.with_file_name(""))
        .status();
    assert!(
        ran.is_ok_and(|status| status.success()),
        "the program failed"
    );
}

fn relocate() {
    // The whole of what both ways need is there before the first round.
    let Ok(mut segment) = SegmentOptions::new(LARGE_BYTES).create() else {
        println!("SKIPPED: relocation: no 1 GiB of address space");
        return;
    };
    segment.as_mut_slice().expect("writable").fill(1);
    let source = vec![1_u8; LARGE_BYTES];
    let mut target = vec![2_u8; LARGE_BYTES];
    let pages = LARGE_BYTES >> 12;
    compare(
        "relocate 1 GiB, beside a copy, by the page of 4 KiB",
        pages,
        || {
            black_box(segment.relocate().expect("room"));
        },
        || {
            target.copy_from_slice(black_box(&source));
            black_box(&target);
        },
    );
    let moved = segment
        .as_slice()
        .expect("readable")
        .iter()
        .all(|byte| *byte == 1);
    assert!(moved, "a byte was lost");
}

fn main() {
    translate_in_rust();
    translate_in_c();
    relocate();
}
