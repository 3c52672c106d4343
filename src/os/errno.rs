//! Errors of system calls that are made without libc, and so without its errno.

/// The number of an error, as errno(3) lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// What a raw system call answered: a value, or an error as its negative.
    pub(crate) fn of(result: isize) -> Result<usize, Errno> {
        if (-4095..0).contains(&result) {
            Err(Errno(-result as i32))
        } else {
            Ok(result.cast_unsigned())
        }
    }
}
