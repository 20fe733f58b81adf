//! Processes of `decnet` that share a directory and a receiver, and publishers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use decnet_bus::Client;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_runtime::clock;
use decnet_store::catalog::{Catalog, Create, NewSubscription, Patch};
use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::http::ask;
use crate::support::{Host, PATIENCE, code, eventually, stderr};

const TOPIC: &str = "x-decnet-event-topic";

/// The set of processes that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// `decnet serve`.
    Serve,
    /// `decnet bus`, `decnet webhook` and `decnet api`.
    Three,
    /// `decnet webhook` and `decnet api`.
    NoBus,
}

/// The interface through which an event is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publisher {
    Bus,
    Http,
}

/// The running processes, the receiver and the data directory.
pub(crate) struct Scene {
    pub(crate) host: Host,
    pub(crate) receiver: Receiver,
    processes: Processes,
    others: usize,
    children: Vec<(&'static str, Child)>,
    api: SocketAddr,
    token: String,
    runtime: Runtime,
    client: Mutex<Option<Client>>,
    catalog: Mutex<Catalog>,
    /// The UUIDs of the prepared subscriptions, by name.
    uuids: Mutex<BTreeMap<String, String>>,
    anchors: AtomicUsize,
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} other subscriptions,", self.processes, self.others)
    }
}

impl Scene {
    /// Starts the processes and waits until the worker delivers.
    pub(crate) fn start(processes: Processes, others: usize) -> Self {
        let host = Host::new()
            .with("DECNET_API_PORT", "0")
            .with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32")
            .with("DECNET_BUS_ENABLED", if processes == Processes::NoBus { "false" } else { "true" });
        std::fs::create_dir(host.path().join("data")).unwrap();
        let catalog = Catalog::open(&host.path().join("data/decnet.db"), Create::IfMissing).unwrap();
        let receiver = Receiver::start(reply(200));
        let mut scene = Self {
            receiver,
            processes,
            others,
            children: Vec::new(),
            api: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: String::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            client: Mutex::new(None),
            catalog: Mutex::new(catalog),
            uuids: Mutex::default(),
            anchors: AtomicUsize::new(0),
            host,
        };
        scene.fill_catalog();
        scene.token = scene.host.token("test", "admin", &[]);
        let commands: &[&str] = match processes {
            Processes::Serve => &["serve"],
            Processes::Three => &["bus", "webhook", "api"],
            Processes::NoBus => &["webhook", "api"],
        };
        commands.iter().for_each(|command| scene.spawn(command));
        scene.api = scene.find_api();
        if processes == Processes::NoBus {
            let log = || std::fs::read_to_string(scene.log("webhook")).unwrap();
            eventually("there is a queue", || log().contains("running without a bus"));
        }
        scene.publish_anchor(if processes == Processes::NoBus { Publisher::Http } else { Publisher::Bus });
        scene.receiver.clear();
        scene
    }

    fn fill_catalog(&self) {
        let mut catalog = self.catalog.lock().unwrap();
        add(&mut catalog, "anchor", &self.receiver.url("/other"), "anchor.>");
        for n in 0..self.others {
            add(&mut catalog, &format!("other-{n}"), &self.receiver.url("/other"), &format!("other.{n}.>"));
        }
    }

    /// Creates a subscription without a signal.
    pub(crate) fn prepare(&self, name: &str, pattern: &str, patch: &Patch) {
        let mut catalog = self.catalog.lock().unwrap();
        let uuid = add(&mut catalog, name, &self.receiver.url("/a"), pattern);
        if *patch != Patch::default() {
            catalog.update(&uuid, patch, clock::now()).unwrap();
        }
        self.uuids.lock().unwrap().insert(name.into(), uuid);
    }

    /// Returns the UUID of a prepared subscription.
    pub(crate) fn uuid(&self, name: &str) -> String {
        self.uuids.lock().unwrap()[name].clone()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.host.path().join("data")
    }

    /// Starts a process that logs to a file; a pipe that is not read would block it.
    fn spawn(&mut self, command: &'static str) {
        let log = File::create(self.log(command)).unwrap();
        let mut program = self.host.command(&[command]);
        let child = program.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.children.push((command, child));
        if matches!(command, "bus" | "serve") {
            let socket = self.host.socket();
            eventually("the bus listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        }
    }

    fn log(&self, command: &str) -> PathBuf {
        self.host.path().join(format!("{command}.log"))
    }

    fn find_api(&self) -> SocketAddr {
        let command = if self.processes == Processes::Serve { "serve" } else { "api" };
        let mut found = None;
        eventually("the API is listening", || {
            let log = std::fs::read_to_string(self.log(command)).unwrap();
            found = log.split("127.0.0.1:").nth(1).and_then(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                Some(SocketAddr::from(([127, 0, 0, 1], digits.parse().ok()?)))
            });
            found.is_some()
        });
        found.unwrap()
    }

    fn child(&mut self, command: &str) -> usize {
        self.children.iter().position(|(found, _)| *found == command).unwrap()
    }

    pub(crate) fn kill_worker(&mut self) {
        let at = self.child("webhook");
        let (_, mut worker) = self.children.remove(at);
        worker.kill().unwrap();
        worker.wait().unwrap();
    }

    pub(crate) fn start_worker(&mut self) {
        self.spawn("webhook");
    }

    pub(crate) fn hang_bus(&self) {
        self.signal_bus("STOP");
    }

    pub(crate) fn wake_bus(&self) {
        self.signal_bus("CONT");
    }

    fn signal_bus(&self, signal: &str) {
        let (_, bus) = self.children.iter().find(|(command, _)| *command == "bus").unwrap();
        let sent = Command::new("kill").args(["-s", signal, &bus.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Runs a command to success; its change is confirmed.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let output = self.host.run(arguments);
        let said = stderr(&output);
        assert!(
            code(&output) == 0 && !said.contains("confirmed") && !said.contains("noted"),
            "{arguments:?}: {said}"
        );
    }

    /// Sends a request to the API; `what` is a method and a path below `/api/v1`.
    pub(crate) fn ask(&self, what: &str, body: &str) -> Value {
        let (method, path) = what.split_once(' ').unwrap();
        let answer = ask(self.api, &format!("{method} /api/v1{path}"), Some(&self.token), body);
        assert!((200..300).contains(&answer.status), "{what} {body}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// Creates a subscription to a path of the receiver over our routes and returns its UUID.
    pub(crate) fn create(&self, name: &str, path: &str, pattern: &str) -> String {
        let body = json!({"name": name, "url": self.receiver.url(path), "topic_patterns": [pattern]});
        self.ask("POST /subscriptions", &body.to_string())["uuid"].as_str().unwrap().to_owned()
    }

    pub(crate) fn publish(&self, by: Publisher, topic: &str) {
        match by {
            Publisher::Http => drop(self.ask("POST /events", &json!({ "topic": topic }).to_string())),
            Publisher::Bus => self.runtime.block_on(async {
                let mut client = self.client.lock().unwrap().take();
                if client.is_none() {
                    client = Some(Client::connect(&self.host.socket(), "publisher").await.unwrap());
                }
                client.as_mut().unwrap().publish(topic, "test", &json!({})).await.unwrap();
                *self.client.lock().unwrap() = client;
            }),
        }
    }

    /// Publishes anchors until one of them arrives. All events that were published before in the same way are then admitted.
    pub(crate) fn publish_anchor(&self, by: Publisher) {
        let first = self.anchors.load(Ordering::Relaxed);
        eventually("the anchor is delivered", || {
            let number = self.anchors.fetch_add(1, Ordering::Relaxed);
            self.publish(by, &format!("anchor.{number}"));
            self.anchors_received().any(|number| number >= first)
        });
    }

    fn anchors_received(&self) -> impl Iterator<Item = usize> {
        let number = |topic: &str| topic.strip_prefix("anchor.").and_then(|number| number.parse().ok());
        let requests = self.receiver.requests().into_iter();
        requests.filter_map(move |request| number(request.header(TOPIC)))
    }

    /// Returns the topics and paths of the received requests, except anchors.
    pub(crate) fn received(&self) -> BTreeSet<(String, String)> {
        let requests = self.receiver.requests().into_iter();
        let ours = requests.filter(|request| request.path != "/other");
        ours.map(|request| (request.header(TOPIC).to_owned(), request.path)).collect()
    }

    /// Deletes the created subscriptions and the record of received requests.
    pub(crate) fn clean_up(&self) {
        let file = rusqlite::Connection::open(self.data_dir().join("decnet.db")).unwrap();
        file.busy_timeout(PATIENCE).unwrap();
        file.execute("DELETE FROM webhook_subscriptions WHERE name LIKE 's%'", []).unwrap();
        self.uuids.lock().unwrap().clear();
        self.receiver.clear();
    }
}

fn add(catalog: &mut Catalog, name: &str, url: &str, pattern: &str) -> String {
    let new = NewSubscription {
        name: name.into(),
        url: EndpointUrl::new(url).unwrap(),
        secret: Secret::new("a secret of the tests"),
        patterns: vec![Pattern::new(pattern).unwrap()],
        enabled: true,
        settings: Settings::default(),
    };
    catalog.create(&new, clock::now()).unwrap()
}

impl Drop for Scene {
    fn drop(&mut self) {
        for (command, child) in &mut self.children {
            if std::thread::panicking() {
                let log = self.host.path().join(format!("{command}.log"));
                println!("--- {command}:\n{}", std::fs::read_to_string(log).unwrap_or_default());
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
