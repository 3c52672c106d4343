//! A word that a forked child finds zeroed (MADV_WIPEONFORK, Linux 4.14): the one way to notice
//! a fork that ran no handlers, `_Fork` or a raw clone.

use super::futex::Mutex;
use super::mapping;
use super::process::page_bytes;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The page that the word has to itself. All zero, as a fork leaves it, is a valid one: the word
/// wiped, the lock free.
struct WipedPage {
    word: AtomicU32,
    /// Held while a thread recovers; in a child it is nobody's, whoever held it in the parent.
    recovering: Mutex<()>,
}

/// See the module. All zero is a word that never tells anything.
pub(crate) struct WipedWord {
    page: AtomicPtr<WipedPage>,
}

impl WipedWord {
    /// Not armed.
    pub(crate) const fn new() -> WipedWord {
        WipedWord {
            page: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    fn page(&self) -> Option<&'static WipedPage> {
        // Acquire pairs with the Release of `arm`.
        let page = self.page.load(Ordering::Acquire);
        // SAFETY: null or what `arm` has mapped, for ever.
        unsafe { page.as_ref() }
    }

    /// Sets the word to 1; maps it first. Without effect where the kernel refuses.
    pub(crate) fn arm(&self) {
        if let Some(page) = self.page() {
            return page.word.store(1, Ordering::Relaxed);
        }
        let Some(address) = mapping::map(page_bytes()) else {
            return;
        };
        // SAFETY: the page was mapped just now.
        let wiped =
            unsafe { libc::madvise(address as *mut _, page_bytes(), libc::MADV_WIPEONFORK) == 0 };
        if !wiped {
            mapping::unmap(address, page_bytes());
            return;
        }
        let page = address as *mut WipedPage;
        // SAFETY: as in `page`; zeroed memory is valid.
        unsafe { (*page).word.store(1, Ordering::Relaxed) };
        // Release pairs with the Acquire of `page`: whoever finds the page finds the word set.
        self.page.store(page, Ordering::Release);
    }

    /// Whether a fork has wiped the word since it was armed.
    #[inline]
    pub(crate) fn was_wiped(&self) -> bool {
        self.page()
            .is_some_and(|page| page.word.load(Ordering::Relaxed) == 0)
    }
}

/// Has what a fork left half done recovered, once in each child, by the first thread that comes by.
pub(crate) struct ForkRecovery {
    wiped: WipedWord,
}

impl ForkRecovery {
    /// Not armed: no fork is noticed.
    pub(crate) const fn new() -> ForkRecovery {
        ForkRecovery {
            wiped: WipedWord::new(),
        }
    }

    /// From now on there is something to recover.
    pub(crate) fn arm(&self) {
        self.wiped.arm();
    }

    /// Calls `recover` in a child after fork; who else comes by meanwhile waits. Where it fails the
    /// next who comes by calls it again.
    ///
    /// # Errors
    /// Those of `recover`.
    pub(crate) fn notice<E>(&self, recover: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let Some(page) = self.wiped.page().filter(|_| self.wiped.was_wiped()) else {
            return Ok(());
        };
        let _recovering = page.recovering.lock();
        if self.wiped.was_wiped() {
            recover()?;
            self.wiped.arm();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exit status of a child after fork in which `act` is called.
    fn in_child(act: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child calls what is async-signal-safe, and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(act()) };
        }
        let mut status = 0;
        // SAFETY: our child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        libc::WEXITSTATUS(status)
    }

    #[test]
    fn each_child_recovers_once_even_one_of_a_child_that_is_recovering() {
        static FORK: ForkRecovery = ForkRecovery::new();
        let unexpected = || -> Result<(), ()> { unreachable!("no fork") };
        assert_eq!(FORK.notice(unexpected), Ok(()));
        FORK.arm();
        assert_eq!(FORK.notice(unexpected), Ok(()));
        let status = in_child(|| {
            let mut of_grandchild = 0;
            let failed = FORK.notice(|| {
                // A raw fork by another thread would find the lock taken just so.
                of_grandchild = in_child(|| {
                    let mut times = 0;
                    for _ in 0..2 {
                        let _: Result<(), ()> = FORK.notice(|| {
                            times += 1;
                            Ok(())
                        });
                    }
                    times
                });
                Err(())
            });
            let again = FORK.notice(|| Err(()));
            let done: Result<(), ()> = FORK.notice(|| Ok(()));
            let over = FORK.notice(|| Err(()));
            let as_expected = (failed, again, done, over) == (Err(()), Err(()), Ok(()), Ok(()));
            of_grandchild * 2 + i32::from(as_expected)
        });
        assert_eq!(status, 3);
    }
}
