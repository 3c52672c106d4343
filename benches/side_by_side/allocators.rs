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
    /// Variables and their values, beside the clean environment.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) version: String,
}

impl Allocator {
    pub(crate) fn new(name: &str, kind: Kind, library: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            version: Self::version_of(&library),
            library: Some(library),
            environment: Vec::new(),
        }
    }

    /// As a command line has it: `NAME=LIBRARY[,VARIABLE=VALUE]...`. None where it does not parse
    /// or the library is not there.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let (name, rest) = word.split_once('=')?;
        let mut parts = rest.split(',');
        let library = fs::canonicalize(parts.next()?).ok()?;
        let mut allocator = Self::named(name, library);
        for part in parts {
            let (variable, value) = part.split_once('=')?;
            allocator
                .environment
                .push((variable.to_owned(), value.to_owned()));
        }
        Some(allocator)
    }

    /// The same library as a guest of another name, with one variable.
    pub(crate) fn with(&self, name: &str, variable: &str, value: &str) -> Self {
        let mut environment = self.environment.clone();
        environment.push((variable.to_owned(), value.to_owned()));
        Self {
            name: name.to_owned(),
            kind: Kind::Guest,
            library: self.library.clone(),
            environment,
            version: self.version.clone(),
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

    /// The library, its environment, and its version, where one is known.
    pub(crate) fn origin(&self) -> String {
        let library = self.library.iter().map(|it| it.display().to_string());
        let environment = self.environment.iter();
        let version = (!self.version.is_empty()).then(|| self.version.clone());
        library
            .chain(environment.map(|(variable, value)| format!("{variable}={value}")))
            .chain(version)
            .collect::<Vec<_>>()
            .join(" ")
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

/// glibc, glebe, and the peers that are here; the others are named on stderr. `further` are those
/// from the command line, which go before those found.
pub(crate) fn found(further: Vec<Allocator>) -> Vec<Allocator> {
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
    let built = ["mimalloc2", "mimalloc3", "jemalloc", "snmalloc", "rpmalloc"].map(built);
    beside_glebe(further, debian.into_iter().chain(built))
}

/// glibc, glebe, and the peers that are hardened as well, as `found` has them.
pub(crate) fn found_hardened(further: Vec<Allocator>) -> Vec<Allocator> {
    let scudo = ("scudo", scudo(), "apt-get install libclang-rt-14-dev");
    let built = ["mimalloc2-secure", "mimalloc3-secure"].map(built);
    beside_glebe(further, std::iter::once(scudo).chain(built))
}

/// The two alone; glebe is `given`, or built.
pub(crate) fn glibc_and_glebe(given: Option<Allocator>) -> [Allocator; 2] {
    let mut both = beside_glebe(given.into_iter().collect(), std::iter::empty()).into_iter();
    [both.next(), both.next()].map(|it| it.expect("two without peers"))
}

/// A peer: its name, its library, and what to do where there is none.
type Found = (&'static str, Option<PathBuf>, &'static str);

fn built(name: &'static str) -> Found {
    let library = repository().join(format!("target/peers/{name}.so"));
    (
        name,
        Some(library).filter(|it| it.exists()),
        "benches/peers/build",
    )
}

fn beside_glebe(further: Vec<Allocator>, peers: impl Iterator<Item = Found>) -> Vec<Allocator> {
    let mut allocators = vec![Allocator {
        name: "glibc".to_owned(),
        kind: Kind::Glibc,
        library: None,
        environment: Vec::new(),
        version: glibc_version(),
    }];
    if !further.iter().any(|it| it.kind == Kind::Glebe) {
        allocators.push(Allocator::named("glebe", release_library()));
    }
    allocators.extend(further);
    for (name, library, remedy) in peers {
        match library {
            _ if allocators.iter().any(|it| it.name == name) => {}
            Some(library) => allocators.push(Allocator::named(name, library)),
            None => eprintln!("SKIPPED: {name}: not here ({remedy})"),
        }
    }
    allocators
}

/// The library of the newest clang that is here.
pub(crate) fn scudo() -> Option<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|it| it.path()).collect::<Vec<_>>()
    };
    let name = "linux/libclang_rt.scudo_standalone-x86_64.so";
    let clangs = entries(Path::new("/usr/lib"))
        .into_iter()
        .filter(|it| it.to_string_lossy().starts_with("/usr/lib/llvm-"))
        .flat_map(|it| entries(&it.join("lib/clang")))
        .map(|it| it.join("lib").join(name));
    clangs.filter(|it| it.exists()).max()
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
