//! Loaded objects: the program and its libraries, as the loader sees them.
//!
//! Everything here is async-signal-safe, allocates nothing, takes no lock and keeps errno.

use super::mapping;
use super::process::{ErrnoKept, page_bytes};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A file that is loaded, and where in it an address lies.
pub(crate) struct Module {
    /// As the loader found it; for the program itself, where the kernel found that. Empty where
    /// that cannot be known.
    pub(crate) path: &'static CStr,
    /// The address in the file's own address space: what its symbols and debug information use.
    pub(crate) offset: usize,
}

/// The module that `address` lies in. Its path lives as long as it stays loaded.
pub(crate) fn module_of(address: usize) -> Option<Module> {
    let object = LoadedObject::at(address)?;
    // SAFETY: the map of a loaded object begins with these two, and changes neither.
    let map = unsafe { &*object.link_map.cast::<LinkMap>() };
    // SAFETY: the loader's names end in NUL.
    let path = unsafe { CStr::from_ptr(map.name) };
    Some(Module {
        path: if path.is_empty() { program() } else { path },
        offset: address.wrapping_sub(map.bias),
    })
}

/// The program's file.
fn program() -> &'static CStr {
    static PATH: AtomicUsize = AtomicUsize::new(0);
    const BYTES: usize = libc::PATH_MAX as usize;
    let _kept = ErrnoKept::new();
    // Acquire pairs with the Release below.
    let mut path = PATH.load(Ordering::Acquire);
    if path == 0 {
        // One page more, so that the path ends in NUL.
        let Some(new) = mapping::map(BYTES + page_bytes()) else {
            return c"";
        };
        // SAFETY: the name ends in NUL, and BYTES are writable.
        unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), new as *mut c_char, BYTES) };
        // Release publishes the path; Acquire sees another thread's.
        path = match PATH.compare_exchange(0, new, Ordering::Release, Ordering::Acquire) {
            Ok(_) => new,
            Err(other) => {
                mapping::unmap(new, BYTES + page_bytes());
                other
            }
        };
    }
    // SAFETY: a path that ends in NUL, never changed and never unmapped.
    unsafe { CStr::from_ptr(path as *const c_char) }
}

/// `struct dl_find_object` of glibc.
#[repr(C)]
pub(super) struct LoadedObject {
    flags: u64,
    start: usize,
    end: usize,
    link_map: *const c_void,
    /// Its PT_GNU_EH_FRAME: `.eh_frame_hdr`.
    table: usize,
    reserved: [u64; 7],
}

/// The public beginning of `struct link_map`.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const c_char,
}

unsafe extern "C" {
    /// glibc's, since 2.35: what libgcc's own unwinder asks. Async-signal-safe.
    fn _dl_find_object(address: *const c_void, object: *mut LoadedObject) -> c_int;
}

impl LoadedObject {
    /// The object whose segments `address` lies among.
    pub(super) fn at(address: usize) -> Option<LoadedObject> {
        let mut object = MaybeUninit::zeroed();
        // SAFETY: `object` is valid for writes; any address may be asked for.
        let found = unsafe { _dl_find_object(address as *const c_void, object.as_mut_ptr()) } == 0;
        // SAFETY: initialised, and written where found.
        found.then(|| unsafe { object.assume_init() })
    }

    pub(super) fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Where its `.eh_frame_hdr` begins; 0 without one.
    pub(super) fn table(&self) -> usize {
        self.table
    }

    /// What lies in the object from `address` to its end.
    pub(super) fn bytes_from(&self, address: usize) -> Option<&'static [u8]> {
        if !self.contains(address) {
            return None;
        }
        // SAFETY: readable as far as the table reaches, which says itself where it ends; and the
        // module stays loaded, since the thread is going to return into it.
        Some(unsafe { core::slice::from_raw_parts(address as *const u8, self.end - address) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addresss_module_is_the_loaders() {
        let ours = module_of(module_of as *const () as usize).expect("the program");
        let program = std::env::current_exe().expect("a path");
        assert_eq!(ours.path.to_str(), Ok(program.to_str().expect("UTF-8")));
        let address = libc::qsort as *const () as usize;
        let libc = module_of(address).expect("the C library");
        assert!(
            libc.path.to_bytes().ends_with(b"/libc.so.6"),
            "{:?}",
            libc.path
        );
        // SAFETY: the ELF header is loaded.
        let magic = unsafe { *((address - libc.offset) as *const [u8; 4]) };
        assert_eq!(&magic, b"\x7fELF");
        assert!(module_of(8).is_none());
    }
}
