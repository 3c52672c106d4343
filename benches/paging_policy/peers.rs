//! The policies beside ours, each told of every access.

use super::lists::{Links, List};
use super::traces::Trace;
use std::collections::BinaryHeap;

/// A replacement policy that sees every access.
pub(crate) trait Policy {
    /// Whether the access to `page` misses.
    fn misses(&mut self, page: u32) -> bool;
}

/// Makes a policy for so many pages in all, and so many of them in memory.
pub(crate) type Make = fn(usize, usize) -> Box<dyn Policy>;

pub(crate) const PEERS: [(&str, Make); 7] = [
    ("FIFO", |pages, memory| {
        Box::new(Queue::new(pages, memory, After::Stay))
    }),
    ("CLOCK", |pages, memory| {
        Box::new(Queue::new(pages, memory, After::Mark))
    }),
    ("LRU", |pages, memory| {
        Box::new(Queue::new(pages, memory, After::ToHead))
    }),
    ("SIEVE", |pages, memory| Box::new(Sieve::new(pages, memory))),
    ("2Q", |pages, memory| {
        Box::new(TwoQueues::new(pages, memory))
    }),
    ("S3-FIFO", |pages, memory| {
        Box::new(S3Fifo::new(pages, memory))
    }),
    ("ARC", |pages, memory| Box::new(Arc::new(pages, memory))),
];

/// What a hit does to a page.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Stay,
    Mark,
    ToHead,
}

/// FIFO, CLOCK and LRU.
struct Queue {
    links: Links,
    list: List,
    resident: Vec<bool>,
    marked: Vec<bool>,
    memory: usize,
    after: After,
}

impl Queue {
    fn new(pages: usize, memory: usize, after: After) -> Self {
        Self {
            links: Links::new(pages),
            list: List::new(),
            resident: vec![false; pages],
            marked: vec![false; pages],
            memory,
            after,
        }
    }
}

impl Policy for Queue {
    fn misses(&mut self, page: u32) -> bool {
        let at = page as usize;
        if self.resident[at] {
            match self.after {
                After::Stay => {}
                After::Mark => self.marked[at] = true,
                After::ToHead => {
                    self.list.remove(&mut self.links, page);
                    self.list.push(&mut self.links, page);
                }
            }
            return false;
        }
        while self.list.length == self.memory {
            let Some(victim) = self.list.pop(&mut self.links) else {
                break;
            };
            if std::mem::take(&mut self.marked[victim as usize]) {
                self.list.push(&mut self.links, victim);
            } else {
                self.resident[victim as usize] = false;
            }
        }
        self.resident[at] = true;
        self.list.push(&mut self.links, page);
        true
    }
}

struct Sieve {
    links: Links,
    list: List,
    resident: Vec<bool>,
    visited: Vec<bool>,
    hand: Option<u32>,
    memory: usize,
}

impl Sieve {
    fn new(pages: usize, memory: usize) -> Self {
        Self {
            links: Links::new(pages),
            list: List::new(),
            resident: vec![false; pages],
            visited: vec![false; pages],
            hand: None,
            memory,
        }
    }
}

impl Policy for Sieve {
    fn misses(&mut self, page: u32) -> bool {
        let at = page as usize;
        if self.resident[at] {
            self.visited[at] = true;
            return false;
        }
        if self.list.length == self.memory {
            let mut hand = self.hand.or(self.list.last());
            while let Some(it) = hand {
                let before = self.list.before(&self.links, it);
                if std::mem::take(&mut self.visited[it as usize]) {
                    hand = before.or(self.list.last());
                } else {
                    self.list.remove(&mut self.links, it);
                    self.resident[it as usize] = false;
                    self.hand = before;
                    break;
                }
            }
        }
        self.resident[at] = true;
        self.list.push(&mut self.links, page);
        true
    }
}

/// Where a page is, in policies with several lists.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Nowhere,
    First,
    Second,
    FirstGhost,
    SecondGhost,
}

/// 2Q in full: a FIFO of a quarter for new pages, ghosts for half, LRU for the rest.
struct TwoQueues {
    links: Links,
    place: Vec<Place>,
    recent: List,
    ghosts: List,
    main: List,
    memory: usize,
}

impl TwoQueues {
    fn new(pages: usize, memory: usize) -> Self {
        Self {
            links: Links::new(pages),
            place: vec![Place::Nowhere; pages],
            recent: List::new(),
            ghosts: List::new(),
            main: List::new(),
            memory,
        }
    }

    fn make_room(&mut self) {
        if self.recent.length + self.main.length < self.memory {
            return;
        }
        if self.recent.length > self.memory / 4 || self.main.length == 0 {
            if let Some(victim) = self.recent.pop(&mut self.links) {
                self.place[victim as usize] = Place::FirstGhost;
                self.ghosts.push(&mut self.links, victim);
            }
            if self.ghosts.length > self.memory / 2
                && let Some(forgotten) = self.ghosts.pop(&mut self.links)
            {
                self.place[forgotten as usize] = Place::Nowhere;
            }
        } else if let Some(victim) = self.main.pop(&mut self.links) {
            self.place[victim as usize] = Place::Nowhere;
        }
    }
}

impl Policy for TwoQueues {
    fn misses(&mut self, page: u32) -> bool {
        let at = page as usize;
        match self.place[at] {
            Place::First => return false,
            Place::Second => {
                self.main.remove(&mut self.links, page);
                self.main.push(&mut self.links, page);
                return false;
            }
            Place::FirstGhost => {
                self.ghosts.remove(&mut self.links, page);
                self.place[at] = Place::Nowhere;
                self.make_room();
                self.main.push(&mut self.links, page);
                self.place[at] = Place::Second;
            }
            _ => {
                self.make_room();
                self.recent.push(&mut self.links, page);
                self.place[at] = Place::First;
            }
        }
        true
    }
}

/// S3-FIFO: a small FIFO of a tenth, a main one with two bits of frequency, ghosts as many as
/// pages of the main one.
struct S3Fifo {
    links: Links,
    place: Vec<Place>,
    frequency: Vec<u8>,
    small: List,
    main: List,
    ghosts: List,
    memory: usize,
}

impl S3Fifo {
    fn new(pages: usize, memory: usize) -> Self {
        Self {
            links: Links::new(pages),
            place: vec![Place::Nowhere; pages],
            frequency: vec![0; pages],
            small: List::new(),
            main: List::new(),
            ghosts: List::new(),
            memory,
        }
    }

    fn evict(&mut self) {
        if self.small.length >= (self.memory / 10).max(1) || self.main.length == 0 {
            while let Some(page) = self.small.pop(&mut self.links) {
                let at = page as usize;
                if self.frequency[at] > 1 {
                    self.frequency[at] = 0;
                    self.place[at] = Place::Second;
                    self.main.push(&mut self.links, page);
                } else {
                    self.place[at] = Place::FirstGhost;
                    self.ghosts.push(&mut self.links, page);
                    if self.ghosts.length > self.memory * 9 / 10
                        && let Some(forgotten) = self.ghosts.pop(&mut self.links)
                    {
                        self.place[forgotten as usize] = Place::Nowhere;
                    }
                    return;
                }
            }
        }
        while let Some(page) = self.main.pop(&mut self.links) {
            let at = page as usize;
            if self.frequency[at] == 0 {
                self.place[at] = Place::Nowhere;
                return;
            }
            self.frequency[at] -= 1;
            self.main.push(&mut self.links, page);
        }
    }
}

impl Policy for S3Fifo {
    fn misses(&mut self, page: u32) -> bool {
        let at = page as usize;
        if matches!(self.place[at], Place::First | Place::Second) {
            self.frequency[at] = (self.frequency[at] + 1).min(3);
            return false;
        }
        let was_ghost = self.place[at] == Place::FirstGhost;
        if was_ghost {
            self.ghosts.remove(&mut self.links, page);
            self.place[at] = Place::Nowhere;
        }
        while self.small.length + self.main.length >= self.memory {
            self.evict();
        }
        self.frequency[at] = 0;
        if was_ghost {
            self.place[at] = Place::Second;
            self.main.push(&mut self.links, page);
        } else {
            self.place[at] = Place::First;
            self.small.push(&mut self.links, page);
        }
        true
    }
}

struct Arc {
    links: Links,
    place: Vec<Place>,
    recent: List,
    frequent: List,
    recent_ghosts: List,
    frequent_ghosts: List,
    /// What `recent` should have.
    target: usize,
    memory: usize,
}

impl Arc {
    fn new(pages: usize, memory: usize) -> Self {
        Self {
            links: Links::new(pages),
            place: vec![Place::Nowhere; pages],
            recent: List::new(),
            frequent: List::new(),
            recent_ghosts: List::new(),
            frequent_ghosts: List::new(),
            target: 0,
            memory,
        }
    }

    fn replace(&mut self, for_frequent_ghost: bool) {
        let recent = self.recent.length;
        let from_recent =
            recent > 0 && (recent > self.target || (for_frequent_ghost && recent == self.target));
        if from_recent || self.frequent.length == 0 {
            if let Some(victim) = self.recent.pop(&mut self.links) {
                self.place[victim as usize] = Place::FirstGhost;
                self.recent_ghosts.push(&mut self.links, victim);
            }
        } else if let Some(victim) = self.frequent.pop(&mut self.links) {
            self.place[victim as usize] = Place::SecondGhost;
            self.frequent_ghosts.push(&mut self.links, victim);
        }
    }

    fn forget(&mut self, frequent: bool) {
        let ghosts = if frequent {
            &mut self.frequent_ghosts
        } else {
            &mut self.recent_ghosts
        };
        if let Some(forgotten) = ghosts.pop(&mut self.links) {
            self.place[forgotten as usize] = Place::Nowhere;
        }
    }
}

impl Policy for Arc {
    fn misses(&mut self, page: u32) -> bool {
        let at = page as usize;
        let (recent_ghosts, frequent_ghosts) =
            (self.recent_ghosts.length, self.frequent_ghosts.length);
        match self.place[at] {
            Place::First => {
                self.recent.remove(&mut self.links, page);
            }
            Place::Second => {
                self.frequent.remove(&mut self.links, page);
            }
            Place::FirstGhost => {
                let step = (frequent_ghosts / recent_ghosts).max(1);
                self.target = (self.target + step).min(self.memory);
                self.replace(false);
                self.recent_ghosts.remove(&mut self.links, page);
            }
            Place::SecondGhost => {
                let step = (recent_ghosts / frequent_ghosts).max(1);
                self.target = self.target.saturating_sub(step);
                self.replace(true);
                self.frequent_ghosts.remove(&mut self.links, page);
            }
            Place::Nowhere => {
                let recent = self.recent.length + recent_ghosts;
                let all = recent + self.frequent.length + frequent_ghosts;
                if recent == self.memory {
                    if self.recent.length < self.memory {
                        self.forget(false);
                        self.replace(false);
                    } else if let Some(victim) = self.recent.pop(&mut self.links) {
                        self.place[victim as usize] = Place::Nowhere;
                    }
                } else if all >= self.memory {
                    if all == 2 * self.memory {
                        self.forget(true);
                    }
                    self.replace(false);
                }
                self.recent.push(&mut self.links, page);
                self.place[at] = Place::First;
                return true;
            }
        }
        let hit = matches!(self.place[at], Place::First | Place::Second);
        self.frequent.push(&mut self.links, page);
        self.place[at] = Place::Second;
        !hit
    }
}

/// Misses of the offline optimum: what is touched again last leaves first.
pub(crate) fn optimum(trace: &Trace, memory: usize) -> usize {
    let accesses = &trace.accesses;
    let mut upcoming = vec![u32::MAX; trace.pages];
    let mut next = vec![u32::MAX; accesses.len()];
    for (at, access) in accesses.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut upcoming[access.page() as usize], at as u32);
    }
    // Outdated entries stay in the heap: a page's own next touch says which one counts.
    let mut resident = vec![false; trace.pages];
    let mut next_of = vec![0; trace.pages];
    let mut heap = BinaryHeap::new();
    let (mut used, mut misses) = (0, 0);
    for (at, access) in accesses.iter().enumerate() {
        let page = access.page() as usize;
        if !resident[page] {
            misses += 1;
            while used == memory {
                let Some((when, victim)) = heap.pop() else {
                    break;
                };
                let victim: usize = victim;
                if resident[victim] && next_of[victim] == when {
                    resident[victim] = false;
                    used -= 1;
                }
            }
            resident[page] = true;
            used += 1;
        }
        next_of[page] = next[at];
        heap.push((next[at], page));
    }
    misses
}
