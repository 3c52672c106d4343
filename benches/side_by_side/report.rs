//! What a report is made of, for its Markdown and its JSON.

use crate::allocators::{Allocator, Kind};
use crate::bars::Bar;
use crate::figures::Table;
use crate::verdict::{self, Miss};
use std::fs;

/// Three significant digits.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        it if it >= 99.95 => format!("{value:.0}"),
        it if it >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Names and values.
pub(crate) type Machine = Vec<(&'static str, String)>;

/// What the figures depend on beside the allocators.
pub(crate) fn machine() -> Machine {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let field = |file: &str, name: &str| {
        let text = read(file);
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|it| it.split_once(':'));
        value.map_or(String::new(), |it| it.1.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    vec![
        ("processor", field("/proc/cpuinfo", "model name")),
        ("processors", processors.to_string()),
        ("memory", field("/proc/meminfo", "MemTotal")),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("transparent huge pages", pages.trim().to_owned()),
        ("load before", read("/proc/loadavg").trim().to_owned()),
    ]
}

/// Everything a report is made of.
pub(crate) struct Report<'a> {
    pub(crate) table: &'a Table,
    pub(crate) machine: &'a Machine,
    pub(crate) bars: Vec<Bar>,
    pub(crate) misses: Vec<Miss>,
}

impl<'a> Report<'a> {
    pub(crate) fn of(table: &'a Table, machine: &'a Machine) -> Self {
        Self {
            table,
            machine,
            bars: verdict::bars(table),
            misses: verdict::misses(table),
        }
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = (&str, &Allocator, &str)> {
        self.table.rows.iter().flat_map(|row| {
            let outcomes = self.table.allocators.iter().zip(&row.outcomes);
            outcomes.filter_map(|(allocator, outcome)| match outcome {
                Some(Err(how)) => Some((row.row.name, allocator, how.as_str())),
                _ => None,
            })
        })
    }

    pub(crate) fn glebe_failed(&self) -> bool {
        self.failures().any(|it| it.1.kind == Kind::Glebe)
    }
}
