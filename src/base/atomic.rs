//! The atomics of the lock-free parts. `tests/loom.rs` compiles the same sources over a module
//! of this name that holds loom's, so those sources name nothing but this.

pub(crate) use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Makes a constructor `const` here and plain over loom, whose atomics have no const `new`.
macro_rules! const_here {
    ($(#[$doc:meta])* pub(crate) fn $name:ident() -> Self $body:block) => {
        $(#[$doc])* pub(crate) const fn $name() -> Self $body
    };
}
pub(crate) use const_here;
