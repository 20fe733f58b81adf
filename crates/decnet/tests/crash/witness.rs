//! The receiver, which misbehaves at random and records its requests and responses.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decnet_core::time::UnixMicros;
use decnet_runtime::clock;
use decnet_testkit::{Receiver, Request, Script, Step, reply};

use crate::host::TIMEOUT;
use crate::random::Random;

const MARK: &str = "/mark";

/// A request and its response.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) at: UnixMicros,
    pub(crate) request: Request,
    /// The ids of the events in the request.
    pub(crate) events: Vec<String>,
    /// The status that was sent, if any.
    pub(crate) status: Option<u16>,
    /// The delay of the response.
    pub(crate) delay: Duration,
}

impl Receipt {
    /// Returns the name of the subscription, which is the path.
    pub(crate) fn subscription(&self) -> &str {
        self.request.path.trim_start_matches('/').split('?').next().unwrap_or_default()
    }

    pub(crate) fn is_batch(&self) -> bool {
        is_batch(&self.request)
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The behaviour of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers 200.
    Good,
    /// Answers 200 after a delay.
    Slow,
    /// Any retryable failure, or success, at random.
    Wild,
    /// Resets every connection.
    Down,
    /// Never answers.
    Hung,
}

/// A receiver that records each request with its response.
pub(crate) struct Witness {
    receiver: Receiver,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    behaviour: Behaviour,
    random: Random,
    receipts: Vec<Receipt>,
}

impl Witness {
    pub(crate) fn new(behaviour: Behaviour, random: Random) -> Self {
        let shared = Arc::new(Mutex::new(Shared { behaviour, random, receipts: Vec::new() }));
        let script = Arc::clone(&shared);
        let receiver = Receiver::start(Script::by(move |request| script.lock().unwrap().answer(request)));
        Self { receiver, shared }
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        self.shared.lock().unwrap().behaviour = behaviour;
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.lock().unwrap().receipts.len()
    }

    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.shared.lock().unwrap().receipts.clone()
    }

    /// Returns a URL that contains secrets which must never be shown.
    pub(crate) fn url(&self, name: &str) -> String {
        let address = self.receiver.address();
        format!("http://{name}:the-password-of-{name}@{address}/{name}?token=the-token-of-{name}")
    }

    /// Returns the number of a connection made now. Connections are accepted in order, so those of a process that has ended have
    /// lower numbers, even if their requests are read later.
    pub(crate) fn mark(&self) -> u64 {
        let mut stream = TcpStream::connect(self.receiver.address()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(stream, "POST {MARK} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.rsplit("\r\n").next().unwrap().parse().unwrap()
    }
}

impl Shared {
    fn answer(&mut self, request: &Request) -> Step {
        if request.path == MARK {
            return reply(200).body(request.connection.to_string()).then_close().into();
        }
        let number = self.receipts.len();
        let Answer { step, status, delay } = match self.behaviour {
            Behaviour::Good => Answer::status(200, number),
            Behaviour::Slow => Answer::delayed(200, number, self.random.millis(200)),
            Behaviour::Wild => wild(number, &mut self.random),
            Behaviour::Down => Answer::silent(Step::Reset),
            Behaviour::Hung => Answer::silent(Step::Hang),
        };
        let events = events(request);
        self.receipts.push(Receipt { at: clock::now(), request: request.clone(), events, status, delay });
        step
    }
}

fn is_batch(request: &Request) -> bool {
    request.header("webhook-id").starts_with("batch_")
}

fn events(request: &Request) -> Vec<String> {
    if !is_batch(request) {
        return vec![request.header("webhook-id").to_owned()];
    }
    let bodies: Vec<serde_json::Value> = serde_json::from_slice(&request.body).unwrap();
    bodies.iter().map(|body| body["id"].as_str().unwrap().to_owned()).collect()
}

struct Answer {
    step: Step,
    status: Option<u16>,
    delay: Duration,
}

impl Answer {
    fn silent(step: Step) -> Self {
        Self { step, status: None, delay: Duration::ZERO }
    }

    /// Returns a response whose body is the receipt's number, so that the recorded attempt can be compared with it.
    fn status(status: u16, number: usize) -> Self {
        Self::delayed(status, number, Duration::ZERO)
    }

    fn delayed(status: u16, number: usize, delay: Duration) -> Self {
        Self { step: reply(status).body(number.to_string()).delay(delay).into(), status: Some(status), delay }
    }
}

fn wild(number: usize, random: &mut Random) -> Answer {
    match random.below(100) {
        0..50 => Answer::status(200, number),
        50..58 => Answer::delayed(200, number, random.millis(200)),
        58..62 => Answer { step: then_closed(number), ..Answer::status(200, number) },
        62..74 => Answer::status(503, number),
        74..78 => Answer::delayed(500, number, random.millis(50)),
        78..81 => Answer { step: cut_off(number), ..Answer::status(200, number) },
        81..83 => Answer { step: throttled(number), ..Answer::status(429, number) },
        83..90 => Answer::silent(Step::Reset),
        90..95 => Answer::silent(Step::Close("HTTP/1.1 200 OK\r\ncontent-le".into())),
        95..99 => Answer::silent(Step::Close("SSH-2.0-OpenSSH_9.2\r\n".into())),
        _ => Answer::silent(Step::Hang),
    }
}

/// Returns a 200 after which the receiver closes the connection.
fn then_closed(number: usize) -> Step {
    reply(200).body(number.to_string()).then_close().into()
}

/// Returns a 200 whose connection is closed within the body.
fn cut_off(number: usize) -> Step {
    Step::Close(format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{number}").into())
}

fn throttled(number: usize) -> Step {
    reply(429).retry_after("0").body(number.to_string()).into()
}
