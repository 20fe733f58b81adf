//! Logging to stderr: coloured for a terminal, plain for a file, JSON for a log collector.

use std::io::{self, IsTerminal as _, Write, stderr};

use decnet_core::text::{escape, escape_json};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FormatFields, format};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use crate::failure::Usage;

/// Starts logging. `default` is the command's default level, and `verbose` the number of `-v` flags.
///
/// # Errors
/// The filter is invalid.
pub(crate) fn start(log: &Log, default: &str, verbose: u8, color: bool) -> Result<(), Usage> {
    let filter = filter(log, default, verbose);
    let targets: Targets = filter.parse().map_err(|error: ParseError| {
        Usage::new(format!("invalid DECNET_LOG `{filter}`: {error}; use a level such as debug"))
    })?;
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(color);
    let layer = layer.fmt_fields(Escaped::default());
    let is_terminal = stderr().is_terminal();
    let layer = match log.format {
        LogFormat::Json if is_terminal => {
            layer.json().flatten_event(true).with_ansi(false).with_writer(|| JsonTerminal).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
        LogFormat::Human if is_terminal => {
            layer.event_format(format().with_target(false).with_timer(TimeOfDay)).boxed()
        }
        LogFormat::Human => layer.with_target(false).boxed(),
    };
    let started = tracing_subscriber::registry().with(targets).with(layer).try_init();
    started.map_err(|error| Usage::new(format!("cannot start logging: {error}")))
}

fn filter(log: &Log, default: &str, verbose: u8) -> String {
    match (verbose, &log.filter) {
        // Without empty parts, which `Targets` would read as a prefix of all targets.
        (0, Some(filter)) => {
            filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
        }
        (0, None) => default.into(),
        (1, ..) => {
            "info,decnet=debug,decnet_bus=debug,decnet_store=debug,decnet_dispatch=debug,decnet_api=debug"
                .into()
        }
        (2.., ..) => "trace".into(),
    }
}

/// Writes message and fields of an event on one line, with hidden characters escaped, so that no call site has to escape
/// untrusted names or errors.
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
        write!(writer, "{}", jiff::Timestamp::now().strftime("%H:%M:%S%.3f"))
    }
}
