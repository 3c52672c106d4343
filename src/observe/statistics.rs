//! Statistics: a walk over the records of all spans, and the counters that slow paths keep. The
//! fast path counts nothing, so a snapshot costs what it costs and a pair of malloc and free
//! costs nothing more.

use crate::base::fixed_text::FixedText;
use crate::base::shared;
use crate::cache::pool;
use crate::config::{self, Statistics};
use crate::guard::guarded_object;
use crate::guard::sampled_slots;
use crate::large::large_object;
use crate::metadata::{self, span, span::Kind};
use crate::os::pagemap::Pagemap;
use crate::os::process::{self, KeptStandardError};
use crate::pages::huge::HUGE_PAGE_BYTES;
use crate::pages::{chunk, purge, source};
use crate::paging;
use crate::report;
use crate::small::size_class::{CLASSES, SizeClass};
use crate::small::slab;
use core::fmt::Write as _;
use core::sync::atomic::Ordering;

/// Blocks of one size class.
#[derive(Clone, Copy, Default)]
pub(crate) struct ClassCount {
    /// In use.
    pub(crate) live: usize,
    /// Carved and free.
    pub(crate) free: usize,
}

/// A walk's result. Sums are exact where no other thread allocates meanwhile.
pub(crate) struct Snapshot {
    /// By class number.
    pub(crate) classes: [ClassCount; CLASSES],
    /// Bytes of live blocks in slabs, and of sampled ones.
    pub(crate) small_bytes: usize,
    /// Their number.
    pub(crate) small_blocks: usize,
    /// Bytes of medium objects.
    pub(crate) medium_bytes: usize,
    /// Their number.
    pub(crate) medium_blocks: usize,
    /// Bytes of large and guarded objects.
    pub(crate) large_bytes: usize,
    /// Their number.
    pub(crate) large_blocks: usize,
}

impl Snapshot {
    /// Walks all spans.
    pub(crate) fn take() -> Snapshot {
        let (large_bytes, large_blocks) = large_object::live();
        let (guarded_bytes, guarded_blocks) = guarded_object::live();
        let mut snapshot = Snapshot {
            classes: [ClassCount::default(); CLASSES],
            small_bytes: 0,
            small_blocks: 0,
            medium_bytes: 0,
            medium_blocks: 0,
            large_bytes: large_bytes + guarded_bytes,
            large_blocks: large_blocks + guarded_blocks,
        };
        let (sampled_bytes, sampled_blocks) = sampled_slots::live();
        snapshot.small_bytes += sampled_bytes;
        snapshot.small_blocks += sampled_blocks;
        chunk::for_each_span(|record| {
            if record.kind() == Kind::Slab {
                snapshot.add_slab(record);
            } else {
                snapshot.medium_bytes += record.object_bytes();
                snapshot.medium_blocks += 1;
            }
        });
        pool::for_each_in_use(|cache| {
            for class in SizeClass::all() {
                snapshot.move_to_free(class, cache.blocks_at_hand(class));
            }
        });
        snapshot
    }

    fn add_slab(&mut self, record: &span::Span) {
        let number = usize::from(record.class.load(Ordering::Relaxed));
        let Some(count) = self.classes.get_mut(number) else {
            return;
        };
        let carved = record.carved.load(Ordering::Relaxed);
        // Another thread's two words may be from two instants.
        let used = record.used().min(carved) as usize;
        count.live += used;
        count.free += carved as usize - used;
        self.small_blocks += used;
        self.small_bytes += used * SizeClass::new(number).block_bytes();
    }

    /// Corrects for `blocks` in a thread's bin: to their slab they are in use.
    fn move_to_free(&mut self, class: SizeClass, blocks: usize) {
        let Some(count) = self.classes.get_mut(class.number()) else {
            return;
        };
        // Another thread may have moved them meanwhile.
        let moved = blocks.min(count.live);
        count.live -= moved;
        count.free += moved;
        self.small_blocks -= moved;
        self.small_bytes -= moved * class.block_bytes();
    }

    /// Usable bytes of all live blocks.
    pub(crate) fn live_bytes(&self) -> usize {
        self.small_bytes + self.medium_bytes + self.large_bytes
    }

    /// Their number.
    pub(crate) fn live_blocks(&self) -> usize {
        self.small_blocks + self.medium_blocks + self.large_blocks
    }
}

/// Bytes of the page heap's address space.
pub(crate) fn heap_bytes() -> usize {
    source::break_bytes() + source::mmap_bytes()
}

/// The figures by the names that `glebe_statistics` gives them, in its order.
pub(crate) fn figures() -> [(&'static str, usize); 17] {
    let snapshot = Snapshot::take();
    [
        ("live_bytes", snapshot.live_bytes()),
        ("live_blocks", snapshot.live_blocks()),
        ("small_live_bytes", snapshot.small_bytes),
        ("medium_live_bytes", snapshot.medium_bytes),
        ("large_live_bytes", snapshot.large_bytes),
        ("large_live_blocks", snapshot.large_blocks),
        ("heap_bytes", heap_bytes()),
        ("break_bytes", source::break_bytes()),
        (
            "free_dirty_bytes",
            chunk::dirty_granules() * crate::base::address::GRANULE_BYTES,
        ),
        ("cached_large_bytes", purge::large_kept_bytes()),
        ("metadata_bytes", metadata::mapped_bytes()),
        ("purged_bytes", purge::purged_bytes()),
        ("purge_calls", purge::purge_calls()),
        ("thread_caches", pool::in_use()),
        ("fork_generation", slab::generation() as usize),
        ("sampled_blocks", sampled_slots::sampled_blocks()),
        ("unguarded_objects", guarded_object::unguarded_objects()),
    ]
}

/// Bytes of the heap that lie in huge pages, of 2 MiB or 1 GiB, now; `None` where the kernel does not
/// say (before Linux 6.7, or without /proc).
fn huge_page_bytes() -> Option<usize> {
    let pagemap = Pagemap::open().ok()?;
    let mut sum = 0;
    let scanned = pagemap.for_each_huge_run(&mut |start, bytes| {
        sum += ours_of(start, start + bytes);
    });
    pagemap.close();
    scanned.ok().map(|()| sum)
}

/// Bytes from `start` to `end`, whole huge pages, that are the heap's.
fn ours_of(start: usize, end: usize) -> usize {
    let mut sum = 0;
    let mut at = start;
    while at < end {
        let next = match span::containing(at) {
            Some(place) if matches!(place.span.kind(), Kind::Large | Kind::Cached) => {
                let granules = place.span.distance.load(Ordering::Relaxed) as usize;
                place.start.plus(granules).address()
            }
            Some(_) => at + HUGE_PAGE_BYTES,
            None => {
                at += HUGE_PAGE_BYTES;
                continue;
            }
        };
        // The object may have become another's meanwhile.
        let next = next.clamp(at + HUGE_PAGE_BYTES, end.max(at + HUGE_PAGE_BYTES));
        sum += next.min(end) - at;
        at = next;
    }
    sum
}

/// The figures, what is counted on demand, and where the heap has a budget those of its paging.
fn all_figures() -> impl Iterator<Item = (&'static str, usize)> {
    figures()
        .into_iter()
        .chain(huge_page_bytes().map(|bytes| ("huge_page_bytes", bytes)))
        .chain(shared::counts())
        .chain(paging::figures())
}

/// Text of one report.
pub(crate) type Page = FixedText<4096>;

/// The summary for people.
pub(crate) fn text() -> Page {
    let mut page = Page::new();
    let name = core::str::from_utf8(process::program_name()).unwrap_or("?");
    let _ = writeln!(
        page,
        "glebe {}: {name} [{}]",
        env!("CARGO_PKG_VERSION"),
        process::id()
    );
    for (name, value) in all_figures() {
        let _ = match name.strip_suffix("_bytes") {
            Some(name) if value < 10 << 20 => {
                writeln!(page, "  {:<18} {:>11} KiB", Spaced(name), value >> 10)
            }
            Some(name) => writeln!(page, "  {:<18} {:>11} MiB", Spaced(name), value >> 20),
            None => writeln!(page, "  {:<18} {value:>11}", Spaced(name)),
        };
    }
    page
}

/// A figure's name with spaces.
struct Spaced<'a>(&'a str);

impl core::fmt::Display for Spaced<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut spaced = FixedText::<32>::new();
        for part in self.0.split('_') {
            let _ = write!(spaced, "{part} ");
        }
        formatter.pad(
            core::str::from_utf8(spaced.as_bytes())
                .unwrap_or("")
                .trim_end(),
        )
    }
}

/// One line, one JSON object.
fn json() -> Page {
    let mut page = Page::new();
    let _ = write!(
        page,
        "{{\"version\":\"{}\",\"pid\":{},\"program\":\"",
        env!("CARGO_PKG_VERSION"),
        process::id()
    );
    for &byte in process::program_name() {
        let _ = match byte {
            b'"' | b'\\' => write!(page, "\\{}", char::from(byte)),
            byte if byte.is_ascii_graphic() || byte == b' ' => {
                write!(page, "{}", char::from(byte))
            }
            byte => write!(page, "\\u{:04x}", byte),
        };
    }
    let _ = write!(page, "\"");
    for (name, value) in all_figures() {
        let _ = write!(page, ",\"{name}\":{value}");
    }
    let _ = writeln!(page, "}}");
    page
}

static STANDARD_ERROR: KeptStandardError = KeptStandardError::new();

/// To be called at start where statistics are wanted.
pub(crate) fn prepare() {
    if config::statistics_file().is_none() {
        STANDARD_ERROR.keep();
    }
}

/// Writes what `GLEBE_STATS` asks for, where `GLEBE_STATS_FILE` wants it.
pub(crate) fn write_at_exit() {
    let page = match config::statistics() {
        Statistics::Off => return,
        Statistics::Text => text(),
        Statistics::Json => json(),
    };
    match config::statistics_file() {
        Some(path) => {
            if !process::append_to_file(path, page.as_bytes()) {
                report::statistics_not_written();
            }
        }
        None => STANDARD_ERROR.write(page.as_bytes()),
    }
}
