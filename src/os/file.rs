//! Files by raw system calls, so that threads without libc can use them; errno stays as it is.

use super::cpu::raw_system_call;
use super::errno::Errno;
use core::ffi::CStr;

/// An open file; a number, which nobody closes by accident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct File(i32);

/// Longest path that [`File::create_nameless`] makes in a directory, with its NUL.
const PATH_BYTES: usize = 4096;

/// How often it looks for a name that is free.
const NAMES_TRIED: u64 = 64;

fn call(number: i64, [a, b, c, d]: [usize; 4]) -> Result<usize, Errno> {
    // SAFETY: callers in this file pass what the call expects.
    Errno::of(unsafe { raw_system_call(number, [a, b, c, d, 0, 0]) })
}

fn open(path: &CStr, flags: i32) -> Result<File, Errno> {
    const OWNER_ALONE: usize = 0o600;
    let flags = (flags | libc::O_CLOEXEC) as usize;
    let directory = libc::AT_FDCWD as usize;
    let path = path.as_ptr() as usize;
    let opened = call(libc::SYS_openat, [directory, path, flags, OWNER_ALONE])?;
    Ok(File(opened as i32))
}

/// A new file, whose name is gone at once.
fn create_and_unlink(path: &CStr) -> Result<File, Errno> {
    // O_EXCL: what exists is somebody's, and stays as it is.
    let file = open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
    let (directory, path) = (libc::AT_FDCWD as usize, path.as_ptr() as usize);
    if let Err(error) = call(libc::SYS_unlinkat, [directory, path, 0, 0]) {
        file.close();
        return Err(error);
    }
    Ok(file)
}

/// The same under some name in `directory`.
fn create_in(directory: &CStr) -> Result<File, Errno> {
    let first = some_number();
    for number in 0..NAMES_TRIED {
        let mut place = [0u8; PATH_BYTES];
        let path = name_in(directory, first.wrapping_add(number), &mut place)
            .ok_or(Errno(libc::ENAMETOOLONG))?;
        match create_and_unlink(path) {
            Err(error) if error.0 == libc::EEXIST => {}
            outcome => return outcome,
        }
    }
    Err(Errno(libc::EEXIST))
}

/// `directory/.glebe-NUMBER` in hexadecimal, written to `place`.
fn name_in<'a>(directory: &CStr, number: u64, place: &'a mut [u8; PATH_BYTES]) -> Option<&'a CStr> {
    let digits = (0..16).map(|digit| {
        let value = (number >> (60 - 4 * digit) & 15) as u8;
        value + if value < 10 { b'0' } else { b'a' - 10 }
    });
    let name = directory.to_bytes().iter().copied();
    let mut name = name.chain(*b"/.glebe-").chain(digits).chain([0]);
    for byte in place.iter_mut() {
        match name.next() {
            Some(next) => *byte = next,
            None => break,
        }
    }
    CStr::from_bytes_until_nul(place).ok()
}

/// A number that other processes hardly have too.
fn some_number() -> u64 {
    let mut number = 0u64;
    let place = &raw mut number as usize;
    let flags = libc::GRND_NONBLOCK as usize;
    if call(libc::SYS_getrandom, [place, size_of::<u64>(), flags, 0]) != Ok(size_of::<u64>()) {
        number = call(libc::SYS_getpid, [0; 4]).unwrap_or(0) as u64;
    }
    number
}

impl File {
    /// Opens what exists, for reading.
    pub(crate) fn open(path: &CStr) -> Result<File, Errno> {
        open(path, libc::O_RDONLY)
    }

    /// Creates a file for reading and writing where none is (EEXIST).
    pub(crate) fn create_new(path: &CStr) -> Result<File, Errno> {
        open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)
    }

    /// Gives the file `from` the name `to`, in the place of what has it, at one instant.
    pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<(), Errno> {
        let here = libc::AT_FDCWD as usize;
        let (from, to) = (from.as_ptr() as usize, to.as_ptr() as usize);
        call(libc::SYS_renameat, [here, from, here, to]).map(drop)
    }

    /// Takes a file's name away.
    pub(crate) fn unlink(path: &CStr) {
        // What is not there is no harm.
        let here = libc::AT_FDCWD as usize;
        let _ = call(libc::SYS_unlinkat, [here, path.as_ptr() as usize, 0, 0]);
    }

    /// Creates a file for reading and writing that has no name, so that its space is free again
    /// when the last descriptor is closed, however the process ends. It lies in the directory
    /// `path`; where that is none, the file is created as `path`, and EEXIST tells that something
    /// is there already. Only where the file system cannot do otherwise it has a name for a moment.
    pub(crate) fn create_nameless(path: &CStr) -> Result<File, Errno> {
        // O_EXCL: nor can it be given a name later.
        match open(path, libc::O_RDWR | libc::O_TMPFILE | libc::O_EXCL) {
            Err(error) if [libc::ENOTDIR, libc::ENOENT].contains(&error.0) => {
                create_and_unlink(path)
            }
            // EISDIR: of a kernel or file system that does not know O_TMPFILE.
            Err(error) if [libc::EOPNOTSUPP, libc::EISDIR, libc::EINVAL].contains(&error.0) => {
                create_in(path)
            }
            outcome => outcome,
        }
    }

    /// Closes it.
    pub(crate) fn close(self) {
        // Closed even where an error of earlier writes is told.
        let _ = call(libc::SYS_close, [self.descriptor(), 0, 0, 0]);
    }

    /// As a word, for a static.
    pub(crate) fn to_word(self) -> usize {
        self.descriptor()
    }

    /// The file of such a word.
    pub(crate) fn from_word(word: usize) -> File {
        File(word as i32)
    }

    fn descriptor(self) -> usize {
        self.0 as usize
    }

    /// Reads from byte `offset` on; how many bytes, fewer than asked for only at the end of the
    /// file. After an error `into` holds anything.
    pub(crate) fn read_at(self, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let (start, bytes) = (rest.as_mut_ptr() as usize, rest.len());
            let at = offset as usize + done;
            match call(libc::SYS_pread64, [self.descriptor(), start, bytes, at]) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(Errno(libc::EINTR)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Of an open directory: calls `each` with the name of every entry, as getdents64(2) lists them.
    pub(crate) fn for_each_name(self, mut each: impl FnMut(&[u8])) -> Result<(), Errno> {
        /// Of an entry: its bytes (a u16), and its name, which ends in NUL.
        const LENGTH_AT: usize = 16;
        const NAME_AT: usize = 19;
        #[repr(align(8))]
        struct Entries([u8; 4096]);
        let mut entries = Entries([0; 4096]);
        loop {
            let place = entries.0.as_mut_ptr() as usize;
            let room = entries.0.len();
            let filled = call(libc::SYS_getdents64, [self.descriptor(), place, room, 0])?;
            if filled == 0 {
                return Ok(());
            }
            let mut rest = entries.0.get(..filled).unwrap_or(&[]);
            while let Some(&[low, high]) = rest.get(LENGTH_AT..LENGTH_AT + 2) {
                let length = usize::from(u16::from_ne_bytes([low, high]));
                let name = rest.get(NAME_AT..length).unwrap_or(&[]);
                each(name.split(|byte| *byte == 0).next().unwrap_or(&[]));
                rest = rest.get(length.max(1)..).unwrap_or(&[]);
            }
        }
    }

    /// Writes all of `bytes` from byte `offset` on, where the file may end before. After an error
    /// (ENOSPC, EDQUOT, EFBIG, EIO) the file holds anything there, and is as it was elsewhere.
    pub(crate) fn write_at(self, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let (start, bytes) = (rest.as_ptr() as usize, rest.len());
            let at = offset as usize + done;
            match call(libc::SYS_pwrite64, [self.descriptor(), start, bytes, at]) {
                // Of a file that is no regular one; so that there is an end.
                Ok(0) => return Err(Errno(libc::EIO)),
                Ok(written) => done += written,
                Err(Errno(libc::EINTR)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the space of a range of bytes back; they read as zeroes. EOPNOTSUPP of file systems
    /// that cannot, and nothing has changed.
    pub(crate) fn punch(self, offset: u64, bytes: u64) -> Result<(), Errno> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        self.allocate(mode, offset, bytes)
    }

    fn allocate(self, mode: i32, offset: u64, bytes: u64) -> Result<(), Errno> {
        let (mode, offset, bytes) = (mode as usize, offset as usize, bytes as usize);
        retried(
            libc::SYS_fallocate,
            [self.descriptor(), mode, offset, bytes],
        )
    }

    /// Makes the file end after `bytes`: what is behind is lost, what is added reads as zeroes.
    pub(crate) fn set_bytes(self, bytes: u64) -> Result<(), Errno> {
        let bytes = bytes as usize;
        retried(libc::SYS_ftruncate, [self.descriptor(), bytes, 0, 0])
    }

    /// How many bytes the file has; ESPIPE of what is no file.
    pub(crate) fn bytes(self) -> Result<u64, Errno> {
        let end = libc::SEEK_END as usize;
        call(libc::SYS_lseek, [self.descriptor(), 0, end, 0]).map(|bytes| bytes as u64)
    }

    /// Has the kernel read a range of bytes soon, and does not wait for it: a hint.
    pub(crate) fn will_need(self, offset: u64, bytes: usize) {
        let advice = libc::POSIX_FADV_WILLNEED as usize;
        let _ = call(
            libc::SYS_fadvise64,
            [self.descriptor(), offset as usize, bytes, advice],
        );
    }

    /// Waits until what was written is on the device. An error is told once: the kernel may have
    /// dropped what it could not write.
    pub(crate) fn sync_data(self) -> Result<(), Errno> {
        retried(libc::SYS_fdatasync, [self.descriptor(), 0, 0, 0])
    }
}

/// A call that may be interrupted, and then is made again.
fn retried(number: i64, arguments: [usize; 4]) -> Result<(), Errno> {
    loop {
        match call(number, arguments) {
            Err(Errno(libc::EINTR)) => {}
            outcome => return outcome.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::ffi::CString;
    use std::path::{Path, PathBuf};
    use std::{format, fs, process, vec};

    fn skip(lacking: &str, error: Errno) {
        use std::io::Write;
        // Not captured, unlike what is printed.
        let _ = std::writeln!(std::io::stderr(), "SKIPPED: {lacking}: {error:?}");
    }

    /// A directory of a test's own.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("glebe-file-{name}-{}", process::id()));
            fs::create_dir(&path).expect("a new directory");
            Directory(path)
        }

        fn is_empty(&self) -> bool {
            fs::read_dir(&self.0).expect("a directory").next().is_none()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn c_path(path: &Path) -> CString {
        CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
    }

    fn links(file: File) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let status = fs::metadata(format!("/proc/self/fd/{}", file.0));
        status.expect("an open file").nlink()
    }

    #[test]
    fn a_nameless_file_leaves_nothing_in_its_directory() {
        let directory = Directory::new("nameless");
        for create in [File::create_nameless, create_in] {
            let file = create(&c_path(&directory.0)).expect("a file");
            assert!(directory.is_empty());
            assert_eq!(links(file), 0);
            file.write_at(b"seven", 7).expect("room");
            let mut read = [1; 16];
            assert_eq!(file.read_at(&mut read, 0), Ok(12));
            assert_eq!(&read[..12], b"\0\0\0\0\0\0\0seven");
            file.close();
        }
    }

    #[test]
    fn a_file_is_created_under_a_name_that_is_free_and_no_other() {
        let directory = Directory::new("named");
        let path = c_path(&directory.0.join("store"));
        File::create_nameless(&path).expect("a file").close();
        assert!(directory.is_empty());

        fs::write(directory.0.join("store"), "somebody's").expect("a file");
        assert_eq!(File::create_nameless(&path), Err(Errno(libc::EEXIST)));
        let kept = fs::read(directory.0.join("store")).expect("still there");
        assert_eq!(kept, b"somebody's");

        std::os::unix::fs::symlink("elsewhere", directory.0.join("link")).expect("a link");
        let link = c_path(&directory.0.join("link"));
        assert_eq!(File::create_nameless(&link), Err(Errno(libc::EEXIST)));
        assert!(!directory.0.join("elsewhere").exists());
    }

    #[test]
    fn what_cannot_be_created_or_opened_is_told() {
        for (path, error) in [
            (c"/proc/no/such/directory", libc::ENOENT),
            (c"/dev/null/file", libc::ENOTDIR),
            (c"/dev/null", libc::EEXIST),
        ] {
            assert_eq!(File::create_nameless(path), Err(Errno(error)), "{path:?}");
        }
        assert_eq!(File::open(c"/no such file"), Err(Errno(libc::ENOENT)));
        let long = CString::new(vec![b'/'; PATH_BYTES - 20]).expect("no NUL");
        assert_eq!(create_in(&long), Err(Errno(libc::ENAMETOOLONG)));
    }

    #[test]
    fn names_are_in_the_directory_and_hold_the_number() {
        let mut place = [0; PATH_BYTES];
        let name = name_in(c"/var/tmp", 0x0123_4567_89ab_cdef, &mut place);
        assert_eq!(name, Some(c"/var/tmp/.glebe-0123456789abcdef"));
    }

    #[test]
    fn writes_that_cross_the_end_of_the_room_are_told_and_hurt_nothing_before() {
        // A file whose size is limited refuses what is beyond, as a full device does.
        let mut sealed = File(-1);
        // SAFETY: the name ends in NUL.
        let made = unsafe {
            let name = c"full".as_ptr() as usize;
            let seals = libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC;
            raw_system_call(libc::SYS_memfd_create, [name, seals as usize, 0, 0, 0, 0])
        };
        sealed.0 = Errno::of(made).expect("memory") as i32;
        sealed.set_bytes(8192).expect("room");
        sealed.write_at(&[7; 4096], 0).expect("room");
        let grow = [
            sealed.descriptor(),
            libc::F_ADD_SEALS as usize,
            libc::F_SEAL_GROW as usize,
            0,
        ];
        call(libc::SYS_fcntl, grow).expect("a seal");

        assert_eq!(sealed.write_at(&[9; 4096], 8192), Err(Errno(libc::EPERM)));
        assert!(sealed.write_at(&[9; 8192], 4096).is_err());
        assert_eq!(sealed.bytes(), Ok(8192));
        let mut read = [0; 4096];
        assert_eq!(sealed.read_at(&mut read, 0), Ok(4096));
        assert_eq!(read, [7; 4096]);
        sealed.close();
    }

    #[test]
    fn space_is_punched_and_cut() {
        let file = File::create_nameless(c"/var/tmp").expect("a file");
        file.write_at(&vec![5; 3 << 16], 0).expect("room");
        match file.punch(1 << 16, 1 << 16) {
            Ok(()) => {
                assert_eq!(file.bytes(), Ok(3 << 16));
                let mut read = vec![1; 3 << 16];
                assert_eq!(file.read_at(&mut read, 0), Ok(3 << 16));
                let zeroes = 1 << 16..2 << 16;
                let right =
                    |(at, byte): (usize, &u8)| *byte == if zeroes.contains(&at) { 0 } else { 5 };
                assert!(read.iter().enumerate().all(right));
            }
            Err(error) => skip("the file system has no holes", error),
        }
        file.set_bytes(10).expect("a cut");
        assert_eq!(file.read_at(&mut [0; 64], 4), Ok(6));
        assert_eq!(file.read_at(&mut [0; 64], 10), Ok(0));
        assert_eq!(file.sync_data(), Ok(()));
        assert_eq!(File::from_word(file.to_word()), file);
        file.close();
    }

    #[test]
    fn errno_stays_as_it_is() {
        crate::os::process::set_errno(1234);
        assert!(File::open(c"/no such file").is_err());
        assert_eq!(File(-1).write_at(&[0], 0), Err(Errno(libc::EBADF)));
        assert_eq!(crate::os::process::errno(), 1234);
    }
}
