//! The requests of a subscription with a format: rendering the events, and judging the reply.

use std::io::Write as _;
use std::rc::Rc;

use bytes::Bytes;
use decnet_core::delivery::{Outcome, Rendering, classify};
use decnet_core::event::{Event, batch_id, common_topic};
use decnet_core::limits::MAX_STORED_REPLY_BYTES;
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::{Digest, Settings};
use decnet_core::severity::{Severity, SeverityTable};
use decnet_format::finding::ParsedEvent;
use decnet_format::request::Acknowledgement;
use decnet_format::{Finding, Format, Judgement, RenderError, Reply};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::attempt_result::AttemptResult;

/// The format of a subscription and the settings that belong to it.
#[derive(Debug)]
pub struct Destination {
    format: Format,
    gzip: bool,
    /// The digest of the subscription, if it has one.
    digest: Option<Digest>,
    context: Rc<RenderContext>,
    rendering: Rendering,
}

/// What renderings depend on besides the events and the settings of the subscription.
#[derive(Debug, Default)]
pub struct RenderContext {
    /// The table of severities.
    pub severities: SeverityTable,
    /// The origin under which people reach the dashboard, if it is known: messages then contain links to it.
    pub link_base: Option<Box<str>>,
}

/// The settings that determine the bytes of requests, as they are stored with deliveries that are retried.
#[derive(Serialize, Deserialize)]
struct RenderingSettings {
    settings: Settings,
    severities: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link_base: Option<Box<str>>,
    /// A digest of the URL. Another receiver has seen no attempt.
    receiver: u64,
}

impl Destination {
    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Creates the destination of a subscription; `None` for a subscription without a format. A format that cannot be used is
    /// ignored: its subscription is held, so that nothing is sent.
    #[must_use]
    pub fn new(settings: &Settings, url: &EndpointUrl, context: &Rc<RenderContext>) -> Option<Self> {
        settings.format.as_ref()?;
        let relevant = Settings {
            format: settings.format.clone(),
            template: settings.template.clone(),
            gzip: settings.gzip,
            digest: settings.digest,
            ..Settings::default()
        };
        let stored = RenderingSettings {
            settings: relevant,
            severities: context.severities.to_string(),
            link_base: context.link_base.clone(),
            receiver: receiver(url),
        };
        let text = serde_json::to_string(&stored).expect("settings are texts, numbers and flags");
        let rendering = Rendering { id: id(&text), settings: text.into() };
        Self::prepare(&stored.settings, Rc::clone(context), rendering)
    }

    /// Creates the destination of earlier attempts to a receiver. `None` if the rendering is of another receiver, or cannot be used
    /// by this version of the program.
    #[must_use]
    pub fn restore(rendering: &Rendering, url: &EndpointUrl) -> Option<Self> {
        let stored: RenderingSettings = serde_json::from_str(&rendering.settings).ok()?;
        if stored.receiver != receiver(url) {
            return None;
        }
        let context =
            RenderContext { severities: stored.severities.parse().ok()?, link_base: stored.link_base };
        Self::prepare(&stored.settings, Rc::new(context), rendering.clone())
    }

    fn prepare(settings: &Settings, context: Rc<RenderContext>, rendering: Rendering) -> Option<Self> {
        let format = Format::of(settings, context.link_base.as_deref()).ok().flatten()?;
        Some(Self { format, gzip: settings.gzip, digest: settings.digest, context, rendering })
    }

    /// Returns the settings that retries must use.
    #[must_use]
    pub fn rendering(&self) -> &Rendering {
        &self.rendering
    }

    /// Returns the protocol by which the destination acknowledges events, if there is one.
    pub(crate) fn acknowledgement(&self) -> Option<&'static Acknowledgement> {
        self.format.acknowledgement()
    }

    /// Returns whether bodies are compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        self.gzip
    }

    /// Returns whether an event does not wait for the end of a digest's window.
    #[must_use]
    pub fn is_urgent(&self, event: &Event) -> bool {
        self.digest.is_some() && self.context.severities.of(&event.topic) == Severity::Critical
    }

    /// Renders the events of a request, at least one, as one event, which is signed and sent like any other.
    ///
    /// # Errors
    /// The template fails, or the body is too large.
    pub fn render<'e>(&self, events: impl Iterator<Item = &'e Event> + Clone) -> Result<Event, RenderError> {
        let parsed = events.clone().map(ParsedEvent::new).collect::<Result<Vec<_>, _>>()?;
        let finding = |(event, parsed): (&'e Event, _)| {
            Finding::of(event, parsed, self.context.severities.of(&event.topic))
        };
        let findings: Vec<Finding<'_>> = events.clone().zip(&parsed).map(finding).collect();
        let body = self.format.render(&findings, self.digest.map_or(usize::MAX, Digest::max))?;
        let body = if self.gzip { compress(&body) } else { body };
        if let [only] = &*findings {
            return Ok(Event { body, ..only.event.clone() });
        }
        let at = events.clone().map(|event| event.at).min().unwrap_or_default();
        let topic = common_topic(events.clone()).into();
        Ok(Event { id: batch_id(events), topic, body, at, operational: false })
    }
}

/// Returns the hash by which the bodies of a delivery's attempts are compared: the first eight bytes of their SHA-256.
#[must_use]
pub fn body_hash(body: &[u8]) -> i64 {
    hash(body)
}

/// Returns the id of a rendering.
fn id(settings: &str) -> i64 {
    hash(settings.as_bytes())
}

/// Returns the first eight bytes of the SHA-256.
fn hash(bytes: &[u8]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Returns a digest of the URL of a receiver.
fn receiver(url: &EndpointUrl) -> u64 {
    id(url.expose()).cast_unsigned()
}

/// Compresses a body (RFC 1952). The result depends only on the body, so that all attempts send the same bytes.
fn compress(body: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).expect("writing into memory does not fail");
    encoder.finish().expect("writing into memory does not fail").into()
}

/// Returns the reply of an attempt, as judges read it; `None` if there was no reply.
pub(crate) fn reply(result: &AttemptResult) -> Option<Reply<'_>> {
    let Outcome::Replied { status, retry_after } = result.outcome else { return None };
    Some(Reply { status, retry_after, body: &result.reply, is_complete: result.is_reply_complete })
}

/// Judges the result of an attempt with this number of events, and replaces its detail by the words of the destination. Only the
/// part of the reply that is stored is kept.
pub fn judge(destination: Option<&Destination>, result: &mut AttemptResult, events: usize) -> Judgement {
    let (Some(destination), Some(reply)) = (destination, reply(result)) else {
        return Judgement::whole(classify(&result.outcome));
    };
    let mut judgement = destination.format.judge(&reply, events);
    if let Some(detail) = judgement.detail.take() {
        result.detail = Some(detail);
    }
    if result.reply.len() > MAX_STORED_REPLY_BYTES {
        result.reply = Bytes::copy_from_slice(&result.reply[..MAX_STORED_REPLY_BYTES]);
    }
    judgement
}

#[cfg(test)]
mod tests {
    use decnet_core::time::UnixMicros;

    use super::*;

    #[test]
    fn restored_rendering_keeps_its_links() {
        let url = EndpointUrl::new("https://chat.example/").unwrap();
        let settings: Settings = serde_json::from_str(r#"{"format":"slack"}"#).unwrap();
        let event = Event::new("e1", "a.b", "t", UnixMicros(0), "{}").unwrap();
        let with = |base: Option<&str>| {
            let link_base = base.map(Into::into);
            let context = Rc::new(RenderContext { link_base, ..RenderContext::default() });
            Destination::new(&settings, &url, &context).unwrap()
        };
        let body = |destination: &Destination| destination.render([&event].into_iter()).unwrap().body;
        let (linked, plain) = (with(Some("https://hooks.example")), with(None));
        assert_ne!((linked.rendering().id, body(&linked)), (plain.rendering().id, body(&plain)));
        for destination in [linked, plain] {
            let restored = Destination::restore(destination.rendering(), &url).unwrap();
            assert_eq!(body(&restored), body(&destination));
            assert_eq!(restored.rendering(), destination.rendering());
        }
    }
}
