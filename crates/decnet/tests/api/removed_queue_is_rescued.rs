//! A queue whose file is removed under a running worker is rescued. Its events are delivered once the operator restores it.

use decnet_testkit::{Receiver, reply};

use crate::client::Server;
use crate::http::Serving;
use crate::support::{code, eventually, stderr, stdout};

const EVENTS: [&str; 3] =
    [r#"{"topic":"a.b","id":"e1"}"#, r#"{"topic":"a.b","id":"e2"}"#, r#"{"topic":"a.b","id":"e3"}"#];

#[test]
fn events_of_a_removed_queue_are_delivered_after_its_rescue() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    receiver.set(reply(503));
    EVENTS.iter().for_each(|event| drop(server.json(202, "POST /events", event)));
    server.deliveries("topic=a.b", 3);
    let data = server.host.path().join("data");
    std::fs::remove_file(data.join("queue.db")).unwrap();

    let Server { host, serving: Serving { running, .. }, .. } = server;
    let (exit, _, said) = running.finish();
    assert_eq!(exit, 2, "a service manager does not restart it: {said}");
    let rescued = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let rescued = rescued.max_by_key(|path| path.to_string_lossy().contains(".rescued-")).unwrap();
    let last = said.lines().last().unwrap();
    assert!(last.contains("queue.db was removed") && last.contains(rescued.to_str().unwrap()), "{said}");

    let refused = host.run(&["serve"]);
    assert_eq!(code(&refused), 2, "{}", stderr(&refused));
    assert!(stderr(&refused).contains(rescued.to_str().unwrap()), "{}", stderr(&refused));
    assert!(!data.join("queue.db").exists(), "no empty queue was made");
    let check = stdout(&host.run(&["check"]));
    assert!(check.contains("UNUSABLE queue") && check.contains(rescued.to_str().unwrap()), "{check}");

    std::fs::rename(&rescued, data.join("queue.db")).unwrap();
    receiver.set(reply(204));
    let _serving = host.serve(&[]);
    eventually("all of them are delivered", || {
        let delivered = host.json(&["delivery", "list", "--json", "--state", "delivered", "--topic", "a.b"]);
        delivered.as_array().unwrap().len() == EVENTS.len()
    });
}

#[test]
fn restore_under_a_running_worker_is_rejected() {
    let server = Server::start();
    server.host.json(&["backup", "b.tar", "--json"]);
    let refused = server.host.run(&["restore", "b.tar"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("another decnet worker (pid "), "{}", stderr(&refused));
}
