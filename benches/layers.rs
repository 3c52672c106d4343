//! Micro-benchmarks of each layer inside one process, for comparing two states of the code:
//! `cargo bench --bench layers`, or `-- page` for those with that in their name. Beside other
//! allocators: `--bench side_by_side`; counted, not timed: `--bench instructions`.
//!
//! The library's sources are compiled into the benchmark, so that what no program can call is
//! reached and nothing is made public for it. The process's own malloc is glibc's.
#![allow(
    dead_code,
    unreachable_pub,
    unused_extern_crates,
    unused_imports,
    reason = "the whole library, with its tests, of which the benchmarks use a part"
)]

include!("library/rooms.rs");

use abi::libc::{glebe_calloc, glebe_free, glebe_malloc, glebe_realloc};
use base::address::{GRANULE_BYTES, Granule};
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use heap::thread::with_cache;
use large::large_object::Contents;
use large::{idle_memory, large_object};
use metadata::span;
use pages::filling::Filling;
use pages::page_heap::{self, NewSpan};
use pages::purge;
use small::size_class::{SLAB_MAX_BYTES, SizeClass};
use small::slab::Slab;
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

fn release(block: *mut c_void) {
    // SAFETY: each block comes from a door and is released once.
    unsafe { glebe_free(block) };
}

// ---- small -----------------------------------------------------------------------------------------

/// Sizes of up to 32 KiB, the small ones more often, in an order that no branch predictor learns.
fn sizes() -> [usize; 4096] {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let doubling = 4 + state % 11;
        (1 << doubling) + (state >> 32) as usize % (1 << doubling)
    })
}

fn size_classes(criterion: &mut Criterion) {
    let sizes = sizes();
    assert!(sizes.iter().all(|bytes| *bytes <= SLAB_MAX_BYTES));
    let mut group = criterion.benchmark_group("size class");
    group.throughput(Throughput::Elements(sizes.len() as u64));
    let sum = |class_of: fn(usize) -> Option<SizeClass>, sizes: &[usize]| {
        let classes = sizes.iter().filter_map(|bytes| class_of(*bytes));
        classes.map(SizeClass::number).sum::<usize>()
    };
    group.bench_function("of 4096 sizes", |bencher| {
        bencher.iter(|| sum(SizeClass::holding, black_box(&sizes)));
    });
    group.bench_function("of 4096 sizes aligned to 64", |bencher| {
        bencher.iter(|| sum(|it| SizeClass::holding_aligned(it, 64), black_box(&sizes)));
    });
    group.finish();
}

/// What a thread does that needs more blocks: a slab from the page heap, cut into blocks.
fn refill(criterion: &mut Criterion) {
    const OWNER: usize = 1 << 12;
    let mut group = criterion.benchmark_group("refill");
    for bytes in [16, 256, 4096] {
        let class = SizeClass::holding(bytes).expect("a small size");
        group.throughput(Throughput::Elements(class.slab_blocks().into()));
        group.bench_function(format!("a slab of {bytes} B, all carved"), |bencher| {
            bencher.iter(|| {
                let slab = Slab::new(class, OWNER, Filling::Unknown).expect("memory");
                while slab.carve() {}
                slab.release();
            });
        });
    }
    group.finish();
}

// ---- metadata --------------------------------------------------------------------------------------

fn page_map(criterion: &mut Criterion) {
    let small = glebe_malloc(64) as usize;
    let span = page_heap::allocate(4, &|| Filling::Unknown).expect("memory");
    let tail = span.start.address() + 3 * GRANULE_BYTES;
    let large = glebe_malloc(64 << 20) as usize;
    let mut group = criterion.benchmark_group("page map");
    for (what, address) in [
        ("record of a block", small),
        (
            "record of nothing of ours",
            std::ptr::from_ref(&span) as usize,
        ),
    ] {
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                Granule::of(black_box(address))
                    .and_then(span::record)
                    .is_some()
            });
        });
    }
    group.bench_function("span from its last granule", |bencher| {
        bencher.iter(|| span::place_of(black_box(tail)).expect("ours").start);
    });
    group.bench_function("large object from 32 MiB inside", |bencher| {
        let inside = large + (32 << 20);
        bencher.iter(|| span::containing(black_box(inside)).expect("ours").start);
    });
    group.finish();
    page_heap::free(span.start, span.span);
    release(small as *mut c_void);
    release(large as *mut c_void);
}

// ---- pages -----------------------------------------------------------------------------------------

fn spans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("page heap");
    for granules in [1, 4, 32] {
        group.bench_function(
            format!("{granules} granules claimed, released"),
            |bencher| {
                bencher.iter(|| {
                    let span = page_heap::allocate(black_box(granules), &|| Filling::Unknown)
                        .expect("memory");
                    page_heap::free(span.start, span.span);
                });
            },
        );
    }
    group.bench_function("256 spans of 1 granule claimed, then released", |bencher| {
        bencher.iter(|| {
            let spans: [_; 256] = std::array::from_fn(|_| {
                page_heap::allocate(1, &|| Filling::Unknown).expect("memory")
            });
            spans
                .into_iter()
                .for_each(|it| page_heap::free(it.start, it.span));
        });
    });
    group.finish();
}

/// Free spans of 1 MiB each, every page of them written.
fn dirty_spans(count: usize) {
    const GRANULES: u32 = 16;
    let spans: Vec<NewSpan> = (0..count)
        .map(|_| page_heap::allocate(GRANULES, &|| Filling::Unknown).expect("memory"))
        .collect();
    for span in spans {
        for page in 0..GRANULES as usize * GRANULE_BYTES / 4096 {
            let address = (span.start.address() + page * 4096) as *mut u8;
            // SAFETY: a byte of a span that is ours alone.
            unsafe { address.write_volatile(1) };
        }
        page_heap::free(span.start, span.span);
    }
}

fn decay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decay");
    group.bench_function("a look that finds nothing due", |bencher| {
        purge::purge_spans_to(0);
        bencher.iter(idle_memory::settle);
    });
    group.bench_function("a look at 4 MiB that may stay", |bencher| {
        dirty_spans(4);
        bencher.iter(purge::due_target_bytes);
    });
    for mib in [1, 16] {
        group.bench_function(format!("a pass that purges {mib} MiB"), |bencher| {
            bencher.iter_batched(
                || dirty_spans(mib),
                |()| purge::purge_spans_to(0),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

// ---- large -----------------------------------------------------------------------------------------

fn kept_mappings(criterion: &mut Criterion) {
    criterion.bench_function("large/4 MiB, from a kept mapping", |bencher| {
        bencher.iter(|| {
            let object = large_object::allocate(4 << 20, 1, Contents::Any).expect("memory");
            large_object::free(span::place_of(object.address).expect("ours"));
        });
    });
}

// ---- cache -----------------------------------------------------------------------------------------

fn cache_hit(criterion: &mut Criterion) {
    criterion.bench_function("cache/a block taken and put back", |bencher| {
        let class = SizeClass::holding(64).expect("a small size");
        let live = glebe_malloc(64);
        let slab = Slab::at(span::place_of(live as usize).expect("ours"));
        with_cache(|cache| {
            bencher.iter(|| {
                let block = cache.allocate(black_box(class)).expect("room");
                cache.free(slab, block);
            });
        });
        release(live);
    });
}

/// A thread that allocates for others: blocks that are its own wherever they are freed.
struct Owner {
    wanted: Sender<()>,
    blocks: Receiver<Vec<usize>>,
}

impl Owner {
    /// Fewer than half a slab's, so that no slab is ever used up and passed on.
    const BLOCKS: usize = 256;
    const BLOCK_BYTES: usize = 64;

    fn start() -> Owner {
        let (wanted, orders) = channel();
        let (deliveries, blocks) = channel();
        thread::spawn(move || {
            while orders.recv().is_ok() {
                let block = |_| glebe_malloc(Self::BLOCK_BYTES) as usize;
                let blocks = (0..Self::BLOCKS).map(block).collect();
                if deliveries.send(blocks).is_err() {
                    return;
                }
            }
        });
        Owner { wanted, blocks }
    }

    fn allocate(&self) -> Vec<usize> {
        self.wanted.send(()).expect("the owner lives");
        self.blocks.recv().expect("the owner lives")
    }
}

fn remote_free(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("remote free");
    group.throughput(Throughput::Elements(Owner::BLOCKS as u64));
    group.bench_function("256 blocks of a living thread", |bencher| {
        let owner = Owner::start();
        let free = |blocks: Vec<usize>| {
            for block in &blocks {
                release(*block as *mut c_void);
            }
            blocks
        };
        bencher.iter_batched(|| owner.allocate(), free, BatchSize::PerIteration);
    });
    group.bench_function("256 blocks come home", |bencher| {
        come_home(bencher);
    });
    group.finish();
}

/// This thread's blocks, freed by another, brought home by this one.
fn come_home(bencher: &mut Bencher) {
    let (sender, freed) = channel::<Vec<usize>>();
    let (done, answer) = channel();
    let freer = thread::spawn(move || {
        for blocks in freed {
            for block in blocks {
                release(block as *mut c_void);
            }
            done.send(()).expect("the benchmark lives");
        }
    });
    bencher.iter_batched(
        || {
            let block = |_| glebe_malloc(Owner::BLOCK_BYTES) as usize;
            let blocks = (0..Owner::BLOCKS).map(block).collect();
            sender.send(blocks).expect("the freer lives");
            answer.recv().expect("the freer lives");
        },
        |()| with_cache(|cache| cache.receive()),
        BatchSize::PerIteration,
    );
    drop(sender);
    freer.join().expect("frees do not panic");
}

// ---- abi -------------------------------------------------------------------------------------------

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
        group.bench_function(format!("{bytes} B, freed in order"), |bencher| {
            bencher.iter(|| {
                let blocks: [_; 1000] = std::array::from_fn(|_| glebe_malloc(black_box(bytes)));
                blocks.into_iter().for_each(release);
            });
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

criterion_group!(
    layers,
    size_classes,
    page_map,
    cache_hit,
    refill,
    remote_free,
    spans,
    decay,
    kept_mappings,
    pairs,
    batches,
    growth
);
criterion_main!(layers);
