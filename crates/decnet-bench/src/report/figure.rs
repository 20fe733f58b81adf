//! One figure: what was seen, what was wanted, and how far apart they are.

use serde::{Deserialize, Serialize};

/// A figure that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) seen: f64,
    pub(crate) unit: Unit,
    /// What it was seen beside, in words: the reference's own figure, the disk's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) beside: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
    /// Of a figure with a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// What a figure counts.
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
    pub(crate) fn new(what: impl Into<String>, seen: f64, unit: Unit) -> Self {
        Self { what: what.into(), seen, unit, beside: String::new(), target: None, met: None }
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes and microseconds of a run are far below 2^53")]
    pub(crate) fn whole(what: impl Into<String>, seen: u64, unit: Unit) -> Self {
        Self::new(what, seen as f64, unit)
    }

    #[must_use]
    pub(crate) fn beside(self, beside: impl Into<String>) -> Self {
        Self { beside: beside.into(), ..self }
    }

    #[must_use]
    pub(crate) fn target(self, target: Target) -> Self {
        Self { met: Some(target.is_met_by(self.seen)), target: Some(target), ..self }
    }

    pub(super) fn shown(&self) -> String {
        self.unit.show(self.seen)
    }

    pub(super) fn wanted(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(0.0)) => self.unit.show(0.0),
            Some(Target::AtMost(most)) => format!("≤ {}", self.unit.show(most)),
            Some(Target::AtLeast(least)) => format!("≥ {}", self.unit.show(least)),
        }
    }

    /// Met, or missed by how much of the target.
    pub(super) fn verdict(&self) -> String {
        match self.target {
            None => String::new(),
            Some(target) if target.is_met_by(self.seen) => "met".into(),
            Some(Target::AtMost(0.0)) => format!("missed by {}", self.shown()),
            Some(Target::AtMost(wanted) | Target::AtLeast(wanted)) => {
                format!("missed by {:.0} %", ((self.seen - wanted) / wanted * 100.0).abs().max(1.0))
            }
        }
    }
}

impl Target {
    fn is_met_by(self, seen: f64) -> bool {
        match self {
            Self::AtLeast(least) => seen >= least,
            Self::AtMost(most) => seen <= most,
        }
    }
}

impl Unit {
    pub(crate) fn show(self, figure: f64) -> String {
        match self {
            Self::Ratio => format!("{figure:.2}"),
            Self::PerSecond => format!("{}/s", thousands(figure)),
            Self::Count => thousands(figure),
            Self::Micros if figure >= 1e6 => format!("{:.2} s", figure / 1e6),
            Self::Micros => format!("{:.2} ms", figure / 1e3),
            Self::Bytes if figure >= 1e6 => format!("{:.1} MiB", figure / 1024.0 / 1024.0),
            Self::Bytes => format!("{:.2} KiB", figure / 1024.0),
        }
    }
}

/// A figure without its fraction, with commas.
pub(crate) fn thousands(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(seen: f64, target: Target) -> String {
        Figure::new("x", seen, Unit::Ratio).target(target).verdict()
    }

    #[test]
    fn a_figure_says_how_far_it_is_from_its_target() {
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
    fn figures_have_their_unit() {
        assert_eq!(Unit::PerSecond.show(1_234_567.4), "1,234,567/s");
        assert_eq!(Unit::Micros.show(1509.0), "1.51 ms");
        assert_eq!(Unit::Micros.show(2_500_000.0), "2.50 s");
        assert_eq!(Unit::Bytes.show(31_457_280.0), "30.0 MiB");
        assert_eq!(Unit::Bytes.show(1024.0), "1.00 KiB");
        assert_eq!(Unit::Ratio.show(0.333), "0.33");
        assert_eq!(thousands(123.0), "123");
    }

    #[test]
    fn a_figure_reads_back_as_it_was_written() {
        let figure = Figure::new("x", 0.5, Unit::Ratio).beside("y").target(Target::AtLeast(0.6));
        let json = serde_json::to_string(&figure).unwrap();
        assert!(json.contains(r#""met":false"#), "{json}");
        assert_eq!(serde_json::from_str::<Figure>(&json).unwrap(), figure);
    }
}
