//! What every test outside the library needs: the libraries as they are shipped, a C compiler, a
//! watchdog.
#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part of this"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// A program that runs longer than this hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// libglebe.so as users get it (profile `release`); libglebe.so.0 stands beside it.
pub(crate) fn shipped_library() -> PathBuf {
    built("release").join("libglebe.so")
}

/// libglebe.so with every debug check switched on (profile `checked`); libglebe.so.0 stands beside
/// it.
pub(crate) fn checked_library() -> PathBuf {
    built("checked").join("libglebe.so")
}

/// libglebe.a as users get it.
pub(crate) fn shipped_archive() -> PathBuf {
    built("release").join("libglebe.a")
}

/// libglebe.a with every debug check switched on.
pub(crate) fn checked_archive() -> PathBuf {
    built("checked").join("libglebe.a")
}

/// The top folder of the package.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the library built with `profile`. Cargo runs once per test process and profile, in
/// a target folder of its own, because a test build would overwrite libglebe.so with one that
/// unwinds.
fn built(profile: &'static str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    built
        .entry(profile)
        .or_insert_with(|| build(profile))
        .clone()
}

fn build(profile: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("shipped");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(package()).args([
        "build",
        "--lib",
        "--offline",
        "--quiet",
        "--profile",
        profile,
    ]);
    cargo.arg("--target-dir").arg(&target);
    for (name, _) in std::env::vars_os() {
        if changes_the_build(&name.to_string_lossy()) {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "{cargo:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = target.join(profile);
    match symlink("libglebe.so", folder.join("libglebe.so.0")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("libglebe.so.0: {error}"),
        _ => folder,
    }
}

/// Whether an environment variable, left over from the cargo that runs the tests or from a user's
/// shell, would make another library than the shipped one.
fn changes_the_build(name: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "GLEBE_",
        "LD_",
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    const NAMES: [&str; 9] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_MAKEFLAGS",
        "CARGO_MANIFEST_DIR",
        "CLIPPY_ARGS",
        "MAKEFLAGS",
        "OUT_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A folder that goes when the value does.
pub(crate) struct TemporaryFolder(PathBuf);

impl Deref for TemporaryFolder {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for TemporaryFolder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A new empty folder that other users may enter; `name` shows whose it is.
pub(crate) fn temporary_folder(name: &str) -> TemporaryFolder {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("glebe-{name}-{}-{count}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for temporary files");
    TemporaryFolder(folder)
}

/// Compiles and links `source` (`*.cc` is C++) into `out`, warnings being errors; `flags` stand
/// after the source. The compiler may not reason about malloc: it would drop the very calls that
/// are tested.
pub(crate) fn compile_c(source: &Path, flags: &[&str], out: &Path) {
    let language: &[&str] = if source.extension().is_some_and(|it| it == "cc") {
        &["g++", "-std=gnu++20"]
    } else {
        &["gcc", "-std=gnu17"]
    };
    let mut compiler = Command::new(language[0]);
    compiler.args(&language[1..]).args([
        "-D_GNU_SOURCE",
        "-O0",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fno-builtin",
        "-pthread",
    ]);
    compiler
        .arg("-I")
        .arg(package().join("include"))
        .arg("-o")
        .arg(out)
        .arg(source)
        .args(flags);
    let output = compiler
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", language[0]));
    assert!(
        output.status.success(),
        "{compiler:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Takes from `command` what its environment says about an allocator.
pub(crate) fn without_allocator_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if ["LD_", "GLEBE_", "MALLOC_"]
            .iter()
            .any(|it| name.to_string_lossy().starts_with(it))
        {
            command.env_remove(name);
        }
    }
}

/// Calls `work` for every item, on one thread more than the machine has processors: some items mostly
/// wait.
pub(crate) fn in_parallel<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().expect("the queue is whole").next();
    thread::scope(|scope| {
        for _ in 0..=thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

/// How a program ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn aborted(&self) -> bool {
        self.status.signal() == Some(libc::SIGABRT)
    }
}

/// Runs `command`, in a process group of its own, to its end. A program that does not end is shown
/// with the stacks of its threads, killed, and the test fails.
pub(crate) fn run(mut command: Command) -> Outcome {
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let (output, hung) = match receiver.recv_timeout(PATIENCE) {
        Ok(output) => (output, None),
        Err(_) => {
            let stacks = stacks_of(group);
            // SAFETY: `kill` reads no memory; the group is that of the child just started, which
            // stays one until the waiting thread has reaped it.
            unsafe { libc::kill(-(group as i32), libc::SIGKILL) };
            (
                receiver.recv().expect("the waiting thread sends once"),
                Some(stacks),
            )
        }
    };
    let output = output.expect("the output of a child can be read");
    let outcome = Outcome {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    match hung {
        None => outcome,
        Some(stacks) => {
            panic!("hang: {command:?} still ran after {PATIENCE:?}\n{outcome:#?}\n{stacks}")
        }
    }
}

/// The stacks of all threads of a process as gdb tells them, or why it cannot.
fn stacks_of(process: u32) -> String {
    let gdb = Command::new("gdb")
        .args([
            "-p",
            &process.to_string(),
            "-batch",
            "-ex",
            "thread apply all backtrace 12",
        ])
        .stdin(Stdio::null())
        .output();
    match gdb {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("(no stacks: gdb: {error})"),
    }
}

/// Says on the real standard error, past the capture of the test harness, what this machine cannot
/// test.
pub(crate) fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}
