//! Memory errors stopped at the moment they happen: guard pages around objects, slabs and our own
//! tables, and sampled blocks between them.

pub(crate) mod fault;
mod guarded_fault;
pub(crate) mod guarded_object;
mod guarded_shape;
mod metadata_fault;
mod quarantine;
pub(crate) mod sampled_report;
pub(crate) mod sampled_slots;
pub(crate) mod slab_fault;
mod trace;
