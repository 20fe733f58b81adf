//! SIGKILL while programs submit events to the queue: every acknowledged event is admitted once and delivered.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use decnet_runtime::clock;
use decnet_store::queue::{ExternalWriter, Filter, Reader, Submission};
use serde_json::json;

use crate::audit::audit;
use crate::host::{Host, eventually};
use crate::random::Random;
use crate::witness::{Behaviour, Witness};

const KILLS: usize = 12;
const BATCH: u64 = 20;

#[test]
fn acknowledged_submissions_are_admitted_exactly_once() {
    let mut random = Random::new();
    let witness = Witness::new(Behaviour::Wild, random.split());
    let mut host = Host::new(&[("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")]);
    host.subscribe("all", &witness.url("all"), &[">"]);
    host.subscribe("attackers", &witness.url("attackers"), &["attacker.>"]);
    host.start_listening_worker();
    let stop = Arc::new(AtomicBool::new(false));
    let submitter = std::thread::spawn({
        let (dir, stop, random) = (host.data(), Arc::clone(&stop), random.split());
        move || submit(&dir, random, &stop)
    });
    while host.runs.len() < KILLS {
        std::thread::sleep(random.millis(400));
        host.kill_worker(&witness);
        host.start_worker();
    }
    stop.store(true, Ordering::SeqCst);
    let acknowledged = submitter.join().unwrap();
    eventually("all are admitted", || admitted(&host).len() >= acknowledged.len());
    witness.set(Behaviour::Good);
    host.drain_and_stop(&witness);
    let summary = audit(&host, &witness);
    let admitted = admitted(&host);
    println!("{summary:?}, {} submitted, {} runs", acknowledged.len(), host.runs.len());
    assert!(acknowledged.iter().all(|id| admitted.contains(id)), "an acknowledged event is lost");
}

fn admitted(host: &Host) -> HashSet<String> {
    let of_all = Filter { subscription: Some("all".into()), ..Filter::default() };
    let listed = Reader::open(&host.data()).unwrap().list(&of_all).unwrap();
    listed.into_iter().map(|listed| listed.event_id.into()).collect()
}

/// Submits events until `stop` is set and returns the ids of all acknowledged events.
fn submit(dir: &Path, mut random: Random, stop: &AtomicBool) -> Vec<String> {
    let mut writer = ExternalWriter::open(dir).unwrap();
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        let event = |n: u64| Submission {
            id: n.is_multiple_of(2).then(|| format!("submitted-{n}").into()),
            topic: ["attacker.1.observed", "system.log"][usize::try_from(n % 3 % 2).unwrap()].into(),
            kind: "test".into(),
            at: None,
            payload: json!({ "n": n }).to_string().into(),
        };
        let batch: Vec<_> = (next..next + BATCH).map(event).collect();
        let submitted = writer.submit_all(&[(&batch, None)], clock::now()).unwrap().remove(0).unwrap();
        assert!(submitted.iter().all(|event| !event.duplicate));
        acknowledged.extend(submitted.into_iter().map(|event| event.id.into_string()));
        next += BATCH;
        std::thread::sleep(random.millis(30));
    }
    acknowledged
}
