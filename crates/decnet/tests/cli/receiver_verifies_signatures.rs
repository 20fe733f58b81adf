//! `decnet receive` distinguishes verified, unsigned and forged requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Host, Running, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;

const SECRET: &str = "sixteen characters";
const BODY: &str =
    r#"{"id":"e1","payload":{"a":1},"topic":"a.b","ts":"2026-04-24T00:00:00+00:00","type":"t","v":1}"#;

fn address(receiver: &mut Running) -> String {
    let line = receiver.wait_for("receiving on");
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

/// POSTs the body with additional headers. Returns the status.
fn post(address: &str, headers: &[(&str, String)]) -> u16 {
    let mut request = format!("POST /in HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{BODY}", BODY.len());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

fn signed(secret: &str) -> Vec<(&'static str, String)> {
    let key = SigningKey::new(&Secret::new(secret));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    vec![
        ("X-DECNET-Signature", key.decnet(BODY.as_bytes())),
        ("X-DECNET-Event-Id", "e1".into()),
        ("X-DECNET-Event-Topic", "a.b".into()),
        ("webhook-id", "e1".into()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", key.standard("e1", now, BODY.as_bytes())),
    ]
}

/// Returns the headers with an asymmetric signature after the symmetric one.
fn signed_with(private_key: &str) -> Vec<(&'static str, String)> {
    let seed = STANDARD.decode(private_key.strip_prefix("whsk_").unwrap()).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let mut headers = signed(SECRET);
    let (at, list) = (headers[4].1.clone(), headers[5].1.clone());
    let signature = STANDARD.encode(pair.sign(format!("e1.{at}.{BODY}").as_bytes()));
    headers[5].1 = format!("{list} v1a,{signature}");
    headers
}

#[test]
fn signed_unsigned_and_forged_requests_are_distinguished() {
    let host = Host::new();
    std::fs::write(host.path().join("secret"), format!("{SECRET}\n")).unwrap();
    let arguments = ["receive", "--port", "0", "--secret-file", "secret", "--json", "--count", "3"];
    let mut receiver = host.start(&arguments);
    let address = address(&mut receiver);
    assert_eq!(post(&address, &signed(SECRET)), 204);
    assert_eq!(post(&address, &[]), 204);
    assert_eq!(post(&address, &signed("another secret!!")), 204);
    let (code, stdout, stderr) = receiver.finish();
    assert_eq!(code, 0);
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let origins: Vec<_> = lines.iter().map(|line| line["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["verified", "UNSIGNED", "BAD SIGNATURE"]);
    assert_eq!((&lines[0]["topic"], &lines[0]["id"]), (&"a.b".into(), &"e1".into()));
    assert_eq!(lines[0]["body"]["payload"]["a"], 1);
    assert!(lines[0]["latency_ms"].as_f64().unwrap() > 0.0);
    assert!(lines[2]["reason"].as_str().unwrap().contains("X-DECNET-Signature"));
    assert!(stderr.contains("3 received: 1 verified, 1 unsigned, 1 with a bad signature"), "{stderr}");
    assert!(!format!("{stdout}{stderr}").contains(SECRET));
}

#[test]
fn public_key_requires_a_valid_asymmetric_signature() {
    let host = Host::new();
    let [made, other] = [(); 2].map(|()| host.json(&["subscription", "key", "--json"]));
    let private = |pair: &Value| pair["private_key"].as_str().unwrap().to_owned();
    let public = made["public_key"].as_str().unwrap();
    let mut receiver =
        host.start(&["receive", "--port", "0", "--public-key", public, "--json", "--count", "3"]);
    let address = address(&mut receiver);
    assert_eq!(post(&address, &signed_with(&private(&made))), 204);
    assert_eq!(post(&address, &signed_with(&private(&other))), 204);
    assert_eq!(post(&address, &signed(SECRET)), 204);
    let (code, stdout, _) = receiver.finish();
    assert_eq!(code, 0);
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let origins: Vec<_> = lines.iter().map(|line| line["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["verified", "BAD SIGNATURE", "BAD SIGNATURE"]);
    assert!(lines[1]["reason"].as_str().unwrap().contains("v1a"), "{stdout}");
    let invalid = host.run(&["receive", "--public-key", "whpk_AAAA"]);
    let messages = String::from_utf8(invalid.stderr).unwrap();
    assert!(messages.contains("must be `whpk_` and 32 bytes in base64"), "{messages}");
}

#[test]
fn half_closed_sender_gets_a_response() {
    let host = Host::new();
    let mut receiver = host.start(&["receive", "--port", "0", "--delay", "200ms", "--count", "2"]);
    let address = address(&mut receiver);
    let request =
        format!("POST /in HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(request.repeat(2).as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    assert_eq!(replies.matches("HTTP/1.1 204").count(), 2, "{replies}");
    assert_eq!(receiver.finish().0, 0);
}

#[test]
fn status_and_delay_of_responses_are_set() {
    let host = Host::new();
    let arguments = ["receive", "--port", "0", "--status", "503", "--delay", "300ms", "--count", "1"];
    let mut receiver = host.start(&arguments);
    let address = address(&mut receiver);
    let started = std::time::Instant::now();
    assert_eq!(post(&address, &signed(SECRET)), 503);
    assert!(started.elapsed() >= std::time::Duration::from_millis(300));
    let (code, stdout, _) = receiver.finish();
    assert_eq!(code, 0);
    assert!(stdout.contains("unchecked") && stdout.contains("a.b") && stdout.contains("e1"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "a pipe gets no colours");
}

#[test]
fn signal_ends_receive_with_a_summary() {
    let host = Host::new();
    let mut receiver = host.start(&["receive", "--port", "0"]);
    address(&mut receiver);
    receiver.signal("TERM");
    let (code, _, stderr) = receiver.finish();
    assert_eq!(code, 0);
    assert!(stderr.contains("0 received"), "{stderr}");
}

#[test]
fn second_signal_ends_receive_at_once() {
    let host = Host::new();
    let mut receiver = host.start(&["receive", "--port", "0", "--delay", "60s"]);
    let address = address(&mut receiver);
    let waiting = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        // The connection may end with a reset or an end of file.
        let _ = stream.read(&mut [0]);
    });
    let mut line = String::new();
    let mut out = std::io::BufReader::new(receiver.child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    receiver.signal("TERM");
    let started = std::time::Instant::now();
    eventually("an end", || {
        if receiver.is_running() {
            receiver.signal("INT");
        }
        !receiver.is_running()
    });
    assert_eq!(receiver.child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < std::time::Duration::from_secs(9), "it did not wait for the answer");
    waiting.join().unwrap();
}
