//! Who did something to a block: the thread and its stack.

use crate::os::{process, unwind};
use crate::report::{Event, STACK_FRAMES, Stack};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// See the module. Written by whoever holds the slot it is of; a report may read it meanwhile.
#[derive(Debug)]
pub(super) struct Trace {
    /// 0 where nothing was done.
    thread: AtomicI32,
    frames: [AtomicUsize; STACK_FRAMES],
}

impl Trace {
    /// Records the caller.
    pub(super) fn record(&self) {
        let frames = stack_of_caller();
        for (place, frame) in self.frames.iter().zip(frames) {
            place.store(frame, Ordering::Relaxed);
        }
        self.thread.store(process::thread_id(), Ordering::Relaxed);
    }

    /// Forgets what was recorded.
    pub(super) fn clear(&self) {
        self.thread.store(0, Ordering::Relaxed);
    }

    /// For a report: what `event` makes of the thread; `None` where nothing is recorded.
    pub(super) fn stack(&self, event: fn(i32) -> Event) -> Option<Stack> {
        let thread = self.thread.load(Ordering::Relaxed);
        (thread != 0).then(|| Stack {
            event: event(thread),
            frames: core::array::from_fn(|index| {
                let frame = self.frames.get(index);
                frame.map_or(0, |frame| frame.load(Ordering::Relaxed))
            }),
        })
    }
}

/// Return addresses of the caller's stack, innermost first.
fn stack_of_caller() -> [usize; STACK_FRAMES] {
    let mut frames = [0; STACK_FRAMES];
    unwind::capture(&mut frames);
    frames
}

/// The caller's stack, for a report of what it does.
pub(super) fn of_call() -> Stack {
    Stack {
        event: Event::Call,
        frames: stack_of_caller(),
    }
}

/// The stack of a faulting thread.
pub(super) fn of_fault(context: *const libc::ucontext_t) -> Stack {
    let mut frames = [0; STACK_FRAMES];
    // SAFETY: the context of the signal that is being handled.
    let registers = unsafe { unwind::Registers::of_context(context) };
    unwind::capture_from(&registers, &mut frames);
    Stack {
        event: Event::Fault,
        frames,
    }
}
