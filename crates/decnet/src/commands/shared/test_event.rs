//! Test events: one attempt outside of the worker.

use std::rc::Rc;

use decnet_api::Tested;
use decnet_core::delivery::{Outcome, Reason, Verdict};
use decnet_core::event::Event;
use decnet_core::severity::SeverityTable;
use decnet_sender::{AttemptResult, Message, Sender, Target, judge};
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

/// Sends a test event to a subscription, without retries, and returns the verdict on the reply. The payload has the same members as DECNET's.
pub(crate) async fn ping(
    stored: &StoredSubscription,
    triggered_by: &str,
    config: &Config,
) -> anyhow::Result<(AttemptResult, Verdict)> {
    let payload = json!({"message": "a test of this subscription", "triggered_by": triggered_by}).to_string();
    let event = Event::new(&Uuid::new_v4().to_string(), TOPIC, TYPE, now(), &payload)?;
    send(stored, &event, config).await
}

/// Sends an event to a subscription as the worker does, without retries, and returns the verdict on the reply.
///
/// # Errors
/// The subscription is held, the event cannot be rendered, or the URL or a header is not valid.
pub(crate) async fn send(
    stored: &StoredSubscription,
    event: &Event,
    config: &Config,
) -> anyhow::Result<(AttemptResult, Verdict)> {
    if let Some(problem) = &stored.hold {
        anyhow::bail!("cannot send to `{}`: {problem}", stored.subscription.name);
    }
    let severities = severity_file::load(config.worker.severity_file.as_deref()).unwrap_or_else(|error| {
        tracing::warn!(error, "using the default severities");
        SeverityTable::default()
    });
    let request = SingleRequest::new(stored, event, &Rc::new(severities))?;
    let sender = Sender::new(config.worker.sender.clone());
    let (target, destination, message) = (request.target()?, request.destination(), request.message());
    let attempt = sender.deliver(&target, destination, message, now());
    let mut attempted = LocalSet::new().run_until(attempt).await;
    let verdict = judge(request.destination(), &mut attempted, 1).whole;
    Ok((attempted, verdict))
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
