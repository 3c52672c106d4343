//! The requests: drawn at random, performed, checked.

use crate::contents;
use crate::random::Random;
use crate::shadow_heap::{Block, INSIDE_BLOCK, NOT_OURS, SUCCESS, ShadowHeap, refused_free};
use core::ffi::c_void;
use core::ptr::null_mut;
use glebe::abi::extensions::{glebe_free_checked, glebe_owns, glebe_purge};
use glebe::abi::libc::*;
use glebe::abi::tuning::glebe_malloc_trim;

/// How often which sizes are asked for, and how much may be live.
pub(crate) struct Mix {
    /// Out of 1000: above 32 KiB up to 2 MiB, and up to 8 MiB.
    medium: usize,
    large: usize,
    /// One request in so many has an alignment.
    aligned: usize,
    /// Alignments are up to 2^this.
    alignment_bits: usize,
    live_bytes: usize,
}

impl Mix {
    pub(crate) const SMALL: Mix = Mix {
        medium: 0,
        large: 0,
        aligned: 20,
        alignment_bits: 12,
        live_bytes: 8 << 20,
    };
    pub(crate) const ALL: Mix = Mix {
        medium: 60,
        large: 8,
        aligned: 8,
        alignment_bits: 17,
        live_bytes: 64 << 20,
    };
    pub(crate) const LARGE: Mix = Mix {
        medium: 300,
        large: 300,
        aligned: 4,
        alignment_bits: 24,
        live_bytes: 256 << 20,
    };

    fn size(&self, random: &mut Random) -> usize {
        const EDGES: [usize; 10] = [
            0,
            16,
            128,
            1024,
            8 << 10,
            16 << 10,
            32 << 10,
            64 << 10,
            1 << 20,
            2 << 20,
        ];
        let bits = match random.below(1000) {
            dice if dice < self.large => return (2 << 20) + random.below(6 << 20),
            dice if dice < self.large + self.medium => 21,
            _ => 15,
        };
        if random.one_in(10) {
            let edge = random.pick(&EDGES).min(1 << bits);
            return (edge + random.below(3)).saturating_sub(1);
        }
        random.up_to_bits(bits)
    }
}

/// A door that takes an alignment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AlignedDoor {
    AlignedAlloc,
    Memalign,
    PosixMemalign,
    Valloc,
    Pvalloc,
}

/// A door that ends a block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FreeDoor {
    Free,
    FreeSized,
    FreeAlignedSized,
    ReallocToZero,
    FreeChecked,
}

/// A request. Those about a block take any.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Malloc {
        size: usize,
    },
    Calloc {
        count: usize,
        size: usize,
    },
    Realloc {
        size: usize,
    },
    Reallocarray {
        count: usize,
        size: usize,
    },
    Aligned {
        door: AlignedDoor,
        alignment: usize,
        size: usize,
    },
    Free {
        door: FreeDoor,
    },
    Ask,
    Misuse,
    FreeAgain,
    Impossible,
    Trim {
        pad: usize,
    },
    Purge,
}

impl Request {
    pub(crate) fn draw(random: &mut Random, mix: &Mix, heap: &ShadowHeap) -> Request {
        use AlignedDoor::*;
        use FreeDoor::*;
        let doors = [
            Free,
            Free,
            Free,
            FreeSized,
            FreeAlignedSized,
            ReallocToZero,
            FreeChecked,
        ];
        if heap.bytes() > mix.live_bytes {
            return Request::Free {
                door: random.pick(&doors),
            };
        }
        match random.below(1000) {
            0 => Request::Purge,
            1 => Request::Trim {
                pad: mix.size(random),
            },
            2..20 => Request::Impossible,
            20..60 => Request::Misuse,
            60..75 => Request::FreeAgain,
            75..200 => Request::Ask,
            200..560 => Request::Free {
                door: random.pick(&doors),
            },
            560..640 => Request::Realloc {
                size: mix.size(random).max(1),
            },
            640..660 => {
                let (count, size) = product(mix.size(random), random);
                Request::Reallocarray { count, size }
            }
            660..760 => {
                let (count, size) = product(mix.size(random), random);
                Request::Calloc { count, size }
            }
            _ if random.one_in(mix.aligned) => Request::Aligned {
                door: random.pick(&[AlignedAlloc, Memalign, PosixMemalign, Valloc, Pvalloc]),
                alignment: 1 << (3 + random.below(mix.alignment_bits - 2)),
                size: mix.size(random),
            },
            _ => Request::Malloc {
                size: mix.size(random),
            },
        }
    }

    /// Makes the request and checks all that must be true of its outcome.
    pub(crate) fn perform(self, heap: &mut ShadowHeap, random: &mut Random) {
        match self {
            Request::Malloc { size } => {
                let block = Block::new(glebe_malloc(size), size, 16);
                check_waste(block.usable, size);
                heap.receive(block);
            }
            Request::Calloc { count, size } => {
                let answer = glebe_calloc(count, size);
                check_zero(answer, count * size);
                let block = Block::new(answer, count * size, 16);
                check_waste(block.usable, count * size);
                heap.receive(block);
            }
            Request::Realloc { size } => resize(heap, random, size, |block| {
                // SAFETY: null or a live block, which nobody uses any more.
                unsafe { glebe_realloc(block, size) }
            }),
            Request::Reallocarray { count, size } => {
                resize(heap, random, count * size, |block| {
                    // SAFETY: as above.
                    unsafe { glebe_reallocarray(block, count, size) }
                });
            }
            Request::Aligned {
                door,
                alignment,
                size,
            } => {
                heap.receive(allocate_aligned(door, alignment, size));
            }
            Request::Free { door } => {
                if let Some(block) = heap.take_any(random) {
                    let (address, usable) = (block.address, block.usable);
                    free(block, door);
                    heap.note_freed(address, usable);
                }
            }
            Request::Ask => {
                if let Some(block) = heap.any(random) {
                    block.check_questions(random.below(block.usable.max(1)));
                }
            }
            Request::Misuse => misuse(heap, random),
            Request::FreeAgain => heap.free_again(random),
            Request::Impossible => ask_the_impossible(heap, random),
            Request::Trim { pad } => {
                glebe_malloc_trim(pad);
            }
            Request::Purge => {
                glebe_purge();
            }
        }
    }
}

/// Two factors of about `bytes`, not 0.
fn product(bytes: usize, random: &mut Random) -> (usize, usize) {
    let count = random.pick(&[1, 2, 3, 8, 100]);
    (count, bytes.div_ceil(count).max(1))
}

/// At most 15 bytes, or from 128 bytes on an eighth, more than was asked for.
fn check_waste(usable: usize, asked: usize) {
    if asked <= 128 {
        assert!(
            usable <= asked.max(1).next_multiple_of(16),
            "{usable} for {asked}"
        );
    } else {
        assert!((usable - asked) * 8 <= asked, "{usable} for {asked}");
    }
}

fn check_zero(answer: *mut c_void, bytes: usize) {
    assert!(!answer.is_null());
    // SAFETY: a live block of that many bytes.
    let bytes = unsafe { core::slice::from_raw_parts(answer.cast::<u8>(), bytes) };
    // SAFETY: any bits are a u64.
    let (head, words, tail) = unsafe { bytes.align_to::<u64>() };
    assert!(head.iter().chain(tail).all(|&byte| byte == 0), "calloc");
    assert!(
        words
            .chunks(512)
            .all(|words| *words == [0; 512][..words.len()]),
        "calloc"
    );
}

fn resize(
    heap: &mut ShadowHeap,
    random: &mut Random,
    size: usize,
    realloc: impl Fn(*mut c_void) -> *mut c_void,
) {
    let Some(old) = heap.take_any(random) else {
        return heap.receive(Block::new(realloc(null_mut()), size, 16));
    };
    let answer = realloc(old.pointer());
    assert!(!answer.is_null());
    // SAFETY: a live block that holds what the old one did.
    let kept = unsafe { core::slice::from_raw_parts(answer.cast::<u8>(), size.min(old.usable)) };
    contents::check(kept, old.address, old.number);
    if answer != old.pointer() {
        heap.note_freed(old.address, old.usable);
    }
    heap.receive(Block::new(answer, size, 16));
}

fn allocate_aligned(door: AlignedDoor, alignment: usize, size: usize) -> Block {
    const PAGE: usize = 4096;
    let page = {
        // SAFETY: sysconf has no preconditions.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(PAGE)
    };
    match door {
        AlignedDoor::AlignedAlloc => {
            Block::new(glebe_aligned_alloc(alignment, size), size, alignment)
        }
        AlignedDoor::Memalign => Block::new(glebe_memalign(alignment, size), size, alignment),
        AlignedDoor::PosixMemalign => {
            let mut out = null_mut();
            // SAFETY: valid for writes.
            let status = unsafe { glebe_posix_memalign(&mut out, alignment, size) };
            assert_eq!(status, 0);
            Block::new(out, size, alignment)
        }
        AlignedDoor::Valloc => Block::new(glebe_valloc(size), size, page),
        AlignedDoor::Pvalloc => Block::new(
            glebe_pvalloc(size),
            size.max(1).next_multiple_of(page),
            page,
        ),
    }
}

fn free(block: Block, door: FreeDoor) {
    const MARK: i32 = 4711;
    set_errno(MARK);
    let (pointer, size) = (block.pointer(), block.usable);
    // SAFETY: a live block that nobody uses any more.
    unsafe {
        match door {
            FreeDoor::Free => glebe_free(pointer),
            FreeDoor::FreeSized => glebe_free_sized(pointer, size),
            FreeDoor::FreeAlignedSized => glebe_free_aligned_sized(pointer, 16, size),
            FreeDoor::ReallocToZero => assert!(glebe_realloc(pointer, 0).is_null()),
            FreeDoor::FreeChecked => assert_eq!(glebe_free_checked(pointer), SUCCESS),
        }
    }
    assert_eq!(errno(), MARK, "{door:?} keeps errno");
}

/// Pointers that no free may act on.
fn misuse(heap: &ShadowHeap, random: &mut Random) {
    static OF_THE_PROGRAM: [u64; 4] = [1; 4];
    let on_the_stack = 0u64;
    let of_another_allocator = Box::new(0u64);
    let beyond_user_space = random.next() as usize | 1 << 47;
    let foreign = random.pick(&[
        OF_THE_PROGRAM.as_ptr() as usize,
        &raw const on_the_stack as usize,
        &raw const *of_another_allocator as usize,
        misuse as *const () as usize,
        1,
        usize::MAX,
        isize::MAX as usize,
        beyond_user_space,
    ]);
    assert_eq!(glebe_owns(foreign as *const c_void), 0);
    assert_eq!(refused_free(foreign), NOT_OURS);
    assert_eq!(refused_free(0), SUCCESS);
    if let Some(block) = heap.any(random)
        && block.usable > 1
    {
        let inside = block.address + 1 + random.below(block.usable - 1);
        assert_eq!(refused_free(inside), INSIDE_BLOCK);
        block.check_contents();
    }
}

/// Sizes that no machine has and alignments that do not exist.
fn ask_the_impossible(heap: &ShadowHeap, random: &mut Random) {
    let huge = random.pick(&[
        isize::MAX as usize + 1,
        usize::MAX,
        usize::MAX - 15,
        1 << 62,
    ]);
    let odd = random.pick(&[0, 3, 24, 4095, usize::MAX]);
    let block = heap.any(random).map_or(null_mut(), Block::pointer);
    refused(libc::ENOMEM, || glebe_malloc(huge));
    refused(libc::ENOMEM, || glebe_calloc(huge / 2, 3));
    refused(libc::ENOMEM, || glebe_calloc(usize::MAX, 2));
    refused(libc::ENOMEM, || glebe_aligned_alloc(1 << 12, huge));
    refused(libc::ENOMEM, || glebe_aligned_alloc(1 << 20, huge));
    refused(libc::ENOMEM, || glebe_aligned_alloc(1 << 63, 1));
    refused(libc::ENOMEM, || glebe_pvalloc(huge));
    refused(libc::EINVAL, || glebe_aligned_alloc(odd, 100));
    // SAFETY: null or a live block, which stays as it is.
    refused(libc::ENOMEM, || unsafe { glebe_realloc(block, huge) });
    // SAFETY: as above.
    refused(libc::ENOMEM, || unsafe {
        glebe_reallocarray(block, usize::MAX / 2, 3)
    });
    let mut out = null_mut();
    let mut posix_memalign = |alignment, size| {
        // SAFETY: valid for writes.
        unsafe { glebe_posix_memalign(&mut out, alignment, size) }
    };
    assert_eq!(posix_memalign(4, 8), libc::EINVAL);
    assert_eq!(posix_memalign(odd, 8), libc::EINVAL);
    assert_eq!(posix_memalign(8, huge), libc::ENOMEM);
    assert!(out.is_null());
}

fn refused(code: i32, door: impl FnOnce() -> *mut c_void) {
    set_errno(0);
    assert!(door().is_null());
    assert_eq!(errno(), code);
}

fn errno() -> i32 {
    // SAFETY: the location is valid for the calling thread.
    unsafe { *libc::__errno_location() }
}

fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value };
}
