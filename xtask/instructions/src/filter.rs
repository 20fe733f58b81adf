//! Filters: the first one of an event, which includes parsing it, and each further one.

use std::hint::black_box;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput};

const SOURCE: &str =
    r#"topic.startsWith("attacker.") && payload.port == 22 && !cidr(payload.src_ip, "10.0.0.0/8")"#;
/// The payload without its padding, with which the body has 600 bytes.
const FIELDS: &str = r#""decky":"web-01","port":22,"service":"ssh","src_ip":"192.0.2.17","tags":["ssh","T1110"],"user":"root""#;
const PAD_BYTES: usize = 360;

/// Evaluates a filter on events that are not parsed yet.
pub(super) fn first(times: u32) -> super::Result {
    let (event, filter) = prepared()?;
    for _ in 0..times {
        let input = FilterInput::new(black_box(&event), Severity::Low);
        assert_eq!(filter.evaluate(&input, &mut Budget::default()), Ok(true));
    }
    Ok(())
}

/// Evaluates a filter on an event that is parsed already.
pub(super) fn next(times: u32) -> super::Result {
    let (event, filter) = prepared()?;
    let input = FilterInput::new(&event, Severity::Low);
    for _ in 0..times {
        assert_eq!(filter.evaluate(black_box(&input), &mut Budget::default()), Ok(true));
    }
    Ok(())
}

fn prepared() -> Result<(Event, Filter), Box<dyn std::error::Error>> {
    let payload = format!(r#"{{{FIELDS},"pad":"{}"}}"#, "x".repeat(PAD_BYTES));
    let event = Event::new("396e686d7a284eaa", "attacker.observed", "observed", UnixMicros(0), &payload)?;
    Ok((event, Filter::compile(SOURCE)?))
}
