//! Atomics that are loom's inside of a model and core's outside. They have a const `new` and are
//! valid when all zero, so that statics and zeroed memory hold them: each run of a model has a twin
//! of its own of each, found by its address, that starts as new.
//!
//! A twin must be made before the threads that share it are: a model first touches what it is
//! about.

use std::cell::Cell;

pub(crate) use core::sync::atomic::Ordering;

thread_local! {
    static IN_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Checks `model` in every interleaving with at most `preemptions` forced switches.
pub(crate) fn model(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        // All threads of a model run on the thread that checks it.
        IN_MODEL.set(true);
        model();
        IN_MODEL.set(false);
    });
}

pub(crate) fn fence(order: Ordering) {
    if IN_MODEL.get() {
        loom::sync::atomic::fence(order);
    } else {
        core::sync::atomic::fence(order);
    }
}

macro_rules! twins {
    ($($name:ident: $value:ty;)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name {
            first: $value,
            outside: core::sync::atomic::$name,
        }

        impl $name {
            pub(crate) const fn new(first: $value) -> Self {
                Self { first, outside: core::sync::atomic::$name::new(first) }
            }

            fn twin(&self) -> Option<&'static loom::sync::atomic::$name> {
                use loom::sync::atomic::$name as Twin;
                use std::{collections::BTreeMap, sync::Mutex};
                loom::lazy_static! {
                    static ref TWINS: Mutex<BTreeMap<usize, &'static Twin>> = Mutex::default();
                }
                IN_MODEL.get().then(|| {
                    let mut twins = TWINS.lock().expect("no model panics in here");
                    *twins.entry(core::ptr::from_ref(self) as usize).or_insert_with(|| {
                        Box::leak(Box::new(Twin::new(self.first)))
                    })
                })
            }
        }

        operations! { $name;
            load(order: Ordering) -> $value;
            store(value: $value, order: Ordering) -> ();
            swap(value: $value, order: Ordering) -> $value;
            compare_exchange(old: $value, new: $value, done: Ordering, failed: Ordering)
                -> Result<$value, $value>;
            compare_exchange_weak(old: $value, new: $value, done: Ordering, failed: Ordering)
                -> Result<$value, $value>;
            fetch_and(value: $value, order: Ordering) -> $value;
            fetch_or(value: $value, order: Ordering) -> $value;
        }
    )*};
}

macro_rules! operations {
    ($name:ident;
        $($operation:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl $name {$(
            pub(crate) fn $operation(&self, $($argument: $type),*) -> $result {
                match self.twin() {
                    Some(twin) => twin.$operation($($argument),*),
                    None => self.outside.$operation($($argument),*),
                }
            }
        )*}
    };
}

twins! {
    AtomicBool: bool;
    AtomicU8: u8;
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
}

operations! { AtomicUsize;
    fetch_add(value: usize, order: Ordering) -> usize;
    fetch_sub(value: usize, order: Ordering) -> usize;
    fetch_min(value: usize, order: Ordering) -> usize;
}
