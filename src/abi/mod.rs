//! The doors: what C, C++ and Rust programs call. They check, forward and set errno; no policy.
//!
//! Every function has a `glebe_` name here. `exports.txt` beside this file says under which
//! standard names the shared library exports them; the static library and the rlib take over
//! nobody's malloc unless asked (`glebe.pc`, the cargo feature `takeover`).

pub mod cxx;
pub mod data_section;
pub mod dynamic_loading;
pub mod extensions;
mod figures;
pub mod forks;
pub mod libc;
pub mod map;
pub mod page_sizes;
pub mod region;
pub mod rust;
pub mod rust_blocks;
pub mod rust_region;
pub mod rust_segment;
pub mod segment;
pub mod signals;
pub mod tuning;

#[cfg(feature = "takeover")]
mod takeover;
