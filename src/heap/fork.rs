//! Forks. No lock of ours is held across one and no handler runs before it: the child, which has
//! one thread, leaves behind what the other threads may have been in the middle of.
//!
//! The child's memory is not a snapshot of one instant: pages are copied one after the other
//! while other threads write. So in the child of a multi-threaded program
//! - the forking thread's own slabs are right (it was in fork, not in malloc);
//! - every other slab is *retired* when it is first touched: its blocks count as used, and what
//!   is freed from now on is issued again (`Slab::claim`);
//! - stacks and inboxes, whose links lie in other pages than their heads, are forgotten;
//! - free granules that were clean may have been written to: none is trusted to be zero;
//! - the program break is not moved any more;
//! - locks are reset.
//!
//! In the child of a program in which only the forking thread ever allocated nothing of this is
//! needed, and nothing is lost.

use super::start;
use crate::cache::pool;
use crate::cache::thread_cache::ThreadCache;
use crate::guard::sampled_slots;
use crate::os::fault_signals;
use crate::os::process::ErrnoKept;
use crate::os::thread_slot::{Owner, ThreadSlot};
use crate::os::wiped_word::WipedWord;
use crate::pages::{chunk, purge, source};
use crate::paging;
use crate::small::{orphans, slab};

static WIPED: WipedWord = WipedWord::new();

/// Makes forks noticeable from the first allocation on.
pub(super) fn prepare() {
    WIPED.arm();
}

/// Registers a handler too, where libc is set up: it serves where the kernel refuses to wipe.
pub(super) fn register() {
    unsafe extern "C" {
        // What pthread_atfork, which is in each library's own text, calls: a page less.
        fn __register_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
            library: *const core::ffi::c_void,
        ) -> i32;
    }
    // SAFETY: the handler lives as long as the process; since the library is never unloaded, it
    // needs no handle to be removed by.
    unsafe {
        __register_atfork(
            Some(before),
            Some(in_parent),
            Some(in_child),
            core::ptr::null(),
        );
    }
}

/// Called where a slow path begins: notices a fork that ran no handler.
#[inline]
pub(crate) fn notice() {
    if WIPED.was_wiped() {
        recover();
    }
}

/// A fork that runs no handlers: `fork` answers 0 in the child.
pub(crate) fn around(fork: extern "C" fn() -> i32) -> i32 {
    paging::before_fork();
    let child = fork();
    if child == 0 {
        in_child();
    } else {
        let _kept = ErrnoKept::new();
        paging::after_fork_in_parent();
    }
    child
}

extern "C" fn before() {
    paging::before_fork();
    // Now that nothing leaves memory any more.
    paging::touch_streams();
}

extern "C" fn in_parent() {
    paging::after_fork_in_parent();
}

extern "C" fn in_child() {
    if start::has_begun() {
        recover();
    }
}

#[cold]
fn recover() {
    WIPED.arm();
    // First: what follows touches blocks.
    paging::after_fork_in_child();
    let own_cache = match ThreadSlot::current().owner() {
        // SAFETY: what the slot holds is a cache's address.
        Owner::Cache(address) => Some(unsafe { ThreadCache::from_address(address) }),
        Owner::NoCacheYet | Owner::Ended => None,
    };
    fault_signals::after_fork();
    source::reset_lock();
    purge::reset();
    sampled_slots::after_fork();
    let own_caches = usize::from(own_cache.is_some());
    if pool::in_use() <= own_caches {
        return;
    }
    let generation = slab::next_generation();
    if let Some(cache) = own_cache {
        cache.survive_fork(generation);
    }
    pool::abandon(own_caches);
    orphans::abandon();
    chunk::distrust_clean();
    source::lose_break();
}
