//! What an address is to us: looked up for everything but the fast paths.

use super::hardened;
use crate::config;
use crate::guard::guarded_object;
use crate::guard::sampled_report;
use crate::guard::sampled_slots::{self, InRegion};
use crate::large::large_object;
use crate::metadata::span::{self, Kind, Place};
use crate::report;
use crate::small::block::Block;
use crate::small::slab::{InSlab, Slab, classify};

/// A block in use.
pub(super) struct InUse {
    pub(super) place: Place,
    /// `Some` in a slab.
    pub(super) block: Option<Block>,
    /// Usable bytes.
    pub(super) bytes: usize,
}

/// What an address is to us.
pub(super) enum Found {
    /// The start of a block in use.
    InUse(InUse),
    /// Inside a block in use that starts at `start` and has `bytes`.
    Inside { start: usize, bytes: usize },
    /// In memory of ours that is free: in a block of a size class with `bytes`, or 0.
    Free { bytes: usize },
    /// Nothing of ours.
    NotOurs,
}

/// The span that holds `address`, or did before it was given back.
pub(super) fn place_of(address: usize) -> Option<Place> {
    span::containing(address).or_else(|| span::place_of(address))
}

/// Looks `address` up.
pub(super) fn look_up(address: usize) -> Found {
    let Some(place) = place_of(address) else {
        return Found::NotOurs;
    };
    let start = place.start.address();
    match place.span.kind() {
        Kind::Slab => {
            let slab = Slab::at(place);
            match classify(slab, address) {
                InSlab::Start(block) | InSlab::Inside(block) if is_free(slab, block) => {
                    let bytes = slab.class().block_bytes();
                    Found::Free { bytes }
                }
                InSlab::Start(block) => Found::InUse(InUse {
                    place,
                    block: Some(block),
                    bytes: small_usable_bytes(slab, block),
                }),
                InSlab::Inside(block) => Found::Inside {
                    start: block.address(),
                    bytes: small_usable_bytes(slab, block),
                },
                InSlab::Unused => Found::Free { bytes: 0 },
            }
        }
        Kind::Medium | Kind::Large => {
            let bytes = place.span.object_bytes();
            if address == start {
                Found::InUse(InUse {
                    place,
                    block: None,
                    bytes,
                })
            } else if address - start < bytes {
                Found::Inside { start, bytes }
            } else {
                Found::Free { bytes: 0 }
            }
        }
        Kind::Sampled => match sampled_slots::look_up(address) {
            InRegion::Start { bytes } => Found::InUse(InUse {
                place,
                block: None,
                bytes,
            }),
            InRegion::Inside { start, bytes } => Found::Inside { start, bytes },
            InRegion::Beside => Found::Free { bytes: 0 },
        },
        Kind::Guarded => {
            let (start, bytes) = guarded_object::extent(place);
            if address == start {
                Found::InUse(InUse {
                    place,
                    block: None,
                    bytes,
                })
            } else if address.wrapping_sub(start) < bytes {
                Found::Inside { start, bytes }
            } else {
                Found::Free { bytes: 0 }
            }
        }
        Kind::Free | Kind::Cached | Kind::GuardedFree => Found::Free { bytes: 0 },
        Kind::Released if large_object::is_released(address) => Found::Free { bytes: 0 },
        Kind::Released | Kind::None | Kind::Tail => Found::NotOurs,
    }
}

/// Whether a block of a slab is free.
pub(super) fn is_free(slab: Slab, block: Block) -> bool {
    if config::hardened() {
        hardened::Found::new(slab, block).is_free()
    } else {
        block.is_marked(slab.span)
    }
}

/// Usable bytes of a block in use: in hardened mode, as many as were asked for.
fn small_usable_bytes(slab: Slab, block: Block) -> usize {
    let class_bytes = slab.class().block_bytes();
    if config::hardened() {
        let asked = hardened::Found::new(slab, block).asked();
        asked.map_or(class_bytes, |asked| asked.bytes)
    } else {
        class_bytes
    }
}

/// `door` was passed an address inside the block at `start`.
pub(super) fn report_inside(door: &str, address: usize, start: usize, bytes: usize) {
    if !sampled_report::misuse_at(door, address) {
        report::inside_block(door, address, start, bytes);
    }
}

/// `door` was passed an address in free memory, in a block of a size class with `bytes`, or 0.
pub(super) fn report_double(door: &str, address: usize, bytes: usize) {
    if !sampled_report::misuse_at(door, address) {
        report::double_free(door, address, bytes);
    }
}
