//! A measured figure and its target.

use decnet_bench::format::thousands;
use serde::{Deserialize, Serialize};

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    /// Context in words, for example the reference's own rate or the speed of the disk.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
    /// Whether the target is met; `None` without a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
}

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Ratio,
    PerSecond,
    Micros,
    Bytes,
    Count,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { name: name.into(), value, unit, detail: String::new(), target: None, met: None }
    }

    pub(crate) fn whole(name: impl Into<String>, value: u64, unit: Unit) -> Self {
        Self::new(name, value as f64, unit)
    }

    #[must_use]
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    #[must_use]
    pub(crate) fn target(self, target: Target) -> Self {
        Self { met: Some(target.is_met_by(self.value)), target: Some(target), ..self }
    }

    pub(super) fn formatted_target(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(0.0)) => self.unit.format(0.0),
            Some(Target::AtMost(most)) => format!("≤ {}", self.unit.format(most)),
            Some(Target::AtLeast(least)) => format!("≥ {}", self.unit.format(least)),
        }
    }

    /// Returns "met", or by how much of the target it was missed.
    pub(super) fn verdict(&self) -> String {
        match self.target {
            None => String::new(),
            Some(target) if target.is_met_by(self.value) => "met".into(),
            Some(Target::AtMost(0.0)) => format!("missed by {}", self.unit.format(self.value)),
            Some(Target::AtMost(wanted) | Target::AtLeast(wanted)) => {
                format!("missed by {:.0} %", ((self.value - wanted) / wanted * 100.0).abs().max(1.0))
            }
        }
    }
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Unit {
    pub(crate) fn format_whole(self, figure: u64) -> String {
        self.format(figure as f64)
    }

    pub(crate) fn format(self, figure: f64) -> String {
        match self {
            Self::Ratio => format!("{figure:.2}"),
            Self::PerSecond => format!("{}/s", thousands(figure)),
            Self::Count => thousands(figure),
            Self::Micros if figure >= 1e6 => format!("{:.2} s", figure / 1e6),
            Self::Micros if figure < 100.0 => format!("{figure:.2} µs"),
            Self::Micros => format!("{:.2} ms", figure / 1e3),
            Self::Bytes if figure >= 1e6 => format!("{:.1} MiB", figure / 1024.0 / 1024.0),
            Self::Bytes => format!("{:.2} KiB", figure / 1024.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(value: f64, target: Target) -> String {
        Figure::new("x", value, Unit::Ratio).target(target).verdict()
    }

    #[test]
    fn verdict_gives_the_distance_from_the_target() {
        assert_eq!(verdict(0.6, Target::AtLeast(0.6)), "met");
        assert_eq!(verdict(0.3, Target::AtLeast(0.6)), "missed by 50 %");
        assert_eq!(verdict(2.0, Target::AtMost(1.6)), "missed by 25 %");
        assert_eq!(verdict(0.599, Target::AtLeast(0.6)), "missed by 1 %");
        assert_eq!(
            Figure::whole("lost", 3, Unit::Count).target(Target::AtMost(0.0)).verdict(),
            "missed by 3"
        );
        assert_eq!(Figure::whole("lost", 0, Unit::Count).target(Target::AtMost(0.0)).verdict(), "met");
        assert_eq!(Figure::new("x", 1.0, Unit::Ratio).verdict(), "");
    }

    #[test]
    fn figures_are_formatted_with_their_unit() {
        assert_eq!(Unit::PerSecond.format(1_234_567.4), "1,234,567/s");
        assert_eq!(Unit::Micros.format(1.5), "1.50 µs");
        assert_eq!(Unit::Micros.format(1509.0), "1.51 ms");
        assert_eq!(Unit::Micros.format(2_500_000.0), "2.50 s");
        assert_eq!(Unit::Bytes.format(31_457_280.0), "30.0 MiB");
        assert_eq!(Unit::Bytes.format(1024.0), "1.00 KiB");
        assert_eq!(Unit::Ratio.format(0.333), "0.33");
    }

    #[test]
    fn figure_round_trips_through_json() {
        let figure = Figure::new("x", 0.5, Unit::Ratio).detail("y").target(Target::AtLeast(0.6));
        let json = serde_json::to_string(&figure).unwrap();
        assert!(json.contains(r#""met":false"#), "{json}");
        assert_eq!(serde_json::from_str::<Figure>(&json).unwrap(), figure);
    }
}
