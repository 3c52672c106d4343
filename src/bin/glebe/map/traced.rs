//! A program that runs on glebe under a trace, which stops it at its exit, where its memory is still
//! there (ptrace(2), PTRACE_O_TRACEEXIT).
//!
//! Nothing else of it is looked at: signals and stops pass through, its threads and children are not
//! traced.

use std::io::{self, Write};
use std::mem;
use std::process::exit;
use std::ptr;
use std::time::{Duration, Instant};

use super::live::{self, Live};
use super::{Arguments, Stream, Subject, View};
use crate::Failure;
use crate::run;

/// What a view waits for beside the program; ^C is the program's.
const VIEW: [i32; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGTSTP, libc::SIGWINCH];

/// What the program did.
enum Event {
    /// It is at its exit: its memory is still there.
    Exits,
    /// It has ended, with this status of wait(2).
    Ended(i32),
    /// This process was sent a signal that is waited for.
    Told(i32),
    /// Anything that does not concern us, or the time is over.
    Other,
}

struct Traced {
    process: i32,
    /// Before that, it is a copy of this process.
    is_executed: bool,
}

/// Runs the program, draws its map, and ends as it does.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut held = arguments.view.live.and_then(|_| Held::new());
    let mut traced = Traced::start(arguments, held.as_ref())?;
    let view = &arguments.view;
    let status = match view.live {
        Some(period) => {
            let status = traced.watch(view, period);
            if let Some(held) = &mut held {
                held.show();
            }
            status?
        }
        None => traced.draw_once(view, arguments.after)?,
    };
    end_as(status)
}

impl Traced {
    fn start(arguments: &Arguments, held: Option<&Held>) -> Result<Traced, Failure> {
        let (mut ready, mut go) = io::pipe().map_err(no_trace)?;
        // What waits for the program waits for its signals; it has the mask as it was.
        let mask = block(&[libc::SIGCHLD]);
        // SAFETY: this process has one thread, so the child may do all that it may.
        let process = unsafe { libc::fork() };
        if process < 0 {
            return Err(no_trace(io::Error::last_os_error()));
        }
        if process == 0 {
            drop(go);
            // Ends where the parent could not trace, or is not there any more.
            if io::Read::read(&mut ready, &mut [0]).ok() != Some(1) {
                exit(125);
            }
            drop(ready);
            if let Some(held) = held {
                held.take_output();
            }
            // SAFETY: `mask` is one that the kernel gave.
            unsafe { libc::sigprocmask(libc::SIG_SETMASK, &mask, ptr::null_mut()) };
            let Err(failure) = run::run_program(&arguments.run, &arguments.program);
            eprintln!("glebe: {}", failure.message);
            exit(failure.status);
        }
        // The terminal sends these to the program too, which decides.
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: to ignore a signal installs no handler.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACEEXEC;
        // SAFETY: the child is ours; SEIZE takes no address, and options by value.
        if unsafe { libc::ptrace(libc::PTRACE_SEIZE, process, 0usize, options as usize) } != 0 {
            return Err(no_trace(io::Error::last_os_error()));
        }
        go.write_all(&[1]).map_err(no_trace)?;
        Ok(Traced {
            process,
            is_executed: false,
        })
    }

    /// Draws after `after`, or at the exit; returns the status of wait(2).
    fn draw_once(&mut self, view: &View, after: Option<Duration>) -> Result<i32, Failure> {
        let mut deadline = after.map(|after| Instant::now() + after);
        let mut is_drawn = false;
        let mut outcome = Ok(());
        loop {
            match self.next(deadline) {
                Event::Exits if !is_drawn && self.is_executed => {
                    outcome = self.draw(view);
                    is_drawn = true;
                    self.resume();
                }
                Event::Exits => self.resume(),
                Event::Ended(status) => {
                    if self.is_executed && !is_drawn {
                        eprintln!("glebe: no map: the program was killed");
                    }
                    if let Err(failure) = outcome {
                        eprintln!("glebe: {}", failure.message);
                    }
                    return Ok(status);
                }
                Event::Other if deadline.is_some_and(|it| it <= Instant::now()) => {
                    deadline = None;
                    if self.is_executed {
                        outcome = self.draw(view);
                        is_drawn = true;
                    }
                }
                Event::Told(_) | Event::Other => {}
            }
        }
    }

    fn draw(&self, view: &View) -> Result<(), Failure> {
        view.draw(&Subject::of(self.process)?.picture(), Stream::Error)
    }

    /// A frame each `period`, until the program ends.
    fn watch(&mut self, view: &View, period: Duration) -> Result<i32, Failure> {
        block(&VIEW);
        let mut live = Live::new(view, Stream::Error);
        let mut subject = None;
        let mut deadline = Instant::now();
        loop {
            match self.next(Some(deadline)) {
                Event::Exits => self.resume(),
                Event::Ended(status) => return Ok(status),
                Event::Told(libc::SIGTSTP) => live.pause(),
                Event::Told(signal) if live::ENDS.contains(&signal) => {
                    return Err(Failure::new(
                        128 + signal,
                        "the view ends, the program goes on",
                    ));
                }
                Event::Told(_) => deadline = Instant::now(),
                Event::Other if deadline <= Instant::now() => {
                    deadline = (deadline + period).max(Instant::now());
                    if !self.is_executed {
                        continue;
                    }
                    let read = match &mut subject {
                        None => Subject::of(self.process).map(|new| subject = Some(new)),
                        Some(subject) => subject
                            .refresh()
                            .map_err(|error| super::failed(self.process, error)),
                    };
                    if let (Ok(()), Some(subject)) = (read, &subject) {
                        live.draw(subject.picture());
                    }
                }
                Event::Other => {}
            }
        }
    }

    /// Waits until the program does something or `deadline` has come.
    fn next(&mut self, deadline: Option<Instant>) -> Event {
        let mut status = 0;
        // SAFETY: `status` is a place for the status.
        let answer =
            unsafe { libc::waitpid(self.process, &mut status, libc::__WALL | libc::WNOHANG) };
        if answer == 0 {
            return sleep(deadline);
        }
        if answer < 0 || libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return Event::Ended(status);
        }
        self.stopped(status)
    }

    /// Lets a stopped program go on as it would without a trace.
    fn stopped(&mut self, status: i32) -> Event {
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            libc::PTRACE_EVENT_EXIT => return Event::Exits,
            libc::PTRACE_EVENT_EXEC => {
                self.is_executed = true;
                self.resume();
            }
            // The stop of a group, as by ^Z: it lasts until SIGCONT.
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => {
                self.request(libc::PTRACE_LISTEN, 0);
            }
            0 => self.request(libc::PTRACE_CONT, signal),
            _ => self.resume(),
        }
        Event::Other
    }

    fn resume(&self) {
        self.request(libc::PTRACE_CONT, 0);
    }

    fn request(&self, request: libc::c_uint, signal: i32) {
        // SAFETY: neither request has an address; the last is a signal, or nothing. One that fails
        // has a process that was killed, which the next wait tells.
        unsafe { libc::ptrace(request, self.process, 0usize, signal as usize) };
    }
}

fn no_trace(error: io::Error) -> Failure {
    Failure::new(125, format!("the program cannot be traced: {error}"))
}

/// Blocks `signals` beside those that are; returns the mask as it was.
pub(super) fn block(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: all zeroes are a sigset_t; sigemptyset and sigaddset write to it alone, and
    // sigprocmask to `old`.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        let mut old: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, &mut old);
        old
    }
}

/// Until `deadline`, or until something happens to the program or to this process.
fn sleep(deadline: Option<Instant>) -> Event {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let awaited = [&[libc::SIGCHLD][..], &VIEW].concat();
    match live::wait_for(&awaited, left) {
        Some(signal) if signal != libc::SIGCHLD => Event::Told(signal),
        _ => Event::Other,
    }
}

/// Ends this process as the program ended.
fn end_as(status: i32) -> ! {
    if libc::WIFSIGNALED(status) {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        let signal = libc::WTERMSIG(status);
        // SAFETY: the calls take numbers, and a limit that lives. The program has dumped its core,
        // where it has one; ours would replace it.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &none);
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        exit(128 + signal);
    }
    exit(libc::WEXITSTATUS(status))
}

/// What the program writes to the terminal while that shows its map: files without names, whose
/// contents are written when the view ends.
struct Held {
    /// Descriptor of the terminal, and what is held for it.
    files: Vec<(i32, std::fs::File)>,
}

impl Held {
    fn new() -> Option<Held> {
        use std::os::fd::FromRawFd;
        let mut files = Vec::new();
        for descriptor in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
            // SAFETY: isatty takes any number.
            if unsafe { libc::isatty(descriptor) } != 1 {
                continue;
            }
            // SAFETY: the name is a C string; a descriptor that comes back is ours alone.
            let file = unsafe {
                let file = libc::memfd_create(c"output".as_ptr(), libc::MFD_CLOEXEC);
                if file < 0 {
                    return None;
                }
                std::fs::File::from_raw_fd(file)
            };
            files.push((descriptor, file));
        }
        Some(Held { files })
    }

    /// In the child: it writes to the files.
    fn take_output(&self) {
        use std::os::fd::AsRawFd;
        for (descriptor, file) in &self.files {
            // SAFETY: both descriptors are open.
            unsafe { libc::dup2(file.as_raw_fd(), *descriptor) };
        }
    }

    fn show(&mut self) {
        use std::io::Seek;
        for (descriptor, file) in &mut self.files {
            let _ = file.rewind();
            let _ = match *descriptor {
                libc::STDOUT_FILENO => io::copy(file, &mut io::stdout()),
                _ => io::copy(file, &mut io::stderr()),
            };
        }
        let _ = io::stdout().flush();
    }
}
