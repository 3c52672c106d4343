//! A picture of an address space, this process's or another's: every region with what it is for,
//! every page with where it is.
//!
//! | file | what |
//! |---|---|
//! | [`model`] | what a map says |
//! | [`mappings`] | the kernel's list of mappings |
//! | [`tables`] | glebe's tables in the process, where it runs glebe, page tables among them |
//! | [`drawing`] | both put together with the kernel's word on each page |
//! | here | the map, and what the kernel is asked |
//!
//! The process is neither stopped nor told. What changes while it is looked at may be seen half.

mod drawing;
mod mappings;
pub(crate) mod model;
mod tables;

use crate::os::mapped_array::MappedArray;
use crate::os::pagemap::{FILE, HUGE, PRESENT, PageRun, Pagemap, ZERO_PAGE};
use crate::os::process;
use crate::os::process_files;
use core::ops::Range;
use drawing::{Cursor, Drawing};
use mappings::{Mapping, Mappings, error_of};
use model::{MapError, MapKind, MapRegion, MapRun};
use tables::{Piece, Present, Tables};

const PAGE_BYTES: usize = 4 << 10;
/// The kernel's own addresses begin here; the vsyscall page is one of them.
const KERNEL_START: usize = 1 << 63;
/// A mapping that nobody may touch is a guard up to this size, and above it a reservation.
const MOST_GUARD_BYTES: usize = 1 << 20;

/// Where a region's name and runs are.
#[derive(Clone, Copy)]
struct Place {
    name_start: usize,
    name_end: usize,
    first_run: usize,
    end_run: usize,
}

/// The map of one process's address space. It lies in mappings of its own: taking it asks no
/// allocator for anything, and a map of this process shows its heap as it is.
///
/// ```
/// # fn main() -> Result<(), glebe::MapError> {
/// let map = glebe::AddressSpace::of_process(0)?;
/// let resident: usize = map.regions().iter().map(|region| region.resident_bytes).sum();
/// assert!(resident > 0);
/// # Ok(())
/// # }
/// ```
pub struct AddressSpace {
    process: i32,
    runs_glebe: bool,
    mappings: Mappings,
    tables: Tables,
    /// What the kernel says of pages.
    kernel_runs: MappedArray<PageRun>,
    stack_addresses: MappedArray<usize>,
    text: MappedArray<u8>,
    regions: MappedArray<MapRegion>,
    places: MappedArray<Place>,
    runs: MappedArray<MapRun>,
}

impl core::fmt::Debug for AddressSpace {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("AddressSpace")
            .field("process", &self.process)
            .field("runs_glebe", &self.runs_glebe)
            .field("regions", &self.regions().len())
            .finish_non_exhaustive()
    }
}

impl AddressSpace {
    /// The map of the process `process`; 0 is this one. Any thread may take one, signal handlers
    /// may not.
    ///
    /// # Errors
    /// `NoProcess`, `NotPermitted` (as ptrace(2) says: the same user, or CAP_SYS_PTRACE), `NoProc`,
    /// `NoMemory`.
    pub fn of_process(process: i32) -> Result<AddressSpace, MapError> {
        let mut map = AddressSpace {
            process: if process == 0 { process::id() } else { process },
            runs_glebe: false,
            mappings: Mappings::new(),
            tables: Tables::new(),
            kernel_runs: MappedArray::new(),
            stack_addresses: MappedArray::new(),
            text: MappedArray::new(),
            regions: MappedArray::new(),
            places: MappedArray::new(),
            runs: MappedArray::new(),
        };
        map.refresh()?;
        Ok(map)
    }

    /// Takes the map anew, in the memory that it has.
    ///
    /// # Errors
    /// As [`AddressSpace::of_process`]; the map is empty then.
    pub fn refresh(&mut self) -> Result<(), MapError> {
        let _kept = process::ErrnoKept::new();
        let outcome = self.take();
        if outcome.is_err() {
            self.regions.clear();
            self.places.clear();
            self.runs.clear();
        }
        outcome
    }

    /// The process.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// Whether it runs glebe, of the same build as this: else its heap is what the kernel knows.
    pub fn runs_glebe(&self) -> bool {
        self.runs_glebe
    }

    /// Its regions, by address.
    pub fn regions(&self) -> &[MapRegion] {
        self.regions.as_slice()
    }

    /// The runs of the region `index`, by address, without gaps; none beyond the last region.
    pub fn runs(&self, index: usize) -> &[MapRun] {
        let place = self.places.as_slice().get(index);
        place.map_or(&[], |place| {
            let runs = self.runs.as_slice();
            runs.get(place.first_run..place.end_run).unwrap_or(&[])
        })
    }

    /// What the kernel calls the region `index`: a path, `[stack]`, or nothing.
    pub fn name(&self, index: usize) -> &[u8] {
        let place = self.places.as_slice().get(index);
        place.map_or(&[], |place| {
            self.mappings.text_at(place.name_start..place.name_end)
        })
    }

    fn take(&mut self) -> Result<(), MapError> {
        self.kernel_runs.clear();
        self.regions.clear();
        self.places.clear();
        self.runs.clear();
        self.mappings.read(self.process)?;
        self.scan()?;
        self.find_stacks()?;
        self.find_tables()?;
        self.draw().ok_or(MapError::NoMemory)
    }

    /// Asks the kernel for the pages of all mappings, in one pass over those that need the same
    /// answers: whether a page is a file's costs a look at the page, and anonymous memory is not.
    fn scan(&mut self) -> Result<(), MapError> {
        let pagemap = Pagemap::of_process(self.process).map_err(error_of)?;
        let lines = self.mappings.lines();
        let mut outcome = Ok(());
        let mut stretch: Option<(Range<usize>, u64)> = None;
        let asked_of = |it: &Mapping| ZERO_PAGE | HUGE | if it.inode == 0 { 0 } else { FILE };
        for mapping in lines.iter().filter(|it| it.start < KERNEL_START) {
            let asked = asked_of(mapping);
            match &mut stretch {
                Some((range, same)) if *same == asked => range.end = mapping.end,
                _ => {
                    let before = stretch.replace((mapping.start..mapping.end, asked));
                    if let (Ok(()), Some((range, asked))) = (outcome, before) {
                        outcome =
                            pagemap.add_runs(range.start, range.end, asked, &mut self.kernel_runs);
                    }
                }
            }
        }
        if let (Ok(()), Some((range, asked))) = (outcome, stretch) {
            outcome = pagemap.add_runs(range.start, range.end, asked, &mut self.kernel_runs);
        }
        pagemap.close();
        let mut cursor = Cursor::new(self.kernel_runs.as_slice());
        self.mappings.find_page_bytes(self.process, |mapping| {
            let runs = cursor.within(mapping.start, mapping.end);
            runs.iter().any(|run| run.categories & HUGE != 0)
        });
        outcome.map_err(error_of)
    }

    /// Where the threads' stacks are: at their stack pointers, which the kernel tells of threads
    /// that wait. Of one that runs it tells where libc's record of it lies: at the top of its stack,
    /// but for the first thread, whose stack has a name.
    fn find_stacks(&mut self) -> Result<(), MapError> {
        self.stack_addresses.clear();
        let (text, addresses) = (&mut self.text, &mut self.stack_addresses);
        let process = self.process;
        process_files::for_each_thread(process, |thread| {
            text.clear();
            // A thread that has ended meanwhile has none.
            if process_files::read(process, thread, "syscall", text).is_err() {
                return;
            }
            // NUMBER ARGUMENTS STACK-POINTER PROGRAM-COUNTER, or a word
            let words = text.as_slice().split(|byte| byte.is_ascii_whitespace());
            let pointer = words.filter(|word| !word.is_empty()).rev().nth(1);
            let pointer = pointer.and_then(|word| core::str::from_utf8(word).ok());
            let digits = pointer.and_then(|word| word.strip_prefix("0x"));
            let pointer = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
            let record = || process_files::robust_list(thread).filter(|_| thread != process);
            if let Some(address) = pointer.or_else(record) {
                addresses.push(address);
            }
        })
        .map_err(error_of)?;
        self.stack_addresses.as_mut_slice().sort_unstable();
        Ok(())
    }

    /// Finds glebe's tables, if there are any. The loader has put addresses in the status page, so
    /// it is no longer the file's; but where nothing is loaded at an address of its own, it is.
    fn find_tables(&mut self) -> Result<(), MapError> {
        self.runs_glebe = self.runs_glebe && self.tables.is_there()
            || [true, false].into_iter().any(|is_changed| {
                let lines = self.mappings.lines();
                let program = lines.first().map_or(0, |it| it.inode);
                let may_hold = lines.iter().filter(|it| {
                    it.inode != 0
                        && it.is_readable
                        && !it.is_executable
                        && !it.is_shared
                        && (is_changed || it.inode == program)
                });
                let mut cursor = Cursor::new(self.kernel_runs.as_slice());
                let pages = may_hold.flat_map(|mapping| {
                    cursor
                        .within(mapping.start, mapping.end)
                        .iter()
                        .filter(move |run| {
                            run.categories & PRESENT != 0
                                && (run.categories & FILE == 0) == is_changed
                        })
                        .map(|run| {
                            let start = (run.start as usize).max(mapping.start);
                            (start, (run.end as usize).min(mapping.end) - start)
                        })
                });
                self.tables.find(self.process, pages)
            });
        if self.runs_glebe && !self.tables.begin() {
            return Err(MapError::NoMemory);
        }
        Ok(())
    }

    /// Puts all together. `None` out of memory.
    fn draw(&mut self) -> Option<()> {
        let mut cursor = Cursor::new(self.kernel_runs.as_slice());
        let present = Present(self.kernel_runs.as_slice());
        let lines = self.mappings.lines();
        let mut drawing = Drawing {
            present,
            regions: &mut self.regions,
            places: &mut self.places,
            runs: &mut self.runs,
        };
        let mut before: Option<&Mapping> = None;
        for mapping in lines {
            let kind = kind_of(
                mapping,
                before,
                &self.mappings,
                self.stack_addresses.as_slice(),
            );
            // A segment that was loaded from its image is a file's section to the kernel.
            let has_pieces =
                self.runs_glebe && !matches!(kind, MapKind::Kernel | MapKind::Text | MapKind::Data);
            let mut at = mapping.start;
            while at < mapping.end {
                let mut piece = Piece {
                    end: mapping.end,
                    kind: None,
                    block_bytes: 0,
                    live_blocks: 0,
                };
                if has_pieces {
                    piece = self.tables.piece_at(present, at, mapping.end);
                    // What is nothing of glebe's is one region, however its records are cut.
                    while piece.kind.is_none() && piece.end < mapping.end {
                        let next = self.tables.piece_at(present, piece.end, mapping.end);
                        if next.kind.is_some() {
                            break;
                        }
                        piece.end = next.end;
                    }
                }
                let tables = has_pieces.then_some(&mut self.tables);
                drawing.region(mapping, kind, at, piece, &mut cursor, tables)?;
                at = piece.end.max(at + 1);
            }
            before = Some(mapping);
        }
        Some(())
    }
}

/// What a mapping is for, as far as the kernel's list tells.
fn kind_of(
    mapping: &Mapping,
    before: Option<&Mapping>,
    mappings: &Mappings,
    stack_addresses: &[usize],
) -> MapKind {
    let name = mappings.name(mapping);
    let next = stack_addresses.partition_point(|address| *address < mapping.start);
    let has_stack = stack_addresses
        .get(next)
        .is_some_and(|it| *it < mapping.end);
    if mapping.start >= KERNEL_START || name.starts_with(b"[v") || name == b"[uprobes]" {
        return MapKind::Kernel;
    }
    if name == b"[heap]" {
        return MapKind::ProgramBreak;
    }
    if name.starts_with(b"[stack") || mapping.is_private_memory() && has_stack {
        return MapKind::Stack;
    }
    if mapping.inode != 0 && mappings.is_module(mapping) {
        return if mapping.is_executable {
            MapKind::Text
        } else {
            MapKind::Data
        };
    }
    let has_path = name.starts_with(b"/");
    let is_memory = ["/memfd:", "/dev/zero", "/SYSV", "/dev/shm/", "/[aio]"]
        .iter()
        .any(|prefix| name.starts_with(prefix.as_bytes()));
    if mapping.inode != 0 || has_path {
        return if mapping.is_shared && is_memory {
            MapKind::Shared
        } else {
            MapKind::File
        };
    }
    if mapping.is_shared {
        return MapKind::Shared;
    }
    if mapping.is_inaccessible() && mapping.bytes() <= MOST_GUARD_BYTES {
        return MapKind::Guard;
    }
    let follows_data = before.is_some_and(|it| {
        it.end == mapping.start && it.is_writable && it.inode != 0 && mappings.is_module(it)
    });
    if follows_data && name.is_empty() {
        MapKind::Bss
    } else {
        MapKind::Anonymous
    }
}

#[cfg(test)]
mod tests {
    use super::model::MapPageState;
    use super::*;
    use crate::os::mapping;
    use std::vec::Vec;

    fn regions_of(map: &AddressSpace, start: usize, end: usize) -> Vec<(MapRegion, Vec<MapRun>)> {
        let numbered = map.regions().iter().enumerate();
        let within = numbered.filter(|(_, it)| it.start >= start && it.end <= end);
        within
            .map(|(index, it)| (*it, map.runs(index).to_vec()))
            .collect()
    }

    #[test]
    fn every_page_of_a_region_is_in_one_run_and_every_mapping_in_regions() {
        let map = AddressSpace::of_process(0).expect("/proc");
        assert!(
            map.regions()
                .windows(2)
                .all(|pair| pair[0].end <= pair[1].start)
        );
        for (index, region) in map.regions().iter().enumerate() {
            let runs = map.runs(index);
            assert_eq!(runs.first().map(|run| run.start), Some(region.start));
            assert_eq!(runs.last().map(|run| run.end), Some(region.end));
            assert!(runs.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(runs.windows(2).all(|pair| pair[0].state != pair[1].state
                || pair[0].is_dirty != pair[1].is_dirty
                || pair[0].page_bytes != pair[1].page_bytes));
        }
        assert!(map.runs(map.regions().len()).is_empty());
        assert!(map.name(map.regions().len()).is_empty());
        let stacks = map.regions().iter().filter(|it| it.kind == MapKind::Stack);
        assert!(stacks.count() > 0);
    }

    #[test]
    fn the_stack_of_a_thread_is_one_whether_it_runs_or_waits() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let is_over = std::sync::Arc::new(core::sync::atomic::AtomicBool::new(false));
        let (tell_too, over) = (tell.clone(), is_over.clone());
        let waits = std::thread::spawn(move || {
            let local = 0_u8;
            tell.send((&raw const local).addr()).expect("it is read");
            let _ = ended.recv();
        });
        let runs = std::thread::spawn(move || {
            let local = 0_u8;
            let address = (&raw const local).addr();
            tell_too.send(address).expect("it is read");
            while !over.load(core::sync::atomic::Ordering::Relaxed) {
                core::hint::spin_loop();
            }
        });
        for address in told.iter().take(2) {
            let map = AddressSpace::of_process(0).expect("/proc");
            let holds = |it: &&MapRegion| (it.start..it.end).contains(&address);
            let region = map.regions().iter().find(holds).expect("it is mapped");
            assert_eq!(region.kind, MapKind::Stack);
        }
        is_over.store(true, core::sync::atomic::Ordering::Relaxed);
        drop(end);
        for thread in [waits, runs] {
            thread.join().expect("no panic");
        }
    }

    #[test]
    fn a_mapping_shows_what_was_touched_and_what_is_a_guard() {
        let start = mapping::map(64 * PAGE_BYTES).expect("memory");
        mapping::advise_small(start, 64 * PAGE_BYTES);
        // SAFETY: mapped just now.
        unsafe { ((start + 5 * PAGE_BYTES) as *mut u8).write_bytes(1, 3 * PAGE_BYTES) };
        assert!(mapping::protect(
            start,
            PAGE_BYTES,
            mapping::Protection::None
        ));
        let mut map = AddressSpace::of_process(0).expect("/proc");
        let found = regions_of(&map, start, start + 64 * PAGE_BYTES);
        let (guard, _) = found.first().expect("the first page");
        assert_eq!(
            (guard.kind, guard.end),
            (MapKind::Guard, start + PAGE_BYTES)
        );
        let (rest, runs) = found.get(1).expect("the rest");
        assert_eq!(rest.resident_bytes, 3 * PAGE_BYTES);
        assert_eq!(rest.dirty_bytes, 3 * PAGE_BYTES);
        let resident = runs.iter().find(|run| run.state == MapPageState::Resident);
        assert_eq!(resident.map(|run| run.start), Some(start + 5 * PAGE_BYTES));
        assert!(mapping::discard(
            start + 5 * PAGE_BYTES,
            3 * PAGE_BYTES,
            false
        ));
        map.refresh().expect("/proc");
        let refreshed = regions_of(&map, start, start + 64 * PAGE_BYTES);
        let resident: usize = refreshed.iter().map(|(it, _)| it.resident_bytes).sum();
        assert_eq!((refreshed.len(), resident), (2, 0));
        mapping::unmap(start, 64 * PAGE_BYTES);
    }

    #[test]
    fn no_process_has_no_map() {
        let refused = [i32::MAX, -1].map(|process| AddressSpace::of_process(process).err());
        assert_eq!(refused, [Some(MapError::NoProcess); 2]);
    }
}
