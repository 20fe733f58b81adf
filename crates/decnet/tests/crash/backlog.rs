//! SIGKILL over a large backlog: the next worker takes it over, and all of it arrives.

use crate::audit::audit;
use crate::chance::Chance;
use crate::host::{Host, eventually};
use crate::publisher::burst;
use crate::witness::{Mood, Witness};

const BACKLOG: u64 = 20_000;

#[test]
fn a_large_backlog_outlives_the_worker() {
    let mut chance = Chance::new();
    let witness = Witness::new(Mood::Down, chance.split());
    let mut host = Host::new(&[("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")]);
    host.subscribe("one", &witness.url("one"), &["a.>"]);
    host.start_listening_worker();
    burst(&host.socket(), "a.b", BACKLOG);
    eventually("all is admitted", || host.admitted() == BACKLOG);
    host.kill_worker(&witness);
    // And once more where the next one takes the backlog over.
    host.start_worker();
    std::thread::sleep(chance.millis(150));
    host.kill_worker(&witness);
    witness.set(Mood::Good);
    host.start_listening_worker();
    host.settle_up(&witness);
    let summary = audit(&host, &witness);
    println!("{summary:?}");
    assert_eq!(u64::try_from(summary.deliveries), Ok(BACKLOG));
}
