//! Streams: sequences of faults that walk through memory page by page, up or down, several at a
//! time. What a stream will touch next is brought in ahead of it; faults that follow no stream
//! bring nothing in, since on random access that costs many times what it saves.

/// Streams that are followed at a time.
const STREAMS: usize = 16;
/// Pages brought in at the first sign of a stream.
const FIRST_WINDOW: u64 = 2;
/// The most pages brought in ahead of one.
pub(crate) const MOST_AHEAD: usize = 64;

/// Pages to bring in: `pages` of them from `first` upwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ahead {
    /// The lowest page's number.
    pub(crate) first: u64,
    /// How many; 0 where the fault follows no stream.
    pub(crate) pages: usize,
}

/// A stream, or a single fault that may become one.
#[derive(Clone, Copy)]
struct Stream {
    /// The last page that faulted.
    last: u64,
    /// Pages that were brought in beyond it.
    window: u64,
    /// It walks down.
    down: bool,
    /// When it was seen last, in faults.
    seen: u64,
}

impl Stream {
    /// Whether a fault at `page` continues it upwards (or downwards): the page after the window,
    /// or one in the window that was gone again.
    fn continues(&self, page: u64, down: bool) -> bool {
        let distance = if down {
            self.last.wrapping_sub(page)
        } else {
            page.wrapping_sub(self.last)
        };
        (self.window == 0 || self.down == down) && (1..=self.window + 1).contains(&distance)
    }
}

/// All streams.
pub(crate) struct Streams {
    streams: [Stream; STREAMS],
    faults: u64,
}

impl Streams {
    /// None seen yet.
    pub(crate) const fn new() -> Streams {
        Streams {
            streams: [Stream {
                last: u64::MAX / 2,
                window: 0,
                down: false,
                seen: 0,
            }; STREAMS],
            faults: 0,
        }
    }

    /// Notes a fault; what to bring in because of it.
    pub(crate) fn observe(&mut self, page: u64) -> Ahead {
        self.faults += 1;
        let nothing = Ahead {
            first: page,
            pages: 0,
        };
        let found = [false, true].into_iter().find_map(|down| {
            let index = self
                .streams
                .iter()
                .position(|it| it.continues(page, down))?;
            Some((index, down))
        });
        let Some((index, down)) = found else {
            if let Some(oldest) = self.streams.iter_mut().min_by_key(|stream| stream.seen) {
                *oldest = Stream {
                    last: page,
                    window: 0,
                    down: false,
                    seen: self.faults,
                };
            }
            return nothing;
        };
        let Some(stream) = self.streams.get_mut(index) else {
            return nothing;
        };
        // A fault amid the window says that part of it never came, or left again: no reason to
        // bring in more.
        let is_behind_window = page.abs_diff(stream.last) > stream.window;
        let window =
            (stream.window << u32::from(is_behind_window)).clamp(FIRST_WINDOW, MOST_AHEAD as u64);
        *stream = Stream {
            last: page,
            window,
            down,
            seen: self.faults,
        };
        if down {
            let first = page.saturating_sub(window);
            Ahead {
                first,
                pages: (page - first) as usize,
            }
        } else {
            Ahead {
                first: page + 1,
                pages: window as usize,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program that touches `pages` over `streams`; its faults, and pages brought in ahead.
    fn faults(pages: impl Iterator<Item = u64>) -> (usize, usize) {
        let mut streams = Streams::new();
        let mut present = std::collections::BTreeSet::new();
        let (mut faults, mut ahead_pages) = (0, 0);
        for page in pages {
            if present.insert(page) {
                faults += 1;
                let ahead = streams.observe(page);
                let brought = (0..ahead.pages as u64).map(|at| ahead.first + at);
                ahead_pages += brought.filter(|&page| present.insert(page)).count();
            }
        }
        (faults, ahead_pages)
    }

    #[test]
    fn a_walk_up_or_down_faults_once_in_64_pages() {
        assert!(faults(10_000..16_400).0 < 110);
        assert!(faults((10_000..16_400).rev()).0 < 110);
    }

    #[test]
    fn eight_walks_at_a_time_are_told_apart() {
        let pages = (0..1024).flat_map(|step| (0..8).map(move |walk| walk * 100_000 + step));
        assert!(faults(pages).0 < 8 * 22);
    }

    #[test]
    fn windows_double_where_the_walk_passes_them_and_only_there() {
        let mut streams = Streams::new();
        let mut window = |page| streams.observe(page).pages;
        assert_eq!(
            [window(100), window(101), window(104), window(109)],
            [0, 2, 4, 8]
        );
        // Amid the eight; then behind them.
        assert_eq!([window(112), window(121)], [8, 16]);
        // A walk down is another stream: the first page of it may go up.
        assert_eq!([window(50), window(49), window(46)], [0, 2, 4]);
        assert_eq!(
            streams.observe(41),
            Ahead {
                first: 33,
                pages: 8
            }
        );
    }

    #[test]
    fn a_walk_down_ends_at_page_zero() {
        let mut streams = Streams::new();
        streams.observe(3);
        streams.observe(2);
        assert_eq!(streams.observe(1), Ahead { first: 0, pages: 1 });
    }

    #[test]
    fn random_faults_bring_hardly_anything_in() {
        let mut state = 88_172_645_463_325_252u64;
        let pages: std::vec::Vec<u64> = (0..20_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % 1_000_000
            })
            .collect();
        assert!(faults(pages.into_iter()).1 < 400);
    }
}
