//! Objects above 32 KiB: medium ones with a span each, large ones with a mapping each.

pub(crate) mod idle_memory;
pub(crate) mod kept_mappings;
pub(crate) mod large_object;
pub(crate) mod medium_object;
