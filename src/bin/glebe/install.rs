//! `glebe install` and `glebe uninstall`.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process;

use clap::Args;

use crate::Failure;
use crate::library;

const HEADER: &str = include_str!("../../../include/glebe.h");
const MANUAL: &str = include_str!("glebe.1");
const PKG_CONFIG: &str = include_str!("glebe.pc.in");
/// Lines `malloc = glebe_malloc`; `#` begins a comment.
const EXPORTS: &str = include_str!("../../abi/exports.txt");
/// What a program that links the static library leaves to libc, since a static libc calls it too.
const NOT_TAKEN_OVER: &str = "_Fork";

/// What is installed, by its path under the prefix.
const FILES: [(&str, Source); 7] = [
    ("lib/libglebe.so.0", Source::Library),
    ("lib/libglebe.so", Source::Link("libglebe.so.0")),
    ("lib/libglebe.a", Source::Archive),
    ("lib/pkgconfig/glebe.pc", Source::PkgConfig),
    ("include/glebe.h", Source::Text(HEADER)),
    ("bin/glebe", Source::Command),
    ("share/man/man1/glebe.1", Source::Text(MANUAL)),
];

enum Source {
    Library,
    Archive,
    /// This very command.
    Command,
    PkgConfig,
    Text(&'static str),
    Link(&'static str),
}

enum Content {
    File { bytes: Vec<u8>, mode: u32 },
    Link(&'static str),
}

const INSTALLATION: &str = "\
What is installed, under the prefix:
  lib/libglebe.so.0, lib/libglebe.so   the library to preload or to link
  lib/libglebe.a                       for static linking
  lib/pkgconfig/glebe.pc               what pkg-config tells compilers
  include/glebe.h                      the functions beyond malloc and free
  bin/glebe                            this command
  share/man/man1/glebe.1               the manual

Examples:
  cargo build --release && sudo target/release/glebe install
  glebe install --prefix ~/.local
  glebe install --prefix /usr --destdir pkg      for a package: files in pkg/usr, paths say /usr

Each file is replaced as a whole, so programs that use an older library go on with it. `glebe
uninstall` with the same options removes exactly these files.";

/// Install library, header, glebe.pc, command and manual
#[derive(Args)]
#[command(after_help = INSTALLATION)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,

    /// The folder of libglebe.so and libglebe.a [default: that of this command's]
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// Remove what `glebe install` installed
#[derive(Args)]
pub(crate) struct Place {
    /// Where the files will be used
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,

    /// A folder to put in front of all paths, for those who make packages
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
}

impl Place {
    /// The prefix as the installed files know it.
    fn prefix(&self) -> Result<PathBuf, Failure> {
        std::path::absolute(&self.prefix).map_err(failed_at(&self.prefix))
    }

    /// The folder that the files go into.
    fn root(&self) -> Result<PathBuf, Failure> {
        let prefix = self.prefix()?;
        Ok(match &self.destdir {
            Some(folder) => folder.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
            None => prefix,
        })
    }
}

/// Installs all files; nothing is written unless all that is to be installed can be read.
pub(crate) fn install(arguments: &Arguments) -> Result<(), Failure> {
    let from = match &arguments.from {
        Some(folder) => folder.clone(),
        None if cfg!(debug_assertions) => {
            let reason = "this is a debug build: run target/release/glebe install after `cargo \
                          build --release`, or name the libraries' folder with --from";
            return Err(Failure::new(1, reason));
        }
        None => library::beside_command()
            .and_then(|library| library.parent().map(Path::to_path_buf))
            .ok_or_else(|| {
                Failure::new(
                    1,
                    "no libglebe.so beside this command: name its folder with --from",
                )
            })?,
    };
    let prefix = arguments.place.prefix()?;
    let mut contents = Vec::new();
    for (path, source) in FILES {
        contents.push((path, source.content(&from, &prefix)?));
    }
    let root = arguments.place.root()?;
    for (path, content) in contents {
        let path = root.join(path);
        content.put(&path).map_err(failed_at(&path))?;
        println!("installed {}", path.display());
    }
    if arguments.place.destdir.is_none() {
        println!("if programs are linked with libglebe.so: `ldconfig` tells the loader about it");
    }
    Ok(())
}

/// Removes the files that are there.
pub(crate) fn uninstall(place: &Place) -> Result<(), Failure> {
    let root = place.root()?;
    for (path, _) in FILES {
        let path = root.join(path);
        match fs::remove_file(&path) {
            Ok(()) => println!("removed {}", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                println!("not there: {}", path.display());
            }
            Err(error) => return Err(failed_at(&path)(error)),
        }
    }
    Ok(())
}

fn failed_at(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(1, format!("{}: {error}", path.display()))
}

impl Source {
    fn content(&self, from: &Path, prefix: &Path) -> Result<Content, Failure> {
        let file = |bytes, mode| Ok(Content::File { bytes, mode });
        let copy = |path: PathBuf, mode| {
            let bytes = fs::read(&path).map_err(failed_at(&path))?;
            file(bytes, mode)
        };
        match self {
            Source::Library => copy(from.join("libglebe.so"), 0o755),
            Source::Archive => copy(from.join("libglebe.a"), 0o644),
            Source::Command => copy(
                env::current_exe().map_err(failed_at(Path::new("/proc/self/exe")))?,
                0o755,
            ),
            Source::PkgConfig => file(pkg_config(prefix).into_bytes(), 0o644),
            Source::Text(text) => file(text.as_bytes().to_vec(), 0o644),
            Source::Link(target) => Ok(Content::Link(target)),
        }
    }
}

impl Content {
    /// Puts a new file in the place of `path`: who looks there finds the old one or the new one.
    fn put(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder)?;
        let temporary = folder.join(format!(".glebe-install.{}", process::id()));
        let written = self
            .write(&temporary)
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        match self {
            Content::File { bytes, mode } => {
                let mut file = File::create_new(path)?;
                file.write_all(bytes)?;
                file.set_permissions(Permissions::from_mode(*mode))?;
                file.sync_all()
            }
            Content::Link(target) => symlink(target, path),
        }
    }
}

/// glebe.pc for an installation under `prefix`.
fn pkg_config(prefix: &Path) -> String {
    let takeover: Vec<String> = EXPORTS
        .lines()
        .filter_map(|line| line.split('#').next()?.split_once('='))
        .map(|(name, ours)| (name.trim(), ours.trim()))
        .filter(|(name, _)| *name != NOT_TAKEN_OVER)
        .map(|(name, ours)| format!("-Wl,--defsym={name}={ours}"))
        .collect();
    PKG_CONFIG
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@TAKEOVER@", &takeover.join(" "))
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glebe_pc_binds_the_exported_names_and_leaves_no_placeholder() {
        let text = pkg_config(Path::new("/opt/glebe"));
        assert!(text.contains("\nprefix=/opt/glebe\n"));
        assert!(text.contains("-Wl,--defsym=malloc=glebe_malloc "));
        assert!(!text.contains('@'), "{text}");
    }
}
