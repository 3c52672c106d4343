//! The requests: allocate, free, resize, ask. Addresses in, addresses out; 0 is out of memory.
//! No door's policy: errno and the order of arguments are `abi`'s business.

use super::found::{Found, InUse, look_up, report_double, report_inside};
use super::give_back::or_after_purge;
use super::hardened::{self, Named, NothingNamed};
use super::thread::with_cache;
use super::{bootstrap, foreign, start};
use crate::base::address::GRANULE_BYTES;
use crate::cache::bin::{Bin, Room};
use crate::cache::thread_cache::{self, ThreadCache};
use crate::config;
use crate::guard::{fault, guarded_object, sampled_slots};
use crate::large::large_object;
use crate::large::large_object::Contents;
use crate::large::medium_object::{self, MEDIUM_MAX_BYTES};
use crate::metadata::span::{self, Kind, Span, UNOWNED};
use crate::os::fault_signals;
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::{BUSY, ThreadSlot};
use crate::small::block::Block;
use crate::small::seal::Asked;
use crate::small::size_class::{DIRECT_MAX_BYTES, SLAB_MAX_BYTES, SizeClass};
use crate::small::slab::{Countdown, Slab, class_of, put_unmarked};
use core::sync::atomic::Ordering;

/// Sizes above this fail on every door (PTRDIFF_MAX).
pub(crate) const MAX_BYTES: usize = isize::MAX as usize;

/// A guarded object that is resized to no more than this need not stay one.
const GUARDED_LEAST_BYTES: usize = SLAB_MAX_BYTES / 2;

// ---- allocate ------------------------------------------------------------------------------------

/// Allocates `bytes`, aligned to 16.
#[inline(always)]
pub(crate) fn allocate(bytes: usize) -> usize {
    match allocate_at_hand(bytes) {
        Some(block) => block.address(),
        None => allocate_slow(bytes),
    }
}

/// The fast path of [`allocate`]: the block of the thread's bin that was freed last. `None` sends
/// the caller to [`allocate_slow`]; where that is the last thing it does, the fast path needs no
/// stack.
#[inline(always)]
pub(crate) fn allocate_at_hand(bytes: usize) -> Option<Block> {
    let slot = ThreadSlot::current();
    if !slot.admits(bytes) {
        return None;
    }
    let word = slot.word();
    slot.take(word);
    // SAFETY: the slot admitted `bytes`, and is taken.
    let block = unsafe { thread_cache::pop_direct(word, bytes) };
    slot.put(word);
    block
}

/// Allocates `bytes` from wherever they are to be had.
#[inline(never)]
pub(crate) fn allocate_slow(bytes: usize) -> usize {
    match take_at_hand(bytes) {
        Some(block) => block.address(),
        None => allocate_elsewhere(bytes),
    }
}

/// Takes a block at hand for more than what the table of [`allocate_at_hand`] leads to.
#[inline(always)]
fn take_at_hand(bytes: usize) -> Option<Block> {
    let slot = ThreadSlot::current();
    let word = slot.word();
    // Law: a slot that admits any size is that of a thread with a cache, in default mode.
    if bytes <= DIRECT_MAX_BYTES || !slot.admits(0) || word & BUSY != 0 {
        return None;
    }
    let class = SizeClass::holding(bytes)?;
    slot.take(word);
    // SAFETY: a word that is not busy is a cache's address.
    let block = unsafe { ThreadCache::from_address(word) }.allocate_at_hand(class);
    slot.put(word);
    block
}

#[inline(never)]
fn allocate_elsewhere(bytes: usize) -> usize {
    if !ThreadSlot::current().is_ready() {
        return bootstrap::allocate(bytes, 16);
    }
    start::once();
    if config::hardened() {
        return allocate_hardened(bytes);
    }
    match SizeClass::holding(bytes) {
        Some(class) => allocate_class(class, 16, bytes),
        None => allocate_object(bytes, Contents::Any).0,
    }
}

/// Allocates `bytes` at a multiple of `alignment`: a block of `class`, or a sampled one.
#[inline(never)]
fn allocate_class(class: SizeClass, alignment: usize, bytes: usize) -> usize {
    let allocate = || {
        let block = with_cache(|cache| {
            let sampled = cache
                .sample()
                .and_then(|random| sampled_slots::allocate(alignment, bytes, random));
            sampled.or_else(|| {
                let block = cache.allocate(class)?;
                block.unmark();
                Some(block.address())
            })
        });
        block.flatten()
    };
    or_after_purge(allocate).unwrap_or(0)
}

/// Allocates `bytes` in hardened mode, all zero.
#[inline(never)]
fn allocate_hardened(bytes: usize) -> usize {
    let asked = Asked {
        bytes,
        alignment: 1,
    };
    match hardened::class_for_bytes(bytes) {
        Some(class) => hardened::allocate(class, asked),
        None => allocate_unclassed(1, bytes),
    }
}

/// A medium or large object; and whether it is zero throughout.
fn allocate_object(bytes: usize, contents: Contents) -> (usize, bool) {
    if bytes > MAX_BYTES {
        return (0, false);
    }
    if guarded_object::serves(bytes) {
        return (allocate_guarded(16, bytes), true);
    }
    // With a cache, so that a fork knows that this thread may be in the middle of something.
    let allocate = || {
        let object = with_cache(|cache| {
            cache.watch();
            let medium = if bytes <= MEDIUM_MAX_BYTES {
                medium_object::allocate(bytes)
            } else {
                None
            };
            medium
                .map(|object| (object.address, object.clean))
                .or_else(|| {
                    large_object::allocate(bytes, 1, contents).map(|it| (it.address, it.clean))
                })
        });
        object.flatten()
    };
    or_after_purge(allocate).unwrap_or((0, false))
}

/// Allocates `bytes` of zeroes at a multiple of `alignment`, a power of two, between guard pages.
pub(crate) fn allocate_guarded(alignment: usize, bytes: usize) -> usize {
    if bytes > MAX_BYTES || alignment > MAX_BYTES {
        return 0;
    }
    or_after_purge(|| {
        with_cache(|cache| {
            cache.watch();
            fault_signals::watch(fault::is_ours);
            guarded_object::allocate(bytes, alignment)
        })
        .flatten()
    })
    .unwrap_or(0)
}

/// Allocates `bytes` of zeroes.
#[inline]
pub(crate) fn allocate_zeroed(bytes: usize) -> usize {
    match allocate_at_hand(bytes) {
        Some(block) => {
            zero(block.address(), bytes);
            block.address()
        }
        None => allocate_zeroed_slow(bytes),
    }
}

#[inline(never)]
fn allocate_zeroed_slow(bytes: usize) -> usize {
    if !ThreadSlot::current().is_ready() {
        return bootstrap::allocate(bytes, 16);
    }
    start::once();
    let (address, clean) = if config::hardened() && hardened::class_for_bytes(bytes).is_some() {
        (allocate_slow(bytes), true)
    } else if !config::hardened() && SizeClass::holding(bytes).is_some() {
        (allocate_slow(bytes), false)
    } else {
        allocate_object(bytes, Contents::Zeroes)
    };
    if address != 0 && !clean {
        zero(address, bytes);
    }
    address
}

/// Zeroes `bytes` of a block that nobody else knows yet.
#[inline(always)]
fn zero(address: usize, bytes: usize) {
    // SAFETY: callers have allocated at least as many.
    unsafe { core::ptr::write_bytes(address as *mut u8, 0, bytes) };
}

/// Allocates `bytes` at a multiple of `alignment`, a power of two.
pub(crate) fn allocate_aligned(alignment: usize, bytes: usize) -> usize {
    if alignment <= 16 {
        return allocate(bytes);
    }
    let class = SizeClass::holding_aligned(bytes, alignment);
    match class.and_then(|class| allocate_at_hand(class.block_bytes())) {
        Some(block) => block.address(),
        None => allocate_aligned_slow(alignment, bytes, class),
    }
}

/// The same from wherever they are to be had; in default mode in a block of `class`.
#[inline(never)]
fn allocate_aligned_slow(alignment: usize, bytes: usize, class: Option<SizeClass>) -> usize {
    if !ThreadSlot::current().is_ready() {
        return bootstrap::allocate(bytes, alignment);
    }
    start::once();
    if config::hardened() {
        return match hardened::class_for(alignment, bytes) {
            Some(class) => hardened::allocate(class, Asked { bytes, alignment }),
            None => allocate_unclassed(alignment, bytes),
        };
    }
    match class {
        Some(class) => allocate_class(class, alignment, bytes),
        None => allocate_unclassed(alignment, bytes),
    }
}

/// Allocates an object at a multiple of `alignment`.
fn allocate_unclassed(alignment: usize, bytes: usize) -> usize {
    if guarded_object::serves(bytes) {
        return allocate_guarded(alignment, bytes);
    }
    if alignment <= GRANULE_BYTES {
        return allocate_object(bytes, Contents::Any).0;
    }
    if bytes > MAX_BYTES || alignment > MAX_BYTES {
        return 0;
    }
    or_after_purge(|| {
        with_cache(|_| large_object::allocate(bytes, alignment, Contents::Any)).flatten()
    })
    .map_or(0, |object| object.address)
}

// ---- free ----------------------------------------------------------------------------------------

/// Frees the block at `address`; 0 is no block.
#[inline(always)]
pub(crate) fn free(address: usize) {
    free_named(address, NothingNamed);
}

/// The same, and the program names what it asked for, which hardened mode checks.
#[inline(always)]
pub(crate) fn free_named<N: Into<Named>>(address: usize, named: N) {
    match span::record_in_data_segment(address) {
        Some(span) => free_by_record(span, address, named),
        None => free_elsewhere(address, named),
    }
}

/// Frees a block that is not in the data segment.
#[inline(never)]
fn free_elsewhere<N: Into<Named>>(address: usize, named: N) {
    match span::record_elsewhere(address) {
        Some(span) => free_by_record(span, address, named),
        None => free_slow(address, named),
    }
}

/// Frees the block at `address`, in the granule with record `span`: the fast path where it is one
/// of the thread's own slab. What else there may be to do comes last, so the fast path needs no
/// stack.
#[inline(always)]
fn free_by_record<N: Into<Named>>(span: &'static Span, address: usize, named: N) {
    let slot = ThreadSlot::current();
    let word = slot.word();
    // Law: `owner` is a cache's address only in the record of a slab's first granule; a busy word
    // equals no owner, and a word is 0 only before the table has any block.
    if !span.is_owned_by(word) {
        return free_of_another(span, address, word, named);
    }
    // SAFETY: only used if a block of this slab starts here; the mark of a misplaced pointer is
    // read only after that.
    let block = unsafe { Block::at(address) };
    if !starts_a_block(span, address) || block.is_marked(span) {
        return free_slow(address, named);
    }
    slot.take(word);
    // SAFETY: the slab is the cache's, so its class's bin lies there; and the cache is taken.
    let bin = unsafe { Bin::at(word + span.bin.load(Ordering::Relaxed) as usize) };
    if bin.push(span, block) == Room::None && put_unmarked(span, block) == Countdown::Due {
        return countdown_is_due(word, address);
    }
    slot.put(word);
}

/// Frees the block at `address`, in a granule with record `span` that is not the thread's, whose
/// slot holds `word`: the next of a chain of such blocks, if it is one.
#[inline(never)]
fn free_of_another<N: Into<Named>>(span: &'static Span, address: usize, word: usize, named: N) {
    let owner = span.owner.load(Ordering::Relaxed);
    if owner > UNOWNED && word & BUSY == 0 && starts_a_block(span, address) {
        // SAFETY: by the law in `free_by_record` the granule is a slab's first, and a block starts
        // there.
        let block = unsafe { Block::at(address) };
        if !block.is_marked(span) {
            let slot = ThreadSlot::current();
            slot.take(word);
            // SAFETY: a word that is not busy is a cache's address.
            let cache = unsafe { ThreadCache::from_address(word) };
            let added = cache.add_to_chain(owner, span, block);
            slot.put(word);
            if added {
                return;
            }
        }
    }
    free_slow(address, named);
}

/// Whether a block of the slab with record `span` starts at `address`, in its first granule.
#[inline(always)]
fn starts_a_block(span: &Span, address: usize) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the offset in the granule")]
    let offset = u32::from(address as u16);
    let divisor = span.divisor.load(Ordering::Relaxed);
    offset.wrapping_mul(divisor) < divisor
}

/// Has the slab looked after to which the block at `address`, in its first granule, has gone back;
/// `word` is the slot's, taken.
#[cold]
#[inline(never)]
fn countdown_is_due(word: usize, address: usize) {
    // SAFETY: the slot held a cache's address.
    let cache = unsafe { ThreadCache::from_address(word) };
    if let Some(place) = span::place_of(address) {
        cache.look_after(Slab::at(place));
    }
    cache.receive();
    ThreadSlot::current().put(word);
}

#[cold]
#[inline(never)]
fn free_slow<N: Into<Named>>(address: usize, named: N) {
    if address == 0 || !ThreadSlot::current().is_ready() {
        return;
    }
    if config::hardened() {
        return free_hardened(address, named.into());
    }
    free_wherever(address, named.into());
}

/// Frees the block at `address` in hardened mode.
#[inline(never)]
fn free_hardened(address: usize, named: Named) {
    match hardened::Found::at(address) {
        Some(found) => found.free("free", named),
        None => free_wherever(address, named),
    }
}

/// Frees the block at `address`, whatever it is.
#[inline(never)]
fn free_wherever(address: usize, named: Named) {
    let _kept = ErrnoKept::new();
    match look_up(address) {
        Found::InUse(found) => free_found(address, &found, named),
        Found::Inside { start, bytes } => report_inside("free", address, start, bytes),
        Found::Free { bytes } => report_double("free", address, bytes),
        Found::NotOurs => foreign::free(address),
    }
}

fn free_found(address: usize, found: &InUse, named: Named) {
    let place = found.place;
    match found.block {
        Some(block) if config::hardened() => {
            hardened::Found::new(Slab::at(place), block).free("free", named);
        }
        Some(block) => {
            // Without a cache to be had the block is lost, and the program goes on.
            with_cache(|cache| {
                cache.free(Slab::at(place), block);
                cache.receive();
            });
        }
        None => {
            match place.span.kind() {
                Kind::Sampled => {
                    named.check_bytes(address, found.bytes);
                    return sampled_slots::free("free", address);
                }
                Kind::Medium => medium_object::free(place),
                Kind::Guarded => {
                    let (bytes, alignment) = guarded_object::asked(place);
                    named.check(address, Asked { bytes, alignment });
                    guarded_object::free(place, "free");
                }
                _ => large_object::free(place),
            }
            with_cache(ThreadCache::watch);
        }
    }
}

/// What a free with a status found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum FreeStatus {
    /// It is free now.
    Success,
    /// No block of ours.
    NotOurs,
    /// Inside a block.
    InsideBlock,
    /// It was free before.
    AlreadyFree,
}

/// Frees the block at `address` if one starts there and is in use.
pub(crate) fn free_checked(address: usize) -> FreeStatus {
    if address == 0 {
        return FreeStatus::Success;
    }
    if !ThreadSlot::current().is_ready() {
        return FreeStatus::NotOurs;
    }
    match look_up(address) {
        Found::InUse(found) => {
            free_found(address, &found, Named::NOTHING);
            FreeStatus::Success
        }
        Found::Inside { .. } => FreeStatus::InsideBlock,
        Found::Free { .. } => FreeStatus::AlreadyFree,
        Found::NotOurs => FreeStatus::NotOurs,
    }
}

// ---- ask ----------------------------------------------------------------------------------------

/// Bytes of the block in use at `address`, where that is in a slab's first granule: what most are,
/// found without a division.
#[inline(always)]
pub(super) fn small_block_bytes(address: usize) -> Option<usize> {
    let span = span::record_holding(address)?;
    // By the law in `free_by_record` the granule is a slab's first.
    if span.owner.load(Ordering::Relaxed) < UNOWNED || !starts_a_block(span, address) {
        return None;
    }
    // SAFETY: a block starts there.
    if unsafe { Block::at(address) }.is_marked(span) {
        return None;
    }
    Some(class_of(span).block_bytes())
}

// ---- resize --------------------------------------------------------------------------------------

/// Resizes the block at `address` (not 0) to `bytes` (not 0); 0 out of memory, and then the block
/// is as it was.
pub(crate) fn reallocate(address: usize, bytes: usize) -> usize {
    const DOOR: &str = "realloc";
    if let Some(old_bytes) = small_block_bytes(address)
        && bytes <= SLAB_MAX_BYTES
    {
        if stays_in_block(bytes, old_bytes) {
            return address;
        }
        let new = copy_to_new(address, old_bytes, bytes);
        if new != 0 {
            free(address);
        }
        return new;
    }
    if !ThreadSlot::current().is_ready() {
        return bootstrap::reallocate(address, bytes);
    }
    let _kept = ErrnoKept::new();
    match look_up(address) {
        Found::InUse(found) if bytes <= MAX_BYTES => resize(address, &found, bytes),
        Found::InUse(_) => 0,
        Found::NotOurs => match foreign::reallocate(address, bytes) {
            foreign::Reallocated::Answer(answer) => answer,
            foreign::Reallocated::Bootstrap(old_bytes) => copy_to_new(address, old_bytes, bytes),
        },
        Found::Inside { start, bytes } => {
            report_inside(DOOR, address, start, bytes);
            0
        }
        Found::Free { bytes } => {
            report_double(DOOR, address, bytes);
            0
        }
    }
}

/// A shrunk block keeps its place while at least half of it is used.
fn stays_in_block(bytes: usize, block_bytes: usize) -> bool {
    bytes <= block_bytes && bytes >= block_bytes / 2
}

fn resize(address: usize, found: &InUse, bytes: usize) -> usize {
    let old_bytes = found.bytes;
    let place = found.place;
    if config::hardened()
        && let Some(block) = found.block
    {
        let sealed = hardened::Found::new(Slab::at(place), block);
        let Some(asked) = sealed.look_over("realloc") else {
            return 0;
        };
        if sealed.resize_in_place(asked, bytes) {
            return address;
        }
        return move_to_new(address, found, bytes);
    }
    match place.span.kind() {
        Kind::Slab if stays_in_block(bytes, old_bytes) => return address,
        Kind::Medium
            if bytes <= MEDIUM_MAX_BYTES && medium_object::resize_in_place(place, bytes) =>
        {
            return address;
        }
        Kind::Large if bytes > MEDIUM_MAX_BYTES / 2 => {
            if let Some(moved) = with_cache(|_| large_object::resize(place, bytes)).flatten() {
                return moved;
            }
        }
        Kind::Guarded if bytes > GUARDED_LEAST_BYTES => {
            return or_after_purge(|| {
                with_cache(|_| guarded_object::resize(place, bytes)).flatten()
            })
            .unwrap_or(0);
        }
        Kind::Guarded if !guarded_object::end_protections(place) => return 0,
        _ => {}
    }
    move_to_new(address, found, bytes)
}

fn move_to_new(address: usize, found: &InUse, bytes: usize) -> usize {
    let new = copy_to_new(address, found.bytes, bytes);
    if new != 0 {
        free_found(address, found, Named::NOTHING);
    }
    new
}

/// A new block of `bytes` with what fits of the old one's contents.
fn copy_to_new(address: usize, old_bytes: usize, bytes: usize) -> usize {
    let new = allocate(bytes);
    if new != 0 {
        // SAFETY: both blocks have as many bytes, and the new one is nobody else's.
        unsafe {
            core::ptr::copy_nonoverlapping(
                address as *const u8,
                new as *mut u8,
                old_bytes.min(bytes),
            );
        }
    }
    new
}
