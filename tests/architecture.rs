//! Reads the sources and holds what ARCHITECTURE.md says of them: a room uses only the rooms below
//! it, system calls and assembly stand where they belong, files stay short and names say
//! something.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src`, from the top of the house to its ground; each uses only its own floor and
/// those below.
const FLOORS: [&[&str]; 15] = [
    &["abi"],
    &["map"],
    &["heap"],
    &["observe"],
    &["guard"],
    &["cache"],
    &["large"],
    &["small"],
    &["pages"],
    &["paging"],
    &["data_section", "segment"],
    &["metadata"],
    &["config", "report"],
    &["os"],
    &["base"],
];

const MOST_LINES: usize = 600;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] = [
    "common", "helper", "helpers", "manager", "misc", "tools", "util", "utils",
];

/// Functions of libc that are little more than a system call.
const SYSTEM_CALLS: [&str; 38] = [
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "clone",
    "close",
    "fcntl",
    "fork",
    "fstat",
    "getpid",
    "getrandom",
    "gettid",
    "ioctl",
    "kill",
    "madvise",
    "mincore",
    "mlock",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munmap",
    "nanosleep",
    "open",
    "openat",
    "poll",
    "prctl",
    "pread",
    "pthread_sigmask",
    "pwrite",
    "read",
    "sbrk",
    "sigaction",
    "sigprocmask",
    "stat",
    "syscall",
    "usleep",
    "vfork",
    "write",
];

/// What only the file about the processor may name.
const OF_THE_PROCESSOR: [&str; 4] = ["asm", "global_asm", "naked_asm", "target_arch"];

/// A word or `::` or another character of a source, comments and literals left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// Cuts a source into tokens.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let is_word = |it: char| it.is_alphanumeric() || it == '_';
        let length = if let Some(length) = comment(rest).or_else(|| literal(rest)) {
            length
        } else {
            let length = match first {
                first if is_word(first) => rest.find(|it| !is_word(it)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                first => first.len_utf8(),
            };
            if !first.is_whitespace() {
                tokens.push(Token {
                    text: &rest[..length],
                    line,
                });
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Bytes of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut at = text.starts_with("/*").then_some(2)?;
    let mut depth = 1;
    while depth > 0 {
        let next = at + text[at..].find(['/', '*'])?;
        at = next + 1;
        for (mark, step) in [("/*", 1), ("*/", -1)] {
            if text[next..].starts_with(mark) {
                depth += step;
                at = next + 2;
            }
        }
    }
    Some(at)
}

/// Bytes of the string or character literal that `text` begins with; not those of a lifetime.
fn literal(text: &str) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = text.len() - body.len();
    if text[..prefix].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = body[hashes..].strip_prefix('"')?;
        return Some(prefix + hashes + 1 + inner.find(&end)? + end.len());
    }
    let quote = body.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let mut inner = body[1..].char_indices();
    if quote == '\'' && !body[1..].starts_with('\\') && body[1..].chars().nth(1) != Some('\'') {
        return None;
    }
    while let Some((index, it)) = inner.next() {
        match it {
            '\\' => drop(inner.next()),
            it if it == quote => return Some(prefix + 1 + index + 1),
            _ => {}
        }
    }
    None
}

/// A source file, and where it stands in the house: `["small", "slab"]`.
struct Source {
    path: PathBuf,
    text: String,
    module: Vec<String>,
}

impl Source {
    fn new(path: &Path, text: String) -> Source {
        let module = path
            .with_extension("")
            .iter()
            .skip_while(|part| *part != "src")
            .skip(1)
            .map(|part| part.to_string_lossy().into_owned())
            .filter(|part| part != "mod" && part != "lib")
            .collect();
        Source {
            path: path.to_owned(),
            text,
            module,
        }
    }

    fn room(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// `path:line: what`
    fn violation(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

/// The library's sources (the launcher is a program that uses it like any other) by path from the
/// top of the package.
fn sources() -> Vec<Source> {
    fn collect(folder: &Path, into: &mut Vec<Source>) {
        let entries = fs::read_dir(folder).expect("a folder of the package");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() && path.file_name() != Some("bin".as_ref()) {
                collect(&path, into);
            } else if path.extension() == Some("rs".as_ref()) {
                let text = fs::read_to_string(&path).expect("a readable source");
                into.push(Source::new(&path, text));
            }
        }
    }
    let mut all = Vec::new();
    collect(Path::new("src"), &mut all);
    all
}

/// Height of a room's floor above the ground.
fn height(room: &str) -> Option<usize> {
    FLOORS.iter().rev().position(|floor| floor.contains(&room))
}

/// Rooms that a source names by a path from the crate's root, with the line: `crate::room`,
/// `crate::{room, …}`, and as many `super::` as lead there.
fn rooms_used(source: &Source) -> Vec<(String, usize)> {
    let tokens = tokens(&source.text);
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text);
    let mut used = Vec::new();
    // For each open brace, whether it is a module's.
    let mut braces = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        match text(index) {
            "{" => braces.push(index >= 2 && text(index - 2) == "mod"),
            "}" => drop(braces.pop()),
            _ => {}
        }
        let mut up = 0;
        while text(index) == "super" && text(index + 1) == "::" {
            up += 1;
            index += 2;
        }
        let depth = source.module.len() + braces.iter().filter(|is_module| **is_module).count();
        let at_root = up > 0 && up >= depth;
        if text(index) == "crate" && text(index + 1) == "::" {
            used.extend(heads(&tokens[index + 2..]));
        } else if at_root {
            used.extend(heads(&tokens[index..]));
        }
        index += usize::from(up == 0);
    }
    used
}

/// First words of the path, or of the paths in braces, that `tokens` begin with.
fn heads(tokens: &[Token<'_>]) -> Vec<(String, usize)> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut expected = true;
    for token in tokens {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => expected = depth == 1,
            word if expected && depth <= 1 => {
                heads.push((word.to_owned(), token.line));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Uses that go up the house.
fn upward_uses(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else {
        return Vec::new();
    };
    let own = height(room).unwrap_or_else(|| panic!("src/{room} stands on no floor"));
    rooms_used(source)
        .into_iter()
        .filter(|(used, _)| height(used).is_some_and(|height| height > own))
        .map(|(used, line)| source.violation(line, &format!("{room} uses {used}, which is above")))
        .collect()
}

/// System calls outside `os`, and what depends on the processor outside `os/cpu.rs`.
fn misplaced_effects(source: &Source) -> Vec<String> {
    let tokens = tokens(&source.text);
    let in_os = source.room() == Some("os");
    let in_cpu = source.module.starts_with(&["os", "cpu"].map(Into::into));
    let path = |index: usize| -> (&str, &str) {
        match &tokens[index..] {
            [root, colons, name, ..] if colons.text == "::" => (root.text, name.text),
            _ => (tokens[index].text, ""),
        }
    };
    let mut violations = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let system_call = match path(index) {
            ("libc", name) => SYSTEM_CALLS.contains(&name) || name.starts_with("SYS_"),
            ("nix", _) => tokens.get(index + 1).is_some_and(|next| next.text == "::"),
            _ => false,
        };
        if system_call && !in_os {
            let name = path(index).1;
            violations.push(source.violation(token.line, &format!("{name} belongs in os")));
        }
        if OF_THE_PROCESSOR.contains(&token.text) && !in_cpu {
            let what = format!("{} belongs in os/cpu.rs", token.text);
            violations.push(source.violation(token.line, &what));
        }
    }
    violations
}

/// Files that are too long, and names that say nothing.
fn untidiness(source: &Source) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = source.text.lines().count();
    if lines > MOST_LINES {
        violations.push(source.violation(lines, &format!("more than {MOST_LINES} lines")));
    }
    let tokens = tokens(&source.text);
    for pair in tokens.windows(2) {
        if pair[0].text == "mod" && EMPTY_NAMES.contains(&pair[1].text) {
            let what = format!("`{}` says nothing", pair[1].text);
            violations.push(source.violation(pair[1].line, &what));
        }
    }
    violations
}

fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn rooms_use_only_rooms_below_them() {
    assert_none(sources().iter().flat_map(upward_uses).collect());
}

#[test]
fn every_room_is_on_a_floor_and_every_floor_is_furnished() {
    let rooms: BTreeSet<_> = sources()
        .iter()
        .filter_map(|it| it.room().map(str::to_owned))
        .collect();
    let named: BTreeSet<_> = FLOORS
        .iter()
        .copied()
        .flatten()
        .map(|it| (*it).to_owned())
        .collect();
    assert_eq!(rooms, named);
}

#[test]
fn system_calls_and_assembly_stand_in_os_alone() {
    assert_none(sources().iter().flat_map(misplaced_effects).collect());
}

#[test]
fn files_are_short_and_names_say_something() {
    assert_none(sources().iter().flat_map(untidiness).collect());
}

// ---- the reader itself -------------------------------------------------------------------------

fn violations_of(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(Path::new(path), text.to_owned());
    [
        upward_uses(&source),
        misplaced_effects(&source),
        untidiness(&source),
    ]
    .concat()
}

#[test]
fn an_upward_use_is_found_in_every_form_and_named_by_line() {
    for text in [
        "\nuse crate::cache::pool;",
        "\nuse crate::{base::address, cache::pool};",
        "\nuse super::super::cache;",
        "\nuse super::super::{os, cache};",
        "\nfn f() { crate::cache::pool::take() }",
        "\nmod tests { use super::super::super::cache; }",
    ] {
        let found = violations_of("src/small/slab.rs", text);
        assert_eq!(
            found,
            ["src/small/slab.rs:2: small uses cache, which is above"],
            "{text}"
        );
    }
    let found = violations_of("src/small/mod.rs", "use super::cache;");
    assert_eq!(
        found,
        ["src/small/mod.rs:1: small uses cache, which is above"]
    );
}

#[test]
fn neighbours_lower_rooms_comments_and_strings_are_no_upward_uses() {
    for text in [
        "use super::cache; // a neighbour of that name",
        "use crate::{metadata::{cache, span}, pages::cache};",
        "mod tests { use super::super::cache; }",
        "//! [`crate::cache`]\n/* crate::cache /* crate::cache */ crate::cache */",
        "const A: &str = \"crate::cache \\\" crate::cache\"; const B: &CStr = c\"crate::cache\";",
        "const A: &str = r#\"crate::cache \" libc::mmap\"#; fn f<'a>(a: &'a u8) -> char { '\"' }",
        "pub(crate) fn heap() {}",
    ] {
        assert_eq!(violations_of("src/small/slab.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn effects_are_found_outside_their_room_only() {
    let text =
        "fn f() {\n ::libc::mmap(); asm!(\"\"); }\n#[cfg(target_arch = \"x86_64\")] use nix::sys;";
    assert_eq!(
        violations_of("src/pages/source.rs", text),
        [
            "src/pages/source.rs:2: mmap belongs in os",
            "src/pages/source.rs:2: asm belongs in os/cpu.rs",
            "src/pages/source.rs:3: target_arch belongs in os/cpu.rs",
            "src/pages/source.rs:3: sys belongs in os",
        ]
    );
    assert_eq!(violations_of("src/os/mapping.rs", text).len(), 2);
    assert_eq!(violations_of("src/os/cpu.rs", text), [""; 0]);
}
