//! A picture of an address space: see [`model`].

pub mod model;
