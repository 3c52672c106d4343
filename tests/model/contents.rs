//! What stands in a block: noise cut out piece by piece where the block's address and number say,
//! so that two blocks that overlap cannot both be right.

use crate::random::mix;
use std::sync::LazyLock;

const PIECE_BYTES: usize = 4096;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..PIECE_BYTES as u64 / 4)
        .flat_map(|word| mix(word + 1).to_le_bytes())
        .collect()
});

/// The first `bytes` of what a block with this address and number holds, in pieces.
fn pieces(address: usize, number: u64, bytes: usize) -> impl Iterator<Item = &'static [u8]> {
    (0..bytes).step_by(PIECE_BYTES).map(move |offset| {
        let start = mix((address + offset) as u64 ^ number.rotate_left(40)) as usize % PIECE_BYTES;
        &NOISE[start..][..PIECE_BYTES.min(bytes - offset)]
    })
}

/// Fills a block.
pub(crate) fn fill(block: &mut [u8], number: u64) {
    let (address, bytes) = (block.as_ptr() as usize, block.len());
    for (place, piece) in block
        .chunks_mut(PIECE_BYTES)
        .zip(pieces(address, number, bytes))
    {
        place.copy_from_slice(piece);
    }
}

/// Asserts that `block` holds what was filled into a block at `address` with that number.
pub(crate) fn check(block: &[u8], address: usize, number: u64) {
    for (place, piece) in block
        .chunks(PIECE_BYTES)
        .zip(pieces(address, number, block.len()))
    {
        assert!(
            place == piece,
            "block {number} of {address:#x}: bytes at {:p} are not what was written",
            place.as_ptr()
        );
    }
}
