//! What the runs come to: the least and the median of each measure, ratios, geometric means.

use crate::allocators::{Allocator, Kind};
use crate::rows::{Group, Row, Time};
use crate::run::Run;

/// The runs of one allocator in one row; Err says how it failed.
pub(crate) type Outcome = Result<Vec<Run>, String>;

/// One row's outcomes, by the number of the allocator; None where it has nothing to do there.
pub(crate) struct Measured {
    pub(crate) row: &'static Row,
    pub(crate) outcomes: Vec<Option<Outcome>>,
}

/// Everything that was measured.
pub(crate) struct Table {
    pub(crate) allocators: Vec<Allocator>,
    pub(crate) rows: Vec<Measured>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Time,
    Cpu,
    Peak,
    Final,
    Faults,
}

impl Measure {
    pub(crate) const ALL: [Self; 5] =
        [Self::Time, Self::Cpu, Self::Peak, Self::Final, Self::Faults];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Cpu => "CPU time",
            Self::Peak => "peak resident memory",
            Self::Final => "final resident memory",
            Self::Faults => "minor page faults",
        }
    }

    pub(crate) fn unit(self, row: &Row) -> &'static str {
        match self {
            Self::Time => row.unit(),
            Self::Cpu => "s",
            Self::Peak | Self::Final => "MiB",
            Self::Faults => "",
        }
    }

    /// Of one run, in the unit.
    pub(crate) fn of(self, row: &Row, run: &Run) -> Option<f64> {
        match self {
            Self::Time => match row.time {
                Time::Metric(metric) => run.metrics.get(metric).map(|it| it.0),
                Time::Cpu => Some(run.cpu_seconds),
                Time::Wall if row.group == Group::StartUp => Some(run.wall_seconds * 1e3),
                Time::Wall => Some(run.wall_seconds),
            },
            Self::Cpu => Some(run.cpu_seconds),
            Self::Peak => Some(run.peak_kib / 1024.0),
            Self::Final => run.final_kib.map(|it| it / 1024.0),
            Self::Faults => Some(run.faults),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) least: f64,
    pub(crate) median: f64,
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            least: *values.first()?,
            median: values[values.len() / 2],
        })
    }
}

impl Measured {
    /// The runs of an allocator, none where it failed.
    pub(crate) fn runs(&self, allocator: usize) -> &[Run] {
        match &self.outcomes[allocator] {
            Some(Ok(runs)) => runs,
            _ => &[],
        }
    }

    pub(crate) fn figure(&self, allocator: usize, measure: Measure) -> Option<Figure> {
        let runs = self.runs(allocator).iter();
        Figure::of(runs.filter_map(|run| measure.of(self.row, run)).collect())
    }

    pub(crate) fn metric(&self, allocator: usize, name: &str) -> Option<Figure> {
        let runs = self.runs(allocator).iter();
        Figure::of(
            runs.filter_map(|run| Some(run.metrics.get(name)?.0))
                .collect(),
        )
    }

    /// The one number that stands for the runs: a time disturbed is too long, never too short, so
    /// it is the least of times; of the rest it is the median.
    pub(crate) fn value(&self, allocator: usize, measure: Measure) -> Option<f64> {
        let figure = self.figure(allocator, measure)?;
        Some(match measure {
            Measure::Time | Measure::Cpu => figure.least,
            _ => figure.median,
        })
    }

    pub(crate) fn ratio(&self, one: usize, other: usize, measure: Measure) -> Option<f64> {
        let ratio = self.value(one, measure)? / self.value(other, measure)?;
        (ratio > 0.0 && ratio.is_finite()).then_some(ratio)
    }
}

impl Table {
    pub(crate) fn find(&self, kind: Kind) -> Option<usize> {
        self.allocators.iter().position(|it| it.kind == kind)
    }

    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.allocators.iter().position(|it| it.name == name)
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = usize> {
        let is_peer = |&number: &usize| self.allocators[number].kind == Kind::Peer;
        (0..self.allocators.len()).filter(is_peer)
    }

    /// The rows that count in the means.
    pub(crate) fn main_rows(&self) -> impl Iterator<Item = &Measured> {
        self.rows.iter().filter(|it| it.row.group.is_in_the_means())
    }

    pub(crate) fn rows_of(&self, group: Group) -> impl Iterator<Item = &Measured> {
        self.rows.iter().filter(move |it| it.row.group == group)
    }

    /// The peer with the lowest figure in a row.
    pub(crate) fn best_of_row(&self, row: &Measured, measure: Measure) -> Option<usize> {
        least(self.peers(), |peer| row.value(peer, measure))
    }

    /// The geometric mean, over the rows that both have, of the ratios of one to the other.
    pub(crate) fn mean_ratio(&self, one: usize, other: usize, measure: Measure) -> Option<f64> {
        let ratios = self
            .main_rows()
            .filter_map(|row| row.ratio(one, other, measure));
        geometric_mean(ratios)
    }

    /// The peer with the lowest geometric mean.
    pub(crate) fn best_peer(&self, measure: Measure) -> Option<usize> {
        let glibc = self.find(Kind::Glibc)?;
        least(self.peers(), |peer| self.mean_ratio(peer, glibc, measure))
    }
}

pub(crate) fn geometric_mean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = ratios.map(f64::ln).collect();
    let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
    (!logarithms.is_empty()).then(|| mean.exp())
}

/// The number with the lowest value, of those that have one.
pub(crate) fn least(
    numbers: impl Iterator<Item = usize>,
    value: impl Fn(usize) -> Option<f64>,
) -> Option<usize> {
    numbers
        .filter_map(|number| Some((number, value(number)?)))
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .map(|it| it.0)
}
