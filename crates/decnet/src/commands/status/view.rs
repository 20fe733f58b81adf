//! The text of a status: health, totals, and rates computed from two samples. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use decnet_bus::Losses;
use indicatif::HumanBytes;

use crate::commands::shared::times::{show_age, show_clock};
use crate::output::{Paint, Table, Text};
use decnet_telemetry::status::{Bus, Degraded, Status, Subscription};

pub(super) const HEADINGS: [&str; 11] = [
    "SUBSCRIPTION",
    "STATE",
    "PER S",
    "FAILED/S",
    "IN FLIGHT",
    "PENDING",
    "PARKED",
    "DEAD",
    "EXCLUDED",
    "OLDEST",
    "LAST ERROR",
];

/// The displayed status of a worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    /// The lines about its health.
    pub(super) health: Vec<Line>,
    /// Totals and rates.
    pub(super) summary: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A line, and whether it reports a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) is_bad: bool,
}

/// The row of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) of: Subscription,
    /// Deliveries and failed attempts per second, if there is an earlier sample.
    pub(super) rates: Option<(f64, f64)>,
}

/// The sort order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// Subscriptions that are not open first, then those with the most waiting deliveries.
    #[default]
    Trouble,
    /// The highest rate first.
    Rate,
    Name,
}

impl Order {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Trouble => Self::Rate,
            Self::Rate => Self::Name,
            Self::Name => Self::Trouble,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Rate => "rate",
            Self::Name => "name",
        }
    }
}

impl View {
    /// Builds a view from two samples. Without an earlier sample there are no rates.
    pub(super) fn between(before: Option<&Status>, now: &Status) -> Self {
        // A restarted worker counts from zero.
        let before =
            before.filter(|before| before.pid == now.pid && before.uptime_seconds < now.uptime_seconds);
        let earlier: HashMap<&str, &Subscription> = before
            .into_iter()
            .flat_map(|before| before.subscriptions.iter().chain(&before.others))
            .map(|subscription| (subscription.uuid.as_str(), subscription))
            .collect();
        let seconds = before.map_or(0.0, |before| now.uptime_seconds - before.uptime_seconds);
        let row = |of: &Subscription| {
            let rates = earlier.get(of.uuid.as_str()).map(|earlier| {
                let delivered = rate(earlier.delivered, of.delivered, seconds);
                (delivered, rate(earlier.failed_attempts, of.failed_attempts, seconds))
            });
            Row { of: of.clone(), rates }
        };
        let others = now.others.clone().map(|others| Subscription {
            name: format!("({} others)", now.others_count),
            state: String::new(),
            ..others
        });
        let mut rows: Vec<Row> = now.subscriptions.iter().map(row).collect();
        rows.extend(others.as_ref().map(row));
        let mut view = Self { health: health(now), summary: summary(before, now, seconds), rows };
        view.sort(Order::default());
        view
    }

    pub(super) fn sort(&mut self, order: Order) {
        let name = |row: &Row| row.of.name.clone();
        #[expect(clippy::cast_possible_truncation, reason = "for an order only")]
        let rate = |row: &Row| row.rates.map_or(0, |(delivered, _)| (delivered * 1000.0) as i64);
        match order {
            Order::Trouble => self.rows.sort_by_key(|row| {
                let is_open = row.of.state == "open";
                (is_open, Reverse(row.of.pending + row.of.parked), Reverse(row.of.dead), name(row))
            }),
            Order::Rate => self.rows.sort_by_key(|row| (Reverse(rate(row)), name(row))),
            Order::Name => self.rows.sort_by_key(name),
        }
    }

    /// Formats the view as text.
    pub(super) fn render(&self, paint: Paint) -> Text {
        let painted = |line: &Line| if line.is_bad { paint.bad(&line.text) } else { (&line.text).into() };
        let mut text = Text::default();
        for line in self.health.iter().map(painted).chain(self.summary.iter().map(Text::from)) {
            text.line(line);
        }
        if !self.rows.is_empty() {
            text.end_line();
            text += Table::new(HEADINGS, self.rows.iter().map(Row::cells)).render(paint);
        }
        text
    }
}

impl Row {
    /// Returns the cells in the order of [`HEADINGS`].
    pub(super) fn cells(&self) -> [String; HEADINGS.len()] {
        let Subscription { name, state, in_flight, pending, parked, dead, excluded, .. } = &self.of;
        let rates = self.rates.map(|(delivered, failed)| (show_rate(delivered), show_rate(failed)));
        let (delivered, failed) = rates.unwrap_or_else(|| ("-".into(), "-".into()));
        let oldest = self.of.oldest_seconds.map_or_else(|| "-".into(), show_age);
        let last_error = self.of.last_error.as_ref();
        let last_error =
            last_error.map(|last| format!("{} ({} ago)", last.error, show_age(last.seconds_ago)));
        let error = self.of.hold.as_ref().map(|hold| format!("held: {hold}")).or(last_error);
        let count = ToString::to_string;
        [
            name.clone(),
            self.of.deferred_seconds.map_or_else(|| state.clone(), |left| deferred(state, left)),
            delivered,
            failed,
            count(in_flight),
            count(pending),
            count(parked),
            count(dead),
            count(excluded),
            oldest,
            error.unwrap_or_default(),
        ]
    }
}

/// Formats the state of a subscription whose receiver has asked for a delay.
fn deferred(state: &str, seconds: f64) -> String {
    let left = show_age(seconds.ceil());
    if state == "open" { format!("deferred {left}") } else { format!("{state}, deferred {left}") }
}

fn health(now: &Status) -> Vec<Line> {
    let bus = match now.bus {
        Bus::None => "no bus",
        Bus::Connected => "bus connected",
        Bus::Away => "bus DISCONNECTED",
    };
    let Status { version, pid, .. } = now;
    let up = show_age(now.uptime_seconds);
    let bad = |text| Line { text, is_bad: true };
    let good = |text| Line { text, is_bad: false };
    let queue = match &now.degraded {
        None => Line { text: format!("queue ok, {bus}"), is_bad: now.bus == Bus::Away },
        Some(Degraded { error, seconds }) => {
            bad(format!("queue DEGRADED for {}: {error}; {bus}", show_age(*seconds)))
        }
    };
    let others = [
        now.bus_degraded.as_ref().map(|Degraded { error, seconds }| {
            bad(format!("bus DEGRADED for {}: {error}; events can be lost", show_age(*seconds)))
        }),
        now.clock_ahead_seconds.map(clock),
        now.bus_losses.and_then(losses),
        (now.bad_rows > 0).then(|| {
            bad(format!("{} invalid subscription rows; `decnet subscription list` shows why", now.bad_rows))
        }),
        (!now.counted).then(|| good("deliveries from before the start are being counted".into())),
    ];
    let process = good(format!("decnet {version}, process {pid}, up {up}"));
    [process, queue].into_iter().chain(others.into_iter().flatten()).collect()
}

/// Returns a line about a system clock that is not trusted, with the remedy.
fn clock(ahead_seconds: f64) -> Line {
    let text = format!(
        "{}: nothing is removed by age until they agree; check the clock, and if it is right, run `decnet clock --confirm`",
        show_clock(ahead_seconds)
    );
    Line { text, is_bad: true }
}

/// Returns a line about events that the bus has dropped, if any. It is a problem if the worker may have missed some.
fn losses(of: Losses) -> Option<Line> {
    let Losses { dropped_ordinary, dropped_lossless, publisher_pauses } = of;
    let is_bad = dropped_lossless > 0;
    let text = format!(
        "since its start the bus dropped {dropped_lossless} events for workers and {dropped_ordinary} for other readers, \
         and paused publishers {publisher_pauses} times"
    );
    (is_bad || dropped_ordinary > 0 || publisher_pauses > 0).then_some(Line { text, is_bad })
}

fn summary(before: Option<&Status>, now: &Status, seconds: f64) -> Vec<String> {
    let (queue, totals) = (&now.queue, &now.totals);
    let per_second = |value: fn(&Status) -> u64| {
        before.map_or_else(|| "-".into(), |before| show_rate(rate(value(before), value(now), seconds)))
    };
    let since_before = |value: fn(&Status) -> u64| value(now).saturating_sub(before.map_or(0, value));
    let micros = since_before(|status| status.queue.commit_micros);
    let each = micros.checked_div(since_before(|status| status.queue.commits));
    let commit = each.map_or_else(String::new, |each| format!(" at {:.1} ms", each as f64 / 1e3));
    vec![
        format!(
            "queue {} of {}, log {}, {} free; {} commits/s{commit}",
            HumanBytes(queue.file_bytes),
            HumanBytes(queue.limit_bytes),
            HumanBytes(queue.log_bytes),
            HumanBytes(queue.disk_free_bytes),
            per_second(|status| status.queue.commits),
        ),
        format!(
            "{} admitted/s, {} delivered/s, {} failed attempts/s; {} in flight, {} in memory",
            per_second(|status| status.totals.admitted),
            per_second(|status| status.totals.delivered),
            per_second(|status| status.totals.failed_attempts),
            totals.in_flight,
            totals.held,
        ),
        format!(
            "since the start: {} admitted, {} unrouted, {} excluded, {} delivered, {} dead, {} trips, {} recoveries",
            totals.admitted,
            totals.unrouted,
            totals.excluded,
            totals.delivered,
            totals.dead,
            totals.trips,
            totals.recoveries,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn rate(before: u64, now: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

fn show_rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 100.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(name: &str, state: &str, delivered: u64, waiting: u64) -> Subscription {
        let (uuid, name, state) = (name.to_owned(), name.to_owned(), state.to_owned());
        Subscription { uuid, name, state, delivered, pending: waiting, ..Subscription::default() }
    }

    fn status(at: f64, subscriptions: Vec<Subscription>) -> Status {
        Status { uptime_seconds: at, pid: 7, counted: true, subscriptions, ..Status::default() }
    }

    fn names(view: &View) -> Vec<&str> {
        view.rows.iter().map(|row| row.of.name.as_str()).collect()
    }

    #[test]
    fn rates_are_differences_between_samples_of_one_process() {
        let before = status(100.0, vec![subscription("a", "open", 50, 0)]);
        let now = status(102.0, vec![subscription("a", "open", 70, 0), subscription("b", "open", 9, 0)]);
        let view = View::between(Some(&before), &now);
        assert_eq!(view.rows.iter().map(|row| row.rates).collect::<Vec<_>>(), [Some((10.0, 0.0)), None]);
        let restarted = Status { pid: 8, ..now };
        assert!(View::between(Some(&before), &restarted).rows.iter().all(|row| row.rates.is_none()));
    }

    #[test]
    fn subscriptions_with_problems_come_first() {
        let of = vec![
            subscription("idle", "open", 0, 0),
            subscription("behind", "open", 0, 9),
            subscription("down", "tripped", 0, 1),
        ];
        let mut view = View::between(None, &status(1.0, of));
        assert_eq!(names(&view), ["down", "behind", "idle"]);
        view.sort(Order::Name);
        assert_eq!(names(&view), ["behind", "down", "idle"]);
    }

    #[test]
    fn held_subscription_is_shown_with_its_reason() {
        let of = Subscription {
            hold: Some("filter: line 1, column 9: no".into()),
            excluded: 7,
            ..subscription("siem", "held", 0, 3)
        };
        let view = View::between(None, &status(1.0, vec![subscription("chat", "open", 0, 9), of]));
        assert_eq!(names(&view), ["siem", "chat"]);
        let cells = view.rows[0].cells();
        assert_eq!(
            (&*cells[1], &*cells[8], &*cells[10]),
            ("held", "7", "held: filter: line 1, column 9: no")
        );
    }

    #[test]
    fn problems_are_marked_in_the_view() {
        let mut now = status(1.0, Vec::new());
        assert!(View::between(None, &now).health.iter().all(|line| !line.is_bad));
        now.clock_ahead_seconds = Some(-3600.0);
        let health = View::between(None, &now).health;
        let behind = health.iter().find(|line| line.text.contains("60m behind"));
        assert!(behind.is_some_and(|line| line.is_bad && line.text.contains("decnet clock --confirm")));
        now.clock_ahead_seconds = None;
        now.bus = Bus::Away;
        assert!(
            View::between(None, &now)
                .health
                .iter()
                .any(|line| line.is_bad && line.text.contains("bus DISCONNECTED"))
        );
        now.bus = Bus::Connected;
        now.bus_degraded = Some(Degraded { error: "no lossless queue".into(), seconds: 61.0 });
        let health = View::between(None, &now).health;
        let degraded = health.iter().find(|line| line.text.contains("no lossless queue"));
        assert!(degraded.is_some_and(|line| line.is_bad && line.text.starts_with("bus DEGRADED for 61s")));
        let mut is_problem = |dropped_ordinary, dropped_lossless| {
            let losses = Losses { dropped_ordinary, dropped_lossless, publisher_pauses: 0 };
            now.bus_losses = Some(losses);
            let health = View::between(None, &now).health;
            let line = health.iter().find(|line| line.text.contains("the bus dropped"));
            line.map(|line| line.is_bad)
        };
        assert_eq!([is_problem(0, 0), is_problem(7, 0), is_problem(0, 7)], [None, Some(false), Some(true)]);
    }

    #[test]
    fn rates_are_rounded() {
        assert_eq!([0.0, 0.5, 1234.4].map(show_rate), ["0", "0.5", "1234"]);
    }
}
