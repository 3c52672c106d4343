//! The store in files: byte strings in [`super::slots`], in blocks of files without a name.
//!
//! The blocks are those of up to 64 *segments*, a file of up to 4 GiB each, of which the second is
//! created when the first is full.
//!
//! # Forks
//! Parent and child have the same files, and each its own slots. So what was written before a fork
//! is *frozen* in both: nothing in it is overwritten or given back until the last string of the
//! segment is gone, and what comes then goes to a new file. The child has no descriptor of the
//! parent's (programs close descriptors, and the thread that opened these has a table of its own),
//! so each file is mapped, too, for no other purpose than that the child reads there.
//!
//! # Who may do what
//! [`SpillFile::open`], [`SpillFile::write`] and [`SpillFile::read`] make system calls with
//! descriptors: they are for the threads that share the table in which they were opened.
//! [`SpillFile::remove`] is for any thread: space goes back to the disk with the next write.
//! Errors the disk tells after a write returned show when the string is read, if at all.

use super::Handle;
use super::block_table::PAGE_BYTES;
use super::slot_size::BLOCK_BYTES;
use super::slots::{MOST_BLOCKS, Slots, block_of};
use super::spill_io::SpillIo;
use crate::os::errno::Errno;
use crate::os::file::File;
use crate::os::futex::Mutex;
use crate::os::mapping;
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

const SEGMENTS: usize = 64;
const SEGMENT_BLOCKS: usize = MOST_BLOCKS / SEGMENTS;
const SEGMENT_BYTES: usize = SEGMENT_BLOCKS * BLOCK_BYTES;

/// A file, or none.
struct Segment {
    /// One more than the file's word; 0 where there is none, as of a parent's file in its child.
    file: AtomicUsize,
    /// Where it is mapped; 0 of a segment that is not in use.
    view: AtomicUsize,
    strings: AtomicUsize,
    /// Whether a fork shares it.
    frozen: AtomicBool,
    /// Then: behind the last block that was ever used.
    used_end: AtomicU32,
}

impl Segment {
    const fn new() -> Segment {
        Segment {
            file: AtomicUsize::new(0),
            view: AtomicUsize::new(0),
            strings: AtomicUsize::new(0),
            frozen: AtomicBool::new(false),
            used_end: AtomicU32::new(0),
        }
    }

    fn file<F: SpillIo>(&self) -> Option<F> {
        let word = self.file.load(Ordering::Relaxed).checked_sub(1)?;
        Some(F::from_word(word))
    }

    fn is_in_use(&self) -> bool {
        self.view.load(Ordering::Relaxed) != 0
    }

    fn is_frozen(&self) -> bool {
        self.is_in_use() && self.frozen.load(Ordering::Relaxed)
    }

    /// Whether it holds nothing and never will.
    fn is_over(&self) -> bool {
        self.is_frozen() && self.strings.load(Ordering::Relaxed) == 0
    }
}

/// Which segment new blocks are of.
struct Current {
    segment: Option<usize>,
    /// Whether the file system does not take space back.
    keeps_space: bool,
}

/// A store of byte strings in files. See the module.
pub(crate) struct SpillFile<F: SpillIo = File> {
    slots: Slots,
    segments: [Segment; SEGMENTS],
    /// Where files are created; null until it is opened.
    path: AtomicPtr<c_char>,
    current: Mutex<Current>,
    io: PhantomData<fn() -> F>,
}

impl<F: SpillIo> SpillFile<F> {
    /// A store that takes nothing yet.
    pub(crate) const fn new() -> SpillFile<F> {
        SpillFile {
            slots: Slots::new(),
            segments: [const { Segment::new() }; SEGMENTS],
            path: AtomicPtr::new(core::ptr::null_mut()),
            current: Mutex::new(Current {
                segment: None,
                keeps_space: false,
            }),
            io: PhantomData,
        }
    }

    /// Creates the first file in the directory `path`, or as `path`; in the child of a fork a new
    /// one. Nothing has changed after an error.
    pub(crate) fn open(&self, path: &'static CStr) -> Result<(), Errno> {
        let mut current = self.current.lock();
        self.path.store(path.as_ptr().cast_mut(), Ordering::Relaxed);
        if self.slots.table.blocks().is_empty() {
            self.slots.table.reserve_elsewhere(MOST_BLOCKS)?;
        }
        if current.segment.is_none() {
            self.begin_segment(&mut current)?;
        }
        Ok(())
    }

    /// Stores 1 to 4096 bytes. After an error (ENOSPC, EIO, …; ENXIO of a store that is not open)
    /// nothing is lost, and a later write may succeed.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<Handle, Errno> {
        self.give_space_back();
        let handle = self.take(bytes.len())?;
        let written = match self.place(handle) {
            Some((segment, offset, _)) => match segment.file::<F>() {
                Some(file) => file.write_at(bytes, offset),
                None => Err(Errno(libc::EIO)),
            },
            None => Err(Errno(libc::EIO)),
        };
        if let Err(error) = written {
            self.remove(handle);
            return Err(error);
        }
        Ok(handle)
    }

    /// Reads what `handle`, which the caller holds, stands for to the start of `into`: how many
    /// bytes. It stays stored, after an error too.
    pub(crate) fn read(&self, handle: Handle, into: &mut [u8]) -> Result<usize, Errno> {
        let Some((segment, offset, bytes)) = self.place(handle) else {
            return Err(Errno(libc::EINVAL));
        };
        let Some(into) = into.get_mut(..bytes) else {
            return Err(Errno(libc::EINVAL));
        };
        if let Some(file) = segment.file::<F>() {
            return match file.read_at(into, offset)? {
                read if read == bytes => Ok(bytes),
                _ => Err(Errno(libc::EIO)),
            };
        }
        let view = segment.view.load(Ordering::Relaxed);
        if view == 0 {
            return Err(Errno(libc::EIO));
        }
        let start = view + offset as usize;
        // SAFETY: the segment is mapped as a whole, and nobody writes to a string that is held.
        unsafe {
            core::ptr::copy_nonoverlapping(start as *const u8, into.as_mut_ptr(), bytes);
        }
        // What is mapped counts as resident.
        let (first, end) = (
            start & !(PAGE_BYTES - 1),
            (start + bytes).next_multiple_of(PAGE_BYTES),
        );
        mapping::discard_without_errno(first, end - first);
        Ok(bytes)
    }

    /// Forgets what `handle`, which the caller holds, stands for.
    pub(crate) fn remove(&self, handle: Handle) {
        if self.slots.give(handle)
            && let Some(segment) = self.segments.get(segment_of(handle))
        {
            segment.strings.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Moves what `handle`, which the caller holds, stands for if it lies in a frozen file: its new
    /// handle, which the caller holds instead. `buffer` is overwritten. Where programs fork often,
    /// files are used up but for this.
    pub(crate) fn relocate(
        &self,
        handle: Handle,
        buffer: &mut [u8; super::MOST_BYTES],
    ) -> Result<Option<Handle>, Errno> {
        if !self.slots.should_move(handle) {
            return Ok(None);
        }
        let bytes = self.read(handle, buffer)?;
        let moved = self.write(&buffer[..bytes])?;
        self.remove(handle);
        Ok(Some(moved))
    }

    /// Whether forks have left so many files behind that what is frozen should move.
    pub(crate) fn is_crowded(&self) -> bool {
        let in_use = self.segments.iter().filter(|segment| segment.is_frozen());
        in_use.count() > SEGMENTS / 2
    }

    /// Space on the disk, in bytes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.slots.touched_bytes()
    }

    /// Memory that the store itself needs, in bytes.
    pub(crate) fn footprint_bytes(&self) -> usize {
        self.slots.record_bytes()
    }

    /// How many strings there are, and how many bytes they have in sum.
    #[cfg(test)]
    fn stored(&self) -> (usize, usize) {
        self.slots.stored()
    }

    /// In the parent, after a fork during which nobody wrote: what is stored is the child's too.
    pub(crate) fn after_fork_in_parent(&self) {
        self.freeze(&mut self.current.lock());
    }

    /// In the child of such a fork, before anything else: what is stored is the parent's too. It
    /// can be read; to be written, it must be opened again.
    pub(crate) fn after_fork_in_child(&self) {
        self.slots.reset_lock();
        // SAFETY: the child has one thread, and it is not in here.
        unsafe { self.current.raw() }.reset();
        self.freeze(&mut self.current.lock());
        for segment in &self.segments {
            segment.file.store(0, Ordering::Relaxed);
        }
    }

    fn freeze(&self, current: &mut Current) {
        if current.segment.take().is_none() {
            return;
        }
        let first_fresh = self.slots.first_fresh();
        for (number, segment) in self.segments.iter().enumerate() {
            if !segment.is_in_use() || segment.frozen.swap(true, Ordering::Relaxed) {
                continue;
            }
            let blocks = blocks_of(number);
            let end = if blocks.contains(&first_fresh) {
                first_fresh
            } else {
                blocks.end
            };
            segment.used_end.store(end, Ordering::Relaxed);
            self.slots.freeze(blocks.start..end);
        }
    }

    /// The segment of a handle, and where in it the string begins and how many bytes it has.
    fn place(&self, handle: Handle) -> Option<(&Segment, u64, usize)> {
        let (start, bytes) = self.slots.extent(handle)?;
        let segment = self.segments.get(segment_of(handle))?;
        Some((segment, (start % SEGMENT_BYTES) as u64, bytes))
    }

    /// Takes a slot, in a new segment if there must be one.
    fn take(&self, bytes: usize) -> Result<Handle, Errno> {
        if bytes == 0 || bytes > super::MOST_BYTES {
            return Err(Errno(libc::EINVAL));
        }
        let mut current = self.current.lock();
        let handle = match self.slots.take(bytes) {
            Some(handle) => handle,
            None => {
                self.begin_segment(&mut current)?;
                self.slots.take(bytes).ok_or(Errno(libc::ENOSPC))?
            }
        };
        if let Some(segment) = self.segments.get(segment_of(handle)) {
            segment.strings.fetch_add(1, Ordering::Relaxed);
        }
        Ok(handle)
    }

    /// Creates a file, whose blocks are the next to be used.
    fn begin_segment(&self, current: &mut Current) -> Result<(), Errno> {
        let path = self.path.load(Ordering::Relaxed);
        if path.is_null() {
            return Err(Errno(libc::ENXIO));
        }
        let Some(number) = self
            .segments
            .iter()
            .position(|segment| !segment.is_in_use())
        else {
            return Err(Errno(libc::ENOSPC));
        };
        // SAFETY: it is the text of `open`, which lives as long as the process.
        let file = F::create_nameless(unsafe { CStr::from_ptr(path) })?;
        let view = match file.map_view(SEGMENT_BYTES) {
            Ok(view) => view,
            Err(error) => {
                file.close();
                return Err(error);
            }
        };
        let segment = &self.segments[number];
        segment.frozen.store(false, Ordering::Relaxed);
        segment.file.store(1 + file.to_word(), Ordering::Relaxed);
        segment.view.store(view, Ordering::Relaxed);
        self.slots.extend(blocks_of(number));
        current.segment = Some(number);
        Ok(())
    }

    /// Gives the space of empty blocks back, and files that are over.
    fn give_space_back(&self) {
        let mut current = self.current.lock();
        while !current.keeps_space
            && let Some(surplus) = self.slots.take_surplus()
        {
            let block = surplus.block as usize;
            let offset = (block % SEGMENT_BLOCKS * BLOCK_BYTES) as u64;
            let file = self
                .segments
                .get(block / SEGMENT_BLOCKS)
                .and_then(Segment::file::<F>);
            let punched = file.is_some_and(|file| file.punch(offset, BLOCK_BYTES as u64).is_ok());
            current.keeps_space = !punched;
            self.slots.settle(surplus, punched);
        }
        for (number, segment) in self.segments.iter().enumerate() {
            if !segment.is_over() {
                continue;
            }
            if let Some(file) = segment.file::<F>() {
                file.close();
            }
            let used_end = segment.used_end.load(Ordering::Relaxed);
            self.slots.forget(blocks_of(number).start..used_end);
            segment.file.store(0, Ordering::Relaxed);
            let view = segment.view.swap(0, Ordering::Relaxed);
            mapping::unmap_without_errno(view, SEGMENT_BYTES);
        }
    }
}

fn segment_of(handle: Handle) -> usize {
    block_of(handle) as usize / SEGMENT_BLOCKS
}

/// The blocks of a segment. 0 is none.
fn blocks_of(segment: usize) -> Range<u32> {
    let start = segment * SEGMENT_BLOCKS;
    start.max(1) as u32..(start + SEGMENT_BLOCKS) as u32
}

#[cfg(test)]
mod tests {
    use super::super::spill_io::fake::{BROKEN, DISK, FakeFile, PUNCHED};
    use super::*;
    use crate::base::random::Random;
    extern crate std;
    use std::vec::Vec;

    fn contents(seed: u64, length: usize) -> Vec<u8> {
        let random = Random::new(seed);
        let words = (0..length.div_ceil(8)).flat_map(|_| random.next().to_ne_bytes());
        words.take(length).collect()
    }

    fn seed() -> u64 {
        let seed = crate::os::random::seed();
        std::println!("seed {seed:#x}");
        seed
    }

    /// What was written, as it must be read.
    struct Model {
        strings: Vec<(Handle, u64, usize)>,
        next_seed: u64,
    }

    impl Model {
        fn new(first_seed: u64) -> Model {
            Model {
                strings: Vec::new(),
                next_seed: first_seed | 1,
            }
        }

        fn write<F: SpillIo>(&mut self, store: &SpillFile<F>, length: usize) -> Result<(), Errno> {
            let handle = store.write(&contents(self.next_seed, length))?;
            self.strings.push((handle, self.next_seed, length));
            self.next_seed += 2;
            Ok(())
        }

        fn remove<F: SpillIo>(&mut self, store: &SpillFile<F>, index: usize) {
            store.remove(self.strings.swap_remove(index).0);
        }

        fn check<F: SpillIo>(&self, store: &SpillFile<F>) {
            let mut buffer = [0; super::super::MOST_BYTES];
            for &(handle, seed, length) in &self.strings {
                assert_eq!(store.read(handle, &mut buffer), Ok(length));
                assert_eq!(buffer[..length], contents(seed, length));
            }
            store.slots.check();
            let bytes = self.strings.iter().map(|(_, _, length)| length).sum();
            assert_eq!(store.stored(), (self.strings.len(), bytes));
        }
    }

    #[test]
    fn a_write_that_fails_loses_nothing_and_later_ones_succeed() {
        let random = Random::new(seed());
        let store = SpillFile::<FakeFile>::new();
        assert_eq!(store.write(&[1]), Err(Errno(libc::ENXIO)), "not open");
        BROKEN.set(Some(Errno(libc::EACCES)));
        assert_eq!(store.open(c"/"), Err(Errno(libc::EACCES)));
        BROKEN.set(None);
        store.open(c"/").expect("a file");
        let mut model = Model::new(1);
        let mut failures = 0;
        for step in 0..20_000 {
            let grows = random.next() % 16 < if step / 4000 % 2 == 0 { 11 } else { 5 };
            if grows || model.strings.is_empty() {
                let error = Errno([libc::ENOSPC, libc::EIO][step % 2]);
                let breaks = random.next().is_multiple_of(8);
                BROKEN.set(breaks.then_some(error));
                let length = 1 + random.next() as usize % super::super::MOST_BYTES;
                let written = model.write(&store, length);
                assert_eq!(written, if breaks { Err(error) } else { Ok(()) });
                failures += usize::from(breaks);
                BROKEN.set(None);
            } else {
                model.remove(&store, random.next() as usize % model.strings.len());
            }
            if step % 4000 == 0 {
                model.check(&store);
            }
        }
        assert!(failures > 500);
        model.check(&store);
    }

    #[test]
    fn space_is_used_again_and_goes_back_to_the_disk() {
        let store = SpillFile::<FakeFile>::new();
        store.open(c"/").expect("a file");
        let mut model = Model::new(seed());
        for _ in 0..2 {
            for length in (0..4000).map(|number| 500 + number % 3000) {
                model.write(&store, length).expect("room");
            }
            let (_, bytes) = store.stored();
            assert!(store.used_bytes() < bytes + bytes / 10);
            DISK.with_borrow(|disk| assert!(disk[0].len() < 11 << 20));
            while !model.strings.is_empty() {
                model.remove(&store, 0);
            }
            model.write(&store, 1).expect("room");
            assert!(
                store.used_bytes() < 1 << 20,
                "all but a few empty blocks went back"
            );
        }
        assert!(PUNCHED.get() > 100);
    }

    /// A store in a file of the directory for temporary files.
    fn real_store() -> SpillFile {
        let store = SpillFile::new();
        store.open(c"/tmp").expect("a file in /tmp");
        store
    }

    #[test]
    fn a_file_that_cannot_be_created_is_an_error() {
        let store = SpillFile::<File>::new();
        assert!(store.open(c"/nowhere/at/all").is_err());
        assert!(store.write(&[1]).is_err());
    }

    /// A string is removed for each two that come.
    fn change(model: &mut Model, store: &SpillFile, random: &Random, count: usize) {
        for step in 0..count {
            let length = 1 + random.next() as usize % super::super::MOST_BYTES;
            model.write(store, length).expect("room");
            if step % 2 == 1 {
                model.remove(store, random.next() as usize % model.strings.len());
            }
        }
    }

    #[test]
    fn a_child_reads_what_was_written_before_the_fork_without_a_descriptor() {
        let random = Random::new(seed());
        let store = real_store();
        let mut model = Model::new(1);
        change(&mut model, &store, &random, 800);
        let parents = store.segments[0].file::<File>().expect("a file");
        // As if this were the child: it has no such descriptors.
        store.after_fork_in_child();
        parents.close();
        model.check(&store);
        store.open(c"/tmp").expect("a file of its own");
        change(&mut model, &store, &random, 800);
        model.check(&store);
        while !model.strings.is_empty() {
            model.remove(&store, 0);
        }
        model.write(&store, 1).expect("room");
        model.check(&store);
        assert!(
            !store.segments[0].is_in_use(),
            "the parent's file is let go of"
        );
    }

    #[test]
    fn a_parent_changes_nothing_of_what_was_written_before_the_fork() {
        let random = Random::new(seed());
        let store = real_store();
        let mut model = Model::new(1);
        change(&mut model, &store, &random, 800);
        let view = store.segments[0].view.load(Ordering::Relaxed);
        let bytes = store.used_bytes();
        // As if it were the child's.
        // SAFETY: as much of the file was written.
        let shared =
            || unsafe { core::slice::from_raw_parts((view + BLOCK_BYTES) as *const u8, bytes / 2) };
        let before = shared().to_vec();
        store.after_fork_in_parent();
        change(&mut model, &store, &random, 800);
        model.check(&store);
        assert!(shared() == before);
    }

    #[test]
    fn many_forks_use_up_no_files_if_what_is_frozen_moves() {
        let store = real_store();
        let mut model = Model::new(seed());
        let mut buffer = [0; super::super::MOST_BYTES];
        for _ in 0..3 * SEGMENTS {
            for length in 1..20 {
                model.write(&store, 100 * length).expect("room");
            }
            store.after_fork_in_parent();
            if store.is_crowded() {
                for (handle, ..) in &mut model.strings {
                    let moved = store.relocate(*handle, &mut buffer).expect("room");
                    *handle = moved.unwrap_or(*handle);
                }
            }
        }
        model.check(&store);
        let in_use = store.segments.iter().filter(|segment| segment.is_in_use());
        assert!(in_use.count() <= SEGMENTS / 2 + 2);
    }
}
