//! Per-thread caches: bins of blocks at hand, the slabs a thread owns, blocks on their way to and
//! from other threads, and the pool that caches come from and return to.

pub(crate) mod bin;
mod inbox;
mod lifecycle;
pub(crate) mod outbox;
pub(crate) mod pool;
mod quarantine;
pub(crate) mod retained;
mod sampling;
pub(crate) mod thread_cache;
mod visits;
