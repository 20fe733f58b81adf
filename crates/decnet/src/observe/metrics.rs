//! The table of metrics: every one there is, with what it says.

use std::collections::HashSet;
use std::sync::Arc;

use decnet_core::delivery::Reason;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::clock::Clock;
use decnet_dispatch::{Figures, Standing, Stats};
use decnet_store::queue;

use super::families::{Family, Kind, Unit, bytes, counter, durations, gauge, number, seconds, sizes};
use super::otlp::LeftOut;
use super::process;
use super::worker::Seen;

/// The label of all subscriptions that have no series of their own.
const OTHERS: &str = "(others)";
/// The label that names a subscription.
const SUBSCRIPTION: &str = "subscription";

/// Everything that a worker counts, now.
pub(super) fn families(seen: &Seen) -> Vec<Family> {
    let mut families = worker(seen);
    families.extend(bus(seen));
    families.extend(events(&seen.stats));
    families.extend(attempts(&seen.stats));
    families.extend(clock(&seen.clock));
    families.extend(subscriptions(&seen.stats, &seen.clock));
    families.extend(queue_families(seen, &seen.queue));
    families.push(spans(&seen.left_out));
    families.extend(process::disk(&seen.data_dir));
    families.extend(process::families());
    families
}

fn worker(seen: &Seen) -> Vec<Family> {
    let stats = &seen.stats;
    let build =
        Family::new("decnet_webhook_build_info", "The version that runs; always 1", Unit::None, Kind::Gauge);
    vec![
        gauge("decnet_webhook_up", "Whether the worker answers: 1, and 0 where the API says so for it", 1),
        build.with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        counter("decnet_webhook_reloads", "Readings of the subscriptions", stats.reloads.get()),
        counter(
            "decnet_webhook_reload_failures",
            "Readings of the subscriptions that failed; those known before stay in force",
            stats.reload_failures.get(),
        ),
        durations(
            "decnet_webhook_reload_duration",
            "From the begin of a reading of the subscriptions until it is in force",
            stats.reload_time.read(),
        ),
        gauge("decnet_webhook_bad_rows", "Subscriptions whose rows cannot be used", stats.bad_rows.get()),
        counter(
            "decnet_webhook_trips",
            "Subscriptions paused for their receivers' failures",
            stats.trips.get(),
        ),
        counter(
            "decnet_webhook_recoveries",
            "Paused subscriptions whose receivers came back",
            stats.recoveries.get(),
        ),
        counter(
            "decnet_webhook_own_events",
            "Events that the worker made about its own work",
            stats.own_events.get(),
        ),
        counter(
            "decnet_webhook_own_events_left_out",
            "Such events that were not made since there were too many",
            stats.own_events_left_out.get(),
        ),
    ]
}

/// What the bus has lost is counted by the bus; of one that does not say there are no samples.
fn bus(seen: &Seen) -> Vec<Family> {
    let stats = &seen.stats;
    let counted = |name, help| Family::new(name, help, Unit::None, Kind::Counter);
    let dropped = counted(
        "decnet_webhook_bus_events_dropped",
        "Events that the bus dropped since it started, for a reader was too slow or away for too long",
    );
    let pauses = counted(
        "decnet_webhook_bus_publisher_pauses",
        "How often since the bus started publishers had to wait for a lossless reader, as the worker is one",
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
        gauge("decnet_webhook_bus_enabled", "Whether there is to be a bus", seen.has_bus.into()),
        gauge("decnet_webhook_bus_connected", "Whether the bus is there", stats.is_bus_connected().into()),
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
            "Events read from the bus, and taken from what was submitted",
            stats.received.get(),
        ),
        counter("decnet_webhook_events_admitted", "Events committed to the queue", stats.admitted.get()),
        counter(
            "decnet_webhook_events_duplicate",
            "Events left out, for their ids had been admitted",
            stats.duplicates.get(),
        ),
        counter(
            "decnet_webhook_events_unrouted",
            "Events that no subscription asks for",
            stats.unrouted.get(),
        ),
        counter(
            "decnet_webhook_events_malformed",
            "Messages on the bus that are no events",
            stats.malformed.get(),
        ),
        counter(
            "decnet_webhook_deliveries_delivered",
            "Deliveries that a receiver took",
            stats.delivered.get(),
        ),
        counter(
            "decnet_webhook_deliveries_retried",
            "Attempts after which a delivery waits for another",
            stats.retried.get(),
        ),
        counter(
            "decnet_webhook_deliveries_dead",
            "Deliveries given up, the expired ones among them",
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
            "From an event to the 2xx for it, retries and waiting included",
            stats.delivery_time.read(),
        ),
    ]
}

fn attempts(stats: &Stats) -> Vec<Family> {
    let outcomes =
        Reason::ALL.into_iter().filter(|reason| !matches!(reason, Reason::Expired | Reason::Deleted));
    let attempts =
        Family::new("decnet_webhook_attempts", "Attempts by what they came to", Unit::None, Kind::Counter);
    let attempts = attempts.with(&[("outcome", "delivered")], number(stats.attempts(None).get()));
    let with = |family: Family, reason: Reason| {
        family.with(&[("outcome", reason.as_str())], number(stats.attempts(Some(reason)).get()))
    };
    vec![
        outcomes.fold(attempts, with),
        counter(
            "decnet_webhook_egress_refusals",
            "Attempts that the guard refused, for they led to a forbidden address",
            stats.attempts(Some(Reason::Forbidden)).get(),
        ),
        counter(
            "decnet_webhook_request_repeats",
            "Requests sent again within their attempt: a kept connection ended, or the receiver refused them unprocessed",
            stats.repeats.get(),
        ),
        durations(
            "decnet_webhook_attempt_duration",
            "Of an attempt, whatever it came to",
            stats.attempt_time.read(),
        ),
    ]
}

/// A subscription's series, named so that no two have the same labels.
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
                "Deliveries that the subscription's receiver took",
            ),
            &|figures| figures.delivered.get(),
        ),
        each(
            counted(
                "decnet_webhook_subscription_failed_attempts",
                "The subscription's attempts that did not deliver",
            ),
            &|figures| figures.failed_attempts.get(),
        ),
        each(
            counted(
                "decnet_webhook_subscription_dead",
                "The subscription's deliveries given up by this worker",
            ),
            &|figures| figures.died.get(),
        ),
        each(
            measured("decnet_webhook_requests_in_flight", "Requests in flight to the receiver"),
            &|figures| figures.in_flight.get(),
        ),
        deliveries(&rows, stats.censuses.get() > 0),
        standings(&rows),
        oldest(&rows, clock.now()),
        deferred(&rows, clock.uptime()),
    ]
}

/// Before the first census what earlier workers left is not known, and half the truth would be none.
fn deliveries(rows: &[(&str, &Figures)], is_counted: bool) -> Family {
    let help = "Deliveries of the subscription that are not delivered: pending, parked while it is paused, or dead and kept";
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

fn standings(rows: &[(&str, &Figures)]) -> Family {
    let help =
        "How many subscriptions of this name are in this state: 1 or 0, and more only of the others together";
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
    let help = "How long the subscription's oldest delivery has waited, also one read back from the queue and in flight; \
                0 if none waits";
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

/// Whether the system clock is trusted.
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

/// How long ago that was, in microseconds since 1970; 0 is never.
pub(super) fn age(at: u64, now: UnixMicros) -> Option<std::time::Duration> {
    (at > 0).then(|| now.since(UnixMicros(i64::try_from(at).unwrap_or(i64::MAX))))
}

fn named(stats: &Stats) -> Vec<Named> {
    let mut taken = HashSet::from([OTHERS.to_owned()]);
    let name = |figures: Arc<Figures>| {
        let about = figures.about();
        let mut name = about.name.to_string();
        // Names are unique in the catalog, but not while two are exchanged.
        if !taken.insert(name.clone()) {
            name = format!("{name} ({})", about.uuid);
        }
        Named { name, figures }
    };
    stats.shown.each().into_iter().map(name).collect()
}

fn spans(left_out: &LeftOut) -> Family {
    let help = "Spans that the trace collector did not get: there was no room for more to wait, or it did not take them";
    Family::new("decnet_webhook_spans_left_out", help, Unit::None, Kind::Counter)
        .with(&[("reason", "no_room")], number(left_out.no_room.get()))
        .with(&[("reason", "not_taken")], number(left_out.not_taken.get()))
}

fn queue_families(seen: &Seen, queue: &queue::Stats) -> Vec<Family> {
    vec![
        gauge(
            "decnet_webhook_queue_degraded",
            "Whether the queue cannot be written, so that everything waits",
            seen.degraded().is_some().into(),
        ),
        durations(
            "decnet_webhook_queue_commit_duration",
            "Of a commit with all that is written in it",
            queue.commit_time.read(),
        ),
        durations(
            "decnet_webhook_queue_sync_duration",
            "Of a commit's end alone: the log is written and the disk waited for",
            queue.sync_time.read(),
        ),
        sizes(
            "decnet_webhook_queue_commit_rows",
            "About how many rows a commit writes",
            queue.commit_rows.read(),
        ),
        counter(
            "decnet_webhook_queue_commit_failures",
            "Commits that the disk refused, or a lock; each is tried again",
            queue.commit_failures.get(),
        ),
        bytes("decnet_webhook_queue_log", "The write-ahead log", queue.log_bytes.get()),
        gauge(
            "decnet_webhook_queue_log_held",
            "Whether a process that reads the queue keeps its write-ahead log from beginning anew",
            queue.log_held.get(),
        ),
        bytes(
            "decnet_webhook_queue_used",
            "Of the queue's file, what is in use; seen once a minute",
            queue.used_bytes.get(),
        ),
        bytes(
            "decnet_webhook_queue_limit",
            "The size above which the oldest final deliveries go",
            seen.max_bytes,
        ),
        bytes(
            "decnet_webhook_queue_file",
            "The queue's file",
            process::file_bytes(&seen.data_dir.join("queue.db")),
        ),
    ]
}
