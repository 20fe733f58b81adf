//! The table of all metrics.

use std::collections::HashSet;
use std::sync::Arc;

use decnet_core::delivery::Reason;
use decnet_core::time::UnixMicros;
use decnet_dispatch::{Stats, SubscriptionMetrics, SubscriptionState};
use decnet_runtime::clock::Clock;
use decnet_store::queue;

use super::families::{Family, Unit, bytes, counter, durations, gauge, number, sizes};
use super::otlp::DroppedSpans;
use super::process;
use super::worker::WorkerView;

/// The beginning of the names of the worker's metrics. docs/observability.md lists the whole names.
const NAMESPACE: &str = "decnet_webhook_";
/// The description of the metric `up`, which the API reports too.
pub(super) const UP_HELP: &str = "1 if the worker answers; the API reports 0 if it does not";
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
    families.iter_mut().for_each(|family| family.name.to_mut().insert_str(0, NAMESPACE));
    families.extend(process::families());
    families
}

fn worker(view: &WorkerView) -> Vec<Family> {
    let stats = &view.stats;
    let build = Family::gauge("build_info", "The running version; always 1");
    vec![
        gauge("up", UP_HELP, 1),
        build.with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        counter("reloads", "Reloads of the subscriptions", stats.reloads.get()),
        counter(
            "reload_failures",
            "Reloads of the subscriptions that failed; the worker continues with the previous subscriptions",
            stats.reload_failures.get(),
        ),
        durations(
            "reload_duration",
            "Duration of a reload, until the new subscriptions apply",
            stats.times.reload.read(),
        ),
        gauge("bad_rows", "Subscriptions with an invalid row", stats.bad_rows.get()),
        counter("trips", "Subscriptions tripped because their receivers failed", stats.trips.get()),
        counter("recoveries", "Tripped subscriptions whose receivers recovered", stats.recoveries.get()),
        counter(
            "own_events",
            "Events that the worker published about its own work",
            stats.operational_events.get(),
        ),
        counter(
            "own_events_left_out",
            "Events about the worker's own work suppressed by the rate limit",
            stats.suppressed_operational_events.get(),
        ),
    ]
}

/// Returns the metrics of the bus connection. The bus counts losses itself; without its report there are no samples.
fn bus(view: &WorkerView) -> Vec<Family> {
    let stats = &view.stats;
    let mut dropped = Family::counter(
        "bus_events_dropped",
        "Events that the bus has dropped since its start because a reader was too slow, or disconnected for too long",
    );
    let mut pauses = Family::counter(
        "bus_publisher_pauses",
        "Times that publishers had to wait for a lossless reader, such as the worker, since the start of the bus",
    );
    if let Some(losses) = stats.bus_losses() {
        dropped = dropped
            .with(&[("reader", "ordinary")], number(losses.dropped_ordinary))
            .with(&[("reader", "lossless")], number(losses.dropped_lossless));
        pauses = pauses.with(&[], number(losses.publisher_pauses));
    }
    vec![
        gauge("bus_enabled", "Whether the worker is configured to use a bus", view.has_bus.into()),
        gauge("bus_connected", "Whether the worker is connected to the bus", stats.is_bus_connected().into()),
        gauge(
            "bus_degraded",
            "Whether the bus refuses the worker a lossless queue, so that events can be lost",
            stats.bus_refusal().is_some().into(),
        ),
        counter("bus_connections", "Connections made to the bus", stats.bus_connections.get()),
        dropped,
        pauses,
    ]
}

fn events(stats: &Stats) -> Vec<Family> {
    vec![
        counter(
            "events_received",
            "Events read from the bus, and submitted events read from the queue",
            stats.received.get(),
        ),
        counter("events_admitted", "Events committed to the queue", stats.admitted.get()),
        counter(
            "events_duplicate",
            "Events skipped because their ids had been admitted before",
            stats.duplicates.get(),
        ),
        counter("events_unrouted", "Events that match no subscription", stats.unrouted.get()),
        counter(
            "excluded",
            "Deliveries excluded by a minimum severity or a filter; their patterns had matched",
            stats.excluded.get(),
        ),
        counter("events_malformed", "Messages on the bus that are not valid events", stats.malformed.get()),
        counter("deliveries_delivered", "Deliveries that a receiver accepted", stats.delivered.get()),
        counter(
            "deliveries_retried",
            "Failed attempts after which the delivery is retried",
            stats.retried.get(),
        ),
        counter("deliveries_dead", "Deliveries that became dead, including expired ones", stats.dead.get()),
        dead_by_reason(stats),
        counter(
            "deliveries_expired",
            "Deliveries that waited longer than retention allows",
            stats.expired.get(),
        ),
        gauge("deliveries_in_memory", "Deliveries in memory, in flight or waiting", stats.held.get()),
        durations(
            "delivery_latency",
            "Time from an event to its 2xx, including retries and waiting",
            stats.times.delivery.read(),
        ),
    ]
}

/// Returns the dead deliveries by reason. The worker does not count those of deleted subscriptions and of erased events.
fn dead_by_reason(stats: &Stats) -> Family {
    let reasons =
        Reason::ALL.into_iter().filter(|reason| !matches!(reason, Reason::Deleted | Reason::Erased));
    let family = Family::counter("deliveries_dead_by_reason", "Deliveries that became dead, by reason");
    reasons.fold(family, |family, reason| {
        family.with(&[("reason", reason.as_str())], number(stats.dead_by_reason(reason).get()))
    })
}

fn attempts(stats: &Stats) -> Vec<Family> {
    let outcomes =
        Reason::ALL.into_iter().filter(|reason| !matches!(reason, Reason::Expired | Reason::Deleted));
    let attempts = Family::counter("attempts", "Delivery attempts by outcome");
    let attempts = attempts.with(&[("outcome", "delivered")], number(stats.attempts(None).get()));
    let with = |family: Family, reason: Reason| {
        family.with(&[("outcome", reason.as_str())], number(stats.attempts(Some(reason)).get()))
    };
    vec![
        outcomes.fold(attempts, with),
        counter(
            "egress_refusals",
            "Attempts that the egress guard refused because of a forbidden address",
            stats.attempts(Some(Reason::Forbidden)).get(),
        ),
        counter(
            "request_repeats",
            "Requests sent again within their attempt: a kept connection ended, or the receiver refused them unprocessed",
            stats.repeats.get(),
        ),
        durations("attempt_duration", "Duration of an attempt, with any outcome", stats.times.attempt.read()),
    ]
}

/// A subscription's series, with a unique name.
type Row<'a> = (&'a str, &'a SubscriptionMetrics);

fn subscriptions(stats: &Stats, clock: &Clock) -> Vec<Family> {
    let (named, others) = (named(stats), stats.by_subscription.others());
    let named: Vec<Row<'_>> = named.iter().map(|(name, metrics)| (&**name, &**metrics)).collect();
    let rows = [&named[..], &[(OTHERS, others)]].concat();
    // There are no numbers of deliveries before the first census, since the deliveries of earlier workers are not counted yet.
    let counted = if stats.censuses.get() > 0 { &rows[..] } else { &[] };
    let (now, uptime) = (clock.now(), clock.uptime());
    let delivered = "Deliveries that the subscription's receiver accepted";
    let failed = "Failed attempts of the subscription";
    let dead = "Deliveries of the subscription that became dead since the start of the worker";
    let excluded = "Events that match the subscription's patterns and were excluded by its minimum severity or its filter";
    let in_flight = "Requests in flight to the receiver";
    let undelivered = "Undelivered deliveries of the subscription: pending, parked while it is paused or tripped, or dead and kept";
    let state = "Number of subscriptions of this name in this state: 1 or 0; can be greater for (others)";
    let oldest = "Age of the subscription's oldest pending delivery, including one that was read from the queue and is in flight; 0 if there is none";
    let deferred =
        "Time for which the subscription's receiver asked for no requests (Retry-After); 0 if it did not";
    let counter = Family::counter;
    let seconds = |name, help| Family::gauge(name, help).unit(Unit::Seconds);
    vec![
        gauge("subscriptions", "Subscriptions with a valid row", stats.subscriptions.get()),
        each(counter("subscription_delivered", delivered), &rows, |metrics| number(metrics.delivered.get())),
        each(counter("subscription_failed_attempts", failed), &rows, |metrics| {
            number(metrics.failed_attempts.get())
        }),
        each(counter("subscription_dead", dead), &rows, |metrics| number(metrics.dead_lettered.get())),
        each(counter("subscription_excluded", excluded), &rows, |metrics| number(metrics.excluded.get())),
        each(Family::gauge("requests_in_flight", in_flight), &rows, |metrics| {
            number(metrics.in_flight.get())
        }),
        by_state(Family::gauge("deliveries", undelivered), counted, |metrics| {
            let SubscriptionMetrics { pending, parked, dead, .. } = metrics;
            [("pending", pending), ("parked", parked), ("dead", dead)]
                .map(|(state, count)| (state, count.get()))
        }),
        by_state(Family::gauge("subscription_state", state), &rows, |metrics| {
            SubscriptionState::ALL.map(|state| (state.as_str(), metrics.in_state(state)))
        }),
        each(seconds("oldest_pending", oldest), &named, |metrics| {
            age(metrics.oldest_at.get(), now).unwrap_or_default().as_secs_f64()
        }),
        each(seconds("subscription_deferred", deferred), &named, |metrics| {
            metrics.labels().deferred_until.map_or(0.0, |until| until.since(uptime).as_secs_f64())
        }),
    ]
}

/// Adds a sample for each subscription.
fn each(family: Family, rows: &[Row<'_>], value: impl Fn(&SubscriptionMetrics) -> f64) -> Family {
    rows.iter().fold(family, |family, (name, metrics)| family.with(&[(SUBSCRIPTION, name)], value(metrics)))
}

/// Adds a sample for each subscription and state.
fn by_state<const N: usize>(
    mut family: Family,
    rows: &[Row<'_>],
    counts: impl Fn(&SubscriptionMetrics) -> [(&'static str, u64); N],
) -> Family {
    for (name, metrics) in rows {
        for (state, count) in counts(metrics) {
            family = family.with(&[(SUBSCRIPTION, name), ("state", state)], number(count));
        }
    }
    family
}

/// Returns the metrics of the trust in the system clock.
fn clock(clock: &Clock) -> Vec<Family> {
    let difference = Family::gauge(
        "clock_difference",
        "Time by which the system clock is ahead of the expected time while it is not trusted, negative if it is behind; else 0",
    );
    vec![
        gauge(
            "retention_paused",
            "Whether removal by age is paused because the system clock is not trusted",
            clock.doubt().is_some().into(),
        ),
        difference.unit(Unit::Seconds).with(&[], clock.doubt().map_or(0.0, seconds_of)),
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

/// Returns the subscriptions with series of their own, with unique names.
fn named(stats: &Stats) -> Vec<(String, Arc<SubscriptionMetrics>)> {
    let mut taken = HashSet::from([OTHERS.to_owned()]);
    let name = |metrics: Arc<SubscriptionMetrics>| {
        let labels = metrics.labels();
        let mut name = labels.name.to_string();
        // Names are unique in the catalog, but two subscriptions may be exchanging theirs.
        if !taken.insert(name.clone()) {
            name = format!("{name} ({})", labels.uuid);
        }
        (name, metrics)
    };
    stats.by_subscription.individual().into_iter().map(name).collect()
}

fn spans(dropped_spans: &DroppedSpans) -> Family {
    let help = "Spans that the trace collector did not receive: the buffer was full, or the collector did not accept them";
    Family::counter("spans_left_out", help)
        .with(&[("reason", "no_room")], number(dropped_spans.buffer_full.get()))
        .with(&[("reason", "not_taken")], number(dropped_spans.not_accepted.get()))
}

fn queue_families(view: &WorkerView, queue: &queue::Stats) -> Vec<Family> {
    vec![
        gauge(
            "queue_degraded",
            "Whether the queue cannot be written, so that all deliveries wait",
            view.degraded().is_some().into(),
        ),
        durations(
            "queue_commit_duration",
            "Duration of a commit, including its statements",
            queue.commit_time.read(),
        ),
        durations(
            "queue_sync_duration",
            "Duration of the end of a commit: writing the log and waiting for the disk",
            queue.sync_time.read(),
        ),
        sizes(
            "queue_commit_rows",
            "Approximate number of rows that a commit writes",
            queue.commit_rows.read(),
        ),
        counter(
            "queue_commit_failures",
            "Commits that failed because of the disk or a lock; each is retried",
            queue.commit_failures.get(),
        ),
        bytes("queue_log", "Size of the queue's write-ahead log", queue.log_bytes.get()),
        gauge(
            "queue_log_held",
            "Whether a process that reads the queue prevents its write-ahead log from restarting",
            queue.log_held.get(),
        ),
        bytes(
            "queue_used",
            "Bytes in use in the queue's file; updated once a minute",
            queue.used_bytes.get(),
        ),
        bytes("queue_limit", "Size above which the oldest final deliveries are removed", view.max_bytes),
        bytes("queue_file", "Size of the queue's file", process::file_bytes(&view.data_dir.join("queue.db"))),
    ]
}
