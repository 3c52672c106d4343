// The library's rooms, for a benchmark that has them compiled in: `include!` of this file.
//
// A benchmark does not link the library: cargo builds it once more for the launcher, which does not
// unwind, under the same name.

#[path = "../../src/abi/mod.rs"]
mod abi;
#[path = "../../src/base/mod.rs"]
mod base;
#[path = "../../src/cache/mod.rs"]
mod cache;
#[path = "../../src/config.rs"]
mod config;
#[path = "../../src/data_section.rs"]
mod data_section;
#[path = "../../src/guard/mod.rs"]
mod guard;
#[path = "../../src/heap/mod.rs"]
mod heap;
#[path = "../../src/large/mod.rs"]
mod large;
#[path = "../../src/map/mod.rs"]
mod map;
#[path = "../../src/metadata/mod.rs"]
mod metadata;
#[path = "../../src/observe/mod.rs"]
mod observe;
#[path = "../../src/os/mod.rs"]
mod os;
#[path = "../../src/pages/mod.rs"]
mod pages;
#[path = "../../src/paging/mod.rs"]
mod paging;
#[path = "../../src/report.rs"]
mod report;
#[path = "../../src/segment/mod.rs"]
mod segment;
#[path = "../../src/small/mod.rs"]
mod small;
