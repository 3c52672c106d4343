//! Regions through the Rust door: what is written comes back, whatever was evicted in between.

use glebe::{PageState, Region, RegionError, RegionEviction, RegionOptions, RegionPage};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The region, or `None` (and a word) where the machine has no userfaultfd for us.
fn create(options: RegionOptions) -> Option<Region> {
    match options.create() {
        Ok(region) => Some(region),
        Err(RegionError::NoUserfault) => {
            eprintln!("SKIPPED: no userfaultfd");
            None
        }
        Err(error) => panic!("{error}: {options:?}"),
    }
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// What the word at `index` holds after its `version`th write: a third of the pages is hard to
/// compress, a third easy, a third one word again and again.
fn word(index: usize, version: u64) -> u64 {
    let mixed = (index as u64 + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(version as u32 % 64);
    match index / 512 % 3 {
        0 => mixed.wrapping_mul(mixed | 1),
        1 => index as u64 % 16 + version,
        _ => (version % 7 + 1) * 0x0000_0001_0000_0001,
    }
}

fn words(region: &Region) -> &[AtomicU64] {
    let count = region.len() / size_of::<u64>();
    // SAFETY: mapped, aligned to a page, and shared by atomics alone.
    unsafe { std::slice::from_raw_parts(region.as_ptr().cast(), count) }
}

/// Writes whole pages and reads them back, at random, against a model of their versions.
fn churn(region: &Region, seed: u64, steps: usize) {
    let words = words(region);
    let pages = words.len() / 512;
    let mut versions = vec![0u64; pages];
    let mut state = seed;
    for step in 0..steps {
        let page = next(&mut state) as usize % pages;
        let range = page * 512..(page + 1) * 512;
        let expected = |index| match versions[page] {
            0 => 0,
            version => word(index, version),
        };
        for index in range.clone() {
            let found = words[index].load(Ordering::Relaxed);
            assert_eq!(
                found,
                expected(index),
                "seed {seed} step {step} word {index}"
            );
        }
        if next(&mut state).is_multiple_of(2) {
            versions[page] += 1;
            for index in range {
                words[index].store(word(index, versions[page]), Ordering::Relaxed);
            }
        }
    }
}

fn is_within_budget(region: &Region) -> bool {
    let statistics = region.statistics().expect("alive");
    statistics.resident + statistics.staged <= statistics.budget
}

#[test]
fn every_byte_of_an_anonymous_region_comes_back_with_any_page_size_and_policy() {
    for page_size in [4 * KIB, 16 * KIB, 64 * KIB, 2 * MIB] {
        for eviction in [
            RegionEviction::Adaptive,
            RegionEviction::Fifo,
            RegionEviction::Newest,
        ] {
            let size = (16 * page_size).max(4 * MIB) * 4;
            let options = RegionOptions::anonymous(size, size / 4)
                .page_size(page_size)
                .eviction(eviction);
            let Some(region) = create(options) else {
                return;
            };
            // As many bytes each time.
            let steps = (8 * MIB / page_size).clamp(60, 2000);
            churn(&region, 0x5eed + page_size as u64, steps);
            assert!(is_within_budget(&region));
            let statistics = region.statistics().expect("alive");
            assert!(
                statistics.evicted > 0 && statistics.stored_faults > 0,
                "{statistics:?}"
            );
            assert!(statistics.stall_p50_ns <= statistics.stall_p99_ns);
        }
    }
}

#[test]
fn threads_that_fault_at_once_lose_nothing() {
    let Some(region) = create(RegionOptions::anonymous(32 * MIB, 4 * MIB).page_size(16 * KIB))
    else {
        return;
    };
    let all = words(&region);
    std::thread::scope(|scope| {
        for thread in 0..8usize {
            scope.spawn(move || {
                let mut state = 77 + thread as u64;
                let mut counts = vec![0u64; all.len() / 512];
                for _ in 0..4000 {
                    let page = next(&mut state) as usize % counts.len();
                    let word = &all[page * 512 + thread];
                    assert_eq!(word.fetch_add(1, Ordering::Relaxed), counts[page]);
                    counts[page] += 1;
                }
            });
        }
    });
    assert!(is_within_budget(&region));
}

fn temporary_file(name: &str) -> (std::path::PathBuf, File) {
    let path = std::env::temp_dir().join(format!("glebe-regions-{}-{name}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("a file");
    (path, file)
}

#[test]
fn a_file_is_read_on_demand_and_written_back() {
    let (path, file) = temporary_file("file");
    let size = 8 * MIB + 1234;
    let offset = 8 * KIB;
    let byte = |at: usize, version: usize| (at / 7 + at / 4096 + version) as u8;
    let contents: Vec<u8> = (0..size).map(|at| byte(at, 0)).collect();
    file.write_all_at(&contents, offset as u64).expect("room");
    file.write_all_at(b"behind", (offset + size) as u64)
        .expect("room");
    // SAFETY: nobody else knows of the file.
    let options = unsafe { RegionOptions::file(file.as_raw_fd(), size, MIB) }
        .file_offset(offset as u64)
        .page_size(32 * KIB);
    let Some(mut region) = create(options) else {
        fs::remove_file(path).expect("there");
        return;
    };
    assert!(region.as_slice().expect("a file") == &contents[..]);
    let read = region.statistics().expect("alive");
    assert!(
        read.prefetched > 0 && read.written_back == 0 && read.dirty == 0,
        "{read:?}"
    );
    for at in (0..size).step_by(3 * 4096) {
        region.as_mut_slice().expect("a file")[at] = byte(at, 100);
    }
    region.sync().expect("room");
    let synced = region.statistics().expect("alive");
    assert_eq!(synced.dirty, 0);
    assert!(synced.written_back >= size / 2);
    let mut expected = contents;
    for at in (0..size).step_by(3 * 4096) {
        expected[at] = byte(at, 100);
    }
    let mut found = vec![0; size];
    file.read_exact_at(&mut found, offset as u64)
        .expect("there");
    assert!(found == expected);

    // After a sync, a write makes a page dirty anew, and deletion writes it.
    region.as_mut_slice().expect("a file")[size - 1] = 99;
    region.as_mut_slice().expect("a file")[0] = 98;
    assert_eq!(region.statistics().expect("alive").dirty, 2 * 32 * KIB);
    region.delete().expect("room");
    file.read_exact_at(&mut found, offset as u64)
        .expect("there");
    assert_eq!((found[0], found[size - 1]), (98, 99));
    assert_eq!(
        file.metadata().expect("there").len() as usize,
        offset + size + 6
    );
    let mut behind = [0; 6];
    file.read_exact_at(&mut behind, (offset + size) as u64)
        .expect("there");
    assert_eq!(&behind, b"behind");
    fs::remove_file(path).expect("there");
}

#[test]
fn random_writes_to_a_file_many_times_the_budget_all_arrive() {
    let (path, file) = temporary_file("random");
    let size = 16 * MIB;
    // SAFETY: nobody else knows of the file.
    let options = unsafe { RegionOptions::file(file.as_raw_fd(), size, MIB) }
        .grows_file()
        .page_size(16 * KIB);
    let Some(region) = create(options) else {
        fs::remove_file(path).expect("there");
        return;
    };
    churn(&region, 4242, 8000);
    assert!(is_within_budget(&region));
    let statistics = region.statistics().expect("alive");
    assert!(statistics.write_faults > 0, "{statistics:?}");
    let before = region.as_slice().expect("a file").to_vec();
    region.delete().expect("room");
    assert!(fs::read(&path).expect("there") == before);
    fs::remove_file(path).expect("there");
}

#[test]
fn shared_memory_is_seen_by_two_regions_at_different_addresses() {
    let memory = glebe::shared_memory(8 * MIB).expect("memory");
    let options = RegionOptions::shared(memory, 8 * MIB, MIB).page_size(64 * KIB);
    let Some(one) = create(options) else { return };
    let other = create(options).expect("as the first");
    assert_ne!(one.as_ptr(), other.as_ptr());
    for (index, word_of_one) in words(&one).iter().enumerate() {
        word_of_one.store(word(index, 1), Ordering::Relaxed);
        if index % 997 == 0 {
            assert_eq!(words(&other)[index].load(Ordering::Relaxed), word(index, 1));
        }
    }
    for (index, found) in words(&other).iter().enumerate() {
        assert_eq!(found.load(Ordering::Relaxed), word(index, 1), "{index}");
    }
    assert!(is_within_budget(&one) && is_within_budget(&other));
    assert!(other.statistics().expect("alive").shared_faults > 0);
    assert_eq!(one.as_slice(), Err(RegionError::WrongKind));
}

#[test]
fn what_is_pinned_stays_and_what_is_evicted_goes() {
    let Some(mut region) = create(RegionOptions::anonymous(4 * MIB, MIB)) else {
        return;
    };
    let pages = |region: &Region| {
        let mut pages = vec![
            RegionPage {
                state: PageState::Absent,
                dirty: false,
                pins: 0
            };
            1024
        ];
        region.pages(0, &mut pages).expect("alive");
        pages
    };
    region.as_mut_slice().expect("ours")[..MIB / 2].fill(5);
    region.pin(10_000..20_000).expect("room");
    region.pin(10_000..10_001).expect("room");
    region.evict(0..4 * MIB).expect("memory");
    let seen = pages(&region);
    assert_eq!(seen[2].pins, 2);
    for (page, seen) in seen.iter().enumerate() {
        let expected = match page {
            2..=4 => PageState::Resident,
            0..128 => PageState::Same,
            _ => PageState::Absent,
        };
        assert_eq!(seen.state, expected, "{page}");
    }
    for at in (0..4 * MIB).step_by(4096) {
        region.as_mut_slice().expect("ours")[at] = 1;
    }
    assert_eq!(pages(&region)[3].state, PageState::Resident);
    assert_eq!(region.pin(0..MIB), Err(RegionError::NoRoom));
    assert_eq!(region.unpin(0..20_000), Err(RegionError::NotPinned));
    assert_eq!(pages(&region)[3].pins, 1);
    assert_eq!(region.contract(8 * KIB), Err(RegionError::Pinned));
    region.unpin(10_000..20_000).expect("pinned");
    region.unpin(10_000..10_001).expect("pinned");
    assert!(pages(&region).iter().all(|page| page.pins == 0));
    region.evict(0..4 * MIB).expect("memory");
    region.prefetch(0..4 * MIB).expect("memory");
    let resident = region.statistics().expect("alive").resident;
    assert_eq!(resident, MIB / 2);
    assert!(
        region.as_slice().expect("ours")[4097..8192]
            .iter()
            .all(|it| *it == 5)
    );
}

#[test]
fn a_page_that_is_touched_while_it_is_staged_comes_back_from_there() {
    let Some(mut region) = create(RegionOptions::anonymous(4 * MIB, MIB)) else {
        return;
    };
    region.as_mut_slice().expect("ours").fill(9);
    let mut pages = [RegionPage {
        state: PageState::Absent,
        dirty: false,
        pins: 0,
    }; 1024];
    region.pages(0, &mut pages).expect("alive");
    let staged = |page: &RegionPage| page.state == PageState::Staged;
    let Some(page) = pages.iter().position(staged) else {
        eprintln!("SKIPPED: the kernel cannot move pages");
        return;
    };
    let before = region.statistics().expect("alive");
    assert_eq!(region.as_slice().expect("ours")[page * 4096 + 5], 9);
    region.pages(page, &mut pages[..1]).expect("alive");
    assert_eq!(pages[0].state, PageState::Resident);
    let after = region.statistics().expect("alive");
    assert_eq!(after.stored_faults, before.stored_faults);
}

#[test]
fn a_region_grows_and_shrinks_in_place() {
    let options = RegionOptions::anonymous(MIB, MIB / 2).most_size(1 << 40);
    let Some(mut region) = create(options) else {
        return;
    };
    let start = region.as_ptr();
    region.as_mut_slice().expect("ours").fill(3);
    region.expand(3 * MIB).expect("room");
    assert!(
        region.as_slice().expect("ours")[..MIB]
            .iter()
            .all(|it| *it == 3)
    );
    assert!(
        region.as_slice().expect("ours")[MIB..]
            .iter()
            .all(|it| *it == 0)
    );
    region.as_mut_slice().expect("ours").fill(4);
    region.contract(MIB).expect("no pins");
    region.expand(2 * MIB).expect("room");
    assert!(
        region.as_slice().expect("ours")[..MIB]
            .iter()
            .all(|it| *it == 4)
    );
    assert!(
        region.as_slice().expect("ours")[MIB..]
            .iter()
            .all(|it| *it == 0)
    );
    assert_eq!(region.as_ptr(), start);
    assert_eq!(region.expand((1 << 40) + 4096), Err(RegionError::TooLarge));
    assert_eq!(region.expand(MIB), Err(RegionError::BadArgument));
    assert_eq!(region.contract(4 * MIB), Err(RegionError::BadArgument));
    assert_eq!(region.expand(2 * MIB + 1), Err(RegionError::Unaligned));
}

#[test]
fn a_tebibyte_of_which_little_is_touched_costs_little() {
    let options = RegionOptions::anonymous(1 << 40, 64 * MIB).page_size(2 * MIB);
    let Some(region) = create(options) else {
        return;
    };
    for at in 0..128usize {
        let place = at * ((1 << 40) / 128);
        words(&region)[place / 8].store(at as u64 + 1, Ordering::Relaxed);
    }
    for at in 0..128usize {
        let place = at * ((1 << 40) / 128);
        assert_eq!(
            words(&region)[place / 8].load(Ordering::Relaxed),
            at as u64 + 1
        );
    }
    let metadata = region.statistics().expect("alive").metadata;
    // Entries of each touched unit fill a page; their links lie in another.
    assert!(metadata < 128 * 2 * 4096 + 64 * KIB, "{metadata}");
}

#[test]
fn a_part_that_is_released_is_zero_and_the_rest_stays() {
    let options = RegionOptions::anonymous(4 * MIB, MIB).page_size(16 * KIB);
    let Some(mut region) = create(options) else {
        return;
    };
    churn(&region, 77, 2000);
    region.as_mut_slice().expect("ours").fill(6);
    region.release(MIB..2 * MIB).expect("no pins");
    let bytes = region.as_slice().expect("ours");
    assert!(bytes[..MIB].iter().all(|byte| *byte == 6));
    assert!(bytes[MIB..2 * MIB].iter().all(|byte| *byte == 0));
    assert!(bytes[2 * MIB..].iter().all(|byte| *byte == 6));
    assert!(is_within_budget(&region));

    region.pin(0..1).expect("room");
    assert_eq!(region.release(0..4 * MIB), Err(RegionError::Pinned));
    assert_eq!(region.release(4096..MIB), Err(RegionError::Unaligned));
    assert_eq!(region.release(0..5 * MIB), Err(RegionError::Outside));
    assert_eq!(region.release(MIB..MIB), Err(RegionError::ZeroSize));
    #[expect(clippy::reversed_empty_ranges, reason = "refused")]
    let backwards = region.release(2 * MIB..MIB);
    assert_eq!(backwards, Err(RegionError::Overflow));
    assert!(
        region.as_slice().expect("ours")[..MIB]
            .iter()
            .all(|byte| *byte == 6)
    );
}
