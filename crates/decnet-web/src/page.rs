//! The pages: one template each.

use askama::Template;
use decnet_core::time::UnixMicros;

use crate::columns::{Choice, Column};
use crate::delivery::{self, Deliveries};
use crate::explanation::{Explanation, Question};
use crate::failure::Group;
use crate::filter::DeliveryFilter;
use crate::job::{Job, Selection};
use crate::receiver::{self, Receiver};
use crate::traffic::TrafficView;
use crate::{Count, Frame, Overview, Text, Time};

pub use askama::Error;

/// A page.
pub trait Page {
    /// Renders the page.
    ///
    /// # Errors
    /// A value cannot be displayed.
    fn html(&self) -> Result<String, Error>;
}

impl<T: Template> Page for T {
    fn html(&self) -> Result<String, Error> {
        self.render()
    }
}

/// The login form.
#[derive(Template)]
#[template(path = "login.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct Login {
    pub frame: Frame,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// The path to return to.
    pub next: String,
    /// Whether a one-time link leads here.
    pub is_link: bool,
}

/// The overview.
#[derive(Template)]
#[template(path = "overview.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct OverviewPage {
    pub frame: Frame,
    pub overview: Overview,
    pub view: TrafficView,
    pub taken_at: Time,
}

/// The list of subscriptions.
#[derive(Template)]
#[template(path = "subscriptions.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct SubscriptionsPage {
    pub frame: Frame,
    pub receivers: Vec<Receiver>,
    pub search: String,
    pub state: String,
    /// The columns, for the headings.
    pub columns: Vec<Column>,
    /// The orders, for the form.
    pub orders: Vec<Choice>,
    /// The number of subscriptions that match.
    pub matching: Count,
    /// The number of all subscriptions.
    pub total: Count,
    /// The link to the next page.
    pub next: Option<String>,
}

/// One subscription.
#[derive(Template)]
#[template(path = "subscription.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct SubscriptionPage {
    pub frame: Frame,
    pub details: receiver::Details,
    pub recent: Vec<delivery::Delivery>,
}

/// The new secret of a subscription, shown once.
#[derive(Template)]
#[template(path = "secret.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct SecretPage {
    pub frame: Frame,
    pub uuid: Text,
    pub name: Text,
    pub secret: String,
    pub old_secrets_until: Vec<Time>,
}

/// The confirmation of a deletion.
#[derive(Template)]
#[template(path = "delete.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct DeletePage {
    pub frame: Frame,
    pub receiver: Receiver,
}

/// The list of deliveries.
#[derive(Template)]
#[template(path = "deliveries.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct DeliveriesPage {
    pub frame: Frame,
    pub filter: DeliveryFilter,
    /// The subscription of the filter, if it is one.
    pub receiver: Option<Receiver>,
    /// Names of subscriptions, for the form.
    pub names: Vec<Text>,
    pub page: Deliveries,
    /// Why the filter is invalid.
    pub error: Option<String>,
    /// The link to the next page.
    pub next: Option<String>,
}

/// One delivery.
#[derive(Template)]
#[template(path = "delivery.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct DeliveryPage {
    pub frame: Frame,
    pub details: delivery::Details,
    pub now: UnixMicros,
}

/// The failures by reason and receiver.
#[derive(Template)]
#[template(path = "failures.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct FailuresPage {
    pub frame: Frame,
    pub groups: Vec<Group>,
    pub open: Count,
    /// The redeliveries that run or ended last, newest first.
    pub jobs: Vec<Job>,
    pub taken_at: Time,
}

/// The preview of a bulk redelivery.
#[derive(Template)]
#[template(path = "preview.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct PreviewPage {
    pub frame: Frame,
    pub selection: Selection,
    /// The subscription of the selection.
    pub receiver: Option<Receiver>,
    pub job: Job,
}

/// A redelivery and its progress.
#[derive(Template)]
#[template(path = "job.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct JobPage {
    pub frame: Frame,
    pub job: Job,
}

/// The form of a question, with the answer.
#[derive(Template)]
#[template(path = "explain.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct ExplainPage {
    pub frame: Frame,
    pub question: Question,
    /// Names of subscriptions, for the form.
    pub names: Vec<Text>,
    pub answer: Option<Explanation>,
    pub error: Option<String>,
}

/// An error.
#[derive(Template)]
#[template(path = "error.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct ErrorPage {
    pub frame: Frame,
    pub status: u16,
    pub title: &'static str,
    pub detail: String,
}
