//! Faults in the guard pages that end slabs in hardened mode. All of it runs in a signal handler.

use super::trace;
use crate::base::address::GRANULE_BYTES;
use crate::config;
use crate::metadata::span::{self, Kind};
use crate::os::fault_signals::Fault;
use crate::os::process::page_bytes;
use crate::report::{self, ReportedBlock};
use crate::small::block::Block;
use crate::small::seal::{Seal, SealedBlock};
use crate::small::slab::Slab;

/// The slab whose guard page holds `address`.
fn slab_guarded_at(address: usize) -> Option<Slab> {
    if !config::hardened() {
        return None;
    }
    let place = span::place_of(address)?;
    if place.span.kind() != Kind::Slab {
        return None;
    }
    let slab = Slab::at(place);
    (address >= slab.guard_page()).then_some(slab)
}

/// Whether a slab starts at most a page behind `address`, where nothing of ours is: the first one
/// of a stretch of heap has no guard before it, but nothing mapped either.
fn is_before_a_slab(address: usize) -> bool {
    let next = (address | (GRANULE_BYTES - 1)).wrapping_add(1);
    config::hardened()
        && next - address <= page_bytes()
        && span::place_of(address).is_none()
        && span::place_of(next).is_some_and(|place| place.span.kind() == Kind::Slab)
}

/// Whether a fault at `address` is for [`report`].
pub(crate) fn owns(address: usize) -> bool {
    slab_guarded_at(address).is_some() || is_before_a_slab(address)
}

/// The last block of `slab`, which an access in the first half of the guard page ran past.
fn last_block(slab: Slab) -> ReportedBlock {
    let class_bytes = slab.class().block_bytes();
    let last = (slab.capacity() as usize).saturating_sub(1);
    let start = slab.start.address() + last * class_bytes;
    // SAFETY: the slab has a block there.
    let block = unsafe { Block::at(start) };
    let bytes = match SealedBlock::new(block, class_bytes).read() {
        Seal::Live(asked) => asked.bytes,
        Seal::Free | Seal::Broken => class_bytes,
    };
    ReportedBlock { start, bytes }
}

/// Reports a fault at an address that is [owned](owns): past the end of the slab's last block, or
/// before what starts behind the guard page, whichever is nearer. The guard goes, where the program
/// shall go on and there is one.
pub(super) fn report(fault: &Fault) -> bool {
    let guarded = slab_guarded_at(fault.address);
    let stack = trace::of_fault(fault.context);
    let offset = fault.address % page_bytes();
    let (what, block) = match guarded {
        Some(slab) if offset < page_bytes() / 2 => ("past the end of a block", last_block(slab)),
        _ => {
            let start = fault.address - offset + page_bytes();
            let bytes = 0;
            (
                "before the start of a block",
                ReportedBlock { start, bytes },
            )
        }
    };
    let kind = format_args!("{} {what}", fault.access.verb());
    report::block_misuse(kind, fault.address, &block, "", &[&stack]);
    guarded.is_some_and(|slab| {
        slab.remove_guard();
        true
    })
}
