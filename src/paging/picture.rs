//! What a map of the process reads of paging, from outside: where the roots of our tables are, and
//! what their words mean.

use super::page_table::{self, Area, Entry, State};
use super::{region, staging, store};
use core::mem::offset_of;

pub(crate) use super::page_table::{AREA_SHIFT, AREAS_PER_BLOCK, LEAF_PAGES, PAGE_SHIFT};

/// Words of an area's record.
pub(crate) const AREA_WORDS: usize = size_of::<Area>() / size_of::<usize>();
const _: () = assert!(size_of::<Area>() == AREA_WORDS * size_of::<usize>());

/// Addresses of the roots: pointers to blocks of areas; the words start and frames of staging; the
/// words start and blocks of the compressed memory; the explicit regions.
pub(crate) const fn roots() -> [*const (); 5] {
    let [staging_start, staging_frames] = staging::words();
    [
        page_table::blocks(),
        staging_start,
        staging_frames,
        store::words(),
        region::published(),
    ]
}

/// Numbers of which some differs where tables have another layout.
pub(crate) const SHAPES: [usize; 6] = [
    AREA_WORDS,
    AREAS_PER_BLOCK,
    offset_of!(Area, leaf),
    page_table::PAYLOAD_SHIFT as usize,
    region::PLACES,
    region::PUBLISHED_WORDS,
];

/// Bytes of a block of compressed memory.
pub(crate) const STORE_BLOCK_BYTES: usize = store::BLOCK_BYTES;

/// Where the contents of a page are that is not in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Elsewhere {
    /// In staging.
    Staged,
    /// In compressed memory.
    Compressed,
    /// In a word.
    Same,
    /// In the spill file.
    Spilled,
}

/// What a page table entry of the heap says.
pub(crate) fn heap_entry(word: u64) -> Option<Elsewhere> {
    match Entry::of_word(word).state() {
        State::Staged => Some(Elsewhere::Staged),
        State::Compressed => Some(Elsewhere::Compressed),
        State::Same => Some(Elsewhere::Same),
        State::Spilled => Some(Elsewhere::Spilled),
        State::Unmanaged | State::Zero | State::Resident => None,
    }
}

/// What the entry of a page of an explicit region says.
pub(crate) use region::{entry_of_region, is_dirty_in_region};

/// The address of the leaf of an area, by its record; `None` where it has none.
pub(crate) fn leaf_of(area: [usize; AREA_WORDS]) -> Option<usize> {
    let word = offset_of!(Area, leaf) / size_of::<usize>();
    let leaf = area.get(word).copied().unwrap_or(0);
    (leaf != 0 && leaf & page_table::PARKED == 0).then_some(leaf)
}

pub(crate) use region::{PLACES as REGION_PLACES, PUBLISHED_WORDS, Published};
