//! Options: one row each. Read once, from the environment the process was started with, before
//! the first allocation; constant afterwards but for what mallopt may change.

use crate::report;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

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

static SOURCE: AtomicU8 = AtomicU8::new(0);
static CONTINUE_ON_ERROR: AtomicU8 = AtomicU8::new(0);
static KEEP_DEEPBIND: AtomicU8 = AtomicU8::new(0);
static STATISTICS: AtomicU8 = AtomicU8::new(0);
static PURGE_THREAD: AtomicU8 = AtomicU8::new(0);
static PURGE_DELAY_MS: AtomicUsize = AtomicUsize::new(1000);
static DIRTY_MIB: AtomicUsize = AtomicUsize::new(24);
static NO_HUGE_PAGES: AtomicU8 = AtomicU8::new(0);
static STATISTICS_FILE: PathOption = PathOption::new();

/// What an option accepts.
enum Values {
    /// One of these words; its index is stored.
    Words(&'static [&'static str], &'static AtomicU8),
    /// A whole number up to this.
    Number(usize, &'static AtomicUsize),
    /// A path.
    Path(&'static PathOption),
}

/// The rows: name, what it accepts.
static OPTIONS: [(&str, Values); 9] = [
    (
        "GLEBE_SOURCE",
        Values::Words(&["auto", "break", "mmap"], &SOURCE),
    ),
    (
        "GLEBE_ON_ERROR",
        Values::Words(&["abort", "continue"], &CONTINUE_ON_ERROR),
    ),
    (
        "GLEBE_DEEPBIND",
        Values::Words(&["drop", "keep"], &KEEP_DEEPBIND),
    ),
    (
        "GLEBE_STATS",
        Values::Words(&["off", "text", "json"], &STATISTICS),
    ),
    ("GLEBE_STATS_FILE", Values::Path(&STATISTICS_FILE)),
    (
        "GLEBE_PURGE",
        Values::Words(&["call", "thread"], &PURGE_THREAD),
    ),
    (
        "GLEBE_PURGE_DELAY_MS",
        Values::Number(3_600_000, &PURGE_DELAY_MS),
    ),
    ("GLEBE_DIRTY_MIB", Values::Number(65_536, &DIRTY_MIB)),
    (
        "GLEBE_HUGE_PAGES",
        Values::Words(&["auto", "off"], &NO_HUGE_PAGES),
    ),
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

/// `GLEBE_SOURCE`.
pub(crate) fn source() -> Source {
    match SOURCE.load(Ordering::Relaxed) {
        1 => Source::Break,
        2 => Source::Mmap,
        _ => Source::Auto,
    }
}

/// `GLEBE_ON_ERROR=continue`.
pub(crate) fn continue_on_error() -> bool {
    CONTINUE_ON_ERROR.load(Ordering::Relaxed) == 1
}

/// `GLEBE_DEEPBIND=keep`.
pub(crate) fn keep_deepbind() -> bool {
    KEEP_DEEPBIND.load(Ordering::Relaxed) == 1
}

/// `GLEBE_STATS`.
pub(crate) fn statistics() -> Statistics {
    match STATISTICS.load(Ordering::Relaxed) {
        1 => Statistics::Text,
        2 => Statistics::Json,
        _ => Statistics::Off,
    }
}

/// `GLEBE_STATS_FILE`.
pub(crate) fn statistics_file() -> Option<&'static core::ffi::CStr> {
    STATISTICS_FILE.get()
}

/// Whether huge pages may be asked for: `GLEBE_HUGE_PAGES`.
pub(crate) fn huge_pages() -> bool {
    NO_HUGE_PAGES.load(Ordering::Relaxed) == 0
}

/// `GLEBE_PURGE=thread`.
pub(crate) fn purge_thread() -> bool {
    PURGE_THREAD.load(Ordering::Relaxed) == 1
}

/// `GLEBE_PURGE_DELAY_MS`.
pub(crate) fn purge_delay_ms() -> u64 {
    PURGE_DELAY_MS.load(Ordering::Relaxed) as u64
}

/// `GLEBE_DIRTY_MIB`, in bytes.
pub(crate) fn dirty_bytes() -> usize {
    DIRTY_MIB.load(Ordering::Relaxed) << 20
}

/// mallopt(M_TRIM_THRESHOLD): the same bound, in bytes; rounded up to MiB.
pub(crate) fn set_dirty_bytes(bytes: usize) {
    DIRTY_MIB.store(bytes.div_ceil(1 << 20), Ordering::Relaxed);
}

/// mallopt(M_CHECK_ACTION): whether misuse ends the process.
pub(crate) fn set_continue_on_error(go_on: bool) {
    CONTINUE_ON_ERROR.store(u8::from(go_on), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

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
