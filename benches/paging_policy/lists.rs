//! Doubly linked lists over page numbers, all in one table: a page is in one list at most.

const NONE: u32 = u32::MAX;

pub(crate) struct Links {
    previous: Vec<u32>,
    next: Vec<u32>,
}

impl Links {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            previous: vec![NONE; pages],
            next: vec![NONE; pages],
        }
    }
}

/// A list: pages enter at its head and (mostly) leave at its tail.
#[derive(Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    pub(crate) length: usize,
}

impl List {
    pub(crate) const fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            length: 0,
        }
    }

    pub(crate) fn push(&mut self, links: &mut Links, page: u32) {
        links.previous[page as usize] = NONE;
        links.next[page as usize] = self.head;
        if self.head == NONE {
            self.tail = page;
        } else {
            links.previous[self.head as usize] = page;
        }
        self.head = page;
        self.length += 1;
    }

    pub(crate) fn remove(&mut self, links: &mut Links, page: u32) {
        let (previous, next) = (links.previous[page as usize], links.next[page as usize]);
        match previous {
            NONE => self.head = next,
            previous => links.next[previous as usize] = next,
        }
        match next {
            NONE => self.tail = previous,
            next => links.previous[next as usize] = previous,
        }
        self.length -= 1;
    }

    pub(crate) fn last(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    /// The page nearer to the head.
    pub(crate) fn before(&self, links: &Links, page: u32) -> Option<u32> {
        let previous = links.previous[page as usize];
        (previous != NONE).then_some(previous)
    }

    pub(crate) fn pop(&mut self, links: &mut Links) -> Option<u32> {
        let page = self.last()?;
        self.remove(links, page);
        Some(page)
    }
}
