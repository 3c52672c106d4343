//! Regions and their runs, put together from mappings, glebe's pieces of them, and the kernel's word
//! on each page.

use super::mappings::Mapping;
use super::model::{MapKind, MapPageState, MapRegion, MapRun};
use super::tables::{Piece, Tables};
use super::{KERNEL_START, MOST_GUARD_BYTES, PAGE_BYTES, Place};
use crate::os::mapped_array::MappedArray;
use crate::os::pagemap::{FILE, GUARD, HUGE, PRESENT, PageRun, SWAPPED, ZERO_PAGE};

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
            page_bytes: PAGE_BYTES,
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
        let first_run = self.runs.as_slice().len();
        self.pages(&mut region, cursor, tables)?;
        let end_run = self.runs.as_slice().len();
        for run in self.runs.as_slice().get(first_run..).unwrap_or(&[]) {
            let bytes = run.end - run.start;
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
        let name = mapping.name();
        let place = Place {
            name_start: name.start,
            name_end: name.end,
            first_run,
            end_run,
        };
        (self.regions.push(region) && self.places.push(place)).then_some(())
    }

    /// Adds the runs of a region.
    fn pages(
        &mut self,
        region: &mut MapRegion,
        cursor: &mut Cursor<'_>,
        mut tables: Option<&mut Tables>,
    ) -> Option<()> {
        let first_run = self.runs.as_slice().len();
        // The kernel counts none of its own pages as resident.
        let found = match region.kind {
            MapKind::Kernel if region.start >= KERNEL_START => &[],
            _ => cursor.within(region.start, region.end),
        };
        let mut at = region.start;
        for run in found {
            let start = (run.start as usize).max(at);
            let end = (run.end as usize).min(region.end);
            self.absent(first_run, at, start, region, tables.as_deref_mut())?;
            let state = page_state(run.categories);
            if state == MapPageState::Absent {
                self.absent(first_run, start, end, region, tables.as_deref_mut())?;
            } else {
                let is_huge = run.categories & HUGE != 0 && state == MapPageState::Resident;
                self.run(
                    first_run,
                    MapRun {
                        start,
                        end,
                        state,
                        is_dirty: state == MapPageState::Resident
                            && run.categories & FILE == 0
                            && !region.is_shared
                            && region.kind != MapKind::Kernel,
                        page_bytes: if is_huge { HUGE_PAGE_BYTES } else { PAGE_BYTES },
                    },
                )?;
            }
            at = end.max(at);
        }
        self.absent(first_run, at, region.end, region, tables)
    }

    /// Adds runs of pages that the kernel does not have.
    fn absent(
        &mut self,
        first_run: usize,
        start: usize,
        end: usize,
        region: &MapRegion,
        mut tables: Option<&mut Tables>,
    ) -> Option<()> {
        let mut at = start;
        while at < end {
            let (next, state) = match (&mut tables, region.kind) {
                (_, MapKind::Guard) => (end, MapPageState::Guard),
                (Some(tables), _) => tables.absent_run(at, end),
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
            self.run(first_run, run)?;
            at = next;
        }
        Some(())
    }

    /// Adds a run, to the last of the region's where it goes on.
    fn run(&mut self, first_run: usize, run: MapRun) -> Option<()> {
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
