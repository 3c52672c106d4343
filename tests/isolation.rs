//! What another process sees of the memory of this one: of a block and a private region nothing,
//! of shared memory everything. The other process is this program, executed again.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use glebe::{Region, RegionError, RegionOptions};

const SIZE: usize = 4 << 20;
const BUDGET: usize = 512 << 10;
const WORDS: usize = SIZE / size_of::<u64>();

/// For the other process: what it attaches, by path.
const MEMORY: &str = "ISOLATION_TEST_MEMORY";

/// Creates a region; `None`, and a word about it, where the machine permits none.
fn create(options: RegionOptions) -> Option<Region> {
    match options.create() {
        Ok(region) => Some(region),
        Err(RegionError::NoUserfault) => {
            eprintln!("SKIPPED: no userfaultfd");
            None
        }
        Err(error) => panic!("no region: {error:?}"),
    }
}

/// The region as words that others may write to.
fn words(region: &Region) -> &[AtomicU64] {
    // SAFETY: as long as the region, aligned to a page, and only used as atomics.
    unsafe { std::slice::from_raw_parts(region.as_ptr().cast(), WORDS) }
}

/// The other process, and its answers by line.
struct Other {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Other {
    /// One that runs the test `the_other_process` alone.
    fn start(memory: &str) -> Other {
        let mut process = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "the_other_process", "--nocapture"])
            .env(MEMORY, memory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Other { process, answers }
    }

    /// Has it read the word `index`, and write `value` there; what it read.
    fn exchange(&mut self, index: usize, value: u64) -> u64 {
        let input = self.process.stdin.as_mut().expect("piped");
        writeln!(input, "{index} {value}").expect("it listens");
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("text");
            assert!(read > 0, "the other process has ended");
            if let Some(answer) = line.trim().strip_prefix("saw ") {
                return answer.parse().expect("a number");
            }
        }
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("a child").success());
    }
}

/// Does nothing but in the process that `Other::start` starts.
#[test]
fn the_other_process() {
    let Ok(path) = env::var(MEMORY) else {
        return;
    };
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("what the first process has open");
    let options = RegionOptions::shared(memory.as_raw_fd(), SIZE, BUDGET).page_size(64 << 10);
    let region = options.create().expect("as in the first process");
    for line in std::io::stdin().lines() {
        let line = line.expect("text");
        let (index, value) = line.split_once(' ').expect("two numbers");
        let word = &words(&region)[index.parse::<usize>().expect("a number")];
        let seen = word.swap(value.parse().expect("a number"), Ordering::SeqCst);
        println!("saw {seen}");
    }
}

#[test]
fn a_write_to_shared_memory_is_seen_by_every_process_that_has_it() {
    let memory = glebe::shared_memory(SIZE).expect("memory");
    let options = RegionOptions::shared(memory, SIZE, BUDGET);
    let Some(mut region) = create(options) else {
        return;
    };
    let mut other = Other::start(&format!("/proc/{}/fd/{memory}", std::process::id()));
    for round in 0..200 {
        let index = round * 7919 % WORDS;
        let value = round as u64 + 1;
        words(&region)[index].store(value, Ordering::SeqCst);
        match round % 3 {
            0 => region.evict(0..SIZE).expect("alive"),
            1 => region.release(0..SIZE).expect("no pins"),
            _ => {}
        }
        assert_eq!(other.exchange(index, !value), value);
        assert_eq!(words(&region)[index].load(Ordering::SeqCst), !value);
    }
    other.end();
}

#[test]
fn a_write_to_a_private_region_is_seen_by_nobody_until_the_file_has_it() {
    let path = env::temp_dir().join(format!("glebe-isolation-{}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("a file");
    fs::remove_file(&path).expect("there");
    file.set_len(SIZE as u64).expect("room");
    let byte = |file: &File| {
        let mut byte = [9];
        file.read_exact_at(&mut byte, 77).expect("there");
        byte[0]
    };
    // SAFETY: nobody else writes to the file; all of it fits, so nothing is evicted.
    let options = unsafe { RegionOptions::file(file.as_raw_fd(), SIZE, 2 * SIZE) };
    let (Some(mut one), Some(mut two)) = (create(options), create(options)) else {
        return;
    };
    assert_eq!(two.as_slice().expect("a file")[77], 0);
    one.as_mut_slice().expect("a file")[77] = 5;
    assert_eq!((byte(&file), two.as_slice().expect("a file")[77]), (0, 0));
    one.sync().expect("room");
    assert_eq!((byte(&file), two.as_slice().expect("a file")[77]), (5, 0));
    two.release(0..SIZE).expect("no pins");
    assert_eq!(two.as_slice().expect("a file")[77], 5);
}

/// Runs `act` in a child by fork, and says whether it answered yes.
fn in_child(act: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls nothing that may wait for another thread of this program.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = i32::from(!act());
        // SAFETY: ends the child, and runs nothing of the parent's.
        unsafe { libc::_exit(status) };
    }
    assert!(child > 0);
    let mut status = -1;
    // SAFETY: `status` is valid for writes.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status == 0
}

#[test]
fn a_child_sees_no_private_region_and_its_writes_to_blocks_stay_its_own() {
    use std::alloc::{GlobalAlloc, Layout};
    let layout = Layout::new::<[u64; 1000]>();
    // SAFETY: the size is not 0.
    let block = unsafe { glebe::Glebe.alloc(layout) }.cast::<AtomicU64>();
    // SAFETY: aligned, large enough, and freed at the end.
    let word = unsafe { &*block };
    word.store(1, Ordering::SeqCst);
    let mine = in_child(|| word.swap(2, Ordering::SeqCst) == 1);
    assert!(mine && word.load(Ordering::SeqCst) == 1);

    if let Some(mut region) = create(RegionOptions::anonymous(SIZE, BUDGET)) {
        region.as_mut_slice().expect("ours").fill(3);
        let start = region.as_ptr();
        assert!(glebe::page_size_at(start).is_ok());
        let is_gone = in_child(|| {
            glebe::page_size_at(start) == Err(glebe::PageSizeError::NotMapped)
                && region.release(0..SIZE) == Err(RegionError::BadHandle)
        });
        assert!(is_gone);
        assert!(
            region
                .as_slice()
                .expect("ours")
                .iter()
                .all(|byte| *byte == 3)
        );
    }
    // SAFETY: nobody uses the block any more.
    unsafe { glebe::Glebe.dealloc(block.cast(), layout) };
}
