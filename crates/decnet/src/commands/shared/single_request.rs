//! The request with which the worker would send one event to a subscription.

use std::borrow::Cow;
use std::rc::Rc;

use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_format::RenderError;
use decnet_sender::{Destination, Message, Preview, RenderContext, Target, TargetError};
use decnet_store::catalog::StoredSubscription;

const JSON: &str = "application/json";

/// One event as the body of a request to a subscription.
pub(crate) struct SingleRequest<'a> {
    stored: &'a StoredSubscription,
    destination: Option<Destination>,
    /// The event with the body that is sent.
    event: Cow<'a, Event>,
}

impl<'a> SingleRequest<'a> {
    /// Renders an event. A subscription with batches gets a batch of one event.
    ///
    /// # Errors
    /// The format or the template cannot render the event.
    pub(crate) fn new(
        stored: &'a StoredSubscription,
        event: &'a Event,
        context: &Rc<RenderContext>,
    ) -> Result<Self, RenderError> {
        let settings = &stored.settings;
        let destination = Destination::new(settings, &stored.subscription.url, context);
        let event = match (&destination, settings.batch) {
            (Some(destination), _) => Cow::Owned(destination.render([event].into_iter())?),
            (None, Some(batch)) => Cow::Owned(batch.format().combine([event].into_iter())),
            (None, None) => Cow::Borrowed(event),
        };
        Ok(Self { stored, destination, event })
    }

    /// Returns the message to send.
    pub(crate) fn message(&self) -> Message<'_> {
        let content_type = match (&self.destination, self.stored.settings.batch) {
            (Some(destination), _) => destination.format().content_type(),
            (None, Some(batch)) => batch.format().content_type(),
            (None, None) => JSON,
        };
        Message { content_type, ..(&*self.event).into() }
    }

    /// Returns the format and its settings, if the subscription has one.
    pub(crate) fn destination(&self) -> Option<&Destination> {
        self.destination.as_ref()
    }

    /// Returns the receiver of the request.
    ///
    /// # Errors
    /// The URL or a header is not valid in an HTTP request.
    pub(crate) fn target(&self) -> Result<Target, TargetError> {
        let StoredSubscription { subscription, settings, old_secrets, .. } = self.stored;
        Target::for_subscription(subscription, settings, old_secrets, self.destination())
    }

    /// Returns the head of the request, without secrets, if it were sent at this time.
    ///
    /// # Errors
    /// The URL or a header is not valid in an HTTP request.
    pub(crate) fn preview(&self, at: UnixMicros) -> Result<Preview, TargetError> {
        let StoredSubscription { subscription, settings, old_secrets, .. } = self.stored;
        let destination = self.destination();
        Preview::new(subscription, settings, old_secrets, destination, &self.message(), at)
    }
}
