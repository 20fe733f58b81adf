//! Logging to stderr: coloured for a terminal, plain for a file, JSON for a log collector.

use std::io::{self, IsTerminal as _, Write, stderr};

use decnet_core::text::{escape, escape_json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Writer};
use tracing_subscriber::fmt::time::FormatTime;

use crate::config::{Log, LogFormat};
use crate::failure::Usage;

/// The default log level of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// A daemon without a user at the terminal: `info`.
    Daemon,
    /// A command whose output is its result: `warn`.
    Command,
}

/// Starts logging; `verbose` is the number of `-v` flags.
///
/// # Errors
/// The filter is invalid.
pub(crate) fn start(log: &Log, verbosity: Verbosity, verbose: u8, color: bool) -> Result<(), Usage> {
    let filter = filter(log, verbosity, verbose);
    let filter = EnvFilter::builder().parse(&filter).map_err(|error| {
        Usage::new(format!("invalid DECNET_LOG `{filter}`: {error}; use a level such as debug"))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(color);
    let builder = builder.fmt_fields(Escaped::default());
    let is_terminal = stderr().is_terminal();
    let started = match log.format {
        LogFormat::Json if is_terminal => {
            builder.json().flatten_event(true).with_ansi(false).with_writer(|| JsonTerminal).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
        LogFormat::Human if is_terminal => builder.event_format(short()).try_init(),
        LogFormat::Human => builder.with_target(false).try_init(),
    };
    started.map_err(|error| Usage::new(format!("cannot start logging: {error}")))
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

/// Writes message and fields of an event on one line, with hidden characters escaped, so that no call site has to escape
/// names or errors from elsewhere.
#[derive(Default)]
struct Escaped(DefaultFields);

impl<'writer> FormatFields<'writer> for Escaped {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        let mut line = String::new();
        self.0.format_fields(Writer::new(&mut line), fields)?;
        writer.write_str(&escape(&line))
    }
}

/// Standard error on a terminal with JSON messages: each message is written in one call.
struct JsonTerminal;

impl Write for JsonTerminal {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        stderr().write_all(escape_json(&String::from_utf8_lossy(message)).as_bytes())?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// The time of day in UTC, as `14:25:00.424`; a terminal does not need the date.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let now = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).time();
        let millis = now.subsec_nanosecond() / 1_000_000;
        write!(writer, "{:02}:{:02}:{:02}.{millis:03}", now.hour(), now.minute(), now.second())
    }
}
