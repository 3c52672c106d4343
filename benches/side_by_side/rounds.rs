//! All runs of a row: under each allocator in turn, round after round.

use crate::allocators::{Allocator, Kind};
use crate::figures::{Measure, Measured, Outcome};
use crate::programs;
use crate::rows::{Group, Row, Time};
use crate::run::{Job, Run, Stage};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The program of a row that can run here; None, said loudly, where it cannot.
pub(crate) fn program(row: &Row) -> Option<PathBuf> {
    let program = if row.group.is_installed() {
        let program = programs::installed(row.program);
        if program.is_none() {
            eprintln!("SKIPPED: {}: no {} here", row.name, row.program);
        }
        program?
    } else {
        // Found in the folder that everything runs in.
        Path::new(".").join(row.program)
    };
    if available_mib() < row.needs_mib {
        eprintln!(
            "SKIPPED: {}: needs {} MiB of memory",
            row.name, row.needs_mib
        );
        return None;
    }
    Some(program)
}

/// What may be taken without swapping.
fn available_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(0, |it| it / 1024)
}

/// Where the drawing of orders begins: the same orders in each run of the bench.
const FIRST_STATE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The numbers below `count` in an order drawn by xorshift. One that is always the same would let
/// each allocator start with the memory as the one before it always leaves it: in small pages or
/// huge ones, in the host's hands or not.
fn drawn_order(count: usize, state: &mut u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for place in (1..count).rev() {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let other = *state % (place as u64 + 1);
        order.swap(place, usize::try_from(other).expect("below the count"));
    }
    order
}

/// A least time is steady once another run came as close to it.
const CLOSE: f64 = 1.03;

/// Whether the least time of each allocator is steady: not the one lucky run on a noisy machine, and
/// not all of them unlucky.
fn are_steady(row: &Row, outcomes: &[Option<Outcome>]) -> bool {
    outcomes.iter().flatten().flatten().all(|runs| {
        let times = runs.iter().filter_map(|run| Measure::Time.of(row, run));
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        matches!(times[..], [least, next, ..] if next <= least * CLOSE)
    })
}

/// All runs of a row: as many rounds as the job says, and more while there is time and a least one is
/// not steady.
pub(crate) fn measured(stage: &Stage, job: &Job, allocators: &[Allocator]) -> Measured {
    let takes_part = |kind| match kind {
        Kind::Nothing => job.row.group == Group::Pair,
        Kind::Empty => job.row.group == Group::StartUp,
        _ => true,
    };
    let mut outcomes: Vec<Option<Outcome>> = allocators
        .iter()
        .map(|it| takes_part(it.kind).then(|| Ok(Vec::new())))
        .collect();
    if job.row.group.is_installed() {
        // Brings the program's files into memory.
        let _ = run(stage, job, &allocators[0]);
    }
    let mut state = FIRST_STATE;
    let (begin, mut rounds) = (Instant::now(), 0);
    while rounds < job.rounds || (begin.elapsed() < job.patience && !are_steady(job.row, &outcomes))
    {
        rounds += 1;
        for number in drawn_order(allocators.len(), &mut state) {
            if let Some(Ok(runs)) = &mut outcomes[number] {
                match run(stage, job, &allocators[number]) {
                    Ok(run) => runs.push(run),
                    Err(how) => outcomes[number] = Some(Err(how)),
                }
            }
        }
    }
    // glibc is the first.
    let expected = match &outcomes[0] {
        Some(Ok(runs)) => runs.first().map(|it| it.result.clone()),
        _ => None,
    };
    for outcome in &mut outcomes {
        if let (Some(expected), Some(Ok(runs))) = (&expected, &outcome)
            && runs.iter().any(|it| it.result != *expected)
        {
            *outcome = Some(Err("wrong result".to_owned()));
        }
    }
    Measured {
        row: job.row,
        outcomes,
    }
}

/// One run, with what the row needs.
pub(crate) fn run(stage: &Stage, job: &Job, allocator: &Allocator) -> Result<Run, String> {
    let mut run = match job.row.program {
        programs::REDIS => programs::redis(stage, job, allocator)?,
        _ => stage.run(job, allocator)?,
    };
    if job.row.group == Group::StartUp {
        run.peak_kib = stage
            .resident_at_end(job, allocator)
            .unwrap_or(run.peak_kib);
    }
    match job.row.time {
        Time::Metric(metric) if !run.metrics.contains_key(metric) => {
            Err(format!("no metric {metric}"))
        }
        _ => Ok(run),
    }
}
