//! A picture as text: a line for each region, a bar of its pages, and sums.

use std::fmt::Write;

use super::picture::{Line, Picture, Region, Sum, totals};
use super::words::{self, Shade, amount};

/// The width where there is no terminal.
pub(crate) const PLAIN_WIDTH: usize = 80;

/// How to write.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Columns.
    pub(crate) width: usize,
    pub(crate) has_colour: bool,
}

impl Style {
    fn paint(self, colour: &str, text: &str) -> String {
        match self.has_colour {
            true if !text.is_empty() && colour != "0" => format!("\x1b[{colour}m{text}\x1b[0m"),
            _ => text.into(),
        }
    }

    /// A line of cells, each run of a colour painted once.
    fn cells(self, cells: &[Shade]) -> String {
        cells
            .chunk_by(|one, next| one == next)
            .map(|run| {
                let glyphs: String = run.iter().map(|shade| shade.glyph()).collect();
                self.paint(run[0].terminal_colour(), &glyphs)
            })
            .collect()
    }

    /// The text, cut where the terminal ends.
    pub(crate) fn cut(self, text: &str) -> String {
        shortened(text, self.width)
    }
}

/// At most `width` characters; what is lost is in front, as paths are told apart by their ends.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.into();
    }
    if width == 0 {
        return String::new();
    }
    let is_path = text.starts_with('/');
    let kept = width - 1;
    if is_path {
        let end: String = text.chars().skip(length - kept).collect();
        format!("…{end}")
    } else {
        let begin: String = text.chars().take(kept).collect();
        format!("{begin}…")
    }
}

/// The columns of a table of lines that fits a width.
struct Columns {
    style: Style,
    /// Cells of a bar; 0 where there is no room for one.
    bar: usize,
    /// Whether anything is swapped or evicted.
    has_out: bool,
    /// Characters of the name; 0 where there is no room.
    name: usize,
}

impl Columns {
    /// Address, size, kind, protection, resident, with a space behind each.
    const FIXED: usize = 13 + 9 + 10 + 5 + 9;
    const OUT: usize = 9;

    fn new(style: Style, has_out: bool) -> Columns {
        let fixed = Columns::FIXED + if has_out { Columns::OUT } else { 0 };
        let room = style.width.saturating_sub(fixed);
        let bar = match room {
            0..12 => 0,
            12..24 => room / 2,
            _ => (room * 2 / 5).clamp(12, 64),
        };
        let name = room - bar - usize::from(bar > 0).min(room - bar);
        Columns {
            style,
            bar,
            has_out,
            name,
        }
    }

    fn heading(&self) -> String {
        let mut line = format!(
            "{:<12} {:>8} {:<9} {:<4} ",
            "address", "size", "kind", "prot"
        );
        if self.bar > 0 {
            let _ = write!(line, "{:<1$} ", "pages", self.bar);
        }
        let _ = write!(line, "{:>8} ", "resident");
        if self.has_out {
            let _ = write!(line, "{:>8} ", "out");
        }
        line.push_str("name or contents");
        let line = self.style.cut(line.trim_end());
        self.style.paint("1", &line)
    }

    fn line(&self, line: &Line, note: &str) -> String {
        let sum = line.sum();
        let style = self.style;
        let protection = line.protection().unwrap_or_else(|| "    ".into());
        let mut fields = vec![
            (address(line.start()), "0"),
            (format!("{:>8} ", amount(sum.size)), "0"),
            (
                format!("{:<9} ", line.title.word()),
                words::terminal_colour(line.kind()),
            ),
            (format!("{protection} "), "0"),
        ];
        let bar = if self.bar > 0 {
            let pages = (sum.size / line.regions[0].facts.page_bytes.max(1)).max(1);
            let cells = line.cells(self.bar.min(pages));
            format!("{}{:2$} ", style.cells(&cells), "", self.bar - cells.len())
        } else {
            String::new()
        };
        let mut end = vec![(figure(sum.resident), "0")];
        if self.has_out {
            end.push((figure(sum.out()), "1;38;5;214"));
        }
        let label = match note {
            "" => line.label(),
            note => format!("{note} {}", line.label()),
        };
        end.push((shortened(&label, self.name), "0"));
        // What does not fit a narrow terminal is left out from the right.
        let mut room = style.width;
        let mut text = String::new();
        let mut put = |text: &mut String, (field, colour): (String, &str)| {
            let field = shortened(&field, room);
            room -= field.chars().count();
            text.push_str(&style.paint(colour, &field));
        };
        for field in fields.drain(..) {
            put(&mut text, field);
        }
        if !bar.is_empty() {
            text.push_str(&bar);
        }
        for field in end {
            put(&mut text, field);
        }
        text.trim_end().into()
    }

    fn hole(&self, size: usize) -> String {
        let line = self
            .style
            .cut(&format!("{:<12} {:>8} hole", "", amount(size)));
        self.style.paint("2", &line)
    }
}

/// Twelve digits; of the kernel's half, which has more, the last.
fn address(address: usize) -> String {
    match format!("{address:012x}") {
        long if long.len() > 12 => format!("…{} ", &long[long.len() - 11..]),
        text => text + " ",
    }
}

fn figure(bytes: usize) -> String {
    match bytes {
        0 => format!("{:>8} ", "-"),
        bytes => format!("{:>8} ", amount(bytes)),
    }
}

/// The picture: a heading, the lines with the holes between them, sums, a legend.
pub(crate) fn draw(picture: &Picture, style: Style, is_folded: bool) -> String {
    let lines = if is_folded {
        picture.folded()
    } else {
        picture.lines()
    };
    let mut text = String::new();
    push(&mut text, &title(picture, style));
    let columns = Columns::new(style, Sum::of(&picture.regions).out() > 0);
    push(&mut text, &columns.heading());
    let mut end = None;
    for line in &lines {
        match end {
            Some(end) if line.start() > end => push(&mut text, &columns.hole(line.start() - end)),
            _ => {}
        }
        push(&mut text, &columns.line(line, ""));
        end = Some(line.end());
    }
    push(&mut text, &legend(style));
    if lines.len() < picture.regions.len() {
        let note = format!(
            "{} regions in {} lines: files, neighbours of one kind and large heaps are folded; --all shows each",
            picture.regions.len(),
            lines.len()
        );
        push(&mut text, &style.paint("2", &wrapped(&note, style.width)));
    }
    text.push('\n');
    text.push_str(&summary(picture, style));
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The first line: which process, and how much of what.
pub(crate) fn title(picture: &Picture, style: Style) -> String {
    let sum = Sum::of(&picture.regions);
    let mut line = format!(
        "process {} ({}), {}: {} of addresses, {} resident",
        picture.process,
        picture.program,
        if picture.runs_glebe {
            "runs glebe"
        } else {
            "does not run glebe"
        },
        amount(sum.size),
        amount(sum.resident)
    );
    for (bytes, word) in [(sum.evicted, "evicted"), (sum.swapped, "swapped")] {
        if bytes > 0 {
            let _ = write!(line, ", {} {word}", amount(bytes));
        }
    }
    style.paint("1", &wrapped(&line, style.width))
}

/// Words to lines of at most `width` characters, where no word is longer.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(&shortened(word, width));
        column += length;
    }
    lines
}

/// One line for each glyph that there is: what it says.
pub(crate) fn legend(style: Style) -> String {
    let mut text = String::new();
    let mut column = 0;
    for shade in Shade::ALL {
        let length = shade.word().len() + 2;
        if column > 0 && column + 2 + length > style.width {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push_str("  ");
            column += 2;
        }
        let glyph = shade.glyph().to_string();
        text.push_str(&style.paint(shade.terminal_colour(), &glyph));
        let _ = write!(text, " {}", shade.word());
        column += length;
    }
    text
}

/// The sums of each kind, of everything, and the sizes of the pages in use.
pub(crate) fn summary(picture: &Picture, style: Style) -> String {
    let mut text = String::new();
    let heading = format!(
        "{:<10} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "kind", "regions", "size", "resident", "dirty", "swapped", "evicted"
    );
    push(&mut text, &style.paint("1", &style.cut(&heading)));
    let mut row = |word: &str, colour: &str, sum: &Sum| {
        let amounts = [sum.size, sum.resident, sum.dirty, sum.swapped, sum.evicted];
        let figures: String = amounts
            .iter()
            .map(|bytes| match bytes {
                0 => format!(" {:>9}", "-"),
                bytes => format!(" {:>9}", amount(*bytes)),
            })
            .collect();
        let word = shortened(&format!("{word:<10}"), style.width);
        let figures = format!(" {:>7}{figures}", words::count(sum.regions));
        let figures = shortened(&figures, style.width.saturating_sub(10));
        push(
            &mut text,
            &format!("{}{figures}", style.paint(colour, &word)),
        );
    };
    for (kind, sum) in totals(&picture.regions) {
        row(words::of_kind(kind), words::terminal_colour(kind), &sum);
    }
    row("all", "1", &Sum::of(&picture.regions));
    let line = format!("pages in use: {}", page_sizes(picture));
    push(&mut text, &wrapped(&line, style.width));
    text
}

/// "4 KiB (12,345), 2 MiB (3)": of what is resident.
fn page_sizes(picture: &Picture) -> String {
    let mut sizes = std::collections::BTreeMap::<usize, usize>::new();
    for run in picture.regions.iter().flat_map(|region| &region.runs) {
        if run.state == crate::address_space::MapPageState::Resident {
            *sizes.entry(run.page_bytes.max(1)).or_default() += run.end - run.start;
        }
    }
    let parts: Vec<_> = sizes
        .iter()
        .map(|(page, bytes)| format!("{} ({})", amount(*page), words::count(bytes / page)))
        .collect();
    match parts.is_empty() {
        true => "none".into(),
        false => parts.join(", "),
    }
}

/// Rows of a region's pages that are drawn unless all are wanted.
const ROWS: usize = 32;

/// One region enlarged: rows of cells with the address of each, lowest first.
pub(crate) fn draw_pages(region: &Region, style: Style, is_all: bool) -> String {
    let line = Line {
        regions: std::slice::from_ref(region),
        title: super::picture::Title::Of(region.facts.kind),
    };
    let mut text = String::new();
    let sum = line.sum();
    let mut head = format!(
        "{:x}-{:x} {} {}, {}, {} resident",
        line.start(),
        line.end(),
        line.title.word(),
        words::protection(&region.facts),
        amount(sum.size),
        amount(sum.resident)
    );
    for (bytes, word) in [
        (sum.dirty, "dirty"),
        (sum.evicted, "evicted"),
        (sum.swapped, "swapped"),
    ] {
        if bytes > 0 {
            let _ = write!(head, ", {} {word}", amount(bytes));
        }
    }
    let label = line.label();
    if !label.is_empty() {
        let _ = write!(head, ", {label}");
    }
    push(&mut text, &style.paint("1", &wrapped(&head, style.width)));
    let page = region.facts.page_bytes.max(1);
    let columns = row_cells(style.width.saturating_sub(13));
    let pages = (sum.size / page).max(1);
    // The least power of two that fits, so that rows begin at round addresses.
    let mut block = 1;
    while !is_all && pages.div_ceil(block) > columns * ROWS {
        block *= 2;
    }
    let cells = line.cells(pages.div_ceil(block));
    push(
        &mut text,
        &wrapped(
            &format!("each cell is {} of addresses", amount(page * block)),
            style.width,
        ),
    );
    for (index, row) in cells.chunks(columns).enumerate() {
        let address = line.start() + index * columns * block * page;
        push(&mut text, &format!("{address:012x} {}", style.cells(row)));
    }
    push(&mut text, &legend(style));
    text
}

/// The greatest power of two that fits into `room`, of at least 1 and at most 128 cells.
fn row_cells(room: usize) -> usize {
    match room {
        0 => 1,
        room => (1 << room.ilog2()).min(128),
    }
}

/// Lines in the order of their addresses, at most `rows`: those with the most that is resident or
/// out; and how many were left out.
pub(crate) fn largest<'a>(lines: Vec<Line<'a>>, rows: usize) -> (Vec<Line<'a>>, usize) {
    if lines.len() <= rows {
        return (lines, 0);
    }
    let weight = |line: &Line| line.sum().resident + line.sum().out();
    let mut weights: Vec<_> = lines.iter().map(weight).collect();
    weights.sort_unstable();
    let least = weights[lines.len() - rows.max(1)];
    let all = lines.len();
    let mut kept: Vec<_> = lines.into_iter().filter(|it| weight(it) >= least).collect();
    kept.truncate(rows);
    let left_out = all - kept.len();
    (kept, left_out)
}

/// The lines of a live frame: each with what changed in it.
pub(crate) fn table(
    picture: &Picture,
    style: Style,
    lines: &[Line],
    note: impl Fn(&Line) -> String,
) -> Vec<String> {
    let columns = Columns::new(style, Sum::of(&picture.regions).out() > 0);
    let mut rows = vec![columns.heading()];
    rows.extend(lines.iter().map(|line| columns.line(line, &note(line))));
    rows
}

#[cfg(test)]
mod tests {
    use crate::address_space::MapKind;

    use super::*;
    use crate::map_command::fixture;

    const PLAIN: Style = Style {
        width: PLAIN_WIDTH,
        has_colour: false,
    };

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let picture = fixture::picture();
        for width in 20..200 {
            let style = Style { width, ..PLAIN };
            let mut text = draw(&picture, style, true);
            text.push_str(&draw(&picture, style, false));
            for region in &picture.regions {
                text.push_str(&draw_pages(region, style, false));
            }
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn colour_adds_nothing_but_escape_sequences() {
        let picture = fixture::picture();
        let coloured = Style {
            has_colour: true,
            ..PLAIN
        };
        let text = draw(&picture, coloured, false);
        let mut plain = String::new();
        let mut is_escape = false;
        for letter in text.chars() {
            match letter {
                '\x1b' => is_escape = true,
                'm' if is_escape => is_escape = false,
                _ if is_escape => {}
                letter => plain.push(letter),
            }
        }
        let trimmed = |text: &str| {
            text.lines()
                .map(str::trim_end)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(trimmed(&plain), trimmed(&draw(&picture, PLAIN, false)));
    }

    #[test]
    fn every_state_has_its_glyph_in_some_bar() {
        let style = Style {
            width: 400,
            ..PLAIN
        };
        let text = draw(&fixture::picture(), style, false);
        for shade in Shade::ALL {
            let has_bar = |line: &&str| line.chars().take(12).all(|it| it.is_ascii_hexdigit());
            let bar = |line: &str| line.chars().skip(37).take(64).collect::<String>();
            let mut bars = text.lines().filter(has_bar).map(bar);
            assert!(
                bars.any(|bar| bar.contains(shade.glyph())),
                "{shade:?}\n{text}"
            );
        }
    }

    #[test]
    fn files_and_neighbours_of_one_kind_are_one_line_and_the_text_says_so() {
        let picture = fixture::picture();
        let style = Style {
            width: 160,
            ..PLAIN
        };
        let folded = draw(&picture, style, true);
        assert_eq!(folded.matches("libc.so.6").count(), 1, "{folded}");
        assert!(folded.contains("sections)"), "{folded}");
        assert!(folded.contains("--all"), "{folded}");
        let all = draw(&picture, style, false);
        assert_eq!(all.matches("libc.so.6").count(), 4, "{all}");
        assert!(!all.contains("--all"), "{all}");
        assert!(all.contains("1,234 live"), "{all}");
    }

    #[test]
    fn a_heap_of_many_spans_is_one_line() {
        let picture = fixture::many_spans(200);
        assert_eq!(picture.lines().len(), 400);
        let folded = picture.folded();
        assert_eq!(folded.len(), 1);
        assert_eq!(folded[0].sum(), Sum::of(&picture.regions));
        assert_eq!(fixture::many_spans(3).folded().len(), 6);
    }

    #[test]
    fn folding_loses_no_region_and_no_byte() {
        for picture in [fixture::picture(), fixture::many_spans(100)] {
            let all = Sum::of(&picture.regions);
            let folded = picture.folded();
            assert_eq!(Sum::of(folded.iter().flat_map(|line| line.regions)), all);
            assert!(folded.is_sorted_by(|one, next| one.end() <= next.start()));
        }
    }

    #[test]
    fn cells_show_what_most_of_their_bytes_are() {
        let picture = fixture::picture();
        let of_kind = |kind: MapKind| {
            let mut lines = picture.lines().into_iter();
            lines.find(|line| line.kind() == kind).unwrap()
        };
        let medium = of_kind(MapKind::MediumObjects);
        let cells = medium.cells(680);
        let count = |shade| cells.iter().filter(|cell| **cell == shade).count();
        assert_eq!(count(Shade::Dirty), 200);
        assert_eq!(count(Shade::Staged), 60);
        assert_eq!(count(Shade::Compressed), 300);
        assert_eq!(count(Shade::SameFilled), 80);
        assert_eq!(count(Shade::Filed), 40);
        assert_eq!(medium.cells(1), [Shade::Compressed]);
        let slabs = of_kind(MapKind::Slabs);
        assert_eq!(
            slabs.cells(4),
            [Shade::Dirty, Shade::Dirty, Shade::Dirty, Shade::Absent]
        );
    }

    #[test]
    fn the_largest_lines_stay_in_address_order() {
        let picture = fixture::picture();
        let all = picture.folded().len();
        let (kept, left_out) = largest(picture.folded(), 5);
        assert_eq!((kept.len(), left_out), (5, all - 5));
        assert!(kept.is_sorted_by(|one, next| one.start() < next.start()));
        assert_eq!(largest(picture.folded(), all).1, 0);
    }
}
