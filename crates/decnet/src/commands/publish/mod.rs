//! `decnet publish`: publishes one event or a stream of events on the bus.

mod input;

use std::time::Duration;

use anyhow::Context as _;
use decnet_bus::{Client, ClientError};
use decnet_core::limits::PUBLISH_CONFIRM_TIMEOUT;
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::input::{Input, Line};
use super::shared::event_args::topic;
use super::shared::{bus_client, progress};
use crate::context::Context;
use crate::failure::{Usage, format_error};
use crate::output;

/// The number of buffered bytes at which the buffer is written.
const FLUSH_BYTES: usize = 64 * 1024;
/// The number of chunks of payloads that are read ahead.
const READ_AHEAD: usize = 8;
/// The maximum number of rejected lines that are reported one by one. Further lines are only counted.
const MAX_REPORTED_LINES: u64 = 20;

/// Publishes events on the bus.
///
/// The payload is JSON: an argument, a file (@FILE: one value, or one value per line), or stdin (-: one value per
/// line). The default is {}. Reports success once the bus has read everything. Otherwise, or if interrupted, the exit
/// code is 1. A line that is not valid JSON, not UTF-8 or too large is reported and skipped; the exit code is then 1
/// as well. A byte order mark before the first line is skipped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet publish attacker.observed '{\"ip\":\"203.0.113.7\"}' --type observed
  decnet publish system.log @event.json
  tail -f events.jsonl | decnet publish system.log -
  decnet publish attacker.observed '{\"n\":1}' --count 10000 --rate 500")]
pub(crate) struct Args {
    /// The topic, such as attacker.observed
    #[arg(value_parser = topic)]
    topic: String,
    /// The payload: JSON, @FILE, or - for JSON lines from stdin
    #[arg(value_name = "JSON", default_value = "{}", hide_default_value = true)]
    payload: String,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", default_value = "", hide_default_value = true)]
    kind: String,
    /// Publish the payload this many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
    /// The maximum number of events per second
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.001..=1e9).contains(rate));
    rate.ok_or_else(|| "must be a number of events per second, such as 0.5 or 1000".into())
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let input = Input::open(&args.payload)?;
    anyhow::ensure!(
        matches!(input, Input::One(_)) || args.count == 1,
        Usage::new("--count repeats one payload and cannot be used with a stream of lines")
    );
    let (client, _) = bus_client::connect(&context.config).await?;
    let bar = progress::bar(args.total(), "events");
    let (args, started) = (&args, Instant::now());
    let mut publisher = Publisher { client, args, started, published: 0, refused: 0, bar };
    let ended = context.shutdown.run_until_cancelled(publisher.publish_all(input)).await;
    publisher.finish(ended).await
}

struct Publisher<'a> {
    client: Client,
    args: &'a Args,
    started: Instant,
    published: u64,
    /// The number of lines that could not be published.
    refused: u64,
    bar: ProgressBar,
}

impl Publisher<'_> {
    async fn publish_all(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::One(json) => {
                for _ in 0..self.args.count {
                    self.publish(&json).await?.context("the event was not published")?;
                }
            }
            Input::Lines(source) => self.publish_lines(source).await?,
        }
        self.flush().await
    }

    /// Publishes the lines. An invalid line does not stop the lines after it.
    ///
    /// # Errors
    /// Returns an error at the end if lines were rejected, and at once if the source or the bus fails.
    async fn publish_lines(&mut self, source: Box<dyn std::io::Read + Send>) -> anyhow::Result<()> {
        let (chunks, mut received) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || input::read_lines(source, &chunks));
        while let Some(chunk) = received.recv().await {
            for Line { number, json } in chunk {
                let published = match json {
                    Ok(json) => self.publish(&json).await?.map_err(anyhow::Error::from),
                    Err(error) => Err(error),
                };
                let Err(error) = published else { continue };
                self.refused += 1;
                if self.refused <= MAX_REPORTED_LINES {
                    output::note(&format!("line {number} was not published: {}", format_error(&error)));
                }
            }
            self.flush().await?;
        }
        reading.await.context("the reader of payloads panicked")??;
        let refused = output::pluralize(self.refused, "line was", "lines were");
        anyhow::ensure!(self.refused == 0, "{refused} not published");
        Ok(())
    }

    /// Publishes one event when it is due. The inner error concerns only this event.
    async fn publish(&mut self, json: &str) -> anyhow::Result<Result<(), ClientError>> {
        self.wait_until_due().await?;
        let sender = &mut self.client.sender;
        if let Err(error) = sender.enqueue_json(&self.args.topic, &self.args.kind, json) {
            return Ok(Err(error));
        }
        // Counted before the flush, which may be interrupted: the buffer is written in any case.
        self.published += 1;
        self.bar.set_position(self.published);
        if self.client.sender.buffered() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(Ok(()))
    }

    /// Waits until the next event is due. With a rate, event `n` is due `n / rate` seconds after the start.
    async fn wait_until_due(&mut self) -> anyhow::Result<()> {
        let Some(rate) = self.args.rate else { return Ok(()) };
        let due = self.started + Duration::from_secs_f64(self.published as f64 / rate);
        if due > Instant::now() {
            self.flush().await?;
            tokio::time::sleep_until(due).await;
        }
        Ok(())
    }

    /// Writes the buffer. Fails if the bus does not read for [`PUBLISH_CONFIRM_TIMEOUT`].
    async fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = tokio::time::timeout(PUBLISH_CONFIRM_TIMEOUT, self.client.sender.flush()).await;
        Ok(flushed.unwrap_or(Err(ClientError::Unconfirmed(PUBLISH_CONFIRM_TIMEOUT)))?)
    }

    /// Waits until the bus has read everything, and reports the result. `ended` is `None` after a signal.
    async fn finish(self, ended: Option<anyhow::Result<()>>) -> anyhow::Result<()> {
        let Self { client, args, published, bar, .. } = self;
        drop(bar);
        let (ended, confirmed) = match ended {
            Some(Err(error)) if is_lost(&error) => (None, Err(error)),
            ended => (ended, client.confirm(PUBLISH_CONFIRM_TIMEOUT).await.map_err(Into::into)),
        };
        let events = output::pluralize(published, "event", "events");
        let rest = args.total().and_then(|total| total.checked_sub(published)).filter(|rest| *rest > 0);
        if let Err(error) = confirmed {
            let rest = rest.map_or_else(String::new, |rest| format!("; {rest} more were not sent"));
            let topic = &args.topic;
            anyhow::bail!(
                "the bus did not confirm {events} on {topic}, but may have read some{rest}: {error:#}"
            );
        }
        output::note(&format!("published {events} on {}", args.topic));
        let Some(ended) = ended else {
            let rest = rest.map_or_else(|| "the rest of the input".into(), |rest| format!("{rest} more"));
            anyhow::bail!("interrupted; {rest} not published");
        };
        ended
    }
}

impl Args {
    /// Returns the number of events to publish, if it is known.
    fn total(&self) -> Option<u64> {
        let is_stream = self.payload == "-" || self.payload.starts_with('@');
        (!is_stream).then_some(self.count)
    }
}

/// Returns whether the connection to the bus is lost.
fn is_lost(error: &anyhow::Error) -> bool {
    use ClientError::{Closed, Io, Unconfirmed, Unread};
    matches!(error.downcast_ref(), Some(Closed | Io(_) | Unconfirmed(_) | Unread))
}
