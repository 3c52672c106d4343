//! A word that a forked child finds zeroed (MADV_WIPEONFORK, Linux 4.14): the one way to notice
//! a fork that ran no handlers, `_Fork` or a raw clone.

use super::futex::Mutex;
use super::mapping;
use super::process::page_bytes;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// See the module. All zero is a word that never tells anything.
pub(crate) struct WipedWord {
    word: AtomicPtr<AtomicU32>,
}

impl WipedWord {
    /// Not armed.
    pub(crate) const fn new() -> WipedWord {
        WipedWord {
            word: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Sets the word to 1; maps it first. Without effect where the kernel refuses.
    pub(crate) fn arm(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        if word.is_null() {
            let Some(address) = mapping::map(page_bytes()) else {
                return;
            };
            // SAFETY: the page was mapped just now.
            let wiped = unsafe {
                libc::madvise(address as *mut _, page_bytes(), libc::MADV_WIPEONFORK) == 0
            };
            if !wiped {
                mapping::unmap(address, page_bytes());
                return;
            }
            word = address as *mut AtomicU32;
        }
        // SAFETY: the page is mapped for ever and zeroed memory is a valid atomic.
        unsafe { (*word).store(1, Ordering::Relaxed) };
        self.word.store(word, Ordering::Relaxed);
    }

    /// Whether a fork has wiped the word since it was armed.
    #[inline]
    pub(crate) fn was_wiped(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        // SAFETY: as in `arm`.
        !word.is_null() && unsafe { (*word).load(Ordering::Relaxed) } == 0
    }
}

/// Has what a fork left half done recovered, once in each child, by the first thread that comes by.
pub(crate) struct ForkRecovery {
    wiped: WipedWord,
    /// Held by that thread; who comes by meanwhile waits.
    recovering: Mutex<()>,
}

impl ForkRecovery {
    /// Not armed: no fork is noticed.
    pub(crate) const fn new() -> ForkRecovery {
        ForkRecovery {
            wiped: WipedWord::new(),
            recovering: Mutex::new(()),
        }
    }

    /// From now on there is something to recover.
    pub(crate) fn arm(&self) {
        self.wiped.arm();
    }

    /// Calls `recover` in a child after fork. Where it fails the next who comes by calls it again.
    ///
    /// # Errors
    /// Those of `recover`.
    pub(crate) fn notice<E>(&self, recover: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        if !self.wiped.was_wiped() {
            return Ok(());
        }
        let _recovering = self.recovering.lock();
        if self.wiped.was_wiped() {
            recover()?;
            self.wiped.arm();
        }
        Ok(())
    }
}
