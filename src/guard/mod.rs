//! Memory errors stopped at the moment they happen: guard pages, and sampled blocks between them.

pub(crate) mod fault;
pub(crate) mod sampled_report;
pub(crate) mod sampled_slots;
mod trace;
pub(crate) mod guarded_object;
mod quarantine;
