//! What an address is to us, and what programs may do with the pages of guarded blocks.

use super::found::{Found, is_free, look_up, place_of, report_double, report_inside};
use super::requests::small_block_bytes;
use super::{bootstrap, foreign};
use crate::config;
use crate::guard::sampled_slots::{self, InRegion};
use crate::guard::{guarded_object, slab_fault};
use crate::large::large_object;
use crate::metadata::{self, span::Kind};
use crate::os::mapping::{self, Protection};
use crate::os::thread_slot::ThreadSlot;
use crate::pages::page_size;
use crate::paging;
use crate::small::slab::{InSlab, Slab, classify};
use core::ffi::c_int;

/// What an address is; the numbers are those of `glebe_kind` in `glebe.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[repr(i32)]
pub enum AddressKind {
    /// Nothing of ours.
    NotOurs = 0,
    /// In a live block of a size class.
    Small = 1,
    /// In a live medium object.
    Medium = 2,
    /// In a live large object.
    Large = 3,
    /// In a live guarded object.
    Guarded = 4,
    /// In a live sampled block.
    Sampled = 5,
    /// In memory of ours that is free.
    Free = 6,
    /// In a guard page.
    GuardPage = 7,
    /// In our own tables or options.
    Own = 8,
    /// In a block from before relocation.
    Bootstrap = 9,
}

/// Usable bytes of the block at `address`; 0 for no block.
pub(crate) fn usable_bytes(address: usize) -> usize {
    const DOOR: &str = "malloc_usable_size";
    if address == 0 {
        return 0;
    }
    if let Some(bytes) = small_block_bytes(address) {
        return bytes;
    }
    if !ThreadSlot::current().is_ready() {
        return bootstrap::block_bytes(address).unwrap_or(0);
    }
    match look_up(address) {
        Found::InUse(found) => return found.bytes,
        Found::Inside { start, bytes } => report_inside(DOOR, address, start, bytes),
        Found::Free { bytes } => report_double(DOOR, address, bytes),
        Found::NotOurs => return foreign::usable_bytes(address),
    }
    0
}

/// Start and usable bytes of the block in use that contains `address`.
pub(crate) fn block_containing(address: usize) -> Option<(usize, usize)> {
    if !ThreadSlot::current().is_ready() {
        return None;
    }
    match look_up(address) {
        Found::InUse(found) => Some((address, found.bytes)),
        // Not behind what was asked for, in hardened mode.
        Found::Inside { start, bytes } if address - start < bytes => Some((start, bytes)),
        _ => None,
    }
}

/// What `address` is.
pub(crate) fn address_kind(address: usize) -> AddressKind {
    let Some(place) = place_of(address) else {
        return kind_outside(address);
    };
    match place.span.kind() {
        Kind::Slab => match classify(Slab::at(place), address) {
            _ if slab_fault::owns(address) => AddressKind::GuardPage,
            InSlab::Start(block) | InSlab::Inside(block) if !is_free(Slab::at(place), block) => {
                AddressKind::Small
            }
            _ => AddressKind::Free,
        },
        Kind::Sampled => match sampled_slots::look_up(address) {
            InRegion::Start { .. } | InRegion::Inside { .. } => AddressKind::Sampled,
            InRegion::Beside if sampled_slots::is_guard(address) => AddressKind::GuardPage,
            InRegion::Beside => AddressKind::Free,
        },
        kind @ (Kind::Medium | Kind::Large) => {
            let is_inside = address - place.start.address() < place.span.object_bytes();
            match kind {
                _ if !is_inside => AddressKind::Free,
                Kind::Medium => AddressKind::Medium,
                _ => AddressKind::Large,
            }
        }
        Kind::Guarded => {
            let (start, bytes) = guarded_object::extent(place);
            if address.wrapping_sub(start) < bytes {
                AddressKind::Guarded
            } else if guarded_object::is_guard(place, address) {
                AddressKind::GuardPage
            } else {
                AddressKind::Free
            }
        }
        Kind::Free | Kind::Cached | Kind::GuardedFree => AddressKind::Free,
        Kind::Released if large_object::is_released(address) => AddressKind::Free,
        Kind::Released | Kind::None | Kind::Tail => kind_outside(address),
    }
}

fn kind_outside(address: usize) -> AddressKind {
    if metadata::is_guard(address) {
        AddressKind::GuardPage
    } else if metadata::is_table(address) || config::is_protected(address) {
        AddressKind::Own
    } else if bootstrap::contains(address) {
        AddressKind::Bootstrap
    } else {
        AddressKind::NotOurs
    }
}

/// Makes huge pages of those of a block in use that lie wholly within the range, which must be of
/// that block; an errno where that cannot be.
pub(crate) fn collapse(address: usize, bytes: usize) -> Result<(), c_int> {
    let end = address.checked_add(bytes).ok_or(libc::EINVAL)?;
    let (start, block_bytes) = block_containing(address).ok_or(libc::EINVAL)?;
    if end > start + block_bytes {
        return Err(libc::EINVAL);
    }
    let (first, length) = page_size::huge_pages_within(address, bytes).ok_or(libc::EINVAL)?;
    // Pages that paging moves are small ones.
    if paging::is_active() {
        return Err(libc::EBUSY);
    }
    mapping::collapse(first, length)
}

/// Sets what may be done with the pages from `address` on, which must be those of one live guarded
/// object; an errno where that cannot be, and then nothing has changed.
pub(crate) fn protect(address: usize, bytes: usize, protection: Protection) -> Result<(), c_int> {
    let guarded = place_of(address).filter(|place| place.span.kind() == Kind::Guarded);
    guarded_object::protect(guarded.ok_or(libc::EINVAL)?, address, bytes, protection)
}
