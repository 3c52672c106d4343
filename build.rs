//! Linker arguments of the shared library. Nothing is generated into the sources.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=src/abi/exports.txt");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let argument = |argument: &str| println!("cargo:rustc-cdylib-link-arg={argument}");

    // The unwinder is linked in: a shared libgcc_s would cost every process 128 KiB.
    fs::write(out.join("libgcc_s.so"), "INPUT(libgcc_eh.a libgcc.a)\n")
        .expect("OUT_DIR is writable");
    argument(&format!("-L{}", out.display()));
    // std keeps the program's arguments at start-up, for programs that ask it; we do not, and the
    // constructor would make a part of std resident in every process that is used for nothing else.
    let script = out.join("constructors.ld");
    fs::write(
        &script,
        "SECTIONS { /DISCARD/ : { *(.init_array.00099) } } INSERT BEFORE .init_array;\n",
    )
    .expect("OUT_DIR is writable");
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
    let exports = fs::read_to_string("src/abi/exports.txt").expect("exports.txt is readable");
    for line in exports
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, door) = line
            .split_once(" = ")
            .expect("a line of exports.txt is `name = door`");
        argument(&format!("-Wl,--defsym={name}={door}"));
        version_script.push_str(&format!(" {name};"));
    }
    version_script.push_str(" };\n");
    let script = out.join("exports.map");
    fs::write(&script, version_script).expect("OUT_DIR is writable");
    argument(&format!("-Wl,--version-script={}", script.display()));
}
