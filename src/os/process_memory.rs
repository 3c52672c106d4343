//! The memory of a process, read from outside: process_vm_readv(2), which neither stops the process
//! nor tells it.

use super::errno::Errno;
use super::process::{ErrnoKept, errno};
use core::mem::MaybeUninit;

/// The memory of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessMemory {
    process: i32,
}

/// A record that any bytes are a value of.
///
/// # Safety
/// So it is, whatever the bytes.
pub(crate) unsafe trait AnyBytes: Sized {}

// SAFETY: integers.
unsafe impl AnyBytes for u8 {}
// SAFETY: as above.
unsafe impl AnyBytes for usize {}
// SAFETY: as above.
unsafe impl AnyBytes for u64 {}
// SAFETY: one after the other, without gaps.
unsafe impl<T: AnyBytes, const COUNT: usize> AnyBytes for [T; COUNT] {}

impl ProcessMemory {
    /// That of the process `process`.
    pub(crate) const fn of(process: i32) -> ProcessMemory {
        ProcessMemory { process }
    }

    /// Reads records from `address` on; those that were read: fewer where the memory ends, or may
    /// not be read. EPERM: the process is not to be looked into; ESRCH: it is no more.
    pub(crate) fn read<T: AnyBytes>(
        self,
        address: usize,
        into: &mut [MaybeUninit<T>],
    ) -> Result<&mut [T], Errno> {
        let _kept = ErrnoKept::new();
        let here = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: size_of_val(into),
        };
        let there = libc::iovec {
            iov_base: address as *mut _,
            iov_len: size_of_val(into),
        };
        // SAFETY: writes to `into`, as far as it reaches.
        let read = unsafe {
            libc::process_vm_readv(self.process, &raw const here, 1, &raw const there, 1, 0)
        };
        let Ok(bytes) = usize::try_from(read) else {
            return match errno() {
                // Nothing is there.
                libc::EFAULT | libc::EIO => Ok(&mut []),
                error => Err(Errno(error)),
            };
        };
        let whole = bytes / size_of::<T>().max(1);
        // SAFETY: so many were written, and any bytes are a value.
        Ok(unsafe { core::slice::from_raw_parts_mut(into.as_mut_ptr().cast(), whole) })
    }

    /// The record at `address`; `None` where there is none to be read.
    pub(crate) fn read_one<T: AnyBytes + Copy>(self, address: usize) -> Option<T> {
        let mut place = [MaybeUninit::uninit()];
        self.read(address, &mut place).ok()?.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{mapping, process};

    #[test]
    fn memory_is_read_as_far_as_it_reaches_and_errors_are_told_apart() {
        let page = process::page_bytes();
        let start = mapping::map(3 * page).expect("memory");
        // SAFETY: mapped just now.
        unsafe { (start as *mut u8).write_bytes(7, 2 * page) };
        mapping::unmap(start + 2 * page, page);
        let own = ProcessMemory::of(process::id());
        let mut room = [const { MaybeUninit::<u8>::uninit() }; 100];
        assert_eq!(own.read(start, &mut room).map(|it| it.len()), Ok(100));
        let at_end = own.read(start + 2 * page - 10, &mut room);
        assert_eq!(at_end.map(|it| &*it), Ok(&[7; 10][..]));
        assert_eq!(
            own.read(start + 2 * page, &mut room).map(|it| it.len()),
            Ok(0)
        );
        assert_eq!(own.read_one::<usize>(start), Some(0x0707_0707_0707_0707));
        assert_eq!(own.read_one::<usize>(1), None);
        let none = ProcessMemory::of(i32::MAX);
        assert_eq!(
            none.read(start, &mut room).map(|it| it.len()),
            Err(Errno(libc::ESRCH))
        );
        mapping::unmap(start, 2 * page);
    }
}
