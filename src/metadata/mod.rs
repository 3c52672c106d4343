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

/// Tables that are known by their addresses; those beyond serve as well.
pub(crate) const MOST_KNOWN: usize = 64;

/// A table; written once, the address last.
#[repr(C)]
struct Table {
    /// 0 where there is none.
    start: AtomicUsize,
    bytes: AtomicUsize,
    /// Bytes of the guard on each side.
    guard: AtomicUsize,
}

static KNOWN: [Table; MOST_KNOWN] = [const {
    Table {
        start: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        guard: AtomicUsize::new(0),
    }
}; MOST_KNOWN];
/// For the map: where the tables stand that are known, three words each: start (0: none), bytes,
/// bytes of the guard on each side.
pub(crate) const fn known_words() -> *const () {
    (&raw const KNOWN).cast()
}

static TABLES: AtomicUsize = AtomicUsize::new(0);

/// Maps `bytes` of zeroes for a table that lives as long as the process; in hardened mode between
/// guard pages, if they are to be had.
pub(crate) fn map_table(bytes: usize) -> Option<usize> {
    let address = if config::hardened() {
        map_between_guards(bytes)?
    } else {
        let address = mapping::map_sparse(bytes)?;
        remember(address, bytes, 0);
        address
    };
    MAPPED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    mapping::name(address, bytes, c"glebe metadata");
    Some(address)
}

/// Unmaps a table that nobody has seen.
pub(crate) fn unmap_table(address: usize, bytes: usize) {
    // What is remembered of it stays: no other lies between its guards.
    mapping::unmap(address, bytes);
    MAPPED_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

fn map_between_guards(bytes: usize) -> Option<usize> {
    let page = page_bytes();
    let before = mapping::map_sparse(bytes + 2 * page)?;
    let start = before + page;
    let guarded = [before, start + bytes].map(|it| guard_pages::install(it, page).is_some());
    remember(start, bytes, if guarded == [true; 2] { page } else { 0 });
    Some(start)
}

fn remember(start: usize, bytes: usize, guard: usize) {
    let number = TABLES.fetch_add(1, Ordering::Relaxed);
    if let Some(table) = KNOWN.get(number) {
        table.bytes.store(bytes, Ordering::Relaxed);
        table.guard.store(guard, Ordering::Relaxed);
        // Release pairs with the Acquire of `known`.
        table.start.store(start, Ordering::Release);
    }
}

/// Start, length and length of the guards of each table that is known.
fn known() -> impl Iterator<Item = (usize, usize, usize)> {
    KNOWN.iter().filter_map(|table| {
        // Acquire pairs with the Release of `remember`.
        let start = table.start.load(Ordering::Acquire);
        let bytes = table.bytes.load(Ordering::Relaxed);
        (start != 0).then(|| (start, bytes, table.guard.load(Ordering::Relaxed)))
    })
}

/// Whether `address` lies in a table. Async-signal-safe.
pub(crate) fn is_table(address: usize) -> bool {
    known().any(|(start, bytes, _)| address.wrapping_sub(start) < bytes)
}

/// Whether `address` lies in a guard page beside a table. Async-signal-safe.
pub(crate) fn is_guard(address: usize) -> bool {
    known().any(|(start, bytes, guard)| {
        address.wrapping_sub(start - guard) < guard || address.wrapping_sub(start + bytes) < guard
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
    remember(start, bytes, page);
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
