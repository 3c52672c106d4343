//! Options: one row each. Read once, from the environment the process was started with, before
//! the first allocation; constant afterwards but for what mallopt may change.

use crate::os::{mapping, random};
use crate::report;
use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// Where spans come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The program break first, then mmap.
    Auto,
    /// The program break alone.
    Break,
    /// mmap alone.
    Mmap,
}

/// What is written when the program exits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Statistics {
    /// Nothing.
    Off,
    /// A summary for people.
    Text,
    /// One line, one object.
    Json,
}

/// Where evicted pages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoreKind {
    /// Compressed memory, which counts against the budget.
    Memory,
    /// A file.
    File,
    /// Compressed memory up to a quarter of the budget, then a file.
    Both,
}

/// Which pages of the kernel's the heap shall lie in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PageSize {
    /// Huge ones where they pay.
    AsTheyPay,
    /// Small ones alone, 4 KiB on x86-64.
    Small,
    /// 64 KiB.
    Of64KiB,
    /// 2 MiB.
    Huge,
    /// 1 GiB for large objects of that size, else 2 MiB.
    Gigantic,
}

/// What the options were set to, in pages of its own: [`protect`] makes them read-only.
#[repr(C, align(4096))]
struct Settings {
    source: AtomicU8,
    continue_on_error: AtomicU8,
    keep_deepbind: AtomicU8,
    statistics: AtomicU8,
    purge_thread: AtomicU8,
    no_huge_pages: AtomicU8,
    page_size: AtomicU8,
    hardened: AtomicU8,
    guard_large: AtomicU8,
    guard_by_mprotect: AtomicU8,
    purge_delay_ms: AtomicUsize,
    dirty_mib: AtomicUsize,
    samples_per_second: AtomicUsize,
    link_key: AtomicU64,
    seal_key: AtomicU64,
    /// Whether these pages are read-only.
    protected: AtomicU8,
    statistics_file: PathOption,
    budget: AtomicUsize,
    store: AtomicU8,
    budget_required: AtomicU8,
    budget_process: AtomicUsize,
    store_path: PathOption,
}

static SETTINGS: Settings = Settings {
    source: AtomicU8::new(0),
    continue_on_error: AtomicU8::new(0),
    keep_deepbind: AtomicU8::new(0),
    statistics: AtomicU8::new(0),
    purge_thread: AtomicU8::new(0),
    no_huge_pages: AtomicU8::new(0),
    page_size: AtomicU8::new(0),
    hardened: AtomicU8::new(0),
    guard_large: AtomicU8::new(0),
    guard_by_mprotect: AtomicU8::new(0),
    purge_delay_ms: AtomicUsize::new(1000),
    dirty_mib: AtomicUsize::new(24),
    // A sample costs about 20 us: 200 of them are 0.4 % of a second.
    samples_per_second: AtomicUsize::new(200),
    link_key: AtomicU64::new(0),
    seal_key: AtomicU64::new(0),
    protected: AtomicU8::new(0),
    statistics_file: PathOption::new(),
    budget: AtomicUsize::new(0),
    store: AtomicU8::new(0),
    budget_required: AtomicU8::new(0),
    budget_process: AtomicUsize::new(0),
    store_path: PathOption::new(),
};

/// Of a budget in percent.
const PERCENT: usize = 1 << 63;

/// What an option accepts.
enum Values {
    /// One of these words; its index is stored.
    Words(&'static [&'static str], &'static AtomicU8),
    /// A whole number up to this.
    Number(usize, &'static AtomicUsize),
    /// Bytes, with a unit or without, or a share of the memory there is, in percent.
    Amount(&'static AtomicUsize),
    /// A path.
    Path(&'static PathOption),
}

/// The rows: name, what it accepts.
static OPTIONS: [(&str, Values); 19] = [
    (
        "GLEBE_SOURCE",
        Values::Words(&["auto", "break", "mmap"], &SETTINGS.source),
    ),
    (
        "GLEBE_ON_ERROR",
        Values::Words(&["abort", "continue"], &SETTINGS.continue_on_error),
    ),
    (
        "GLEBE_DEEPBIND",
        Values::Words(&["drop", "keep"], &SETTINGS.keep_deepbind),
    ),
    (
        "GLEBE_STATS",
        Values::Words(&["off", "text", "json"], &SETTINGS.statistics),
    ),
    ("GLEBE_STATS_FILE", Values::Path(&SETTINGS.statistics_file)),
    (
        "GLEBE_PURGE",
        Values::Words(&["call", "thread"], &SETTINGS.purge_thread),
    ),
    (
        "GLEBE_PURGE_DELAY_MS",
        Values::Number(3_600_000, &SETTINGS.purge_delay_ms),
    ),
    (
        "GLEBE_DIRTY_MIB",
        Values::Number(65_536, &SETTINGS.dirty_mib),
    ),
    (
        "GLEBE_HUGE_PAGES",
        Values::Words(&["auto", "off"], &SETTINGS.no_huge_pages),
    ),
    (
        "GLEBE_PAGE_SIZE",
        Values::Words(&["auto", "4K", "64K", "2M", "1G"], &SETTINGS.page_size),
    ),
    (
        "GLEBE_HARDENED",
        Values::Words(&["0", "1"], &SETTINGS.hardened),
    ),
    (
        "GLEBE_SAMPLE",
        Values::Number(1_000_000, &SETTINGS.samples_per_second),
    ),
    (
        "GLEBE_GUARD_LARGE",
        Values::Words(&["0", "1"], &SETTINGS.guard_large),
    ),
    (
        "GLEBE_GUARD",
        Values::Words(&["auto", "mprotect"], &SETTINGS.guard_by_mprotect),
    ),
    ("GLEBE_BUDGET", Values::Amount(&SETTINGS.budget)),
    (
        "GLEBE_BUDGET_REQUIRED",
        Values::Words(&["0", "1"], &SETTINGS.budget_required),
    ),
    (
        "GLEBE_BUDGET_PID",
        Values::Number(1 << 22, &SETTINGS.budget_process),
    ),
    (
        "GLEBE_STORE",
        Values::Words(&["memory", "file", "both"], &SETTINGS.store),
    ),
    ("GLEBE_STORE_FILE", Values::Path(&SETTINGS.store_path)),
];

/// Variables with our prefix that are not the library's.
const FOR_THE_LAUNCHER: [&str; 1] = ["GLEBE_LIBRARY"];

/// Longest path, with its NUL: the kernel's PATH_MAX.
const PATH_BYTES: usize = 4096;

/// A copy of a path: programs that set their title (nginx, PostgreSQL) write over the environment
/// that they were started with.
pub(crate) struct PathOption {
    bytes: [AtomicU8; PATH_BYTES],
}

impl PathOption {
    const fn new() -> PathOption {
        PathOption {
            bytes: [const { AtomicU8::new(0) }; PATH_BYTES],
        }
    }

    /// Copies `path`; `false` where it is too long.
    fn set(&self, path: &[u8]) -> bool {
        if path.len() >= PATH_BYTES {
            return false;
        }
        for (place, &byte) in self.bytes.iter().zip(path) {
            place.store(byte, Ordering::Relaxed);
        }
        true
    }

    /// The path, if one was given.
    pub(crate) fn get(&self) -> Option<&core::ffi::CStr> {
        // SAFETY: an AtomicU8 is a byte, and nobody stores after start-up; the last one is 0.
        let bytes = unsafe { &*self.bytes.as_ptr().cast::<[u8; PATH_BYTES]>() };
        let path = core::ffi::CStr::from_bytes_until_nul(bytes).ok()?;
        (!path.is_empty()).then_some(path)
    }
}

/// Takes one `NAME=value` of the environment; warns, once each, of what it does not know.
pub(crate) fn take_variable(variable: &'static [u8]) {
    if !variable.starts_with(b"GLEBE_") {
        return;
    }
    let Some(equals) = variable.iter().position(|&byte| byte == b'=') else {
        return;
    };
    let (name, value) = (&variable[..equals], &variable[equals + 1..]);
    if FOR_THE_LAUNCHER
        .iter()
        .any(|known| known.as_bytes() == name)
    {
        return;
    }
    let Some((_, values)) = OPTIONS.iter().find(|(known, _)| known.as_bytes() == name) else {
        return report::unknown_option(name, OPTIONS.iter().map(|(known, _)| *known));
    };
    match values {
        Values::Words(words, place) => {
            match words.iter().position(|word| word.as_bytes() == value) {
                #[expect(clippy::cast_possible_truncation, reason = "a handful of words")]
                Some(index) => place.store(index as u8, Ordering::Relaxed),
                None => report::bad_option_word(name, value, words),
            }
        }
        Values::Number(most, place) => match number(value) {
            Some(number) if number <= *most => place.store(number, Ordering::Relaxed),
            _ => report::bad_option_number(name, value, *most),
        },
        Values::Amount(place) => match amount(value) {
            Some(amount) => place.store(amount, Ordering::Relaxed),
            None => report::bad_option_amount(name, value),
        },
        Values::Path(place) => {
            if !place.set(value) {
                report::bad_option_path(name, PATH_BYTES - 1);
            }
        }
    }
}

fn number(text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0usize, |sum, &byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// `512M`, `2G`, `65536` or `60%` (marked by [`PERCENT`]).
fn amount(text: &[u8]) -> Option<usize> {
    let (digits, shift) = match text.split_last()? {
        (b'%', digits) => {
            let share = number(digits).filter(|share| (1..=100).contains(share))?;
            return Some(share | PERCENT);
        }
        (b'K' | b'k', digits) => (digits, 10),
        (b'M' | b'm', digits) => (digits, 20),
        (b'G' | b'g', digits) => (digits, 30),
        (b'T' | b't', digits) => (digits, 40),
        _ => (text, 0),
    };
    let bytes = number(digits)?.checked_mul(1 << shift)?;
    (bytes < PERCENT).then_some(bytes)
}

/// `GLEBE_SOURCE`.
pub(crate) fn source() -> Source {
    match SETTINGS.source.load(Ordering::Relaxed) {
        1 => Source::Break,
        2 => Source::Mmap,
        _ => Source::Auto,
    }
}

/// `GLEBE_ON_ERROR=continue`.
pub(crate) fn continue_on_error() -> bool {
    SETTINGS.continue_on_error.load(Ordering::Relaxed) == 1
}

/// `GLEBE_DEEPBIND=keep`.
pub(crate) fn keep_deepbind() -> bool {
    SETTINGS.keep_deepbind.load(Ordering::Relaxed) == 1
}

/// `GLEBE_STATS`.
pub(crate) fn statistics() -> Statistics {
    match SETTINGS.statistics.load(Ordering::Relaxed) {
        1 => Statistics::Text,
        2 => Statistics::Json,
        _ => Statistics::Off,
    }
}

/// `GLEBE_STATS_FILE`.
pub(crate) fn statistics_file() -> Option<&'static core::ffi::CStr> {
    SETTINGS.statistics_file.get()
}

/// Whether huge pages may be asked for: `GLEBE_HUGE_PAGES`.
pub(crate) fn huge_pages() -> bool {
    SETTINGS.no_huge_pages.load(Ordering::Relaxed) == 0
}

/// `GLEBE_PAGE_SIZE`.
pub(crate) fn page_size() -> PageSize {
    match SETTINGS.page_size.load(Ordering::Relaxed) {
        1 => PageSize::Small,
        2 => PageSize::Of64KiB,
        3 => PageSize::Huge,
        4 => PageSize::Gigantic,
        _ => PageSize::AsTheyPay,
    }
}

/// `GLEBE_PURGE=thread`.
pub(crate) fn purge_thread() -> bool {
    SETTINGS.purge_thread.load(Ordering::Relaxed) == 1
}

/// `GLEBE_PURGE_DELAY_MS`.
pub(crate) fn purge_delay_ms() -> u64 {
    SETTINGS.purge_delay_ms.load(Ordering::Relaxed) as u64
}

/// `GLEBE_DIRTY_MIB`, in bytes.
pub(crate) fn dirty_bytes() -> usize {
    SETTINGS.dirty_mib.load(Ordering::Relaxed) << 20
}

/// `GLEBE_HARDENED=1`.
#[inline]
pub(crate) fn hardened() -> bool {
    SETTINGS.hardened.load(Ordering::Relaxed) == 1
}

/// Whether large objects stand between guard pages: `GLEBE_GUARD_LARGE=1`, and in hardened mode.
pub(crate) fn guard_large() -> bool {
    SETTINGS.guard_large.load(Ordering::Relaxed) == 1 || hardened()
}

/// `GLEBE_GUARD=mprotect`.
pub(crate) fn guard_by_mprotect() -> bool {
    SETTINGS.guard_by_mprotect.load(Ordering::Relaxed) == 1
}

/// `GLEBE_BUDGET` in bytes, for this process; 0 for none. `memory_bytes` is asked how much memory
/// there is, for a share.
pub(crate) fn budget_bytes(process: i32, memory_bytes: impl FnOnce() -> usize) -> usize {
    let alone = SETTINGS.budget_process.load(Ordering::Relaxed);
    if alone != 0 && usize::try_from(process) != Ok(alone) {
        return 0;
    }
    match SETTINGS.budget.load(Ordering::Relaxed) {
        share if share & PERCENT != 0 => memory_bytes() / 100 * (share & !PERCENT),
        bytes => bytes,
    }
}

/// `GLEBE_BUDGET_REQUIRED=1`: without its budget the program does not start.
pub(crate) fn budget_required() -> bool {
    SETTINGS.budget_required.load(Ordering::Relaxed) == 1
}

/// `GLEBE_STORE`.
pub(crate) fn store() -> StoreKind {
    match SETTINGS.store.load(Ordering::Relaxed) {
        1 => StoreKind::File,
        2 => StoreKind::Both,
        _ => StoreKind::Memory,
    }
}

/// `GLEBE_STORE_FILE`, or where temporary files are that outlive a restart.
pub(crate) fn store_path() -> &'static core::ffi::CStr {
    SETTINGS.store_path.get().unwrap_or(c"/var/tmp")
}

/// `GLEBE_SAMPLE`: samples in a second of a thread's processor time; 0 for none.
pub(crate) fn samples_per_second() -> usize {
    SETTINGS.samples_per_second.load(Ordering::Relaxed)
}

/// Whether every request that may be sampled is, as long as there is room: for tests.
pub(crate) fn samples_every_request() -> bool {
    samples_per_second() >= 100_000
}

/// mallopt(M_TRIM_THRESHOLD): the same bound as [`dirty_bytes`], rounded up to MiB; `false` where
/// the options are read-only.
pub(crate) fn set_dirty_bytes(bytes: usize) -> bool {
    let dirty_mib = bytes.div_ceil(1 << 20);
    change(|settings| settings.dirty_mib.store(dirty_mib, Ordering::Relaxed))
}

/// mallopt(M_CHECK_ACTION): whether misuse ends the process; `false` where the options are
/// read-only.
pub(crate) fn set_continue_on_error(go_on: bool) -> bool {
    let go_on = u8::from(go_on);
    change(|settings| settings.continue_on_error.store(go_on, Ordering::Relaxed))
}

fn change(store: impl Fn(&Settings)) -> bool {
    let allowed = SETTINGS.protected.load(Ordering::Relaxed) == 0;
    if allowed {
        store(&SETTINGS);
    }
    allowed
}

/// The key of the links between free blocks; 0 where they are plain, in default mode.
#[inline(always)]
pub(crate) fn link_key() -> u64 {
    SETTINGS.link_key.load(Ordering::Relaxed)
}

/// The key of the seals behind blocks, in hardened mode.
#[inline(always)]
pub(crate) fn seal_key() -> u64 {
    SETTINGS.seal_key.load(Ordering::Relaxed)
}

/// To be called once in hardened mode, before the first block: draws the keys, and makes the
/// options read-only.
pub(crate) fn harden() {
    draw(&SETTINGS.link_key);
    draw(&SETTINGS.seal_key);
    protect();
}

/// Draws a key if there is none: odd, so that it mixes as a factor, and never 0.
fn draw(key: &AtomicU64) {
    let drawn = random::seed() | 1;
    let _drawn_before = key.compare_exchange(0, drawn, Ordering::Relaxed, Ordering::Relaxed);
}

/// For tests of seals, which mean nothing without a key.
#[cfg(test)]
pub(crate) fn draw_seal_key() {
    draw(&SETTINGS.seal_key);
}

/// Makes the options read-only for the rest of the process, sealed where the kernel seals (6.10).
/// Where pages are larger than 4 KiB, others lie beside them: then nothing is done.
fn protect() {
    if crate::os::process::page_bytes() != align_of::<Settings>() {
        return;
    }
    SETTINGS.protected.store(1, Ordering::Relaxed);
    let address = core::ptr::from_ref(&SETTINGS) as usize;
    if !mapping::make_read_only(address, size_of::<Settings>()) {
        SETTINGS.protected.store(0, Ordering::Relaxed);
    }
}

/// Whether `address` lies in the options' pages, which are read-only.
pub(crate) fn is_protected(address: usize) -> bool {
    let start = core::ptr::from_ref(&SETTINGS) as usize;
    SETTINGS.protected.load(Ordering::Relaxed) == 1
        && address.wrapping_sub(start) < size_of::<Settings>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit_or_are_a_share() {
        assert_eq!(amount(b"512M"), Some(512 << 20));
        assert_eq!(amount(b"4096"), Some(4096));
        assert_eq!(amount(b"2g"), Some(2 << 30));
        assert_eq!(amount(b"60%"), Some(60 | PERCENT));
        for bad in ["", "M", "0%", "101%", "-1", "1.5G", "9999999999T", "12X"] {
            assert_eq!(amount(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_whole_and_checked() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"65536"), Some(65_536));
        assert_eq!(number(b""), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"99999999999999999999999"), None);
    }

    #[test]
    fn variables_set_their_options_and_others_change_nothing() {
        for variable in [
            "GLEBE_SOURCE=mmap",
            "GLEBE_DIRTY_MIB=7",
            "GLEBE_STATS=json",
            "GLEBE_STATS_FILE=/some/where",
            "GLEBE_LIBRARY=/the/launchers",
            "GLEBE_DEEPBIND",
            "NOT_GLEBE_DEEPBIND=keep",
        ] {
            let with_end = std::format!("{variable}\0").leak().as_bytes();
            take_variable(&with_end[..variable.len()]);
        }
        assert_eq!((source(), dirty_bytes()), (Source::Mmap, 7 << 20));
        assert_eq!(statistics(), Statistics::Json);
        assert_eq!(statistics_file(), Some(c"/some/where"));
        assert!(!keep_deepbind() && !purge_thread());
        take_variable(b"GLEBE_SOURCE=auto");
        assert_eq!(source(), Source::Auto);
        set_dirty_bytes((1 << 20) + 1);
        assert_eq!(dirty_bytes(), 2 << 20);
    }
}
