//! What [`super::spill_file`] does with files, so that its tests can break them.

use crate::os::errno::Errno;
use crate::os::file::File;
use crate::os::mapping;
use core::ffi::CStr;

/// What the store does with a file; see [`File`], which does it.
pub(crate) trait SpillIo: Copy {
    fn create_nameless(path: &CStr) -> Result<Self, Errno>;
    fn close(self);
    fn to_word(self) -> usize;
    fn from_word(word: usize) -> Self;
    fn read_at(self, into: &mut [u8], offset: u64) -> Result<usize, Errno>;
    fn write_at(self, bytes: &[u8], offset: u64) -> Result<(), Errno>;
    fn punch(self, offset: u64, bytes: u64) -> Result<(), Errno>;
    /// The address of a view of the first `bytes`, whether the file has as many or not.
    fn map_view(self, bytes: usize) -> Result<usize, Errno>;
}

impl SpillIo for File {
    fn create_nameless(path: &CStr) -> Result<File, Errno> {
        File::create_nameless(path)
    }
    fn close(self) {
        File::close(self);
    }
    fn to_word(self) -> usize {
        File::to_word(self)
    }
    fn from_word(word: usize) -> File {
        File::from_word(word)
    }
    fn read_at(self, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
        File::read_at(self, into, offset)
    }
    fn write_at(self, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        File::write_at(self, bytes, offset)
    }
    fn punch(self, offset: u64, bytes: u64) -> Result<(), Errno> {
        File::punch(self, offset, bytes)
    }
    fn map_view(self, bytes: usize) -> Result<usize, Errno> {
        mapping::map_view(self, bytes)
    }
}

#[cfg(test)]
pub(super) mod fake {
    use super::*;
    extern crate std;
    use std::cell::{Cell, RefCell};
    use std::vec::Vec;

    std::thread_local! {
        /// The files of a test.
        pub(in super::super) static DISK: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
        /// What the next calls answer, each.
        pub(in super::super) static BROKEN: Cell<Option<Errno>> = const { Cell::new(None) };
        pub(in super::super) static PUNCHED: Cell<usize> = const { Cell::new(0) };
    }

    /// A file of the test's thread, in memory.
    #[derive(Clone, Copy)]
    pub(in super::super) struct FakeFile(usize);

    fn unless_broken() -> Result<(), Errno> {
        BROKEN.get().map_or(Ok(()), Err)
    }

    impl SpillIo for FakeFile {
        fn create_nameless(_: &CStr) -> Result<FakeFile, Errno> {
            unless_broken()?;
            DISK.with_borrow_mut(|disk| {
                disk.push(Vec::new());
                Ok(FakeFile(disk.len() - 1))
            })
        }
        fn close(self) {
            DISK.with_borrow_mut(|disk| disk[self.0].clear());
        }
        fn to_word(self) -> usize {
            self.0
        }
        fn from_word(word: usize) -> FakeFile {
            FakeFile(word)
        }
        fn read_at(self, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
            unless_broken()?;
            DISK.with_borrow(|disk| {
                let rest = &disk[self.0][offset as usize..];
                let bytes = into.len().min(rest.len());
                into[..bytes].copy_from_slice(&rest[..bytes]);
                Ok(bytes)
            })
        }
        fn write_at(self, bytes: &[u8], offset: u64) -> Result<(), Errno> {
            DISK.with_borrow_mut(|disk| {
                let (file, start) = (&mut disk[self.0], offset as usize);
                file.resize(file.len().max(start + bytes.len()), 0);
                let broken = unless_broken();
                let done = if broken.is_ok() {
                    bytes.len()
                } else {
                    bytes.len() / 2
                };
                file[start..start + done].copy_from_slice(&bytes[..done]);
                broken
            })
        }
        fn punch(self, offset: u64, bytes: u64) -> Result<(), Errno> {
            unless_broken()?;
            DISK.with_borrow_mut(|disk| {
                let (file, start) = (&mut disk[self.0], offset as usize);
                let end = file.len().min(start + bytes as usize);
                file[start..end].fill(0);
            });
            PUNCHED.set(PUNCHED.get() + 1);
            Ok(())
        }
        fn map_view(self, bytes: usize) -> Result<usize, Errno> {
            mapping::map_sparse_without_errno(bytes)
        }
    }
}
