//! What is drawn: the regions of a process with their pages, and the lines they are folded into.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use crate::address_space::{MapKind, MapRegion, MapRun};

use super::words::{self, Shade};

/// Where the kernel's half of the addresses begins; one page of it can be seen.
const KERNEL_HALF: usize = 1 << 63;
/// Regions of one kind with a wider hole between them stay on lines of their own.
const NEAR: usize = 64 << 20;
/// Files of less than this are folded together.
const SMALL_FILE: usize = 1 << 20;
/// What has less in memory is shown with the libraries beside it in a picture.
const TRIFLE: usize = 512 << 10;
/// In a picture, a heap of more lines than this is folded into one.
const SKETCHED_HEAP_LINES: usize = 4;
/// A heap of more lines than this is folded into one.
const HEAP_LINES: usize = 24;

/// An address space as it was read.
pub(crate) struct Picture {
    pub(crate) process: i32,
    /// The program's name.
    pub(crate) program: String,
    /// The file it was executed from; empty where that is not known.
    pub(crate) executable: String,
    pub(crate) runs_glebe: bool,
    /// In address order.
    pub(crate) regions: Vec<Region>,
}

/// A region, its name, and the runs of its pages in order and without gaps.
#[derive(Clone)]
pub(crate) struct Region {
    pub(crate) facts: MapRegion,
    pub(crate) name: String,
    pub(crate) runs: Vec<MapRun>,
}

impl Region {
    pub(crate) fn size(&self) -> usize {
        self.facts.end - self.facts.start
    }

    fn is_of_a_file(&self) -> bool {
        self.name.starts_with('/')
    }
}

/// Bytes, summed over regions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Sum {
    pub(crate) regions: usize,
    pub(crate) size: usize,
    pub(crate) resident: usize,
    pub(crate) dirty: usize,
    pub(crate) swapped: usize,
    pub(crate) evicted: usize,
    pub(crate) huge: usize,
    pub(crate) live_blocks: usize,
}

impl Sum {
    pub(crate) fn of<'a>(regions: impl IntoIterator<Item = &'a Region>) -> Sum {
        let mut sum = Sum::default();
        for region in regions {
            sum += region;
        }
        sum
    }

    /// Not in the program's sight, but to be had back.
    pub(crate) fn out(&self) -> usize {
        self.swapped + self.evicted
    }
}

impl AddAssign<&Region> for Sum {
    fn add_assign(&mut self, region: &Region) {
        let facts = &region.facts;
        self.regions += 1;
        self.size += region.size();
        self.resident += facts.resident_bytes;
        self.dirty += facts.dirty_bytes;
        self.swapped += facts.swapped_bytes;
        self.evicted += facts.evicted_bytes;
        self.huge += facts.huge_bytes;
        self.live_blocks += facts.live_blocks;
    }
}

/// Neighbouring regions that are shown as one.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    /// At least one.
    pub(crate) regions: &'a [Region],
    pub(crate) title: Title,
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Title {
    /// Sections of the program's file.
    Program,
    /// Sections of a library's.
    Library,
    /// Libraries and the small mappings among them.
    Libraries,
    /// Many spans of various kinds.
    Heap,
    Of(MapKind),
}

impl Title {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Title::Program => "program",
            Title::Library => "library",
            Title::Libraries => "libraries",
            Title::Heap => "heap",
            Title::Of(kind) => words::of_kind(kind),
        }
    }
}

impl<'a> Line<'a> {
    pub(crate) fn start(&self) -> usize {
        self.regions[0].facts.start
    }

    pub(crate) fn end(&self) -> usize {
        self.regions[self.regions.len() - 1].facts.end
    }

    pub(crate) fn sum(&self) -> Sum {
        Sum::of(self.regions)
    }

    /// The kind of the most bytes, guards aside.
    pub(crate) fn kind(&self) -> MapKind {
        match self.title {
            Title::Of(kind) => kind,
            Title::Heap => MapKind::Slabs,
            Title::Program | Title::Library | Title::Libraries => MapKind::Text,
        }
    }

    pub(crate) fn is_heap(&self) -> bool {
        words::is_heap(self.kind())
    }

    /// The protection of all regions, guards aside; None where they differ.
    pub(crate) fn protection(&self) -> Option<String> {
        let mut all = self
            .regions
            .iter()
            .filter(|region| self.regions.len() == 1 || region.facts.kind != MapKind::Guard)
            .map(|region| words::protection(&region.facts));
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    /// The name, or what is inside.
    pub(crate) fn label(&self) -> String {
        let body = || {
            self.regions
                .iter()
                .filter(|region| region.facts.kind == self.kind())
        };
        let named = self
            .regions
            .iter()
            .find(|region| !region.name.is_empty())
            .map_or("", |region| &region.name);
        match self.title {
            Title::Heap => contents(self.regions),
            Title::Libraries => {
                let library = self
                    .regions
                    .iter()
                    .find(|region| region.is_of_a_file() && region.facts.kind == MapKind::Text);
                let name = library.map_or("", |region| file_name(&region.name));
                format!("{name} and {} more files", self.files().saturating_sub(1))
            }
            Title::Of(MapKind::File) | Title::Library if self.files() > 1 => {
                format!("{} and {} more files", file_name(named), self.files() - 1)
            }
            Title::Program | Title::Library => {
                format!("{} ({} sections)", file_name(named), self.regions.len())
            }
            Title::Of(MapKind::Slabs) => {
                let classes: BTreeSet<_> = body().map(|it| it.facts.block_bytes).collect();
                let live = words::count(self.sum().live_blocks);
                match classes.first() {
                    Some(block) if classes.len() == 1 => {
                        format!("{}: {live} live", words::amount(*block))
                    }
                    _ => format!("{} classes: {live} live", classes.len()),
                }
            }
            _ => match body().count() {
                0 | 1 => named.into(),
                many if named.is_empty() => format!("{many} regions"),
                many => format!("{named} ({many} regions)"),
            },
        }
    }

    fn files(&self) -> usize {
        let named = self.regions.iter().filter(|region| region.is_of_a_file());
        named
            .map(|region| &region.name)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// `count` cells for the pages from the first to the last, holes between regions left out; each
    /// shows what most of its bytes are.
    pub(crate) fn cells(&self, count: usize) -> Vec<Shade> {
        let size = self.sum().size as u128;
        let edge = |cell: usize| (size * cell as u128 / count as u128) as usize;
        let mut runs = self.regions.iter().flat_map(|region| &region.runs);
        let mut run = runs.next();
        let mut behind = 0;
        (0..count)
            .map(|cell| {
                let mut bytes = [0; Shade::ALL.len()];
                let mut at = edge(cell);
                let to = edge(cell + 1);
                while let Some(here) = run {
                    let end = behind + (here.end - here.start);
                    let upto = end.min(to);
                    bytes[Shade::of(here) as usize] += upto.saturating_sub(at);
                    at = at.max(upto);
                    if end > to {
                        break;
                    }
                    behind = end;
                    run = runs.next();
                }
                most(&bytes)
            })
            .collect()
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The shade with the most bytes.
pub(crate) fn most(bytes: &[usize; Shade::ALL.len()]) -> Shade {
    let most = |best: Shade, next: Shade| match bytes[next as usize] > bytes[best as usize] {
        true => next,
        false => best,
    };
    Shade::ALL.into_iter().fold(Shade::Absent, most)
}

/// "slabs 20 MiB, medium 10 MiB, free 4 MiB", the largest first.
fn contents(regions: &[Region]) -> String {
    let mut sums: Vec<_> = totals(regions)
        .into_iter()
        .filter(|(kind, _)| *kind != MapKind::Guard)
        .collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.size));
    let parts: Vec<_> = sums
        .iter()
        .map(|(kind, sum)| format!("{} {}", words::of_kind(*kind), words::amount(sum.size)))
        .collect();
    parts.join(", ")
}

/// The sums of each kind that there is.
pub(crate) fn totals(regions: &[Region]) -> Vec<(MapKind, Sum)> {
    words::KINDS
        .iter()
        .map(|kind| {
            let of_kind = regions.iter().filter(|region| region.facts.kind == *kind);
            (*kind, Sum::of(of_kind))
        })
        .filter(|(_, sum)| sum.regions > 0)
        .collect()
}

impl Picture {
    /// A line for each region.
    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        self.regions
            .chunks(1)
            .map(|regions| self.line(regions))
            .collect()
    }

    /// One line for the sections of a file, for neighbours of one kind with the guards beside them,
    /// and for a heap of many lines.
    pub(crate) fn folded(&self) -> Vec<Line<'_>> {
        let lines = fold(
            &self.regions,
            &self.lines(),
            |regions| self.line(regions),
            belongs_to,
        );
        let heap = self.with_one_heap(&lines);
        if lines.len() > heap.len() + HEAP_LINES {
            heap
        } else {
            lines
        }
    }

    /// The folded lines, with the spans of the heap in one line where they are many, and libraries
    /// with the small mappings among them in one: as few as a picture needs. Without the page in
    /// the kernel's half.
    pub(crate) fn sketched(&self) -> Vec<Line<'_>> {
        let mut lines = self.folded();
        let heap = self.with_one_heap(&lines);
        if lines.len() > heap.len() + SKETCHED_HEAP_LINES {
            lines = heap;
        }
        let is_library = |line: &Line| line.title == Title::Library;
        let is_part = |line: &Line| is_library(line) || is_trifle(line);
        let mut rest = &self.regions[..];
        let mut sketched = Vec::new();
        for part in
            lines.chunk_by(|line, next| is_part(line) && is_part(next) && is_near(line, next))
        {
            let regions;
            (regions, rest) = rest.split_at(part.iter().map(|line| line.regions.len()).sum());
            match part {
                [_, _, ..] if part.iter().any(is_library) => sketched.push(Line {
                    regions,
                    title: Title::Libraries,
                }),
                _ => sketched.extend(part),
            }
        }
        sketched.retain(|line| line.start() < KERNEL_HALF);
        sketched
    }

    /// The lines, with one for all spans of the heap that follow each other.
    fn with_one_heap<'a>(&'a self, lines: &[Line<'a>]) -> Vec<Line<'a>> {
        let is_span = |line: &Line| line.is_heap() && line.kind() != MapKind::LargeObject;
        fold(
            &self.regions,
            lines,
            |regions| Line {
                regions,
                title: Title::Heap,
            },
            |line, next| is_span(line) && is_span(next) && is_near(line, next),
        )
    }

    /// The regions as a line.
    fn line<'a>(&self, regions: &'a [Region]) -> Line<'a> {
        let file = regions.iter().find(|region| region.is_of_a_file());
        let is_code = |region: &Region| region.facts.kind == MapKind::Text;
        let title = match file {
            Some(file) if regions.len() > 1 && regions.iter().any(is_code) => {
                match file.name == self.executable {
                    true => Title::Program,
                    false => Title::Library,
                }
            }
            _ => Title::Of(largest_kind(regions)),
        };
        Line { regions, title }
    }
}

/// The kind with the most bytes; guards count only where there is nothing else.
fn largest_kind(regions: &[Region]) -> MapKind {
    totals(regions)
        .iter()
        .max_by_key(|(kind, sum)| (*kind != MapKind::Guard, sum.size))
        .map_or(MapKind::Anonymous, |(kind, _)| *kind)
}

/// Joins neighbours for which `joins` holds into what `line` makes of them. `lines` are those of all
/// `regions`, in their order.
fn fold<'a>(
    regions: &'a [Region],
    lines: &[Line<'a>],
    line: impl Fn(&'a [Region]) -> Line<'a>,
    joins: impl Fn(&Line, &Line) -> bool,
) -> Vec<Line<'a>> {
    let mut folded: Vec<Line> = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for next in lines {
        let behind = end + next.regions.len();
        match folded.last_mut() {
            Some(last) if joins(last, next) => *last = line(&regions[begin..behind]),
            _ => {
                begin = end;
                folded.push(*next);
            }
        }
        end = behind;
    }
    folded
}

/// Whether a picture may show it as part of the libraries beside it.
fn is_trifle(line: &Line) -> bool {
    let sum = line.sum();
    let is_part = match line.title {
        Title::Of(MapKind::Stack) | Title::Program => false,
        _ => !line.is_heap() || line.kind() == MapKind::GuardedObject,
    };
    is_part && sum.out() == 0 && sum.resident < TRIFLE
}

fn is_near(line: &Line, next: &Line) -> bool {
    next.start() - line.end() < NEAR
}

/// Whether `next` is more of what `line` is.
fn belongs_to(line: &Line, next: &Line) -> bool {
    let (region, facts) = (&next.regions[0], &next.regions[0].facts);
    let touches = line.end() == facts.start;
    let name = |regions: &[Region]| {
        let named = regions.iter().find(|region| !region.name.is_empty());
        named.map(|region| region.name.clone())
    };
    if let Some(file) = name(line.regions).filter(|name| name.starts_with('/')) {
        let is_section = line.kind() != MapKind::File && facts.kind == MapKind::Bss;
        let is_small =
            |region: &Region| region.facts.kind == MapKind::File && region.size() < SMALL_FILE;
        let are_small = line.regions.iter().chain(next.regions).all(is_small);
        return region.name == file
            || are_small && is_near(line, next)
            || region.name.is_empty() && touches && is_section;
    }
    match (line.title, facts.kind) {
        (_, MapKind::Guard) => touches && !region.is_of_a_file(),
        (Title::Of(MapKind::Guard), _) => touches && !region.is_of_a_file(),
        (Title::Of(kind), next_kind) => {
            let is_same = facts.is_shared == line.regions[0].facts.is_shared
                && (region.name.is_empty() || Some(&region.name) == name(line.regions).as_ref());
            kind == next_kind && is_same && is_near(line, next)
        }
        _ => false,
    }
}
