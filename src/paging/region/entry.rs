//! The page table entries of a region.

/// Where the contents of a page are. The numbers are those of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum State {
    /// Nowhere: zero, or as the file or the shared memory has it.
    Absent = 0,
    /// In memory, in its place. The payload is the unit's node, while it is in a list.
    Resident = 1,
    /// In a frame of staging, which the payload numbers.
    Staged = 2,
    /// In the store, whose handle is the payload.
    Stored = 3,
    /// A word again and again, which is the payload.
    Same = 4,
}

/// An entry:
///
/// ```text
/// | payload (40 bits) | pins, or age (16) | 0 | unreadable | proven | dirty | state (3) |
/// ```
///
/// What concerns the unit (pins, age and flags) stands in the entry of its first page. Pins are of
/// units in their place, an age of those that have left. All zero: never touched, or forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry(u64);

const STATE: u64 = 7;
const DIRTY: u64 = 1 << 3;
const PROVEN: u64 = 1 << 4;
const UNREADABLE: u64 = 1 << 5;
const PINS_SHIFT: u32 = 8;
const PINS_MASK: u64 = 0xffff << PINS_SHIFT;
/// Pins of a page at a time.
pub(super) const MOST_PINS: u64 = (1 << 12) - 1;
const PAYLOAD_SHIFT: u32 = 24;

impl Entry {
    /// An entry in that state.
    pub(super) fn new(state: State, payload: u64) -> Entry {
        debug_assert!(payload < 1 << 40);
        Entry(payload << PAYLOAD_SHIFT | state as u64)
    }

    /// The entry that a word of another process is.
    pub(super) fn of_word(word: u64) -> Entry {
        Entry(word)
    }

    /// Where the page is.
    pub(super) fn state(self) -> State {
        match self.0 & STATE {
            1 => State::Resident,
            2 => State::Staged,
            3 => State::Stored,
            4 => State::Same,
            _ => State::Absent,
        }
    }

    /// What goes with the state.
    pub(super) fn payload(self) -> u64 {
        self.0 >> PAYLOAD_SHIFT
    }

    /// Whether the file does not have it.
    pub(super) fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    /// Whether it was wanted back soon.
    pub(super) fn is_proven(self) -> bool {
        self.0 & PROVEN != 0
    }

    /// Whether nobody may read it, not even we.
    pub(super) fn is_unreadable(self) -> bool {
        self.0 & UNREADABLE != 0
    }

    /// How often it is pinned.
    pub(super) fn pins(self) -> u64 {
        match self.state() {
            State::Resident => (self.0 & PINS_MASK) >> PINS_SHIFT,
            _ => 0,
        }
    }

    /// When it left memory, by the worker's clock; 0: it never did, or is there.
    pub(super) fn age(self) -> u16 {
        match self.state() {
            State::Resident => 0,
            _ => (self.0 >> PINS_SHIFT) as u16,
        }
    }

    fn with(self, flag: u64, set: bool) -> Entry {
        Entry(if set { self.0 | flag } else { self.0 & !flag })
    }

    pub(super) fn dirty(self, set: bool) -> Entry {
        self.with(DIRTY, set)
    }

    pub(super) fn proven(self, set: bool) -> Entry {
        self.with(PROVEN, set)
    }

    pub(super) fn unreadable(self, set: bool) -> Entry {
        self.with(UNREADABLE, set)
    }

    pub(super) fn pinned(self, pins: u64) -> Entry {
        debug_assert!(pins <= MOST_PINS && self.state() == State::Resident);
        Entry(self.0 & !PINS_MASK | pins << PINS_SHIFT)
    }

    pub(super) fn aged(self, age: u16) -> Entry {
        debug_assert!(self.state() != State::Resident);
        Entry(self.0 & !PINS_MASK | u64::from(age) << PINS_SHIFT)
    }

    /// The same unit's flags in another state, without pins or age.
    pub(super) fn moved(self, state: State, payload: u64) -> Entry {
        let flags = self.0 & ((1 << PAYLOAD_SHIFT) - 1) & !STATE & !PINS_MASK;
        Entry(Entry::new(state, payload).0 | flags)
    }

    /// It with another payload.
    pub(super) fn with_payload(self, payload: u64) -> Entry {
        debug_assert!(payload < 1 << 40);
        Entry(self.0 & ((1 << PAYLOAD_SHIFT) - 1) | payload << PAYLOAD_SHIFT)
    }

    /// The word that it is.
    pub(super) fn word(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_its_parts_apart() {
        let entry = Entry::new(State::Resident, (1 << 40) - 1)
            .dirty(true)
            .pinned(MOST_PINS);
        assert_eq!(entry.state(), State::Resident);
        assert_eq!(entry.payload(), (1 << 40) - 1);
        assert_eq!((entry.pins(), entry.age()), (MOST_PINS, 0));
        assert!(entry.is_dirty() && !entry.is_proven() && !entry.is_unreadable());
        let moved = entry.proven(true).moved(State::Stored, 5);
        assert_eq!((moved.state(), moved.payload()), (State::Stored, 5));
        assert_eq!((moved.pins(), moved.age()), (0, 0));
        assert!(moved.is_dirty() && moved.is_proven());
        let aged = moved.aged(u16::MAX);
        assert_eq!((aged.pins(), aged.age()), (0, u16::MAX));
        assert_eq!((aged.state(), aged.payload()), (State::Stored, 5));
        assert_eq!(aged.moved(State::Resident, 0).pins(), 0);
        assert_eq!(Entry::new(State::Absent, 0).word(), 0);
    }
}
