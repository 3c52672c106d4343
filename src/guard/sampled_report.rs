//! What is said of misuse of a sampled block: what happened, and the stacks of the misuse, of the
//! allocation and of the free.

use super::guarded_shape::page_down;
use super::sampled_slots::{self, Place};
use super::trace;
use crate::os::fault_signals::{Access, Fault};
use crate::os::mapping;
use crate::os::process::page_bytes;
use crate::report::{self, Event, Stack};
use core::fmt::Arguments;

/// Reports the misuse `kind` of a block, at `address`.
fn report(place: Place, kind: Arguments<'_>, door: &str, address: usize, access: &Stack) {
    let block = place.reported();
    let allocated = place.slot.allocated.stack(Event::Allocation);
    let freed = place.slot.freed.stack(Event::Free);
    match (&allocated, &freed) {
        (Some(allocated), Some(freed)) => {
            report::block_misuse(kind, address, &block, door, &[access, allocated, freed]);
        }
        (Some(stack), None) | (None, Some(stack)) => {
            report::block_misuse(kind, address, &block, door, &[access, stack]);
        }
        (None, None) => report::block_misuse(kind, address, &block, door, &[access]),
    }
}

/// `door` was passed `address`, which belongs to this slot and is no live block's start.
pub(super) fn misuse(place: Place, door: &str, address: usize) {
    let access = trace::of_call();
    if place.is_live() {
        let kind = format_args!("{door} inside a block");
        report(place, kind, door, address, &access);
    } else {
        report(place, format_args!("double free"), door, address, &access);
    }
}

/// The same for any address in the region; `false` where it belongs to no slot, and nothing is
/// reported.
pub(crate) fn misuse_at(door: &str, address: usize) -> bool {
    match sampled_slots::nearest(address) {
        Some(place) => {
            misuse(place, door, address);
            true
        }
        None => false,
    }
}

/// A free has found that the byte at `address` beside the block was written to.
pub(super) fn damage(place: Place, door: &str, address: usize) {
    let kind = if address < place.start() {
        "write before the start of a block"
    } else {
        "write past the end of a block"
    };
    report(
        place,
        format_args!("{kind}"),
        door,
        address,
        &trace::of_call(),
    );
}

/// Whether a fault at `address` is for [`fault`] to report.
pub(super) fn owns(address: usize) -> bool {
    sampled_slots::is_in_region(address) || sampled_slots::is_beside_table(address)
}

/// Reports a fault in the region; where the program shall go on, the page is accessible then.
pub(super) fn fault(fault: &Fault) -> bool {
    let address = fault.address;
    let access = trace::of_fault(fault.context);
    let writes = fault.access == Access::Write;
    match sampled_slots::nearest(address) {
        Some(place) => {
            let verb = fault.access.verb();
            let is_in_page = address.wrapping_sub(place.page) < page_bytes();
            // In the page of a live block: that of a freed one was issued again meanwhile.
            let is_inside = place.reported().distance(address) == 0;
            let what = if is_inside || is_in_page && !place.is_live() {
                "after free"
            } else if address < place.start() {
                "before the start of a block"
            } else {
                "past the end of a block"
            };
            report(place, format_args!("{verb} {what}"), "", address, &access);
        }
        None => report::access_to_our_own(writes, address, &access),
    }
    mapping::make_usable(page_down(address), page_bytes())
}
