//! SIGKILL around a subscription's trip: parked deliveries are kept, and sent after an operator enables the subscription.

use decnet_runtime::clock;
use decnet_store::catalog::Patch;

use crate::audit::audit;
use crate::host::{Host, eventually};
use crate::publisher::{Publisher, burst};
use crate::random::Random;
use crate::witness::{Behaviour, Witness};

#[test]
fn parked_deliveries_survive_killed_workers() {
    let mut random = Random::new();
    let witness = Witness::new(Behaviour::Down, random.split());
    let mut host = Host::new(&[]);
    host.subscribe("one", &witness.url("one"), &["attacker.>", "decky.>"]);
    host.subscribe("two", &witness.url("two"), &["attacker.>"]);
    let publisher = Publisher::start(host.socket(), random.split());
    // Deliveries fail after 350 ms; the row is updated up to a second later.
    while is_enabled(&host, "one") || is_enabled(&host, "two") {
        host.start_listening_worker();
        std::thread::sleep(random.millis(2500));
        host.kill_worker(&witness);
    }
    host.start_worker();
    let before = host.admitted();
    eventually("new events are parked", || host.admitted() > before + 50);
    publisher.stop();
    witness.set(Behaviour::Good);
    host.kill_worker(&witness);
    host.start_listening_worker();
    enable(&host, "one");
    enable(&host, "two");
    host.drain_and_stop(&witness);
    let summary = audit(&host, &witness);
    println!("{summary:?}");
}

fn is_enabled(host: &Host, name: &str) -> bool {
    host.catalog().find(name).unwrap().enabled
}

fn enable(host: &Host, name: &str) {
    let mut catalog = host.catalog();
    let uuid = catalog.find(name).unwrap().uuid;
    let patch = Patch { enabled: Some(true), ..Patch::default() };
    catalog.update(&uuid, &patch, clock::now()).unwrap();
    burst(&host.socket(), "system.webhook.subscriptions_changed", 1);
}
