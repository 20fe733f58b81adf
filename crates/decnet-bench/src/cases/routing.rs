//! Row 9: routing alone, on one core, in a process of its own.

use std::time::Duration;

use anyhow::Result;
use decnet_bench::format::thousands;

use super::Bench;
use crate::report::{Figure, Measured, Unit};
use crate::roles::Role;
use crate::roles::router::{Options, Routed};
use crate::targets;

const PATTERNS: u32 = 100_000;
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let role = Role::Router(Options { patterns: PATTERNS, seconds: bench.plan.routing_seconds });
    let result: Routed = role.result(bench.path(), TIMEOUT).await?;
    let routed = Figure::new("topics routed", result.topics_per_second, Unit::PerSecond);
    let figures = vec![
        routed
            .detail(format!("linear scan {}/s", thousands(result.scanned_per_second)))
            .target(targets::ROUTING),
        Figure::whole("memory of the pattern table", result.bytes, Unit::Bytes),
        Figure::new("time to build the pattern table", result.build_ms * 1e3, Unit::Micros),
    ];
    let notes = vec![format!(
        "{} patterns, one in five with wildcards; {:.1} subscriptions found per topic on average",
        thousands(PATTERNS.into()),
        result.found_per_topic
    )];
    Ok(Measured { figures, notes, ..Measured::default() })
}
