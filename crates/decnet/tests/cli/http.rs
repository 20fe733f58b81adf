//! The HTTP API of the real binary, and a client that can connect from any loopback address.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketType, bind, socket};

use crate::support::{Host, PATIENCE, Running};

/// A running `decnet serve` and the address of its API.
pub(crate) struct Serving {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    /// The log before the API was ready.
    pub(crate) messages: String,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Returns the value of a header; the name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Host {
    /// Starts `decnet serve` with its API on a free port.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Serving {
        Serving::of(self.start(&[arguments, &["serve"]].concat()))
    }

    /// Creates a token.
    pub(crate) fn token(&self, name: &str, scope: &str, more: &[&str]) -> String {
        let arguments = [&["token", "create", "--name", name, "--scope", scope, "--json"], more].concat();
        self.json(&arguments)["token"].as_str().unwrap().to_owned()
    }
}

impl Serving {
    /// Waits until a started `decnet serve` is ready.
    pub(crate) fn of(mut running: Running) -> Self {
        let mut messages = String::new();
        let line = running.wait_for_noting("API at http://", &mut messages);
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { running, address, messages }
    }
}

/// Returns a loopback address that was not used before.
pub(crate) fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Opens a connection from an address.
pub(crate) fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((from, 0))).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends one request from an address, on a new connection.
pub(crate) fn ask_from(from: Ipv4Addr, to: SocketAddr, what: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = connect(from, to);
    let has_host = headers.iter().any(|header| header.starts_with("Host:"));
    let host = if has_host { String::new() } else { format!("Host: {to}\r\n") };
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{what} HTTP/1.1\r\n{host}{more}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    answer(stream)
}

/// Reads a response until the end of the connection.
pub(crate) fn answer(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.into(), body: body.into() }
}

/// Sends one request, with a token if there is one.
pub(crate) fn ask(to: SocketAddr, what: &str, token: Option<&str>, body: &str) -> Answer {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let mut headers: Vec<&str> = authorization.iter().map(String::as_str).collect();
    if !body.is_empty() {
        headers.push("Content-Type: application/json");
    }
    ask_from(fresh_address(), to, what, &headers, body)
}
