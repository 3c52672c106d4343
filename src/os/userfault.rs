//! userfaultfd(2), ioctl_userfaultfd(2): page faults of our memory, served by us. By raw system
//! calls, so that threads without libc can use it.

use super::cpu::raw_system_call;
use super::errno::Errno;
use core::ops::BitOr;

/// The protocol's number.
const API: u64 = 0xAA;

const fn request(direction: usize, number: usize, bytes: usize) -> usize {
    direction << 30 | bytes << 16 | 0xAA << 8 | number
}

const READ: usize = 2;
const READ_WRITE: usize = 3;

const UFFDIO_API: usize = request(READ_WRITE, 0x3F, size_of::<ApiRequest>());
const UFFDIO_REGISTER: usize = request(READ_WRITE, 0, size_of::<RegisterRequest>());
const UFFDIO_WAKE: usize = request(READ, 2, size_of::<Range>());
const UFFDIO_COPY: usize = request(READ_WRITE, 3, size_of::<TransferRequest>());
const UFFDIO_ZEROPAGE: usize = request(READ_WRITE, 4, size_of::<FillRequest>());
const UFFDIO_MOVE: usize = request(READ_WRITE, 5, size_of::<TransferRequest>());
const UFFDIO_WRITEPROTECT: usize = request(READ_WRITE, 6, size_of::<ProtectRequest>());
const UFFDIO_CONTINUE: usize = request(READ_WRITE, 7, size_of::<FillRequest>());
const UFFDIO_POISON: usize = request(READ_WRITE, 8, size_of::<FillRequest>());
/// Of /dev/userfaultfd.
const USERFAULTFD_IOC_NEW: usize = request(0, 0, 0);

#[repr(C)]
struct ApiRequest {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Range {
    start: u64,
    bytes: u64,
}

#[repr(C)]
struct RegisterRequest {
    range: Range,
    modes: u64,
    ioctls: u64,
}

#[repr(C)]
struct TransferRequest {
    to: u64,
    from: u64,
    bytes: u64,
    mode: u64,
    done: i64,
}

#[repr(C)]
struct FillRequest {
    range: Range,
    mode: u64,
    done: i64,
}

#[repr(C)]
struct ProtectRequest {
    range: Range,
    mode: u64,
}

const _: () = assert!(size_of::<ApiRequest>() == 24 && size_of::<RegisterRequest>() == 32);
const _: () = assert!(size_of::<TransferRequest>() == 40 && size_of::<FillRequest>() == 32);
const _: () = assert!(size_of::<ProtectRequest>() == 24 && size_of::<Event>() == 32);

/// What a kernel may be able to do; a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Features(u64);

impl Features {
    /// None.
    pub(crate) const NONE: Features = Features(0);
    /// Pages can be moved (Linux 6.8).
    pub(crate) const MOVE: Features = Features(1 << 16);
}

impl BitOr for Features {
    type Output = Features;

    fn bitor(self, others: Features) -> Features {
        Features(self.0 | others.0)
    }
}

/// Which touches are ours to serve; a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Modes(u64);

impl Modes {
    /// Those of absent pages.
    pub(crate) const MISSING: Modes = Modes(1);
    /// Writes to protected pages.
    pub(crate) const WRITE_PROTECTED: Modes = Modes(2);
    /// Those of pages that are in shared memory and not mapped here (Linux 5.14).
    pub(crate) const UNMAPPED: Modes = Modes(4);
}

impl BitOr for Modes {
    type Output = Modes;

    fn bitor(self, others: Modes) -> Modes {
        Modes(self.0 | others.0)
    }
}

/// Whose faults are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// The program's and the kernel's on its behalf, in system calls: takes privilege.
    Full,
    /// The program's alone; system calls fail with EFAULT.
    UserModeOnly,
}

/// Whether the threads that wait for the pages go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wake {
    /// They do.
    Yes,
    /// They are woken later.
    No,
}

impl Wake {
    fn mode(self) -> u64 {
        u64::from(self == Wake::No)
    }
}

/// What a request that works page by page came to: the bytes done, and why no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Filled {
    /// Bytes done, whole pages.
    pub(crate) bytes: usize,
    /// Why not all; EAGAIN also where it is unknown.
    pub(crate) error: Option<Errno>,
}

impl Filled {
    /// `done` holds bytes, or an error as its negative, or what it held before the call.
    fn of(answer: Result<usize, Errno>, done: i64) -> Filled {
        Filled {
            bytes: usize::try_from(done).unwrap_or(0),
            error: answer.err(),
        }
    }
}

/// A message of the kernel, as it lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Event {
    kind: u8,
    reserved: [u8; 7],
    first: u64,
    second: u64,
    third: u64,
}

/// What a message says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    /// A thread waits for a page.
    PageFault {
        /// An address in it.
        address: usize,
        /// Whether it wants to write.
        writes: bool,
        /// Whether the page is there, and protected.
        write_protected: bool,
    },
    /// Something that was not asked for.
    Other,
}

impl Event {
    /// An empty one.
    pub(crate) const fn new() -> Event {
        Event {
            kind: 0,
            reserved: [0; 7],
            first: 0,
            second: 0,
            third: 0,
        }
    }

    /// What it says.
    pub(crate) fn kind(&self) -> EventKind {
        const PAGE_FAULT: u8 = 0x12;
        const WRITE: u64 = 1;
        const WRITE_PROTECTED: u64 = 2;
        if self.kind != PAGE_FAULT {
            return EventKind::Other;
        }
        EventKind::PageFault {
            address: self.second as usize,
            writes: self.first & WRITE != 0,
            write_protected: self.first & WRITE_PROTECTED != 0,
        }
    }
}

/// A userfaultfd descriptor; a number, which nobody closes by accident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UserfaultFd(i32);

fn call(number: i64, [a, b, c]: [usize; 3]) -> Result<usize, Errno> {
    // SAFETY: callers in this file pass what the call expects.
    Errno::of(unsafe { raw_system_call(number, [a, b, c, 0, 0, 0]) })
}

impl UserfaultFd {
    /// Opens one with `features`: EPERM or EACCES without privilege, EINVAL where the kernel lacks
    /// a feature, ENOSYS without userfaultfd.
    pub(crate) fn open(mode: Mode, features: Features) -> Result<UserfaultFd, Errno> {
        const USER_MODE_ONLY: usize = 1;
        let mut flags = libc::O_CLOEXEC as usize;
        if mode == Mode::UserModeOnly {
            flags |= USER_MODE_ONLY;
        }
        let opened = call(libc::SYS_userfaultfd, [flags, 0, 0]).or_else(|error| {
            // Linux 6.1: a device, whose permissions decide.
            UserfaultFd::of_device(flags).map_err(|_| error)
        })?;
        let opened = UserfaultFd(opened as i32);
        let mut request = ApiRequest {
            api: API,
            features: features.0,
            ioctls: 0,
        };
        let agreed = opened.request(UFFDIO_API, &mut request);
        if let Err(error) = agreed {
            opened.close();
            return Err(error);
        }
        Ok(opened)
    }

    fn of_device(flags: usize) -> Result<usize, Errno> {
        let path = c"/dev/userfaultfd".as_ptr() as usize;
        let access = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
        // SAFETY: the path ends in NUL.
        let device = Errno::of(unsafe {
            raw_system_call(
                libc::SYS_openat,
                [libc::AT_FDCWD as usize, path, access, 0, 0, 0],
            )
        })?;
        let made = call(libc::SYS_ioctl, [device, USERFAULTFD_IOC_NEW, flags]);
        let _ = call(libc::SYS_close, [device, 0, 0]);
        made
    }

    /// Gives the numbers of the standard descriptors, where they are free, to copies of it: what is
    /// written there by its number fails, and never reaches a file of ours.
    pub(crate) fn occupy_standard_descriptors(self) {
        let duplicate = [self.0 as usize, libc::F_DUPFD_CLOEXEC as usize, 0];
        while let Ok(copy) = call(libc::SYS_fcntl, duplicate) {
            if copy > libc::STDERR_FILENO as usize {
                let _ = call(libc::SYS_close, [copy, 0, 0]);
                return;
            }
        }
    }

    /// Closes it: what is registered with it is no more.
    pub(crate) fn close(self) {
        let _ = call(libc::SYS_close, [self.0 as usize, 0, 0]);
    }

    /// As a word, for a static.
    pub(crate) fn to_word(self) -> usize {
        self.0 as usize
    }

    /// The descriptor of such a word.
    pub(crate) fn from_word(word: usize) -> UserfaultFd {
        UserfaultFd(word as i32)
    }

    fn request<T>(self, request: usize, argument: &mut T) -> Result<usize, Errno> {
        let argument = core::ptr::from_mut(argument) as usize;
        call(libc::SYS_ioctl, [self.0 as usize, request, argument])
    }

    /// Has touches in a range of whole pages reported.
    pub(crate) fn register(self, start: usize, bytes: usize, modes: Modes) -> Result<(), Errno> {
        let mut request = RegisterRequest {
            range: range(start, bytes),
            modes: modes.0,
            ioctls: 0,
        };
        self.request(UFFDIO_REGISTER, &mut request).map(|_| ())
    }

    /// Makes absent pages present with a copy of what `from` points to, readable and aligned to a
    /// page: EEXIST at one that is present, ENOENT where nothing is registered.
    pub(crate) fn copy(self, to: usize, from: usize, bytes: usize, wake: Wake) -> Filled {
        self.transfer(UFFDIO_COPY, to, from, bytes, wake.mode())
    }

    /// As `copy`, and wakes who waits; writes to the pages are reported.
    pub(crate) fn copy_protected(self, to: usize, from: usize, bytes: usize) -> Filled {
        const WRITE_PROTECTED: u64 = 2;
        self.transfer(UFFDIO_COPY, to, from, bytes, WRITE_PROTECTED)
    }

    /// Maps pages of shared memory, and wakes who waits: EFAULT at one that the memory does not
    /// have, EEXIST at one that is mapped.
    pub(crate) fn map_shared(self, to: usize, bytes: usize) -> Filled {
        self.fill(UFFDIO_CONTINUE, to, bytes, Wake::Yes)
    }

    /// Moves pages to where none are: EBUSY where one is pinned or shared since a fork, ENOENT
    /// where `from` has none, EEXIST where `to` has one.
    pub(crate) fn move_pages(self, to: usize, from: usize, bytes: usize, wake: Wake) -> Filled {
        self.transfer(UFFDIO_MOVE, to, from, bytes, wake.mode())
    }

    /// The same, passing over pages that `from` does not have; they count as done.
    pub(crate) fn move_or_skip_pages(
        self,
        to: usize,
        from: usize,
        bytes: usize,
        wake: Wake,
    ) -> Filled {
        const ALLOW_HOLES: u64 = 2;
        self.transfer(UFFDIO_MOVE, to, from, bytes, wake.mode() | ALLOW_HOLES)
    }

    fn transfer(self, what: usize, to: usize, from: usize, bytes: usize, mode: u64) -> Filled {
        let mut request = TransferRequest {
            to: to as u64,
            from: from as u64,
            bytes: bytes as u64,
            mode,
            done: 0,
        };
        let answer = self.request(what, &mut request);
        Filled::of(answer, request.done)
    }

    /// Makes absent pages present as zeroes, which a write then copies.
    pub(crate) fn zero(self, to: usize, bytes: usize, wake: Wake) -> Filled {
        self.fill(UFFDIO_ZEROPAGE, to, bytes, wake)
    }

    /// Makes absent pages raise SIGBUS when touched.
    pub(crate) fn poison(self, to: usize, bytes: usize, wake: Wake) -> Filled {
        self.fill(UFFDIO_POISON, to, bytes, wake)
    }

    fn fill(self, what: usize, to: usize, bytes: usize, wake: Wake) -> Filled {
        let mut request = FillRequest {
            range: range(to, bytes),
            mode: wake.mode(),
            done: 0,
        };
        let answer = self.request(what, &mut request);
        Filled::of(answer, request.done)
    }

    /// Protects pages against writes, or lets writes through and wakes who waits for that.
    pub(crate) fn protect(self, start: usize, bytes: usize, protected: bool) -> Result<(), Errno> {
        let mut request = ProtectRequest {
            range: range(start, bytes),
            mode: u64::from(protected),
        };
        self.request(UFFDIO_WRITEPROTECT, &mut request).map(|_| ())
    }

    /// Lets those go on that wait for pages in a range.
    pub(crate) fn wake(self, start: usize, bytes: usize) -> Result<(), Errno> {
        self.request(UFFDIO_WAKE, &mut range(start, bytes))
            .map(|_| ())
    }

    /// Waits for messages; how many came.
    pub(crate) fn read(self, events: &mut [Event]) -> Result<usize, Errno> {
        let bytes = call(
            libc::SYS_read,
            [
                self.0 as usize,
                events.as_mut_ptr() as usize,
                size_of_val(events),
            ],
        )?;
        Ok(bytes / size_of::<Event>())
    }
}

fn range(start: usize, bytes: usize) -> Range {
    Range {
        start: start as u64,
        bytes: bytes as u64,
    }
}

#[cfg(test)]
mod tests;
