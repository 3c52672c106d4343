use super::*;
use crate::os::file::File;
use crate::os::helper_thread::{self, Files, Stack};
use crate::os::{mapping, process::page_bytes};
use core::sync::atomic::{AtomicU32, Ordering};
use std::boxed::Box;
extern crate std;
use std::io::Write;
use std::vec;

const PAGES: usize = 8;
const STARTING: u32 = 0;
const SERVING: u32 = 1;
/// From here on an error's number is added.
const FAILED: u32 = 16;

/// What the thread does about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Zero,
    Copy,
    CopyAndWakeLater,
    Move,
    LetWrite,
}

/// Pages whose faults a thread of ours serves, until the one behind them is touched.
struct Served {
    mode: Mode,
    answer: Answer,
    start: usize,
    /// As many pages, filled by [`content`].
    source: usize,
    stack: Stack,
    state: AtomicU32,
    faults: AtomicU32,
    writes: AtomicU32,
    protected: AtomicU32,
}

fn content(page: usize) -> u64 {
    (page as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn word(address: usize) -> *mut u64 {
    (address + 8) as *mut u64
}

fn map(pages: usize) -> usize {
    let bytes = pages * page_bytes();
    let start = mapping::map(bytes).expect("memory");
    // A page that a child of some other test shares could not be moved.
    // SAFETY: mapped just now.
    unsafe { libc::madvise(start as *mut _, bytes, libc::MADV_DONTFORK) };
    start
}

impl Served {
    fn new(mode: Mode, answer: Answer) -> &'static Served {
        let source = map(PAGES);
        for page in 0..PAGES {
            // SAFETY: within the mapping.
            unsafe { word(source + page * page_bytes()).write(content(page)) };
        }
        Box::leak(Box::new(Served {
            mode,
            answer,
            start: map(PAGES + 1),
            source,
            stack: Stack::map(64 << 10).expect("memory"),
            state: AtomicU32::new(STARTING),
            faults: AtomicU32::new(0),
            writes: AtomicU32::new(0),
            protected: AtomicU32::new(0),
        }))
    }

    /// Starts the thread; from then on faults are served.
    fn start(&'static self) -> Result<(), Errno> {
        let argument = core::ptr::from_ref(self) as usize;
        helper_thread::start(serve, argument, self.stack, Files::Copied)?;
        self.wait_while(STARTING);
        match self.state.load(Ordering::Acquire) {
            SERVING => Ok(()),
            failed => Err(Errno((failed - FAILED) as i32)),
        }
    }

    /// The same, or says what cannot be tested, which is the answer.
    fn start_or_skip(&'static self) -> bool {
        self.start().map_err(skip).is_ok()
    }

    fn wait_while(&self, state: u32) {
        while self.state.load(Ordering::Acquire) == state {
            helper_thread::futex_wait(&self.state, state, None);
        }
    }

    fn tell(&self, state: u32) {
        self.state.store(state, Ordering::Release);
        helper_thread::futex_wake_all(&self.state);
    }

    fn page(&self, page: usize) -> usize {
        self.start + page * page_bytes()
    }

    fn read(&self, page: usize) -> u64 {
        // SAFETY: within the mapping.
        unsafe { word(self.page(page)).read_volatile() }
    }

    fn write(&self, page: usize, value: u64) {
        // SAFETY: within the mapping.
        unsafe { word(self.page(page)).write_volatile(value) };
    }

    /// Touches the last page, which ends the thread.
    fn end(&self) {
        self.read(PAGES);
        self.wait_while(SERVING);
    }

    // In the thread: no libc, no panics.

    fn open(&self) -> Result<UserfaultFd, Errno> {
        let features = match self.answer {
            Answer::Move => Features::MOVE,
            _ => Features::NONE,
        };
        let userfault = UserfaultFd::open(self.mode, features)?;
        let bytes = PAGES * page_bytes();
        let modes = match self.answer {
            Answer::LetWrite => Modes::MISSING | Modes::WRITE_PROTECTED,
            _ => Modes::MISSING,
        };
        userfault.register(self.start, bytes + page_bytes(), modes)?;
        if self.answer == Answer::LetWrite {
            userfault.copy(self.start, self.source, bytes, Wake::No);
            userfault.protect(self.start, bytes, true)?;
        }
        Ok(userfault)
    }

    fn serve(&self, userfault: UserfaultFd) {
        let mut events = [Event::new(); 4];
        while let Ok(count) = userfault.read(&mut events) {
            for event in events.iter().take(count) {
                let EventKind::PageFault {
                    address,
                    writes,
                    write_protected,
                } = event.kind()
                else {
                    continue;
                };
                let page = address & !(page_bytes() - 1);
                if page == self.start + PAGES * page_bytes() {
                    userfault.zero(page, page_bytes(), Wake::Yes);
                    return;
                }
                self.faults.fetch_add(1, Ordering::Relaxed);
                self.writes.fetch_add(u32::from(writes), Ordering::Relaxed);
                self.protected
                    .fetch_add(u32::from(write_protected), Ordering::Relaxed);
                self.resolve(userfault, page);
            }
        }
    }

    fn resolve(&self, userfault: UserfaultFd, page: usize) {
        let from = page - self.start + self.source;
        let bytes = page_bytes();
        match self.answer {
            Answer::Zero => drop(userfault.zero(page, bytes, Wake::Yes)),
            Answer::Copy => drop(userfault.copy(page, from, bytes, Wake::Yes)),
            Answer::CopyAndWakeLater => {
                userfault.copy(page, from, bytes, Wake::No);
                let _ = userfault.wake(page, bytes);
            }
            Answer::Move => {
                // EAGAIN: a neighbour was just in the middle of something.
                let again = Some(Errno(libc::EAGAIN));
                while userfault.move_pages(page, from, bytes, Wake::Yes).error == again {}
            }
            Answer::LetWrite => drop(userfault.protect(page, bytes, false)),
        }
    }
}

extern "C" fn serve(argument: usize) -> ! {
    // SAFETY: what `Served::new` made lives for ever.
    let served = unsafe { &*(argument as *const Served) };
    helper_thread::close_all_descriptors();
    match served.open() {
        Ok(userfault) => {
            served.tell(SERVING);
            served.serve(userfault);
            userfault.close();
            served.tell(FAILED);
        }
        Err(error) => served.tell(FAILED + error.0 as u32),
    }
    helper_thread::exit_thread()
}

fn skip(error: Errno) {
    let lacking = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL];
    assert!(lacking.contains(&error.0), "{error:?}");
    // Not captured, unlike what is printed.
    let _ = std::writeln!(std::io::stderr(), "SKIPPED: userfaultfd refuses: {error:?}");
}

/// As much as this user may have.
fn best_mode() -> Mode {
    match UserfaultFd::open(Mode::Full, Features::NONE) {
        Ok(userfault) => {
            userfault.close();
            Mode::Full
        }
        Err(_) => Mode::UserModeOnly,
    }
}

/// A descriptor, and `pages` absent pages that are registered with it.
fn registered(features: Features, pages: usize) -> Option<(UserfaultFd, usize)> {
    let opened = UserfaultFd::open(best_mode(), features);
    let userfault = opened.map_err(skip).ok()?;
    let start = map(pages);
    let agreed = userfault.register(start, pages * page_bytes(), Modes::MISSING);
    assert_eq!(agreed, Ok(()));
    Some((userfault, start))
}

#[test]
fn a_thread_of_ours_serves_faults_by_zeroes_copies_and_moves() {
    for answer in [
        Answer::Zero,
        Answer::Copy,
        Answer::CopyAndWakeLater,
        Answer::Move,
    ] {
        let served = Served::new(best_mode(), answer);
        if !served.start_or_skip() {
            continue;
        }
        for page in 0..PAGES {
            let expected = if answer == Answer::Zero {
                0
            } else {
                content(page)
            };
            if page % 2 == 0 {
                assert_eq!(served.read(page), expected, "{answer:?}");
            }
            served.write(page, !0);
            assert_eq!(served.read(page), !0, "{answer:?}");
            // SAFETY: within the mapping; nobody writes to it.
            let left = unsafe { word(served.source + page * page_bytes()).read_volatile() };
            let moved = answer == Answer::Move;
            assert_eq!(left, if moved { 0 } else { content(page) }, "{answer:?}");
        }
        served.end();
        let (faults, writes) = (&served.faults, &served.writes);
        assert_eq!(faults.load(Ordering::Relaxed), PAGES as u32, "{answer:?}");
        assert_eq!(
            writes.load(Ordering::Relaxed),
            PAGES as u32 / 2,
            "{answer:?}"
        );
    }
}

#[test]
fn writes_to_protected_pages_wait_until_they_are_let_through() {
    let served = Served::new(best_mode(), Answer::LetWrite);
    if !served.start_or_skip() {
        return;
    }
    for page in 0..PAGES {
        assert_eq!(served.read(page), content(page));
        assert_eq!(served.faults.load(Ordering::Relaxed), page as u32);
        served.write(page, 7);
        served.write(page, 8);
        assert_eq!(served.read(page), 8);
    }
    served.end();
    assert_eq!(served.faults.load(Ordering::Relaxed), PAGES as u32);
    assert_eq!(served.writes.load(Ordering::Relaxed), PAGES as u32);
    assert_eq!(served.protected.load(Ordering::Relaxed), PAGES as u32);
}

#[test]
fn system_calls_on_absent_pages_are_served_in_full_mode_and_fail_in_the_other() {
    for mode in [Mode::Full, Mode::UserModeOnly] {
        let served = Served::new(mode, Answer::Copy);
        if !served.start_or_skip() {
            continue;
        }
        let file = File::create_nameless(c"/var/tmp").expect("a file");
        let page = page_bytes();
        file.write_at(&vec![0xAB; page - 16], 0).expect("room");
        // SAFETY: both are pages of the mapping.
        let (first, second) = unsafe {
            (
                core::slice::from_raw_parts_mut(served.page(0) as *mut u8, page),
                core::slice::from_raw_parts(served.page(1) as *const u8, page),
            )
        };
        let (read, written) = (file.read_at(first, 0), file.write_at(second, 0));
        if mode == Mode::Full {
            assert_eq!((read, written), (Ok(page - 16), Ok(())));
            assert_eq!(first[..page - 16], vec![0xAB; page - 16]);
            let mut back = vec![0; page];
            assert_eq!(file.read_at(&mut back, 0), Ok(page));
            assert_eq!(back[8..16], content(1).to_ne_bytes());
            assert_eq!(served.faults.load(Ordering::Relaxed), 2);
        } else {
            let fault = Errno(libc::EFAULT);
            assert_eq!((read, written), (Err(fault), Err(fault)));
            assert_eq!(served.read(1), content(1));
        }
        file.close();
        served.end();
    }
}

#[test]
fn a_program_that_closes_all_descriptors_is_served_all_the_same() {
    let served = Served::new(best_mode(), Answer::Zero);
    // SAFETY: the child calls nothing but the kernel, and ends by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // Mappings that are not for children; these are for this one.
        let bytes = (PAGES + 1) * page_bytes();
        // SAFETY: the range is not mapped here, since it is kept from children.
        let mapped = unsafe {
            libc::mmap(
                served.start as *mut _,
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        let status = match served.start() {
            _ if mapped as usize != served.start => 99,
            Err(error) => error.0,
            Ok(()) => {
                helper_thread::close_all_descriptors();
                let zero = (0..PAGES).all(|page| served.read(page) == 0);
                let all = served.faults.load(Ordering::Relaxed) == PAGES as u32;
                if zero && all { 0 } else { 98 }
            }
        };
        // SAFETY: ends the child.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "{status:#x}");
    match libc::WEXITSTATUS(status) {
        0 => {}
        error => skip(Errno(error)),
    }
}

#[test]
fn what_is_done_of_a_run_is_told_and_why_no_more() {
    let Some((userfault, start)) = registered(Features::NONE, 4) else {
        return;
    };
    let (page, source) = (page_bytes(), map(4));
    let third = userfault.zero(start + 2 * page, page, Wake::Yes);
    assert_eq!((third.bytes, third.error), (page, None));
    for (done, error) in [(2 * page, libc::EAGAIN), (0, libc::EEXIST)] {
        let filled = userfault.copy(start, source, 4 * page, Wake::Yes);
        assert_eq!((filled.bytes, filled.error), (done, Some(Errno(error))));
    }
    let filled = userfault.zero(start + 2 * page, 2 * page, Wake::Yes);
    assert_eq!((filled.bytes, filled.error), (0, Some(Errno(libc::EEXIST))));
    let filled = userfault.copy(source, start, page, Wake::Yes);
    assert_eq!((filled.bytes, filled.error), (0, Some(Errno(libc::ENOENT))));
    userfault.close();
}

#[test]
fn moves_end_at_holes_and_at_pages_that_are_there() {
    let Some((userfault, start)) = registered(Features::MOVE, 4) else {
        return;
    };
    let (page, source) = (page_bytes(), map(4));
    for page_number in [0, 1, 3] {
        // SAFETY: within the mapping.
        unsafe { word(source + page_number * page).write_volatile(content(page_number)) };
    }
    let filled = userfault.move_pages(start, source, 4 * page, Wake::Yes);
    assert_eq!(
        (filled.bytes, filled.error),
        (2 * page, Some(Errno(libc::EAGAIN)))
    );
    let (hole, taken) = ((2, 2, libc::ENOENT), (0, 3, libc::EEXIST));
    for (to, from, error) in [hole, taken] {
        let filled = userfault.move_pages(start + to * page, source + from * page, page, Wake::Yes);
        assert_eq!((filled.bytes, filled.error), (0, Some(Errno(error))));
    }
    for page_number in [0, 1] {
        // SAFETY: within the mapping.
        let moved = unsafe { word(start + page_number * page).read_volatile() };
        assert_eq!(moved, content(page_number));
    }
    userfault.close();
}

#[test]
fn poisoned_pages_fail_in_system_calls() {
    let Some((userfault, start)) = registered(Features::NONE, 2) else {
        return;
    };
    let page = page_bytes();
    let poisoned = userfault.poison(start, page, Wake::Yes);
    assert_eq!((poisoned.bytes, poisoned.error), (page, None));
    let file = File::create_nameless(c"/var/tmp").expect("a file");
    // SAFETY: a page of the mapping, which only the kernel reads.
    let bytes = unsafe { core::slice::from_raw_parts(start as *const u8, page) };
    assert_eq!(file.write_at(bytes, 0), Err(Errno(libc::EFAULT)));
    file.close();
    userfault.close();
}

#[test]
fn unknown_features_are_refused_and_words_give_the_same_descriptor() {
    let refused = UserfaultFd::open(best_mode(), Features(1 << 63) | Features::MOVE);
    assert!(refused.is_err());
    let userfault = UserfaultFd(5);
    assert_eq!(UserfaultFd::from_word(userfault.to_word()), userfault);
}
