//! glebe as a Rust program's global allocator: everything in here, the test harness included,
//! allocates from it.

use glebe::abi::extensions::{glebe_block_size, glebe_owns};
use std::alloc::{GlobalAlloc, Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

#[global_allocator]
static GLOBAL: glebe::Glebe = glebe::Glebe;

fn is_ours<T: ?Sized>(value: &T) -> bool {
    glebe_owns(core::ptr::from_ref(value).cast()) == 1
}

#[test]
fn what_the_standard_library_allocates_is_ours() {
    let local = 0;
    assert!(!is_ours(&local));
    assert!(is_ours(&*Box::new(1)));
    assert!(is_ours(&*Arc::new([0u8; 100])));
    assert!(is_ours(vec![0u8; 10 << 20].as_slice()));
    assert!(is_ours("text".repeat(100).as_str()));
    assert!(
        thread::spawn(|| is_ours(&*Box::new(1)))
            .join()
            .expect("the thread ends")
    );
}

#[test]
fn containers_move_between_threads_and_keep_their_contents() {
    let words = |thread: usize| -> BTreeMap<usize, String> {
        (0..2000)
            .map(|n| (n * 8 + thread, format!("{thread}:{n}").repeat(n % 40)))
            .collect()
    };
    let shared = Arc::new(Mutex::new(BTreeMap::new()));
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            thread::spawn(move || {
                for round in 0..5 {
                    let all = words(thread);
                    let (kept, sent): (BTreeMap<_, _>, _) =
                        all.into_iter().partition(|(key, _)| (key + round) % 3 == 0);
                    shared.lock().expect("nobody panics with it").extend(kept);
                    sender.send(sent).expect("the receiver waits for all");
                }
            })
        })
        .collect();
    drop(sender);
    let sent: Vec<BTreeMap<usize, String>> = receiver.iter().collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("the thread ends"));
    let mut all = Mutex::into_inner(Arc::into_inner(shared).expect("the threads have ended"))
        .expect("nobody panicked with it");
    all.extend(sent.into_iter().flatten());
    assert_eq!(all, (0..4).flat_map(words).collect());
}

#[test]
fn a_vector_keeps_its_contents_while_it_grows_and_shrinks() {
    let mut numbers = Vec::new();
    for number in 0..2_000_000_u32 {
        numbers.push(number);
    }
    for length in [1_999_999, 700_000, 70_000, 9000, 1000, 100, 3] {
        numbers.truncate(length);
        numbers.shrink_to_fit();
        assert!(numbers.iter().copied().eq(0..length as u32));
    }
}

/// A block by the raw functions, filled with a byte pattern of its own.
struct Raw {
    start: *mut u8,
    layout: Layout,
}

impl Raw {
    fn new(layout: Layout) -> Raw {
        // SAFETY: no layout in here has size 0.
        let start = unsafe { alloc(layout) };
        let raw = Raw { start, layout };
        raw.check_place();
        // SAFETY: as large as its layout.
        (0..layout.size()).for_each(|offset| unsafe { start.add(offset).write(offset as u8) });
        raw
    }

    fn check_place(&self) {
        assert!(!self.start.is_null(), "{:?}", self.layout);
        assert!(
            self.start.addr().is_multiple_of(self.layout.align()),
            "{:?}",
            self.layout
        );
        assert!(glebe_block_size(self.start.cast()) >= self.layout.size());
    }

    fn resize(&mut self, size: usize) {
        let kept = size.min(self.layout.size());
        // SAFETY: a live block of this layout, and a size that is not 0.
        self.start = unsafe { realloc(self.start, self.layout, size) };
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a valid layout");
        self.check_place();
        // SAFETY: as large as its layout; what stood in the old block was written.
        let bytes = unsafe { core::slice::from_raw_parts(self.start, kept) };
        assert!(
            bytes
                .iter()
                .enumerate()
                .all(|(offset, byte)| *byte == offset as u8)
        );
        // SAFETY: as large as its layout.
        (kept..size).for_each(|offset| unsafe { self.start.add(offset).write(offset as u8) });
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: a live block of this layout.
        unsafe { dealloc(self.start, self.layout) };
    }
}

fn resize_among_neighbours(size: usize, alignment: usize) {
    let layout = Layout::from_size_align(size, alignment).expect("a valid layout");
    let neighbours = [Raw::new(layout), Raw::new(layout)];
    let mut block = Raw::new(layout);
    for size in [size + 1, size * 2, size * 2 - 1, size.div_ceil(3), 1, size] {
        block.resize(size);
    }
    drop(neighbours);
}

#[test]
fn blocks_of_every_alignment_keep_place_and_contents_when_resized() {
    for alignment in (0..=22).map(|bits| 1 << bits) {
        for size in [1, 24, 1000, 40_000] {
            resize_among_neighbours(size, alignment);
        }
    }
    for alignment in [1, 1 << 16, 1 << 21] {
        resize_among_neighbours(3_000_000, alignment);
    }
}

#[test]
fn zeroed_blocks_are_zero_after_others_wrote_there() {
    for alignment in [1, 64, 1 << 17] {
        for size in [1, 100, 5000, 50_000, 500_000, 5_000_000] {
            let layout = Layout::from_size_align(size, alignment).expect("a valid layout");
            drop((0..10).map(|_| Raw::new(layout)).collect::<Vec<_>>());
            for _ in 0..10 {
                // SAFETY: the size is not 0.
                let start = unsafe { alloc_zeroed(layout) };
                let block = Raw { start, layout };
                block.check_place();
                // SAFETY: as large as its layout and zeroed.
                let bytes = unsafe { core::slice::from_raw_parts_mut(block.start, size) };
                assert!(bytes.iter().all(|byte| *byte == 0), "{layout:?}");
                bytes.fill(0xff);
            }
        }
    }
}

#[test]
fn what_cannot_be_had_is_an_error_and_no_end() {
    let most = isize::MAX as usize;
    assert!(Vec::<u8>::new().try_reserve_exact(most).is_err());
    let mut full = vec![7u8; 100];
    assert!(full.try_reserve_exact(most - 100).is_err());
    assert_eq!(full, [7; 100]);
    let layout = Layout::from_size_align(1 << 60, 1 << 20).expect("a valid layout");
    // SAFETY: the size is not 0.
    assert!(unsafe { GLOBAL.alloc(layout) }.is_null());
}

/// Frees a block, and allocates one, when its thread ends.
struct Parting(Option<Box<[u64; 100]>>);

impl Drop for Parting {
    fn drop(&mut self) {
        let block = self.0.take().expect("set once");
        let copy = block.to_vec();
        assert!(is_ours(copy.as_slice()) && copy.iter().all(|word| *word == 7));
    }
}

#[test]
fn thread_locals_may_allocate_and_free_as_their_thread_ends() {
    thread_local! {
        static PARTING: Parting = Parting(Some(Box::new([7; 100])));
    }
    for _ in 0..200 {
        thread::spawn(|| PARTING.with(|parting| assert!(parting.0.is_some())))
            .join()
            .expect("the thread ends");
    }
}
