//! Grafana Loki: the push API (<https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>).
//!
//! Limits: <https://grafana.com/docs/loki/latest/configure/#limits_config>.

mod judge;
mod labels;
mod line;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::siem::{check_switch, field, time};
use crate::escape;
use crate::finding::Finding;
use crate::json::{Object, write_text};
use crate::request::{FixedHeader, RequestSpec};
use crate::spec::{Grouping, OptionSpec, Options, RenderError, Rendering, Spec};

const LABELS: &str = "labels";
const METADATA: &str = "metadata";
const TENANT: &str = "tenant";
/// The maximum length of the id of a tenant
/// (<https://grafana.com/docs/mimir/latest/configure/about-tenant-ids/>, which applies to Loki too).
const MAX_TENANT_BYTES: usize = 150;

pub(crate) const LOKI: Spec = Spec {
    name: "loki",
    title: "Grafana Loki",
    content_type: "application/json",
    // The distributor accepts 100 MiB.
    max_bytes: 94_000_000,
    grouping: Grouping::Bulk,
    has_credentials: true,
    accepts_gzip: true,
    hosts: &[".grafana.net"],
    request: RequestSpec { path: "/loki/api/v1/push", headers, ..RequestSpec::PLAIN },
    options: &[
        OptionSpec {
            name: LABELS,
            help: "further labels: site=lab,env=prod; every stream has job, family and severity",
            default: None,
            check: |labels| labels::parse(labels).map(|_| ()),
        },
        OptionSpec {
            name: METADATA,
            help: "whether id, topic, source, target and user are structured metadata (Loki 3)",
            default: Some("true"),
            check: check_switch,
        },
        OptionSpec {
            name: TENANT,
            help: "tenant, sent as X-Scope-OrgID",
            default: None,
            check: check_tenant,
        },
    ],
    escape: escape::json::write,
    write,
    judge: judge::judge,
};

/// Writes one stream per set of labels, in alphabetical order. The events of a stream keep their order.
fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let options = rendering.format.options();
    let mut streams: BTreeMap<(&str, &str), Vec<&Finding<'_>>> = BTreeMap::new();
    for finding in rendering.findings {
        let stream = (labels::family(&finding.event.topic), finding.severity.as_str());
        streams.entry(stream).or_default().push(finding);
    }
    let fixed = labels::fixed(options.get(LABELS));
    out.extend_from_slice(br#"{"streams":["#);
    for (index, ((family, severity), findings)) in streams.into_iter().enumerate() {
        out.extend((index > 0).then_some(b','));
        let mut stream = Object::begin(out);
        stream.object("stream", |labels| {
            fixed.iter().for_each(|(name, value)| labels.text(name, value));
            labels.text(labels::FAMILY, family);
            labels.text(labels::SEVERITY, severity);
        });
        stream.json("values", &values(&findings, options));
        stream.end();
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// Returns the entries of a stream: an array of time, line and metadata for each.
fn values(findings: &[&Finding<'_>], options: &Options) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, finding) in findings.iter().enumerate() {
        out.extend((index > 0).then_some(b','));
        let nanoseconds = i128::from(time(finding).0) * 1000;
        out.extend_from_slice(format!("[\"{nanoseconds}\",").as_bytes());
        write_text(&line::of(finding), &mut out);
        if options.is_on(METADATA) {
            out.push(b',');
            write_metadata(finding, &mut out);
        }
        out.push(b']');
    }
    out.push(b']');
    out
}

fn write_metadata(finding: &Finding<'_>, out: &mut Vec<u8>) {
    let mut metadata = Object::begin(out);
    metadata.text("event_id", &finding.event.id);
    metadata.text("topic", &field(&finding.event.topic));
    for (name, value) in
        [("source_ip", finding.source_ip), ("target", finding.target), ("user", finding.user)]
    {
        metadata.optional(name, value.map(field).as_deref());
    }
    metadata.end();
}

fn headers(options: &Options) -> Vec<FixedHeader> {
    options.get(TENANT).map(|tenant| ("x-scope-orgid", tenant.into())).into_iter().collect()
}

/// Checks the id of a tenant.
fn check_tenant(value: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    let is_path = matches!(value, "." | "..");
    if !value.is_empty() && value.len() <= MAX_TENANT_BYTES && !is_path && value.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(format!("write 1 to {MAX_TENANT_BYTES} letters, digits and ! - _ . * ' ( )"))
}
