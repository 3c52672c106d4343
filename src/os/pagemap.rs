//! Which pages are in memory: ioctl(PAGEMAP_SCAN) of /proc/self/pagemap (Linux 6.7), else its
//! entries (Linux Documentation/admin-guide/mm/pagemap.rst), else mincore(2).

use super::cpu::raw_system_call;
use super::errno::Errno;
use super::process::page_bytes;

/// /proc/self/pagemap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pagemap(i32);

/// Pages with a present or swapped page table entry.
const RESIDENT: u64 = 1 << 3 | 1 << 4;
const PAGEMAP_SCAN: usize = 3 << 30 | size_of::<ScanRequest>() << 16 | (b'f' as usize) << 8 | 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct PageRun {
    start: u64,
    end: u64,
    categories: u64,
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

    /// Calls `each(start, bytes)` for every run of pages in a mapped range that are in memory, or
    /// in the kernel's swap.
    pub(crate) fn for_each_resident_run(
        pagemap: Option<Pagemap>,
        start: usize,
        bytes: usize,
        each: &mut impl FnMut(usize, usize),
    ) {
        let scanned = pagemap.is_some_and(|pagemap| pagemap.scan(start, bytes, each).is_ok());
        if !scanned {
            by_mincore(start, bytes, each);
        }
    }

    fn scan(
        self,
        start: usize,
        bytes: usize,
        each: &mut impl FnMut(usize, usize),
    ) -> Result<(), Errno> {
        let end = start + bytes;
        let mut at = start;
        while at < end {
            let mut runs = [PageRun {
                start: 0,
                end: 0,
                categories: 0,
            }; 64];
            let mut request = ScanRequest {
                size: size_of::<ScanRequest>() as u64,
                flags: 0,
                start: at as u64,
                end: end as u64,
                walk_end: 0,
                runs: runs.as_mut_ptr() as u64,
                runs_length: runs.len() as u64,
                most_pages: 0,
                inverted: 0,
                all_of: 0,
                any_of: RESIDENT,
                returned: RESIDENT,
            };
            let request_address = &raw mut request as usize;
            // SAFETY: the request and its runs are alive and of the kernel's layout.
            let found = Errno::of(unsafe {
                raw_system_call(
                    libc::SYS_ioctl,
                    [self.0 as usize, PAGEMAP_SCAN, request_address, 0, 0, 0],
                )
            })?;
            for run in runs.iter().take(found) {
                each(run.start as usize, (run.end - run.start) as usize);
            }
            if request.walk_end as usize <= at {
                return Err(Errno(libc::EINVAL));
            }
            at = request.walk_end as usize;
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
