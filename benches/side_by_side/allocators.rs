//! The allocators that stand beside glebe, and where they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Glibc,
    Glebe,
    /// What glebe is compared with.
    Peer,
    /// Shown, compared with nothing: another build of glebe.
    Guest,
    /// Behind LD_PRELOAD, a malloc that does nothing: the floor of a pair.
    Nothing,
    /// A library without anything in it: the floor of a start.
    Empty,
}

pub(crate) struct Allocator {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What stands in LD_PRELOAD.
    pub(crate) library: Option<PathBuf>,
    pub(crate) version: String,
}

impl Allocator {
    pub(crate) fn new(name: &str, kind: Kind, library: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            version: Self::version_of(&library),
            library: Some(library),
        }
    }

    /// As `benches/peers/build` noted it beside the library, or as Debian's package has it.
    fn version_of(library: &Path) -> String {
        let recipe = fs::read_to_string(library.with_extension("recipe"));
        if let Ok(recipe) = recipe {
            return recipe.split(' ').next().unwrap_or_default().to_owned();
        }
        let answer = |query: &[&str]| {
            let output = Command::new("dpkg-query").args(query).output();
            output.map_or(String::new(), |it| {
                String::from_utf8_lossy(&it.stdout).into_owned()
            })
        };
        let file = library.file_name().unwrap_or_default().to_string_lossy();
        let owner = answer(&["--search", &format!("*/{file}")]);
        match owner.split_once(": ") {
            Some((package, _)) => answer(&["--show", package])
                .replace('\t', " ")
                .trim()
                .to_owned(),
            None => String::new(),
        }
    }

    /// One that was named on the command line.
    pub(crate) fn named(name: &str, library: PathBuf) -> Self {
        let kind = match name {
            "glebe" => Kind::Glebe,
            _ if name.starts_with("glebe") => Kind::Guest,
            _ => Kind::Peer,
        };
        Self::new(name, kind, library)
    }

    /// The library and its version, where one is known.
    pub(crate) fn origin(&self) -> String {
        match &self.library {
            Some(library) => format!("{} {}", library.display(), self.version),
            None => self.version.clone(),
        }
    }

    /// Whether the loader takes it: a library that is refused costs a line on stderr, and glibc
    /// would be measured in its place.
    pub(crate) fn is_loaded(&self) -> bool {
        let Some(library) = &self.library else {
            return true;
        };
        let mut cat = Command::new("cat");
        let maps = cat
            .arg("/proc/self/maps")
            .env("LD_PRELOAD", library)
            .output();
        let file = fs::canonicalize(library).unwrap_or_default();
        maps.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains(&*file.to_string_lossy()))
    }
}

/// glibc, glebe, and the peers that are here; the others are named on stderr. `further` are names
/// and libraries from the command line, which go before those found.
pub(crate) fn found(further: &[(String, PathBuf)]) -> Vec<Allocator> {
    let mut allocators = vec![Allocator {
        name: "glibc".to_owned(),
        kind: Kind::Glibc,
        library: None,
        version: glibc_version(),
    }];
    let is_given = |name: &str| further.iter().any(|it| it.0 == name);
    if !is_given("glebe") {
        allocators.push(Allocator::named("glebe", release_library()));
    }
    for (name, library) in further {
        allocators.push(Allocator::named(name, library.clone()));
    }
    let debian = [
        ("debian-mimalloc", "libmimalloc.so.2"),
        ("debian-jemalloc", "libjemalloc.so.2"),
        ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ]
    .map(|(name, library)| {
        (
            name,
            system_library(library),
            "apt-get install, see .ci/run",
        )
    });
    let built = ["mimalloc2", "mimalloc3", "jemalloc", "snmalloc", "rpmalloc"].map(|name| {
        let library = repository().join(format!("target/peers/{name}.so"));
        (
            name,
            Some(library).filter(|it| it.exists()),
            "benches/peers/build",
        )
    });
    for (name, library, remedy) in debian.into_iter().chain(built) {
        match library {
            _ if is_given(name) => {}
            Some(library) => allocators.push(Allocator::named(name, library)),
            None => eprintln!("SKIPPED: {name}: not here ({remedy})"),
        }
    }
    allocators
}

fn glibc_version() -> String {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    output.map_or(String::new(), |it| {
        String::from_utf8_lossy(&it.stdout).trim().to_owned()
    })
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// libglebe.so as users get it, in a target folder of its own: the bench's unwinds.
fn release_library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("shipped");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(repository())
        .args(["build", "--lib", "--release", "--quiet", "--target-dir"])
        .arg(&target);
    assert!(cargo.status().is_ok_and(|it| it.success()), "{cargo:?}");
    target.join("release/libglebe.so")
}

/// Where the loader finds a library.
pub(crate) fn system_library(name: &str) -> Option<PathBuf> {
    let cache = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    String::from_utf8_lossy(&cache.stdout)
        .lines()
        .find_map(|line| {
            let (found, path) = line.split_once(" => ")?;
            let (found, kind) = found.trim().split_once(' ')?;
            (found == name && kind.contains("x86-64")).then(|| path.into())
        })
}
