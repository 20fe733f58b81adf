//! What a subscription may ask for beyond its row, as arguments.

use std::str::FromStr;

use decnet_core::settings::{ParseRateError, Rate, Settings};

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
    pub(super) fn change(&self, settings: &Settings) -> Option<Settings> {
        let rate = self.rate.map_or(settings.rate, |RateArg(rate)| rate);
        let ordered = (settings.ordered || self.ordered) && !self.unordered;
        let named = self.rate.is_some() || self.ordered || self.unordered;
        named.then_some(Settings { rate, ordered })
    }
}

/// In a word or two, for people.
pub(super) fn shown(settings: &Settings) -> String {
    let rate = settings.rate.map(|rate| format!("at most {rate}"));
    let ordered = settings.ordered.then(|| "ordered".to_owned());
    let all: Vec<String> = rate.into_iter().chain(ordered).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}
