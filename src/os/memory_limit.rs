//! How much memory this process may have: what the machine has, or less where a control group
//! sets a limit, its own or one above it (Linux Documentation/admin-guide: cgroup-v2,
//! cgroup-v1/memory).

use super::cpu::raw_system_call;
use super::file::File;
use core::ffi::CStr;

/// Bytes of memory that this process may have; `usize::MAX` where the kernel does not say. Files
/// are read and system calls made, errno stays as it is.
pub(crate) fn memory_limit_bytes() -> usize {
    let of_group = |hierarchy| least_limit(hierarchy, &Kernel);
    let limits = [
        of_machine(),
        of_group(Hierarchy::Unified),
        of_group(Hierarchy::Memory),
    ];
    limits.into_iter().flatten().min().unwrap_or(usize::MAX)
}

/// Bytes of memory in the machine.
fn of_machine() -> Option<usize> {
    let mut information = core::mem::MaybeUninit::<libc::sysinfo>::zeroed();
    let place = information.as_mut_ptr() as usize;
    // SAFETY: the place is valid for writes of what the kernel writes; zero is a valid value.
    let (answer, information) = unsafe {
        let answer = raw_system_call(libc::SYS_sysinfo, [place, 0, 0, 0, 0, 0]);
        (answer, information.assume_init())
    };
    let units = information.totalram as usize;
    (answer == 0).then(|| units.saturating_mul(information.mem_unit as usize))
}

/// Kinds of hierarchies of control groups that may limit memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hierarchy {
    /// Version 2.
    Unified,
    /// Version 1, that of the memory controller.
    Memory,
}

impl Hierarchy {
    /// The file in a group's directory that holds its limit.
    fn limit_file(self) -> &'static [u8] {
        match self {
            Hierarchy::Unified => b"/memory.max",
            Hierarchy::Memory => b"/memory.limit_in_bytes",
        }
    }

    /// The path of our group, if this is the line about it in /proc/self/cgroup:
    /// `NUMBER:CONTROLLER,...:PATH`.
    fn group_in(self, line: &[u8]) -> Option<&[u8]> {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match self {
            Hierarchy::Unified => number == b"0" && controllers.is_empty(),
            Hierarchy::Memory => lists(controllers, b"memory"),
        };
        ours.then_some(path)
    }

    /// Where the hierarchy is mounted, if this is a line about that in /proc/self/mountinfo:
    /// `ID PARENT DEVICE ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS`.
    fn mount_in(self, line: &[u8]) -> Option<Mount<'_>> {
        let mut fields = line.split(|byte| *byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        fields.find(|field| *field == b"-")?;
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let ours = match self {
            Hierarchy::Unified => kind == b"cgroup2",
            Hierarchy::Memory => kind == b"cgroup" && lists(options, b"memory"),
        };
        ours.then_some(Mount { root, point })
    }
}

/// Which group is seen as the top of a hierarchy, and in which directory.
#[derive(PartialEq, Eq, Debug)]
struct Mount<'a> {
    root: &'a [u8],
    /// With octal escapes.
    point: &'a [u8],
}

/// Whether `word` is among those that commas part in `list`.
fn lists(list: &[u8], word: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|it| it == word)
}

/// The path of `group` below the group `root`; `None` where it is not there.
fn below<'a>(group: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let group = group.strip_suffix(b"/").unwrap_or(group);
    let rest = group.strip_prefix(root)?;
    // A group outside our namespace of them is written with `..`: we see nothing of it.
    let climbs = rest.split(|byte| *byte == b'/').any(|name| name == b"..");
    ((rest.is_empty() || rest.starts_with(b"/")) && !climbs).then_some(rest)
}

/// The number that a file of limits begins with; `None` for `max`, which is none.
fn limit(line: &[u8]) -> Option<usize> {
    core::str::from_utf8(line).ok()?.trim_ascii().parse().ok()
}

/// The least limit of our group in `hierarchy` and of those above it, as far as they are mounted
/// where we see them.
fn least_limit(hierarchy: Hierarchy, files: &impl TextFiles) -> Option<usize> {
    let mut group = Path::new();
    files.for_each_line(c"/proc/self/cgroup", &mut |line| {
        if let Some(path) = hierarchy.group_in(line) {
            group.clear();
            group.push(path);
        }
    });
    let mut least = None;
    files.for_each_line(c"/proc/self/mountinfo", &mut |line| {
        if let Some(mount) = hierarchy.mount_in(line)
            && let Some(below) = below(group.bytes(), mount.root)
        {
            let found = least_limit_upwards(hierarchy, &mount, below, files);
            least = [least, found].into_iter().flatten().min();
        }
    });
    least
}

/// The same from the group `below` up to the top of `mount`.
fn least_limit_upwards(
    hierarchy: Hierarchy,
    mount: &Mount<'_>,
    below: &[u8],
    files: &impl TextFiles,
) -> Option<usize> {
    let mut path = Path::new();
    path.push_escaped(mount.point);
    let top = path.length;
    path.push(below);
    let mut least = None;
    loop {
        let group = path.length;
        path.push(hierarchy.limit_file());
        files.for_each_line(path.with_nul()?, &mut |line| {
            least = [least, limit(line)].into_iter().flatten().min();
        });
        path.length = group;
        if group <= top {
            return least;
        }
        let slash = path.bytes().iter().rposition(|byte| *byte == b'/');
        path.length = slash.unwrap_or(top).max(top);
    }
}

/// Longest path, and longest line, that is looked at.
const MOST_BYTES: usize = 2048;

/// A path that is put together.
struct Path {
    text: [u8; MOST_BYTES],
    /// Beyond the text's where the path did not fit.
    length: usize,
}

impl Path {
    fn new() -> Path {
        Path {
            text: [0; MOST_BYTES],
            length: 0,
        }
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    fn push(&mut self, more: &[u8]) {
        more.iter().for_each(|byte| self.push_byte(*byte));
    }

    fn push_byte(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    /// Adds what the kernel wrote with `\` and three octal digits for white space and for `\`.
    fn push_escaped(&mut self, mut more: &[u8]) {
        while let Some((first, rest)) = more.split_first() {
            more = rest;
            if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..]) =
                (*first, rest)
            {
                self.push_byte((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                more = rest;
            } else {
                self.push_byte(*first);
            }
        }
    }

    /// Empty where it did not fit.
    fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or(b"")
    }

    fn with_nul(&mut self) -> Option<&CStr> {
        *self.text.get_mut(self.length)? = 0;
        CStr::from_bytes_until_nul(&self.text).ok()
    }
}

/// Text files; a fake in tests.
trait TextFiles {
    /// Calls `each` for the lines of a file, which are none where it cannot be read. Lines longer
    /// than [`MOST_BYTES`] are left out.
    fn for_each_line(&self, path: &CStr, each: &mut dyn FnMut(&[u8]));
}

/// The kernel's.
struct Kernel;

impl TextFiles for Kernel {
    fn for_each_line(&self, path: &CStr, each: &mut dyn FnMut(&[u8])) {
        if let Ok(file) = File::open(path) {
            for_each_line(|into, offset| file.read_at(into, offset).unwrap_or(0), each);
            file.close();
        }
    }
}

/// Calls `each` for the lines of what `read_at` fills a buffer with from an offset on; it answers
/// how many bytes, fewer than there is room for only at the end.
fn for_each_line(mut read_at: impl FnMut(&mut [u8], u64) -> usize, each: &mut dyn FnMut(&[u8])) {
    let mut text = [0u8; MOST_BYTES];
    let mut start = 0;
    let mut inside_long = false;
    loop {
        let read = read_at(&mut text, start);
        let Some(text) = text.get(..read).filter(|text| !text.is_empty()) else {
            return;
        };
        let mut taken = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.strip_suffix(b"\n");
            let last_of_all = read < MOST_BYTES;
            let Some(line) = whole.or(last_of_all.then_some(line)) else {
                break;
            };
            taken += line.len() + usize::from(whole.is_some());
            if !inside_long {
                each(line);
            }
            inside_long = false;
        }
        if taken == 0 {
            inside_long = true;
            taken = read;
        }
        start += taken as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;
    use std::{fs, string::String};

    /// Paths and contents.
    struct Fake(&'static [(&'static str, &'static str)]);

    impl TextFiles for Fake {
        fn for_each_line(&self, path: &CStr, each: &mut dyn FnMut(&[u8])) {
            let path = path.to_str().expect("UTF-8");
            if let Some((_, text)) = self.0.iter().find(|(name, _)| *name == path) {
                text.lines().for_each(|line| each(line.as_bytes()));
            }
        }
    }

    const CGROUP: &str = "/proc/self/cgroup";
    const MOUNTS: &str = "/proc/self/mountinfo";

    #[test]
    fn the_least_limit_on_the_way_to_the_top_counts() {
        let files = Fake(&[
            (CGROUP, "0::/user.slice/session/app\n"),
            (
                MOUNTS,
                "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                 30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:4 - cgroup2 cgroup2 rw,nsdelegate\n",
            ),
            ("/sys/fs/cgroup/user.slice/session/app/memory.max", "max\n"),
            (
                "/sys/fs/cgroup/user.slice/session/memory.max",
                "1073741824\n",
            ),
            ("/sys/fs/cgroup/user.slice/memory.max", "2147483648\n"),
            ("/sys/fs/cgroup/other/memory.max", "4096\n"),
        ]);
        assert_eq!(least_limit(Hierarchy::Unified, &files), Some(1 << 30));
        assert_eq!(least_limit(Hierarchy::Memory, &files), None);
    }

    #[test]
    fn a_container_s_limit_stands_at_the_top_of_its_mount() {
        let unified = Fake(&[
            (CGROUP, "0::/\n"),
            (
                MOUNTS,
                "30 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            ),
            ("/sys/fs/cgroup/memory.max", "536870912\n"),
        ]);
        assert_eq!(least_limit(Hierarchy::Unified, &unified), Some(512 << 20));

        let memory = Fake(&[
            (
                CGROUP,
                "9:pids:/docker/ab\n4:cpu,memory:/docker/ab/job\n0::/docker/ab\n",
            ),
            (
                MOUNTS,
                "40 30 0:31 /docker/ab /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n\
                 41 30 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,cpu,memory\n",
            ),
            (
                "/sys/fs/cgroup/memory/job/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ]);
        assert_eq!(least_limit(Hierarchy::Memory, &memory), Some(256 << 20));
        assert_eq!(least_limit(Hierarchy::Unified, &memory), None);
    }

    #[test]
    fn groups_that_are_not_seen_set_no_limit() {
        for group in ["0::/../elsewhere\n", "0::/groups\n", "", "nonsense\n0:\n"] {
            let files: &'static [_] = std::boxed::Box::leak(std::boxed::Box::new([
                (CGROUP, group),
                (
                    MOUNTS,
                    "30 22 0:26 /group /cgroup rw - cgroup2 cgroup rw\nshort line\n",
                ),
                ("/cgroup/memory.max", "4096\n"),
                ("/cgroup/../elsewhere/memory.max", "4096\n"),
                ("/cgroups/memory.max", "4096\n"),
            ]));
            let least = least_limit(Hierarchy::Unified, &Fake(files));
            assert_eq!(least, None, "{group}");
        }
        assert_eq!(below(b"/../elsewhere", b"/"), None);
        assert_eq!(
            below(b"/../elsewhere/a", b"/../elsewhere"),
            Some(&b"/a"[..])
        );
    }

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let mut path = Path::new();
        path.push_escaped(br"/a\040b\134c\0x\777");
        assert_eq!(path.bytes(), br"/a b\c\0x\777");
    }

    #[test]
    fn paths_that_do_not_fit_are_none() {
        let mut path = Path::new();
        path.push(&[b'/'; MOST_BYTES - 1]);
        assert!(path.with_nul().is_some());
        path.push(b"/");
        assert!(path.with_nul().is_none());
        path.push(b"/");
        assert_eq!(path.bytes(), b"");
    }

    #[test]
    fn lines_are_found_wherever_a_buffer_ends_and_long_ones_left_out() {
        let long = "x".repeat(MOST_BYTES);
        let very_long = "y".repeat(3 * MOST_BYTES + 5);
        let fits = "z".repeat(MOST_BYTES - 1);
        for last in ["", "end"] {
            let lines = [
                "first", "", &long, "second", &fits, &very_long, &fits, "third", last,
            ];
            let text = lines.join("\n");
            let read_at = |into: &mut [u8], offset: u64| {
                let rest = text.as_bytes().get(offset as usize..).unwrap_or(b"");
                let bytes = rest.len().min(into.len());
                into[..bytes].copy_from_slice(&rest[..bytes]);
                bytes
            };
            let mut found = Vec::new();
            for_each_line(read_at, &mut |line| {
                found.push(String::from_utf8(line.to_vec()).expect("UTF-8"));
            });
            let mut expected = Vec::from(["first", "", "second", &fits, &fits, "third"]);
            expected.extend(Some(last).filter(|last| !last.is_empty()));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_limit_is_at_most_the_machine_s_memory() {
        let text = fs::read_to_string("/proc/meminfo").expect("/proc");
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.trim().parse::<usize>().ok());
        let machine = of_machine().expect("sysinfo");
        assert_eq!(Some(machine / 1024), kilobytes);
        assert!((1..=machine).contains(&memory_limit_bytes()));
    }
}
