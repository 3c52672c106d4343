//! What kind of ELF object libglebe.so is: few needs, early binding, little static TLS, and no call
//! to `__tls_get_addr` where memory is allocated or freed.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// What `tool` with `arguments` says about the shipped library.
fn ask(tool: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(tool);
    command
        .args(arguments)
        .arg(common::shipped_library())
        .env("LC_ALL", "C");
    let outcome = common::run(command);
    assert!(outcome.status.success(), "{tool}: {outcome:?}");
    outcome.stdout
}

#[test]
fn it_needs_only_libc_and_the_loader() {
    let dynamic = ask("readelf", &["-dW"]);
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    for library in needed.filter_map(|line| line.split(['[', ']']).nth(1)) {
        assert!(
            library == "libc.so.6" || library.starts_with("ld-linux"),
            "needs {library}"
        );
    }
}

#[test]
fn it_has_its_soname_binds_now_and_is_never_unloaded() {
    let dynamic = ask("readelf", &["-dW"]);
    let entry = |name: &str| {
        dynamic
            .lines()
            .find(|line| line.contains(name))
            .unwrap_or_default()
    };
    assert!(entry("(SONAME)").contains("[libglebe.so.0]"), "{dynamic}");
    assert!(entry("(FLAGS)").contains("BIND_NOW"), "{dynamic}");
    assert!(entry("(FLAGS_1)").contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("(TEXTREL)"), "{dynamic}");
}

#[test]
fn it_is_less_than_a_mebibyte_stripped() {
    let folder = common::temporary_folder("stripped");
    let stripped = folder.join("libglebe.so");
    let mut strip = Command::new("strip");
    strip
        .arg("-o")
        .arg(&stripped)
        .arg(common::shipped_library());
    assert!(common::run(strip).status.success());
    let size = fs::metadata(&stripped).expect("strip wrote a file").len();
    assert!(size < 1 << 20, "{size} bytes");
}

#[test]
fn its_thread_local_storage_is_at_most_128_bytes() {
    let segments = ask("readelf", &["-lW"]);
    let tls = segments
        .lines()
        .find(|line| line.trim_start().starts_with("TLS"));
    let tls = tls.expect("a TLS segment");
    let size = tls.split_whitespace().nth(5).expect("the size in memory");
    let size =
        usize::from_str_radix(size.trim_start_matches("0x"), 16).expect("a hexadecimal size");
    assert!(size <= 128, "{size} bytes: {tls}");
}

#[test]
fn allocation_and_free_never_call_tls_get_addr() {
    let calls = Calls::read();
    assert!(
        calls.path("glebe_malloc", "mmap").is_some(),
        "this test does not see the calls"
    );
    for door in [
        "malloc",
        "free",
        "calloc",
        "realloc",
        "aligned_alloc",
        "malloc_usable_size",
    ] {
        let door = format!("glebe_{door}");
        assert!(calls.of.contains_key(&door), "no {door} in the disassembly");
        let path = calls.path(&door, "__tls_get_addr");
        assert!(path.is_none(), "{}", path.unwrap_or_default().join(" -> "));
    }
}

/// Which function of the library calls or jumps to which, as far as the code says it directly.
struct Calls {
    of: BTreeMap<String, BTreeSet<String>>,
}

impl Calls {
    fn read() -> Calls {
        let code = ask("objdump", &["-d", "--no-show-raw-insn"]);
        let starts: BTreeMap<u64, &str> = code.lines().filter_map(start).collect();
        let relocations = ask("readelf", &["-rW"]);
        let slots = relocations
            .lines()
            .filter_map(|line| slot(line, &starts))
            .collect();
        let mut of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut function = "";
        for line in code.lines() {
            if let Some((_, name)) = start(line) {
                function = name;
                of.entry(name.to_owned()).or_default();
            } else if let Some(callee) = callee(line, &slots) {
                of.entry(function.to_owned())
                    .or_default()
                    .insert(callee.to_owned());
            }
        }
        Calls { of }
    }

    /// A chain of calls from `from` to `to`, if there is one. What a panic does stays out: the
    /// process is about to abort.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(function) = open.pop() {
            for callee in self.of.get(function).into_iter().flatten() {
                let panics = callee.contains("panic") || callee.contains("rust_begin_unwind");
                if panics || callee == from || before.contains_key(callee.as_str()) {
                    continue;
                }
                before.insert(callee, function);
                if callee.starts_with(to) {
                    let mut path = vec![callee.clone()];
                    let mut at: &str = callee;
                    while let Some(caller) = before.get(at) {
                        path.insert(0, (*caller).to_owned());
                        at = caller;
                    }
                    return Some(path);
                }
                open.push(callee);
            }
        }
        None
    }
}

/// The address and the name of the function whose disassembly starts with this line.
fn start(line: &str) -> Option<(u64, &str)> {
    let (address, name) = line.strip_suffix(">:")?.split_once(" <")?;
    Some((u64::from_str_radix(address, 16).ok()?, name))
}

/// The address of a slot of the global offset table and the function that the loader puts there:
/// one of another object, or one of those that start here.
fn slot<'a>(line: &'a str, starts: &BTreeMap<u64, &'a str>) -> Option<(u64, &'a str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, _, kind, rest @ ..] = &words[..] else {
        return None;
    };
    let function = match (*kind, rest) {
        ("R_X86_64_RELATIVE", [start]) => starts.get(&u64::from_str_radix(start, 16).ok()?)?,
        ("R_X86_64_GLOB_DAT" | "R_X86_64_JUMP_SLOT" | "R_X86_64_JUMP_SLO", [_, symbol, ..]) => {
            symbol
        }
        _ => return None,
    };
    Some((u64::from_str_radix(address, 16).ok()?, function))
}

/// The function that an instruction calls or jumps to, if it names one.
fn callee<'a>(line: &'a str, slots: &BTreeMap<u64, &'a str>) -> Option<&'a str> {
    let (_, instruction) = line.split_once('\t')?;
    if !instruction.starts_with("call") && !instruction.starts_with('j') {
        return None;
    }
    if let Some((_, comment)) = instruction.split_once("# ") {
        let slot = u64::from_str_radix(comment.split_whitespace().next()?, 16).ok()?;
        return slots.get(&slot).copied();
    }
    instruction.split_once('<')?.1.split(['>', '+', '@']).next()
}

/// The lines of layout.txt: what a name is placed as, and its parts.
fn placed() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = include_str!("../src/abi/layout.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(' '));
    lines.map(|(key, name)| (key, name.split("::").collect()))
}

/// Whether the name of a symbol holds those parts, one behind the other.
fn is_named(symbol: &str, parts: &[&str]) -> bool {
    let mangled: String = (parts.iter())
        .map(|part| format!("{}{part}", part.len()))
        .collect();
    symbol == parts.join("::") || symbol.contains(&mangled)
}

#[test]
fn what_every_process_runs_lies_in_one_window_of_64_kib() {
    let symbols = ask("nm", &["--defined-only"]);
    let symbols: Vec<(u64, &str, &str)> = (symbols.lines())
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((address, words.next()?, words.next()?))
        })
        .collect();
    let malloc = symbols.iter().find(|(.., name)| *name == "glebe_malloc");
    let window = |address: u64| address >> 16;
    let first_window = window(malloc.expect("malloc is there").0);
    for (key, parts) in placed() {
        let named = symbols.iter().filter(|(.., name)| is_named(name, &parts));
        let named: Vec<_> = named.collect();
        assert!(!named.is_empty(), "there is no {}", parts.join("::"));
        let code = named
            .iter()
            .filter(|(_, kind, _)| kind.eq_ignore_ascii_case("t"));
        for (address, _, name) in code.filter(|_| key == "first") {
            assert_eq!(window(*address), first_window, "{name}");
        }
    }
}
