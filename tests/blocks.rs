//! What a Rust program asks of its blocks.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use glebe::{AddressKind, FreeStatus, Glebe};

#[global_allocator]
static GLOBAL: Glebe = Glebe;

/// One test at a time: what one has freed another would get.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn allocate(size: usize) -> *mut u8 {
    let layout = Layout::from_size_align(size, 16).expect("a size");
    // SAFETY: no size here is 0.
    let block = unsafe { Glebe.alloc(layout) };
    assert!(!block.is_null());
    block
}

#[test]
fn a_free_says_whether_it_could() {
    let _alone = alone();
    for size in [1, 100, 5000, 100_000, 5 << 20] {
        let block = allocate(size);
        // SAFETY: nobody uses the block.
        unsafe {
            assert_eq!(glebe::free_checked(block.add(1)), FreeStatus::InsideBlock);
            assert_eq!(glebe::free_checked(block), FreeStatus::Success, "{size}");
            assert_eq!(
                glebe::free_checked(block),
                FreeStatus::AlreadyFree,
                "{size}"
            );
        }
    }
    let mut local = 0u8;
    // SAFETY: no block starts there.
    unsafe {
        assert_eq!(glebe::free_checked(&raw mut local), FreeStatus::NotOurs);
        assert_eq!(
            glebe::free_checked(std::ptr::null_mut()),
            FreeStatus::Success
        );
    }
}

#[test]
fn an_address_is_known_by_its_block() {
    let _alone = alone();
    for (size, kind) in [
        (100, AddressKind::Small),
        (100_000, AddressKind::Medium),
        (5 << 20, AddressKind::Large),
    ] {
        let block = allocate(size);
        for address in [block, block.wrapping_add(size - 1)] {
            // A few small blocks are sampled.
            let found = glebe::address_kind(address);
            assert!(found == kind || found == AddressKind::Sampled, "{found:?}");
            let containing = glebe::block_containing(address).expect("in use");
            assert_eq!(containing.cast().as_ptr(), block);
            assert!(containing.len() >= size);
        }
        // SAFETY: nobody uses the block.
        assert_eq!(unsafe { glebe::free_checked(block) }, FreeStatus::Success);
        assert_eq!(glebe::block_containing(block), None);
    }
    assert_eq!(glebe::address_kind(&raw const GLOBAL), AddressKind::NotOurs);
}

#[test]
fn statistics_count_what_lives_and_a_purge_gives_back() {
    let _alone = alone();
    const SIZE: usize = 300 << 20;
    let before = glebe::statistics();
    let block = allocate(SIZE);
    let with = glebe::statistics();
    assert!(with.large_live_bytes >= SIZE && with.live_bytes >= with.large_live_bytes);
    assert!(with.large_live_bytes - before.large_live_bytes > SIZE / 2);
    // SAFETY: nobody uses the block.
    assert_eq!(unsafe { glebe::free_checked(block) }, FreeStatus::Success);
    assert!(glebe::statistics().large_live_bytes < SIZE);
    glebe::purge();
    assert!(glebe::statistics().purge_calls > 0);
    assert_eq!(glebe::collapse(block, 4 << 20), Err(libc::EINVAL));
}
