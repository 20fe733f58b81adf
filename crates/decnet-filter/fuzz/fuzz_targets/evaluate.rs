//! Evaluates any filter for any payload. The first line is the filter, the rest the payload. Must end within its steps.
#![no_main]

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput, MAX_EVENT_STEPS, MAX_FILTER_STEPS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Some((source, payload)) = input.split_once('\n') else { return };
    let Ok(filter) = Filter::compile(source) else { return };
    let Ok(event) = Event::new("e1", "attacker.observed", "observed", UnixMicros(0), payload) else { return };
    let input = FilterInput::new(&event, Severity::High);
    let mut budget = Budget::default();
    let first = filter.evaluate(&input, &mut budget);
    assert!(MAX_EVENT_STEPS - budget.steps_left() <= MAX_FILTER_STEPS);
    assert_eq!(first, filter.evaluate(&input, &mut budget));
});
