//! The receiver: misbehaves by chance, and remembers what it was sent and what it said.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decnet_core::time::UnixMicros;
use decnet_dispatch::clock;
use decnet_testkit::{Receiver, Request, Script, Step, reply};

use crate::chance::Chance;
use crate::host::PATIENCE;

const MARK: &str = "/mark";

/// One request, and the answer to it.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) at: UnixMicros,
    pub(crate) request: Request,
    /// The ids of the events that it carried.
    pub(crate) events: Vec<String>,
    /// The status that was sent, if one was.
    pub(crate) status: Option<u16>,
    /// How long the answer was held back.
    pub(crate) delay: Duration,
}

impl Receipt {
    /// The first part of the path names the subscription.
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

/// How the receiver treats its senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 200.
    Good,
    /// 200, but not at once.
    Slow,
    /// Anything that a receiver may do to its sender and be forgiven.
    Wild,
    /// Every connection is reset.
    Down,
    /// Never says anything.
    Hung,
}

/// A receiver that can be asked afterwards.
pub(crate) struct Witness {
    receiver: Receiver,
    memory: Arc<Mutex<Memory>>,
}

struct Memory {
    mood: Mood,
    chance: Chance,
    receipts: Vec<Receipt>,
}

impl Witness {
    pub(crate) fn new(mood: Mood, chance: Chance) -> Self {
        let memory = Arc::new(Mutex::new(Memory { mood, chance, receipts: Vec::new() }));
        let shared = Arc::clone(&memory);
        let receiver = Receiver::start(Script::by(move |request| shared.lock().unwrap().answer(request)));
        Self { receiver, memory }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.memory.lock().unwrap().mood = mood;
    }

    pub(crate) fn count(&self) -> usize {
        self.memory.lock().unwrap().receipts.len()
    }

    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.memory.lock().unwrap().receipts.clone()
    }

    /// A URL that carries all that must not be shown.
    pub(crate) fn url(&self, name: &str) -> String {
        let address = self.receiver.address();
        format!("http://{name}:the-password-of-{name}@{address}/{name}?token=the-token-of-{name}")
    }

    /// The number of a connection made now: the system hands them over in order, so those that a process made
    /// before it ended have lower numbers, also if their requests are read later.
    pub(crate) fn mark(&self) -> u64 {
        let mut stream = TcpStream::connect(self.receiver.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "POST {MARK} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.rsplit("\r\n").next().unwrap().parse().unwrap()
    }
}

impl Memory {
    fn answer(&mut self, request: &Request) -> Step {
        if request.path == MARK {
            return reply(200).body(request.connection.to_string()).then_close().into();
        }
        let number = self.receipts.len();
        let Answer { step, status, delay } = match self.mood {
            Mood::Good => Answer::status(200, number),
            Mood::Slow => Answer::delayed(200, number, self.chance.millis(200)),
            Mood::Wild => wild(number, &mut self.chance),
            Mood::Down => Answer::silent(Step::Reset),
            Mood::Hung => Answer::silent(Step::Hang),
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

    /// The body names the receipt, so that the queue's record of the attempt can be held against it.
    fn status(status: u16, number: usize) -> Self {
        Self::delayed(status, number, Duration::ZERO)
    }

    fn delayed(status: u16, number: usize, delay: Duration) -> Self {
        Self { step: reply(status).body(number.to_string()).delay(delay).into(), status: Some(status), delay }
    }
}

fn wild(number: usize, chance: &mut Chance) -> Answer {
    match chance.below(100) {
        0..50 => Answer::status(200, number),
        50..58 => Answer::delayed(200, number, chance.millis(200)),
        58..62 => Answer { step: farewell(number), ..Answer::status(200, number) },
        62..74 => Answer::status(503, number),
        74..78 => Answer::delayed(500, number, chance.millis(50)),
        78..81 => Answer { step: cut_off(number), ..Answer::status(200, number) },
        81..83 => Answer { step: throttled(number), ..Answer::status(429, number) },
        83..90 => Answer::silent(Step::Reset),
        90..95 => Answer::silent(Step::CloseMidHeaders),
        95..99 => Answer::silent(Step::Garbage("SSH-2.0-OpenSSH_9.2\r\n".into())),
        _ => Answer::silent(Step::Hang),
    }
}

/// A 200, and then it closes what its sender may want to use again.
fn farewell(number: usize) -> Step {
    reply(200).body(number.to_string()).then_close().into()
}

/// A 200 that closes within its body.
fn cut_off(number: usize) -> Step {
    Step::Garbage(format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{number}").into())
}

fn throttled(number: usize) -> Step {
    reply(429).retry_after("0").body(number.to_string()).into()
}
