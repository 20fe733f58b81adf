//! `decnet bench`: measures this machine with the real bus, worker and queue.
//!
//! - [`plan`]: the extent of each measurement;
//! - [`rig`]: bus, receiver and worker in a temporary directory; [`driver`]: the measurements;
//! - [`figures`]: the results; [`verdict`]: their interpretation.
//!
//! The load generator, the built-in receiver and the measurements of disk and CPU are in the crate `decnet-bench`.

mod driver;
mod figures;
mod plan;
mod rig;
mod verdict;

use std::time::Duration;

use decnet_core::redact::EndpointUrl;

use self::plan::Plan;
use crate::commands::shared::confirm;
use crate::commands::shared::secret_args::SecretArgs;
use crate::config::read_duration_within;
use crate::context::Context;
use crate::output;

/// The shortest total duration that can be requested.
const MIN_SECONDS: Duration = Duration::from_secs(1);
/// The longest total duration that can be requested.
const MAX_SECONDS: Duration = Duration::from_secs(600);
/// The maximum number of events of a throughput measurement.
const MAX_EVENTS: u64 = 10_000_000;

/// Measures disk, throughput, CPU use and latency of this machine.
///
/// Runs the real bus, worker and queue with the configured settings, in a temporary directory inside the data directory.
/// Existing subscriptions and queues are not touched. The verdict names the bottleneck. The built-in receiver listens on
/// loopback, which the egress guard allows only for this command.
///
/// With --receiver the requests go to your receiver, after one request that checks whether it responds. These are real
/// requests: about a thousand signed POSTs of 600 bytes, with at most the configured concurrency, with the topic `bench` in
/// header and body. You are asked for confirmation, unless you pass --yes. The command stops at the first failed request.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet bench                              # about ten seconds
  decnet --data-dir /srv/decnet bench       # measure the disk of this directory
  decnet bench --seconds 60s --json
  decnet bench --receiver https://siem.example/hook --secret-file secret.txt --events 200")]
pub(crate) struct Args {
    /// Send to this receiver, http or https, instead of to the built-in receiver
    #[arg(long, value_name = "URL", value_parser = |text: &str| EndpointUrl::new(text))]
    receiver: Option<EndpointUrl>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The number of events per throughput measurement, regardless of the time
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=MAX_EVENTS))]
    events: Option<u64>,
    /// The approximate total duration, such as 30 or 30s [default: 10s]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Send real requests to --receiver without asking
    #[arg(long, requires = "receiver")]
    yes: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    read_duration_within(text, MIN_SECONDS, MAX_SECONDS)
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let plan = Plan::new(args.receiver.is_some(), args.events, args.seconds);
    let secret = args.secret.read()?;
    if let Some(url) = &args.receiver {
        confirm_requests(url, &plan, args.yes, context).await?;
    }
    let figures = rig::measure(args.receiver.as_ref(), secret, plan, context).await?;
    if args.json { output::json(&figures) } else { output::print(&figures.human(context.paint)) }
}

/// Reports what will be sent, and asks for confirmation unless `yes` is set.
///
/// # Errors
/// There is no terminal to ask on, or the answer is no.
async fn confirm_requests(
    url: &EndpointUrl,
    plan: &Plan,
    yes: bool,
    context: &Context,
) -> anyhow::Result<()> {
    let (requests, at_once) = (plan.requests(), context.config.worker.concurrency);
    let what =
        format!("up to {requests} real requests to {url}, {at_once} at a time, signed, with topic `bench`");
    if yes {
        output::note(&format!("sending {what}"));
        return Ok(());
    }
    confirm::ask(&format!("send {what}"), "nothing was sent", context).await
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
