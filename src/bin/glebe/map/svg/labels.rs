//! What is written beside the bands of a picture.

use std::fmt::Write;

use crate::address_space::MapKind;

use super::super::picture::{Line, Region, Title};
use super::super::terminal;
use super::super::words::{Shade, amount};

const LABEL_LETTERS: usize = 44;

/// What neighbouring bands are together: the words of the textbook.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Program,
    Heap,
    LargeObjects,
    Glebe,
    Regions,
    Mappings,
    Libraries,
    Threads,
    Stack,
    Kernel,
}

impl Group {
    pub(super) fn of(line: &Line) -> Group {
        match (line.title, line.kind()) {
            (Title::Library | Title::Libraries, _) => Group::Libraries,
            (_, MapKind::Text | MapKind::Data | MapKind::Bss) => Group::Program,
            (_, MapKind::LargeObject) => Group::LargeObjects,
            (_, MapKind::HeapTables | MapKind::PagingStore) => Group::Glebe,
            (_, MapKind::PagedRegion | MapKind::Segment | MapKind::DataSection) => Group::Regions,
            (_, MapKind::Kernel) => Group::Kernel,
            (_, MapKind::Stack) => match line.label().starts_with("[stack]") {
                true => Group::Stack,
                false => Group::Threads,
            },
            _ if line.is_heap() => Group::Heap,
            _ => Group::Mappings,
        }
    }

    /// Two lines of text and a tint.
    pub(super) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Group::Program => ("PROGRAM", "text and data", "#d9e8f5"),
            Group::Heap => ("HEAP", "grows up \u{2191}", "#d5efdc"),
            Group::LargeObjects => ("HEAP", "large objects", "#d5efdc"),
            Group::Glebe => ("GLEBE", "its own tables", "#fbefcf"),
            Group::Regions => ("REGIONS", "of the program", "#fde3cf"),
            Group::Mappings => ("MAPPINGS", "files, memory", "#eeeeee"),
            Group::Libraries => ("LIBRARIES", "shared code", "#e3e9ef"),
            Group::Threads => ("STACKS", "of threads", "#ecdff3"),
            Group::Stack => ("STACK", "grows down \u{2193}", "#e3cdf0"),
            Group::Kernel => ("KERNEL", "shown to all", "#eeeeee"),
        }
    }
}

/// A line of text beside a band.
pub(super) struct Label {
    pub(super) text: String,
    pub(super) style: &'static str,
    /// What the text is about: a line leads to such a cell.
    pub(super) shade: Option<Shade>,
}

/// What is written beside a band: kind and size, what is in memory, what is out.
pub(super) fn labels(line: &Line) -> Vec<Label> {
    let sum = line.sum();
    let label = |text: String, style, shade| Label {
        text: shortened(&text),
        style,
        shade,
    };
    let protection = match line.protection() {
        Some(protection) => format!(", {protection}"),
        None => String::new(),
    };
    let mut all = vec![label(
        format!("{}, {}{protection}", title(line), amount(sum.size)),
        "b",
        None,
    )];
    let name = line.label();
    let mut resident = match sum.resident {
        0 => "nothing resident".into(),
        bytes if bytes == sum.size => "all resident".into(),
        bytes => format!("{} resident", amount(bytes)),
    };
    if sum.huge > 0 {
        let _ = write!(resident, ", {} in huge pages", amount(sum.huge));
    }
    if sum.resident > 0 || line.kind() != MapKind::Guard {
        all.push(label(resident, "t", None));
    }
    let mut name = name.as_str();
    // The contents of a heap are worth a second line.
    if let Some(comma) = (name.len() > LABEL_LETTERS && line.title == Title::Heap)
        .then(|| name[..LABEL_LETTERS].rfind(", "))
        .flatten()
    {
        all.push(label(name[..=comma].into(), "d", None));
        name = &name[comma + 2..];
    }
    if !name.is_empty() {
        all.push(label(name.into(), "d", None));
    }
    if sum.evicted > 0 {
        let mut parts: Vec<_> = Shade::ALL
            .into_iter()
            .filter(|shade| shade.is_evicted())
            .map(|shade| (bytes_of(line.regions, shade), shade))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let text = format!("{} EVICTED by glebe", amount(sum.evicted));
        all.push(label(text, "e", parts.first().map(|(_, shade)| *shade)));
        let parts: Vec<_> = parts
            .iter()
            .map(|(bytes, shade)| format!("{} {}", shade.word(), amount(*bytes)))
            .collect();
        for two in parts.chunks(2) {
            all.push(label(two.join(", "), "d", None));
        }
    }
    if sum.swapped > 0 {
        let text = format!("{} SWAPPED by the kernel", amount(sum.swapped));
        all.push(label(text, "e", Some(Shade::Swapped)));
    }
    all
}

fn title(line: &Line) -> &'static str {
    match line.title {
        Title::Libraries => "libraries, small mappings",
        Title::Of(MapKind::Slabs) => "slabs of small blocks",
        Title::Of(MapKind::MediumObjects) => "medium objects",
        Title::Of(MapKind::LargeObject) => "large objects",
        Title::Of(MapKind::FreeHeap) => "free heap memory",
        Title::Of(MapKind::GuardedObject) => "guarded objects",
        Title::Of(MapKind::ProgramBreak) => "program break",
        Title::Of(MapKind::HeapTables) => "tables of the heap",
        Title::Of(MapKind::PagingStore) => "staging and store",
        Title::Of(MapKind::PagedRegion) => "paged region",
        Title::Of(MapKind::DataSection) => "data section",
        Title::Of(MapKind::Guard) => "guard pages",
        Title::Of(MapKind::Shared) => "shared memory",
        Title::Of(MapKind::Anonymous) => "anonymous memory",
        title => title.word(),
    }
}

pub(super) fn bytes_of(regions: &[Region], shade: Shade) -> usize {
    let runs = regions.iter().flat_map(|region| &region.runs);
    runs.filter(|run| Shade::of(run) == shade)
        .map(|run| run.end - run.start)
        .sum()
}

fn shortened(text: &str) -> String {
    terminal::shortened(text, LABEL_LETTERS)
}
