//! Which cache a thread works with: its own, taken at its first allocation; or, in a signal
//! handler that interrupted us and after the thread's exit has run, one borrowed for the moment.

use super::{fork, hardened, start};
use crate::cache::pool;
use crate::cache::thread_cache::ThreadCache;
use crate::config;
use crate::os::process::SignalsBlocked;
use crate::os::thread_slot::{BUSY, Owner, ThreadSlot};
use crate::small::size_class::DIRECT_MAX_BYTES;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

/// Calls `work` with a cache that nobody else touches meanwhile; `None` if there is none to be
/// had. The slot must be ready.
pub(crate) fn with_cache<T>(work: impl FnOnce(&'static ThreadCache) -> T) -> Option<T> {
    fork::notice();
    let slot = ThreadSlot::current();
    let word = slot.word();
    if word & BUSY == 0 {
        slot.take(word);
        // SAFETY: a word that is not busy is a cache's address.
        let result = work(unsafe { ThreadCache::from_address(word) });
        slot.put(word);
        return Some(result);
    }
    if slot.owner() == Owner::NoCacheYet {
        with_first_cache(slot, work)
    } else {
        with_borrowed_cache(work)
    }
}

/// The thread's first need of a cache.
#[cold]
fn with_first_cache<T>(
    slot: ThreadSlot,
    work: impl FnOnce(&'static ThreadCache) -> T,
) -> Option<T> {
    match take_first(slot) {
        First::Taken(cache) => {
            let result = work(cache);
            slot.open(cache.address(), fast_path_limit());
            Some(result)
        }
        First::TakenBefore => with_cache(work),
        First::None => None,
    }
}

/// A thread's first cache.
enum First {
    /// It has one now, and whoever took it opens the slot.
    Taken(&'static ThreadCache),
    /// A signal handler has taken one for the thread meanwhile.
    TakenBefore,
    /// There is none to be had.
    None,
}

/// Takes a cache for the thread. Apart from its callers, of which there is one for each request.
#[inline(never)]
fn take_first(slot: ThreadSlot) -> First {
    start::once();
    let cache = {
        let _blocked = SignalsBlocked::new();
        if slot.owner() != Owner::NoCacheYet {
            return First::TakenBefore;
        }
        let Some(cache) = pool::take() else {
            return First::None;
        };
        // From here to `open`, a signal handler and what pthread_setspecific may allocate borrow.
        slot.own(cache.address());
        cache
    };
    register_exit(cache);
    First::Taken(cache)
}

/// Requests below these bytes take the fast path.
fn fast_path_limit() -> usize {
    if config::hardened() || config::samples_every_request() {
        0
    } else {
        DIRECT_MAX_BYTES + 1
    }
}

#[cold]
fn with_borrowed_cache<T>(work: impl FnOnce(&'static ThreadCache) -> T) -> Option<T> {
    let cache = pool::take()?;
    let result = work(cache);
    hardened::end_quarantine(cache);
    cache.close();
    pool::put_back(cache);
    Some(result)
}

/// The key whose destructor ends a thread's cache, plus 1; 0 before it was created.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// Arranges for `end` to run at the thread's exit. glibc runs key destructors after those of
/// C++ and Rust thread-locals; a key taken this early is below 32, for which setting it
/// allocates nothing.
fn register_exit(cache: &'static ThreadCache) {
    let mut key = EXIT_KEY.load(Ordering::Relaxed);
    if key == 0 {
        let mut new = 0;
        // SAFETY: `new` is valid for writes; `end` fits the destructor's type.
        if unsafe { libc::pthread_key_create(&mut new, Some(end)) } != 0 {
            return;
        }
        match EXIT_KEY.compare_exchange(0, new + 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => key = new + 1,
            Err(earlier) => {
                // SAFETY: the key was created just now and nobody has seen it.
                unsafe { libc::pthread_key_delete(new) };
                key = earlier;
            }
        }
    }
    // SAFETY: the key exists for ever.
    unsafe { libc::pthread_setspecific(key - 1, cache.address() as *const c_void) };
}

/// The thread's exit: its cache goes back to the pool. What the thread still allocates or frees
/// afterwards borrows a cache each time.
extern "C" fn end(cache: *mut c_void) {
    ThreadSlot::current().end();

    // SAFETY: `register_exit` stored a cache's address.
    let cache = unsafe { ThreadCache::from_address(cache as usize) };
    hardened::end_quarantine(cache);
    cache.close();
    pool::put_back(cache);
}
