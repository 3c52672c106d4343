//! Which sizes of pages the kernel offers (Linux Documentation/admin-guide/mm/transhuge.rst and
//! hugetlbpage.rst), and which one maps an address.

use super::cpu::raw_system_call;
use super::errno::Errno;
use super::file::File;
use super::pagemap::{HUGE, PRESENT, Pagemap};
use super::process::page_bytes;
use core::ffi::CStr;

/// Bytes of a page that has an entry in the second level of the kernel's page table, on x86-64.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Whether the kernel gives transparent pages of a size to who asks for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// It does.
    Permitted,
    /// It could, and is told not to.
    Forbidden,
    /// It does not know that size.
    Lacking,
}

/// A switch in /sys, whose chosen word stands in brackets.
fn chosen<'a>(path: &CStr, text: &'a mut [u8; 128]) -> Option<&'a [u8]> {
    let length = read_all(path, text)?;
    let text = text.get(..length)?;
    let from = text.iter().position(|&byte| byte == b'[')? + 1;
    let word = text.get(from..)?;
    let end = word.iter().position(|&byte| byte == b']')?;
    word.get(..end)
}

fn read_all(path: &CStr, text: &mut [u8]) -> Option<usize> {
    let file = File::open(path).ok()?;
    let read = file.read_at(text, 0);
    file.close();
    read.ok()
}

fn of_all_sizes() -> Offer {
    let mut text = [0; 128];
    match chosen(c"/sys/kernel/mm/transparent_hugepage/enabled", &mut text) {
        Some(b"always" | b"madvise") => Offer::Permitted,
        Some(_) => Offer::Forbidden,
        None => Offer::Lacking,
    }
}

fn of_size(path: &CStr, without: Offer) -> Offer {
    let mut text = [0; 128];
    match chosen(path, &mut text) {
        Some(b"always" | b"madvise") => Offer::Permitted,
        Some(b"inherit") => of_all_sizes(),
        Some(_) => Offer::Forbidden,
        None => without,
    }
}

/// Of transparent pages of 64 KiB (Linux 6.8).
pub(crate) fn offer_of_64_kib() -> Offer {
    let path = c"/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled";
    of_size(path, Offer::Lacking)
}

/// Of transparent pages of 2 MiB.
pub(crate) fn offer_of_2_mib() -> Offer {
    let path = c"/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled";
    of_size(path, of_all_sizes())
}

/// Pages of 1 GiB that are in the kernel's pool and free; `None` where it has no such pool.
pub(crate) fn free_pages_of_1_gib() -> Option<usize> {
    let mut text = [0; 32];
    let path = c"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";
    let length = read_all(path, &mut text)?;
    text.get(..length).map(number)
}

/// The number that a text begins with, or 0.
fn number(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum: usize, &byte| {
        sum.saturating_mul(10)
            .saturating_add(usize::from(byte - b'0'))
    })
}

/// Bytes of the kernel's page that maps `address`; 0 where the address is mapped and no page is
/// there. A transparent page of less than 2 MiB is told where /proc/kpageflags may be read and all
/// of it is mapped in its order; else it counts as the small pages that it has entries for. ENOMEM
/// where nothing is mapped; ENOSYS, or what refuses /proc, where it cannot be known.
pub(crate) fn page_bytes_at(address: usize) -> Result<usize, Errno> {
    let page = address & !(page_bytes() - 1);
    let mut resident = 0u8;
    let place = &raw mut resident as usize;
    // SAFETY: mincore writes one byte for the one page.
    Errno::of(unsafe { raw_system_call(libc::SYS_mincore, [page, page_bytes(), place, 0, 0, 0]) })
        .map_err(|_| Errno(libc::ENOMEM))?;
    let pagemap = Pagemap::open()?;
    let found = page_bytes_by(pagemap, page);
    pagemap.close();
    found
}

fn page_bytes_by(pagemap: Pagemap, page: usize) -> Result<usize, Errno> {
    match pagemap.categories_at(page) {
        Ok(seen) if seen & PRESENT == 0 => Ok(0),
        Ok(seen) if seen & HUGE != 0 => Ok(match page_bytes_of_mapping(page) {
            // Not of a pool: its entry alone is huge.
            Some(bytes) if bytes > page_bytes() => bytes,
            _ => HUGE_PAGE_BYTES,
        }),
        Ok(_) => Ok(folio_bytes(pagemap, page).unwrap_or(page_bytes())),
        // Before 6.7 a transparent huge page is not told from small ones.
        Err(_) => match page_bytes_of_mapping(page) {
            Some(bytes) if bytes > page_bytes() => Ok(bytes),
            _ => Err(Errno(libc::ENOSYS)),
        },
    }
}

fn page_bytes_of_mapping(address: usize) -> Option<usize> {
    let smaps = File::open(c"/proc/self/smaps").ok()?;
    let found = page_bytes_in(smaps, address);
    smaps.close();
    found
}

/// `KernelPageSize` of the mapping that holds `address`, from a process's file smaps
/// (proc_pid_smaps(5)).
pub(crate) fn page_bytes_in(smaps: File, address: usize) -> Option<usize> {
    let mut search = Search {
        address,
        is_inside: false,
        line: [0; 64],
        length: 0,
    };
    let mut text = [0; 2048];
    let mut offset = 0;
    loop {
        let Ok(read @ 1..) = smaps.read_at(&mut text, offset) else {
            return None;
        };
        let found = text.iter().take(read).find_map(|&byte| search.take(byte));
        if found.is_some() {
            return found;
        }
        offset += read as u64;
    }
}

/// A walk over /proc/self/smaps, byte by byte.
struct Search {
    address: usize,
    /// Whether the lines are of the mapping that holds the address.
    is_inside: bool,
    /// The line so far; what is longer does not matter.
    line: [u8; 64],
    length: usize,
}

impl Search {
    /// Takes the next byte; the answer, once it is there.
    fn take(&mut self, byte: u8) -> Option<usize> {
        if byte != b'\n' {
            if let Some(place) = self.line.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
            return None;
        }
        let line = self.line.get(..self.length).unwrap_or(&[]);
        self.length = 0;
        if let Some((start, end)) = range(line) {
            self.is_inside = (start..end).contains(&self.address);
            return None;
        }
        let rest = line.strip_prefix(b"KernelPageSize:")?;
        self.is_inside
            .then(|| number(rest.trim_ascii_start()) << 10)
    }
}

/// The range `START-END ` that the first line of a mapping begins with.
fn range(line: &[u8]) -> Option<(usize, usize)> {
    let dash = line.iter().position(|&byte| byte == b'-')?;
    let (start, rest) = line.split_at_checked(dash)?;
    let rest = rest.get(1..)?;
    let end = rest.get(..rest.iter().position(|&byte| byte == b' ')?)?;
    Some((hexadecimal(start)?, hexadecimal(end)?))
}

fn hexadecimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |sum: usize, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(sum << 4 | digit as usize)
    })
}

/// Bytes of the transparent page of several small ones that `page` is a part of, if all of it is
/// mapped, in its order and aligned.
fn folio_bytes(pagemap: Pagemap, page: usize) -> Option<usize> {
    const HEAD: u64 = 1 << 15;
    const TAIL: u64 = 1 << 16;
    const MOST: u64 = (HUGE_PAGE_BYTES >> 12) as u64;
    let flags_file = File::open(c"/proc/kpageflags").ok()?;
    let flags = |frame: u64| {
        let mut word = [0; 8];
        let read = flags_file.read_at(&mut word, frame * 8);
        (read == Ok(8)).then(|| u64::from_ne_bytes(word))
    };
    let found = (|| {
        let frame = pagemap.frame_at(page)?;
        let is_tail = |frame: &u64| flags(*frame).is_some_and(|flags| flags & TAIL != 0);
        let before = (0..MOST)
            .take_while(|back| is_tail(&(frame - back)))
            .count() as u64;
        let first = frame.checked_sub(before)?;
        if flags(first)? & HEAD == 0 {
            return None;
        }
        let pages = 1 + (1..MOST).take_while(|on| is_tail(&(first + on))).count();
        let bytes = pages * page_bytes();
        let start = page.checked_sub(before as usize * page_bytes())?;
        let is_whole = start.is_multiple_of(bytes)
            && (0..pages).all(|index| {
                pagemap.frame_at(start + index * page_bytes()) == Some(first + index as u64)
            });
        // What is as large as a huge page and has entries for small ones was split.
        (is_whole && bytes < HUGE_PAGE_BYTES).then_some(bytes)
    })();
    flags_file.close();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mapping;

    #[test]
    fn a_mapping_is_found_among_others() {
        let text =
            b"1000-3000 r--p 00000000 00:00 0 /a-b c\nSize: 8 kB\nKernelPageSize:        4 kB\n\
            3000-5000 rw-p 00000000 00:00 0\nKernelPageSize:     2048 kB\nRss: 0 kB\n";
        let find = |address| {
            let mut search = Search {
                address,
                is_inside: false,
                line: [0; 64],
                length: 0,
            };
            text.iter().find_map(|&byte| search.take(byte))
        };
        assert_eq!(find(0x1000), Some(4096));
        assert_eq!(find(0x2fff), Some(4096));
        assert_eq!(find(0x3000), Some(2 << 20));
        assert_eq!(find(0x5000), None);
    }

    #[test]
    fn a_page_is_told_once_it_is_there_and_not_before() {
        let bytes = 4 * page_bytes();
        let start = mapping::map(bytes).expect("memory");
        mapping::advise_small(start, bytes);
        assert_eq!(page_bytes_at(start), Ok(0));
        // SAFETY: within the mapping.
        unsafe { (start as *mut u8).write_volatile(1) };
        assert_eq!(page_bytes_at(start + 77), Ok(page_bytes()));
        assert_eq!(page_bytes_at(start + page_bytes()), Ok(0));
        assert_eq!(page_bytes_of_mapping(start), Some(page_bytes()));
        mapping::unmap(start, bytes);
        assert_eq!(page_bytes_at(start), Err(Errno(libc::ENOMEM)));
        assert_eq!(page_bytes_at(0), Err(Errno(libc::ENOMEM)));
    }

    #[test]
    fn a_huge_page_is_told() {
        extern crate std;
        use std::io::Write;
        if offer_of_2_mib() != Offer::Permitted {
            let _ = std::writeln!(std::io::stderr(), "SKIPPED: no huge pages");
            return;
        }
        let start = mapping::map_aligned(HUGE_PAGE_BYTES, HUGE_PAGE_BYTES).expect("memory");
        mapping::advise_huge(start, HUGE_PAGE_BYTES);
        // SAFETY: within the mapping.
        unsafe { (start as *mut u8).write_volatile(1) };
        let mut huge = 0;
        let found = page_bytes_at(start + 12_345).expect("there");
        let pagemap = Pagemap::open().expect("/proc");
        let scanned = pagemap.for_each_huge_run(&mut |run, bytes| {
            if (run..run + bytes).contains(&start) {
                huge = HUGE_PAGE_BYTES;
            }
        });
        pagemap.close();
        if found == page_bytes() {
            let _ = std::writeln!(std::io::stderr(), "SKIPPED: no huge page is free");
        } else {
            assert_eq!(found, HUGE_PAGE_BYTES);
            assert!(scanned.is_ok() && huge == HUGE_PAGE_BYTES);
        }
        mapping::unmap(start, HUGE_PAGE_BYTES);
    }
}
