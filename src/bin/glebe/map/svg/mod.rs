//! A picture as the textbook draws it: bands from the lowest addresses at the bottom to the stack on
//! top, in each a cell for a page or a block of pages. No script, no font of its own.

mod cells;
mod labels;

use std::fmt::Write;

use super::picture::{Line, Picture, Region, Sum};
use super::terminal::largest;
use super::words::{Shade, amount};
use cells::{Cell, Piece, pieces};
use labels::{Group, Label, bytes_of, labels};

const WIDTH: usize = 1100;
/// A cell, with the white line beside it.
const CELL: usize = 9;
/// Side of a speck in a cell.
const SPECK: usize = 4;
const ROW_CELLS: usize = 56;
/// Where the columns begin: group, addresses (their right edge), cells, labels.
const GROUP: usize = 16;
const GROUP_WIDTH: usize = 108;
const ADDRESS_END: usize = 232;
const GRID: usize = 244;
const GRID_END: usize = GRID + ROW_CELLS * CELL;
const LABEL: usize = GRID_END + 22;
/// Rows of a picture: cells become larger until it has no more.
const ROWS: usize = 96;
const ROWS_ENLARGED: usize = 160;
/// More bands than this are too many to look at.
const BANDS: usize = 48;
/// A hole of this size is drawn; a smaller one is a gap.
const HOLE: usize = 1 << 20;
const LINE_HEIGHT: usize = 15;

impl Shade {
    /// Told apart by eyes that do not see red or green, and on paper by how dark they are.
    fn colour(self) -> &'static str {
        match self {
            Shade::Clean => "#74b9e6",
            Shade::Dirty => "#0a6ab0",
            Shade::Huge => "#2b2171",
            Shade::Swapped => "#cc79a7",
            Shade::Staged => "#f2de3c",
            Shade::Compressed => "#f29f05",
            Shade::SameFilled => "#ffd9a0",
            Shade::Filed => "#c94a00",
            Shade::Guard => "#5a5a5a",
            Shade::Absent => "#ebebeb",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Shade::Clean => "resident, clean",
            Shade::Dirty => "resident, written to",
            Shade::Huge => "resident, in huge pages",
            Shade::Swapped => "swapped by the kernel",
            Shade::Staged => "evicted: staged",
            Shade::Compressed => "evicted: compressed",
            Shade::SameFilled => "evicted: one word kept",
            Shade::Filed => "evicted: in a file",
            Shade::Guard => "guard: nobody may touch it",
            Shade::Absent => "absent: no memory",
        }
    }
}

/// A line with its place in the picture.
struct Band<'a> {
    line: Line<'a>,
    pieces: Vec<Piece>,
    labels: Vec<Label>,
    top: usize,
    height: usize,
}

impl<'a> Band<'a> {
    fn new(line: Line<'a>, pieces: Vec<Piece>) -> Band<'a> {
        let labels = labels(&line);
        let rows: usize = pieces.iter().map(Piece::rows).sum();
        Band {
            height: (rows * CELL).max(labels.len() * LINE_HEIGHT + 2),
            line,
            pieces,
            labels,
            top: 0,
        }
    }
}

/// The whole address space.
pub(crate) fn draw(picture: &Picture) -> String {
    document(picture, picture.sketched(), ROWS)
}

/// Some of its regions enlarged.
pub(crate) fn draw_pages(picture: &Picture, chosen: &[&Region]) -> String {
    let is_chosen = |line: &Line| chosen.iter().any(|it| std::ptr::eq(*it, &line.regions[0]));
    let lines = picture.lines().into_iter().filter(is_chosen).collect();
    document(picture, lines, ROWS_ENLARGED)
}

fn document(picture: &Picture, lines: Vec<Line>, rows: usize) -> String {
    let (lines, left_out) = largest(lines, BANDS);
    let (cell, bands) = scaled(&lines, rows);
    let occurring: Vec<_> = Shade::ALL
        .into_iter()
        .filter(|shade| lines.iter().any(|line| bytes_of(line.regions, *shade) > 0))
        .collect();
    let head = [
        format!(
            "Address space of process {} ({})",
            picture.process, picture.program
        ),
        summary(&lines),
        format!(
            "Each cell is {}{}. Rows go from left to right, and from the bottom up.",
            amount(cell),
            match cell {
                4096 => ", a page",
                _ => "; it shows what most of its pages are, a speck what a few are",
            }
        ),
    ];
    let mut body = String::new();
    let mut y = 34;
    for (index, line) in head.iter().enumerate() {
        text(&mut body, GROUP, y, ["h", "t", "d"][index], line);
        y += if index == 0 { 24 } else { 19 };
    }
    y = legend(&mut body, y + 4, &occurring) + 26;
    text(&mut body, GRID, y, "d", "high addresses \u{2191}");
    y = stack_of_bands(&mut body, y + 10, bands);
    let lowest = lines.first().map_or(0, Line::start);
    if lowest > 0 && rows == ROWS {
        y = hole(&mut body, y, lowest);
        text(&mut body, GRID, y + 8, "d", "0, the lowest address");
        y += 14;
    }
    if left_out > 0 {
        let note = format!("{left_out} smaller regions are not drawn.");
        y += 16;
        text(&mut body, GRID, y, "d", &note);
    }
    frame(&body, y + 16)
}

fn summary(lines: &[Line]) -> String {
    let sum = Sum::of(lines.iter().flat_map(|line| line.regions));
    let mut line = format!(
        "{} of addresses in use, {} resident",
        amount(sum.size),
        amount(sum.resident)
    );
    for (bytes, word) in [
        (sum.dirty, "written to"),
        (sum.evicted, "evicted by glebe"),
        (sum.swapped, "swapped by the kernel"),
    ] {
        if bytes > 0 {
            let _ = write!(line, ", {} {word}", amount(bytes));
        }
    }
    line
}

/// The least cell with which all lines fit into `rows`, and the lines as bands.
fn scaled<'a>(lines: &[Line<'a>], rows: usize) -> (usize, Vec<Band<'a>>) {
    let mut cell = 4096;
    loop {
        // Each band has a row at least, however large the cells are.
        let limit = rows.max(2 * lines.len());
        let mut left = limit;
        let cut: Option<Vec<_>> = lines
            .iter()
            .map(|line| {
                let pieces = pieces(line, cell, left)?;
                left -= pieces.iter().map(Piece::rows).sum::<usize>().min(left);
                Some(Band::new(*line, pieces))
            })
            .collect();
        match cut {
            Some(bands) => return (cell, bands),
            None => cell *= 2,
        }
    }
}

/// Squares with their meanings, two lines of them at most five long; returns where they end.
fn legend(body: &mut String, y: usize, occurring: &[Shade]) -> usize {
    const COLUMN: usize = 200;
    for (index, shade) in occurring.iter().enumerate() {
        let x = GROUP + index % 5 * COLUMN;
        let y = y + index / 5 * 20;
        let _ = writeln!(
            body,
            r##"<rect x="{x}" y="{}" width="12" height="12" fill="{}" stroke="#888" stroke-width=".5"/>"##,
            y - 10,
            shade.colour()
        );
        text(body, x + 18, y, "t", shade.meaning());
    }
    y + occurring.len().div_ceil(5).max(1) * 20 - 20
}

/// The bands from the highest addresses down, holes between them, and the groups beside them;
/// returns where they end.
fn stack_of_bands(body: &mut String, top: usize, mut bands: Vec<Band>) -> usize {
    let mut y = top;
    let mut above: Option<(usize, Group)> = None;
    for band in bands.iter_mut().rev() {
        let group = Group::of(&band.line);
        if let Some((start, above)) = above {
            let size = start - band.line.end();
            y = match size {
                HOLE.. => hole(body, y, size),
                _ if above != group => y + 8,
                _ => y + 3,
            };
        }
        band.top = y;
        y += band.height;
        above = Some((band.line.start(), group));
    }
    let groups = bands.chunk_by(|one, next| {
        Group::of(&one.line) == Group::of(&next.line) && next.line.start() - one.line.end() < HOLE
    });
    for group in groups {
        // The last has the highest addresses, and so the least y.
        if let (Some(low), Some(high)) = (group.first(), group.last()) {
            tab(body, Group::of(&low.line), high.top, low.top + low.height);
        }
    }
    for (index, band) in bands.iter().enumerate() {
        let above = bands.get(index + 1).map(|band| band.line.start());
        draw_band(body, band, above != Some(band.line.end()));
    }
    y
}

fn tab(body: &mut String, group: Group, top: usize, end: usize) {
    let (word, more, tint) = group.words();
    let _ = writeln!(
        body,
        r#"<rect x="{GROUP}" y="{top}" width="{GROUP_WIDTH}" height="{}" rx="4" fill="{tint}"/>"#,
        end - top
    );
    let x = GROUP + 9;
    if end - top >= 38 {
        let middle = (top + end) / 2;
        text(body, x, middle - 2, "g", word);
        text(body, x, middle + 14, "d", more);
    } else {
        text(body, x, (top + end) / 2 + 5, "g", word);
    }
}

/// A gap with a size in it; returns where it ends.
fn hole(body: &mut String, y: usize, size: usize) -> usize {
    let middle = y + 13;
    let x = GRID + ROW_CELLS * CELL / 2;
    let _ = writeln!(
        body,
        r##"<path d="M{GRID} {middle}H{}M{} {middle}H{GRID_END}" stroke="#999" stroke-dasharray="2 4"/>"##,
        x - 62,
        x + 62,
    );
    let _ = writeln!(
        body,
        r#"<text class="d" x="{x}" y="{}" text-anchor="middle">hole of {}</text>"#,
        middle + 4,
        amount(size)
    );
    y + 26
}

fn draw_band(body: &mut String, band: &Band, has_end: bool) {
    let rows: usize = band.pieces.iter().map(Piece::rows).sum();
    // Low addresses are at the bottom.
    let mut bottom = band.top + band.height / 2 + rows * CELL / 2;
    let mut marks: Vec<(Shade, usize, usize)> = Vec::new();
    for piece in &band.pieces {
        match piece {
            Piece::Cut(size) => {
                let y = bottom - 2 * CELL;
                let _ = writeln!(
                    body,
                    r##"<rect x="{GRID}" y="{y}" width="{}" height="{}" fill="#f7f7f7" stroke="#ccc" stroke-dasharray="3 3"/>"##,
                    ROW_CELLS * CELL - 1,
                    2 * CELL - 1,
                );
                let x = GRID + ROW_CELLS * CELL / 2;
                let _ = writeln!(
                    body,
                    r#"<text class="d" x="{x}" y="{}" text-anchor="middle">{} without memory, cut out here</text>"#,
                    y + 13,
                    amount(*size)
                );
                bottom = y;
            }
            Piece::Rows(cells) => {
                for row in cells.chunks(ROW_CELLS) {
                    let y = bottom - CELL;
                    let mut column = 0;
                    for run in row.chunk_by(|one, next| one == next) {
                        cells_of(body, run[0], column, run.len(), y);
                        column += run.len();
                        marks.push((run[0].shade, column, y));
                        marks.extend(run[0].speck.map(|speck| (speck, column, y)));
                    }
                    bottom = y;
                }
            }
        }
    }
    addresses(body, band, has_end);
    let mut y = band.top + (band.height - band.labels.len() * LINE_HEIGHT) / 2 + 12;
    for label in &band.labels {
        if let Some(shade) = label.shade {
            lead(body, shade, &marks, y);
        }
        text(body, LABEL, y, label.style, &label.text);
        y += LINE_HEIGHT;
    }
}

fn cells_of(body: &mut String, cell: Cell, column: usize, count: usize, y: usize) {
    let x = GRID + column * CELL;
    let middle = y as f64 + (CELL - 1) as f64 / 2.0;
    let mut path = |x: usize, class: &str, shade: Shade| {
        let _ = writeln!(
            body,
            r#"<path d="M{x} {middle}h{}" stroke="{}" class="{class}"/>"#,
            count * CELL - 1,
            shade.colour(),
        );
    };
    path(x, "c", cell.shade);
    if let Some(speck) = cell.speck {
        path(x + (CELL - 1 - SPECK) / 2, "s", speck);
    }
}

/// A line from a label at the height `y` to the cell of that shade nearest to it.
fn lead(body: &mut String, shade: Shade, marks: &[(Shade, usize, usize)], y: usize) {
    let nearest = marks
        .iter()
        .filter(|mark| mark.0 == shade)
        .min_by_key(|(_, column, row)| (ROW_CELLS - column) * CELL + 3 * y.abs_diff(row + CELL));
    let Some((_, column, row)) = nearest else {
        return;
    };
    let (x, row) = (GRID + column * CELL - CELL / 2 - 1, row + CELL / 2);
    let _ = writeln!(
        body,
        r##"<path d="M{x} {row}H{}L{} {}" fill="none" stroke="#222"/><circle cx="{x}" cy="{row}" r="3" fill="#222"/>"##,
        GRID_END + 4,
        LABEL - 4,
        y - 4,
    );
}

/// Where the band begins, and where it ends unless the next begins there.
fn addresses(body: &mut String, band: &Band, has_end: bool) {
    let mut write = |y: usize, address: usize| {
        let _ = writeln!(
            body,
            r#"<text class="a" x="{ADDRESS_END}" y="{y}">{address:x}</text>"#
        );
    };
    if has_end && band.height >= 28 {
        write(band.top + 9, band.line.end());
    }
    write(band.top + band.height - 1, band.line.start());
}

fn text(body: &mut String, x: usize, y: usize, class: &str, words: &str) {
    let _ = writeln!(
        body,
        r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#,
        escaped(words)
    );
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            letter if letter.is_control() => escaped.push('?'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn frame(body: &str, height: usize) -> String {
    let (square, between) = (CELL - 1, CELL - SPECK);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="'DejaVu Sans', Verdana, sans-serif" font-size="12" fill="#1b1b1b">
<style>
.h {{ font-size: 19px; font-weight: bold }}
.g {{ font-size: 13px; font-weight: bold }}
.b {{ font-weight: bold }}
.d {{ font-size: 11px; fill: #555 }}
.e {{ font-weight: bold; fill: #8a3b00 }}
.a {{ font-family: 'DejaVu Sans Mono', monospace; font-size: 10px; fill: #555; text-anchor: end }}
.c {{ stroke-width: {square}; stroke-dasharray: {square} 1 }}
.s {{ stroke-width: {SPECK}; stroke-dasharray: {SPECK} {between} }}
</style>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
{body}</svg>
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_command::fixture;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b>&\"\u{1b}\u{ffff}"), "a&lt;b&gt;&amp;&quot;??");
    }

    #[test]
    fn every_region_is_in_some_band() {
        let picture = fixture::picture();
        let lines = picture.sketched();
        let (_, bands) = scaled(&lines, ROWS);
        let all = Sum::of(&picture.regions);
        assert_eq!(
            Sum::of(bands.iter().flat_map(|band| band.line.regions)),
            all
        );
    }

    #[test]
    fn cells_are_as_small_as_the_rows_allow() {
        let picture = fixture::picture();
        let lines = picture.lines();
        let rows = |bands: &[Band]| -> usize {
            let pieces = bands.iter().flat_map(|band| &band.pieces);
            pieces.map(Piece::rows).sum()
        };
        let (few, bands) = scaled(&lines, ROWS);
        assert!(rows(&bands) <= ROWS);
        let (many, bands) = scaled(&lines, 4 * ROWS);
        assert!(rows(&bands) <= 4 * ROWS);
        assert!(many < few);
    }

    #[test]
    fn a_region_of_terabytes_takes_no_more_rows_than_its_memory() {
        let mut picture = fixture::many_spans(1);
        let region = &mut picture.regions[1];
        let run = &mut region.runs[0];
        run.end = run.start + (64 << 40);
        region.facts.end = run.end;
        let (cell, bands) = scaled(&picture.lines(), ROWS);
        assert_eq!(cell, 4096);
        assert_eq!(bands.len(), 2);
    }
}
