//! Words and numbers: addresses, granules, bit runs, the lock-free lists, errors by number. No
//! system call, no knowledge of what an allocator is; everything above may use it.

pub(crate) mod address;
pub(crate) mod atomic;
pub(crate) mod bit_run;
pub(crate) mod chain_stack;
pub(crate) mod fixed_text;
pub(crate) mod numbered_error;
pub(crate) mod random;
pub(crate) mod shared;
pub(crate) mod tagged_stack;
