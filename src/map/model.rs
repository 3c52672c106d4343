//! What a map says: regions in address order, and for each the runs of its pages.

use crate::base::numbered_error::numbered_error;

/// What a region of an address space is for. The numbers are those of `glebe_map_kind` in the
/// header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum MapKind {
    /// Code: a file's section that may be executed.
    Text = 0,
    /// A program's or library's section of a file that may not be executed.
    Data = 1,
    /// Zeroes at first, behind a file's data.
    Bss = 2,
    /// The program break, as far as it is not a heap of glebe's.
    ProgramBreak = 3,
    /// Spans of glebe's heap that hold small blocks of one size class.
    Slabs = 4,
    /// Spans of glebe's heap with a medium object each.
    MediumObjects = 5,
    /// A large object of glebe's.
    LargeObject = 6,
    /// Free memory of glebe's heap: free spans, mappings that are kept for reuse.
    FreeHeap = 7,
    /// Objects of glebe's between guard pages, and sampled blocks.
    GuardedObject = 8,
    /// Glebe's own tables.
    HeapTables = 9,
    /// Frames and stores of glebe's paging: staging, compressed memory.
    PagingStore = 10,
    /// An explicit region (`glebe_region_create`).
    PagedRegion = 11,
    /// A segment (`glebe_segment_create`).
    Segment = 12,
    /// The data section of `glebe_sbrk`.
    DataSection = 13,
    /// Pages that nobody may touch.
    Guard = 14,
    /// The stack of a thread.
    Stack = 15,
    /// A file that is no program or library.
    File = 16,
    /// Memory shared with other processes, of no file that has a name.
    Shared = 17,
    /// Anonymous memory of the program's own.
    Anonymous = 18,
    /// What the kernel maps: vdso, vvar, vsyscall.
    Kernel = 19,
}

/// Where the pages of a run are. The numbers are those of `glebe_map_page_state`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum MapPageState {
    /// Never touched, or given back: no memory.
    Absent = 0,
    /// In memory.
    Resident = 1,
    /// In the kernel's swap.
    Swapped = 2,
    /// Out of sight in glebe's staging: in memory, for a second chance.
    Staged = 3,
    /// In glebe's compressed memory.
    Compressed = 4,
    /// Filled with one word: glebe keeps the word alone.
    SameFilled = 5,
    /// In glebe's spill file, or in the file of a region.
    Filed = 6,
    /// A guard page.
    Guard = 7,
}

/// Pages of one state that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapRun {
    /// Address of the first byte, a multiple of 4 KiB.
    pub start: usize,
    /// Address behind the last byte.
    pub end: usize,
    /// Where the pages are.
    pub state: MapPageState,
    /// Resident: written since they came from a file, or private memory that was written. What the
    /// kernel does not tell counts as clean.
    pub is_dirty: bool,
    /// Bytes of one page of the kernel's table here: 4 KiB, 2 MiB, 1 GiB.
    pub page_bytes: usize,
}

/// Contiguous addresses with one purpose and one protection. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapRegion {
    /// Address of the first byte, a multiple of 4 KiB.
    pub start: usize,
    /// Address behind the last byte.
    pub end: usize,
    /// What it is for.
    pub kind: MapKind,
    /// May be read.
    pub is_readable: bool,
    /// May be written.
    pub is_writable: bool,
    /// May be executed.
    pub is_executable: bool,
    /// Shared with whoever else maps it: a write is seen there.
    pub is_shared: bool,
    /// Slabs: bytes of a block. Else 0.
    pub block_bytes: usize,
    /// Slabs: blocks in use, as their owners count them (blocks at hand count as used). Else 0.
    pub live_blocks: usize,
    /// In memory, staged pages not counted.
    pub resident_bytes: usize,
    /// Of these, dirty ([`MapRun::is_dirty`]).
    pub dirty_bytes: usize,
    /// In the kernel's swap.
    pub swapped_bytes: usize,
    /// Staged, compressed, same-filled or filed by glebe: as long as they are in memory.
    pub evicted_bytes: usize,
    /// Resident in pages of 2 MiB and above.
    pub huge_bytes: usize,
    /// Bytes of the kernel's page there; 4 KiB but for mappings of hugetlbfs.
    pub page_bytes: usize,
}

numbered_error! {
    /// Why there is no map. The numbers are those of `glebe_map_error`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[non_exhaustive]
    #[repr(u8)]
    pub enum MapError {
        /// NULL, a struct_size that is too small, an index beyond the end.
        BadArgument = 1 => c"bad argument",
        /// There is no such process, or it has ended.
        NoProcess = 2 => c"no such process",
        /// The process is another user's, or not to be looked into.
        NotPermitted = 3 => c"not permitted",
        /// /proc is not mounted, or says what cannot be understood.
        NoProc = 4 => c"/proc is not to be understood",
        /// No memory for the map.
        NoMemory = 5 => c"out of memory",
        /// No map of that handle.
        BadHandle = 6 => c"no such map",
        /// So many maps that there is no handle for one more.
        TooMany = 7 => c"too many maps",
    }
}
