//! What a subscription may ask for beyond its row, as arguments.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::RetrySchedule;
use decnet_core::duration::{self, DurationText};
use decnet_core::event::BatchFormat;
use decnet_core::settings::{
    BatchPatch, Change, Concurrency, ConcurrencyError, ParseRateError, Rate, Settings, SettingsPatch, Timeout,
};

use super::header_args::HeaderArgs;
use crate::config::read_duration;

/// Settings to change; the others stay as they are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How it is delivered to")]
pub(super) struct SettingsArgs {
    /// At most so many requests a time, such as 50/s or 1000/h; the rest waits. `none` for as many as it takes
    #[arg(long, value_parser = rate)]
    rate: Option<Own<Rate>>,
    /// One at a time, in order: a failure holds the line until it is delivered or dead
    #[arg(long, overrides_with = "unordered")]
    ordered: bool,
    /// Several at once, as they come
    #[arg(long, overrides_with = "ordered")]
    unordered: bool,
    /// Up to so many events in one request; its body is a JSON array of what each would have had alone
    #[arg(long, value_name = "EVENTS")]
    batch: Option<usize>,
    /// How long an event waits for others to be sent with, such as 500ms or 5s; 1s unless given
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    linger: Option<Duration>,
    /// What a batch looks like: `array`, or `cloudevents` for a JSON batch of CloudEvents 1.0
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    batch_format: Option<BatchFormat>,
    /// Each event in a request of its own
    #[arg(long, conflicts_with_all = ["batch", "linger", "batch_format"])]
    no_batch: bool,
    /// When a failed attempt is tried again, such as 1s,2s,4s,30s; `none` for never, `default` for the worker's own
    #[arg(long, value_name = "DELAYS", value_parser = own::<RetrySchedule>)]
    retry_schedule: Option<Own<RetrySchedule>>,
    /// How long an attempt may take, 100ms to 5m; `default` for the worker's own
    #[arg(long, value_name = "DURATION", value_parser = own::<Timeout>)]
    timeout: Option<Own<Timeout>>,
    /// Most requests in flight, 1 to 256; `default` for the worker's own
    #[arg(long, value_name = "REQUESTS", value_parser = concurrency)]
    concurrency: Option<Own<Concurrency>>,
    /// Send a `traceparent` header (W3C Trace Context) made of event and attempt
    #[arg(long, overrides_with = "no_trace")]
    trace: bool,
    /// Send none
    #[arg(long, overrides_with = "trace")]
    no_trace: bool,
    #[command(flatten)]
    headers: HeaderArgs,
}

/// With the names as a shell completes them.
fn formats() -> impl TypedValueParser<Value = BatchFormat> {
    let all = [BatchFormat::Array, BatchFormat::CloudEvents].map(BatchFormat::as_str);
    PossibleValuesParser::new(all).try_map(|text| text.parse::<BatchFormat>())
}

/// A value of its own, or what is for all.
#[derive(Debug, Clone, Copy)]
struct Own<T>(Option<T>);

/// Reads `default`, or a value.
fn own<T: FromStr>(text: &str) -> Result<Own<T>, T::Err> {
    if text == "default" { Ok(Own(None)) } else { text.parse().map(|value| Own(Some(value))) }
}

/// `none` is the default here.
fn rate(text: &str) -> Result<Own<Rate>, ParseRateError> {
    if text == "none" { Ok(Own(None)) } else { own(text) }
}

fn concurrency(text: &str) -> Result<Own<Concurrency>, ConcurrencyError> {
    match text {
        "default" => Ok(Own(None)),
        text => Concurrency::new(text.parse().map_err(|_| ConcurrencyError)?).map(|value| Own(Some(value))),
    }
}

impl SettingsArgs {
    /// What they change.
    ///
    /// # Errors
    /// A header that is refused, or a file of them that cannot be read.
    pub(super) fn read(&self) -> anyhow::Result<SettingsPatch> {
        let switch = |on: bool, off: bool| if on || off { Change::To(on) } else { Change::Keep };
        Ok(SettingsPatch {
            rate: to(self.rate),
            ordered: switch(self.ordered, self.unordered),
            batch: self.batch(),
            retry_schedule: to(self.retry_schedule.clone()),
            timeout: to(self.timeout),
            concurrency: to(self.concurrency),
            trace: switch(self.trace, self.no_trace),
            headers: self.headers.read()?,
        })
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

fn to<T>(argument: Option<Own<T>>) -> Change<T> {
    argument.map_or(Change::Keep, |Own(value)| Change::to(value))
}

/// In a word or two, for people.
pub(super) fn shown(settings: &Settings) -> String {
    let rate = settings.rate.map(|rate| format!("at most {rate}"));
    let ordered = settings.ordered.then(|| "ordered".to_owned());
    let batch = settings.batch.map(|batch| {
        let (events, linger) = (batch.max_events(), duration::show(batch.linger()));
        format!("batches of {events} within {linger} ({})", batch.format())
    });
    let retries = settings.retry_schedule.as_ref().map(|schedule| match schedule.retries() {
        0 => "no retries".to_owned(),
        _ => format!("retries after {schedule}"),
    });
    let timeout = settings.timeout.map(|timeout| format!("timeout {timeout}"));
    let concurrency = settings.concurrency.map(|most| format!("at most {} at once", most.get()));
    let trace = settings.trace.then(|| "traced".to_owned());
    let all = rate.into_iter().chain(ordered).chain(batch).chain(retries).chain(timeout);
    let all: Vec<String> = all.chain(concurrency).chain(trace).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}
