//! What a report is made of, for its Markdown and its JSON.

use crate::allocators::{Allocator, Kind};
use crate::bars::Bar;
use crate::figures::Table;
use crate::machine::Machine;
use crate::verdict::{self, Miss};

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
