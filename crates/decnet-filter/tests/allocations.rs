//! The memory that evaluation allocates.

use std::alloc::System;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// The only test of its binary, because others would allocate at the same time.
#[test]
fn evaluation_of_common_filters_does_not_allocate() {
    let payload = r#"{"port":22,"src_ip":"192.0.2.1","user":"root","tags":["ssh","brute"],"agent":"curl/8"}"#;
    let event = Event::new("e", "attacker.observed", "observed", UnixMicros(0), payload).unwrap();
    let input = FilterInput::new(&event, Severity::High);
    for source in [
        r#"topic.startsWith("attacker.") && payload.port == 22 && payload.src_ip != "10.0.0.1""#,
        r#"has(payload.missing) || payload.nothing == 1 || payload.tags.exists(tag, tag == "brute")"#,
        r#"payload.port in [21, 22, 23] && severity in ["high", "critical"] && size(payload.tags) == 2"#,
        r#"cidr(payload.src_ip, "192.0.2.0/24") && lower(payload.user) == "root""#,
        r#"payload.agent.matches("^curl/[0-9]+$") && payload.agent.contains("url")"#,
    ] {
        let filter = Filter::compile(source).unwrap();
        // The first evaluation parses the body and prepares the search for the pattern.
        assert_eq!(filter.evaluate(&input, &mut Budget::default()), Ok(true), "{source}");
        let region = Region::new(ALLOCATOR);
        let result = filter.evaluate(&input, &mut Budget::default());
        let change = region.change();
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{source}");
        assert_eq!(result, Ok(true));
    }
}
