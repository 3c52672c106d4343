//! The only place with system calls, thread-local storage and assembly.

pub(crate) mod cpu;
pub(crate) mod errno;
pub(crate) mod fault_signals;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod guard_pages;
pub(crate) mod handle_table;
pub(crate) mod helper_thread;
pub(crate) mod linker;
#[allow(dead_code, reason = "for the guards, which are still to come")]
mod loaded_object;
pub(crate) mod mapped_array;
pub(crate) mod mapping;
pub(crate) mod memory_limit;
pub(crate) mod page_sizes;
pub(crate) mod paged_mapping;
pub(crate) mod pagemap;
pub(crate) mod process;
pub(crate) mod process_files;
pub(crate) mod process_memory;
pub(crate) mod program_break;
pub(crate) mod random;
pub(crate) mod stdio_files;
pub(crate) mod thread_slot;
pub(crate) mod unwind;
pub(crate) mod userfault;
pub(crate) mod wiped_word;
