//! Address space from the kernel: mmap, munmap, mremap, madvise.
//!
//! All addresses and lengths here are multiples of the page size. A failing call leaves
//! everything as it was and answers `None` or `false`; errno is the kernel's then.

use super::errno::Errno;
use super::file::File;
use super::process::{ErrnoKept, errno, page_bytes, set_errno};
use core::ffi::c_void;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use nix::sys::mman::{MRemapFlags, MapFlags, MmapAdvise, ProtFlags};

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

fn pointer(address: usize) -> Option<NonNull<c_void>> {
    NonNull::new(address as *mut c_void)
}

fn map_with(hint: usize, bytes: usize, protection: ProtFlags, flags: MapFlags) -> Option<usize> {
    let length = NonZeroUsize::new(bytes)?;
    let flags = flags | MapFlags::MAP_PRIVATE;
    // SAFETY: anonymous and without MAP_FIXED no existing mapping is touched; callers that pass
    // MAP_FIXED own the range, and nothing in it is live.
    let mapped = unsafe {
        nix::sys::mman::mmap_anonymous(NonZeroUsize::new(hint), length, protection, flags)
    };
    mapped.ok().map(|address| address.as_ptr() as usize)
}

/// Maps `bytes` of zeroes, readable and writable.
pub(crate) fn map(bytes: usize) -> Option<usize> {
    map_with(0, bytes, READ_WRITE, MapFlags::empty())
}

/// Maps `bytes` of zeroes without a libc function, errno or anything else that needs relocation;
/// 0 out of memory.
pub(crate) fn map_before_relocation(bytes: usize) -> usize {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    // SAFETY: a new anonymous mapping touches nothing that exists.
    let mapped = unsafe {
        super::cpu::raw_system_call(libc::SYS_mmap, [0, bytes, protection, flags, usize::MAX, 0])
    };
    if mapped <= 0 {
        0
    } else {
        mapped.cast_unsigned()
    }
}

/// Maps `bytes` of zeroes of which few will be touched.
pub(crate) fn map_sparse(bytes: usize) -> Option<usize> {
    map_with(0, bytes, READ_WRITE, MapFlags::MAP_NORESERVE)
}

/// Reserves `bytes` of address space, of which nothing is usable yet.
pub(crate) fn reserve(bytes: usize) -> Option<usize> {
    map_with(0, bytes, ProtFlags::PROT_NONE, MapFlags::MAP_NORESERVE)
}

/// No range is longer.
pub(crate) const MOST_BYTES: usize = 1 << 47;

/// The same at `address`, if nothing is there (EEXIST).
pub(crate) fn reserve_at(address: usize, bytes: usize) -> Result<usize, Errno> {
    let _kept = ErrnoKept::new();
    let flags = MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED_NOREPLACE;
    match map_with(address, bytes, ProtFlags::PROT_NONE, flags) {
        Some(mapped) if mapped == address => Ok(mapped),
        // Kernels before 4.17 take the address as a hint.
        Some(elsewhere) => {
            unmap(elsewhere, bytes);
            Err(Errno(libc::EEXIST))
        }
        None => Err(Errno(errno())),
    }
}

/// The same anywhere, at a multiple of `alignment`, a power of two.
pub(crate) fn reserve_aligned(bytes: usize, alignment: usize) -> Option<usize> {
    aligned(bytes, alignment, reserve)
}

/// Puts `bytes` of a file, from `offset` on, in the place of a range that was reserved, still
/// inaccessible; shared with others who map it, or private.
pub(crate) fn map_file_over(
    address: usize,
    bytes: usize,
    file: File,
    offset: u64,
    is_shared: bool,
) -> bool {
    let _kept = ErrnoKept::new();
    let kind = if is_shared {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE
    };
    let flags = kind | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let (descriptor, offset) = (file.to_word() as i32, offset.cast_signed());
    // SAFETY: callers own the range, and nothing in it is live.
    let mapped = unsafe {
        libc::mmap(
            address as *mut c_void,
            bytes,
            libc::PROT_NONE,
            flags,
            descriptor,
            offset,
        )
    };
    mapped != libc::MAP_FAILED
}

/// Moves the pages of one mapping of the kernel's, or of a part of it, into the place of a range that
/// is reserved at `target`. The old range stays mapped, and empty, where the kernel can do that
/// (Linux 5.7; 5.13 for files), so that nobody else's mapping comes there before it is unmapped.
pub(crate) fn move_over(address: usize, target: usize, bytes: usize) -> bool {
    let _kept = ErrnoKept::new();
    let (from, to) = (address as *mut c_void, target as *mut c_void);
    let moved = |flags| {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | flags;
        // SAFETY: callers own both ranges; nothing in the target is live.
        let moved = unsafe { libc::mremap(from, bytes, bytes, flags, to) };
        moved != libc::MAP_FAILED
    };
    moved(libc::MREMAP_DONTUNMAP) || errno() == libc::EINVAL && moved(0)
}

/// Makes a range that was reserved readable and writable; it holds zeroes.
pub(crate) fn make_usable(address: usize, bytes: usize) -> bool {
    // SAFETY: the range is ours, and nobody has used it yet.
    pointer(address)
        .is_some_and(|at| unsafe { nix::sys::mman::mprotect(at, bytes, READ_WRITE) }.is_ok())
}

/// Makes a range inaccessible and gives its pages back: what [`make_usable`] did is undone. Where
/// the kernel has no memory to split a mapping the range stays as it is, but for its contents.
pub(crate) fn make_inaccessible(address: usize, bytes: usize) -> bool {
    // SAFETY: callers own the range, and nothing in it is live.
    let done = pointer(address).is_some_and(|at| unsafe {
        nix::sys::mman::mprotect(at, bytes, ProtFlags::PROT_NONE).is_ok()
    });
    advise(address, bytes, MmapAdvise::MADV_DONTNEED);
    done
}

/// Makes a range that was made usable what [`reserve`] made it: inaccessible, without pages, and
/// charged to nobody. Where the kernel has no memory to split a mapping the range stays as it is.
pub(crate) fn reserve_again(address: usize, bytes: usize) -> bool {
    let flags = MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED;
    map_with(address, bytes, ProtFlags::PROT_NONE, flags).is_some()
}

/// Makes a range of ours read-only for good: sealed where the kernel seals (6.10), so that nobody
/// makes it writable again.
pub(crate) fn make_read_only(address: usize, bytes: usize) -> bool {
    const SYS_MSEAL: libc::c_long = 462;
    // SAFETY: the range is ours, and nobody writes to it any more.
    let done = pointer(address).is_some_and(|at| unsafe {
        nix::sys::mman::mprotect(at, bytes, ProtFlags::PROT_READ).is_ok()
    });
    if done {
        // SAFETY: as above; an older kernel refuses, and the range stays as it is.
        unsafe { libc::syscall(SYS_MSEAL, address, bytes, 0usize) };
    }
    done
}

/// What a program may do with pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protection {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
}

impl Protection {
    /// That of a number of `glebe_protection`.
    pub(crate) fn of(number: i32) -> Option<Protection> {
        match number {
            0 => Some(Protection::None),
            1 => Some(Protection::Read),
            2 => Some(Protection::ReadWrite),
            _ => None,
        }
    }
}

/// Sets what may be done with a range of ours, which keeps its contents.
pub(crate) fn protect(address: usize, bytes: usize, protection: Protection) -> bool {
    let flags = match protection {
        Protection::None => ProtFlags::PROT_NONE,
        Protection::Read => ProtFlags::PROT_READ,
        Protection::ReadWrite => READ_WRITE,
    };
    // SAFETY: callers own the range, or act for who does.
    pointer(address).is_some_and(|at| unsafe { nix::sys::mman::mprotect(at, bytes, flags) }.is_ok())
}

/// Maps `bytes` of zeroes at a multiple of `alignment` (a power of two).
pub(crate) fn map_aligned(bytes: usize, alignment: usize) -> Option<usize> {
    aligned(bytes, alignment, map)
}

/// What `map` makes of `bytes`, at a multiple of `alignment`.
fn aligned(bytes: usize, alignment: usize, map: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    let first = map(bytes)?;
    if first & (alignment - 1) == 0 {
        return Some(first);
    }
    unmap(first, bytes);
    // Law: `room` bytes contain an aligned range of `bytes` whatever page they start at.
    let Some(room) = bytes.checked_add(alignment - page_bytes()) else {
        set_errno(libc::ENOMEM);
        return None;
    };
    let start = map(room)?;
    let aligned = (start + alignment - 1) & !(alignment - 1);
    if aligned > start {
        unmap(start, aligned - start);
    }
    let (end, room_end) = (aligned + bytes, start + room);
    if room_end > end {
        unmap(end, room_end - end);
    }
    Some(aligned)
}

/// Maps `bytes` of zeroes, a multiple of 1 GiB, in pages of 1 GiB from the kernel's pool, aligned to
/// that; `None` where the pool has not so many. They are set aside: no touch can fail.
pub(crate) fn map_pages_of_1_gib(bytes: usize) -> Option<usize> {
    let flags = MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_1GB;
    map_with(0, bytes, READ_WRITE, flags)
}

/// Maps `bytes` of zeroes at `address` if nothing is there (Linux 4.17).
pub(crate) fn map_at(address: usize, bytes: usize) -> bool {
    match map_with(address, bytes, READ_WRITE, MapFlags::MAP_FIXED_NOREPLACE) {
        Some(mapped) if mapped == address => true,
        Some(elsewhere) => {
            unmap(elsewhere, bytes);
            false
        }
        None => false,
    }
}

/// Unmaps; `false` where the kernel has no memory to split a mapping.
pub(crate) fn unmap(address: usize, bytes: usize) -> bool {
    // SAFETY: callers own the range and hold no reference into it.
    pointer(address).is_some_and(|at| unsafe { nix::sys::mman::munmap(at, bytes) }.is_ok())
}

/// Grows or shrinks a mapping where it stands.
pub(crate) fn resize_in_place(address: usize, old_bytes: usize, new_bytes: usize) -> bool {
    pointer(address).is_some_and(|at| {
        // SAFETY: without MAYMOVE the range keeps its place; callers own it.
        unsafe { nix::sys::mman::mremap(at, old_bytes, new_bytes, MRemapFlags::empty(), None) }
            .is_ok()
    })
}

/// Grows or shrinks a mapping, which may move; where it is now.
pub(crate) fn resize(address: usize, old_bytes: usize, new_bytes: usize) -> Option<usize> {
    let flags = MRemapFlags::MREMAP_MAYMOVE;
    // SAFETY: callers own the range and hold no reference into it.
    let moved =
        unsafe { nix::sys::mman::mremap(pointer(address)?, old_bytes, new_bytes, flags, None) };
    moved.ok().map(|address| address.as_ptr() as usize)
}

/// Moves the pages of a mapping to a new one at a multiple of `alignment`, without copying; the
/// new address. Where old and new are congruent to 2 MiB the kernel moves whole page tables.
pub(crate) fn relocate(
    address: usize,
    old_bytes: usize,
    new_bytes: usize,
    alignment: usize,
) -> Option<usize> {
    let target = map_aligned(new_bytes, alignment)?;
    let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
    // SAFETY: callers own the old range; the target was mapped just now and is ours to replace.
    let moved = unsafe {
        nix::sys::mman::mremap(
            pointer(address)?,
            old_bytes,
            new_bytes,
            flags,
            pointer(target),
        )
    };
    if moved.is_err() {
        unmap(target, new_bytes);
        return None;
    }
    Some(target)
}

/// Gives the pages of a private anonymous range back; they read as zeroes afterwards. Where
/// madvise is refused the range is mapped afresh, if it may be (`remappable`: not in the program
/// break, whose mapping the kernel keeps an eye on).
pub(crate) fn discard(address: usize, bytes: usize, remappable: bool) -> bool {
    if advise(address, bytes, MmapAdvise::MADV_DONTNEED) {
        return true;
    }
    remappable
        && super::process::errno() == libc::EPERM
        && map_with(address, bytes, READ_WRITE, MapFlags::MAP_FIXED).is_some()
}

/// As [`discard`], by a raw system call that leaves errno alone: for threads that libc knows nothing
/// of. `false` where the kernel refuses.
pub(crate) fn discard_without_errno(address: usize, bytes: usize) -> bool {
    let arguments = [address, bytes, libc::MADV_DONTNEED as usize, 0, 0, 0];
    // SAFETY: callers own the range, and nothing in it is live.
    unsafe { super::cpu::raw_system_call(libc::SYS_madvise, arguments) == 0 }
}

/// As [`map_sparse`], by a raw system call.
pub(crate) fn map_sparse_without_errno(bytes: usize) -> Result<usize, Errno> {
    map_raw(
        bytes,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        usize::MAX,
    )
}

/// Maps the first `bytes` of a file to be read, where others may go on to write: also what is
/// behind its end now. By a raw system call. Processes that fork share it.
pub(crate) fn map_view(file: File, bytes: usize) -> Result<usize, Errno> {
    map_raw(bytes, libc::PROT_READ, libc::MAP_SHARED, file.to_word())
}

fn map_raw(bytes: usize, protection: i32, flags: i32, file: usize) -> Result<usize, Errno> {
    let flags = (flags | libc::MAP_NORESERVE) as usize;
    let arguments = [0, bytes, protection as usize, flags, file, 0];
    // SAFETY: a new mapping touches nothing that exists.
    Errno::of(unsafe { super::cpu::raw_system_call(libc::SYS_mmap, arguments) })
}

/// As [`unmap`], by a raw system call.
pub(crate) fn unmap_without_errno(address: usize, bytes: usize) -> bool {
    // SAFETY: callers own the range and hold no reference into it.
    unsafe { super::cpu::raw_system_call(libc::SYS_munmap, [address, bytes, 0, 0, 0, 0]) == 0 }
}

/// Asks for huge pages in the range, where the kernel has them and lets programs ask; no harm
/// elsewhere.
pub(crate) fn advise_huge(address: usize, bytes: usize) {
    advise(address, bytes, MmapAdvise::MADV_HUGEPAGE);
}

/// Makes huge pages of the small ones of a range of whole huge pages, now (MADV_COLLAPSE, Linux
/// 6.1), whatever the kernel is told to do by itself; an errno where it does not.
pub(crate) fn collapse(address: usize, bytes: usize) -> Result<(), i32> {
    const MADV_COLLAPSE: i32 = 25;
    // SAFETY: the contents stay.
    if unsafe { libc::madvise(address as *mut c_void, bytes, MADV_COLLAPSE) } == 0 {
        Ok(())
    } else {
        Err(super::process::errno())
    }
}

/// Asks for none any more.
pub(crate) fn advise_small(address: usize, bytes: usize) {
    advise(address, bytes, MmapAdvise::MADV_NOHUGEPAGE);
}

/// madvise, of which `false` tells that it was refused. Callers own the range, and nothing in it is
/// live where the advice discards contents.
fn advise(address: usize, bytes: usize, advice: MmapAdvise) -> bool {
    // SAFETY: as above.
    pointer(address).is_some_and(|at| unsafe { nix::sys::mman::madvise(at, bytes, advice) }.is_ok())
}

/// Makes a range that was never touched resident, with one call for what would be a fault a page
/// (Linux 5.14); `false` where the kernel does not do that, and nothing is lost.
pub(crate) fn populate(address: usize, bytes: usize) -> bool {
    const MADV_POPULATE_WRITE: i32 = 23;
    // SAFETY: callers own the range; the call writes nothing.
    unsafe { libc::madvise(address as *mut c_void, bytes, MADV_POPULATE_WRITE) == 0 }
}

/// Makes a range of anybody's resident for reading, if it is readable throughout, which is the
/// answer; `None` where the kernel does not do that (before 5.14).
pub(crate) fn populate_for_reading(address: usize, bytes: usize) -> Option<bool> {
    const MADV_POPULATE_READ: i32 = 22;
    // SAFETY: reads nothing and changes no contents.
    let advise =
        |bytes| unsafe { libc::madvise(address as *mut c_void, bytes, MADV_POPULATE_READ) == 0 };
    // Of no bytes, any advice that is known is taken.
    if advise(bytes) {
        Some(true)
    } else {
        advise(0).then_some(false)
    }
}

/// Whether any page of the range is mapped by anybody; on doubt `true`.
pub(crate) fn is_mapped(address: usize, bytes: usize) -> bool {
    let page = page_bytes();
    (0..bytes).step_by(page).any(|offset| {
        let mut resident = 0u8;
        let at = (address + offset) as *mut c_void;
        // SAFETY: mincore reads nothing there and writes one byte to `resident` for the one page;
        // it answers ENOMEM where nothing is mapped.
        unsafe {
            libc::mincore(at, page, &mut resident) == 0 || super::process::errno() != libc::ENOMEM
        }
    })
}

/// Whether the page that holds `address`, which is mapped, is in memory and entered in the page table.
pub(crate) fn is_resident(address: usize) -> bool {
    let mut resident = 0u8;
    let at = (address & !(page_bytes() - 1)) as *mut c_void;
    // SAFETY: as in `is_mapped`.
    unsafe { libc::mincore(at, 1, &mut resident) == 0 && resident & 1 != 0 }
}

/// Names a range in /proc/PID/maps where the kernel does that (5.17); no harm elsewhere.
pub(crate) fn name(address: usize, bytes: usize, label: &'static core::ffi::CStr) {
    const PR_SET_VMA: i32 = 0x5356_4d41;
    // SAFETY: the label ends in NUL and the range is ours; failure changes nothing.
    unsafe { libc::prctl(PR_SET_VMA, 0usize, address, bytes, label.as_ptr()) };
}
