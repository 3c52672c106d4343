//! The kernel's pages: what maps an address, and huge ones made on demand. Semantics stand in
//! `glebe.h`.

use crate::heap::questions;
use crate::os::page_sizes;
use crate::os::process::ErrnoKept;
use core::ffi::{c_int, c_void};

/// Passes the bytes of the kernel's page that maps `address`; 0, or an error number.
///
/// # Safety
/// `bytes` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glebe_page_size_at(address: *const c_void, bytes: *mut usize) -> c_int {
    let _kept = ErrnoKept::new();
    if bytes.is_null() {
        return ::libc::EINVAL;
    }
    match page_sizes::page_bytes_at(address as usize) {
        Ok(found) => {
            // SAFETY: valid for writes.
            unsafe { bytes.write(found) };
            0
        }
        Err(error) => error.0,
    }
}

/// Makes huge pages of a part of a block; 0, or an error number.
#[unsafe(no_mangle)]
pub extern "C" fn glebe_collapse(address: *mut c_void, size: usize) -> c_int {
    let _kept = ErrnoKept::new();
    questions::collapse(address as usize, size).map_or_else(|error| error, |()| 0)
}

/// Why the size of a page is not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PageSizeError {
    /// Nothing is mapped there.
    NotMapped,
    /// The kernel does not say: /proc is not mounted, or Linux is older than 6.7.
    Unknown,
}

impl core::fmt::Display for PageSizeError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            PageSizeError::NotMapped => "nothing is mapped there",
            PageSizeError::Unknown => "the kernel does not tell the size of the page",
        })
    }
}

impl core::error::Error for PageSizeError {}

/// Bytes of the kernel's page that maps `address` at this moment: 4096, 2 MiB, 1 GiB, and where
/// /proc/kpageflags may be read (root) also the sizes between; `None` where no page is there yet,
/// or any more. Never touches it. Some system calls, and for a huge page a walk over all mappings of
/// the process. Any thread may call it, and signal handlers; errno is kept.
///
/// ```
/// let number = 7u64;
/// match glebe::page_size_at(&raw const number) {
///     Ok(Some(bytes)) => println!("on the stack a page has {bytes} bytes"),
///     outcome => println!("{outcome:?}"),
/// }
/// ```
///
/// # Errors
/// As [`PageSizeError`] says.
pub fn page_size_at<T>(address: *const T) -> Result<Option<usize>, PageSizeError> {
    let _kept = ErrnoKept::new();
    match page_sizes::page_bytes_at(address as usize) {
        Ok(bytes) => Ok((bytes != 0).then_some(bytes)),
        Err(error) if error.0 == ::libc::ENOMEM => Err(PageSizeError::NotMapped),
        Err(_) => Err(PageSizeError::Unknown),
    }
}
