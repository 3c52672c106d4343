//! Random requests through the C doors of the library, beside a shadow heap that knows what every
//! answer must be. Each test prints its seed; `GLEBE_TEST_SEED` repeats it (threads interleave as
//! they like all the same) and `GLEBE_TEST_OPS` sets the requests of each thread.
//!
//! Statistics are the process's, so the tests run one after the other, and each ends with a heap
//! as empty as it found it.

#[path = "model/contents.rs"]
mod contents;
#[path = "model/random.rs"]
mod random;
#[path = "model/requests.rs"]
mod requests;
#[path = "model/shadow_heap.rs"]
mod shadow_heap;

use glebe::abi::extensions::glebe_purge;
use glebe::abi::libc::glebe_malloc;
use random::{Random, operations, seed};
use requests::{Mix, Request};
use shadow_heap::{Block, Figures, ShadowHeap, statistics};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Runs a test's body, which gets the figures of the heap it finds, while the other tests of this
/// file wait. It has a thread of its own, joined before the next may start: a thread that is still
/// closing its cache has blocks on their way, which count as live.
fn run_by_itself(body: impl FnOnce(Figures) + Send) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    let run = || {
        Figures::settle();
        body(Figures::now());
    };
    let ended = thread::scope(|scope| scope.spawn(run).join());
    if let Err(failed) = ended {
        std::panic::resume_unwind(failed);
    }
}

/// Names the request that was being served when a check failed.
struct Step {
    number: usize,
    request: Request,
}

impl Drop for Step {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("failed at request {}: {:?}", self.number, self.request);
        }
    }
}

/// Draws request `number` of `mix` and performs it.
fn step(number: usize, mix: &Mix, heap: &mut ShadowHeap, random: &mut Random) {
    let request = Request::draw(random, mix, heap);
    let _named = Step { number, request };
    request.perform(heap, random);
}

/// One thread, `count` requests of `mix`; the figures are compared now and then.
fn run_alone(mix: &Mix, count: usize) {
    run_by_itself(|before| serve_alone(mix, count, before));
}

fn serve_alone(mix: &Mix, count: usize, before: Figures) {
    let mut random = Random::new(seed());
    let mut heap = ShadowHeap::alone();
    for number in 0..operations(count) {
        step(number, mix, &mut heap, &mut random);
        if number.is_multiple_of(1000) {
            heap.check_figures(before);
        }
    }
    heap.check_contents();
    heap.check_figures(before);
    heap.free_all();
    heap.check_figures(before);
}

#[test]
fn small_blocks_agree_with_the_shadow_heap() {
    run_alone(&Mix::SMALL, 100_000);
}

#[test]
fn blocks_of_all_sizes_agree_with_the_shadow_heap() {
    run_alone(&Mix::ALL, 60_000);
}

#[test]
fn large_and_over_aligned_blocks_agree_with_the_shadow_heap() {
    run_alone(&Mix::LARGE, 15_000);
}

/// Serves `count` requests of `mix` among others that do the same, gives away a block now and
/// then and takes what others give. Ends with blocks alive.
fn exchange(
    mut heap: ShadowHeap,
    mix: &Mix,
    mut random: Random,
    count: usize,
    others: Vec<Sender<Block>>,
    given: Receiver<Block>,
) -> ShadowHeap {
    for number in 0..count {
        if random.one_in(4)
            && let Some(block) = heap.take_any(&mut random)
        {
            // Nobody refuses: each thread drains its channel at its end.
            let _ = others[random.below(others.len())].send(block);
        }
        for block in given.try_iter() {
            heap.receive(block);
        }
        step(number, mix, &mut heap, &mut random);
    }
    drop(others);
    for block in given {
        heap.receive(block);
    }
    heap
}

/// `heaps.len()` threads go on with a heap each, exchange blocks and end.
fn run_threads(
    heaps: Vec<ShadowHeap>,
    mix: &Mix,
    random: &mut Random,
    count: usize,
) -> Vec<ShadowHeap> {
    let (senders, receivers): (Vec<_>, Vec<_>) = heaps.iter().map(|_| channel()).unzip();
    thread::scope(|scope| {
        let threads: Vec<_> = heaps
            .into_iter()
            .zip(receivers)
            .map(|(heap, given)| {
                let (others, random) = (senders.clone(), random.fork());
                scope.spawn(move || exchange(heap, mix, random, count, others, given))
            })
            .collect();
        drop(senders);
        threads
            .into_iter()
            .map(|thread| thread.join().expect("the thread's checks hold"))
            .collect()
    })
}

/// Waves of threads, each wave heir to the blocks of the one before; after each the joined heaps
/// must be one heap, with the figures to match.
fn run_waves(mix: &Mix, waves: usize, threads: usize, count: usize) {
    run_by_itself(|before| serve_waves(mix, waves, threads, count, before));
}

fn serve_waves(mix: &Mix, waves: usize, threads: usize, count: usize, before: Figures) {
    let mut random = Random::new(seed());
    let mut heaps: Vec<_> = (0..threads).map(|_| ShadowHeap::among_others()).collect();
    for _ in 0..waves {
        heaps = run_threads(heaps, mix, &mut random, operations(count));
        ShadowHeap::check_disjoint(&heaps);
        heaps.iter().for_each(ShadowHeap::check_contents);
        Figures::settle();
        assert_eq!(
            Figures::now(),
            before + heaps.iter().map(ShadowHeap::figures).sum()
        );
    }
    heaps.iter_mut().for_each(ShadowHeap::free_all);
    Figures::settle();
    assert_eq!(Figures::now(), before);
}

#[test]
fn threads_that_exchange_blocks_agree_with_their_shadow_heaps() {
    run_waves(&Mix::ALL, 1, 4, 20_000);
}

#[test]
fn blocks_of_ended_threads_live_on_with_their_heirs() {
    run_waves(&Mix::ALL, 20, 3, 1_000);
}

#[test]
fn small_blocks_change_threads_and_come_home() {
    run_waves(&Mix::SMALL, 4, 4, 8_000);
}

#[test]
fn freed_blocks_are_known_to_be_free_below_and_above_a_lowered_break() {
    run_by_itself(|_| lower_and_raise_the_break());
}

fn lower_and_raise_the_break() {
    let mut heap = ShadowHeap::alone();
    let new_block = || Block::new(glebe_malloc(100 << 10), 100 << 10, 16);
    (0..640).for_each(|_| heap.receive(new_block()));
    let break_bytes = statistics().break_bytes;
    heap.free_all();
    glebe_purge();
    let lowered_bytes = statistics().break_bytes;
    if lowered_bytes == break_bytes {
        return println!("SKIPPED: the program break cannot be lowered here");
    }
    heap.check_freed();
    while statistics().break_bytes == lowered_bytes {
        heap.receive(new_block());
    }
    heap.check_freed();
    heap.free_all();
}
