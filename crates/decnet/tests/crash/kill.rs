//! SIGKILL again and again, at random moments, while the receiver misbehaves.

use std::time::{Duration, Instant};

use decnet_core::event::BatchFormat;
use decnet_core::settings::{Batch, Settings};

use crate::audit::audit;
use crate::chance::Chance;
use crate::host::{End, Host, PATIENCE};
use crate::publisher::Publisher;
use crate::witness::{Mood, Witness};

const KILLS: usize = 20;
const DELIVERIES: u64 = 10_000;
const CONNECTED: &str = "connected to the bus";

#[test]
fn nothing_admitted_is_lost_and_nothing_is_sent_without_reason() {
    let mut chance = Chance::new();
    let witness = Witness::new(Mood::Wild, chance.split());
    let mut host = Host::new(&[("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")]);
    for (name, patterns) in [
        ("all", &[">"][..]),
        ("attackers", &["attacker.>", "attacker.*.observed"]),
        ("observed", &["attacker.*.observed", "*.1.state"]),
        ("deckies", &["decky.>", "system.log"]),
    ] {
        host.subscribe(name, &witness.url(name), patterns);
    }
    for (name, patterns, settings) in particular() {
        host.subscribe_with(name, &witness.url(name), patterns, settings);
    }
    let publisher = Publisher::start(host.socket(), chance.split());
    let began = Instant::now();
    while host.lives.len() < KILLS || host.admitted() < DELIVERIES {
        assert!(began.elapsed() < PATIENCE, "too slow: {:?}\n{}", host.counts(), host.last_words());
        host.start_worker();
        live_and_die(&mut host, &witness, &mut chance);
        if host.lives.len() == KILLS / 2 {
            host.kill_bus();
            host.start_bus();
        }
    }
    host.start_listening_worker();
    publisher.stop();
    witness.set(Mood::Good);
    host.settle_up(&witness);
    let summary = audit(&host, &witness);
    println!("{summary:?}, {} lives, {:?}", host.lives.len(), began.elapsed());
    assert!(summary.unrecorded > 0, "no kill met an attempt in flight: {summary:?}");
}

/// Subscriptions with settings of their own, alone and together.
fn particular() -> [(&'static str, &'static [&'static str], Settings); 4] {
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

/// One life of the worker, with an end that chance picks.
fn live_and_die(host: &mut Host, witness: &Witness, chance: &mut Chance) {
    match chance.below(10) {
        0 => sleep(chance.millis(5)),
        1 => sleep(chance.millis(60)),
        2 => host.await_word(CONNECTED),
        3 => {
            host.await_word(CONNECTED);
            sleep(chance.millis(500));
            host.terminate();
            sleep(chance.millis(50));
            return host.kill_if_alive(witness);
        }
        4 => {
            host.await_word(CONNECTED);
            sleep(chance.millis(300));
            host.terminate();
            assert_eq!(host.await_end(witness, End::Clean).code(), Some(0), "{}", host.last_words());
            return;
        }
        _ => sleep(Duration::from_millis(150) + chance.millis(800)),
    }
    host.kill_worker(witness);
}

fn sleep(time: Duration) {
    std::thread::sleep(time);
}
