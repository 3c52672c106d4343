//! What a Rust program asks of its blocks.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use glebe::{
    AddressKind, AddressSpace, FreeStatus, Glebe, MapKind, MapPageState, RegionProtection,
};

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

/// Whether the page at `address` is a guard, may be read, may be written.
fn page_at(address: *const u8) -> (bool, bool, bool) {
    let map = AddressSpace::of_process(0).expect("/proc");
    let mut regions = map.regions().iter().enumerate();
    let (index, region) = regions
        .find(|(_, it)| (it.start..it.end).contains(&address.addr()))
        .expect("it is mapped");
    let mut runs = map.runs(index).iter();
    let run = runs.find(|run| address.addr() < run.end).expect("a run");
    let is_guard = region.kind == MapKind::Guard || run.state == MapPageState::Guard;
    assert!(is_guard || region.kind == MapKind::GuardedObject);
    (is_guard, region.is_readable, region.is_writable)
}

#[test]
fn a_guarded_block_lies_between_guards_and_its_pages_are_protected_one_by_one() {
    let _alone = alone();
    let layout = Layout::from_size_align(3 * 4096, 4096).expect("a power of two");
    let block = glebe::guarded_alloc(layout).expect("memory");
    let start = block.cast::<u8>().as_ptr();
    assert_eq!(block.len(), 3 * 4096);
    // SAFETY: a block of ours alone.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start, block.len()) };
    assert!(bytes.iter().all(|byte| *byte == 0));
    bytes.fill(7);
    assert!(page_at(start.wrapping_sub(1)).0);
    assert!(page_at(start.wrapping_add(3 * 4096)).0);

    let second = start.wrapping_add(4096);
    let (usual, nobody) = ((false, true, true), (true, false, false));
    assert_eq!(page_at(second), usual);
    // SAFETY: nobody uses the pages while they are less than usual.
    unsafe {
        assert_eq!(glebe::protect(second, 4096, RegionProtection::Read), Ok(()));
        assert_eq!(page_at(second), (false, true, false));
        assert_eq!(page_at(start), usual);
        assert_eq!(glebe::protect(second, 4096, RegionProtection::None), Ok(()));
        assert_eq!(page_at(second), nobody);
        let refused = Err(libc::EINVAL);
        for (address, size) in [
            (second, 0),
            (second, 100),
            (second.wrapping_add(16), 4096),
            (second, 4 * 4096),
            (second, usize::MAX & !4095),
            (start.wrapping_sub(4096), 4096),
            (std::ptr::null_mut(), 4096),
        ] {
            let answer = glebe::protect(address, size, RegionProtection::ReadWrite);
            assert_eq!(answer, refused, "{address:p} {size}");
        }
        assert_eq!(page_at(second), nobody);
        let all = glebe::protect(start, 3 * 4096, RegionProtection::ReadWrite);
        assert_eq!(all, Ok(()));
        assert!((0..3 * 4096).all(|at| start.add(at).read() == 7));
        assert_eq!(glebe::free_checked(start), FreeStatus::Success);
        let freed = glebe::protect(start, 4096, RegionProtection::Read);
        assert_eq!(freed, refused);
        assert_eq!(glebe::free_checked(start), FreeStatus::AlreadyFree);
    }
    let larger_than_all = Layout::from_size_align(isize::MAX as usize - 4095, 4096);
    let too_large = glebe::guarded_alloc(larger_than_all.expect("a layout"));
    assert_eq!(too_large, None);
}
