//! sigaction and its kin, by POSIX.1-2024 and glibc. What a program sets for SIGSEGV and SIGBUS is
//! kept beside ours (`os/fault_signals`); for every other signal these are libc's.
//!
//! Where another library behind us has a sigaction of its own (a virtual machine's, which chains
//! the program's handlers to its own), calls go there: what it installs replaces our handler, so
//! faults are not reported any more, and the program runs as it would without us.
//!
//! All are thread-safe and async-signal-safe. The dynamic linker is asked once, at the first call:
//! no handler runs before a program has made one.

use crate::os::fault_signals::{self, Action};
use crate::os::{linker, process};
use core::ffi::{CStr, c_int};
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicU64, Ordering};
use once_cell::race::OnceNonZeroUsize;

const LAST_SIGNAL: c_int = 64;

/// siginterrupt's: the signals, by bit, for which `signal` sets no SA_RESTART.
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// Whether another library's sigaction stands behind ours.
fn another_stands_behind() -> bool {
    const NONE: NonZeroUsize = NonZeroUsize::new(1).expect("1 is not 0");
    static NEXT: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let next = NEXT.get_or_init(|| {
        let _kept = process::ErrnoKept::new();
        NonZeroUsize::new(linker::next_symbol(c"sigaction")).unwrap_or(NONE)
    });
    next != NONE && !fault_signals::is_libcs_sigaction(next.get())
}

/// The other library's function of that name, or libc's, if another's sigaction stands behind.
fn behind(name: &CStr) -> Option<NonZeroUsize> {
    if another_stands_behind() {
        NonZeroUsize::new(linker::next_symbol(name))
    } else {
        None
    }
}

/// sigaction.
///
/// # Safety
/// As sigaction(2): `new` is null or readable, `old` null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_sigaction(
    signal: c_int,
    new: *const Action,
    old: *mut Action,
) -> c_int {
    match behind(c"sigaction") {
        Some(next) => {
            // SAFETY: sigaction's address and type.
            let next: unsafe extern "C" fn(c_int, *const Action, *mut Action) -> c_int =
                unsafe { core::mem::transmute(next.get()) };
            // SAFETY: as the caller's.
            unsafe { next(signal, new, old) }
        }
        // SAFETY: as the caller's.
        None => unsafe { fault_signals::exchange(signal, new, old) },
    }
}

/// Calls `name` of the library behind us, of signal's type, if there is one.
fn signal_behind(name: &CStr, signal: c_int, handler: usize) -> Option<usize> {
    let next = behind(name)?;
    // SAFETY: `signal`'s address, or that of a function of its type.
    let next: extern "C" fn(c_int, usize) -> usize = unsafe { core::mem::transmute(next.get()) };
    Some(next(signal, handler))
}

/// Calls `name` of the library behind us with numbers, if there is one.
fn call_behind(name: &CStr, signal: c_int, value: c_int) -> Option<c_int> {
    let next = behind(name)?;
    // SAFETY: siginterrupt's address, or sigignore's, which leaves the second argument alone.
    let next: extern "C" fn(c_int, c_int) -> c_int = unsafe { core::mem::transmute(next.get()) };
    Some(next(signal, value))
}

fn is_signal(signal: c_int) -> bool {
    (1..=LAST_SIGNAL).contains(&signal)
}

/// SIG_ERR with errno.
fn refuse(error: c_int) -> usize {
    process::set_errno(error);
    ::libc::SIG_ERR
}

/// Sets an action; the handler before, or SIG_ERR with errno set. `masked`: the signal is blocked
/// while its handler runs, by the mask too.
fn set(signal: c_int, handler: usize, flags: c_int, masked: bool) -> usize {
    // SAFETY: all zero is a valid action.
    let (mut new, mut old): (Action, Action) = unsafe { core::mem::zeroed() };
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    if masked {
        // SAFETY: an initialised set, and a signal that the caller has checked.
        unsafe { ::libc::sigaddset(&mut new.sa_mask, signal) };
    }
    // SAFETY: both are valid; the handler is the program's.
    match unsafe { fault_signals::exchange(signal, &new, &mut old) } {
        0 => old.sa_sigaction,
        _ => ::libc::SIG_ERR,
    }
}

/// signal, as BSD's: the handler stays, calls are restarted (but see [`glebe_siginterrupt`]).
/// `handler` is a function's address, SIG_DFL or SIG_IGN; so is the answer, or SIG_ERR with errno.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_signal(signal: c_int, handler: usize) -> usize {
    if let Some(answer) = signal_behind(c"signal", signal, handler) {
        return answer;
    }
    if handler == ::libc::SIG_ERR || !is_signal(signal) {
        return refuse(::libc::EINVAL);
    }
    let interrupts = INTERRUPTS.load(Ordering::Relaxed) >> (signal - 1) & 1 == 1;
    let flags = if interrupts { 0 } else { ::libc::SA_RESTART };
    set(signal, handler, flags, true)
}

/// sysv_signal: signal as System V's, where the handler serves once and is not protected from
/// itself.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_sysv_signal(signal: c_int, handler: usize) -> usize {
    if let Some(answer) = signal_behind(c"sysv_signal", signal, handler) {
        return answer;
    }
    // What glibc sets too: in the kernel's words, that calls are not restarted.
    const SA_INTERRUPT: c_int = 0x2000_0000;
    if handler == ::libc::SIG_ERR || !is_signal(signal) {
        return refuse(::libc::EINVAL);
    }
    let flags = ::libc::SA_RESETHAND | ::libc::SA_NODEFER | SA_INTERRUPT;
    set(signal, handler, flags, false)
}

/// sigset: signal, or with SIG_HOLD (2) blocks. The answer is SIG_HOLD where it was blocked.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_sigset(signal: c_int, handler: usize) -> usize {
    const SIG_HOLD: usize = 2;
    if let Some(answer) = signal_behind(c"sigset", signal, handler) {
        return answer;
    }
    if handler == ::libc::SIG_ERR || !is_signal(signal) {
        return refuse(::libc::EINVAL);
    }
    let before = if handler == SIG_HOLD {
        // SAFETY: all zero is a valid action.
        let mut action: Action = unsafe { core::mem::zeroed() };
        // SAFETY: `action` is valid for writes.
        match unsafe { fault_signals::exchange(signal, core::ptr::null(), &mut action) } {
            0 => action.sa_sigaction,
            _ => ::libc::SIG_ERR,
        }
    } else {
        set(signal, handler, 0, false)
    };
    if before == ::libc::SIG_ERR {
        return before;
    }
    match process::set_blocked(signal, handler == SIG_HOLD) {
        Ok(true) => SIG_HOLD,
        Ok(false) => before,
        Err(error) => refuse(error),
    }
}

/// sigignore: 0, or -1 with errno set.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_sigignore(signal: c_int) -> c_int {
    if let Some(answer) = call_behind(c"sigignore", signal, 0) {
        return answer;
    }
    match set(signal, ::libc::SIG_IGN, 0, false) {
        ::libc::SIG_ERR => -1,
        _ => 0,
    }
}

/// siginterrupt: whether `signal`'s handler interrupts system calls, for the action there is and
/// for those that [`glebe_signal`] sets later. 0, or -1 with errno set.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_siginterrupt(signal: c_int, interrupts: c_int) -> c_int {
    if let Some(answer) = call_behind(c"siginterrupt", signal, interrupts) {
        return answer;
    }
    // SAFETY: all zero is a valid action.
    let mut action: Action = unsafe { core::mem::zeroed() };
    // SAFETY: `action` is valid for writes.
    if unsafe { fault_signals::exchange(signal, core::ptr::null(), &mut action) } != 0 {
        return -1;
    }
    let bit = 1 << (signal - 1);
    if interrupts == 0 {
        INTERRUPTS.fetch_and(!bit, Ordering::Relaxed);
        action.sa_flags |= ::libc::SA_RESTART;
    } else {
        INTERRUPTS.fetch_or(bit, Ordering::Relaxed);
        action.sa_flags &= !::libc::SA_RESTART;
    }
    // SAFETY: what was read, but for a flag.
    unsafe { fault_signals::exchange(signal, &action, core::ptr::null_mut()) }
}
