//! Threads that libc knows nothing of: the program's own idea of how many it has stays right, its
//! descriptors and signals are its own, and setuid(2) does not wait for ours.
//!
//! They have a thread pointer of their own with zeroes around it, so that a function of libc which
//! sets errno does no harm; what needs more of libc than that must not be called.

use super::cpu::{self, raw_system_call};
use super::errno::Errno;
use super::{mapping, process};
use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

/// Room on both sides of a thread pointer: static thread-local storage of all libraries lies below
/// it on x86-64, above it on aarch64. Only what is touched is resident.
const THREAD_STORAGE_BYTES: usize = 1 << 20;

/// Memory for a thread: its stack, and what its thread pointer points into.
///
/// ```text
/// | guard | stack | thread-local storage | thread pointer ... |
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    /// The end of the stack, where it begins to grow down.
    top: usize,
}

impl Stack {
    /// Maps one of `bytes` (whole pages); `None` out of memory. It lives for ever.
    pub(crate) fn map(bytes: usize) -> Option<Stack> {
        let page = process::page_bytes();
        let whole = page + bytes + 2 * THREAD_STORAGE_BYTES;
        let start = mapping::map_sparse(whole)?;
        mapping::name(start, whole, c"glebe helper");
        mapping::protect(start, page, mapping::Protection::None);
        let stack = Stack {
            top: start + page + bytes,
        };
        // SAFETY: amid the mapping, of which nobody knows yet.
        unsafe { cpu::write_thread_control_block(stack.thread_pointer() as *mut usize) };
        Some(stack)
    }

    fn thread_pointer(self) -> usize {
        self.top + THREAD_STORAGE_BYTES
    }

    /// As a word, for a static.
    pub(crate) fn to_word(self) -> usize {
        self.top
    }

    /// The stack of such a word.
    pub(crate) fn from_word(top: usize) -> Stack {
        Stack { top }
    }
}

/// Which descriptors a thread has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Files {
    /// A copy of the caller's table, its own from then on.
    Copied,
    /// The caller's table.
    Shared,
}

const ALL_SIGNALS: u64 = !0;

fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: both words are of the kernel's size, 8 bytes.
    unsafe {
        raw_system_call(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                &raw const mask as usize,
                &raw mut before as usize,
                size_of::<u64>(),
                0,
                0,
            ],
        );
    }
    before
}

/// Starts a thread that runs `entry(argument)` with all signals blocked.
pub(crate) fn start(
    entry: extern "C" fn(usize) -> !,
    argument: usize,
    stack: Stack,
    files: Files,
) -> Result<(), Errno> {
    let mut flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS;
    if files == Files::Shared {
        flags |= libc::CLONE_FILES;
    }
    // The thread inherits the mask.
    let before = set_signal_mask(ALL_SIGNALS);
    // SAFETY: the flags ask for a thread; the stack was mapped for one at a multiple of the page
    // size, and callers do not use it for two at a time.
    let made = unsafe {
        cpu::make_thread(
            flags as usize,
            stack.top,
            stack.thread_pointer(),
            entry,
            argument,
        )
    };
    set_signal_mask(before);
    Errno::of(made).map(|_| ())
}

/// Names the calling thread, in at most 15 bytes.
pub(crate) fn set_name(name: &'static CStr) {
    call(
        libc::SYS_prctl,
        [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0],
    );
}

/// Ends the calling thread, not the process.
pub(crate) fn exit_thread() -> ! {
    loop {
        call(libc::SYS_exit, [0; 4]);
    }
}

/// Closes all descriptors of the calling thread's table.
pub(crate) fn close_all_descriptors() {
    close_descriptors(0, u32::MAX as usize);
}

/// The same for all but one.
pub(crate) fn close_all_descriptors_but(kept: usize) {
    if let Some(last) = kept.checked_sub(1) {
        close_descriptors(0, last);
    }
    close_descriptors(kept + 1, u32::MAX as usize);
}

fn close_descriptors(first: usize, last: usize) {
    // Linux 5.9.
    if call(libc::SYS_close_range, [first, last, 0, 0]) < 0 {
        for descriptor in first..=last.min(65_535) {
            call(libc::SYS_close, [descriptor, 0, 0, 0]);
        }
    }
}

/// The calling thread's number.
pub(crate) fn number() -> u32 {
    call(libc::SYS_gettid, [0; 4]) as u32
}

/// Waits until the thread of that number, which is about to end, is gone, and with it its use of
/// its stack.
pub(crate) fn wait_for_end(number: u32) {
    let process = call(libc::SYS_getpid, [0; 4]) as usize;
    let mut patience = Patience::new();
    // Signal 0 only asks.
    while call(libc::SYS_tgkill, [process, number as usize, 0, 0]) == 0 {
        patience.pause();
    }
}

fn call(number: i64, [a, b, c, d]: [usize; 4]) -> isize {
    // SAFETY: the calls of this file neither read nor write memory but the word of a futex, a
    // pause and a name, all alive.
    unsafe { raw_system_call(number, [a, b, c, d, 0, 0]) }
}

/// Sleeps while `word` holds `value`, at most `longest_ns` if told so; may wake without reason.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, longest_ns: Option<u64>) {
    let longest = longest_ns.map(|nanoseconds| libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    });
    let longest = longest
        .as_ref()
        .map_or(core::ptr::null(), core::ptr::from_ref);
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    call(
        libc::SYS_futex,
        [
            word.as_ptr() as usize,
            wait as usize,
            value as usize,
            longest as usize,
        ],
    );
}

/// Wakes all who sleep on `word`.
pub(crate) fn futex_wake_all(word: &AtomicU32) {
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    call(
        libc::SYS_futex,
        [word.as_ptr() as usize, wake as usize, i32::MAX as usize, 0],
    );
}

/// How to wait for what takes a system call or two: a moment at the processor, then after others,
/// then asleep, since who is waited for may need this very processor.
pub(crate) struct Patience {
    pauses: u32,
}

impl Patience {
    /// Fresh.
    pub(crate) const fn new() -> Patience {
        Patience { pauses: 0 }
    }

    /// Waits a little, longer each time.
    pub(crate) fn pause(&mut self) {
        self.pauses += 1;
        match self.pauses {
            0..64 => core::hint::spin_loop(),
            64..128 => {
                call(libc::SYS_sched_yield, [0; 4]);
            }
            _ => {
                let pause = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 50_000,
                };
                call(libc::SYS_nanosleep, [&raw const pause as usize, 0, 0, 0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    extern crate std;
    use std::boxed::Box;
    use std::{format, fs};

    /// What a thread and the test that started it tell each other.
    struct Shared {
        task: fn(&Shared),
        /// 0 until the task is done, 1 until the thread may end.
        state: AtomicU32,
        answer: AtomicUsize,
        thread_id: AtomicUsize,
        stack: Stack,
    }

    impl Shared {
        fn wait_while(&self, state: u32) {
            // Acquire pairs with the Release of `tell`.
            while self.state.load(Ordering::Acquire) == state {
                futex_wait(&self.state, state, None);
            }
        }

        fn tell(&self, state: u32) {
            self.state.store(state, Ordering::Release);
            futex_wake_all(&self.state);
        }
    }

    extern "C" fn run(argument: usize) -> ! {
        // SAFETY: what `start_task` made lives for ever.
        let shared = unsafe { &*(argument as *const Shared) };
        let thread_id = call(libc::SYS_gettid, [0; 4]).cast_unsigned();
        shared.thread_id.store(thread_id, Ordering::Relaxed);
        (shared.task)(shared);
        shared.tell(1);
        shared.wait_while(1);
        exit_thread()
    }

    /// Runs `task` in a thread, which waits afterwards.
    fn start_task(files: Files, task: fn(&Shared)) -> &'static Shared {
        let shared = Box::leak(Box::new(Shared {
            task,
            state: AtomicU32::new(0),
            answer: AtomicUsize::new(0),
            thread_id: AtomicUsize::new(0),
            stack: Stack::map(64 << 10).expect("memory"),
        }));
        let argument = core::ptr::from_ref(shared) as usize;
        start(run, argument, shared.stack, files).expect("a thread");
        shared.wait_while(0);
        shared
    }

    fn answer_of(files: Files, task: fn(&Shared)) -> usize {
        let shared = start_task(files, task);
        shared.tell(2);
        shared.answer.load(Ordering::Relaxed)
    }

    fn is_open(descriptor: i32) -> bool {
        call(
            libc::SYS_fcntl,
            [descriptor as usize, libc::F_GETFD as usize, 0, 0],
        ) >= 0
    }

    #[test]
    fn a_thread_belongs_to_the_process_has_its_name_and_ends_alone() {
        let shared = start_task(Files::Copied, |shared| {
            set_name(c"glebe test");
            let process = call(libc::SYS_getpid, [0; 4]);
            shared
                .answer
                .store(process.cast_unsigned(), Ordering::Relaxed);
        });
        let process = std::process::id() as usize;
        assert_eq!(shared.answer.load(Ordering::Relaxed), process);
        let thread_id = shared.thread_id.load(Ordering::Relaxed);
        let task = format!("/proc/self/task/{thread_id}");
        let name = fs::read_to_string(format!("{task}/comm"));
        assert_eq!(name.expect("a thread of ours"), "glebe test\n");
        shared.tell(2);
        while fs::exists(&task).expect("/proc") {
            std::thread::yield_now();
        }
    }

    #[test]
    fn all_signals_are_blocked_in_it_and_the_callers_are_as_they_were() {
        let before = set_signal_mask(1 << (libc::SIGUSR2 - 1));
        let in_thread = answer_of(Files::Copied, |shared| {
            let mask = set_signal_mask(ALL_SIGNALS);
            shared.answer.store(mask as usize, Ordering::Relaxed);
        });
        let after = set_signal_mask(before);
        assert_eq!(after, 1 << (libc::SIGUSR2 - 1));
        let never_blocked = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
        assert_eq!(in_thread as u64, ALL_SIGNALS & !never_blocked);
    }

    #[test]
    fn a_libc_function_that_sets_errno_sets_one_of_its_own() {
        let shared = start_task(Files::Copied, |shared| {
            // SAFETY: there is no such descriptor.
            unsafe { libc::close(-1) };
            if process::errno() == libc::EBADF {
                // SAFETY: the location of the calling thread's errno.
                let errno = unsafe { libc::__errno_location() };
                shared.answer.store(errno as usize, Ordering::Relaxed);
            }
        });
        shared.tell(2);
        let errno = shared.answer.load(Ordering::Relaxed);
        let storage = shared.stack.top..shared.stack.top + 2 * THREAD_STORAGE_BYTES;
        assert!(storage.contains(&errno), "{errno:#x}");
    }

    #[test]
    fn descriptors_are_its_own_or_the_processes() {
        let ours = call(libc::SYS_dup, [2, 0, 0, 0]) as i32;
        let left = answer_of(Files::Copied, |shared| {
            close_all_descriptors();
            let left = (0..1024).filter(|descriptor| is_open(*descriptor)).count();
            shared.answer.store(left, Ordering::Relaxed);
        });
        assert_eq!(left, 0);
        assert!(is_open(ours));
        call(libc::SYS_close, [ours as usize, 0, 0, 0]);

        let theirs = answer_of(Files::Shared, |shared| {
            // High, so that no other test gets the number when this one has closed it.
            let duplicate = [2, libc::F_DUPFD_CLOEXEC as usize, 900, 0];
            let theirs = call(libc::SYS_fcntl, duplicate).cast_unsigned();
            shared.answer.store(theirs, Ordering::Relaxed);
        });
        assert!(is_open(theirs as i32));
        call(libc::SYS_close, [theirs, 0, 0, 0]);
    }

    #[test]
    fn a_stack_ends_in_a_guard() {
        let bytes = 64 << 10;
        let stack = Stack::map(bytes).expect("memory");
        let end = format!("-{:x} ", stack.top - bytes);
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        let guard = maps.lines().find(|line| line.contains(&end));
        assert!(guard.is_some_and(|line| line.contains(" ---p ")), "{maps}");
        assert_eq!(Stack::from_word(stack.to_word()).top, stack.top);
    }

    #[test]
    fn a_wait_ends_when_its_time_is_over_or_the_word_is_another() {
        let word = AtomicU32::new(1);
        futex_wait(&word, 0, None);
        futex_wait(&word, 1, Some(1_000_000));
        futex_wait(&word, 1, Some(0));
    }

    #[test]
    fn a_thread_that_is_woken_goes_on() {
        let shared = start_task(Files::Shared, |shared| {
            let mut patience = Patience::new();
            for _ in 0..130 {
                patience.pause();
            }
            shared.answer.store(1, Ordering::Relaxed);
        });
        assert_eq!(shared.answer.load(Ordering::Relaxed), 1);
        shared.tell(2);
    }
}
