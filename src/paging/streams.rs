//! TEMPORARY
use super::page_table::PageNumber;
pub(super) struct Ahead {
    pub(super) first: PageNumber,
    pub(super) pages: usize,
}
pub(super) struct Streams {
    last: u64,
    run: usize,
}
impl Streams {
    pub(super) const fn new() -> Streams {
        Streams { last: 0, run: 0 }
    }
    pub(super) fn observe(&mut self, page: PageNumber) -> Ahead {
        if page.0 == self.last + 1 {
            self.run = (self.run * 2).clamp(4, 64);
        } else {
            self.run = 0;
        }
        self.last = page.0 + self.run as u64;
        Ahead {
            first: page.plus(1),
            pages: self.run,
        }
    }
}
