//! The headers that are the same in every request of a subscription.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::{Auth, Settings};
use decnet_core::subscription::Subscription;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::destination::Destination;
use crate::request::TargetError;

/// Returns the headers that are the same in every request of a subscription.
pub(crate) fn subscription_headers(
    subscription: &Subscription,
    settings: &Settings,
    destination: Option<&Destination>,
) -> Result<HeaderMap, TargetError> {
    let mut headers = fixed_headers(&subscription.url, settings, destination)?;
    if let Some(protocol) = destination.and_then(Destination::acknowledgement) {
        let channel = HeaderValue::from_str(&subscription.uuid).map_err(|_| TargetError::Header)?;
        headers.insert(HeaderName::from_static(protocol.channel_header), channel);
    }
    Ok(headers)
}

/// Returns the headers of the format and the subscription, and `authorization` if the URL or the subscription has credentials. The
/// catalog permits only one of them. Values that may be secret are marked as sensitive.
pub(crate) fn fixed_headers(
    url: &EndpointUrl,
    settings: &Settings,
    destination: Option<&Destination>,
) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::new();
    if destination.is_some_and(Destination::is_compressed) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, value) in destination.iter().flat_map(|destination| destination.format().headers()) {
        let value = HeaderValue::from_str(value).map_err(|_| TargetError::Header)?;
        headers.insert(HeaderName::from_static(name), value);
    }
    for (name, value) in settings.headers.iter() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| TargetError::Header)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| TargetError::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Some((user, password)) = url.credentials() {
        let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
        headers.insert(AUTHORIZATION, basic(&decoded(user), &decoded(password)));
    }
    match &settings.credentials.auth {
        Some(Auth::Basic { user, password }) => {
            headers.insert(AUTHORIZATION, basic(user.as_bytes(), password.expose().as_bytes()));
        }
        Some(Auth::Bearer(token)) => {
            headers.insert(AUTHORIZATION, bearer(token.expose()));
        }
        // The token is not known yet.
        Some(Auth::OAuth2(_)) | None => {}
    }
    Ok(headers)
}

fn basic(user: &[u8], password: &[u8]) -> HeaderValue {
    authorization(&format!("Basic {}", STANDARD.encode([user, password].join(&b':'))))
}

/// Returns the value of `authorization` for an access token (RFC 6750 section 2.1), in printable ASCII.
pub(crate) fn bearer(token: &str) -> HeaderValue {
    authorization(&format!("Bearer {token}"))
}

fn authorization(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("base64 and checked tokens are printable");
    value.set_sensitive(true);
    value
}
