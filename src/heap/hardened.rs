//! Requests in hardened mode: small blocks are sealed, wiped when they are freed, wait in a
//! quarantine and are looked over when they are issued again. Their lists and slabs are those of
//! default mode; its fast paths are not taken (a thread slot admits no size, and by their records
//! no block starts anywhere in a slab).

use super::thread::with_cache;
use crate::base::address::GRANULE_BYTES;
use crate::cache::thread_cache::ThreadCache;
use crate::guard::quarantine;
use crate::guard::seal::{Asked, LEAST_BLOCK_BYTES, SEAL_BYTES, Seal, SealedBlock};
use crate::metadata::span::{self, Kind};
use crate::report;
use crate::small::block::Block;
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

impl Named {
    /// More than any block has.
    pub(crate) const NO_BYTES: usize = usize::MAX;
    /// A free that names nothing.
    pub(crate) const NOTHING: Named = Named {
        bytes: Named::NO_BYTES,
        alignment: 0,
    };

    /// Reports what does not fit what was `asked` for the block at `address`.
    pub(super) fn check(self, address: usize, asked: Asked) {
        if self.bytes != Named::NO_BYTES && self.bytes != asked.bytes {
            report::wrong_size(address, asked.bytes, self.bytes);
        }
        // Every block is aligned to 16: asking for that or less is asking for nothing.
        if self.alignment != 0 && self.alignment.max(16) != asked.alignment.max(16) {
            report::wrong_alignment(address, asked.alignment, self.alignment);
        }
    }
}

/// The class of blocks for what is `asked`; `None` where it is no small block.
pub(super) fn class_for(asked: Asked) -> Option<SizeClass> {
    if asked.bytes > SLAB_MAX_BYTES - SEAL_BYTES {
        return None;
    }
    let bytes = (asked.bytes + SEAL_BYTES).max(LEAST_BLOCK_BYTES);
    if asked.alignment <= 16 {
        SizeClass::holding(bytes)
    } else {
        SizeClass::holding_aligned(bytes, asked.alignment)
    }
}

/// Allocates a block of `class` for what is `asked`, all zero; `None` out of memory.
pub(super) fn allocate(class: SizeClass, asked: Asked) -> Option<usize> {
    loop {
        let block = with_cache(|cache| cache.allocate(class)).flatten()?;
        if is_sound(block, class) {
            SealedBlock::new(block, class.block_bytes()).issue(asked);
            return Some(block.address());
        }
        // It was written to, and the program goes on: it is issued no more.
    }
}

/// Looks over a block that was free, and zeroes it; `false` where it was written to.
fn is_sound(block: Block, class: SizeClass) -> bool {
    let bytes = class.block_bytes();
    let is_marked = find_span(block.address()).is_some_and(|span| block.is_marked(span));
    block.set_plain_link(0);
    block.unmark();
    let sealed = SealedBlock::new(block, bytes);
    let offset = match sealed.read() {
        Seal::Free => sealed.remains(),
        Seal::Absent => {
            sealed.zero();
            None
        }
        Seal::Live(_) | Seal::Broken => Some(bytes - SEAL_BYTES),
    };
    let offset = if is_marked { offset } else { Some(8) };
    if let Some(offset) = offset {
        report::write_after_free(block.address(), bytes, offset);
    }
    offset.is_none()
}

fn find_span(address: usize) -> Option<&'static span::Span> {
    let span = span::record_in_data_segment(address).or_else(|| span::record_elsewhere(address))?;
    if span.kind() == Kind::Tail {
        return Some(span::place_of(address)?.span);
    }
    Some(span)
}

/// A small block that starts at an address.
#[derive(Clone, Copy)]
pub(super) struct Found {
    slab: Slab,
    block: Block,
}

impl Found {
    /// The block of `slab` that starts with `block`.
    pub(super) fn new(slab: Slab, block: Block) -> Found {
        Found { slab, block }
    }

    /// The block that starts at `address`, where that is in the first granule of a slab; found
    /// without a division.
    #[inline]
    pub(super) fn at(address: usize) -> Option<Found> {
        let span =
            span::record_in_data_segment(address).or_else(|| span::record_elsewhere(address))?;
        if span.kind() != Kind::Slab {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the offset in the granule")]
        let offset = (address % GRANULE_BYTES) as u32;
        let divisor = class_of(span).divisor();
        if offset.wrapping_mul(divisor) >= divisor {
            return None;
        }
        let slab = Slab {
            start: crate::base::address::Granule::of(address)?,
            span,
        };
        // SAFETY: by the divisor a block starts there.
        Some(Found::new(slab, unsafe { Block::at(address) }))
    }

    fn sealed(self) -> SealedBlock {
        SealedBlock::new(self.block, self.bytes())
    }

    /// Bytes of the block.
    pub(super) fn bytes(self) -> usize {
        self.slab.class().block_bytes()
    }

    /// What the program asked for, if the block is in use.
    pub(super) fn asked(self) -> Option<Asked> {
        match self.sealed().read() {
            Seal::Live(asked) => Some(asked),
            _ => None,
        }
    }

    /// Whether it is free, or was never issued.
    pub(super) fn is_free(self) -> bool {
        match self.sealed().read() {
            Seal::Free => true,
            Seal::Absent => self.block.is_marked(self.slab.span),
            Seal::Live(_) | Seal::Broken => false,
        }
    }

    /// What the program asked for; reports a block that is free or damaged. `None` where the block
    /// cannot be used and the program goes on.
    pub(super) fn look_over(self, door: &str) -> Option<Asked> {
        let address = self.block.address();
        let sealed = self.sealed();
        match sealed.read() {
            Seal::Live(asked) => {
                if let Some(offset) = sealed.damage(asked) {
                    report::write_past_end(door, address, asked.bytes, offset);
                }
                Some(asked)
            }
            _ if self.is_free() => {
                report::double_free(door, address, self.bytes());
                None
            }
            _ => {
                report::seal_broken(door, address, self.bytes());
                None
            }
        }
    }

    /// Frees the block.
    pub(super) fn free(self, door: &str, named: Named) {
        if let Some(asked) = self.look_over(door) {
            named.check(self.block.address(), asked);
            self.give_to_quarantine();
        }
    }

    /// Ends the life of a block that was looked over.
    pub(super) fn give_to_quarantine(self) {
        self.sealed().wipe();
        with_cache(|cache| {
            match quarantine::of(cache.node()) {
                Some(quarantine) => {
                    quarantine.put(self.block, self.slab.class(), |block| leave(cache, block));
                }
                None => leave(cache, self.block),
            }
            cache.receive();
        });
    }

    /// Gives the block another size, if it can stay where it is.
    pub(super) fn resize_in_place(self, asked: Asked, bytes: usize) -> bool {
        let room = self.bytes() - SEAL_BYTES;
        let stays = bytes <= room && bytes >= self.bytes() / 4;
        if stays {
            self.sealed().issue(Asked { bytes, ..asked });
        }
        stays
    }
}

/// A block leaves the quarantine of `cache`: from now on it may be issued again.
fn leave(cache: &'static ThreadCache, block: Block) {
    if let Some(place) = span::place_of(block.address()) {
        cache.free(Slab::at(place), block);
    }
}

/// The thread that used `cache` ends: what it had in quarantine goes on its way.
pub(super) fn end_quarantine(cache: &'static ThreadCache) {
    if let Some(quarantine) = quarantine::existing(cache.node()) {
        quarantine.empty(|block| leave(cache, block));
    }
}
