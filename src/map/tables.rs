//! Glebe's own tables in a process, read from outside.
//!
//! The process runs on meanwhile: what is read may be half old, half new. So nothing is believed
//! that would lead out of bounds or round in a circle, and the worst that comes of it is a region
//! that is named wrongly.

mod page_entries;

use super::model::MapKind;
use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT, round_up};
use crate::metadata::MOST_KNOWN;
use crate::metadata::span::{Kind, RECORDS_PER_BLOCK, Span, SpanImage};
use crate::observe::status_page::{LAYOUT, MAGIC, ROOTS, Root, WORDS};
use crate::os::mapped_array::MappedArray;
use crate::os::pagemap::PageRun;
use crate::os::process_memory::{AnyBytes, ProcessMemory};
use crate::paging::picture::{self, AREA_WORDS, PAGE_SHIFT, Published};
use crate::segment;
use core::ops::Range;

const WORD: usize = size_of::<usize>();
type Record = [u8; size_of::<Span>()];

/// Which pages of the process there are, by the kernel's runs. Others are zero, and are not read: a
/// read from outside is a touch, which makes a page of zeroes where none was.
#[derive(Clone, Copy)]
pub(super) struct Present<'a>(pub(super) &'a [PageRun]);

impl Present<'_> {
    /// Whether the page at `address` is there, and where that ends.
    fn extent(self, address: usize) -> (bool, usize) {
        let next = self.0.partition_point(|run| run.end as usize <= address);
        match self.0.get(next) {
            Some(run) if run.start as usize <= address => (true, run.end as usize),
            Some(run) => (false, run.start as usize),
            None => (false, usize::MAX),
        }
    }
}

/// Records that follow each other in the process, read in one go.
struct Window<T: Copy> {
    /// The number of the first.
    first: usize,
    records: MappedArray<T>,
}

/// Records or entries that are read at a time.
const WINDOW: usize = 4096;

impl<T: Copy + AnyBytes> Window<T> {
    const fn new() -> Window<T> {
        Window {
            first: 0,
            records: MappedArray::new(),
        }
    }

    /// Record `number`, which lies at `address`, or how many are zero from there on; those behind it
    /// are read with it, up to the number `end`.
    fn get(
        &mut self,
        memory: ProcessMemory,
        present: Present<'_>,
        number: usize,
        address: usize,
        end: usize,
    ) -> Result<T, usize> {
        let held = self.records.as_slice();
        if let Some(record) = number.checked_sub(self.first).and_then(|at| held.get(at)) {
            return Ok(*record);
        }
        let left = end.saturating_sub(number).max(1);
        let (is_present, until) = present.extent(address);
        let within = ((until - address) / size_of::<T>()).clamp(1, left);
        if !is_present {
            return Err(within);
        }
        self.records.clear();
        self.first = number;
        self.fill(memory, address, within.min(WINDOW)).ok_or(1)
    }

    fn fill(&mut self, memory: ProcessMemory, address: usize, count: usize) -> Option<T> {
        let read = memory
            .read(address, self.records.places(count)?)
            .ok()?
            .len();
        // SAFETY: so many were read into the places.
        unsafe { self.records.admit(read) };
        self.records.as_slice().first().copied()
    }

    fn forget(&mut self) {
        self.records.clear();
    }
}

/// Addresses of one purpose that have no span records.
#[derive(Clone, Copy, Debug)]
struct Purpose {
    start: usize,
    end: usize,
    kind: MapKind,
    /// Explicit region: where the directory of its page table is.
    directory: usize,
    /// Explicit region of a file: pages of a unit.
    file_unit_pages: usize,
}

/// What lies at an address, and how far it reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) end: usize,
    /// `None`: nothing of glebe's.
    pub(super) kind: Option<MapKind>,
    pub(super) block_bytes: usize,
    pub(super) live_blocks: usize,
}

/// The tables of one process.
pub(super) struct Tables {
    memory: ProcessMemory,
    roots: [usize; ROOTS],
    /// Where the data segment's granules are, and their records.
    data_segment: Range<usize>,
    data_records: usize,
    purposes: MappedArray<Purpose>,
    /// The granules' records of one block, or of the data segment.
    spans: Window<Record>,
    span_block: Option<(usize, usize)>,
    areas: Window<[usize; AREA_WORDS]>,
    area_block: Option<(usize, usize)>,
    /// Entries, of the heap and of regions, by the addresses of pages.
    leaf: Window<u64>,
    /// Words of directories of regions, by where they lie.
    directory: Window<usize>,
    /// A large object goes on up to there.
    object: Option<(usize, MapKind)>,
}

impl Tables {
    /// The tables of nobody.
    pub(super) const fn new() -> Tables {
        Tables {
            memory: ProcessMemory::of(0),
            roots: [0; ROOTS],
            data_segment: 0..0,
            data_records: 0,
            purposes: MappedArray::new(),
            spans: Window::new(),
            span_block: None,
            areas: Window::new(),
            area_block: None,
            leaf: Window::new(),
            directory: Window::new(),
            object: None,
        }
    }

    /// Those of the process `process`, whose status page is looked for where `pages` lead: addresses
    /// and bytes of memory that may hold it. Whether it was found.
    pub(super) fn find(
        &mut self,
        process: i32,
        pages: impl Iterator<Item = (usize, usize)>,
    ) -> bool {
        self.memory = ProcessMemory::of(process);
        self.forget();
        let mut words = Window::<usize>::new();
        let mut found = None;
        for (start, bytes) in pages {
            let mut at = 0;
            while at < bytes / WORD && found.is_none() {
                words.forget();
                let count = WINDOW.min(bytes / WORD - at);
                if words.fill(self.memory, start + at * WORD, count).is_none() {
                    break;
                }
                found = roots_in(words.records.as_slice(), start + at * WORD);
                // A page that begins in one window and ends in the next is seen in the next.
                at += (words.records.as_slice().len().saturating_sub(WORDS)).max(WORDS);
            }
        }
        self.roots = found.unwrap_or([0; ROOTS]);
        found.is_some()
    }

    /// Whether the status page is still where it was found: the program may be another since.
    pub(super) fn is_there(&self) -> bool {
        let address = self.root(Root::StatusPage);
        let words: Option<[usize; WORDS]> = self.memory.read_one(address);
        words.is_some_and(|words| roots_in(&words, address) == Some(self.roots))
    }

    fn root(&self, root: Root) -> usize {
        self.roots.get(root as usize).copied().unwrap_or(0)
    }

    fn word(&self, address: usize) -> usize {
        self.memory.read_one(address).unwrap_or(0)
    }

    fn forget(&mut self) {
        self.purposes.clear();
        self.spans.forget();
        self.areas.forget();
        self.leaf.forget();
        self.directory.forget();
        self.span_block = None;
        self.area_block = None;
        self.object = None;
    }

    /// Reads what does not depend on an address. `false` out of memory.
    pub(super) fn begin(&mut self) -> bool {
        self.forget();
        let base = self.word(self.root(Root::DataSegmentBase));
        let limit = self.word(self.root(Root::DataSegmentLimit));
        self.data_segment = base..base.saturating_add(limit);
        self.data_records = self.word(self.root(Root::DataSegmentRecords));
        self.note_purposes().is_some()
    }

    fn note(&mut self, start: usize, bytes: usize, kind: MapKind) -> Option<()> {
        self.note_purpose(start, bytes, kind, 0, 0)
    }

    fn note_purpose(
        &mut self,
        start: usize,
        bytes: usize,
        kind: MapKind,
        directory: usize,
        file_unit_pages: usize,
    ) -> Option<()> {
        // Nothing else begins in its last page.
        let end = start.checked_add(bytes);
        let end = end.and_then(|end| round_up(end, 1 << PAGE_SHIFT));
        let Some(end) = end.filter(|end| *end > start && start != 0) else {
            return Some(());
        };
        let purpose = Purpose {
            start,
            end,
            kind,
            directory,
            file_unit_pages,
        };
        self.purposes.push(purpose).then_some(())
    }

    fn note_purposes(&mut self) -> Option<()> {
        let tables: [[usize; 3]; MOST_KNOWN] = self.array(Root::Tables);
        for [start, bytes, guard] in tables {
            self.note(start.saturating_sub(guard), guard, MapKind::Guard)?;
            self.note(start, bytes, MapKind::HeapTables)?;
            self.note(start.saturating_add(bytes), guard, MapKind::Guard)?;
        }
        let start = self.word(self.root(Root::StagingStart));
        let frames = self.word(self.root(Root::StagingFrames));
        let bytes = frames.saturating_mul(1 << PAGE_SHIFT);
        self.note(start, bytes, MapKind::PagingStore)?;
        self.note_store(self.root(Root::Store))?;
        let [base, reserved, _]: [usize; 3] = self.array(Root::DataSection);
        self.note(base, reserved, MapKind::DataSection)?;
        let segments: [[usize; segment::REGISTER_WORDS]; segment::PLACES] =
            self.array(Root::Segments);
        for [base, _, reserved] in segments {
            self.note(base, reserved, MapKind::Segment)?;
        }
        let regions: [[usize; picture::PUBLISHED_WORDS]; picture::REGION_PLACES] =
            self.array(Root::Regions);
        for words in regions {
            let word = |which: Published| words.get(which as usize).copied().unwrap_or(0);
            let start = word(Published::Start);
            if start == 0 {
                continue;
            }
            self.note_purpose(
                start,
                word(Published::MostBytes),
                MapKind::PagedRegion,
                word(Published::Directory),
                word(Published::FileUnitPages),
            )?;
            let (table, staging) = (word(Published::Table), word(Published::Staging));
            self.note(table, word(Published::TableBytes), MapKind::HeapTables)?;
            self.note(staging, word(Published::StagingBytes), MapKind::PagingStore)?;
            self.note_store(word(Published::Store))?;
        }
        let purposes = self.purposes.as_mut_slice();
        purposes.sort_unstable_by_key(|purpose| purpose.start);
        Some(())
    }

    fn note_store(&mut self, words: usize) -> Option<()> {
        let [start, blocks] = self.memory.read_one(words).unwrap_or([0_usize; 2]);
        let bytes = blocks.saturating_mul(picture::STORE_BLOCK_BYTES);
        self.note(start, bytes, MapKind::PagingStore)
    }

    /// The array that a root leads to.
    fn array<T: Copy + Default, const COUNT: usize>(&self, root: Root) -> [T; COUNT]
    where
        [T; COUNT]: AnyBytes,
    {
        self.memory
            .read_one(self.root(root))
            .unwrap_or([T::default(); COUNT])
    }

    /// The record of the granule `number`; or how many granules from there on have none.
    fn record(&mut self, present: Present<'_>, number: usize) -> Result<SpanImage, usize> {
        let address = number << GRANULE_SHIFT;
        let (start, first, end) = if self.data_segment.contains(&address) {
            let first = self.data_segment.start >> GRANULE_SHIFT;
            (
                self.data_records,
                first,
                self.data_segment.end >> GRANULE_SHIFT,
            )
        } else {
            let block = number / RECORDS_PER_BLOCK;
            let without = || (self.next_with_records(number) >> GRANULE_SHIFT) - number;
            let without = without().max(1);
            let start = self.block_of_spans(block).ok_or(without)?;
            (
                start,
                block * RECORDS_PER_BLOCK,
                (block + 1) * RECORDS_PER_BLOCK,
            )
        };
        let place = start.saturating_add((number - first) * size_of::<Record>());
        let record = self.spans.get(self.memory, present, number, place, end)?;
        Ok(SpanImage::of(&record))
    }

    /// Where the block `block` of span records is.
    fn block_of_spans(&mut self, block: usize) -> Option<usize> {
        let held = self.span_block.filter(|(number, _)| *number == block);
        let (_, start) = held.unwrap_or_else(|| {
            let place = self.root(Root::SpanBlocks) + block * WORD;
            (block, self.word(place))
        });
        self.span_block = Some((block, start));
        (start != 0).then_some(start)
    }

    /// What lies at `address`, up to `limit` at most. Addresses are asked for in order.
    pub(super) fn piece_at(&mut self, present: Present<'_>, address: usize, limit: usize) -> Piece {
        let piece = |end: usize, kind| Piece {
            end: end.min(limit),
            kind,
            block_bytes: 0,
            live_blocks: 0,
        };
        let purposes = self.purposes.as_slice();
        let next = purposes.partition_point(|purpose| purpose.end <= address);
        let mut limit = limit;
        // Purposes do not overlap but where something was torn: the first that reaches far enough.
        if let Some(purpose) = purposes.get(next) {
            if purpose.start <= address {
                return piece(purpose.end, Some(purpose.kind));
            }
            limit = limit.min(purpose.start);
        }
        let piece = |end: usize, kind| Piece {
            end: end.min(limit),
            ..piece(end, kind)
        };
        if let Some((end, kind)) = self.object.filter(|(end, _)| *end > address) {
            return piece(end, Some(kind));
        }
        let mut number = address >> GRANULE_SHIFT;
        let mut image = match self.record(present, number) {
            Ok(image) => image,
            Err(granules) => {
                let end = number
                    .saturating_add(granules)
                    .min(usize::MAX >> GRANULE_SHIFT);
                return piece(end << GRANULE_SHIFT, None);
            }
        };
        if image.kind == Kind::Tail && image.distance <= number {
            let start = number - image.distance;
            let first = self.record(present, start).ok();
            let first = first.filter(|first| start + first.granules > number);
            image = first.unwrap_or(SpanImage {
                kind: Kind::None,
                ..image
            });
            number = start;
        }
        match image.kind {
            Kind::Slab => self.slabs(present, number, image, limit),
            kind if has_mapping(kind) => {
                let kind = match image.kind {
                    Kind::Large => MapKind::LargeObject,
                    Kind::Cached => MapKind::FreeHeap,
                    _ => MapKind::GuardedObject,
                };
                let end = (number << GRANULE_SHIFT).saturating_add(image.distance * GRANULE_BYTES);
                self.object = Some((end, kind));
                piece(end.max((number + 1) << GRANULE_SHIFT), Some(kind))
            }
            kind => {
                let purpose = purpose_of(kind);
                // Free granules have a record each.
                let granules = |image: SpanImage| match image.kind {
                    Kind::Medium => image.granules.max(1),
                    _ => 1,
                };
                let mut end = number + granules(image);
                while end << GRANULE_SHIFT < limit
                    && let Ok(next) = self.record(present, end)
                    && purpose_of(next.kind) == purpose
                    && !has_mapping(next.kind)
                {
                    end += granules(next);
                }
                piece((end << GRANULE_SHIFT).max(address + 1), purpose)
            }
        }
    }

    /// Slabs of one class from granule `number` on, which follow each other.
    fn slabs(
        &mut self,
        present: Present<'_>,
        number: usize,
        first: SpanImage,
        limit: usize,
    ) -> Piece {
        let mut end = number;
        let mut live_blocks = 0_usize;
        let mut image = Some(first);
        while let Some(slab) = image.filter(|it| it.kind == Kind::Slab && it.class == first.class) {
            // A count that was torn is more than a slab holds.
            live_blocks += slab.used.min(GRANULE_BYTES * slab.granules.max(1) / 16);
            end += slab.granules.max(1);
            if end << GRANULE_SHIFT >= limit {
                break;
            }
            image = self.record(present, end).ok();
        }
        let class = crate::small::size_class::SizeClass::all().nth(first.class);
        Piece {
            end: (end << GRANULE_SHIFT).min(limit),
            kind: Some(MapKind::Slabs),
            block_bytes: class.map_or(0, |class| class.block_bytes()),
            live_blocks,
        }
    }

    /// The first address behind granule `number`, which has no record, that may have one.
    fn next_with_records(&self, number: usize) -> usize {
        let block_end = ((number / RECORDS_PER_BLOCK + 1) * RECORDS_PER_BLOCK) << GRANULE_SHIFT;
        let base = self.data_segment.start;
        if base > number << GRANULE_SHIFT {
            block_end.min(base)
        } else {
            block_end
        }
    }
}

/// The roots of the status page that begins among `words`, which lie at `address`.
fn roots_in(words: &[usize], address: usize) -> Option<[usize; ROOTS]> {
    let page = words.windows(WORDS).enumerate().find_map(|(at, page)| {
        let (magic, rest) = page.split_first_chunk::<{ MAGIC.len() }>()?;
        let (layout, roots) = rest.split_first()?;
        let itself = roots.get(Root::StatusPage as usize);
        let is_page = magic.map(|word| word as u64) == MAGIC
            && *layout as u64 == LAYOUT
            && itself == Some(&(address + at * WORD));
        is_page.then_some(roots)
    })?;
    page.first_chunk().copied()
}

/// Whether a granule of this kind is the first of an object with a mapping.
fn has_mapping(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Large | Kind::Cached | Kind::Guarded | Kind::GuardedFree
    )
}

/// What spans that are neither slabs nor objects with mappings are for.
fn purpose_of(kind: Kind) -> Option<MapKind> {
    match kind {
        Kind::Medium => Some(MapKind::MediumObjects),
        Kind::Free => Some(MapKind::FreeHeap),
        Kind::Sampled => Some(MapKind::GuardedObject),
        _ => None,
    }
}
