//! Counts that one thread writes and that decide where its fast paths go: as one instruction that
//! changes the count and one that looks at the flags.

#[cfg(target_arch = "x86_64")]
use core::arch::asm;
#[cfg(target_arch = "aarch64")]
use core::sync::atomic::{AtomicU32, Ordering};

/// Lowers the 32-bit count `OFFSET` bytes after `address` by 1; whether it is 0 now. As a
/// Relaxed load and store.
///
/// # Safety
/// The count is writable, and this thread alone writes it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn lower_to_zero<const OFFSET: usize>(address: usize) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        asm!("sub dword ptr [{0} + {1}], 1", "je {2}", in(reg) address, const OFFSET,
            label { return true }, options(nostack));
    }
    false
}

/// The same, of a count with a sign, if it is above 0; whether it was. Others may see it one lower
/// for a moment.
///
/// # Safety
/// The count is writable, and this thread alone writes it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn lower_if_positive<const OFFSET: usize>(address: usize) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        asm!("sub dword ptr [{0} + {1}], 1", "js {2}", in(reg) address, const OFFSET,
            label {
                // SAFETY: as above.
                unsafe {
                    asm!("add dword ptr [{0} + {1}], 1", in(reg) address, const OFFSET,
                        options(nostack));
                }
                return false
            }, options(nostack));
    }
    true
}

#[cfg(target_arch = "aarch64")]
fn count<const OFFSET: usize>(address: usize) -> &'static AtomicU32 {
    // SAFETY: by their contracts both callers' counts are there, and counts are aligned.
    unsafe { &*((address + OFFSET) as *const AtomicU32) }
}

/// See the x86-64 form.
///
/// # Safety
/// The count is writable, and this thread alone writes it.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) unsafe fn lower_to_zero<const OFFSET: usize>(address: usize) -> bool {
    let count = count::<OFFSET>(address);
    let lower = count.load(Ordering::Relaxed).wrapping_sub(1);
    count.store(lower, Ordering::Relaxed);
    lower == 0
}

/// See the x86-64 form.
///
/// # Safety
/// The count is writable, and this thread alone writes it.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) unsafe fn lower_if_positive<const OFFSET: usize>(address: usize) -> bool {
    let count = count::<OFFSET>(address);
    let before = count.load(Ordering::Relaxed);
    let is_positive = before.cast_signed() > 0;
    if is_positive {
        count.store(before - 1, Ordering::Relaxed);
    }
    is_positive
}
