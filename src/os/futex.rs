//! A lock that sleeps in the kernel, allocates nothing and needs no thread-local storage.

use crate::base::shared;
use core::sync::atomic::{AtomicU32, Ordering};
use parking_lot::lock_api;

/// A mutex of one word (U. Drepper, "Futexes are tricky", mutex 2).
///
/// | word | meaning |
/// |---|---|
/// | 0 | free |
/// | 1 | held, nobody sleeps |
/// | 2 | held, somebody may sleep |
pub(crate) struct RawFutexLock {
    word: AtomicU32,
}

/// A value behind a [`RawFutexLock`].
pub(crate) type Mutex<T> = lock_api::Mutex<RawFutexLock, T>;

/// Its value while it is held.
pub(crate) type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawFutexLock, T>;

impl RawFutexLock {
    fn futex(&self, operation: i32, value: u32) {
        // SAFETY: the word lives as long as `self`; a wait returns on any change, and every
        // caller looks again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                operation | libc::FUTEX_PRIVATE_FLAG,
                value,
                core::ptr::null::<libc::timespec>(),
            );
        }
    }

    #[cold]
    fn lock_contended(&self) {
        // Acquire pairs with the Release of `unlock`.
        while self.word.swap(2, Ordering::Acquire) != 0 {
            self.futex(libc::FUTEX_WAIT, 2);
        }
    }

    /// Frees the lock whoever holds it: for a child after fork, where the holder is no more.
    pub(crate) fn reset(&self) {
        self.word.store(0, Ordering::Relaxed);
    }
}

// SAFETY: the word admits one holder at a time.
unsafe impl lock_api::RawMutex for RawFutexLock {
    const INIT: RawFutexLock = RawFutexLock {
        word: AtomicU32::new(0),
    };
    type Guard = lock_api::GuardNoSend;

    fn lock(&self) -> Self::Guard {
        self.try_lock().unwrap_or_else(|| {
            self.lock_contended();
            shared::count_lock();
            Self::Guard::default()
        })
    }

    fn try_lock(&self) -> Option<Self::Guard> {
        // Acquire pairs with the Release of `unlock`.
        let free = self
            .word
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        free.is_ok().then(|| {
            shared::count_lock();
            Self::Guard::default()
        })
    }

    unsafe fn unlock(&self, _guard: Self::Guard) {
        // Release pairs with the Acquire of `try_lock` and `lock_contended`.
        if self.word.swap(0, Ordering::Release) == 2 {
            self.futex(libc::FUTEX_WAKE, 1);
        }
    }

    fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn lock_admits_one_thread_at_a_time() {
        static COUNT: Mutex<u64> = Mutex::new(0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    for _ in 0..50_000 {
                        *COUNT.lock() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a counting thread does not panic");
        }
        assert_eq!(*COUNT.lock(), 200_000);
    }
}
