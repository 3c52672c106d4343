//! A bar: a figure beside its target.

use crate::aligned::{aligned, digits};
use std::iter::once;

pub(crate) enum Target {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
}

pub(crate) struct Bar {
    pub(crate) number: u32,
    pub(crate) what: &'static str,
    pub(crate) figure: String,
    pub(crate) target: String,
    /// None: not measured.
    pub(crate) met: Option<bool>,
}

/// A figure, and words that say of what.
pub(crate) type Found = Option<(f64, String)>;

pub(crate) fn bar(number: u32, what: &'static str, found: Found, target: Target) -> Bar {
    let (words, limit) = match target {
        Target::AtMost(limit) => ("at most", limit),
        Target::Below(limit) => ("below", limit),
        Target::AtLeast(limit) => ("at least", limit),
    };
    let is_met = |figure: f64| match target {
        Target::AtMost(limit) => figure <= limit,
        Target::Below(limit) => figure < limit,
        Target::AtLeast(limit) => figure >= limit,
    };
    Bar {
        number,
        what,
        target: format!("{words} {}", digits(limit)),
        met: found.as_ref().map(|it| is_met(it.0)),
        figure: found.map_or(String::new(), |(figure, of)| {
            format!("{} ({of})", digits(figure))
        }),
    }
}

pub(crate) fn markdown(bars: &[Bar]) -> String {
    let head = ["bar", "what", "figure", "target", "met"].map(str::to_owned);
    let lines = bars.iter().map(|bar| {
        let met = match bar.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        [
            &bar.number.to_string(),
            bar.what,
            &bar.figure,
            &bar.target,
            met,
        ]
        .map(str::to_owned)
    });
    aligned(once(head).chain(lines).map(Vec::from))
}
