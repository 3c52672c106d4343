//! A coder of byte strings that were there before (A. Lempel and J. Ziv, 1977), in the manner of
//! Y. Collet's LZ4: no bits, no statistics.
//!
//! A sequence is some literal bytes, then a match: bytes that equal those a distance back.
//!
//! ```text
//! | token | more of the literals' length | literals | distance (2) | more of the match's length |
//! token: literals, or 15 and more follows (4 bits) | bytes of the match less 4, likewise (4 bits)
//! more:  255 and more follows, or the last of the summands
//! ```
//! The last sequence ends after its literals, where the page ends.

use super::PAGE_BYTES;

const LEAST_MATCH: usize = 4;
/// The length in a token that says that more of it follows.
const LONG: usize = 15;
/// Matches are looked for up to here, so that 8 bytes can be read at once.
const SEARCH_END: usize = PAGE_BYTES - 12;
/// Every so many failures, the search goes on in larger steps: random bytes cost little.
const PATIENCE: usize = 32;
/// Copied at once where there is room: most literals and matches are no longer.
const STRIDE: usize = 16;

const TABLE_BITS: u32 = 11;

/// Positions of the latest strings of 5 bytes by their contents. Each entry is a hint.
pub(super) struct Recent {
    positions: [u16; 1 << TABLE_BITS],
}

impl Recent {
    pub(super) const fn new() -> Recent {
        Recent {
            positions: [0; 1 << TABLE_BITS],
        }
    }
}

fn load<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

fn load_word(page: &[u8; PAGE_BYTES], at: usize) -> u64 {
    load(page, at).map_or(0, u64::from_le_bytes)
}

fn hash(word: u64) -> usize {
    const PRIME_OF_5_BYTES: u64 = 889_523_592_379;
    ((word << 24).wrapping_mul(PRIME_OF_5_BYTES) >> (64 - TABLE_BITS)) as usize
}

/// Bytes that are equal from `early` and from `late` on.
fn common_bytes(page: &[u8; PAGE_BYTES], early: usize, late: usize) -> usize {
    let mut length = 0;
    while late + length + 8 <= PAGE_BYTES {
        let differ = load_word(page, early + length) ^ load_word(page, late + length);
        if differ != 0 {
            return length + differ.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    while late + length < PAGE_BYTES && page[early + length] == page[late + length] {
        length += 1;
    }
    length
}

/// Where sequences are written.
struct Output<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Output<'_> {
    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.at)? = byte;
        self.at += 1;
        Some(())
    }

    fn push_more(&mut self, length: usize) -> Option<()> {
        if length < LONG {
            return Some(());
        }
        let mut more = length - LONG;
        while more >= 255 {
            self.push(255)?;
            more -= 255;
        }
        self.push(more as u8)
    }

    /// Writes the token and `page[start..end]`.
    fn push_literals(
        &mut self,
        page: &[u8; PAGE_BYTES],
        start: usize,
        end: usize,
        length: usize,
    ) -> Option<()> {
        let literals = end - start;
        self.push((literals.min(LONG) << 4 | length.min(LONG)) as u8)?;
        self.push_more(literals)?;
        let stride = load::<STRIDE>(page, start);
        let place = self.bytes.get_mut(self.at..self.at + STRIDE);
        if let (Some(stride), Some(place), true) = (stride, place, literals <= STRIDE) {
            place.copy_from_slice(&stride);
        } else {
            let place = self.bytes.get_mut(self.at..self.at + literals)?;
            place.copy_from_slice(&page[start..end]);
        }
        self.at += literals;
        Some(())
    }
}

/// Writes what becomes of `page`: how many bytes; `None` where `into` does not hold it.
pub(super) fn compress(
    page: &[u8; PAGE_BYTES],
    into: &mut [u8],
    recent: &mut Recent,
) -> Option<usize> {
    let mut output = Output { bytes: into, at: 0 };
    // Law: an entry is below the position that is looked up, so 0 is a hint as good as any.
    recent.positions.fill(0);
    let (mut at, mut literals_start, mut failures) = (1, 0, 0);
    while at < SEARCH_END {
        let word = load_word(page, at);
        let hint = &mut recent.positions[hash(word)];
        let mut early = usize::from(*hint);
        *hint = at as u16;
        if load_word(page, early) as u32 != word as u32 {
            failures += 1;
            at += 1 + failures / PATIENCE;
            continue;
        }
        let mut length = LEAST_MATCH + common_bytes(page, early + LEAST_MATCH, at + LEAST_MATCH);
        while at > literals_start && early > 0 && page[at - 1] == page[early - 1] {
            (at, early, length) = (at - 1, early - 1, length + 1);
        }
        let beyond = length - LEAST_MATCH;
        output.push_literals(page, literals_start, at, beyond)?;
        let [low, high] = ((at - early) as u16).to_le_bytes();
        output.push(low)?;
        output.push(high)?;
        output.push_more(beyond)?;
        at += length;
        (literals_start, failures) = (at, 0);
        if at < SEARCH_END {
            recent.positions[hash(load_word(page, at - 2))] = (at - 2) as u16;
        }
    }
    output.push_literals(page, literals_start, PAGE_BYTES, 0)?;
    Some(output.at)
}

/// A length whose first part stands in the token; where what follows it begins.
fn read_length(from: &[u8], mut at: usize, token: usize) -> Option<(usize, usize)> {
    let mut length = token;
    if token == LONG {
        loop {
            let more = *from.get(at)?;
            at += 1;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some((length, at))
}

/// Writes the page that `from` was made of; `None` where it was made of none.
pub(super) fn decompress(from: &[u8], into: &mut [u8; PAGE_BYTES]) -> Option<()> {
    let (mut at, mut end) = (0, 0);
    loop {
        let token = usize::from(*from.get(at)?);
        let (literals, next) = read_length(from, at + 1, token >> 4)?;
        at = next;
        let stride = load::<STRIDE>(from, at);
        let place = into.get_mut(end..end + STRIDE);
        if let (Some(stride), Some(place), true) = (stride, place, literals <= STRIDE) {
            place.copy_from_slice(&stride);
        } else {
            let place = into.get_mut(end..end + literals)?;
            place.copy_from_slice(from.get(at..at + literals)?);
        }
        (at, end) = (at + literals, end + literals);
        if at == from.len() {
            return (end == PAGE_BYTES).then_some(());
        }
        let distance = usize::from(u16::from_le_bytes(load(from, at)?));
        let (length, next) = read_length(from, at + 2, token & LONG)?;
        at = next;
        let length = length + LEAST_MATCH;
        let start = end.checked_sub(distance).filter(|_| distance > 0)?;
        repeat(into, start, end, length)?;
        end += length;
    }
}

/// Copies `length` bytes from `start` on to `end`, which is behind it, byte by byte in effect:
/// what is copied may be copied again.
fn repeat(into: &mut [u8; PAGE_BYTES], start: usize, end: usize, length: usize) -> Option<()> {
    let distance = end - start;
    if distance >= STRIDE && end + length + STRIDE <= PAGE_BYTES {
        let mut done = 0;
        while done < length {
            let stride = load::<STRIDE>(into, start + done)?;
            into.get_mut(end + done..end + done + STRIDE)?
                .copy_from_slice(&stride);
            done += STRIDE;
        }
        return Some(());
    }
    into.get(end..end + length)?;
    if distance == 1 {
        let byte = into[start];
        into[end..end + length].fill(byte);
        return Some(());
    }
    // Of a period, as much at a time as there is already.
    let mut done = 0;
    while done < length {
        let bytes = (length - done).min(distance + done);
        into.copy_within(start..start + bytes, end + done);
        done += bytes;
    }
    Some(())
}
