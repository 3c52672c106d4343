//! Micro-benchmarks of the doors inside one process, for comparing two states of the code:
//! `cargo bench --bench doors`. Side by side with other allocators: `--bench foundation`.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use glebe::abi::libc::{glebe_calloc, glebe_free, glebe_malloc, glebe_realloc};
use std::ffi::c_void;
use std::hint::black_box;

fn release(block: *mut c_void) {
    // SAFETY: each block comes from a door and is released once.
    unsafe { glebe_free(block) };
}

fn pairs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("malloc and free");
    for bytes in [16_usize, 256, 1024, 4096, 65_536, 4 << 20] {
        group.bench_function(format!("{bytes} B"), |bencher| {
            bencher.iter(|| release(glebe_malloc(black_box(bytes))));
        });
    }
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1000 blocks");
    for bytes in [64_usize, 1000] {
        group.bench_function(
            format!("{bytes} B allocated, then freed in order"),
            |bencher| {
                bencher.iter(|| {
                    let blocks: [_; 1000] = std::array::from_fn(|_| glebe_malloc(black_box(bytes)));
                    blocks.into_iter().for_each(release);
                });
            },
        );
        group.bench_function(format!("{bytes} B freed by another thread"), |bencher| {
            bencher.iter_batched(
                || std::array::from_fn::<_, 1000, _>(|_| glebe_malloc(bytes) as usize),
                |blocks| {
                    let remote = std::thread::spawn(move || {
                        blocks
                            .into_iter()
                            .for_each(|block| release(block as *mut c_void));
                    });
                    remote.join().expect("frees do not panic");
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn growth(criterion: &mut Criterion) {
    criterion.bench_function("realloc from 16 B to 16 MiB by doubling", |bencher| {
        bencher.iter(|| {
            let mut block = glebe_malloc(16);
            for shift in 5..=24 {
                // SAFETY: the block is live, and replaced by the answer.
                block = unsafe { glebe_realloc(block, 1 << shift) };
            }
            release(block);
        });
    });
    criterion.bench_function("calloc of 1 MiB", |bencher| {
        bencher.iter(|| release(glebe_calloc(black_box(1), 1 << 20)));
    });
}

criterion_group!(doors, pairs, batches, growth);
criterion_main!(doors);
