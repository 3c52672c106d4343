//! glebe: a malloc replacement for Linux.
//!
//! The folders are the architecture; each uses only those below it (a test holds that):
//!
//! - [`abi`]: the doors that C, C++ and Rust programs call;
//! - `map`: a picture of an address space;
//! - `heap`: routes a request; start-up, thread ends, forks;
//! - `observe`: what the allocator says about itself;
//! - `guard`: memory errors stopped: guard pages, sampled and sealed blocks, quarantine;
//! - `cache`: a thread's blocks at hand, its slabs, and blocks on their way between threads;
//! - `large`: objects above 32 KiB, a span or a mapping each;
//! - `small`: size classes, slabs, slabs without an owner;
//! - `pages`: spans, where they come from, when their memory goes back;
//! - `paging`: the heap under a budget: pages moved out, and in again when touched;
//! - `segment`: memory as base, limit and protection, which moves and is saved;
//! - `data_section`: a section with the contract of sbrk and brk, for the program;
//! - `metadata`: memory for our tables; the map from an address to its span;
//! - `config`, `report`: options in, words out;
//! - `os`: system calls, handles, thread-local storage, assembly;
//! - `base`: addresses, bits, lock-free lists, errors by number.
//!
//! ARCHITECTURE.md walks malloc, free and a fork through them.
//!
//! The crate is `no_std` by discipline: std would allocate. It is linked for its panic handler.

#![no_std]
extern crate std;

pub mod abi;
mod base;
mod cache;
mod config;
mod data_section;
mod guard;
mod heap;
mod large;
mod map;
mod metadata;
mod observe;
mod os;
mod pages;
mod paging;
mod report;
mod segment;
mod small;

pub use abi::data_section::{DataSectionError, brk, sbrk};
pub use abi::page_sizes::{PageSizeError, page_size_at};
pub use abi::rust::Glebe;
pub use abi::rust_blocks::{
    AddressKind, FreeStatus, Statistics, address_kind, block_containing, collapse, free_checked,
    guarded_alloc, protect, purge, statistics,
};
pub use abi::rust_region::{
    PageState, Region, RegionError, RegionEviction, RegionOptions, RegionPage, RegionProtection,
    RegionStatistics, shared_memory,
};
pub use abi::rust_segment::{
    OffsetPointer, Segment, SegmentError, SegmentOptions, SegmentRegisters,
};
pub use map::AddressSpace;
pub use map::model::{MapError, MapKind, MapPageState, MapRegion, MapRun};
