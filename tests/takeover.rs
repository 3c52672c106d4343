//! Who serves a Rust program's C code: libc, unless the program asks for the feature `takeover`.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

/// A user's program.
const PROGRAM: &str = r#"
use glebe::abi::extensions::glebe_owns;

fn assert_ours(name: &str, block: *mut libc::c_void) {
    assert!(!block.is_null() && glebe_owns(block) == 1, "{name} is not glebe's");
    // The block stays if realloc leaves it where it is.
    let block = unsafe { libc::realloc(block, 5000) };
    assert_eq!(glebe_owns(block), 1, "realloc after {name}");
    unsafe { libc::free(block) };
    assert_eq!(glebe_owns(block), 0, "{name} was freed");
}

fn main() {
    unsafe {
        assert_ours("malloc", libc::malloc(100));
        assert_ours("calloc", libc::calloc(10, 10));
        assert_ours("realloc", libc::realloc(std::ptr::null_mut(), 100));
        assert_ours("reallocarray", libc::reallocarray(std::ptr::null_mut(), 10, 10));
        assert_ours("aligned_alloc", libc::aligned_alloc(64, 128));
        assert_ours("memalign", libc::memalign(64, 100));
        let mut block = std::ptr::null_mut();
        assert_eq!(libc::posix_memalign(&mut block, 64, 100), 0);
        assert!(libc::malloc_usable_size(block) >= 100);
        assert_ours("posix_memalign", block);
        assert_ours("strdup", libc::strdup(c"a text of libc's".as_ptr()).cast());
    }
    // The standard library's default allocator is malloc.
    assert_eq!(glebe_owns((&raw const *Box::new(1)).cast()), 1);
    let joined = std::thread::spawn(|| vec![1; 1000]).join().unwrap();
    assert_eq!(glebe_owns(joined.as_ptr().cast()), 1);
    println!("all is glebe's");
}
"#;

fn manifest(package: &Path) -> String {
    format!(
        "[package]\nname = \"user\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         libc = \"0.2\"\nglebe = {{ path = {package:?}, default-features = false, \
         features = [\"takeover\"] }}\n"
    )
}

#[test]
fn with_the_feature_libc_allocates_from_us() {
    let folder = common::temporary_folder("takeover");
    fs::create_dir(folder.join("src")).expect("a folder");
    fs::write(folder.join("src/main.rs"), PROGRAM).expect("a file");
    fs::write(folder.join("Cargo.toml"), manifest(common::package())).expect("a file");
    // The same versions, so that nothing has to be fetched.
    fs::copy(
        common::package().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )
    .expect("a file");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--offline", "--quiet", "--target-dir"]);
    cargo.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("takeover"));
    let outcome = common::run({
        cargo.current_dir(&folder);
        cargo
    });
    assert!(outcome.status.success(), "{outcome:#?}");
    assert_eq!(outcome.stdout, "all is glebe's\n");
}

#[test]
fn libc_allocates_from_us_only_with_the_feature() {
    // SAFETY: malloc and free of the C library, or of whoever took them over.
    let owned = unsafe {
        let block = libc::malloc(100);
        let owned = glebe::abi::extensions::glebe_owns(block);
        libc::free(block);
        owned
    };
    assert_eq!(owned == 1, cfg!(feature = "takeover"));
    let ours = glebe::abi::libc::glebe_malloc(100);
    assert_eq!(glebe::abi::extensions::glebe_owns(ours), 1);
    // SAFETY: a live block that nobody uses any more.
    unsafe { glebe::abi::libc::glebe_free(ours) };
}
