//! The words, glyphs and colours of a map: one for each kind of region and each state of a page.
//!
//! The colours of states are told apart by eyes that do not see red or green, and each has a glyph,
//! so that a bar reads without colour.

use crate::address_space::{MapKind, MapPageState, MapRun};

/// Every kind, in the order of the totals.
pub(crate) const KINDS: [MapKind; 20] = [
    MapKind::Text,
    MapKind::Data,
    MapKind::Bss,
    MapKind::ProgramBreak,
    MapKind::Slabs,
    MapKind::MediumObjects,
    MapKind::LargeObject,
    MapKind::FreeHeap,
    MapKind::GuardedObject,
    MapKind::HeapTables,
    MapKind::PagingStore,
    MapKind::PagedRegion,
    MapKind::Segment,
    MapKind::DataSection,
    MapKind::Guard,
    MapKind::Stack,
    MapKind::File,
    MapKind::Shared,
    MapKind::Anonymous,
    MapKind::Kernel,
];

/// The word for a kind, as the user gives it and as JSON has it.
pub(crate) fn of_kind(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Text => "text",
        MapKind::Data => "data",
        MapKind::Bss => "bss",
        MapKind::ProgramBreak => "break",
        MapKind::Slabs => "slabs",
        MapKind::MediumObjects => "medium",
        MapKind::LargeObject => "large",
        MapKind::FreeHeap => "free",
        MapKind::GuardedObject => "guarded",
        MapKind::HeapTables => "tables",
        MapKind::PagingStore => "paging",
        MapKind::PagedRegion => "region",
        MapKind::Segment => "segment",
        MapKind::DataSection => "section",
        MapKind::Guard => "guard",
        MapKind::Stack => "stack",
        MapKind::File => "file",
        MapKind::Shared => "shared",
        MapKind::Anonymous => "anonymous",
        MapKind::Kernel => "kernel",
    }
}

/// Whether memory of the kind holds what malloc gave out, or will.
pub(crate) fn is_heap(kind: MapKind) -> bool {
    matches!(
        kind,
        MapKind::ProgramBreak
            | MapKind::Slabs
            | MapKind::MediumObjects
            | MapKind::LargeObject
            | MapKind::FreeHeap
            | MapKind::GuardedObject
    )
}

/// What a cell shows: the state of its pages, and of resident ones which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Shade {
    Clean,
    Dirty,
    Huge,
    Swapped,
    Staged,
    Compressed,
    SameFilled,
    Filed,
    Guard,
    Absent,
}

impl Shade {
    /// All of them, in the order of the legend.
    pub(crate) const ALL: [Shade; 10] = [
        Shade::Dirty,
        Shade::Clean,
        Shade::Huge,
        Shade::Staged,
        Shade::Compressed,
        Shade::SameFilled,
        Shade::Filed,
        Shade::Swapped,
        Shade::Guard,
        Shade::Absent,
    ];

    /// Of the pages of a run.
    pub(crate) fn of(run: &MapRun) -> Shade {
        match run.state {
            MapPageState::Resident if run.page_bytes >= 2 << 20 => Shade::Huge,
            MapPageState::Resident if run.is_dirty => Shade::Dirty,
            MapPageState::Resident => Shade::Clean,
            MapPageState::Swapped => Shade::Swapped,
            MapPageState::Staged => Shade::Staged,
            MapPageState::Compressed => Shade::Compressed,
            MapPageState::SameFilled => Shade::SameFilled,
            MapPageState::Filed => Shade::Filed,
            MapPageState::Guard => Shade::Guard,
            _ => Shade::Absent,
        }
    }

    /// Glebe moved the pages out of the program's sight.
    pub(crate) fn is_evicted(self) -> bool {
        matches!(
            self,
            Shade::Staged | Shade::Compressed | Shade::SameFilled | Shade::Filed
        )
    }

    /// One word, for legends.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Shade::Clean => "clean",
            Shade::Dirty => "dirty",
            Shade::Huge => "huge",
            Shade::Swapped => "swapped",
            Shade::Staged => "staged",
            Shade::Compressed => "compressed",
            Shade::SameFilled => "same-filled",
            Shade::Filed => "filed",
            Shade::Guard => "guard",
            Shade::Absent => "absent",
        }
    }

    /// For a terminal's bar.
    pub(crate) fn glyph(self) -> char {
        match self {
            Shade::Clean => '▒',
            Shade::Dirty => '█',
            Shade::Huge => 'H',
            Shade::Swapped => 's',
            Shade::Staged => '~',
            Shade::Compressed => 'z',
            Shade::SameFilled => '=',
            Shade::Filed => 'f',
            Shade::Guard => 'x',
            Shade::Absent => '·',
        }
    }

    /// For a terminal: the parameter of "select graphic rendition".
    pub(crate) fn terminal_colour(self) -> &'static str {
        match self {
            Shade::Clean => "38;5;75",
            Shade::Dirty => "38;5;32",
            Shade::Huge => "1;38;5;111",
            Shade::Swapped => "1;38;5;175",
            Shade::Staged => "1;38;5;227",
            Shade::Compressed => "1;38;5;214",
            Shade::SameFilled => "1;38;5;180",
            Shade::Filed => "1;38;5;202",
            Shade::Guard => "38;5;245",
            Shade::Absent => "2",
        }
    }
}

/// For a terminal: the colour of a kind's word.
pub(crate) fn terminal_colour(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Text | MapKind::Data | MapKind::Bss => "36",
        MapKind::Stack => "35",
        kind if is_heap(kind) => "1;32",
        MapKind::HeapTables | MapKind::PagingStore => "33",
        MapKind::PagedRegion | MapKind::Segment | MapKind::DataSection => "1;33",
        MapKind::Guard | MapKind::Kernel => "2",
        MapKind::File | MapKind::Shared => "34",
        _ => "0",
    }
}

/// An amount of memory with three digits or four: "0 B", "16 KiB", "1.25 GiB".
pub(crate) fn amount(bytes: usize) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024 is 1 of the next unit.
    while value >= 1023.5 {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let mut digits = format!("{value:.decimals$}");
    if decimals > 0 {
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    format!("{digits} {}", UNITS[unit])
}

/// A count with commas: "1,234".
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "rwx" as far as it may be done, and "s" or "p": shared or private.
pub(crate) fn protection(region: &crate::address_space::MapRegion) -> String {
    let letter = |is_there, letter| if is_there { letter } else { '-' };
    [
        letter(region.is_readable, 'r'),
        letter(region.is_writable, 'w'),
        letter(region.is_executable, 'x'),
        if region.is_shared { 's' } else { 'p' },
    ]
    .iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_to_eight_characters_and_to_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (1 << 20, "1 MiB"),
            ((1 << 20) - 1, "1 MiB"),
            (1_300_000, "1.24 MiB"),
            (3 << 19, "1.5 MiB"),
            (34 << 20 | 300 << 10, "34.3 MiB"),
            (131072 << 30, "128 TiB"),
            (usize::MAX, "16 EiB"),
        ] {
            assert_eq!(amount(bytes), text);
            assert!(text.len() <= 8);
        }
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn no_two_kinds_have_one_word_and_no_two_shades_one_glyph_or_colour() {
        let distinct = |mut words: Vec<String>| {
            let all = words.len();
            words.sort();
            words.dedup();
            assert_eq!(words.len(), all, "{words:?}");
        };
        distinct(KINDS.iter().map(|kind| of_kind(*kind).into()).collect());
        distinct(
            Shade::ALL
                .iter()
                .map(|shade| shade.glyph().into())
                .collect(),
        );
        distinct(
            Shade::ALL
                .iter()
                .map(|shade| shade.terminal_colour().into())
                .collect(),
        );
        distinct(Shade::ALL.iter().map(|shade| shade.word().into()).collect());
    }
}
