//! A picture as one JSON object. The names are stable; sizes are bytes, addresses "0x…" strings.

use std::collections::BTreeMap;

use crate::address_space::{MapPageState, MapRun};
use serde::Serialize;

use super::picture::{Picture, Region, Sum, totals};
use super::words;

#[derive(Serialize)]
struct Document<'a> {
    process: i32,
    program: &'a str,
    runs_glebe: bool,
    regions: Vec<JsonRegion<'a>>,
    totals: Totals,
}

#[derive(Serialize)]
struct JsonRegion<'a> {
    start: String,
    end: String,
    size: usize,
    kind: &'static str,
    protection: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_blocks: Option<usize>,
    resident: usize,
    dirty: usize,
    swapped: usize,
    evicted: usize,
    huge: usize,
    page_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<JsonRun>>,
}

#[derive(Serialize)]
struct JsonRun {
    start: String,
    end: String,
    state: &'static str,
    dirty: bool,
    page_size: usize,
}

#[derive(Serialize)]
struct Totals {
    #[serde(flatten)]
    all: Amounts,
    kinds: BTreeMap<&'static str, Amounts>,
}

#[derive(Serialize)]
struct Amounts {
    regions: usize,
    size: usize,
    resident: usize,
    dirty: usize,
    swapped: usize,
    evicted: usize,
    huge: usize,
    live_blocks: usize,
}

impl From<Sum> for Amounts {
    fn from(sum: Sum) -> Amounts {
        Amounts {
            regions: sum.regions,
            size: sum.size,
            resident: sum.resident,
            dirty: sum.dirty,
            swapped: sum.swapped,
            evicted: sum.evicted,
            huge: sum.huge,
            live_blocks: sum.live_blocks,
        }
    }
}

fn address(address: usize) -> String {
    format!("{address:#x}")
}

fn state(state: MapPageState) -> &'static str {
    match state {
        MapPageState::Resident => "resident",
        MapPageState::Swapped => "swapped",
        MapPageState::Staged => "staged",
        MapPageState::Compressed => "compressed",
        MapPageState::SameFilled => "same-filled",
        MapPageState::Filed => "filed",
        MapPageState::Guard => "guard",
        _ => "absent",
    }
}

fn run(run: &MapRun) -> JsonRun {
    JsonRun {
        start: address(run.start),
        end: address(run.end),
        state: state(run.state),
        dirty: run.is_dirty,
        page_size: run.page_bytes,
    }
}

fn region<'a>(region: &'a Region, has_runs: bool) -> JsonRegion<'a> {
    let facts = &region.facts;
    let is_slab = facts.block_bytes > 0;
    JsonRegion {
        start: address(facts.start),
        end: address(facts.end),
        size: region.size(),
        kind: words::of_kind(facts.kind),
        protection: words::protection(facts),
        name: &region.name,
        block_bytes: is_slab.then_some(facts.block_bytes),
        live_blocks: is_slab.then_some(facts.live_blocks),
        resident: facts.resident_bytes,
        dirty: facts.dirty_bytes,
        swapped: facts.swapped_bytes,
        evicted: facts.evicted_bytes,
        huge: facts.huge_bytes,
        page_size: facts.page_bytes,
        runs: has_runs.then(|| region.runs.iter().map(run).collect()),
    }
}

/// The object on one line; with the runs of the regions for which `has_runs` holds.
pub(crate) fn draw(picture: &Picture, has_runs: impl Fn(&Region) -> bool) -> String {
    let kinds = totals(&picture.regions);
    let document = Document {
        process: picture.process,
        program: &picture.program,
        runs_glebe: picture.runs_glebe,
        regions: picture
            .regions
            .iter()
            .map(|it| region(it, has_runs(it)))
            .collect(),
        totals: Totals {
            all: Sum::of(&picture.regions).into(),
            kinds: kinds
                .into_iter()
                .map(|(kind, sum)| (words::of_kind(kind), sum.into()))
                .collect(),
        },
    };
    let mut text = serde_json::to_string(&document).expect("strings and numbers");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::map_command::fixture;

    #[test]
    fn the_object_parses_and_its_sums_agree() {
        let picture = fixture::picture();
        let text = draw(&picture, |_| true);
        let object: Value = serde_json::from_str(&text).unwrap();
        let regions = object["regions"].as_array().unwrap();
        assert_eq!(regions.len(), picture.regions.len());
        for name in ["size", "resident", "dirty", "swapped", "evicted", "huge"] {
            let number = |value: &Value| value[name].as_u64().unwrap();
            let sum: u64 = regions.iter().map(number).sum();
            assert_eq!(number(&object["totals"]), sum, "{name}");
            let kinds = object["totals"]["kinds"].as_object().unwrap();
            assert_eq!(kinds.values().map(number).sum::<u64>(), sum, "{name}");
        }
        for region in regions {
            let number = |value: &Value| {
                let text = value.as_str().unwrap().strip_prefix("0x").unwrap();
                u64::from_str_radix(text, 16).unwrap()
            };
            let runs = region["runs"].as_array().unwrap();
            let mut end = number(&region["start"]);
            for run in runs {
                assert_eq!(number(&run["start"]), end);
                end = number(&run["end"]);
            }
            assert_eq!(end, number(&region["end"]));
        }
    }

    #[test]
    fn runs_are_there_only_where_they_are_wanted() {
        let picture = fixture::picture();
        assert!(!draw(&picture, |_| false).contains("runs\":["));
        let text = draw(&picture, |region| region.name == "[stack]");
        assert_eq!(text.matches("runs\":[").count(), 1);
    }
}
