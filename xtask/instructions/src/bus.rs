//! Routing, frames and events.

use std::hint::black_box;

use decnet_bus::protocol::{Verb, decode, encode};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, PatternTrie};

/// The number of patterns in the trie; a fifth of them have a wildcard.
const PATTERNS: u32 = 10_000;
/// The fields of an event as the bus sends it; with the padding it has 600 bytes.
const FIELDS: &str = r#""id":"396e686d7a284eaa55d2a5d1fc3c9c2e","topic":"attacker.observed","ts":1776988800.25,"type":"observed","v":1"#;
const PAD_BYTES: usize = 440;

/// Routes topics among patterns.
pub(super) fn route(times: u32) -> super::Result {
    let text = |n: u32| match n % 5 {
        0 if n.is_multiple_of(2) => format!("attacker.*.s{n}"),
        0 => format!("decky.d{n}.>"),
        _ => format!("decky.d{n}.state"),
    };
    let patterns: Vec<Pattern> = (0..PATTERNS).map(|n| Pattern::new(&text(n))).collect::<Result<_, _>>()?;
    let trie = PatternTrie::new(patterns.iter().zip(0..));
    let topics: Vec<String> = (0..1000).map(|n| format!("decky.d{}.state", n * 7)).collect();
    let mut found = Vec::new();
    for topic in topics.iter().cycle().take(times as usize) {
        found.clear();
        trie.route(black_box(topic), &mut found);
        black_box(&found);
    }
    Ok(())
}

/// Parses frames.
pub(super) fn decode_frames(times: u32) -> super::Result {
    let mut frame = Vec::new();
    encode(&mut frame, Verb::Evt, "attacker.observed", envelope().as_bytes())?;
    for _ in 0..times {
        black_box(decode(black_box(&frame))?);
    }
    Ok(())
}

/// Makes events with their canonical bodies from frames.
pub(super) fn make_events(times: u32) -> super::Result {
    let envelope = envelope();
    for _ in 0..times {
        let made =
            Event::from_bus("attacker.observed", black_box(envelope.as_bytes()), UnixMicros(0), String::new);
        black_box(made?);
    }
    Ok(())
}

fn envelope() -> String {
    format!(r#"{{{FIELDS},"payload":{{"n":7,"pad":"{}"}}}}"#, "x".repeat(PAD_BYTES))
}
