//! What explicit regions need of the kernel beside `mapping` and `file`: address space at a wanted
//! place, shared memory, what a descriptor is.

use super::errno::Errno;
use super::process::ErrnoKept;
use core::ffi::c_void;

/// Reserves `bytes` of address space, inaccessible, at `base` or (0) anywhere, which children do
/// not get; EEXIST where something is mapped at `base`.
pub(crate) fn reserve(base: usize, bytes: usize) -> Result<usize, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(base, bytes, flags, -1, 0)
}

/// The same for a section of shared memory.
pub(crate) fn reserve_shared(
    base: usize,
    bytes: usize,
    memory: i32,
    offset: u64,
) -> Result<usize, Errno> {
    map(
        base,
        bytes,
        libc::MAP_SHARED | libc::MAP_NORESERVE,
        memory,
        offset,
    )
}

fn map(base: usize, bytes: usize, flags: i32, file: i32, offset: u64) -> Result<usize, Errno> {
    let _kept = ErrnoKept::new();
    let place = if base == 0 {
        0
    } else {
        libc::MAP_FIXED_NOREPLACE
    };
    let (wanted, offset) = (base as *mut c_void, offset.cast_signed());
    // SAFETY: what is mapped already stays: kernels before 4.17 take the address as a hint.
    let mapped = unsafe { libc::mmap(wanted, bytes, libc::PROT_NONE, flags | place, file, offset) };
    if mapped == libc::MAP_FAILED {
        return Err(Errno(super::process::errno()));
    }
    let refused = if base != 0 && mapped != wanted {
        Some(libc::EEXIST)
    } else {
        // SAFETY: the range was mapped just now. A child would read zeroes where pages are absent.
        let kept = unsafe { libc::madvise(mapped, bytes, libc::MADV_DONTFORK) } == 0;
        (!kept).then_some(libc::ENOMEM)
    };
    if let Some(error) = refused {
        // SAFETY: as above, and nobody knows of it.
        unsafe { libc::munmap(mapped, bytes) };
        return Err(Errno(error));
    }
    Ok(mapped as usize)
}

/// Makes shared memory of `bytes` zeroes; its descriptor.
pub(crate) fn shared_memory(bytes: usize) -> Result<i32, Errno> {
    let _kept = ErrnoKept::new();
    let long = libc::off_t::try_from(bytes).map_err(|_| Errno(libc::EFBIG))?;
    // SAFETY: the name ends in NUL.
    let made = unsafe { libc::memfd_create(c"glebe region".as_ptr(), libc::MFD_CLOEXEC) };
    if made < 0 {
        return Err(Errno(super::process::errno()));
    }
    // SAFETY: a descriptor of ours.
    if unsafe { libc::ftruncate(made, long) } != 0 {
        let error = super::process::errno();
        // SAFETY: as above.
        unsafe { libc::close(made) };
        return Err(Errno(error));
    }
    Ok(made)
}

/// What a descriptor is open for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    /// Reading.
    pub(crate) reads: bool,
    /// Writing, anywhere and not only at the end.
    pub(crate) writes: bool,
}

/// What `descriptor` is open for, if it is a regular file or shared memory.
pub(crate) fn access(descriptor: i32) -> Option<Access> {
    let _kept = ErrnoKept::new();
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `status` is valid for writes, and initialised where fstat succeeds.
    let (flags, mode) = unsafe {
        if libc::fstat(descriptor, status.as_mut_ptr()) != 0 {
            return None;
        }
        (
            libc::fcntl(descriptor, libc::F_GETFL),
            status.assume_init().st_mode,
        )
    };
    if flags < 0 || flags & libc::O_PATH != 0 || mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let way = flags & libc::O_ACCMODE;
    Some(Access {
        reads: way != libc::O_WRONLY,
        writes: way != libc::O_RDONLY && flags & libc::O_APPEND == 0,
    })
}
