//! Bar charts as SVG: a panel for the geometric mean and one for each row, a bar for each
//! allocator, glebe's in a strong colour.

use crate::aligned::digits;
use crate::allocators::Kind;
use crate::figures::{Measure, Table};

const COLUMNS: usize = 4;
const PANEL_WIDTH: usize = 310;
const NAME_WIDTH: usize = 105;
/// Of a bar as long as bars get.
const BAR_WIDTH: f64 = 150.0;
/// Higher ratios are cut here, with their number beside them.
const HIGHEST: f64 = 3.0;
const LINE: usize = 13;
const TOP: usize = 70;

/// Times or memory as ratios to glibc's.
pub(crate) fn svg(table: &Table, measure: Measure) -> String {
    let Some(glibc) = table.find(Kind::Glibc) else {
        return String::new();
    };
    let shown: Vec<usize> = (0..table.allocators.len())
        .filter(|&it| !matches!(table.allocators[it].kind, Kind::Nothing | Kind::Empty))
        .collect();
    let mean = |allocator| table.mean_ratio(allocator, glibc, measure);
    let mut panels = String::new();
    let panel_height = shown.len() * LINE + 40;
    let origin = |number: usize| {
        let (column, line) = (number % COLUMNS, number / COLUMNS);
        (column * PANEL_WIDTH + 10, line * panel_height + TOP)
    };
    let title = format!("geometric mean of {} rows", table.main_rows().count());
    panels.push_str(&panel(table, &shown, origin(0), &title, mean));
    for (number, row) in table.rows.iter().enumerate() {
        let ratio = |allocator| row.ratio(allocator, glibc, measure);
        let title = escaped(row.row.name);
        panels.push_str(&panel(table, &shown, origin(number + 1), &title, ratio));
    }
    let height = (table.rows.len() + 1).div_ceil(COLUMNS) * panel_height + TOP;
    let width = COLUMNS * PANEL_WIDTH;
    let name = measure.name();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"10\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"28\" font-size=\"20\">{name}, as a ratio to glibc's: shorter is \
         better</text>\n\
         <text x=\"10\" y=\"46\" fill=\"#555\">The line stands at 1. A bar that is cut at \
         {HIGHEST} carries its number.</text>\n{panels}</svg>\n"
    )
}

fn panel(
    table: &Table,
    shown: &[usize],
    (left, top): (usize, usize),
    title: &str,
    ratio: impl Fn(usize) -> Option<f64>,
) -> String {
    let unit = BAR_WIDTH / HIGHEST;
    let one = NAME_WIDTH as f64 + unit;
    let bottom = 16 + shown.len() * LINE;
    let mut text = format!(
        "<g transform=\"translate({left},{top})\">\n\
         <text y=\"10\" font-size=\"12\" font-weight=\"bold\">{title}</text>\n"
    );
    let mut labels = String::new();
    for (number, &allocator) in shown.iter().enumerate() {
        let (colour, weight) = match table.allocators[allocator].kind {
            Kind::Glebe => ("#d1490c", "bold"),
            Kind::Guest => ("#eaa27f", "normal"),
            Kind::Glibc => ("#5b6b7a", "normal"),
            _ => ("#b9c4ce", "normal"),
        };
        let top = 16 + number * LINE;
        let base = top + LINE - 4;
        let name = escaped(&table.allocators[allocator].name);
        let ratio = ratio(allocator);
        let width = ratio.map_or(0.0, |it| it.min(HIGHEST) * unit);
        let label = ratio.map_or("-".to_owned(), digits);
        let label_at = NAME_WIDTH as f64 + width + 4.0;
        text += &format!(
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" font-weight=\"{weight}\">{name}\
                 </text><rect x=\"{NAME_WIDTH}\" y=\"{top}\" width=\"{width:.1}\" height=\"{}\" \
                 fill=\"{colour}\"/>\n",
            NAME_WIDTH - 5,
            LINE - 2,
        );
        // Its white rim stands out from the line at 1.
        labels += &format!(
            "<text x=\"{label_at:.1}\" y=\"{base}\" font-weight=\"{weight}\" stroke=\"white\" \
                 stroke-width=\"3\" paint-order=\"stroke\">{label}</text>\n"
        );
    }
    text += &format!(
        "<line x1=\"{one}\" x2=\"{one}\" y1=\"14\" y2=\"{bottom}\" stroke=\"#222\" \
             stroke-dasharray=\"2 2\"/>\n{labels}</g>\n"
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
