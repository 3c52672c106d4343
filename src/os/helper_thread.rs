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
        let pointer = stack.thread_pointer() as *mut usize;
        // SAFETY: amid the mapping; the words are those that x86-64 code reads to find the thread
        // control block itself (tcb and self of tcbhead_t).
        unsafe {
            pointer.write(pointer as usize);
            pointer.add(2).write(pointer as usize);
        }
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
    // Linux 5.9.
    if call(libc::SYS_close_range, [0, u32::MAX as usize, 0, 0]) < 0 {
        for descriptor in 0..65_536 {
            call(libc::SYS_close, [descriptor, 0, 0, 0]);
        }
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
