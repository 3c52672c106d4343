//! SIGSEGV and SIGBUS, which are glebe's and the program's at once.
//!
//! From [`watch`] on the kernel has our handler for both, and the program's own action is virtual:
//! [`exchange`] sets and shows it, and what is no fault of ours reaches it as if the kernel had
//! delivered it. Most of that the kernel does itself, since our handler stands there with the
//! program's mask and flags: what it blocks, on which stack it runs, what it restarts. All that is
//! left for us to keep is one word for each signal, so the handler reads it without a lock.
//!
//! Two actions are the kernel's alone, and no fault is reported while they last: SIG_IGN, which
//! a program started by exec inherits, and a handler that was installed past us (the raw system
//! call; any call in a program that linked us without our doors).
//!
//! Everything here is async-signal-safe and allocates nothing.

use super::cpu;
use super::futex::Mutex;
use super::process::{self, ErrnoKept, SignalsBlocked};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
pub(crate) use libc::sigaction as Action;

/// What the faulting instruction wanted of the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// To read it, or to run it.
    Read,
    /// To write it.
    Write,
    /// The processor does not say.
    Unknown,
}

impl Access {
    /// As a report says it: what is not known counts as a read.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Access::Write => "write",
            Access::Read | Access::Unknown => "read",
        }
    }
}

/// A fault, as the kernel told it.
#[allow(dead_code, reason = "for the guards, which are still to come")]
pub(crate) struct Fault {
    /// The address that could not be accessed; 0 where the kernel does not know it.
    pub(crate) address: usize,
    /// How it was accessed.
    pub(crate) access: Access,
    /// The interrupted thread's registers; alive while the fault is handled.
    pub(crate) context: *const libc::ucontext_t,
}

/// Whether a fault is ours and dealt with: the instruction is tried again. Runs on the faulting
/// thread inside a signal handler.
pub(crate) type IsOurs = fn(&Fault) -> bool;

unsafe extern "C" {
    // libc's own sigaction under the name that is no door of ours. It sets the restorer, by which
    // debuggers and unwinders know a signal's frame.
    fn __sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int;
}

/// The program's handler, and those of its flags that the kernel's copy does not show, in a word.
/// No address of a function has the bits of the flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Disposition(usize);

impl Disposition {
    const DEFAULT: Disposition = Disposition(libc::SIG_DFL);
    /// Each flag that the kernel's copy hides, and its bit in the word.
    const HIDDEN: [(c_int, usize); 3] = [
        (libc::SA_SIGINFO, 1 << 63),
        (libc::SA_RESETHAND, 1 << 62),
        (libc::SA_ONSTACK, 1 << 61),
    ];
    const RESETS: usize = Disposition::HIDDEN[1].1;
    const HANDLER: usize = (1 << 56) - 1;

    /// `None` for what the kernel is to have unchanged.
    fn of(action: &Action) -> Option<Disposition> {
        let handler = action.sa_sigaction;
        if handler == libc::SIG_IGN || handler > Disposition::HANDLER || is_ours(action) {
            return None;
        }
        let hidden = Disposition::HIDDEN
            .iter()
            .filter(|(flag, _)| action.sa_flags & flag != 0);
        Some(Disposition(
            hidden.fold(handler, |word, (_, bit)| word | bit),
        ))
    }

    /// 0 is the default action.
    fn handler(self) -> usize {
        self.0 & Disposition::HANDLER
    }

    fn resets(self) -> bool {
        self.0 & Disposition::RESETS != 0
    }

    /// The same with the default action, as the kernel leaves it behind for SA_RESETHAND.
    fn reset(self) -> Disposition {
        Disposition(self.0 & !Disposition::HANDLER)
    }

    /// The action in whose place our handler stood as `kernel`.
    fn shown(self, kernel: &Action) -> Action {
        let mut action = *kernel;
        action.sa_sigaction = self.handler();
        for (flag, bit) in Disposition::HIDDEN {
            action.sa_flags &= !flag;
            if self.0 & bit != 0 {
                action.sa_flags |= flag;
            }
        }
        action
    }
}

/// Our handler, in the place of `action` of the program.
fn in_place_of(action: &Action) -> Action {
    let mut ours = *action;
    ours.sa_sigaction = handle as *const () as usize;
    ours.sa_flags |= libc::SA_SIGINFO;
    ours.sa_flags &= !libc::SA_RESETHAND;
    if action.sa_sigaction == libc::SIG_DFL {
        // A report is worth having from a thread whose own stack is at its end, too.
        ours.sa_flags |= libc::SA_ONSTACK;
    }
    ours
}

fn is_ours(action: &Action) -> bool {
    action.sa_sigaction == handle as *const () as usize
}

fn default_action() -> Action {
    // SAFETY: all zero is SIG_DFL, no flags, the empty mask and no restorer.
    unsafe { core::mem::zeroed() }
}

/// One of the two signals. The word changes under the lock (or by a handler that resets itself);
/// together with the kernel's action, so that both are of the same call.
struct Watched {
    signal: c_int,
    disposition: AtomicUsize,
}

static WATCHED: [Watched; 2] = [Watched::new(libc::SIGSEGV), Watched::new(libc::SIGBUS)];
static LOCK: Mutex<()> = Mutex::new(());
/// The process whose actions the words tell; 0 before `watch`. A child after vfork has actions of
/// its own, but our memory.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// An [`IsOurs`]; set before the kernel has our handler.
static IS_OURS: AtomicUsize = AtomicUsize::new(0);

impl Watched {
    const fn new(signal: c_int) -> Watched {
        Watched {
            signal,
            disposition: AtomicUsize::new(Disposition::DEFAULT.0),
        }
    }

    fn of(signal: c_int) -> Option<&'static Watched> {
        WATCHED.iter().find(|watched| watched.signal == signal)
    }

    fn disposition(&self) -> Disposition {
        Disposition(self.disposition.load(Ordering::Relaxed))
    }

    fn set_disposition(&self, disposition: Disposition) {
        self.disposition.store(disposition.0, Ordering::Relaxed);
    }

    /// The kernel's action; an error is errno's.
    fn kernel_action(&self) -> Result<Action, c_int> {
        let mut action = default_action();
        // SAFETY: `action` is valid for writes.
        match unsafe { __sigaction(self.signal, core::ptr::null(), &mut action) } {
            0 => Ok(action),
            _ => Err(process::errno()),
        }
    }

    /// Gives the kernel `action`; what it had. An error is errno's, and nothing changed.
    fn set_kernel_action(&self, action: &Action) -> Result<Action, c_int> {
        let mut old = default_action();
        // SAFETY: `action` is readable and `old` writable; a handler in it is ours or the
        // program's own.
        match unsafe { __sigaction(self.signal, action, &mut old) } {
            0 => Ok(old),
            _ => Err(process::errno()),
        }
    }

    /// `action` of the kernel as the program shall see it.
    fn shown(&self, action: Action) -> Action {
        if is_ours(&action) {
            self.disposition().shown(&action)
        } else {
            action
        }
    }

    /// Stands in for whatever the program has. What it installs past us meanwhile stays: it may.
    fn begin(&self) {
        let Ok(mut action) = self.kernel_action() else {
            return;
        };
        // The program may be about to change it, on a thread that does not see us watch yet.
        while let Some(disposition) = Disposition::of(&action) {
            self.set_disposition(disposition);
            match self.set_kernel_action(&in_place_of(&action)) {
                Ok(replaced) if !is_same(&replaced, &action) => action = replaced,
                _ => return,
            }
        }
    }

    /// The program's sigaction, for `new` if any; the old action. Under the lock.
    fn exchange(&self, new: Option<&Action>) -> Result<Action, c_int> {
        let before = self.disposition();
        let old = match new.map(|new| (new, Disposition::of(new))) {
            None => self.kernel_action()?,
            Some((new, None)) => self.set_kernel_action(new)?,
            Some((new, Some(disposition))) => {
                // First, since the kernel's action may become ours by the call.
                self.set_disposition(disposition);
                let old = self.set_kernel_action(&in_place_of(new));
                old.inspect_err(|_| self.set_disposition(before))?
            }
        };
        Ok(if is_ours(&old) {
            before.shown(&old)
        } else {
            old
        })
    }

    /// The program's handler for a signal that has come; 0 is the default action.
    fn take_handler(&self) -> usize {
        let mut disposition = self.disposition();
        while disposition.resets() && disposition.handler() != libc::SIG_DFL {
            if !is_own_process() {
                let _ = self.set_kernel_action(&default_action());
                break;
            }
            // Two threads may fault at once: one of them gets the handler.
            match self.disposition.compare_exchange(
                disposition.0,
                disposition.reset().0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => disposition = Disposition(now),
            }
        }
        disposition.handler()
    }

    /// Lets the default action, which ends the process, come about when our handler returns: by
    /// the same fault or, where that is no instruction's, by the same signal.
    fn end_by_default(&self, info: *mut libc::siginfo_t) {
        let _ = self.set_kernel_action(&default_action());
        // SAFETY: the kernel's, of the signal being handled.
        let code = unsafe { (*info).si_code };
        let of_no_instruction = self.signal == libc::SIGBUS && code == libc::BUS_MCEERR_AO;
        if code > 0 && !of_no_instruction {
            return;
        }
        let _kept = ErrnoKept::new();
        // SAFETY: the thread is this one, `info` is readable. The signal is blocked until our
        // handler returns, or comes at once.
        unsafe {
            let (process, thread) = (libc::getpid(), libc::gettid());
            let call = libc::SYS_rt_tgsigqueueinfo;
            if libc::syscall(call, process, thread, self.signal, info) != 0 {
                libc::syscall(libc::SYS_tgkill, process, thread, self.signal);
            }
        }
    }
}

/// Whether two actions do the same, as far as a program sets them.
fn is_same(left: &Action, right: &Action) -> bool {
    let blocks = |action: &Action, signal| {
        // SAFETY: an initialised set and a valid signal.
        unsafe { libc::sigismember(&action.sa_mask, signal) == 1 }
    };
    left.sa_sigaction == right.sa_sigaction
        && left.sa_flags == right.sa_flags
        && (1..=64).all(|signal| blocks(left, signal) == blocks(right, signal))
}

fn is_own_process() -> bool {
    PROCESS.load(Ordering::Relaxed) == process::id()
}

/// From now on SIGSEGV and SIGBUS that are faults reach `is_ours` first, and what that answers
/// false to, or is sent, reaches the program's own action. Only the first call counts. Keeps
/// errno; where the kernel refuses, everything is as it was.
#[allow(dead_code, reason = "for the guards, which are still to come")]
pub(crate) fn watch(is_ours: IsOurs) {
    if PROCESS.load(Ordering::Relaxed) != 0 {
        return;
    }
    let _kept = ErrnoKept::new();
    let _blocked = SignalsBlocked::new();
    let _lock = LOCK.lock();
    if PROCESS.load(Ordering::Relaxed) != 0 {
        return;
    }
    IS_OURS.store(is_ours as usize, Ordering::Relaxed);
    PROCESS.store(process::id(), Ordering::Relaxed);
    WATCHED.iter().for_each(Watched::begin);
}

/// In a child after fork: the words tell its actions too. Until this is called there, the child
/// changes its actions past us.
pub(crate) fn after_fork() {
    // SAFETY: the holder, if there was one, is not in this process.
    unsafe { LOCK.raw() }.reset();
    if PROCESS.load(Ordering::Relaxed) != 0 {
        PROCESS.store(process::id(), Ordering::Relaxed);
    }
}

/// sigaction(2) as the program means it: the same results, errors and errno.
///
/// # Safety
/// `new` is null or an action with a handler that may be called, `old` null or valid for writes.
pub(crate) unsafe fn exchange(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    let is_watched = PROCESS.load(Ordering::Relaxed) != 0;
    let Some(watched) = Watched::of(signal).filter(|_| is_watched) else {
        // SAFETY: as the caller's.
        return unsafe { __sigaction(signal, new, old) };
    };
    if !is_own_process() {
        // SAFETY: as the caller's.
        let status = unsafe { __sigaction(signal, new, old) };
        if status == 0 && !old.is_null() {
            // SAFETY: as the caller's; written just now.
            unsafe { *old = watched.shown(*old) };
        }
        return status;
    }
    // SAFETY: as the caller's. Read here and written below, so that a bad pointer faults while
    // the lock is free.
    let new = unsafe { new.as_ref() }.copied();
    let exchanged = {
        let _kept = ErrnoKept::new();
        let _blocked = SignalsBlocked::new();
        let _lock = LOCK.lock();
        watched.exchange(new.as_ref())
    };
    match exchanged {
        Ok(action) => {
            if !old.is_null() {
                // SAFETY: as the caller's.
                unsafe { *old = action };
            }
            0
        }
        Err(error) => {
            process::set_errno(error);
            -1
        }
    }
}

/// Whether `address` is where [`exchange`] would call libc.
pub(crate) fn is_libcs_sigaction(address: usize) -> bool {
    address == __sigaction as *const () as usize
}

cpu::signal_handler_door!(
    /// What the kernel calls. The program's handler, of either form since the kernel passes all
    /// three arguments to both, has no frame of ours below it: it may leave by siglongjmp or throw.
    handle,
    choose
);

/// The handler that is to have the signal; 0 for none.
extern "C" fn choose(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) -> usize {
    let Some(watched) = Watched::of(signal) else {
        return 0;
    };
    if is_dealt_with(info, context) {
        return 0;
    }
    let handler = watched.take_handler();
    if handler == libc::SIG_DFL {
        watched.end_by_default(info);
    }
    handler
}

/// Asks whose fault it is. Only the kernel's codes, which are above 0, tell of faults.
fn is_dealt_with(info: *const libc::siginfo_t, context: *const c_void) -> bool {
    // SAFETY: the kernel's, of the signal being handled.
    let info = unsafe { &*info };
    if info.si_code <= 0 {
        return false;
    }
    let _kept = ErrnoKept::new();
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: set by `watch` before this could run, from a function of this type.
    let is_ours: IsOurs =
        unsafe { core::mem::transmute(IS_OURS.load(Ordering::Relaxed) as *const ()) };
    is_ours(&Fault {
        // SAFETY: a fault's information has an address.
        address: unsafe { info.si_addr() } as usize,
        // SAFETY: the kernel's context of this fault.
        access: match unsafe { cpu::fault_writes(context) } {
            Some(true) => Access::Write,
            Some(false) => Access::Read,
            None => Access::Unknown,
        },
        context,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn program_handler(_: c_int) {}

    fn action(flags: c_int) -> Action {
        let mut action = default_action();
        action.sa_sigaction = program_handler as *const () as usize;
        action.sa_flags = flags;
        // SAFETY: an initialised set and a valid signal.
        unsafe { libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1) };
        action
    }

    #[test]
    fn an_action_reads_back_as_it_was_set_whatever_its_flags() {
        let flags = [
            libc::SA_SIGINFO,
            libc::SA_RESETHAND,
            libc::SA_ONSTACK,
            libc::SA_NODEFER,
            libc::SA_RESTART,
        ];
        for choice in 0..1 << flags.len() {
            let chosen = (0..flags.len()).filter(|bit| choice >> bit & 1 == 1);
            let mut set = action(chosen.fold(0, |all, bit| all | flags[bit]));
            for handler in [set.sa_sigaction, libc::SIG_DFL] {
                set.sa_sigaction = handler;
                let kernel = in_place_of(&set);
                assert!(is_ours(&kernel));
                assert_eq!(kernel.sa_flags & libc::SA_RESETHAND, 0);
                let shown = Disposition::of(&set).expect("a handler").shown(&kernel);
                assert!(is_same(&shown, &set), "{choice:b}");
            }
        }
    }

    #[test]
    fn a_handler_that_resets_itself_leaves_its_flags_and_the_default_action() {
        let set = action(libc::SA_RESETHAND | libc::SA_SIGINFO);
        let left = Disposition::of(&set).expect("a handler").reset();
        assert_eq!(left.handler(), libc::SIG_DFL);
        assert_eq!(left.shown(&in_place_of(&set)).sa_flags, set.sa_flags);
    }

    #[test]
    fn ignoring_and_our_own_handler_are_left_to_the_kernel() {
        let mut set = action(0);
        assert_eq!(Disposition::of(&in_place_of(&set)), None);
        set.sa_sigaction = libc::SIG_IGN;
        assert_eq!(Disposition::of(&set), None);
        set.sa_sigaction = libc::SIG_ERR;
        assert_eq!(Disposition::of(&set), None);
    }
}
