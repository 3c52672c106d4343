//! The process: page size, clock, the initial stack, errno, standard error, signals.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the kernel's page.
#[inline]
pub(crate) fn page_bytes() -> usize {
    match PAGE_BYTES.load(Ordering::Relaxed) {
        0 => read_page_bytes(),
        bytes => bytes,
    }
}

#[cold]
fn read_page_bytes() -> usize {
    // SAFETY: getauxval has no preconditions and does not set errno for AT_PAGESZ.
    let bytes = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    let bytes = if bytes.is_power_of_two() { bytes } else { 4096 };
    PAGE_BYTES.store(bytes, Ordering::Relaxed);
    bytes
}

/// Milliseconds of the coarse monotonic clock; 0 where it cannot be read.
pub(crate) fn now_ms() -> u64 {
    read_clock_ns(libc::CLOCK_MONOTONIC_COARSE) / 1_000_000
}

/// Nanoseconds of the monotonic clock; 0 where it cannot be read.
pub(crate) fn now_ns() -> u64 {
    read_clock_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds that the calling thread has run on a processor; 0 where that cannot be read. A
/// system call.
pub(crate) fn thread_ns() -> u64 {
    read_clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read_clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return 0;
    }
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Sleeps.
pub(crate) fn pause_ms(milliseconds: u64) {
    let pause = libc::timespec {
        tv_sec: (milliseconds / 1000).cast_signed(),
        tv_nsec: (milliseconds % 1000 * 1_000_000).cast_signed(),
    };
    // SAFETY: `pause` is valid for reads.
    unsafe { libc::nanosleep(&pause, core::ptr::null_mut()) };
}

/// Keeps errno as it was, from its making to its drop.
pub(crate) struct ErrnoKept(c_int);

impl ErrnoKept {
    /// Remembers errno.
    pub(crate) fn new() -> ErrnoKept {
        // SAFETY: the location is valid for the calling thread.
        ErrnoKept(unsafe { *libc::__errno_location() })
    }
}

impl Drop for ErrnoKept {
    fn drop(&mut self) {
        set_errno(self.0);
    }
}

/// Sets errno.
pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the location is valid for the calling thread.
    unsafe { *libc::__errno_location() = value };
}

/// errno.
pub(crate) fn errno() -> c_int {
    // SAFETY: the location is valid for the calling thread.
    unsafe { *libc::__errno_location() }
}

/// Writes `text` to descriptor `fd` with one write(2); what cannot be written is lost. A thread of
/// ours with a table of descriptors of its own writes to the program's descriptor `fd`.
pub(crate) fn write_once(fd: c_int, text: &[u8]) {
    let _kept = ErrnoKept::new();
    // SAFETY: `text` is readable for its length.
    let write = |fd| unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    if write(fd) < 0
        && [libc::EBADF, libc::EINVAL].contains(&errno())
        && let Some(copy) = copy_of_first_threads(fd)
    {
        write(copy);
        // SAFETY: the copy is ours.
        unsafe { libc::close(copy) };
    }
}

/// A copy of descriptor `fd` of the thread that the process began with (Linux 5.6).
fn copy_of_first_threads(fd: c_int) -> Option<c_int> {
    // SAFETY: the calls read no memory.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as c_int;
        if process < 0 {
            return None;
        }
        let copy = libc::syscall(libc::SYS_pidfd_getfd, process, fd, 0) as c_int;
        libc::close(process);
        (copy >= 0).then_some(copy)
    }
}

/// Appends `text` to the file `path` with one write(2); whether that worked.
pub(crate) fn append_to_file(path: &CStr, text: &[u8]) -> bool {
    let _kept = ErrnoKept::new();
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: `path` ends in NUL.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o644) };
    if fd < 0 {
        return false;
    }
    // SAFETY: `text` is readable for its length and `fd` is ours.
    let written = unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    // SAFETY: `fd` is ours.
    unsafe { libc::close(fd) };
    written == text.len().cast_signed()
}

/// The whole number that the file `path` begins with; `None` where it cannot be read or has none.
pub(crate) fn read_number(path: &CStr) -> Option<usize> {
    let _kept = ErrnoKept::new();
    let mut text = [0u8; 32];
    // SAFETY: `path` ends in NUL.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: `text` is writable for its length and `fd` is ours.
    let read = unsafe { libc::read(fd, text.as_mut_ptr().cast(), text.len()) };
    // SAFETY: `fd` is ours.
    unsafe { libc::close(fd) };
    let digits = text.get(..usize::try_from(read).ok()?)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = digits.get(..end.unwrap_or(digits.len()))?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Standard error as it was at some moment, kept open under a high number of its own: programs
/// that close theirs before they exit (coreutils do) are heard out all the same.
pub(crate) struct KeptStandardError {
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl KeptStandardError {
    /// Nothing kept.
    pub(crate) const fn new() -> KeptStandardError {
        KeptStandardError {
            fd: AtomicI32::new(-1),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
        }
    }

    /// Keeps it; without effect where it is closed.
    pub(crate) fn keep(&self) {
        let _kept = ErrnoKept::new();
        // SAFETY: fcntl with F_DUPFD_CLOEXEC has no preconditions.
        let fd = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 512) };
        if let Some((device, inode)) = identity(fd) {
            self.device.store(device, Ordering::Relaxed);
            self.inode.store(inode, Ordering::Relaxed);
            self.fd.store(fd, Ordering::Relaxed);
        }
    }

    /// Writes `text` to it with one write(2), unless the program has closed it meanwhile, or
    /// opened something else under its number.
    pub(crate) fn write(&self, text: &[u8]) {
        let _kept = ErrnoKept::new();
        let fd = self.fd.load(Ordering::Relaxed);
        let known = (
            self.device.load(Ordering::Relaxed),
            self.inode.load(Ordering::Relaxed),
        );
        if identity(fd) == Some(known) {
            write_once(fd, text);
        }
    }
}

/// Device and inode of what is open as `fd`.
fn identity(fd: c_int) -> Option<(u64, u64)> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `status` is valid for writes, and initialised on success.
    unsafe {
        if fd < 0 || libc::fstat(fd, status.as_mut_ptr()) != 0 {
            return None;
        }
        let status = status.assume_init();
        Some((status.st_dev, status.st_ino))
    }
}

/// The process identifier.
pub(crate) fn id() -> i32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() }
}

/// The calling thread's identifier.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() }
}

/// Ends the process without any of its exit handlers.
pub(crate) fn exit_at_once(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Raises SIGABRT.
pub(crate) fn abort() -> ! {
    // SAFETY: abort has no preconditions.
    unsafe { libc::abort() }
}

/// The name the program was started under, at most 255 bytes; empty where unknown.
pub(crate) fn program_name() -> &'static [u8] {
    unsafe extern "C" {
        static program_invocation_short_name: *const c_char;
    }
    // SAFETY: glibc's variable; read only after start-up.
    let name = unsafe { program_invocation_short_name };
    if name.is_null() {
        return b"";
    }
    // SAFETY: glibc keeps it pointing to a string that ends in NUL.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    bytes.get(..255).unwrap_or(bytes)
}

/// Calls `each(name=value)` for the environment the process was started with, read from its
/// initial stack, so that it works before libc has set `environ` up. Nothing is passed where the
/// kernel marked the start as privileged (AT_SECURE).
pub(crate) fn for_each_initial_variable(mut each: impl FnMut(&'static [u8])) {
    unsafe extern "C" {
        static __libc_stack_end: *const usize;
    }
    // SAFETY: the loader's variable, set before anything of ours runs.
    let stack = unsafe { __libc_stack_end };
    // SAFETY: getauxval has no preconditions.
    if stack.is_null() || unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return;
    }
    // SAFETY: the stack's top holds argc, argv[argc], 0, envp[], 0 (System V ABI).
    let argument_count = unsafe { *stack };
    if argument_count > 1 << 22 {
        return;
    }
    // SAFETY: as above.
    let mut variable = unsafe { stack.add(argument_count + 2) }.cast::<*const c_char>();
    loop {
        // SAFETY: within the vector, which ends in a null pointer.
        let text = unsafe { *variable };
        if text.is_null() {
            return;
        }
        // SAFETY: each entry is a string that ends in NUL, alive as long as the process.
        each(unsafe { CStr::from_ptr(text) }.to_bytes());
        // SAFETY: not yet at the end.
        variable = unsafe { variable.add(1) };
    }
}

/// Bytes of address space that the process may have (RLIMIT_AS); `usize::MAX` where there is no
/// limit.
pub(crate) fn address_space_limit() -> usize {
    let _kept = ErrnoKept::new();
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: valid for writes; on an error it stays as it is.
    unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// All signals blocked for this thread, from its making to its drop: whoever holds a lock of
/// ours is not interrupted by a handler that would want it too.
pub(crate) struct SignalsBlocked {
    before: libc::sigset_t,
}

impl SignalsBlocked {
    /// Blocks them.
    pub(crate) fn new() -> SignalsBlocked {
        let mut all = core::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = core::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: both sets are valid for writes; sigfillset initialises `all`; zero is a valid
        // set, should the mask not be readable.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            SignalsBlocked {
                before: before.assume_init(),
            }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: `before` is a valid set.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, core::ptr::null_mut());
        }
    }
}

/// Blocks `signal` for this thread, or lets it come; whether it was blocked before. An error is
/// errno's.
pub(crate) fn set_blocked(signal: c_int, blocked: bool) -> Result<bool, c_int> {
    let how = if blocked {
        libc::SIG_BLOCK
    } else {
        libc::SIG_UNBLOCK
    };
    // SAFETY: zero is a valid set; all are initialised and valid for writes.
    unsafe {
        let mut set = core::mem::zeroed::<libc::sigset_t>();
        let mut before = core::mem::zeroed::<libc::sigset_t>();
        if libc::sigaddset(&mut set, signal) != 0 {
            return Err(errno());
        }
        match libc::pthread_sigmask(how, &set, &mut before) {
            0 => Ok(libc::sigismember(&before, signal) == 1),
            error => Err(error),
        }
    }
}
