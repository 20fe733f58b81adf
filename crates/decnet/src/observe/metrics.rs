//! The table of all metrics.

use std::collections::HashSet;
use std::sync::Arc;

use decnet_core::delivery::Reason;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::clock::Clock;
use decnet_dispatch::{Figures, Standing, Stats};
use decnet_store::queue;

use super::families::{Family, Kind, Unit, bytes, counter, durations, gauge, number, seconds, sizes};
use super::otlp::DroppedSpans;
use super::process;
use super::worker::WorkerView;

/// The label value for all subscriptions without series of their own.
const OTHERS: &str = "(others)";
/// The label that names a subscription.
const SUBSCRIPTION: &str = "subscription";

/// Returns the current values of all metrics of a worker.
pub(super) fn families(view: &WorkerView) -> Vec<Family> {
    let mut families = worker(view);
    families.extend(bus(view));
    families.extend(events(&view.stats));
    families.extend(attempts(&view.stats));
    families.extend(clock(&view.clock));
    families.extend(subscriptions(&view.stats, &view.clock));
    families.extend(queue_families(view, &view.queue));
    families.push(spans(&view.dropped_spans));
    families.extend(process::disk(&view.data_dir));
    families.extend(process::families());
    families
}

fn worker(view: &WorkerView) -> Vec<Family> {
    let stats = &view.stats;
    let build =
        Family::new("decnet_webhook_build_info", "The running version; always 1", Unit::None, Kind::Gauge);
    vec![
        gauge("decnet_webhook_up", "Whether the worker answers: 1; the API reports 0 if it does not", 1),
        build.with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        counter("decnet_webhook_reloads", "Reloads of the subscriptions", stats.reloads.get()),
        counter(
            "decnet_webhook_reload_failures",
            "Reloads of the subscriptions that failed; the previous subscriptions stay in force",
            stats.reload_failures.get(),
        ),
        durations(
            "decnet_webhook_reload_duration",
            "Duration of a reload, until the new subscriptions are in force",
            stats.reload_time.read(),
        ),
        gauge("decnet_webhook_bad_rows", "Subscriptions with an invalid row", stats.bad_rows.get()),
        counter(
            "decnet_webhook_trips",
            "Subscriptions tripped because their receivers failed",
            stats.trips.get(),
        ),
        counter(
            "decnet_webhook_recoveries",
            "Tripped subscriptions whose receivers recovered",
            stats.recoveries.get(),
        ),
        counter(
            "decnet_webhook_own_events",
            "Events that the worker published about its own work",
            stats.own_events.get(),
        ),
        counter(
            "decnet_webhook_own_events_left_out",
            "Events about the worker's own work suppressed by the rate limit",
            stats.own_events_left_out.get(),
        ),
    ]
}

/// Returns the metrics of the bus connection. The bus counts losses itself; without its report there are no samples.
fn bus(view: &WorkerView) -> Vec<Family> {
    let stats = &view.stats;
    let counted = |name, help| Family::new(name, help, Unit::None, Kind::Counter);
    let dropped = counted(
        "decnet_webhook_bus_events_dropped",
        "Events that the bus has dropped since its start because a reader was too slow, or disconnected for too long",
    );
    let pauses = counted(
        "decnet_webhook_bus_publisher_pauses",
        "Times that publishers had to wait for a lossless reader, such as the worker, since the start of the bus",
    );
    let (dropped, pauses) = match stats.bus_losses() {
        None => (dropped, pauses),
        Some(losses) => (
            dropped
                .with(&[("reader", "ordinary")], number(losses.dropped_ordinary))
                .with(&[("reader", "lossless")], number(losses.dropped_lossless)),
            pauses.with(&[], number(losses.publisher_pauses)),
        ),
    };
    vec![
        gauge(
            "decnet_webhook_bus_enabled",
            "Whether the worker is configured to use a bus",
            view.has_bus.into(),
        ),
        gauge(
            "decnet_webhook_bus_connected",
            "Whether the worker is connected to the bus",
            stats.is_bus_connected().into(),
        ),
        gauge(
            "decnet_webhook_bus_degraded",
            "Whether the bus refuses the worker a lossless queue, so that events can be lost",
            stats.bus_refusal().is_some().into(),
        ),
        counter("decnet_webhook_bus_connections", "Connections made to the bus", stats.bus_connections.get()),
        dropped,
        pauses,
    ]
}

fn events(stats: &Stats) -> Vec<Family> {
    vec![
        counter(
            "decnet_webhook_events_received",
            "Events read from the bus, and submitted events read from the queue",
            stats.received.get(),
        ),
        counter("decnet_webhook_events_admitted", "Events committed to the queue", stats.admitted.get()),
        counter(
            "decnet_webhook_events_duplicate",
            "Events skipped because their ids had been admitted before",
            stats.duplicates.get(),
        ),
        counter("decnet_webhook_events_unrouted", "Events that match no subscription", stats.unrouted.get()),
        counter(
            "decnet_webhook_events_malformed",
            "Messages on the bus that are not valid events",
            stats.malformed.get(),
        ),
        counter(
            "decnet_webhook_deliveries_delivered",
            "Deliveries that a receiver accepted",
            stats.delivered.get(),
        ),
        counter(
            "decnet_webhook_deliveries_retried",
            "Failed attempts after which the delivery is retried",
            stats.retried.get(),
        ),
        counter(
            "decnet_webhook_deliveries_dead",
            "Deliveries that became dead, including expired ones",
            stats.dead.get(),
        ),
        counter(
            "decnet_webhook_deliveries_expired",
            "Deliveries that waited longer than retention allows",
            stats.expired.get(),
        ),
        gauge(
            "decnet_webhook_deliveries_in_memory",
            "Deliveries in memory, in flight or waiting",
            stats.held.get(),
        ),
        durations(
            "decnet_webhook_delivery_latency",
            "Time from an event to its 2xx, including retries and waiting",
            stats.delivery_time.read(),
        ),
    ]
}

fn attempts(stats: &Stats) -> Vec<Family> {
    let outcomes =
        Reason::ALL.into_iter().filter(|reason| !matches!(reason, Reason::Expired | Reason::Deleted));
    let attempts =
        Family::new("decnet_webhook_attempts", "Delivery attempts by outcome", Unit::None, Kind::Counter);
    let attempts = attempts.with(&[("outcome", "delivered")], number(stats.attempts(None).get()));
    let with = |family: Family, reason: Reason| {
        family.with(&[("outcome", reason.as_str())], number(stats.attempts(Some(reason)).get()))
    };
    vec![
        outcomes.fold(attempts, with),
        counter(
            "decnet_webhook_egress_refusals",
            "Attempts that the egress guard refused because of a forbidden address",
            stats.attempts(Some(Reason::Forbidden)).get(),
        ),
        counter(
            "decnet_webhook_request_repeats",
            "Requests sent again within their attempt: a kept connection ended, or the receiver refused them unprocessed",
            stats.repeats.get(),
        ),
        durations(
            "decnet_webhook_attempt_duration",
            "Duration of an attempt, with any outcome",
            stats.attempt_time.read(),
        ),
    ]
}

/// A subscription's series, with a unique name.
struct Named {
    name: String,
    figures: Arc<Figures>,
}

fn subscriptions(stats: &Stats, clock: &Clock) -> Vec<Family> {
    let (named, others) = (named(stats), stats.shown.others());
    let rows: Vec<(&str, &Figures)> =
        named.iter().map(|named| (&*named.name, &*named.figures)).chain([(OTHERS, others)]).collect();
    let each = |family: Family, value: &dyn Fn(&Figures) -> u64| {
        rows.iter().fold(family, |family, (name, figures)| {
            family.with(&[(SUBSCRIPTION, name)], number(value(figures)))
        })
    };
    let counted = |name, help| Family::new(name, help, Unit::None, Kind::Counter);
    let measured = |name, help| Family::new(name, help, Unit::None, Kind::Gauge);
    vec![
        gauge("decnet_webhook_subscriptions", "Subscriptions with a valid row", stats.subscriptions.get()),
        each(
            counted(
                "decnet_webhook_subscription_delivered",
                "Deliveries that the subscription's receiver accepted",
            ),
            &|figures| figures.delivered.get(),
        ),
        each(
            counted("decnet_webhook_subscription_failed_attempts", "Failed attempts of the subscription"),
            &|figures| figures.failed_attempts.get(),
        ),
        each(
            counted(
                "decnet_webhook_subscription_dead",
                "Deliveries of the subscription that became dead since the start of the worker",
            ),
            &|figures| figures.died.get(),
        ),
        each(
            measured("decnet_webhook_requests_in_flight", "Requests in flight to the receiver"),
            &|figures| figures.in_flight.get(),
        ),
        deliveries(&rows, stats.censuses.get() > 0),
        states(&rows),
        oldest(&rows, clock.now()),
        deferred(&rows, clock.uptime()),
    ]
}

/// Returns the numbers of undelivered deliveries. There are none before the first census, since deliveries of earlier
/// workers are not counted yet.
fn deliveries(rows: &[(&str, &Figures)], is_counted: bool) -> Family {
    let help = "Undelivered deliveries of the subscription: pending, parked while it is paused or tripped, or dead and kept";
    let mut family = Family::new("decnet_webhook_deliveries", help, Unit::None, Kind::Gauge);
    for (name, figures) in rows.iter().filter(|_| is_counted) {
        for (state, value) in
            [("pending", &figures.pending), ("parked", &figures.parked), ("dead", &figures.dead)]
        {
            family = family.with(&[(SUBSCRIPTION, name), ("state", state)], number(value.get()));
        }
    }
    family
}

fn states(rows: &[(&str, &Figures)]) -> Family {
    let help = "Number of subscriptions of this name in this state: 1 or 0; can be greater for (others)";
    let mut family = Family::new("decnet_webhook_subscription_state", help, Unit::None, Kind::Gauge);
    for (name, figures) in rows {
        for standing in Standing::ALL {
            let labels = [(SUBSCRIPTION, *name), ("state", standing.as_str())];
            family = family.with(&labels, number(figures.standing(standing)));
        }
    }
    family
}

fn oldest(rows: &[(&str, &Figures)], now: UnixMicros) -> Family {
    let help = "Age of the subscription's oldest pending delivery, including one that was read from the queue and is in flight; 0 if there is none";
    let mut family = Family::new("decnet_webhook_oldest_pending", help, Unit::Seconds, Kind::Gauge);
    for (name, figures) in rows.iter().filter(|(name, _)| *name != OTHERS) {
        family = family.with(&[(SUBSCRIPTION, name)], age(figures.oldest_at.get(), now).map_or(0.0, seconds));
    }
    family
}

fn deferred(rows: &[(&str, &Figures)], now: BootMicros) -> Family {
    let help =
        "Time for which the subscription's receiver asked for no requests (Retry-After); 0 if it did not";
    let mut family = Family::new("decnet_webhook_subscription_deferred", help, Unit::Seconds, Kind::Gauge);
    for (name, figures) in rows.iter().filter(|(name, _)| *name != OTHERS) {
        let until = figures.about().deferred_until;
        family = family.with(&[(SUBSCRIPTION, name)], until.map_or(0.0, |until| seconds(until.since(now))));
    }
    family
}

/// Returns the metrics of the trust in the system clock.
fn clock(clock: &Clock) -> Vec<Family> {
    let difference = Family::new(
        "decnet_webhook_clock_difference",
        "How far the system clock is ahead of the expected time while it is not trusted, negative if it is behind; else 0",
        Unit::Seconds,
        Kind::Gauge,
    );
    vec![
        gauge(
            "decnet_webhook_retention_paused",
            "Whether removal by age is paused because the system clock is not trusted",
            clock.doubt().is_some().into(),
        ),
        difference.with(&[], clock.doubt().map_or(0.0, seconds_of)),
    ]
}

/// Converts microseconds to seconds.
#[expect(clippy::cast_precision_loss, reason = "a difference of clocks need not be exact")]
pub(super) fn seconds_of(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Returns the time since `at` (microseconds since 1970); `None` for 0, which means never.
pub(super) fn age(at: u64, now: UnixMicros) -> Option<std::time::Duration> {
    (at > 0).then(|| now.since(UnixMicros(i64::try_from(at).unwrap_or(i64::MAX))))
}

fn named(stats: &Stats) -> Vec<Named> {
    let mut taken = HashSet::from([OTHERS.to_owned()]);
    let name = |figures: Arc<Figures>| {
        let about = figures.about();
        let mut name = about.name.to_string();
        // Names are unique in the catalog, but two subscriptions may be exchanging theirs.
        if !taken.insert(name.clone()) {
            name = format!("{name} ({})", about.uuid);
        }
        Named { name, figures }
    };
    stats.shown.each().into_iter().map(name).collect()
}

fn spans(dropped_spans: &DroppedSpans) -> Family {
    let help = "Spans that the trace collector did not receive: the buffer was full, or the collector did not accept them";
    Family::new("decnet_webhook_spans_left_out", help, Unit::None, Kind::Counter)
        .with(&[("reason", "no_room")], number(dropped_spans.buffer_full.get()))
        .with(&[("reason", "not_taken")], number(dropped_spans.not_accepted.get()))
}

fn queue_families(view: &WorkerView, queue: &queue::Stats) -> Vec<Family> {
    vec![
        gauge(
            "decnet_webhook_queue_degraded",
            "Whether the queue cannot be written, so that all deliveries wait",
            view.degraded().is_some().into(),
        ),
        durations(
            "decnet_webhook_queue_commit_duration",
            "Duration of a commit, including its statements",
            queue.commit_time.read(),
        ),
        durations(
            "decnet_webhook_queue_sync_duration",
            "Duration of the end of a commit: writing the log and waiting for the disk",
            queue.sync_time.read(),
        ),
        sizes(
            "decnet_webhook_queue_commit_rows",
            "Approximate number of rows that a commit writes",
            queue.commit_rows.read(),
        ),
        counter(
            "decnet_webhook_queue_commit_failures",
            "Commits that failed because of the disk or a lock; each is retried",
            queue.commit_failures.get(),
        ),
        bytes("decnet_webhook_queue_log", "Size of the queue's write-ahead log", queue.log_bytes.get()),
        gauge(
            "decnet_webhook_queue_log_held",
            "Whether a process that reads the queue prevents its write-ahead log from restarting",
            queue.log_held.get(),
        ),
        bytes(
            "decnet_webhook_queue_used",
            "Bytes in use in the queue's file; updated once a minute",
            queue.used_bytes.get(),
        ),
        bytes(
            "decnet_webhook_queue_limit",
            "Size above which the oldest final deliveries are removed",
            view.max_bytes,
        ),
        bytes(
            "decnet_webhook_queue_file",
            "Size of the queue's file",
            process::file_bytes(&view.data_dir.join("queue.db")),
        ),
    ]
}
