//! A backup under load, restored elsewhere: the deliveries that were pending in it are made.

use std::process::Command;

use decnet_core::delivery::State;
use decnet_store::queue::{Filter, Reader};

use crate::host::{Host, eventually};
use crate::publisher::Publisher;
use crate::random::Random;
use crate::witness::{Behaviour, Witness};

fn decnet(data: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet"));
    command.args(arguments).env_clear().env("DECNET_DATA_DIR", data).env("HOME", data);
    command.output().unwrap()
}

#[test]
fn pending_deliveries_of_a_restored_backup_are_sent() {
    let mut random = Random::new();
    let witness = Witness::new(Behaviour::Wild, random.split());
    let circuit = [("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")];
    let mut host = Host::new(&circuit);
    host.subscribe("all", &witness.url("all"), &[">"]);
    host.subscribe("attackers", &witness.url("attackers"), &["attacker.>"]);
    host.start_listening_worker();
    let publisher = Publisher::start(host.socket(), random.split());
    eventually("there is something to back up", || host.admitted() > 500);
    let file = host.data().join("backup.tar");
    let file = file.to_str().unwrap();
    let made = decnet(&host.data(), &["backup", file, "--json"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    publisher.stop();
    host.kill_worker(&witness);
    let again = decnet(&host.data(), &["backup", file]);
    assert_eq!(again.status.code(), Some(2), "a backup overwrites nothing");

    let mut elsewhere = Host::new(&circuit);
    let restored = decnet(&elsewhere.data(), &["restore", file, "--json"]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let all = |host: &Host| Reader::open(&host.data()).unwrap().list(&Filter::default()).unwrap();
    let before = all(&elsewhere);
    let pending = before.iter().filter(|listed| listed.state != State::Delivered).count();
    println!("{} deliveries, {pending} of them pending", before.len());
    assert!(before.len() >= 500 && pending > 0);
    witness.set(Behaviour::Good);
    elsewhere.start_listening_worker();
    let refused = decnet(&elsewhere.data(), &["restore", file]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && stderr.contains("another decnet worker"), "{stderr}");
    elsewhere.drain_and_stop(&witness);
    let after = all(&elsewhere);
    assert!(after.iter().all(|listed| listed.state == State::Delivered));
    assert!(before.iter().all(|was| after.iter().any(|is| is.id == was.id && is.event_id == was.event_id)));
    let refused = decnet(&elsewhere.data(), &["restore", file]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && stderr.contains("already exists"), "{stderr}");
}
