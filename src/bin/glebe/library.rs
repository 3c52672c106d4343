//! Where libglebe.so is.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::FileHeader;

use crate::Failure;

/// Names the library to preload where none is found beside the command.
const VARIABLE: &str = "GLEBE_LIBRARY";

/// From the folder of this command: a build, cargo's test build, an installation.
const FOLDERS: [&str; 5] = [".", "deps", "../lib", "../lib/x86_64-linux-gnu", "../lib64"];
const NAMES: [&str; 2] = ["libglebe.so", "libglebe.so.0"];

/// The library to preload: `given`, or the first of the usual places. Its path is absolute and can
/// stand in LD_PRELOAD.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let found = given
        .map(Path::to_path_buf)
        .or_else(beside_command)
        .or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
    let Some(found) = found else {
        return Err(Failure::new(
            125,
            "no libglebe.so beside this command or in ../lib: name it with --library or \
             GLEBE_LIBRARY",
        ));
    };
    preloadable(&found).map_err(|error| Failure::new(125, format!("{}: {error}", found.display())))
}

/// The library that this very command came with.
pub(crate) fn beside_command() -> Option<PathBuf> {
    let command = env::current_exe().ok()?;
    let here = command.parent()?;
    let found = FOLDERS
        .iter()
        .flat_map(|folder| NAMES.map(|name| here.join(folder).join(name)))
        .find(|path| path.is_file())?;
    Some(
        found
            .parent()?
            .canonicalize()
            .ok()?
            .join(found.file_name()?),
    )
}

/// `path` made absolute, if the loader would take it.
fn preloadable(path: &Path) -> io::Result<PathBuf> {
    let mut head = Vec::new();
    File::open(path)?
        .take(size_of::<FileHeader64<Endianness>>() as u64)
        .read_to_end(&mut head)?;
    let is_library = FileHeader64::<Endianness>::parse(&*head).is_ok_and(|header| {
        header.endian().is_ok_and(|endian| {
            header.e_type(endian) == elf::ET_DYN && header.e_machine(endian) == elf::EM_X86_64
        })
    });
    let path = std::path::absolute(path)?;
    if !is_library {
        Err(io::Error::other("not a shared library for x86-64"))
    } else if path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|byte| b" :".contains(byte))
    {
        Err(io::Error::other(
            "LD_PRELOAD cannot hold a path with a space or a colon",
        ))
    } else {
        Ok(path)
    }
}
