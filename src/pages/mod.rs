//! Spans: where they come from, how they are claimed and when their memory goes back.

pub(crate) mod chunk;
pub(crate) mod filling;
pub(crate) mod huge;
pub(crate) mod page_heap;
pub(crate) mod page_size;
pub(crate) mod purge;
pub(crate) mod source;
