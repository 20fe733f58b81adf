//! Splunk HTTP Event Collector (HEC).
//!
//! Sources: [format of events](https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/format-events-for-http-event-collector),
//! [status codes](https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/troubleshoot-http-event-collector),
//! and for HEC 10.4 what it answers: `time` must not have an exponent, and the values of `fields` are texts or arrays of texts
//! (code 15 otherwise).

mod acknowledgement;
mod judge;
#[cfg(test)]
mod tests;

use std::fmt;

use decnet_core::time::UnixMicros;

use self::acknowledgement::ACKNOWLEDGEMENT;
use super::siem::{check_name, check_switch, field, techniques, time};
use crate::escape;
use crate::finding::Finding;
use crate::json::Object;
use crate::request::RequestSpec;
use crate::spec::{Grouping, OptionSpec, Options, RenderError, Rendering, Spec};

/// The option that turns indexer acknowledgement on.
const ACK: &str = "ack";

pub(crate) const SPLUNK_HEC: Spec = Spec {
    name: "splunk-hec",
    title: "Splunk HTTP Event Collector",
    content_type: "application/json",
    // `max_content_length` is 800 MiB in limits.conf. Splunk Cloud allows 1 MB and answers 413 to more, which splits the batch.
    max_bytes: 750_000_000,
    grouping: Grouping::Bulk,
    has_credentials: true,
    accepts_gzip: true,
    hosts: &[".splunkcloud.com"],
    request: RequestSpec {
        path: "/services/collector/event",
        acknowledgement: Some(ACKNOWLEDGEMENT),
        ..RequestSpec::PLAIN
    },
    options: &[
        OptionSpec {
            name: "index",
            help: "index of the events; without it, the default of the token",
            default: None,
            check: check_index,
        },
        OptionSpec {
            name: "sourcetype",
            help: "source type of the events",
            default: Some("decnet:event"),
            check: check_name,
        },
        OptionSpec {
            name: "source",
            help: "source of the events",
            default: Some("decnet"),
            check: check_name,
        },
        OptionSpec {
            name: "host",
            help: "host of the events; without it, the decoy that was attacked",
            default: None,
            check: check_name,
        },
        OptionSpec {
            name: ACK,
            help: "true: events count as delivered once Splunk has indexed them (indexer acknowledgement)",
            default: Some("false"),
            check: check_switch,
        },
    ],
    escape: escape::json::write,
    write,
    judge: judge::judge,
};

/// Writes the events one after the other, as HEC expects several events.
fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let options = rendering.format.options();
    for finding in rendering.findings {
        write_event(finding, options, out);
    }
    Ok(())
}

fn write_event(finding: &Finding<'_>, options: &Options, out: &mut Vec<u8>) {
    let mut event = Object::begin(out);
    event.number("time", Seconds(time(finding)));
    let host = options.get("host").or(finding.target).map(field);
    event.optional("host", host.as_deref().filter(|host| !host.is_empty()));
    for name in ["source", "sourcetype", "index"] {
        event.optional(name, options.get(name));
    }
    event.object("fields", |fields| write_fields(finding, fields));
    event.json("event", &finding.event.body);
    event.end();
}

/// Writes the fields that Splunk indexes, with the names of its Common Information Model (Intrusion Detection) where it has one.
fn write_fields(finding: &Finding<'_>, fields: &mut Object<'_>) {
    fields.text("event_id", &finding.event.id);
    fields.text("topic", &field(&finding.event.topic));
    fields.text("severity", finding.severity.as_str());
    fields.text("signature", &field(&finding.title));
    for (name, value) in [("src", finding.source_ip), ("dest", finding.target), ("user", finding.user)] {
        fields.optional(name, value.filter(|value| !value.is_empty()).map(field).as_deref());
    }
    fields.texts("mitre_technique_id", techniques(finding));
}

/// A time in seconds since 1970 with milliseconds, without an exponent.
struct Seconds(UnixMicros);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0.div_euclid(1000);
        let sign = if millis < 0 { "-" } else { "" };
        let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
        write!(f, "{sign}{seconds}.{rest:03}")
    }
}

/// Checks the name of an index.
fn check_index(value: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let starts_well = value.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && value.len() <= 80 && value.bytes().all(is_allowed) {
        return Ok(());
    }
    Err("write the name of an index: up to 80 lower-case letters, digits, _ and -, with a letter or digit first".to_owned())
}
