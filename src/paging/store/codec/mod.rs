//! Pages made smaller. Evictions and faults wait for this, so speed counts more than the last
//! percent. Two coders: [`words`] for what heaps are full of, pointers, small numbers, zeroes, and
//! texts of a few words; [`matches`], slower, for the pages of which that does not make half:
//! text, machine code, tables packed without alignment.
//!
//! ```text
//! compressed page: | coder (1 byte) | what it wrote |
//! ```
//!
//! All functions are pure but for [`Scratch`], allocate nothing and cannot panic: they are called
//! in threads that libc does not know.

mod matches;
mod words;

const PAGE_BYTES: usize = 4096;
/// Pages that do not become smaller than this are not worth the time to expand them.
const MOST_BYTES: usize = 3 << 10;
/// Where words make no more than this of a page, matches are not tried.
const CONTENT_BYTES: usize = 2 << 10;

/// In the first byte: which coder wrote the rest.
const BY_WORDS: u8 = 1;
const BY_MATCHES: u8 = 2;

/// Room for [`compress`] to work in, 5 KiB; what it holds between calls does not matter.
pub(crate) struct Scratch {
    words: words::Recent,
    matches: matches::Recent,
}

impl Scratch {
    /// Room that holds nothing.
    pub(crate) const fn new() -> Scratch {
        Scratch {
            words: words::Recent::new(),
            matches: matches::Recent::new(),
        }
    }
}

/// Writes `page`, smaller, to the start of `into`: how many bytes, at most 3 KiB; `None` where that
/// is not enough. What follows in `into` may be overwritten too.
pub(crate) fn compress(
    page: &[u8; PAGE_BYTES],
    into: &mut [u8; PAGE_BYTES],
    scratch: &mut Scratch,
) -> Option<usize> {
    let (coder, rest) = into[..MOST_BYTES].split_first_mut()?;
    *coder = BY_WORDS;
    let by_words = words::compress(page, rest, &mut scratch.words);
    if let Some(bytes) = by_words.filter(|bytes| *bytes < CONTENT_BYTES) {
        return Some(1 + bytes);
    }
    // In the same place: a page of which words make at most 3 KiB and matches more than that
    // is rare enough to be coded again.
    *coder = BY_MATCHES;
    let most = by_words.unwrap_or(rest.len());
    if let Some(bytes) = matches::compress(page, &mut rest[..most], &mut scratch.matches) {
        return Some(1 + bytes);
    }
    by_words?;
    *coder = BY_WORDS;
    words::compress(page, rest, &mut scratch.words).map(|bytes| 1 + bytes)
}

/// Writes the page that [`compress`] made `from` of; `false` for bytes that it never wrote, after
/// which `into` holds anything.
pub(crate) fn decompress(from: &[u8], into: &mut [u8; PAGE_BYTES]) -> bool {
    match from.split_first() {
        Some((&BY_WORDS, rest)) => words::decompress(rest, into),
        Some((&BY_MATCHES, rest)) => matches::decompress(rest, into).is_some(),
        _ => false,
    }
}

/// The word of 32 bits that fills the page again and again, if one does.
pub(crate) fn same_filled(page: &[u8; PAGE_BYTES]) -> Option<u32> {
    let (words, _) = page.as_chunks::<8>();
    let first = words[0];
    let (low, high) = ([first[0], first[1], first[2], first[3]], &first[4..]);
    if low != high {
        return None;
    }
    let first = u64::from_ne_bytes(first);
    // A cache line at a time, without a branch in it.
    let is_same = |line: &[[u8; 8]]| {
        let differ = |bits, word: &[u8; 8]| bits | (u64::from_ne_bytes(*word) ^ first);
        line.iter().fold(0, differ) == 0
    };
    words
        .chunks_exact(8)
        .all(is_same)
        .then_some(u32::from_ne_bytes(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    extern crate std;
    use std::vec::Vec;

    type Page = [u8; PAGE_BYTES];

    fn seeded() -> Random {
        let seed = crate::os::random::seed();
        std::println!("seed {seed:#x}");
        Random::new(seed)
    }

    fn page_of_words(mut word: impl FnMut(usize) -> u64) -> Page {
        let mut page = [0; PAGE_BYTES];
        for (index, place) in page.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *place = word(index).to_le_bytes();
        }
        page
    }

    /// Objects of a heap: a type, a count, pointers near each other, small numbers, short texts.
    fn heap_page(random: &Random) -> Page {
        let object_words = 4 + random.next() as usize % 8;
        let types = [0x55d0_1234_5600, 0x55d0_1234_8a40, 0x55d0_1239_0010];
        page_of_words(|index| match index % object_words {
            0 => random.next() % 5,
            1 => types[random.next() as usize % 3],
            2 => 0x7f12_8800_0000 + random.next() % (1 << 22) * 16,
            3 => random.next() >> 24 & 0x7f7f_7f7f,
            _ => [0, random.next() % 1000][random.next() as usize % 2],
        })
    }

    /// Words of a small language.
    fn text_page(random: &Random) -> Page {
        let texts = [
            "granule ",
            "the ",
            "page of ",
            "{\"id\": ",
            "memory, ",
            "1234",
            "is ",
        ];
        let mut text = Vec::new();
        while text.len() < PAGE_BYTES {
            text.extend(texts[random.next() as usize % texts.len()].bytes());
            text.push(b'a' + (random.next() % 26) as u8);
        }
        *text.first_chunk().expect("a page of text")
    }

    /// Runs of all kinds, with all lengths and distances.
    fn mixed_page(random: &Random) -> Page {
        let mut page = [0; PAGE_BYTES];
        let mut at = 0;
        while at < PAGE_BYTES {
            let most = 1 << (random.next() % 12);
            let length = (1 + random.next() as usize % most).min(PAGE_BYTES - at);
            let kind = random.next() % 4;
            let back = 1 + random.next() as usize % at.max(1);
            for index in at..at + length {
                page[index] = match kind {
                    0 => 0,
                    1 => random.next() as u8,
                    _ if at > 0 => page[index - back],
                    _ => 7,
                };
            }
            at += length;
        }
        page
    }

    fn random_page(random: &Random) -> Page {
        page_of_words(|_| random.next())
    }

    const KINDS: [fn(&Random) -> Page; 4] = [heap_page, text_page, mixed_page, random_page];

    fn compressed(page: &Page, scratch: &mut Scratch) -> Option<Vec<u8>> {
        let mut into = [0xee; PAGE_BYTES];
        let length = compress(page, &mut into, scratch)?;
        assert!(length <= MOST_BYTES);
        Some(into[..length].to_vec())
    }

    #[test]
    fn pages_of_all_kinds_come_back_as_they_were() {
        let random = seeded();
        let mut scratch = Scratch::new();
        for round in 0..2000 {
            let page = KINDS[round % KINDS.len()](&random);
            if let Some(bytes) = compressed(&page, &mut scratch) {
                let mut back = [0x55; PAGE_BYTES];
                assert!(decompress(&bytes, &mut back), "round {round}");
                assert_eq!(back, page, "round {round}");
            }
        }
    }

    #[test]
    fn each_coder_serves_the_pages_it_is_for_and_random_bytes_are_refused() {
        let random = seeded();
        let mut scratch = Scratch::new();
        for _ in 0..50 {
            let heap = compressed(&heap_page(&random), &mut scratch).expect("much smaller");
            assert!(heap[0] == BY_WORDS && heap.len() < CONTENT_BYTES);
            let text = compressed(&text_page(&random), &mut scratch).expect("smaller");
            assert_eq!(text[0], BY_MATCHES);
            assert_eq!(compressed(&random_page(&random), &mut scratch), None);
        }
    }

    #[test]
    fn what_comes_out_does_not_depend_on_earlier_pages() {
        let random = seeded();
        let mut used = Scratch::new();
        for round in 0..200 {
            let page = KINDS[round % KINDS.len()](&random);
            assert_eq!(
                compressed(&page, &mut used),
                compressed(&page, &mut Scratch::new())
            );
        }
    }

    #[test]
    fn damaged_bytes_do_no_harm() {
        let random = seeded();
        let mut scratch = Scratch::new();
        let mut back = [0; PAGE_BYTES];
        let mut refused = 0;
        for round in 0..3000 {
            let page = KINDS[round % 3](&random);
            let Some(mut bytes) = compressed(&page, &mut scratch) else {
                continue;
            };
            let whole = bytes.len();
            bytes.truncate(random.next() as usize % (whole + 1));
            refused += usize::from(!decompress(&bytes, &mut back));
            for _ in 0..1 + random.next() % 8 {
                if let Some(length) = core::num::NonZeroUsize::new(bytes.len()) {
                    bytes[random.next() as usize % length] = random.next() as u8;
                }
            }
            decompress(&bytes, &mut back);
        }
        assert!(refused > 2000, "{refused} truncated pages were refused");
        assert!(!decompress(&[], &mut back));
        for coder in 0..=255 {
            decompress(&[coder], &mut back);
        }
    }

    #[test]
    fn a_page_is_same_filled_if_one_word_of_32_bits_fills_it() {
        let random = seeded();
        for word in [0, 1, u32::MAX, 0x1234_5678] {
            let mut page = page_of_words(|_| u64::from(word) << 32 | u64::from(word));
            assert_eq!(same_filled(&page), Some(word));
            page[random.next() as usize % PAGE_BYTES] ^= 1 << (random.next() % 8);
            assert_eq!(same_filled(&page), None);
        }
        assert_eq!(same_filled(&page_of_words(|_| 5)), None, "of 64 bits");
    }
}
