//! Start-up, in two steps. At the first allocation of the process forks are made noticeable: it
//! happens inside the loader, before any constructor, and may be anybody's, so nothing there takes
//! a lock of libc's or relies on more than its relocation. Among the constructors follows what
//! registers with libc. Whichever comes first reads the options; a process that allocates nothing
//! takes the second step alone. Where malloc is another's, as in a Rust program, the second step
//! waits for the first: a program that only has the library linked in, such as the launcher, takes
//! neither.

use super::fork;
use crate::config::{self, Statistics};
use crate::guard::fault;
use crate::large::idle_memory;
use crate::observe::{statistics, status_page};
use crate::os::{fault_signals, guard_pages, memory_limit, process};
use crate::pages::page_size;
use crate::paging;
use crate::report;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

static OPTIONS_READ: AtomicBool = AtomicBool::new(false);
static STARTED: AtomicBool = AtomicBool::new(false);
/// The constructors have run.
static LIBC_IS_UP: AtomicBool = AtomicBool::new(false);
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// The first step, once; whoever comes second while the first is at it goes on with what is there.
#[inline]
pub(super) fn once() {
    if !STARTED.load(Ordering::Relaxed) {
        first();
    }
}

#[cold]
fn first() {
    if STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    read_options();
    fork::prepare();
    // Then malloc is not ours, and no lock of libc's is held by whoever allocates here.
    if LIBC_IS_UP.load(Ordering::Relaxed) {
        after_libc();
    }
}

/// Whether the first step was taken: whether anything was ever allocated.
pub(super) fn has_begun() -> bool {
    STARTED.load(Ordering::Relaxed)
}

fn read_options() {
    if !OPTIONS_READ.swap(true, Ordering::Relaxed) {
        process::for_each_initial_variable(config::take_variable);
        let budget_bytes = config::budget_bytes(process::id(), memory_limit::memory_limit_bytes);
        if budget_bytes != 0 {
            paging::prepare(budget_bytes);
        }
        page_size::settle();
        if config::hardened() {
            config::harden();
        }
        if config::guard_by_mprotect() {
            guard_pages::use_protection();
        }
    }
}

/// Among the constructors, when libc is set up; `serves_malloc` says whether the process's malloc is
/// ours.
pub(crate) fn at_constructors(serves_malloc: bool) {
    LIBC_IS_UP.store(true, Ordering::Relaxed);
    // Here, since a program may have segments and regions of ours, and no block.
    status_page::offer();
    if serves_malloc || has_begun() {
        after_libc();
    }
}

/// The second step, once.
fn after_libc() {
    if REGISTERED.swap(true, Ordering::Relaxed) {
        return;
    }
    read_options();
    if config::guard_large() {
        fault_signals::watch(fault::is_ours);
    }
    fork::register();
    if config::statistics() != Statistics::Off {
        statistics::prepare();
        // Registered before the program's own, so it runs after them.
        // SAFETY: the function lives as long as the process.
        unsafe { libc::atexit(write_statistics) };
    }
    purge_thread();
}

extern "C" fn write_statistics() {
    statistics::write_at_exit();
}

/// Starts the helper thread if `GLEBE_PURGE=thread` asks for one. A child after fork gets none: a
/// thread that the program knows nothing of would keep it alive if its own threads end one by
/// one, and callers give memory back there.
fn purge_thread() {
    if !config::purge_thread() {
        return;
    }
    let _blocked = process::SignalsBlocked::new();
    let mut thread = core::mem::MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: the thread's function lives as long as the process, and takes no argument.
    let started = unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            core::ptr::null(),
            purge_for_ever,
            core::ptr::null_mut(),
        ) == 0
    };
    if started {
        // SAFETY: started just now, and joined by nobody.
        unsafe { libc::pthread_detach(thread.assume_init()) };
    } else {
        report::no_purge_thread();
    }
}

extern "C" fn purge_for_ever(_: *mut c_void) -> *mut c_void {
    loop {
        process::pause_ms((config::purge_delay_ms() / 4).max(10));
        idle_memory::settle();
    }
}
