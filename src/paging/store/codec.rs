//! TEMPORARY
pub(crate) struct Scratch(u8);
impl Scratch {
    pub(crate) const fn new() -> Self {
        Scratch(0)
    }
}
pub(crate) fn same_filled(page: &[u8; 4096]) -> Option<u32> {
    let w = u32::from_ne_bytes([page[0], page[1], page[2], page[3]]);
    page.chunks_exact(4)
        .all(|c| c == w.to_ne_bytes())
        .then_some(w)
}
pub(crate) fn compress(
    page: &[u8; 4096],
    into: &mut [u8; 4096],
    _s: &mut Scratch,
) -> Option<usize> {
    let mut n = 128;
    into[..128].fill(0);
    for (i, c) in page.chunks_exact(4).enumerate() {
        if c != [0; 4] {
            if n + 4 > 3072 {
                return None;
            }
            into[i / 8] |= 1 << (i % 8);
            into[n..n + 4].copy_from_slice(c);
            n += 4;
        }
    }
    Some(n)
}
pub(crate) fn decompress(from: &[u8], into: &mut [u8; 4096]) -> bool {
    let mut n = 128;
    for i in 0..1024 {
        let d = &mut into[i * 4..i * 4 + 4];
        if from[i / 8] >> (i % 8) & 1 == 1 {
            d.copy_from_slice(&from[n..n + 4]);
            n += 4;
        } else {
            d.fill(0);
        }
    }
    true
}
