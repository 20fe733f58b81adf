//! SIGKILL with a large backlog: the next worker takes it over and delivers all of it.

use crate::audit::audit;
use crate::host::{Host, eventually};
use crate::publisher::burst;
use crate::random::Random;
use crate::witness::{Behaviour, Witness};

const BACKLOG: u64 = 20_000;

#[test]
fn large_backlog_survives_the_worker() {
    let mut random = Random::new();
    let witness = Witness::new(Behaviour::Down, random.split());
    let mut host = Host::new(&[("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")]);
    host.subscribe("one", &witness.url("one"), &["a.>"]);
    host.start_listening_worker();
    burst(&host.socket(), "a.b", BACKLOG);
    eventually("all is admitted", || host.admitted() == BACKLOG);
    host.kill_worker(&witness);
    // Kill the next worker while it takes over the backlog.
    host.start_worker();
    std::thread::sleep(random.millis(150));
    host.kill_worker(&witness);
    witness.set(Behaviour::Good);
    host.start_listening_worker();
    host.drain_and_stop(&witness);
    let summary = audit(&host, &witness);
    println!("{summary:?}");
    assert_eq!(u64::try_from(summary.deliveries), Ok(BACKLOG));
}
