//! The shared library exports the standard names, the doors behind them and what its header
//! declares, and nothing else.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

#[test]
fn the_shared_library_exports_exactly_the_checked_in_list() {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(common::shipped_library());
    let exported = common::run(nm);
    assert!(exported.status.success(), "{exported:?}");
    let (exported, listed) = (
        lines(&exported.stdout),
        lines(include_str!("exported_symbols.txt")),
    );
    let extra: Vec<_> = exported.difference(&listed).collect();
    let missing: Vec<_> = listed.difference(&exported).collect();
    assert!(
        extra.is_empty() && missing.is_empty(),
        "not in the list: {extra:?}; not exported: {missing:?}"
    );
}

#[test]
fn the_list_is_the_doors_and_the_header() {
    let doors =
        fs::read_to_string(common::package().join("src/abi/exports.txt")).expect("exports.txt");
    let header = fs::read_to_string(common::package().join("include/glebe.h")).expect("glebe.h");
    // What is defined in the header itself is nobody's symbol.
    let is_declaration = |line: &&str| !line.starts_with("static inline ");
    let declarations: Vec<&str> = header.lines().filter(is_declaration).collect();
    let header = declarations.join("\n");
    let declared = header.split(|it: char| !it.is_ascii_alphanumeric() && it != '_' && it != '(');
    let declared = declared.filter_map(|word| word.split_once('(').map(|(name, _)| name));
    let mut names: BTreeSet<&str> = doors
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .flat_map(|(name, door)| [name, door])
        .collect();
    names.extend(declared.filter(|name| name.starts_with("glebe_")));
    assert_eq!(names, lines(include_str!("exported_symbols.txt")));
}

#[test]
fn a_program_that_links_the_static_library_keeps_its_own_malloc() {
    let folder = common::temporary_folder("static");
    let (source, program) = (folder.join("program.c"), folder.join("program"));
    let text = "#include <stdlib.h>\n#include \"glebe.h\"\nint main(void)\n{\n    void *ours = glebe_malloc(10), *theirs = malloc(10);\n    return !glebe_owns(ours) || glebe_owns(theirs);\n}\n";
    fs::write(&source, text).expect("a source file");
    common::compile_c(
        &source,
        &[&common::shipped_archive().display().to_string()],
        &program,
    );
    let outcome = common::run(Command::new(&program));
    assert!(outcome.status.success(), "{outcome:?}");
}
