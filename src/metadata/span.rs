//! A span is a contiguous run of granules with one purpose. Each granule of the address space
//! has a 64-byte record; the record of a span's first granule describes the span, those of the
//! others say how far back it starts. The records are the page map, in two tables of which
//! exactly one has the record of a granule: `data_segment` for what the program break covers, and
//! the two-level table here for all else. All zero means "not ours".
//!
//! The two-level table divides an address so:
//! ```text
//! address: | 0 (17 bits) | root index (16) | record index (15) | offset in the granule (16) |
//! ```
//!
//! # Who may touch what
//! | fields | written by |
//! |---|---|
//! | `owner` | the owner gives up with Release; a claimer takes with Acquire |
//! | `free`, `countdown`, `bias`, `carved`, `divisor`, `next`, `previous` of a slab | its owner only |
//! | `bin`, `class` of a slab | whoever made it |
//! | `generation` of a slab | its owner, and who claims it |
//! | `kind` and the shape | whoever claimed the granules from the page heap |
//! | `orphan_link`, `queued` | the orphan stack; they outlive the span's purpose |

use super::data_segment;
use super::directory::{Directory, ZeroIsValid};
use crate::base::address::{ADDRESS_LIMIT, CHUNK_GRANULES, GRANULE_SHIFT, Granule};
use crate::base::shared::{SharedU8, SharedUsize};
use crate::os::cpu;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

/// What a granule is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Not ours, or ours and never used.
    None = 0,
    /// First granule of a slab: blocks of one size class.
    Slab = 1,
    /// First granule of a medium object, a span of its own.
    Medium = 2,
    /// First granule of a large object, a mapping of its own.
    Large = 3,
    /// A later granule of a slab or a medium object.
    Tail = 4,
    /// In the page heap.
    Free = 5,
    /// First granule of a large object that was freed and is kept mapped for reuse.
    Cached = 6,
    /// Given back to the kernel: first granule of a large object, or below the old program break.
    Released = 7,
    /// Of the region of sampled slots.
    Sampled = 8,
    /// First granule of a guarded object: a mapping of its own, with guard pages.
    Guarded = 9,
    /// First granule of a guarded object that was freed, inaccessible throughout.
    GuardedFree = 10,
}

impl Kind {
    #[inline]
    fn of(number: usize) -> Kind {
        match number {
            1 => Kind::Slab,
            2 => Kind::Medium,
            3 => Kind::Large,
            4 => Kind::Tail,
            5 => Kind::Free,
            6 => Kind::Cached,
            7 => Kind::Released,
            8 => Kind::Sampled,
            9 => Kind::Guarded,
            10 => Kind::GuardedFree,
            _ => Kind::None,
        }
    }
}

/// `owner` of a slab that any thread may claim. A cache's address never is 1, and spans that are
/// no slabs have owner 0.
pub(crate) const UNOWNED: usize = 1;

/// `previous` of a slab in no list.
pub(crate) const UNLISTED: u32 = u32::MAX;

/// The record of one granule. See the module.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Span {
    /// Slab: address of the owner's thread cache, or [`UNOWNED`]. Else 0.
    pub(crate) owner: SharedUsize,
    /// Slab: address of the first free block, or 0. Objects: usable bytes.
    pub(crate) free: AtomicUsize,
    /// Slab: blocks in use plus `bias`; the free that makes it 0 has something to look after.
    pub(crate) countdown: AtomicU32,
    /// Slab: ceil(2^32 / block size), for the check that an address is a block's start; 0, by which
    /// none is, in hardened mode and where the slab was trimmed.
    pub(crate) divisor: AtomicU32,
    kind: AtomicU8,
    /// Slab: the size class. Guarded: log2 of the alignment asked for. Large: where its pages come
    /// from.
    pub(crate) class: AtomicU8,
    /// Slab and medium: granules in the span, 1 to 64. Guarded: how it is guarded.
    pub(crate) granules: AtomicU8,
    /// 1 while the granule's number stands in an orphan stack.
    pub(crate) queued: SharedU8,
    /// Slab, in hardened mode: how its guard page is made. Tail: granules back to the first. Large, cached and guarded: granules of the mapping.
    pub(crate) distance: AtomicU32,
    /// Slab: blocks that were ever linked into the free list; the rest is untouched. Guarded: where
    /// in the mapping the object starts, in units of 16 bytes. Large: see
    /// [`Self::is_resident_by_touch`].
    pub(crate) carved: AtomicU32,
    /// Slab: where in its owner's cache the bin of its class lies, in bytes.
    pub(crate) bin: AtomicU32,
    /// Slab: see `countdown`; wrapping.
    pub(crate) bias: AtomicU32,
    /// Slab: the fork generation that last vouched for the record.
    pub(crate) generation: AtomicU32,
    /// Slab: neighbours in the owner's list, as granule numbers; 0 is none.
    pub(crate) next: AtomicU32,
    /// See `next`; [`UNLISTED`] in no list.
    pub(crate) previous: AtomicU32,
    /// Link in the orphan stack.
    pub(crate) orphan_link: AtomicU32,
    /// Number of the chunk that the span came from.
    pub(crate) chunk: AtomicU32,
}

const _: () = assert!(size_of::<Span>() == 64);
const _: () = assert!(core::mem::offset_of!(Span, owner) == 0);
const _: () = assert!(CHUNK_GRANULES <= u8::MAX as usize);

// SAFETY: integers and atomics of integers; Kind::None is 0.
unsafe impl ZeroIsValid for Span {}

/// Records of one table block: 2 GiB of address space, 2 MiB of records.
pub(crate) const RECORDS_PER_BLOCK: usize = 1 << 15;
static TABLE: Directory<
    Span,
    { (ADDRESS_LIMIT >> GRANULE_SHIFT) / RECORDS_PER_BLOCK },
    RECORDS_PER_BLOCK,
> = Directory::new();

/// For the map: where the pointers to the blocks of records are.
pub(crate) const fn blocks() -> *const () {
    (&raw const TABLE).cast()
}

/// The record of the granule that holds `address`, if it is in the data segment.
#[inline(always)]
pub(crate) fn record_in_data_segment(address: usize) -> Option<&'static Span> {
    data_segment::get(address)
}

/// The record of the granule that holds `address`, which is not in the data segment; `None` where
/// nothing of ours ever was.
#[inline(always)]
pub(crate) fn record_elsewhere(address: usize) -> Option<&'static Span> {
    TABLE.get(address >> GRANULE_SHIFT)
}

/// The record of the granule that holds `address`; `None` where nothing of ours ever was.
#[inline(always)]
pub(crate) fn record_holding(address: usize) -> Option<&'static Span> {
    record_in_data_segment(address).or_else(|| record_elsewhere(address))
}

/// The record of `granule`, which some span of ours has covered.
#[inline]
pub(crate) fn record(granule: Granule) -> Option<&'static Span> {
    data_segment::get(granule.address()).or_else(|| TABLE.get(granule.0 as usize))
}

/// The record of `granule`, made if need be; `None` out of memory.
pub(crate) fn ensure_record(granule: Granule) -> Option<&'static Span> {
    data_segment::get(granule.address()).or_else(|| TABLE.ensure(granule.0 as usize))
}

/// A place in the address space with a record: the granule and the record of its span's start.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// First granule of the span.
    pub(crate) start: Granule,
    /// Its record.
    pub(crate) span: &'static Span,
}

/// The span of a slab, medium or large object, free or in use, whose *start granule* or tail
/// holds `address`. The inner granules of large objects have no records of their own: see
/// [`containing`].
pub(crate) fn place_of(address: usize) -> Option<Place> {
    let granule = Granule::of(address)?;
    let span = record(granule)?;
    match span.kind() {
        Kind::None => None,
        Kind::Tail => {
            let back = span.distance.load(Ordering::Relaxed);
            let start = Granule(granule.0.checked_sub(back)?);
            Some(Place {
                start,
                span: record(start)?,
            })
        }
        _ => Some(Place {
            start: granule,
            span,
        }),
    }
}

/// As [`place_of`], and finds a large or guarded object from any address in its mapping: by a search to the left for
/// the nearest start, in steps of a table block where nothing is mapped.
pub(crate) fn containing(address: usize) -> Option<Place> {
    let granule = Granule::of(address)?;
    if let Some(place) = place_of(address)
        && place.span.kind() != Kind::Released
    {
        return Some(place);
    }
    let mut index = granule.0 as usize;
    loop {
        let span = match data_segment::get(index << GRANULE_SHIFT) {
            Some(span) => span,
            None => {
                index = TABLE.last_mapped_at_or_below(index)?;
                #[expect(clippy::cast_possible_truncation, reason = "indices are 31 bits")]
                record(Granule(index as u32))?
            }
        };
        match span.kind() {
            Kind::None | Kind::Released => index = index.checked_sub(1)?,
            // A guarded object starts there, whose mapping began before.
            Kind::Tail => {
                index = index.checked_sub(span.distance.load(Ordering::Relaxed) as usize)?
            }
            Kind::Large | Kind::Cached | Kind::Guarded | Kind::GuardedFree => {
                #[expect(clippy::cast_possible_truncation, reason = "indices are 31 bits")]
                let start = Granule(index as u32);
                let granules = span.distance.load(Ordering::Relaxed);
                return (granule.0 - start.0 < granules).then_some(Place { start, span });
            }
            _ => return None,
        }
    }
}

/// What the map wants of a record that it read from another process, whatever its bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SpanImage {
    pub(crate) kind: Kind,
    /// Slab: the number of its size class.
    pub(crate) class: usize,
    /// Slab and medium: granules in the span.
    pub(crate) granules: usize,
    /// Tail: granules back. Objects with mappings: granules of the mapping.
    pub(crate) distance: usize,
    /// Slab: blocks in use, as its owner counts them.
    pub(crate) used: usize,
}

impl SpanImage {
    /// Numbers of which some differs where records have another layout.
    pub(crate) const SHAPES: [usize; 8] = [
        size_of::<Span>(),
        RECORDS_PER_BLOCK,
        offset_of!(Span, kind),
        offset_of!(Span, class),
        offset_of!(Span, granules),
        offset_of!(Span, distance),
        offset_of!(Span, countdown),
        offset_of!(Span, bias),
    ];

    /// The image of a record's bytes.
    pub(crate) fn of(bytes: &[u8; size_of::<Span>()]) -> SpanImage {
        let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
        let word = |at: usize| {
            let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
            u32::from_ne_bytes(bytes.copied().unwrap_or_default())
        };
        let [countdown, bias] = [offset_of!(Span, countdown), offset_of!(Span, bias)].map(word);
        SpanImage {
            kind: Kind::of(byte(offset_of!(Span, kind))),
            class: byte(offset_of!(Span, class)),
            granules: byte(offset_of!(Span, granules)),
            distance: word(offset_of!(Span, distance)) as usize,
            used: countdown.wrapping_sub(bias) as usize,
        }
    }
}

impl Span {
    /// Whether `owner` is `word`.
    #[inline(always)]
    pub(crate) fn is_owned_by(&self, word: usize) -> bool {
        // SAFETY: the word is `owner`.
        unsafe { cpu::word_equals::<0>(core::ptr::from_ref(self) as usize, word) }
    }

    /// Lowers `countdown` by one, for the slab's owner; whether it is 0 now.
    #[inline(always)]
    pub(crate) fn lower_countdown(&self) -> bool {
        // SAFETY: the count is `countdown`, and the owner alone writes it.
        unsafe {
            cpu::lower_to_zero::<{ offset_of!(Span, countdown) }>(core::ptr::from_ref(self) as usize)
        }
    }

    /// What the granule is for.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        // Acquire pairs with the Release of `set_kind`: the shape is that of this kind.
        Kind::of(usize::from(self.kind.load(Ordering::Acquire)))
    }

    /// Whether it is a slab's first granule.
    #[inline(always)]
    pub(crate) fn is_slab(&self) -> bool {
        // Acquire as in `kind`.
        self.kind.load(Ordering::Acquire) == Kind::Slab as u8
    }

    /// Changes the purpose; the shape must have been written before.
    pub(crate) fn set_kind(&self, kind: Kind) {
        // Release pairs with the Acquire of `kind`.
        self.kind.store(kind as u8, Ordering::Release);
    }

    /// Changes the purpose from `old` to `new`, and says whether it was `old`: of several threads,
    /// one succeeds.
    pub(crate) fn change_kind(&self, old: Kind, new: Kind) -> bool {
        // As `kind` and `set_kind`, which these pair with too.
        self.kind
            .compare_exchange(old as u8, new as u8, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Slab: blocks in use, as its owner counts them.
    pub(crate) fn used(&self) -> u32 {
        self.countdown
            .load(Ordering::Relaxed)
            .wrapping_sub(self.bias.load(Ordering::Relaxed))
    }

    /// Slab, owner only: keeps `used` and changes what `countdown` counts down to.
    pub(crate) fn set_bias(&self, bias: u32) {
        let used = self.used();
        self.bias.store(bias, Ordering::Relaxed);
        self.countdown
            .store(used.wrapping_add(bias), Ordering::Relaxed);
    }

    /// Objects: usable bytes.
    pub(crate) fn object_bytes(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether the pages of this large object are in memory only where it was touched.
    pub(crate) fn is_resident_by_touch(&self) -> bool {
        self.carved.load(Ordering::Relaxed) != 0
    }

    /// Sets it.
    pub(crate) fn set_resident_by_touch(&self, by_touch: bool) {
        self.carved.store(u32::from(by_touch), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record in the part of the table that the test has for itself.
    fn set(granule: u32, kind: Kind, distance: u32) {
        let record = ensure_record(Granule(granule)).expect("memory for the table");
        record.distance.store(distance, Ordering::Relaxed);
        record.set_kind(kind);
    }

    fn start_of(found: Option<Place>) -> Option<u32> {
        found.map(|place| place.start.0)
    }

    #[test]
    fn a_tail_leads_to_the_start_of_its_span() {
        const SLAB: u32 = 1 << 28;
        set(SLAB, Kind::Slab, 0);
        set(SLAB + 1, Kind::Tail, 1);
        set(SLAB + 2, Kind::Tail, 2);
        for granule in SLAB..SLAB + 3 {
            let address = Granule(granule).address() + 12_345;
            assert_eq!(start_of(place_of(address)), Some(SLAB));
            assert_eq!(start_of(containing(address)), Some(SLAB));
        }
        let behind = Granule(SLAB + 3).address();
        assert_eq!(start_of(place_of(behind)), None);
        assert_eq!(start_of(containing(behind)), None, "a slab ends the search");
        assert_eq!(start_of(containing(ADDRESS_LIMIT)), None);
    }

    #[test]
    fn a_large_object_is_found_from_any_granule_of_it() {
        // Across three blocks of the table, of which the middle one is never mapped.
        const LARGE: u32 = (1 << 29) - 5;
        const GRANULES: u32 = 2 * RECORDS_PER_BLOCK as u32 + 10;
        set(LARGE, Kind::Large, GRANULES);
        // Old starts amid it and behind it.
        set(LARGE + 2, Kind::Released, 3);
        set(LARGE + GRANULES, Kind::Released, 3);
        for distance in [0, 1, 2, 3, 7, RECORDS_PER_BLOCK as u32, GRANULES - 1] {
            let address = Granule(LARGE + distance).address() + 1;
            assert_eq!(
                start_of(containing(address)),
                Some(LARGE),
                "{distance} granules in"
            );
        }
        let behind = Granule(LARGE + GRANULES).address();
        assert_eq!(start_of(containing(behind)), None);
        assert_eq!(start_of(place_of(behind)), Some(LARGE + GRANULES));
    }
}
