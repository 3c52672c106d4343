//! Where a real program runs: a folder of its own, the library preloaded, and afterwards the proof
//! that the library was in it.

use crate::common::{self, Outcome, PATIENCE, TemporaryFolder};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The account and group `nobody` and `nogroup`, for programs that refuse to run as root.
const NOBODY: u32 = 65534;

/// The full path of an installed program, also of those that Debian keeps off a user's PATH.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    folders.extend(
        fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin")),
    );
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A script or source file of these tests.
pub(crate) fn material(name: &str) -> PathBuf {
    common::package().join("tests/real_programs").join(name)
}

/// Whether this process runs as root.
fn is_root() -> bool {
    // SAFETY: `geteuid` takes nothing, reads no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A folder in which programs run with the library preloaded. Every process that ends by exit
/// leaves a line of statistics in it.
pub(crate) struct Stage {
    folder: TemporaryFolder,
    library: PathBuf,
    account: Option<u32>,
}

impl Stage {
    /// None, with a word about it, where one of `programs` is not installed. The first gives the
    /// folder its name.
    pub(crate) fn with(programs: &[&str]) -> Option<Self> {
        if let Some(missing) = programs.iter().find(|program| installed(program).is_none()) {
            common::skip(&format!("{}: no {missing} here", programs[0]));
            return None;
        }
        let name = Path::new(programs[0]).file_name().unwrap_or_default();
        Some(Self {
            folder: common::temporary_folder(&name.to_string_lossy()),
            library: common::shipped_library(),
            account: None,
        })
    }

    /// The same; where the test runs as root, the programs run as `nobody`, who owns the folder and
    /// reads a copy of the library in it.
    pub(crate) fn unprivileged(programs: &[&str]) -> Option<Self> {
        let mut stage = Self::with(programs)?;
        if is_root() {
            let copy = stage.path("libglebe.so");
            fs::copy(&stage.library, &copy).expect("a copy of the library");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("readable");
            chown(&stage.folder, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
            stage.library = copy;
            stage.account = Some(NOBODY);
        }
        Some(stage)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path(name);
        fs::write(&file, content).expect("the folder takes files");
        file
    }

    /// `program` without the library, in the folder, with a plain environment.
    pub(crate) fn plain(&self, program: &str) -> Command {
        let mut command = Command::new(installed(program).expect("asked for at the start"));
        command
            .current_dir(&self.folder)
            .env_remove("LD_PRELOAD")
            .env("HOME", &*self.folder)
            .env("TMPDIR", &*self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        if let Some(account) = self.account {
            command.uid(account).gid(account);
        }
        command
    }

    /// The same with the library preloaded.
    pub(crate) fn preloaded(&self, program: &str) -> Command {
        let mut command = self.plain(program);
        command
            .env("LD_PRELOAD", &self.library)
            .env("GLEBE_STATS", "json")
            .env("GLEBE_STATS_FILE", self.path("statistics"));
        command
    }

    /// What `command` wrote on its standard output. It must succeed, and the library must have had
    /// nothing to report.
    pub(crate) fn output(&self, command: &mut Command) -> String {
        let shown = format!("{command:?}");
        let outcome = self.outcome(command);
        assert!(outcome.status.success(), "{shown}: {outcome:#?}");
        outcome.stdout
    }

    /// How `command`, which is used up, ended, with whatever status; the library must have had
    /// nothing to report.
    pub(crate) fn outcome(&self, command: &mut Command) -> Outcome {
        let shown = format!("{command:?}");
        let outcome = common::run(std::mem::replace(command, Command::new("true")));
        assert_no_report(&shown, &outcome.stderr);
        outcome
    }

    /// Runs `program` with and without the library, each in an empty folder: it must succeed and
    /// write the same on its standard output, which is returned.
    pub(crate) fn same_output(&self, program: &str, arguments: &[&str]) -> String {
        let [plain, preloaded] = [
            ("plain", self.plain(program)),
            ("preloaded", self.preloaded(program)),
        ]
        .map(|(name, mut command)| {
            let folder = self.path(name);
            fs::create_dir(&folder).expect("a new folder");
            self.output(command.current_dir(folder).args(arguments))
        });
        assert!(!plain.is_empty(), "{program} wrote nothing");
        assert_eq!(
            plain, preloaded,
            "{program} writes something else when it runs on glebe"
        );
        self.prove(&[program]);
        preloaded
    }

    /// The proof that the library served each of `programs`: a process whose name contains the
    /// program's left statistics, and they are not empty.
    pub(crate) fn prove(&self, programs: &[&str]) {
        let statistics = fs::read_to_string(self.path("statistics")).unwrap_or_default();
        for program in programs {
            let served = statistics.lines().any(|line| {
                text(line, "program").is_some_and(|it| it.contains(program))
                    && number(line, "heap_bytes").is_some_and(|bytes| bytes > 0)
            });
            assert!(served, "no statistics of {program} in:\n{statistics}");
        }
    }

    /// The largest value that `key` has in the statistics of processes whose name contains `program`.
    #[allow(dead_code, reason = "only some tests ask for figures")]
    pub(crate) fn most(&self, program: &str, key: &str) -> Option<u64> {
        let statistics = fs::read_to_string(self.path("statistics")).unwrap_or_default();
        statistics
            .lines()
            .filter(|line| text(line, "program").is_some_and(|it| it.contains(program)))
            .filter_map(|line| number(line, key))
            .max()
    }

    /// Starts a server, its output going to `NAME.log`, and proves that the library is mapped in it.
    pub(crate) fn serve(&self, name: &str, command: &mut Command) -> Server {
        let log = self.path(&format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let child = command
            .process_group(0)
            .stdout(output.try_clone().expect("a second descriptor"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Server {
            child,
            reaped: None,
            log,
        };
        let maps = format!("/proc/{}/maps", server.child.id());
        let library = self.library.to_string_lossy().into_owned();
        server.until("the library is mapped in the server", || {
            fs::read_to_string(&maps).is_ok_and(|maps| maps.contains(&library))
        });
        server
    }
}

/// A line of JSON's value for `key`, a string.
fn text<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{key}\""))?;
    let (_, rest) = rest.trim_start_matches([':', ' ']).split_once('"')?;
    Some(rest.split_once('"')?.0)
}

/// A line of JSON's value for `key`, a whole number.
fn number(line: &str, key: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("\"{key}\""))?;
    let rest = rest.trim_start_matches([':', ' ']);
    let digits = rest
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn assert_no_report(what: &str, written: &str) {
    assert!(
        !written.contains("glebe: ["),
        "{what}: the library reported: {written}"
    );
}

/// A running server; it and its process group are killed when the value goes.
pub(crate) struct Server {
    child: Child,
    reaped: Option<ExitStatus>,
    log: PathBuf,
}

impl Server {
    /// What the server wrote so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Returns as soon as `condition` holds; the server must live till then.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        wait_for(what, || {
            assert!(
                !self.has_ended(),
                "the server ended before {what}:\n{}",
                self.log()
            );
            condition()
        });
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: `kill` reads no memory; the child is not reaped while this value is in use, so
        // the number is still its.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits for the server to end by itself or by the signal sent before; it must succeed and the
    /// library must have had nothing to report.
    pub(crate) fn ended(mut self) {
        wait_for("the server's end", || self.has_ended());
        let status = self.reap();
        assert!(status.success(), "{status}:\n{}", self.log());
        assert_no_report("the server", &self.log());
    }

    fn has_ended(&self) -> bool {
        let child = Id::Pid(Pid::from_raw(self.child.id() as i32));
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(child, look).expect("a child can be waited for") != WaitStatus::StillAlive
    }

    /// Kills what is left of the process group. Its number is ours until the child is waited for.
    fn reap(&mut self) -> ExitStatus {
        if let Some(status) = self.reaped {
            return status;
        }
        // SAFETY: `kill` reads no memory.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let status = self.child.wait().expect("a child can be waited for");
        *self.reaped.insert(status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.reap();
    }
}

/// Returns as soon as `condition` holds.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A TCP port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
    listener.local_addr().expect("bound").port()
}

/// The body of an HTTP answer from 127.0.0.1, or None where nobody answers with status 200.
pub(crate) fn fetch(port: u16, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
    answer[..head]
        .starts_with(b"HTTP/1.1 200")
        .then(|| answer.split_off(head + 4))
}

/// `path` as text, for argument lists.
pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}
