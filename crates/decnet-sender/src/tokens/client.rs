//! The token request of a client, and the replies of token endpoints.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::delivery::Reason;
use decnet_core::limits::{
    DEFAULT_TOKEN_LIFETIME, MAX_REPLY_BYTES, MAX_TOKEN_BYTES, MAX_TOKEN_LIFETIME, TOKEN_EXPIRY_MARGIN,
};
use decnet_core::redact::Secret;
use decnet_core::settings::OAuth2;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::connect::{ConnectProgress, Connector};
use crate::fault::Fault;
use crate::no_reply::NoReply;
use crate::pool::Connection;
use crate::request::{Origin, authority};
use crate::response::{BodyEnd, ReplyPrefix, status_text};
use crate::tls::Protocols;

/// The characters of `application/x-www-form-urlencoded` that are not encoded.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');
/// The maximum length of an error code that is shown, in bytes.
const MAX_CODE_BYTES: usize = 64;

/// The prepared token request of a client.
#[derive(Clone)]
pub(crate) struct TokenClient {
    /// The SHA-256 of the request, by which equal clients are found.
    pub(super) digest: [u8; 32],
    pub(crate) origin: Origin,
    request: Secret,
    body: Secret,
}

/// A token that the authorization server issued.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) token: Secret,
    /// The time for which the token is used.
    pub(super) use_for: Duration,
}

/// A successful reply (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Seconds>,
}

/// A number of seconds, which some servers send as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

/// An error reply (RFC 6749 section 5.2).
#[derive(Deserialize)]
struct ErrorReply {
    error: String,
}

impl TokenClient {
    /// Prepares the token request.
    pub(crate) fn new(oauth: &OAuth2) -> Self {
        let url = &oauth.token_url;
        let (id, secret) = (encode(&oauth.client_id), encode(oauth.client_secret.expose()));
        let mut body = "grant_type=client_credentials".to_owned();
        let optional = [("scope", &oauth.scope), ("audience", &oauth.audience)];
        for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            body.extend(["&", name, "=", &encode(value)]);
        }
        let mut head = format!("POST {} HTTP/1.1\r\nhost: {}\r\n", url.path_and_query(), authority(url));
        head.push_str("content-type: application/x-www-form-urlencoded\r\naccept: application/json\r\n");
        if oauth.in_body {
            body.extend(["&client_id=", &id, "&client_secret=", &secret]);
        } else {
            let pair = STANDARD.encode(format!("{id}:{secret}"));
            head.extend(["authorization: Basic ", &pair, "\r\n"]);
        }
        head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
        let digest = Sha256::new().chain_update(url.expose()).chain_update(&head).chain_update(&body);
        let digest = digest.finalize().into();
        Self { digest, origin: Origin::of(url), request: Secret::new(head), body: Secret::new(body) }
    }

    /// Returns the failure of a token request.
    pub(super) fn fault(&self, reason: Reason, text: &str) -> Fault {
        Fault::new(reason, format!("the token endpoint {}: {text}", self.origin))
    }

    /// Requests a token.
    ///
    /// # Errors
    /// The token endpoint cannot be reached, or it issues no usable token.
    pub(super) async fn fetch(&self, connector: &Connector) -> Result<Grant, Fault> {
        let mut progress = ConnectProgress::default();
        let connected = connector.connect(&self.origin, Protocols::Http1, &mut progress).await;
        let connection = connected.map_err(|error| Fault::from(error).at(&self.origin))?;
        let Connection::Http1(mut connection) = connection else {
            return Err(self.fault(Reason::Protocol, "it uses HTTP/2 although only HTTP/1.1 was offered"));
        };
        let write = |out: &mut Vec<u8>| out.extend_from_slice(self.request.expose().as_bytes());
        let replied = connection.exchange(write, self.body.expose().as_bytes()).await;
        let has_received = connection.has_received();
        let head = replied.map_err(|error| NoReply::new(&error, has_received).fault.at(&self.origin))?;
        let mut prefix = ReplyPrefix::new(MAX_REPLY_BYTES);
        let end = connection.read_body(&mut prefix).await;
        let body = prefix.into_parts().0;
        match head.status {
            200 if end == BodyEnd::Complete => self.granted(&body),
            200 => Err(self.fault(Reason::Protocol, "its reply is incomplete or too large")),
            status => Err(self.denied(status, &body)),
        }
    }

    fn granted(&self, body: &[u8]) -> Result<Grant, Fault> {
        let invalid = |text| self.fault(Reason::Protocol, text);
        let reply: TokenReply = serde_json::from_slice(body)
            .map_err(|_| invalid("its reply is not JSON with access_token and token_type"))?;
        if !reply.token_type.eq_ignore_ascii_case("bearer") {
            return Err(invalid("its token is not a bearer token"));
        }
        let token = reply.access_token;
        let is_valid =
            (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_valid {
            return Err(invalid("its token is empty, too long or not printable"));
        }
        Ok(Grant { token: Secret::new(token), use_for: use_for(reply.expires_in.as_ref()) })
    }

    fn denied(&self, status: u16, body: &[u8]) -> Fault {
        let reason = match status {
            400 | 401 | 403 => Reason::Unauthorized,
            429 => Reason::Throttled,
            500..=599 => Reason::ServerError,
            _ => Reason::Protocol,
        };
        let code = serde_json::from_slice::<ErrorReply>(body).ok().map(|reply| reply.error);
        let is_code = |code: &String| {
            code.len() <= MAX_CODE_BYTES
                && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let code = code.filter(is_code).map(|code| format!(" ({code})")).unwrap_or_default();
        self.fault(reason, &format!("HTTP {}{code}", status_text(status)))
    }
}

impl std::fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenClient({})", self.origin)
    }
}

/// Returns the time for which a token is used: its lifetime without a margin.
fn use_for(expires_in: Option<&Seconds>) -> Duration {
    let seconds = match expires_in {
        Some(Seconds::Number(seconds)) => Some(*seconds),
        Some(Seconds::Text(text)) => text.parse().ok(),
        None => None,
    };
    let lifetime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let lifetime = lifetime.unwrap_or(DEFAULT_TOKEN_LIFETIME).min(MAX_TOKEN_LIFETIME);
    lifetime - TOKEN_EXPIRY_MARGIN.min(lifetime / 4)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string()
}

#[cfg(test)]
mod tests {
    use decnet_core::redact::EndpointUrl;

    use super::*;

    fn oauth(in_body: bool) -> OAuth2 {
        OAuth2 {
            token_url: EndpointUrl::new("https://login.example/t/token?v=2").unwrap(),
            client_id: "soc&1".into(),
            client_secret: Secret::new("hunter2 /"),
            scope: Some("a b".into()),
            audience: None,
            in_body,
        }
    }

    #[test]
    fn token_request_follows_the_specification() {
        let client = TokenClient::new(&oauth(false));
        assert_eq!(client.body.expose(), "grant_type=client_credentials&scope=a%20b");
        let head = client.request.expose();
        assert!(head.starts_with("POST /t/token?v=2 HTTP/1.1\r\nhost: login.example\r\n"), "{head}");
        let pair = STANDARD.encode("soc%261:hunter2%20%2F");
        assert!(head.contains(&format!("\r\nauthorization: Basic {pair}\r\n")), "{head}");
        let client = TokenClient::new(&oauth(true));
        let body = "grant_type=client_credentials&scope=a%20b&client_id=soc%261&client_secret=hunter2%20%2F";
        assert_eq!(client.body.expose(), body);
        assert!(
            client
                .request
                .expose()
                .ends_with(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()))
        );
        assert_eq!(format!("{client:?}"), "TokenClient(https://login.example:443)");
    }

    #[test]
    fn tokens_are_replaced_before_they_expire() {
        let seconds = |number| use_for(Some(&Seconds::Number(number))).as_secs_f64();
        assert_eq!((seconds(3600.0), seconds(40.0), seconds(0.0)), (3570.0, 30.0, 0.0));
        assert_eq!(use_for(Some(&Seconds::Text("3600".into()))).as_secs(), 3570);
        assert_eq!(use_for(None), DEFAULT_TOKEN_LIFETIME - TOKEN_EXPIRY_MARGIN);
        for invalid in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(seconds(invalid) <= MAX_TOKEN_LIFETIME.as_secs_f64(), "{invalid}");
        }
    }

    #[test]
    fn unusable_replies_are_rejected_without_their_contents() {
        let client = TokenClient::new(&oauth(false));
        for body in [
            "",
            "hunter3",
            r#"{"access_token":"hunter3"}"#,
            r#"{"access_token":"hunter3","token_type":"mac"}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"hunter3\r\nx: y","token_type":"Bearer"}"#,
        ] {
            let fault = client.granted(body.as_bytes()).unwrap_err();
            assert_eq!(fault.outcome, decnet_core::delivery::Outcome::Failed(Reason::Protocol), "{body}");
            assert!(!fault.detail.contains("hunter"), "{}", fault.detail);
        }
        let fault = client.denied(401, br#"{"error":"invalid_client","error_description":"hunter3"}"#);
        assert_eq!(
            &*fault.detail,
            "the token endpoint https://login.example:443: HTTP 401 Unauthorized (invalid_client)"
        );
        assert!(!client.denied(400, br#"{"error":"<hunter3>"}"#).detail.contains("hunter"));
    }
}
