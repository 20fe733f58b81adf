//! The event as filters see it.

use std::cell::OnceCell;

use decnet_core::event::{Event, Json};
use decnet_core::severity::Severity;

/// One event as the input of any number of filters. The body is parsed when a filter first needs it, and at most once.
#[derive(Debug)]
pub struct FilterInput<'e> {
    pub(crate) event: &'e Event,
    pub(crate) severity: Severity,
    body: OnceCell<Option<Json<'e>>>,
}

impl<'e> FilterInput<'e> {
    /// Wraps an event. Parses nothing.
    #[must_use]
    pub fn new(event: &'e Event, severity: Severity) -> Self {
        Self { event, severity, body: OnceCell::new() }
    }

    /// Returns a field of the body; `None` if the body is not an object with this field, such as that of an erased event.
    pub(crate) fn field(&self, name: &str) -> Option<&Json<'e>> {
        self.body.get_or_init(|| self.event.parse_body().ok()).as_ref()?.get(name)
    }
}
