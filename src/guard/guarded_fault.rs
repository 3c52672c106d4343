//! Faults in the guard pages of guarded objects, and in freed ones. All of it runs in a signal
//! handler.

use super::guarded_object::{self, Object};
use super::guarded_shape::page_down;
use super::trace;
use crate::base::address::GRANULE_BYTES;
use crate::metadata::span::{self, Kind};
use crate::os::fault_signals::Fault;
use crate::os::process::page_bytes;
use crate::os::{guard_pages, mapping};
use crate::report;

/// The object to which an access that faulted at `address` belongs: of two neighbours the nearer.
fn nearest(address: usize) -> Option<Object> {
    let (lowest, highest) = guarded_object::bounds();
    if address < lowest || address >= highest.saturating_add(GRANULE_BYTES) {
        return None;
    }
    let at = |address: usize| {
        let place = span::containing(address)?;
        matches!(place.span.kind(), Kind::Guarded | Kind::GuardedFree).then(|| Object::of(place))
    };
    let here = at(address);
    // Behind a mapping's end an access is still most likely one past the end of its object.
    let before = match here {
        Some(object) => at(object.mapping.start.address() - 1),
        None if mapping::is_mapped(page_down(address), page_bytes()) => None,
        None => at(address - GRANULE_BYTES),
    };
    here.into_iter()
        .chain(before)
        .min_by_key(|object| object.reported().distance(address))
}

/// Whether a fault at `address` is one of a guarded object's guards, or of a freed object.
pub(super) fn owns(address: usize) -> bool {
    nearest(address).is_some_and(|object| {
        object.place.span.kind() == Kind::GuardedFree
            || !(object.pages()..object.pages_end()).contains(&address)
    })
}

/// Reports a fault at an address that is [owned](owns). Whether the instruction will succeed, where
/// the program shall go on: then the page has no guard any more.
pub(super) fn report(fault: &Fault) -> bool {
    let Some(object) = nearest(fault.address) else {
        return false;
    };
    let block = object.reported();
    let what = if object.place.span.kind() == Kind::GuardedFree {
        "after free"
    } else if fault.address < object.start {
        "before the start of a block"
    } else {
        "past the end of a block"
    };
    let stack = trace::of_fault(fault.context);
    let kind = format_args!("{} {what}", fault.access.verb());
    report::block_misuse(kind, fault.address, &block, "", &[&stack]);
    open_page(fault.address)
}

/// Makes the page of such an address accessible, for a program that shall go on after a report.
fn open_page(address: usize) -> bool {
    let page = page_down(address);
    nearest(address)
        .filter(|object| (object.mapping.start.address()..object.mapping_end()).contains(&page))
        .and_then(|object| object.method())
        .is_some_and(|method| guard_pages::remove(method, page, page_bytes()))
}
