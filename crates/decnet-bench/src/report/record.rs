//! Rows with their figures, and merging with the results of earlier runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::figure::Figure;
use crate::plan::Size;

/// Result of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Measured {
    pub(crate) figures: Vec<Figure>,
    /// The amount of work, and other context of the figures.
    pub(crate) notes: Vec<String>,
    /// Bars of the throughput chart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) bars: Vec<Bar>,
    /// Curves of the latency table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) curves: Vec<Curve>,
}

/// Deliveries per second, with the rate of the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) per_second: f64,
    pub(crate) reference_per_second: f64,
}

/// Latency by percentile, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, u64)>,
}

/// A row with the time and machine of its measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) number: u8,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) at: String,
    pub(crate) size: Size,
    pub(crate) machine: String,
    /// Load average just before the measurement, which shows whether other processes used the machine.
    pub(crate) load: String,
    #[serde(flatten)]
    pub(crate) measured: Measured,
    /// The error if the measurement failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Rows of one run, or of several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Record>,
}

impl Report {
    pub(crate) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.error.is_some())
    }

    /// Returns these rows, replaced by the rows of `newer`. A row that failed in `newer` keeps its results.
    pub(super) fn updated(self, newer: &Self) -> Self {
        let newer = newer.rows.iter().filter(|row| row.error.is_none()).cloned();
        let rows: BTreeMap<u8, Record> =
            self.rows.into_iter().chain(newer).map(|row| (row.number, row)).collect();
        Self { rows: rows.into_values().collect() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::figure::{Target, Unit};
    use super::*;

    /// Returns a row with one figure.
    pub(in crate::report) fn record(number: u8, value: f64) -> Record {
        let figure = Figure::new("ratio", value, Unit::Ratio).detail("100/s").target(Target::AtLeast(0.6));
        let bar = Bar { label: format!("row {number}"), per_second: 50.0, reference_per_second: 100.0 };
        Record {
            number,
            name: format!("row-{number}"),
            title: format!("title {number}"),
            at: "2026-01-01 00:00 UTC".into(),
            size: Size::Quick,
            machine: "a machine".into(),
            load: "0.10".into(),
            measured: Measured {
                figures: vec![figure],
                notes: vec!["small".into()],
                bars: vec![bar],
                curves: vec![Curve { label: "100/s".into(), points: vec![(50.0, 400), (99.9, 5000)] }],
            },
            error: None,
        }
    }

    fn values(report: &Report) -> Vec<(u8, f64)> {
        report.rows.iter().map(|row| (row.number, row.measured.figures[0].value)).collect()
    }

    #[test]
    fn new_results_replace_only_their_own_row() {
        let old = Report { rows: vec![record(1, 0.1), record(3, 0.3)] };
        let new = Report { rows: vec![record(2, 0.2), record(3, 0.4)] };
        assert_eq!(values(&old.updated(&new)), [(1, 0.1), (2, 0.2), (3, 0.4)]);
    }

    #[test]
    fn failed_row_keeps_its_earlier_results() {
        let failed = Record { error: Some("stuck".into()), measured: Measured::default(), ..record(1, 0.0) };
        let new = Report { rows: vec![failed] };
        assert!(new.has_failed());
        let both = Report { rows: vec![record(1, 0.5)] }.updated(&new);
        assert_eq!((values(&both), both.has_failed()), (vec![(1, 0.5)], false));
        assert!(Report::default().updated(&new).rows.is_empty());
    }

    #[test]
    fn report_round_trips_through_json() {
        let report = Report { rows: vec![record(1, 0.5)] };
        let json = serde_json::to_string_pretty(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
