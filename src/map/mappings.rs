//! The mappings of a process, as /proc/PID/maps lists them (proc_pid_maps(5)).

use super::PAGE_BYTES;
use super::model::MapError;
use crate::os::errno::Errno;
use crate::os::mapped_array::MappedArray;
use crate::os::page_sizes;
use crate::os::process_files;
use core::ops::Range;

/// A line of the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    pub(super) is_executable: bool,
    pub(super) is_shared: bool,
    /// The file's; both 0 where there is none.
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Bytes of the kernel's page there: 4 KiB, but for mappings of hugetlbfs.
    pub(super) page_bytes: usize,
    /// Where in the list its name stands.
    name_start: usize,
    name_bytes: usize,
}

/// The list, and its lines read.
pub(super) struct Mappings {
    text: MappedArray<u8>,
    lines: MappedArray<Mapping>,
}

/// What an error of a file under /proc/PID means for a map.
pub(super) fn error_of(error: Errno) -> MapError {
    match error.0 {
        libc::ENOENT | libc::ESRCH => MapError::NoProcess,
        libc::EACCES | libc::EPERM => MapError::NotPermitted,
        libc::ENOMEM => MapError::NoMemory,
        _ => MapError::NoProc,
    }
}

impl Mappings {
    /// None yet.
    pub(super) const fn new() -> Mappings {
        Mappings {
            text: MappedArray::new(),
            lines: MappedArray::new(),
        }
    }

    /// Reads the list of the process `process`.
    pub(super) fn read(&mut self, process: i32) -> Result<(), MapError> {
        self.text.clear();
        self.lines.clear();
        process_files::read(process, 0, "maps", &mut self.text).map_err(error_of)?;
        let text = self.text.as_slice();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let bytes = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            let line = rest.get(..bytes).unwrap_or(&[]);
            let mapping = parse(line, at).ok_or(MapError::NoProc)?;
            if !self.lines.push(mapping) {
                return Err(MapError::NoMemory);
            }
            at += bytes + 1;
        }
        // A process that has ended and was not waited for has no memory, and an empty list.
        if self.lines.as_slice().is_empty() {
            return Err(MapError::NoProcess);
        }
        Ok(())
    }

    /// Finds out the size of the pages of those mappings that may be of hugetlbfs: of a file that is
    /// no module's, with a huge page, as `has_huge_page` says. The kernel then walks over all pages
    /// before them.
    pub(super) fn find_page_bytes(
        &mut self,
        process: i32,
        mut has_huge_page: impl FnMut(&Mapping) -> bool,
    ) {
        for index in 0..self.lines().len() {
            let line = self.lines().get(index).copied();
            let Some(line) = line.filter(|it| it.inode != 0 && has_huge_page(it)) else {
                continue;
            };
            if self.is_module(&line) {
                continue;
            }
            let Ok(smaps) = process_files::open(process, "smaps") else {
                return;
            };
            let found = page_sizes::page_bytes_in(smaps, line.start);
            smaps.close();
            if let (Some(line), Some(found)) = (self.lines.as_mut_slice().get_mut(index), found) {
                line.page_bytes = found.max(PAGE_BYTES);
            }
        }
    }

    /// The mappings, by address.
    pub(super) fn lines(&self) -> &[Mapping] {
        self.lines.as_slice()
    }

    /// A mapping's name: a path, or what the kernel calls it; empty where it has none.
    pub(super) fn name(&self, mapping: &Mapping) -> &[u8] {
        self.text_at(mapping.name())
    }

    /// A part of the list.
    pub(super) fn text_at(&self, place: Range<usize>) -> &[u8] {
        self.text.as_slice().get(place).unwrap_or(&[])
    }

    /// Whether some mapping of the same file may be executed: then it is a program or a library.
    pub(super) fn is_module(&self, of: &Mapping) -> bool {
        let same = |it: &&Mapping| it.inode == of.inode && it.device == of.device;
        of.inode != 0 && self.lines().iter().filter(same).any(|it| it.is_executable)
    }
}

impl Mapping {
    /// Bytes of it.
    pub(super) fn bytes(&self) -> usize {
        self.end - self.start
    }

    /// Where in the list its name stands.
    pub(super) fn name(&self) -> Range<usize> {
        self.name_start..self.name_start + self.name_bytes
    }

    /// Whether it is memory of the process alone, of no file.
    pub(super) fn is_private_memory(&self) -> bool {
        self.inode == 0 && !self.is_shared
    }

    /// Whether nobody may touch it.
    pub(super) fn is_inaccessible(&self) -> bool {
        !self.is_readable && !self.is_writable && !self.is_executable
    }
}

fn number(digits: &[u8], base: u32) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, base).ok()
}

/// Reads `START-END PERMISSIONS OFFSET MAJOR:MINOR INODE   NAME`; the line begins at `at`.
fn parse(line: &[u8], at: usize) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut range = fields.next()?.splitn(2, |byte| *byte == b'-');
    let start = number(range.next()?, 16)?;
    let end = number(range.next()?, 16)?;
    let &[read, write, execute, shared] = fields.next()?.first_chunk()?;
    number(fields.next()?, 16)?;
    let mut device = fields.next()?.splitn(2, |byte| *byte == b':');
    let device = number(device.next()?, 16)? << 32 | number(device.next()?, 16)?;
    let inode = number(fields.next()?, 10)?;
    let name = fields.next().unwrap_or(&[]);
    let blanks = name.iter().take_while(|byte| **byte == b' ').count();
    let name_bytes = name.len() - blanks;
    (start < end).then_some(Mapping {
        start: start as usize,
        end: end as usize,
        is_readable: read == b'r',
        is_writable: write == b'w',
        is_executable: execute == b'x',
        is_shared: shared == b's',
        device,
        inode,
        page_bytes: PAGE_BYTES,
        name_start: at + line.len() - name_bytes,
        name_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_a_name() {
        let line = b"7f00-8f00 rw-p 00001000 fe:01 247282      /tmp/a b (deleted)";
        let mapping = parse(line, 10).expect("a line");
        assert_eq!((mapping.start, mapping.end), (0x7f00, 0x8f00));
        assert_eq!((mapping.device, mapping.inode), (0xfe_0000_0001, 247_282));
        assert!(mapping.is_readable && mapping.is_writable);
        assert!(!mapping.is_executable && !mapping.is_shared);
        let name = mapping.name();
        assert_eq!(&line[name.start - 10..name.end - 10], b"/tmp/a b (deleted)");
        let line = b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 ";
        let mapping = parse(line, 0).expect("a line");
        assert!(mapping.is_executable && mapping.name().is_empty());
        for garbage in [
            "",
            "7f00",
            "7f00-6f00 rw-p 0 0:0 0",
            "x-y rw-p 0 0:0 0",
            "1-2 rw 0 0:0 0",
        ] {
            assert!(parse(garbage.as_bytes(), 0).is_none(), "{garbage}");
        }
    }

    #[test]
    fn the_own_process_has_its_test_program_as_a_module() {
        let mut mappings = Mappings::new();
        mappings.read(crate::os::process::id()).expect("/proc");
        let code = parse as *const () as usize;
        let own = mappings
            .lines()
            .iter()
            .find(|it| (it.start..it.end).contains(&code));
        let own = own.expect("this code");
        assert!(own.is_executable && mappings.is_module(own));
        let heads = mappings.lines().windows(2);
        assert!(heads.into_iter().all(|pair| pair[0].end <= pair[1].start));
        assert_eq!(mappings.read(i32::MAX), Err(MapError::NoProcess));
    }
}
