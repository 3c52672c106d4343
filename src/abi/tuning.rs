//! glibc's doors for tuning and watching: malloc_trim, mallopt, mallinfo, mallinfo2,
//! malloc_stats, malloc_info.

use crate::base::fixed_text::FixedText;
use crate::config;
use crate::heap::give_back;
use crate::observe::statistics::{self, Snapshot};
use crate::os::process::{self, ErrnoKept};
use crate::pages::source;
use crate::small::size_class::SizeClass;
use core::ffi::{c_char, c_int};
use core::fmt::Write as _;

/// malloc_trim: gives free memory but `pad` bytes back to the kernel, of the thread's own slabs and
/// those nobody owns also the pages free at their ends; 1 if there was any, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_malloc_trim(pad: usize) -> c_int {
    let _kept = ErrnoKept::new();
    c_int::from(give_back::purge(pad) > 0)
}

/// mallopt. Keys with a meaning here, which return 1:
/// - `M_TRIM_THRESHOLD` (-1): bytes of free memory that may stay resident, beside 1/8 of what is
///   in use; rounded up to MiB. (`GLEBE_DIRTY_MIB`)
/// - `M_CHECK_ACTION` (-5): 1, misuse is reported and the program goes on; 2 and 3, it aborts.
///   (`GLEBE_ON_ERROR`)
///
/// All others return 0: here is no arena, no top pad and no threshold for mmap to set. In hardened
/// mode, where the options are read-only, so do these.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_mallopt(key: c_int, value: c_int) -> c_int {
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_CHECK_ACTION: c_int = -5;
    c_int::from(match (key, usize::try_from(value)) {
        (M_TRIM_THRESHOLD, Ok(bytes)) => config::set_dirty_bytes(bytes),
        (M_CHECK_ACTION, Ok(1)) => config::set_continue_on_error(true),
        (M_CHECK_ACTION, Ok(2 | 3)) => config::set_continue_on_error(false),
        _ => false,
    })
}

/// glibc's `struct mallinfo2`, all fields in bytes or numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Mallinfo2 {
    /// Bytes of the page heap (not of large objects).
    pub arena: usize,
    /// Free blocks.
    pub ordblks: usize,
    /// Always 0: there are no fastbins.
    pub smblks: usize,
    /// Large objects.
    pub hblks: usize,
    /// Bytes of large objects.
    pub hblkhd: usize,
    /// Always 0, as in glibc.
    pub usmblks: usize,
    /// Always 0: there are no fastbins.
    pub fsmblks: usize,
    /// Bytes of live small and medium blocks.
    pub uordblks: usize,
    /// `arena` less `uordblks`.
    pub fordblks: usize,
    /// Bytes that malloc_trim could give back.
    pub keepcost: usize,
}

/// mallinfo2.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_mallinfo2() -> Mallinfo2 {
    let _kept = ErrnoKept::new();
    let snapshot = Snapshot::take();
    let arena = statistics::heap_bytes();
    let used = snapshot.small_bytes + snapshot.medium_bytes;
    Mallinfo2 {
        arena,
        ordblks: snapshot.classes.iter().map(|class| class.free).sum(),
        smblks: 0,
        hblks: snapshot.large_blocks,
        hblkhd: snapshot.large_bytes,
        usmblks: 0,
        fsmblks: 0,
        uordblks: used,
        fordblks: arena.saturating_sub(used),
        keepcost: crate::pages::chunk::dirty_granules() * crate::base::address::GRANULE_BYTES
            + crate::pages::purge::large_kept_bytes(),
    }
}

/// glibc's `struct mallinfo`: the same as `int`s, cut at what these hold.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Mallinfo {
    fields: [c_int; 10],
}

/// mallinfo.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_mallinfo() -> Mallinfo {
    let info = glebe_mallinfo2();
    let fields = [
        info.arena,
        info.ordblks,
        info.smblks,
        info.hblks,
        info.hblkhd,
        info.usmblks,
        info.fsmblks,
        info.uordblks,
        info.fordblks,
        info.keepcost,
    ];
    Mallinfo {
        fields: fields.map(|value| c_int::try_from(value).unwrap_or(c_int::MAX)),
    }
}

/// malloc_stats: a summary on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_malloc_stats() {
    let _kept = ErrnoKept::new();
    process::write_once(::libc::STDERR_FILENO, statistics::text().as_bytes());
}

/// malloc_info: glibc's XML on `stream`; 0, EINVAL for options other than 0, or -1 where the
/// stream cannot be written.
///
/// # Safety
/// `stream` is an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_malloc_info(options: c_int, stream: *mut ::libc::FILE) -> c_int {
    if options != 0 {
        return ::libc::EINVAL;
    }
    // SAFETY: as the caller's.
    let mut out = Stream {
        stream,
        failed: false,
    };
    write_xml(&mut out);
    if out.failed { -1 } else { 0 }
}

/// Lines to a C stream. What is written is known to be short.
struct Stream {
    stream: *mut ::libc::FILE,
    failed: bool,
}

impl Stream {
    fn line(&mut self, line: core::fmt::Arguments<'_>) {
        let mut text = FixedText::<256>::new();
        let complete = writeln!(text, "{line}").is_ok();
        let bytes = text.as_bytes();
        // SAFETY: the stream is open by the contract of the only user, the bytes are readable.
        let written = unsafe {
            ::libc::fwrite(
                bytes.as_ptr().cast::<c_char>().cast(),
                1,
                bytes.len(),
                self.stream,
            )
        };
        self.failed |= !complete || written != bytes.len();
    }
}

fn write_xml(out: &mut Stream) {
    let snapshot = Snapshot::take();
    let (mut free_blocks, mut free_bytes) = (0, 0);
    out.line(format_args!(
        "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>"
    ));
    for (class, count) in SizeClass::all().zip(&snapshot.classes) {
        if count.free == 0 {
            continue;
        }
        let to = class.block_bytes();
        let from = match class.number() {
            0 => 1,
            number => SizeClass::new(number - 1).block_bytes() + 1,
        };
        free_blocks += count.free;
        free_bytes += count.free * to;
        out.line(format_args!(
            "  <size from=\"{from}\" to=\"{to}\" total=\"{}\" count=\"{}\"/>",
            count.free * to,
            count.free
        ));
    }
    let heap = statistics::heap_bytes();
    out.line(format_args!("</sizes>"));
    totals(out, free_blocks, free_bytes, heap);
    out.line(format_args!("</heap>"));
    totals(out, free_blocks, free_bytes, heap);
    out.line(format_args!(
        "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>\n</malloc>",
        snapshot.large_blocks, snapshot.large_bytes
    ));
}

fn totals(out: &mut Stream, blocks: usize, bytes: usize, heap: usize) {
    out.line(format_args!(
        "<total type=\"fast\" count=\"0\" size=\"0\"/>"
    ));
    out.line(format_args!(
        "<total type=\"rest\" count=\"{blocks}\" size=\"{bytes}\"/>"
    ));
    out.line(format_args!("<system type=\"current\" size=\"{heap}\"/>"));
    out.line(format_args!(
        "<system type=\"max\" size=\"{}\"/>",
        source::peak_bytes()
    ));
    out.line(format_args!("<aspace type=\"total\" size=\"{heap}\"/>"));
    out.line(format_args!("<aspace type=\"mprotect\" size=\"{heap}\"/>"));
}
