//! Routes one request: to the bootstrap arena, the thread's cache, a span, a mapping, or the next
//! allocator. Start-up, thread ends and forks are handled here.

pub(crate) mod bootstrap;
pub(crate) mod foreign;
pub(crate) mod fork;
mod found;
pub(crate) mod give_back;
pub(crate) mod hardened;
pub(crate) mod questions;
pub(crate) mod requests;
pub(crate) mod start;
pub(crate) mod thread;
