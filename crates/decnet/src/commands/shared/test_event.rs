//! Test events: one attempt outside of the worker.

use std::rc::Rc;

use bytes::Bytes;
use decnet_api::Tested;
use decnet_core::delivery::{Outcome, Reason, Verdict};
use decnet_core::event::Event;
use decnet_core::sample::Sample;
use decnet_sender::{AttemptResult, Message, Preview, RenderContext, Sender, Target, judge};
use decnet_store::catalog::StoredSubscription;
use decnet_store::severity_file;
use serde_json::json;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::single_request::SingleRequest;
use crate::config::Config;
use crate::receiver::now;

const TOPIC: &str = "test.ping";
const TYPE: &str = "test";

/// An attempt outside of the worker.
pub(crate) struct SentTest {
    /// The head of the request, without secrets.
    pub(crate) head: Preview,
    /// The body of the request.
    pub(crate) body: Bytes,
    /// The result. The reply is as long as the judges read.
    pub(crate) attempted: AttemptResult,
    /// The verdict on the reply.
    pub(crate) verdict: Verdict,
}

/// Returns the test event. The payload has the same members as DECNET's.
///
/// # Errors
/// The payload is not valid, which is an internal error.
pub(crate) fn ping(triggered_by: &str) -> anyhow::Result<Event> {
    let payload = json!({"message": "a test of this subscription", "triggered_by": triggered_by}).to_string();
    Ok(Event::new(&Uuid::new_v4().to_string(), TOPIC, TYPE, now(), &payload)?)
}

/// Returns an event from a sample.
///
/// # Errors
/// The payload is not valid, which is an internal error.
pub(crate) fn of_sample(sample: &Sample) -> anyhow::Result<Event> {
    let payload = sample.payload.to_string();
    Ok(Event::new(&Uuid::new_v4().to_string(), &sample.topic, sample.kind, now(), &payload)?)
}

/// Sends an event to a subscription as the worker does, without retries, and returns the exchange with the verdict on the reply.
///
/// # Errors
/// The subscription is held, the event cannot be rendered, or the URL or a header is not valid.
pub(crate) async fn send(
    stored: &StoredSubscription,
    event: &Event,
    config: &Config,
) -> anyhow::Result<SentTest> {
    if let Some(problem) = &stored.hold {
        anyhow::bail!("cannot send to `{}`: {problem}", stored.subscription.name);
    }
    let context = render_context(config).unwrap_or_else(|error| {
        tracing::warn!(error, "using the default severities");
        Rc::default()
    });
    let request = SingleRequest::new(stored, event, &context)?;
    let sender = Sender::new(config.worker.sender.clone());
    let (target, destination, message) =
        (request.target()?.keeping_replies(), request.destination(), request.message());
    let started_at = now();
    let head = request.preview(started_at)?;
    let attempt = sender.deliver(&target, destination, message, started_at);
    let mut attempted = LocalSet::new().run_until(attempt).await;
    let reply = attempted.reply.clone();
    let verdict = judge(request.destination(), &mut attempted, 1).whole;
    Ok(SentTest {
        head,
        body: message.body.clone(),
        attempted: AttemptResult { reply, ..attempted },
        verdict,
    })
}

/// Returns what renderings depend on besides the settings of a subscription.
///
/// # Errors
/// The table of severities cannot be read.
pub(crate) fn render_context(config: &Config) -> Result<Rc<RenderContext>, String> {
    let severities = severity_file::load(config.worker.severity_file.as_deref())?;
    Ok(Rc::new(RenderContext { severities, link_base: config.worker.link_base.clone() }))
}

/// Makes one attempt with the given configuration.
pub(crate) async fn attempt(
    target: &Target,
    message: impl Into<Message<'_>>,
    config: &Config,
) -> AttemptResult {
    let sender = Sender::new(config.worker.sender.clone());
    LocalSet::new().run_until(sender.send(target, message, now())).await
}

/// Returns the result of an attempt with its error, if any.
pub(crate) fn tested(attempted: &AttemptResult, verdict: &Verdict) -> Tested {
    let detail = attempted.detail.as_deref();
    let because = |reason: Reason| detail.map_or_else(|| reason.to_string(), str::to_owned);
    let (status_code, error) = match attempted.outcome {
        Outcome::Replied { status, .. } => (Some(status), detail.map(str::to_owned)),
        Outcome::Failed(reason @ Reason::Forbidden) => {
            let remark = "by the configuration of this command; the worker's may differ";
            (None, Some(format!("{} ({remark})", because(reason))))
        }
        Outcome::Failed(reason) => (None, Some(because(reason))),
        Outcome::LocalFault => (None, Some(because(Reason::Internal))),
    };
    Tested { delivered: *verdict == Verdict::Delivered, status_code, error }
}
