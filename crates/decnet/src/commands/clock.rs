//! `decnet clock`: compares the system clock with the time that the queue expects.

use decnet_core::clock::{Agreement, Reading};
use decnet_runtime::clock::Clock;
use decnet_store::queue::{ExternalWriter, Reader};
use serde_json::json;

use super::shared::times::show_clock;
use crate::context::Context;
use crate::failure::Exit;
use crate::output;

/// Compares the system clock with the time that the queue expects.
///
/// A worker that trusts the clock records the time in the queue. If the clock has been set since, or the machine was off
/// for more than a day, the worker removes nothing by age until the clock agrees again or is confirmed. The exit code
/// is then 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet clock
  decnet clock --confirm     # the clock is right: removal by age continues")]
pub(crate) struct Args {
    /// Confirm that the system clock is right, and continue from its time
    #[arg(long)]
    confirm: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let data_dir = &context.config.data_dir;
    let now = Clock::default().reading();
    let known = Reader::open(data_dir)?.recorded_times()?;
    let trusted = Reading::last_known(known.trusted, known.newest, &now);
    let ahead_seconds = match trusted.agreement(&now) {
        Agreement::Agrees => None,
        Agreement::Ahead(by) => Some(by.as_secs_f64()),
        Agreement::Behind(by) => Some(-by.as_secs_f64()),
    };
    let confirmed = args.confirm && ahead_seconds.is_some();
    if confirmed {
        ExternalWriter::open(data_dir)?.confirm_clock(&now)?;
    }
    let (system, expected) = (now.wall, trusted.expected_at(&now));
    if args.json {
        output::json(&json!({
            "system_time": system.to_iso8601(),
            "expected_time": expected.to_iso8601(),
            "agrees": ahead_seconds.is_none(),
            "ahead_seconds": ahead_seconds.unwrap_or(0.0),
            "confirmed": confirmed,
        }))?;
    } else {
        output::line(&format!("system time    {}", system.to_sqlite()))?;
        output::line(&format!("expected time  {}", expected.to_sqlite()))?;
        output::line(&sentence(ahead_seconds, confirmed))?;
    }
    if confirmed || ahead_seconds.is_none() { Ok(()) } else { Err(Exit::FAILURE.into()) }
}

/// Describes the result. The seconds are `None` if the clock agrees.
fn sentence(ahead_seconds: Option<f64>, confirmed: bool) -> String {
    let Some(ahead_seconds) = ahead_seconds else {
        return "the system clock agrees with what the queue expects".into();
    };
    let then = if confirmed {
        "the clock is confirmed, and removal by age continues"
    } else {
        "nothing is removed by age until they agree; if the clock is right, add --confirm"
    };
    format!("{}; {then}", show_clock(ahead_seconds))
}
