//! The atomics of the lock-free parts. `tests/loom.rs` compiles the same sources over a module
//! of this name whose types become loom's inside of a model, so those sources name nothing but
//! this.

pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
