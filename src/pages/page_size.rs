//! The kernel's pages that the heap lies in: as they pay (`pages::huge`), or as `GLEBE_PAGE_SIZE`
//! asks for. What is not to be had is said once, and the next smaller size serves.
//!
//! Transparent pages are advice for a range, which stays with its mapping, also when that moves.
//! Pages of 1 GiB come from a pool of the kernel's, by a mapping of their own: large objects alone
//! can have them.

use super::huge::HUGE_PAGE_BYTES;
use crate::base::address::round_up;
use crate::config::{self, PageSize};
use crate::os::mapping;
use crate::os::page_sizes::{self, Offer};
use crate::paging;
use crate::report;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Bytes of the largest page on x86-64.
pub(crate) const GIGANTIC_PAGE_BYTES: usize = 1 << 30;

/// What the heap's ranges are advised of; 0 until `settle`, and where nothing was asked for.
static TRANSPARENT: AtomicU8 = AtomicU8::new(AS_THEY_PAY);
const AS_THEY_PAY: u8 = 0;
const SMALL: u8 = 1;
const OF_64_KIB: u8 = 2;
const OF_2_MIB: u8 = 3;

/// Whether large objects are to have pages of 1 GiB.
static GIGANTIC: AtomicBool = AtomicBool::new(false);

/// Finds out what is to be had of what `GLEBE_PAGE_SIZE` asks for. Once, before the first range,
/// and after it is known whether there is a budget.
pub(crate) fn settle() {
    let asked = config::page_size();
    let mut refusal = None;
    let gigantic = asked == PageSize::Gigantic && {
        refusal = if paging::is_active() {
            Some("1G: those pages cannot be moved out, and there is GLEBE_BUDGET")
        } else {
            match page_sizes::free_pages_of_1_gib() {
                None => Some("1G: the machine or the kernel has no such pages"),
                Some(0) => Some(POOL_IS_EMPTY),
                Some(_) => None,
            }
        };
        refusal.is_none()
    };
    GIGANTIC.store(gigantic, Ordering::Relaxed);

    let huge = matches!(asked, PageSize::Huge | PageSize::Gigantic)
        && match page_sizes::offer_of_2_mib() {
            Offer::Permitted => true,
            Offer::Forbidden => {
                refusal = Some(
                    "2M: the kernel is told not to (as root: echo madvise > \
                     /sys/kernel/mm/transparent_hugepage/enabled)",
                );
                false
            }
            Offer::Lacking => {
                refusal = Some("2M: the kernel has no transparent huge pages");
                false
            }
        };
    let of_64_kib = !huge
        && !matches!(asked, PageSize::AsTheyPay | PageSize::Small)
        && match page_sizes::offer_of_64_kib() {
            Offer::Permitted => true,
            Offer::Forbidden => {
                refusal = refusal.or(Some(
                    "64K: the kernel is told not to (as root: echo madvise > \
                     /sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled)",
                ));
                false
            }
            Offer::Lacking => {
                refusal = refusal.or(Some("64K: the kernel has no such pages (Linux 6.8)"));
                false
            }
        };
    let (transparent, used) = match asked {
        PageSize::AsTheyPay => (AS_THEY_PAY, "4K"),
        _ if huge => (OF_2_MIB, "2M"),
        _ if of_64_kib => (OF_64_KIB, "64K"),
        _ => (SMALL, "4K"),
    };
    TRANSPARENT.store(transparent, Ordering::Relaxed);
    if let Some(why) = refusal {
        report::no_page_size(why, used);
    }
}

const POOL_IS_EMPTY: &str = "1G: the pool has no free page (as root: echo COUNT > \
     /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages)";

/// Whether huge pages are to be used as they pay: nothing was asked for.
pub(super) fn is_as_it_pays() -> bool {
    TRANSPARENT.load(Ordering::Relaxed) == AS_THEY_PAY
}

/// Whether the heap grows by huge pages from its start on.
pub(super) fn is_huge() -> bool {
    TRANSPARENT.load(Ordering::Relaxed) == OF_2_MIB
}

/// To be called for each range that is mapped for blocks, before it is touched.
pub(crate) fn advise(address: usize, bytes: usize) {
    match TRANSPARENT.load(Ordering::Relaxed) {
        SMALL => mapping::advise_small(address, bytes),
        OF_64_KIB | OF_2_MIB => mapping::advise_huge(address, bytes),
        _ => {}
    }
}

/// Maps at least `bytes`, of an object that shall lie in pages of 1 GiB; address and length. `None`
/// for one that is smaller than a page, where nobody asked for them, and where the pool has not so
/// many.
pub(crate) fn map_gigantic(bytes: usize) -> Option<(usize, usize)> {
    if bytes < GIGANTIC_PAGE_BYTES || !GIGANTIC.load(Ordering::Relaxed) {
        return None;
    }
    let length = round_up(bytes, GIGANTIC_PAGE_BYTES)?;
    let mapped = mapping::map_pages_of_1_gib(length);
    static SAID: AtomicBool = AtomicBool::new(false);
    if mapped.is_none() && !SAID.swap(true, Ordering::Relaxed) {
        report::no_page_size(POOL_IS_EMPTY, if is_huge() { "2M" } else { "4K" });
    }
    mapped.map(|address| (address, length))
}

/// The whole huge pages within a range; `None` where there are none.
pub(crate) fn huge_pages_within(address: usize, bytes: usize) -> Option<(usize, usize)> {
    let start = round_up(address, HUGE_PAGE_BYTES)?;
    let end = address.checked_add(bytes)? & !(HUGE_PAGE_BYTES - 1);
    (start < end).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_huge_pages_count() {
        const MIB: usize = 1 << 20;
        assert_eq!(
            huge_pages_within(2 * MIB, 2 * MIB),
            Some((2 * MIB, 2 * MIB))
        );
        assert_eq!(huge_pages_within(MIB, 5 * MIB), Some((2 * MIB, 4 * MIB)));
        assert_eq!(huge_pages_within(MIB, 2 * MIB), None);
        assert_eq!(huge_pages_within(usize::MAX - MIB, 2 * MIB), None);
    }

    #[test]
    fn nothing_is_gigantic_unless_it_was_asked_for() {
        assert_eq!(map_gigantic(GIGANTIC_PAGE_BYTES), None);
    }
}
