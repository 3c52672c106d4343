//! Memory for our own tables, never from ourselves, and the table that maps an address to the
//! span it lies in.

pub(crate) mod data_segment;
pub(crate) mod directory;
pub(crate) mod span;

use crate::base::address::round_up;
use crate::os::mapping;
use crate::os::process::page_bytes;
use core::sync::atomic::{AtomicUsize, Ordering};

static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Maps `bytes` of zeroes for a table that lives as long as the process.
pub(crate) fn map_table(bytes: usize) -> Option<usize> {
    let address = mapping::map_sparse(bytes)?;
    MAPPED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    mapping::name(address, bytes, c"glebe metadata");
    Some(address)
}

/// The same between guard pages; the address of the table.
pub(crate) fn map_guarded_table(bytes: usize) -> Option<usize> {
    let page = page_bytes();
    let bytes = round_up(bytes, page)?;
    let reserved = table_reserved(bytes + 2 * page)?;
    if make_usable(reserved + page, bytes) {
        return Some(reserved + page);
    }
    mapping::unmap(reserved, bytes + 2 * page);
    None
}

/// Reserves address space for a table of `bytes` that is made usable piece by piece.
fn table_reserved(bytes: usize) -> Option<usize> {
    let address = mapping::reserve(bytes)?;
    mapping::name(address, bytes, c"glebe metadata");
    Some(address)
}

/// Makes a part of such a table usable.
fn make_usable(address: usize, bytes: usize) -> bool {
    let usable = mapping::make_usable(address, bytes);
    if usable {
        MAPPED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
    usable
}

/// Usable address space of all tables, in bytes; only what is in use of it is resident.
pub(crate) fn mapped_bytes() -> usize {
    MAPPED_BYTES.load(Ordering::Relaxed)
}
