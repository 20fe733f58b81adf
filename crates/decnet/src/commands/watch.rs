//! `decnet watch`: the events of the bus, as they come.

use std::io::Write as _;

use decnet_bus::{Received, Source, Step};
use decnet_core::topic::Pattern;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::link;
use crate::context::Context;
use crate::output;

/// Prints the events of the bus as JSON lines, until Ctrl-C.
///
/// Each line is {"id", "topic", "type", "ts", "payload"}. A bus that goes away is waited for; what is
/// published meanwhile is not seen. On a terminal, characters that it would obey or hide are written as \u escapes.
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

/// What a line shows of an event, verbatim where it can be.
#[derive(Serialize)]
struct Line<'a> {
    id: Option<&'a RawValue>,
    topic: &'a str,
    r#type: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    payload: Option<Compact<'a>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (client, socket) = link::connect(&context.config).await?;
    client.close().await?;
    let mut source = Source::new(socket, "decnet-watch");
    source.set_patterns(args.patterns);
    let (mut events, mut left, mut was_connected) = (Vec::new(), args.count.unwrap_or(u64::MAX), false);
    while left > 0 {
        let step = tokio::select! {
            step = source.next(&mut events) => step,
            () = context.shutdown.cancelled() => break,
        };
        match step {
            Step::Notice => {}
            Step::Messages => left -= print(&mut events, left)?,
            Step::Connected if was_connected => output::say("the bus is back"),
            Step::Connected => output::say("watching, Ctrl-C to stop"),
            Step::Disconnected => output::say("the bus is away; waiting for it"),
        }
        was_connected |= step == Step::Connected;
    }
    source.close().await;
    Ok(())
}

/// Prints at most `left` of the events in one write; how many.
fn print(events: &mut Vec<Received>, left: u64) -> anyhow::Result<u64> {
    let (mut lines, mut printed) = (Vec::new(), 0);
    for event in events.drain(..) {
        if printed == left {
            break;
        }
        match line(&event, &mut lines) {
            Ok(()) => printed += 1,
            Err(error) => output::say(&format!("an event on {} cannot be read: {error}", event.topic)),
        }
    }
    output::json_lines(&lines)?;
    Ok(printed)
}

fn line(event: &Received, lines: &mut Vec<u8>) -> anyhow::Result<()> {
    let Envelope { id, r#type, ts, payload } = serde_json::from_slice(&event.body)?;
    let payload = payload.map(Compact::new).transpose()?;
    serde_json::to_writer(&mut *lines, &Line { id, topic: &event.topic, r#type, ts, payload })?;
    Ok(lines.write_all(b"\n")?)
}

/// A payload on one line: as it came, unless it came on several.
#[derive(Serialize)]
#[serde(untagged)]
enum Compact<'a> {
    Raw(&'a RawValue),
    Rewritten(serde_json::Value),
}

impl<'a> Compact<'a> {
    fn new(payload: &'a RawValue) -> serde_json::Result<Self> {
        let has_lines = payload.get().bytes().any(|byte| matches!(byte, b'\n' | b'\r'));
        if has_lines {
            serde_json::from_str(payload.get()).map(Self::Rewritten)
        } else {
            Ok(Self::Raw(payload))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> String {
        let mut lines = Vec::new();
        let event =
            Received { topic: decnet_bus::Topic::new("a.b".into()).unwrap(), body: body.to_owned().into() };
        line(&event, &mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_line_is_one_line_with_the_headers_topic() {
        assert_eq!(
            shown(
                "{\"v\":1,\"id\":\"e\",\"topic\":\"spoofed\",\"type\":\"t\",\"ts\":1.50,\"payload\":{\"a\":\n1.0}}"
            ),
            "{\"id\":\"e\",\"topic\":\"a.b\",\"type\":\"t\",\"ts\":1.50,\"payload\":{\"a\":1.0}}\n"
        );
        assert_eq!(
            shown("{}"),
            "{\"id\":null,\"topic\":\"a.b\",\"type\":null,\"ts\":null,\"payload\":null}\n"
        );
    }
}
