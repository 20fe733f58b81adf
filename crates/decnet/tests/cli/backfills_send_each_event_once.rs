//! `decnet subscription backfill` sends each matching stored event once to a subscription that did not get it.

use std::collections::BTreeSet;

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::deliveries_are_listed_and_redelivered::{self, EACH};
use crate::support::{Host, PATIENCE, Running, code, eventually, stderr, stdout};

/// The number of stored events.
const ALL: u64 = 3 * EACH as u64;

/// Returns a host with stored events of three topics, all of which went to `siem`.
fn host() -> Host {
    deliveries_are_listed_and_redelivered::host().with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32")
}

/// Creates the subscription `new`, which matches all events.
fn create(host: &Host, receiver: &Receiver, settings: &[&str]) {
    let url = receiver.url("/");
    let create = ["subscription", "create", "--name", "new", "--url", &url, "--pattern", "a.>"];
    let created = host.run(&[&create[..], settings].concat());
    assert_eq!(code(&created), 0, "{}", stderr(&created));
}

fn backfill(host: &Host, arguments: &[&str]) -> Value {
    host.json(&[&["subscription", "backfill", "new", "--since", "1h", "--json"][..], arguments].concat())
}

fn result(made: u64, existing: u64, excluded: u64) -> Value {
    json!({
        "made": made,
        "skipped_excluded": excluded,
        "skipped_filter_failed": 0,
        "skipped_existing": existing,
        "skipped_erased": 0,
        "skipped_unknown": 0,
        "dry_run": false,
    })
}

/// Returns the states of the deliveries to `new`.
fn states(host: &Host) -> Vec<String> {
    let listed = host.json(&["delivery", "list", "--subscription", "new", "--json"]);
    let states =
        listed.as_array().unwrap().iter().map(|delivery| delivery["state"].as_str().unwrap().to_owned());
    states.collect()
}

fn start_worker(host: &Host) -> (Running, Running) {
    let bus = host.start_bus();
    let worker = host.start(&["webhook"]);
    eventually("it listens to the bus", || host.is_connected_to_bus());
    (bus, worker)
}

#[test]
fn new_subscription_gets_each_stored_event_once() {
    let receiver = Receiver::start(reply(204));
    let host = host();
    let _running = start_worker(&host);
    create(&host, &receiver, &[]);
    // The worker may not have loaded the subscription yet.
    assert_eq!(backfill(&host, &[]), result(ALL, 0, 0));
    assert_eq!(backfill(&host, &[]), result(0, ALL, 0));
    receiver.wait_for(ALL, PATIENCE);
    eventually("all are delivered", || states(&host) == vec!["delivered"; usize::try_from(ALL).unwrap()]);
    assert_eq!(backfill(&host, &[]), result(0, ALL, 0), "delivered events are not sent again");
    let ids: BTreeSet<String> =
        receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!((ids.len() as u64, receiver.count()), (ALL, ALL));
}

#[test]
fn backfill_without_a_worker_waits_for_its_start() {
    let receiver = Receiver::start(reply(204));
    let host = host();
    create(&host, &receiver, &[]);
    assert_eq!(backfill(&host, &["--limit", "4"]), result(4, 0, 0));
    assert_eq!(backfill(&host, &[]), result(ALL - 4, 4, 0));
    let _running = start_worker(&host);
    receiver.wait_for(ALL, PATIENCE);
    eventually("all are delivered", || states(&host) == vec!["delivered"; usize::try_from(ALL).unwrap()]);
}

#[test]
fn filter_excludes_and_dry_run_makes_nothing() {
    let receiver = Receiver::start(reply(204));
    let host = host();
    create(&host, &receiver, &["--filter", "topic != \"a.dead\"", "--disabled"]);
    let mut dry = result(ALL - EACH as u64, 0, EACH as u64);
    dry["dry_run"] = true.into();
    assert_eq!(backfill(&host, &["--dry-run"]), dry);
    assert!(states(&host).is_empty());
    let output = host.run(&["subscription", "backfill", "new", "--since", "1h"]);
    let messages = stderr(&output);
    assert_eq!((code(&output), &*stdout(&output)), (0, "6 new deliveries made\n"), "{messages}");
    assert!(
        messages.contains("skipped 3 events that the minimum severity or the filter excludes"),
        "{messages}"
    );
    assert!(messages.contains("the deliveries wait, because `new` is disabled"), "{messages}");
    assert_eq!(states(&host), vec!["parked"; 6]);
}

#[test]
fn events_whose_filter_fails_and_erased_events_are_counted() {
    let receiver = Receiver::start(reply(204));
    let host = host();
    create(&host, &receiver, &["--filter", "topic == \"a.pending\" || payload.user == \"root\""]);
    assert_eq!(code(&host.run(&["erase", "--event-id", "a.dead-0", "--yes"])), 0);
    let done = backfill(&host, &[]);
    assert_eq!((&done["made"], &done["skipped_erased"]), (&3.into(), &1.into()), "{done}");
    assert_eq!(done["skipped_filter_failed"], 5, "{done}");
    let messages = stderr(&host.run(&["subscription", "backfill", "new", "--since", "1h"]));
    assert!(
        messages.contains("skipped 5 events for which the filter cannot be evaluated; the first is event "),
        "{messages}"
    );
    assert!(messages.contains("skipped 1 event whose payload was erased"), "{messages}");
}

#[test]
fn interrupted_backfill_reports_its_progress() {
    let receiver = Receiver::start(reply(204));
    let host = host();
    create(&host, &receiver, &[]);
    let running = host.start(&["subscription", "backfill", "new", "--since", "1h", "--rate", "1"]);
    eventually("the backfill has started", || !states(&host).is_empty());
    running.signal("INT");
    let (code, stdout, stderr) = running.finish();
    assert_eq!((code, &*stdout), (1, ""), "{stderr}");
    assert!(stderr.contains("interrupted; only ") && stderr.contains("run the command again"), "{stderr}");
    let left = ALL - states(&host).len() as u64;
    assert_eq!(backfill(&host, &[]), result(left, ALL - left, 0));
}

#[test]
fn backfill_needs_a_start_and_a_subscription() {
    let host = host();
    for (arguments, exit, problem) in [
        (&["siem"][..], 2, "--since"),
        (&["nobody", "--since", "1h"], 1, "nobody"),
        (&["siem", "--since", "soon"], 2, "is not a time"),
    ] {
        let output = host.run(&[&["subscription", "backfill"][..], arguments].concat());
        assert!(code(&output) == exit && stderr(&output).contains(problem), "{}", stderr(&output));
    }
    let none = host.run(&["subscription", "backfill", "siem", "--since", "2099-01-01"]);
    assert_eq!(stdout(&none), "0 new deliveries made\n");
    assert!(stderr(&none).contains("no stored event matches"), "{}", stderr(&none));
}
