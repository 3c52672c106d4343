//! Every thread cache there is. Caches are numbered, never unmapped, and change hands: a thread
//! takes one at its first allocation and returns it, emptied, when it ends.

use super::thread_cache::{CACHE_BYTES, ThreadCache};
use crate::base::shared::SharedUsize;
use crate::base::tagged_stack::TaggedStack;
use crate::metadata::directory::{Directory, ZeroIsValid};
use core::sync::atomic::Ordering;

/// A cache and the space up to the next, so that two threads share no page.
#[repr(C, align(4096))]
pub(crate) struct Place {
    cache: ThreadCache,
}

const _: () = assert!(size_of::<Place>() == CACHE_BYTES);

// SAFETY: as `ThreadCache`.
unsafe impl ZeroIsValid for Place {}

static PLACES: Directory<Place, 4096, 256> = Directory::new();
static COUNT: SharedUsize = SharedUsize::new(0);
static IDLE: TaggedStack = TaggedStack::new();
static IN_USE: SharedUsize = SharedUsize::new(0);

/// Node numbers are cache numbers plus 1, since node 0 is nobody.
fn by_node(node: u32) -> Option<&'static ThreadCache> {
    Some(&PLACES.get(node.checked_sub(1)? as usize)?.cache)
}

/// Caches that are in use by threads.
pub(crate) fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

/// Takes an idle cache, or makes one; `None` out of memory. Nobody else uses it until
/// [`put_back`].
pub(crate) fn take() -> Option<&'static ThreadCache> {
    IN_USE.fetch_add(1, Ordering::Relaxed);
    let cache = take_idle().or_else(|| {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let cache = &PLACES.ensure(number)?.cache;
        cache.set_node(u32::try_from(number + 1).ok()?);
        Some(cache)
    });
    match cache {
        Some(cache) => cache.open(),
        None => {
            IN_USE.fetch_sub(1, Ordering::Relaxed);
        }
    }
    cache
}

fn take_idle() -> Option<&'static ThreadCache> {
    let link = |node| by_node(node).map_or(0, ThreadCache::pool_link);
    by_node(IDLE.pop(link)?)
}

/// Returns a cache that was closed.
pub(crate) fn put_back(cache: &'static ThreadCache) {
    IDLE.push(cache.node(), |next| cache.set_pool_link(next));
    IN_USE.fetch_sub(1, Ordering::Relaxed);
}

/// Calls `each` with every cache that a thread uses.
pub(crate) fn for_each_in_use(mut each: impl FnMut(&'static ThreadCache)) {
    let mut visited = 0;
    while visited < COUNT.load(Ordering::Relaxed) {
        visited += 1;
        let Some(cache) = by_node(u32::try_from(visited).unwrap_or(0)) else {
            return;
        };
        if cache.is_in_use() {
            each(cache);
        }
    }
}

/// Routes the blocks that reached idle caches after they were closed; `own` is the caller's.
pub(crate) fn drain_idle(own: &'static ThreadCache) {
    let mut visited = 0;
    while visited < COUNT.load(Ordering::Relaxed) {
        let Some(cache) = by_node(u32::try_from(visited + 1).unwrap_or(0)) else {
            break;
        };
        if cache.is_idle() && !cache.inbox_is_empty() {
            own.reroute_inbox_of(cache);
        }
        visited += 1;
    }
}

/// In a child after fork of a multi-threaded program: the other threads' caches are left behind,
/// and so are idle ones, whose links may be from another instant. `own` threads remain.
pub(crate) fn abandon(own: usize) {
    IDLE.abandon();
    IN_USE.store(own, Ordering::Relaxed);
}
