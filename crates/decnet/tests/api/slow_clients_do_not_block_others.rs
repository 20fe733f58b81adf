//! Slow and silent clients do not delay others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use decnet_core::limits::{MAX_API_EVENTS_BYTES, MAX_API_SUBMISSION_BYTES, MAX_SETUP_BODIES};

use crate::client::Server;
use crate::http::{Serving, answer, ask};
use crate::support::{Host, PATIENCE, eventually};

/// More connections than the API accepts at once.
const CLIENTS: usize = 600;

#[test]
fn hundreds_of_unfinished_requests_do_not_delay_others() {
    let server = Server::start();
    let mut slow = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // An evicted connection rejects the write.
        drop(stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: "));
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(ask(server.address(), "GET /api/v1/health", None, "").status, 200);
    assert!(started.elapsed() < PATIENCE / 10, "{:?}", started.elapsed());
    drop(slow);
}

/// Sends a request on a connection that stays open, and returns the status of the answer.
fn ask_on(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "the connection ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..read]);
    }
    String::from_utf8_lossy(&answer[9..12]).into_owned()
}

#[test]
fn valid_credential_keeps_its_connection_in_a_flood() {
    let server = Server::start();
    let token = server.host.token("reader", "read", &[]);
    let version = "GET /api/v1/version HTTP/1.1\r\nHost: x\r\n";
    let good = format!("{version}Authorization: Bearer {token}\r\n\r\n");
    let mut idle = TcpStream::connect(server.address()).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask_on(&mut idle, &good), "200");
    let mut wrong = TcpStream::connect(server.address()).unwrap();
    wrong.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask_on(&mut wrong, &good.replace("dcn_", "dcx_")), "401");
    let flood: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    // All of them were accepted before this connection, for which the oldest was evicted.
    assert_eq!(ask(server.address(), "GET /api/v1/health", None, "").status, 200);
    assert_eq!(wrong.read(&mut [0]).unwrap(), 0, "an invalid credential does not protect its connection");
    assert_eq!(ask_on(&mut idle, &good), "200", "evicted last, although it has waited longest");
    drop(flood);
}

#[test]
fn hundreds_of_missing_bodies_do_not_delay_others() {
    let server = Server::start();
    let token = server.host.token("publisher", "publish", &[]);
    let unfinished = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{\"topic\":"
    );
    let mut slow = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // An evicted connection rejects the write.
        drop(stream.write_all(unfinished.as_bytes()));
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(server.ask("POST /events", r#"{"topic":"a"}"#).status, 202);
    assert!(started.elapsed() < PATIENCE / 10, "{:?}", started.elapsed());
    drop(slow);
}

#[test]
fn announced_body_takes_no_memory() {
    let server = Server::start();
    let token = server.host.token("sender", "admin", &[]);
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n"
    );
    // Twice the number that fits into memory.
    let announced = 2 * MAX_API_SUBMISSION_BYTES / MAX_API_EVENTS_BYTES;
    let slow: Vec<_> = (0..announced)
        .map(|n| {
            let length = match n % 2 {
                0 => format!("Content-Length: {MAX_API_EVENTS_BYTES}\r\n\r\n{{"),
                _ => "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n".to_owned(),
            };
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(format!("{head}{length}").as_bytes()).unwrap();
            stream
        })
        .collect();
    eventually("all of them are waited for", || {
        let metrics = ask(server.address(), "GET /metrics", Some(&token), "").body;
        let in_flight = metrics.lines().find_map(|line| line.strip_prefix("decnet_api_requests_in_flight "));
        in_flight.is_some_and(|number| number.parse::<f64>().unwrap() > announced as f64)
    });
    assert_eq!(server.ask("POST /events", r#"{"topic":"a"}"#).status, 202);
    drop(slow);
}

#[test]
fn missing_setup_codes_do_not_block_the_setup_link() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    // The link is created only if it can be shown on a terminal.
    let serving = Serving::of(host.start_on_terminal(&["serve"]));
    let head = "POST /setup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let send = |rest: &str| {
        let mut stream = TcpStream::connect(serving.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("{head}Content-Length: 50\r\nConnection: close\r\n\r\n{rest}").as_bytes())
            .unwrap();
        stream
    };
    let slow: Vec<_> = (0..MAX_SETUP_BODIES).map(|_| send("{")).collect();
    assert_eq!(answer(send("{")).status, 503, "few bodies are read at the same time");
    assert!(slow.into_iter().all(|stream| answer(stream).status == 408), "and not for long");
    let guess = format!("{:50}", r#"{"code":"guess"}"#);
    assert_eq!(answer(send(&guess)).status, 403);
}

#[test]
fn unauthorized_request_is_rejected_before_its_body() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 401");
}

#[test]
fn port_in_use_is_reported_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let host = Host::new().with("DECNET_API_PORT", &port);
    for command in ["serve", "api"] {
        let output = host.run(&[command]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&port) && said.contains("DECNET_API_PORT") && said.contains("--no-api"),
            "{said}"
        );
    }
}
