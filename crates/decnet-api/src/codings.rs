//! Content and transfer codings of a request's body: only `chunked` is decoded.

use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, HeaderValue, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};

use crate::problem::Problem;

const IDENTITY: &str = "identity";
const CHUNKED: &str = "chunked";

/// Rejects a body whose coding is not supported.
///
/// # Errors
/// 501 for a transfer coding other than `chunked` (RFC 9112, section 6.1), 400 for `chunked` twice (section 7), 415 for a
/// content coding other than `identity`, with `Accept-Encoding` (RFC 9110, section 15.5.16). hyper has already rejected a
/// transfer coding that does not end with `chunked`, since the end of such a body cannot be determined.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let transfer = values(headers, &TRANSFER_ENCODING);
    if transfer.iter().any(|coding| coding != CHUNKED) {
        let what = format!(
            "the transfer coding `{}` is not supported; send the body unencoded or `chunked`",
            transfer.join(", ")
        );
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, what));
    }
    if transfer.len() > 1 {
        return Err(Problem::malformed("the transfer coding `chunked` may be applied only once"));
    }
    let content = values(headers, &CONTENT_ENCODING);
    if content.iter().all(|coding| coding == IDENTITY) {
        return Ok(());
    }
    let what =
        format!("the content coding `{}` is not supported; send the body uncompressed", content.join(", "));
    let accepted = HeaderValue::from_static(IDENTITY);
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what).with(ACCEPT_ENCODING, accepted))
}

/// Returns the members of a list header in lower case (RFC 9110, section 5.6.1).
fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let list = headers.get_all(name).iter().map(value).collect::<Vec<_>>().join(",");
    list.split(',').map(|member| member.trim().to_owned()).filter(|member| !member.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(lines: &[(&'static HeaderName, &'static str)]) -> u16 {
        let lines = lines.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value)));
        check(&lines.collect()).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_plain_and_chunked_bodies_are_accepted() {
        let (transfer, content) = (&TRANSFER_ENCODING, &CONTENT_ENCODING);
        for (lines, expected) in [
            (&[][..], 200),
            (&[(transfer, "chunked")], 200),
            (&[(transfer, "Chunked, ")], 200),
            (&[(transfer, "gzip, chunked")], 501),
            (&[(transfer, "gzip"), (transfer, "chunked")], 501),
            (&[(transfer, "identity, chunked")], 501),
            (&[(transfer, "chunked, chunked")], 400),
            (&[(transfer, "chunked"), (transfer, "chunked")], 400),
            (&[(content, "identity")], 200),
            (&[(content, "")], 200),
            (&[(content, "gzip")], 415),
            (&[(content, "GZIP, identity")], 415),
            (&[(content, "identity"), (content, "br")], 415),
            (&[(transfer, "chunked"), (content, "zstd")], 415),
        ] {
            assert_eq!(status(lines), expected, "{lines:?}");
        }
    }
}
