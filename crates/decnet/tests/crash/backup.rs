//! A backup under load, restored elsewhere: what was owed when it was made is delivered.

use std::process::Command;

use decnet_core::delivery::State;
use decnet_store::queue::{Filter, Reader};

use crate::chance::Chance;
use crate::host::{Host, eventually};
use crate::publisher::Publisher;
use crate::witness::{Mood, Witness};

fn decnet(data: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet"));
    command.args(arguments).env_clear().env("DECNET_DATA_DIR", data).env("HOME", data);
    command.output().unwrap()
}

#[test]
fn what_is_owed_in_a_backup_made_under_load_is_delivered_where_it_is_restored() {
    let mut chance = Chance::new();
    let witness = Witness::new(Mood::Wild, chance.split());
    let circuit = [("DECNET_WEBHOOK_CIRCUIT_THRESHOLD", "1000000")];
    let mut host = Host::new(&circuit);
    host.subscribe("all", &witness.url("all"), &[">"]);
    host.subscribe("attackers", &witness.url("attackers"), &["attacker.>"]);
    host.start_listening_worker();
    let publisher = Publisher::start(host.socket(), chance.split());
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
    let owed = before.iter().filter(|listed| listed.state != State::Delivered).count();
    println!("{} deliveries, {owed} of them owed", before.len());
    assert!(before.len() >= 500 && owed > 0);
    witness.set(Mood::Good);
    elsewhere.start_listening_worker();
    let refused = decnet(&elsewhere.data(), &["restore", file]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("another decnet worker"), "{said}");
    elsewhere.settle_up(&witness);
    let after = all(&elsewhere);
    assert!(after.iter().all(|listed| listed.state == State::Delivered));
    assert!(before.iter().all(|was| after.iter().any(|is| is.id == was.id && is.event_id == was.event_id)));
    let refused = decnet(&elsewhere.data(), &["restore", file]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("already exists"), "{said}");
}
