//! Linker arguments of the shared library. Nothing is generated into the sources.

use std::fs;
use std::path::Path;

/// What the kernel maps at once around a page of a file that is touched, if the file lies in memory at
/// multiples of as much.
const WINDOW_BYTES: usize = 64 << 10;

fn main() {
    println!("cargo:rerun-if-changed=src/abi/exports.txt");
    println!("cargo:rerun-if-changed=src/abi/layout.txt");
    let exports = fs::read_to_string("src/abi/exports.txt").expect("exports.txt is readable");
    let doors: Vec<(&str, &str)> = exports
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(" = "))
        .map(|line| line.expect("a line of exports.txt is `name = door`"))
        .collect();
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let argument = |argument: &str| println!("cargo:rustc-cdylib-link-arg={argument}");

    // The unwinder is linked in: a shared libgcc_s would cost every process 128 KiB.
    fs::write(out.join("libgcc_s.so"), "INPUT(libgcc_eh.a libgcc.a)\n")
        .expect("OUT_DIR is writable");
    argument(&format!("-L{}", out.display()));
    let script = out.join("layout.ld");
    fs::write(&script, layout(&doors)).expect("OUT_DIR is writable");
    argument(&format!("-Wl,-T,{}", script.display()));
    argument("-Wl,-soname,libglebe.so.0");
    argument("-Wl,-z,now,-z,nodelete");
    argument(&format!("-Wl,-z,max-page-size={WINDOW_BYTES}"));

    // The feature defines the standard names itself.
    if std::env::var_os("CARGO_FEATURE_TAKEOVER").is_some() {
        return;
    }
    // The doors get their standard names here and only here, so that neither the static library
    // nor the rlib takes over a program's malloc.
    let mut version_script = String::from("{ global:");
    for (name, door) in &doors {
        argument(&format!("-Wl,--defsym={name}={door}"));
        version_script.push_str(&format!(" {name};"));
    }
    version_script.push_str(" };\n");
    let script = out.join("exports.map");
    fs::write(&script, version_script).expect("OUT_DIR is writable");
    argument(&format!("-Wl,--version-script={}", script.display()));
}

/// The linker script that stands beside the linker's own.
fn layout(doors: &[(&str, &str)]) -> String {
    // std keeps the program's arguments at start-up, for programs that ask it; we do not, and the
    // constructor would make a part of std resident in every process that is used for nothing else.
    let mut layout = String::from(
        "SECTIONS { /DISCARD/ : { *(.init_array.00099) } } INSERT BEFORE .init_array;\n",
    );
    let placed = fs::read_to_string("src/abi/layout.txt").expect("layout.txt is readable");
    let sections = |of: &str, key: &str| -> String {
        let lines = placed.lines().filter_map(|line| line.split_once(' '));
        let names = lines.filter(|(first, _)| *first == key);
        let sections = names.map(|(_, name)| format!("*(.{of}.{}) ", pattern(name)));
        sections.collect()
    };
    let doors = doors.iter().map(|(_, door)| format!("*(.text.{door}) "));
    layout.push_str(&format!(
        "SECTIONS {{ .init : ALIGN({WINDOW_BYTES}) {{ *(.init) }} .fini : {{ *(.fini) }} \
         .plt : {{ *(.plt) }} .text : {{ *crt*.o(.text) {}{}{}{}*(.text .text.*) }} }} \
         INSERT AFTER .eh_frame;\n",
        sections("text", "first"),
        sections("text", "then"),
        doors.collect::<String>(),
        sections("text", "next"),
    ));
    layout.push_str(&format!(
        "SECTIONS {{ .data : {{ {}*(.data .data._*) }} \
         .bss : {{ {}*(.bss .bss.*) *(COMMON) }} }} INSERT AFTER .tm_clone_table;\n",
        sections("data", "sealed"),
        sections("bss", "table"),
    ));
    layout
}

/// What the path of a Rust item, or a door, looks like in the names of sections.
fn pattern(path: &str) -> String {
    if path.starts_with("glebe_") {
        return path.to_owned();
    }
    let segments = path.split("::");
    let mangled = segments.map(|segment| format!("{}{segment}", segment.len()));
    format!("*{}*", mangled.collect::<String>())
}
