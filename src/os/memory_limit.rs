//! How much memory there is.
/// Bytes of memory that this process may have.
pub(crate) fn memory_limit_bytes() -> usize {
    8 << 30
}
