//! Messages, to stderr: coloured for a terminal, plain for a file, JSON for a collector.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::time::FormatTime;

use crate::config::{Log, LogFormat};
use crate::failure::Usage;

/// What a command logs unless it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// It runs for long and nobody sits before it.
    Daemon,
    /// Its output is its answer.
    Command,
}

/// Starts logging; `verbose` counts `-v`.
///
/// # Errors
/// A filter that cannot be read.
pub(crate) fn start(log: &Log, verbosity: Verbosity, verbose: u8, color: bool) -> Result<(), Usage> {
    let filter = filter(log, verbosity, verbose);
    let filter = EnvFilter::builder().parse(&filter).map_err(|error| {
        Usage::new(format!("DECNET_LOG is a level such as debug, not `{filter}`: {error}"))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(color);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
        LogFormat::Human if stderr().is_terminal() => builder.event_format(short()).try_init(),
        LogFormat::Human => builder.with_target(false).try_init(),
    };
    started.map_err(|error| Usage::new(format!("logging could not be started: {error}")))
}

fn filter(log: &Log, verbosity: Verbosity, verbose: u8) -> String {
    match (verbose, &log.filter, verbosity) {
        (0, Some(filter), _) => filter.clone(),
        (0, None, Verbosity::Daemon) => "info".into(),
        (0, None, Verbosity::Command) => "warn".into(),
        (1, ..) => {
            "info,decnet=debug,decnet_bus=debug,decnet_store=debug,decnet_dispatch=debug,decnet_api=debug"
                .into()
        }
        (2.., ..) => "trace".into(),
    }
}

fn short() -> Format<tracing_subscriber::fmt::format::Full, TimeOfDay> {
    tracing_subscriber::fmt::format().with_target(false).with_timer(TimeOfDay)
}

/// `14:25:00.424`, UTC: a terminal knows the day.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let now = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).time();
        let millis = now.subsec_nanosecond() / 1_000_000;
        write!(writer, "{:02}:{:02}:{:02}.{millis:03}", now.hour(), now.minute(), now.second())
    }
}
