//! Text in a buffer on the stack: reports and statistics are written without allocating.

use core::fmt;

/// Up to `N` bytes of text; what does not fit is cut.
pub(crate) struct FixedText<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> FixedText<N> {
    /// No text yet.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    /// Ends the line, at the cost of the last byte where the text is full.
    pub(crate) fn end_line(&mut self) {
        self.length = self.length.min(N - 1);
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = b'\n';
            self.length += 1;
        }
    }

    /// What was written so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

impl<const N: usize> fmt::Write for FixedText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let Some(place) = self.bytes.get_mut(self.length) else {
                return Err(fmt::Error);
            };
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn text_that_does_not_fit_is_cut_and_kept() {
        let mut text = FixedText::<8>::new();
        assert!(write!(text, "12345678901").is_err());
        assert_eq!(text.as_bytes(), b"12345678");
        text.end_line();
        assert_eq!(text.as_bytes(), b"1234567\n");
    }

    #[test]
    fn a_line_with_room_left_loses_nothing_at_its_end() {
        let mut text = FixedText::<8>::new();
        let _ = write!(text, "123");
        text.end_line();
        assert_eq!(text.as_bytes(), b"123\n");
    }
}
