//! The report as Markdown.

use crate::aligned::{aligned, digits};
use crate::allocators::Kind;
use crate::bars;
use crate::figures::{Figure, Measure, Measured, Table};
use crate::report::Report;
use crate::verdict::Miss;
use std::collections::BTreeSet;
use std::iter::once;

pub(crate) fn markdown(report: &Report) -> String {
    let table = report.table;
    let mut text = "# glebe beside its peers\n\n".to_owned();
    for (what, value) in report.machine {
        text += &format!("- {what}: {value}\n");
    }
    for allocator in &table.allocators {
        text += &format!("- {}: {}\n", allocator.name, allocator.origin());
    }
    for measure in Measure::ALL {
        let best = table.best_peer(measure);
        let best = best.map_or("no peer", |it| &table.allocators[it].name);
        let absolute = absolute(table, measure);
        if absolute.lines().count() > 2 {
            text += &format!(
                "\n## {}: least / median\n\n{absolute}\n### As ratios: to {best} (the peer with the \
                 best geometric mean) / to the best peer of the row / to glibc\n\n{}",
                measure.name(),
                ratios(table, measure)
            );
        }
    }
    text += &format!(
        "\n## What the programs measured: median\n\n{}",
        metrics(table)
    );
    text += &format!("\n## Verdict\n\n{}", bars::markdown(&report.bars));
    if !report.misses.is_empty() {
        text += &format!(
            "\nRows in which glebe is too slow:\n\n{}",
            misses(&report.misses)
        );
    }
    for (row, allocator, how) in report.failures() {
        text += &format!("\nFAILED: {row} under {}: {how}\n", allocator.name);
    }
    text
}

/// A table with a column for each allocator, after some others.
fn by_allocator(table: &Table, heads: &[&str], lines: impl Iterator<Item = Vec<String>>) -> String {
    let names = table.allocators.iter().map(|it| it.name.clone());
    let head = heads.iter().map(|&it| it.to_owned()).chain(names);
    aligned(once(head.collect()).chain(lines))
}

/// A line of it.
fn line<const N: usize>(
    table: &Table,
    first: [&str; N],
    cell: impl Fn(usize) -> String,
) -> Vec<String> {
    let cells = (0..table.allocators.len()).map(cell);
    first.into_iter().map(str::to_owned).chain(cells).collect()
}

fn absolute(table: &Table, measure: Measure) -> String {
    let cell = |row: &Measured, allocator: usize| match &row.outcomes[allocator] {
        Some(Err(how)) => format!("**{how}**"),
        _ => row
            .figure(allocator, measure)
            .map_or(String::new(), |Figure { least, median }| {
                format!("{} / {}", digits(least), digits(median))
            }),
    };
    let lines = table.rows.iter().map(|row| {
        let first = [row.row.name, measure.unit(row.row)];
        line(table, first, |allocator| cell(row, allocator))
    });
    let lines = lines.filter(|line| line[2..].iter().any(|cell| !cell.is_empty()));
    by_allocator(table, &["row", "unit"], lines)
}

fn ratios(table: &Table, measure: Measure) -> String {
    let (best_peer, glibc) = (table.best_peer(measure), table.find(Kind::Glibc));
    let shown = |ratio: Option<f64>| ratio.map_or("-".to_owned(), digits);
    let lines = table.rows.iter().map(|row| {
        let best = table.best_of_row(row, measure);
        let first = [
            row.row.name,
            best.map_or("", |it| &table.allocators[it].name),
        ];
        line(table, first, |allocator| {
            let to = |other: Option<usize>| {
                shown(other.and_then(|it| row.ratio(allocator, it, measure)))
            };
            match row.value(allocator, measure) {
                Some(_) => format!("{} / {} / {}", to(best_peer), to(best), to(glibc)),
                None => String::new(),
            }
        })
    });
    let lines = lines.filter(|line| line[2..].iter().any(|cell| !cell.is_empty()));
    let title = format!("**geometric mean of {} rows**", table.main_rows().count());
    let means = line(table, [&title, ""], |allocator| {
        let to = |other: Option<usize>| {
            shown(other.and_then(|it| table.mean_ratio(allocator, it, measure)))
        };
        format!("{} / / {}", to(best_peer), to(glibc))
    });
    by_allocator(table, &["row", "its best peer"], lines.chain(once(means)))
}

fn metrics(table: &Table) -> String {
    let lines = table.rows.iter().flat_map(|row| {
        let runs = (0..table.allocators.len()).flat_map(|it| row.runs(it));
        let names = runs.flat_map(|run| run.metrics.iter().map(|(name, it)| (name, &it.1)));
        let names: BTreeSet<(&String, &String)> = names.collect();
        names.into_iter().map(move |(name, unit)| {
            line(table, [row.row.name, name, unit], |allocator| {
                let figure = row.metric(allocator, name);
                figure.map_or(String::new(), |it| digits(it.median))
            })
        })
    });
    by_allocator(table, &["row", "metric", "unit"], lines)
}

fn misses(misses: &[Miss]) -> String {
    let head = ["row", "to the best peer of the row", "which", "to glibc"].map(str::to_owned);
    let shown = |ratio: Option<f64>| ratio.map_or(String::new(), digits);
    let lines = misses.iter().map(|miss| {
        let (to_best, to_glibc) = (shown(miss.to_best), shown(miss.to_glibc));
        [miss.row.to_owned(), to_best, miss.best.clone(), to_glibc]
    });
    aligned(once(head).chain(lines).map(Vec::from))
}
