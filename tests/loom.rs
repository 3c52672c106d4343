//! The lock-free parts in every interleaving of a few threads: the sources of the library,
//! compiled over loom's atomics and over stand-ins for the rooms that they do not need here.
#![allow(dead_code, reason = "each source has more than the models touch")]

#[path = "../src/base"]
mod base {
    pub(crate) mod address;
    #[path = "../../tests/loom/atomic.rs"]
    pub(crate) mod atomic;
    pub(crate) mod bit_run;
    pub(crate) mod chain_stack;
    pub(crate) mod random;
    pub(crate) mod shared;
    pub(crate) mod tagged_stack;
}

mod os {
    pub(crate) mod mapping {
        pub(crate) fn unmap(_address: usize, _bytes: usize) -> bool {
            false
        }
    }

    pub(crate) mod guard_pages {
        #[derive(Clone, Copy)]
        pub(crate) enum Method {
            Advice = 1,
        }

        impl Method {
            pub(crate) fn from_number(_number: u32) -> Option<Method> {
                None
            }
        }

        pub(crate) fn install(_address: usize, _bytes: usize) -> Option<Method> {
            None
        }

        pub(crate) fn remove(_method: Method, _address: usize, _bytes: usize) -> bool {
            false
        }

        pub(crate) fn forget(_method: Method) {}
    }

    pub(crate) mod process {
        pub(crate) fn page_bytes() -> usize {
            4096
        }
    }

    pub(crate) mod cpu {
        /// # Safety
        /// The word is readable.
        pub(crate) unsafe fn word_differs<const OFFSET: usize>(
            address: usize,
            value: usize,
        ) -> bool {
            // SAFETY: as the caller's.
            unsafe { *((address + OFFSET) as *const usize) != value }
        }
    }
}

/// Default mode.
mod config {
    pub(crate) fn hardened() -> bool {
        false
    }

    pub(crate) fn link_key() -> u64 {
        0
    }

    pub(crate) fn seal_key() -> u64 {
        0x9e37_79b9_7f4a_7c15
    }

    pub(crate) fn draw_seal_key() {}
}

mod report {
    pub(crate) fn free_list_corrupted(_address: usize) {}
}

#[path = "../src/metadata"]
mod metadata {
    pub(crate) mod directory;
    #[path = "../../tests/loom/span.rs"]
    pub(crate) mod span;

    /// Zeroes that stay.
    fn map_table(bytes: usize) -> Option<usize> {
        Some(Vec::leak(vec![0u64; bytes.div_ceil(8)]).as_ptr() as usize)
    }

    fn unmap_table(_: usize, _: usize) {}
}

#[path = "../src/pages"]
mod pages {
    pub(crate) mod chunk;

    pub(crate) mod huge {
        pub(crate) fn make_resident(_address: usize, _bytes: usize) -> bool {
            false
        }
    }

    pub(crate) mod filling {
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Filling {
            All,
            Unknown,
        }
    }

    /// Spans of one granule, numbered from 1, never used twice.
    pub(crate) mod page_heap {
        use super::filling::Filling;
        use crate::base::address::Granule;
        use crate::metadata::span::{Kind, Span, record};
        use core::sync::atomic::{AtomicU32, Ordering};

        pub(crate) struct NewSpan {
            pub(crate) start: Granule,
            pub(crate) span: &'static Span,
            pub(crate) clean: bool,
        }

        loom::lazy_static! {
            static ref USED: AtomicU32 = AtomicU32::new(0);
        }

        pub(crate) fn allocate(_granules: u32, _filling: &dyn Fn() -> Filling) -> Option<NewSpan> {
            let start = Granule(USED.fetch_add(1, Ordering::Relaxed) + 1);
            Some(NewSpan {
                start,
                span: record(start)?,
                clean: true,
            })
        }

        pub(crate) fn free(_start: Granule, span: &'static Span) {
            span.owner.store(0, Ordering::Relaxed);
            span.set_kind(Kind::Free);
        }
    }
}

#[path = "../src/small"]
mod small {
    pub(crate) mod block;
    pub(crate) mod orphans;
    pub(crate) mod seal;
    pub(crate) mod size_class;
    pub(crate) mod slab;
}

#[path = "../src/large"]
mod large {
    pub(crate) mod kept_mappings;
}

use base::address::{CHUNK_GRANULES, Granule};
use base::atomic::{Ordering, model};
use base::bit_run;
use base::chain_stack::ChainStack;
use base::shared::SharedU64;
use base::tagged_stack::TaggedStack;
use large::kept_mappings::{self, FreedMapping};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use metadata::span::UNOWNED;
use pages::chunk;
use pages::filling::Filling;
use small::orphans;
use small::size_class::{CLASSES, SizeClass};
use small::slab::Slab;

/// Things of which each is in one thread's hands at a time.
struct Things<T>(Vec<UnsafeCell<T>>);

// SAFETY: loom checks each access.
unsafe impl<T: Send> Sync for Things<T> {}

impl<T: Copy> Things<T> {
    fn new(count: usize, value: T) -> Arc<Things<T>> {
        Arc::new(Things((0..count).map(|_| UnsafeCell::new(value)).collect()))
    }

    /// Loom fails the model where another thread has the thing in hand.
    fn get(&self, number: usize) -> T {
        // SAFETY: as said.
        self.0[number].with(|thing| unsafe { *thing })
    }

    fn set(&self, number: usize, value: T) {
        // SAFETY: as said.
        self.0[number].with_mut(|thing| unsafe { *thing = value });
    }
}

/// Something that a `static` or zeroed memory holds in the library.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

// ---- base ------------------------------------------------------------------------------------------

#[test]
fn every_block_of_every_chain_reaches_the_taker_once() {
    model(3, || {
        let stack = leaked(ChainStack::new());
        assert!(stack.is_empty());
        // Block n links to the block in links[n]; 0 is the end.
        let links = Things::new(5, 0);
        let pushers = [[1, 2], [3, 4]].map(|[first, last]| {
            let links = links.clone();
            thread::spawn(move || {
                links.set(first, last);
                stack.push(first, |next| links.set(last, next));
            })
        });
        let mut taken = Vec::new();
        let mut take = || {
            let mut next = stack.take_all();
            while next != 0 {
                taken.push(next);
                next = links.get(next);
            }
        };
        take();
        for pusher in pushers {
            pusher.join().expect("a pusher ends");
        }
        take();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4]);
    });
}

#[test]
fn a_node_that_returns_to_the_head_is_no_trap() {
    use loom::sync::atomic::AtomicU32;
    model(3, || {
        let stack = leaked(TaggedStack::new());
        let links: Arc<[AtomicU32; 4]> = Arc::new(Default::default());
        let hands = Things::new(4, ());
        let push = |links: &[AtomicU32; 4], node: u32| {
            stack.push(node, |next| {
                links[node as usize].store(next, Ordering::Relaxed)
            });
        };
        let pop =
            |links: &[AtomicU32; 4]| stack.pop(|node| links[node as usize].load(Ordering::Relaxed));
        (1..=3).for_each(|node| push(&links, node));
        // This one pops two and returns the first: the head is what it was, its link is not.
        let swapper = {
            let (links, hands) = (links.clone(), hands.clone());
            thread::spawn(move || {
                let both = [pop(&links), pop(&links)];
                both.into_iter()
                    .flatten()
                    .for_each(|node| hands.set(node as usize, ()));
                let [first, second] = both;
                first.inspect(|node| push(&links, *node));
                second
            })
        };
        let mine = pop(&links);
        mine.inspect(|node| hands.set(*node as usize, ()));
        let mut held = vec![mine, swapper.join().expect("the swapper ends")];
        held.extend(std::iter::repeat_with(|| pop(&links)).take_while(Option::is_some));
        let mut held: Vec<_> = held.into_iter().flatten().collect();
        held.sort_unstable();
        assert_eq!(held, [1, 2, 3]);
    });
}

#[test]
fn claimed_bits_have_one_claimer_and_are_released_with_what_was_written() {
    model(3, || {
        let word = leaked(SharedU64::new(0b111));
        assert_eq!(word.load(Ordering::Relaxed), 0b111);
        let granules = Things::new(3, 0);
        let claimers = [2, 1].map(|count| {
            let granules = granules.clone();
            thread::spawn(move || {
                let Some(start) = bit_run::claim(word, 0b110, count) else {
                    return;
                };
                (start..start + count).for_each(|bit| granules.set(bit as usize, count));
                bit_run::release(word, bit_run::mask(start, count));
            })
        });
        let claimed = bit_run::claim_any(word, u64::MAX);
        (0..3)
            .filter(|bit| claimed >> bit & 1 == 1)
            .for_each(|bit| granules.set(bit, 7));
        bit_run::release(word, claimed);
        for claimer in claimers {
            claimer.join().expect("a claimer ends");
        }
        assert_eq!(bit_run::claim(word, 0, 3), Some(0));
    });
}

// ---- pages -----------------------------------------------------------------------------------------

/// Far from the granules with records.
const BASE: Granule = Granule(1 << 20);

/// Where a granule's contents stand: those of a later chunk after its first.
fn place(granule: Granule) -> usize {
    let distance = (granule.0 - BASE.0) as usize;
    distance / CHUNK_GRANULES + distance % CHUNK_GRANULES
}

/// Claims a granule, checks that a clean one is zero, writes to it and releases it.
fn use_a_granule(contents: &Things<u8>) {
    if let Some(claim) = chunk::claim(1) {
        assert!(!claim.clean || contents.get(place(claim.start)) == 0);
        contents.set(place(claim.start), 1);
        chunk::release(claim.chunk, claim.start, 1);
    }
}

#[test]
fn granules_that_are_told_to_be_clean_are_zero() {
    model(2, || {
        let contents = Things::new(2, 0);
        chunk::add(BASE, false, 0b11, 0).expect("room for a chunk");
        use_a_granule(&contents);
        let zero = |contents: &Things<u8>, start: Granule, count: usize| {
            (0..count).for_each(|offset| contents.set(place(start.plus(offset)), 0));
            true
        };
        let purger = {
            let contents = contents.clone();
            thread::spawn(move || {
                chunk::purge(0, |start, count, _| zero(&contents, start, count));
            })
        };
        use_a_granule(&contents);
        purger.join().expect("the purger ends");
        chunk::purge(0, |start, count, _| zero(&contents, start, count));
        assert_eq!(chunk::dirty_granules(), 0);
        let all = chunk::claim(2).expect("both are free");
        assert!(all.clean && contents.get(0) == 0 && contents.get(1) == 0);
    });
}

#[test]
fn a_granule_freed_while_the_hint_is_raised_is_found() {
    model(3, || {
        chunk::add(BASE, false, 1, 0).expect("room for a chunk");
        chunk::add(BASE.plus(CHUNK_GRANULES), false, 1, 0).expect("room for a chunk");
        let first = chunk::claim(1).expect("it is free");
        let freer = thread::spawn(move || chunk::release(first.chunk, first.start, 1));
        let second = chunk::claim(1).expect("one is always free");
        freer.join().expect("the freer ends");
        let third = chunk::claim(1).expect("one was freed or left");
        assert_ne!(second.start, third.start);
        assert!(chunk::claim(1).is_none());
    });
}

#[test]
fn granules_withdrawn_from_the_top_are_nobody_elses() {
    model(3, || {
        let contents = Things::new(3, 0);
        let number = chunk::add(BASE, true, 0b111, 0).expect("room for a chunk");
        // Only the one in the middle is dirty, so it is what the user will claim.
        let [low, middle, top] = [(); 3].map(|()| chunk::claim(1).expect("it is free").start);
        chunk::release(number, low, 1);
        chunk::release(number, top, 1);
        chunk::purge(0, |_, _, _| true);
        chunk::release(number, middle, 1);
        let user = {
            let contents = contents.clone();
            thread::spawn(move || use_a_granule(&contents))
        };
        let withdrawn = chunk::withdraw_top(number, 3);
        if withdrawn > 0 {
            let start = 3 - withdrawn;
            (start..3).for_each(|bit| contents.set(bit as usize, 1));
            chunk::return_withdrawn(number, bit_run::mask(start, withdrawn));
        }
        user.join().expect("the user ends");
        assert!(chunk::claim(3).is_some());
        assert_eq!(chunk::dirty_granules(), 0);
    });
}

#[test]
fn a_chunk_withdrawn_whole_was_nobodys_and_its_number_serves_again() {
    model(3, || {
        let contents = Things::new(2, 0);
        chunk::add(BASE, false, 1, 0).expect("room for a chunk");
        use_a_granule(&contents);
        let user = {
            let contents = contents.clone();
            thread::spawn(move || use_a_granule(&contents))
        };
        let mut withdrawn = false;
        chunk::withdraw_whole(|start, _| {
            contents.set(place(start), 2);
            withdrawn = true;
            true
        });
        if withdrawn {
            assert_eq!(chunk::add(BASE.plus(CHUNK_GRANULES), false, 1, 0), Some(0));
        }
        user.join().expect("the user ends");
        let mut claims = 0;
        while let Some(claim) = chunk::claim(1) {
            assert!(!claim.clean || contents.get(place(claim.start)) == 0);
            claims += 1;
        }
        assert_eq!((claims, chunk::dirty_granules()), (1, 0));
    });
}

// ---- large -----------------------------------------------------------------------------------------

#[test]
fn a_kept_mapping_is_taken_by_one_thread() {
    model(1, || {
        let contents = Things::new(2, 0);
        assert_eq!(kept_mappings::take_any(), None);
        let kept = |number| FreedMapping {
            start: Granule(100 + 10 * number),
            granules: 10,
        };
        let user = |number: u32| {
            let contents = contents.clone();
            thread::spawn(move || {
                contents.set(number as usize, 1);
                assert!(kept_mappings::put(kept(number)));
                let taken = kept_mappings::take(10, 1)?;
                contents.set((taken.start.0 as usize - 100) / 10, 2);
                assert!(kept_mappings::put(taken));
                Some(())
            })
        };
        for user in [user(0), user(1)] {
            user.join().expect("the user ends");
        }
        let mut left = [kept_mappings::take_any(), kept_mappings::take_any()];
        left.sort_by_key(|kept| kept.map(|kept| kept.start));
        assert_eq!(left, [Some(kept(0)), Some(kept(1))]);
    });
}

// ---- small -----------------------------------------------------------------------------------------

const CLASS: SizeClass = SizeClass::new(CLASSES - 1);
/// Addresses of thread caches.
const CACHES: [usize; 4] = [0x1000, 0x2000, 0x3000, 0x4000];

/// A slab of `CACHES[0]` whose blocks are all in use.
fn full_slab() -> Slab {
    let slab = Slab::new(CLASS, CACHES[0], Filling::Unknown).expect("a span");
    slab.span
        .carved
        .store(CLASS.slab_blocks(), Ordering::Relaxed);
    slab.span
        .countdown
        .store(CLASS.slab_blocks(), Ordering::Relaxed);
    slab
}

/// What an owner does when it frees a block.
fn free_block(slab: Slab) {
    slab.span.free.store(1, Ordering::Relaxed);
    let countdown = slab.span.countdown.load(Ordering::Relaxed);
    slab.span.countdown.store(countdown - 1, Ordering::Relaxed);
}

#[test]
fn a_slab_without_owner_gets_one_at_a_time() {
    model(3, || {
        let slab = full_slab();
        slab.disown();
        let freers = [CACHES[1], CACHES[2]].map(|cache| {
            thread::spawn(move || {
                while !slab.claim(UNOWNED, cache) {
                    thread::yield_now();
                }
                free_block(slab);
                slab.disown();
            })
        });
        for freer in freers {
            freer.join().expect("a freer ends");
        }
        assert!(slab.claim(UNOWNED, CACHES[3]));
        assert_eq!(slab.span.used(), CLASS.slab_blocks() - 2);
    });
}

/// Adopts all orphans there are: their granules in order.
fn adopt_all() -> Vec<u32> {
    let adopt = || orphans::adopt(CLASS, CACHES[0]).map(|slab| slab.start.0);
    let mut adopted: Vec<_> = std::iter::from_fn(adopt).collect();
    adopted.sort_unstable();
    adopted
}

#[test]
fn an_orphan_is_adopted_by_one_thread_and_never_lost() {
    model(3, || {
        let slab = full_slab();
        free_block(slab);
        orphans::give(slab);
        // One frees a block of it and passes it on, one adopts it and passes it on.
        let freer = thread::spawn(move || {
            if slab.claim(UNOWNED, CACHES[1]) {
                free_block(slab);
                orphans::give(slab);
            }
        });
        let heir = thread::spawn(move || {
            if let Some(orphan) = orphans::adopt(CLASS, CACHES[2]) {
                free_block(orphan);
                orphans::give(orphan);
            }
        });
        freer.join().expect("the freer ends");
        heir.join().expect("the heir ends");
        assert_eq!(adopt_all(), [slab.start.0]);
    });
}

#[test]
fn slabs_given_by_two_threads_find_heirs() {
    model(3, || {
        let slabs = [full_slab(), full_slab()];
        slabs.into_iter().for_each(free_block);
        let givers = slabs.map(|slab| thread::spawn(move || orphans::give(slab)));
        let mut adopted: Vec<_> = orphans::adopt(CLASS, CACHES[1])
            .iter()
            .map(|slab| slab.start.0)
            .collect();
        for giver in givers {
            giver.join().expect("a giver ends");
        }
        adopted.extend(adopt_all());
        adopted.sort_unstable();
        assert_eq!(adopted, slabs.map(|slab| slab.start.0));
    });
}
