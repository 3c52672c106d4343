//! Words that several threads write.
//!
//! A write to one takes its cache line away from the other processors, so what an operation costs
//! on a machine with hundreds of them is how many of these it makes. The types say which words
//! are such; with the feature `counts` each write to them is counted, a compare-and-swap that
//! fails too, and so is each lock taken. Without the feature they are the plain atomics.
//!
//! Not of these types: words that have one writer at a time and change hands together with what
//! they describe, by a write that is counted (the rest of a span's record, a free block's words);
//! words written only with a lock held, which is counted in their place; and what is written once
//! in a process or a fork.
#![allow(dead_code, reason = "every type has the same methods")]

use super::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

static SHARED_WRITES: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
static LOCK_ACQUISITIONS: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

/// The counts by name; none without the feature.
pub(crate) fn counts() -> impl Iterator<Item = (&'static str, usize)> {
    let counts = [
        ("shared_writes", SHARED_WRITES.load(Ordering::Relaxed)),
        (
            "lock_acquisitions",
            LOCK_ACQUISITIONS.load(Ordering::Relaxed),
        ),
    ];
    counts.into_iter().filter(|_| cfg!(feature = "counts"))
}

/// A lock was taken.
#[inline(always)]
pub(crate) fn count_lock() {
    if cfg!(feature = "counts") {
        LOCK_ACQUISITIONS.fetch_add(1, Ordering::Relaxed);
    }
}

#[inline(always)]
fn count_write() {
    if cfg!(feature = "counts") {
        SHARED_WRITES.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! shared_words {
    ($($name:ident is $atomic:ident of $value:ty;)*) => {$(
        /// See the module.
        #[derive(Debug)]
        #[repr(transparent)]
        pub(crate) struct $name($atomic);

        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self($atomic::new(value))
            }

            #[inline(always)]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            /// A store by the one thread that may write the word at this time, as it has to
            /// itself what the word describes: not counted.
            #[inline(always)]
            pub(crate) fn store_alone(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }
        }

        writes! { $name;
            store(value: $value, order: Ordering) -> ();
            swap(value: $value, order: Ordering) -> $value;
            compare_exchange(old: $value, new: $value, done: Ordering, failed: Ordering)
                -> Result<$value, $value>;
            compare_exchange_weak(old: $value, new: $value, done: Ordering, failed: Ordering)
                -> Result<$value, $value>;
        }
    )*};
}

macro_rules! writes {
    ($name:ident;
        $($write:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl $name {$(
            #[inline(always)]
            pub(crate) fn $write(&self, $($argument: $type),*) -> $result {
                count_write();
                self.0.$write($($argument),*)
            }
        )*}
    };
}

shared_words! {
    SharedBool is AtomicBool of bool;
    SharedU8 is AtomicU8 of u8;
    SharedU64 is AtomicU64 of u64;
    SharedUsize is AtomicUsize of usize;
}

writes! { SharedU64;
    fetch_and(value: u64, order: Ordering) -> u64;
    fetch_or(value: u64, order: Ordering) -> u64;
}

writes! { SharedUsize;
    fetch_add(value: usize, order: Ordering) -> usize;
    fetch_sub(value: usize, order: Ordering) -> usize;
    fetch_min(value: usize, order: Ordering) -> usize;
}
