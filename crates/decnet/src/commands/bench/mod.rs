//! `decnet bench`: what this machine can do, measured with the real bus, worker and queue.
//!
//! - `plan`: how much of everything, and [`consent`] where it goes to somebody's receiver;
//! - `rig`: bus, receiver and worker over a temporary directory; `receiver` is the built-in one;
//! - `driver`: publishes and watches, on a thread of its own; `disk` and [`cpu`] read the machine;
//! - `figures`: what was seen; `verdict`: what it means, in words.

mod consent;
mod cpu;
mod disk;
mod driver;
mod figures;
mod plan;
mod progress;
mod receiver;
mod rig;
mod verdict;

use std::time::Duration;

use decnet_core::redact::EndpointUrl;

use self::plan::Plan;
use crate::commands::secret_args::SecretArgs;
use crate::config::read_duration;
use crate::context::Context;
use crate::output;

/// Longest measurement that is asked for by time.
const MAX_SECONDS: Duration = Duration::from_secs(600);
/// Most events of one throughput measurement.
const MAX_EVENTS: u64 = 10_000_000;

/// Measures what this machine can do, with a verdict in words.
///
/// That is its disk, deliveries a second, CPU and latency. Bus, worker and queue are the real ones, with what is configured here, over a temporary directory beside the
/// data directory's files; no subscription and no queue that is in use is touched. The receiver is a built-in one on
/// loopback, for which alone the guard of addresses is lifted.
///
/// With --receiver they go to a receiver of yours, one first to see whether it answers. These are real requests: about a
/// thousand signed POSTs of 600 bytes, no more at once than is configured, with the topic `bench` in header and body so
/// that it can tell them apart. You are asked first, unless you say --yes. It stops at the first that fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet bench                              # about ten seconds
  decnet --data-dir /srv/decnet bench       # the disk that matters
  decnet bench --seconds 60s --json
  decnet bench --receiver https://siem.example/hook --secret-file secret.txt --events 200")]
pub(crate) struct Args {
    /// Send to this receiver, http or https, instead of a built-in one
    #[arg(long, value_name = "URL", value_parser = url)]
    receiver: Option<EndpointUrl>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Publish this many events for each throughput, however long it takes
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=MAX_EVENTS))]
    events: Option<u64>,
    /// Measure for about this long in all, such as 30 or 30s [default: 10s]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Send real requests to --receiver without asking
    #[arg(long, requires = "receiver")]
    yes: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn url(text: &str) -> Result<EndpointUrl, String> {
    EndpointUrl::new(text).map_err(|error| error.to_string())
}

/// A bare number is of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_bare { read_duration(&format!("{text}s")) } else { read_duration(text) }?;
    let range = Duration::from_secs(1)..=MAX_SECONDS;
    if range.contains(&seconds) { Ok(seconds) } else { Err("is from 1s to 10m".into()) }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let plan = Plan::new(args.receiver.is_some(), args.events, args.seconds);
    let secret = args.secret.read()?;
    if let Some(url) = &args.receiver {
        consent::obtain(url, &plan, args.yes, context).await?;
    }
    let figures = rig::measure(args.receiver.as_ref(), secret, plan, context).await?;
    if args.json { output::json(&figures) } else { output::print(&figures.human(context.paint)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_need_no_unit_and_have_bounds() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["0", "11m", "", "soon", "-1"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
