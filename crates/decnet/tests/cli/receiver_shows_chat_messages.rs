//! `decnet receive --as` replies as a chat service and shows its messages as text.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Host, Running, code, stderr};

fn address(receiver: &mut Running) -> String {
    let line = receiver.wait_for("receiving on");
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

/// POSTs a body. Returns the reply.
fn post(address: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// Sends an event in a format to a receiver, without a worker. Returns whether it was delivered.
fn is_delivered(host: &Host, name: &str, address: &str, format: &[&str]) -> bool {
    let url = format!("http://{address}/");
    let create = ["subscription", "create", "--name", name, "--url", &url, "--pattern", "a"];
    let created = host.run(&[&create[..], format].concat());
    assert_eq!(code(&created), 0, "{}", stderr(&created));
    code(&host.run(&["subscription", "test", name])) == 0
}

#[test]
fn each_service_accepts_its_messages_and_shows_them() {
    for (service, status) in [("slack", 200), ("discord", 204), ("teams", 202), ("mattermost", 200)] {
        let host = Host::new().with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
        let mut receiver = host.start(&["receive", "--port", "0", "--as", service, "--count", "1"]);
        let address = address(&mut receiver);
        assert!(is_delivered(&host, "chat", &address, &["--format", service]), "{service}");
        let (code, stdout, stderr) = receiver.finish();
        assert_eq!(code, 0, "{stderr}");
        let lines: Vec<&str> = stdout.lines().collect();
        let accepted = format!("accepted ({status})");
        assert!(lines[0].contains("test.ping") && lines[0].contains(&accepted), "{service}: {stdout}");
        assert!(stderr.ends_with("1 message accepted\n"), "{service}: {stderr}");
        assert!(lines[1].starts_with("    LOW"), "{service}: {stdout}");
        let facts = &lines[2..];
        assert!(facts.iter().any(|line| line.contains("a test of this subscription")), "{service}: {stdout}");
        assert!(facts.iter().all(|line| line.starts_with("    ")), "{service}: {stdout}");
    }
}

#[test]
fn replies_are_those_of_the_service() {
    for (service, message, accepted, refused) in [
        ("slack", r#"{"text":"hi"}"#, "HTTP/1.1 200 OK", "no_text"),
        ("discord", r#"{"embeds":[{"title":"hi"}]}"#, "HTTP/1.1 204 No Content", "\"code\": 50006"),
        (
            "teams",
            r#"{"type":"AdaptiveCard","body":[{"text":"hi"}]}"#,
            "HTTP/1.1 202 Accepted",
            "TriggerInputSchemaMismatch",
        ),
        (
            "mattermost",
            r#"{"attachments":[{"text":"hi"}]}"#,
            "HTTP/1.1 200 OK",
            "web.incoming_webhook.text.app_error",
        ),
    ] {
        let host = Host::new();
        let mut receiver = host.start(&["receive", "--port", "0", "--as", service, "--count", "2", "--json"]);
        let address = address(&mut receiver);
        let reply = post(&address, message);
        assert!(reply.starts_with(accepted), "{service}: {reply}");
        assert_eq!(reply.ends_with("\r\n\r\nok"), accepted.contains("200"), "{service}: {reply}");
        let reply = post(&address, r#"{"id":"e1","payload":{}}"#);
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains(refused), "{service}: {reply}");
        let (_, stdout, _) = receiver.finish();
        assert!(stdout.contains("\"status\":400"), "{stdout}");
    }
}

#[test]
fn plain_event_is_refused_and_a_given_status_is_kept() {
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
    let mut receiver = host.start(&["receive", "--port", "0", "--as", "slack", "--count", "1"]);
    let at = address(&mut receiver);
    assert!(!is_delivered(&host, "plain", &at, &[]));
    let (_, stdout, stderr) = receiver.finish();
    assert!(stdout.contains("refused with 400 Bad Request: this is not a message"), "{stdout}");
    assert!(
        stdout.contains("refused (400)") && stderr.ends_with("0 messages accepted, 1 refused\n"),
        "{stderr}"
    );
    let mut busy =
        host.start(&["receive", "--port", "0", "--as", "slack", "--status", "429", "--count", "1"]);
    let at = address(&mut busy);
    assert!(post(&at, r#"{"text":"hi"}"#).starts_with("HTTP/1.1 429"));
    assert!(busy.finish().1.contains("    hi\n"));
}

#[test]
fn messages_cannot_control_the_terminal() {
    let host = Host::new();
    let mut receiver = host.start(&["receive", "--port", "0", "--as", "slack", "--count", "1"]);
    let at = address(&mut receiver);
    let text =
        r#"{"text":"\u001b[2Ja\u202e\nb\rc","attachments":[{"blocks":[{"text":{"text":"\u009b31m"}}]}]}"#;
    assert!(post(&at, text).ends_with("ok"));
    let (_, stdout, _) = receiver.finish();
    assert!(stdout.contains("    \\u{1b}[2Ja\\u{202e}\n    b\\rc\n    \\u{9b}31m\n"), "{stdout:?}");
}
