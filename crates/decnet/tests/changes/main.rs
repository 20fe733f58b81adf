//! An event that is published after a change of the subscriptions is routed by it: every kind of change, by every
//! kind of client, over the bus and over HTTP, in one process and in three.
//!
//! Each cell of the matrix runs [`MANY`] or [`FEW`] cycles of changes, or the number in `CHANGE_CYCLES`, and prints how many
//! events were missed or routed wrongly.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]
#![expect(clippy::print_stdout, reason = "the figures of a run with many cycles")]

mod cycle;
#[path = "../cli/http.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod http;
mod ledger;
mod scene;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod support;

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::cycle::{Changer, cycles};
use crate::scene::{Processes, Publisher, Scene};
use crate::support::eventually;

use Changer::{Api, Cli, Webhooks};
use Processes::{NoBus, Serve, Three};
use Publisher::{Bus, Http};

/// The number of other subscriptions: reading a large table takes longer than publishing.
const OTHERS: [usize; 2] = [0, 300];

/// The number of cycles of a cell.
const MANY: usize = 30;
/// The number of cycles of a cell that differs from others with many cycles in one dimension only.
const FEW: usize = 2;

fn every_event_follows(
    processes: Processes,
    changer: Changer,
    publishers: &[Publisher],
    others: &[usize],
    number: usize,
) {
    for publisher in publishers {
        for others in others {
            cycles(&Scene::start(processes, *others), changer, *publisher, number);
        }
    }
}

#[test]
fn serve_routes_by_changes_over_the_api() {
    every_event_follows(Serve, Api, &[Bus, Http], &OTHERS, MANY);
}

#[test]
fn three_processes_route_by_changes_over_the_api() {
    every_event_follows(Three, Api, &[Bus, Http], &OTHERS, MANY);
}

#[test]
fn without_a_bus_changes_over_the_api_apply() {
    every_event_follows(NoBus, Api, &[Http], &OTHERS, MANY);
}

#[test]
fn serve_routes_by_changes_from_the_command_line() {
    every_event_follows(Serve, Cli, &[Bus], &[300], MANY);
    every_event_follows(Serve, Cli, &[Bus], &[0], FEW);
    every_event_follows(Serve, Cli, &[Http], &OTHERS, FEW);
}

#[test]
fn three_processes_route_by_changes_from_the_command_line() {
    every_event_follows(Three, Cli, &[Bus, Http], &[0], MANY);
    every_event_follows(Three, Cli, &[Bus, Http], &[300], FEW);
}

#[test]
fn without_a_bus_changes_from_the_command_line_apply() {
    every_event_follows(NoBus, Cli, &[Http], &[300], MANY);
}

#[test]
fn serve_routes_by_changes_over_decnets_routes() {
    every_event_follows(Serve, Webhooks, &[Bus], &[0], MANY);
    every_event_follows(Serve, Webhooks, &[Bus], &[300], FEW);
    every_event_follows(Serve, Webhooks, &[Http], &OTHERS, FEW);
}

#[test]
fn three_processes_route_by_changes_over_decnets_routes() {
    every_event_follows(Three, Webhooks, &[Bus, Http], &OTHERS, FEW);
}

#[test]
fn changes_from_many_clients_at_once_all_apply() {
    let scene = Scene::start(Three, 0);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                for n in 0..10 {
                    let (name, topic) = (format!("{client}-{n}"), format!("many.{client}.{n}"));
                    scene.create(&name, "/a", &topic);
                    scene.publish(if n % 2 == 0 { Bus } else { Http }, &topic);
                }
            });
        }
    });
    eventually("every event arrives", || scene.received().len() == 80);
}

#[test]
fn change_during_a_worker_restart_applies_to_later_events() {
    let mut scene = Scene::start(Three, 0);
    scene.kill_worker();
    scene.create("late", "/a", "late.>");
    scene.publish(Bus, "late.bus");
    scene.publish(Http, "late.http");
    scene.start_worker();
    eventually("both arrive", || scene.received().len() == 2);
}

/// Asserts that the warnings of a reply, or of a command, say that the bus did not confirm the change.
#[track_caller]
fn assert_unconfirmed(reply: &Value) {
    let warnings = reply["warnings"].as_array().map_or(&[][..], Vec::as_slice);
    let is_reported = |warning: &Value| {
        let text = warning.as_str().unwrap();
        text.contains("did not confirm the change, so it may take up to a minute to apply")
    };
    assert_eq!(warnings.iter().filter(|warning| is_reported(warning)).count(), 1, "{reply}");
}

#[test]
fn hung_bus_does_not_delay_a_change() {
    let scene = Scene::start(Three, 0);
    scene.hang_bus();
    let receiver = Receiver::start(reply(200));
    let created = scene.host.run(&[
        "subscription",
        "create",
        "--name",
        "cli",
        "--url",
        &receiver.url("/"),
        "--pattern",
        "cli.>",
        "--json",
    ]);
    assert_eq!(support::code(&created), 0);
    assert!(support::stderr(&created).contains("did not confirm"), "{}", support::stderr(&created));
    assert_unconfirmed(&serde_json::from_str(&support::stdout(&created)).unwrap());
    scene.create("api", "/a", "api.>");
    for topic in ["cli.x", "api.x"] {
        scene.publish(Http, topic);
    }
    eventually("the queue counts changes without the bus", || {
        receiver.count() == 1 && scene.received().len() == 1
    });
    scene.wake_bus();
}

#[test]
fn replies_report_changes_that_the_bus_did_not_confirm() {
    let scene = Scene::start(Three, 0);
    let create = |name: &str| {
        let url = scene.receiver.url("/a");
        json!({"name": name, "url": url, "topic_patterns": [format!("{name}.>")]}).to_string()
    };
    let path = |created: &Value| created["uuid"].as_str().unwrap().to_owned();
    let first = scene.ask("POST /subscriptions", &create("first"));
    assert_eq!(first["warnings"], json!([]));
    let first = path(&first);
    scene.hang_bus();
    assert_unconfirmed(&scene.ask(&format!("PATCH /subscriptions/{first}"), r#"{"paused":true}"#));
    assert_unconfirmed(&scene.ask(&format!("DELETE /subscriptions/{first}"), ""));
    let second = scene.ask("POST /webhooks", &create("second"));
    assert_unconfirmed(&second);
    assert_unconfirmed(&scene.ask(&format!("DELETE /webhooks/{}", path(&second)), ""));
    let third = path(&scene.ask("POST /webhooks", &create("third")));
    scene.wake_bus();
    eventually("the bus confirms changes again", || {
        let changed = scene.ask(&format!("PATCH /webhooks/{third}"), r#"{"enabled":true}"#);
        // The URL is not encrypted.
        changed["warnings"].as_array().unwrap().len() == 1
    });
    let deleted = scene.ask(&format!("DELETE /webhooks/{third}"), "");
    assert_eq!(deleted, json!({"message": "Webhook deleted"}));
}
