//! Compiles any template and renders any payload with it: the first line is the payload, the rest the template. Must end within the
//! limits, with the same result each time, and with short errors.
#![no_main]

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::text::is_hidden;
use decnet_core::time::UnixMicros;
use decnet_format::finding::ParsedEvent;
use decnet_format::template::MAX_OUTPUT_BYTES;
use decnet_format::{Finding, Format};
use libfuzzer_sys::fuzz_target;

/// The maximum length of the text of an error in bytes: it may quote hidden characters, with an escape of ten.
const MAX_ERROR_BYTES: usize = 4000;

fuzz_target!(|input: &str| {
    let Some((payload, source)) = input.split_once('\n') else { return };
    let format = match Format::new("template", [], Some(source), Some("https://decnet.example")) {
        Ok(format) => format,
        Err(error) => return check_error(&error.to_string()),
    };
    let Ok(event) = Event::new("e1", "attacker.observed", "observed", UnixMicros(0), payload) else { return };
    let parsed = ParsedEvent::new(&event).expect("the body of an event can be parsed");
    let finding = || Finding::of(&event, &parsed, Severity::High);
    let findings = [finding(), finding()];
    let rendered = format.render(&findings, 20);
    assert_eq!(rendered, format.render(&findings, 20), "a retry must have the same body");
    match rendered {
        Ok(body) => assert!(body.len() <= MAX_OUTPUT_BYTES),
        Err(error) => check_error(&error.to_string()),
    }
});

fn check_error(error: &str) {
    assert!(error.len() <= MAX_ERROR_BYTES && !error.contains(is_hidden), "{error:?}");
}
