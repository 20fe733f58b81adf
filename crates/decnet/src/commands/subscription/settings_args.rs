//! What a subscription may ask for beyond its row, as arguments.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use decnet_core::duration;
use decnet_core::event::BatchFormat;
use decnet_core::settings::{Batch, ParseRateError, Rate, Settings};

use crate::config::read_duration;
use crate::failure::Usage;

/// Settings to change; the others stay as they are.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// At most so many requests a time, such as 50/s or 1000/h; the rest waits. `none` for as many as it takes
    #[arg(long)]
    rate: Option<RateArg>,
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
}

/// With the names as a shell completes them.
fn formats() -> impl TypedValueParser<Value = BatchFormat> {
    let all = [BatchFormat::Array, BatchFormat::CloudEvents].map(BatchFormat::as_str);
    PossibleValuesParser::new(all).try_map(|text| text.parse::<BatchFormat>())
}

/// A rate, or none.
#[derive(Debug, Clone, Copy)]
struct RateArg(Option<Rate>);

impl FromStr for RateArg {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|rate| Self(Some(rate))) }
    }
}

impl SettingsArgs {
    /// The settings after the change; `None` if nothing is to be changed.
    ///
    /// # Errors
    /// A batch out of bounds, or half of one.
    pub(super) fn change(&self, settings: &Settings) -> Result<Option<Settings>, Usage> {
        let rate = self.rate.map_or(settings.rate, |RateArg(rate)| rate);
        let ordered = (settings.ordered || self.ordered) && !self.unordered;
        let batch = self.batch(settings.batch)?;
        let named = self.rate.is_some() || self.ordered || self.unordered || self.names_batch();
        Ok(named.then_some(Settings { rate, ordered, batch }))
    }

    fn names_batch(&self) -> bool {
        self.no_batch || self.batch.is_some() || self.linger.is_some() || self.batch_format.is_some()
    }

    /// The batch after the change: what is not named stays, or is as it is by default.
    fn batch(&self, current: Option<Batch>) -> Result<Option<Batch>, Usage> {
        if !self.names_batch() || self.no_batch {
            return Ok(current.filter(|_| !self.no_batch));
        }
        let max_events = self.batch.or(current.map(Batch::max_events)).ok_or_else(|| {
            Usage::new(
                "--linger and --batch-format are for batches: give --batch with the most events of one",
            )
        })?;
        let linger = self.linger.or(current.map(Batch::linger)).unwrap_or(Batch::DEFAULT_LINGER);
        let format = self.batch_format.or(current.map(Batch::format)).unwrap_or_default();
        Batch::new(max_events, linger, format).map(Some).map_err(|error| Usage::new(error.to_string()))
    }
}

/// In a word or two, for people.
pub(super) fn shown(settings: &Settings) -> String {
    let rate = settings.rate.map(|rate| format!("at most {rate}"));
    let ordered = settings.ordered.then(|| "ordered".to_owned());
    let batch = settings.batch.map(|batch| {
        let (events, linger) = (batch.max_events(), duration::show(batch.linger()));
        format!("batches of {events} within {linger} ({})", batch.format())
    });
    let all: Vec<String> = rate.into_iter().chain(ordered).chain(batch).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}
