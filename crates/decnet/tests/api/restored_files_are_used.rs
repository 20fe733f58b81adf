//! An API whose files are replaced by a restore uses the restored files, and rejects tokens created after the backup.

use decnet_store::queue::Reader;

use crate::http::{Serving, ask};
use crate::support::Host;

const EVENTS: &str = "POST /api/v1/events";

#[test]
fn events_go_into_the_restored_files() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let worker = host.serve(&[]);
    let token = host.token("kept", "admin", &[]);
    host.json(&["backup", "b.tar", "--json"]);
    let later = host.token("later", "publish", &[]);
    worker.running.signal("TERM");
    assert_eq!(worker.running.finish().0, 0);

    let mut running = host.start(&["-v", "api"]);
    let messages = running.wait_for("the API is listening");
    let address = messages.split_once("address=").unwrap().1.trim().parse().unwrap();
    let api = Serving { running, address, messages };
    let submit = |token: &str, id: &str| {
        ask(api.address, EVENTS, Some(token), &format!(r#"{{"id":"{id}","topic":"a.b"}}"#)).status
    };
    assert_eq!((submit(&token, "before"), submit(&later, "before-too")), (202, 202));

    let data = host.path().join("data");
    std::fs::create_dir(host.path().join("old")).unwrap();
    for file in ["queue.db", "queue.db-wal", "queue.db-shm", "decnet.db", "decnet.db-wal", "decnet.db-shm"] {
        // SQLite decides which of the side files exist.
        let _ = std::fs::rename(data.join(file), host.path().join("old").join(file));
    }
    host.json(&["restore", "b.tar", "--json"]);
    assert_eq!((submit(&token, "after"), submit(&later, "after-too")), (202, 401));
    let restored = Reader::open(&data).unwrap();
    assert_eq!(&*restored.submitted("after").unwrap().unwrap().topic, "a.b");
    assert_eq!(restored.submitted("before").unwrap(), None);
}
