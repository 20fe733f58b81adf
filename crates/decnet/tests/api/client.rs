//! A server with an admin token, and JSON requests to it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use decnet_testkit::Receiver;
use serde_json::Value;

use crate::http::{Answer, Serving, answer, ask, ask_from, fresh_address};
use crate::support::{Host, PATIENCE, eventually};

/// A server that may send to this host, and its admin token.
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) serving: Serving,
    token: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let host =
            Host::new().with("DECNET_API_PORT", "0").with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
        let serving = host.serve(&[]);
        let token = host.token("test", "admin", &[]);
        Self { host, serving, token }
    }

    /// Restarts the API as a process of its own, without a worker.
    pub(crate) fn into_api_alone(self) -> Self {
        let Self { host, serving, token } = self;
        serving.running.signal("TERM");
        assert_eq!(serving.running.finish().0, 0);
        let mut running = host.start(&["-v", "api"]);
        let messages = running.wait_for("the API is listening");
        let address = messages.split_once("address=").unwrap().1.trim().parse().unwrap();
        Self { host, serving: Serving { running, address, messages }, token }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Sends a request. `what` is a method and a path below `/api/v1`.
    pub(crate) fn ask(&self, what: &str, body: &str) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        ask(self.address(), &format!("{method} /api/v1{path}"), Some(&self.token), body)
    }

    /// Sends a request with further headers.
    pub(crate) fn ask_with(&self, what: &str, headers: &[&str], body: &str) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let bearer = format!("Authorization: Bearer {}", self.token);
        let headers = [&[&*bearer, "Content-Type: application/json"], headers].concat();
        ask_from(fresh_address(), self.address(), &format!("{method} /api/v1{path}"), &headers, body)
    }

    /// Sends a request whose answer must have this status, and returns its JSON.
    pub(crate) fn json(&self, status: u16, what: &str, body: &str) -> Value {
        let answer = self.ask(what, body);
        assert_eq!(answer.status, status, "{what} {body}: {answer:?}");
        answer.json()
    }

    /// Creates a subscription to `url` and returns its UUID.
    pub(crate) fn subscribe(&self, name: &str, url: &str, pattern: &str) -> String {
        let body = serde_json::json!({"name": name, "url": url, "topic_patterns": [pattern]}).to_string();
        self.json(201, "POST /subscriptions", &body)["uuid"].as_str().unwrap().to_owned()
    }

    /// Creates a subscription to a test receiver and waits until events of the topic `warm.up` have reached it.
    pub(crate) fn subscribe_and_wait(&self, name: &str, receiver: &Receiver, pattern: &str) -> String {
        let patterns = [pattern, "warm.up"];
        let body = serde_json::json!({"name": name, "url": receiver.url("/"), "topic_patterns": patterns});
        let made = self.json(201, "POST /subscriptions", &body.to_string());
        eventually("the worker uses the subscription", || {
            self.json(202, "POST /events", r#"{"topic":"warm.up"}"#);
            receiver.count() > 0
        });
        made["uuid"].as_str().unwrap().to_owned()
    }

    /// Sends a request that announces a body of `length` bytes but sends none of it.
    pub(crate) fn announce(&self, what: &str, length: usize) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let (to, token) = (self.address(), &self.token);
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head =
            format!("{method} /api/v1{path} HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {token}\r\n");
        let body = format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        answer(stream)
    }

    /// Waits until a list contains `count` deliveries, and returns it.
    pub(crate) fn deliveries(&self, query: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        eventually(&format!("{count} deliveries with {query}"), || {
            let page = self.json(200, &format!("GET /deliveries?{query}"), "");
            found = page["deliveries"].as_array().unwrap().clone();
            found.len() == count
        });
        found
    }
}
