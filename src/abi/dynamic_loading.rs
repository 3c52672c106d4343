//! dlopen, with one flag dropped: RTLD_DEEPBIND would bind a module's malloc past us to libc's,
//! and its blocks would cross over. `GLEBE_DEEPBIND=keep` leaves it alone.

use crate::config;
use crate::os::cpu::dlopen_door;
use crate::os::linker;
use core::ffi::{c_char, c_int};

/// Where to jump, and with which flags.
#[repr(C)]
struct Target {
    address: usize,
    flags: usize,
}

extern "C" fn target(_file: *const c_char, flags: c_int) -> Target {
    let kept = if config::keep_deepbind() {
        flags
    } else {
        flags & !::libc::RTLD_DEEPBIND
    };
    Target {
        address: linker::next_symbol(c"dlopen"),
        flags: kept.cast_unsigned() as usize,
    }
}

dlopen_door!(
    /// `dlopen(file, flags)`: see the module.
    glebe_dlopen,
    target
);
