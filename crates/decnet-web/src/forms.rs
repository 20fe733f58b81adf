//! The pages with which subscriptions are created, changed and tested: one template each.

use askama::Template;

use crate::exchange::Report;
use crate::form::{Form, Guide, Kind};
use crate::previewed::Preview;
use crate::{Frame, Text};

/// The choice of a destination.
#[derive(Template)]
#[template(path = "forms-tiles.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct TilesPage {
    pub frame: Frame,
    pub guides: Vec<Guide>,
    /// The topic patterns with which the form begins; empty for the default.
    pub topics: String,
}

/// The form of a subscription, new or not.
#[derive(Template)]
#[template(path = "forms-subscription.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct FormPage {
    pub frame: Frame,
    pub form: Form,
    /// The formats that can be chosen.
    pub guides: Vec<Guide>,
    /// What the values would do, or why they cannot be previewed.
    pub preview: Result<Preview, Text>,
    /// The patterns that are not valid, with the reasons.
    pub invalid_patterns: Vec<(Text, Text)>,
}

/// A subscription that was just created, with its secret, which is shown once.
#[derive(Template)]
#[template(path = "forms-created.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct CreatedPage {
    pub frame: Frame,
    pub uuid: Text,
    pub name: Text,
    /// The generated secret.
    pub secret: Option<String>,
    /// Whether the receiver gets the events themselves, so that it should verify them.
    pub is_plain: bool,
    pub warnings: Vec<Text>,
}

/// A test of a subscription, with its result.
#[derive(Template)]
#[template(path = "forms-test.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct TestPage {
    pub frame: Frame,
    pub uuid: Text,
    pub name: Text,
    /// The families of samples.
    pub families: Vec<&'static str>,
    /// Recent events: ids and topics.
    pub events: Vec<(Text, Text)>,
    /// The event that is chosen: empty for a ping, a family, or `event`.
    pub what: String,
    /// The id of the stored event.
    pub event_id: String,
    /// Why the test could not be made.
    pub error: Option<Text>,
    pub report: Option<Report>,
}
