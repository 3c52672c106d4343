//! The program to run: where it is, and how far a preloaded library reaches in it.

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr;

use memmap2::Mmap;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Sym, SymbolTable};
use object::{Endianness, FileKind};

/// Scripts may be interpreted by scripts; the kernel gives up after as many.
const MOST_INTERPRETERS: usize = 5;

/// Functions by which an allocator linked into a program is known.
const ALLOCATORS: [(&str, &[&str]); 5] = [
    ("jemalloc", &["je_malloc", "_rjem_malloc", "mallocx"]),
    ("mimalloc", &["mi_malloc"]),
    ("tcmalloc", &["tc_malloc", "TCMallocInternalMalloc"]),
    ("snmalloc", &["sn_malloc", "sn_rust_alloc"]),
    ("glebe", &["glebe_malloc"]),
];

/// A function of the dynamic loader, which is linked like a static program and is none.
const LOADER_ONLY: &[u8] = b"__tls_get_addr";

type Header = FileHeader64<Endianness>;

/// Setgid without execution by the group means mandatory locks, not rights.
const SETGID: u32 = libc::S_ISGID | libc::S_IXGRP;

/// A file that can be executed, and the binary that this loads.
pub(crate) struct Program {
    path: PathBuf,
    /// `path`, or the last interpreter if `path` is a script.
    binary: PathBuf,
}

/// Why a preloaded library does not serve all of a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    OtherMachine(&'static str),
    Musl,
    Privileged(&'static str),
    Static,
    OwnMalloc,
    LinkedAllocator(&'static str),
    Go,
}

impl Limit {
    /// Whether the preload does no harm; children of the program inherit it then.
    pub(crate) fn allows_preload(&self) -> bool {
        !matches!(self, Limit::OtherMachine(_) | Limit::Musl)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::OtherMachine(machine) => write!(
                line,
                "is a program for {machine}: libglebe.so is for x86-64 and is not preloaded"
            ),
            Limit::Musl => line.write_str(
                "is linked against musl: libglebe.so needs glibc and is not preloaded; the \
                 program keeps its malloc",
            ),
            Limit::Privileged(how) => write!(
                line,
                "is {how}: the loader ignores the preload there; the program keeps its malloc"
            ),
            Limit::Static => line.write_str(
                "is statically linked: a preload has no effect on it; it keeps its own malloc",
            ),
            Limit::OwnMalloc => line.write_str(
                "defines malloc itself, and the loader puts that before a preloaded one: it \
                 keeps its own malloc",
            ),
            Limit::LinkedAllocator(name) => write!(
                line,
                "has {name} linked in: what it takes from there stays there, only the rest \
                 and its libraries use glebe"
            ),
            Limit::Go => line.write_str(
                "is a Go program: its heap is the Go runtime's own, only its C code uses glebe",
            ),
        }
    }
}

impl Program {
    /// The file that execvp(3) executes for `name`. Errors: NotFound, PermissionDenied.
    pub(crate) fn look_up(name: &OsStr) -> io::Result<Program> {
        let path = find_executable(name)?;
        let mut binary = path.clone();
        for _ in 0..MOST_INTERPRETERS {
            match interpreter(&binary) {
                Some(next) => binary = next,
                None => break,
            }
        }
        Ok(Program { path, binary })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is no script.
    pub(crate) fn is_binary(&self) -> bool {
        self.path == self.binary
    }

    /// What a message calls it: `name`, and what executes it.
    pub(crate) fn title(&self, name: &OsStr) -> String {
        if self.is_binary() {
            name.display().to_string()
        } else {
            format!(
                "{} is executed by {}, which",
                name.display(),
                self.binary.display()
            )
        }
    }

    /// What a preload cannot do in this program; None also where the file cannot be read.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let file = File::open(&self.binary).ok()?;
        // SAFETY: the mapping is private and only read; a file cut short meanwhile would end this
        // command by SIGBUS, which harms nothing.
        let data = unsafe { Mmap::map(&file) }.ok()?;
        limit_of(&data, || privilege(&self.binary)).ok()?
    }
}

fn find_executable(name: &OsStr) -> io::Result<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return executable(name.into());
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let mut denied = None;
    for folder in env::split_paths(&folders) {
        let here = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        };
        match executable(here.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            Err(_) => {}
            found => return found,
        }
    }
    Err(denied.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// `path`, if it is a file that this process may execute.
fn executable(path: PathBuf) -> io::Result<PathBuf> {
    let is_file = fs::metadata(&path)?.is_file();
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `name` ends in NUL and lives through the call.
    let may_execute = unsafe { libc::access(name.as_ptr(), libc::X_OK) } == 0;
    if is_file && may_execute {
        Ok(path)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// What executes the script `path`; None for a binary. `env` is looked through to the program that
/// it starts.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(256)
        .read_to_end(&mut head)
        .ok()?;
    if head.starts_with(&elf::ELFMAG) {
        return None;
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return Some("/bin/sh".into());
    };
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let first = Path::new(OsStr::from_bytes(words.next()?));
    if first.file_name()? != "env" {
        return Some(first.into());
    }
    let started = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    let found = started.and_then(|word| find_executable(OsStr::from_bytes(word)).ok());
    Some(found.unwrap_or_else(|| first.into()))
}

/// The limit of a program file that holds `data`; `privilege` tells how its process gains rights.
fn limit_of(
    data: &[u8],
    privilege: impl FnOnce() -> Option<&'static str>,
) -> object::Result<Option<Limit>> {
    if FileKind::parse(data)? == FileKind::Elf32 {
        return Ok(Some(Limit::OtherMachine("a 32-bit machine")));
    }
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    if let Some(machine) = other_machine(header.e_machine(endian)) {
        return Ok(Some(Limit::OtherMachine(machine)));
    }
    let mut loader = None;
    for segment in header.program_headers(endian, data)? {
        loader = loader.or(segment.interpreter(endian, data)?);
    }
    // The program runs without these too: what is broken or stripped tells nothing.
    let sections = header.sections(endian, data).unwrap_or_default();
    let symbols = |table| sections.symbols(endian, data, table).unwrap_or_default();
    let (exported, all) = (symbols(elf::SHT_DYNSYM), symbols(elf::SHT_SYMTAB));
    let exports = |name| defined_names(&exported, endian).any(|it| it == name);
    let Some(loader) = loader else {
        return Ok((!exports(LOADER_ONLY)).then_some(Limit::Static));
    };
    if loader
        .rsplit(|&byte| byte == b'/')
        .next()
        .is_some_and(|name| name.starts_with(b"ld-musl"))
    {
        return Ok(Some(Limit::Musl));
    }
    if let Some(how) = privilege() {
        return Ok(Some(Limit::Privileged(how)));
    }
    if exports(b"malloc") {
        return Ok(Some(Limit::OwnMalloc));
    }
    if sections.section_by_name(endian, b".go.buildinfo").is_some() {
        return Ok(Some(Limit::Go));
    }
    Ok(defined_names(&all, endian).find_map(linked_allocator))
}

fn defined_names<'data>(
    symbols: &SymbolTable<'data, Header>,
    endian: Endianness,
) -> impl Iterator<Item = &'data [u8]> {
    symbols
        .iter()
        .filter(move |symbol| symbol.is_definition(endian, symbols.strings()))
        .filter_map(move |symbol| symbols.symbol_name(endian, symbol).ok())
}

/// The allocator that a function called `name` belongs to.
fn linked_allocator(name: &[u8]) -> Option<Limit> {
    let has = |(_, names): &&(_, &[&str])| names.iter().any(|it| it.as_bytes() == name);
    ALLOCATORS
        .iter()
        .find(has)
        .map(|&(allocator, _)| Limit::LinkedAllocator(allocator))
}

/// The name of a machine whose code x86-64 does not execute.
fn other_machine(machine: elf::Machine) -> Option<&'static str> {
    Some(match machine {
        elf::EM_X86_64 => return None,
        elf::EM_AARCH64 => "aarch64",
        elf::EM_RISCV => "riscv64",
        elf::EM_PPC64 => "ppc64",
        elf::EM_S390 => "s390x",
        elf::EM_LOONGARCH => "loongarch64",
        _ => "another machine",
    })
}

/// How `binary` gains rights that this process does not have, so that the loader distrusts the
/// environment (AT_SECURE).
fn privilege(binary: &Path) -> Option<&'static str> {
    let file = fs::metadata(binary).ok()?;
    let path = CString::new(binary.as_os_str().as_bytes()).ok()?;
    // SAFETY: these calls read no memory of ours.
    let (user, group, no_gain) = unsafe {
        (
            libc::getuid(),
            libc::getgid(),
            libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        )
    };
    if no_gain || without_setuid(&path) {
        return None;
    }
    // SAFETY: `path` and the name end in NUL; with a length of 0 no value is written.
    let has_capabilities = unsafe {
        libc::getxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            ptr::null_mut(),
            0,
        )
    } > 0;
    if file.mode() & libc::S_ISUID != 0 && file.uid() != user {
        Some("setuid")
    } else if file.mode() & SETGID == SETGID && file.gid() != group {
        Some("setgid")
    } else if has_capabilities && user != 0 {
        Some("given capabilities by its file")
    } else {
        None
    }
}

/// Whether the file system of `path` is mounted nosuid.
fn without_setuid(path: &CStr) -> bool {
    let mut mount = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in NUL and `mount` has room for what is written; it is read only where
    // the call filled it.
    unsafe {
        libc::statvfs(path.as_ptr(), mount.as_mut_ptr()) == 0
            && mount.assume_init().f_flag & libc::ST_NOSUID != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocator_is_known_by_its_functions() {
        assert_eq!(
            linked_allocator(b"_rjem_malloc"),
            Some(Limit::LinkedAllocator("jemalloc"))
        );
        assert_eq!(linked_allocator(b"malloc"), None);
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error_and_no_panic() {
        let whole = fs::read("/proc/self/exe").expect("a test may read itself");
        for length in (0..0x400).chain([0x1000, whole.len() / 2]) {
            let _ = limit_of(&whole[..length], || None);
        }
        assert!(matches!(limit_of(&whole, || None), Ok(None)));
    }
}
