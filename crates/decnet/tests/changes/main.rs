//! An event that is published after a change of the subscriptions is routed by it: every change, from every side, over
//! the bus and over HTTP, in one process and in three.
//!
//! Each test runs 30 cycles of changes, or the number in `CHANGE_CYCLES`, and prints how many events were missed or
//! routed wrongly.

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

use crate::cycle::{Changer, cycles};
use crate::scene::{Processes, Publisher, Scene};
use crate::support::eventually;

use Changer::{Api, Cli, Webhooks};
use Processes::{NoBus, Serve, Three};
use Publisher::{Bus, Http};

/// The number of other subscriptions: reading a large table takes longer than publishing.
const OTHERS: [usize; 2] = [0, 300];

fn every_event_follows(processes: Processes, changer: Changer, publishers: &[Publisher], others: &[usize]) {
    for publisher in publishers {
        for others in others {
            cycles(&Scene::start(processes, *others), changer, *publisher);
        }
    }
}

#[test]
fn serve_routes_by_changes_over_the_api() {
    every_event_follows(Serve, Api, &[Bus, Http], &OTHERS);
}

#[test]
fn three_processes_route_by_changes_over_the_api() {
    every_event_follows(Three, Api, &[Bus, Http], &OTHERS);
}

#[test]
fn without_a_bus_changes_over_the_api_apply() {
    every_event_follows(NoBus, Api, &[Http], &OTHERS);
}

#[test]
fn serve_routes_by_changes_from_the_command_line() {
    every_event_follows(Serve, Cli, &[Bus], &[300]);
}

#[test]
fn three_processes_route_by_changes_from_the_command_line() {
    every_event_follows(Three, Cli, &[Bus, Http], &[0]);
}

#[test]
fn without_a_bus_changes_from_the_command_line_apply() {
    every_event_follows(NoBus, Cli, &[Http], &[300]);
}

#[test]
fn serve_routes_by_changes_over_decnets_routes() {
    every_event_follows(Serve, Webhooks, &[Bus], &[0]);
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
    ]);
    assert_eq!(support::code(&created), 0);
    assert!(support::stderr(&created).contains("did not confirm"), "{}", support::stderr(&created));
    scene.create("api", "/a", "api.>");
    for topic in ["cli.x", "api.x"] {
        scene.publish(Http, topic);
    }
    eventually("the queue counts changes without the bus", || {
        receiver.count() == 1 && scene.received().len() == 1
    });
    scene.wake_bus();
}
