//! A filter and formats alone on one core, for an event of 600 bytes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput};
use decnet_format::finding::ParsedEvent;
use decnet_format::{Finding, Format};
use serde::{Deserialize, Serialize};

/// Calls between two readings of the clock.
const ROUND: u32 = 1_000;
const FILTER: &str = r#"topic.startsWith("credential.") && payload.src_port > 1024 && !cidr(payload.attacker_ip, "10.0.0.0/8")"#;
/// A format for people, and one for programs.
const FORMATS: [&str; 2] = ["slack", "elastic"];
const PAYLOAD: &str = r#"{"attacker_ip":"203.0.113.9","attacker_uuid":"0d9e5a5e-54b5-4c2e-9a8e-111111111111","decky":"decky-03",
    "duration_s":12.5,"event_count":41,"first_seen":"2026-04-24T11:59:58+00:00","is_traversal":false,"principal":"root",
    "request_path":"/cgi-bin/../../etc/passwd","secret_kind":"password","service":"ssh","src_port":51544,
    "techniques_added":["T1110","T1059.004"],
    "user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0"}"#;

/// The duration of the measurement of each step, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
}

/// The mean times of the steps, in microseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Timed {
    /// The first filter of an event, which parses it.
    pub(crate) first_filter_us: f64,
    /// Each further filter.
    pub(crate) next_filter_us: f64,
    /// The name of each format, and the time to parse and render the event.
    pub(crate) formats_us: Vec<(String, f64)>,
}

/// Measures the filter and the formats.
pub(crate) fn run(options: &Options) -> Result<Timed> {
    let (event, filter, time) = (event()?, Filter::compile(FILTER)?, Duration::from_secs(options.seconds));
    let input = || FilterInput::new(&event, Severity::High);
    let evaluate = |input: &FilterInput<'_>| filter.evaluate(black_box(input), &mut Budget::default());
    let parsed = input();
    let formats = FORMATS.iter().map(|name| {
        let format = Format::new(name, [], None, None)?;
        Ok(((*name).to_owned(), mean_us(time, || render(&format, &event))))
    });
    Ok(Timed {
        first_filter_us: mean_us(time, || evaluate(&input()) == Ok(true)),
        next_filter_us: mean_us(time, || evaluate(&parsed) == Ok(true)),
        formats_us: formats.collect::<Result<_>>()?,
    })
}

fn event() -> Result<Event> {
    let id = "396e686d7a284eaa55d2a5d1fc3c9c2e";
    Ok(Event::new(id, "credential.captured", "captured", UnixMicros(1_776_988_800_000_000), PAYLOAD)?)
}

/// Renders an event from its body to the body of the request. Returns whether that succeeded.
fn render(format: &Format, event: &Event) -> bool {
    let parsed = ParsedEvent::new(black_box(event));
    parsed.is_ok_and(|parsed| format.render(&[Finding::of(event, &parsed, Severity::High)], 1).is_ok())
}

/// Returns the mean time of a call, which must succeed, in microseconds.
fn mean_us(time: Duration, call: impl Fn() -> bool) -> f64 {
    let (begun, mut calls) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        assert!((0..ROUND).all(|_| black_box(call())), "a measured step failed");
        calls += u64::from(ROUND);
    }
    begun.elapsed().as_secs_f64() * 1e6 / calls as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_has_600_bytes_and_every_step_succeeds() {
        let event = event().unwrap();
        assert!((580..=620).contains(&event.body.len()), "{}", event.body.len());
        let filter = Filter::compile(FILTER).unwrap();
        let accepted = filter.evaluate(&FilterInput::new(&event, Severity::High), &mut Budget::default());
        assert_eq!(accepted, Ok(true));
        assert!(FORMATS.iter().all(|name| render(&Format::new(name, [], None, None).unwrap(), &event)));
    }
}
