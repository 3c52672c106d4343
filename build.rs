//! Linker arguments of the shared library. Nothing is generated into the sources.

use std::fs;
use std::path::Path;

/// What of ours runs in every process beside the doors, as it stands in the names of functions.
const EARLY: [&str; 12] = [
    "5glebe3abi4libc",
    "5glebe4heap5start",
    "5glebe4heap6thread",
    "5glebe4heap8requests",
    "5glebe5cache",
    "5glebe5pages",
    "5glebe5small",
    "5glebe8metadata",
    "5glebe2os10wiped_word",
    "5glebe2os13fault_signals",
    "5glebe2os7process",
    "9once_cell4race",
];

fn main() {
    println!("cargo:rerun-if-changed=src/abi/exports.txt");
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
    // What every process runs stands side by side: the kernel maps what lies around a page that is
    // touched, and in a small program that would be most of what it never runs.
    let doors = doors.iter().map(|(_, door)| format!("*(.text.{door}) "));
    let rooms = EARLY.iter().map(|name| format!("*(.text.*{name}*) "));
    let early: String = doors.chain(rooms).collect();
    layout.push_str(&format!(
        "SECTIONS {{ .fini : {{ *(.fini) }} .plt : {{ *(.plt) }} \
         .text : {{ *crt*.o(.text) {early}*(.text .text.*) }} }} INSERT AFTER .init;\n"
    ));
    layout
}
