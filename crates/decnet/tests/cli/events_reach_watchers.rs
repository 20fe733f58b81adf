//! `decnet publish` to `decnet watch`, over a real `decnet bus`.

use std::io::{BufRead, BufReader, Read as _};
use std::process::ChildStdout;

use crate::support::{Host, Running, code, eventually, stderr};
use serde_json::{Value, json};

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn published_events_are_watched() {
    let host = Host::new();
    let _bus = host.start_bus();
    let mut watch = host.start(&["watch", "attacker.>", "--count", "3"]);
    watch.wait_for("watching");
    eventually("three events", || {
        let other = host.run(&["publish", "decky.a.state", "{}"]);
        assert_eq!(code(&other), 0, "{}", stderr(&other));
        let output =
            host.run(&["publish", "attacker.observed", r#"{"ip":"203.0.113.7"}"#, "--type", "observed"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        !watch.is_running()
    });
    let (code, stdout, _) = watch.finish();
    assert_eq!(code, 0);
    let events = lines(&stdout);
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!(event["topic"], "attacker.observed");
        assert_eq!(event["type"], "observed");
        assert_eq!(event["payload"], json!({"ip": "203.0.113.7"}));
        assert!(event["ts"].is_f64() && event["id"].as_str().unwrap().len() == 32);
    }
    assert_ne!(events[0]["id"], events[1]["id"]);
}

/// Waits until the watcher's subscription is active, so that no later event is missed.
fn settle(host: &Host, watch_out: &mut (impl BufRead + Send)) {
    let mut line = String::new();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| watch_out.read_line(&mut line).unwrap());
        eventually("a first event", || {
            assert_eq!(code(&host.run(&["publish", "t.first"])), 0);
            reading.is_finished()
        });
    });
}

#[test]
fn stream_of_lines_arrives_completely_and_in_order() {
    let host = Host::new();
    let _bus = host.start_bus();
    let mut watch = host.start(&["watch", "t.>"]);
    let mut out = BufReader::new(watch.child.stdout.take().unwrap());
    settle(&host, &mut out);
    let input: String = (0..900).map(|n| format!("{{\"n\": {n}}}\n\n")).collect();
    let output = host.run_with_input(&["publish", "t.stream", "-"], input.as_bytes());
    assert_eq!((code(&output), stderr(&output).trim()), (0, "published 900 events on t.stream"));
    let events = BufRead::lines(out).map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let numbers =
        events.filter(|event| event["topic"] == "t.stream").map(|event| event["payload"]["n"].clone());
    assert!(numbers.take(900).eq((0..900).map(Value::from)));
    watch.signal("INT");
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
}

#[test]
fn rejected_line_is_reported_and_the_others_are_published() {
    let host = Host::new();
    let _bus = host.start_bus();
    let (watch, mut out) = watching(&host, &["watch", "t.>"]);
    let (deep, large) = ("[".repeat(254) + &"]".repeat(254), format!("\"{}\"", "x".repeat(1_048_536)));
    let lines = format!("1\n2\nnonsense\n3\n{deep}\n{large}\n4\n");
    let output = host.run_with_input(&["publish", "t.stream", "-"], lines.as_bytes());
    assert_eq!(code(&output), 1);
    let messages = stderr(&output);
    for part in [
        "line 3 was not published: the payload is not JSON",
        "line 5 was not published: the payload is nested deeper than 253 levels",
        "line 6 was not published: type and payload have 1048540 bytes",
        "carries at most 1048464",
        "published 4 events",
        "3 lines were not published",
    ] {
        assert!(messages.contains(part), "{part}: {messages}");
    }
    assert_eq!(code(&host.run(&["publish", "t.end"])), 0);
    let numbers: Vec<Value> = payloads_before_the_end(&mut out).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    drop(watch);
}

/// Publishes `count` events with payloads of `bytes` on `t.stream`.
fn publish(host: &Host, count: usize, bytes: usize) {
    let payload = serde_json::json!("x".repeat(bytes)).to_string();
    let lines = vec![payload; count].join("\n");
    let output = host.run_with_input(&["publish", "t.stream", "-"], lines.as_bytes());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

/// Starts a watcher and waits until its subscription is active. Returns it and its stdout.
fn watching(host: &Host, arguments: &[&str]) -> (Running, BufReader<ChildStdout>) {
    let mut watch = host.start(arguments);
    let mut out = BufReader::new(watch.child.stdout.take().unwrap());
    settle(host, &mut out);
    (watch, out)
}

/// Returns the payloads on `t.stream` up to the event on `t.end`.
fn payloads_before_the_end(out: &mut impl BufRead) -> impl Iterator<Item = Value> {
    let events = out.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let events = events.take_while(|event| event["topic"] != "t.end");
    events.filter(|event| event["topic"] == "t.stream").map(|mut event| event["payload"].take())
}

/// Interrupts a watcher. Returns its exit code and the rest of stderr.
fn interrupt(mut watch: Running) -> (i32, String) {
    watch.signal("INT");
    let mut messages = String::new();
    watch.stderr.read_to_string(&mut messages).unwrap();
    (watch.child.wait().unwrap().code().unwrap(), messages)
}

/// 20 MiB in 20,000 events, of which the bus buffers 1,024 per reader and a pipe a few dozen. Events that the bus drops on a
/// slow machine are counted as missed.
#[test]
fn watch_buffers_events_for_a_slow_stdout() {
    let host = Host::new();
    let _bus = host.start_bus();
    let (watch, mut out) = watching(&host, &["watch", "t.>"]);
    (0..20).for_each(|_| publish(&host, 1000, 1000));
    assert_eq!(code(&host.run(&["publish", "t.end"])), 0);
    let printed = payloads_before_the_end(&mut out).count();
    let (exit, messages) = interrupt(watch);
    let missed = messages.lines().find(|line| line.ends_with("missed in total"));
    let missed: usize = missed.map_or(0, |line| line.split(' ').next().unwrap().parse().unwrap());
    assert!(exit == 0 && printed > 10_000 && printed + missed == 20_000, "{exit}, {printed}: {messages}");
}

/// 100 MiB, of which 64 MiB fit into the queue.
#[test]
fn events_missed_because_of_a_slow_stdout_are_counted() {
    let host = Host::new();
    let _bus = host.start_bus();
    let (mut watch, mut out) = watching(&host, &["watch", "t.>"]);
    publish(&host, 100, 1_000_000);
    watch.wait_for("missed so far");
    // Events published while the queue is full are missed too.
    let (mut printed, mut ends) = (0, 0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| payloads_before_the_end(&mut out).count());
        while !reader.is_finished() {
            ends += 1;
            assert_eq!(code(&host.run(&["publish", "t.end"])), 0);
        }
        printed = reader.join().unwrap();
    });
    watch.signal("INT");
    let messages = watch.wait_for("missed in total");
    let missed: usize = messages.split(' ').next().unwrap().parse().unwrap();
    assert!(
        printed > 50 && (100 - printed..100 - printed + ends).contains(&missed),
        "{printed}, {ends}: {messages}"
    );
}

#[test]
fn watch_fails_if_interrupted_before_its_count() {
    let host = Host::new();
    let _bus = host.start_bus();
    let (watch, _out) = watching(&host, &["watch", "t.>", "--count", "1000"]);
    let (exit, messages) = interrupt(watch);
    assert_eq!(exit, 1);
    assert!(messages.contains("interrupted after ") && messages.contains(" of 1000"), "{messages}");
}

#[test]
fn topics_of_the_bus_are_rejected() {
    let host = Host::new();
    let _bus = host.start_bus();
    let output = host.run(&["publish", "system.bus.health", "{}"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("is reserved for the bus"), "{}", stderr(&output));
}

#[test]
fn line_that_is_not_utf_8_does_not_affect_others() {
    let host = Host::new();
    let _bus = host.start_bus();
    let (watch, mut out) = watching(&host, &["watch", "t.>"]);
    let output = host.run_with_input(&["publish", "t.stream", "-"], b"\xef\xbb\xbf1\n\n2\n\"\xff\"\n4\n");
    let messages = stderr(&output);
    assert_eq!(code(&output), 1, "{messages}");
    assert!(
        messages.contains("published 3 events")
            && messages.contains("line 4 was not published: the payload is not valid UTF-8"),
        "{messages}"
    );
    assert_eq!(code(&host.run(&["publish", "t.end"])), 0);
    let numbers: Vec<Value> = payloads_before_the_end(&mut out).collect();
    assert_eq!(numbers, [1, 2, 4]);
    drop(watch);
}

#[test]
fn publish_rate_is_kept() {
    let host = Host::new();
    let _bus = host.start_bus();
    let started = std::time::Instant::now();
    let output = host.run(&["publish", "t.slow", "1", "--count", "11", "--rate", "20"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(started.elapsed() >= std::time::Duration::from_millis(500));
}

#[test]
fn invalid_payloads_and_topics_are_rejected() {
    let host = Host::new();
    let _bus = host.start_bus();
    for (arguments, expected, part) in [
        (vec!["publish", "a.b", "{"], 2, "JSON"),
        (vec!["publish", "a.b", "0"], 2, "the payload 0 would arrive as {}"),
        (vec!["publish", "a.b", "false"], 2, "the payload false would arrive as {}"),
        (vec!["publish", "a.*", "{}"], 2, "not valid in a topic"),
        (vec!["publish", "a.<!channel>", "{}"], 2, "`*` and `>` are not valid in a topic"),
        (vec!["publish", "a..b", "{}"], 2, "empty token"),
        (vec!["publish", "a.b", "-", "--count", "2"], 2, "--count"),
        (vec!["publish", "a.b", "@/nowhere"], 1, "/nowhere"),
        (vec!["watch", "a.>.b"], 2, "last token"),
    ] {
        let output = host.run(&arguments);
        assert_eq!(code(&output), expected, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn missing_bus_is_reported_with_a_remedy() {
    let host = Host::new();
    for arguments in [["publish", "a.b"], ["watch", "a.b"]] {
        let output = host.run(&arguments);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("decnet serve"), "{}", stderr(&output));
    }
    let host = host.with("DECNET_BUS_ENABLED", "false");
    assert!(stderr(&host.run(&["publish", "a.b"])).contains("DECNET_BUS_ENABLED"));
}

#[test]
fn watch_reconnects_to_a_restarted_bus() {
    let host = Host::new();
    let bus = host.start_bus();
    let mut watch = host.start(&["watch", "t.>", "--count", "1"]);
    watch.wait_for("watching");
    bus.signal("TERM");
    assert_eq!(bus.finish().0, 0);
    watch.wait_for("disconnected");
    let _bus = host.start_bus();
    watch.wait_for("reconnected");
    eventually("an event over the new bus", || {
        assert_eq!(code(&host.run(&["publish", "t.again"])), 0);
        !watch.is_running()
    });
    assert_eq!(lines(&watch.finish().1)[0]["topic"], "t.again");
}
