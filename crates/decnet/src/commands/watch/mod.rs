//! `decnet watch`: prints the events of the bus.

mod ahead;
mod line;
mod missed;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use decnet_bus::{Source, Step};
use decnet_core::topic::Pattern;
use tokio::time::timeout;

use self::ahead::ReadAhead;
use self::missed::Missed;
use super::shared::bus_client;
use crate::context::Context;
use crate::output::{self, pluralize};

/// The time for which an interrupted run continues to print queued events.
const PRINT_GRACE: Duration = Duration::from_secs(2);

/// Prints the events of the bus as JSON lines, until Ctrl-C.
///
/// Each line is {"id", "topic", "type", "ts", "payload"}. If the bus stops, the command waits for it; events that are
/// published in the meantime are missed. Events that arrive faster than they can be printed wait in memory, up to 64 MiB. Events missed
/// beyond that, here or in the bus, are counted on stderr. DECNET's own bus does not report the events it drops. If the
/// command is interrupted before `--count` events were printed, the exit code is 1. On a terminal, control and
/// invisible characters are written as \u escapes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet watch '>'                     # everything
  decnet watch 'attacker.>' 'decky.*.state'
  decnet watch 'canary.*.triggered' --count 1")]
pub(crate) struct Args {
    /// Topic patterns: * matches one token, > all that follow
    #[arg(required = true, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text))]
    patterns: Vec<Pattern>,
    /// Stop after this many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (client, socket) = bus_client::connect(&context.config).await?;
    client.close().await?;
    let mut source = Source::new(socket, "decnet-watch").with_notices();
    source.set_patterns(args.patterns);
    let (ahead, printer, counts) = ahead::queue(args.count.unwrap_or(u64::MAX));
    let mut printing = tokio::task::spawn_blocking(|| printer.run());
    let mut reading = Reading { source, ahead, missed: Missed::default(), was_connected: false };
    let ended = tokio::select! {
        ended = &mut printing => Some(ended),
        never = reading.run() => match never {},
        () = context.shutdown.cancelled() => None,
    };
    let Reading { source, ahead, mut missed, .. } = reading;
    source.close().await;
    drop(ahead);
    let ended = match ended {
        Some(ended) => Some(ended),
        None => timeout(PRINT_GRACE, printing).await.ok(),
    };
    if ended.is_none() {
        missed.unprinted += counts.waiting();
    }
    missed.report_all();
    ended.transpose().context("the printing thread panicked")?.transpose()?;
    match args.count {
        Some(count) if counts.printed() < count => {
            let printed = pluralize(counts.printed(), "event", "events");
            anyhow::bail!("interrupted after {printed} of {count}")
        }
        _ => Ok(()),
    }
}

/// The task that reads the bus.
struct Reading {
    source: Source,
    ahead: ReadAhead,
    missed: Missed,
    was_connected: bool,
}

impl Reading {
    /// Reads until the future is dropped.
    async fn run(&mut self) -> Infallible {
        let mut events = Vec::new();
        loop {
            match self.source.next(&mut events).await {
                Step::Messages => {
                    let rejected =
                        events.drain(..).map(|event| self.ahead.push(event)).filter(|queued| !queued).count();
                    self.missed.unprinted += rejected as u64;
                }
                Step::Notice => {}
                Step::Connected if self.was_connected => output::note("reconnected to the bus"),
                Step::Connected => {
                    self.was_connected = true;
                    output::note("watching, Ctrl-C to stop");
                }
                Step::Disconnected => {
                    self.missed.disconnected();
                    output::note("disconnected from the bus; reconnecting");
                }
            }
            if let Some(notice) = self.source.notice() {
                self.missed.by_bus = notice.lost;
            }
            self.missed.report(Instant::now());
        }
    }
}
