//! A JSON body within its bounds.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::problem::{Kind, Problem};
use crate::state::Shared;

/// A JSON body. Fields that it does not know are refused by name where the type says so.
#[expect(dead_code, reason = "of our own routes")]
pub(crate) struct Body<T>(pub(crate) T);

/// The bytes of a JSON body, not yet read.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        read(&bytes).map(Self)
    }
}

impl FromRequest<Shared> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let what = "send JSON, with the header Content-Type: application/json";
            return Err(Problem::new(Kind::UnsupportedMediaType, what));
        }
        Bytes::from_request(request, state).await.map(Self).map_err(|refused| match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Kind::TooLarge, "the body is larger than is read here")
            }
            _ => Problem::malformed("the body broke off"),
        })
    }
}

/// Reads a value: 400 for what is no JSON, 422 for JSON that is something else.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            Problem::invalid(error.to_string())
        } else {
            Problem::malformed(format!("the body is no JSON: {error}"))
        }
    })
}

/// `application/json` and whatever is built on it (RFC 6839), as `application/merge-patch+json` is.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json")
}
