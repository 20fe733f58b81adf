//! Elasticsearch and OpenSearch: the bulk API
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>,
//! <https://docs.opensearch.org/latest/api-reference/document-apis/bulk/>).
//!
//! Each event is created under its own id, so that an event that is sent twice is stored once. A data stream accepts only `create`.

mod document;
mod judge;
#[cfg(test)]
mod tests;

use self::document::Original;
use crate::escape;
use crate::json::Object;
use crate::request::RequestSpec;
use crate::spec::{Grouping, OptionSpec, RenderError, Rendering, Spec};

/// The option with the name of the data stream or index.
const INDEX: &str = "index";
/// The option that chooses the form of the original event.
const ORIGINAL: &str = "original";

pub(crate) const ELASTIC: Spec = Spec {
    name: "elastic",
    title: "Elasticsearch or OpenSearch, with ECS fields",
    content_type: "application/x-ndjson",
    // `http.max_content_length` is 100 MB.
    max_bytes: 90_000_000,
    grouping: Grouping::Bulk,
    has_credentials: true,
    accepts_gzip: true,
    hosts: &[".elastic-cloud.com", ".elastic.cloud", ".es.amazonaws.com", ".found.io"],
    request: RequestSpec {
        path: "/_bulk",
        // Without it, the reply to a large batch is larger than the part of replies that is read.
        query: "filter_path=errors,items.*.status,items.*.error.type",
        ..RequestSpec::PLAIN
    },
    options: &[
        OptionSpec {
            name: INDEX,
            help: "data stream or index",
            default: Some("logs-decnet-default"),
            check: check_index,
        },
        OptionSpec {
            name: ORIGINAL,
            help: "the original event: flattened (object `decnet`), text (`event.original`) or none",
            default: Some("flattened"),
            check: |value| value.parse::<Original>().map(|_| ()),
        },
    ],
    escape: escape::json::write,
    write,
    judge: judge::judge,
};

/// Writes two lines per event: the action and the document. The last line also ends with a line feed.
fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let format = rendering.format;
    let index = format.options().get(INDEX).unwrap_or_default();
    let original = format.options().get(ORIGINAL).and_then(|value| value.parse().ok()).unwrap_or_default();
    for finding in rendering.findings {
        let mut action = Object::begin(out);
        action.object("create", |create| {
            create.text("_index", index);
            create.text("_id", &finding.event.id);
        });
        action.end();
        out.push(b'\n');
        document::write(finding, original, format.link_base(), out);
        out.push(b'\n');
    }
    Ok(())
}

/// Checks the name of an index
/// (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create>).
fn check_index(value: &str) -> Result<(), String> {
    let is_allowed =
        |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && !"\\/*?\"<>|,#:".contains(c);
    let starts_well = !value.starts_with(['-', '_', '+', '.']);
    if !value.is_empty() && value.len() <= 255 && starts_well && value.chars().all(is_allowed) {
        return Ok(());
    }
    Err("write the name of a data stream or index: up to 255 lower-case characters without spaces or any of \\ / * ? \" < > | , # :, \
        and not - _ + . at the beginning"
        .to_owned())
}
