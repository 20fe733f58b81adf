//! `decnet erase`, `explain`, `backup` and `restore` on the queue of a stopped worker.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Admission, Options, Queue, Recipient};
use serde_json::Value;

use crate::deliveries_are_listed_and_redelivered::{EACH, host};
use crate::support::{Host, code, eventually, stderr, stdout};

fn steps(host: &Host, rest: &[&str]) -> Vec<(String, Option<bool>)> {
    let result = host.json(&[&["explain", "siem", "--json"][..], rest].concat());
    let steps = result["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["step"].as_str().unwrap().into(), step["passed"].as_bool())).collect()
}

#[test]
fn event_is_explained_step_by_step() {
    let host = host();
    let last = |rest: &[&str]| steps(&host, rest).pop().unwrap();
    assert_eq!(last(&["a.delivered-0"]), ("attempts".into(), Some(true)));
    assert_eq!(last(&["a.dead-0"]), ("attempts".into(), Some(false)));
    assert_eq!(last(&["a.pending-0"]), ("attempts".into(), None));
    assert_eq!(last(&["--topic", "a.b"]), ("delivery".into(), Some(true)));
    assert_eq!(last(&["--topic", "b.c"]), ("delivery".into(), Some(false)));
    assert_eq!(steps(&host, &["unknown"])[0], ("event".into(), Some(false)));
    let human = stdout(&host.run(&["explain", "siem", "a.dead-0"]));
    assert!(human.contains("refused") && human.contains("decnet delivery redeliver"), "{human}");
    for wrong in [&["explain", "siem"][..], &["explain", "siem", "x", "--topic", "a"], &["explain"]] {
        assert_eq!(code(&host.run(wrong)), 2, "{wrong:?}");
    }
    assert_eq!(code(&host.run(&["explain", "nobody", "--topic", "a"])), 1);
}

#[test]
fn erasure_needs_confirmation_and_reports_amounts() {
    let host = host();
    let data = host.path().join("data/queue.db");
    let holds = |text: &str| {
        let bytes = std::fs::read(&data).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(holds(r#""payload":{"n":1}"#) && holds("no such"));
    let unasked = host.run(&["erase", "--subscription", "siem"]);
    assert_eq!(code(&unasked), 2);
    assert!(stderr(&unasked).contains("--yes"), "{}", stderr(&unasked));
    let dry = host.json(&["erase", "--subscription", "siem", "--dry-run", "--json"]);
    assert_eq!((&dry["bodies"], &dry["deliveries"], &dry["given_up"]), (&9.into(), &9.into(), &3.into()));
    assert!(holds(r#""payload":{"n":1}"#));
    let one = host.json(&["erase", "--event-id", "a.dead-1", "--yes", "--json"]);
    assert_eq!((&one["bodies"], &one["gone_from_disk"]), (&1.into(), &true.into()));
    // A deleted subscription is identified by its UUID.
    let uuid = host.json(&["subscription", "show", "siem", "--json"])["uuid"].as_str().unwrap().to_owned();
    assert_eq!(code(&host.run(&["subscription", "delete", "siem"])), 0);
    let rest = host.json(&["erase", "--subscription", &uuid, "--yes", "--json"]);
    assert_eq!((&rest["bodies"], &rest["deliveries"]), (&8.into(), &9.into()));
    assert!(!holds(r#""payload":{"n":1}"#) && !holds("no such"));
    let listed = host.json(&["delivery", "list", "--reason", "erased", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(EACH));
    let unknown = host.run(&["erase", "--subscription", "nobody", "--yes"]);
    assert_eq!(code(&unknown), 1, "{}", stderr(&unknown));
}

#[test]
fn backup_is_private_and_restores_everything() {
    let host = host();
    let made = host.json(&["backup", "b.tar", "--json"]);
    assert_eq!(made["holds"], serde_json::json!(["queue.db", "catalog.db"]));
    let file = host.path().join("b.tar");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let left = std::fs::read_dir(host.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".decnet-backup-")));

    let list = |dir: &str| -> Value { host.json(&["--data-dir", dir, "delivery", "list", "--json"]) };
    host.json(&["restore", "b.tar", "--data-dir", "new", "--json"]);
    assert_eq!(list("new"), list("data"));
    let subscriptions =
        |dir: &str| -> Value { host.json(&["--data-dir", dir, "subscription", "list", "--json"]) };
    assert_eq!(subscriptions("new"), subscriptions("data"));
    for name in ["queue.db", "decnet.db"] {
        let mode = std::fs::metadata(host.path().join("new").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let left = std::fs::read_dir(host.path().join("new")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".decnet-restore-")));
}

#[test]
fn restored_catalog_uses_the_write_ahead_log() {
    let host = host();
    host.json(&["backup", "b.tar", "--json"]);
    host.json(&["restore", "b.tar", "--data-dir", "new", "--json"]);
    let open = || rusqlite::Connection::open(host.path().join("new/decnet.db")).unwrap();
    let (writer, reader) = (open(), open());
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM webhook_subscriptions").unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count = "SELECT count(*) FROM webhook_subscriptions";
    assert_eq!(reader.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    writer.execute_batch("COMMIT").unwrap();
}

#[test]
fn restore_keeps_a_catalog_outside_of_the_data_directory() {
    let host = host();
    host.json(&["backup", "b.tar", "--json"]);
    let decnets = host.path().join("decnets.db");
    std::fs::rename(host.path().join("data/decnet.db"), &decnets).unwrap();
    let host = host.with("DECNET_DB_URL", &format!("sqlite:///{}", decnets.display()));
    host.json(&["subscription", "pause", "siem", "--json"]);
    let restored = host.json(&["restore", "b.tar", "--data-dir", "new", "--json"]);
    let names = |key: &str| -> Vec<&str> {
        restored[key].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
    };
    assert_eq!((names("restored"), names("kept")), (vec!["queue.db"], vec!["catalog.db"]));
    assert_eq!(host.json(&["subscription", "show", "siem", "--json"])["paused"], true);
    assert!(!host.path().join("new/decnet.db").exists());
    // If the outside catalog is missing too, it is restored.
    std::fs::rename(&decnets, host.path().join("lost.db")).unwrap();
    host.json(&["restore", "b.tar", "--data-dir", "newer", "--json"]);
    assert_eq!(host.json(&["subscription", "show", "siem", "--json"])["paused"], false);
}

#[test]
fn interrupted_erasure_reports_its_progress() {
    let host = host();
    let data = host.path().join("data");
    let erase = ["erase", "--event-id", "crowd", "--yes", "--json"];
    crowd(&data);
    // The erasure waits for this lock, or has many steps left after it.
    let lock = rusqlite::Connection::open(data.join("queue.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut erasing = host.start(&erase);
    let files = format!("/proc/{}/fd", erasing.child.id());
    eventually("the queue is open", || {
        let mut open =
            std::fs::read_dir(&files).unwrap().filter_map(|file| file.unwrap().path().read_link().ok());
        erasing.is_running() && open.any(|file| file.ends_with("queue.db"))
    });
    erasing.signal("INT");
    lock.execute_batch("ROLLBACK").unwrap();
    let (code, stdout, stderr) = erasing.finish();
    assert_eq!((code, &*stdout), (1, ""), "{stderr}");
    assert!(stderr.contains("interrupted; erased only"), "{stderr}");
    let rest = host.json(&erase);
    assert_eq!((&rest["bodies"], &rest["gone_from_disk"]), (&1.into(), &true.into()));
}

/// Adds an event with so many deliveries that its erasure takes a hundred steps.
fn crowd(data: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let queue = Queue::open(data, Options::default()).unwrap();
        let sub = queue.register(vec![("uuid".into(), "name".into())]).await.unwrap()[0];
        let event = Event::new("crowd", "a.b", "t", UnixMicros(1), "{}").unwrap().into();
        let to = vec![Recipient::new(sub, false); 20_000];
        queue.admit([Admission { event, to, submitted: None }].into()).await.unwrap();
    });
}

#[test]
fn invalid_backup_is_rejected_and_leaves_no_files() {
    let host = host();
    host.json(&["backup", "b.tar", "--json"]);
    let whole = std::fs::read(host.path().join("b.tar")).unwrap();
    let mut damaged = whole.clone();
    damaged[20_000..40_000].fill(0x55);
    for (what, bytes) in [
        ("cut", &whole[..whole.len() / 2]),
        ("damaged", &damaged),
        ("text", b"not a tar"),
        ("bytes", &[0x1b; 2000]),
    ] {
        std::fs::write(host.path().join("bad.tar"), bytes).unwrap();
        let refused = host.run(&["restore", "bad.tar", "--data-dir", "new"]);
        assert_eq!(code(&refused), 1, "{what}: {}", stderr(&refused));
        let is_plain =
            |messages: &str| messages.chars().all(|c| c == '\n' || !c.is_control()) && messages.len() < 400;
        assert!(is_plain(&stderr(&refused)), "{what}: {:?}", stderr(&refused));
        let left: Vec<_> =
            std::fs::read_dir(host.path().join("new")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["queue.lock"], "{what}");
    }
    assert_eq!(code(&host.run(&["restore", "missing.tar", "--data-dir", "new"])), 1);
}

#[test]
fn backup_and_restore_reject_standard_streams() {
    let host = host();
    for (arguments, part) in [(["backup", "-"], "stdout"), (["restore", "-"], "stdin")] {
        let refused = host.run(&arguments);
        assert_eq!(code(&refused), 2);
        assert!(stderr(&refused).contains(part), "{}", stderr(&refused));
    }
    assert!(!host.path().join("-").exists());
}

#[test]
fn restore_does_not_follow_symbolic_links() {
    let host = host();
    host.json(&["backup", "b.tar", "--json"]);
    let (new, other) = (host.path().join("new"), host.path().join("other"));
    std::fs::create_dir(&new).unwrap();
    std::fs::write(&other, "another file").unwrap();
    symlink(&other, new.join("queue.lock")).unwrap();
    let refused = host.run(&["restore", "b.tar", "--data-dir", "new"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("queue.lock"), "{}", stderr(&refused));
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "another file");
}
