//! The document of an event: fields of the Elastic Common Schema
//! (ECS, <https://www.elastic.co/docs/reference/ecs/ecs-field-reference>), and the original event.
//!
//! Attackers write the values, and Elasticsearch refuses a document that does not fit its mappings. A field with a type therefore
//! gets only values of that type, and the original event is written as a text where `flattened` would refuse it.

use std::net::IpAddr;
use std::str::FromStr;

use decnet_core::severity::Severity;

use super::super::siem::{field, techniques, time};
use crate::finding::Finding;
use crate::json::{Object, depth};
use crate::link;

const ECS_VERSION: &str = "8.17.0";
/// The maximum depth of an object with the type `flattened`, which is 20 by default (`depth_limit`), less the object itself and a
/// reserve.
const MAX_FLATTENED_DEPTH: usize = 18;

/// The form of the original event in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Original {
    /// The object `decnet`, whose mapping has the type `flattened`.
    #[default]
    Flattened,
    /// The text `event.original`, which Elastic's mappings do not index.
    Text,
    /// Nothing.
    None,
}

impl FromStr for Original {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "flattened" => Ok(Self::Flattened),
            "text" => Ok(Self::Text),
            "none" => Ok(Self::None),
            _ => Err("use one of: flattened, text, none".to_owned()),
        }
    }
}

/// Writes the document of an event on one line.
pub(super) fn write(finding: &Finding<'_>, original: Original, link_base: Option<&str>, out: &mut Vec<u8>) {
    let body = &finding.event.body;
    let fits = original == Original::Flattened && fits_flattened(body);
    let mut document = Object::begin(out);
    document.text("@timestamp", &time(finding).to_iso8601());
    document.object("ecs", |ecs| ecs.text("version", ECS_VERSION));
    document.text("message", &field(&finding.title));
    document.object("event", |event| {
        write_event(finding, link_base, event);
        if original != Original::None && !fits {
            event.text("original", &String::from_utf8_lossy(body));
        }
    });
    document.object("log", |log| log.text("level", finding.severity.as_str()));
    document.object("observer", |observer| {
        observer.text("vendor", "decnet");
        observer.text("product", "decnet");
        observer.text("type", "honeypot");
    });
    write_source(finding, &mut document);
    write_target(finding, &mut document);
    write_request(finding, &mut document);
    write_related(finding, &mut document);
    if fits {
        document.json("decnet", body);
    }
    document.end();
}

fn write_event(finding: &Finding<'_>, link_base: Option<&str>, event: &mut Object<'_>) {
    event.text("id", &finding.event.id);
    event.text("kind", if finding.severity == Severity::Info { "event" } else { "alert" });
    event.texts("category", ["intrusion_detection"]);
    event.texts("type", ["info"]);
    event.text("action", &field(if finding.kind.is_empty() { &finding.event.topic } else { finding.kind }));
    event.number("severity", severity_number(finding.severity));
    event.text("module", "decnet");
    event.text("dataset", "decnet.event");
    event.text("provider", &field(&finding.event.topic));
    event.optional("url", link_base.map(|base| link::to_event(base, &finding.event.id)).as_deref());
}

/// Returns the severity on the scale of Elastic's detection rules
/// (<https://www.elastic.co/docs/solutions/security/detect-and-alert/create-detection-rule>).
fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}

/// `source.ip` is an address, so that any other text goes to `source.address` only.
fn write_source(finding: &Finding<'_>, document: &mut Object<'_>) {
    document.object("source", |source| {
        source.optional("address", finding.source_ip.map(field).as_deref());
        source.optional("ip", source_ip(finding).as_deref());
        if let Some(port) = finding.source_port {
            source.number("port", port);
        }
    });
}

fn source_ip(finding: &Finding<'_>) -> Option<String> {
    finding.source_ip?.parse::<IpAddr>().ok().map(|ip| ip.to_string())
}

fn write_target(finding: &Finding<'_>, document: &mut Object<'_>) {
    let target = finding.target.map(field);
    let service = finding.service.as_deref();
    let port = service.and_then(|service| service.parse::<u16>().ok());
    document.object("host", |host| host.optional("name", target.as_deref()));
    document.object("destination", |destination| {
        destination.optional("address", target.as_deref());
        if let Some(port) = port {
            destination.number("port", port);
        }
    });
    let protocol = service.filter(|_| port.is_none()).map(field);
    document.object("network", |network| {
        network.optional("protocol", protocol.map(|name| name.to_lowercase()).as_deref());
    });
}

fn write_request(finding: &Finding<'_>, document: &mut Object<'_>) {
    document.object("user", |user| user.optional("name", finding.user.map(field).as_deref()));
    document
        .object("user_agent", |agent| agent.optional("original", finding.user_agent.map(field).as_deref()));
    document.object("url", |url| {
        let name = if finding.path.is_some_and(|path| path.starts_with('/')) { "path" } else { "original" };
        url.optional(name, finding.path.map(field).as_deref());
    });
    document.object("dns", |dns| {
        dns.object("question", |question| question.optional("name", finding.dns_name.map(field).as_deref()));
    });
}

fn write_related(finding: &Finding<'_>, document: &mut Object<'_>) {
    document.object("threat", |threat| {
        threat.object("technique", |technique| technique.texts("id", techniques(finding)));
    });
    document.object("related", |related| {
        related.texts("ip", source_ip(finding).as_deref());
        related.texts("user", finding.user.map(field).as_deref());
        related.texts("hosts", finding.target.map(field).as_deref());
    });
}

/// Returns whether the type `flattened` accepts the body: it is not too deep, and no key can contain U+0000, which separates keys
/// from values in the index (<https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/flattened>).
fn fits_flattened(body: &[u8]) -> bool {
    memchr::memmem::find(body, NUL).is_none() && depth(body) <= MAX_FLATTENED_DEPTH
}

/// U+0000 as it is written in JSON.
const NUL: &[u8] = b"\\u0000";
