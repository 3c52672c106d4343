//! Every word that glebe says: lines, a write(2) each, from a buffer on the stack.
//!
//! Reports of misuse end the process unless `GLEBE_ON_ERROR=continue`. They are one line, and
//! after it the stacks that are known. All is async-signal-safe and takes less than 2 KiB of stack.

use crate::base::fixed_text::FixedText;
use crate::config;
use crate::os::{process, unwind};
use core::fmt::{Arguments, Write as _};

/// How the line calls itself.
#[derive(Clone, Copy)]
enum Severity {
    Fatal,
    Error,
    Warning,
}

fn line(severity: Severity, message: Arguments<'_>) {
    let word = match severity {
        Severity::Fatal => "fatal",
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    write_line(format_args!("glebe: [{}] {word}: {message}", process::id()));
}

fn write_line(text: Arguments<'_>) {
    // A line too long is cut; it still says the most important first.
    let mut line = FixedText::<513>::new();
    let _ = line.write_fmt(text);
    line.end_line();
    process::write_once(libc::STDERR_FILENO, line.as_bytes());
}

/// Reports misuse: returns only where the program shall go on.
fn misuse(message: Arguments<'_>) {
    misuse_with_stacks(message, &[]);
}

fn misuse_with_stacks(message: Arguments<'_>, stacks: &[&Stack]) {
    let goes_on = config::continue_on_error();
    line(
        if goes_on {
            Severity::Error
        } else {
            Severity::Fatal
        },
        message,
    );
    for stack in stacks {
        stack.write();
    }
    if !goes_on {
        process::abort();
    }
}

/// Most frames of a stack in a report.
pub(crate) const STACK_FRAMES: usize = 16;

/// What happened on a stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The misuse, in a call of ours: all frames are return addresses.
    Call,
    /// The misuse, by an instruction: the innermost frame is its address.
    Fault,
    /// The block was allocated, by this thread.
    Allocation(i32),
    /// It was freed, by this thread.
    Free(i32),
}

/// A stack of a report.
pub(crate) struct Stack {
    pub(crate) event: Event,
    /// Innermost first; 0 beyond the last.
    pub(crate) frames: [usize; STACK_FRAMES],
}

impl Stack {
    fn write(&self) {
        match self.event {
            Event::Call | Event::Fault => write_line(format_args!("  access:")),
            Event::Allocation(thread) => {
                write_line(format_args!("  allocated by thread {thread}:"));
            }
            Event::Free(thread) => write_line(format_args!("  freed by thread {thread}:")),
        }
        let frames = self.frames.iter().take_while(|&&frame| frame != 0);
        for (number, &frame) in frames.enumerate() {
            // A call may be the last instruction of its function: what it returns to is another's.
            let is_fault = number == 0 && self.event == Event::Fault;
            let address = frame - usize::from(!is_fault);
            match unwind::module_of(address) {
                Some(module) => write_line(format_args!(
                    "    #{number} {}+{:#x}",
                    Path(module.path.to_bytes()),
                    module.offset
                )),
                None => write_line(format_args!("    #{number} {address:#x}")),
            }
        }
    }
}

/// A block in a report.
pub(crate) struct ReportedBlock {
    /// Its start.
    pub(crate) start: usize,
    /// Bytes asked for.
    pub(crate) bytes: usize,
}

impl ReportedBlock {
    /// Bytes from the block to `address`; 0 inside.
    pub(crate) fn distance(&self, address: usize) -> usize {
        let end = self.start + self.bytes;
        self.start
            .saturating_sub(address)
            .max((address + 1).saturating_sub(end))
    }
}

/// A misuse of a block whose history is known. `address` is what was passed to `door`, or accessed
/// where that is empty.
#[cold]
pub(crate) fn block_misuse(
    kind: Arguments<'_>,
    address: usize,
    block: &ReportedBlock,
    door: &str,
    stacks: &[&Stack],
) {
    misuse_with_stacks(
        format_args!(
            "{kind}: ptr={address:#x} block={:#x} bytes={} offset={}{}{door}",
            block.start,
            block.bytes,
            address.wrapping_sub(block.start).cast_signed(),
            if door.is_empty() { "" } else { " door=" },
        ),
        stacks,
    );
}

/// An access to guard pages or read-only pages of ours that belong to no block.
#[cold]
pub(crate) fn access_to_our_own(write: bool, address: usize, access: &Stack) {
    let kind = if write { "write to" } else { "read of" };
    misuse_with_stacks(
        format_args!("{kind} memory of glebe's own: ptr={address:#x}"),
        &[access],
    );
}

/// A block was freed that is free already. `class_bytes` is its size, 0 where
/// no block is there any more.
#[cold]
pub(crate) fn double_free(door: &str, address: usize, class_bytes: usize) {
    match class_bytes {
        0 => misuse(format_args!(
            "double free: ptr={address:#x} door={door} state=unused"
        )),
        bytes => misuse(format_args!(
            "double free: ptr={address:#x} class={bytes} door={door}"
        )),
    }
}

/// An address inside a block was passed where its start belongs.
#[cold]
pub(crate) fn inside_block(door: &str, address: usize, start: usize, class_bytes: usize) {
    misuse(format_args!(
        "{door} inside a block: ptr={address:#x} class={class_bytes} block={start:#x} offset={}",
        address - start
    ));
}

/// A pointer that is not ours, and there is no other allocator to take it.
#[cold]
pub(crate) fn not_ours(door: &str, address: usize) {
    misuse(format_args!(
        "{door} of a pointer that is not ours: ptr={address:#x}"
    ));
}

/// A link between free blocks was written over: by a use after free, or past the end of the
/// block before.
#[cold]
pub(crate) fn free_list_corrupted(address: usize) {
    misuse(format_args!(
        "free list corrupted: ptr={address:#x} (written to after it was freed)"
    ));
}

/// A block that is free was written to: seen when it was to be issued again. `offset` is that of
/// the first byte.
#[cold]
pub(crate) fn write_after_free(address: usize, class_bytes: usize, offset: usize) {
    misuse(format_args!(
        "write after free: ptr={:#x} block={address:#x} class={class_bytes} offset={offset}",
        address + offset
    ));
}

/// What stands behind the block at `address`, for which `bytes` were asked, was written over.
/// `offset` is that of the first byte.
#[cold]
pub(crate) fn write_past_end(door: &str, address: usize, bytes: usize, offset: usize) {
    misuse(format_args!(
        "write past the end of a block: ptr={:#x} block={address:#x} bytes={bytes} \
         offset={offset} door={door}",
        address + offset
    ));
}

/// The same where so much was written over that the size asked for is lost.
#[cold]
pub(crate) fn seal_broken(door: &str, address: usize, class_bytes: usize) {
    misuse(format_args!(
        "write past the end of a block: ptr={:#x} block={address:#x} class={class_bytes} \
         offset={} door={door}",
        address + class_bytes - 8,
        class_bytes - 8
    ));
}

/// A free that names another size than was asked for.
#[cold]
pub(crate) fn wrong_size(address: usize, bytes: usize, named_bytes: usize) {
    misuse(format_args!(
        "wrong size: ptr={address:#x} bytes={bytes} freed-as={named_bytes}"
    ));
}

/// A free that names another alignment than was asked for.
#[cold]
pub(crate) fn wrong_alignment(address: usize, alignment: usize, named_alignment: usize) {
    misuse(format_args!(
        "wrong alignment: ptr={address:#x} alignment={alignment} freed-as={named_alignment}"
    ));
}

/// C++'s operator new failed where no C++ library is loaded that could throw.
#[cold]
pub(crate) fn new_without_library() -> ! {
    line(
        Severity::Fatal,
        format_args!("operator new: out of memory, and no C++ library to throw"),
    );
    process::abort();
}

/// A `GLEBE_…` variable that does not exist.
#[cold]
pub(crate) fn unknown_option(name: &[u8], known: impl Iterator<Item = &'static str>) {
    let mut names = FixedText::<384>::new();
    for name in known {
        let _ = write!(names, " {name}");
    }
    let names = core::str::from_utf8(names.as_bytes()).unwrap_or("");
    line(
        Severity::Warning,
        format_args!("{} is unknown; options are{names}", Text(name)),
    );
}

/// A word that an option does not accept.
#[cold]
pub(crate) fn bad_option_word(name: &[u8], value: &[u8], accepted: &[&str]) {
    let mut words = FixedText::<128>::new();
    for word in accepted {
        let _ = write!(words, " {word}");
    }
    let words = core::str::from_utf8(words.as_bytes()).unwrap_or("");
    line(
        Severity::Warning,
        format_args!(
            "{}={} is not one of:{words}; using the default",
            Text(name),
            Text(value)
        ),
    );
}

/// A number that an option does not accept.
#[cold]
pub(crate) fn bad_option_number(name: &[u8], value: &[u8], most: usize) {
    line(
        Severity::Warning,
        format_args!(
            "{}={} is not a whole number from 0 to {most}; using the default",
            Text(name),
            Text(value)
        ),
    );
}

/// A budget that is none.
#[cold]
pub(crate) fn bad_option_amount(name: &[u8], value: &[u8]) {
    line(
        Severity::Warning,
        format_args!(
            "{}={} is neither bytes (as in 512M) nor a share (as in 60%); using the default",
            Text(name),
            Text(value)
        ),
    );
}

/// A path that an option does not accept.
#[cold]
pub(crate) fn bad_option_path(name: &[u8], most: usize) {
    line(
        Severity::Warning,
        format_args!(
            "{} is longer than {most} bytes; using the default",
            Text(name)
        ),
    );
}

/// The file of `GLEBE_STATS_FILE` cannot be written.
#[cold]
pub(crate) fn statistics_not_written() {
    line(
        Severity::Warning,
        format_args!("GLEBE_STATS_FILE cannot be written"),
    );
}

/// The helper thread of `GLEBE_PURGE=thread` could not be started.
#[cold]
pub(crate) fn no_purge_thread() {
    line(
        Severity::Warning,
        format_args!("no purge thread; callers give memory back"),
    );
}

/// Pages of a size that was asked for are not to be had; `used` are taken.
#[cold]
pub(crate) fn no_page_size(why: &str, used: &str) {
    line(
        Severity::Warning,
        format_args!("GLEBE_PAGE_SIZE: no pages of {why}; pages of {used} are used"),
    );
}

/// The budget cannot be kept; ends the process where it is required.
#[cold]
pub(crate) fn no_budget(why: &str, required: bool) {
    let severity = if required {
        Severity::Fatal
    } else {
        Severity::Warning
    };
    line(severity, format_args!("no budget: {why}"));
    if required {
        process::exit_at_once(125);
    }
}

/// More is in use than the budget allows, and nothing more can be moved out.
#[cold]
pub(crate) fn budget_exceeded(budget_bytes: usize, used_bytes: usize) {
    line(
        Severity::Warning,
        format_args!(
            "the budget of {} MiB is exceeded ({} MiB in use): what is left does not compress, is \
             pinned, or the store is full; GLEBE_STORE=both adds a file",
            budget_bytes >> 20,
            used_bytes >> 20
        ),
    );
}

/// The file for evicted pages cannot be made; compressed memory serves alone.
#[cold]
pub(crate) fn no_spill_file(errno: i32) {
    line(
        Severity::Warning,
        format_args!(
            "GLEBE_STORE_FILE: no file for evicted pages (error {errno}); compressed memory serves alone"
        ),
    );
}

/// The file for evicted pages took no more; what it has stays there.
#[cold]
pub(crate) fn spill_failed(errno: i32) {
    line(
        Severity::Warning,
        format_args!(
            "the file for evicted pages takes no more (error {errno}); pages stay in memory"
        ),
    );
}

/// An evicted page cannot be read again.
#[cold]
pub(crate) fn page_lost(address: usize) -> ! {
    line(
        Severity::Fatal,
        format_args!("an evicted page cannot be read again: ptr={address:#x}"),
    );
    process::abort()
}

/// The path of a module; of one too long for a line, the end.
struct Path<'a>(&'a [u8]);

impl core::fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let start = self.0.len().saturating_sub(400);
        for chunk in self.0.get(start..).unwrap_or(&[]).utf8_chunks() {
            formatter.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                formatter.write_char('?')?;
            }
        }
        Ok(())
    }
}

/// Bytes of the environment, shown as far as they are printable ASCII and not overlong.
struct Text<'a>(&'a [u8]);

impl core::fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for &byte in self.0.iter().take(64) {
            let shown = if byte.is_ascii_graphic() { byte } else { b'?' };
            formatter.write_char(char::from(shown))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_shown_as_printable_ascii_and_cut() {
        let shown = |text: &[u8]| std::format!("{}", Text(text));
        assert_eq!(shown(b"GLEBE_X"), "GLEBE_X");
        assert_eq!(shown(b"a b\n\x1b[31m\xc3\xa9"), "a?b??[31m??");
        assert_eq!(shown(&[b'x'; 1000]), "x".repeat(64));
    }
}
