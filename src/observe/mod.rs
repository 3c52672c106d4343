//! What the allocator can say about itself.

pub(crate) mod statistics;
