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
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["router", "--patterns", &PATTERNS.to_string()]);
    command.args(["--seconds", &bench.plan.routing_seconds.to_string()]);
    let said = Process::start("router", &mut command, bench.path())?.finish(PATIENCE).await?;
    let seen: Routed = serde_json::from_str(&said).context("the router said what cannot be read")?;
    let routed = Figure::new("topics routed", seen.topics_per_second, Unit::PerSecond);
    let figures = vec![
        routed
            .beside(format!("linear scan {}/s", thousands(seen.scanned_per_second)))
            .target(targets::ROUTING),
        Figure::whole("memory of the table", seen.bytes, Unit::Bytes),
        Figure::new("time to build it", seen.build_ms * 1e3, Unit::Micros),
    ];
    let notes = vec![format!(
        "{} patterns, a fifth of them with wildcards; {:.1} subscriptions found for a topic on average",
        thousands(PATTERNS.into()),
        seen.found_per_topic
    )];
    Ok(Measured { figures, notes, ..Measured::default() })
}
