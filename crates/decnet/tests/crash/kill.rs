//! Repeated SIGKILL at random times while the receiver misbehaves.

use std::time::{Duration, Instant};

use decnet_core::event::BatchFormat;
use decnet_core::settings::{Batch, Settings};

use crate::audit::audit;
use crate::host::{End, Host, TIMEOUT};
use crate::publisher::Publisher;
use crate::random::Random;
use crate::witness::{Behaviour, Witness};

const KILLS: usize = 20;
const DELIVERIES: u64 = 10_000;
const CONNECTED: &str = "connected to the bus";

#[test]
fn admitted_events_are_never_lost_or_sent_without_reason() {
    let mut random = Random::new();
    let witness = Witness::new(Behaviour::Wild, random.split());
    let mut host = Host::new(&[("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")]);
    for (name, patterns) in [
        ("all", &[">"][..]),
        ("attackers", &["attacker.>", "attacker.*.observed"]),
        ("observed", &["attacker.*.observed", "*.1.state"]),
        ("deckies", &["decky.>", "system.log"]),
    ] {
        host.subscribe(name, &witness.url(name), patterns);
    }
    for (name, patterns, settings) in with_settings() {
        host.subscribe_with(name, &witness.url(name), patterns, settings);
    }
    let publisher = Publisher::start(host.socket(), random.split());
    let began = Instant::now();
    while host.runs.len() < KILLS || host.admitted() < DELIVERIES {
        assert!(began.elapsed() < TIMEOUT, "too slow: {:?}\n{}", host.counts(), host.log_tail());
        host.start_worker();
        run_and_end(&mut host, &witness, &mut random);
        if host.runs.len() == KILLS / 2 {
            host.kill_bus();
            host.start_bus();
        }
    }
    host.start_listening_worker();
    publisher.stop();
    witness.set(Behaviour::Good);
    host.drain_and_stop(&witness);
    let summary = audit(&host, &witness);
    println!("{summary:?}, {} runs, {:?}", host.runs.len(), began.elapsed());
    assert!(summary.unrecorded > 0, "no kill interrupted an attempt in flight: {summary:?}");
}

/// Subscriptions with batch, order and rate settings, separately and combined.
fn with_settings() -> [(&'static str, &'static [&'static str], Settings); 4] {
    let plain = Settings::default();
    let batch = |events, millis| Batch::new(events, Duration::from_millis(millis), BatchFormat::Array).ok();
    [
        ("batched", &[">"], Settings { batch: batch(50, 100), ..plain.clone() }),
        ("ordered", &["decky.1.state"], Settings { ordered: true, ..plain.clone() }),
        ("paced", &["attacker.>"], Settings { rate: "500/s".parse().ok(), ..plain }),
        (
            "all-of-it",
            &["attacker.>", "system.log"],
            Settings {
                ordered: true,
                rate: "500/s".parse().ok(),
                batch: batch(20, 20),
                ..Settings::default()
            },
        ),
    ]
}

/// Lets the worker run and ends it in a randomly chosen way.
fn run_and_end(host: &mut Host, witness: &Witness, random: &mut Random) {
    match random.below(10) {
        0 => sleep(random.millis(5)),
        1 => sleep(random.millis(60)),
        2 => host.await_log(CONNECTED),
        3 => {
            host.await_log(CONNECTED);
            sleep(random.millis(500));
            host.terminate();
            sleep(random.millis(50));
            return host.kill_if_alive(witness);
        }
        4 => {
            host.await_log(CONNECTED);
            sleep(random.millis(300));
            host.terminate();
            assert_eq!(host.await_end(witness, End::Clean).code(), Some(0), "{}", host.log_tail());
            return;
        }
        _ => sleep(Duration::from_millis(150) + random.millis(800)),
    }
    host.kill_worker(witness);
}

fn sleep(time: Duration) {
    std::thread::sleep(time);
}
