//! A full disk: events are rejected with a problem, accepted events are not lost, and the API recovers once there is space.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::http::{Answer, Serving, ask, ask_from, fresh_address};
use crate::support::{Host, Running, eventually};

/// Mounts a small file system at `$0`, visible only to this process and its children, and runs the rest.
const MOUNT: &str = "mkdir -p \"$0\" && mount -t tmpfs -o size=128m none \"$0\" && exec \"$@\"";

/// Returns whether this user may create a mount namespace, which a small disk needs.
fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

fn serve_on_a_small_disk(host: &Host) -> Serving {
    let data = host.path().join("data");
    let serve = host.command(&["serve"]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT]).arg(&data);
    command.arg(serve.get_program()).args(serve.get_args()).current_dir(host.path()).env_clear();
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Serving::of(Running::spawn_on_terminal(command))
}

fn admin(serving: &Serving) -> String {
    let code =
        serving.messages.lines().find_map(|line| line.split("/setup#").nth(1)).unwrap().trim().to_owned();
    let body = json!({ "code": code }).to_string();
    let headers = ["Content-Type: application/json"];
    let made = ask_from(fresh_address(), serving.address, "POST /setup", &headers, &body);
    made.json()["token"].as_str().unwrap().to_owned()
}

struct Client {
    to: SocketAddr,
    token: String,
    next: usize,
    taken: BTreeSet<String>,
}

impl Client {
    fn ask(&self, what: &str, body: &Value) -> Answer {
        ask(self.to, what, Some(&self.token), &body.to_string())
    }

    /// Submits a few events, and records those that were accepted.
    fn publish(&mut self) -> Answer {
        let event = |n: usize| json!({"id": format!("e{n}"), "topic": "a.b", "payload": "x".repeat(20_000)});
        let events: Vec<_> = (self.next..self.next + 20).map(event).collect();
        self.next += events.len();
        let answer = self.ask("POST /api/v1/events", &json!(events));
        if answer.status == 202 {
            self.taken.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        }
        answer
    }
}

#[test]
fn full_disk_rejects_events_and_delivers_accepted_ones() {
    if !can_mount() {
        eprintln!("skipped: mount namespaces are not available here");
        return;
    }
    let host = Host::new().with("DECNET_API_PORT", "0").with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
    let (serving, receiver) = (serve_on_a_small_disk(&host), Receiver::start(reply(204)));
    let mut client = Client { to: serving.address, token: admin(&serving), next: 0, taken: BTreeSet::new() };
    let subscription = json!({"name": "a", "url": receiver.url("/"), "topic_patterns": ["a.>"]});
    assert_eq!(client.ask("POST /api/v1/subscriptions", &subscription).status, 201);
    eventually("the worker uses the subscription", || {
        assert_eq!(client.ask("POST /api/v1/events", &json!({"topic": "a.warm"})).status, 202);
        receiver.count() > 0
    });
    // The disk is visible only through the process's own root.
    let disk = format!("/proc/{}/root{}", serving.running.child.id(), host.path().join("data").display());
    let filler = PathBuf::from(disk).join("filler");
    let mut file = File::create(&filler).unwrap();
    for piece in [1024 * 1024, 4096] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
    let mut refused = None;
    eventually("events are refused", || {
        refused = Some(client.publish()).filter(|answer| answer.status != 202);
        refused.is_some()
    });
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.json()["type"].as_str()), (503, Some("/docs#problem-unavailable")));
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let other = json!({"name": "b", "url": receiver.url("/"), "topic_patterns": ["b"]});
    assert_eq!(client.ask("POST /api/v1/subscriptions", &other).status, 503);
    assert_eq!(ask(serving.address, "GET /api/v1/deliveries", Some(&client.token), "").status, 200);
    let ready = ask(serving.address, "GET /api/v1/ready", None, "");
    assert!(ready.status == 503 && ready.body.contains("is full"), "{ready:?}");
    std::fs::remove_file(&filler).unwrap();
    drop(file);
    eventually("events are accepted again", || client.publish().status == 202);
    eventually("all accepted events are delivered", || {
        let requests = receiver.requests();
        let delivered: BTreeSet<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
        client.taken.iter().all(|id| delivered.contains(id.as_str()))
    });
    serving.running.signal("TERM");
    let (exit, _, said) = serving.running.finish();
    assert!(exit == 0 && said.contains("the disk that holds the queue is full"), "{said}");
}
