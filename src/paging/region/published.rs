//! Where regions lie, in words that a map of the process reads from outside.

use super::super::picture::Elsewhere;
use super::PLACES;
use super::control::Control;
use super::entry::{Entry, State};
use super::options::Kind;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Words about a region.
pub(crate) const PUBLISHED_WORDS: usize = 9;

/// The words' places.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Published {
    /// Address of the region; 0: there is none.
    Start = 0,
    /// Bytes that it may grow to.
    MostBytes,
    /// Address of its table.
    Table,
    /// Bytes of that.
    TableBytes,
    /// Address of the directory in it: for each 2 MiB the address of a leaf, or 0.
    Directory,
    /// Of a file: pages of a unit, whose first entry says whether it is dirty. Else 0.
    FileUnitPages,
    /// Address of its staging.
    Staging,
    /// Bytes of that.
    StagingBytes,
    /// Address of the words start and blocks of its compressed memory.
    Store,
}

static PUBLISHED: [[AtomicUsize; PUBLISHED_WORDS]; PLACES] =
    [const { [const { AtomicUsize::new(0) }; PUBLISHED_WORDS] }; PLACES];

/// Where the words are.
pub(crate) const fn published() -> *const () {
    (&raw const PUBLISHED).cast()
}

/// Publishes a region.
pub(super) fn set(place: usize, control: &Control) {
    let (table, table_bytes) = control.table.range();
    let (staging, staging_bytes) = control.staging_range();
    let words = [
        control.start,
        control.plan.most_bytes,
        table,
        table_bytes,
        control.table.directory(),
        match control.plan.kind {
            Kind::File => control.table.unit_pages(),
            Kind::Anonymous | Kind::Shared => 0,
        },
        staging,
        staging_bytes,
        control.store.words().addr(),
    ];
    if let Some(places) = PUBLISHED.get(place) {
        // The start last: who reads from outside sees a region whole, or not at all, but for a
        // moment that does no harm.
        for (word, value) in places.iter().zip(words).rev() {
            word.store(value, Ordering::Release);
        }
    }
}

/// The region of that place is no more.
pub(super) fn clear(place: usize) {
    if let Some(words) = PUBLISHED.get(place) {
        words[Published::Start as usize].store(0, Ordering::Relaxed);
    }
}

/// What the entry of a page of a region says.
pub(crate) fn entry_of_region(word: u64) -> Option<Elsewhere> {
    match Entry::of_word(word).state() {
        State::Staged => Some(Elsewhere::Staged),
        State::Stored => Some(Elsewhere::Compressed),
        State::Same => Some(Elsewhere::Same),
        State::Absent | State::Resident => None,
    }
}

/// Whether the entry of the first page of a unit says that its file does not have it.
pub(crate) fn is_dirty_in_region(word: u64) -> bool {
    Entry::of_word(word).is_dirty()
}
