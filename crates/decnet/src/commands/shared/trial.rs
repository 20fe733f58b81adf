//! What the worker would do with one event for a subscription: the decision and the request. Nothing is sent.

use std::rc::Rc;

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::topic::matches;
use decnet_sender::{Preview, RenderContext};
use decnet_store::catalog::StoredSubscription;
use decnet_store::delivery_rules::{DeliveryRules, RuleResult};

use super::single_request::SingleRequest;
use crate::failure::format_error;
use crate::receiver::now;

/// The decision about an event, and the request for it.
pub(crate) struct Trial {
    pub(crate) severity: Severity,
    pub(crate) is_delivered: bool,
    /// The reason of the decision, or the reason why there is no request.
    pub(crate) reason: String,
    pub(crate) request: Option<TrialRequest>,
}

/// The request for an event.
pub(crate) struct TrialRequest {
    pub(crate) head: Preview,
    /// The bytes that are sent.
    pub(crate) body: Vec<u8>,
    /// The body before compression, if it is compressed.
    pub(crate) uncompressed: Option<Vec<u8>>,
}

impl Trial {
    /// Applies patterns, severity floor, filter, format and template to an event. `rules` are those of the subscription.
    pub(crate) fn new(
        stored: &StoredSubscription,
        rules: &DeliveryRules<'_>,
        event: &Event,
        context: &Rc<RenderContext>,
    ) -> Self {
        let (is_selected, reason) = decide(stored, rules, event);
        let severity = rules.severity(event);
        match request(stored, event, context) {
            Ok(request) => Self { severity, is_delivered: is_selected, reason, request: Some(request) },
            Err(error) => {
                let error = format!("the request cannot be made: {}", format_error(&error));
                let reason = if is_selected { error } else { format!("{reason}; {error}") };
                Self { severity, is_delivered: false, reason, request: None }
            }
        }
    }
}

/// Returns whether the event would be delivered, and the reason.
fn decide(stored: &StoredSubscription, rules: &DeliveryRules<'_>, event: &Event) -> (bool, String) {
    let topic = &event.topic;
    if !stored.subscription.patterns.iter().any(|pattern| matches(pattern.as_str(), topic)) {
        return (false, format!("no pattern of the subscription matches the topic `{topic}`"));
    }
    let result = rules.apply(event);
    (result == RuleResult::Delivered, result.to_string())
}

fn request(
    stored: &StoredSubscription,
    event: &Event,
    context: &Rc<RenderContext>,
) -> anyhow::Result<TrialRequest> {
    let single = SingleRequest::new(stored, event, context)?;
    let mut request = TrialRequest {
        head: single.preview(now())?,
        body: single.message().body.to_vec(),
        uncompressed: None,
    };
    if stored.settings.gzip {
        let mut plain = stored.clone();
        plain.settings.gzip = false;
        let single = SingleRequest::new(&plain, event, context)?;
        request.uncompressed = Some(single.message().body.to_vec());
    }
    Ok(request)
}
