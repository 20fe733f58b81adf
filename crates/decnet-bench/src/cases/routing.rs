//! Row 9: routing alone, on one core, in a process of its own.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Bench;
use crate::report::{Figure, Measured, Unit, thousands};
use crate::rig::Process;
use crate::roles::router::Routed;
use crate::targets;

const PATTERNS: u32 = 100_000;
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["router", "--patterns", &PATTERNS.to_string()]);
    command.args(["--seconds", &bench.plan.routing_seconds.to_string()]);
    let output = Process::start("router", &mut command, bench.path())?.finish(TIMEOUT).await?;
    let result: Routed =
        serde_json::from_str(&output).context("the output of the router is not valid JSON")?;
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
