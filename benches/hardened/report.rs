//! The report: ratios to glebe's default mode, what sampling costs, and the verdict.

use crate::aligned::{aligned, digits};
use crate::allocators::Kind;
use crate::bars::{self, Bar, Found, Target, bar};
use crate::figures::{Measure, Measured, Table, geometric_mean};
use crate::machine::Machine;
use crate::pairs::{Pairs, Quartiles};
use crate::rows::Group;
use crate::{HARDENED, UNSAMPLED};
use std::iter::once;

/// The two halves of the rows, each with a mean of its own.
const HALVES: [&str; 2] = ["real programs", "micro-workloads"];

fn half(row: &Measured) -> usize {
    usize::from(row.row.group != Group::Program)
}

/// The geometric mean of the ratios of one to another over those rows of a half that both have.
fn mean(table: &Table, rows: usize, one: usize, other: usize, measure: Measure) -> Option<f64> {
    let rows = table.rows.iter().filter(|row| half(row) == rows);
    geometric_mean(rows.filter_map(|row| row.ratio(one, other, measure)))
}

pub(crate) fn glebe_failed(table: &Table) -> bool {
    let is_glebe = |number: usize| {
        let kind = table.allocators[number].kind;
        kind == Kind::Glebe || kind == Kind::Guest
    };
    table.rows.iter().any(|row| {
        let mut outcomes = row.outcomes.iter().enumerate();
        outcomes.any(|(number, it)| is_glebe(number) && matches!(it, Some(Err(_))))
    })
}

pub(crate) fn markdown(table: &Table, pairs: &Pairs, machine: &Machine) -> String {
    let mut text = "# What hardening costs\n\n".to_owned();
    for (what, value) in machine {
        text += &format!("- {what}: {value}\n");
    }
    for allocator in &table.allocators {
        text += &format!("- {}: {}\n", allocator.name, allocator.origin());
    }
    for measure in [Measure::Time, Measure::Peak] {
        text += &format!(
            "\n## {}, to glebe's default mode\n\n{}",
            measure.name(),
            ratios(table, measure)
        );
    }
    text += &format!(
        "\n## CPU time with sampling, to that without\n\n{}",
        sampling(pairs)
    );
    text += &format!("\n## Verdict\n\n{}", bars::markdown(&verdict(table, pairs)));
    for row in &table.rows {
        for (allocator, outcome) in table.allocators.iter().zip(&row.outcomes) {
            if let Some(Err(how)) = outcome {
                let (row, name) = (row.row.name, &allocator.name);
                text += &format!("\nFAILED, in no mean: {row} under {name}: {how}\n");
            }
        }
    }
    text
}

fn ratios(table: &Table, measure: Measure) -> String {
    let Some(glebe) = table.find(Kind::Glebe) else {
        return String::new();
    };
    let all = 0..table.allocators.len();
    let shown = |ratio: Option<f64>| ratio.map_or("-".to_owned(), digits);
    let names = table.allocators.iter().map(|it| it.name.clone());
    let first = [String::from("row"), String::from("glebe")];
    let head = first.into_iter().chain(names).collect();
    let lines = table.rows.iter().map(|row| {
        let value = row.value(glebe, measure);
        let absolute = format!("{} {}", shown(value), measure.unit(row.row));
        let cells = all.clone().map(|number| match &row.outcomes[number] {
            Some(Err(_)) => "failed".to_owned(),
            _ => shown(row.ratio(number, glebe, measure)),
        });
        [row.row.name.to_owned(), absolute]
            .into_iter()
            .chain(cells)
            .collect()
    });
    let means = HALVES.iter().enumerate().map(|(rows, name)| {
        let title = format!("**geometric mean, {name}**");
        let cells = all
            .clone()
            .map(|number| shown(mean(table, rows, number, glebe, measure)));
        [title, String::new()].into_iter().chain(cells).collect()
    });
    aligned(once(head).chain(lines).chain(means))
}

/// Ratios near 1, of which two digits would say nothing.
fn fine(ratio: f64) -> String {
    format!("{ratio:.4}")
}

fn sampling(pairs: &Pairs) -> String {
    let line = |name: &str, of: Quartiles, median: f64| {
        [
            name.to_owned(),
            fine(of.first),
            fine(median),
            fine(of.third),
        ]
        .to_vec()
    };
    let head = ["row", "first quartile", "median", "third quartile"].map(str::to_owned);
    let rows = pairs.rows.iter().filter_map(|(name, ratios)| {
        let of = Quartiles::of(ratios.clone())?;
        Some(line(name, of, of.median))
    });
    let mean = pairs.mean().zip(pairs.spread());
    let mean = mean.map(|(mean, spread)| {
        line(
            "**geometric mean of the medians; quartiles of the rounds' means**",
            spread,
            mean,
        )
    });
    aligned(once(head.to_vec()).chain(rows).chain(mean))
}

/// The bars of issue 4 about cost.
fn verdict(table: &Table, pairs: &Pairs) -> Vec<Bar> {
    let [glebe, hardened] = [table.find(Kind::Glebe), table.named(HARDENED)];
    let to = |rows: usize, other: Option<usize>| -> Found {
        let (hardened, other) = (hardened?, other?);
        let ratio = mean(table, rows, hardened, other, Measure::Time)?;
        Some((
            ratio,
            format!("{}: {}", table.allocators[other].name, HALVES[rows]),
        ))
    };
    let mut bars = Vec::new();
    for (rows, most) in [(0, 1.35), (1, 2.5)] {
        let found = to(rows, glebe);
        bars.push(bar(
            1,
            "hardened, time, to the default mode",
            found,
            Target::AtMost(most),
        ));
    }
    for name in ["scudo", "mimalloc2-secure", "mimalloc3-secure"] {
        for rows in [0, 1] {
            let found = to(rows, table.named(name));
            bars.push(bar(
                2,
                "hardened, time, to a hardened peer",
                found,
                Target::Below(1.0),
            ));
        }
    }
    let found = pairs.mean().zip(pairs.spread()).map(|(mean, spread)| {
        let [first, third] = [spread.first, spread.third].map(fine);
        (
            mean,
            format!("{}, to {UNSAMPLED}; rounds {first} to {third}", fine(mean)),
        )
    });
    bars.push(bar(
        3,
        "default mode, CPU time, to sampling off",
        found,
        Target::AtMost(1.01),
    ));
    bars
}
