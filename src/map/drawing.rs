//! Regions and their runs, put together from mappings, glebe's pieces of them, and the kernel's word
//! on each page.

use super::mappings::Mapping;
use super::model::{MapKind, MapPageState, MapRegion, MapRun};
use super::tables::{Piece, Present, Tables};
use super::{KERNEL_START, MOST_GUARD_BYTES, PAGE_BYTES, Place};
use crate::os::mapped_array::MappedArray;
use crate::os::pagemap::{FILE, GUARD, HUGE, PRESENT, PageRun, SWAPPED, ZERO_PAGE};
use core::ops::Range;

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// The kernel's runs, walked from low addresses to high.
pub(super) struct Cursor<'a> {
    rest: &'a [PageRun],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(runs: &'a [PageRun]) -> Cursor<'a> {
        Cursor { rest: runs }
    }

    /// The runs that have a part between two addresses, the first and last maybe more than a part.
    pub(super) fn within(&mut self, start: usize, end: usize) -> &'a [PageRun] {
        let passed = self.rest.iter().take_while(|run| run.end as usize <= start);
        self.rest = self.rest.get(passed.count()..).unwrap_or(&[]);
        let count = self
            .rest
            .iter()
            .take_while(|run| (run.start as usize) < end);
        self.rest.get(..count.count()).unwrap_or(&[])
    }
}

/// The arrays of a map that is being drawn.
pub(super) struct Drawing<'a> {
    pub(super) present: Present<'a>,
    pub(super) regions: &'a mut MappedArray<MapRegion>,
    pub(super) places: &'a mut MappedArray<Place>,
    pub(super) runs: &'a mut MappedArray<MapRun>,
}

impl Drawing<'_> {
    /// Adds the region from `start` to the end of `piece`.
    pub(super) fn region(
        &mut self,
        mapping: &Mapping,
        kind: MapKind,
        start: usize,
        piece: Piece,
        cursor: &mut Cursor<'_>,
        tables: Option<&mut Tables>,
    ) -> Option<()> {
        let mut region = MapRegion {
            start,
            end: piece.end,
            kind: piece.kind.unwrap_or(kind),
            is_readable: mapping.is_readable,
            is_writable: mapping.is_writable,
            is_executable: mapping.is_executable,
            is_shared: mapping.is_shared,
            block_bytes: piece.block_bytes,
            live_blocks: piece.live_blocks,
            resident_bytes: 0,
            dirty_bytes: 0,
            swapped_bytes: 0,
            evicted_bytes: 0,
            huge_bytes: 0,
            page_bytes: mapping.page_bytes,
        };
        // What nobody may touch around blocks, and in small pieces between other parts, guards them.
        let is_small = piece.end - start <= MOST_GUARD_BYTES;
        let is_guard = match piece.kind {
            None | Some(MapKind::PagedRegion | MapKind::DataSection | MapKind::Segment) => false,
            Some(MapKind::GuardedObject) => true,
            Some(_) => is_small,
        };
        if is_guard && mapping.is_inaccessible() {
            region.kind = MapKind::Guard;
        }
        if let Some(last) = self.continued_by(&region) {
            let (regions, places) = (self.regions.as_mut_slice(), self.places.as_mut_slice());
            let (mut whole, place) = (*regions.get(last)?, *places.get(last)?);
            self.pages(
                place.first_run,
                start..piece.end,
                &mut whole,
                cursor,
                tables,
            )?;
            whole.end = piece.end;
            whole.live_blocks += piece.live_blocks;
            *self.regions.as_mut_slice().get_mut(last)? = whole;
            self.places.as_mut_slice().get_mut(last)?.end_run = self.runs.as_slice().len();
            return Some(());
        }
        let first_run = self.runs.as_slice().len();
        self.pages(first_run, start..piece.end, &mut region, cursor, tables)?;
        let name = mapping.name();
        let place = Place {
            name_start: name.start,
            name_end: name.end,
            first_run,
            end_run: self.runs.as_slice().len(),
        };
        (self.regions.push(region) && self.places.push(place)).then_some(())
    }

    /// The last region, if this is more of it: the kernel cuts the heap where it is told of huge
    /// pages, or of paging, and that is no other purpose.
    fn continued_by(&self, next: &MapRegion) -> Option<usize> {
        let is_heap = matches!(
            next.kind,
            MapKind::Slabs | MapKind::MediumObjects | MapKind::FreeHeap
        );
        let last = self.regions.as_slice().last().filter(|_| is_heap)?;
        let of = |it: &MapRegion| {
            let may = (it.is_readable, it.is_writable, it.is_executable);
            (it.kind, it.block_bytes, may, it.is_shared)
        };
        let index = self.regions.as_slice().len() - 1;
        (last.end == next.start && of(last) == of(next)).then_some(index)
    }

    /// Adds the runs of a range of a region whose first run is given.
    fn pages(
        &mut self,
        first_run: usize,
        range: Range<usize>,
        region: &mut MapRegion,
        cursor: &mut Cursor<'_>,
        mut tables: Option<&mut Tables>,
    ) -> Option<()> {
        // The kernel counts none of its own pages as resident.
        let found = match region.kind {
            MapKind::Kernel if range.start >= KERNEL_START => &[],
            _ => cursor.within(range.start, range.end),
        };
        let mut at = range.start;
        for run in found {
            let start = (run.start as usize).max(at);
            let end = (run.end as usize).min(range.end).max(start);
            self.absent(first_run, at, start, region, tables.as_deref_mut())?;
            let state = page_state(run.categories);
            if state == MapPageState::Absent {
                self.absent(first_run, start, end, region, tables.as_deref_mut())?;
            } else {
                let is_resident = state == MapPageState::Resident;
                let is_huge = run.categories & HUGE != 0 && is_resident;
                let run = MapRun {
                    start,
                    end,
                    state,
                    is_dirty: is_resident
                        && run.categories & FILE == 0
                        && !region.is_shared
                        && region.kind != MapKind::Kernel,
                    page_bytes: if is_huge {
                        region.page_bytes.max(HUGE_PAGE_BYTES)
                    } else {
                        PAGE_BYTES
                    },
                };
                match tables.as_deref_mut() {
                    Some(tables) if region.kind == MapKind::PagedRegion && run.is_dirty => {
                        self.run_by_units(first_run, run, region, tables)?;
                    }
                    _ => self.run(first_run, run, region)?,
                }
            }
            at = end.max(at);
        }
        self.absent(first_run, at, range.end, region, tables)
    }

    /// Adds runs of pages that the kernel does not have.
    fn absent(
        &mut self,
        first_run: usize,
        start: usize,
        end: usize,
        region: &mut MapRegion,
        mut tables: Option<&mut Tables>,
    ) -> Option<()> {
        let mut at = start;
        while at < end {
            let (next, state) = match (&mut tables, region.kind) {
                (_, MapKind::Guard) => (end, MapPageState::Guard),
                (Some(tables), _) => tables.absent_run(self.present, at, end),
                (None, _) => (end, MapPageState::Absent),
            };
            let next = if next > at { next } else { end };
            let run = MapRun {
                start: at,
                end: next,
                state,
                is_dirty: false,
                page_bytes: PAGE_BYTES,
            };
            self.run(first_run, run, region)?;
            at = next;
        }
        Some(())
    }

    /// Adds a run of resident pages of an explicit region. What that has read from a file is anonymous
    /// memory to the kernel, which takes it for dirty.
    fn run_by_units(
        &mut self,
        first_run: usize,
        run: MapRun,
        region: &mut MapRegion,
        tables: &mut Tables,
    ) -> Option<()> {
        let mut at = run.start;
        while at < run.end {
            let told = tables.dirty_run(self.present, at, run.end);
            let (next, is_dirty) = told.unwrap_or((run.end, run.is_dirty));
            let next = if next > at { next } else { run.end };
            let part = MapRun {
                start: at,
                end: next,
                is_dirty,
                ..run
            };
            self.run(first_run, part, region)?;
            at = next;
        }
        Some(())
    }

    /// Adds a run to a region, to its last one where that goes on.
    fn run(&mut self, first_run: usize, run: MapRun, region: &mut MapRegion) -> Option<()> {
        count(run, region);
        let own = self.runs.as_mut_slice().get_mut(first_run..);
        if let Some(last) = own.and_then(|own| own.last_mut()) {
            let same = (last.state, last.is_dirty, last.page_bytes);
            if last.end == run.start && same == (run.state, run.is_dirty, run.page_bytes) {
                last.end = run.end;
                return Some(());
            }
        }
        (run.start >= run.end || self.runs.push(run)).then_some(())
    }
}

/// Counts the pages of a run among those of its region.
fn count(run: MapRun, region: &mut MapRegion) {
    let bytes = run.end.saturating_sub(run.start);
    match run.state {
        MapPageState::Resident => {
            region.resident_bytes += bytes;
            region.dirty_bytes += if run.is_dirty { bytes } else { 0 };
            region.huge_bytes += if run.page_bytes > PAGE_BYTES {
                bytes
            } else {
                0
            };
        }
        MapPageState::Swapped => region.swapped_bytes += bytes,
        MapPageState::Staged
        | MapPageState::Compressed
        | MapPageState::SameFilled
        | MapPageState::Filed => region.evicted_bytes += bytes,
        MapPageState::Absent | MapPageState::Guard => {}
    }
}

/// Where pages are, by what the kernel says.
fn page_state(categories: u64) -> MapPageState {
    if categories & GUARD != 0 {
        MapPageState::Guard
    } else if categories & ZERO_PAGE != 0 {
        MapPageState::Absent
    } else if categories & PRESENT != 0 {
        MapPageState::Resident
    } else if categories & SWAPPED != 0 {
        MapPageState::Swapped
    } else {
        MapPageState::Absent
    }
}
