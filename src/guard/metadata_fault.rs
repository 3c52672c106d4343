//! Faults in the guard pages around our own tables, and in the options, which are read-only. All
//! of it runs in a signal handler.

use super::trace;
use crate::config;
use crate::metadata;
use crate::os::fault_signals::{Access, Fault};
use crate::report;

/// Whether `address` lies in such a page.
pub(super) fn owns(address: usize) -> bool {
    metadata::is_guard(address) || config::is_protected(address)
}

/// Reports a fault there. The guard stays, so the instruction will not succeed.
pub(super) fn report(fault: &Fault) -> bool {
    let writes = fault.access == Access::Write;
    report::access_to_our_own(writes, fault.address, &trace::of_fault(fault.context));
    false
}
