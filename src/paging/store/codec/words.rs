//! A coder of words of 64 bits, after the idea of P. R. Wilson and S. F. Kaplan (WKdm): a heap
//! repeats its words, and its pointers differ in their low bytes only.
//!
//! Each word becomes a tag of 4 bits and 0 to 8 bytes:
//!
//! | tag | bytes | the word |
//! |---|---|---|
//! | 0-4, 6, 7 | its 0, 1, 2, 3, 4, 6 or 8 low bytes | the others are zero |
//! | 5 | none | equals the word as far back as the last distance said |
//! | 8, 9 | distance | equals the word that far back |
//! | 10-12 | distance, 1 to 3 low bytes | equals it but for these |
//! | 13-15 | the same | the same, from a word farther back |
//!
//! A distance byte says 1 to 256 words back, with the tags 9 and 13 to 15 257 to 511. Two tables
//! of positions find the word: by the whole of it, and by all but its low 24 bits. So what is
//! expanded needs no table, and each step but the last reads 8 bytes and keeps some of them: no
//! branch depends on the contents, in either direction.
//!
//! ```text
//! | tags of 512 words, the even one in the low half of a byte (256 bytes) | their bytes |
//! ```

use super::PAGE_BYTES;

const WORDS: usize = PAGE_BYTES / 8;
const TAG_BYTES: usize = WORDS / 2;
/// Words by which a page shows that it is no heap page.
const SAMPLE_WORDS: usize = WORDS / 4;
/// Bytes that the sample may become.
const MOST_SAMPLE_BYTES: usize = SAMPLE_WORDS * 7;

/// Low bits in which words may differ that one table entry stands for.
const LOW_BITS: u32 = 24;

/// As far back as last time.
const AGAIN: usize = 5;
const LONGEST: u8 = 7;
const SAME: usize = 8;
const SAME_BUT_LOW: usize = 9;
const FAR_TAGS: usize = 3;

/// The tag for a word with so many significant bytes.
const TAG_OF_BYTES: [u8; 9] = [0, 1, 2, 3, 4, 6, 6, LONGEST, LONGEST];

/// What a tag says of its word.
#[derive(Clone, Copy)]
struct Tag {
    /// Bytes that follow.
    bytes: u8,
    /// Where in them the word's low bits start: 8 behind a distance.
    shift: u8,
    /// What is added to the distance byte.
    farther: u16,
    /// Bits of the word that follow.
    low: u64,
    /// Bits that are the other word's.
    high: u64,
}

const TAGS: [Tag; 16] = {
    let literal = Tag {
        bytes: 0,
        shift: 0,
        farther: 0,
        low: 0,
        high: 0,
    };
    let mut all = [literal; 16];
    let mut tag = 0;
    while tag < 16 {
        let is_literal = tag < SAME;
        let bytes = match tag {
            AGAIN | 8 | 9 => 0,
            0..=6 => tag,
            7 => 8,
            _ => (tag - 10) % FAR_TAGS + 1,
        };
        let low = if bytes == 8 {
            u64::MAX
        } else {
            (1 << (8 * bytes)) - 1
        };
        let is_far = tag == 9 || tag >= 13;
        all[tag] = Tag {
            bytes: bytes as u8 + if is_literal { 0 } else { 1 },
            shift: if is_literal { 0 } else { 8 },
            farther: if is_far { 256 } else { 0 },
            low,
            high: if is_literal && tag != AGAIN { 0 } else { !low },
        };
        tag += 1;
    }
    all
};

/// Positions of the latest words by their contents. Each entry is a hint.
pub(super) struct Recent {
    equal: [u16; 256],
    similar: [u16; 256],
}

impl Recent {
    pub(super) const fn new() -> Recent {
        Recent {
            equal: [0; 256],
            similar: [0; 256],
        }
    }
}

fn hash(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

/// Bytes of `word` but for those at its upper end that are zero.
fn significant_bytes(word: u64) -> usize {
    (71 - word.leading_zeros() as usize) / 8
}

/// Writes what becomes of `page`: how many bytes; `None` where `into` does not hold it, or an
/// early part of the page says that it will not become much smaller.
pub(super) fn compress(
    page: &[u8; PAGE_BYTES],
    into: &mut [u8],
    recent: &mut Recent,
) -> Option<usize> {
    let (tags, into) = into.split_first_chunk_mut::<TAG_BYTES>()?;
    let (words, _) = page.as_chunks::<8>();
    let words: &[[u8; 8]; WORDS] = words.try_into().ok()?;
    // Law: an entry is below the position that is looked up, so 0 is a hint as good as any.
    recent.equal.fill(0);
    recent.similar.fill(0);
    into.first_chunk_mut::<8>()?.copy_from_slice(&words[0]);
    let mut at = 8;
    let mut even_tag = LONGEST;
    let mut last_distance = 0;
    for index in 1..WORDS {
        let word = u64::from_le_bytes(words[index]);
        let equal = &mut recent.equal[hash(word)];
        let similar = &mut recent.similar[hash(word >> LOW_BITS)];
        let (equal_at, similar_at) = (usize::from(*equal), usize::from(*similar));
        (*equal, *similar) = (index as u16, index as u16);
        let word_at = |place: usize| u64::from_le_bytes(words[place % WORDS]);
        // The last distance led to a word from a position before this one.
        let is_again = word_at(index.wrapping_sub(last_distance + 1)) == word;
        let is_equal = word_at(equal_at) == word;
        let place = if is_equal { equal_at } else { similar_at };
        let distance = (index - 1).wrapping_sub(place);
        let is_far = distance >> 8;
        let differing = significant_bytes(word_at(place) ^ word);
        let significant = significant_bytes(word);
        let tag_of_place = if differing == 0 {
            SAME + is_far
        } else {
            SAME_BUT_LOW + differing + FAR_TAGS * is_far
        };
        let by_place = differing <= 3 && differing + 1 < significant;
        let (tag, bytes) = if by_place {
            (tag_of_place, word << 8 | (distance & 0xff) as u64)
        } else {
            (usize::from(TAG_OF_BYTES[significant % 9]), word)
        };
        let tag = if is_again { AGAIN } else { tag };
        if by_place && !is_again {
            last_distance = distance;
        }
        into.get_mut(at..at + 8)?
            .copy_from_slice(&bytes.to_le_bytes());
        at += usize::from(TAGS[tag % 16].bytes);
        if index % 2 == 0 {
            even_tag = tag as u8;
        } else {
            tags[index / 2] = (tag as u8) << 4 | even_tag;
        }
        if index == SAMPLE_WORDS && at > MOST_SAMPLE_BYTES {
            return None;
        }
    }
    Some(TAG_BYTES + at)
}

/// The 8 bytes at `at`, or what is left of them, with zeroes behind.
fn load(from: &[u8], at: usize) -> u64 {
    if let Some(bytes) = from.get(at..).and_then(|rest| rest.first_chunk()) {
        return u64::from_le_bytes(*bytes);
    }
    let rest = from.get(at..).unwrap_or(&[]);
    rest.iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Writes the page that `from` was made of; `false` where it was made of none.
pub(super) fn decompress(from: &[u8], into: &mut [u8; PAGE_BYTES]) -> bool {
    let Some((tags, from)) = from.split_first_chunk::<TAG_BYTES>() else {
        return false;
    };
    let (words, _) = into.as_chunks_mut::<8>();
    let Ok(words) = <&mut [[u8; 8]; WORDS]>::try_from(words) else {
        return false;
    };
    let (mut at, mut distance) = (0, 1);
    for (pair, tags) in tags.iter().enumerate() {
        for odd in 0..2 {
            let index = 2 * pair + odd;
            let tag = &TAGS[usize::from(tags >> (4 * odd) & 15)];
            let bytes = load(from, at);
            if tag.shift != 0 {
                distance = (bytes & 0xff) as usize + usize::from(tag.farther) + 1;
            }
            // A word that is not there yet is anything, and of a literal nothing is kept.
            let other = u64::from_le_bytes(words[index.wrapping_sub(distance) % WORDS]);
            let word = other & tag.high | bytes >> tag.shift & tag.low;
            words[index] = word.to_le_bytes();
            at += usize::from(tag.bytes);
        }
    }
    at == from.len()
}
