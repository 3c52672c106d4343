//! What a process that runs glebe offers to whoever draws a map of it: where the roots of our
//! tables are. A constant, which the loader makes read-only after it has put addresses in; it is
//! found by its first bytes, and read from outside without stopping or telling the process.

use crate::data_section;
use crate::metadata::span::{self, SpanImage};
use crate::metadata::{self, data_segment};
use crate::paging::picture;
use crate::segment;
use crate::small::size_class::CLASSES;

/// The first bytes.
pub(crate) const MAGIC: [u64; 2] = [
    u64::from_be_bytes(*b"glebe: w"),
    u64::from_be_bytes(*b"hat is w"),
];
/// Its alignment, by which it is looked for.
pub(crate) const ALIGNMENT: usize = 64;

/// What an address of the page is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Root {
    /// The page itself: bytes that are equal by chance are not.
    StatusPage = 0,
    /// Pointers to blocks of span records.
    SpanBlocks,
    /// A word: where the data segment begins.
    DataSegmentBase,
    /// A word: bytes of it that have records.
    DataSegmentLimit,
    /// A word: where these records are.
    DataSegmentRecords,
    /// Tables: start, bytes, bytes of the guards, each a word.
    Tables,
    /// Pointers to blocks of areas of the page table.
    AreaBlocks,
    /// Words: start and frames of staging.
    StagingStart,
    /// See [`Root::StagingStart`].
    StagingFrames,
    /// Words: start and blocks of the compressed memory.
    Store,
    /// Explicit regions: see `paging::picture::Published`.
    Regions,
    /// The data section: base, reserved bytes, end, each a word.
    DataSection,
    /// Segments: base, limit, reserved bytes, each a word.
    Segments,
}

/// How many roots there are.
pub(crate) const ROOTS: usize = Root::Segments as usize + 1;

/// Words of the page: the magic ones, the layout, the roots.
pub(crate) const WORDS: usize = MAGIC.len() + 1 + ROOTS;

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Address(*const ());

// SAFETY: an address is read by nobody through this.
unsafe impl Sync for Address {}

#[repr(C, align(64))]
struct StatusPage {
    magic: [u64; MAGIC.len()],
    layout: u64,
    roots: [Address; ROOTS],
}

const _: () = assert!(align_of::<StatusPage>() == ALIGNMENT);

static STATUS_PAGE: StatusPage = {
    let [base, limit, records] = data_segment::words();
    let [areas, staging_start, staging_frames, store, regions] = picture::roots();
    StatusPage {
        magic: MAGIC,
        layout: LAYOUT,
        roots: [
            Address((&raw const STATUS_PAGE).cast()),
            Address(span::blocks()),
            Address(base),
            Address(limit),
            Address(records),
            Address(metadata::known_words()),
            Address(areas),
            Address(staging_start),
            Address(staging_frames),
            Address(store),
            Address(regions),
            Address(data_section::words()),
            Address(segment::words()),
        ],
    }
};

/// Tells builds apart whose tables differ: who reads another's would see nonsense. FNV-1a of the
/// numbers that say how they are laid out.
pub(crate) const LAYOUT: u64 = {
    const fn hashed(mut hash: u64, numbers: &[usize]) -> u64 {
        let mut index = 0;
        while index < numbers.len() {
            hash = (hash ^ numbers[index] as u64).wrapping_mul(0x100_0000_01b3);
            index += 1;
        }
        hash
    }
    let hash = hashed(0xcbf2_9ce4_8422_2325, &SpanImage::SHAPES);
    let hash = hashed(hash, &picture::SHAPES);
    let segments = [segment::PLACES, segment::REGISTER_WORDS];
    let hash = hashed(hash, &segments);
    hashed(hash, &[ROOTS, metadata::MOST_KNOWN, CLASSES])
};

/// Has the page linked in and in memory: called once, among the constructors.
pub(crate) fn offer() {
    // SAFETY: a static. Volatile, since nobody in this process wants the value.
    unsafe { (&raw const STATUS_PAGE.layout).read_volatile() };
}
