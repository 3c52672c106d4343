//! Requests in hardened mode: small blocks are sealed, wiped when they are freed, wait in a
//! quarantine and are looked over when they are issued again (`small/seal`, `cache/quarantine`).
//! Their lists and slabs are those of default mode; its fast paths are not taken (a thread slot
//! admits no size, and by their records no block starts anywhere in a slab).

use super::give_back::or_after_purge;
use super::thread::with_cache;
use crate::base::address::{GRANULE_BYTES, Granule};
use crate::cache::thread_cache::ThreadCache;
use crate::guard::sampled_slots;
use crate::metadata::span;
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::{BUSY, ThreadSlot};
use crate::report;
use crate::small::block::Block;
use crate::small::seal::{Asked, LEAST_BLOCK_BYTES, SEAL_BYTES, Seal, SealedBlock};
use crate::small::size_class::{SLAB_MAX_BYTES, SizeClass};
use crate::small::slab::{Slab, class_of};

/// What a free says of the block beside its address.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    /// The bytes asked for; [`Named::NO_BYTES`] where it does not say.
    pub(crate) bytes: usize,
    /// The alignment asked for; 0 where it does not say.
    pub(crate) alignment: usize,
}

/// What a free says that names nothing: without a word, on the fast paths.
pub(crate) struct NothingNamed;

impl From<NothingNamed> for Named {
    fn from(_: NothingNamed) -> Named {
        Named::NOTHING
    }
}

impl Named {
    /// More than any block has.
    pub(crate) const NO_BYTES: usize = usize::MAX;
    /// A free that names nothing.
    pub(crate) const NOTHING: Named = Named {
        bytes: Named::NO_BYTES,
        alignment: 0,
    };

    /// Reports another size than the `bytes` that were asked for the block at `address`.
    pub(super) fn check_bytes(self, address: usize, bytes: usize) {
        if self.bytes != Named::NO_BYTES && self.bytes != bytes {
            report::wrong_size(address, bytes, self.bytes);
        }
    }

    /// Reports what does not fit what was `asked` for the block at `address`.
    pub(super) fn check(self, address: usize, asked: Asked) {
        self.check_bytes(address, asked.bytes);
        // Every block is aligned to 16: asking for that or less is asking for nothing.
        if self.alignment != 0 && self.alignment.max(16) != asked.alignment.max(16) {
            report::wrong_alignment(address, asked.alignment, self.alignment);
        }
    }
}

/// The class of blocks for `bytes`; `None` where that is no small block.
#[inline(always)]
pub(super) fn class_for_bytes(bytes: usize) -> Option<SizeClass> {
    if bytes > SLAB_MAX_BYTES - SEAL_BYTES {
        return None;
    }
    SizeClass::holding((bytes + SEAL_BYTES).max(LEAST_BLOCK_BYTES))
}

/// The same at a multiple of `alignment`.
pub(super) fn class_for(alignment: usize, bytes: usize) -> Option<SizeClass> {
    let with_seal = class_for_bytes(bytes)?.block_bytes();
    SizeClass::holding_aligned(with_seal, alignment)
}

/// Allocates a block of `class` for what is `asked`, all zero; 0 out of memory.
#[inline(always)]
pub(super) fn allocate(class: SizeClass, asked: Asked) -> usize {
    match allocate_at_hand(class, asked) {
        Some(address) => address,
        None => allocate_slow(class, asked),
    }
}

#[inline(never)]
fn allocate_slow(class: SizeClass, asked: Asked) -> usize {
    or_after_purge(|| allocate_from_slab(class, asked)).unwrap_or(0)
}

/// Takes a block of `class` for what is `asked` from the thread's quarantine or bin, all zero.
#[inline(always)]
fn allocate_at_hand(class: SizeClass, asked: Asked) -> Option<usize> {
    let slot = ThreadSlot::current();
    let word = slot.word();
    if word & BUSY != 0 {
        return None;
    }
    slot.take(word);
    // SAFETY: a word that is not busy is a cache's address.
    let cache = unsafe { ThreadCache::from_address(word) };
    let block = cache.draw(class).or_else(|| cache.take_listed(class));
    slot.put(word);
    issue(block?, class, asked)
}

/// What a request is served by.
enum Served {
    Sampled(usize),
    Block(Block),
}

/// Allocates a block of `class` for what is `asked` from its slabs, or a sampled one, all zero;
/// `None` out of memory.
fn allocate_from_slab(class: SizeClass, asked: Asked) -> Option<usize> {
    loop {
        let sample = |random| sampled_slots::allocate(asked.alignment.max(16), asked.bytes, random);
        let served = with_cache(|cache| match cache.sample().and_then(sample) {
            Some(address) => Some(Served::Sampled(address)),
            None => cache.allocate(class).map(Served::Block),
        });
        let block = match served.flatten()? {
            Served::Sampled(address) => return Some(address),
            Served::Block(block) => block,
        };
        block.set_plain_link(0);
        if let Some(address) = issue(block, class, asked) {
            return Some(address);
        }
        // It was written to, and the program goes on: it is issued no more.
    }
}

/// Issues a free block; `None` where it was written to and the program goes on.
#[inline(always)]
fn issue(block: Block, class: SizeClass, asked: Asked) -> Option<usize> {
    let sealed = SealedBlock::new(block, class.block_bytes());
    if !sealed.is_free() || !sealed.is_wiped() {
        report::write_after_free(block.address(), class.block_bytes(), sealed.first_written());
        return None;
    }
    sealed.issue(asked);
    Some(block.address())
}

/// A small block that starts at an address.
#[derive(Clone, Copy)]
pub(super) struct Found {
    block: Block,
    class: SizeClass,
    sealed: SealedBlock,
}

impl Found {
    /// The block of `slab` that starts with `block`.
    #[inline(always)]
    pub(super) fn new(slab: Slab, block: Block) -> Found {
        let class = slab.class();
        Found {
            block,
            class,
            sealed: SealedBlock::new(block, class.block_bytes()),
        }
    }

    /// The block that starts at `address`, where that is in the first granule of a slab; found
    /// without a division.
    #[inline(always)]
    pub(super) fn at(address: usize) -> Option<Found> {
        let span = span::record_holding(address)?;
        if !span.is_slab() {
            return None;
        }
        let class = class_of(span);
        #[expect(clippy::cast_possible_truncation, reason = "the offset in the granule")]
        let offset = (address % GRANULE_BYTES) as u32;
        let divisor = class.divisor();
        if offset.wrapping_mul(divisor) >= divisor {
            return None;
        }
        // SAFETY: by the divisor a block starts there.
        let block = unsafe { Block::at(address) };
        Some(Found {
            block,
            class,
            sealed: SealedBlock::new(block, class.block_bytes()),
        })
    }

    /// Bytes of the block.
    pub(super) fn bytes(self) -> usize {
        self.class.block_bytes()
    }

    /// What the program asked for, if the block is in use.
    pub(super) fn asked(self) -> Option<Asked> {
        match self.sealed.read() {
            Seal::Live(asked) => Some(asked),
            _ => None,
        }
    }

    /// Whether it is free.
    pub(super) fn is_free(self) -> bool {
        self.sealed.is_free()
    }

    /// What the program asked for; reports a block that is free or damaged. `None` where the block
    /// cannot be used and the program goes on.
    #[inline(always)]
    pub(super) fn look_over(self, door: &str) -> Option<Asked> {
        let address = self.block.address();
        let sealed = self.sealed;
        match sealed.read() {
            Seal::Live(asked) => {
                if sealed.is_damaged(asked) {
                    let offset = sealed.first_damaged(asked);
                    report::write_past_end(door, address, asked.bytes, offset);
                }
                Some(asked)
            }
            Seal::Free => {
                report::double_free(door, address, self.bytes());
                None
            }
            Seal::Broken => {
                report::seal_broken(door, address, self.bytes());
                None
            }
        }
    }

    /// Frees the block.
    #[inline(always)]
    pub(super) fn free(self, door: &str, named: Named) {
        if let Some(asked) = self.look_over(door) {
            named.check(self.block.address(), asked);
            self.give_to_quarantine();
        }
    }

    /// Ends the life of a block that was looked over.
    #[inline(always)]
    fn give_to_quarantine(self) {
        let class = self.class;
        self.sealed.wipe();
        let slot = ThreadSlot::current();
        let word = slot.word();
        if word & BUSY != 0 {
            return give_to_borrowed(class, self.block);
        }
        slot.take(word);
        // SAFETY: a word that is not busy is a cache's address.
        let cache = unsafe { ThreadCache::from_address(word) };
        let leaving = cache.put_in_quarantine(class, self.block);
        let homeless = leaving.filter(|&block| !take_home(cache, class, block));
        slot.put(word);
        if let Some(block) = homeless {
            leave(block);
        }
    }

    /// Gives the block another size, if it can stay where it is.
    pub(super) fn resize_in_place(self, asked: Asked, bytes: usize) -> bool {
        let room = self.bytes() - SEAL_BYTES;
        let stays = bytes <= room && bytes >= self.bytes() / 4;
        if stays {
            self.sealed.issue(Asked { bytes, ..asked });
        }
        stays
    }
}

/// A block is freed while the thread's cache is busy, or after the thread's end.
#[cold]
fn give_to_borrowed(class: SizeClass, block: Block) {
    let _kept = ErrnoKept::new();
    with_cache(|cache| {
        if let Some(block) = cache.put_in_quarantine(class, block) {
            free_to_slab(cache, block);
        }
    });
}

/// A block of `class` leaves the quarantine for the bin or its slab, if it is one of the cache's own.
#[inline(always)]
fn take_home(cache: &'static ThreadCache, class: SizeClass, block: Block) -> bool {
    let address = block.address();
    let span = span::record_holding(address);
    let own = span.filter(|span| span.is_owned_by(cache.address()));
    let slab = own.and_then(|span| {
        Some(Slab {
            start: Granule::of(address)?,
            span,
        })
    });
    // The link will stand in the first word.
    let slab = slab.filter(|_| block.plain_link() == 0);
    if let Some(slab) = slab {
        cache.put_listed(class, slab, block);
    }
    slab.is_some()
}

/// A block of another's slab leaves the quarantine: from now on that may issue it.
#[inline(never)]
fn leave(block: Block) {
    let _kept = ErrnoKept::new();
    with_cache(|cache| {
        free_to_slab(cache, block);
        cache.receive();
    });
}

fn free_to_slab(cache: &'static ThreadCache, block: Block) {
    let Some(place) = span::place_of(block.address()) else {
        return;
    };
    let slab = Slab::at(place);
    // The link will stand there.
    if block.plain_link() != 0 {
        let bytes = slab.class().block_bytes();
        return report::write_after_free(block.address(), bytes, 0);
    }
    cache.free(slab, block);
}

/// The thread that uses `cache` ends, or wants all that is free given back: what it has in
/// quarantine goes to the slabs.
pub(super) fn end_quarantine(cache: &'static ThreadCache) {
    for class in SizeClass::all() {
        while let Some(block) = cache.take_from_quarantine(class) {
            free_to_slab(cache, block);
        }
    }
}
