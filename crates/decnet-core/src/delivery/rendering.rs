//! The settings with which the requests of a delivery are rendered.

use std::sync::Arc;

/// The settings with which the requests of a delivery are rendered. All attempts of a delivery use those of its first attempt, so that
/// they send the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    /// The id, which is derived from the settings.
    pub id: i64,
    /// The settings, as text that only the sender interprets.
    pub settings: Arc<str>,
}

/// The rendering of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The settings.
    pub rendering: Rendering,
    /// The first eight bytes of the SHA-256 of the body, if the request was for one delivery. They show whether another version of the
    /// program renders other bytes from the same settings.
    pub body_hash: Option<i64>,
}
