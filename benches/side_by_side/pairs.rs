//! What something costs that is lost in the noise of whole rounds: the CPU time of a run with it
//! divided by that of a run without, which came just before or after.

use crate::allocators::Allocator;
use crate::figures::geometric_mean;
use crate::rounds::run;
use crate::run::{Job, Stage};

/// The ratios of each row, in the order of its rounds.
#[derive(Default)]
pub(crate) struct Pairs {
    pub(crate) rows: Vec<(&'static str, Vec<f64>)>,
}

/// Three points of a distribution.
#[derive(Clone, Copy)]
pub(crate) struct Quartiles {
    pub(crate) first: f64,
    pub(crate) median: f64,
    pub(crate) third: f64,
}

impl Quartiles {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |quarter: usize| {
            let (below, part) = (last * quarter / 4, (last * quarter % 4) as f64 / 4.0);
            let above = values[(below + 1).min(last)];
            values[below] + (above - values[below]) * part
        };
        Some(Self {
            first: at(1),
            median: at(2),
            third: at(3),
        })
    }
}

impl Pairs {
    /// Adds a row; one that fails stays out, said loudly.
    pub(crate) fn measure(
        &mut self,
        stage: &Stage,
        job: &Job,
        with: &Allocator,
        without: &Allocator,
    ) {
        let mut ratios = Vec::new();
        for round in 0..job.rounds {
            let mut seconds = [0.0; 2];
            // Each is first by turns, over the rounds of a row and over the rows of a round: drawn
            // orders are uneven in so few rounds, and what it costs to be first would count too.
            let first = (self.rows.len() + round) % 2;
            for number in [first, 1 - first] {
                match run(stage, job, [with, without][number]) {
                    Ok(run) => seconds[number] = run.cpu_seconds,
                    Err(how) => return eprintln!("FAILED: {}: {how}", job.row.name),
                }
            }
            ratios.push(seconds[0] / seconds[1]);
        }
        // A run too short for the kernel's clock says nothing.
        ratios.retain(|it| it.is_finite() && *it > 0.0);
        self.rows.push((job.row.name, ratios));
    }

    /// The geometric mean over the rows of each row's median.
    pub(crate) fn mean(&self) -> Option<f64> {
        let medians = self
            .rows
            .iter()
            .filter_map(|row| Quartiles::of(row.1.clone()));
        geometric_mean(medians.map(|it| it.median))
    }

    /// Of the rounds' geometric means over the rows: how far apart the noise drives the same
    /// figure.
    pub(crate) fn spread(&self) -> Option<Quartiles> {
        let rounds = self.rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
        let of_round = |round: usize| {
            geometric_mean(self.rows.iter().filter_map(|row| row.1.get(round).copied()))
        };
        Quartiles::of((0..rounds).filter_map(of_round).collect())
    }
}
