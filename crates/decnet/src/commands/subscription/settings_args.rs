//! The optional settings of a subscription, as arguments.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::RetrySchedule;
use decnet_core::duration::{self, DurationText};
use decnet_core::event::BatchFormat;
use decnet_core::settings::{
    BatchPatch, Change, Concurrency, ConcurrencyError, ParseRateError, Rate, Settings, SettingsPatch, Timeout,
};

use super::credential_args::CredentialArgs;
use super::destination_args::{self, DestinationArgs};
use super::header_args::HeaderArgs;
use super::show;
use crate::config::read_duration;

/// The settings to change. Others are kept.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Delivery settings")]
pub(super) struct SettingsArgs {
    /// The maximum rate of requests, such as 50/s or 1000/h; `none` for no limit
    #[arg(long, value_parser = rate)]
    rate: Option<Change<Rate>>,
    /// Deliver one event at a time, in order: a failed delivery blocks later deliveries until it is delivered or dead
    #[arg(long, overrides_with = "unordered")]
    ordered: bool,
    /// Deliver events concurrently, in any order
    #[arg(long, overrides_with = "ordered")]
    unordered: bool,
    /// Send up to this many events in one request; the body is a JSON array of the events' bodies
    #[arg(long, value_name = "EVENTS")]
    batch: Option<usize>,
    /// The time for which an event waits for its batch to fill, such as 500ms or 5s [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    linger: Option<Duration>,
    /// The format of a batch: `array`, or `cloudevents` for a JSON batch of CloudEvents 1.0
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    batch_format: Option<BatchFormat>,
    /// Send each event in a request of its own
    #[arg(long, conflicts_with_all = ["batch", "linger", "batch_format"])]
    no_batch: bool,
    /// The delays before retries, such as 1s,2s,4s,30s; `none` for no retries, `default` for the worker's setting
    #[arg(long, value_name = "DELAYS", value_parser = value_or_default::<RetrySchedule>)]
    retry_schedule: Option<Change<RetrySchedule>>,
    /// The timeout of an attempt, from 100ms to 5m; `default` for the worker's setting
    #[arg(long, value_name = "DURATION", value_parser = value_or_default::<Timeout>)]
    timeout: Option<Change<Timeout>>,
    /// The maximum number of requests in flight, from 1 to 256; `default` for the worker's setting
    #[arg(long, value_name = "REQUESTS", value_parser = concurrency)]
    concurrency: Option<Change<Concurrency>>,
    /// Send a `traceparent` header (W3C Trace Context) derived from event and attempt
    #[arg(long, overrides_with = "no_trace")]
    trace: bool,
    /// Do not send a `traceparent` header
    #[arg(long, overrides_with = "trace")]
    no_trace: bool,
    #[command(flatten)]
    headers: HeaderArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    destination: DestinationArgs,
}

/// Returns a parser whose values a shell can complete.
fn formats() -> impl TypedValueParser<Value = BatchFormat> {
    let all = [BatchFormat::Array, BatchFormat::CloudEvents].map(BatchFormat::as_str);
    PossibleValuesParser::new(all).try_map(|text| text.parse::<BatchFormat>())
}

/// Parses `default` or a value.
fn value_or_default<T: FromStr>(text: &str) -> Result<Change<T>, T::Err> {
    if text == "default" { Ok(Change::Reset) } else { text.parse().map(Change::To) }
}

/// Parses a rate. `none` means the default, which is unlimited.
fn rate(text: &str) -> Result<Change<Rate>, ParseRateError> {
    if text == "none" { Ok(Change::Reset) } else { value_or_default(text) }
}

fn concurrency(text: &str) -> Result<Change<Concurrency>, ConcurrencyError> {
    match text {
        "default" => Ok(Change::Reset),
        text => Concurrency::new(text.parse().map_err(|_| ConcurrencyError)?).map(Change::To),
    }
}

impl SettingsArgs {
    /// Returns the changes that the arguments describe.
    ///
    /// # Errors
    /// A header or another value is invalid, or a file cannot be read.
    pub(super) fn read(self) -> anyhow::Result<SettingsPatch> {
        let switch = |on: bool, off: bool| if on || off { Change::To(on) } else { Change::Keep };
        let mut patch = SettingsPatch {
            batch: self.batch(),
            rate: self.rate.unwrap_or_default(),
            ordered: switch(self.ordered, self.unordered),
            retry_schedule: self.retry_schedule.unwrap_or_default(),
            timeout: self.timeout.unwrap_or_default(),
            concurrency: self.concurrency.unwrap_or_default(),
            trace: switch(self.trace, self.no_trace),
            headers: self.headers.read()?,
            ..SettingsPatch::default()
        };
        self.credentials.apply(&mut patch)?;
        self.destination.apply(&mut patch)?;
        Ok(patch)
    }

    fn batch(&self) -> Change<BatchPatch> {
        let (linger, format) = (self.linger.map(DurationText), self.batch_format);
        match (self.no_batch, self.batch.is_some() || linger.is_some() || format.is_some()) {
            (true, _) => Change::Reset,
            (false, false) => Change::Keep,
            (false, true) => Change::To(BatchPatch {
                max_events: self.batch,
                linger: linger.map_or(Change::Keep, Change::To),
                format: format.map_or(Change::Keep, Change::To),
            }),
        }
    }
}

/// Summarizes settings on one line.
pub(super) fn summary(settings: &Settings) -> String {
    let rate = settings.rate.map(|rate| format!("at most {rate}"));
    let ordered = settings.ordered.then(|| "ordered".to_owned());
    let batch = settings.batch.map(|batch| {
        let (events, linger) = (batch.max_events(), duration::show(batch.linger()));
        format!("batches of {events} within {linger} ({})", batch.format().as_str())
    });
    let retries = settings.retry_schedule.as_ref().map(|schedule| match schedule.retries() {
        0 => "no retries".to_owned(),
        _ => format!("retries after {schedule}"),
    });
    let timeout = settings.timeout.map(|timeout| format!("timeout {timeout}"));
    let concurrency = settings.concurrency.map(|most| format!("at most {} at once", most.get()));
    let trace = settings.trace.then(|| "traced".to_owned());
    show::list(
        [rate, ordered, batch, retries, timeout, concurrency, trace]
            .into_iter()
            .flatten()
            .chain(destination_args::summary(settings)),
    )
}
