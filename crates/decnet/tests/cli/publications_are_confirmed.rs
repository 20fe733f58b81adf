//! `decnet publish` succeeds only if the bus has read every event.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{ChildStdin, Stdio};

use crate::support::{Host, Running, code, eventually, stderr};

/// Starts a watcher of `t.>` and waits for its first line.
fn watch(host: &Host) -> (Running, BufReader<std::process::ChildStdout>) {
    let mut watch = host.start(&["watch", "t.>"]);
    let mut printed = BufReader::new(watch.child.stdout.take().unwrap());
    watch.wait_for("watching");
    let mut line = String::new();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| printed.read_line(&mut line).unwrap());
        eventually("a first event", || {
            assert_eq!(code(&host.run(&["publish", "t.first"])), 0);
            reading.is_finished()
        });
    });
    (watch, printed)
}

/// Publishes a final event and returns the number of lines printed before it.
fn count(host: &Host, printed: impl std::io::BufRead) -> u64 {
    assert_eq!(code(&host.run(&["publish", "t.end"])), 0);
    let lines = printed.lines().map(Result::unwrap).take_while(|line| !line.contains("\"t.end\""));
    lines.filter(|line| line.contains("\"t.x\"")).count() as u64
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap().trim_end();
    before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn publish_fails_at_the_connection_limit_of_the_bus() {
    let host = Host::new();
    let bus = UnixListener::bind(host.socket()).unwrap();
    let full = std::thread::spawn(move || drop(bus.accept().unwrap()));
    let output = host.run(&["publish", "t.x", "{}", "--count", "3"]);
    let messages = stderr(&output);
    assert_eq!(code(&output), 1, "{messages}");
    // The error depends on when the publisher notices.
    let is_named =
        ["refused the connection", "closed the connection"].iter().any(|text| messages.contains(text));
    assert!(is_named && !messages.contains("published"), "{messages}");
    full.join().unwrap();
}

#[test]
fn killed_bus_confirms_nothing() {
    let host = Host::new();
    let bus = host.start_bus();
    let (_watch, mut printed) = watch(&host);
    let publisher = host.start(&["publish", "t.x", "--count", "100000", "--rate", "50"]);
    printed.by_ref().lines().find(|line| line.as_ref().unwrap().contains("\"t.x\""));
    drop(bus);
    let (code, _, messages) = publisher.finish();
    assert_eq!(code, 1, "{messages}");
    assert!(
        messages.contains("decnet: the bus did not confirm ") && messages.contains(" more were not sent"),
        "{messages}"
    );
    assert!(!messages.contains("published"), "{messages}");
}

#[test]
fn interrupted_publish_fails_and_reports_its_progress() {
    let host = Host::new();
    let _bus = host.start_bus();
    for signal in ["INT", "TERM"] {
        let (_watch, mut printed) = watch(&host);
        let publisher = host.start(&["publish", "t.x", "--count", "1000", "--rate", "50"]);
        printed.by_ref().lines().find(|line| line.as_ref().unwrap().contains("\"t.x\""));
        publisher.signal(signal);
        let (code, _, messages) = publisher.finish();
        assert_eq!(code, 1, "{messages}");
        let (published, rest) =
            (number_before(&messages, " event"), number_before(&messages, " more not published"));
        assert_eq!(published + rest, 1000, "{messages}");
        assert_eq!(count(&host, printed), published - 1, "one was read before: {messages}");
    }
}

#[test]
fn interrupted_stream_reports_its_progress() {
    let host = Host::new();
    let _bus = host.start_bus();
    let (_watch, mut printed) = watch(&host);
    let mut command = host.command(&["publish", "t.x", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input: ChildStdin = child.stdin.take().unwrap();
    input.write_all(b"{}\n{}\n").unwrap();
    let lines = printed.by_ref().lines().map(Result::unwrap);
    assert_eq!(lines.filter(|line| line.contains("\"t.x\"")).take(2).count(), 2);
    let sent =
        std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let messages = stderr(&output);
    assert_eq!(code(&output), 1, "{messages}");
    assert!(
        messages.contains("published 2 events on t.x") && messages.contains("the rest of the input"),
        "{messages}"
    );
    drop(input);
}
