//! The records of the data segment, that is of the granules that the program break covers: a
//! flat array, found by base and limit. Most blocks lie there, and free finds their record with
//! one subtraction and one comparison where the two-level table needs two look-ups.
//!
//! Address space for the array is reserved once, for [`MOST_BYTES`] of heap or what the process
//! may have, and made usable as the break grows: to lock or to count it costs no more than what
//! is in use. Granules beyond it have records in the two-level table.

use super::directory::ZeroIsValid;
use super::span::Span;
use super::table_reserved;
use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT, Granule, round_up};
use crate::os::{cpu, process};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Heap whose records the array can hold: 128 GiB, with 128 MiB of reserved address space.
const MOST_BYTES: usize = 128 << 30;
/// Where the process may not have that much address space: half as often as needed, down to this.
const LEAST_BYTES: usize = 1 << 30;

/// The array is made usable in steps of this many bytes, enough for 64 MiB of heap, so that a
/// growing heap changes a mapping once in 64 growths.
const STEP_BYTES: usize = 64 << 10;

/// The base at first: no address is near, so a thread that reads it beside a new limit finds
/// nothing.
const NOWHERE: usize = 1 << 63;

/// Bytes of records for `bytes` of heap.
const fn record_bytes(bytes: usize) -> usize {
    bytes / GRANULE_BYTES * size_of::<Span>()
}

/// Address of the first granule, or [`NOWHERE`].
static BASE: AtomicUsize = AtomicUsize::new(NOWHERE);
/// Bytes from there on whose granules have a record here.
static LIMIT: AtomicUsize = AtomicUsize::new(0);
/// Address of the first record.
static RECORDS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that the limit may grow to.
static MOST: AtomicUsize = AtomicUsize::new(0);

/// For the map: where the words are that say where the data segment begins, how many bytes of it
/// have records, and where these are.
pub(crate) const fn words() -> [*const (); 3] {
    [
        (&raw const BASE).cast(),
        (&raw const LIMIT).cast(),
        (&raw const RECORDS).cast(),
    ]
}

/// The record of the granule that holds `address`; `None` beyond the limit.
#[inline(always)]
pub(super) fn get(address: usize) -> Option<&'static Span> {
    let offset = cpu::offset_below_limit!(address, BASE, LIMIT);
    let record = cpu::plus_static!((offset >> GRANULE_SHIFT) * size_of::<Span>(), RECORDS);
    // SAFETY: the array has a record, usable for ever and valid from the first moment
    // (`ZeroIsValid`), for each granule below the limit.
    unsafe {
        core::hint::assert_unchecked(record != 0);
        Some(&*(record as *const Span))
    }
}

/// Makes records for the granules from `first` up to `end`, which the break is about to cover, as
/// far as the array reaches. The first call sets the base. Callers hold the growth lock. `false`
/// out of memory.
pub(crate) fn cover(first: Granule, end: Granule) -> bool {
    if BASE.load(Ordering::Relaxed) == NOWHERE {
        reserve(first);
    }
    let base = BASE.load(Ordering::Relaxed);
    if first.address() < base {
        return true;
    }
    let wanted = (end.address() - base).min(MOST.load(Ordering::Relaxed));
    let limit = LIMIT.load(Ordering::Relaxed);
    if wanted <= limit {
        return true;
    }
    let records = RECORDS.load(Ordering::Relaxed);
    let usable = |limit| round_up(record_bytes(limit), STEP_BYTES).unwrap_or(0);
    let (from, to) = (usable(limit), usable(wanted));
    if to > from && !super::make_usable(records + from, to - from) {
        return false;
    }
    // Release pairs with the Acquire of `get`: base, array and its use come first.
    LIMIT.store(wanted, Ordering::Release);
    true
}

/// Reserves the array. Without one, all records are in the two-level table.
fn reserve(first: Granule) {
    let mut bytes = MOST_BYTES;
    let kept = process::ErrnoKept::new();
    let records = loop {
        if let Some(address) = table_reserved(record_bytes(bytes)) {
            break Some(address);
        }
        if bytes == LEAST_BYTES {
            break None;
        }
        bytes /= 2;
    };
    drop(kept);
    RECORDS.store(records.unwrap_or(0), Ordering::Relaxed);
    BASE.store(first.address(), Ordering::Relaxed);
    MOST.store(if records.is_some() { bytes } else { 0 }, Ordering::Relaxed);
}

/// Asserts what `get` relies on.
const _: () = {
    const fn is_a_record<T: ZeroIsValid>() {}
    is_a_record::<Span>();
    assert!(STEP_BYTES.is_multiple_of(size_of::<Span>()));
    assert!(record_bytes(LEAST_BYTES).is_multiple_of(STEP_BYTES));
};
