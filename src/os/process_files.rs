//! What /proc says of a process (proc(5)).

use super::errno::Errno;
use super::file::File;
use super::mapped_array::MappedArray;
use crate::base::fixed_text::FixedText;
use core::ffi::CStr;
use core::fmt::Write as _;

/// Bytes read at a time: the kernel writes mappings by the page.
const PIECE_BYTES: usize = 64 << 10;

/// Opens the file `name` of the process `process`, or of its thread `thread`; 0 is none.
fn open_of(process: i32, thread: i32, name: &str) -> Result<File, Errno> {
    let mut path = FixedText::<96>::new();
    let written = if thread == 0 {
        write!(path, "/proc/{process}/{name}\0")
    } else {
        write!(path, "/proc/{process}/task/{thread}/{name}\0")
    };
    let path = CStr::from_bytes_with_nul(path.as_bytes());
    match (written, path) {
        (Ok(()), Ok(path)) => File::open(path),
        _ => Err(Errno(libc::ENAMETOOLONG)),
    }
}

/// Opens the file `name` of the process `process`.
pub(crate) fn open(process: i32, name: &str) -> Result<File, Errno> {
    open_of(process, 0, name)
}

/// Adds the contents of the file `name` of a process (of a thread, unless that is 0) to `text`.
/// ENOMEM where it has no room.
pub(crate) fn read(
    process: i32,
    thread: i32,
    name: &str,
    text: &mut MappedArray<u8>,
) -> Result<(), Errno> {
    let file = open_of(process, thread, name)?;
    let mut offset = 0;
    let outcome = loop {
        let Some(places) = text.places(PIECE_BYTES) else {
            break Err(Errno(libc::ENOMEM));
        };
        for place in places.iter_mut() {
            place.write(0);
        }
        // SAFETY: each place was written just now.
        let bytes = unsafe { &mut *(core::ptr::from_mut(places) as *mut [u8]) };
        match file.read_at(bytes, offset) {
            Ok(0) => break Ok(()),
            Ok(read) => {
                offset += read as u64;
                // SAFETY: so many were read, and all were written.
                unsafe { text.admit(read) };
            }
            Err(error) => break Err(error),
        }
    };
    file.close();
    outcome
}

/// Calls `each` with the number of every thread of a process.
pub(crate) fn for_each_thread(process: i32, mut each: impl FnMut(i32)) -> Result<(), Errno> {
    let directory = open_of(process, 0, "task")?;
    let outcome = directory.for_each_name(|name| {
        let digits = core::str::from_utf8(name).ok();
        if let Some(thread) = digits.and_then(|digits| digits.parse().ok()) {
            each(thread);
        }
    });
    directory.close();
    outcome
}

/// The address of a thread's list of robust futexes (get_robust_list(2)), which libc has in its record
/// of the thread; `None` where the thread has none, or is not to be looked into.
pub(crate) fn robust_list(thread: i32) -> Option<usize> {
    let (mut list, mut bytes) = (0_usize, 0_usize);
    // SAFETY: both words are valid for writes, and that is all that the call writes.
    let found = unsafe {
        libc::syscall(
            libc::SYS_get_robust_list,
            thread,
            &raw mut list,
            &raw mut bytes,
        )
    };
    (found == 0 && list != 0).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::process;
    use std::vec::Vec;

    #[test]
    fn the_own_process_has_a_file_of_mappings_and_threads() {
        let mut text = MappedArray::new();
        assert_eq!(read(process::id(), 0, "maps", &mut text), Ok(()));
        let text = core::str::from_utf8(text.as_slice()).expect("paths of this test");
        assert!(text.ends_with('\n') && text.contains("[stack]"));
        let mut threads = Vec::new();
        assert_eq!(
            for_each_thread(process::id(), |it| threads.push(it)),
            Ok(())
        );
        assert!(threads.contains(&process::thread_id()));
        assert_eq!(for_each_thread(i32::MAX, |_| ()), Err(Errno(libc::ENOENT)));
    }

    #[test]
    fn a_thread_has_a_list_of_robust_futexes_near_its_locals_and_no_thread_has_none() {
        let distance = std::thread::spawn(|| {
            let local = 0_u8;
            let list = robust_list(process::thread_id()).expect("libc registers one");
            list.abs_diff((&raw const local).addr())
        });
        assert!(distance.join().expect("no panic") < 1 << 20);
        assert_eq!(robust_list(i32::MAX), None);
    }
}
