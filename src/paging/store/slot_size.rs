//! Sizes of slots: those that divide a block well, in steps of 32 bytes below 1.4 KiB and of what
//! one slot less in a block makes above, so that 1 to 3 % of a slot are unused.

use super::MOST_BYTES;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// Sizes are multiples of this.
const STEP: usize = 32;
const LEAST_SLOT_BYTES: usize = 64;
/// The most slots that a block has.
pub(super) const MOST_SLOTS: usize = BLOCK_BYTES / LEAST_SLOT_BYTES;
/// Bits for how many bytes of a slot may be unused.
pub(super) const SLACK_BITS: u32 = 8;

/// Bytes of the largest slots of which a block holds as many as of `bytes`.
const fn slot_bytes_for(bytes: usize) -> usize {
    let slots = BLOCK_BYTES / bytes;
    BLOCK_BYTES / slots / STEP * STEP
}

/// How many sizes there are.
pub(super) const CLASSES: usize = {
    let (mut count, mut bytes) = (0, LEAST_SLOT_BYTES);
    while bytes <= MOST_BYTES {
        count += 1;
        bytes = slot_bytes_for(bytes) + STEP;
    }
    count
};

/// Bytes of a slot of each class, ascending.
const SLOT_BYTES: [u16; CLASSES] = {
    let mut all = [0; CLASSES];
    let (mut class, mut bytes) = (0, LEAST_SLOT_BYTES);
    while class < CLASSES {
        let slot = slot_bytes_for(bytes);
        assert!(class == 0 || slot - all[class - 1] as usize <= 1 << SLACK_BITS);
        all[class] = slot as u16;
        bytes = slot + STEP;
        class += 1;
    }
    assert!(all[CLASSES - 1] as usize == MOST_BYTES);
    all
};

/// The least class for strings of up to so many steps.
const CLASS_OF_STEPS: [u8; MOST_BYTES / STEP + 1] = {
    let mut all = [0; MOST_BYTES / STEP + 1];
    let (mut steps, mut class) = (0, 0);
    while steps < all.len() {
        if steps * STEP > SLOT_BYTES[class] as usize {
            class += 1;
        }
        all[steps] = class as u8;
        steps += 1;
    }
    all
};

/// The class with the smallest slots for strings of 1 to 4096 `bytes`.
pub(super) fn class_for(bytes: usize) -> usize {
    usize::from(CLASS_OF_STEPS[bytes.div_ceil(STEP)])
}

/// Bytes of a slot of `class`.
pub(super) fn slot_bytes(class: usize) -> usize {
    usize::from(SLOT_BYTES[class])
}

/// Slots of `class` in a block.
pub(super) fn slots(class: usize) -> u16 {
    (BLOCK_BYTES / slot_bytes(class)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_waste_little_of_a_block_and_of_a_string() {
        for bytes in 1..=MOST_BYTES {
            let slot = slot_bytes(class_for(bytes));
            assert!(slot >= bytes && slot - bytes < 1 << SLACK_BITS);
            if bytes >= 512 {
                assert!(
                    BLOCK_BYTES - slot * (BLOCK_BYTES / slot) < BLOCK_BYTES / 16,
                    "{slot}"
                );
                assert!(slot - bytes <= bytes / 14, "{bytes} in {slot}");
            }
        }
    }
}
