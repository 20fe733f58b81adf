//! JSON request bodies with size limits.

use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use decnet_core::limits::MAX_API_BODY_BYTES;
use decnet_core::text::byte_order_mark;
use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::problem::Problem;
use crate::state::Shared;

/// A JSON body. Unknown fields are rejected by name if `T` denies them.
pub(crate) struct Body<T>(pub(crate) T);

/// The bytes of a JSON body, not yet parsed.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        check_object(&bytes).map_err(Problem::invalid)?;
        read(&bytes).map(Self)
    }
}

impl FromRequest<Shared> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        Self::within(MAX_API_BODY_BYTES, request, |_| Ok(())).await
    }
}

impl RawBody {
    /// Reads a body of at most `most` bytes. A larger `Content-Length` is rejected at once. `take` is called with the size of
    /// each piece before the piece is kept.
    ///
    /// # Errors
    /// The content type is not JSON, the body is too large or ends early, or `take` fails.
    pub(crate) async fn within(
        most: usize,
        request: Request,
        mut take: impl FnMut(usize) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let declared = request.headers().get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        if !is_json(request.headers()) {
            let what = "send JSON, with the header Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        let (mut body, mut bytes) = (request.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::malformed("the request body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > most {
                return Err(too_large(most));
            }
            take(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Self(bytes.freeze()))
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body exceeds {most} bytes"))
}

/// Parses a value: 400 if it is not JSON, 422 if it is JSON of another shape.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() { Problem::invalid(error.to_string()) } else { malformed(bytes, &error) }
    })
}

/// Names a byte order mark, which JSON must not begin with (RFC 8259, section 8.1).
fn malformed(bytes: &[u8], error: &serde_json::Error) -> Problem {
    Problem::malformed(byte_order_mark(bytes).map_or_else(
        || format!("the body is not valid JSON: {error}"),
        |mark| format!("the body begins with a {mark}; send JSON as UTF-8 without the mark"),
    ))
}

/// Parses an object that is part of a body, and rejects a list in its place.
///
/// # Errors
/// A value that is not an object, or an object that does not parse.
pub(crate) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    check_object(raw.get().as_bytes()).map_err(D::Error::custom)?;
    serde_json::from_str(raw.get()).map_err(D::Error::custom)
}

/// Parses an object or `null`.
///
/// # Errors
/// The value is neither `null` nor an object, or the object does not parse.
pub(crate) fn nullable_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    raw.map(|raw| object(&*raw)).transpose().map_err(D::Error::custom)
}

/// Rejects JSON that is not an object: serde would read the fields of a struct from a list as well.
fn check_object(json: &[u8]) -> Result<(), &'static str> {
    let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
    // The parser reports input that is not JSON.
    let is_other_json =
        first.is_some_and(|byte| matches!(byte, b'[' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n'));
    if is_other_json { Err("expected a JSON object") } else { Ok(()) }
}

/// Returns whether the content type is `application/json` or based on it (RFC 6839), such as `application/merge-patch+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_mark_is_reported_by_name() {
        let refused = |bytes: &[u8]| read::<serde_json::Value>(bytes).unwrap_err();
        for (bytes, named) in [
            ("\u{feff}{}".as_bytes(), "byte order mark (U+FEFF)"),
            (b"\xff\xfe{\0}\0", "byte order mark of UTF-16"),
            (b"{", "is not valid JSON"),
        ] {
            let problem = refused(bytes);
            assert!(problem.detail().contains(named), "{}", problem.detail());
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        }
    }
}
