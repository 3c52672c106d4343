//! Asking the dynamic linker. Only on paths that are slow anyway: it may allocate.

use core::ffi::{CStr, c_char, c_void};

/// The next definition of `name` after ours in the search order, or 0.
pub(crate) fn next_symbol(name: &CStr) -> usize {
    // SAFETY: `name` ends in NUL.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) as usize }
}

/// The definition of `name` in `library` if that is loaded, wherever it was loaded from and
/// however locally; else 0.
pub(crate) fn symbol_in_loaded(library: &CStr, name: &CStr) -> usize {
    // By its next definition, since `dlopen` itself is a door of ours.
    let open = next_symbol(c"dlopen");
    if open == 0 {
        return 0;
    }
    // SAFETY: dlopen's address and type.
    let open: extern "C" fn(*const c_char, i32) -> *mut c_void =
        unsafe { core::mem::transmute(open) };
    let handle = open(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
    if handle.is_null() {
        return 0;
    }
    // The handle is kept: a library whose code we are about to run must not go away.
    // SAFETY: a handle just obtained and a name that ends in NUL.
    unsafe { libc::dlsym(handle, name.as_ptr()) as usize }
}
