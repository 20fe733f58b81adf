//! JSON request bodies with size limits.

use std::fmt;
use std::marker::PhantomData;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use decnet_core::limits::MAX_API_BODY_BYTES;
use decnet_core::text::byte_order_mark;
use http_body_util::BodyExt as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;
use crate::state::Shared;

/// A JSON object as the body. Unknown fields are rejected by name if `T` denies them.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON object as the body, or the default without a body.
pub(crate) struct OptionalBody<T>(pub(crate) T);

/// The bytes of a JSON body, not yet parsed.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        read(&bytes).map(|Object(value)| Self(value))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Shared> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        Body::from_request(request, state).await.map(|Body(value)| Self(value))
    }
}

impl FromRequest<Shared> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        Self::within(MAX_API_BODY_BYTES, request, |_| Ok(())).await
    }
}

impl RawBody {
    /// Reads a body of at most `max` bytes. A larger `Content-Length` is rejected before the body is read. `reserve` is called
    /// with the size of each part of the body before the part is stored.
    ///
    /// # Errors
    /// The content type is not JSON, the body is too large or ends early, or `reserve` fails.
    pub(crate) async fn within(
        max: usize,
        request: Request,
        mut reserve: impl FnMut(usize) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let declared = request.headers().get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > max) {
            return Err(too_large(max));
        }
        if !is_json(request.headers()) {
            let what = "send JSON, with the header Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        let (mut body, mut bytes) = (request.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::malformed("the request body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > max {
                return Err(too_large(max));
            }
            reserve(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Self(bytes.freeze()))
    }
}

fn too_large(max: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body exceeds {max} bytes"))
}

/// Parses a value: 400 if it is not JSON, 422 if it is JSON of another shape. The error names the field.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() { Problem::invalid(located::<T>(bytes, &error)) } else { malformed(bytes, &error) }
    })
}

/// Returns the text of an error, with the path to the invalid value. Parses again, since tracking the path allocates.
fn located<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> String {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed: Result<T, _> = serde_path_to_error::deserialize(&mut json);
    match parsed.err().map(|error| error.path().to_string()) {
        Some(path) if path != "." => format!("{path}: {error}"),
        _ => error.to_string(),
    }
}

/// Names a byte order mark, which JSON must not begin with (RFC 8259, section 8.1).
fn malformed(bytes: &[u8], error: &serde_json::Error) -> Problem {
    Problem::malformed(byte_order_mark(bytes).map_or_else(
        || format!("the body is not valid JSON: {error}"),
        |mark| format!("the body begins with a {mark}; send JSON as UTF-8 without the mark"),
    ))
}

/// A value that is parsed only from a JSON object. serde would read the fields of a struct from a list as well.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// Parses a field that may be absent, but not null.
///
/// # Errors
/// The value is null or of another shape.
pub(crate) fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)?.map(Some).ok_or_else(|| D::Error::custom("must not be null"))
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
    fn invalid_values_are_reported_with_their_path() {
        type Rows = Object<std::collections::BTreeMap<String, Vec<Object<u8>>>>;
        let refused = |json: &str| read::<Rows>(json.as_bytes()).err().unwrap().detail().to_owned();
        assert!(refused(r#"{"a":[[]]}"#).starts_with("a[0]: invalid type: sequence, expected a JSON object"));
        assert!(refused("[]").starts_with("invalid type: sequence, expected a JSON object"));
        assert_eq!(refused("{} x"), "the body is not valid JSON: trailing characters at line 1 column 4");
    }

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
