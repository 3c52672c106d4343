//! `glebe run`: the environment, then the program in place of this process.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;

use clap::{Args, ValueEnum};

use crate::Failure;
use crate::library;
use crate::program::Program;

const PRELOAD: &str = "LD_PRELOAD";

const DETAILS: &str = "\
Examples:
  glebe run -- python3 app.py
  glebe run --stats -- gcc -c big.c                   a readable summary from gcc and each child
  glebe run --stats=json --stats-file heap.jsonl -- nginx      one line of JSON from each process
  glebe run --hardened -- ./parser input              misuse of memory ends in a report
  glebe run --budget 512M -- redis-server             what it leaves alone for long is compressed
  glebe run --budget 60% --store both --store-file /mnt/ssd -- ./simulation
                                                      and goes to a file where that is not enough
  glebe run --library target/release/libglebe.so -- ./a.out
  LD_PRELOAD=libfaketime.so.1 glebe run -- date       glebe first, then what stood there

The program takes the place of this command (no process stands between), so its exit status, its
death by a signal, its descriptors and its terminal are its own. The programs that it starts run on
glebe too, as long as they keep the environment.

The library is looked for beside this command, in deps/, ../lib, ../lib/x86_64-linux-gnu and
../lib64 from there, and at last where GLEBE_LIBRARY says; --library goes before all of these.

Statistics come from processes that end by exit or by returning from main; those that end by _exit
or a signal (dash, some servers) write none.

--budget keeps the memory of the heap below an amount (see docs/paging.md): bytes with K, M, G or T
behind, or a share in percent of what the machine or the control group has. Each program that the
program executes gets a budget of the same amount, unless --budget-for-children=no. Where the kernel
does not let glebe keep it, one line on stderr says why and how to change that, and the program runs
without; --budget-required ends it with 125 instead. --budget 0 lifts a budget that was inherited.

Where preloading does not reach, one line on stderr says so, and the program runs all the same:
  no effect       the program is statically linked (as most Go programs are); is setuid, setgid or
                  has file capabilities; defines malloc itself
  not preloaded   it is for another machine or 32-bit, or linked against musl
  a part only     a Go program with C code (that uses glebe), or one with jemalloc, mimalloc or the
                  like linked in under a name of its own (the rest and its libraries use glebe)

Exit status: that of PROGRAM, or
  125  glebe itself failed, for example found no libglebe.so
  126  PROGRAM cannot be executed
  127  PROGRAM is not there
  2    wrong use of this command";

/// Run a program on glebe
#[derive(Args)]
#[command(override_usage = "glebe run [OPTIONS] [--] PROGRAM [ARGS]...", after_help = DETAILS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,

    /// What to run, looked for on PATH unless it has a slash, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// How a program runs; `glebe map` takes them too.
#[derive(Args, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Print heap statistics on stderr when a process ends; json: one line
    #[arg(long, value_name = "text|json", hide_possible_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    stats: Option<Form>,

    /// Append the statistics to this file instead (implies --stats)
    #[arg(long, value_name = "PATH")]
    stats_file: Option<PathBuf>,

    /// Check every block: misuse of memory ends in a report (see docs/hardened.md)
    #[arg(long)]
    hardened: bool,

    /// Which pages of the kernel's the heap shall lie in (see docs/page-sizes.md)
    #[arg(long, value_name = "4K|64K|2M|1G", value_parser = ["4K", "64K", "2M", "1G"])]
    #[arg(hide_possible_values = true)]
    page_size: Option<String>,

    /// Keep the heap in this much memory: 512M, 2G, 60%; the rest is compressed (see docs/paging.md)
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    budget: Option<String>,

    /// Where the rest goes: compressed in memory (default), to a file, or to both, memory first
    #[arg(
        long,
        value_name = "memory|file|both",
        hide_possible_values = true,
        requires = "budget"
    )]
    store: Option<Store>,

    /// The folder of that file, which has no name (default /var/tmp), or a path to create it by
    #[arg(long, value_name = "PATH", requires = "budget")]
    store_file: Option<PathBuf>,

    /// Do not run the program where the budget cannot be kept
    #[arg(long, requires = "budget")]
    budget_required: bool,

    /// Whether the programs that it executes have the same budget each, or none (default yes)
    #[arg(
        long,
        value_name = "yes|no",
        hide_possible_values = true,
        requires = "budget"
    )]
    budget_for_children: Option<Inheritance>,

    /// Preload this libglebe.so
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Memory,
    File,
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Inheritance {
    Yes,
    No,
}

/// What the library takes for an amount of memory, as it was written.
fn amount(text: &str) -> Result<String, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u64>().ok();
    let is_good = match unit {
        "%" => number.is_some_and(|share| (1..=100).contains(&share)),
        _ => number
            .zip(unit_bits(unit))
            .is_some_and(|(count, bits)| count < 1 << (63 - bits)),
    };
    is_good
        .then(|| text.to_string())
        .ok_or("neither bytes (as in 512M) nor a share (as in 60%)")
}

fn unit_bits(unit: &str) -> Option<u32> {
    match unit {
        "" => Some(0),
        "K" | "k" => Some(10),
        "M" | "m" => Some(20),
        "G" | "g" => Some(30),
        "T" | "t" => Some(40),
        _ => None,
    }
}

/// Executes the program; returns only if that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<Infallible, Failure> {
    run_program(&arguments.options, &arguments.program)
}

/// Executes `program`, its name and its arguments; returns only if that fails.
pub(crate) fn run_program(
    options: &Options,
    arguments: &[OsString],
) -> Result<Infallible, Failure> {
    let library = library::find(options.library.as_deref())?;
    let name = &arguments[0];
    let program = Program::look_up(name).map_err(|error| cannot_execute(name, &error))?;
    let limit = program.limit();
    if let Some(limit) = &limit {
        let line = format!("{} {limit}", program.title(name));
        if options.budget_required {
            return Err(Failure::new(125, format!("no budget: {line}")));
        }
        eprintln!("glebe: {line}");
    }
    if limit.is_none_or(|limit| limit.allows_preload()) {
        set(
            PRELOAD,
            &preload_list(&library, env::var_os(PRELOAD).as_deref()),
        );
    }
    set_statistics(options)?;
    set_budget(options)?;
    if let Some(size) = &options.page_size {
        set("GLEBE_PAGE_SIZE", size.as_ref());
    }
    if options.hardened {
        set("GLEBE_HARDENED", OsStr::new("1"));
    }
    let error = execute(&program, arguments);
    Err(match error.kind() {
        io::ErrorKind::NotFound => Failure::new(
            127,
            format!("{}: its interpreter or loader is not there", name.display()),
        ),
        _ => cannot_execute(name, &error),
    })
}

fn cannot_execute(name: &OsStr, error: &io::Error) -> Failure {
    let name = name.display();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(127, format!("{name}: not found")),
        io::ErrorKind::PermissionDenied => Failure::new(
            126,
            format!("{name}: not executable (no permission, or a folder)"),
        ),
        _ => Failure::new(126, format!("{name}: cannot be executed: {error}")),
    }
}

fn set_statistics(options: &Options) -> Result<(), Failure> {
    const FORM: &str = "GLEBE_STATS";
    let implied = options.stats_file.is_some() && env::var_os(FORM).is_none();
    match options.stats.or(implied.then_some(Form::Text)) {
        Some(Form::Text) => set(FORM, "text".as_ref()),
        Some(Form::Json) => set(FORM, "json".as_ref()),
        None => {}
    }
    if let Some(file) = &options.stats_file {
        set_path("GLEBE_STATS_FILE", "--stats-file", file)?;
    }
    Ok(())
}

fn set_budget(options: &Options) -> Result<(), Failure> {
    const ALONE: &str = "GLEBE_BUDGET_PID";
    let Some(budget) = &options.budget else {
        return Ok(());
    };
    set("GLEBE_BUDGET", budget.as_ref());
    match options.store {
        Some(Store::Memory) => set("GLEBE_STORE", "memory".as_ref()),
        Some(Store::File) => set("GLEBE_STORE", "file".as_ref()),
        Some(Store::Both) => set("GLEBE_STORE", "both".as_ref()),
        None => {}
    }
    if let Some(file) = &options.store_file {
        set_path("GLEBE_STORE_FILE", "--store-file", file)?;
    }
    if options.budget_required {
        set("GLEBE_BUDGET_REQUIRED", "1".as_ref());
    }
    if options.budget_for_children == Some(Inheritance::No) {
        // The program takes the place of this process, and its process id.
        set(ALONE, std::process::id().to_string().as_ref());
    } else {
        // One that was inherited names another process, and would take the budget from this one.
        // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
        unsafe { env::remove_var(ALONE) };
    }
    Ok(())
}

/// Sets `variable` to the absolute path of `file`: the program may change its folder.
fn set_path(variable: &str, option: &str, file: &Path) -> Result<(), Failure> {
    let file = std::path::absolute(file)
        .map_err(|error| Failure::new(125, format!("{option}: {error}")))?;
    set(variable, file.as_os_str());
    Ok(())
}

fn set(name: &str, value: &OsStr) {
    // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
    unsafe { env::set_var(name, value) };
}

/// `library`, then the entries of `present` (the loader takes spaces and colons between them) but
/// for the same file.
fn preload_list(library: &Path, present: Option<&OsStr>) -> OsString {
    let same = |entry: &[u8]| {
        let entry = Path::new(OsStr::from_bytes(entry));
        entry == library
            || entry
                .canonicalize()
                .is_ok_and(|file| library.canonicalize().is_ok_and(|it| it == file))
    };
    let mut list = library.as_os_str().as_bytes().to_vec();
    let present = present.unwrap_or_default().as_bytes();
    for entry in present.split(|byte| b" :".contains(byte)) {
        if !entry.is_empty() && !same(entry) {
            list.push(b':');
            list.extend_from_slice(entry);
        }
    }
    OsString::from_vec(list)
}

/// The program in place of this process, called by the name the user gave; returns why not.
fn execute(program: &Program, arguments: &[OsString]) -> io::Error {
    let terminated = |text: &OsString| CString::new(text.as_bytes());
    let (Ok(path), Ok(arguments)) = (
        CString::new(program.path().as_os_str().as_bytes()),
        arguments
            .iter()
            .map(terminated)
            .collect::<Result<Vec<_>, _>>(),
    ) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let mut vector: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    vector.push(ptr::null());
    // execvp gives what the kernel does not take to the shell: right for a script without `#!`,
    // never for a binary.
    let exec = if program.is_binary() {
        libc::execv
    } else {
        libc::execvp
    };
    // SAFETY: `path` and the entries of `vector` end in NUL, `vector` in a null pointer, and all of
    // them live until the call returns.
    unsafe { exec(path.as_ptr(), vector.as_ptr()) };
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_a_unit_or_is_a_share() {
        for good in ["0", "4096", "512M", "2g", "1%", "100%", "8388607T"] {
            assert_eq!(amount(good).as_deref(), Ok(good));
        }
        for bad in [
            "", "M", "%", "0%", "101%", "-1", "+1", "1.5G", "8388608T", "12X", "1MB", "1\u{b5}",
        ] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_library_goes_first_and_the_other_entries_keep_their_order() {
        let list = |present| preload_list(Path::new("/g/libglebe.so"), present);
        assert_eq!(list(None), "/g/libglebe.so");
        assert_eq!(list(Some("".as_ref())), "/g/libglebe.so");
        assert_eq!(
            list(Some("b.so /c.so:".as_ref())),
            "/g/libglebe.so:b.so:/c.so"
        );
        assert_eq!(
            list(Some("b.so:/g/libglebe.so:c.so".as_ref())),
            "/g/libglebe.so:b.so:c.so"
        );
    }
}
