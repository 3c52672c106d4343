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
  glebe run --library target/release/libglebe.so -- ./a.out
  LD_PRELOAD=libfaketime.so.1 glebe run -- date       glebe first, then what stood there

The program takes the place of this command (no process stands between), so its exit status, its
death by a signal, its descriptors and its terminal are its own. The programs that it starts run on
glebe too, as long as they keep the environment.

The library is looked for beside this command, in deps/, ../lib, ../lib/x86_64-linux-gnu and
../lib64 from there, and at last where GLEBE_LIBRARY says; --library goes before all of these.

Statistics come from processes that end by exit or by returning from main; those that end by _exit
or a signal (dash, some servers) write none.

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

    /// Preload this libglebe.so
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,

    /// What to run, looked for on PATH unless it has a slash, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "PROGRAM")]
    program: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
}

/// Executes the program; returns only if that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<Infallible, Failure> {
    let library = library::find(arguments.library.as_deref())?;
    let name = &arguments.program[0];
    let program = Program::look_up(name).map_err(|error| cannot_execute(name, &error))?;
    let limit = program.limit();
    if let Some(limit) = &limit {
        eprintln!("glebe: {} {limit}", program.title(name));
    }
    if limit.is_none_or(|limit| limit.allows_preload()) {
        set(
            PRELOAD,
            &preload_list(&library, env::var_os(PRELOAD).as_deref()),
        );
    }
    set_statistics(arguments)?;
    if arguments.hardened {
        set("GLEBE_HARDENED", OsStr::new("1"));
    }
    let error = execute(&program, &arguments.program);
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

fn set_statistics(arguments: &Arguments) -> Result<(), Failure> {
    const FORM: &str = "GLEBE_STATS";
    let implied = arguments.stats_file.is_some() && env::var_os(FORM).is_none();
    match arguments.stats.or(implied.then_some(Form::Text)) {
        Some(Form::Text) => set(FORM, "text".as_ref()),
        Some(Form::Json) => set(FORM, "json".as_ref()),
        None => {}
    }
    if let Some(file) = &arguments.stats_file {
        let file = std::path::absolute(file)
            .map_err(|error| Failure::new(125, format!("--stats-file: {error}")))?;
        set("GLEBE_STATS_FILE", file.as_os_str());
    }
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
