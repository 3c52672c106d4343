//! Guard pages: ranges of our own address space in which every access faults.
//!
//! MADV_GUARD_INSTALL (Linux 6.13) marks pages and adds no mapping. Where the kernel has it not, or
//! refuses (locked memory), mprotect does it, and then each guard may split a mapping. So that the
//! program never meets the end of `vm.max_map_count`, guards may cost half of that; what is
//! beyond stays unguarded, as does what the kernel has no memory for.
//!
//! Addresses and lengths are multiples of the page size; callers own the ranges. All is
//! async-signal-safe; errno is the kernel's where it refuses.

use super::process;
use crate::base::shared::SharedUsize;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const MADV_GUARD_INSTALL: c_int = 102;
const MADV_GUARD_REMOVE: c_int = 103;

/// Mappings that a guard by mprotect adds at most: it cuts one in three.
const MAPPINGS_OF_GUARD: usize = 2;
/// The kernel's `vm.max_map_count` unless told otherwise, for where it cannot be read.
const USUAL_MAX_MAP_COUNT: usize = 65_530;

/// How a range is guarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Method {
    /// By MADV_GUARD_INSTALL.
    Advice = 1,
    /// By mprotect.
    Protection = 2,
}

impl Method {
    /// The method whose number this is.
    pub(crate) fn from_number(number: u32) -> Option<Method> {
        [Method::Advice, Method::Protection]
            .into_iter()
            .find(|&method| method as u32 == number)
    }
}

/// Whether MADV_GUARD_INSTALL is not to be tried: told so, or the kernel has it not.
static PROTECTION_ONLY: AtomicBool = AtomicBool::new(false);
/// Mappings that guards may cost; 0 until the first one by mprotect.
static MOST_MAPPINGS: AtomicUsize = AtomicUsize::new(0);
/// Mappings that they cost at most.
static MAPPINGS: SharedUsize = SharedUsize::new(0);

/// From now on guards are made by mprotect.
pub(crate) fn use_protection() {
    PROTECTION_ONLY.store(true, Ordering::Relaxed);
}

/// Makes a range inaccessible and gives its memory back; `None` where that cannot be, and then it
/// is as it was.
pub(crate) fn install(address: usize, bytes: usize) -> Option<Method> {
    if !PROTECTION_ONLY.load(Ordering::Relaxed) {
        if advise(address, bytes, MADV_GUARD_INSTALL) {
            return Some(Method::Advice);
        }
        if process::errno() == libc::EINVAL && !advice_is_known() {
            use_protection();
        }
    }
    if !take_budget() {
        return None;
    }
    if extend(Method::Protection, address, bytes) {
        return Some(Method::Protection);
    }
    forget(Method::Protection);
    None
}

/// The same for a range beside one that is guarded by `method`: it costs no mapping more.
pub(crate) fn extend(method: Method, address: usize, bytes: usize) -> bool {
    match method {
        Method::Advice => advise(address, bytes, MADV_GUARD_INSTALL),
        Method::Protection => {
            let done = protect(address, bytes, libc::PROT_NONE);
            if done {
                advise(address, bytes, libc::MADV_DONTNEED);
            }
            done
        }
    }
}

/// Makes a range, or a part of one, that was guarded by `method` readable and writable; it holds
/// zeroes.
pub(crate) fn remove(method: Method, address: usize, bytes: usize) -> bool {
    match method {
        Method::Advice => advise(address, bytes, MADV_GUARD_REMOVE),
        Method::Protection => protect(address, bytes, libc::PROT_READ | libc::PROT_WRITE),
    }
}

/// To be called once for each [`install`] whose range is unmapped, or is wholly removed again.
pub(crate) fn forget(method: Method) {
    if method == Method::Protection {
        MAPPINGS.fetch_sub(MAPPINGS_OF_GUARD, Ordering::Relaxed);
    }
}

/// Counts one more guard by mprotect, if there may be one.
fn take_budget() -> bool {
    let most = match MOST_MAPPINGS.load(Ordering::Relaxed) {
        0 => {
            let count = process::read_number(c"/proc/sys/vm/max_map_count");
            let most = count.unwrap_or(USUAL_MAX_MAP_COUNT) / 2;
            MOST_MAPPINGS.store(most.max(1), Ordering::Relaxed);
            most
        }
        most => most,
    };
    let before = MAPPINGS.fetch_add(MAPPINGS_OF_GUARD, Ordering::Relaxed);
    let granted = before + MAPPINGS_OF_GUARD <= most;
    if !granted {
        MAPPINGS.fetch_sub(MAPPINGS_OF_GUARD, Ordering::Relaxed);
    }
    granted
}

/// Whether the kernel has guards by advice: it takes an empty range of any advice it knows.
fn advice_is_known() -> bool {
    advise(process::page_bytes(), 0, MADV_GUARD_INSTALL)
}

fn advise(address: usize, bytes: usize, advice: c_int) -> bool {
    // SAFETY: callers own the range, and nothing in it is live where the advice discards contents.
    unsafe { libc::madvise(address as *mut c_void, bytes, advice) == 0 }
}

fn protect(address: usize, bytes: usize, protection: c_int) -> bool {
    // SAFETY: callers own the range, and nothing in it is live where it becomes inaccessible.
    unsafe { libc::mprotect(address as *mut c_void, bytes, protection) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mapping;

    #[test]
    fn a_guarded_range_holds_zeroes_when_the_guard_is_gone() {
        let page = process::page_bytes();
        let address = mapping::map(4 * page).expect("address space");
        // SAFETY: mapped just now.
        unsafe { core::ptr::write_bytes(address as *mut u8, 7, 4 * page) };
        let installed = install(address + page, page).expect("a guard");
        for method in [installed, Method::Protection] {
            assert!(extend(method, address + page, 2 * page));
            assert!(remove(method, address + page, 2 * page));
            // SAFETY: mapped, and accessible again.
            let byte = |offset: usize| unsafe { ((address + offset) as *const u8).read() };
            assert_eq!((byte(page), byte(3 * page - 1)), (0, 0));
            assert_eq!((byte(0), byte(3 * page)), (7, 7));
        }
        forget(installed);
        assert!(mapping::unmap(address, 4 * page));
    }
}
