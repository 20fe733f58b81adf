//! The credential in the `Authorization` header (RFC 6750 section 2.1).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use decnet_core::access::ApiToken;

/// The credential of a request.
pub(super) enum Credential<'a> {
    /// No `Authorization` header.
    None,
    /// A well-formed API token; the catalog decides whether it is valid.
    Token(ApiToken),
    /// Possibly a session of DECNET's dashboard.
    Session(&'a str),
    /// A header that contains neither.
    Unreadable,
}

/// Reads the header. Two headers are unreadable, since either could be meant.
pub(super) fn read(headers: &HeaderMap) -> Credential<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(AUTHORIZATION) { Credential::Unreadable } else { Credential::None };
    };
    let Some(("bearer", text)) = value.to_str().ok().and_then(split) else {
        return Credential::Unreadable;
    };
    if ApiToken::has_prefix(text) {
        return ApiToken::parse(text).map_or(Credential::Unreadable, Credential::Token);
    }
    Credential::Session(text)
}

/// Splits a value into its scheme, which is case-insensitive (RFC 9110 section 11.1), and the rest.
fn split(value: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| ("bearer", rest.trim_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        match read(&headers) {
            Credential::None => "none",
            Credential::Token(_) => "token",
            Credential::Session(_) => "session",
            Credential::Unreadable => "unreadable",
        }
    }

    #[test]
    fn only_one_bearer_credential_is_read() {
        let token = ApiToken::from_random([1; 40]).expose();
        assert_eq!(kind(&[]), "none");
        assert_eq!(kind(&[&format!("Bearer {token}")]), "token");
        assert_eq!(kind(&[&format!("bearer  {token}")]), "token");
        assert_eq!(kind(&["Bearer a.b.c"]), "session");
        let twice = format!("Bearer {token}");
        for bad in [&["Basic YTpi"][..], &["Bearer"], &["Bearer dcn_x"], &[""], &[&token], &[&twice, &twice]]
        {
            assert_eq!(kind(bad), "unreadable", "{bad:?}");
        }
    }
}
