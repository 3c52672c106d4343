//! One run of a program that has less memory than heap: under glebe's budget, or in a cgroup with a
//! limit and swap; and the same with all the memory it wants.

use crate::allocators::Allocator;
use crate::cgroup::{Cgroup, Version};
use crate::run::{Run, Stage};
use crate::swap::{self, Swap};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What a run has for its heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Memory {
    Unlimited,
    /// KiB.
    Budget(u64),
    /// KiB in the cgroup; what the swap keeps in memory beside it comes on top.
    Swap(swap::Kind, u64),
}

/// A program and what it is to do.
pub(crate) struct Task {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Whether it prints the lines of a workload; otherwise its output as such is the result.
    pub(crate) is_workload: bool,
}

/// What a run came to.
pub(crate) struct Confined {
    pub(crate) run: Run,
    /// The most that it took at one time, as far as looks every few milliseconds saw it: with
    /// what the kernel keeps for it, and with what the swap kept in memory.
    pub(crate) total_kib: f64,
    /// Of that, what the swap kept outside of the cgroup.
    pub(crate) pool_kib: f64,
}

/// The kernel brings a page back in much less, so a program that takes so long hangs.
const MOST_SECONDS: &str = "900";

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on a signal that would end this process makes runs fail instead: swap and cgroups are
/// undone on the way out.
pub(crate) fn survive_interrupts() {
    extern "C" fn note(_: i32) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let action = SigAction::new(
        SigHandler::Handler(note),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { sigaction(signal, &action) }.expect("a signal that can be caught");
    }
}

pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A program that runs, in its cgroup. Swap outlives the group, whose pages may be in it.
pub(crate) struct Running {
    child: Child,
    group: Option<Cgroup>,
    swap: Option<Swap>,
    total_kib: f64,
    pool_kib: f64,
}

impl Running {
    /// Err says why it cannot run so.
    pub(crate) fn start(
        stage: &Stage,
        task: &Task,
        allocator: &Allocator,
        memory: Memory,
    ) -> Result<Self, String> {
        if interrupted() {
            return Err("interrupted".to_owned());
        }
        let swap = match memory {
            Memory::Swap(kind, _) => Some(Swap::on(kind)?),
            _ => None,
        };
        let group = match (memory, Cgroup::create()) {
            (Memory::Swap(_, limit), group) => {
                let group = group?;
                group.limit(limit)?;
                Some(group)
            }
            (_, group) => group.ok(),
        };
        // The shell enters the group and is no more; only behind `start` is anything preloaded.
        let mut shell = stage.command(Path::new("/bin/sh"));
        let procs = group.as_ref().map(Cgroup::processes);
        shell
            .args(["-c", "echo $$ > \"$1\" && shift && exec \"$@\"", "sh"])
            .arg(procs.unwrap_or("/dev/null".into()))
            .arg("env")
            .args(environment(allocator, memory))
            .args(["./start", "report", MOST_SECONDS])
            .arg(&task.program)
            .args(&task.arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = shell.spawn().map_err(|why| format!("no shell: {why}"))?;
        Ok(Self {
            child,
            group,
            swap,
            total_kib: 0.0,
            pool_kib: 0.0,
        })
    }

    /// Notes what it takes now; false when it has ended. Without a cgroup there is nothing to note.
    pub(crate) fn look(&mut self) -> bool {
        let pool = self.swap.as_ref().map_or(0.0, Swap::pool_kib);
        if let Some(group) = &self.group {
            // The second version charges zswap's pool to the group already.
            let outside = match (&self.swap, group.version()) {
                (Some(swap), Version::Two) if swap.kind() == swap::Kind::Zswap => 0.0,
                // Others may swap too, on a machine that is short of memory.
                _ => pool * (group.swapped_kib() / swap::used_kib().max(1.0)).min(1.0),
            };
            let usage = group.usage_kib().unwrap_or(0.0);
            self.total_kib = self.total_kib.max(usage + outside);
            self.pool_kib = self.pool_kib.max(outside);
            if interrupted() {
                group.kill();
            }
        }
        if interrupted() {
            // Upon this signal `start` kills the program.
            let pid = Pid::from_raw(self.child.id().try_into().expect("a process"));
            let _ = kill(pid, Signal::SIGALRM);
        }
        self.child.try_wait().is_ok_and(|it| it.is_none())
    }

    /// Whether it ends by itself within a second.
    pub(crate) fn has_ended(&mut self) -> bool {
        let mut looks = 0..100;
        while self.look() {
            if looks.next().is_none() {
                return false;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        true
    }

    /// What a client prints, which works on it meanwhile.
    pub(crate) fn look_until_end_of(&mut self, mut client: Child) -> Result<String, String> {
        while client.try_wait().is_ok_and(|it| it.is_none()) {
            // Without the server the client ends by itself.
            self.look();
            thread::sleep(BETWEEN_LOOKS);
        }
        let output = client.wait_with_output().map_err(|why| why.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!(
                    "client: {}",
                    said.lines().next().unwrap_or_default()
                ))
            }
        }
    }

    /// What it cost, when it has ended by itself.
    pub(crate) fn finish(mut self, stage: &Stage, is_workload: bool) -> Result<Confined, String> {
        let stdout = self.child.stdout.take().expect("piped");
        let stderr = self.child.stderr.take().expect("piped");
        let output = thread::spawn(move || digest(stdout));
        let said = thread::spawn(move || digest(stderr).1);
        while self.look() {
            thread::sleep(BETWEEN_LOOKS);
        }
        let (hash, output) = output.join().expect("no panic");
        let said = said.join().expect("no panic");
        if interrupted() {
            return Err("interrupted".to_owned());
        }
        // Nothing that the allocator warns of may pass for a figure.
        let warning = said.lines().find(|line| line.starts_with("glebe:"));
        let mut run = stage.report().map_err(|how| {
            let first = said.lines().next().unwrap_or_default();
            format!("{how} {first}")
        })?;
        if let Some(warning) = warning {
            return Err(warning.to_owned());
        }
        match is_workload {
            true => run.read_protocol(&output)?,
            false => run.result = format!("{hash:016x}"),
        }
        let total_kib = self.total_kib.max(match self.group {
            Some(_) => 0.0,
            None => run.peak_kib,
        });
        Ok(Confined {
            run,
            total_kib,
            pool_kib: self.pool_kib,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group, if any, kills what is left in it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.group = None;
    }
}

/// One whole run.
pub(crate) fn run(
    stage: &Stage,
    task: &Task,
    allocator: &Allocator,
    memory: Memory,
) -> Result<Confined, String> {
    let _ = fs::remove_file(stage.folder.join("report"));
    Running::start(stage, task, allocator, memory)?.finish(stage, task.is_workload)
}

/// Words of `env`.
fn environment(allocator: &Allocator, memory: Memory) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    if let Some(library) = &allocator.library {
        words.push(format!("LD_PRELOAD={}", library.display()));
    }
    let variables = allocator.environment.iter();
    words.extend(variables.map(|(name, value)| format!("{name}={value}")));
    if let Memory::Budget(kib) = memory {
        words.push(format!("GLEBE_BUDGET={kib}K"));
    }
    words
}

/// A hash (FNV-1a) of all that comes, and its beginning.
fn digest(mut from: impl Read) -> (u64, String) {
    let (mut hash, mut begin, mut buffer) = (0xcbf2_9ce4_8422_2325, Vec::new(), [0; 1 << 16]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        for &byte in &buffer[..length] {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if begin.len() < 1 << 16 {
            begin.extend_from_slice(&buffer[..length]);
        }
    }
    (hash, String::from_utf8_lossy(&begin).into_owned())
}
