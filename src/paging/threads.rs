//! The engine's two threads: started when the budget comes into sight, and in the child of a fork.
//! They are no threads of libc's: see `os::helper_thread`.

use super::budget;
use super::evictor::Evictor;
use super::fault_handler::{Buffers, FaultHandler};
use super::page_table;
use super::{managed, resident, staging, store};
use crate::config::{self, StoreKind};
use crate::metadata;
use crate::os::helper_thread::{
    self, Files, Stack, close_all_descriptors, exit_thread, futex_wait, futex_wake_all,
};
use crate::os::pagemap::Pagemap;
use crate::os::userfault::{Features, Mode, Modes, UserfaultFd};
use crate::report;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Why there is no paging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Obstacle {
    /// userfaultfd is not to be had, or not for faults of the kernel.
    Privilege = 1,
    /// The kernel cannot move pages (before Linux 6.8).
    NoMove = 2,
    /// No memory for what the engine needs.
    NoMemory = 3,
    /// No thread.
    NoThread = 4,
    /// A file for evicted pages was asked for and could not be made.
    NoFile = 5,
    /// Pages are not 4 KiB.
    PageSize = 6,
}

impl Obstacle {
    /// What it is, and what to do about it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Obstacle::Privilege => {
                "userfaultfd for faults of the kernel is not permitted; run as root or with \
                 CAP_SYS_PTRACE, or set vm.unprivileged_userfaultfd=1, or allow /dev/userfaultfd"
            }
            Obstacle::NoMove => "the kernel has no UFFDIO_MOVE; Linux 6.8 or later is needed",
            Obstacle::NoMemory => "no memory for the tables of the paging engine",
            Obstacle::NoThread => "no thread for the paging engine; raise the limit of processes",
            Obstacle::NoFile => {
                "no file for evicted pages can be made; name another place by GLEBE_STORE_FILE"
            }
            Obstacle::PageSize => "pages of the kernel are not 4 KiB",
        }
    }
}

const OBSTACLES: [Obstacle; 6] = [
    Obstacle::Privilege,
    Obstacle::NoMove,
    Obstacle::NoMemory,
    Obstacle::NoThread,
    Obstacle::NoFile,
    Obstacle::PageSize,
];

const NOT_STARTED: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
/// From here on an [`Obstacle`] is added.
const FAILED: u32 = 16;

static STATE: AtomicU32 = AtomicU32::new(NOT_STARTED);
/// The threads' memory, mapped once and used again in the child of a fork.
static BUFFERS: AtomicUsize = AtomicUsize::new(0);
static HANDLER_STACK: AtomicUsize = AtomicUsize::new(0);
static EVICTOR_STACK: AtomicUsize = AtomicUsize::new(0);

/// Bytes of a thread's stack.
const STACK_BYTES: usize = 256 << 10;

/// Whether the threads run.
pub(super) fn are_running() -> bool {
    // Acquire pairs with the Release of `handle_faults`.
    STATE.load(Ordering::Acquire) == RUNNING
}

/// Whether the kernel lets us page: opens what is needed and closes it again.
pub(super) fn probe() -> Result<(), Obstacle> {
    if crate::os::process::page_bytes() != page_table::PAGE_BYTES {
        return Err(Obstacle::PageSize);
    }
    let userfault = open()?;
    userfault.close();
    Ok(())
}

fn open() -> Result<UserfaultFd, Obstacle> {
    match UserfaultFd::open(Mode::Full, Features::MOVE) {
        Ok(userfault) => Ok(userfault),
        Err(error) if error.0 == libc::EINVAL => Err(Obstacle::NoMove),
        Err(_) => Err(Obstacle::Privilege),
    }
}

/// Starts the threads, once; whoever comes second goes on. Returns when faults are served.
pub(super) fn start() -> Result<(), Obstacle> {
    let first = STATE.compare_exchange(NOT_STARTED, STARTING, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err() {
        return Ok(());
    }
    let outcome = prepare().and_then(|()| run_handler());
    if let Err(obstacle) = outcome {
        STATE.store(FAILED + obstacle as u32, Ordering::Release);
    }
    outcome
}

/// Starts them again in the child of a fork, where their memory is and they are not.
pub(super) fn restart() -> Result<(), Obstacle> {
    STATE.store(STARTING, Ordering::Relaxed);
    run_handler()
}

fn prepare() -> Result<(), Obstacle> {
    let frames = (resident::staging_pages() + 256).next_multiple_of(64);
    let buffers = metadata::map_table(size_of::<Buffers>()).ok_or(Obstacle::NoMemory)?;
    BUFFERS.store(buffers, Ordering::Relaxed);
    for place in [&HANDLER_STACK, &EVICTOR_STACK] {
        let stack = Stack::map(STACK_BYTES).ok_or(Obstacle::NoMemory)?;
        place.store(stack.to_word(), Ordering::Relaxed);
    }
    let ready = resident::prepare()
        && staging::prepare(frames)
        && store::memory().prepare(4 * budget::asked_bytes());
    ready.then_some(()).ok_or(Obstacle::NoMemory)
}

fn stack(place: &AtomicUsize) -> Stack {
    Stack::from_word(place.load(Ordering::Relaxed))
}

fn run_handler() -> Result<(), Obstacle> {
    helper_thread::start(handle_faults, 0, stack(&HANDLER_STACK), Files::Copied)
        .map_err(|_| Obstacle::NoThread)?;
    loop {
        // Acquire pairs with the Release of `handle_faults`.
        match STATE.load(Ordering::Acquire) {
            STARTING => futex_wait(&STATE, STARTING, None),
            RUNNING => return Ok(()),
            failed => {
                let found = OBSTACLES
                    .into_iter()
                    .find(|obstacle| FAILED + *obstacle as u32 == failed);
                return Err(found.unwrap_or(Obstacle::NoThread));
            }
        }
    }
}

fn tell(state: u32) {
    // Release pairs with the Acquire of `run_handler`.
    STATE.store(state, Ordering::Release);
    futex_wake_all(&STATE);
}

/// The fault handler's thread, which has a table of descriptors of its own: a program that closes
/// all of its descriptors does not close ours.
extern "C" fn handle_faults(_: usize) -> ! {
    helper_thread::set_name(c"glebe faults");
    close_all_descriptors();
    match set_up() {
        Ok(userfault) => {
            let buffers = BUFFERS.load(Ordering::Relaxed) as *mut Buffers;
            // SAFETY: mapped for them, aligned to a page, bytes; used by this thread alone.
            let mut handler = FaultHandler::new(userfault, unsafe { &mut *buffers });
            tell(RUNNING);
            handler.run()
        }
        Err(obstacle) => {
            tell(FAILED + obstacle as u32);
            exit_thread()
        }
    }
}

fn set_up() -> Result<UserfaultFd, Obstacle> {
    let userfault = open()?;
    userfault.occupy_standard_descriptors();
    let (start, bytes) = staging::range();
    userfault
        .register(start, bytes, Modes::MISSING)
        .map_err(|_| Obstacle::NoMemory)?;
    if config::store() != StoreKind::Memory
        && let Err(error) = store::spill().open(config::store_path())
    {
        if config::store() == StoreKind::File {
            return Err(Obstacle::NoFile);
        }
        report::no_spill_file(error.0);
    }
    register_tracked(userfault)?;
    USERFAULT.store(userfault.to_word(), Ordering::Relaxed);
    helper_thread::start(evict, 0, stack(&EVICTOR_STACK), Files::Shared)
        .map_err(|_| Obstacle::NoThread)?;
    Ok(userfault)
}

/// In a child after fork: registers what was registered in its parent.
fn register_tracked(userfault: UserfaultFd) -> Result<(), Obstacle> {
    let mut registered = Ok(());
    page_table::for_each_area(|number, area| {
        for (start, bytes) in managed::tracked_runs(number, area) {
            if userfault.register(start, bytes, Modes::MISSING).is_err() {
                registered = Err(Obstacle::NoMemory);
            }
        }
    });
    registered
}

static USERFAULT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn evict(_: usize) -> ! {
    helper_thread::set_name(c"glebe evictor");
    let userfault = UserfaultFd::from_word(USERFAULT.load(Ordering::Relaxed));
    Evictor::new(userfault, Pagemap::open().ok()).run()
}
