//! What the paging engine counts.

use core::sync::atomic::{AtomicU64, Ordering};

/// What is counted, in pages unless told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Count {
    /// Faults (not pages) that were served.
    Faults,
    /// First touches of pages without contents.
    ZeroFaults,
    /// Touches of staged pages.
    StagedHits,
    /// Touches of pages in the store of compressed memory.
    CompressedFaults,
    /// Touches of pages filled with one word.
    SameFaults,
    /// Touches of pages in the spill file.
    SpilledFaults,
    /// Pages brought in ahead of a stream.
    Prefetched,
    /// Pages moved to staging.
    Evicted,
    /// Pages stored as a word.
    SameFilled,
    /// Pages put in the store of compressed memory.
    Compressed,
    /// Pages put in the spill file.
    Spilled,
    /// Of these, pages that had been in compressed memory.
    WrittenOut,
    /// Pages that no store took and that stayed.
    Kept,
    /// Pages that did not compress.
    Incompressible,
    /// Tries to move a page that the kernel refused.
    Unmovable,
    /// Areas (of 2 MiB) that became tracked.
    AreasTracked,
    /// Nanoseconds from a fault's arrival at the handler to its end.
    ServiceNs,
}

/// Names of the counts, in order.
pub(crate) const NAMES: [&str; Count::ServiceNs as usize + 1] = [
    "faults",
    "zero_faults",
    "staged_hits",
    "compressed_faults",
    "same_faults",
    "spilled_faults",
    "prefetched",
    "evicted",
    "same_filled",
    "compressed",
    "spilled",
    "written_out",
    "kept",
    "incompressible",
    "unmovable",
    "areas_tracked",
    "service_ns",
];

static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

/// Adds to a count.
pub(super) fn count(what: Count, by: usize) {
    COUNTS[what as usize].fetch_add(by as u64, Ordering::Relaxed);
}

/// All counts, with their names.
pub(crate) fn counts() -> impl Iterator<Item = (&'static str, usize)> {
    NAMES.into_iter().zip(
        COUNTS
            .iter()
            .map(|count| count.load(Ordering::Relaxed) as usize),
    )
}
