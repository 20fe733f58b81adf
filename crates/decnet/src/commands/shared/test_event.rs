//! Test events: one attempt outside of the worker.

use decnet_api::Tested;
use decnet_core::delivery::{Outcome, Reason, Verdict, classify};
use decnet_core::event::Event;
use decnet_core::settings::Batch;
use decnet_sender::{AttemptResult, Message, Sender, Target};
use decnet_store::catalog::StoredSubscription;
use serde_json::json;
use tokio::task::LocalSet;
use uuid::Uuid;

use crate::config::Config;
use crate::receiver::now;

const TOPIC: &str = "test.ping";
const TYPE: &str = "test";

/// Sends a test event to a subscription, without retries. The payload has the same members as DECNET's.
pub(crate) async fn ping(
    stored: &StoredSubscription,
    triggered_by: &str,
    config: &Config,
) -> anyhow::Result<AttemptResult> {
    let target = Target::for_subscription(&stored.subscription, &stored.settings, &stored.old_secrets)?;
    let at = now();
    let payload = json!({"message": "a test of this subscription", "triggered_by": triggered_by}).to_string();
    let event = Event::new(&Uuid::new_v4().to_string(), TOPIC, TYPE, at, &payload)?;
    // A subscription with batches gets a batch of one event.
    let combine =
        |batch: Batch| (batch.format().combine([&event].into_iter()), batch.format().content_type());
    let batch = stored.settings.batch.map(combine);
    let message = match &batch {
        Some((event, content_type)) => Message { content_type, ..event.into() },
        None => (&event).into(),
    };
    Ok(attempt(&target, message, config).await)
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
pub(crate) fn tested(attempted: &AttemptResult) -> Tested {
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
    Tested { delivered: classify(&attempted.outcome) == Verdict::Delivered, status_code, error }
}
