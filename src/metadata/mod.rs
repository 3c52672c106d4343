//! Memory for our own tables, never from ourselves, and the table that maps an address to the
//! span it lies in.

pub(crate) mod data_segment;
pub(crate) mod directory;
pub(crate) mod span;

use crate::base::address::round_up;
use crate::config;
use crate::os::process::page_bytes;
use crate::os::{guard_pages, mapping};
use core::sync::atomic::{AtomicUsize, Ordering};

static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Tables of which faults beside them are told from others; the tables beyond have guards too.
const MOST_GUARDED: usize = 64;

/// A table between two guard pages, for a word each: written once, the length first.
struct Guarded {
    /// Address of the table; 0 where there is none.
    start: AtomicUsize,
    bytes: AtomicUsize,
}

static GUARDED: [Guarded; MOST_GUARDED] = [const {
    Guarded {
        start: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
    }
}; MOST_GUARDED];
static GUARDED_TABLES: AtomicUsize = AtomicUsize::new(0);

/// Maps `bytes` of zeroes for a table that lives as long as the process; in hardened mode between
/// guard pages, if they are to be had.
pub(crate) fn map_table(bytes: usize) -> Option<usize> {
    let address = if config::hardened() {
        map_between_guards(bytes)?
    } else {
        mapping::map_sparse(bytes)?
    };
    MAPPED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    mapping::name(address, bytes, c"glebe metadata");
    Some(address)
}

/// Unmaps a table that nobody has seen.
pub(crate) fn unmap_table(address: usize, bytes: usize) {
    mapping::unmap(address, bytes);
    MAPPED_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

fn map_between_guards(bytes: usize) -> Option<usize> {
    let page = page_bytes();
    let before = mapping::map_sparse(bytes + 2 * page)?;
    let start = before + page;
    guard_pages::install(before, page);
    guard_pages::install(start + bytes, page);
    remember_guards(start, bytes);
    Some(start)
}

fn remember_guards(start: usize, bytes: usize) {
    let number = GUARDED_TABLES.fetch_add(1, Ordering::Relaxed);
    if let Some(table) = GUARDED.get(number) {
        table.bytes.store(bytes, Ordering::Relaxed);
        // Release pairs with the Acquire of `is_guard`.
        table.start.store(start, Ordering::Release);
    }
}

/// Whether `address` lies in a guard page beside a table. Async-signal-safe.
pub(crate) fn is_guard(address: usize) -> bool {
    GUARDED.iter().any(|table| {
        // Acquire pairs with the Release of `remember_guards`.
        let start = table.start.load(Ordering::Acquire);
        let offset = address.wrapping_sub(start);
        start != 0
            && (offset.wrapping_add(page_bytes()) < page_bytes()
                || offset.wrapping_sub(table.bytes.load(Ordering::Relaxed)) < page_bytes())
    })
}

/// Maps a table of `bytes` between guard pages in any mode.
pub(crate) fn map_guarded_table(bytes: usize) -> Option<usize> {
    let bytes = round_up(bytes, page_bytes())?;
    let start = table_reserved(bytes)?;
    if make_usable(start, bytes) {
        return Some(start);
    }
    mapping::unmap(start, bytes);
    None
}

/// Reserves address space for a table of `bytes` that is made usable piece by piece, with a page
/// before and behind it that never is.
fn table_reserved(bytes: usize) -> Option<usize> {
    let page = page_bytes();
    let start = mapping::reserve(bytes + 2 * page)? + page;
    mapping::name(start, bytes, c"glebe metadata");
    remember_guards(start, bytes);
    Some(start)
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
