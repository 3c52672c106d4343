//! The streams of stdio, which fork(3) writes to in the child of a program with threads before any
//! handler of ours runs.

use core::ffi::c_void;

unsafe extern "C" {
    // glibc exports them for libstdc++ (libio/Versions).
    fn _IO_list_lock();
    fn _IO_list_unlock();
    fn _IO_iter_begin() -> *mut c_void;
    fn _IO_iter_end() -> *mut c_void;
    fn _IO_iter_next(iterator: *mut c_void) -> *mut c_void;
    fn _IO_iter_file(iterator: *mut c_void) -> *mut libc::FILE;
}

/// Bytes of a FILE.
const FILE_BYTES: usize = 216;
/// Where a FILE points to its lock (struct_FILE.h: `_lock`).
const LOCK_OFFSET: usize = 136;
const LOCK_BYTES: usize = 16;

/// Reads from every open stream and its lock, so that their pages are in memory. Not async-signal-safe, as fork(3) itself is not.
pub(crate) fn touch_all() {
    // SAFETY: while the list is locked its streams live; each is a FILE, whose lock lives as long.
    unsafe {
        _IO_list_lock();
        let mut iterator = _IO_iter_begin();
        while iterator != _IO_iter_end() {
            let file = _IO_iter_file(iterator) as usize;
            let lock = ((file + LOCK_OFFSET) as *const usize).read_volatile();
            touch(file, FILE_BYTES);
            if lock != 0 {
                touch(lock, LOCK_BYTES);
            }
            iterator = _IO_iter_next(iterator);
        }
        _IO_list_unlock();
    }
}

/// Reads the first and the last byte.
///
/// # Safety
/// The range is readable, and not longer than a page.
unsafe fn touch(address: usize, bytes: usize) {
    for at in [address, address + bytes - 1] {
        // SAFETY: as the caller's.
        unsafe { (at as *const u8).read_volatile() };
    }
}
