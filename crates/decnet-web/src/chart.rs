//! Charts as SVG that the server draws: they need no script, take their colours from the stylesheet, and have no inline styles.

use std::fmt::Write as _;

/// The coordinates of a chart. The stylesheet stretches it to its place.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;
/// The smallest value of a logarithmic scale.
const LOG_BASE: f64 = 1.0;
/// The end of the path of a single point: a dash around it, which is visible where a dot is not.
const DASH: &str = "m-4 0h8";
/// The coordinates of a sparkline.
const SPARK_HEIGHT: u32 = 16;
const SPARK_STEP: usize = 4;

/// A chart of values over time.
#[derive(Debug)]
pub struct Chart {
    /// The title.
    pub title: String,
    /// The largest value of the scale.
    pub top: String,
    /// The smallest value of the scale.
    pub bottom: String,
    /// The lines, the first in front.
    pub lines: Vec<Line>,
}

/// A line of a chart.
#[derive(Debug)]
pub struct Line {
    /// What it shows.
    pub name: &'static str,
    /// The class of its colour.
    pub tone: &'static str,
    /// The path of the line.
    pub path: String,
    /// The path of the area below the line.
    pub area: String,
    /// All values, separated by `|`; gaps are empty. A script shows the one under the pointer.
    pub values: String,
    /// The last value.
    pub last: String,
    /// The largest value.
    pub most: String,
}

/// The values of a line; `None` is a gap.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) tone: Tone,
    pub(crate) values: Vec<Option<f64>>,
}

/// The colour of a line.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Accent,
    Good,
    Warn,
    Bad,
}

/// How values become heights, and how they are written.
#[derive(Clone, Copy)]
pub(crate) enum Scale {
    Linear(fn(f64) -> String),
    Logarithmic(fn(f64) -> String),
}

impl Chart {
    pub(crate) fn new(title: impl Into<String>, scale: Scale, series: &[Series]) -> Self {
        let values = series.iter().flat_map(|series| series.values.iter().flatten().copied());
        let top = scale.round_up(values.fold(0.0, f64::max));
        let lines = series.iter().map(|series| Line::new(series, scale, top)).collect();
        Self { title: title.into(), top: scale.text(top), bottom: scale.text(scale.base()), lines }
    }

    /// Returns the chart in one sentence, for those who cannot see it.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines =
            self.lines.iter().map(|line| format!("{}: now {}, at most {}", line.name, line.last, line.most));
        format!("{}. {}.", self.title, lines.collect::<Vec<_>>().join("; "))
    }
}

impl Line {
    fn new(series: &Series, scale: Scale, top: f64) -> Self {
        let known = || series.values.iter().flatten().copied();
        let text = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| scale.text(value));
        let runs = runs(&series.values, scale, top);
        let all = series.values.iter().map(|value| value.map(|value| scale.text(value)).unwrap_or_default());
        let all: Vec<_> = all.collect();
        Self {
            name: series.name,
            tone: series.tone.class(),
            path: runs.iter().map(|run| path(run)).collect(),
            area: runs.iter().map(|run| area(run)).collect(),
            values: all.join("|"),
            last: text(known().next_back()),
            most: text(known().max_by(f64::total_cmp)),
        }
    }
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Accent => "accent",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl Scale {
    fn text(self, value: f64) -> String {
        let (Self::Linear(text) | Self::Logarithmic(text)) = self;
        text(value)
    }

    fn base(self) -> f64 {
        match self {
            Self::Linear(_) => 0.0,
            Self::Logarithmic(_) => LOG_BASE,
        }
    }

    /// Returns the next round number, so that the scale rarely changes.
    fn round_up(self, value: f64) -> f64 {
        let (least, steps): (f64, &[f64]) = match self {
            Self::Linear(_) => (1.0, &[1.0, 2.0, 5.0, 10.0]),
            Self::Logarithmic(_) => (LOG_BASE * 10.0, &[1.0, 10.0]),
        };
        let decade = 10_f64.powf(value.max(least).log10().floor());
        steps.iter().map(|step| step * decade).find(|round| *round >= value).unwrap_or(value)
    }

    /// Returns the height of a value as a part of the whole.
    fn height(self, value: f64, top: f64) -> f64 {
        match self {
            Self::Linear(_) => value / top,
            Self::Logarithmic(_) => value.max(LOG_BASE).log10() / top.log10(),
        }
    }
}

/// Returns the points of each part without gaps.
#[expect(clippy::cast_precision_loss, reason = "a chart has few points")]
fn runs(values: &[Option<f64>], scale: Scale, top: f64) -> Vec<Vec<(f64, f64)>> {
    let step = WIDTH / values.len().saturating_sub(1).max(1) as f64;
    let point = |(at, value): (usize, &Option<f64>)| {
        value.map(|value| (at as f64 * step, HEIGHT * (1.0 - scale.height(value, top))))
    };
    let points: Vec<_> = values.iter().enumerate().map(point).collect();
    points.split(Option::is_none).map(|run| run.iter().flatten().copied().collect()).collect()
}

/// Returns the path of a line. A single point becomes a dash.
fn path(run: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (at, (x, y)) in run.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    if run.len() == 1 { path + DASH } else { path }
}

fn area(run: &[(f64, f64)]) -> String {
    let ends = run.first().zip(run.last());
    ends.map_or_else(String::new, |((first, _), (last, _))| {
        format!("{}L{last:.1} {HEIGHT}L{first:.1} {HEIGHT}Z", path(run).trim_end_matches(DASH))
    })
}

/// The recent activity of a subscription: a bar for each interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sparkline {
    /// The path of the bars of deliveries.
    pub delivered: String,
    /// The path of the bars of failed attempts, on top of these.
    pub failed: String,
    /// All of it in words.
    pub summary: String,
}

impl Sparkline {
    /// Draws deliveries and failed attempts by interval, the oldest first.
    #[must_use]
    pub fn new(pairs: &[(u32, u32)]) -> Self {
        let most = pairs.iter().map(|(delivered, failed)| u64::from(*delivered) + u64::from(*failed)).max();
        let most = most.unwrap_or(0).max(1);
        // At least one unit, so that few are visible beside many.
        let height = |count: u32| match u64::from(count) * u64::from(SPARK_HEIGHT) / most {
            0 => u64::from(count > 0),
            height => height,
        };
        let (mut green, mut red) = (String::new(), String::new());
        for (at, (delivered, failed)) in pairs.iter().enumerate() {
            let (x, good, bad) = (at * SPARK_STEP, height(*delivered), height(*failed));
            let base = u64::from(SPARK_HEIGHT) - good.min(u64::from(SPARK_HEIGHT));
            bar(&mut green, x, u64::from(SPARK_HEIGHT), good);
            bar(&mut red, x, base.max(bad), bad);
        }
        let sum =
            |of: fn(&(u32, u32)) -> u32| crate::Count(pairs.iter().map(|pair| u64::from(of(pair))).sum());
        let (delivered, failed) = (sum(|pair| pair.0), sum(|pair| pair.1));
        let failed_text = failed.of("failed attempt", "failed attempts");
        let summary = format!("{delivered} delivered and {failed_text} in the last hour");
        Self { delivered: green, failed: red, summary }
    }

    /// Returns whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.delivered.is_empty() && self.failed.is_empty()
    }
}

/// Adds a bar that is three units wide and ends at the height `bottom`, counted from the top.
fn bar(path: &mut String, x: usize, bottom: u64, height: u64) {
    if height > 0 {
        // Writing to a string cannot fail.
        let _ = write!(path, "M{x} {bottom}v-{height}h3v{height}z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, values: &[Option<f64>]) -> Chart {
        Chart::new("t", scale, &[Series { name: "a", tone: Tone::Good, values: values.to_vec() }])
    }

    const LINEAR: Scale = Scale::Linear(|value| value.to_string());

    #[test]
    fn gap_interrupts_the_line() {
        let chart = chart(LINEAR, &[Some(0.0), Some(4.0), None, Some(5.0)]);
        assert_eq!(chart.top, "5");
        assert_eq!(chart.lines[0].path, "M0.0 100.0L200.0 20.0M600.0 0.0m-4 0h8");
        assert_eq!(chart.lines[0].values, "0|4||5");
        assert_eq!(chart.summary(), "t. a: now 5, at most 5.");
    }

    #[test]
    fn chart_without_values_is_empty() {
        let chart = chart(LINEAR, &[None, None]);
        assert_eq!((&*chart.lines[0].path, &*chart.lines[0].last), ("", "–"));
        assert_eq!(chart.lines[0].area, "");
    }

    #[test]
    fn scale_ends_at_a_round_number() {
        for (most, top) in [(0.0, "1"), (0.3, "1"), (1.5, "2"), (3.0, "5"), (70.0, "100"), (2001.0, "5000")] {
            assert_eq!(chart(LINEAR, &[Some(most)]).top, top);
        }
        let logarithmic = Scale::Logarithmic(|value| value.to_string());
        let chart = chart(logarithmic, &[Some(1.0), Some(0.2), Some(100.0)]);
        assert_eq!((&*chart.top, &*chart.bottom), ("100", "1"));
        assert_eq!(chart.lines[0].path, "M0.0 100.0L300.0 100.0L600.0 0.0");
    }

    #[test]
    fn sparkline_shows_few_failures_beside_many_deliveries() {
        let sparkline = Sparkline::new(&[(0, 0), (1000, 1)]);
        assert_eq!(sparkline.summary, "1,000 delivered and 1 failed attempt in the last hour");
        assert!(
            sparkline.delivered.starts_with("M4 16v-15") && sparkline.failed.contains("v-1h3"),
            "{sparkline:?}"
        );
        assert!(Sparkline::new(&[(0, 0)]).is_empty());
    }
}
