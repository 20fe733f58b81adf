//! What the `Authorization` header holds (RFC 6750 section 2.1).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use decnet_core::access::ApiToken;

/// What somebody shows.
pub(super) enum Credential<'a> {
    /// Nothing.
    None,
    /// A token of ours, whole; whether it counts for anything is in the catalog.
    Token(ApiToken),
    /// What may be a session of DECNET's dashboard.
    Session(&'a str),
    /// Something that is neither.
    Unreadable,
}

/// Reads the header. Two of them are none: which one counts would be a guess.
pub(super) fn read(headers: &HeaderMap) -> Credential<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(AUTHORIZATION) { Credential::Unreadable } else { Credential::None };
    };
    let Some(("bearer", text)) = value.to_str().ok().and_then(split) else {
        return Credential::Unreadable;
    };
    if ApiToken::is_meant(text) {
        return ApiToken::parse(text).map_or(Credential::Unreadable, Credential::Token);
    }
    Credential::Session(text)
}

/// The scheme, whose case is of no matter (RFC 9110 section 11.1), and what follows it.
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
    fn one_bearer_is_read_and_nothing_else() {
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
