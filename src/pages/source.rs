//! Where chunks come from: the program break first, mmap where the break cannot grow or another
//! part of the program moved it. `GLEBE_SOURCE` picks one of them alone.

use super::chunk;
use super::filling::Filling;
use super::huge::{self, HUGE_PAGE_BYTES};
use super::page_size;
use crate::base::address::{
    CHUNK_BYTES, CHUNK_GRANULES, GRANULE_BYTES, GRANULE_SHIFT, Granule, round_up,
};
use crate::base::bit_run;
use crate::config::{self, Source};
use crate::metadata::data_segment;
use crate::os::futex::Mutex;
use crate::os::process::{SignalsBlocked, page_bytes};
use crate::os::{mapping, program_break};
use crate::paging;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Granules by which the break grows at least, 1 MiB: a small program stays small, and a call
/// of about a microsecond serves hundreds of thousands of blocks.
const BREAK_STEP: usize = 16;

/// From this much heap on it grows, for spans that will be filled, by whole huge pages that are
/// resident from the start: one call for hundreds of faults, and a larger reach of the processor's
/// address cache. At most 1/8 of a heap on the break, or 1/4 of one from mmap, is thus resident
/// and not in use yet, and the laws of `pages::purge` see it as idle.
const AHEAD_FROM_BYTES: usize = 16 << 20;
/// Granules by which it grows then: a huge page.
const AHEAD_STEP: usize = HUGE_PAGE_BYTES / GRANULE_BYTES;

/// Our idea of the program break.
struct Break {
    /// Where our last growth ended; 0 before the first.
    end: usize,
}

static BREAK: Mutex<Break> = Mutex::new(Break { end: 0 });
/// Whether the program break is not to be moved any more: see [`lose_break`].
static BREAK_LOST: AtomicBool = AtomicBool::new(false);
static BREAK_BYTES: AtomicUsize = AtomicUsize::new(0);
static MMAP_BYTES: AtomicUsize = AtomicUsize::new(0);

static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The most that break and mmap chunks ever were together, in bytes.
pub(crate) fn peak_bytes() -> usize {
    PEAK_BYTES.load(Ordering::Relaxed)
}

/// Bytes of the program break that are ours now.
pub(crate) fn break_bytes() -> usize {
    BREAK_BYTES.load(Ordering::Relaxed)
}

/// Bytes of chunks from mmap.
pub(crate) fn mmap_bytes() -> usize {
    MMAP_BYTES.load(Ordering::Relaxed)
}

/// Makes room for a span of `count` granules (1 to 64) that the chunks could not serve; `retry`
/// is asked again once the lock is held, since another thread may have grown the heap meanwhile.
/// `None` out of memory.
pub(crate) fn grow<T>(
    count: usize,
    filling: Filling,
    mut retry: impl FnMut() -> Option<T>,
) -> Option<T> {
    let _blocked = SignalsBlocked::new();
    let mut program_break = BREAK.lock();
    if let Some(served) = retry() {
        return Some(served);
    }
    let source = if BREAK_LOST.load(Ordering::Relaxed) {
        Source::Mmap
    } else {
        config::source()
    };
    let heap_bytes = break_bytes() + mmap_bytes();
    let ahead = filling == Filling::All
        && heap_bytes >= AHEAD_FROM_BYTES
        && paging::scarce_bytes().is_none();
    let grown = (source != Source::Mmap && grow_break(&mut program_break, count, ahead))
        || (source != Source::Break && grow_by_mmap(count, ahead));
    PEAK_BYTES.fetch_max(break_bytes() + mmap_bytes(), Ordering::Relaxed);
    if grown { retry() } else { None }
}

/// Grows the break so that `count` more granules lie in one chunk.
fn grow_break(state: &mut Break, count: usize, ahead: bool) -> bool {
    let Some(now) = program_break::current() else {
        return false;
    };
    let Some(start) = round_up(now, GRANULE_BYTES) else {
        return false;
    };
    let first = start >> GRANULE_SHIFT;
    let left_in_chunk = CHUNK_GRANULES - first % CHUNK_GRANULES;
    let wanted = if ahead || page_size::is_huge() {
        (first + count).next_multiple_of(AHEAD_STEP) - first
    } else {
        count.max(BREAK_STEP)
    };
    // A span lies within one chunk: where this one's rest is too short, take it along and
    // continue in the next.
    let granules = if count <= left_in_chunk {
        wanted.min(left_in_chunk)
    } else {
        left_in_chunk + wanted
    };
    let bytes = start - now + granules * GRANULE_BYTES;
    #[expect(clippy::cast_possible_truncation, reason = "granules are 31 bits")]
    let covered = (Granule(first as u32), Granule((first + granules) as u32));
    if !data_segment::cover(covered.0, covered.1) || !program_break::grow(now, bytes) {
        return false;
    }
    if !mapping::is_mapped(now + bytes - page_bytes(), page_bytes()) {
        // A filter that refuses brk(2) looks like success to sbrk(3).
        lose_break();
        return false;
    }
    page_size::advise(start, granules * GRANULE_BYTES);
    let resident = ahead && huge::make_new_resident(start, granules * GRANULE_BYTES);
    state.end = now + bytes;
    BREAK_BYTES.fetch_add(granules * GRANULE_BYTES, Ordering::Relaxed);
    paging::claim(start, granules * GRANULE_BYTES);
    let mut next = first;
    while next < first + granules {
        let offset = next % CHUNK_GRANULES;
        let here = (CHUNK_GRANULES - offset).min(first + granules - next);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "offsets below 64; granules 31 bits"
        )]
        let (bits, base) = (
            bit_run::mask(offset as u32, here as u32),
            Granule((next - offset) as u32),
        );
        let resident = if resident { bits } else { 0 };
        match chunk::find_in_break(base) {
            Some(number) => chunk::extend(number, bits, resident),
            None if chunk::add(base, true, bits, resident).is_some() => {}
            None => return false,
        }
        next += here;
    }
    true
}

/// Maps a chunk, or just what is wanted where a whole one is not to be had.
fn grow_by_mmap(count: usize, ahead: bool) -> bool {
    let whole = mapping::map_aligned(CHUNK_BYTES, CHUNK_BYTES).map(|at| (at, CHUNK_GRANULES));
    let mapped = whole.or_else(|| {
        mapping::map_aligned(count * GRANULE_BYTES, GRANULE_BYTES).map(|at| (at, count))
    });
    let Some((address, granules)) = mapped else {
        return false;
    };
    let bytes = granules * GRANULE_BYTES;
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    let all = bit_run::mask(0, granules as u32);
    page_size::advise(address, bytes);
    let resident = ahead && granules == CHUNK_GRANULES && huge::make_new_resident(address, bytes);
    paging::claim(address, bytes);
    let added = Granule::of(address)
        .and_then(|base| chunk::add(base, false, all, if resident { all } else { 0 }));
    if added.is_none() {
        paging::unclaim(address, bytes);
        mapping::unmap(address, bytes);
        return false;
    }
    mapping::name(address, bytes, c"glebe heap");
    MMAP_BYTES.fetch_add(bytes, Ordering::Relaxed);
    true
}

/// Lowers the program break below the free granules at its top; the bytes given back.
/// `forget(granule)` is told of each granule that is no longer ours.
pub(crate) fn shrink_break(mut forget: impl FnMut(Granule)) -> usize {
    let _blocked = SignalsBlocked::new();
    let Some(mut state) = BREAK.try_lock() else {
        return 0;
    };
    if BREAK_LOST.load(Ordering::Relaxed) {
        return 0;
    }
    let mut given_back = 0;
    while state.end != 0 && program_break::current() == Some(state.end) {
        let end = state.end >> GRANULE_SHIFT;
        let last = end - 1;
        #[expect(clippy::cast_possible_truncation, reason = "granules are 31 bits")]
        let base = Granule((last - last % CHUNK_GRANULES) as u32);
        let Some(number) = chunk::find_in_break(base) else {
            break;
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        let granules = chunk::withdraw_top(number, (end - base.0 as usize) as u32) as usize;
        if granules == 0 {
            break;
        }
        let new_end = state.end - granules * GRANULE_BYTES;
        let bits = {
            #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
            let (start, count) = (
                ((new_end >> GRANULE_SHIFT) - base.0 as usize) as u32,
                granules as u32,
            );
            bit_run::mask(start, count)
        };
        // Forgotten first: once the break is lower, the range may become another's.
        for offset in 0..granules {
            #[expect(clippy::cast_possible_truncation, reason = "granules are 31 bits")]
            forget(Granule(((new_end >> GRANULE_SHIFT) + offset) as u32));
        }
        paging::unclaim(new_end, granules * GRANULE_BYTES);
        if !program_break::shrink(state.end, new_end) {
            paging::claim(new_end, granules * GRANULE_BYTES);
            // Not moved: the granules are ours as before, and as good as dirty.
            chunk::return_withdrawn(number, bits);
            break;
        }
        state.end = new_end;
        given_back += granules * GRANULE_BYTES;
        BREAK_BYTES.fetch_sub(granules * GRANULE_BYTES, Ordering::Relaxed);
    }
    given_back
}

/// Unmaps the chunks from mmap in which nothing is in use; the bytes given back. `forget(granule)`
/// is told of each granule that is no longer ours.
pub(crate) fn unmap_free_chunks(mut forget: impl FnMut(Granule)) -> usize {
    let _blocked = SignalsBlocked::new();
    let _lock = BREAK.lock();
    let mut given_back = 0;
    chunk::withdraw_whole(|start, granules| {
        (0..granules).for_each(|offset| forget(start.plus(offset)));
        let bytes = granules * GRANULE_BYTES;
        paging::unclaim(start.address(), bytes);
        let unmapped = mapping::unmap(start.address(), bytes);
        if unmapped {
            given_back += bytes;
        } else {
            paging::claim(start.address(), bytes);
        }
        unmapped
    });
    MMAP_BYTES.fetch_sub(given_back, Ordering::Relaxed);
    given_back
}

/// The program break is not moved any more; the page heap grows by mmap, whatever
/// `GLEBE_SOURCE` says.
///
/// In a child after fork of a multi-threaded program the kernel copied its own idea of the break
/// before the mappings, and libc's is in a page copied later: if another thread moved the break
/// meanwhile the three differ, and the next move would leave a hole or unmap what is in use.
pub(crate) fn lose_break() {
    BREAK_LOST.store(true, Ordering::Relaxed);
}

/// In a child after fork: whoever held the lock is no more.
pub(crate) fn reset_lock() {
    // SAFETY: the child has one thread, and it does not hold the lock.
    unsafe { BREAK.raw() }.reset();
}
