//! What the allocator can say about itself.

pub(crate) mod statistics;
pub(crate) mod status_page;
