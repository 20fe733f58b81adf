//! `decnet watch`: the events of the bus, as they come.

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
use super::link;
use crate::context::Context;
use crate::output::{self, counted};

/// How long an interrupted run goes on printing what it has read already.
const PRINT_GRACE: Duration = Duration::from_secs(2);

/// Prints the events of the bus as JSON lines, until Ctrl-C.
///
/// Each line is {"id", "topic", "type", "ts", "payload"}. A bus that goes away is waited for; what is
/// published meanwhile is not seen. Events that come faster than they can be printed wait in memory, up to 64 MiB;
/// those that are missed after that, here or in the bus, are counted on stderr. DECNET's own bus does not report what
/// it drops. Interrupted before `--count` events were printed, the exit code is 1. On a terminal, characters that it would
/// obey or hide are written as \u escapes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet watch '>'                     # everything
  decnet watch 'attacker.>' 'decky.*.state'
  decnet watch 'canary.*.triggered' --count 1")]
pub(crate) struct Args {
    /// Which topics: * is one token, > all that follow
    #[arg(required = true, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text))]
    patterns: Vec<Pattern>,
    /// Stop after this many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (client, socket) = link::connect(&context.config).await?;
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
        missed.add_unprinted(counts.waiting());
    }
    missed.report_all();
    ended.transpose().context("the printing thread broke")?.transpose()?;
    match args.count {
        Some(count) if counts.printed() < count => {
            let printed = counted(counts.printed(), "event", "events");
            anyhow::bail!("interrupted after {printed} of {count}")
        }
        _ => Ok(()),
    }
}

/// The side that reads the bus.
struct Reading {
    source: Source,
    ahead: ReadAhead,
    missed: Missed,
    was_connected: bool,
}

impl Reading {
    /// Reads until it is cancelled.
    async fn run(&mut self) -> Infallible {
        let mut events = Vec::new();
        loop {
            match self.source.next(&mut events).await {
                Step::Messages => {
                    let refused =
                        events.drain(..).map(|event| self.ahead.push(event)).filter(|taken| !taken).count();
                    self.missed.add_unprinted(refused as u64);
                }
                Step::Notice => {}
                Step::Connected if self.was_connected => output::say("the bus is back"),
                Step::Connected => {
                    self.was_connected = true;
                    output::say("watching, Ctrl-C to stop");
                }
                Step::Disconnected => {
                    self.missed.disconnected();
                    output::say("the bus is away; waiting for it");
                }
            }
            if let Some(notice) = self.source.notice() {
                self.missed.set_by_bus(notice.lost);
            }
            self.missed.report(Instant::now());
        }
    }
}
