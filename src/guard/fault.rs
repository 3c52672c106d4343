//! Whose a fault is, and that one thread reports at a time.
//!
//! All of it runs in a signal handler, maybe on a small stack.

use super::{guarded_fault, metadata_fault, sampled_report, slab_fault};
use crate::os::fault_signals::Fault;
use crate::os::process;
use core::sync::atomic::{AtomicI32, Ordering};

/// Something with pages that fault on purpose.
struct Owner {
    /// Whether an address lies in such a page.
    owns: fn(usize) -> bool,
    /// Reports a fault there; where the program shall go on, whether the instruction will succeed.
    report: fn(&Fault) -> bool,
}

static OWNERS: [Owner; 4] = [
    Owner {
        owns: sampled_report::owns,
        report: sampled_report::fault,
    },
    Owner {
        owns: slab_fault::owns,
        report: slab_fault::report,
    },
    Owner {
        owns: guarded_fault::owns,
        report: guarded_fault::report,
    },
    Owner {
        owns: metadata_fault::owns,
        report: metadata_fault::report,
    },
];

/// The thread that reports; 0 for none.
static REPORTER: AtomicI32 = AtomicI32::new(0);

/// How long a thread waits until another has reported. That one ends the process; if it does not,
/// it is of before a fork, or the program goes on.
const MOST_WAITS_MS: u32 = 2000;

/// Whether a fault is in pages of ours, and was reported, and the program goes on. `false` is for
/// the program's own handler or the default action, also of a fault amid a report.
pub(crate) fn is_ours(fault: &Fault) -> bool {
    let Some(owner) = OWNERS.iter().find(|owner| (owner.owns)(fault.address)) else {
        return false;
    };
    begin_report() && {
        let goes_on = (owner.report)(fault);
        REPORTER.store(0, Ordering::Relaxed);
        goes_on
    }
}

/// Waits for this thread's turn; `false` where it is reporting already.
fn begin_report() -> bool {
    let thread = process::thread_id();
    for _ in 0..MOST_WAITS_MS {
        match REPORTER.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(reporter) if reporter == thread => return false,
            Err(_) => process::pause_ms(1),
        }
    }
    false
}
