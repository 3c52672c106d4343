//! The report as JSON: everything in it, and every run.

use crate::allocators::Kind;
use crate::figures::{Figure, Measure, Measured, Table};
use crate::report::Report;
use serde_json::{Map, Value, json};

pub(crate) fn json(report: &Report) -> Value {
    let table = report.table;
    let allocators = table
        .allocators
        .iter()
        .map(|it| json!({ "name": it.name, "peer": it.kind == Kind::Peer, "origin": it.origin() }));
    let best_peers = Measure::ALL.map(|measure| {
        let best = table.best_peer(measure);
        let means = table.allocators.iter().enumerate().map(|(number, it)| {
            let mean = best.and_then(|best| table.mean_ratio(number, best, measure));
            (it.name.clone(), json!(mean))
        });
        json!({
            "measure": measure.name(),
            "best_peer": best.map(|it| &table.allocators[it].name),
            "geometric_means_to_it": means.collect::<Map<_, _>>(),
        })
    });
    json!({
        "machine": report.machine.iter().map(|(what, is)| (what.to_string(), json!(is)))
            .collect::<Map<_, _>>(),
        "allocators": allocators.collect::<Vec<_>>(),
        "means": best_peers,
        "rows": table.rows.iter().map(|row| json_row(table, row)).collect::<Vec<_>>(),
        "bars": report.bars.iter().map(|it| json!({
            "bar": it.number, "what": it.what, "figure": it.figure, "target": it.target,
            "met": it.met,
        })).collect::<Vec<_>>(),
        "misses": report.misses.iter().map(|it| json!({
            "row": it.row, "to_best_of_row": it.to_best, "best": it.best,
            "to_glibc": it.to_glibc,
        })).collect::<Vec<_>>(),
    })
}

fn json_row(table: &Table, row: &Measured) -> Value {
    let mut by_allocator = Map::new();
    for (number, allocator) in table.allocators.iter().enumerate() {
        let measures = Measure::ALL.iter().filter_map(|&measure| {
            let Figure { least, median } = row.figure(number, measure)?;
            let to = |other: Option<usize>| row.ratio(number, other?, measure);
            let figures = json!({
                "least": least, "median": median, "unit": measure.unit(row.row),
                "to_best_peer": to(table.best_peer(measure)),
                "to_best_of_row": to(table.best_of_row(row, measure)),
            });
            Some((measure.name().to_owned(), figures))
        });
        let outcome = match &row.outcomes[number] {
            None => continue,
            Some(Err(how)) => json!({ "failed": how }),
            Some(Ok(runs)) => json!({
                "measures": measures.collect::<Map<_, _>>(),
                "runs": runs.iter().map(|run| json!({
                    "wall_seconds": run.wall_seconds, "cpu_seconds": run.cpu_seconds,
                    "peak_kib": run.peak_kib, "final_kib": run.final_kib,
                    "faults": run.faults, "metrics": run.metrics,
                })).collect::<Vec<_>>(),
            }),
        };
        by_allocator.insert(allocator.name.clone(), outcome);
    }
    json!({
        "row": row.row.name, "group": row.row.group.name(), "program": row.row.program,
        "arguments": row.row.arguments, "in_the_means": row.row.group.is_in_the_means(),
        "allocators": by_allocator,
    })
}
