//! Which pages are in memory: ioctl(PAGEMAP_SCAN) of /proc/self/pagemap (Linux 6.7), else its
//! entries (Linux Documentation/admin-guide/mm/pagemap.rst), else mincore(2).

use super::cpu::raw_system_call;
use super::errno::Errno;
use super::file::File;
use super::mapped_array::MappedArray;
use super::process::page_bytes;
use super::process_files;
use crate::base::address::ADDRESS_LIMIT;
use core::mem::MaybeUninit;

/// /proc/self/pagemap, or that of another process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pagemap(i32);

/// Of a file, or of shared memory.
pub(crate) const FILE: u64 = 1 << 2;
/// In memory.
pub(crate) const PRESENT: u64 = 1 << 3;
/// In the kernel's swap.
pub(crate) const SWAPPED: u64 = 1 << 4;
/// The page of zeroes that all processes share.
pub(crate) const ZERO_PAGE: u64 = 1 << 5;
/// Mapped by a huge page.
pub(crate) const HUGE: u64 = 1 << 6;
/// A guard page (Linux 6.15).
pub(crate) const GUARD: u64 = 1 << 8;

/// Pages with a present or swapped page table entry.
const RESIDENT: u64 = PRESENT | SWAPPED;
const PAGEMAP_SCAN: usize = 3 << 30 | size_of::<ScanRequest>() << 16 | (b'f' as usize) << 8 | 16;

/// Pages of the same categories that follow each other.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageRun {
    /// Address of the first.
    pub(crate) start: u64,
    /// Address behind the last.
    pub(crate) end: u64,
    /// [`PRESENT`] and so on.
    pub(crate) categories: u64,
}

#[repr(C)]
struct ScanRequest {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    runs: u64,
    runs_length: u64,
    most_pages: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    returned: u64,
}

/// Which pages a scan finds, by their categories.
#[derive(Clone, Copy)]
struct Filter {
    all_of: u64,
    none_of: u64,
    any_of: u64,
}

const _: () = assert!(size_of::<ScanRequest>() == 96 && size_of::<PageRun>() == 24);

impl Pagemap {
    /// Opens it: fails where /proc is not mounted.
    pub(crate) fn open() -> Result<Pagemap, Errno> {
        let path = c"/proc/self/pagemap".as_ptr() as usize;
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
        // SAFETY: the path ends in NUL.
        let opened = unsafe {
            raw_system_call(
                libc::SYS_openat,
                [libc::AT_FDCWD as usize, path, flags, 0, 0, 0],
            )
        };
        Errno::of(opened).map(|descriptor| Pagemap(descriptor as i32))
    }

    /// Closes it.
    pub(crate) fn close(self) {
        // SAFETY: a descriptor of ours.
        unsafe { raw_system_call(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }

    /// Calls `each(start, bytes)` for every run of pages in a mapped range that are in memory, or
    /// in the kernel's swap.
    pub(crate) fn for_each_resident_run(
        pagemap: Option<Pagemap>,
        start: usize,
        bytes: usize,
        each: &mut impl FnMut(usize, usize),
    ) {
        let scanned = pagemap.is_some_and(|pagemap| pagemap.scan(start, bytes, 0, each).is_ok());
        if !scanned {
            by_mincore(start, bytes, each);
        }
    }

    /// Bytes of a mapped range that are in memory or in the kernel's swap, without those pages that
    /// were read and never written, as far as the kernel tells these apart: they are all one.
    pub(crate) fn used_bytes(pagemap: Option<Pagemap>, start: usize, bytes: usize) -> usize {
        let mut used = 0;
        let mut each = |_, bytes| used += bytes;
        let scanned = pagemap.is_some_and(|it| it.scan(start, bytes, ZERO_PAGE, &mut each).is_ok());
        if !scanned {
            used = 0;
            by_mincore(start, bytes, &mut |_, bytes| used += bytes);
        }
        used
    }

    fn scan(
        self,
        start: usize,
        bytes: usize,
        none_of: u64,
        each: &mut impl FnMut(usize, usize),
    ) -> Result<(), Errno> {
        let resident = Filter {
            all_of: 0,
            none_of,
            any_of: RESIDENT,
        };
        self.scan_for(resident, start, start + bytes, &mut |run| {
            each(run.start as usize, (run.end - run.start) as usize);
        })
    }

    /// Calls `each(start, bytes)` for every run of huge pages of the process; those of zeroes alone
    /// are left out. ENOTTY before Linux 6.7.
    pub(crate) fn for_each_huge_run(
        self,
        each: &mut impl FnMut(usize, usize),
    ) -> Result<(), Errno> {
        let huge = Filter {
            all_of: PRESENT | HUGE,
            none_of: ZERO_PAGE,
            any_of: 0,
        };
        // The last page below the limit is nobody's, and the kernel refuses a range that holds it.
        self.scan_for(huge, 0, ADDRESS_LIMIT - page_bytes(), &mut |run| {
            each(run.start as usize, (run.end - run.start) as usize);
        })
    }

    /// The categories of the page at `page`; 0 where none is there. ENOTTY before Linux 6.7.
    pub(crate) fn categories_at(self, page: usize) -> Result<u64, Errno> {
        let mut seen = 0;
        let present = Filter {
            all_of: PRESENT,
            none_of: 0,
            any_of: 0,
        };
        self.scan_for(present, page, page + page_bytes(), &mut |run| {
            seen = run.categories;
        })?;
        Ok(seen)
    }

    /// The number of the frame that is mapped at `page`; `None` where none is, or where the process
    /// may not know.
    pub(crate) fn frame_at(self, page: usize) -> Option<u64> {
        const IN_MEMORY: u64 = 1 << 63;
        let mut word = [0; 8];
        let place = (page / page_bytes() * word.len()) as u64;
        let read = File::from_word(self.0 as usize).read_at(&mut word, place);
        let entry = u64::from_ne_bytes(word);
        let frame = entry & ((1 << 55) - 1);
        (read == Ok(word.len()) && entry & IN_MEMORY != 0 && frame != 0).then_some(frame)
    }

    fn scan_for(
        self,
        filter: Filter,
        start: usize,
        end: usize,
        each: &mut impl FnMut(&PageRun),
    ) -> Result<(), Errno> {
        let mut at = start;
        while at < end {
            let mut runs = [const { MaybeUninit::uninit() }; 64];
            let (found, walked) = self.ask(at, end, filter, RESIDENT | HUGE, &mut runs)?;
            found.iter().for_each(&mut *each);
            at = walked;
        }
        Ok(())
    }

    /// Scans from `start` to at most `end` for pages that the filter lets pass, and tells which of the
    /// categories `returned` they are in: runs, as far as there is room, and where it came to,
    /// behind `start`.
    fn ask(
        self,
        start: usize,
        end: usize,
        filter: Filter,
        returned: u64,
        runs: &mut [MaybeUninit<PageRun>],
    ) -> Result<(&mut [PageRun], usize), Errno> {
        let mut request = ScanRequest {
            size: size_of::<ScanRequest>() as u64,
            flags: 0,
            start: start as u64,
            end: end as u64,
            walk_end: 0,
            runs: runs.as_mut_ptr() as u64,
            runs_length: runs.len() as u64,
            most_pages: 0,
            inverted: filter.none_of,
            all_of: filter.all_of | filter.none_of,
            any_of: filter.any_of,
            returned,
        };
        let request_address = &raw mut request as usize;
        // SAFETY: the request and its runs are alive and of the kernel's layout.
        let found = Errno::of(unsafe {
            raw_system_call(
                libc::SYS_ioctl,
                [self.0 as usize, PAGEMAP_SCAN, request_address, 0, 0, 0],
            )
        })?;
        if found > runs.len() {
            return Err(Errno(libc::EINVAL));
        }
        let has_room = found < runs.len();
        // SAFETY: the kernel has written so many.
        let found = unsafe { core::slice::from_raw_parts_mut(runs.as_mut_ptr().cast(), found) };
        // The kernel gathers 512 runs at a time, and tells where it broke off for that also when it
        // went on to the end. So where there was room for more it came to the end, whatever it says.
        let last_end = found.last().map_or(0, |run: &PageRun| run.end as usize);
        let came_to = if has_room {
            end
        } else {
            last_end.max(request.walk_end as usize)
        };
        if came_to <= start {
            return Err(Errno(libc::EINVAL));
        }
        Ok((found, came_to))
    }

    /// The pagemap of the process `process`.
    pub(crate) fn of_process(process: i32) -> Result<Pagemap, Errno> {
        process_files::open(process, "pagemap").map(|file| Pagemap(file.to_word() as i32))
    }

    /// Adds the runs of all pages between two addresses that are present or swapped, or guard
    /// pages, with those of the categories `asked` that the kernel knows. ENOMEM without room.
    pub(crate) fn add_runs(
        self,
        start: usize,
        end: usize,
        asked: u64,
        into: &mut MappedArray<PageRun>,
    ) -> Result<(), Errno> {
        const RUNS: usize = 8192;
        let (mut at, mut guard) = (start, GUARD);
        while at < end {
            let runs = into.places(RUNS).ok_or(Errno(libc::ENOMEM))?;
            let any = Filter {
                all_of: 0,
                none_of: 0,
                any_of: RESIDENT | guard,
            };
            match self.ask(at, end, any, RESIDENT | guard | asked, runs) {
                Ok((found, walked)) => {
                    let found = found.len();
                    // SAFETY: the kernel has written so many.
                    unsafe { into.admit(found) };
                    at = walked;
                }
                Err(Errno(libc::EINVAL)) if guard != 0 => guard = 0,
                Err(Errno(libc::EINTR)) => {}
                Err(Errno(libc::ENOTTY | libc::EINVAL)) => {
                    return self.add_runs_by_entries(at, end, into);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same by the entries of the pages, which know nothing of huge pages, guards and zeroes.
    fn add_runs_by_entries(
        self,
        start: usize,
        end: usize,
        into: &mut MappedArray<PageRun>,
    ) -> Result<(), Errno> {
        const ENTRIES: usize = 512;
        const BITS: [(u32, u64); 3] = [(63, PRESENT), (62, SWAPPED), (61, FILE)];
        let page = page_bytes();
        let file = File::from_word(self.0 as usize);
        let mut open = PageRun {
            start: 0,
            end: 0,
            categories: 0,
        };
        let mut at = start;
        while at < end {
            let mut entries = [[0u8; 8]; ENTRIES];
            let count = ENTRIES.min((end - at) / page);
            let bytes = entries.get_mut(..count).unwrap_or_default();
            let offset = at / page * size_of::<u64>();
            let read = file.read_at(bytes.as_flattened_mut(), offset as u64)?;
            for entry in entries.iter().take(read / size_of::<u64>()) {
                let entry = u64::from_ne_bytes(*entry);
                let known = BITS.iter().filter(|(bit, _)| entry >> bit & 1 == 1);
                let categories = known.fold(0, |all, (_, category)| all | category);
                if categories != open.categories || at as u64 != open.end {
                    if open.categories & RESIDENT != 0 && !into.push(open) {
                        return Err(Errno(libc::ENOMEM));
                    }
                    open = PageRun {
                        start: at as u64,
                        end: at as u64,
                        categories,
                    };
                }
                at += page;
                open.end = at as u64;
            }
            if read < size_of::<u64>() {
                break;
            }
        }
        if open.categories & RESIDENT != 0 && !into.push(open) {
            return Err(Errno(libc::ENOMEM));
        }
        Ok(())
    }
}

fn by_mincore(start: usize, bytes: usize, each: &mut impl FnMut(usize, usize)) {
    let page = page_bytes();
    for at in (start..start + bytes).step_by(page) {
        let mut resident = 0u8;
        // SAFETY: mincore writes one byte for the one page.
        let answer = unsafe {
            raw_system_call(
                libc::SYS_mincore,
                [at, page, &raw mut resident as usize, 0, 0, 0],
            )
        };
        if answer == 0 && resident & 1 == 1 {
            each(at, page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::helper_thread::{self, Files, Stack};
    use crate::os::mapping;
    use core::sync::atomic::{AtomicUsize, Ordering};
    extern crate std;
    use std::io::Write;
    use std::vec::Vec;

    /// So many runs take three calls.
    const PAGES: usize = 300;

    /// Pages of which each second is touched, and the first two.
    fn every_second() -> usize {
        let start = mapping::map(PAGES * page_bytes()).expect("memory");
        mapping::advise_small(start, PAGES * page_bytes());
        for page in (0..PAGES).step_by(2).chain([1]) {
            // SAFETY: within the mapping.
            unsafe { ((start + page * page_bytes()) as *mut u8).write_volatile(1) };
        }
        start
    }

    /// Numbers of the pages found, in the order found.
    fn found(pagemap: Option<Pagemap>, start: usize, pages: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let bytes = pages * page_bytes();
        Pagemap::for_each_resident_run(pagemap, start, bytes, &mut |run, bytes| {
            let first = (run - start) / page_bytes();
            found.extend(first..first + bytes / page_bytes());
        });
        found
    }

    fn expected() -> Vec<usize> {
        (0..PAGES)
            .filter(|page| page % 2 == 0 || *page == 1)
            .collect()
    }

    #[test]
    fn more_runs_than_the_kernel_gathers_at_a_time_are_found_once_each() {
        const PAGES: usize = 5000;
        let start = mapping::map(PAGES * page_bytes()).expect("memory");
        let end = start + PAGES * page_bytes();
        mapping::advise_small(start, PAGES * page_bytes());
        for page in (0..PAGES).step_by(2) {
            // SAFETY: within the mapping.
            unsafe { ((start + page * page_bytes()) as *mut u8).write_volatile(1) };
        }
        let pagemap = Pagemap::open().expect("/proc");
        let mut runs = MappedArray::new();
        assert_eq!(pagemap.add_runs(start, end, 0, &mut runs), Ok(()));
        pagemap.close();
        let starts = runs.as_slice().iter().map(|run| run.start as usize);
        assert!(starts.eq((start..end).step_by(2 * page_bytes())));
        mapping::unmap(start, PAGES * page_bytes());
    }

    #[test]
    fn runs_of_a_process_are_the_same_by_the_scan_and_by_the_entries() {
        let start = every_second();
        let end = start + PAGES * page_bytes();
        let pagemap = Pagemap::of_process(crate::os::process::id()).expect("/proc");
        let (mut scanned, mut read) = (MappedArray::new(), MappedArray::new());
        assert_eq!(pagemap.add_runs(start, end, 0, &mut scanned), Ok(()));
        assert_eq!(pagemap.add_runs_by_entries(start, end, &mut read), Ok(()));
        pagemap.close();
        assert_eq!(scanned.as_slice(), read.as_slice());
        let pages = scanned.as_slice().iter().map(|run| run.end - run.start);
        assert_eq!(pages.sum::<u64>() as usize, expected().len() * page_bytes());
        mapping::unmap(start, PAGES * page_bytes());
    }

    #[test]
    fn resident_pages_are_found_whoever_is_asked() {
        let start = every_second();
        let opened = Pagemap::open().expect("/proc");
        assert_eq!(found(Some(opened), start, PAGES), expected());
        assert_eq!(found(None, start, PAGES), expected());
        // One that the kernel does not scan.
        let other = Pagemap(
            crate::os::file::File::open(c"/dev/null")
                .expect("/dev")
                .to_word() as i32,
        );
        assert_eq!(found(Some(other), start, PAGES), expected());
        assert_eq!(found(Some(opened), start, 0), Vec::<usize>::new());
        mapping::unmap(start, PAGES * page_bytes());
    }

    #[test]
    fn runs_are_as_long_as_they_can_be_within_the_range() {
        let start = every_second();
        let opened = Pagemap::open().expect("/proc");
        let mut runs = Vec::new();
        if opened
            .scan(start, 6 * page_bytes(), 0, &mut |start, bytes| {
                runs.push((start, bytes))
            })
            .is_err()
        {
            // Not captured, unlike what is printed.
            let _ = std::writeln!(std::io::stderr(), "SKIPPED: no PAGEMAP_SCAN");
            return;
        }
        let page = page_bytes();
        let expected = [(start, 3 * page), (start + 4 * page, page)];
        assert_eq!(runs, expected);
        mapping::unmap(start, PAGES * page_bytes());
    }

    #[test]
    fn a_thread_without_libc_sees_the_process() {
        static START: AtomicUsize = AtomicUsize::new(0);
        static FOUND: AtomicUsize = AtomicUsize::new(usize::MAX);
        static STATE: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

        extern "C" fn count(_: usize) -> ! {
            helper_thread::close_all_descriptors();
            let start = START.load(Ordering::Relaxed);
            let mut pages = 0;
            let opened = Pagemap::open();
            if opened.is_ok() {
                let bytes = PAGES * page_bytes();
                Pagemap::for_each_resident_run(opened.ok(), start, bytes, &mut |_, bytes| {
                    pages += bytes / page_bytes();
                });
            }
            FOUND.store(pages, Ordering::Relaxed);
            STATE.store(1, Ordering::Release);
            helper_thread::futex_wake_all(&STATE);
            helper_thread::exit_thread()
        }

        START.store(every_second(), Ordering::Relaxed);
        let stack = Stack::map(64 << 10).expect("memory");
        helper_thread::start(count, 0, stack, Files::Copied).expect("a thread");
        while STATE.load(Ordering::Acquire) == 0 {
            helper_thread::futex_wait(&STATE, 0, None);
        }
        assert_eq!(FOUND.load(Ordering::Relaxed), expected().len());
    }
}
