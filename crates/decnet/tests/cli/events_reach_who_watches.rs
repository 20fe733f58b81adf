//! `decnet publish` to `decnet watch`, over a real `decnet bus`.

use crate::support::{Host, code, eventually, stderr};
use serde_json::{Value, json};

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_published_is_watched() {
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

/// Waits until the watcher's subscription is in force, so that nothing after it is missed.
fn settle(host: &Host, watch_out: &mut (impl std::io::BufRead + Send)) {
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
fn a_stream_of_lines_arrives_whole_and_in_order() {
    let host = Host::new();
    let _bus = host.start_bus();
    let mut watch = host.start(&["watch", "t.>"]);
    let mut out = std::io::BufReader::new(watch.child.stdout.take().unwrap());
    settle(&host, &mut out);
    let input: String = (0..900).map(|n| format!("{{\"n\": {n}}}\n\n")).collect();
    let output = host.run_with_input(&["publish", "t.stream", "-"], input.as_bytes());
    assert_eq!((code(&output), stderr(&output).trim()), (0, "published 900 events on t.stream"));
    let events =
        std::io::BufRead::lines(out).map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let numbers =
        events.filter(|event| event["topic"] == "t.stream").map(|event| event["payload"]["n"].clone());
    assert!(numbers.take(900).eq((0..900).map(Value::from)));
    watch.signal("INT");
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_bad_line_is_named_and_what_came_before_it_is_published() {
    let host = Host::new();
    let _bus = host.start_bus();
    let output = host.run_with_input(&["publish", "t.stream", "-"], b"{}\n[1]\nnonsense\n{}\n");
    assert_eq!(code(&output), 1);
    let said = stderr(&output);
    assert!(said.contains("published 2 events") && said.contains("line 3"), "{said}");
}

#[test]
fn lines_before_one_that_is_not_utf_8_are_published() {
    let host = Host::new();
    let _bus = host.start_bus();
    let mut watch = host.start(&["watch", "t.>"]);
    let mut out = std::io::BufReader::new(watch.child.stdout.take().unwrap());
    settle(&host, &mut out);
    let output = host.run_with_input(&["publish", "t.stream", "-"], b"\xef\xbb\xbf1\n\n2\n\"\xff\"\n4\n");
    let said = stderr(&output);
    assert_eq!(code(&output), 1, "{said}");
    assert!(said.contains("published 2 events") && said.contains("line 4 is not UTF-8"), "{said}");
    assert_eq!(code(&host.run(&["publish", "t.last"])), 0);
    let events =
        std::io::BufRead::lines(out).map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let events = events.filter(|event| event["topic"] != "t.first");
    let seen: Vec<_> =
        events.take(3).map(|event| (event["topic"].clone(), event["payload"].clone())).collect();
    assert_eq!(
        seen,
        [(json!("t.stream"), json!(1)), (json!("t.stream"), json!(2)), (json!("t.last"), json!({}))]
    );
}

#[test]
fn a_rate_is_kept() {
    let host = Host::new();
    let _bus = host.start_bus();
    let started = std::time::Instant::now();
    let output = host.run(&["publish", "t.slow", "1", "--count", "11", "--rate", "20"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(started.elapsed() >= std::time::Duration::from_millis(500));
}

#[test]
fn bad_payloads_and_topics_are_refused() {
    let host = Host::new();
    let _bus = host.start_bus();
    for (arguments, expected, part) in [
        (vec!["publish", "a.b", "{"], 2, "JSON"),
        (vec!["publish", "a.b", "0"], 2, "the payload 0 would arrive as {}"),
        (vec!["publish", "a.b", "false"], 2, "the payload false would arrive as {}"),
        (vec!["publish", "a.*", "{}"], 2, "for patterns"),
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
fn a_bus_that_is_away_is_said_with_what_to_do() {
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
fn a_watcher_outlives_its_bus() {
    let host = Host::new();
    let bus = host.start_bus();
    let mut watch = host.start(&["watch", "t.>", "--count", "1"]);
    watch.wait_for("watching");
    bus.signal("TERM");
    assert_eq!(bus.finish().0, 0);
    watch.wait_for("away");
    let _bus = host.start_bus();
    watch.wait_for("back");
    eventually("an event over the new bus", || {
        assert_eq!(code(&host.run(&["publish", "t.again"])), 0);
        !watch.is_running()
    });
    assert_eq!(lines(&watch.finish().1)[0]["topic"], "t.again");
}
