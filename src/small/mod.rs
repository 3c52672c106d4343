//! Blocks of up to 32 KiB: size classes, slabs of equal blocks, slabs that lost their owner.

pub(crate) mod block;
pub(crate) mod orphans;
pub(crate) mod size_class;
pub(crate) mod slab;
