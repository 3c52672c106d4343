//! Numbers that nobody can foretell, from the kernel.

use super::process;

/// A seed: from getrandom(2); where that is refused, from the loader's random bytes, the clock and
/// where the kernel placed us.
pub(crate) fn seed() -> u64 {
    let mut seed = 0u64;
    let place = (&raw mut seed).cast();
    // SAFETY: `seed` is valid for writes of its size.
    let got = unsafe { libc::getrandom(place, size_of::<u64>(), libc::GRND_NONBLOCK) };
    if usize::try_from(got) == Ok(size_of::<u64>()) {
        return seed;
    }
    // SAFETY: getauxval has no preconditions.
    let bytes = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const [u8; 8];
    if !bytes.is_null() {
        // SAFETY: AT_RANDOM is the address of 16 bytes that live as long as the process.
        seed = u64::from_ne_bytes(unsafe { *bytes });
    }
    seed ^ process::now_ns().rotate_left(32) ^ place as u64
}
