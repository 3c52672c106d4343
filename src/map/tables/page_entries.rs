//! Where pages are that the kernel does not have, and which of those it has are dirty: glebe's page
//! tables in a process, read from outside, the heap's under a budget and those of regions.

use super::super::model::MapPageState;
use super::{Present, Purpose, Tables, WORD};
use crate::observe::status_page::Root;
use crate::paging::picture::{
    self, AREA_SHIFT, AREA_WORDS, AREAS_PER_BLOCK, Elsewhere, LEAF_PAGES, PAGE_SHIFT,
};

impl Tables {
    /// Where the absent pages from `start` on are, in the same place all, and how far; `end` at
    /// most.
    pub(in crate::map) fn absent_run(
        &mut self,
        present: Present<'_>,
        start: usize,
        end: usize,
    ) -> (usize, MapPageState) {
        let purpose = self.purpose_at(start);
        let state_at = |tables: &mut Tables, address: usize| match purpose {
            Some(region) if region.directory != 0 => {
                tables.state_in_region(present, region, address)
            }
            Some(_) => (end, MapPageState::Absent),
            None => tables.state_in_heap(present, address, end),
        };
        let (mut at, state) = state_at(self, start);
        while at < end {
            let (next, same) = state_at(self, at);
            if same != state || next <= at {
                break;
            }
            at = next;
        }
        (at.min(end), state)
    }

    fn state_in_region(
        &mut self,
        present: Present<'_>,
        region: Purpose,
        address: usize,
    ) -> (usize, MapPageState) {
        match self.entry_in_region(present, region, address) {
            Ok(word) => {
                let state = state_of(picture::entry_of_region(word));
                (address + (1 << PAGE_SHIFT), state)
            }
            Err(absent) => (address + (absent << PAGE_SHIFT), MapPageState::Absent),
        }
    }

    /// The entry of the page at `address`; or how many pages from there on have none.
    fn entry_in_region(
        &mut self,
        present: Present<'_>,
        region: Purpose,
        address: usize,
    ) -> Result<u64, usize> {
        let page = (address - region.start) >> PAGE_SHIFT;
        let (area, index) = (page / LEAF_PAGES, page % LEAF_PAGES);
        let areas = (region.end - region.start).div_ceil(1 << AREA_SHIFT);
        // The windows are for all regions. Two may have parts of one area, so words of directories are
        // numbered by where they lie; pages by their addresses.
        let place = region.directory.saturating_add(area * WORD);
        let number = place / WORD;
        let end = number + areas - area;
        let leaf = match self.directory.get(self.memory, present, number, place, end) {
            Ok(leaf) if leaf != 0 => leaf,
            Ok(_) => return Err(LEAF_PAGES - index),
            Err(absent) => return Err(absent * LEAF_PAGES - index),
        };
        let number = address >> PAGE_SHIFT;
        let place = leaf.saturating_add(index * size_of::<u64>());
        // What the leaf has behind the region's end are numbers of somebody else's pages.
        let end = (number + LEAF_PAGES - index).min(region.end >> PAGE_SHIFT);
        self.leaf.get(self.memory, present, number, place, end)
    }

    /// Whether the resident pages from `address` on are dirty, and how far the same holds, `end` at
    /// most: of a region of a file, which alone knows. `None` elsewhere.
    pub(in crate::map) fn dirty_run(
        &mut self,
        present: Present<'_>,
        address: usize,
        end: usize,
    ) -> Option<(usize, bool)> {
        let region = self.purpose_at(address);
        let region = region.filter(|it| it.file_unit_pages != 0)?;
        let unit_bytes = region.file_unit_pages << PAGE_SHIFT;
        let mut at = address - (address - region.start) % unit_bytes;
        let mut found = None;
        while at < end {
            let word = self.entry_in_region(present, region, at);
            let is_dirty = word.is_ok_and(picture::is_dirty_in_region);
            if *found.get_or_insert(is_dirty) != is_dirty {
                break;
            }
            at += unit_bytes;
        }
        Some((at.min(end), found.unwrap_or(false)))
    }

    fn purpose_at(&self, address: usize) -> Option<Purpose> {
        let purposes = self.purposes.as_slice();
        let next = purposes.partition_point(|purpose| purpose.end <= address);
        let found = purposes.get(next).copied();
        found.filter(|purpose| purpose.start <= address)
    }

    fn state_in_heap(
        &mut self,
        present: Present<'_>,
        address: usize,
        end: usize,
    ) -> (usize, MapPageState) {
        let number = address >> AREA_SHIFT;
        let block = number / AREAS_PER_BLOCK;
        let held = self.area_block.filter(|(held, _)| *held == block);
        let (_, start) = held.unwrap_or_else(|| {
            let place = self.root(Root::AreaBlocks) + block * WORD;
            (block, self.word(place))
        });
        self.area_block = Some((block, start));
        if start == 0 {
            let block_end = ((block + 1) * AREAS_PER_BLOCK) << AREA_SHIFT;
            return (block_end.min(end), MapPageState::Absent);
        }
        let place = start + number % AREAS_PER_BLOCK * AREA_WORDS * WORD;
        let areas = (block + 1) * AREAS_PER_BLOCK;
        let leaf = match self.areas.get(self.memory, present, number, place, areas) {
            Ok(area) => picture::leaf_of(area).ok_or(1),
            Err(areas) => Err(areas),
        };
        let leaf = match leaf {
            Ok(leaf) => leaf,
            Err(areas) => {
                let absent_end = (number + areas) << AREA_SHIFT;
                return (absent_end.min(end), MapPageState::Absent);
            }
        };
        let page = address >> PAGE_SHIFT;
        let leaf_end = (page / LEAF_PAGES + 1) * LEAF_PAGES;
        let place = leaf + page % LEAF_PAGES * size_of::<u64>();
        let word = self.leaf.get(self.memory, present, page, place, leaf_end);
        let state = word.ok().and_then(picture::heap_entry);
        (address + (1 << PAGE_SHIFT), state_of(state))
    }
}

fn state_of(place: Option<Elsewhere>) -> MapPageState {
    match place {
        None => MapPageState::Absent,
        Some(Elsewhere::Staged) => MapPageState::Staged,
        Some(Elsewhere::Compressed) => MapPageState::Compressed,
        Some(Elsewhere::Same) => MapPageState::SameFilled,
        Some(Elsewhere::Spilled) => MapPageState::Filed,
    }
}
