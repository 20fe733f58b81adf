//! Events and evaluation for tests.

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput};

/// Returns an event with this payload.
pub(crate) fn event(payload: &str) -> Event {
    let at = UnixMicros(1_776_988_800_000_000);
    Event::new("e1", "attacker.observed", "observed", at, payload).expect("the payload is JSON")
}

/// Compiles a filter and evaluates it for an event of high severity. An error is its text.
pub(crate) fn evaluate(source: &str, payload: &str) -> Result<bool, String> {
    let filter = Filter::compile(source).map_err(|error| format!("{source}: {error}"))?;
    let event = event(payload);
    let input = FilterInput::new(&event, Severity::High);
    filter.evaluate(&input, &mut Budget::default()).map_err(|error| error.to_string())
}

/// Returns the text of the error of compilation.
pub(crate) fn mistake(source: &str) -> String {
    match Filter::compile(source) {
        Ok(_) => panic!("{source} compiles"),
        Err(error) => error.to_string(),
    }
}
