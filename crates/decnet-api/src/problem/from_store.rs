//! Conversion of store errors into problems.

use axum::http::StatusCode;
use decnet_core::subscription::Problem as InvalidSubscription;
use decnet_store::{catalog, queue};

use super::Problem;

impl From<catalog::Error> for Problem {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::NameTaken(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            catalog::Error::Rotation(catalog::RotationError::Overlap) => Self::invalid(error.to_string()),
            catalog::Error::Rotation(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            catalog::Error::Ambiguous { .. } => {
                Self::new(StatusCode::CONFLICT, "more than one subscription has this name; use its UUID")
            }
            catalog::Error::Invalid(InvalidSubscription::Encrypted { .. }) => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            catalog::Error::Invalid(_) => Self::invalid(error.to_string()),
            catalog::Error::KeyFile(_) | catalog::Error::NoKeyFile => {
                Self::unavailable_because("secrets cannot be stored now", &error)
            }
            catalog::Error::TokenName(_) => Self::invalid(format!("name: {error}")),
            catalog::Error::TokenNameTaken(_)
            | catalog::Error::TooManyTokens
            | catalog::Error::TokenRevoked(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            catalog::Error::NoToken(_) => Self::not_found("token not found"),
            catalog::Error::NotFound { .. } => Self::not_found("subscription not found"),
            catalog::Error::Busy { .. } | catalog::Error::Full { .. } | catalog::Error::ReadOnly { .. } => {
                Self::unavailable_because("the catalog cannot be written now", &error)
            }
            _ => Self::internal("the catalog cannot be used", &error),
        }
    }
}

impl From<queue::Error> for Problem {
    fn from(error: queue::Error) -> Self {
        match error {
            queue::Error::NoQueue { .. } => {
                Self::unavailable("there is no queue yet; the worker creates it when it first runs")
            }
            queue::Error::UnknownDelivery(id) => Self::not_found(format!("there is no delivery {id}")),
            queue::Error::TooManyRecipients
            | queue::Error::Erased(_)
            | queue::Error::NotFinal(_)
            | queue::Error::SubscriptionDeleted { .. }
            | queue::Error::Replaced { .. }
            | queue::Error::TooManySelected => Self::new(StatusCode::CONFLICT, error.to_string()),
            queue::Error::Backlogged => Self::unavailable(error.to_string()),
            error if error.is_disk_full() => {
                Self::unavailable_because("the disk that holds the queue is full", &error)
            }
            error if error.is_transient() => {
                Self::unavailable_because("the queue cannot be used now", &error)
            }
            _ => Self::internal("the queue cannot be used", &error),
        }
    }
}

impl From<InvalidSubscription> for Problem {
    fn from(invalid: InvalidSubscription) -> Self {
        Self::invalid(invalid.to_string())
    }
}
